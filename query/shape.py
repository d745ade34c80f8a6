"""Rows of aggregates → the answer's ``result``: pure, in the shapes of Keen's responses.

A row of the engine is (bucket index, key parts …, aggregates …). Keys become values, aggregates become
results, and results are arranged: alone, in groups, in intervals, or in groups within intervals.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeVar

import orjson

from query.columns import ColumnKind
from query.errors import QueryLimitExceeded
from query.limits import Limits
from query.nodes import Analysis, Order
from query.plan import Fold, Key, MetricPlan, MetricsPlan, Part
from storage.instants import format_instant

_CELL_BYTES_MIN = 32
"""An answer's cell takes no less: a group's name, its value and ``"result":0``."""
INTEGERS_BELOW = 1e38
"""Integral floats from here on stay as they are: their digits mean nothing."""
_LONG_DIGITS = re.compile(r"\d{19}")
"""Shorter runs of digits fit 64 bits, in which orjson keeps integers exact."""
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)

_CHECK_EVERY = 4_096

_T = TypeVar("_T")
Row = Sequence[Any]
_GroupKey = tuple[Any, ...]
"""For each key its value and what orders it."""
_Entry = tuple[_GroupKey, list[Any]]
"""A group and the results of its metrics."""


def number(value: Any) -> int | float | None:
    """A result as JSON says it: integral numbers as integers, what is not finite as null."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < INTEGERS_BELOW else float(value)


