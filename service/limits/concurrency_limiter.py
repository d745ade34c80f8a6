"""How many questions of a project, and of one key of it, may run or wait at once, over all workers.

Each worker has a region of one mapped file, where it counts its own; a limit looks at all regions. What a
worker counted when it died goes when its successor clears the region. Names that find no free cell are
counted in cells that they may share with others: then a limit comes early, but never too late.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import RateLimited
from service.limits.rate_limiter import Quota, fields_of
from service.limits.shared_table import SharedTable, digest_of

CELLS = 2_048
"""Of one worker, which holds far fewer questions at once."""
SHARED_CELLS = 512
"""Of one worker too."""
REGION = CELLS + SHARED_CELLS
RETRY_SECONDS = 1
_CELL = struct.Struct("<QQ")
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
        self._table: SharedTable | None = None
        if per_project or per_key:
            self._table = SharedTable(path, workers * REGION, _CELL)
            self._table.clear(number * REGION, REGION)

    @contextmanager
    def one(self, project_id: str, key: str) -> Iterator[None]:
        """While the block runs, one more is counted. Raises RateLimited where that would be too many."""
        table = self._table
        if table is None:
            yield
            return
        taken = self._take(table, project_id, key)
        try:
            yield
        finally:
            with table:
                for at, digest in taken:
                    # None where the region was cleared meanwhile: an orphan may still end its questions.
                    count = _counted(table, at, digest)
                    if count:
                        table.write(at, digest, count - 1)

    def _take(self, table: SharedTable, project_id: str, key: str) -> list[tuple[int, int]]:
        """Count it for the key and the project; the cells it was counted in, and the names that they have."""
        limited = [
            (self._per_key, f"{project_id}/{key}", "concurrent-queries-of-key", "key"),
            (self._per_project, project_id, "concurrent-queries", "project"),
        ]
        with table:
            digests = [digest_of(name) for limit, name, _, _ in limited if limit]
            for limit, name, policy, who in limited:
                if limit and self._running(table, digest_of(name)) >= limit:
                    quota = Quota(policy, limit, 0, unit=_UNIT)
                    raise RateLimited(
                        f"This {who} may run {limit} queries at once. Try again when one has ended.",
                        RETRY_SECONDS,
                        fields_of([quota]),
                    )
            taken = [self._cell(table, digest) for digest in digests]
            for at, cell in taken:
                table.write(at, cell, _counted(table, at, cell) + 1)
        return taken

    def _running(self, table: SharedTable, digest: int) -> int:
        """Of all workers."""
        total = 0
        for worker in range(self._workers):
            cells = table.read_probes(worker * REGION, CELLS, digest)
            total += sum(count for found, count in cells if found == digest)
            total += _counted(table, _shared_place(worker, digest), _SHARED)
        return total

    def _cell(self, table: SharedTable, digest: int) -> tuple[int, int]:
        """This worker's cell of that name and how the cell is named: its own, one that counts nothing, or
        where all are taken a shared one."""
        free = None
        first = self._number * REGION
        for probe, (found, count) in enumerate(table.read_probes(first, CELLS, digest)):
            at = first + (digest + probe) % CELLS
            if found == digest and count:
                return at, digest
            if not count and free is None:
                free = at
        return (_shared_place(self._number, digest), _SHARED) if free is None else (free, digest)

    def close(self) -> None:
        table, self._table = self._table, None
        if table is not None:
            table.close()


def _counted(table: SharedTable, at: int, digest: int) -> int:
    """What a cell counts for this name."""
    found, count = table.read(at)
    return count if found == digest else 0


def _shared_place(worker: int, digest: int) -> int:
    return worker * REGION + CELLS + digest % SHARED_CELLS
