"""The values of a property of events as whole numbers, in the order of the values.

The order is that of the parts (numbers, strings, …), then that of the values of a part; events without a
value are last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.behaviour.sequences import Integers, encoded

_NUMBERS_MAX = 1 << 62


@dataclass(frozen=True, slots=True)
class Values:
    """``codes``: row by row; ``distinct``: the values of each part, those of the first part coded first."""

    codes: NDArray[np.int32]
    distinct: Sequence[pa.Array]

    @property
    def size(self) -> int:
        """The number of codes; the last one is that of events without a value."""
        return sum(map(len, self.distinct)) + 1

    def place(self, code: int) -> tuple[int, int] | None:
        """The part of a code, and the index in it; None for no value."""
        for part, values in enumerate(self.distinct):
            if code < len(values):
                return part, code
            code -= len(values)
        return None


def coded(parts: Sequence[pa.ChunkedArray], rows: int, threads: int = 1) -> Values:
    """Of the parts of a row, at most one is not null."""
    codes = np.full(rows, -1, dtype=np.int32)
    distinct: list[pa.Array] = []
    first = 0
    for part in parts:
        indices, values = encoded(part, threads)
        order = pc.sort_indices(values)
        ranks = np.empty(len(order) + 1, dtype=np.int32)
        ranks[order.to_numpy()] = np.arange(first, first + len(order), dtype=np.int32)
        # The last rank is that of the number -1, which stands for null.
        ranks[-1] = -1
        found = ranks[indices]
        codes = found if len(parts) == 1 else np.where(found >= 0, found, codes)
        distinct.append(values.take(order))
        first += len(order)
    codes[codes < 0] = first
    return Values(codes, distinct)


@dataclass(frozen=True, slots=True)
class Marks:
    """One number for each row that stands for the codes of several values, in the order of these."""

    numbers: Integers
    sizes: tuple[int, ...]
    table: tuple[Integers, ...] | None = None
    """The codes of each value by number, where the numbers are not computed from them."""

    def codes(self, numbers: Integers) -> list[Integers]:
        """The codes of each value that the numbers stand for."""
        if self.table is not None:
            return [codes[numbers] for codes in self.table]
        found: list[Integers] = []
        for size in reversed(self.sizes):
            found.append(numbers % size)
            numbers = numbers // size
        return found[::-1]


def marks_of(values: Sequence[Values]) -> Marks | None:
    """None where there are no values."""
    if not values:
        return None
    sizes = tuple(one.size for one in values)
    if math.prod(sizes) > _NUMBERS_MAX:
        return _ranked(values, sizes)
    numbers = values[0].codes.astype(np.int64)
    for one in values[1:]:
        numbers *= one.size
        numbers += one.codes
    return Marks(numbers, sizes)


def _ranked(values: Sequence[Values], sizes: tuple[int, ...]) -> Marks:
    """Numbers by the order of all different combinations."""
    order = np.lexsort([one.codes for one in reversed(values)])
    differs = np.zeros(len(order), dtype=bool)
    for one in values:
        codes = one.codes[order]
        differs[1:] |= codes[1:] != codes[:-1]
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.cumsum(differs)
    differs[:1] = True
    rows = order[differs]
    return Marks(numbers, sizes, tuple(one.codes[rows].astype(np.int64) for one in values))
