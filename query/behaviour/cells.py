"""What is counted of sessions, and the like, in each cell of an answer: exact, over arrays.

Items come in blocks. Those of a block are counted on their own and the blocks are added up, so that nothing
has the size of all items, and several blocks are counted at once. A cell has a number, its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from query.behaviour.sequences import Flags, Integers, changes
from query.behaviour.sorting import in_order
from query.behaviour.threads import in_threads

_KEY_BITS = 62
_TABLE_PART = 4
"""The most entries for each item that a table of all possible values has; otherwise the items are sorted."""
_LOW_BITS = 32
_LOW = (1 << _LOW_BITS) - 1


@dataclass(frozen=True, slots=True)
class Totals:
    """``places``: cells, ascending; ``totals``: of each kind a number for each of these cells."""

    places: Integers
    totals: Mapping[str, Integers]


def added(parts: Sequence[Totals], kinds: Sequence[str]) -> Totals:
    """The totals of all parts, each of which has these kinds."""
    places = _different([one.places for one in parts])
    totals = {kind: np.zeros(len(places), dtype=np.int64) for kind in kinds}
    for part in parts:
        at = np.searchsorted(places, part.places)
        for kind, total in totals.items():
            total[at] += part.totals[kind]
    return Totals(places, totals)


def counts(cells: Integers, size: int, kept: Flags | None = None) -> Integers:
    """The items of each cell, of which there are ``size``; of those with the flag."""
    if size == 1:
        return np.array([len(cells) if kept is None else np.count_nonzero(kept)], dtype=np.int64)
    return np.bincount(cells if kept is None else cells[kept], minlength=size)


def sums(cells: Integers, size: int, values: Integers) -> Integers:
    """The sum of the values in each cell, which fits into 64 bits."""
    if size == 1:
        return np.array([values.sum()], dtype=np.int64)
    found = np.zeros(size, dtype=np.int64)
    np.add.at(found, cells, values)
    return found


def halves(values: Integers) -> tuple[Integers, Integers]:
    """The higher and the lower bits of each value, whose sums do not overflow."""
    return values >> _LOW_BITS, values & _LOW


def of_halves(high: int, low: int) -> int:
    """The sum of values of which these are the sums of the ``halves``."""
    return (high << _LOW_BITS) + low


def distinct(cells: Integers, size: int, values: Integers) -> Integers:
    """The number of different values in each cell."""
    if not len(values):
        return np.zeros(size, dtype=np.int64)
    values = values - values.min()
    width = int(values.max()) + 1
    if size * width <= _TABLE_PART * len(values):
        seen = np.zeros(size * width, dtype=np.bool_)
        seen[cells * width + values] = True
        found: Integers = np.count_nonzero(seen.reshape(size, width), axis=1)
        return found
    cells, values = _in_order(cells, values)
    return counts(cells, size, changes(cells, values))


@dataclass(frozen=True, slots=True)
class CellValues:
    """A value of each item of a block, none of which is negative."""

    places: Integers
    """The cells of the block, ascending."""
    cells: NDArray[np.int32] | None
    """Which of these each item is in; None where there is one only."""
    values: Integers


def percentiles(
    parts: Sequence[CellValues], places: Integers, numbers: Integers, asked: Sequence[float], threads: int
) -> list[list[int]]:
    """For each of the percentiles, by nearest rank, the value in each cell.

    ``places``: all cells, ascending; ``numbers``: the items of each.
    """
    ranks = _ranks(numbers, asked)
    bits = max((int(part.values.max(initial=0)).bit_length() for part in parts), default=0)
    if bits + len(places).bit_length() > _KEY_BITS:
        cells = _joined([_cells_of(part, places) for part in parts])
        values = _joined([part.values for part in parts])
        values = values[np.lexsort((values, cells))]
        return [values[own].tolist() for own in ranks]

    def fill(at: int, keys: Integers) -> None:
        np.left_shift(_cells_of(parts[at], places), bits, out=keys)
        keys |= parts[at].values

    keys = in_order([len(part.values) for part in parts], fill, threads)
    return [(keys[own] & ((1 << bits) - 1)).tolist() for own in ranks]


def _cells_of(part: CellValues, places: Integers) -> Integers:
    """The cell of each item, as an index of ``places``."""
    own = np.searchsorted(places, part.places)
    return np.broadcast_to(own, len(part.values)) if part.cells is None else own[part.cells]


def _ranks(numbers: Integers, asked: Sequence[float]) -> list[Integers]:
    """For each of the percentiles, where the value of each cell is among all values in order."""
    begins = np.cumsum(numbers) - numbers
    shares = [Fraction(str(percentile)) / 100 for percentile in asked]
    each = [[max(1, math.ceil(share * number)) - 1 for number in numbers.tolist()] for share in shares]
    return [begins + np.array(own, dtype=np.int64) for own in each]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Different pairs of a place and a code, in order, and how many items have each."""

    places: Integers
    codes: Integers
    numbers: Integers


def pairs(cells: Integers, codes: Integers) -> Pairs:
    """The pairs of items."""
    return _paired(cells, codes, np.ones(len(cells), dtype=np.int64))


def added_pairs(parts: Sequence[Pairs]) -> Pairs:
    """The pairs of all parts."""
    places, codes, numbers = (
        _joined([getattr(one, name) for one in parts]) for name in ("places", "codes", "numbers")
    )
    return _paired(places, codes, numbers)


def _paired(places: Integers, codes: Integers, numbers: Integers) -> Pairs:
    order = np.lexsort((codes, places))
    places, codes = places[order], codes[order]
    begins = np.flatnonzero(changes(places, codes)) if len(places) else np.zeros(0, dtype=np.int64)
    totals = np.add.reduceat(numbers[order], begins) if len(begins) else begins
    return Pairs(places[begins], codes[begins], totals)


def numbered(values: Integers) -> tuple[Integers, Integers]:
    """The different values, ascending, and which of them each item has. No value is negative."""
    width = int(values.max()) + 1 if len(values) else 1
    if width > _TABLE_PART * len(values):
        return np.unique(values, return_inverse=True)
    seen = np.zeros(width, dtype=np.bool_)
    seen[values] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[values]


def different_of(blocks: Sequence[Integers], threads: int) -> Integers:
    """The different values of all blocks, ascending. No value is negative."""
    return _different(list(in_threads(_different_in, blocks, threads)))


def _different_in(values: Integers) -> Integers:
    width = int(values.max(initial=0)) + 1
    if width > _TABLE_PART * len(values):
        return np.unique(values)
    seen = np.zeros(width, dtype=np.bool_)
    seen[values] = True
    return np.flatnonzero(seen)


def _different(parts: Sequence[Integers]) -> Integers:
    return np.unique(_joined(parts))


def _joined(parts: Sequence[Integers]) -> Integers:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


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
