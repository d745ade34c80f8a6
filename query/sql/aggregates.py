"""SQL expressions of the aggregate columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from query.plan.aggregates import Aggregate, AggregateRole, MetricPlan
from query.plan.columns import Column, ColumnKind
from query.plan.exact_sums import BitRange, powers
from query.sql.statement import Statement, bound, col, joined, sql, whole

DOUBLE_BITS = 53
DOUBLE_EXPONENT_END = 1024
DEVIATIONS_MAX = 2.0**16
"""How many standard deviations the mean may be from the offset: so many times larger than the rounding of
one value is the error, in units of the last place."""


def aggregates_of(metrics: Sequence[MetricPlan]) -> list[Statement]:
    """The expressions of all aggregate columns of these metrics, in order.

    Percentiles of the same values are taken from one list: the engine collects the values once for all.
    """
    specs = [one for metric in metrics for one in metric.aggregates]
    asked: dict[tuple[Column, ...], dict[Decimal, int]] = {}
    for one in specs:
        if one.fold is AggregateRole.QUANTILE and one.fraction is not None:
            places = asked.setdefault(one.columns, {})
            places.setdefault(one.fraction, len(places))
    return [
        _of_list(one, asked[one.columns])
        if one.fold is AggregateRole.QUANTILE and len(asked.get(one.columns, ())) > 1
        else aggregate(one)
        for one in specs
    ]


def _of_list(spec: Aggregate, places: Mapping[Decimal, int]) -> Statement:
    """One of the percentiles that are computed together, by their places in the list."""
    assert spec.fraction is not None
    listed = joined(", ", map(bound, places))
    quantiles = sql("quantile_disc({}, [{}])", numeric(spec.columns), listed)
    return finite(sql("{}[{}]", quantiles, whole(places[spec.fraction] + 1)))


def aggregate(spec: Aggregate) -> Statement:
    """The expression of one aggregate column."""
    match spec.fold:
        case AggregateRole.ROWS:
            return Statement("count(*)")
        case AggregateRole.DISTINCT:
            return sql("count(DISTINCT {})", col(spec.columns[0]))
        case AggregateRole.VALUES:
            column = col(spec.columns[0])
            value = sql("epoch_us({})", column) if spec.columns[0].kind is ColumnKind.INSTANT else column
            return sql("list(DISTINCT {}) FILTER (WHERE {} IS NOT NULL)", value, column)
        case AggregateRole.ELEMENTS:
            column = col(spec.columns[0])
            return sql(
                "list_distinct(flatten(list_transform(list(DISTINCT {}) FILTER (WHERE {} IS NOT NULL),"
                " lambda x: CAST(json_extract(x, '$[*]') AS VARCHAR[]))))",
                column,
                column,
            )
        case AggregateRole.EXPLICIT_NULL:
            return sql("bool_or(list_contains({}, {}))", col(spec.columns[0]), bound(spec.path))
        case AggregateRole.MINIMUM | AggregateRole.MAXIMUM:
            return _extreme("min" if spec.fold is AggregateRole.MINIMUM else "max", spec.columns[0])
        case AggregateRole.PRESENT:
            return sql("count({})", col(spec.columns[0]))
        case AggregateRole.QUANTILE:
            number = numeric(spec.columns)
            return finite(sql("quantile_disc({}, {})", number, bound(spec.fraction)))
        case AggregateRole.DEVIATION:
            values = finite(numeric(spec.columns))
            if spec.in_order:
                return _deviation_in_order(values)
            return _deviation(values, spec.offset)
    return _sum(spec)


def _deviation(values: Statement, offset: float) -> Statement:
    """The standard deviation, or NaN where rounding may have taken more than some digits of it: where the
    values are by far nearer to each other than to the offset."""
    less = sql("({} - {})", values, Statement(repr(offset)))
    return sql(
        "(CASE WHEN min({}) = max({}) THEN 0.0"
        " WHEN abs(avg({})) > {} * stddev_pop({}) THEN 'nan'::DOUBLE ELSE {} END)",
        values,
        values,
        less,
        Statement(repr(DEVIATIONS_MAX)),
        less,
        finite(sql("stddev_pop({})", less)),
    )


def _deviation_in_order(values: Statement) -> Statement:
    """The standard deviation, from the values in their order, less the least of them."""
    listed = sql("list({} ORDER BY {}) FILTER (WHERE {} IS NOT NULL)", values, values, values)
    less = sql("list_transform({}, lambda x: x - min({}))", listed, values)
    return finite(sql("list_aggregate({}, 'stddev_pop')", less))


def numeric(columns: Sequence[Column]) -> Statement:
    """The path's numeric value as a double."""
    terms = [
        col(column) if column.kind is ColumnKind.NUMBER else sql("TRY_CAST({} AS DOUBLE)", col(column))
        for column in columns
    ]
    return terms[0] if len(terms) == 1 else sql("coalesce({})", joined(", ", terms))


