"""Computes the result of each metric from one row's aggregates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import isnan
from typing import Any

from query.answers.values import Row, loads, number, rounded
from query.engine.sorting import in_order
from query.language.nodes import Analysis
from query.plan import exact_sums
from query.plan.actors import ActorColumn
from query.plan.aggregates import SUM_IN_TWO_PARTS, Aggregate, AggregateRole, MetricPlan
from query.plan.columns import Column, ColumnKind
from query.plan.plan import MetricsPlan
from storage.instants import format_instant

AVERAGES_BELOW = 1e38
"""An integral average from this magnitude on is returned as a float: its digits are not significant."""


def folder(plan: MetricsPlan, first: int) -> Callable[[Row], list[Any]]:
    """A function of a row that returns the result of each metric; aggregates begin at column ``first``."""
    spans: list[tuple[MetricPlan, int, int]] = []
    for metric in plan.metrics:
        spans.append((metric, first, first + len(metric.aggregates)))
        first += len(metric.aggregates)
    return lambda row: [fold_metric(metric, row[start:end]) for metric, start, end in spans]


def rounded_results(plan: MetricsPlan, results: Sequence[Any]) -> list[Any]:
    pairs = zip(plan.metrics, results, strict=True)
    return [rounded(result, metric.metric.decimals) for metric, result in pairs]


def label_of(metric: MetricPlan) -> str:
    return metric.metric.label or "result"


def fold_metric(metric: MetricPlan, cells: Row | None) -> Any:
    """Computes one result from its aggregates; ``cells`` is None for a set without rows."""
    analysis = metric.metric.analysis
    if analysis is Analysis.SELECT_UNIQUE:
        return [] if cells is None else _unique(metric, cells)
    if cells is None or not cells:
        return 0 if analysis in (Analysis.COUNT, Analysis.COUNT_UNIQUE, Analysis.SUM) else None
    if analysis is Analysis.COUNT:
        return cells[0]
    if analysis is Analysis.COUNT_UNIQUE:
        if metric.aggregates[0].fold is AggregateRole.DISTINCT:
            return sum(cells)
        return len([value for value in _unique(metric, cells) if value is not None])
    if analysis is Analysis.SUM:
        return _sum(metric, cells)
    if analysis is Analysis.AVERAGE:
        return _average(metric, cells)
    values = [value for value in map(_numeric, cells) if value is not None]
    if not values:
        return None
    if analysis is Analysis.STANDARD_DEVIATION and isnan(values[0]):
        raise exact_sums.Uncertain
    return number(min(values) if analysis is Analysis.MINIMUM else max(values))


def _numeric(cell: Any) -> int | float | None:
    """The cell as a number; long integers are decimal text."""
    return int(cell) if isinstance(cell, str) else cell


def _sum(metric: MetricPlan, cells: Row) -> int | float | None:
    """The sum, correctly rounded, or with all digits of an integer. Raises Uncertain."""
    if metric.in_two_parts:
        high, low, *present = cells
        one = metric.aggregates[0]
        rows = present[0] if one.rows_max is None else one.rows_max
        if not rows or high is None:
            return 0
        return number(exact_sums.rounded(high, low, rows, one.split, one.exact_rows))
    if len(cells) == 1 and isinstance(cells[0], float) and metric.aggregates[0].fold is AggregateRole.SUM:
        return number(cells[0])
    total, error = _total(metric.aggregates, cells)
    return rounded_total(total, error)


def _average(metric: MetricPlan, cells: Row) -> int | float | None:
    """The average, correctly rounded. Raises Uncertain."""
    folds = tuple(aggregate.fold for aggregate in metric.aggregates)
    if folds == SUM_IN_TWO_PARTS:
        high, low, rows = cells
        aggregate = metric.aggregates[0]
        return (
            number(exact_sums.rounded_mean(high, low, rows, aggregate.split, aggregate.exact_rows))
            if rows
            else None
        )
    present = (cell for fold, cell in zip(folds, cells, strict=True) if fold is AggregateRole.PRESENT)
    rows = sum(present)
    if not rows:
        return None
    if folds == (AggregateRole.SUM, AggregateRole.PRESENT) and isinstance(cells[0], float):
        return number(cells[0] / rows)
    total, error = _total(metric.aggregates, cells)
    return mean_of(total, error, rows)


def mean_of(total: Fraction, error: Fraction, rows: int) -> int | float | None:
    """The average that a total is of, correctly rounded; None of no rows. Raises Uncertain."""
    if not rows:
        return None
    mean = rounded_total(total / rows, error / rows)
    return mean if mean is None or abs(mean) < AVERAGES_BELOW else float(mean)


def total_of(metric: MetricPlan, cells: Row) -> tuple[Fraction, Fraction, int]:
    """The total of a sum's or an average's aggregates, a bound of its error, and the numbers counted."""
    folds = (aggregate.fold for aggregate in metric.aggregates)
    rows = sum(cell for fold, cell in zip(folds, cells, strict=True) if fold is AggregateRole.PRESENT)
    return (*_total(metric.aggregates, cells), rows)


def _total(aggregates: Sequence[Aggregate], cells: Row) -> tuple[Fraction, Fraction]:
    """The sum of all aggregates, and an upper bound of its error."""
    total, error = Fraction(0), Fraction(0)
    low = split = 0.0
    for aggregate, cell in zip(aggregates, cells, strict=True):
        if aggregate.fold is AggregateRole.PRESENT:
            if split:
                error, split = Fraction(exact_sums.error_of(low, cell, split)), 0.0
            continue
        value = Fraction(_numeric(cell) or 0)
        scaled = aggregate.band is not None and aggregate.fold is not AggregateRole.SUM_COARSE
        total += value * Fraction(2) ** aggregate.band.low if scaled and aggregate.band else value
        if aggregate.fold is AggregateRole.SUM_LOW:
            low, split = cell or 0.0, aggregate.split
    return total, error


def rounded_total(value: Fraction, error: Fraction) -> int | float | None:
    """The nearest double, or all digits of an integer; None where a double overflows. Raises Uncertain."""
    try:
        result = float(value - error)
        if error and (result != float(value + error) or abs(result) >= exact_sums.EXACT_DOUBLES):
            raise exact_sums.Uncertain
    except OverflowError:
        return None
    return int(value) if value.denominator == 1 and not error else number(result)


_PLAIN_KINDS = (ColumnKind.STRING, ColumnKind.NUMBER, ColumnKind.INTEGER)


def _unique(metric: MetricPlan, cells: Row) -> list[Any]:
    """The distinct values, sorted, null last; of lists, the elements. Objects in lists are ignored."""
    if plain_kind(metric) is not None:
        return _unique_plain(metric, cells)
    has_null = False
    texts: list[str] = []
    numbers: list[int | float] = []
    booleans: list[bool] = []
    for aggregate, cell in zip(metric.aggregates, cells, strict=True):
        if aggregate.fold is AggregateRole.EXPLICIT_NULL:
            has_null = has_null or bool(cell)
            continue
        kind = aggregate.columns[0].kind
        if kind is ColumnKind.INSTANT:
            return [format_instant(us) for us in in_order(list(cell or ()))]
        if aggregate.fold is not AggregateRole.ELEMENTS and kind is ColumnKind.STRING:
            texts += cell or ()
            continue
        elements = aggregate.fold is AggregateRole.ELEMENTS
        decode = _element_of(aggregate.columns[0]) if elements else _decoder_of(kind)
        for value in map(decode, cell or ()):
            if value is None:
                has_null = True
            elif isinstance(value, bool):
                booleans.append(value)
            elif isinstance(value, str):
                texts.append(value)
            elif isinstance(value, int | float):
                numbers.append(value)
    listed = [*_distinct(numbers), *_distinct(texts), *_distinct(booleans)]
    return [*listed, None] if has_null else listed


def _unique_plain(metric: MetricPlan, cells: Row) -> list[Any]:
    values: list[Any] = cells[0] or []
    if plain_kind(metric) is not ColumnKind.STRING:
        values = [value for value in map(number, values) if value is not None]
    values = in_order(values)
    if any(one == next for one, next in pairwise(values)):
        values = list(dict.fromkeys(values))
    if any(cells[1:]):
        values.append(None)
    return values


def plain_kind(metric: MetricPlan) -> ColumnKind | None:
    """The kind of the metric's values if they come from one list of strings or numbers; else None."""
    first, *rest = metric.aggregates or (Aggregate(AggregateRole.ROWS),)
    if first.fold is not AggregateRole.VALUES or any(
        one.fold is not AggregateRole.EXPLICIT_NULL for one in rest
    ):
        return None
    kind = first.columns[0].kind
    return kind if kind in _PLAIN_KINDS else None


def _distinct(values: list[Any]) -> list[Any]:
    """The distinct values, the first of equal ones, sorted. Empties ``values`` to free memory."""
    distinct = dict.fromkeys(values)
    values.clear()
    return in_order(list(distinct))


def _decoder_of(kind: ColumnKind) -> Callable[[Any], Any]:
    if kind is ColumnKind.NUMBER:
        return number
    return int if kind is ColumnKind.LONG else lambda value: value


def _element_of(column: Column) -> Callable[[str], Any]:
    """The decoder of a list's elements; of ids of actors, to the one that stands for the actor."""
    if not isinstance(column, ActorColumn):
        return _element

    def decode(text: str) -> Any:
        value = _element(text)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return value
        actor = column.links.actor_of(value)
        return actor if isinstance(actor, str) else number(actor)

    return decode


def _element(text: str) -> Any:
    value = loads(text)
    return number(value) if isinstance(value, float) else value
