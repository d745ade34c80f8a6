"""Files that are uploaded and imported over the API: what is stored, what is said, and that it is once."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import random
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.auth.principal import key_id
from service.imports.import_task import STRAY_SECONDS, Importer, reasons_of
from service.imports.jobs import NO_AUTOFILL, NO_WRITER
from service.imports.preview import time_formats
from service.imports.previewer import OF_KEY_MAX
from service.imports.times import reader
from service.maintenance.purge_task import Purge
from storage.catalog.catalog import system_clock
from storage.catalog.derived.records import NewImport
from storage.catalog.people.records import Role
from tests.service.people.browsers import person
from tests.service.whole import Whole
from tests.support.scale import examples
from tests.support.server import Served, ServedProject

Json = dict[str, Any]
WHEN: Json = {"timestamp": "when", "timestamp_format": "%d/%m/%Y %H:%M", "timezone": "Europe/Berlin"}
ORDERS = b"""order,when,price,zip,note
1,03/07/2026 14:00,9.5,01234,
2,04/07/2026 08:30,7,99999,"two
lines"
3,31/13/2026 10:00,1,10115,x
4,05/07/2026 08:30
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    made = Whole(tmp_path_factory.mktemp("imports") / "data", min_free_bytes=0)
    yield made
    made.close()


@pytest.fixture
def whole(shared: Whole) -> Iterator[Whole]:
    """With no file of another test."""
    yield shared
    for job in shared.catalog.imports.of_project(shared.project.id):
        shared.call(shared.project, "DELETE", f"imports/{job.id}")
    assert list(shared.folder.imports.iterdir()) == []


def uploaded(whole: Whole, content: bytes, name: str = "orders.csv", **more: Any) -> Json:
    job: Json = whole.told(whole.project, "POST", "imports", content, name=name, **more)
    return job


def previewed(whole: Whole, content: bytes, **options: Any) -> Json:
    job = uploaded(whole, content)
    found: Json = whole.told(whole.project, "POST", f"imports/{job['id']}/preview", options)
    return found


def imported(whole: Whole, content: bytes, collection: str, **options: Any) -> Json:
    """An import that has ended."""
    job = uploaded(whole, content)
    whole.told(
        whole.project, "POST", f"imports/{job['id']}/start", {"event_collection": collection, **options}
    )
    whole.import_files()
    return shown(whole, job)


def shown(whole: Whole, job: Json) -> Json:
    found: Json = whole.told(whole.project, "GET", f"imports/{job['id']}")
    return found


def events(whole: Whole, collection: str) -> list[Json]:
    """What is stored, without what only the server sets, in a fixed order."""
    asked = {"event_collection": collection}
    found = whole.told(whole.project, "POST", "queries/extraction", asked)["result"]
    for event in found:
        event["keen"].pop("id")
        event["keen"].pop("created_at")
    return sorted(found, key=lambda event: json.dumps(event, sort_keys=True))


# Looking into a file


def test_a_preview_has_types_times_and_the_first_events(whole: Whole) -> None:
    found = previewed(whole, ORDERS, **WHEN)
    kinds = {column["name"]: (column["type"], column["empty"]) for column in found["columns"]}
    assert kinds == {
        "order": ("number", 0.0),
        "when": ("text", 0.0),
        "price": ("number", 0.0),
        "zip": ("text", 0.0),
        "note": ("text", 0.333333),
    }
    assert (found["format"], found["delimiter"], found["rows"], found["complete"]) == ("csv", ",", 3, True)
    time = found["time"]
    assert (time["earliest"], time["latest"]) == ("2026-07-03T12:00:00.000Z", "2026-07-04T06:30:00.000Z")
    assert (time["fit"], time["unfit"]) == (2, 1)
    assert time["unfit_examples"][0]["value"] == "31/13/2026 10:00"
    assert found["events"][0] == {
        "order": 1,
        "price": 9.5,
        "zip": "01234",
        "keen": {"timestamp": "2026-07-03T12:00:00.000Z"},
    }
    assert found["events"][1]["note"] == "two\nlines"
    broken = {(one["line"], one["error"]) for one in found["broken_examples"]}
    assert (6, "The row has 2 cells, where the header has 5.") in broken
    assert events_of_no_collection(whole)


def events_of_no_collection(whole: Whole) -> bool:
    return "previewed" not in json.dumps(whole.told(whole.project, "GET", "events"))


def test_a_preview_says_which_column_looks_like_the_time(whole: Whole) -> None:
    found = previewed(whole, b"id,born,at\n1,1.2.1990,2026-01-01T00:00:00Z\n2,13.2.1990,2026-01-02\n")
    formats = {column["name"]: column["time_formats"] for column in found["columns"]}
    assert formats == {"id": [], "born": ["%d.%m.%Y"], "at": ["auto"]}
    assert found["suggested_time"] == {"column": "born", "format": "%d.%m.%Y"}
    named = previewed(whole, b"born,created_at\n1.2.1990,1767225600\n")
    assert named["suggested_time"] == {"column": "created_at", "format": "auto"}


