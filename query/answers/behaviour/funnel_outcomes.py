"""What became of those who entered a funnel, as arrays: the steps that count each, its group, its times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query.answers.behaviour.actor_events import ReadEvents, holding
from query.behaviour.ordered_funnel import (
    ActorAttempts,
    Followed,
    OrderRules,
    StepRule,
    attempts,
    conversions,
    follow,
)
from query.behaviour.sequences import ActorEvents, Integers, Sequences, changes, each_block
from query.behaviour.sessions import SessionRules, by_session
from query.behaviour.values import Values
from query.engine.runner import Runner
from query.language.analyses.behaviour_nodes import (
    Counting,
    EqualTimes,
    FunnelAttribution,
    FunnelOrder,
    FunnelQuery,
)

NEVER = np.iinfo(np.int64).min
"""The time of a step that was not reached."""
_ENTRY_BYTES = 24


@dataclass(frozen=True)
class Outcomes:
    """One entry for each that a step counts: an actor, or a session of one."""

    actors: Integers
    masks: Integers
    """A bit for each step that counts it."""
    groups: Integers | None
    """Codes of the values of the group."""
    times: Integers | None
    """For each step and entry the time of the attempt's event in µs; NEVER for none."""
    converted: list[int] = field(default_factory=list)
    """The conversions of each step, over all actors, where they are what is counted."""

    def of_group(self, group: int) -> Outcomes:
        assert self.groups is not None
        own = self.groups == group
        times = None if self.times is None else self.times[:, own]
        return Outcomes(self.actors[own], self.masks[own], None, times)


@dataclass(frozen=True)
class Entrants:
    """The events of a funnel, prepared once for all intervals."""

    query: FunnelQuery
    read: ReadEvents
    owners: Integers | None
    """The actor of each subject, where a property is held constant."""
    groups: Values | None
    """Those of the group; the marks of the events are their codes."""

    @property
    def events(self) -> ActorEvents:
        return self.read.events


def entrants(query: FunnelQuery, read: ReadEvents) -> Entrants:
    """The events of those who did the first step."""
    values = dict(zip((name for _, name in query.values_read), read.further, strict=True))
    owners, groups = None, values.get("group_by")
    marks = None if groups is None else groups.codes.astype(np.int64)
    read = replace(read, events=replace(read.events, marks=marks))
    if "hold" in values:
        read, owners = holding(read, values["hold"])
    first = read.events.doing(0)
    # The values of all events are not needed any more, and are large.
    return Entrants(query, replace(read, events=read.events.of_actors(first), further=()), owners, groups)


def outcomes(entered: Entrants, span: tuple[int, int] | None, runner: Runner) -> Outcomes:
    """Of those who entered within ``span``, in µs."""
    query = entered.query
    steps, order = rules_of(query, span)
    events = _within(entered.events, span, query.window)
    kept: list[Outcomes] = []

    def followed_in(block: Sequences) -> Outcomes:
        runner.check()
        sequences, owners = block, entered.owners
        if query.session_gap is not None:
            sequences, owners = by_session(block, SessionRules(query.session_gap))
            owners = owners if entered.owners is None else entered.owners[owners]
        followed = follow(sequences, steps, order)
        found = _of_block(entered, steps, sequences, followed, owners)
        if query.counting is not Counting.CONVERSIONS:
            return found
        reached = (0 if one is None else conversions(sequences, one) for one in followed.reached)
        return replace(found, converted=list(reached))

    for found in each_block(events, len(query.selections), followed_in, runner.threads):
        kept.append(found)
        runner.reservation.reserve(_ENTRY_BYTES * len(found.actors) + _bytes_of(found.times))
    if not kept:
        return none_entered(query)
    whole = _joined(kept)
    if entered.owners is not None and query.counting is Counting.ACTORS:
        whole = _best_of_each(whole)
    converted = zip(*(one.converted for one in kept), strict=True)
    return replace(whole, converted=list(map(sum, converted)))


