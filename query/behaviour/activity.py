"""In which periods each actor was active, and what follows from that.

``active_periods`` gives one number for each actor and period, in order, so that an actor's last and next
active period are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from query.behaviour.sequences import BLOCK, Integers, blocks_of, changes

Bits = NDArray[np.uint8]
TABLE_BYTES_MAX = 1 << 27
"""Up to this size, a table of actors by periods finds the different entries; beyond, a sort does."""
_DENSE_MAX = 1 << 21
"""Up to so many different numbers, an array has one place for each."""
NEW, RETURNING, RESURRECTED, DORMANT = range(4)
STATES = 4


def periods_of(times: Integers, edges: Integers) -> Integers:
    """The period of each time: i from ``edges[i]`` on; -1 before the first edge."""
    found: Integers = np.searchsorted(edges, times, side="right") - 1
    return found


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


def lifecycle(keys: Integers, period_count: int, actor_count: int) -> tuple[Integers, Integers]:
    """The actors of each state, by the numbers of ``active_periods``.

    Period 0 is the history, period 1 the one before the first that is asked about. An actor of a group is the
    number ``group * actor_count + actor``. Answers the cells ``group * periods + period`` that have actors,
    of the periods that are asked about, ascending; and for each cell the actors of each state.
    """
    actors, periods = np.divmod(keys, period_count)
    asked = period_count - 2
    cells = actors // actor_count * asked + periods - 2
    first = changes(actors)
    since = np.zeros(len(keys), dtype=np.int64)
    since[1:] = periods[1:] - periods[:-1]
    states = np.where(first, NEW, np.where(since == 1, RETURNING, RESURRECTED))
    groups = int(actors[-1] // actor_count) + 1 if len(keys) else 0
    tally = NumberCounts(groups * asked * STATES)
    tally.add((cells * STATES + states)[periods >= 2])
    follows = np.zeros(len(keys), dtype=bool)
    follows[:-1] = ~first[1:] & (since[1:] == 1)
    left = ~follows & (periods >= 1) & (periods + 1 < period_count)
    tally.add((cells[left] + 1) * STATES + DORMANT)
    places, counts = tally.result()
    found = np.unique(places // STATES)
    table = np.zeros((len(found), STATES), dtype=np.int64)
    table[np.searchsorted(found, places // STATES), places % STATES] = counts
    return found, table


def active_in_windows(keys: Integers, day_count: int, windows: Sequence[int]) -> list[Integers]:
    """For each window of so many days, the actors of the window that ends with each day."""
    actors, days = np.divmod(keys, day_count)
    following = np.full(len(keys), 2 * day_count, dtype=np.int64)
    following[:-1] = np.where(changes(actors)[1:], 2 * day_count, days[1:])
    found = []
    for window in windows:
        # The day counts the actor until the window has passed, or another day counts it.
        ends = np.minimum(np.minimum(days + window, following), day_count)
        steps = np.bincount(days, minlength=day_count + 1) - np.bincount(ends, minlength=day_count + 1)
        found.append(steps.cumsum()[:day_count])
    return found


def periods_by_actor(keys: Integers, period_count: int) -> Integers:
    """How many actors were active in 0, 1, 2 … different periods; nobody in 0."""
    begins = np.flatnonzero(changes(keys // period_count))
    return np.bincount(np.diff(np.append(begins, len(keys))), minlength=period_count + 1)


class NumberCounts:
    """Counts whole numbers below ``size``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._dense = np.zeros(size, dtype=np.int64) if size <= _DENSE_MAX else None
        self._keys = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)

    def add(self, numbers: Integers) -> None:
        if not len(numbers):
            return
        if self._dense is not None:
            self._dense += np.bincount(numbers, minlength=self._size)
            return
        keys, counts = np.unique(numbers, return_counts=True)
        merged, places = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        self._counts = np.bincount(
            places, weights=np.concatenate([self._counts, counts]), minlength=len(merged)
        ).astype(np.int64)
        self._keys = merged

    def result(self) -> tuple[Integers, Integers]:
        """The numbers that occurred, ascending, and how often each did."""
        if self._dense is None:
            return self._keys, self._counts
        found = np.flatnonzero(self._dense)
        return found, self._dense[found]
