"""``acumen import``: what it reads, where it puts it, and that running it again stores nothing twice."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imports import json_source
from service.imports.json_source import BadSource, EventSource
from service.ingest.batches import Origin
from service.ingest.log_session import LogSession
from service.process.keeper import make_keeper
from service.settings import load
from service.shell_import import import_command, targets
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.errors import UnknownCollection
from storage.catalog.stored.records import ErasureKind
from storage.catalog.tenants.records import Project
from tests.support.catalogs import migrated
from tests.support.command import acumen_command
from tests.support.scale import examples
from tests.support.server import Served

EVENTS = [
    {"n": n, "text": 'quote " bracket ] } é \\', "deep": {"list": [1, {"a": []}]}} for n in range(2_500)
]


def run_import(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    import_command.add_arguments(parser)
    return import_command.run(parser.parse_args(arguments))


def counted(data: Path, project: Project, collection: str) -> int:
    """Events in files: after an import with no server running, that is all of them."""
    catalog = Catalog.open(data)
    try:
        found = catalog.collections.get(project.id, collection)
        assert all(row.flushed_lsn == row.end_lsn for row in catalog.logs.all())
        return sum(file.rows for file in catalog.files.live(found.id))
    finally:
        catalog.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def project(data: Path) -> Project:
    catalog = Catalog.prepare(migrated(data))
    try:
        return catalog.projects.ensure_first()[0]
    finally:
        catalog.close()


def as_ndjson(events: list[Any]) -> bytes:
    return b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)


def as_array(events: list[Any]) -> bytes:
    return json.dumps(events, indent=1, ensure_ascii=False).encode()


@pytest.mark.parametrize("write", [as_ndjson, as_array])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_form_of_file_is_imported_once_however_often_it_is_run(
    tmp_path: Path, data: Path, project: Project, write: Any, pack: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events"
    file.write_bytes(pack(write(EVENTS)))
    arguments = (str(file), "--project", project.id, "--collection", "c", "--data", str(data))
    for counts in ("stored: 2,500, refused: 0", "stored: 0, already known: 2,500, refused: 0"):
        assert run_import(*arguments) == 0
        assert counted(data, project, "c") == len(EVENTS)
        assert counts in capsys.readouterr().err
    assert not (tmp_path / "events.refused.ndjson").exists()


def test_refused_events_go_to_a_file_with_their_reason(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.ndjson"
    lines = [b'{"n":1}', b"", b'{"n":', b'{"$bad":1}', b'"\xff"', b"1,2", b'{"n":2}', b"7"]
    file.write_bytes(b"\n".join(lines))
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(*arguments) == 3
    assert run_import(*arguments, "--allow-refused", "4") == 3
    assert run_import(*arguments, "--allow-refused", "5") == 0
    assert "already known: 2, refused: 5" in capsys.readouterr().err
    refused = [json.loads(line) for line in (tmp_path / "events.ndjson.refused.ndjson").open("rb")]
    assert [(entry["number"], entry["line"], entry["event"]) for entry in refused] == [
        (2, 3, '{"n":'),
        (3, 4, '{"$bad":1}'),
        (4, 5, '"\ufffd"'),
        (5, 6, "1,2"),
        (7, 8, "7"),
    ]
    assert refused[1]["error"]["name"] == "InvalidPropertyNameError"
    assert file.read_bytes()[refused[1]["offset"] :].startswith(b'{"$bad":1}')
    assert counted(data, project, "c") == 2


def test_keens_own_exports_are_taken_without_what_only_a_server_sets(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stamps = {"created_at": "2015-03-01T12:00:01.000Z", "id": "54f302d1e4b0a1c2d3e4f506"}
    keen = {"timestamp": "2015-03-01T12:00:00.000Z", **stamps}
    file = tmp_path / "export.json.gz"
    file.write_bytes(gzip.compress(as_ndjson([{"keen": keen, "n": 1}, {"keen": stamps, "n": 2}])))
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    assert run_import(*arguments) == 3
    assert "stored: 0, refused: 2" in capsys.readouterr().err
    for _ in range(2):
        assert run_import(*arguments, "--keen-export") == 0
        assert "refused: 0" in capsys.readouterr().err
        assert counted(data, project, "c") == 2


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{"n": 1.0, "keen": {"id": "x", "timestamp": "t"}}', '{"n":1.0,"keen":{"timestamp":"t"}}'),
        (f'{{"big":{10**40},"keen":{{"created_at":"t"}}}}', f'{{"big":{10**40},"keen":{{}}}}'),
        ('{ "n": 1 }', None),
        ('{"keen": {"timestamp": "t"} }', None),
        ('{"keen": null}', None),
        ('{"keen": [1]}', None),
        ("[1]", None),
    ],
)
def test_all_else_of_an_export_keeps_its_spelling(sent: str, kept: str | None) -> None:
    assert json_source.without_stamps(sent.encode()).decode() == (sent if kept is None else kept)


def test_an_import_that_was_killed_goes_on_where_it_stopped(
    tmp_path: Path, data: Path, project: Project
) -> None:
    file = tmp_path / "events.ndjson"
    count = 60_000
    file.write_bytes(b"".join(b'{"n":%d,"pad":"%064d"}\n' % (n, n) for n in range(count)))
    arguments = [str(file), "--project", project.id, "--collection", "c", "--data", str(data)]
    killed = subprocess.Popen([*acumen_command(), "import", *arguments], stderr=subprocess.PIPE)
    try:
        while killed.poll() is None and not logged_bytes(data) > 500_000:
            time.sleep(0.002)
    finally:
        killed.kill()
        killed.communicate()
    assert 0 < logged_bytes(data) < 60_000 * 80, "it was killed in the middle"
    assert run_import(*arguments) == 0
    assert counted(data, project, "c") == count


def logged_bytes(data: Path) -> int:
    return sum(segment.stat().st_size for segment in (data / "log").glob("*/*.seg"))


def test_a_file_that_ends_too_soon_is_imported_as_far_as_it_goes(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(as_array(EVENTS)[:-100])
    arguments = (str(file), "--project", project.id, "--collection", "c", "--data", str(data))
    for _ in range(2):
        assert run_import(*arguments) == 1
        said = capsys.readouterr().err
        assert "cannot be read from byte" in said
        assert counted(data, project, "c") == 2_000, "batches that were whole"


def test_standard_input_is_imported(
    tmp_path: Path,
    data: Path,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(as_ndjson(EVENTS))))
        assert run_import("-", "--project", project.id, "--collection", "c", "--data", str(data)) == 0
        assert counted(data, project, "c") == len(EVENTS)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["nowhere.ndjson", "--project", "P", "--collection", "c"], 2),
        (["FILE", "--project", "P", "--collection", "$c"], 2),
        (["FILE", "--project", "P", "--collection", "c", "--url", "http://127.0.0.1:1"], 2),
        (["FILE", "--project", "nobody", "--collection", "c"], 1),
    ],
)
def test_what_cannot_be_imported_is_said(
    tmp_path: Path,
    data: Path,
    project: Project,
    arguments: list[str],
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "events"
    file.write_bytes(b"{}")
    given_data = [] if "--url" in arguments else ["--data", str(data)]
    assert run_import(*[str(file) if a == "FILE" else a for a in arguments], *given_data) == status
    assert capsys.readouterr().err.startswith("acumen: ")


def test_a_time_that_no_event_has_stops_the_import_before_it_begins(
    tmp_path: Path, data: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(as_ndjson([{"n": n, "time": "2024-01-01T00:00:00Z"} for n in range(3)]))
    status = run_import(
        str(path), "--project", project.id, "--collection", "c", "--data", str(data), "--timestamp", "tiem"
    )
    said = capsys.readouterr().err
    assert status == 1
    with pytest.raises(UnknownCollection):
        counted(data, project, "c")
    assert "none of the first 3 events has the property 'tiem'" in said
    assert "Did you mean 'time'?" in said


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as server:
        yield server


def test_a_file_goes_to_a_server_over_http_once(
    tmp_path: Path, served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = served.project
    monkeypatch.setenv("ACUMEN_WRITE_KEY", "wrong")
    key_file = tmp_path / "write.key"
    key_file.write_text(project.write_key + "\n")
    file = tmp_path / "events"
    file.write_bytes(gzip.compress(as_ndjson([*EVENTS, {"$bad": 1}])))
    arguments = [str(file), "--project", project.id, "--collection", "by url"]
    for counts in ("stored: 2,500, refused: 1", "stored: 0, already known: 2,500, refused: 1"):
        assert run_import(*arguments, "--url", served.url, "--write-key-file", str(key_file)) == 3
        assert served.ask(project, "count", event_collection="by url") == len(EVENTS)
        assert counts in capsys.readouterr().err
    assert run_import(*arguments, "--url", served.url) == 1
    assert "401" in capsys.readouterr().err


def test_a_file_goes_into_the_folder_of_a_running_server(tmp_path: Path, served: Served) -> None:
    project = served.project
    file = tmp_path / "events"
    file.write_bytes(as_ndjson(EVENTS))
    for _ in range(2):
        served.run("import", str(file), "--project", project.id, "--collection", "by folder")
        assert served.ask(project, "count", event_collection="by folder") == len(EVENTS)
        assert served.ask(project, "sum", event_collection="by folder", target_property="n") == 3_123_750


def test_a_server_that_is_away_for_a_while_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, "ATTEMPTS_MAX", 2)
    monkeypatch.setenv("ACUMEN_WRITE_KEY", "k")
    file = tmp_path / "events"
    file.write_bytes(b"{}\n")
    arguments = [str(file), "--project", "P", "--collection", "c"]
    assert run_import(*arguments, "--url", "http://127.0.0.1:1") == 1
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"no server answers at http://127.0.0.1:1; trying again for up to \d+ seconds", said[0]
    )
    assert said[-1] == "acumen: the import stopped: no server answers at http://127.0.0.1:1"


def test_how_long_a_server_is_asked_again_is_said_at_the_first_failure(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(as_ndjson(EVENTS))
    arguments = [str(file), "--project", "P", "--collection", "c", "--url", "http://127.0.0.1:1"]
    command = [*acumen_command(), "import", *arguments]
    environment = {**os.environ, "ACUMEN_WRITE_KEY": "k"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr is not None
        try:
            first = running.stderr.readline()
            time.sleep(1)
        finally:
            running.kill()
        said = re.fullmatch(
            r"no server answers at http://127.0.0.1:1; trying again for up to (\d+) seconds\n", first
        )
        assert said is not None
        assert int(said[1]) >= 121
        assert running.stderr.read() == "", "it is said once, though several batches fail"


@pytest.mark.parametrize(
    "url", ["foo", "", "localhost:8000", "ftp://a", "http://", "http://a:70000", "http://[", "a\nb"]
)
def test_what_is_no_url_of_a_server_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("ACUMEN_WRITE_KEY", "k")
    file = tmp_path / "events"
    file.write_bytes(b"{}\n")
    assert run_import(str(file), "--project", "P", "--collection", "c", "--url", url) == 2
    assert "--url must be http://host:port or https://…" in capsys.readouterr().err


def test_a_host_name_that_is_not_known_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, "ATTEMPTS_MAX", 1)
    monkeypatch.setenv("ACUMEN_WRITE_KEY", "k")
    file = tmp_path / "events"
    file.write_bytes(b"{}\n")
    url = "http://nowhere.invalid"
    assert run_import(str(file), "--project", "P", "--collection", "c", "--url", url) == 1
    assert f"no server answers at {url}: its host name is not known" in capsys.readouterr().err


class LoginPage(http.server.BaseHTTPRequestHandler):
    """What a proxy puts before a server: 200, and no JSON."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        page = b"<html>Please log in</html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_page_that_answers_in_the_place_of_a_server_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACUMEN_WRITE_KEY", "k")
    file = tmp_path / "events"
    file.write_bytes(b"{}\n")
    with http.server.HTTPServer(("127.0.0.1", 0), LoginPage) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{page.server_port}"
        assert run_import(str(file), "--project", "P", "--collection", "c", "--url", url) == 1
        page.shutdown()
    said = capsys.readouterr().err
    assert "is not an Acumen server: it answered 200 with text/html" in said
    assert "Traceback" not in said


