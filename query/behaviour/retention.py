"""Who comes back: cohorts of actors by when they started, and the periods after it in which they returned.

An *entry* is an actor in a cohort, with the event that put it there. Its returning events are those of the
actor from that event on; in the order of ``in_sequence`` they are neighbours, and so are those that count for
the same column. The mark of an entry is the least one of the starting events of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from query.behaviour.activity import Bits, NumberCounts, actor_blocks, periods_of
from query.behaviour.sequences import BLOCK, ActorEvents, Flags, Integers, Sequences, changes, in_sequence

Words = NDArray[np.uint64]
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
    # One step, so that of the events of one time the starting ones come first.
    return _counted(in_sequence(events, 1, BLOCK), rules, marks, check)


def retention_of_periods(
    keys: Integers, rules: RetentionRules, check: Callable[[], None] = lambda: None
) -> RetentionCounts:
    """The same where all that matters is in which periods each actor was active: ``active_periods``."""
    count = rules.cohort_count
    blocks = (_sequence(actors, rules.edges[own]) for actors, own in actor_blocks(keys, count, BLOCK))
    return _counted(blocks, rules, 1, check)


def retention_of_bits(
    blocks: Iterable[Bits], rules: RetentionRules, check: Callable[[], None] = lambda: None
) -> RetentionCounts:
    """The same by whether each of some actors at a time was active in each period.

    For each period the actors are bits of a row of words, so that 64 of them are compared at once.
    """
    count = rules.cohort_count
    sizes = np.zeros(count, dtype=np.int64)
    retained = np.zeros((count, len(rules.firsts)), dtype=np.int64)
    for bits in blocks:
        active = _packed(bits)
        starts = active.copy()
        if not rules.recurring:
            starts[1:] &= ~np.bitwise_or.accumulate(active, axis=0)[:-1]
        sizes += _ones(starts)
        if rules.or_after:
            active = np.bitwise_or.accumulate(active[::-1], axis=0)[::-1]
        for cohort in range(count):
            check()
            listed = int(np.searchsorted(rules.firsts, count - cohort))
            returned = _within(active, cohort, rules, listed)
            retained[cohort, :listed] += _ones(returned & starts[cohort])
    rows = np.flatnonzero(sizes)
    return RetentionCounts(rows, sizes[rows], retained[rows])


def _within(active: Words, cohort: int, rules: RetentionRules, listed: int) -> Words:
    """For each column that begins within the timeframe, who was active in one of its periods."""
    firsts = cohort + rules.firsts[:listed]
    if rules.or_after or np.array_equal(rules.firsts, rules.lasts):
        return active[firsts]
    lasts = np.minimum(cohort + rules.lasts[:listed], len(active) - 1)
    spans = zip(firsts.tolist(), lasts.tolist(), strict=True)
    found = [np.bitwise_or.reduce(active[first : last + 1], axis=0) for first, last in spans]
    return np.array(found, dtype=np.uint64).reshape(listed, active.shape[1])


def _packed(bits: Bits) -> Words:
    """A row of words for each period, with a bit for each actor."""
    packed = np.packbits(bits.T, axis=1)
    words = np.zeros((packed.shape[0], -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    return words.view(np.uint64)


def _ones(words: Words) -> Integers:
    found: Integers = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    return found


def _counted(
    blocks: Iterable[Sequences], rules: RetentionRules, marks: int, check: Callable[[], None]
) -> RetentionCounts:
    count, columns = rules.cohort_count, len(rules.firsts)
    sizes = NumberCounts(marks * count)
    cells = NumberCounts(marks * count * columns)
    for block in blocks:
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


def _sequence(actors: Integers, times: Integers) -> Sequences:
    return Sequences(actors, times, np.full(len(actors), STARTS, dtype=np.int64))


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
