"""The errors of the log.

LogError                the base
├── LogUnavailable      a write or sync failed, or the log is closed: ours, try again later
├── Backpressure        the queue is full: ours, try again soon
├── LogBusy             another process owns the log
├── SegmentMissing      the bytes asked for were removed since: take a new snapshot
├── LogUnreadable       it was found damaged: nothing that may need it can be answered
├── LogDamaged          bytes that had been durable cannot be read: names file and offset
└── BadFrame            inside ``storage.log`` only: no whole frame stands here
"""

from __future__ import annotations

from pathlib import Path

from storage.errors import StorageError


class LogError(StorageError):
    """The base of the errors of the log."""


class LogUnavailable(LogError):
    """Nothing is known to be stored of what was appended. Its ordinals are never used again."""


class Backpressure(LogError):
    """The queue holds as many bytes as it may; nothing was queued and no ordinal used."""


class LogBusy(LogError):
    """The log has an owner, which is alive."""


class SegmentMissing(LogError):
    """The segment that held this LSN is gone."""

    def __init__(self, log_id: int, lsn: int) -> None:
        super().__init__(f"log {log_id} holds no segment for LSN {lsn}")
        self.log_id = log_id
        self.lsn = lsn


class LogDamaged(LogError):
    """``offset`` is where in the file ``path`` the first unreadable frame or header starts."""

    def __init__(self, path: Path, offset: int, why: str) -> None:
        super().__init__(f"{path} is damaged at offset {offset}: {why}")
        self.path = path
        self.offset = offset
        self.why = why


class LogUnreadable(LogError):
    """Nobody knows whose events lie in the damaged stretch, so it may be of any collection."""

    def __init__(self, log_id: int, why: str) -> None:
        super().__init__(f"log {log_id} can not be read to its end: {why}")
        self.log_id = log_id


class BadFrame(LogError):
    """The text says what is wrong; only the caller knows whether it is a torn end or damage."""
