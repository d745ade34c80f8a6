"""Converts rows of aggregates to the answer's ``result``, in the shapes of Keen's responses. Pure.

A row of the engine is (bucket index, key parts …, aggregates …). Keys become values, aggregates become
results, and results are arranged: alone, in groups, in intervals, or in groups within intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from query.answers.groups import Groups
from query.answers.results import fold_metric, folder, label_of, plain_kind, rounded_results
from query.answers.values import Row, timeframes
from query.engine.memory_budget import Reservation, unbounded
from query.json_encoding import Written, dumps_in_steps
from query.limits import Limits
from query.plan.plan import MetricsPlan

_PLAIN_ITEM_BYTES = 56
"""Bytes that a distinct value takes while it is sorted, where all values have the same kind."""
_BUFFER_BYTES = 4_096
"""Spare bytes of the buffer that JSON was encoded into, which stay allocated until it is copied."""
_MIXED_ITEM_BYTES = 160
"""Bytes that a distinct value takes while it is sorted, where values of several lists may be equal."""


def metrics_result(
    plan: MetricsPlan,
    rows: Iterable[Row],
    limits: Limits,
    check: Callable[[], None] = lambda: None,
    reservation: Reservation | None = None,
) -> Any:
    """The answer's ``result``; groups are already encoded as JSON.

    ``check`` is called at intervals during long work, and may raise to stop it. The memory of the result is
    reserved in ``reservation``. Raises QueryLimitExceeded where groups, cells or bytes exceed their limits.
    """
    memory = reservation or unbounded()
    if plan.query.buckets is None and not plan.keys:
        return _cell(plan, next(iter(rows), None), memory)
    if not plan.keys:
        return _intervals(plan, rows, memory)
    grouped = Groups(plan, limits, check, reservation=memory)
    if plan.query.buckets is None:
        return grouped.rows(rows)
    return grouped.intervals(rows)


def _cell(plan: MetricsPlan, row: Row | None, reservation: Reservation) -> Any:
    if plan.has_lists and row is not None:
        return _written_lists(plan, folder(plan, 0), row, reservation)
    results = folder(plan, 0)(row) if row is not None else [fold_metric(m, None) for m in plan.metrics]
    if plan.counted:
        results = [result + plan.counted for result in results]
    return _labelled(plan, results)


def _labelled(plan: MetricsPlan, results: list[Any]) -> Any:
    results = rounded_results(plan, results)
    if not plan.query.multi:
        return results[0]
    return dict(zip((label_of(metric) for metric in plan.metrics), results, strict=True))


def _written_lists(
    plan: MetricsPlan, fold: Callable[[Row], list[Any]], row: Row, reservation: Reservation
) -> Written:
    """Encodes the results of a row with lists, which may be long, as JSON."""
    items = _sorting_bytes(plan, row)
    reservation.reserve(items)
    text = dumps_in_steps(_labelled(plan, fold(row)))
    reservation.give_back(items)
    reservation.reserve(2 * len(text) + _BUFFER_BYTES)
    return Written(text)


def _sorting_bytes(plan: MetricsPlan, row: Row) -> int:
    """Bytes that the lists of a row take while their values are sorted and combined."""
    total, first = 0, len(row) - sum(len(metric.aggregates) for metric in plan.metrics)
    for metric in plan.metrics:
        cells = row[first : first + len(metric.aggregates)]
        each = _PLAIN_ITEM_BYTES if plain_kind(metric) is not None else _MIXED_ITEM_BYTES
        total += each * sum(len(cell) for cell in cells if isinstance(cell, list))
        first += len(metric.aggregates)
    return total


def _intervals(plan: MetricsPlan, rows: Iterable[Row], reservation: Reservation) -> list[dict[str, Any]]:
    assert plan.query.buckets is not None
    fold = folder(plan, 1)
    if plan.has_lists:
        by_bucket = {row[0]: _written_lists(plan, fold, row, reservation) for row in rows}
    else:
        by_bucket = {row[0]: _labelled(plan, fold(row)) for row in rows}
    empty = _labelled(plan, [fold_metric(metric, None) for metric in plan.metrics])
    return [
        {"value": by_bucket.get(index, empty), "timeframe": span}
        for index, span in enumerate(timeframes(plan.query.buckets.edges))
    ]