def rules_of(query: FunnelQuery, span: tuple[int, int] | None = None) -> tuple[list[StepRule], OrderRules]:
    """The rules of a funnel's steps, for those who entered within ``span``."""
    order = OrderRules(
        query.window, query.order is FunnelOrder.STRICT, query.equal_times is EqualTimes.APART, span
    )
    size = len(query.steps)
    required = [at for at, step in enumerate(query.steps) if not (step.optional or step.inverted)]
    rules = []
    for at, step in enumerate(query.steps):
        before = max((one for one in required if one < at), default=0)
        # An event of an exclusion may lie in none of the gaps between its two steps.
        excluded = sum(
            1 << size + bit
            for bit, one in enumerate(query.exclusions)
            if at > 0 and one.after < at and before < one.before
        )
        rules.append(StepRule(step.optional, step.inverted, step.least_gap, step.most_gap, excluded))
    return rules, order


def _within(events: ActorEvents, span: tuple[int, int] | None, window: int | None) -> ActorEvents:
    """The events that can matter to those who enter within the span."""
    if span is None:
        return events
    start, end = span
    rows = events.times >= start
    if window is not None:
        rows &= events.times < end + window
    return events.at(np.flatnonzero(rows))


def _of_block(
    entered: Entrants,
    steps: Sequence[StepRule],
    events: Sequences,
    followed: Followed,
    owners: Integers | None,
) -> Outcomes:
    query, subjects = entered.query, followed.counted[0]
    masks = np.zeros(len(subjects), dtype=np.int64)
    for at, found in enumerate(followed.counted):
        masks[np.searchsorted(subjects, found)] |= 1 << at
    groups = times = None
    if query.group is not None or query.durations is not None or query.hold is not None:
        made = attempts(events, steps, followed)
        times = np.where(made.events >= 0, events.times[made.events], NEVER)
        if entered.groups is not None:
            groups = _groups(query.attribution, made, events, entered.groups.size - 1)
    return Outcomes(subjects if owners is None else owners[subjects], masks, groups, times)


def _groups(
    attribution: FunnelAttribution | int, made: ActorAttempts, events: Sequences, null: int
) -> Integers:
    """The group of each attempt; ``null`` where it does not get to the step that says it."""
    assert events.marks is not None
    if attribution is FunnelAttribution.FIRST:
        chosen = made.events[0]
    elif attribution is FunnelAttribution.LAST:
        # Later events of an attempt have greater indexes.
        chosen = made.events.max(axis=0)
    else:
        chosen = made.events[attribution]
    groups: Integers = np.where(chosen >= 0, events.marks[chosen], null)
    return groups


def none_entered(query: FunnelQuery) -> Outcomes:
    none = np.zeros(0, dtype=np.int64)
    return Outcomes(none, none, none, np.zeros((len(query.steps), 0), dtype=np.int64))


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    groups = [one.groups for one in parts if one.groups is not None]
    times = [one.times for one in parts if one.times is not None]
    return Outcomes(
        np.concatenate([one.actors for one in parts]),
        np.concatenate([one.masks for one in parts]),
        np.concatenate(groups) if groups else None,
        np.hstack(times) if times else None,
    )


def _best_of_each(found: Outcomes) -> Outcomes:
    """One entry for each actor: the steps that count it with any value, its attempt of all values."""
    assert found.times is not None
    got_to = found.times != NEVER
    furthest = np.where(got_to, np.arange(len(got_to))[:, None], -1).max(axis=0, initial=-1)
    ended = found.times.max(axis=0, initial=NEVER)
    ties = [*([] if found.groups is None else [found.groups]), *found.times[::-1]]
    order = np.lexsort((*ties, ended, -furthest, found.actors))
    actors = found.actors[order]
    begins = np.flatnonzero(changes(actors))
    masks = np.bitwise_or.reduceat(found.masks[order], begins) if len(actors) else found.masks
    best = order[begins]
    return Outcomes(
        found.actors[best],
        masks,
        None if found.groups is None else found.groups[best],
        found.times[:, best],
    )


def _bytes_of(array: NDArray[Any] | None) -> int:
    return 0 if array is None else array.nbytes
