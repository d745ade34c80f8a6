"""Finds the sessions that events belong to, as columns to filter and to group events by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.selections import Branch, SelectionPlan, plan_selections
from query.behaviour.sequences import Flags, Integers, changes, in_sequence
from query.behaviour.sessions import (
    FoundSessions,
    PlacedEvents,
    SessionRules,
    chain_starts,
    placed,
    sessions_of,
)
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.language.nodes import Group, SessionDefinition, SessionProperty, Span
from query.limits import Limits
from query.plan import predicates as p
from query.plan.columns import ColumnKind, ComputedColumns
from query.plan.keys import KeyPart
from query.plan.sessions import ACTOR, TIME, SessionColumn, SessionJoin, midnights, read_span
from query.plan.views import FindSessions, Views

_SECOND_US = 1_000_000
_SESSION_BYTES = 160
"""Bytes that a session takes while sessions are found."""
_PLACED_BYTES = 80
"""Bytes that an event takes whose session is found, beside those of the joined table."""
_NUMBER_MAX = 1e15
"""Above all counts, and all seconds between two times."""
_INT64 = range(-(2**63), 2**63)
_KINDS = {
    SessionProperty.DURATION: ColumnKind.NUMBER,
    SessionProperty.EVENTS: ColumnKind.NUMBER,
    SessionProperty.NUMBER: ColumnKind.NUMBER,
    SessionProperty.POSITION: ColumnKind.NUMBER,
    SessionProperty.BOUNCE: ColumnKind.BOOLEAN,
    SessionProperty.UNFINISHED: ColumnKind.BOOLEAN,
}
_OF_PARTS = {
    KeyPart.NUMBER: ColumnKind.NUMBER,
    KeyPart.STRING: ColumnKind.STRING,
    KeyPart.BOOLEAN: ColumnKind.BOOLEAN,
    KeyPart.INSTANT: ColumnKind.INSTANT,
    KeyPart.LIST: ColumnKind.JSON,
}


def sessions_by(runner: Runner, limits: Limits) -> FindSessions:
    """A function that finds the sessions of one question."""

    def find(
        views: Views, definition: SessionDefinition, collection: str, span: Span, number: int
    ) -> ComputedColumns:
        return _Finding(views, definition, collection, span, runner, limits).columns(number)

    return find


@dataclass(frozen=True)
class _Finding:
    """Of the sessions that the events of one collection in a span belong to."""

    views: Views
    definition: SessionDefinition
    collection: str
    span: Span
    runner: Runner
    limits: Limits

    def columns(self, number: int) -> ComputedColumns:
        """The columns of each property by its path; none where no event has a session."""
        own = [at for at, one in enumerate(self.definition.events) if one.collection == self.collection]
        read_from = read_span(self.definition, self.span)
        plan = self._plan(read_from)
        branch = next((one for one in plan.live if any(at in own for at, _, _ in one.tests)), None)
        if branch is None:
            return {}
        self.limits.check_rows(plan.read)
        most = self.limits.session_events_max
        read = read_events(plan, self.runner, limit=most + 1)
        if read is None:
            return {}
        if read.events.size > most:
            raise QueryLimitExceeded(
                f"The sessions of the question have more than {most:,} events. Ask for a shorter timeframe, "
                "or give the entries of 'session.events' filters."
            )
        table = self._table(plan, read, read_from, own)
        return self._joined(table, number, branch, own)

    def _plan(self, span: Span) -> SelectionPlan:
        selections = [replace(one, span=span) for one in self.definition.events]
        pages = () if self.definition.page is None else (Group(self.definition.page),)
        plan = plan_selections(selections, self.views, timed=True, values=pages)
        # An event of several actors, which a list names, would have several sessions.
        branches = (replace(one, key=one.key.without_lists) for one in plan.branches)
        return replace(plan, branches=tuple(branches))

    def _table(
        self, plan: SelectionPlan, read: ReadEvents, read_from: Span, own: Sequence[int]
    ) -> _SessionTable:
        rules = self._rules(read, read_from)
        mask = sum(1 << at for at in own)
        start, end = self.span.start_us, self.span.end_us
        sessions: list[FoundSessions] = []
        events: list[PlacedEvents] = []
        unfinished: list[Flags] = []
        first = 0
        for block in in_sequence(read.events, len(self.definition.events)):
            self.runner.check()
            found = sessions_of(block, rules)
            kept = block.steps & mask != 0
            if start is not None:
                kept &= block.times >= start
            if end is not None:
                kept &= block.times < end
            inside = placed(block, found, kept)
            self.runner.reservation.reserve(_SESSION_BYTES * found.count + _PLACED_BYTES * len(inside.times))
            sessions.append(found)
            events.append(replace(inside, sessions=inside.sessions + first))
            chains = chain_starts(block, found, rules)
            unfinished.append(_unfinished(found, chains, self.definition, read_from))
            first += found.count
        return _SessionTable(
            read,
            FoundSessions.of_all(sessions),
            PlacedEvents.of_all(events),
            np.concatenate(unfinished),
            start,
            plan.value_parts[0] if plan.value_parts else (),
            self.runner,
        )

    def _rules(self, read: ReadEvents, read_from: Span) -> SessionRules:
        definition = self.definition
        cuts: list[int] = []
        if definition.midnights is not None:
            last = int(read.events.times.max())
            for midnight in midnights(definition, int(read.events.times.min())):
                if midnight > last:
                    break
                cuts.append(midnight)
                if len(cuts) > self.limits.intervals_max:
                    raise QueryLimitExceeded(
                        f"'session.cut' divides the timeframe into more than {self.limits.intervals_max} "
                        "days. Use a shorter timeframe."
                    )
        return SessionRules(definition.gap, tuple(cuts), definition.longest)

    def _joined(
        self, table: _SessionTable, number: int, branch: Branch, own: Sequence[int]
    ) -> ComputedColumns:
        """The columns of the table, as they are joined to the events of the branch's collection."""
        member = p.some_of(test for at, test, _ in branch.tests if at in own)
        join = SessionJoin(f"$sessions{number}", branch.key, member, table.with_columns)
        return {
            one.path: tuple(
                SessionColumn(f"$session{number}.{one}.{kind}", kind, one, join, table.greatest(one))
                for kind in table.kinds(one)
            )
            for one in SessionProperty
        }


