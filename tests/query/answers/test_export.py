"""Files of extractions hold what the synchronous answer does, in every format, in slices of any size."""

from __future__ import annotations

import csv
import gzip as packing
import io
import json
import random
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.answers.export import SLICE_BYTES, SLICE_ROWS, ExtractionRun, ExtractionSlices, rows_of_slice
from query.answers.pipeline import answer
from query.csv_cells import GUARD, GUARDED
from query.engine.engine import Deadline, Engine
from query.errors import QueryLimitExceeded, TooManyConditions
from query.language.nodes import Condition, ExtractionQuery, Filter, Operator, ParsedQuery, Span
from query.language.serialized_query import freeze, thaw
from query.limits import Limits
from service.exports.file_writer import Output, rows_into
from service.exports.request import ExportFormat
from storage.instants import format_instant, parse_instant
from storage.schema import Schema
from storage.source import DataFile, Source
from tests.query import strategies
from tests.query.answers.test_reference import checked
from tests.query.support_source import Event, leaves, read, schema_of, source_of, table_of

BASE_US = 1_700_000_000_000_000


def written(
    source: Source,
    query: ExtractionQuery,
    engine: Engine,
    folder: Path,
    form: ExportFormat,
    *,
    forced: tuple[Filter, ...] = (),
    gzip: bool = False,
    slice_rows: int = 3,
) -> tuple[Path, ExtractionSlices]:
    """The file, made as the server makes it."""
    export = ExtractionRun(
        query,
        source,
        engine,
        forced=forced,
        limits=Limits(),
        deadline=lambda: Deadline.after(60),
        slice_rows=slice_rows,
    )
    cut = export.cut(1_000)
    output = Output(folder / uuid4().hex, 1_000_000, 0)
    rows = rows_into(output, form, export.held(cut), query.properties, gzip=gzip)
    count = 0
    for chunk in export.chunks(cut):
        rows.add(chunk)
        count += len(chunk.rows)
    rows.end()
    output.finish()
    assert count == cut.rows
    assert output.path.stat().st_size == output.bytes
    return output.path, cut


def lines_of(path: Path, gzip: bool) -> bytes:
    return packing.decompress(path.read_bytes()) if gzip else path.read_bytes()


def text_of(value: Any) -> str:
    """A value as a cell of CSV, lists in one spelling."""
    if value is None or value == {}:
        return ""
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, str):
        return GUARD + value if value and value[0] in GUARDED else value
    return json.dumps(value) if isinstance(value, bool) else repr(value)


def cells(row: dict[str, Any]) -> str:
    """What a row has a value for, in one spelling."""
    return json.dumps({k: v for k, v in sorted(row.items()) if v not in (None, "", {})})


def csv_rows(data: bytes) -> list[str]:
    given = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    header = next(given)
    assert header == sorted(header) or any(name[0] in GUARDED for name in header)
    made = []
    for line in given:
        assert len(line) == len(header)
        row = dict(zip(header, line, strict=True))
        made.append({k: json.dumps(json.loads(v)) if v[:1] == "[" else v for k, v in row.items()})
    return [cells(row) for row in made]


def parquet_rows(path: Path, schema: Schema) -> list[str]:
    made = []
    for row in pq.read_table(path).to_pylist():
        event: dict[str, Any] = {}
        for name, value in row.items():
            lane = schema.by_column.get(name)
            if value is None:
                continue
            if lane is not None and lane.kind == "long":
                value = int(value)
            elif lane is not None and lane.kind == "json":
                value = json.loads(value)
            elif isinstance(value, float) and value.is_integer():
                value = int(value)
            elif hasattr(value, "isoformat"):
                value = value.isoformat()
            event[name if lane is None else lane.path] = value
        made.append(plain(event))
    return made


