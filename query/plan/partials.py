"""Partial answers: what some rows contribute to a metric query, in a form that merges exactly.

A *partial* is a table of rows (bucket, parts of each key, states). A state is a number that adds up without
rounding, an extreme, or a value that occurs, with how often. The partial of a file depends on the file, the
filters and what is computed, and on nothing else in the collection: not on other files, nor on their columns.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from query.language.cohorts.finding import cohorts_in
from query.language.nodes import Analysis, Buckets, Span
from query.plan.actors import ActorColumn
from query.plan.aggregates import Aggregate, AggregateRole, MetricPlan, plain_sum
from query.plan.columns import NUMERIC, TIMESTAMP_COLUMN, Column
from query.plan.exact_sums import coarse_splitter, fine_band
from query.plan.keys import GroupKey, KeyPart
from query.plan.plan import MetricsPlan, with_metrics
from query.plan.scans import Scan, inside
from query.plan.views import View
from storage.source import DataFile

SPREAD = (AggregateRole.DISTINCT, AggregateRole.VALUES, AggregateRole.ELEMENTS, AggregateRole.QUANTILE)
"""Aggregates of which each distinct value is a row of the partial."""
BUCKETS_ADDED_MAX = 400
"""How many buckets may be added on either side of a query's, so that they cover a whole file."""


class Unkeepable(Exception):
    """The query's result does not merge exactly from partials."""


@dataclass(frozen=True, slots=True)
class PartialState:
    """A column of a partial, or two: a value that occurs and the number of its rows.

    ``name`` is unique among the states of a query and the same in the partial of every file.
    """

    name: str
    aggregate: Aggregate

    @property
    def is_spread(self) -> bool:
        return self.aggregate.fold in SPREAD

    @property
    def is_counted(self) -> bool:
        return self.aggregate.fold is AggregateRole.QUANTILE


@dataclass(frozen=True, slots=True)
class Contribution:
    """Rows whose partial is computed: a scan, and what of the query it has columns for."""

    scan: Scan
    keys: tuple[tuple[int, GroupKey], ...]
    """The keys that have a column in these rows, with their positions in the query."""
    states: tuple[PartialState, ...]
    buckets: Buckets | None
    """None where all rows are in one bucket."""


