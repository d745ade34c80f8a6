"""Backpressure: whether the disk, and the logs until the keeper's next flush, have room for more events."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field

from storage.catalog.catalog import Catalog
from storage.disk.file_system import FileSystem
from storage.log.writer import LogReader
from storage.recovery import damage_marker


@dataclass
class Backlog:
    """Measures unflushed logs and free disk space, in bytes; threads take turns."""

    catalog: Catalog
    fs: FileSystem
    free_bytes_min: int
    unflushed_bytes_max: int
    damaged_logs: tuple[int, ...] = ()
    """Ids of logs with unreadable bytes, as of the last check."""
    clock_jumped: bool = False
    """Whether the keeper distrusts the clock, as of the last check."""
    free_bytes: int = 0
    """Free bytes on the data folder's disk, as of the last check."""
    unflushed_bytes: int = 0
    """Bytes in all logs that are not in Parquet files yet, as of the last check."""
    _readers: dict[int, LogReader] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    """A check whose task was cancelled still runs in its thread when the session closes."""

    def problem(self) -> str | None:
        """Why events must be refused for now, as a text for clients; None if there is room.

        Reads a few small files.
        """
        with self._turn:
            waiting = self._waiting_bytes()
        self.unflushed_bytes = waiting
        self.free_bytes = shutil.disk_usage(self.catalog.folder.root).free
        if self.free_bytes < self.free_bytes_min:
            return (
                "The server's disk is nearly full: fewer bytes are free than the "
                f"{self.free_bytes_min} of ACUMEN_MIN_FREE_BYTES. Nothing of this request was stored; send "
                "it again later."
            )
        if waiting > self.unflushed_bytes_max:
            return (
                "The server is behind in storing events: more than the "
                f"{self.unflushed_bytes_max} bytes of ACUMEN_LOG_BYTES_MAX wait. Nothing of this request was "
                "stored; send it again later."
            )
        return None

    def close(self) -> None:
        with self._turn:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()

    def _waiting_bytes(self) -> int:
        """Unflushed bytes of all logs; also updates ``damaged_logs`` and ``clock_jumped``."""
        folder = self.catalog.folder
        rows = self.catalog.logs.all()
        for log_id in self._readers.keys() - {row.id for row in rows}:
            self._readers.pop(log_id).close()
        self.damaged_logs = damage_marker.noted_logs(folder, [row.id for row in rows])
        mark = self.catalog.clock.find()
        self.clock_jumped = mark is not None and mark.jumped
        waiting = 0
        for row in rows:
            if row.end_lsn is not None:
                waiting += row.end_lsn - row.flushed_lsn
                continue
            reader = self._readers.get(row.id)
            if reader is None:
                reader = self._readers[row.id] = LogReader(self.fs, folder.root, row.id)
            waiting += max(0, reader.synced().lsn - row.flushed_lsn)
        return waiting
