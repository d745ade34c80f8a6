"""Planning: which files and columns a query reads, and which aggregates answer it.

Pure: uses the catalog's facts about files, never the files. Three levels:

    View          a source cut to a timeframe: files that may have rows in it, the tail, their columns
    Scan          a read of a view: pieces of files with equal columns, a predicate, the columns needed
    MetricsPlan   a scan, grouped and aggregated
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from query.language.nodes import Analysis, Buckets, MetricQuery, Order, Span
from query.limits import Limits
from query.plan import predicates as p
from query.plan.aggregates import AggregateRole, MetricPlan, plan_metric
from query.plan.columns import TIMESTAMP_COLUMN
from query.plan.keys import GroupKey, KeyPart, key_of_group, key_of_index
from query.plan.scans import Scan, inside
from query.plan.views import View, Views


@dataclass(frozen=True)
class MetricsPlan:
    """The plan of a metric query. Rows are returned in ``order`` where that is not None."""

    query: MetricQuery
    view: View
    scan: Scan
    keys: tuple[GroupKey, ...]
    metrics: tuple[MetricPlan, ...]
    counted: int
    """Rows counted by the catalog, in addition to those of the scan."""
    order: tuple[Order, ...] | None
    row_limit: int
    cut: bool
    """True where ``row_limit`` is the query's own limit, rather than one that raises when reached."""
    rows_most: int = 0
    """``row_limit`` where it is not the query's own."""
    ordered: bool = False
    """True where ``order`` is the query's own, with nothing left to sort."""

    @property
    def buckets(self) -> Buckets | None:
        return self.query.buckets

    @property
    def has_lists(self) -> bool:
        """Whether any aggregate is a list of values."""
        lists = (AggregateRole.VALUES, AggregateRole.ELEMENTS)
        return any(aggregate.fold in lists for metric in self.metrics for aggregate in metric.aggregates)


def rows_max(query: MetricQuery, limits: Limits) -> int:
    return limits.groups_max if query.buckets is None else limits.cells_max


def must_run(plan: MetricsPlan) -> bool:
    """False where no row would be read, or nothing is computed from the rows."""
    if plan.buckets is not None and len(plan.buckets.edges) < 2:
        # An empty timeframe has no interval, and so no row.
        return False
    arranged = bool(plan.keys) or plan.buckets is not None
    return not plan.scan.empty and (arranged or any(metric.aggregates for metric in plan.metrics))


def plan_metrics(query: MetricQuery, views: Views, rows_max: int) -> MetricsPlan:
    """The plan of a metric query; it fetches up to one row more than ``rows_max``, to detect an excess."""
    view = views.view(query.collection, (query.span,))
    keys = tuple(key_of_group(group, view) for group in query.groups)
    counted = 0
    of_all_rows = not (query.filters or view.forced or keys or query.buckets)
    metrics = tuple(
        plan_metric(
            metric,
            view,
            links=views.links() if metric.merged else None,
            of_all_rows=of_all_rows and query.span == Span(),
        )
        for metric in query.metrics
    )
    if of_all_rows and _only_counts(metrics):
        view, counted = _count_by_catalog(view, query.span)
    columns = [column for key in keys for column in key.columns]
    columns += [
        column for metric in metrics for aggregate in metric.aggregates for column in aggregate.columns
    ]
    if query.buckets is not None:
        columns.append(TIMESTAMP_COLUMN)
    scan = view.scan(columns, view.condition(query.filters), query.span, in_us=query.buckets is not None)
    order, ordered = _engine_order(query, keys, metrics)
    cut = ordered and query.limit is not None
    return MetricsPlan(
        query=query,
        view=view,
        scan=scan,
        keys=keys,
        metrics=metrics,
        counted=counted,
        order=order,
        row_limit=query.limit if cut and query.limit is not None else rows_max + 1,
        cut=cut,
        rows_most=rows_max + 1,
        ordered=ordered,
    )


def plan_indexed(query: MetricQuery, paths: Sequence[str], views: Views, rows_max: int) -> MetricsPlan:
    """The plan of the query for every value of the properties ``paths`` at once; they are its first keys.

    The rows of one value are those that the filters ``path eq value`` would keep. They are not ordered by
    group.
    """
    view = views.view(query.collection, (query.span,))
    indexes = tuple(key_of_index(path, view) for path in paths)
    keys = (*indexes, *(key_of_group(group, view) for group in query.groups))
    metrics = tuple(plan_metric(metric, view) for metric in query.metrics)
    tests = [key.missing for key in indexes if key.missing is not None]
    columns = [column for key in keys for column in key.columns]
    columns += [column for one in metrics for aggregate in one.aggregates for column in aggregate.columns]
    columns += [column for test in tests for column in p.columns_of(test)]
    columns.append(TIMESTAMP_COLUMN)
    return MetricsPlan(
        query=query,
        view=view,
        scan=view.scan(
            columns, view.condition(query.filters), query.span, tests, in_us=query.buckets is not None
        ),
        keys=keys,
        metrics=metrics,
        counted=0,
        order=None,
        row_limit=rows_max + 1,
        cut=False,
    )


def with_metrics(plan: MetricsPlan, metrics: tuple[MetricPlan, ...]) -> MetricsPlan:
    """The plan with metrics computed from other aggregates; rows come in the order that these allow."""
    order, ordered = _engine_order(plan.query, plan.keys, metrics)
    limit = plan.query.limit
    cut = ordered and limit is not None
    row_limit = limit if cut and limit is not None else plan.rows_most
    return replace(plan, metrics=metrics, order=order, ordered=ordered, cut=cut, row_limit=row_limit)


def _only_counts(metrics: tuple[MetricPlan, ...]) -> bool:
    return all(metric.metric.analysis is Analysis.COUNT for metric in metrics)


def _count_by_catalog(view: View, span: Span) -> tuple[View, int]:
    """The view without the files and tail whose rows can be counted unread, and the number of those rows."""
    whole = tuple(file for file in view.files if inside(file, span))
    parts = tuple(file for file in view.files if not inside(file, span))
    counted = sum(file.rows for file in whole)
    source = view.source
    if source.tail is not None and span == Span():
        counted += source.tail.num_rows
        source = replace(source, tail=None)
    return replace(view, source=source, files=parts), counted


def _engine_order(
    query: MetricQuery, keys: tuple[GroupKey, ...], metrics: tuple[MetricPlan, ...]
) -> tuple[tuple[Order, ...] | None, bool]:
    """The order in which the engine returns rows, and whether it is the query's own.

    The order is None where only Python can sort: the engine has big integers as text. Results that are
    computed from several columns are sorted in Python too.
    """
    if not keys or any(KeyPart.BIG in key.parts for key in keys):
        return None, False
    by_key = tuple(Order(key.path) for key in keys)
    if query.buckets is not None or not query.order:
        return by_key, False
    sortable = {metric.metric.label or "result" for metric in metrics if metric.sortable}
    paths = {key.path for key in keys}
    if all(order.by in sortable or order.by in paths for order in query.order):
        return (*query.order, *by_key), True
    return by_key, False
