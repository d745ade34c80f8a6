"""``acumen import`` of what people have: CSV, TSV, Parquet, Arrow IPC, and answers of the API."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imports import csv_text, tables
from service.imports.formats import ImportFormat, Sniffed
from service.imports.json_source import BadSource, EventSource
from service.imports.opening import open_source
from service.imports.options import ImportOptions
from service.imports.tables import TableOptions, TableSource
from service.imports.times import reader
from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownCollection
from storage.catalog.tenants.records import Project
from tests.service.imports.test_import_command import counted, data, project, run_import
from tests.support.scale import examples

__all__ = ["data", "project"]


def read(path: Path, options: ImportOptions | None = None) -> list[Any]:
    """The events that a file is read as; what is at fault as the text of its fault."""
    opened = open_source(str(path), options or ImportOptions(), 900_000)
    try:
        items = [item for batch in opened.source.batches() for item in batch.items]
        return [json.loads(item.text) if item.problem is None else item.problem for item in items]
    finally:
        opened.close()


def written(folder: Path, content: bytes | str, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


SHOP = "order,price,user.id,paid,zip\n1,12.50,ann,true,01234\n2,7,bob,FALSE,10115\n3,,,,\n"
SHOP_EVENTS = [
    {"order": 1, "price": 12.5, "user": {"id": "ann"}, "paid": True, "zip": "01234"},
    {"order": 2, "price": 7, "user": {"id": "bob"}, "paid": False, "zip": "10115"},
    {"order": 3},
]


@pytest.mark.parametrize(
    "pack",
    [
        str.encode,
        lambda text: gzip.compress(text.encode()),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace(",", "\t").encode(),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-16"),
    ],
    ids=["plain", "gzip", "byte order mark", "tabs", "semicolons", "CRLF", "UTF-16"],
)
def test_a_table_of_text_is_recognised_and_its_columns_typed(
    tmp_path: Path, pack: Callable[[str], bytes]
) -> None:
    """Dotted headers nest, empty cells are absent, and what has leading zeros is no number."""
    assert read(written(tmp_path, pack(SHOP))) == SHOP_EVENTS


def test_one_column_has_one_type_however_late_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 1_000)
    rows = "".join(f"{n},{n}\n" for n in range(2_000))
    found = read(written(tmp_path, f"id,code\n{rows}2000,A1\n"))
    assert [found[0], found[-1]] == [{"id": 0, "code": "0"}, {"id": 2000, "code": "A1"}]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2.5", "1e3", " 4 "], [1, -2.5, 1000, 4]),
        (["123456789012345678901234567890"], [123456789012345678901234567890]),
        (["1e999"], ["1e999"]),
        (["+49 30 1", "12"], ["+49 30 1", "12"]),
        (["1,5", "2"], ["1,5", "2"]),
        (["true", "no"], ["true", "no"]),
        (["NaN", "1"], ["NaN", "1"]),
        (['say "hi"', "two\nlines", "comma, comma"], ['say "hi"', "two\nlines", "comma, comma"]),
    ],
)
def test_a_column_is_typed_by_all_its_cells(tmp_path: Path, cells: list[str], kind: list[Any]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b"], *([cell, "x"] for cell in cells)])
    assert [event["a"] for event in read(written(tmp_path, text.getvalue()))] == kind


def test_cells_take_no_more_memory_than_their_texts(tmp_path: Path) -> None:
    content = "a,b,c,d\n" + "one,two,three,four\n" * 20_000
    opened = open_source(str(written(tmp_path, content)), ImportOptions(), 900_000)
    tracemalloc.start()
    try:
        rows = sum(len(batch.items) for batch in opened.source.batches())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        opened.close()
    assert rows == 20_000
    assert peak < 40_000_000


def test_an_empty_text_in_quotes_is_a_text(tmp_path: Path) -> None:
    assert read(written(tmp_path, 'a,b\n"",x\n,y\n')) == [{"a": "", "b": "x"}, {"b": "y"}]


def test_types_can_be_said(tmp_path: Path) -> None:
    options = ImportOptions(tables=TableOptions({"n": "text", "list": "json", "m": "number"}))
    found = read(written(tmp_path, 'n,list,m\n1,"[1,{""a"":2}]",3\n2,[,x\n'), options)
    assert found[0] == {"n": "1", "list": [1, {"a": 2}], "m": 3}
    assert "Column 'list' is to be json" in found[1]


@pytest.mark.parametrize(
    ("pattern", "zone", "cell", "instant"),
    [
        ("auto", "UTC", "2024-03-10T02:30:00Z", "2024-03-10T02:30:00.000Z"),
        ("auto", "Europe/Berlin", "2024-07-01 12:00", "2024-07-01T10:00:00.000Z"),
        ("auto", "Europe/Berlin", "2024-07-01T12:00:00+00:00", "2024-07-01T12:00:00.000Z"),
        ("auto", "America/New_York", "2024-07-01", "2024-07-01T04:00:00.000Z"),
        ("auto", "UTC", "1700000000", "2023-11-14T22:13:20.000Z"),
        ("auto", "UTC", "1700000000123", "2023-11-14T22:13:20.123Z"),
        ("epoch", "UTC", "1700000000.25", "2023-11-14T22:13:20.250Z"),
        ("epoch_ms", "UTC", "86400000", "1970-01-02T00:00:00.000Z"),
        ("%d/%m/%Y %H:%M", "Europe/Berlin", "31/12/2023 23:30", "2023-12-31T22:30:00.000Z"),
        ("%d/%b/%Y:%H:%M:%S %z", "UTC", "10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36.000Z"),
    ],
)
def test_a_column_is_the_time_of_its_event(
    tmp_path: Path, data: Path, project: Project, pattern: str, zone: str, cell: str, instant: str
) -> None:
    arguments = ["--timestamp", "when", "--timestamp-format", pattern, "--timezone", zone]
    where = ["--project", project.id, "--collection", "c", "--data", str(data)]
    for content in (f"n,when\n1,{cell}\n", json.dumps({"n": 1, "when": cell})):
        assert run_import(str(written(tmp_path, content)), *where, *arguments) == 0
    catalog = Catalog.open(data)
    try:
        files = catalog.files.live(catalog.collections.get(project.id, "c").id)
        times = [
            time for f in files for time in pq.read_table(catalog.folder.absolute(f.path))["keen.timestamp"]
        ]
    finally:
        catalog.close()
    expected = datetime.fromisoformat(instant)
    assert [time.as_py().replace(tzinfo=UTC) for time in times] == [expected, expected]


def test_a_row_whose_time_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    from zoneinfo import ZoneInfo

    when = reader("%d.%m.%Y", ZoneInfo("UTC"))
    options = ImportOptions(timestamp="t", read_time=when, tables=TableOptions(timestamp="t", read_time=when))
    found = read(written(tmp_path, "t,n\n31.12.2023,1\n2023-12-31,2\n,3\n"), options)
    assert found[0] == {"keen": {"timestamp": "2023-12-31T00:00:00.000Z"}, "n": 1}
    assert found[1] == "Column 't': '2023-12-31' does not fit the format '%d.%m.%Y'."
    assert found[2] == {"n": 3}


def test_rows_that_are_no_rows_are_refused_and_all_others_taken(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, b"a,b\n1,x\n2\n3,y,z\n4,\xff\n5,w\n", "t.csv")
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(*arguments) == 3
    said = capsys.readouterr().err
    assert "stored: 2, refused: 3" in said
    assert "types: a number, b text" in said
    assert "The row has 1 cells, where the header has 2." in said
    assert "Column 'b' is not UTF-8 at byte 0" in said
    refused = [json.loads(line) for line in (tmp_path / "t.csv.refused.ndjson").open("rb")]
    assert [(entry["number"], entry["line"], entry["event"]) for entry in refused] == [
        (2, 3, "2"),
        (3, 4, "3,y,z"),
        (4, 5, "4,\ufffd"),
    ]
    assert "line 3: The row has 1 cells" in said
    assert run_import(*arguments, "--encoding", "latin-1", "--allow-refused", "2") == 0
    assert "stored: 3, refused: 2" in capsys.readouterr().err


def refusals_of(file: Path) -> list[tuple[Any, ...]]:
    lines = file.with_name(file.name + ".refused.ndjson").read_bytes().splitlines()
    return [(entry["number"], entry.get("line"), entry["event"]) for entry in map(json.loads, lines)]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode("utf-16"))])
def test_a_refused_row_is_kept_as_it_was_with_its_line(
    tmp_path: Path, data: Path, project: Project, header: bool, pack: Callable[[str], bytes]
) -> None:
    rows = '\n1,2024-01-01,"x\ny"\n"2",31/13/2023,"z"\n3\n"4",2024-01-02,"w",9\n5,2024-01-03,é\n6,"fo""o",\n'
    file = written(tmp_path, pack(("id,when,$c\n" if header else "") + rows))
    named = [] if header else ["--columns", "id,when,c"]
    where = ["--project", project.id, "--collection", "c", "--data", str(data), "--timestamp", "when"]
    assert run_import(str(file), *where, *named, "--format", "csv") == 3
    first = 1 if header else 0
    of_the_reader = [
        (2, first + 4, '"2",31/13/2023,"z"'),
        (3, first + 5, "3"),
        (4, first + 6, '"4",2024-01-02,"w",9'),
        (6, first + 8, '6,"fo""o",'),
    ]
    of_the_server = [(1, 3, '1,2024-01-01,"x\ny"'), (5, 8, "5,2024-01-03,é")] if header else []
    assert refusals_of(file) == sorted(of_the_reader + of_the_server)


def test_refused_rows_of_a_long_table_are_in_their_order_with_their_lines(
    tmp_path: Path, data: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", 500)
    rows = [f"{n},x" if n % 7 else f"{n}" if n % 2 else f"{n},x,y" for n in range(1, 6_000)]
    rows[99] = '100,"a\nb"'
    file = written(tmp_path, "a,b\n" + "\n".join(rows))
    assert run_import(str(file), "--project", project.id, "--collection", "c", "--data", str(data)) == 3
    assert refusals_of(file) == [(n, n + 1 + (n > 100), rows[n - 1]) for n in range(7, 6_000, 7)]


def test_a_refused_row_of_a_typed_table_has_its_number_and_all_its_cells(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": [1, 2], "when": ["2024-01-01", "soon"], "c": ["x", None]}), file)
    where = ["--project", project.id, "--collection", "c", "--data", str(data), "--timestamp", "when"]
    assert run_import(str(file), *where) == 3
    assert refusals_of(file) == [(2, None, '[2,"soon",null]')]
    assert "row 2: Column 'when'" in capsys.readouterr().err


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_end_rows(tmp_path: Path, end: str, pack: Callable[[str], bytes]) -> None:
    content = end.join(["a,b", "1,x", '2,"y"', '3,"last' + end + 'line"', ""])

    events = read(written(tmp_path, pack(content)))

    assert events == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": f"last{end}line"}]


PACKINGS: list[Callable[[str], bytes]] = [
    str.encode,
    lambda text: gzip.compress(text.encode()),
    lambda text: text.encode("utf-16"),
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: text.replace("\n", "\r").encode(),
]


@pytest.mark.parametrize("pack", PACKINGS)
@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('a,b\n0,w\n1,"x\n2,y\n3,z\n', 3),
        ('a,b\n0,w\n1,"x\n2,y\n3,z', 3),
        ('a,b\n0,w\n1,"x\n2,5" pipe\n', 3),
        ('a,b\n1,2\n"x,1\n3,4\n5,6\n', 3),
        ('a,b\n\n"1\n1",2\n3,"""x\n4,5\n', 5),
        ('a,b\n1,"x\n2,"y"\n3,z\n', 2),
        ('a,"b\n1,2\n3,4\n', 1),
        ('"a,b\n1,2\n3,4\n', 1),
    ],
)
def test_a_quote_that_is_never_closed_swallows_no_rows(
    tmp_path: Path,
    content: str,
    line: int,
    chunk_bytes: int,
    pack: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk_bytes)
    options = ImportOptions(format=ImportFormat.CSV, delimiter=",")
    with pytest.raises(BadSource, match=f"a quote that is opened on line {line} is never closed"):
        read(written(tmp_path, pack(content)), options)


