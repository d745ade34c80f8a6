"""Attempts to log in: how many failed, by client address and by account, counted over all workers."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from service.errors import RateLimited
from service.limits.rate_limiter import CELLS, SHARED_CELLS, add_to, cell_of
from service.limits.shared_table import SharedTable

WINDOW_SECONDS = 900
_CELL = struct.Struct("<QII")


class AttemptsOf(NamedTuple):
    """Whose attempts are counted, and how many of them may fail in a window."""

    name: str
    limit: int


class Attempts:
    """Failed attempts by name. As with ``RateLimits``, a limit may apply early, but never late."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._table = SharedTable(path, CELLS + SHARED_CELLS, _CELL)
        self._clock = clock

    def begin(self, counted: Sequence[AttemptsOf]) -> None:
        """Count an attempt, before its outcome is known, so that many at once cannot exceed a limit.

        Raises RateLimited, and counts nothing, where one of the limits is used up.
        """
        now = self._clock()
        with self._table as table:
            cells = [self._cell(table, one) for one in counted]
            if any(table.read(cell)[2] >= one.limit for cell, one in zip(cells, counted, strict=True)):
                seconds = max(1, int(WINDOW_SECONDS - now % WINDOW_SECONDS + 0.999))
                raise RateLimited(
                    f"Too many attempts have failed. Try again in {seconds // 60 + 1} minutes.", seconds
                )
            for cell in cells:
                add_to(table, cell, 1)

    def succeed(self, counted: Sequence[AttemptsOf]) -> None:
        """Take an attempt back, which did not fail."""
        with self._table as table:
            for one in counted:
                add_to(table, self._cell(table, one), -1)

    def close(self) -> None:
        self._table.close()

    def _cell(self, table: SharedTable, one: AttemptsOf) -> int:
        return cell_of(table, one.name, int(self._clock()) // WINDOW_SECONDS & 0xFFFFFFFF)
