"""What is counted of sessions, and the like, in each cell of an answer: exact, over arrays.

``cells`` has the number of each item's cell, from 0; ``size`` is the number of cells, of which every one has
an item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from query.behaviour.sequences import Flags, Integers, changes

_PIECE_BITS = 20
"""Sums of so many bits of each value are exact as doubles."""
_KEY_BITS = 62
_TABLE_PART = 4
"""The most entries for each item that a table of all possible values has; otherwise the items are sorted."""


def counts(cells: Integers, size: int, kept: Flags | None = None) -> list[int]:
    """The items of each cell; of those with the flag."""
    found: list[int] = np.bincount(cells if kept is None else cells[kept], minlength=size).tolist()
    return found


def sums(cells: Integers, size: int, values: Integers) -> list[int]:
    """The sum of the values, none of which is negative, in each cell."""
    totals = [0] * size
    shift = 0
    while True:
        pieces = (values >> shift) & ((1 << _PIECE_BITS) - 1)
        found = np.bincount(cells, weights=pieces, minlength=size).tolist()
        totals = [total + (int(piece) << shift) for total, piece in zip(totals, found, strict=True)]
        shift += _PIECE_BITS
        if not len(values) or not (values >> shift).any():
            return totals


def distinct(cells: Integers, size: int, values: Integers) -> list[int]:
    """The number of different values, none of which is negative, in each cell."""
    width = int(values.max()) + 1 if len(values) else 1
    if size * width <= _TABLE_PART * len(values):
        seen = np.zeros(size * width, dtype=np.bool_)
        seen[cells * width + values] = True
        found: list[int] = np.count_nonzero(seen.reshape(size, width), axis=1).tolist()
        return found
    cells, values = _in_order(cells, values)
    return counts(cells, size, changes(cells, values))


def percentiles(cells: Integers, size: int, values: Integers, asked: Sequence[float]) -> list[list[int]]:
    """For each of the percentiles, by nearest rank, the value in each cell."""
    cells, values = _in_order(cells, values)
    numbers = np.bincount(cells, minlength=size)
    begins = np.cumsum(numbers) - numbers
    found = []
    for percentile in asked:
        share = Fraction(str(percentile)) / 100
        ranks = [max(1, math.ceil(share * number)) for number in numbers.tolist()]
        found.append(values[begins + np.array(ranks, dtype=np.int64) - 1].tolist())
    return found


def pairs(cells: Integers, codes: Integers) -> tuple[Integers, Integers, Integers]:
    """The different pairs of a cell and a code, in order, and how many items have each."""
    cells, codes = _in_order(cells, codes)
    places = np.flatnonzero(changes(cells, codes))
    return cells[places], codes[places], np.diff(np.append(places, len(cells)))


def numbered(values: Integers) -> tuple[Integers, Integers]:
    """The different values, ascending, and which of them each item has. No value is negative."""
    width = int(values.max()) + 1 if len(values) else 1
    if width > _TABLE_PART * len(values):
        return np.unique(values, return_inverse=True)
    seen = np.zeros(width, dtype=np.bool_)
    seen[values] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[values]


def different(codes: Sequence[Integers], sizes: Sequence[int]) -> tuple[list[tuple[int, ...]], Integers]:
    """The different combinations of codes, of which there are ``sizes``, and which of them each item has."""
    numbers = np.zeros(len(codes[0]), dtype=np.int64)
    combinations: list[tuple[int, ...]] = [()]
    for own, size in zip(codes, sizes, strict=True):
        found, numbers = numbered(numbers * size + own)
        pairs_found = (divmod(number, size) for number in found.tolist())
        combinations = [(*combinations[before], code) for before, code in pairs_found]
    return combinations, numbers


def _in_order(cells: Integers, values: Integers) -> tuple[Integers, Integers]:
    """Both arrays by cell, then by value; no value is negative."""
    bits = max(1, int(values.max()).bit_length()) if len(values) else 1
    if len(cells) and bits + int(cells.max()).bit_length() > _KEY_BITS:
        order = np.lexsort((values, cells))
        return cells[order], values[order]
    key = cells << bits
    key |= values
    key.sort()
    return key >> bits, key & ((1 << bits) - 1)
