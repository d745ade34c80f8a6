"""Drift: how far the values of a bucket are from those of the time before it, as one number.

The number is the population stability index: with the share of rows in each bin before (p) and now (q), the
sum of (q - p) · ln(q / p). Numbers are in bins between the deciles of those before; other values each are a
bin, of which those behind the most frequent ones before are one. To each bin half a row is added on both
sides, so that none is empty. Absent values and nulls are in no bin.
"""

from __future__ import annotations

from collections.abc import Sequence

from query.sql.statement import Statement, bound, name, sql
from query.transforms.nodes import (
    AggregateRows,
    BucketSpan,
    Drift,
    Expect,
    Operation,
    ValueType,
    needs_outside,
)
from query.transforms.values import has_value, is_of, plain_text, text_of
from storage.schema import TIMESTAMP

BINS_MAX = 50
"""Most values that have bins of their own."""
_TIME = name(TIMESTAMP)


def drift_row(
    rule: Drift, step: int, number: int, rows: Statement, bucket: BucketSpan, into: str
) -> Statement:
    """What is told of a rule, in the column ``into``: ``{"step": n, "drift": the rule's number,
    "index": …, "before": rows, "now": rows}``."""
    column = name(rule.column)
    given = sql(
        "SELECT {} < make_timestamptz({}) AS is_before, {} AS value, CASE WHEN {} THEN {} END AS number "
        "FROM {} WHERE {} >= make_timestamptz({}) AND {}",
        _TIME,
        bound(bucket.start_us),
        plain_text(column),
        is_of(ValueType.NUMBER, column),
        sql("TRY_CAST({} AS DOUBLE)", text_of(column)),
        rows,
        _TIME,
        bound(bucket.start_us - rule.against_us),
        has_value(column),
    )
    return sql(
        "SELECT * FROM (WITH drift_given AS ({}), {} SELECT CAST(json_object('step', {}, 'drift', {}, "
        "'index', (SELECT list_sum(list((q - p) * ln(q / p) ORDER BY bin)) FROM drift_shares), "
        "'before', (SELECT count(*) FROM drift_given WHERE is_before), "
        "'now', (SELECT count(*) FROM drift_given WHERE NOT is_before)) AS VARCHAR) AS {})",
        given,
        sql(_SHARES, bound(BINS_MAX)),
        bound(step),
        bound(number),
        name(into),
    )


_SHARES = """drift_cuts AS (
    SELECT bool_and(number IS NOT NULL) AS is_numeric, list_distinct(quantile_disc(
        number, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) FILTER (WHERE is_before)) AS cuts
    FROM drift_given
), drift_binned AS (
    SELECT is_before, CASE WHEN is_numeric
        THEN CAST(len(list_filter(cuts, lambda cut: cut < number)) AS VARCHAR) ELSE value END AS bin
    FROM drift_given, drift_cuts
), drift_counts AS (
    SELECT bin, count(*) FILTER (WHERE is_before) AS before, count(*) FILTER (WHERE NOT is_before) AS now
    FROM drift_binned GROUP BY bin
), drift_ranked AS (
    SELECT *, row_number() OVER (ORDER BY before DESC, bin) AS place FROM drift_counts
), drift_bins AS (
    SELECT CASE WHEN place <= {} THEN bin END AS bin, sum(before) AS before, sum(now) AS now
    FROM drift_ranked GROUP BY 1
), drift_shares AS (
    SELECT bin, (before + 0.5) / (sum(before) OVER () + 0.5 * count(*) OVER ()) AS p,
        (now + 0.5) / (sum(now) OVER () + 0.5 * count(*) OVER ()) AS q
    FROM drift_bins
)"""


def misplaced_drift(operations: Sequence[Operation], lookback_us: int) -> tuple[int, str] | None:
    """The number of a step whose drift could not be told, and why."""
    cut: str | None = None
    for number, step in enumerate(operations):
        drifts = [rule for rule in step.rules if isinstance(rule, Drift)] if isinstance(step, Expect) else []
        if isinstance(step, AggregateRows):
            cut = cut or "an 'aggregate'"
        elif needs_outside(step):
            cut = cut or "code that is not SQL"
        for rule in drifts:
            if cut is not None:
                return number, (
                    f"needs the rows before the bucket, which are gone behind {cut}: put it before that, in "
                    "an 'expect' of its own."
                )
            if rule.against_us > lookback_us:
                return number, "is against a longer time than the pipeline's 'lookback': give it that."
    return None
