"""Computes the answer's body for a parsed query: plan, run, shape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from query.answers import extraction, shape
from query.answers.behaviour.answering import behaviour_body
from query.answers.behaviour.sequences.session_properties import sessions_by
from query.answers.cohorts.actors import actors_by
from query.answers.explain import explanation, snapshot_of
from query.answers.history.filter_counts import filter_counts
from query.answers.identities.reading import read_links
from query.answers.reuse.metric_rows import metric_rows
from query.answers.series.answering import composed_body
from query.answers.visible_properties import lanes_seen
from query.engine.engine import CancelToken, Deadline, Engine, Row
from query.engine.extents import reader
from query.engine.memory_budget import Reservation, computed
from query.engine.runner import Runner, Trace
from query.errors import QueryError, TooManyConditions
from query.language.nodes import (
    Analysis,
    BehaviourQuery,
    ComposedQuery,
    ExtractionQuery,
    Filter,
    Metric,
    MetricQuery,
    ParsedQuery,
    Query,
    Span,
)
from query.limits import Limits
from query.plan.exact_sums import Uncertain
from query.plan.operators import filter_paths
from query.plan.plan import must_run, plan_metrics, rows_max
from query.plan.predicates import LONG_LIST_SIZE, VALUES_INLINE_MAX
from query.plan.scans import Scan
from query.plan.views import Held, SourceOf, View, Views
from query.sql.statement import Statement
from storage.source import SourceGone

ATTEMPTS_MAX = 4
"""Most snapshots that are tried: each may be replaced, or files of one more collection found damaged."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. ``body`` is for ``json_encoding.dumps``: it has integers of any size and encoded parts.

    Warnings are for a header. ``complete`` is False where damaged files with events of the timeframe were
    left out.
    """

    body: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    complete: bool = True
    reservation: Reservation | None = None
    """The reservation of the body's memory, to be released with the body."""


Work = Callable[[Views, Runner], Answer]


class Conditions:
    """Counts the conditions of one query's filters during planning."""

    def __init__(self, limits: Limits, check: Callable[[], None]) -> None:
        self._conditions_left = limits.conditions_max
        self._limit = limits.conditions_max
        self._check = check

    def spend(self, conditions: int) -> None:
        """Raises TooManyConditions where the limit is exceeded, and what ``check`` raises."""
        self._check()
        self._conditions_left -= conditions
        if self._conditions_left < 0:
            raise TooManyConditions(
                f"The filters of the query and of its key amount to more than {self._limit:,} conditions. "
                "A filter counts once for each column that it reads ('exists' and null read everything "
                f"nested in the property), and {LONG_LIST_SIZE} times with a list of more than "
                f"{VALUES_INLINE_MAX} values. Use fewer filters, or properties with nothing nested in them."
            )


def answer(
    request: ParsedQuery,
    sources: SourceOf,
    engine: Engine,
    *,
    limits: Limits,
    cancel: CancelToken | None = None,
    forced_filters: Sequence[Filter] = (),
    deadline: Deadline | None = None,
    project_id: str = "",
) -> Answer:
    """Answers a query. ``sources`` returns a fresh snapshot of a collection by its name.

    ``forced_filters`` are the key's filters, which apply to every collection read. ``deadline`` is given if
    the query's time began before now; its token then replaces ``cancel``. Large queries of one
    ``project_id`` leave room for those of others. Raises InvalidQuery, QueryLimitExceeded, QueryTimeout,
    QueryCancelled, QueryOverloaded, QueryError.
    """
    ends = deadline or Deadline.after(limits.timeout_seconds, cancel)
    return answered(
        lambda views, runner: _answer(request, views, runner, limits),
        sources,
        engine,
        limits=limits,
        ends=ends,
        forced_filters=forced_filters,
        project_id=project_id,
    )


def answered(
    work: Work,
    sources: SourceOf,
    engine: Engine,
    *,
    limits: Limits,
    ends: Deadline,
    forced_filters: Sequence[Filter],
    project_id: str,
) -> Answer:
    """The answer that ``work`` computes, which is repeated where it has to be: files were replaced, rounding
    was uncertain, or older queries needed its memory. Arguments and errors are those of ``answer``."""
    reservation = engine.budget.open(ends.check, project_id=project_id)
    extent_of = reader(engine, ends)

    def run(lanes_of: Held | None, exact: bool) -> Answer:
        runner = Runner(engine, ends, reservation, Trace())
        own, forced = (Conditions(limits, ends.check).spend for _ in range(2))
        views = Views(
            sources,
            tuple(forced_filters),
            own,
            lanes_of,
            forced,
            extent_of=extent_of,
            exact=exact,
            read_links=lambda views: read_links(views, runner, limits),
            compute_actors=actors_by(runner, limits),
            find_sessions=sessions_by(runner, limits),
        )
        try:
            return work(views, runner)
        finally:
            runner.close()

    def certain(lanes_of: Held | None = None) -> Answer:
        try:
            return run(lanes_of, exact=False)
        except Uncertain:
            return run(lanes_of, exact=True)

    def attempt() -> Answer:
        try:
            return certain()
        except TooManyConditions:
            if not forced_filters:
                raise
        # Lanes that the key does not see must not cause its query to exceed the limit.
        return certain(seen_by(engine, ends))

    def retried() -> Answer:
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return attempt()
            except SourceGone:
                # Files were replaced between snapshot and read, or found to be damaged; the next snapshot has
                # their replacements and omits the damaged ones.
                reservation.reduce_to(0)
        try:
            return attempt()
        except SourceGone as error:
            raise QueryError("The stored events could not be read.") from error

    found = computed(reservation, retried)
    engine.ended(reservation)
    return replace(found, reservation=reservation)


