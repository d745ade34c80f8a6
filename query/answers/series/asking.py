"""Asks the questions that series consist of: over disjoint spans of time, or over one whole span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from query.answers.groups import key_decoder
from query.answers.reuse.metric_rows import metric_rows
from query.answers.values import Row
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.json_encoding import dumps
from query.language.nodes import Analysis, Buckets, Filter, Group, Metric, MetricQuery, Span
from query.limits import Limits
from query.plan.aggregates import MetricPlan
from query.plan.plan import MetricsPlan, must_run, plan_metrics, rows_max
from query.plan.views import Views

_RESERVE_ROWS = 256
_ROW_BYTES = 200
"""Bytes that a row's place in the answer takes in Python."""
_VALUE_BYTES = 80


@dataclass(frozen=True, slots=True)
class EventSet:
    """The events of a collection that pass filters, and how they are grouped."""

    collection: str
    filters: tuple[Filter, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Which events are asked about; ``edges`` divide the span, None: they do not."""

    events: EventSet
    span: Span
    edges: tuple[int, ...] | None


@dataclass
class GroupList:
    """All groups found so far, numbered; the same values have one number, whichever collection has them."""

    values: list[tuple[Any, ...]] = field(default_factory=list)
    orders: list[tuple[tuple[int, Any], ...]] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def number(self, values: tuple[Any, ...], orders: tuple[tuple[int, Any], ...]) -> int:
        key = dumps(values)
        number = self._numbers.setdefault(key, len(self.values))
        if number == len(self.values):
            self.values.append(values)
            self.orders.append(orders)
        return number


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of an answer: a group's aggregates in one part of the span."""

    group: int
    part: int
    metrics: Sequence[tuple[MetricPlan, Row | None]]
    counted: int = 0
    """Events that the catalog counted: to be added to every result, which are all counts."""


class Asker:
    """Asks questions about one snapshot, and counts what they read and find."""

    def __init__(self, views: Views, runner: Runner, limits: Limits, groups: GroupList) -> None:
        self._views = views
        self._runner = runner
        self._limits = limits
        self._groups = groups
        self._cells_left = limits.cells_max
        self.scanned = 0

    def cells(self, question: Question, metrics: Sequence[Metric]) -> Iterator[Cell]:
        """The parts in which there are events, and of each the metrics' aggregates.

        Raises QueryLimitExceeded, and what running a statement raises.
        """
        query = _metric_query(question, metrics)
        plan = plan_metrics(query, self._views, rows_max(query, self._limits))
        self.scanned += plan.counted + plan.view.rows
        self._runner.trace.counted += plan.counted
        rows: Iterator[Row] = iter(())
        if must_run(plan):
            self._limits.check_rows(plan.view.rows)
            plan, found = metric_rows(plan, self._runner)
            rows = iter(found)
        if plan.keys or question.edges is not None:
            yield from self._placed(plan, rows)
        else:
            yield from _alone(plan, next(rows, None), self._groups.number((), ()))

    def _placed(self, plan: MetricsPlan, rows: Iterator[Row]) -> Iterator[Cell]:
        first = 0 if plan.query.buckets is None else 1
        width = first + sum(len(key.parts) for key in plan.keys)
        decoders = [key_decoder(key) for key in plan.keys]
        numbers: dict[Row, int] = {}
        spans: list[tuple[MetricPlan, int, int]] = []
        position = width
        for metric in plan.metrics:
            spans.append((metric, position, position + len(metric.aggregates)))
            position += len(metric.aggregates)
        for count, row in enumerate(rows):
            self._spend(count, len(spans))
            key = row[first:width]
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = self._number(plan, decoders, row, first)
            found = [(metric, row[start:end]) for metric, start, end in spans]
            yield Cell(number, row[0] if first else 0, found)

    def _number(self, plan: MetricsPlan, decoders: Sequence[Any], row: Row, position: int) -> int:
        values, orders = [], []
        for decode, key in zip(decoders, plan.keys, strict=True):
            value, order = decode(row, position)
            values.append(value)
            orders.append(order)
            position += len(key.parts)
        number = self._groups.number(tuple(values), tuple(orders))
        if number >= self._limits.groups_max:
            raise QueryLimitExceeded(
                f"The answer has more than {self._limits.groups_max:,} groups. "
                "Ask for the 'top' of them, group by fewer properties, or filter."
            )
        return number

    def _spend(self, count: int, metrics: int) -> None:
        """Counts a row, and reserves memory for it."""
        if count % _RESERVE_ROWS == 0:
            self._runner.check()
            self._runner.reservation.reserve(_RESERVE_ROWS * (_ROW_BYTES + _VALUE_BYTES * metrics))
        self._cells_left -= 1
        if self._cells_left < 0:
            raise QueryLimitExceeded(
                f"More than {self._limits.cells_max:,} groups are found in all intervals, windows and "
                "periods together. Ask for the 'top' groups, longer intervals or a shorter timeframe, or "
                "filter."
            )


def _metric_query(question: Question, metrics: Sequence[Metric]) -> MetricQuery:
    asked = [replace(one, label=f"{number}", decimals=None) for number, one in enumerate(metrics)]
    if question.edges is None and not question.events.groups:
        # Tells whether there are events at all.
        asked.append(Metric(Analysis.COUNT, label="events"))
    return MetricQuery(
        question.events.collection,
        tuple(asked),
        question.span,
        question.events.filters,
        question.events.groups,
        None if question.edges is None else Buckets(question.edges),
        multi=True,
    )


def _alone(plan: MetricsPlan, row: Row | None, group: int) -> Iterator[Cell]:
    """The only cell of a question without groups and parts; none where it has no event."""
    cells: list[tuple[MetricPlan, Row | None]] = []
    position = 0
    for metric in plan.metrics:
        end = position + len(metric.aggregates)
        cells.append((metric, None if row is None else row[position:end]))
        position = end
    counts = cells[-1][1]
    if plan.counted + (counts[0] if counts else 0):
        yield Cell(group, 0, cells[:-1], plan.counted)
