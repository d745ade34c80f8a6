"""Sessions of events as columns: what is joined to the rows of a scan, and which events are read for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from query.language import calendar
from query.language.calendar import Unit
from query.language.nodes import SessionDefinition, SessionProperty, Span
from query.plan import predicates as p
from query.plan.columns import TIMESTAMP_COLUMN, Column
from query.plan.predicates import Predicate
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US

if TYPE_CHECKING:
    from query.plan.keys import GroupKey

ACTOR, TIME = "$actor", "$session_us"
"""Columns of the joined table: of an actor a column for each part, ``$actor.string``, and the time in µs."""


@dataclass(frozen=True)
class SessionJoin:
    """The table with the session of every actor's times, and how a row of events finds its own in it."""

    name: str
    """What the table is registered as."""
    actor: GroupKey
    """Without lists: an event of several actors has no session."""
    member: Predicate
    """Which events are of the sessions: others may have the same actor and time."""
    table: Callable[[Iterable[SessionColumn]], pa.Table]
    """Makes the table with these columns beside the actor and the time."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of events that the join needs."""
        return (*self.actor.columns, *p.columns_of(self.member), TIMESTAMP_COLUMN)


@dataclass(frozen=True, slots=True)
class SessionColumn(Column):
    """A property of the session that an event belongs to."""

    property: SessionProperty
    join: SessionJoin = field(compare=False, repr=False)
    greatest: float = field(compare=False, repr=False)
    """An upper bound of the magnitudes of its numbers."""


def stored(columns: Iterable[Column]) -> Iterator[Column]:
    """The columns, and in place of those of sessions the ones that they are found by."""
    for column in columns:
        if isinstance(column, SessionColumn):
            yield from column.join.columns
        else:
            yield column


def of_sessions(columns: Iterable[Column]) -> tuple[SessionColumn, ...]:
    """Those of the columns that are of sessions, each once."""
    return tuple(dict.fromkeys(column for column in columns if isinstance(column, SessionColumn)))


def session_tables(columns: Iterable[SessionColumn]) -> dict[str, pa.Table]:
    """The tables that the columns are read from, each with all of its columns among these."""
    used = list(dict.fromkeys(columns))
    joins = {column.join.name: column.join for column in used}
    return {
        name: join.table(column for column in used if column.join.name == name)
        for name, join in joins.items()
    }


def split_by_sessions(predicate: Predicate) -> tuple[Predicate, Predicate]:
    """What of a predicate needs no session, and what does."""
    operands = predicate.operands if isinstance(predicate, p.AllOf) else (predicate,)
    needing = [one for one in operands if of_sessions(p.columns_of(one))]
    return p.all_of(one for one in operands if one not in needing), p.all_of(needing)


def read_span(definition: SessionDefinition, span: Span) -> Span:
    """The times of the events that are read for the sessions of a span's events."""
    start, end = span.start_us, span.end_us
    if definition.midnights is None:
        around = definition.gap + definition.margin
        return Span(
            None if start is None else max(start - around, MIN_INSTANT_US),
            None if end is None else min(end + around, MAX_INSTANT_US),
        )
    return Span(
        None if start is None else _midnight_before(start, definition),
        None if end is None else next(midnights(definition, end - 1), end),
    )


def midnights(definition: SessionDefinition, after: int) -> Iterator[int]:
    """The instants after this one at which sessions are cut."""
    if definition.midnights is not None:
        try:
            yield from calendar.aligned_edges(after, Unit.DAY, definition.midnights)
        except OverflowError:
            return


def _midnight_before(instant: int, definition: SessionDefinition) -> int:
    """The last midnight up to this instant."""
    assert definition.midnights is not None
    try:
        wall = calendar.unit_start(instant, Unit.DAY, definition.midnights)
        return min(calendar.first_reach(wall, definition.midnights), instant)
    except OverflowError:
        return instant


def together(spans: Iterable[Span]) -> list[Span]:
    """The spans, with those that overlap or touch as one."""
    merged: list[Span] = []
    for span in sorted(spans, key=_start):
        last = merged[-1] if merged else None
        if last is not None and (last.end_us is None or _start(span) <= last.end_us):
            open_end = last.end_us is None or span.end_us is None
            merged[-1] = Span(last.start_us, None if open_end else max(last.end_us or 0, span.end_us or 0))
        else:
            merged.append(span)
    return merged


def _start(span: Span) -> int:
    return MIN_INSTANT_US if span.start_us is None else span.start_us


def contains(outer: Span, inner: Span) -> bool:
    """Whether every instant of one span is in the other."""
    after = outer.start_us is None or (inner.start_us is not None and inner.start_us >= outer.start_us)
    return after and (outer.end_us is None or (inner.end_us is not None and inner.end_us <= outer.end_us))
