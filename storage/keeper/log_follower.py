"""Follows all logs: how far each has been read, and its synced frames from there on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import LogRow
from storage.disk.failure_log import FailureLog
from storage.disk.file_system import FileSystem
from storage.log.errors import LogDamaged, SegmentMissing
from storage.log.format import Frame
from storage.log.reader import LogReader
from storage.paths import DataFolder
from storage.recovery import damage_marker

_log = logging.getLogger("acumen.keeper")

DAMAGED_SECONDS = 60.0
UNREADABLE_SECONDS = 1.0
"""Pauses before a log is read again that is damaged, or that the disk failed to read."""


@dataclass
class LogProgress:
    """How far one log has been read."""

    reader: LogReader
    position: int
    resume: float = 0.0
    """When to try again, after the log could not be read."""
    damaged: bool = False
    ends: tuple[int, int] = (0, 0)
    """The ends of the plain and claimed ordinals of the frames that were read."""


class LogFollower:
    """The logs that the catalog names, each read from its flushed position."""

    def __init__(self, folder: DataFolder, catalog: Catalog, fs: FileSystem, failures: FailureLog) -> None:
        self._folder = folder
        self._catalog = catalog
        self._fs = fs
        self._failures = failures
        self._logs: dict[int, LogProgress] = {}

    def begin(self) -> list[LogRow]:
        """Start from the flushed positions in the catalog."""
        self._logs = {}
        return self.refresh()

    def refresh(self) -> list[LogRow]:
        """Follow new logs, and those no longer that were removed; the catalog's logs."""
        rows = self._catalog.logs.all()
        for row in rows:
            if row.id not in self._logs and self._folder.log(row.id).exists():
                reader = LogReader(self._fs, self._folder.root, row.id)
                self._logs[row.id] = LogProgress(reader, row.flushed_lsn)
        for log_id in self._logs.keys() - {row.id for row in rows}:
            del self._logs[log_id]
        return rows

    def forget(self, log_id: int) -> None:
        self._logs.pop(log_id, None)

    def all(self) -> Iterable[LogProgress]:
        return self._logs.values()

    def positions(self) -> dict[int, int]:
        """Log id → the LSN up to which it has been read."""
        return {log_id: progress.position for log_id, progress in self._logs.items()}

    def ends(self) -> dict[int, tuple[int, int]]:
        """Log id → the ends of its ordinals that were read, for logs of which any were."""
        return {log_id: one.ends for log_id, one in self._logs.items() if one.ends != (0, 0)}

    def synced(self) -> dict[int, int]:
        """Log id → the LSN up to which it is durable now."""
        return {log_id: progress.reader.synced().lsn for log_id, progress in self._logs.items()}

    def is_past(self, targets: Mapping[int, int]) -> bool:
        """Whether every log has been read up to its LSN in ``targets``."""
        return all(progress.position >= targets.get(log, 0) for log, progress in self._logs.items())

    def bytes_behind(self, now: float) -> int:
        """Synced bytes that are not read yet, of logs that can be read now."""
        return sum(
            max(0, progress.reader.synced().lsn - progress.position)
            for progress in self._logs.values()
            if progress.resume <= now
        )

    def frames(self, progress: LogProgress, now: float) -> Iterator[Frame]:
        """The synced frames of a log. A damaged log ends at the damage and does not delay other logs.

        The caller advances ``position`` past each frame that it has taken.
        """
        synced = progress.reader.synced().lsn
        if synced <= progress.position or now < progress.resume:
            return
        log_id = progress.reader.log_id
        try:
            yield from progress.reader.read(progress.position, synced)
            if progress.damaged:
                progress.damaged = False
                damage_marker.clear(self._folder, log_id)
        except (LogDamaged, SegmentMissing) as error:
            progress.resume = now + DAMAGED_SECONDS
            progress.damaged = True
            damage_marker.note(self._folder, log_id, str(error))
            _log.error("a log is damaged; its events after the damage stay in the log: %s", error)
        except OSError as error:
            progress.resume = now + UNREADABLE_SECONDS
            self._failures.failed(f"Log {log_id} cannot be read now; it is tried again.", error)

    def turn_back(self, seconds: float) -> None:
        """Adjust all recorded times to a clock that was set back."""
        for progress in self._logs.values():
            progress.resume -= seconds
