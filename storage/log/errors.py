"""The errors of the log.

LogError                the base
├── LogUnavailable      a write or sync failed, or the log is closed: a server error, try again later
├── Backpressure        the queue is full: a server error, try again soon
├── LogBusy             another process owns the log
├── SegmentMissing      the requested bytes were removed since: take a new snapshot
├── LogUnreadable       the log is damaged: queries that may need its events cannot be answered
├── LogDamaged          bytes that had been durable cannot be read: names file and offset
└── BadFrame            inside ``storage.log`` only: there is no whole frame at this position
"""

from __future__ import annotations

from pathlib import Path

from storage.errors import StorageError


class LogError(StorageError):
    """Base class of the errors of the log."""


class LogUnavailable(LogError):
    """The log cannot be written; whether appended events were stored is unknown. Their ordinals are never
    used again."""


class Backpressure(LogError):
    """The queue is full; nothing was queued and no ordinal was used."""


class LogBusy(LogError):
    """The log has a living owner."""


class SegmentMissing(LogError):
    """The segment with this LSN was removed."""

    def __init__(self, log_id: int, lsn: int) -> None:
        super().__init__(f"log {log_id} holds no segment for LSN {lsn}")
        self.log_id = log_id
        self.lsn = lsn


class LogDamaged(LogError):
    """Durable bytes cannot be read; ``offset`` is where in the file ``path`` the first unreadable frame or
    header starts."""

    def __init__(self, path: Path, offset: int, why: str) -> None:
        super().__init__(f"{path} is damaged at offset {offset}: {why}")
        self.path = path
        self.offset = offset
        self.why = why


class LogUnreadable(LogError):
    """A log is damaged. Which collections have events in the damaged part is unknown: it may be any."""

    def __init__(self, log_id: int, why: str) -> None:
        super().__init__(f"log {log_id} cannot be read to its end: {why}")
        self.log_id = log_id


class BadFrame(LogError):
    """There is no whole frame or header; the text says why. The caller decides whether that is a torn end
    or damage."""