def test_an_import_leaves_the_segment_in_which_erased_events_are(
    tmp_path: Path, data: Path, project: Project
) -> None:
    """As workers do: a segment is deleted only as a whole, and erased bytes must go."""

    def segments_of(session: LogSession) -> set[Path]:
        return set((data / "log" / str(session.log.log_id)).glob("*.seg"))

    async def scene(catalog: Catalog) -> None:
        with ThreadPoolExecutor(4) as executor:
            async with LogSession.opened(catalog, executor) as session:
                await session.look_after()
                await session.ingestor.submit(project.id, {"c": b'[{"n":1}]'}, Origin(system_clock()))
                segments = segments_of(session)
                collection = catalog.collections.get(project.id, "c")
                catalog.erasures.request(collection.id, ErasureKind.EVENTS, {})
                keeper = make_keeper(load(data=data), catalog)
                stop = threading.Event()
                thread = threading.Thread(target=keeper.run, args=(stop,), daemon=True)
                thread.start()
                while not (catalog.erasures.last() and segments_of(session) - segments):
                    await session.look_after()
                    await asyncio.sleep(0.05)
                stop.set()
                await asyncio.to_thread(thread.join)
                keeper.close()

    catalog = Catalog.open(data)
    try:
        asyncio.run(asyncio.wait_for(scene(catalog), 120))
    finally:
        catalog.close()


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.sampled_from(["", " ", "\r", '{"n":1}', "7", '"' + "x" * 50 + '"'])), st.integers(1, 40))
def test_events_of_lines_know_their_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], chunk_bytes: int
) -> None:
    file = tmp_path_factory.mktemp("source") / "file"
    file.write_text("\n".join(lines))
    before = json_source.CHUNK_BYTES
    json_source.CHUNK_BYTES = chunk_bytes
    try:
        source = EventSource(str(file), 20)
        found = [item.line for batch in source.batches() for item in batch.items]
        source.close()
    finally:
        json_source.CHUNK_BYTES = before
    assert found == [number for number, line in enumerate(lines, start=1) if line.strip()]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(JSON_VALUES, max_size=12), st.booleans(), st.integers(1, 40))
