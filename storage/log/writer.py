"""The durable log of one worker: append, group commit, read, adopt. The format is ``docs/internals/log.md``.

Group commit uses no timer: while the sync thread writes and syncs one group, the next one gathers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.adoption import adopt, delete_log, delete_through
from storage.log.errors import (
    Backpressure,
    LogBusy,
    LogDamaged,
    LogError,
    LogUnavailable,
    SegmentMissing,
)
from storage.log.format import CLAIMED_BIT, Batch, Frame, Section, SegmentHeader, encode_frame, new_key
from storage.log.position import ClaimedOrdinals, LogPosition, PositionFile
from storage.log.reader import LogReader
from storage.log.segments import LOCK_NAME, POSITION_NAME, close_quietly, create_segment, log_directory

__all__ = [
    "CLAIMED_BIT",
    "Backpressure",
    "Batch",
    "Frame",
    "LogBusy",
    "LogDamaged",
    "LogError",
    "LogPosition",
    "LogReader",
    "LogUnavailable",
    "LogWriter",
    "Section",
    "SegmentMissing",
    "adopt",
    "delete_log",
    "delete_through",
]

OnSynced = Callable[[list[object], Exception | None], None]

_logger = logging.getLogger("acumen.log")


class _CommitGroup:
    """Frames that are written and synced together."""

    __slots__ = ("bytes", "claims", "frames", "waiters")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.waiters: list[object] = []
        self.claims: list[tuple[int, int]] = []
        self.bytes = 0


class LogWriter:
    """Owns and writes a log. Use ``create`` to make one; all methods may be called from any thread."""

    def __init__(
        self,
        fs: FileSystem,
        directory: Path,
        log_id: int,
        lock_fd: int,
        *,
        on_synced: OnSynced,
        segment_bytes_max: int,
        queue_bytes_max: int,
    ) -> None:
        """For ``create`` only, once the log's directory is durable and locked. Raises OSError."""
        self._fs = fs
        self._directory = directory
        self.log_id = log_id
        self._lock_fd = lock_fd
        self._on_synced = on_synced
        self._segment_bytes_max = segment_bytes_max
        self._queue_bytes_max = queue_bytes_max

        self._lock = threading.Lock()
        self._group = _CommitGroup()
        self._queued_bytes = 0
        self._next_ordinal = 0
        self._next_claim = CLAIMED_BIT
        self._claims_queued_to = CLAIMED_BIT
        self._closed = False
        self._idle = False
        self._due = False
        self._wake = threading.Lock()
        self._wake.acquire()

        self._key = new_key()
        self._claims = ClaimedOrdinals(0)
        self._synced_lsn = 0
        self._segment_fd: int | None = None
        self._segment_base = 0
        self._turn_due = False
        self._position = PositionFile(fs, directory / POSITION_NAME, log_id, writable=True)
        self._position.publish(0, self._claims, whole=True)
        self._position.publish_key(self._key)
        self._open_segment()
        self._thread = threading.Thread(target=self._run, name=f"log-{log_id}", daemon=True)
        self._thread.start()

    @classmethod
    def create(
        cls,
        fs: FileSystem,
        root: Path,
        log_id: int,
        *,
        on_synced: OnSynced,
        segment_bytes_max: int = 64 << 20,
        queue_bytes_max: int = 64 << 20,
    ) -> LogWriter:
        """Create an empty log under the data folder ``root``, durable on return.

        ``on_synced(waiters, error)`` is called once per group, on the sync thread: with None when everything
        the waiters appended is durable, with LogUnavailable when none of it may be relied on. The last group
        of a segment may exceed ``segment_bytes_max``. Raises LogBusy where the log exists, LogUnavailable
        where the disk fails (the incomplete log holds no events; ``delete_log`` removes it).
        """
        directory = log_directory(root, log_id)
        try:
            lock_fd = _make_log_directory(fs, root, directory)
        except OSError as error:
            raise LogUnavailable(f"log {log_id} cannot be created: {error}") from error
        try:
            return cls(
                fs,
                directory,
                log_id,
                lock_fd,
                on_synced=on_synced,
                segment_bytes_max=segment_bytes_max,
                queue_bytes_max=queue_bytes_max,
            )
        except OSError as error:
            close_quietly(fs, lock_fd)
            raise LogUnavailable(f"log {log_id} cannot be created: {error}") from error

    @property
    def synced_lsn(self) -> int:
        """The LSN up to which the log is durable."""
        return self._synced_lsn

    @property
    def queued_bytes(self) -> int:
        """Bytes that were appended and are neither durable nor failed yet."""
        return self._queued_bytes

    def append(self, batch: Batch, waiter: object, *, hold: bool = False) -> int:
        """Queue a batch and return the ordinal of its first event. It is not durable before ``on_synced``.

        With ``hold`` it may stay queued until ``release``, which the caller must then call.

        Raises Backpressure, LogUnavailable (closed) and ValueError (the batch does not fit the format). Then
        nothing is queued, and ``on_synced`` is not called for the waiter.
        """
        with self._lock:
            base = self._next_ordinal
            self._enqueue(self._encode(batch, base), waiter)
            self._next_ordinal = base + batch.count
            if not hold:
                self._rouse()
        return base

    def release(self) -> None:
        """Have everything queued written and synced."""
        with self._lock:
            self._rouse()

    @property
    def turn_due(self) -> bool:
        """Whether a requested ``turn`` has not happened yet, or has failed."""
        return self._turn_due

    def turn(self) -> None:
        """Switch to a new segment, so that the old one can be removed once all its events are in files.

        If the disk fails, the turn remains due.
        """
        with self._lock:
            self._turn_due = True
            self._rouse()

    def reserve(self, count: int) -> int:
        """Reserve ``count`` consecutive claimed ordinals, never reused, and return the first."""
        with self._lock:
            base = self._next_claim
            self._next_claim = base + count
        return base

    def append_claimed(self, batch: Batch, waiter: object, base_ordinal: int) -> None:
        """Append a batch under ordinals from ``reserve``, in the order in which they were reserved.

        Skipping a reservation gives it up: its ordinals are void. Raises as ``append`` does, and ValueError
        where this reservation was skipped or does not exist.
        """
        count = batch.count
        with self._lock:
            if not self._claims_queued_to <= base_ordinal <= self._next_claim - count:
                raise ValueError(f"claimed ordinals {base_ordinal}+{count} are out of order or not reserved")
            self._enqueue(self._encode(batch, base_ordinal), waiter)
            self._claims_queued_to = base_ordinal + count
            self._group.claims.append((base_ordinal, count))
            self._rouse()

    def close(self) -> None:
        """Write and sync what is queued, notify its waiters, and release the log. May be called twice."""
        with self._lock:
            first = not self._closed
            self._closed = True
            self._rouse()
        self._thread.join()
        if first:
            self._abandon_segment()
            self._position.close()
            close_quietly(self._fs, self._lock_fd)

    def _encode(self, batch: Batch, base_ordinal: int) -> bytes:
        return encode_frame(batch, self.log_id, base_ordinal, self._synced_lsn, self._key)

    def _enqueue(self, frame: bytes, waiter: object) -> None:
        if self._closed:
            raise LogUnavailable(f"log {self.log_id} is closed")
        queued = self._queued_bytes
        # A frame larger than the queue's limit is accepted into an empty queue: it could never be otherwise.
        if queued and queued + len(frame) > self._queue_bytes_max:
            raise Backpressure(f"log {self.log_id}: {queued} bytes wait to be synced")
        group = self._group
        group.frames.append(frame)
        group.waiters.append(waiter)
        group.bytes += len(frame)
        self._queued_bytes = queued + len(frame)

    def _rouse(self) -> None:
        """Mark the queue as due and wake the sync thread if it sleeps. Call under the lock."""
        self._due = True
        if self._idle:
            self._idle = False
            self._wake.release()

    def _take(self) -> _CommitGroup | None:
        """Wait until the queue is due and take it; None once the log is closed and the queue is empty."""
        while True:
            with self._lock:
                group = self._group
                if (group.frames or self._turn_due) and self._due:
                    self._group = _CommitGroup()
                    self._due = False
                    return group
                if self._closed:
                    return None
                self._idle = True
            self._wake.acquire()

    def _run(self) -> None:
        while (group := self._take()) is not None:
            self._commit(group)

    def _commit(self, group: _CommitGroup) -> None:
        """Make a group durable, or fail it as a whole, and notify its waiters."""
        failure: LogUnavailable | None = None
        try:
            self._write(group)
        except Exception as error:
            _logger.error("log %d: a group of %d failed: %s", self.log_id, len(group.frames), error)
            self._abandon_segment()
            self._position.publish_failure()
            failure = LogUnavailable(f"log {self.log_id} cannot be written: {error}")
            failure.__cause__ = error
        with self._lock:
            self._queued_bytes -= group.bytes
        try:
            self._on_synced(group.waiters, failure)
        except Exception:
            _logger.exception("log %d: notifying the waiters of a group failed", self.log_id)

    def _write(self, group: _CommitGroup) -> None:
        with self._lock:
            due = self._turn_due
        turn = due and self._synced_lsn > self._segment_base
        fd = self._segment_fd
        if fd is None or turn or self._synced_lsn - self._segment_base >= self._segment_bytes_max:
            fd = self._open_segment()
        if due:
            # A turn requested meanwhile is served as well: what was synced then lies below this segment.
            with self._lock:
                self._turn_due = False
        if not group.frames:
            return
        self._fs.append(fd, b"".join(group.frames))
        self._fs.datasync(fd)
        for base, count in group.claims:
            self._claims.note(base, count, CLAIMED_BIT)
        self._synced_lsn += group.bytes
        self._position.publish(self._synced_lsn, self._claims)

    def _open_segment(self) -> int:
        """Switch to a new segment based at the synced LSN: whatever the old one holds past it is void."""
        self._abandon_segment()
        header = SegmentHeader(self.log_id, self._synced_lsn, self._claims.end, self._key)
        self._segment_fd = fd = create_segment(self._fs, self._directory, header)
        self._segment_base = self._synced_lsn
        return fd

    def _abandon_segment(self) -> None:
        """Close the segment for good: after a failed write or sync its descriptor cannot be trusted."""
        fd, self._segment_fd = self._segment_fd, None
        if fd is not None:
            close_quietly(self._fs, fd)


def _make_log_directory(fs: FileSystem, root: Path, directory: Path) -> int:
    """Create a log's directory, durable and locked. Raises LogBusy where it exists, OSError."""
    try:
        fs.make_directory(directory.parent)
    except FileExistsError:
        pass
    # Synced even where another process made it: that process may not have synced it yet.
    fs.sync_directory(root)
    try:
        fs.make_directory(directory)
        lock_fd = fs.lock(directory / LOCK_NAME)
    except (FileExistsError, BlockingIOError) as error:
        raise LogBusy(f"{directory} exists") from error
    try:
        # An adopting process may come between the creation of the folder and its lock, and then treats the
        # log as finished.
        if fs.names(directory) != [LOCK_NAME]:
            raise LogBusy(f"{directory} was adopted before it was made")
        fs.sync_directory(directory.parent)
    except BaseException:
        close_quietly(fs, lock_fd)
        raise
    return lock_fd
