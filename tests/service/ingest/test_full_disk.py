"""A disk without room: told to clients, at /ready, and once in the log when it begins and when it ends."""

from __future__ import annotations

import errno
import logging
import threading
from pathlib import Path

import pytest

from storage.disk.failure_log import FailureLog, is_disk_full
from storage.disk.file_system import LocalFileSystem
from storage.keeper.keeper import Keeper, KeeperSettings
from tests.service.intake import intake, run
from tests.service.whole import Whole
from tests.storage.store import Store


class FillingDisk(LocalFileSystem):
    """A disk that has no room for new files while it is ``full``."""

    def __init__(self) -> None:
        self.full = False
        self.tries = 0

    def create(self, path: Path) -> int:
        if self.full:
            self.tries += 1
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return super().create(path)


def lines_of(caplog: pytest.LogCaptureFixture, word: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if word in record.getMessage()]


def test_refused_events_are_logged_when_it_begins_and_when_it_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data") as worker:
            session = worker.session
            session.backlog.free_bytes_min = 1 << 62
            for _ in range(3):
                await session.look_after()
            answer = await worker.http.post(f"{worker.events}/c", json={"n": 1})
            assert answer.status_code == 503
            assert f"{1 << 62} of ACUMEN_MIN_FREE_BYTES" in answer.json()["message"]
            session.backlog.free_bytes_min = 0
            for _ in range(3):
                await session.look_after()
            assert (await worker.http.post(f"{worker.events}/c", json={"n": 1})).status_code == 201

    run(scenario())
    (begun,) = lines_of(caplog, "Events are refused")
    (ended,) = lines_of(caplog, "taken again")
    assert "ACUMEN_MIN_FREE_BYTES" in begun.getMessage()
    assert begun.__dict__["fields"]["free_bytes"] > 0
    assert ended.created >= begun.created


def test_ready_says_that_events_are_refused(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", min_free_bytes=1 << 62)
    try:
        for _ in range(100):
            state = whole.get("/ready", key="").json()
            if "events" in state:
                break
        assert state["status"] == "ready"
        assert state["events"] == "refused"
        assert "ACUMEN_MIN_FREE_BYTES" in state["reason"]
    finally:
        whole.close()


def test_a_keeper_on_a_full_disk_logs_one_plain_line_and_one_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it tries, and without a traceback."""
    data = tmp_path / "data"
    fs = FillingDisk()
    store = Store(data, fs)
    try:
        store.send("c", [b'{"n":1}', b'{"n":2}'])
        fs.full = True
        settings = KeeperSettings(
            shred_seconds=0.0, flush_seconds=0.01, poll_seconds=0.01, retry_seconds=0.02, compaction=False
        )
        keeper = Keeper(store.folder, store.catalog, settings, fs=fs)
        stop = threading.Event()
        running = threading.Thread(target=keeper.run, args=(stop,))
        running.start()
        while fs.tries < 5 and running.is_alive():
            stop.wait(0.01)
        fs.full = False
        while not lines_of(caplog, "room on the disk again") and running.is_alive():
            stop.wait(0.01)
        stop.set()
        running.join()
        keeper.close()
        assert sorted(store.values("c", "n")) == [1, 2]
    finally:
        store.close()
    (full,) = lines_of(caplog, "The disk of the data folder is full")
    assert full.exc_info is None
    assert len(lines_of(caplog, "room on the disk again")) == 1
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_other_failures_are_logged_in_full_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    times = [0.0, 1.0, 59.0, 61.0]
    log = FailureLog(logging.getLogger("acumen.test"), Path(), lambda: times.pop(0))
    while times:
        log.failed("It failed.", ValueError("why"))
    assert [bool(record.exc_info) for record in caplog.records] == [True, True]


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (RuntimeError("IO Error: could not write: No space left on device"), True),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), True),
        (OSError(errno.EIO, "x"), False),
        (ValueError("full"), False),
    ],
)
def test_a_full_disk_is_known_in_whatever_it_was_wrapped(error: Exception, full: bool) -> None:
    assert is_disk_full(error) is full
    wrapped = RuntimeError("it failed")
    wrapped.__cause__ = error
    assert is_disk_full(wrapped) is full
