"""A byte of the log that no longer reads: what goes on, what is told, and how the server is mended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.log.format import SEGMENT_HEADER_SIZE
from tests.support.server import Reply, Served, ServedProject

NEVER_FLUSHED = {"ACUMEN_FLUSH_SECONDS": "3600"}


def segment_of_most(data: Path) -> Path:
    """The log segment that holds the most bytes."""
    return max((data / "log").rglob("*.seg"), key=lambda path: path.stat().st_size)


def flip_byte(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def flip_middle(data: Path) -> None:
    path = segment_of_most(data)
    flip_byte(path, (SEGMENT_HEADER_SIZE + path.stat().st_size) // 2)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two projects; three posts of a hundred events each, of which a byte of the second is flipped. The tests
    go on from each other, and the last one repairs it."""
    with Served(env=NEVER_FLUSHED, data=tmp_path_factory.mktemp("damaged") / "data") as server:
        other = server.new_project("Other")
        server.record(other, "c", {"n": 0})
        for first in (0, 100, 200):
            server.record(server.project, "c", *({"n": first + n} for n in range(100)))
        server.kill_all()
        flip_middle(server.data)
        server.start()
        yield server


def count(server: Served, project: ServedProject) -> Reply:
    path = f"/3.0/projects/{project.id}/queries/count?event_collection=c"
    return server.request("GET", path, key=project.read_key)


def test_questions_of_all_projects_are_a_503_that_says_what_to_do_and_writes_go_on(damaged: Served) -> None:
    for project in damaged.projects():
        for _ in range(20):
            reply = count(damaged, project)
            assert (reply.status, reply.json["error_code"]) == (503, "LogDamagedError")
            assert "acumen check" in reply.json["message"]
            assert reply.headers["retry-after"]
        damaged.record(project, "later", {"n": 1})
    lines = [line for line in damaged.output().splitlines() if "is damaged at" in line]
    # The start, the keeper and the worker each say it, and not again for every question.
    assert 1 <= len(lines) <= 3


def test_metrics_readiness_and_check_show_it(damaged: Served) -> None:
    deadline = time.monotonic() + 120
    while "acumen_logs_damaged 1.0" not in damaged.request("GET", "/metrics").body.decode().splitlines():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ready = damaged.request("GET", "/ready")
    assert (ready.status, len(ready.json["damaged_logs"])) == (200, 1)
    done = damaged.told("check")
    assert done.returncode == 1
    assert "damaged at offset" in done.stdout
    assert "acumen repair" in done.stdout


def test_repair_saves_every_whole_frame_and_the_loss_is_never_hidden(damaged: Served) -> None:
    project, other = damaged.project, damaged.projects()[1]
    damaged.record(project, "c", {"n": 1_000})
    refused = damaged.run("repair", check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert damaged.stop() == 0
    before = {path.name: path.read_bytes() for path in (damaged.data / "log").rglob("*.seg")}

    done = damaged.run("repair")
    assert "LOST" in done.stdout
    (lost,) = (line for line in done.stdout.splitlines() if line.startswith("LOST"))
    path = damaged.data / lost.rsplit(" ", 1)[1]
    assert path.read_bytes() == before[path.name]
    assert "No log is damaged" in damaged.run("repair").stdout

    for _ in range(2):
        checked = damaged.told("check")
        assert (checked.returncode, lost in checked.stdout) == (1, True)
        assert damaged.told("check", "--accept-losses").returncode == 0
        damaged.start()
        numbers = damaged.ask(project, "extraction", event_collection="c", property_names=["n"])
        assert sorted(event["n"] for event in numbers) == [*range(100), *range(200, 300), 1_000]
        assert count(damaged, other).json["result"] == 1
        assert "damaged_logs" not in damaged.request("GET", "/ready").json
        damaged.stop()


def test_repair_of_a_sound_folder_changes_nothing(tmp_path: Path) -> None:
    with Served(data=tmp_path / "data") as server:
        server.record(server.project, "c", {"n": 1})
        server.kill_all()
        assert "No log is damaged" in server.run("repair").stdout
        server.start()
        assert count(server, server.project).json["result"] == 1
    assert not (tmp_path / "data" / "quarantine").exists()


def test_a_catalog_that_changed_while_the_server_was_stopped_stops_the_start(tmp_path: Path) -> None:
    with Served(data=tmp_path / "data") as server:
        server.record(server.project, "c", {"n": 1})
        server.stop()
        assert server.told("check").returncode == 0
        catalog = server.data / "catalog.sqlite"
        flip_byte(catalog, catalog.stat().st_size // 2)
        done = server.told("check")
        assert (done.returncode, "catalog.sqlite" in done.stderr) == (1, True)
        flip_byte(catalog, catalog.stat().st_size // 2)
        server.start()
        assert count(server, server.project).json["result"] == 1
        assert not (server.data / "catalog.sqlite.sha256").exists()
