"""Percentiles of all events of many, without collecting all their values.

The engine collects every value to find one of them. Where there are many, a sample of some files first tells
between which two values each percentile most likely lies; then all are counted, and only those between are
collected. What a percentile is does not depend on the sample: where one lies elsewhere, all are collected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from query.engine.engine import Row
from query.engine.runner import Runner
from query.plan import predicates as p
from query.plan.aggregates import Aggregate, AggregateRole
from query.plan.plan import MetricsPlan
from query.plan.scans import Scan, inside
from query.sql import statements

ROWS_MIN = 1_000_000
"""Stored rows from which on it is faster."""
SAMPLED_FILES = 8
SAMPLED_EACH = 20_000
SAMPLED_MIN = 10_000
"""Values that a sample must have, to say anything."""
SAMPLED_PART = 16
"""Under a filter the first rows that match may be anywhere in a file: the files sampled have one of so many
rows at most."""
MARGIN = Decimal("0.006")
"""How far from the sample's a percentile may be, in parts of all values: for 160,000 values drawn at random
five times the standard deviation."""


def narrowed_rows(plan: MetricsPlan, runner: Runner) -> list[Row] | None:
    """The row of a query of percentiles; None where all values must be collected."""
    asked = _alike(plan)
    scans = _sampled(plan) if asked else []
    if not scans:
        return None
    fractions = list(dict.fromkeys(_fraction(one) for one in asked))
    bounds = _bounds(asked[0], fractions, scans, runner)
    if bounds is None:
        return None
    both = [(_fraction(one), bounds[_fraction(one)]) for one in asked]
    statement = statements.percentiles_between(plan.scan, asked[0].columns, both)
    rows = list(runner.rows(statement, plan.view.tables(plan.scan), reads=plan.view.rows))
    return None if any(cell is None for row in rows for cell in row) else rows


def _alike(plan: MetricsPlan) -> list[Aggregate]:
    """The percentiles of one property that are all that is asked; none where it is otherwise."""
    if plan.keys or plan.buckets is not None or plan.scan.sessions or plan.scan.actors:
        return []
    asked = [one for metric in plan.metrics for one in metric.aggregates]
    kinds = {(one.fold, one.columns) for one in asked}
    if plan.view.rows < ROWS_MIN or len(kinds) != 1 or asked[0].fold is not AggregateRole.QUANTILE:
        return []
    return [] if any(one.fraction is None for one in asked) else asked


def _fraction(one: Aggregate) -> Decimal:
    assert one.fraction is not None
    return one.fraction


def _sampled(plan: MetricsPlan) -> list[Scan]:
    """Scans of some files of all times, each wholly within the timeframe."""
    query, view = plan.query, plan.view
    files = sorted((one for one in view.files if inside(one, query.span)), key=lambda one: one.min_us)
    if plan.scan.predicate != p.TRUE:
        most = view.rows // SAMPLED_PART // SAMPLED_FILES
        files = [one for one in files if one.rows <= most]
    step = max(1, len(files) // SAMPLED_FILES)
    alone = (view.part([one]) for one in files[::step][:SAMPLED_FILES])
    scans = (one.scan(plan.scan.columns, one.condition(query.filters), query.span) for one in alone)
    return [scan for scan in scans if not scan.empty]


def _bounds(
    one: Aggregate, fractions: Sequence[Decimal], scans: Sequence[Scan], runner: Runner
) -> dict[Decimal, tuple[float, float]] | None:
    """Between which values each percentile most likely lies."""
    least = [max(Decimal(0), fraction - MARGIN) for fraction in fractions]
    greatest = [min(Decimal(1), fraction + MARGIN) for fraction in fractions]
    statement = statements.percentiles_of_sample(scans, one.columns, [*least, *greatest], SAMPLED_EACH)
    ((number, found),) = runner.rows(statement, {}, reads=SAMPLED_EACH * len(scans))
    if number < SAMPLED_MIN or not all(map(math.isfinite, found)):
        return None
    return dict(zip(fractions, zip(found, found[len(fractions) :], strict=False), strict=True))