def test_items_come_out_as_they_went_in_wherever_the_reads_end(
    tmp_path_factory: pytest.TempPathFactory, items: list[Any], array: bool, chunk_bytes: int
) -> None:
    items = items if array else [item for item in items if not isinstance(item, list)]
    file = tmp_path_factory.mktemp("source") / "file"
    file.write_bytes(as_array(items) if array else as_ndjson(items))
    before = json_source.CHUNK_BYTES
    json_source.CHUNK_BYTES = chunk_bytes
    try:
        source = EventSource(str(file), 900_000)
        found = [item for batch in source.batches() for item in batch.items]
        source.close()
    finally:
        json_source.CHUNK_BYTES = before
    assert [json.loads(item.text) for item in found] == items
    assert [item.problem for item in found] == [None] * len(items)
    content = file.read_bytes()
    assert all(content[item.offset :].startswith(item.text) for item in found)


@pytest.mark.parametrize("text", [b"[1", b"[1,", b"[1 2]", b"[1]]", b"[1,]", b"[,]", b'["a]', b"[" * 5_000])
def test_a_broken_array_is_said_to_be_broken(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(text)
    source = EventSource(str(file), 900_000)
    with pytest.raises(BadSource, match="cannot be read from byte"):
        list(source.batches())
    source.close()


@pytest.mark.parametrize("chunk_bytes", range(1, 12))
def test_a_number_that_a_read_cuts_is_one_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(json_source, "CHUNK_BYTES", chunk_bytes)
    file = tmp_path / "file"
    file.write_bytes(b'[1.5,2.25e+3,{"a":1},-7E-1]')
    source = EventSource(str(file), 900_000)
    found = [item.text for batch in source.batches() for item in batch.items]
    source.close()

    assert found == [b"1.5", b"2.25e+3", b'{"a":1}', b"-7E-1"]


def test_the_limits_of_the_settings_hold_for_an_import_into_a_folder(
    tmp_path: Path,
    data: Path,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ACUMEN_PROPERTIES_MAX", "2")
    file = tmp_path / "events.ndjson"
    file.write_bytes(as_ndjson([{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}]))
    run_import(str(file), "--project", project.id, "--collection", "c", "--data", str(data))
    assert "stored: 1, refused: 1" in capsys.readouterr().err
    assert counted(data, project, "c") == 1
