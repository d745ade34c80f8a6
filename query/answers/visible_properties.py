"""Finds the properties of the events that a key may see: a filtered key must not be shown any others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from query.engine.engine import Deadline, Engine
from query.errors import QueryError
from query.language.nodes import Filter, Span
from query.plan import predicates as p
from query.plan.columns import CREATED_AT_COLUMN, TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.operators import Spend
from query.plan.views import SourceOf, View, Views
from query.sql import statements
from query.sql.statement import Statement
from storage.schema import NULLS, Lane, LaneKind, Schema
from storage.source import Source, SourceGone

SAMPLE_MAX = 100
"""Events that are examined for how they are dated."""


def held_lanes(
    collection: str,
    sources: SourceOf,
    engine: Engine,
    *,
    filters: Sequence[Filter],
    spend: Callable[[], Spend],
    deadline: Deadline,
) -> tuple[Lane, ...] | None:
    """The lanes with a value in any event that matches the filters; None where no event matches.

    A property that is only null in these events has a null lane. ``spend`` creates a counter of the filters'
    conditions. Raises QueryLimitExceeded, QueryTimeout, QueryCancelled, QueryError.
    """
    for _ in range(2):
        view = Views(sources, tuple(filters), spend_forced=spend()).view(collection, (Span(),))
        try:
            return _seen(view, Span(), engine, deadline, view.available.paths_columns()[0])
        except SourceGone:
            # Files were replaced between snapshot and read.
            continue
    raise QueryError("The stored events could not be read.")


def lanes_standing(source: Source) -> tuple[Lane, ...]:
    """The lanes with a value, or an explicit null, in any stored event.

    A collection without erasures has all its lanes: a null's lane is removed when the last event with that
    null is erased.
    """
    if not source.erase_version:
        return source.schema.lanes
    columns = {name for file in (*source.files, *source.damaged) for name in file.columns}
    if source.tail is not None:
        columns.update(source.tail.column_names)
    return tuple(
        lane
        for lane in source.schema.lanes
        if (NULLS if lane.kind is LaneKind.NULL else lane.column) in columns
    )


def dated_by_arrival(source: Source, engine: Engine, deadline: Deadline) -> bool:
    """Whether the newest events all have their time of arrival as timestamp; False where there are none.

    Raises SourceGone, QueryTimeout, QueryCancelled, QueryError.
    """
    if not source.files:
        return _last_dated_by_arrival(source.tail)
    view = Views(lambda _: source).view("", (Span(),))
    scan = view.scan((TIMESTAMP_COLUMN, CREATED_AT_COLUMN), p.TRUE, Span())
    statement = statements.extraction(scan, (TIMESTAMP_COLUMN, CREATED_AT_COLUMN), SAMPLE_MAX)
    tables = view.tables(scan)
    chunks = engine.chunks(statement, tables, deadline.cancel, deadline.seconds, deadline.at)
    rows = [row for chunk in chunks for row in chunk]
    return bool(rows) and all(row[1] == row[2] for row in rows)


def _last_dated_by_arrival(tail: pa.Table | None) -> bool:
    """As ``dated_by_arrival`` for the last events of a tail, without the engine: tails change too often."""
    if tail is None or not tail.num_rows:
        return False
    last = tail.slice(max(0, tail.num_rows - SAMPLE_MAX))
    return bool(last.column(TIMESTAMP_COLUMN.name).equals(last.column(CREATED_AT_COLUMN.name)))


def lanes_seen(view: View, span: Span, engine: Engine, deadline: Deadline) -> tuple[Lane, ...] | None:
    """The lanes with a value in any event that the view's key sees in the span; None if there is no event.

    Raises SourceGone, QueryTimeout, QueryCancelled, QueryError.
    """
    return _seen(view, span, engine, deadline, None)


def _seen(
    view: View, span: Span, engine: Engine, deadline: Deadline, nulls: Column | None
) -> tuple[Lane, ...] | None:
    """As ``lanes_seen``, with null lanes for paths in ``nulls`` that have no other lane."""
    names = view.available.names
    lanes = [lane for lane in view.source.schema.lanes if lane.column in names]
    columns = [Column(lane.column, ColumnKind(lane.kind.value)) for lane in lanes]
    scan = view.scan([*columns, nulls] if nulls else columns, view.condition(()), span)
    if scan.empty:
        return None

    def rows_of(statement: Statement) -> list[Sequence[Any]]:
        tables = view.tables(scan)
        chunks = engine.chunks(statement, tables, deadline.cancel, deadline.seconds, deadline.at)
        return [row for chunk in chunks for row in chunk]

    ((rows, *counts),) = rows_of(statements.presence(scan, columns))
    if not rows:
        return None
    seen = Schema(tuple(lane for lane, count in zip(lanes, counts, strict=True) if count))
    if nulls is not None:
        seen = seen.extended(
            (path, LaneKind.NULL) for (path,) in rows_of(statements.texts_listed(scan, nulls))
        )
    return seen.lanes
