"""Which properties the events hold that a key may see: of a filtered key, nothing else may be shown."""

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
"""Events that are looked at for how they are dated."""


def held_lanes(
    collection: str,
    sources: SourceOf,
    engine: Engine,
    *,
    filters: Sequence[Filter],
    spend: Callable[[], Spend],
    deadline: Deadline,
) -> tuple[Lane, ...] | None:
    """The lanes that any event under the filters has a value in, and one for each property that is only null
    there; None where there is no such event.

    ``spend`` makes what counts the conditions that the filters come to.
    Raises QueryLimitExceeded, QueryTimeout, QueryCancelled, QueryError.
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
    """The lanes that any stored event has a value in, or its null. Never erased from, a collection has all: a
    null's lane goes with the erasure of the last one."""
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
    """Whether the newest events all have the time at which they came; False where there are none.

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
    """The same of the events that came last, without the engine: a tail is another for many questions."""
    if tail is None or not tail.num_rows:
        return False
    last = tail.slice(max(0, tail.num_rows - SAMPLE_MAX))
    return bool(last.column(TIMESTAMP_COLUMN.name).equals(last.column(CREATED_AT_COLUMN.name)))


def lanes_seen(view: View, span: Span, engine: Engine, deadline: Deadline) -> tuple[Lane, ...] | None:
    """The lanes that any event in sight has a value in, within the span; None where there is no such event.

    Raises SourceGone, QueryTimeout, QueryCancelled, QueryError.
    """
    return _seen(view, span, engine, deadline, None)


def _seen(
    view: View, span: Span, engine: Engine, deadline: Deadline, nulls: Column | None
) -> tuple[Lane, ...] | None:
    """The same, and lanes of the paths in ``nulls`` that no other tells of."""
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
