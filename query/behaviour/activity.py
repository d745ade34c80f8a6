"""In which periods each actor was active: one entry for each actor and period, in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from query.behaviour.sequences import BLOCK, Flags, Integers, blocks_of

TABLE_BYTES_MAX = 1 << 27
"""Up to this size, a table of actors by periods finds the different entries; beyond, a sort does."""


def periods_of(times: Integers, edges: Integers) -> Integers:
    """The period of each time: i from ``edges[i]`` on; -1 before the first edge."""
    return np.searchsorted(edges, times, side="right") - 1


def active_periods(
    actors: NDArray[np.integer], periods: Integers, actor_count: int, period_count: int
) -> Integers:
    """The different pairs as ``actor * period_count + period``, ascending. All periods are at least 0."""
    keys = actors.astype(np.int64)
    keys *= period_count
    keys += periods
    if actor_count * period_count <= TABLE_BYTES_MAX:
        seen = np.zeros(actor_count * period_count, dtype=bool)
        seen[keys] = True
        return np.flatnonzero(seen)
    keys.sort()
    return keys[changes(keys)]


def table_bytes(event_count: int, actor_count: int, period_count: int) -> int:
    """The memory that ``active_periods`` takes, at most."""
    return 2 * 8 * event_count + min(TABLE_BYTES_MAX, actor_count * period_count)


def actor_blocks(
    keys: Integers, period_count: int, block: int = BLOCK
) -> Iterator[tuple[Integers, Integers]]:
    """Actors and periods of the pairs, about ``block`` at a time, those of an actor always together."""
    for start, end in blocks_of(keys // period_count, block):
        actors, periods = np.divmod(keys[start:end], period_count)
        yield actors, periods


def changes(values: NDArray[np.integer], *more: NDArray[np.integer]) -> Flags:
    """Whether each entry differs from the one before it, in any of the arrays; the first one does."""
    new = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    for other in more:
        new[1:] |= other[1:] != other[:-1]
    return new