def test_a_quote_that_is_never_closed_stops_the_import_before_anything_is_stored(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, 'a,b\n1,2\n"x,1\n3,4\n5,6\n')
    assert run_import(str(file), "--project", project.id, "--collection", "c", "--data", str(data)) == 1
    said = capsys.readouterr().err
    assert "stored: 0, refused: 0" in said
    assert "a quote that is opened on line 3 is never closed, and nothing was imported" in said
    with pytest.raises(UnknownCollection):
        counted(data, project, "c")


def test_a_quote_that_a_longer_rest_follows_than_a_row_may_be_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 1_000)
    with pytest.raises(BadSource, match="opened on line 2 is never closed"):
        read(written(tmp_path, 'a,b\n1,"x\n' + "2,y\n" * 5_000))


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(
    "row", ['"a""",1', '"","x"', '5" pipe,6"', '"two\nlines" ,1', '"a"b,"c"', '"""\n""",2']
)
def test_a_quote_that_is_closed_is_no_fault(
    tmp_path: Path, row: str, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk_bytes)
    assert len(read(written(tmp_path, f"a,b\n{row}\n{row}"))) == 2


def test_two_columns_of_one_name_are_said(tmp_path: Path) -> None:
    path = tmp_path / "doubled.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)

    with pytest.raises(BadSource, match="two columns named 'a'"):
        read(path)


