"""Finds the ids of stored events that match filters and a timeframe, for erasures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from query.answers.pipeline import Conditions
from query.engine.engine import Deadline, Engine
from query.language.nodes import AnyOf, Condition, Filter, Span
from query.limits import Limits
from query.plan.columns import EMPTIES_COLUMN, ID_COLUMN, NULLS_COLUMN, Available
from query.plan.operators import predicate
from query.plan.predicates import TRUE
from query.plan.views import Views
from query.sql import statements
from storage.schema import Schema
from storage.source import Source


def check_conditions(schema: Schema, filters: Sequence[Filter], limits: Limits) -> None:
    """Raises TooManyConditions where the filters have too many conditions on events of this schema."""
    columns = {lane.column for lane in schema.lanes} | {NULLS_COLUMN.name, EMPTIES_COLUMN.name}
    predicate(filters, Available(schema, columns), Conditions(limits, lambda: None).spend)


def kept_without_value(filters: Sequence[Filter]) -> Iterator[Condition]:
    """The conditions that keep every event without a value of their property, as ``ne`` does."""
    nothing = Available(Schema(), ())
    for item in filters:
        if isinstance(item, AnyOf):
            yield from kept_without_value(item.operands)
        elif predicate((item,), nothing, lambda _: None) == TRUE:
            yield item


def matching_ids(
    source: Source,
    engine: Engine,
    span: Span,
    filters: Sequence[Filter],
    deadline: Deadline,
    limits: Limits,
) -> list[str]:
    """``keen.id`` of each event in the span that matches all filters. Raises QueryError."""
    view = Views(lambda _: source, spend=Conditions(limits, deadline.check).spend).view("", (span,))
    scan = view.scan((ID_COLUMN,), view.condition(filters), span)
    if scan.empty:
        return []
    statement = statements.values(scan, ID_COLUMN)
    chunks = engine.chunks(statement, view.tables(scan), deadline.cancel, deadline.seconds, deadline.at)
    return [row[0] for chunk in chunks for row in chunk]
