"""Limits how many queries of a project, and of one key, may run or wait at once, over all workers.

Each worker counts its own queries in its region of one mapped file; a limit adds up all regions. The counts
of a worker that died are dropped when its successor clears the region. Names without a free cell are counted
in cells that they may share with other names: a limit may then apply early, but never late.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import RateLimited
from service.limits.rate_limiter import KEY_OF_TOKEN, Quota, fields_of
from service.limits.shared_table import SharedTable, digest_of

CELLS = 2_048
"""Cells per worker; a worker has far fewer queries at once."""
SHARED_CELLS = 512
"""Shared cells per worker."""
REGION = CELLS + SHARED_CELLS
RETRY_SECONDS = 1
_CELL = struct.Struct("<QQ")
_SHARED = 0
"""The digest in every shared cell; no name has it."""
_UNIT = "concurrent-requests"


class Concurrency:
    """Counts the queries of one worker against the limits ``per_project`` and ``per_key``; 0 is no limit.

    All methods must be called on one event loop.
    """

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
    def one(self, project_id: str, key: str, *, by_token: bool = False) -> Iterator[None]:
        """Count one query while the block runs. Raises RateLimited where a limit is reached.

        ``by_token``: an embed token asks, which is counted as its access key.
        """
        table = self._table
        if table is None:
            yield
            return
        taken = self._take(table, project_id, key, KEY_OF_TOKEN if by_token else "This key")
        try:
            yield
        finally:
            with table:
                for at, digest in taken:
                    # 0 where the region was cleared meanwhile: a replaced worker may still end its queries.
                    count = _counted(table, at, digest)
                    if count:
                        table.write(at, digest, count - 1)

    def _take(self, table: SharedTable, project_id: str, key: str, asker: str) -> list[tuple[int, int]]:
        """Count one query for the key and the project. Returns the cells used, with the digests in them."""
        limited = [
            (self._per_key, f"{project_id}/{key}", "concurrent-queries-of-key", asker),
            (self._per_project, project_id, "concurrent-queries", "This project"),
        ]
        with table:
            digests = [digest_of(name) for limit, name, _, _ in limited if limit]
            for limit, name, policy, who in limited:
                if limit and self._running(table, digest_of(name)) >= limit:
                    quota = Quota(policy, limit, 0, unit=_UNIT)
                    raise RateLimited(
                        f"{who} may run {limit} queries at once. Try again when one has ended.",
                        RETRY_SECONDS,
                        fields_of([quota]),
                    )
            taken = [self._cell(table, digest) for digest in digests]
            for at, cell_digest in taken:
                table.write(at, cell_digest, _counted(table, at, cell_digest) + 1)
        return taken

    def _running(self, table: SharedTable, digest: int) -> int:
        """The count of this name over all workers."""
        total = 0
        for worker in range(self._workers):
            cells = table.read_probes(worker * REGION, CELLS, digest)
            total += sum(count for cell_digest, count in cells if cell_digest == digest)
            total += _counted(table, _shared_place(worker, digest), _SHARED)
        return total

    def _cell(self, table: SharedTable, digest: int) -> tuple[int, int]:
        """This worker's cell for the name, and the digest in it: the name's own cell, else a free one, else a
        shared one."""
        free = None
        first = self._number * REGION
        for probe, (cell_digest, count) in enumerate(table.read_probes(first, CELLS, digest)):
            at = first + (digest + probe) % CELLS
            if cell_digest == digest and count:
                return at, digest
            if not count and free is None:
                free = at
        return (_shared_place(self._number, digest), _SHARED) if free is None else (free, digest)

    def close(self) -> None:
        table, self._table = self._table, None
        if table is not None:
            table.close()


def _counted(table: SharedTable, at: int, digest: int) -> int:
    """The count in a cell, or 0 if the cell is another name's."""
    cell_digest, count = table.read(at)
    return count if cell_digest == digest else 0


def _shared_place(worker: int, digest: int) -> int:
    return worker * REGION + CELLS + digest % SHARED_CELLS
