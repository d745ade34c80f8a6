"""A process that is killed while it reads a source: nothing is lost, and nothing stored twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.service.pipelines.sources.site import SourceSite
from tests.service.pipelines.test_kills import WAIT_SECONDS, kill_something
from tests.support.scale import examples
from tests.support.server import Served
from tests.support.web import Asked, Reply, WebServer, web_server

ORDERS = """
[sources.orders]
files = "orders/*"
into = "orders"
time = "at"
changes = "append"
every = "1_seconds"
"""
ALL = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z"}
ROWS = 2_500
"""Three batches."""


def _lines(first: int, number: int) -> str:
    return "".join(
        f'{{"n": {one}, "at": "2026-11-01T{one % 24:02}:00:00Z"}}\n' for one in range(first, first + number)
    )


@pytest.mark.parametrize(
    ("module", "function", "number"),
    [
        ("service/pipelines/sources/files.py", "_copied", 1),
        ("service/pipelines/sources/portions.py", "end", 1),  # nothing of the portion is known
        ("storage/catalog/sources/sources.py", "begin", 1),  # it is known, and nothing of it sent
        ("service/ingest/deduplication.py", "_claims_of", 2),  # a batch is claimed, and not in the log
        ("storage/log/writer.py", "_write", 2),
        ("service/imports/data_target.py", "send", 2),  # a batch is stored, and not noted
        ("storage/catalog/sources/sources.py", "note_sent", 1),
        ("service/pipelines/sources/sending.py", "_send", 1),  # all are stored
        ("storage/catalog/sources/sources.py", "end", 1),  # and the position has moved
        ("service/workflows/run_worker.py", "_outcome", 1),
    ],
)
def test_the_next_process_goes_on_where_it_was(
    tmp_path: Path, module: str, function: str, number: int
) -> None:
    site = SourceSite(tmp_path)
    site.apply(ORDERS)
    site.write("orders/1.ndjson", _lines(0, ROWS))
    site.close()
    arguments = [str(tmp_path), module, function, str(number)]
    command = [sys.executable, "-P", "-m", "tests.service.pipelines.sources.killed_process", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    site = SourceSite(tmp_path)
    try:
        # What the file has become meanwhile does not change what was read of it.
        site.write("orders/1.ndjson", _lines(0, ROWS + 10), age=30)
        site.whole.flush()
        for _ in range(3):
            site.read()
        site.whole.flush()
        assert site.count() == ROWS + 10
        assert site.asked("count_unique", target_property="n") == ROWS + 10
        assert site.source()["events"] == ROWS + 10
        assert list(site.whole.folder.sources.iterdir()) == []
    finally:
        site.close()


OUTBOUND = {
    "outbound_hosts": "127.0.0.1:*",
    "outbound_networks": "127.0.0.1",
    "outbound_http": True,
    "outbound_seconds": 5.0,
}
PAGED = """
[sources.orders]
url = "{url}/orders"
into = "orders"
events = "items"
next = "next"
next_parameter = "page"
time = "at"
cursor = "n"
cursor_parameter = "since"
every = "10_minutes"
"""
PAGE_ROWS = 1_000


class Shop:
    """Gives its rows from ``since`` on, a page at a time. A row that was given is never changed."""

    def __init__(self, web: WebServer) -> None:
        self.rows = 0
        web.replies["/orders"] = self.answer

    def answer(self, asked: Asked) -> Reply:
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
        first = int(query.get("since", "0")) + PAGE_ROWS * int(query.get("page", "0"))
        last = min(first + PAGE_ROWS, self.rows)
        more = int(query.get("page", "0")) + 1 if last < self.rows else None
        items = [json.loads(line) for line in _lines(first, max(last - first, 0)).splitlines()]
        return (200, {}, json.dumps({"items": items, "next": more}).encode())


@pytest.mark.parametrize(
    ("module", "function", "number"),
    [
        ("service/pipelines/sources/portions.py", "end", 1),
        ("storage/catalog/sources/sources.py", "begin", 1),
        ("service/ingest/deduplication.py", "_claims_of", 2),
        ("storage/log/writer.py", "_write", 2),
        ("service/imports/data_target.py", "send", 2),
        ("storage/catalog/sources/sources.py", "note_sent", 1),
        ("service/pipelines/sources/sending.py", "_send", 1),
        ("storage/catalog/sources/sources.py", "end", 1),
        ("service/workflows/run_worker.py", "_outcome", 1),
    ],
)
def test_pages_go_on_where_they_were(tmp_path: Path, module: str, function: str, number: int) -> None:
    with web_server() as web:
        shop = Shop(web)
        shop.rows = ROWS
        site = SourceSite(tmp_path, **OUTBOUND)
        site.apply(PAGED.format(url=web.url))
        site.close()
        arguments = [str(tmp_path), module, function, str(number), json.dumps(OUTBOUND)]
        command = [sys.executable, "-P", "-m", "tests.service.pipelines.sources.killed_process", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        shop.rows = ROWS + 10
        site = SourceSite(tmp_path, **OUTBOUND)
        try:
            site.whole.flush()
            for _ in range(3):
                site.read()
            site.whole.flush()
            assert site.count() == ROWS + 10
            assert site.asked("count_unique", target_property="n") == ROWS + 10
            assert site.source()["events"] == ROWS + 10
            assert list(site.whole.folder.sources.iterdir()) == []
        finally:
            site.close()


def test_all_rows_of_a_folder_are_stored_once_after_any_kills(tmp_path: Path) -> None:
    root, folder = tmp_path / "incoming", tmp_path / "folder"
    root.mkdir()
    folder.mkdir()
    (folder / "pipelines.toml").write_text(f'owner = "team@shop.example"\n{ORDERS}')
    env = {
        "ACUMEN_SOURCE_FOLDER": str(root),
        "ACUMEN_FLUSH_SECONDS": "0.3",
        "ACUMEN_RUN_ATTEMPTS": "1000",
        "ACUMEN_RUN_RETRY_SECONDS": "0.1",
        "ACUMEN_RUN_IDLE_SECONDS": "600",
    }
    chance, rows = random.Random(), 0
    with Served(env=env) as server:
        project = server.project
        own = root / project.id / "orders"
        own.mkdir(parents=True)
        server.run("apply", str(folder))
        for number in range(examples(40)):
            some = chance.choice([1, 700, 3_000])
            path = own / (f"{number}.ndjson" if chance.random() < 0.7 or not number else "0.ndjson")
            with path.open("a") as file:
                file.write(_lines(rows, some))
            at = time.time() - 3_600 + number
            os.utime(path, (at, at))
            rows += some
            time.sleep(chance.random())
            kill_something(server, chance)
        deadline = time.monotonic() + WAIT_SECONDS
        while (found := server.ask(project, "count", event_collection="orders", timeframe=ALL)) < rows:
            assert time.monotonic() < deadline, (found, rows, server.run("status", check=False).stdout)
            time.sleep(0.2)
        asked = {"event_collection": "orders", "target_property": "n", "timeframe": ALL}
        assert found == server.ask(project, "count_unique", **asked) == rows
        checked = server.run("check", check=False)
        assert checked.returncode == 0, checked.stdout