def plain(flat: dict[str, Any]) -> str:
    """A flat event in one spelling: numbers by value, times by instant."""
    told = {}
    for path, value in sorted(flat.items()):
        if path in ("keen.timestamp", "keen.created_at"):
            value = parse_instant(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = f"{value:.17g}" if isinstance(value, float) else str(value)
            value = str(float(value)) if abs(float(value)) < 2**53 else str(value)
        if value not in (None, {}):
            told[path] = value
    return json.dumps(told)


@checked(120)
@given(
    events=strategies.events_lists(),
    query=strategies.extractions(),
    forced=st.lists(strategies.filters, max_size=1),
    form=st.sampled_from(list(ExportFormat)),
    gzip=st.booleans(),
    slice_rows=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_a_file_holds_what_the_answer_does(
    engine: Engine,
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Event],
    query: ExtractionQuery,
    forced: list[Filter],
    form: ExportFormat,
    gzip: bool,
    slice_rows: int,
    seed: int,
) -> None:
    source = source_of(events, data_folder, random.Random(seed))
    query, narrowing = thaw(freeze(query, forced))
    gzip = gzip and form is not ExportFormat.PARQUET
    found = written(
        source,
        query,
        engine,
        tmp_path_factory.getbasetemp(),
        form,
        forced=narrowing,
        gzip=gzip,
        slice_rows=slice_rows,
    )[0]
    whole = replace(query, latest=None)
    told = answer(ParsedQuery(whole), lambda _: source, engine, limits=Limits(), forced_filters=narrowing)
    rows = read(told)["result"]
    flat = [dict(leaves(row)) for row in rows]
    if form is ExportFormat.NDJSON:
        got = [json.dumps(json.loads(line), sort_keys=True) for line in lines_of(found, gzip).splitlines()]
        expected = [json.dumps(row, sort_keys=True) for row in rows]
    elif form is ExportFormat.CSV:
        got = csv_rows(lines_of(found, gzip))
        expected = [cells({text_of(k): text_of(v) for k, v in row.items()}) for row in flat]
    else:
        got = parquet_rows(found, source.schema)
        expected = [plain(row) for row in flat]
    if query.latest is None:
        assert Counter(got) == Counter(expected)
    else:
        # Of events of one time, either may be among the newest.
        assert len(got) == min(query.latest, len(expected))
        assert not Counter(got) - Counter(expected)


@checked(100)
@given(query=strategies.extractions(), forced=st.lists(strategies.filters, max_size=3))
def test_what_is_frozen_thaws_as_it_was(query: ExtractionQuery, forced: list[Filter]) -> None:
    assert thaw(freeze(query, forced)) == (query, tuple(forced))


def at(number: int, **more: Any) -> Event:
    stamp = format_instant(BASE_US + number)
    return {**more, "keen": {"timestamp": stamp, "created_at": stamp, "id": f"{number:024x}"}}


def lines(
    events: list[Event],
    engine: Engine,
    folder: Path,
    *properties: str,
    form: ExportFormat = ExportFormat.CSV,
    **more: Any,
) -> list[str]:
    source = source_of(events, folder, random.Random(1))
    query = ExtractionQuery("c", properties=properties or None)
    path, _ = written(source, replace(query, **more), engine, folder, form)
    return path.read_bytes().decode().split("\r\n" if form is ExportFormat.CSV else "\n")


def test_rows_come_newest_first_whatever_the_slices(engine: Engine, data_folder: Path) -> None:
    events = [at(number // 2, n=number) for number in range(20)]
    found = lines(events, engine, data_folder, form=ExportFormat.NDJSON)[:-1]
    times = [parse_instant(json.loads(line)["keen"]["timestamp"]) or 0 for line in found]
    assert times == sorted(times, reverse=True)
    assert len(times) == 20


def test_the_newest_alone_and_the_columns_that_they_have(engine: Engine, data_folder: Path) -> None:
    events = [at(0, old=1), at(1, old=1), at(2, new=1), at(3, new=2)]
    found = lines(events, engine, data_folder, latest=2)
    assert found[0] == "keen.created_at,keen.id,keen.timestamp,new"
    assert [line.rsplit(",", 1)[1] for line in found[1:-1]] == ["2", "1"]


def test_a_span_cuts_what_is_written(engine: Engine, data_folder: Path) -> None:
    events = [at(number, n=number) for number in range(10)]
    span = Span(BASE_US + 2, BASE_US + 5)
    assert lines(events, engine, data_folder, "n", span=span) == ["n", "4", "3", "2", ""]


def test_text_of_every_kind_stands_in_csv_as_rfc_4180_has_it(engine: Engine, data_folder: Path) -> None:
    texts = ["plain", "", "a,b", 'say "so"', "two\nlines", "é"]
    events = [at(9 - number, t=text) for number, text in enumerate(texts)]
    found = lines([*events, at(0, other=1)], engine, data_folder, "t")
    assert "\r\n".join(found) == 't\r\nplain\r\n""\r\n"a,b"\r\n"say ""so"""\r\n"two\nlines"\r\né\r\n""\r\n'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "＝1"])
def test_no_text_of_csv_begins_as_a_formula(engine: Engine, data_folder: Path, text: str) -> None:
    found = "\r\n".join(lines([at(0, t=text, n=-1)], engine, data_folder, "n", "t")[1:])
    assert next(csv.reader(io.StringIO(found, newline=""))) == ["-1", GUARD + text]


def test_a_name_that_is_a_formula_is_no_head_of_a_column(engine: Engine, data_folder: Path) -> None:
    assert lines([at(0, **{"=cmd": 1})], engine, data_folder, "=cmd")[0] == "'=cmd"


def test_a_wanted_property_that_nobody_has_is_an_empty_column(engine: Engine, data_folder: Path) -> None:
    events = [at(1, a={"b": 1}), at(0)]
    assert lines(events, engine, data_folder, "a", "none") == ["a.b,none", "1,", ",", ""]
    source = source_of(events, data_folder, random.Random(1))
    path, _ = written(
        source, ExtractionQuery("c", properties=("none",)), engine, data_folder, ExportFormat.PARQUET
    )
    assert pq.read_table(path).to_pylist() == [{"none": None}, {"none": None}]


def test_nothing_found_is_a_file_of_nothing(engine: Engine, data_folder: Path) -> None:
    head = "keen.created_at,keen.id,keen.timestamp"
    assert lines([at(0)], engine, data_folder, span=Span(0, 1)) == [head, ""]
    assert lines([], engine, data_folder) == [head, ""]
    assert lines([], engine, data_folder, form=ExportFormat.NDJSON) == [""]


def test_columns_of_parquet_are_plain_and_typed(engine: Engine, data_folder: Path) -> None:
    events = [at(0, price=1, big=2**53 + 1, on=True, name="a", tags=["x"]), at(1, price="12")]
    source = source_of(events, data_folder, random.Random(1))
    path, _ = written(source, ExtractionQuery("c"), engine, data_folder, ExportFormat.PARQUET)
    kinds = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert kinds == {
        "big": "int64",
        "keen.created_at": "timestamp[us, tz=UTC]",
        "keen.id": "string",
        "keen.timestamp": "timestamp[us, tz=UTC]",
        "name": "string",
        "on": "bool",
        "price": "double",
        "price:string": "string",
        "tags": "string",
    }


def test_what_is_out_of_sight_makes_no_question_too_long(engine: Engine, data_folder: Path) -> None:
    seen = [at(number, open=True, o={"p1": number}) for number in range(5)]
    rest = [at(9, open=False, o={f"p{number}": 1 for number in range(400)})]
    source = source_of([*seen, *rest], data_folder, random.Random(1))
    filters = (Condition("o", Operator.EXISTS, True),) * 30
    query = ExtractionQuery("c", properties=("o.p1",), filters=filters)
    forced = (Condition("open", Operator.EQ, True),)
    path, _ = written(source, query, engine, data_folder, ExportFormat.CSV, forced=forced)
    assert path.read_bytes().split() == [b"o.p1", b"4", b"3", b"2", b"1", b"0"]
    with pytest.raises(TooManyConditions):
        written(source, query, engine, data_folder, ExportFormat.CSV)


def test_more_rows_than_the_limit_are_seen_as_such(engine: Engine, data_folder: Path) -> None:
    source = source_of([at(number) for number in range(9)], data_folder, random.Random(1))

    def cut(latest: int | None) -> int:
        query = ExtractionQuery("c", latest=latest)
        deadline = lambda: Deadline.after(60)  # noqa: E731
        export = ExtractionRun(
            query, source, engine, forced=(), limits=Limits(), deadline=deadline, slice_rows=2
        )
        return export.cut(5).rows

    assert (cut(None), cut(5), cut(8), cut(2)) == (6, 5, 6, 2)


def test_slices_of_long_events_have_fewer_rows() -> None:
    def of(*averages: int) -> int:
        files = tuple(DataFile("", 1_000, 1_000 * size, 0, 0, {}) for size in averages)
        return rows_of_slice(Source(Schema(), files))

    assert (of(), of(50), of(900_000)) == (SLICE_ROWS, SLICE_ROWS, SLICE_BYTES // 900_000)
    assert of(50, SLICE_BYTES * 2, 60) == 1
    tail = table_of([at(0, t="x" * 100_000)], schema_of([at(0, t="x")]))
    assert rows_of_slice(Source(Schema(), (), tail)) < 1_000


@pytest.mark.parametrize("form", list(ExportFormat))
def test_a_file_too_large_is_an_error_and_no_file(
    engine: Engine, data_folder: Path, tmp_path: Path, form: ExportFormat
) -> None:
    source = source_of([at(n, t=f"{n}" * 99) for n in range(50)], data_folder, random.Random(1))
    query = ExtractionQuery("c")
    export = ExtractionRun(
        query, source, engine, forced=(), limits=Limits(), deadline=lambda: Deadline.after(60)
    )
    cut = export.cut(100)
    output = Output(tmp_path / "file", 500, 0)
    with (
        pytest.raises(QueryLimitExceeded, match="500 bytes") as kept,
        closing(export.chunks(cut)) as chunks,
    ):
        rows = rows_into(output, form, export.held(cut), None, gzip=form is ExportFormat.CSV)
        for chunk in chunks:
            rows.add(chunk)
        rows.end()
    assert not engine.is_busy, kept
    output.abandon()
    assert not list(tmp_path.iterdir())
