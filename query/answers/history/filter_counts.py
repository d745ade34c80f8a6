"""How many events each filter of a question leaves, counted in one statement for each of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from query.engine.runner import Runner, Trace
from query.language.nodes import (
    AnyOf,
    BehaviourQuery,
    ComposedQuery,
    ExtractionQuery,
    Filter,
    MetricQuery,
    Query,
    Span,
)
from query.limits import Limits
from query.plan import predicates as p
from query.plan.views import Views
from query.sql import statements

Scope = tuple[str, Span, tuple[Filter, ...]]
"""A collection, a timeframe and filters."""


def scopes(query: Query) -> Iterator[Scope]:
    """What the question names, in its order."""
    match query:
        case MetricQuery() | ExtractionQuery():
            yield query.collection, query.span, query.filters
        case BehaviourQuery():
            for one in query.selections:
                yield one.collection, one.span, one.filters
        case ComposedQuery():
            for read in query.reads:
                yield read.collection, read.span, read.filters


def filter_counts(query: Query, views: Views, runner: Runner, limits: Limits) -> list[dict[str, Any]]:
    """For each part of the question: the events read, those of the timeframe, and what each filter leaves of
    those that the filters before it left."""
    apart = replace(views, asked=[], damaged={}, spend=lambda _: None, spend_forced=lambda _: None)
    silent = replace(runner, trace=Trace())
    each = {repr(scope): scope for scope in scopes(query)}.values()
    return [_counted(scope, apart, silent, limits) for scope in each]


def _counted(scope: Scope, views: Views, runner: Runner, limits: Limits) -> dict[str, Any]:
    collection, span, filters = scope
    view = views.view(collection, (span,))
    part = {"collection": collection, "read": view.rows}
    if not filters or (limits.rows_max and view.rows > limits.rows_max):
        # The answer itself may have needed no row, so none is read to count them.
        return {**part, "in_timeframe": None, "filters": [{"filter": _named(one)} for one in filters]}
    conditions = [view.condition(filters[:number]) for number in range(1, len(filters) + 1)]
    columns = [column for condition in conditions for column in p.columns_of(condition)]
    scan = view.scan(columns, p.TRUE, span, tests=conditions)
    counts = [0] * (len(filters) + 1)
    if not scan.empty:
        statement = statements.kept(scan, conditions)
        counts = list(next(runner.rows(statement, view.tables(scan), reads=view.rows)))
    return {
        **part,
        "in_timeframe": counts[0],
        "filters": [
            {"filter": _named(one), "kept": kept} for one, kept in zip(filters, counts[1:], strict=True)
        ],
    }


def _named(one: Filter) -> dict[str, Any]:
    if isinstance(one, AnyOf):
        return {"operator": "or", "operands": [_named(operand) for operand in one.operands]}
    return {"property_name": one.path, "operator": one.operator.value}
