"""How often a project may ask in a minute, counted over all workers in one small mapped file.

The file is a hash table of fixed windows; a cell of a past minute is free. It lives in the run folder and
is made anew at every start: a limit is a brake, not a bill.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from service.errors import RateLimited
from service.resources import allocate

WINDOW_SECONDS = 60
CELLS = 16_384
_CELL = struct.Struct("<QII")
_PROBES = 32


class Rate(StrEnum):
    """What is counted apart."""

    QUERIES = "queries"
    EXTRACTIONS = "extractions"
    WRITES = "writes"


class RateLimits:
    """``limits`` says how many of each kind a project may send in a minute; 0 or absent is no limit."""

    def __init__(self, path: Path, limits: dict[Rate, int], clock: Callable[[], float] = time.time) -> None:
        self._limits = {rate: limit for rate, limit in limits.items() if limit > 0}
        self._clock = clock
        self._file = -1
        if self._limits:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            allocate(self._file, CELLS * _CELL.size)
            self._table = mmap.mmap(self._file, CELLS * _CELL.size)

    def check(self, project_id: str, rate: Rate) -> None:
        """Count one request. Raises RateLimited where the project has used up this minute."""
        limit = self._limits.get(rate)
        if limit is None:
            return
        now = self._clock()
        window = int(now) // WINDOW_SECONDS
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            count = self._count(f"{rate}/{project_id}", window)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        if count > limit:
            left = max(1, int((window + 1) * WINDOW_SECONDS - now + 0.999))
            raise RateLimited(
                f"This project may send {limit} {rate} a minute. Try again in {left} seconds.", left
            )

    def _count(self, name: str, window: int) -> int:
        digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") or 1
        free = None
        for probe in range(_PROBES):
            at = (digest + probe) % CELLS * _CELL.size
            key, minute, count = _CELL.unpack_from(self._table, at)
            if key == digest and minute == window & 0xFFFFFFFF:
                count = min(count + 1, 0xFFFFFFFF)
                _CELL.pack_into(self._table, at, key, minute, count)
                return int(count)
            if free is None and minute != window & 0xFFFFFFFF:
                free = at
        if free is not None:
            _CELL.pack_into(self._table, free, digest, window & 0xFFFFFFFF, 1)
        return 1

    def close(self) -> None:
        if self._file >= 0:
            self._table.close()
            os.close(self._file)
            self._file = -1