@dataclass(frozen=True)
class _SessionTable:
    """Sessions, and the actors and times of the events that belong to them."""

    read: ReadEvents
    sessions: FoundSessions
    events: PlacedEvents
    unfinished: Flags
    """Of each session."""
    start: int | None
    """Where the timeframe starts."""
    page_parts: Sequence[KeyPart]
    runner: Runner
    _made: dict[str, pa.Array] = field(default_factory=dict)

    def kinds(self, one: SessionProperty) -> tuple[ColumnKind, ...]:
        """The kinds of values of a property."""
        if one in _KINDS:
            return (_KINDS[one],)
        return tuple(kind for kind, _ in self._pages)

    def greatest(self, one: SessionProperty) -> float:
        """An upper bound of the magnitudes of a property's numbers."""
        if one in _KINDS:
            return _NUMBER_MAX
        numbers = (values for kind, (values, _) in self._pages if kind is ColumnKind.NUMBER)
        return max((float(np.abs(one.to_numpy()).max(initial=0.0)) for one in numbers), default=0.0)

    def with_columns(self, columns: Iterable[SessionColumn]) -> pa.Table:
        """The table with these columns; its memory is reserved."""
        made = {TIME: pa.array(self.events.times)}
        for at, part in enumerate(self.read.parts):
            called = f"{ACTOR}.{part}"
            made[called] = self._kept(called, self._actors, at)
        for column in columns:
            made[column.name] = self._kept(column.name, self._values, column)
        return pa.table(made)

    def _kept(self, name: str, make: Callable[[Any], pa.Array], of: Any) -> pa.Array:
        if name not in self._made:
            self.runner.check()
            self._made[name] = array = make(of)
            self.runner.reservation.reserve(array.nbytes)
        return self._made[name]

    def _actors(self, at: int) -> pa.Array:
        """One part of each event's actor."""
        first = sum(map(len, self.read.values[:at]))
        return _among(self.read.values[at], self.events.actors - first)

    def _values(self, column: SessionColumn) -> pa.Array:
        """What the session of each event has, or the event in it."""
        of_each, sessions = self.events.sessions, self.sessions
        match column.property:
            case SessionProperty.DURATION:
                return pa.array((sessions.durations / _SECOND_US)[of_each])
            case SessionProperty.EVENTS:
                return pa.array(sessions.sizes.astype(float)[of_each])
            case SessionProperty.BOUNCE:
                return pa.array((sessions.sizes == 1)[of_each])
            case SessionProperty.UNFINISHED:
                return pa.array(self.unfinished[of_each])
            case SessionProperty.NUMBER:
                return pa.array(self._numbers.astype(float)[of_each])
            case SessionProperty.POSITION:
                return pa.array(self.events.positions.astype(float))
        codes = sessions.entries if column.property is SessionProperty.ENTRY else sessions.exits
        assert codes is not None
        values, places = dict(self._pages)[column.kind]
        return _among(values, places[codes][of_each])

    @cached_property
    def _numbers(self) -> Integers:
        """Which of its actor's sessions each one is, of those that reach the timeframe."""
        sessions = self.sessions
        reaching = np.ones(sessions.count, dtype=np.int64)
        if self.start is not None:
            reaching[sessions.starts + sessions.durations < self.start] = 0
        totals = np.cumsum(reaching)
        firsts = np.flatnonzero(changes(sessions.actors))
        before = (totals - reaching)[firsts]
        return totals - np.repeat(before, np.diff(np.append(firsts, sessions.count)))

    @cached_property
    def _pages(self) -> list[tuple[ColumnKind, tuple[pa.Array, Integers]]]:
        """The kinds of pages, for each its values, and for each code the place of its value or -1."""
        found: list[tuple[ColumnKind, tuple[pa.Array, Integers]]] = []
        if not self.read.further:
            return found
        pages = self.read.further[0]
        first = 0
        for part, values in zip(self.page_parts, pages.distinct, strict=True):
            for kind, kept in _kinds_of(part, values):
                places = np.full(pages.size, -1, dtype=np.int64)
                places[first + kept] = np.arange(len(kept))
                own = values.take(pa.array(kept))
                own = own.cast(pa.int64()) if kind is ColumnKind.INTEGER else own
                found.append((kind, (own, places)))
            first += len(values)
        return found