def finite(expression: Statement) -> Statement:
    """The number, or null where it is infinite."""
    return sql("(CASE WHEN isfinite({}) THEN {} END)", expression, expression)


def rank(count: Statement, fraction: Decimal) -> Statement:
    """Which of so many values in order, from 1 on, is the percentile: the least one that this part of them
    does not exceed."""
    numerator, denominator = fraction.as_integer_ratio()
    terms = (whole(numerator), whole(denominator - 1), whole(denominator))
    return sql("greatest(1, (CAST({} AS HUGEINT) * {} + {}) // {})", count, *terms)


def _extreme(function: str, column: Column) -> Statement:
    if column.kind is ColumnKind.LONG:
        return sql("CAST({}(CAST({} AS BIGNUM)) AS VARCHAR)", Statement(function), col(column))
    if column.kind is ColumnKind.INSTANT:
        return sql("make_timestamp(epoch_us({}({})))", Statement(function), col(column))
    return sql("{}({})", Statement(function), col(column))


def _sum(spec: Aggregate) -> Statement:
    column = spec.columns[0]
    value = col(column)
    if column.kind is ColumnKind.LONG:
        return sql("CAST(sum(CAST({} AS BIGNUM)) AS VARCHAR)", value)
    if spec.fold is AggregateRole.SUM_BAND and spec.band is not None:
        return sql("sum({})", _within_band(value, spec.band))
    if spec.fold is AggregateRole.SUM:
        return sql("coalesce(sum({}), 0)", value)
    if spec.fold is AggregateRole.SUM_FINE:
        return sql("sum(CAST({} AS BIGINT))", _fine(value, spec))
    split = Statement(repr(spec.split))
    high = sql("(({} + {}) - {})", value, split, split)
    is_high = spec.fold in (AggregateRole.SUM_HIGH, AggregateRole.SUM_COARSE)
    return sql("sum({})", high if is_high else sql("({} - {})", value, high))


def _fine(value: Statement, spec: Aggregate) -> Statement:
    """What the coarse part leaves of a value, as a count of the least power of two that any value has."""
    assert spec.band is not None
    split = Statement(repr(spec.split))
    return _times_power(sql("({} - (({} + {}) - {}))", value, value, split, split), -spec.band.low)


def _within_band(value: Statement, band: BitRange) -> Statement:
    """The bits of the value in the band, as an integer.

    Values whose lowest bit lies above the band have no bits in it; they are left out, since scaling them down
    to the band could overflow a double.
    """
    end = band.low + band.bits
    lower, upper = _times_power(value, -band.low), _times_power(value, -end)
    bits = sql("trunc({}) - trunc({}) * {}", lower, upper, Statement(repr(2.0**band.bits)))
    if end + DOUBLE_BITS >= DOUBLE_EXPONENT_END:
        return bits
    limit = Statement(repr(math.ldexp(1.0, end + DOUBLE_BITS)))
    return sql("(CASE WHEN abs({}) < {} THEN {} END)", value, limit, bits)


def _times_power(value: Statement, exponent: int) -> Statement:
    """The value times 2^exponent."""
    factors = [Statement(repr(one)) for one in powers(exponent)]
    return joined(" * ", [value, *factors])