def test_a_preview_of_events_in_json_has_their_properties(whole: Whole) -> None:
    lines = [{"user": {"id": 1}, "tags": ["a"], "ok": True}, {"user": {"id": None}, "ts": "2026-01-01"}, 7]
    found = previewed(whole, "\n".join(map(json.dumps, lines)).encode(), timestamp="ts")
    kinds = {column["name"]: (column["type"], column["empty"]) for column in found["columns"]}
    assert kinds == {
        "user.id": ("number", 0.5),
        "tags": ("json", 0.5),
        "ok": ("boolean", 0.5),
        "ts": ("text", 0.5),
    }
    assert (found["rows"], found["broken"], found["types_changeable"]) == (2, 1, False)
    assert found["broken_examples"][0]["line"] == 3
    assert (found["time"]["fit"], found["time"]["empty"]) == (1, 1)


def test_a_preview_of_parquet_has_the_types_of_the_file(whole: Whole) -> None:
    sink = io.BytesIO()
    at = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]
    pq.write_table(pa.table({"n": [1, 2], "at": at, "s": ["x", None], "l": [[1], [2]]}), sink)
    found = previewed(whole, sink.getvalue(), timestamp="at")
    kinds = {column["name"]: column["type"] for column in found["columns"]}
    assert kinds == {"n": "number", "at": "time", "s": "text", "l": "json"}
    assert (found["rows"], found["time"]["latest"]) == (2, "2026-01-02T00:00:00.000Z")
    assert found["suggested_time"] == {"column": "at", "format": "auto"}


def test_types_are_those_of_the_whole_file(whole: Whole) -> None:
    """Not of its beginning: one cell far behind makes a column text."""
    content = b"n,m\n" + b"1,1\n" * 300_000 + b"x,1\n"
    found = previewed(whole, content)
    assert [column["type"] for column in found["columns"]] == ["text", "number"]
    assert (found["rows"], found["complete"]) == (300_001, True)


def test_a_preview_counts_types_and_names_what_keeps_a_column_from_one(whole: Whole) -> None:
    header = "total;paid;sent_on;note\n"
    rows = [f"{n}.5;true;2026-07-0{n % 9 + 1};text {n}\n" for n in range(1999)]
    content = (header + "".join(rows) + "12,50;yes;soon;\n").encode()
    total, paid, sent, note = previewed(whole, content)["columns"]
    assert [one["type"] for one in (total, paid, sent, note)] == ["text"] * 4
    assert total["counts"] == {"number": 1999}
    assert total["nearly"] == {"type": "number", "count": 1999, "of": 2000, "others": ["12,50"]}
    assert (paid["nearly"]["type"], paid["nearly"]["others"]) == ("boolean", ["yes"])
    assert (sent["nearly"]["type"], sent["nearly"]["others"]) == ("time", ["soon"])
    assert (note["counts"], note["nearly"]) == ({}, None)
    again = previewed(whole, content, types={"total": "number"})["columns"][0]
    assert (again["type"], again["nearly"]["others"]) == ("number", ["12,50"])
    job = imported(whole, content, "one_comma", types={"total": "number"})
    assert (job["stored"], job["refused"]) == (1999, 1)


def test_a_preview_counts_types_of_json(whole: Whole) -> None:
    content = b"\n".join([*(b'{"total":%d}' % n for n in range(30)), b'{"total":"12,50"}', b'{"total":null}'])
    (total,) = previewed(whole, content)["columns"]
    assert (total["type"], total["counts"]) == ("mixed", {"number": 30, "text": 1})
    assert total["nearly"] == {"type": "number", "count": 30, "of": 31, "others": ["12,50"]}


def test_what_cannot_be_read_in_time_is_said(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, import_preview_seconds=0.000_001)
    found = previewed(whole, b"a,b\n1,2\n")
    assert (found["complete"], found["rows"]) == (False, None)
    whole.close()


