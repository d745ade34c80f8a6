"""Funnels whose steps follow each other in time, over the sequences of all actors at once.

An event reaches a step if it counts for it and follows an event that reached the required step before, within
the window of that chain's first event. Of the events that it may follow, the latest has the latest first
event, so that only that one need be looked at: each step takes a few passes over the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from query.behaviour.sequences import Flags, Integers, Sequences


@dataclass(frozen=True, slots=True)
class StepRule:
    """``optional``: later steps need not follow it. ``inverted``: counts those who did not do it after."""

    optional: bool = False
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class OrderRules:
    """What it means to follow. ``window``: µs from the first event of a chain to its last, ends included.

    ``adjacent``: no event that counts for any step lies between. ``later``: an event of the same time does
    not follow; otherwise events of one time follow each other in the order of the steps they count for.
    """

    window: int | None = None
    adjacent: bool = False
    later: bool = False


def actors_by_step(events: Sequences, steps: Sequence[StepRule], rules: OrderRules) -> list[Integers]:
    """The numbers of the actors that each step counts, ascending. The rule of the first step is not used."""
    chains = _Chains(events, rules)
    counted = [chains.begin()]
    for number, step in enumerate(steps[1:], 1):
        if step.inverted:
            counted.append(chains.leave_out(number, optional=step.optional))
        else:
            counted.append(chains.follow(number, optional=step.optional))
    return counted


@dataclass(slots=True)
class _Chains:
    """The chains so far, as of the last required step."""

    events: Sequences
    rules: OrderRules
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

    def __post_init__(self) -> None:
        self.begun = np.arange(self.events.size)
        if self.rules.later:
            self._before, self._after = self.events.before_ties(), self.events.after_ties()
        else:
            self._before, self._after = self.begun - 1, self.begun + 1

    def begin(self) -> Integers:
        self._set_reached(self.events.counting_for(0))
        return self._actors(np.flatnonzero(self.left))

    def follow(self, step: int, *, optional: bool) -> Integers:
        """Add a step; the actors that reach it."""
        events = self.events
        found = np.flatnonzero(events.counting_for(step))
        found = found[self._before[found] >= events.first[found]]
        previous = self.latest[self._before[found]]
        follows = previous >= events.first[found]
        if self.rules.adjacent:
            follows &= previous == found - 1
        for barrier in self.barriers:
            follows &= ~self._is_barred(barrier, found, previous)
        found, previous = found[follows], previous[follows]
        if self.rules.window is not None:
            in_time = events.times[found] - events.times[self.begun[previous]] <= self.rules.window
            found, previous = found[in_time], previous[in_time]
        if not optional:
            begun = self.begun.copy()
            begun[found] = self.begun[previous]
            self.begun = begun
            self.barriers = []
            flags = np.zeros(events.size, dtype=bool)
            flags[found] = True
            self._set_reached(flags)
        return self._actors(found)

    def leave_out(self, step: int, *, optional: bool) -> Integers:
        """Add an inverted step; the actors with a chain after which they did not do it, within its window."""
        events, hits = self.events, self.events.counting_for(step)
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
        return self._actors(ends[~followed])

    def _set_reached(self, flags: Flags) -> None:
        self.left = flags
        self.latest = _latest(flags)

    def _is_barred(self, barrier: Integers, found: Integers, previous: Integers) -> Flags:
        """Whether an event of an inverted step lies between each two events."""
        last = barrier[self._before[found]]
        between = last > previous
        if self.rules.later:
            between[between] = self.events.times[last[between]] > self.events.times[previous[between]]
        return between

    def _actors(self, found: Integers) -> Integers:
        actors = self.events.actors[found]
        new = np.ones(len(actors), dtype=bool)
        new[1:] = actors[1:] != actors[:-1]
        return actors[new]


def _latest(flags: Flags) -> Integers:
    """The index of the latest event with the flag, up to each event; -1 before the first."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))


def _next(flags: Flags) -> Integers:
    """The index of the first event with the flag, from each event on, and one more entry for none."""
    size = len(flags)
    nearest = np.full(size + 1, size)
    nearest[:size] = np.where(flags, np.arange(size), size)
    return np.minimum.accumulate(nearest[::-1])[::-1]