def seen_by(engine: Engine, deadline: Deadline) -> Held:
    """A function that finds the lanes with values in events that a view's key sees."""

    def held(view: View, span: Span) -> frozenset[str]:
        lanes = lanes_seen(view, span, engine, deadline) or ()
        return frozenset(lane.column for lane in lanes)

    return held


def _answer(request: ParsedQuery, views: Views, runner: Runner, limits: Limits) -> Answer:
    started = time.perf_counter()
    runner.check()
    query = request.query
    views.repeatable = bool(request.version)
    views.spans = spans_of(query)
    match query:
        case MetricQuery():
            body, scanned = _metrics(query, views, runner, limits)
        case BehaviourQuery():
            body, scanned = behaviour_body(query, views, runner, limits)
        case ExtractionQuery():
            body, scanned = extraction_body(query, views, runner, limits)
        case ComposedQuery():
            body, scanned = composed_body(query, views, runner, limits)
    if request.explain:
        asked = list(views.asked)
        body["explain"] = snapshot_of(request, asked) | explanation(runner.trace, views)
        body["explain"]["filters"] = filter_counts(query, views, runner, limits)
    if request.include_metadata:
        properties = len(named_properties(query))
        if views.forced:
            # A key with filters does not learn the number of events outside them.
            scanned = _visible(query, views, runner, limits)
        body["execution_metadata"] = {
            "events_scanned": scanned,
            "properties_per_event": properties,
            "total_properties_scanned": scanned * properties,
            "total_processing_time": round(time.perf_counter() - started, 6),
        }
    note_damage(body, views)
    if views.erased and not views.forced:
        # Whether a key with filters saw any of it is not known any more.
        body["erased_since"] = True
    # Nor does a key with filters learn which collections exist beyond those it sees.
    unknown = [] if views.forced else views.unknown
    return Answer(body, [f"The collection '{name}' does not exist." for name in unknown], not views.damaged)


def note_damage(body: dict[str, Any], views: Views) -> None:
    """Say in the body where damaged files with events of the timeframe were left out."""
    if views.damaged:
        body["complete"] = False
        if not views.forced:
            # A file's name reveals the number and time of its events.
            body["damaged_files"] = sorted(file.name for file in views.damaged.values())


def spans_of(query: Query) -> tuple[Span, ...]:
    """The timeframes of all that a query reads."""
    match query:
        case BehaviourQuery():
            return tuple(one.span for one in query.selections)
        case ComposedQuery():
            return tuple(read.span for read in query.reads)
        case _:
            return (query.span,)


def _visible(query: Query, views: Views, runner: Runner, limits: Limits) -> int:
    """The number of events in the query's timeframes that its key can see."""
    match query:
        case BehaviourQuery():
            parts = [(one.collection, one.span) for one in query.selections]
        case ComposedQuery():
            parts = list(dict.fromkeys((read.collection, read.span) for read in query.reads))
        case _:
            parts = [(query.collection, query.span)]
    events = 0
    for collection, span in parts:
        counting = MetricQuery(collection, (Metric(Analysis.COUNT),), span)
        body, _ = _metrics(counting, views, runner, limits)
        events += body["result"]
    return events


def named_properties(query: Query) -> set[str]:
    """The distinct properties that a query names."""
    match query:
        case MetricQuery():
            targets = {metric.target for metric in query.metrics if metric.target is not None}
            grouped = {group.property_name for group in query.groups if group.session is None}
            return targets | grouped | filter_paths(query.filters)
        case BehaviourQuery():
            used = {one.actor for one in query.selections} | {path for path, _ in query.values}
            return used.union(*(filter_paths(one.filters) for one in query.selections))
        case ExtractionQuery():
            return set(query.properties or ()) | filter_paths(query.filters)
        case ComposedQuery():
            values = {path for read in query.reads for path, _, _ in read.values}
            return values.union(*(filter_paths(read.filters) for read in query.reads))


def _metrics(query: MetricQuery, views: Views, runner: Runner, limits: Limits) -> tuple[dict[str, Any], int]:
    plan = plan_metrics(query, views, rows_max(query, limits))
    rows: Iterable[Row] = ()
    if must_run(plan):
        limits.check_rows(plan.view.rows)
        plan, rows = metric_rows(plan, runner)
    runner.trace.counted += plan.counted
    result = shape.metrics_result(plan, rows, limits, runner.check, runner.reservation)
    return {"result": result}, plan.counted + plan.view.rows


def extraction_body(
    query: ExtractionQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    plan = extraction.plan_extraction(query, views, limits)

    def run(statement: Statement, scan: Scan) -> Iterator[list[Row]]:
        return runner.chunks(statement, plan.view.tables(scan), reads=plan.view.rows)

    return {"result": extraction.run_extraction(plan, run, limits, runner.reservation)}, plan.view.rows
