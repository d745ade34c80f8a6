"""Funnels whose steps follow each other in time, over the sequences of all actors at once.

An event reaches a step if it counts for it and follows an event that reached the required step before, within
the window of that chain's first event. Of the events that it may follow, the latest has the latest first
event and the shortest gap, so that only that one need be looked at: each step takes a few passes over the
arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from query.behaviour.sequences import Flags, Integers, Sequences, changes


@dataclass(frozen=True, slots=True)
class StepRule:
    """How a step follows the required step before. Gaps are in µs, ends included.

    ``optional``: later steps need not follow it. ``inverted``: counts those who did not do it after.
    ``excluded``: bits of which no event may have one between the two.
    """

    optional: bool = False
    inverted: bool = False
    least_gap: int = 0
    most_gap: int | None = None
    excluded: int = 0


@dataclass(frozen=True, slots=True)
class OrderRules:
    """What it means to follow. ``window``: µs from the first event of a chain to its last, ends included.

    ``adjacent``: no event that counts for a step lies between, but for those of optional steps whose place
    that is. ``later``: an event of the same time does
    not follow; otherwise events of one time follow each other in the order of the steps they count for.
    ``entered``: times from and before which a chain begins, in µs.
    """

    window: int | None = None
    adjacent: bool = False
    later: bool = False
    entered: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """The events that reach a step, and for each the event before it in its chain and the chain's first."""

    events: Integers
    previous: Integers
    begun: Integers


@dataclass(frozen=True, slots=True)
class Followed:
    """What was found: indexes of a block's events."""

    counted: list[Integers]
    """The numbers of the actors that each step counts, ascending."""
    reached: list[Reached | None]
    """The events that reach each step; None for inverted steps."""


def passed_over(steps: Sequence[StepRule], number: int) -> int:
    """The bits of the optional steps between the required step before a step and the step itself."""
    bits = 0
    for at in range(number - 1, 0, -1):
        if steps[at].optional:
            bits |= 1 << at
        elif not steps[at].inverted:
            break
    return bits


def follow(events: Sequences, steps: Sequence[StepRule], rules: OrderRules) -> Followed:
    """Follow the steps in order. Of the first step only ``excluded`` has no meaning, as all of its rule."""
    chains = _Chains(events, rules, (1 << len(steps)) - 1)
    counted, reached = [], []
    for number, step in enumerate(steps):
        if number == 0:
            found: Reached | None = chains.begin()
        elif step.inverted:
            found = None
            counted.append(chains.leave_out(number, optional=step.optional))
        else:
            found = chains.reach(number, step, passed_over(steps, number))
        reached.append(found)
        if found is not None:
            counted.append(_distinct(events.actors[found.events]))
    return Followed(counted, reached)


@dataclass(frozen=True, slots=True)
class ActorAttempts:
    """One chain of each actor that did the first step: of those that get furthest, the one that ends first.

    Of the events that may come before one in a chain, the latest one does.
    """

    actors: Integers
    events: Integers
    """For each step and actor the index of the event; -1 where the chain does not get there."""


def attempts(events: Sequences, steps: Sequence[StepRule], followed: Followed) -> ActorAttempts:
    """The attempt of each actor. Optional and inverted steps have no event in it."""
    actors = followed.counted[0]
    found = np.full((len(steps), len(actors)), -1)
    required = [
        (number, reached)
        for number, (step, reached) in enumerate(zip(steps, followed.reached, strict=True))
        if reached is not None and not (number and step.optional)
    ]
    left = np.ones(len(actors), dtype=bool)
    for at in range(len(required) - 1, -1, -1):
        reached = required[at][1]
        ends = reached.events[changes(events.actors[reached.events])]
        own = np.searchsorted(actors, events.actors[ends])
        new = left[own]
        own, ends = own[new], ends[new]
        left[own] = False
        for number, before in reversed(required[: at + 1]):
            found[number, own] = ends
            ends = before.previous[np.searchsorted(before.events, ends)]
    return ActorAttempts(actors, found)


def conversions(events: Sequences, reached: Reached) -> int:
    """The greatest number of chains to this step of which no two overlap, over all actors.

    Chains of an actor do not overlap if one begins after the other has ended.
    """
    ends, begun = reached.events, reached.begun
    if not len(ends):
        return 0
    # Later ends have later beginnings, so the next chain is the first that begins after this one's end.
    following = np.searchsorted(begun, ends, side="right")
    same = following < len(ends)
    same[same] = events.actors[ends[following[same]]] == events.actors[ends[same]]
    following = np.append(np.where(same, following, len(ends)), len(ends))
    length = np.append(np.ones(len(ends), dtype=np.int64), 0)
    while (following < len(ends)).any():
        # Each pass doubles how far every chain has been followed.
        length = length + length[following]
        following = following[following]
    return int(length[:-1][changes(events.actors[ends])].sum())


