"""Which stored events a filter and a timeframe are about, by their ids: what an erasure takes away."""

from __future__ import annotations

from collections.abc import Sequence

from query import sql as writer
from query.columns import ID_COLUMN
from query.engine import Deadline, Engine
from query.nodes import Filter, Span
from query.plan import Views
from storage.source import Source


def matching_ids(
    source: Source, engine: Engine, span: Span, filters: Sequence[Filter], deadline: Deadline
) -> list[str]:
    """``keen.id`` of each event in the span that all filters keep. Raises QueryError."""
    view = Views(lambda _: source).view("", (span,))
    scan = view.scan((ID_COLUMN,), view.condition(filters), span)
    if scan.empty:
        return []
    statement = writer.values(scan, ID_COLUMN)
    chunks = engine.chunks(statement, view.tables(scan), deadline.cancel, deadline.seconds, deadline.at)
    return [row[0] for chunk in chunks for row in chunk]
