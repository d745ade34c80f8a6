"""The aggregate columns from which an analysis's result is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from query.language.nodes import Analysis, Metric
from query.plan.actors import IdLinks, actor_columns
from query.plan.columns import NUMERIC, Column, ColumnKind
from query.plan.exact_sums import EXACT_DOUBLES, SPLIT_MAX, BitRange, bands, exact_rows, splitter
from query.plan.views import View


class AggregateRole(StrEnum):
    """The meaning of one aggregate column; ``query.answers.results`` computes results from them."""

    ROWS = "rows"
    DISTINCT = "distinct values"
    VALUES = "list of distinct values"
    ELEMENTS = "list of distinct list elements, as JSON"
    EXPLICIT_NULL = "whether any row holds an explicit null"
    SUM = "sum"
    SUM_HIGH = "sum of the high parts of doubles, exact"
    SUM_LOW = "sum of the low parts of doubles, rounded"
    SUM_BAND = "sum of some bits of doubles, exact"
    SUM_COARSE = "sum of doubles rounded to multiples of a power of two, exact"
    SUM_FINE = "sum of what that leaves, as a count of a smaller power of two, exact"
    PRESENT = "number of values"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    QUANTILE = "quantile"
    DEVIATION = "standard deviation"


SUM_IN_TWO_PARTS = (AggregateRole.SUM_HIGH, AggregateRole.SUM_LOW, AggregateRole.PRESENT)


@dataclass(frozen=True, slots=True)
class Aggregate:
    fold: AggregateRole
    columns: tuple[Column, ...] = ()
    fraction: Decimal | None = None
    path: str = ""
    """For EXPLICIT_NULL, whose column lists the paths of nulls: the path to look for."""
    split: float = 0.0
    """For SUM_HIGH and SUM_LOW: the constant that splits a value, from ``exact_sums.splitter``."""
    exact_rows: float = 0.0
    """For SUM_HIGH and SUM_LOW: rows up to which the low sum is exact, from ``exact_sums.exact_rows``."""
    rows_max: int | None = None
    """For SUM_HIGH and SUM_LOW: the most rows there can be, where PRESENT does not count them."""
    band: BitRange | None = None
    """For SUM_BAND, SUM_FINE and SUM_COARSE: the bits to sum, or those below the ones to sum."""
    offset: float = 0.0
    """For DEVIATION: a constant that is subtracted from each value first."""
    in_order: bool = False
    """For DEVIATION: whether values are taken in order, so that the result is the same to the last bit.
    Otherwise it is not a number where the values are too far from the offset for their differences."""

    @property
    def orders_as_result(self) -> bool:
        """Whether the column sorts as the result does: not lists, nor long integers, which are text."""
        if self.fold in (AggregateRole.MINIMUM, AggregateRole.MAXIMUM, AggregateRole.SUM):
            return all(column.kind is not ColumnKind.LONG for column in self.columns)
        if self.fold is AggregateRole.DEVIATION:
            return self.in_order
        return self.fold not in (AggregateRole.VALUES, AggregateRole.ELEMENTS, AggregateRole.EXPLICIT_NULL)


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """One analysis and the aggregates that its result is computed from."""

    metric: Metric
    aggregates: tuple[Aggregate, ...]

    @property
    def sortable(self) -> bool:
        """True where the engine can order by the result, or compute it from the aggregates."""
        if self.in_two_parts:
            return True
        return len(self.aggregates) == 1 and self.aggregates[0].orders_as_result

    @property
    def in_two_parts(self) -> bool:
        """True for the sum of one number column, split into a high and a low part."""
        folds = tuple(one.fold for one in self.aggregates)
        return self.metric.analysis is Analysis.SUM and folds in (SUM_IN_TWO_PARTS, SUM_IN_TWO_PARTS[:2])


def plan_metric(
    metric: Metric, view: View, *, links: IdLinks | None = None, of_all_rows: bool = False
) -> MetricPlan:
    """``links``: which ids belong to one actor, where the metric merges them. ``of_all_rows``: there is one
    result, and every row of the view is part of it."""
    if metric.analysis is Analysis.COUNT or metric.target is None:
        return MetricPlan(metric, (Aggregate(AggregateRole.ROWS),))
    columns = actor_columns(metric.target, view.available, links)
    if metric.analysis is Analysis.COUNT_UNIQUE:
        return MetricPlan(metric, _distinct(columns))
    if metric.analysis is Analysis.SELECT_UNIQUE:
        return MetricPlan(metric, (*_values(columns), *_explicit_null(metric.target, view)))
    numbers = tuple(column for column in columns if column.kind in NUMERIC)
    aggregates = _numeric(metric, numbers, view) if numbers else ()
    if of_all_rows and metric.analysis is Analysis.SUM:
        aggregates = _uncounted(aggregates, view.rows)
    return MetricPlan(metric, aggregates)


def _uncounted(aggregates: tuple[Aggregate, ...], rows: int) -> tuple[Aggregate, ...]:
    """A sum's two parts without the number of its values, which takes the engine a sixth of the time.

    The number only bounds the error; here the number of rows does so nearly as well.
    """
    if tuple(one.fold for one in aggregates) != SUM_IN_TWO_PARTS:
        return aggregates
    return tuple(replace(one, rows_max=rows) for one in aggregates[:2])


def _distinct(columns: tuple[Column, ...]) -> tuple[Aggregate, ...]:
    """Counts of distinct values per column, or lists of values where the path has list values.

    Columns have disjoint values, so counts add up; elements of lists may equal values of other columns.
    """
    if any(column.kind is ColumnKind.JSON for column in columns):
        return _values(columns)
    return tuple(Aggregate(AggregateRole.DISTINCT, (column,)) for column in columns)


def _values(columns: tuple[Column, ...]) -> tuple[Aggregate, ...]:
    return tuple(
        Aggregate(
            AggregateRole.ELEMENTS if column.kind is ColumnKind.JSON else AggregateRole.VALUES, (column,)
        )
        for column in columns
    )


def _explicit_null(path: str, view: View) -> tuple[Aggregate, ...]:
    """Tests for nulls that were sent, which are values; a property that was not sent has no value."""
    nulls, _ = view.available.paths_columns()
    return () if nulls is None else (Aggregate(AggregateRole.EXPLICIT_NULL, (nulls,), path=path),)


def _numeric(metric: Metric, columns: tuple[Column, ...], view: View) -> tuple[Aggregate, ...]:
    match metric.analysis:
        case Analysis.SUM:
            return tuple(fold for column in columns for fold in _sum(column, view))
        case Analysis.MINIMUM:
            return tuple(Aggregate(AggregateRole.MINIMUM, (column,)) for column in columns)
        case Analysis.MAXIMUM:
            return tuple(Aggregate(AggregateRole.MAXIMUM, (column,)) for column in columns)
        case Analysis.AVERAGE:
            folds = tuple(fold for column in columns for fold in _sum(column, view, Analysis.AVERAGE))
            counts = tuple(Aggregate(AggregateRole.PRESENT, (column,)) for column in columns)
            return folds + tuple(one for one in counts if one not in folds)
        case Analysis.STANDARD_DEVIATION if view.repeatable or view.exact:
            return (Aggregate(AggregateRole.DEVIATION, columns, in_order=True),)
        case Analysis.STANDARD_DEVIATION:
            number = next((column for column in columns if column.kind is ColumnKind.NUMBER), None)
            # The last digits of what a key is told must not tell of values that it does not see.
            offset = 0.0 if number is None or view.forced else view.extent(number).offset
            return (Aggregate(AggregateRole.DEVIATION, columns, offset=offset),)
    percent = Decimal(50) if metric.percentile is None else Decimal(str(metric.percentile))
    return (Aggregate(AggregateRole.QUANTILE, columns, percent / 100),)


def plain_sum(column: Column, view: View) -> Aggregate | None:
    """The sum as it is, where it is exact: of integers, and of doubles that are small ones; else None."""
    if column.kind is ColumnKind.NUMBER:
        extent = view.extent(column)
        if not extent.integral or extent.greatest * view.rows >= EXACT_DOUBLES:
            return None
    return Aggregate(AggregateRole.SUM, (column,))


def _sum(column: Column, view: View, analysis: Analysis = Analysis.SUM) -> tuple[Aggregate, ...]:
    """The fastest exact sum that the values allow: plain, in two parts, or in bands."""
    plain = plain_sum(column, view)
    if plain is not None:
        return (plain,)
    extent = view.extent(column)
    bound = extent.greatest * view.rows
    all_digits = extent.integral and analysis is Analysis.SUM
    if not (view.exact or all_digits) and bound < SPLIT_MAX:
        split = splitter(bound)
        exact = exact_rows(extent, split)
        high, low = (
            Aggregate(fold, (column,), split=split, exact_rows=exact)
            for fold in (AggregateRole.SUM_HIGH, AggregateRole.SUM_LOW)
        )
        return (high, low, Aggregate(AggregateRole.PRESENT, (column,)))
    return tuple(Aggregate(AggregateRole.SUM_BAND, (column,), band=band) for band in bands(extent, view.rows))