def value_order(value: Any) -> tuple[int, Any]:
    """Sorts numbers before strings before booleans before null, each by itself; lists item by item."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    if isinstance(value, str):
        return 1, value
    if isinstance(value, list):
        return 3, [value_order(item) for item in value]
    return 4, 0


def metrics_result(
    plan: MetricsPlan, rows: Sequence[Row], limits: Limits, check: Callable[[], None] = lambda: None
) -> Any:
    """The answer's ``result``. Raises QueryLimitExceeded where groups or cells are too many.

    ``check`` is called now and then where there is much to arrange, and may raise to put an end to it.
    """
    if plan.query.buckets is None and not plan.keys:
        return _cell(plan, rows[0] if rows else None)
    if not plan.cut and len(rows) >= plan.row_limit:
        what = "groups" if plan.query.buckets is None else "groups, counted in every interval"
        raise QueryLimitExceeded(
            f"The answer has more than {limits.groups_max:,} {what}. Group by fewer properties, filter, "
            "or ask for the first of them by 'order_by' and 'limit'."
        )
    if not plan.keys:
        return _intervals(plan, rows)
    grouped = _Groups(plan, limits, check)
    if plan.query.buckets is None:
        return grouped.rows(rows)
    return grouped.intervals(rows)


class _Groups:
    """Arranges the rows of a question with ``group_by``."""

    def __init__(self, plan: MetricsPlan, limits: Limits, check: Callable[[], None]) -> None:
        self._plan = plan
        self._limits = limits
        self._check = check
        self._first = 1 if plan.query.buckets is not None else 0
        self._decoders = [_decoder(key) for key in plan.keys]
        self._width = sum(len(key.parts) for key in plan.keys)
        self._fold = _folder(plan, self._first + self._width)
        self._labels = [_label(metric) for metric in plan.metrics]

    def rows(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        entries: list[_Entry] = [(self._key(row), self._fold(row)) for row in self._checked(rows)]
        if self._plan.order is None:
            entries.sort(key=lambda entry: _key_order(entry[0]))
        if not self._plan.cut:
            entries = self._ordered(entries)
        return [self._row(key, results) for key, results in self._checked(entries)]

    def intervals(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        assert self._plan.query.buckets is not None
        cells: dict[_GroupKey, dict[int, _Entry]] = {}
        for row in self._checked(rows):
            key = self._key(row)
            cells.setdefault(key, {})[row[0]] = key, self._fold(row)
        keys = list(cells)
        if self._plan.order is None:
            keys.sort(key=_key_order)
        spans = _timeframes(self._plan.query.buckets.edges)
        fill = self._plan.query.zero_fill
        if fill:
            self._check_cells(len(keys) * len(spans))
        empty = [_fold_metric(metric, None) for metric in self._plan.metrics]
        found: list[list[_Entry]] = [[] for _ in spans]
        for key in keys:
            self._check()
            of_key, filled = cells[key], (key, empty)
            if fill:
                for index, bucket in enumerate(found):
                    bucket.append(of_key.get(index, filled))
            else:
                for index, entry in of_key.items():
                    found[index].append(entry)
        # Most cells of many groups and intervals are filled: a group's filled rows are one object.
        filled_rows = {id(key): self._row(key, empty) for key in keys} if fill else {}
        listed: list[dict[str, Any]] = []
        for index, span in enumerate(spans):
            self._check()
            entries = self._ordered(found[index])
            found[index] = []
            value = [
                filled_rows[id(key)] if results is empty else self._row(key, results)
                for key, results in entries
            ]
            listed.append({"value": value, "timeframe": span})
        return listed

    def _checked(self, items: Iterable[_T]) -> Iterator[_T]:
        """The items, with a look now and then at whether they are still wanted."""
        for number, item in enumerate(items):
            if number % _CHECK_EVERY == 0:
                self._check()
            yield item

    def _key(self, row: Row) -> _GroupKey:
        values = []
        position = self._first
        for decode, key in zip(self._decoders, self._plan.keys, strict=True):
            values.append(decode(row, position))
            position += len(key.parts)
        return tuple(values)

    def _row(self, key: _GroupKey, results: list[Any]) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for one, (value, _) in zip(self._plan.keys, key, strict=True):
            row[one.path] = value
        row.update(zip(self._labels, results, strict=True))
        return row

    def _ordered(self, entries: list[_Entry]) -> list[_Entry]:
        """The entries, which come in the groups' order, in the question's own, cut to its limit."""
        for order in reversed(self._plan.query.order):
            entries = self._sorted_by(entries, order)
        return entries if self._plan.query.limit is None else entries[: self._plan.query.limit]

    def _sorted_by(self, entries: list[_Entry], order: Order) -> list[_Entry]:
        paths = [key.path for key in self._plan.keys]
        if order.by in paths and order.by not in self._labels:
            position = paths.index(order.by)
            decorated = [(entry[0][position][1], entry) for entry in entries]
        else:
            position = self._labels.index(order.by)
            decorated = [(value_order(entry[1][position]), entry) for entry in entries]
        nulls = [entry for order_key, entry in decorated if order_key[0] == 4]
        rest = [item for item in decorated if item[0][0] != 4]
        rest.sort(key=lambda item: item[0], reverse=order.descending)
        return [entry for _, entry in rest] + nulls

    def _check_cells(self, cells: int) -> None:
        if cells * _CELL_BYTES_MIN > self._limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The answer would have {cells:,} cells, more than {self._limits.response_bytes_max:,} bytes "
                "hold. Use 'zero_fill=false', fewer intervals or groups, or 'order_by' with 'limit'."
            )


def _key_order(key: _GroupKey) -> list[tuple[int, Any]]:
    return [order for _, order in key]


def _cell(plan: MetricsPlan, row: Row | None) -> Any:
    results = _folder(plan, 0)(row) if row is not None else [_fold_metric(m, None) for m in plan.metrics]
    if plan.counted:
        results = [result + plan.counted for result in results]
    return _labelled(plan, results)


def _labelled(plan: MetricsPlan, results: list[Any]) -> Any:
    if not plan.query.multi:
        return results[0]
    return dict(zip((_label(metric) for metric in plan.metrics), results, strict=True))


def _intervals(plan: MetricsPlan, rows: Iterable[Row]) -> list[dict[str, Any]]:
    assert plan.query.buckets is not None
    fold = _folder(plan, 1)
    found = {row[0]: fold(row) for row in rows}
    empty = [_fold_metric(metric, None) for metric in plan.metrics]
    return [
        {"value": _labelled(plan, found.get(index, empty)), "timeframe": span}
        for index, span in enumerate(_timeframes(plan.query.buckets.edges))
    ]


def _timeframes(edges: tuple[int, ...]) -> list[dict[str, str]]:
    texts = [format_instant(edge) for edge in edges]
    return [{"start": start, "end": end} for start, end in pairwise(texts)]


def _label(metric: MetricPlan) -> str:
    return metric.metric.label or "result"


# --- keys -----------------------------------------------------------------------------------------------


def _decoder(key: Key) -> Callable[[Row, int], tuple[Any, tuple[int, Any]]]:
    """Row, position of the key's first part → the group's value and its order."""
    parts = key.parts
    ranges = key.ranges

    def decode(row: Row, position: int) -> tuple[Any, tuple[int, Any]]:
        for offset, part in enumerate(parts):
            cell = row[position + offset]
            if cell is None:
                continue
            if part is Part.RANGE and ranges is not None:
                return ranges[cell].label, (0, cell)
            return part_value(part, cell)
        return None, (4, 0)

    return decode


def part_value(part: Part, cell: Any) -> tuple[Any, tuple[int, Any]]:
    """A non-null cell of one part as a JSON value, and what orders it."""
    if part is Part.NUMBER:
        value = number(cell)
        return value, (0, value)
    if part is Part.BIG:
        return int(cell), (0, int(cell))
    if part is Part.INSTANT:
        us = instant_us(cell)
        return format_instant(us), (1, us)
    return cell, (2 if part is Part.BOOLEAN else 1, cell)


def instant_us(value: Any) -> int:
    """µs of a datetime without zone."""
    return int((value - _EPOCH) // _MICROSECOND)


# --- results --------------------------------------------------------------------------------------------


def _folder(plan: MetricsPlan, first: int) -> Callable[[Row], list[Any]]:
    """Row → the result of each metric; its aggregates begin at column ``first``."""
    spans: list[tuple[MetricPlan, int, int]] = []
    for metric in plan.metrics:
        spans.append((metric, first, first + len(metric.aggregates)))
        first += len(metric.aggregates)
    return lambda row: [_fold_metric(metric, row[start:end]) for metric, start, end in spans]


def _fold_metric(metric: MetricPlan, cells: Row | None) -> Any:
    """One result from its aggregates; None for a set without rows."""
    analysis = metric.metric.analysis
    if analysis is Analysis.SELECT_UNIQUE:
        return [] if cells is None else _unique(metric, cells)
    if cells is None or not cells:
        return 0 if analysis in (Analysis.COUNT, Analysis.COUNT_UNIQUE, Analysis.SUM) else None
    if analysis is Analysis.COUNT:
        return cells[0]
    if analysis is Analysis.COUNT_UNIQUE:
        if metric.aggregates[0].fold is Fold.DISTINCT:
            return sum(cells)
        return len([value for value in _unique(metric, cells) if value is not None])
    if analysis is Analysis.SUM:
        return _sum(metric, cells)
    values = [value for value in map(_numeric, cells) if value is not None]
    if not values:
        return None
    return number(min(values) if analysis is Analysis.MINIMUM else max(values))


def _numeric(cell: Any) -> int | float | None:
    """A number, also where it is the decimal text of a long integer."""
    return int(cell) if isinstance(cell, str) else cell


def _sum(metric: MetricPlan, cells: Row) -> int | float | None:
    whole, rest = 0, 0.0
    for aggregate, cell in zip(metric.aggregates, cells, strict=True):
        value = _numeric(cell)
        if value is None:
            continue
        if isinstance(value, int):
            whole += value
        elif aggregate.fold is Fold.SUM and math.isfinite(value) and value.is_integer():
            whole += int(value)
        else:
            rest += value
    try:
        total = float(whole)
    except OverflowError:
        return None
    return number(total + rest) if rest else whole


def _unique(metric: MetricPlan, cells: Row) -> list[Any]:
    """Distinct values, elements for lists, sorted; null last. Objects in lists are no values."""
    values: dict[Any, Any] = {}
    has_null = False
    for aggregate, cell in zip(metric.aggregates, cells, strict=True):
        if aggregate.fold is Fold.EXPLICIT_NULL:
            has_null = has_null or bool(cell)
            continue
        if aggregate.columns[0].kind is ColumnKind.INSTANT:
            return [format_instant(us) for us in sorted(cell or ())]
        if aggregate.fold is Fold.ELEMENTS:
            found = [value for value in map(_element, cell or ()) if not isinstance(value, dict | list)]
        else:
            found = list(map(_decoder_of(aggregate.columns[0].kind), cell or ()))
        for decoded in found:
            has_null = has_null or decoded is None
            values.setdefault((isinstance(decoded, bool), decoded), decoded)
    values.pop((False, None), None)
    listed = sorted(values.values(), key=value_order)
    return [*listed, None] if has_null else listed


def _decoder_of(kind: ColumnKind) -> Callable[[Any], Any]:
    if kind is ColumnKind.NUMBER:
        return number
    return int if kind is ColumnKind.LONG else lambda value: value


def _element(text: str) -> Any:
    value = loads(text)
    return number(value) if isinstance(value, float) else value


def loads(text: str) -> Any:
    """JSON with integers of any size."""
    if len(text) >= 19 and _LONG_DIGITS.search(text):
        return json.loads(text)
    return orjson.loads(text)
