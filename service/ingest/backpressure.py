"""Whether there is room for more events: on the disk, and in the logs before the keeper's next flush."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field

from storage.catalog.catalog import Catalog
from storage.disk.file_system import FileSystem
from storage.log.writer import LogReader
from storage.recovery import damage_marker


@dataclass
class Backlog:
    """Looked at by one thread at a time. Sizes are bytes."""

    catalog: Catalog
    fs: FileSystem
    free_bytes_min: int
    unflushed_bytes_max: int
    damaged_logs: tuple[int, ...] = ()
    """Of which bytes can not be read, as of the last look."""
    clock_jumped: bool = False
    """Whether the keeper does not believe the clock, as of the last look."""
    free_bytes: int = 0
    """On the disk of the data folder, as of the last look."""
    unflushed_bytes: int = 0
    """In all logs and in no Parquet file, as of the last look."""
    _readers: dict[int, LogReader] = field(default_factory=dict)

    def problem(self) -> str | None:
        """Why events must wait, for the client; None where they need not. Reads a few small files."""
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
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _waiting_bytes(self) -> int:
        """Of all logs; notes on the way which are damaged."""
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