def _kinds_of(part: KeyPart, values: pa.Array) -> Iterator[tuple[ColumnKind, Integers]]:
    """The kinds of columns that hold these values, and the indexes of their own."""
    if part is not KeyPart.BIG:
        yield _OF_PARTS[part], np.arange(len(values))
        return
    short = np.array([int(value) in _INT64 for value in values.to_pylist()], dtype=bool)
    for kind, own in ((ColumnKind.INTEGER, short), (ColumnKind.LONG, ~short)):
        if own.any():
            yield kind, np.flatnonzero(own)


def _among(values: pa.Array, places: Integers) -> pa.Array:
    """The values at these places; null where there is none."""
    inside = (places >= 0) & (places < len(values))
    indices = pa.array(places.astype(np.int32), mask=~inside)
    if pa.types.is_string(values.type):
        # Each text once, however many events have it.
        return pa.DictionaryArray.from_arrays(indices, values)
    return values.take(indices)


def _unfinished(found: FoundSessions, chains: Integers, definition: SessionDefinition, read: Span) -> Flags:
    """Which sessions might have events that were not read. Where midnights cut them, whole days are read."""
    flags = np.zeros(found.count, dtype=bool)
    if definition.midnights is not None:
        return flags
    if read.start_us is not None:
        flags |= chains - read.start_us < definition.gap
    if read.end_us is not None:
        until = found.starts + found.durations + definition.gap
        if definition.longest is not None:
            until = np.minimum(until, found.starts + definition.longest)
        flags |= until >= read.end_us
    return flags
