"""The answer to an ordered funnel, from events as they were sent. Slow and obvious."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from query.answers.values import value_order
from query.behaviour.ordered_funnel import OrderRules, StepRule
from query.language.analyses.behaviour_nodes import (
    Counting,
    EqualTimes,
    FunnelAttribution,
    FunnelOrder,
    FunnelQuery,
)
from query.language.nodes import Group
from storage.instants import format_instant
from tests.query import reference
from tests.query.behaviour.funnel_reference import Found, by_actor
from tests.query.support_source import Event

Json = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """An actor, or a session of one."""

    actor: Any
    found: Found

    @property
    def furthest(self) -> int:
        return max((at for at, event in enumerate(self.found.attempt) if event is not None), default=-1)

    def time(self, step: int) -> int | None:
        event = self.found.attempt[step]
        return None if event is None else self.found.events[event][1]

    def group(self, attribution: FunnelAttribution | int) -> Any:
        """The position of the group's value; None where the step was not reached."""
        named = {FunnelAttribution.FIRST: 0, FunnelAttribution.LAST: self.furthest}
        step = named[attribution] if isinstance(attribution, FunnelAttribution) else attribution
        event = self.found.attempt[step]
        return None if event is None else self.found.events[event][3]


@dataclass(frozen=True)
class Row:
    actor: Any
    time: int
    mask: int
    group: Any
    held: Any