def test_an_import_of_a_table_that_is_run_again_stores_nothing_twice(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{n},{n / 4}\n" for n in range(2_500))
    file = written(tmp_path, "n,price\n" + rows)
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    for counts in ("stored: 2,500, refused: 0", "stored: 0, already known: 2,500, refused: 0"):
        assert run_import(*arguments) == 0
        assert counts in capsys.readouterr().err
    assert counted(data, project, "c") == 2_500


def test_a_table_comes_by_standard_input_too(
    tmp_path: Path, data: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SHOP.encode())))
    assert run_import("-", "--project", project.id, "--collection", "c", "--data", str(data)) == 0
    assert counted(data, project, "c") == 3


TABLE = pa.table(
    {
        "n": pa.array([1, None], pa.int64()),
        "price": pa.array([Decimal("12.50"), Decimal("0.1")], pa.decimal128(10, 2)),
        "share": pa.array([0.25, float("nan")]),
        "at": pa.array([0, 1_500_000_123_000], pa.timestamp("ns", "UTC")).cast(pa.timestamp("ns", "UTC")),
        "day": pa.array([19_000, None], pa.date32()),
        "user": pa.array([{"id": "ann", "age": None}, {"id": None, "age": None}]),
        "tags": pa.array([["a", "b"], []]),
        "kind": pa.array(["x", "x"]).dictionary_encode(),
        "raw": pa.array([b"text", b"\xff"]),
        "geo.city": pa.array(["Rome", None]),
    }
)
TABLE_EVENTS = [
    {
        "n": 1,
        "price": 12.5,
        "share": 0.25,
        "at": "1970-01-01T00:00:00Z",
        "day": "2022-01-08",
        "user": {"id": "ann"},
        "tags": ["a", "b"],
        "kind": "x",
        "raw": "text",
        "geo": {"city": "Rome"},
    },
    {"price": 0.1, "at": "1970-01-01T00:25:00.000123Z", "tags": [], "kind": "x", "raw": "/w=="},
]