@dataclass(frozen=True)
class PartialsPlan:
    """How the query of ``merged`` is answered from partials."""

    merged: MetricsPlan
    """The plan whose metrics are computed from states, in the order and with the limit of the query."""
    states: tuple[PartialState, ...]
    states_of: tuple[tuple[PartialState, ...], ...]
    """For each metric its states, one for each of its aggregates."""

    @property
    def parts(self) -> Iterator[tuple[int, KeyPart]]:
        return ((at, part) for at, key in enumerate(self.merged.keys) for part in key.parts)

    @cached_property
    def arranged(self) -> bool:
        """Whether there is a result for each group or bucket, rather than one of all rows."""
        return bool(self.merged.keys) or self.merged.buckets is not None

    def contribution(self, view: View, span: Span, buckets: Buckets | None) -> Contribution:
        """What the files and the tail of ``view``, a part of the plan's view, contribute within a span."""
        held = view.available.names
        keys = []
        for at, key in enumerate(self.merged.keys):
            own = tuple(column for column in key.columns if column.name in held)
            if own:
                # The bound of the magnitudes decides how a bucket is computed: it must not depend on files.
                greatest = math.inf if key.beyond_doubles else key.greatest
                keys.append((at, replace(key, columns=own, greatest=greatest)))
        states = tuple(state for state in (_held(one, held) for one in self.states) if state is not None)
        columns = [column for _, key in keys for column in key.columns]
        columns += [column for state in states for column in state.aggregate.columns]
        if buckets is not None:
            columns.append(TIMESTAMP_COLUMN)
        query = self.merged.query
        scan = view.scan(columns, view.condition(query.filters), span, in_us=buckets is not None)
        return Contribution(scan, tuple(keys), states, buckets)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file whose partial is of all its rows, and the buckets that these lie in."""

    file: DataFile
    buckets: Buckets | None
    """None where all rows are in one bucket, or the query has none."""
    first: int
    """The position of the first bucket among those of the query; it may be negative."""


def plan_partials(plan: MetricsPlan) -> PartialsPlan:
    """Raises Unkeepable."""
    query, view = plan.query, plan.view
    spans_buckets = plan.buckets is None or query.span == Span(plan.buckets.edges[0], plan.buckets.edges[-1])
    if view.exact or view.held is not None or plan.counted or not spans_buckets:
        raise Unkeepable
    if plan.scan.sessions:
        # A file's events belong to sessions that events of other files make longer.
        raise Unkeepable
    if any(cohorts_in((query.filters, query.groups, view.forced))):
        # Who is in a cohort changes too.
        raise Unkeepable
    columns = [column for key in plan.keys for column in key.columns]
    columns += [one for metric in plan.metrics for part in metric.aggregates for one in part.columns]
    if any(isinstance(column, ActorColumn) for column in columns):
        # Which ids belong to one actor changes, and depends on other collections.
        raise Unkeepable
    if any(key.missing is not None or key.size is not None for key in plan.keys):
        raise Unkeepable
    states: dict[PartialState, None] = {}
    states_of: list[tuple[PartialState, ...]] = []
    metrics: list[MetricPlan] = []
    targets: dict[str | None, int] = {}
    for metric in plan.metrics:
        planned = MetricPlan(metric.metric, tuple(_mergeable(metric, view)))
        position = targets.setdefault(metric.metric.target, len(targets))
        own = tuple(_state(one, position) for one in planned.aggregates)
        states |= dict.fromkeys(own)
        states_of.append(own)
        metrics.append(planned)
    return PartialsPlan(with_metrics(plan, tuple(metrics)), tuple(states), tuple(states_of))


def part_of_file(file: DataFile, plan: MetricsPlan) -> FilePart | None:
    """None where the timeframe cuts the file and no bucket begins there."""
    buckets = plan.buckets
    if buckets is None:
        return FilePart(file, None, 0) if inside(file, plan.query.span) else None
    edges, first = _covering(buckets.edges, file)
    if not edges:
        return None
    low = bisect_right(edges, file.min_us) - 1
    high = bisect_right(edges, file.max_us)
    within = edges[low : high + 1]
    return FilePart(file, Buckets(within) if len(within) > 2 else None, low - first)


def _covering(edges: tuple[int, ...], file: DataFile) -> tuple[tuple[int, ...], int]:
    """The edges, with more of them on both sides until they cover the file, and how many were added before.

    No edges where there would be too many more. Half of the file's time at least must be within the edges:
    otherwise it is faster to read those rows only.
    """
    outside = max(0, edges[0] - file.min_us) + max(0, file.max_us - edges[-1])
    if 2 * outside > file.max_us - file.min_us:
        return (), 0
    before = _steps(edges[0] - file.min_us, edges[1] - edges[0])
    after = _steps(file.max_us + 1 - edges[-1], edges[-1] - edges[-2])
    if max(before, after) > BUCKETS_ADDED_MAX:
        return (), 0
    first, last = edges[1] - edges[0], edges[-1] - edges[-2]
    earlier = (edges[0] - number * first for number in range(before, 0, -1))
    later = (edges[-1] + number * last for number in range(1, after + 1))
    return (*earlier, *edges, *later), before


def _steps(distance: int, step: int) -> int:
    return max(0, -(-distance // step))


def _held(state: PartialState, held: object) -> PartialState | None:
    """The state as far as there are columns for it; None where there are none."""
    columns = tuple(one for one in state.aggregate.columns if one.name in held)  # type: ignore[operator]
    if len(columns) == len(state.aggregate.columns):
        return state
    return PartialState(state.name, replace(state.aggregate, columns=columns)) if columns else None


def _state(aggregate: Aggregate, position: int) -> PartialState:
    """``position`` tells the targets of a query apart, of which some states have no single column."""
    name = f"${aggregate.fold.name.lower()}"
    if aggregate.fold in (AggregateRole.QUANTILE, AggregateRole.EXPLICIT_NULL):
        stateful = replace(aggregate, fraction=None)
        return PartialState(f"{name}.{position}", stateful)
    for column in aggregate.columns:
        name += f".{column.name}"
    return PartialState(name, aggregate)


def _mergeable(metric: MetricPlan, view: View) -> Iterator[Aggregate]:
    """The aggregates from which the metric's result is computed. Raises Unkeepable."""
    analysis = metric.metric.analysis
    if analysis is Analysis.STANDARD_DEVIATION:
        raise Unkeepable
    if analysis not in (Analysis.SUM, Analysis.AVERAGE):
        yield from metric.aggregates
        return
    target = metric.metric.target or ""
    numbers = [column for column in view.available.at(target) if column.kind in NUMERIC]
    for column in numbers:
        yield from _sum(column, view)
    if analysis is Analysis.AVERAGE:
        yield from (Aggregate(AggregateRole.PRESENT, (column,)) for column in numbers)


def _sum(column: Column, view: View) -> Sequence[Aggregate]:
    """A sum that needs no rounding and means the same whatever the other files hold."""
    plain = plain_sum(column, view)
    if plain is not None:
        return (plain,)
    extent = view.extent(column)
    band = fine_band(extent)
    split = coarse_splitter(band, extent.greatest * view.rows)
    if not split:
        raise Unkeepable
    return (
        Aggregate(AggregateRole.SUM_COARSE, (column,), split=split, band=band),
        Aggregate(AggregateRole.SUM_FINE, (column,), split=split, band=band),
    )
