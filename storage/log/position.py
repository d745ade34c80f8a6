"""The position file: publishes how far a log is durable to other processes, through shared memory."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.format import KEY_BITS

POSITION_SIZE = 4096
VOIDS_MAX = 253
CHECK = int.from_bytes(b"position", "little")

_KEY = POSITION_SIZE // 8 - 1
_SYNCED, _CLAIMED, _CHECK, _FAILED, _VOIDS, _FIRST_VOID = range(6)

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far a log is durable: up to ``lsn``."""

    lsn: int = 0
    token_ordinal: int = -1
    """The greatest durable claimed ordinal; -1 where there is none."""
    voids: Ranges = ()
    """Ranges, end excluded, of claimed ordinals below ``token_ordinal`` that never reached the log."""

    def holds(self, ordinal: int) -> bool:
        """Whether the event of this claimed ordinal is known to be durable."""
        return ordinal <= self.token_ordinal and not any(low <= ordinal < high for low, high in self.voids)


class ClaimedOrdinals:
    """Tracks the claimed ordinals along a log; ordinals that are skipped are void."""

    def __init__(self, end: int, voids: Ranges = ()) -> None:
        """``end`` is 1 + the greatest claimed ordinal so far, or 0."""
        self.end = end
        self.voids = list(voids)

    def note(self, base: int, count: int, first: int) -> None:
        """Record a durable frame of ``count`` claimed ordinals from ``base``; ``first`` starts the series."""
        expected = self.end or first
        if base > expected:
            if len(self.voids) < VOIDS_MAX:
                self.voids.append((expected, base))
            else:
                self.voids[-1] = (self.voids[-1][0], base)
        if count:
            self.end = base + count


class PositionFile:
    """The memory-mapped position file of a log: one process writes, any number read."""

    def __init__(self, fs: FileSystem, path: Path, log_id: int, *, writable: bool) -> None:
        """Map the file. Raises OSError; FileNotFoundError and ValueError (too short) only if not writable."""
        self._map: mmap.mmap = fs.map(path, POSITION_SIZE, writable=writable)
        self._fs, self._path = fs, path
        self._words = memoryview(self._map).cast("Q")
        self._salt = CHECK ^ log_id

    def publish(self, lsn: int, claims: ClaimedOrdinals, *, whole: bool = False) -> None:
        """Publish how far the log is durable.

        The voids are written first: a reader that sees a claimed ordinal as durable must also see the voids
        below it. ``whole``: write all of the file, since its content may be
        anything, as after a power cut.
        """
        words, voids = self._words, claims.voids
        if whole:
            words[_FAILED] = 0
        if whole or voids:
            # The last published pair may have grown since, and new pairs may follow it.
            for i in range(0 if whole else max(0, words[_VOIDS] - 1), len(voids)):
                words[_FIRST_VOID + 2 * i], words[_FIRST_VOID + 2 * i + 1] = voids[i]
            words[_VOIDS] = len(voids)
        words[_CLAIMED] = claims.end
        words[_SYNCED] = lsn
        words[_CHECK] = lsn ^ self._salt

    def publish_key(self, key: int) -> None:
        """Publish the key, which is also in the segment headers, for the case that a header is damaged."""
        self._words[_KEY] = key

    def key(self) -> int:
        """The log's key; 0 where it has none, arbitrary after a power cut."""
        return self._words[_KEY] & ((1 << KEY_BITS) - 1)

    def read(self) -> LogPosition:
        """The position published last. Each word is correct by itself at any moment, and words only grow."""
        words = self._words
        lsn, end = words[_SYNCED], words[_CLAIMED]
        count = words[_VOIDS]
        if not count:
            return LogPosition(lsn, end - 1)
        pairs = range(_FIRST_VOID, _FIRST_VOID + 2 * min(count, VOIDS_MAX), 2)
        return LogPosition(lsn, end - 1, tuple((words[i], words[i + 1]) for i in pairs))

    def publish_failure(self) -> None:
        """Publish that writes past the synced LSN failed; their clients receive an error next."""
        self._words[_FAILED] = self._words[_SYNCED] + 1

    def failed(self) -> bool:
        """Whether everything past the synced LSN failed or was never acknowledged."""
        words = self._words
        return words[_FAILED] == words[_SYNCED] + 1 and words[_SYNCED] ^ self._salt == words[_CHECK]

    def confirmed(self) -> LogPosition:
        """The position if the file's check word matches it; otherwise ``LogPosition()``."""
        words = self._words
        return self.read() if words[_SYNCED] ^ self._salt == words[_CHECK] else LogPosition()

    def make_durable(self) -> None:
        """Sync what was published. Raises OSError.

        The owner does not need this, since adoption finds the end of a log.
        """
        self._map.flush()
        fd = self._fs.open_write(self._path)
        try:
            self._fs.datasync(fd)
        finally:
            self._fs.close(fd)

    def close(self) -> None:
        self._words.release()
        self._map.close()