@dataclass(slots=True)
class _Chains:
    """The chains so far, as of the last required step."""

    events: Sequences
    rules: OrderRules
    step_bits: int
    left: Flags = field(init=False)
    """Whether each event reached it, and the inverted steps since have not taken it out."""
    latest: Integers = field(init=False)
    """The index of the latest event, up to each one, that reached it; below the actor's first for none."""
    begun: Integers = field(init=False)
    """The index of the first event of the chain that ends with each event that reached it."""
    barriers: list[Integers] = field(default_factory=list)
    """For each inverted step since: the index of its latest event up to each event."""
    _before: Integers = field(init=False)
    """The index of the last event that each one may follow."""
    _after: Integers = field(init=False)
    """The index of the first event that may follow each one."""
    _ordinals: dict[int, Integers | None] = field(default_factory=dict)
    """By the bits of steps that are passed over: how many events that count for another step there are up to
    each one; None where all do."""

    def __post_init__(self) -> None:
        self.begun = np.arange(self.events.size)
        if self.rules.later:
            self._before, self._after = self.events.before_ties(), self.events.after_ties()
        else:
            self._before, self._after = self.begun - 1, self.begun + 1

    def begin(self) -> Reached:
        flags = self.events.counting_for(0)
        if self.rules.entered is not None:
            start, end = self.rules.entered
            flags &= (self.events.times >= start) & (self.events.times < end)
        self._set_reached(flags)
        found = np.flatnonzero(flags)
        return Reached(found, found, found)

    def reach(self, number: int, step: StepRule, passed: int) -> Reached:
        """Add a step; the events that reach it. Events of the steps of ``passed`` alone never lie between."""
        events = self.events
        found = np.flatnonzero(events.counting_for(number))
        last = self._last_before(found, step.least_gap)
        found, last = _where(last >= events.first[found], found, last)
        previous = self.latest[last]
        found, last, previous = _where(previous >= events.first[found], found, last, previous)
        if self.rules.adjacent:
            adjacent = self._are_adjacent(previous, found, passed)
            found, last, previous = _where(adjacent, found, last, previous)
        barriers = list(self.barriers)
        if step.excluded:
            barriers.append(_latest(events.steps & step.excluded != 0))
        for barrier in barriers:
            free = ~self._is_barred(barrier, found, previous)
            found, last, previous = _where(free, found, last, previous)
        if step.most_gap is not None:
            near = events.times[found] - events.times[previous] <= step.most_gap
            found, previous = found[near], previous[near]
        begun = self.begun[previous]
        if self.rules.window is not None:
            in_time = events.times[found] - events.times[begun] <= self.rules.window
            found, previous, begun = found[in_time], previous[in_time], begun[in_time]
        if not step.optional:
            self.begun = self.begun.copy()
            self.begun[found] = begun
            self.barriers = []
            flags = np.zeros(events.size, dtype=bool)
            flags[found] = True
            self._set_reached(flags)
        return Reached(found, previous, begun)

    def leave_out(self, number: int, *, optional: bool) -> Integers:
        """Add an inverted step; the actors with a chain after which they did not do it, within its window."""
        events, hits = self.events, self.events.counting_for(number)
        ends = np.flatnonzero(self.left)
        following = _next(hits)[self._after[ends]]
        followed = following < events.size
        followed[followed] = events.actors[following[followed]] == events.actors[ends[followed]]
        if self.rules.window is not None:
            inside = np.flatnonzero(followed)
            spent = events.times[following[inside]] - events.times[self.begun[ends[inside]]]
            followed[inside] = spent <= self.rules.window
        if not optional:
            self.left[ends[followed]] = False
            self.barriers.append(_latest(hits))
        return _distinct(events.actors[ends[~followed]])

    def _set_reached(self, flags: Flags) -> None:
        self.left = flags.copy()
        self.latest = _latest(flags)

    def _last_before(self, found: Integers, gap: int) -> Integers:
        """The index of the last event that each one may follow, at least ``gap`` earlier."""
        before = self._before[found]
        return before if gap == 0 else np.minimum(before, self.events.last_until(found, gap))

    def _are_adjacent(self, previous: Integers, found: Integers, passed: int) -> Flags:
        if passed not in self._ordinals:
            counting = self.events.steps & self.step_bits & ~passed != 0
            self._ordinals[passed] = None if counting.all() else np.cumsum(counting)
        ordinals = self._ordinals[passed]
        adjacent: Flags = (
            previous == found - 1 if ordinals is None else ordinals[previous] == ordinals[found] - 1
        )
        return adjacent

    def _is_barred(self, barrier: Integers, found: Integers, previous: Integers) -> Flags:
        """Whether an event of an inverted step, or an excluded one, lies between each two events."""
        last = barrier[self._before[found]]
        between = last > previous
        if self.rules.later:
            between[between] = self.events.times[last[between]] > self.events.times[previous[between]]
        return between


def _where(flags: Flags, *arrays: Integers) -> tuple[Integers, ...]:
    return tuple(array[flags] for array in arrays)


def _distinct(actors: Integers) -> Integers:
    return actors[changes(actors)]


def _latest(flags: Flags) -> Integers:
    """The index of the latest event with the flag, up to each event; -1 before the first."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))


def _next(flags: Flags) -> Integers:
    """The index of the first event with the flag, from each event on, and one more entry for none."""
    size = len(flags)
    nearest = np.full(size + 1, size)
    nearest[:size] = np.where(flags, np.arange(size), size)
    return np.minimum.accumulate(nearest[::-1])[::-1]
