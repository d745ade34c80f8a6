"""Budgets of embed tokens: how many answers each may get in all, counted over all workers in one mapped file.

The file is a hash table. It is in the data folder, so that counts outlive a restart of the server; after a
power cut, those of the last seconds may be missing. A cell is free once all tokens that it counts have
expired, or were not used for ``KEPT_SECONDS``. Tokens without a free cell are counted together with others of
their access key: a budget may then end early, but never late. Each access key has its cells in one of
``REGIONS`` parts of the table, so that who makes very many tokens of one key takes no cells from most others.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import BudgetUsedUp
from service.limits.shared_table import PROBES, SharedTable

REGIONS = 64
CELLS_OF_REGION = 1_024
SHARED_OF_REGION = 32
_CELL = struct.Struct("<QQQQ")
"""The token's id in two parts, when the cell becomes free (Unix seconds), and the answers counted."""
_REGION = CELLS_OF_REGION + SHARED_OF_REGION
KEPT_SECONDS = 400 * 86_400
"""How long the count of a token is kept after its last answer, if the token has not expired before."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many answers the tokens that begin with one link of a chain may get in all."""

    token_id: bytes
    """Identifies the chain up to that link; 16 bytes."""
    limit: int
    expires_at: int | None
    """When the last of these tokens expires, in Unix seconds; None: never."""


class EmbedBudgets:
    """The counts of all workers. ``path`` is created when the first budget is counted."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._opened: SharedTable | None = None

    def spend(self, key_id: str, budgets: Sequence[Budget]) -> None:
        """Count one answer for each budget. ``key_id`` identifies the access key.

        Raises BudgetUsedUp, and counts nothing, where one of them is used up.
        """
        with self._table() as table:
            cells = [self._cell_of(table, key_id, budget) for budget in budgets]
            for cell, budget in zip(cells, budgets, strict=True):
                if table.read(cell)[3] >= budget.limit:
                    raise BudgetUsedUp(budget.limit)
            # Two budgets may share a cell, which then counts both.
            for cell in cells:
                _add(table, cell, 1)

    def give_back(self, key_id: str, budgets: Sequence[Budget]) -> None:
        """Take back one answer that was counted and then not given."""
        with self._table() as table:
            for budget in budgets:
                _add(table, self._cell_of(table, key_id, budget), -1)

    def close(self) -> None:
        table, self._opened = self._opened, None
        if table is not None:
            table.close()

    def _table(self) -> SharedTable:
        if self._opened is None:
            self._opened = SharedTable(self._path, REGIONS * _REGION, _CELL)
        return self._opened

    def _cell_of(self, table: SharedTable, key_id: str, budget: Budget) -> int:
        """The cell that counts this budget, taken if it has none yet."""
        now = int(self._clock())
        high, low = (int.from_bytes(part, "little") for part in (budget.token_id[:8], budget.token_id[8:]))
        until = (
            now + KEPT_SECONDS if budget.expires_at is None else min(budget.expires_at, now + KEPT_SECONDS)
        )
        of_key = int.from_bytes(hashlib.blake2b(key_id.encode(), digest_size=8).digest(), "little")
        start, free = of_key % REGIONS * _REGION, None
        for probe in range(PROBES):
            at = start + (low + probe) % CELLS_OF_REGION
            known_high, known_low, ends, used = table.read(at)
            if (known_high, known_low) == (high, low) and ends > now:
                table.write(at, high, low, max(ends, until), used)
                return at
            if free is None and ends <= now:
                free = at
        shared = start + CELLS_OF_REGION + of_key // REGIONS % SHARED_OF_REGION
        _, _, ends, used = table.read(shared)
        used = used if ends > now else 0
        if free is not None:
            # The token may have been counted in the shared cell before: it starts with what that counts.
            table.write(free, high, low, until, used)
            return free
        table.write(shared, 0, 0, max(ends, until), used)
        return shared


def _add(table: SharedTable, cell: int, number: int) -> None:
    high, low, ends, used = table.read(cell)
    table.write(cell, high, low, ends, max(0, used + number))
