"""The position file: how far a log is durable, told to other processes through shared memory."""

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
    """The log is durable up to ``lsn``."""

    lsn: int = 0
    token_ordinal: int = -1
    """The greatest claimed ordinal that is durable, -1 where there is none."""
    voids: Ranges = ()
    """Claimed ordinals, from (included) to (excluded), up to ``token_ordinal`` that never reached the log."""

    def holds(self, ordinal: int) -> bool:
        """Whether the event of this claimed ordinal is durable. Where in doubt, no."""
        return ordinal <= self.token_ordinal and not any(low <= ordinal < high for low, high in self.voids)


class Claims:
    """Follows the claimed ordinals along a log; what they leave out is void."""

    def __init__(self, end: int, voids: Ranges = ()) -> None:
        """``end`` is 1 + the greatest claimed ordinal so far, or 0."""
        self.end = end
        self.voids = list(voids)

    def note(self, base: int, count: int, first: int) -> None:
        """A frame with the claimed ordinals from ``base`` is durable; ``first`` starts the series."""
        expected = self.end or first
        if base > expected:
            if len(self.voids) < VOIDS_MAX:
                self.voids.append((expected, base))
            else:
                self.voids[-1] = (self.voids[-1][0], base)
        if count:
            self.end = base + count


class PositionFile:
    """The mapped file. One process writes, any number read."""

    def __init__(self, fs: FileSystem, path: Path, log_id: int, *, writable: bool) -> None:
        """Raises OSError; FileNotFoundError and ValueError (too short) only where it is not writable."""
        self._map: mmap.mmap = fs.map(path, POSITION_SIZE, writable=writable)
        self._fs, self._path = fs, path
        self._words = memoryview(self._map).cast("Q")
        self._salt = CHECK ^ log_id

    def publish(self, lsn: int, claims: Claims, *, anew: bool = False) -> None:
        """The voids go first: who sees a claimed ordinal as durable must see what is void below it.

        ``anew`` where the file may hold anything, such as what a power cut left.
        """
        words, voids = self._words, claims.voids
        if anew:
            words[_FAILED] = 0
        if anew or voids:
            # The last pair may have grown since it was written, and there may be new ones behind it.
            for i in range(0 if anew else max(0, words[_VOIDS] - 1), len(voids)):
                words[_FIRST_VOID + 2 * i], words[_FIRST_VOID + 2 * i + 1] = voids[i]
            words[_VOIDS] = len(voids)
        words[_CLAIMED] = claims.end
        words[_SYNCED] = lsn
        words[_CHECK] = lsn ^ self._salt

    def publish_key(self, key: int) -> None:
        """What the segments' headers hold as well, for where one of those is damaged."""
        self._words[_KEY] = key

    def key(self) -> int:
        """The log's key; 0 where it has none, nonsense where a power cut left that."""
        return self._words[_KEY] & ((1 << KEY_BITS) - 1)

    def read(self) -> LogPosition:
        """What the owner published last. Each word is right for itself at any moment, and they only grow."""
        words = self._words
        lsn, end = words[_SYNCED], words[_CLAIMED]
        count = words[_VOIDS]
        if not count:
            return LogPosition(lsn, end - 1)
        pairs = range(_FIRST_VOID, _FIRST_VOID + 2 * min(count, VOIDS_MAX), 2)
        return LogPosition(lsn, end - 1, tuple((words[i], words[i + 1]) for i in pairs))

    def publish_failure(self) -> None:
        """What was written past the synced LSN failed, and its senders are about to be told so."""
        self._words[_FAILED] = self._words[_SYNCED] + 1

    def failed(self) -> bool:
        """Whether all that stands past the synced LSN failed or was never acknowledged."""
        words = self._words
        return words[_FAILED] == words[_SYNCED] + 1 and words[_SYNCED] ^ self._salt == words[_CHECK]

    def confirmed(self) -> LogPosition:
        """What the file vouches for: ``LogPosition()`` where it cannot have been written as it stands."""
        words = self._words
        return self.read() if words[_SYNCED] ^ self._salt == words[_CHECK] else LogPosition()

    def make_durable(self) -> None:
        """Sync what was published. The owner need not: adopting finds the end of its log. Raises OSError."""
        self._map.flush()
        fd = self._fs.open_write(self._path)
        try:
            self._fs.datasync(fd)
        finally:
            self._fs.close(fd)

    def close(self) -> None:
        self._words.release()
        self._map.close()
