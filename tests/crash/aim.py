"""Kills that are known to fall within a flush or a merge: the keeper is halted, looked at, and killed then.

While a flush or a merge writes its files, the catalog holds ids that are reserved and not live yet. A keeper
that is halted with such ids has not committed, and never will.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.server import Served

AIM_SECONDS = 5.0
POLL_SECONDS = 0.0005

BEFORE_FILE = "before its first file"
WITHIN_FILE = "within a file"
FLUSH = "in a flush, before its commit"
MERGE = "in a merge, before its swap"
MISSED = "at no known moment"


class Aim:
    """Watches one server's catalog."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._seen = 0

    def halt_keeper(self) -> str:
        """Halt the keeper within a flush or merge, and say where; ``MISSED``, not halted, where none came."""
        deadline = time.monotonic() + AIM_SECONDS
        with closing(self._catalog()) as catalog:
            # What is reserved already may be of a keeper that is dead.
            self._seen = max([self._seen, *self._reserved(catalog)])
            while time.monotonic() < deadline:
                if not self._reserved(catalog):
                    time.sleep(POLL_SECONDS)
                    continue
                keeper = self._served.child_pid("keeper")
                try:
                    os.kill(keeper, signal.SIGSTOP)
                except ProcessLookupError:
                    continue
                _await_stopped(keeper)
                reserved = self._reserved(catalog)
                if reserved:
                    self._seen = max(reserved)
                    return self._moment(catalog, reserved)
                os.kill(keeper, signal.SIGCONT)
        return MISSED

    def _catalog(self) -> sqlite3.Connection:
        path = self._served.data / "catalog.sqlite"
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)

    def _reserved(self, catalog: sqlite3.Connection) -> list[int]:
        query = "SELECT id FROM files WHERE state = 'writing' AND id > ?"
        return [int(id) for (id,) in catalog.execute(query, (self._seen,)).fetchall()]

    def _moment(self, catalog: sqlite3.Connection, reserved: list[int]) -> str:
        """What a merge writes stands in live files too, what a flush writes in none."""
        events = self._served.data / "events"
        paths = [path for id in reserved for path in events.rglob(f"{id}.parquet")]
        if not paths:
            return BEFORE_FILE
        try:
            first = _ids(paths[0])[0]
        except (pa.ArrowInvalid, OSError, IndexError):
            return WITHIN_FILE
        collection = "(SELECT collection_id FROM files WHERE id = ?)"
        query = f"SELECT path FROM files WHERE state = 'live' AND collection_id = {collection}"
        rows = catalog.execute(query, (int(paths[0].stem),)).fetchall()
        there = any(first in _ids(self._served.data / path) for (path,) in rows)
        return MERGE if there else FLUSH


def _ids(path: Path) -> list[str]:
    ids: list[str] = pq.read_table(path, columns=["keen.id"], partitioning=None)["keen.id"].to_pylist()
    return ids


def _await_stopped(pid: int) -> None:
    """A signal takes effect a moment after it was sent."""
    stat = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + 5.0
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "TtZX":
        assert time.monotonic() < deadline, "the keeper was not halted"
    if not stat.exists():
        time.sleep(0.05)
