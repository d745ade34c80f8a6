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
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeVar

import orjson

from query import sums
from query.columns import ColumnKind
from query.errors import QueryLimitExceeded
from query.jsonout import Written, dumps
from query.limits import Limits
from query.nodes import Analysis
from query.plan import Aggregate, Fold, Key, MetricPlan, MetricsPlan, Part
from storage.instants import format_instant

_CELL_BYTES_MIN = 32
"""An answer's cell takes no less: a group's name, its value and ``"result":0``."""
AVERAGES_BELOW = 1e38
"""An integral average from here on is shown as a float: its digits mean nothing."""
_LONG_DIGITS = re.compile(r"\d{19}")
"""Shorter runs of digits fit 64 bits, in which orjson keeps integers exact."""
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)

_CHECK_EVERY = 4_096
_NULL_ORDER = 4

_T = TypeVar("_T")
Row = Sequence[Any]
Members = tuple[bytes, tuple[tuple[int, Any], ...]]
"""Members of a JSON object, and what orders them, as by ``value_order``."""
_Entry = tuple[Members, Members]
"""A group and the results of its metrics."""


def number(value: Any) -> int | float | None:
    """A result as JSON says it: integral numbers as integers, what is not finite as null."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(value)


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
    return _NULL_ORDER, 0


def metrics_result(
    plan: MetricsPlan, rows: Iterable[Row], limits: Limits, check: Callable[[], None] = lambda: None
) -> Any:
    """The answer's ``result``, what is grouped written as JSON already.

    ``check`` is called now and then where there is much to arrange, and may raise to put an end to it. Raises
    QueryLimitExceeded where groups, cells or bytes are too many.
    """
    if plan.query.buckets is None and not plan.keys:
        return _cell(plan, next(iter(rows), None))
    if not plan.keys:
        return _intervals(plan, rows)
    grouped = Groups(plan, limits, check)
    if plan.query.buckets is None:
        return grouped.rows(rows)
    return grouped.intervals(rows)


class Groups:
    """Arranges the rows of a question with ``group_by``.

    Groups and results are written as they come: as JSON they take a small part of the memory that they take
    as objects, and that part is what the limit on an answer's bytes bounds. The first ``indexes`` keys of the
    plan are no groups.
    """

    def __init__(
        self, plan: MetricsPlan, limits: Limits, check: Callable[[], None], indexes: int = 0
    ) -> None:
        self._plan = plan
        self._limits = limits
        self._check = check
        self._keys = plan.keys[indexes:]
        self._first = 1 if plan.query.buckets is not None else 0
        self._first += sum(len(key.parts) for key in plan.keys[:indexes])
        self._decoders = [_decoder(key) for key in self._keys]
        self._width = sum(len(key.parts) for key in self._keys)
        self._fold = _folder(plan, self._first + self._width)
        self._paths = [key.path for key in self._keys]
        self._labels = [_label(metric) for metric in plan.metrics]
        orders = () if plan.cut else plan.query.order
        self._ordering = [self._labels.index(order.by) for order in orders if order.by in self._labels]
        self._held = 0

    def rows(self, rows: Iterable[Row]) -> Written:
        sorts = self._plan.order is None or (bool(self._plan.query.order) and not self._plan.cut)
        texts = self._sorted_texts(rows) if sorts else self._texts(rows)
        return Written(b"[" + b",".join(texts) + b"]")

    def _texts(self, rows: Iterable[Row]) -> list[bytes]:
        texts = []
        for entry in self._entries(rows):
            texts.append(_entry_text(entry))
        return texts

    def _sorted_texts(self, rows: Iterable[Row]) -> list[bytes]:
        limit = None if self._plan.cut else self._plan.query.limit
        entries: list[_Entry] = []
        for entry in self._entries(rows):
            entries.append(entry)
            if limit is not None and len(entries) >= 2 * limit + _CHECK_EVERY:
                entries = self._sorted(entries)
                self._held = sum(map(_entry_bytes, entries))
        return [_entry_text(entry) for entry in self._checked(self._sorted(entries))]

    def _entries(self, rows: Iterable[Row]) -> Iterator[_Entry]:
        for number, row in enumerate(self._checked(rows)):
            if not self._plan.cut and number >= self._limits.groups_max:
                raise self._too_many_groups()
            entry = self.group(row), self.results(row)
            self._hold(_entry_bytes(entry))
            yield entry

    def _sorted(self, entries: list[_Entry]) -> list[_Entry]:
        if self._plan.order is None:
            entries.sort(key=lambda entry: entry[0][1])
        return entries if self._plan.cut else self._ordered(entries)

    def intervals(self, rows: Iterable[Row]) -> Written:
        assert self._plan.query.buckets is not None
        groups, found = self._cells(rows, len(self._plan.query.buckets.edges) - 1)
        places = list(range(len(groups)))
        if self._plan.order is None:
            places.sort(key=lambda place: groups[place][1])
        return self.arranged(groups, found, places)

    def arranged(
        self, groups: Sequence[Members], found: Sequence[dict[int, Members]], places: Sequence[int]
    ) -> Written:
        """The intervals: each has the results of groups by their places in ``groups``; ``places`` are all of
        these in their order. Takes what is found away."""
        assert self._plan.query.buckets is not None
        spans = timeframes(self._plan.query.buckets.edges)
        fill = self._plan.query.zero_fill
        if fill:
            self._check_cells(min(len(groups), self._plan.query.limit or len(groups)) * len(spans))
        empty = self.empty
        self._held = 0
        texts = []
        for span, cells in zip(spans, found, strict=True):
            self._check()
            if fill:
                entries = [(groups[place], cells.get(place, empty)) for place in places]
            else:
                entries = [(groups[place], cells[place]) for place in places if place in cells]
            value = b",".join(map(_entry_text, self._ordered(entries)))
            cells.clear()
            self._hold(len(value))
            texts.append(b'{"value":[' + value + b'],"timeframe":' + dumps(span) + b"}")
        return Written(b"[" + b",".join(texts) + b"]")

    def _cells(self, rows: Iterable[Row], buckets: int) -> tuple[list[Members], list[dict[int, Members]]]:
        """The groups as they come, and for each bucket the results of those that it has, by their places."""
        groups: list[Members] = []
        places: dict[Row, int] = {}
        found: list[dict[int, Members]] = [{} for _ in range(buckets)]
        for number, row in enumerate(self._checked(rows)):
            if number >= self._limits.cells_max:
                raise self._too_many_cells()
            key = row[1 : 1 + self._width]
            place = places.setdefault(key, len(groups))
            if place == len(groups):
                if place >= self._limits.groups_max:
                    raise self._too_many_groups()
                groups.append(self.group(row))
                self._hold(len(groups[-1][0]))
            results = found[row[0]][place] = self.results(row)
            self._hold(len(results[0]))
        return groups, found

    def _checked(self, items: Iterable[_T]) -> Iterator[_T]:
        """The items, with a look now and then at whether they are still wanted."""
        for number, item in enumerate(items):
            if number % _CHECK_EVERY == 0:
                self._check()
            yield item

    def group(self, row: Row) -> Members:
        values, orders = [], []
        position = self._first
        for decode, key in zip(self._decoders, self._keys, strict=True):
            value, order = decode(row, position)
            values.append(value)
            orders.append(order)
            position += len(key.parts)
        return _members(self._paths, values), tuple(orders)

    def results(self, row: Row) -> Members:
        return self.written(self._fold(row))

    def written(self, results: Sequence[Any]) -> Members:
        orders = tuple(value_order(results[position]) for position in self._ordering)
        return _members(self._labels, results), orders

    @property
    def empty(self) -> Members:
        """What is said of a group that an interval has no event of."""
        return self.written([_fold_metric(metric, None) for metric in self._plan.metrics])

    def reread(self, written: bytes) -> Members:
        """Results that were written before, with what orders them here."""
        if not self._ordering:
            return written, ()
        results = loads(f"{{{written.decode()}}}")
        return written, tuple(value_order(results[self._labels[position]]) for position in self._ordering)

    def _ordered(self, entries: list[_Entry]) -> list[_Entry]:
        """The entries, which come in the groups' order, in the question's own, cut to its limit."""
        of_results = len(self._ordering)
        for order in reversed(self._plan.query.order):
            if order.by in self._labels:
                of_results -= 1
                entries = _sorted_by(entries, 1, of_results, order.descending)
            else:
                entries = _sorted_by(entries, 0, self._paths.index(order.by), order.descending)
        return entries if self._plan.query.limit is None else entries[: self._plan.query.limit]

    def _hold(self, size: int) -> None:
        """Raises QueryLimitExceeded where what is written, and held, is more than an answer may be."""
        self._held += size
        if self._held > self._limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The groups and results take more than {self._limits.response_bytes_max:,} bytes. "
                "Ask for fewer analyses, groups or intervals, or a shorter timeframe."
            )

    def _check_cells(self, cells: int) -> None:
        if cells * _CELL_BYTES_MIN > self._limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The answer would have {cells:,} cells, more than {self._limits.response_bytes_max:,} bytes "
                "hold. Use 'zero_fill=false', fewer intervals or groups, or 'order_by' with 'limit'."
            )

    def _too_many_groups(self) -> QueryLimitExceeded:
        more = "" if self._first else ", or ask for the first of them by 'order_by' and 'limit'"
        return QueryLimitExceeded(
            f"The answer has more than {self._limits.groups_max:,} groups. "
            f"Group by fewer properties, filter{more}."
        )

    def _too_many_cells(self) -> QueryLimitExceeded:
        return QueryLimitExceeded(
            f"More than {self._limits.cells_max:,} groups are found in all intervals together. "
            "Ask for longer intervals or a shorter timeframe, group by fewer properties, or filter."
        )


def _members(names: Sequence[str], values: Sequence[Any]) -> bytes:
    """The members of a JSON object, without its braces; of names that are given twice the last value."""
    return dumps(dict(zip(names, values, strict=True)))[1:-1]


def _entry_text(entry: _Entry) -> bytes:
    return b"{%b,%b}" % (entry[0][0], entry[1][0])


def _entry_bytes(entry: _Entry) -> int:
    return len(entry[0][0]) + len(entry[1][0])


def _sorted_by(entries: list[_Entry], part: int, position: int, descending: bool) -> list[_Entry]:
    """By what orders the group (part 0) or its results (part 1); null is last either way."""
    nulls = [entry for entry in entries if entry[part][1][position][0] == _NULL_ORDER]
    rest = [entry for entry in entries if entry[part][1][position][0] != _NULL_ORDER]
    rest.sort(key=lambda entry: entry[part][1][position], reverse=descending)
    return rest + nulls


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
        for index, span in enumerate(timeframes(plan.query.buckets.edges))
    ]


def timeframes(edges: tuple[int, ...]) -> list[dict[str, str]]:
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
        return None, (_NULL_ORDER, 0)

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
    if analysis is Analysis.AVERAGE:
        return _average(metric, cells)
    values = [value for value in map(_numeric, cells) if value is not None]
    if not values:
        return None
    return number(min(values) if analysis is Analysis.MINIMUM else max(values))


def _numeric(cell: Any) -> int | float | None:
    """A number, also where it is the decimal text of a long integer."""
    return int(cell) if isinstance(cell, str) else cell


_TWO_PARTS = (Fold.SUM_HIGH, Fold.SUM_LOW, Fold.PRESENT)


def _sum(metric: MetricPlan, cells: Row) -> int | float | None:
    """Correctly rounded, or all digits of an integer. Raises Uncertain."""
    if metric.in_two_parts:
        high, low, rows = cells
        return number(sums.rounded(high, low, rows, metric.aggregates[0].split)) if rows else 0
    if len(cells) == 1 and isinstance(cells[0], float):
        return number(cells[0])
    total, error = _total(metric.aggregates, cells)
    return _rounded(total, error)


def _average(metric: MetricPlan, cells: Row) -> int | float | None:
    """Correctly rounded. Raises Uncertain."""
    folds = tuple(one.fold for one in metric.aggregates)
    if folds == _TWO_PARTS:
        high, low, rows = cells
        return number(sums.rounded_mean(high, low, rows, metric.aggregates[0].split)) if rows else None
    present = (cell for fold, cell in zip(folds, cells, strict=True) if fold is Fold.PRESENT)
    rows = sum(present)
    if not rows:
        return None
    if folds == (Fold.SUM, Fold.PRESENT) and isinstance(cells[0], float):
        return number(cells[0] / rows)
    total, error = _total(metric.aggregates, cells)
    mean = _rounded(total / rows, error / rows)
    return mean if mean is None or abs(mean) < AVERAGES_BELOW else float(mean)


def _total(aggregates: Sequence[Aggregate], cells: Row) -> tuple[Fraction, Fraction]:
    """The sum of all aggregates, and by how much it may be wrong."""
    total, error = Fraction(0), Fraction(0)
    low = split = 0.0
    for aggregate, cell in zip(aggregates, cells, strict=True):
        if aggregate.fold is Fold.PRESENT:
            if split:
                error, split = Fraction(sums.error_of(low, cell, split)), 0.0
            continue
        value = Fraction(_numeric(cell) or 0)
        total += value if aggregate.band is None else value * Fraction(2) ** aggregate.band.low
        if aggregate.fold is Fold.SUM_LOW:
            low, split = cell or 0.0, aggregate.split
    return total, error


def _rounded(value: Fraction, error: Fraction) -> int | float | None:
    """The nearest double, all digits where it is an integer; None beyond doubles. Raises Uncertain."""
    try:
        result = float(value - error)
        if error and (result != float(value + error) or abs(result) >= sums.EXACT_DOUBLES):
            raise sums.Uncertain
    except OverflowError:
        return None
    return int(value) if value.denominator == 1 and not error else number(result)


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
