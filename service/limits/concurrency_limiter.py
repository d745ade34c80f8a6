"""How many questions of a project, and of one key of it, may run or wait at once, over all workers.

Each worker has a region of one mapped file, where it counts its own; a limit looks at all regions. What a
worker counted when it died goes when its successor clears the region. Names that find no free cell are
counted in cells that they may share with others: then a limit comes early, but never too late.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import RateLimited
from service.limits.rate_limiter import Quota, fields_of
from service.machine import allocate

CELLS = 2_048
"""Of one worker, which holds far fewer questions at once."""
SHARED_CELLS = 512
"""Of one worker too."""
RETRY_SECONDS = 1
_CELL = struct.Struct("<QQ")
_PROBES = 32
_SHARED = 0
"""The name of every shared cell; no other has it."""
_UNIT = "concurrent-requests"


class Concurrency:
    """``per_project`` and ``per_key`` are counts; 0 is no limit. Methods belong to one event loop."""

    def __init__(self, path: Path, number: int, workers: int, *, per_project: int, per_key: int) -> None:
        self._per_project = per_project
        self._per_key = per_key
        self._number = number
        self._workers = workers
        self._file = -1
        if per_project or per_key:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            region = (CELLS + SHARED_CELLS) * _CELL.size
            size = workers * region
            allocate(self._file, size)
            self._table = mmap.mmap(self._file, size)
            self._table[number * region : (number + 1) * region] = bytes(region)

    @contextmanager
    def one(self, project_id: str, key: str) -> Iterator[None]:
        """While the block runs, one more is counted. Raises RateLimited where that would be too many."""
        if self._file < 0:
            yield
            return
        taken = self._take(project_id, key)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                for at, digest in taken:
                    # None where the region was cleared meanwhile: an orphan may still end its questions.
                    count = self._held(at, digest)
                    if count:
                        _CELL.pack_into(self._table, at, digest, count - 1)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self, project_id: str, key: str) -> list[tuple[int, int]]:
        """Count it for the key and the project; the cells it was counted in, and the names that they have."""
        limited = [
            (self._per_key, f"{project_id}/{key}", "concurrent-queries-of-key", "key"),
            (self._per_project, project_id, "concurrent-queries", "project"),
        ]
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            digests = [_digest(name) for limit, name, _, _ in limited if limit]
            for limit, name, policy, who in limited:
                if limit and self._running(_digest(name)) >= limit:
                    quota = Quota(policy, limit, 0, unit=_UNIT)
                    raise RateLimited(
                        f"This {who} may run {limit} queries at once. Try again when one has ended.",
                        RETRY_SECONDS,
                        fields_of([quota]),
                    )
            taken = [self._cell(digest) for digest in digests]
            for at, cell in taken:
                _CELL.pack_into(self._table, at, cell, self._held(at, cell) + 1)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return taken

    def _running(self, digest: int) -> int:
        """Of all workers."""
        total = 0
        for worker in range(self._workers):
            total += sum(self._held(at, digest) for at in _places(worker, digest))
            total += self._held(_shared_place(worker, digest), _SHARED)
        return total

    def _held(self, at: int, digest: int) -> int:
        found, count = _CELL.unpack_from(self._table, at)
        return int(count) if found == digest else 0

    def _cell(self, digest: int) -> tuple[int, int]:
        """This worker's cell of that name and how the cell is named: its own, one that counts nothing, or
        where all are taken a shared one."""
        free = None
        for at in _places(self._number, digest):
            found, count = _CELL.unpack_from(self._table, at)
            if found == digest and count:
                return at, digest
            if not count and free is None:
                free = at
        return (_shared_place(self._number, digest), _SHARED) if free is None else (free, digest)

    def close(self) -> None:
        if self._file >= 0:
            self._table.close()
            os.close(self._file)
            self._file = -1


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") or 1


def _places(worker: int, digest: int) -> list[int]:
    """Where in the file a worker may count this."""
    first = worker * (CELLS + SHARED_CELLS)
    return [(first + (digest + probe) % CELLS) * _CELL.size for probe in range(_PROBES)]


def _shared_place(worker: int, digest: int) -> int:
    return (worker * (CELLS + SHARED_CELLS) + CELLS + digest % SHARED_CELLS) * _CELL.size