def as_parquet(path: Path) -> None:
    pq.write_table(TABLE, path)


def as_arrow_file(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)


def as_arrow_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)


@pytest.mark.parametrize("write", [as_parquet, as_arrow_file, as_arrow_stream])
def test_a_typed_table_keeps_its_types(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "file")
    assert read(tmp_path / "file") == TABLE_EVENTS


ANSWER_EVENTS = [
    {"n": 1, "keen": {"timestamp": "2015-03-01T12:00:00.000Z", "id": "x", "created_at": "y"}}
] * 3


@pytest.mark.parametrize(
    "answer",
    [
        {"result": ANSWER_EVENTS},
        {"query": {"analysis_type": "extraction"}, "result": ANSWER_EVENTS, "execution_metadata": {"a": [1]}},
        {"result": []},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_an_answer_of_an_extraction_is_its_events(
    tmp_path: Path, data: Path, project: Project, answer: Any, indent: int | None
) -> None:
    """Whatever else is beside them, and without what only a server sets."""
    file = written(tmp_path, json.dumps(answer, indent=indent))
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(*arguments) == 0
    if answer["result"]:
        assert counted(data, project, "c") == 3


def test_a_long_answer_is_read_in_pieces(tmp_path: Path) -> None:
    events = [{"n": n, "pad": "x" * 500} for n in range(5_000)]
    assert read(written(tmp_path, json.dumps({"result": events}))) == events


@pytest.mark.parametrize(
    "content",
    ['{"result":[{"a":1}]}\n{"result":[{"a":2}]}', '{"result":[1,2]}\n{"n":1}', '{"result":[{"a":1}],"n":2}'],
)
def test_events_with_a_property_result_stay_events(tmp_path: Path, content: str) -> None:
    assert read(written(tmp_path, content)) == [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"result": 42}', "not a list of events"),
        (b'{"result":[{"value":1,"timeframe":{}}]}', "interval"),
        (b'{"result":[{"plan":"pro","result":1},{"plan":null,"result":2}]}', "group_by"),
        (b'{"message":"No such key.","error_code":"InvalidApiKeyError"}', "failed"),
        (b"PK\x03\x04rest", "Excel"),
        (b"\x28\xb5\x2f\xfdrest", "zstd"),
        (b"just some words\nand more words\n", "--format"),
        (b"a,b,a\n1,2,3\n", "two columns named 'a'"),
        (b"a,,c\n1,2,3\n", "column 2 has no name"),
        (b"PAR1 and no more", "cannot be read"),
    ],
)
def test_what_is_no_table_of_events_is_said(
    tmp_path: Path, data: Path, project: Project, content: bytes, says: str, capsys: Any
) -> None:
    file = written(tmp_path, content)
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(*arguments) == 1
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_a_file_of_which_nothing_can_be_taken_is_given_up_early(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "x,y\n" + "1,2\n" * 50_000)
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(*arguments, "--format", "ndjson") == 1
    assert "Is this the right file" in capsys.readouterr().err
    assert (tmp_path / "file.refused.ndjson").stat().st_size < 2_000_000


