"""Merges what adjacent intervals hold into the result of a window of them, for analyses that allow it.

Sums are merged before they are rounded, so that a window's result is that of the question over its events.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from query.answers.results import fold_metric, mean_of, rounded_total, total_of
from query.answers.values import Row
from query.language.nodes import Analysis
from query.plan.aggregates import MetricPlan

MERGED = frozenset((Analysis.COUNT, Analysis.SUM, Analysis.AVERAGE, Analysis.MINIMUM, Analysis.MAXIMUM))
"""The analyses of which a window's result follows from those of its intervals; others are asked of each."""
Piece = Any
"""What is kept of an interval: a sum's total, error and number of values; otherwise the result."""


def piece_of(metric: MetricPlan, cells: Row) -> Piece:
    if metric.metric.analysis in (Analysis.SUM, Analysis.AVERAGE):
        return total_of(metric, cells)
    return fold_metric(metric, cells)


def merged(analysis: Analysis, pieces: Iterable[Piece]) -> Any:
    """The result of a window from its pieces, of which there is at least one. Raises Uncertain."""
    if analysis is Analysis.COUNT:
        return sum(pieces)
    if analysis in (Analysis.MINIMUM, Analysis.MAXIMUM):
        values = [piece for piece in pieces if piece is not None]
        choose = min if analysis is Analysis.MINIMUM else max
        return choose(values) if values else None
    total, error, rows = Fraction(0), Fraction(0), 0
    for one_total, one_error, one_rows in pieces:
        total, error, rows = total + one_total, error + one_error, rows + one_rows
    return rounded_total(total, error) if analysis is Analysis.SUM else mean_of(total, error, rows)
