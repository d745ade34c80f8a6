"""Who comes back: cohorts of actors by when they started, and the periods after it in which they returned.

An *entry* is an actor in a cohort, with the event that put it there. Its returning events are those of the
actor from that event on; in the order of ``in_sequence`` they are neighbours, and so are those that count for
the same column. The mark of an entry is the least one of the starting events of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from query.behaviour.activity import NumberCounts, active_periods, actor_blocks, changes, periods_of
from query.behaviour.sequences import BLOCK, ActorEvents, Flags, Integers, Sequences, in_sequence

STARTS, RETURNS = 1, 2
"""Bits of an event's mask."""
_PAIRS_MAX = 1 << 20
"""Pairs of an entry and a returning event that are looked at at once."""


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """What counts. ``edges``: where cohorts begin, and the end of the last one.

    ``firsts`` and ``lasts``: the periods of each column, ascending. ``length``: of a rolling period in µs;
    None: periods are those of ``edges``. ``same``: the starting event is the returning one.
    """

    edges: Integers
    firsts: Integers
    lasts: Integers
    recurring: bool = False
    length: int | None = None
    or_after: bool = False
    same: bool = False

    @property
    def cohort_count(self) -> int:
        return len(self.edges) - 1


@dataclass(frozen=True, slots=True)
class RetentionCounts:
    """``rows``: ``mark * cohorts + cohort`` of each row that has actors, ascending; their ``sizes``, and the
    actors ``retained`` in each column."""

    rows: Integers
    sizes: Integers
    retained: Integers


def retention(
    events: ActorEvents, rules: RetentionRules, marks: int = 1, check: Callable[[], None] = lambda: None
) -> RetentionCounts:
    """Counts the actors of each cohort, and those who returned. ``marks``: their number."""
    count, columns = rules.cohort_count, len(rules.firsts)
    sizes = NumberCounts(marks * count)
    cells = NumberCounts(marks * count * columns)
    for block in _blocks(events, rules):
        check()
        entries = _entries(block, rules)
        rows = entries.marks * count + entries.cohorts
        sizes.add(rows)
        for owners, found in _returned(block, entries, rules):
            check()
            cells.add(rows[owners] * columns + found)
    numbers, of_rows = sizes.result()
    retained = np.zeros((len(numbers), columns), dtype=np.int64)
    where, counts = cells.result()
    if len(where):
        retained[np.searchsorted(numbers, where // columns), where % columns] = counts
    if rules.or_after:
        # Each entry was counted in the last column that it reaches.
        retained = retained[:, ::-1].cumsum(axis=1)[:, ::-1]
    return RetentionCounts(numbers, of_rows, retained)


def _blocks(events: ActorEvents, rules: RetentionRules) -> Iterator[Sequences]:
    if rules.same and rules.length is None and events.marks is None:
        # Which event of a period does not matter: all that is needed are the periods of each actor.
        periods = periods_of(events.times, rules.edges)
        keys = active_periods(events.actors, periods, events.count, rules.cohort_count)
        for actors, own in actor_blocks(keys, rules.cohort_count):
            yield _sequence(actors, rules.edges[own])
    else:
        # One step, so that of the events of one time the starting ones come first.
        yield from in_sequence(events, 1, BLOCK)


def _sequence(actors: Integers, times: Integers) -> Sequences:
    indexes = np.arange(len(actors))
    first = np.maximum.accumulate(np.where(changes(actors), indexes, 0))
    return Sequences(actors, times, np.full(len(actors), STARTS, dtype=np.int64), first)


@dataclass(frozen=True, slots=True)
class _Entries:
    """``at``: the index of the event of each entry, ascending; ``end``: that behind its actor's last one."""

    at: Integers
    end: Integers
    cohorts: Integers
    marks: Integers


def _entries(block: Sequences, rules: RetentionRules) -> _Entries:
    starts = np.flatnonzero(block.steps & STARTS)
    actors = block.actors[starts]
    cohorts = periods_of(block.times[starts], rules.edges)
    new = changes(actors, cohorts) if rules.recurring else changes(actors)
    # An actor whose first event lies before the timeframe is in no cohort.
    new &= cohorts >= 0
    marks = _least_marks(block, starts)[new]
    starts, actors, cohorts = starts[new], actors[new], cohorts[new]
    return _Entries(starts, np.searchsorted(block.actors, actors, side="right"), cohorts, marks)


def _least_marks(block: Sequences, starts: Integers) -> Integers:
    """For each of the starting events the least mark of those of its actor and time."""
    if block.marks is None or not len(starts):
        return np.zeros(len(starts), dtype=np.int64)
    begins = np.flatnonzero(changes(block.actors[starts], block.times[starts]))
    least = np.minimum.reduceat(block.marks[starts], begins)
    return np.repeat(least, np.diff(np.append(begins, len(starts))))


def _returned(
    block: Sequences, entries: _Entries, rules: RetentionRules
) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of an entry and a column in which it returned, each once."""
    returns = np.flatnonzero(block.steps & (STARTS if rules.same else RETURNS))
    periods = periods_of(block.times[returns], rules.edges)
    actors = block.actors[returns]
    if rules.or_after:
        kept = _last_of(changes(actors))
    elif rules.length is None:
        kept = _last_of(changes(actors, periods))
    else:
        kept = np.ones(len(returns), dtype=bool)
    returns, periods = returns[kept], periods[kept]
    low = np.searchsorted(returns, entries.at)
    sizes = np.searchsorted(returns, entries.end) - low
    for start, end in _parts(sizes):
        owners = np.repeat(np.arange(start, end), sizes[start:end])
        offsets = np.cumsum(sizes[start:end]) - sizes[start:end]
        at = np.arange(len(owners)) + (low[start:end] - offsets)[owners - start]
        if rules.length is None:
            passed = periods[at] - entries.cohorts[owners]
        else:
            passed = (block.times[returns[at]] - block.times[entries.at[owners]]) // rules.length
        columns = np.searchsorted(rules.firsts, passed, side="right") - 1
        inside = columns >= 0
        if not rules.or_after:
            inside &= passed <= rules.lasts[columns]
        owners, columns = owners[inside], columns[inside]
        new = changes(owners, columns)
        yield owners[new], columns[new]


def _last_of(begins: Flags) -> Flags:
    """Whether each entry is the last of its run."""
    ends = np.ones(len(begins), dtype=bool)
    ends[:-1] = begins[1:]
    return ends


def _parts(sizes: Integers) -> Iterator[tuple[int, int]]:
    """Where the parts begin and end that have about ``_PAIRS_MAX`` pairs each."""
    until = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(until[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(until, before + _PAIRS_MAX, side="right")))
        yield start, end
        start = end