@pytest.mark.parametrize("content", ["timestamp,n\n2020-01-01,1\n", '{"timestamp":"2020-01-01","n":1}'])
def test_a_column_that_looks_like_the_time_earns_a_hint(
    tmp_path: Path, data: Path, project: Project, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, content)
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(*arguments) == 0
    said = capsys.readouterr().err
    assert "delete them and import the file again with --timestamp timestamp" in said
    assert run_import(*arguments, "--timestamp", "timestamp") == 0
    assert "hint" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--timestamp-format", "epoch"],
        ["--timestamp", "n", "--timezone", "Mars/Base"],
        ["--timestamp", "n", "--timestamp-format", "DD/MM"],
        ["--timestamp", "n", "--timestamp-format", "%Q"],
        ["--timestamp", "n", "--timestamp-format", "%Y-%m-%"],
        ["--timestamp", "n", "--timestamp-format", "%Y %Y"],
        ["--timezone", "Mars"],
        ["--timezone", "Europe/Berlin"],
        ["--types", "n"],
        ["--types", "n=money"],
        ["--format", "xml"],
        ["--delimiter", "ab"],
        ["--encoding", "klingon"],
        ["--write-key", "secret"],
        ["--allow-refused", "-1"],
    ],
)
def test_options_that_make_no_sense_are_said(
    tmp_path: Path, data: Path, project: Project, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, SHOP)
    where = ["--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(str(file), *where, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("acumen: ")
    assert "secret" not in said.removeprefix("acumen: ")


@pytest.mark.parametrize(
    "pattern",
    ["%a %A %w %d %b %B %m %Y", "%y-%j", "%I:%M:%S.%f %p %d.%m.%Y", "%c", "%x %X", "%G-W%V-%u", "%Y%%%z %Z"],
)
def test_every_directive_of_strptime_is_a_time_format(
    tmp_path: Path, data: Path, project: Project, pattern: str
) -> None:
    when = datetime(2024, 3, 10, 14, 30, tzinfo=UTC).strftime(pattern)
    file = written(tmp_path, json.dumps({"n": 1, "when": when}))
    arguments = ["--timestamp", "when", "--timestamp-format", pattern]
    where = ["--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(str(file), *where, *arguments) == 0


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"", []),
        (b"\n \n", []),
        (gzip.compress(b"", mtime=0), []),
        (b"[]", []),
        (b'{"result":[]}', []),
        (b"a,b\n", []),
        (b"", ["--format", "csv"]),
        (b"\n", ["--format", "csv", "--columns", "a,b"]),
    ],
)
def test_a_file_without_events_is_said_to_be_empty(
    tmp_path: Path, data: Path, project: Project, content: bytes, options: list[str], capsys: Any
) -> None:
    file = written(tmp_path, content)
    where = ["--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(str(file), *where, *options) == 0
    assert f"{file} is empty: there are no events in it." in capsys.readouterr().err


def test_what_is_no_file_is_called_what_it_is(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    where = ["--project", project.id, "--collection", "c", "--data", str(data)]
    for path, says in (
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is a pipe"),
        (tmp_path / "x", "there is no file"),
    ):
        assert run_import(str(path), *where) == 2
        assert says in capsys.readouterr().err


NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00."), min_size=1, max_size=8),
    min_size=2,
    max_size=5,
    unique=True,
)
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@settings(max_examples=examples(200), deadline=None)
@given(st.data())
def test_cells_come_out_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, draw: Any) -> None:
    names = draw.draw(NAMES)
    rows = draw.draw(st.lists(st.tuples(*[CELLS for _ in names]), min_size=1, max_size=6))
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    path = tmp_path_factory.mktemp("csv") / "file"
    path.write_bytes(text.getvalue().encode())
    types = dict.fromkeys(names, "text")
    source = TableSource(path, Sniffed("csv"), TableOptions(types), packed=False)  # type: ignore[arg-type]
    found = [json.loads(item.text) for batch in source.batches() for item in batch.items]
    source.close()
    assert found == [dict(zip(names, row, strict=True)) for row in rows]