@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from(["%d/%m/%Y %H:%M", "%m/%d/%Y", "%d.%m.%Y %H:%M:%S", "%d %b %Y", "auto"]),
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), min_size=1, max_size=20),
)
def test_proposed_formats_read_all_values_but_a_few_odd_ones(pattern: str, times: list[datetime]) -> None:
    texts = [time.isoformat() if pattern == "auto" else time.strftime(pattern) for time in times]
    assert pattern in time_formats([*texts, *["odd"] * ((len(texts) - 1) // 2)])
    proposed = time_formats(texts)
    assert pattern in proposed
    for one in proposed:
        for text in texts:
            reader(one, UTC)(text)


# Hostile files


HOSTILE = {
    "empty lines": b"\n\n\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
    "zeros": bytes(10_000),
    "one enormous line": b"a,b\n" + b"x" * (20 << 20),
    "one enormous quoted cell": b'a,b\n"' + b"x\n" * (8 << 20) + b'",1\n',
    "an unclosed quote": b'a,b\n1,2\n"3,4\n5,6\n',
    "ten thousand columns": b",".join(b"c%d" % n for n in range(10_000)) + b"\n" + b"1," * 9_999 + b"1\n",
    "a name of many dots": b"a" + b".a" * 5_000 + b",b\n1,2\n",
    "two columns of one name": b"a,a\n1,2\n",
    "a broken gzip": gzip.compress(b"a,b\n" * 10_000)[:-40] + b"junk",
    "a cut Parquet": b"PAR1" + b"\xff" * 400,
    "a cut Arrow": b"ARROW1\0\0" + b"\xff" * 400,
    "an Arrow stream of nothing": b"\xff\xff\xff\xff" + b"\xff" * 100,
    "deep JSON": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "an array without an end": b"[" + b'{"a":1},' * 10,
    "an archive": b"PK\x03\x04" + bytes(100),
    "names with HTML": b'"<img src=x onerror=alert(1)>",b\n"<script>",1\n',
    "only broken rows": b"a,b,c\n" + b"1\n" * 300_000,
    "UTF-16": "a,b\n1,ü\n".encode("utf-16"),
    "no UTF-8": b"a,b\n\xff\xfe\xfd,1\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_previewed_or_refused_in_words_and_imported_or_failed(
    whole: Whole, name: str
) -> None:
    job = uploaded(whole, HOSTILE[name])
    path = f"imports/{job['id']}"
    reply = whole.call(whole.project, "POST", f"{path}/preview", {})
    assert reply.status_code in (200, 400), reply.text
    assert str(whole.folder.root) not in reply.text
    whole.told(whole.project, "POST", f"{path}/start", {"event_collection": "hostile"})
    whole.import_files()
    done = shown(whole, job)
    assert done["state"] in ("done", "failed")
    # On a busy machine a preview may run out of time, which an import does not.
    if reply.status_code == 400 and "within" not in reply.json()["message"]:
        assert done["state"] == "failed", (reply.text, done)
        assert reply.json()["message"]
    assert str(whole.folder.root) not in json.dumps(done)
    assert "logged" not in (done["message"] or "")


def test_an_unclosed_quote_is_told_with_its_line(whole: Whole) -> None:
    job = uploaded(whole, HOSTILE["an unclosed quote"])
    reply = whole.call(whole.project, "POST", f"imports/{job['id']}/preview", {})
    assert (reply.status_code, "line 3" in reply.json()["message"]) == (400, True)


def test_a_gzip_bomb_ends_at_the_limit(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, import_bytes=200_000)
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 4_000_000)
    done = imported(whole, bomb, "bombed")
    assert (done["state"], done["stored"]) == ("failed", 0)
    assert "larger than this server takes" in done["message"]
    whole.close()


def test_arrow_with_offsets_beyond_its_bytes_is_refused(whole: Whole) -> None:
    """They would be read from the server's memory."""
    table = pa.RecordBatch.from_pydict({"s": ["a", "b"]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    offsets, wrong = (
        b"".join(n.to_bytes(4, "little") for n in row) for row in ((0, 1, 2), (0, 5_000, 5_000))
    )
    assert offsets in sink.getvalue()
    content = sink.getvalue().replace(offsets, wrong)
    done = imported(whole, content, "arrows")
    assert (done["state"], done["stored"]) == ("failed", 0)


def test_a_name_loses_what_cannot_be_shown(whole: Whole) -> None:
    job = uploaded(whole, ORDERS, name="\u202egnp.<b>\n\0.csv" + "x" * 500)
    assert job["file_name"].startswith("gnp.<b>.csv")
    assert len(job["file_name"]) == 255


# Importing


def test_an_import_stores_what_fits_and_reports_the_rest(whole: Whole) -> None:
    done = imported(whole, ORDERS, "orders", **WHEN)
    assert (done["state"], done["stored"], done["already_stored"], done["refused"]) == ("done", 2, 0, 2)
    assert done["progress"] == {"bytes": len(ORDERS), "of": len(ORDERS)}
    assert (done["first"], done["last"]) == ("2026-07-03T12:00:00.000Z", "2026-07-04T06:30:00.000Z")
    assert [(one["reason"], one["lines"]) for one in done["refused_reasons"]] == [
        ("Column 'when': '…' does not fit the format '%d/%m/%Y %H:%M'.", [5]),
        ("The row has 2 cells, where the header has 5.", [6]),
    ]
    reply = whole.call(whole.project, "GET", f"imports/{done['id']}/refused")
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert [(one["line"], one["event"]) for one in lines] == [
        (5, "3,31/13/2026 10:00,1,10115,x"),
        (6, "4,05/07/2026 08:30"),
    ]
    assert reply.headers["content-disposition"] == 'attachment; filename="orders.csv.refused.ndjson"'
    assert [event["order"] for event in events(whole, "orders")] == [1, 2]
    # The file is not needed any more.
    assert [path.name for path in whole.folder.imports.iterdir()] == [f"{done['id']}.refused.ndjson"]


FILES: dict[str, tuple[bytes, Json, list[str]]] = {
    "csv": (
        b"\xef\xbb\xbfid;user.name;at;n\r\n1;\xc3\xa9;2026-01-01T10:00;0012\r\n2;;2026-01-02T10:00;7\r\n",
        {"timestamp": "at", "timezone": "America/New_York", "types": {"n": "text"}},
        ["--timestamp", "at", "--timezone", "America/New_York", "--types", "n=text"],
    ),
    "ndjson": (
        b'{"a":1,"t":1767225600}\n{"a":{"b":[1,{}]},"t":1767225601}\n{"a":1e400}\n[]\n',
        {"timestamp": "t", "timestamp_format": "epoch"},
        ["--timestamp", "t", "--timestamp-format", "epoch"],
    ),
    "packed": (gzip.compress(b'[{"a":1},{"a":null},{"a":"x"}]'), {}, []),
    "latin": (
        "a\tb\nü\ttrue\n".encode("latin-1"),
        {"format": "tsv", "encoding": "latin-1"},
        ["--format", "tsv", "--encoding", "latin-1"],
    ),
    "headless": (b"1,2\n3,4\n", {"columns": ["a", "b"]}, ["--columns", "a,b"]),
    "keen": (
        b'{"result":[{"a":1,"keen":{"id":"x","created_at":"2020-01-01","timestamp":"2020-01-01T00:00:00Z"}}]}',
        {},
        [],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_an_import_stores_what_the_command_stores(
    whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    from tests.service.imports.test_import_command import run_import

    content, options, arguments = FILES[name]
    done = imported(whole, content, f"api_{name}", **options)
    file = tmp_path / "file"
    file.write_bytes(content)
    where = ["--project", whole.project.id, "--collection", f"shell_{name}", "--data", str(whole.folder.root)]
    run_import(str(file), *where, *arguments)
    counted = f"stored: {done['stored']}, refused: {done['refused']}"
    assert counted in capsys.readouterr().err
    stored = events(whole, f"api_{name}")
    undated = not options.get("timestamp") and name != "keen"
    for event in (both := stored + events(whole, f"shell_{name}")):
        # Without a time of their own events have that of their arrival.
        event["keen"] = {} if undated else event["keen"]
    assert both[: len(stored)] == both[len(stored) :] != []
    refused = file.with_name("file.refused.ndjson")
    if done["refused"]:
        reply = whole.call(whole.project, "GET", f"imports/{done['id']}/refused")
        assert reply.content == refused.read_bytes()


def test_the_same_file_is_stored_once_unless_it_is_said(whole: Whole) -> None:
    first = imported(whole, b"a,b\n1,2\n2,3\n", "twice")
    again = imported(whole, b"a,b\n1,2\n2,3\n", "twice")
    assert (first["stored"], first["already_stored"]) == (2, 0)
    assert (again["stored"], again["already_stored"]) == (0, 2)
    said = imported(whole, b"a,b\n1,2\n2,3\n", "twice", again=True)
    assert (said["stored"], said["already_stored"]) == (2, 0)
    assert len(events(whole, "twice")) == 4


def test_what_the_command_has_stored_is_known(whole: Whole, tmp_path: Path) -> None:
    from tests.service.imports.test_import_command import run_import

    file = tmp_path / "file.csv"
    file.write_bytes(b"when,a\n03/07/2026 14:00,1\n")
    arguments = ["--timestamp", "when", "--timestamp-format", "%d/%m/%Y %H:%M", "--timezone", "Europe/Berlin"]
    where = ["--project", whole.project.id, "--collection", "both", "--data", str(whole.folder.root)]
    assert run_import(str(file), *where, *arguments) == 0
    done = imported(whole, file.read_bytes(), "both", **WHEN)
    assert (done["stored"], done["already_stored"]) == (0, 1)


def test_a_failed_import_goes_on_where_it_was(tmp_path: Path) -> None:
    """What it stored is not stored again, and its report has all of the file."""
    lines = [b'{"n":%d}' % n for n in range(40_000)]
    lines[10] = b"broken"
    whole = Whole(tmp_path / "data", min_free_bytes=0, quota_events_per_day=1_500)
    job = uploaded(whole, b"\n".join(lines))
    start = f"imports/{job['id']}/start"
    whole.told(whole.project, "POST", start, {"event_collection": "c"})
    whole.import_files()
    failed = shown(whole, job)
    assert failed["state"] == "failed"
    assert "limit of 1,500 events a day" in failed["message"]
    stored = failed["stored"]
    assert 1_500 <= stored < 39_999
    whole.told(whole.project, "POST", start, {"event_collection": "c"})
    whole.import_files()
    assert (shown(whole, job)["state"], shown(whole, job)["stored"]) == ("failed", stored)
    whole.catalog.projects.update(whole.project.id, preferences={"quotas": {"events_per_day": 0}})
    whole.told(whole.project, "POST", start, {"event_collection": "c"})
    whole.import_files()
    done = shown(whole, job)
    assert (done["state"], done["stored"], done["refused"], done["already_stored"]) == ("done", 39_999, 1, 0)
    count = whole.told(whole.project, "POST", "queries/count", {"event_collection": "c"})
    assert count["result"] == 39_999
    whole.close()


def test_an_import_is_cancelled_while_it_waits(whole: Whole) -> None:
    job = uploaded(whole, ORDERS)
    whole.told(whole.project, "POST", f"imports/{job['id']}/start", {"event_collection": "never"})
    cancelled = whole.told(whole.project, "POST", f"imports/{job['id']}/cancel")
    assert cancelled["state"] == "cancelled"
    whole.import_files()
    assert (shown(whole, job)["state"], shown(whole, job)["stored"]) == ("cancelled", 0)
    assert whole.told(whole.project, "POST", f"imports/{job['id']}/cancel") == cancelled


def test_what_is_asked_for_in_the_wrong_state_is_a_409(whole: Whole) -> None:
    done = imported(whole, ORDERS, "states", **WHEN)
    path = f"imports/{done['id']}"
    for call, body in (("start", {"event_collection": "c"}), ("preview", {})):
        reply = whole.call(whole.project, "POST", f"{path}/{call}", body)
        assert (reply.status_code, reply.json()["error_code"]) == (409, "ImportStateError"), call


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"timezone": "Berlin", "timestamp": "a"}, "'timezone'"),
        ({"timestamp_format": "%d"}, "'timestamp_format' goes with 'timestamp'"),
        ({"timestamp": "a", "timestamp_format": "dd/mm"}, "'timestamp_format'"),
        ({"delimiter": "ab"}, "'delimiter'"),
        ({"delimiter": "\n"}, "'delimiter'"),
        ({"encoding": "hex"}, "'encoding'"),
        ({"encoding": "x" * 99 + "\0"}, "'encoding'"),
        ({"types": {"a": "date"}}, "types"),
        ({"format": "xlsx"}, "format"),
        ({"timestmp": "a"}, "timestamp"),
        ({"types": {"z": "text"}}, "has no column 'z'"),
        ({"timestamp": "z"}, "has no column 'z'"),
        ({"format": "parquet"}, "cannot be read"),
    ],
)
def test_a_wrong_option_is_a_400_that_names_it(whole: Whole, body: Json, says: str) -> None:
    job = uploaded(whole, b"a,b\n1,2\n")
    reply = whole.call(whole.project, "POST", f"imports/{job['id']}/preview", body)
    assert reply.status_code == 400, reply.text
    assert says in reply.json()["message"]


# Who may


def test_a_stranger_gets_a_404_and_a_viewer_a_403(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0)
    path = f"/3.0/projects/{whole.project.id}/imports"
    owner = person(whole, "ann", owner=True)
    job = owner.send("POST", f"{path}?name=a.csv", [{"a": 1}]).json()
    one = f"{path}/{job['id']}"
    calls = [("GET", path), ("POST", path), ("GET", one), ("DELETE", one), ("POST", f"{one}/start")]
    viewer, editor = person(whole, "ben", Role.VIEWER), person(whole, "eve", Role.EDITOR)
    stranger = person(whole, "tom")
    for method, address in calls:
        assert viewer.send(method, address, {"event_collection": "c"}).status_code == 403
        assert stranger.send(method, address, {"event_collection": "c"}).status_code == 404
    assert editor.send("POST", f"{one}/start", {"event_collection": "c"}).status_code == 200
    whole.import_files()
    assert editor.send("GET", one).json()["stored"] == 1
    noted = owner.send("GET", f"/account/organisations/{whole.project.organisation_id}/audit")
    assert "Start an import" in noted.text
    whole.close()


def test_a_key_with_autofill_may_not_import(whole: Whole) -> None:
    body = {"name": "k", "permitted": ["writes"], "options": {"writes": {"autofill": {"a": 1}}}}
    key = whole.told(whole.project, "POST", "keys", body)["key"]
    for method, path, sent in (("POST", "imports", ORDERS), ("GET", "imports/x", None)):
        reply = whole.call(whole.project, method, path, sent, key=key)
        assert (reply.status_code, reply.json()["message"]) == (403, NO_AUTOFILL)


def test_an_import_fails_once_its_key_is_revoked(whole: Whole) -> None:
    body = {"name": "k", "permitted": ["writes"]}
    key = whole.told(whole.project, "POST", "keys", body)["key"]
    job = uploaded(whole, ORDERS, key=key)
    start = {"event_collection": "revoked"}
    whole.told(whole.project, "POST", f"imports/{job['id']}/start", start, key=key)
    whole.told(whole.project, "POST", f"keys/{key}/revoke")
    whole.import_files()
    failed = shown(whole, job)
    assert (failed["state"], failed["message"], failed["stored"]) == ("failed", NO_WRITER, 0)


def test_the_list_is_for_those_who_manage(whole: Whole) -> None:
    jobs = [uploaded(whole, ORDERS, key=whole.project.write_key)["id"] for _ in range(3)]
    listed = whole.told(whole.project, "GET", "imports", limit=2)
    assert [job["id"] for job in listed["imports"]] == jobs[:0:-1]
    rest = whole.told(whole.project, "GET", "imports", before=jobs[1])
    assert [job["id"] for job in rest["imports"]] == jobs[:1]
    assert whole.call(whole.project, "GET", "imports", key=whole.project.write_key).status_code == 401


# Bounds


def test_an_empty_file_and_one_that_is_too_large_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, import_bytes=10)
    for content, status in ((b"", 400), (b"a,b\n" * 9, 413)):
        assert whole.call(whole.project, "POST", "imports", content).status_code == status
    assert whole.told(whole.project, "GET", "imports")["imports"] == []
    assert list(whole.folder.imports.iterdir()) == []
    whole.close()


def test_a_full_disk_is_a_503_and_leaves_nothing(tmp_path: Path) -> None:
    """Long before events are refused."""
    free = shutil.disk_usage(tmp_path).free
    whole = Whole(tmp_path / "data", min_free_bytes=free // 2)
    reply = whole.call(whole.project, "POST", "imports", ORDERS)
    assert (reply.status_code, "no room" in reply.json()["message"]) == (503, True)
    assert whole.told(whole.project, "GET", "imports")["imports"] == []
    whole.record(whole.project, "c", [{"a": 1}])
    whole.close()


def test_files_that_are_not_imported_are_few(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, import_files_max=2, import_uploads_max=1)
    uploaded(whole, ORDERS, key=whole.project.write_key)
    job = uploaded(whole, ORDERS)
    reply = whole.call(whole.project, "POST", "imports", ORDERS)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "60")
    whole.told(whole.project, "DELETE", f"imports/{job['id']}")
    new = NewImport("i", whole.project.id, "k", "k", "f")
    whole.catalog.imports.create(new, 1 << 60)
    assert "being sent" in whole.call(whole.project, "POST", "imports", ORDERS).json()["message"]
    whole.close()


def test_one_key_leaves_room_for_the_files_of_others(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, import_files_max=4, import_uploads_max=3)
    write = whole.project.write_key
    jobs = [uploaded(whole, ORDERS, key=write) for _ in range(2)]
    reply = whole.call(whole.project, "POST", "imports", ORDERS, key=write)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "60")
    text = reply.json()["message"]
    assert "its share is 2" in text and "Start or delete some" in text and "after 7 days" in text
    uploaded(whole, ORDERS)
    ann = person(whole, "ann", Role.EDITOR)
    path = f"/3.0/projects/{whole.project.id}/imports"
    assert ann.send("POST", path, ORDERS).status_code == 201
    reply = whole.call(whole.project, "POST", "imports", ORDERS)
    assert (reply.status_code, "4 files" in reply.json()["message"]) == (429, True)
    whole.told(whole.project, "DELETE", f"imports/{jobs[0]['id']}")
    uploaded(whole, ORDERS, key=write)
    whole.close()


def test_one_key_leaves_places_for_the_uploads_of_others(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, import_uploads_max=3)
    key = key_id(whole.project.write_key)
    for name in ("a", "b"):
        whole.catalog.imports.create(NewImport(name, whole.project.id, key, key, "f"), 1 << 60)
    reply = whole.call(whole.project, "POST", "imports", ORDERS, key=whole.project.write_key)
    assert reply.status_code == 429 and "is sending 2 files" in reply.json()["message"]
    uploaded(whole, ORDERS)
    whole.close()


def test_one_key_leaves_previews_to_others(whole: Whole) -> None:
    job = uploaded(whole, ORDERS)
    address = f"/3.0/projects/{whole.project.id}/imports/{job['id']}/preview"

    async def looked_into(key: str) -> int:
        headers = {"authorization": key, "content-type": "application/json"}
        return (await whole._http.post(address, content="{}", headers=headers)).status_code

    async def all_at_once() -> list[int]:
        of_one = [looked_into(whole.project.write_key) for _ in range(OF_KEY_MAX + 2)]
        return await asyncio.gather(*of_one, looked_into(whole.project.master_key))

    *of_one, other = whole._loop.run(all_at_once())
    assert sorted(of_one) == [200] * OF_KEY_MAX + [429] * 2 and other == 200
    assert whole._loop.run(looked_into(whole.project.write_key)) == 200


def test_an_upload_that_nobody_starts_gives_its_place_back(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, import_files_max=1, clock_hold_seconds=0)
    job = uploaded(whole, ORDERS, key=whole.project.write_key)
    expires = datetime.fromisoformat(job["expires_date"])
    assert abs(expires - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)
    before, after = (int((expires.timestamp() + off) * 1e6) for off in (-60, 60))
    Importer(whole._tools).run_due(before)
    assert whole.call(whole.project, "POST", "imports", ORDERS).status_code == 429
    Importer(whole._tools).run_due(after)
    assert list(whole.folder.imports.iterdir()) == []
    uploaded(whole, ORDERS)
    whole.close()


def test_a_used_up_quota_takes_no_files(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, quota_events_per_day=1)
    whole.record(whole.project, "c", [{"a": 1}])
    whole.parts.quotas.sync()
    assert whole.call(whole.project, "POST", "imports", ORDERS).status_code == 429
    whole.close()


def test_imported_events_count_towards_the_quotas(whole: Whole) -> None:
    def used() -> int:
        activity = whole.catalog.activity.of_project(whole.project.id)
        return sum(one.events for one in activity.today.values())

    before = used()
    imported(whole, b"a,b\n1,1\n2,1\n3,1\n", "counted")
    imported(whole, b"a,b\n1,1\n2,1\n3,1\n", "counted")
    assert used() == before + 3


# What is removed


def test_what_is_kept_no_longer_is_removed(whole: Whole) -> None:
    job = uploaded(whole, ORDERS)
    done = imported(whole, ORDERS, "kept", **WHEN)
    stray = whole.folder.imports / "0123"
    stray.write_bytes(b"x")
    broken = NewImport("broken", whole.project.id, "k", "k", "f")
    whole.catalog.imports.create(broken, 1 << 60)
    unfinished = whole.folder.imports / "broken.tmp"
    unfinished.write_bytes(b"x")
    importer = Importer(whole._tools)
    importer.run_due(system_clock())
    assert unfinished.exists()
    assert stray.exists()
    for path in (stray, unfinished):
        old = time.time() - STRAY_SECONDS - 60
        os.utime(path, (old, old))
    Importer(whole._tools).run_due(system_clock())
    assert not stray.exists()
    assert not unfinished.exists()
    assert {one["id"] for one in whole.told(whole.project, "GET", "imports")["imports"]} == {
        job["id"],
        done["id"],
    }
    later = system_clock() + int(timedelta(days=7.1).total_seconds() * 1e6)
    Importer(whole._tools).run_due(later)
    assert (
        whole.told(whole.project, "GET", "imports")["imports"] == []
        or whole.catalog.clock.held_us(later) < later
    )


def test_a_purge_takes_the_files(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=0, purge_days=0, clock_hold_seconds=0)
    uploaded(whole, ORDERS)
    whole.catalog.projects.delete(whole.project.id)
    purge = Purge(whole._tools)
    while purge.run_due(system_clock() + 10_000_000):
        pass
    assert list(whole.folder.imports.iterdir()) == []
    assert whole.catalog.imports.of_project(whole.project.id) == []
    whole.close()


def test_reasons_are_told_without_values(tmp_path: Path) -> None:
    path = tmp_path / "refused"
    said = {"description": "Column 'a': 'secret' is odd."}
    lines = [{"number": n, "line": n + 1, "error": said} for n in range(9)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert json.loads(reasons_of(path, 1) or "") == [
        {
            "reason": "Column 'a': '…' is odd.",
            "count": 9,
            "lines": [1, 2, 3, 4, 5],
            "numbers": [0, 1, 2, 3, 4],
        }
    ]


# Real processes


ROWS = 60_000


def test_every_row_is_stored_once_whatever_is_killed_meanwhile() -> None:
    """The runner that imports, the keeper, the worker and the whole server die at random moments."""
    chance = random.Random(20260703)
    with Served(env={"ACUMEN_MIN_FREE_BYTES": "0"}) as server:
        project = server.project
        rows = [b"%d,2026-01-%02dT10:00:00Z" % (n, n % 28 + 1) for n in range(ROWS)]
        rows[7] = b"7,never"
        rows[ROWS // 2] = b"half"
        content = b"n,when\n" + b"\n".join(rows) + b"\n"
        job = sent(server, project, "POST", "?name=rows.csv", content)
        one = f"/{job['id']}"
        sent(server, project, "POST", f"{one}/start", {"event_collection": "rows", "timestamp": "when"})
        victims = ["runner", "runner", "keeper", "runner", "worker-0", "all", "runner"]
        while (state := sent(server, project, "GET", one))["state"] in ("queued", "running"):
            if not victims:
                time.sleep(0.2)
                continue
            victim = victims.pop(0)
            reached = state["stored"]
            deadline = time.monotonic() + chance.uniform(0.05, 1.5)
            while time.monotonic() < deadline or (
                victim == "runner" and sent(server, project, "GET", one)["stored"] == reached == 0
            ):
                if sent(server, project, "GET", one)["state"] not in ("queued", "running"):
                    break
                time.sleep(0.02)
            if victim == "all":
                server.kill_all()
                server.start()
            else:
                server.kill(victim)
                server.wait_ready()
        assert (state["state"], state["message"]) == ("done", None)
        assert (state["stored"], state["already_stored"], state["refused"]) == (ROWS - 2, 0, 2)
        told = server.request(
            "GET", f"/3.0/projects/{project.id}/imports{one}/refused", key=project.write_key
        )
        assert [json.loads(line)["line"] for line in told.body.splitlines()] == [9, ROWS // 2 + 2]
        frame = {"event_collection": "rows"}
        assert server.ask(project, "count", **frame) == ROWS - 2
        assert server.ask(project, "count_unique", target_property="n", **frame) == ROWS - 2
        assert server.ask(project, "sum", target_property="n", **frame) == sum(range(ROWS)) - 7 - ROWS // 2


def sent(server: Served, project: ServedProject, method: str, path: str, body: Any = None) -> Json:
    """The answer of a request that is sent again while the server is not there."""
    address = f"/3.0/projects/{project.id}/imports{path}"
    while True:
        try:
            reply = server.request(method, address, body, key=project.write_key)
        except OSError:
            time.sleep(0.05)
            continue
        if reply.status < 500:
            assert reply.status < 300, reply.body
            found: Json = reply.json
            return found
        time.sleep(0.05)


def test_an_upload_that_breaks_off_leaves_nothing() -> None:
    with Served(env={"ACUMEN_MIN_FREE_BYTES": "0"}) as server:
        project, folder = server.project, server.data / "imports"
        head = (
            f"POST /3.0/projects/{project.id}/imports?name=a.csv HTTP/1.1\r\nHost: a\r\n"
            f"Authorization: {project.write_key}\r\nContent-Length: 50000000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + b"a,b\n" * 1_000_000)
            while not list(folder.iterdir()):
                time.sleep(0.02)
        while list(folder.iterdir()):
            time.sleep(0.02)
        path = f"/3.0/projects/{project.id}/imports"
        while server.request("GET", path, key=project.master_key).json["imports"]:
            time.sleep(0.02)


def test_a_running_import_is_cancelled_and_deleted() -> None:
    with Served(env={"ACUMEN_MIN_FREE_BYTES": "0"}) as server:
        project, folder = server.project, server.data / "imports"
        # So many that a fast machine takes longer than the second after which a cancellation is seen.
        events = 3_000_000
        content = b"\n".join(b'{"n":%d}' % n for n in range(events))
        job = sent(server, project, "POST", "", content)
        one = f"/{job['id']}"
        sent(server, project, "POST", f"{one}/start", {"event_collection": "c"})
        while sent(server, project, "GET", one)["stored"] == 0:
            time.sleep(0.02)
        assert sent(server, project, "POST", f"{one}/cancel")["state"] in ("running", "cancelled")
        while (state := sent(server, project, "GET", one))["state"] == "running":
            time.sleep(0.02)
        assert state["state"] == "cancelled"
        assert server.ask(project, "count", event_collection="c") == state["stored"] < events
        sent(server, project, "POST", f"{one}/start", {"event_collection": "c"})
        while sent(server, project, "GET", one)["stored"] == state["stored"]:
            time.sleep(0.02)
        path = f"/3.0/projects/{project.id}/imports{one}"
        assert server.request("DELETE", path, key=project.write_key).status == 204
        while list(folder.iterdir()):
            time.sleep(0.02)
        assert server.request("GET", path, key=project.write_key).status == 404