class OrderedFunnel:
    """The answer, part by part."""

    def __init__(self, query: FunnelQuery, collections: dict[str, list[Event]]) -> None:
        self.query = query
        self.steps = range(len(query.steps))
        self.names: dict[Any, Any] = {}
        self.rows = self._read(collections)
        values = {_key(row.group): row.group for row in self.rows}
        values[_key(None)] = None
        self.groups = [values[key] for key in sorted(values)]
        spans: list[Any] = [None] if query.buckets is None else list(pairwise(query.buckets.edges))
        self.entries = [self._entries(span) for span in spans]

    def body(self) -> Json:
        query = self.query
        if query.group is None:
            values = [self._tally(entries) for entries in self.entries]
            values = [{"value": v.pop("result"), **v} for v in values] if query.buckets else values
        else:
            positions = sorted({self._group_of(one) for entries in self.entries for one in entries})
            values = [
                {
                    "value" if query.buckets else "result": [
                        {
                            query.group.path: self.groups[position],
                            **self._tally([one for one in entries if self._group_of(one) == position]),
                        }
                        for position in positions
                    ]
                }
                for entries in self.entries
            ]
        if query.buckets is None:
            body: Json = values[0]
        else:
            frames = [
                {"start": format_instant(start), "end": format_instant(end)}
                for start, end in pairwise(query.buckets.edges)
            ]
            rows = zip(frames, values, strict=True)
            body = {"result": [{"timeframe": frame, **value} for frame, value in rows]}
        if any(step.with_actors for step in query.steps):
            body["actors"] = [
                self._names(lambda did, at=at: did[at]) if step.with_actors else None
                for at, step in enumerate(query.steps)
            ]
        if any(step.with_dropped for step in query.steps):
            body["dropped"] = [
                self._names(lambda did, at=at: did[self._before(at)] and not did[at])
                if step.with_dropped
                else None
                for at, step in enumerate(query.steps)
            ]
        return body

    def _read(self, collections: dict[str, list[Event]]) -> list[Row]:
        query, rows = self.query, []
        scans: dict[tuple[str, str], list[int]] = {}
        for position, one in enumerate(query.selections):
            scans.setdefault((one.collection, one.actor), []).append(position)
        for (collection, actor), positions in scans.items():
            for event in collections.get(collection, []):
                chosen = [(at, query.selections[at]) for at in positions]
                mask = sum(1 << at for at, one in chosen if reference.select([event], one.span, one.filters))
                for value in reference.values_of(event, actor):
                    if value is not None and mask:
                        key = reference.order_at(actor, value)
                        self.names.setdefault(key, value)
                        group, held = self._group(event), self._label(event, query.hold)
                        rows.append(Row(key, reference.time_of(event), mask, group, held))
        return rows if query.hold is None else [row for row in rows if row.held is not None]

    def _group(self, event: Event) -> Any:
        """The value of the group; a list is one value."""
        group = self.query.group
        if group is None or group == Group(group.path):
            return self._label(event, None if group is None else group.path)
        return reference.group_values(event, group)[0][1]

    def _label(self, event: Event, path: str | None) -> Any:
        value = None if path is None else reference.lookup(event, path)
        if isinstance(value, list) and value:
            return value
        return reference.values_of(event, path)[0] if path else None

    def _entries(self, span: tuple[int, int] | None) -> list[Entry]:
        query = self.query
        subjects: dict[Any, list[Row]] = {}
        for row in sorted(self.rows, key=lambda row: row.time):
            subjects.setdefault((row.actor, _key(row.held)), []).append(row)
        events = []
        for subject, rows in subjects.items():
            session, last = 0, rows[0].time
            for row in rows:
                if query.session_gap is not None and row.time - last > query.session_gap:
                    session += 1
                last = row.time
                rank = [self._rank(row.group)] if query.group is not None else []
                events.append(((*subject, session), row.time, row.mask, *rank))
        found = by_actor(events, *self._rules(span))
        entries = [Entry(subject[0], one) for subject, one in found.items() if one.did[0]]
        if query.counting is Counting.ACTORS:
            return [self._best(actor, entries) for actor in dict.fromkeys(one.actor for one in entries)]
        return entries

    def _best(self, actor: Any, entries: list[Entry]) -> Entry:
        """Its attempt is the best of all; it did what it did with any value."""
        own = [one for one in entries if one.actor == actor]

        def rank(one: Entry) -> Any:
            times = [-(2**62) if time is None else time for time in map(one.time, self.steps)]
            return -one.furthest, max(times), times, self._group_of(one) if self.query.group else 0

        best = min(own, key=rank)
        did = [any(one.found.did[at] for one in own) for at in range(len(self.query.steps))]
        return Entry(actor, Found(did, best.found.attempt, best.found.conversions, best.found.events))

    def _rules(self, span: tuple[int, int] | None) -> tuple[list[StepRule], OrderRules]:
        query, size = self.query, len(self.query.steps)
        required = [at for at, step in enumerate(query.steps) if not (step.optional or step.inverted)]
        rules = []
        for at, step in enumerate(query.steps):
            excluded = 0
            for number, one in enumerate(query.exclusions):
                gap = range(max([before for before in required if before < at], default=0), at)
                if any(one.after <= place < one.before for place in gap):
                    excluded |= 1 << size + number
            rules.append(StepRule(step.optional, step.inverted, step.least_gap, step.most_gap, excluded))
        strict, apart = query.order is FunnelOrder.STRICT, query.equal_times is EqualTimes.APART
        return rules, OrderRules(query.window, strict, apart, span)

    def _rank(self, group: Any) -> int:
        return [_key(value) for value in self.groups].index(_key(group))

    def _group_of(self, entry: Entry) -> int:
        position = entry.group(self.query.attribution)
        return len(self.groups) - 1 if position is None else int(position)

    def _tally(self, entries: list[Entry]) -> Json:
        query = self.query
        if query.counting is Counting.CONVERSIONS:
            return {"result": [sum(one.found.conversions[at] for one in entries) for at in self.steps]}
        tally: Json = {"result": [sum(one.found.did[at] for one in entries) for at in self.steps]}
        if query.durations is not None:
            required = [at for at, step in enumerate(query.steps) if not (step.optional or step.inverted)]
            steps: list[Any] = [None] * len(query.steps)
            for before, at in pairwise(required):
                steps[at] = self._times(entries, before, at)
            tally["times"] = {"steps": steps, "total": self._times(entries, required[0], required[-1])}
        return tally

    def _times(self, entries: list[Entry], first: int, last: int) -> Json:
        assert self.query.durations is not None
        taken = []
        for one in entries:
            begin, end = one.time(first), one.time(last)
            if begin is not None and end is not None:
                taken.append((end - begin) / 1_000_000)
        taken.sort()

        def percentile(share: float) -> Any:
            return taken[max(1, math.ceil(share / 100 * len(taken))) - 1] if taken else None

        edges = [edge / 1_000_000 for edge in self.query.durations.edges]
        ends: list[Any] = [*edges, None]
        if not edges or edges[0] > 0:
            ends.insert(0, None)
        return {
            "count": len(taken),
            "average": sum(taken) / len(taken) if taken else None,
            "minimum": taken[0] if taken else None,
            "median": percentile(50),
            "maximum": taken[-1] if taken else None,
            "percentiles": [
                {"percentile": one, "value": percentile(one)} for one in self.query.durations.percentiles
            ],
            "histogram": [
                {"from": low, "to": high, "count": sum((low or 0) <= one < end for one in taken)}
                for low, high in pairwise(ends)
                for end in [math.inf if high is None else high]
            ],
        }

    def _names(self, wanted: Any) -> list[Any]:
        did: dict[Any, list[bool]] = {}
        for entries in self.entries:
            for one in entries:
                before = did.get(one.actor, [False] * len(self.query.steps))
                did[one.actor] = [a or b for a, b in zip(before, one.found.did, strict=True)]
        return [self.names[actor] for actor in sorted(did) if wanted(did[actor])]

    def _before(self, step: int) -> int:
        return max((at for at in range(step) if at == 0 or not self.query.steps[at].optional), default=0)


def _key(value: Any) -> Any:
    """What orders values, and can be a key itself."""
    rank, order = value_order(value)
    return (rank, tuple(order)) if isinstance(order, list) else (rank, order)