PIECES = st.lists(st.sampled_from(['"', '"q"', '""', ",", "1,2\n", "\n", "\r", " ", "x"]), max_size=25)


@settings(max_examples=examples(200), deadline=None)
@given(PIECES, st.integers(1, 50))
def test_rows_are_found_where_the_reader_of_tables_finds_them(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], chunk_bytes: int
) -> None:
    path = written(tmp_path_factory.mktemp("csv"), "a,b\n" + "".join(pieces))
    source = TableSource(path, Sniffed(ImportFormat.CSV), TableOptions(), packed=False)
    before = csv_text.CHUNK_BYTES
    csv_text.CHUNK_BYTES = chunk_bytes
    try:
        taken = [item for batch in source.batches() for item in batch.items]
        broken = list(source.broken_rows)
        found = source.as_in_file(broken)
    except BadSource as error:
        assert "is never closed" in str(error)
        return
    finally:
        csv_text.CHUNK_BYTES = before
        source.close()
    numbers = sorted(item.number for item in [*taken, *broken])
    assert numbers == list(range(1, len(numbers) + 1))
    assert [item.text for item in found] == [item.text for item in broken]
    assert all(item.line is not None for item in found)


def test_a_broken_answer_is_said_to_be_broken(tmp_path: Path) -> None:
    for content in ('{"result":[{"a":1}', '{"result":[{"a":1}],', '{"result" [', '{"result":[{}]}x'):
        source = EventSource(str(written(tmp_path, content)), 900_000, ImportFormat.ANSWER)
        with pytest.raises(BadSource, match="cannot be read from byte"):
            list(source.batches())
        source.close()
