"""Rows of aggregates → the answer's ``result``: pure, in the shapes of Keen's responses.

A row of the engine is (bucket index, key parts …, aggregates …). Keys become values, aggregates become
results, and results are arranged: alone, in groups, in intervals, or in groups within intervals.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, TypeVar

import orjson

from query.engine.memory_budget import MemoryBudget, Reservation
from query.engine.sorting import in_order
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, array, dumps, dumps_in_steps, in_parts
from query.language.nodes import Analysis
from query.limits import Limits
from query.plan import exact_sums
from query.plan.columns import ColumnKind
from query.plan.plan import Aggregate, Fold, Key, MetricPlan, MetricsPlan, Part
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
_RESERVE_BYTES = 64 << 10
"""Results take from their reservation in steps of about this size."""
_ENTRY_BYTES = 280
"""What a group and its results take in Python beside their text, while they wait to be sorted."""
_ORDER_BYTES = 120
"""What each value takes by which they are sorted."""
_CELL_OBJECT_BYTES = 260
"""What the results of a group in an interval take beside their text."""
_PLAIN_ITEM_BYTES = 56
"""What a distinct value takes while it is sorted among others of its kind."""
_BUFFER_BYTES = 4_096
"""What JSON takes beside its bytes until a part of it is copied: the buffer that it was written into."""
_MIXED_ITEM_BYTES = 160
"""The same where it is found among others that may be equal."""
_NULL_ORDER = 4
_ROUNDING = Context(prec=40, rounding=ROUND_HALF_UP)
"""Of decimals halves go away from zero, as in sums of money."""

_T = TypeVar("_T")
Row = Sequence[Any]
Members = tuple[bytes, tuple[tuple[int, Any], ...]]
"""Members of a JSON object, and what orders them, as by ``value_order``."""
_Entry = tuple[Members, Members]
"""A group and the results of its metrics."""
_Sortable = tuple[tuple[tuple[int, Any], ...], tuple[tuple[int, Any], ...], bytes]
"""What orders the group and its results, and the text of both."""


def number(value: Any) -> int | float | None:
    """A result as JSON says it: integral numbers as integers, what is not finite as null."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(value)


def rounded(value: Any, decimals: int | None) -> Any:
    """A result to so many decimals of the number that JSON shows, halves away from zero."""
    if decimals is None or not isinstance(value, float) or value.is_integer():
        return value
    return number(float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), context=_ROUNDING)))


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
    plan: MetricsPlan,
    rows: Iterable[Row],
    limits: Limits,
    check: Callable[[], None] = lambda: None,
    reservation: Reservation | None = None,
) -> Any:
    """The answer's ``result``, what is grouped written as JSON already.

    ``check`` is called now and then where there is much to arrange, and may raise to put an end to it. What
    the result takes is reserved in ``reservation``. Raises QueryLimitExceeded where groups, cells or bytes
    are too many.
    """
    held = reservation or unbounded()
    if plan.query.buckets is None and not plan.keys:
        return _cell(plan, next(iter(rows), None), held)
    if not plan.keys:
        return _intervals(plan, rows, held)
    grouped = Groups(plan, limits, check, reservation=held)
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
        self,
        plan: MetricsPlan,
        limits: Limits,
        check: Callable[[], None],
        indexes: int = 0,
        reservation: Reservation | None = None,
    ) -> None:
        self._reservation = reservation or unbounded()
        self._unreserved = 0
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
        orders = () if plan.ordered else plan.query.order
        self._ordering = [self._labels.index(order.by) for order in orders if order.by in self._labels]
        # Most questions have one result, which orders nothing: there may be a million of them.
        alone = len(self._labels) == 1 and not self._ordering
        self._only_label = dumps(self._labels[0]) + b":" if alone else None
        self._only_path = dumps(self._paths[0]) + b":" if len(self._paths) == 1 else None
        self._rounds = any(metric.metric.decimals is not None for metric in plan.metrics)
        self._held = 0

    def rows(self, rows: Iterable[Row]) -> Written:
        if self._plan.order is None or (self._plan.query.order and not self._plan.ordered):
            return self._array(self._sorted_texts(rows))
        return self._array(map(_entry_text, self._entries(rows)))

    def _array(self, texts: Iterable[bytes]) -> Written:
        """A JSON array of what is written already, put together in parts: many small texts take twice as
        much as one."""
        parts: list[bytes] = []
        for part in in_parts(texts, _CHECK_EVERY):
            self._reserve(len(part) + 1)
            parts.append(part)
        self._reserve(sum(map(len, parts)) + len(parts))
        self._settle()
        return Written(array(parts))

    def _sorted_texts(self, rows: Iterable[Row]) -> Iterator[bytes]:
        limit = self._plan.query.limit
        order = self._plan.query.order
        by_group = self._plan.order is None or any(one.by not in self._labels for one in order)
        overhead = _ENTRY_BYTES + _ORDER_BYTES * (len(self._ordering) + len(self._keys) * by_group)
        before = self._reserved_bytes
        entries: list[_Sortable] = []
        for entry in self._entries(rows):
            group, results = entry
            text = _entry_text(entry)
            entries.append((group[1] if by_group else (), results[1], text))
            self._reserve(overhead + len(text))
            if limit is not None and len(entries) >= 2 * limit + _CHECK_EVERY:
                entries = self._sorted(entries)
                self._held = sum(len(text) for _, _, text in entries)
                self._reduce_to(before + overhead * len(entries) + self._held)
        entries = self._sorted(entries)
        entries.reverse()
        for number in range(len(entries)):
            if number % _CHECK_EVERY == 0:
                self._check()
            yield entries.pop()[2]
        self._reduce_to(before + self._held + len(entries))

    def _entries(self, rows: Iterable[Row]) -> Iterator[_Entry]:
        for number, row in enumerate(self._checked(rows)):
            if not self._plan.cut and number >= self._limits.groups_max:
                raise self._too_many_groups()
            entry = self.group(row), self.results(row)
            self._hold(_entry_bytes(entry))
            yield entry

    def _sorted(self, entries: list[_Sortable]) -> list[_Sortable]:
        if self._plan.order is None:
            entries = in_order(entries, key=lambda entry: entry[0])
        return entries if self._plan.ordered else self._ordered(entries)

    def intervals(self, rows: Iterable[Row]) -> Written:
        assert self._plan.query.buckets is not None
        groups, found = self._cells(rows, len(self._plan.query.buckets.edges) - 1)
        places = list(range(len(groups)))
        if self._plan.order is None:
            places = in_order(places, key=lambda place: groups[place][1])
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
        ordered = bool(self._plan.query.order) or self._plan.query.limit is not None
        texts = []
        for span, cells in zip(spans, found, strict=True):
            self._check()
            wanted = places if fill else [place for place in places if place in cells]
            self._reserve(_ENTRY_BYTES * len(wanted))
            texts_of = self._in_order if ordered else self._in_given_order
            value = b",".join(texts_of([(groups[place], cells.get(place, empty)) for place in wanted]))
            cells.clear()
            self._give_back(_ENTRY_BYTES * len(wanted))
            self._hold(len(value))
            texts.append(b'{"value":[' + value + b'],"timeframe":' + dumps(span) + b"}")
            self._reserve(len(texts[-1]))
        self._reserve(sum(map(len, texts)))
        self._settle()
        return Written(array(texts))

    def _in_order(self, entries: list[_Entry]) -> list[bytes]:
        sortable = [(group[1], results[1], _entry_text((group, results))) for group, results in entries]
        return [text for _, _, text in self._ordered(sortable)]

    def _in_given_order(self, entries: list[_Entry]) -> list[bytes]:
        return [_entry_text(entry) for entry in entries]

    def _cells(self, rows: Iterable[Row], buckets: int) -> tuple[list[Members], list[dict[int, Members]]]:
        """The groups as they come, and for each bucket the results of those that it has, by their places."""
        groups: list[Members] = []
        places: dict[Row, int] = {}
        found: list[dict[int, Members]] = [{} for _ in range(buckets)]
        cell_bytes = _CELL_OBJECT_BYTES + _ORDER_BYTES * len(self._ordering)
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
                self._reserve(len(groups[-1][0]) * 2 + _ENTRY_BYTES + _ORDER_BYTES * self._width)
            results = found[row[0]][place] = self.results(row)
            self._hold(len(results[0]))
            self._reserve(cell_bytes + len(results[0]))
        return groups, found

    def _checked(self, items: Iterable[_T]) -> Iterator[_T]:
        """The items, with a look now and then at whether they are still wanted."""
        for number, item in enumerate(items):
            if number % _CHECK_EVERY == 0:
                self._check()
            yield item

    def group(self, row: Row) -> Members:
        if self._only_path is not None:
            value, order = self._decoders[0](row, self._first)
            return self._only_path + dumps(value), (order,)
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
        rounded = self._rounded(results)
        if self._only_label is not None:
            return self._only_label + dumps(rounded[0]), ()
        orders = tuple(value_order(results[position]) for position in self._ordering)
        return _members(self._labels, rounded), orders

    def _rounded(self, results: Sequence[Any]) -> Sequence[Any]:
        """Only as they are written: groups are ordered by what was computed."""
        return _rounded_results(self._plan, results) if self._rounds else results

    @property
    def empty(self) -> Members:
        """What is said of a group that an interval has no event of."""
        return self.written([_fold_metric(metric, None) for metric in self._plan.metrics])

    def reread(self, written: bytes) -> Members:
        """Results that were written before, unrounded, with what orders them here."""
        if not self._ordering and not self._rounds:
            return written, ()
        results = loads(f"{{{written.decode()}}}")
        return self.written([results[label] for label in self._labels])

    def _ordered(self, entries: list[_Sortable]) -> list[_Sortable]:
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

    def _reserve(self, size: int) -> None:
        """In steps, since it is called for every group."""
        self._unreserved += size
        if self._unreserved >= _RESERVE_BYTES:
            self._settle()

    def _settle(self) -> None:
        size, self._unreserved = self._unreserved, 0
        if size > 0:
            self._reservation.reserve(size)

    @property
    def _reserved_bytes(self) -> int:
        return self._reservation.used_bytes + self._unreserved

    def _reduce_to(self, size: int) -> None:
        self._settle()
        self._reservation.reduce_to(size)

    def _give_back(self, size: int) -> None:
        self._settle()
        self._reservation.give_back(size)

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


def _sorted_by(
    entries: list[_Sortable], part: Literal[0, 1], position: int, descending: bool
) -> list[_Sortable]:
    """By what orders the group (part 0) or its results (part 1); null is last either way."""
    nulls = [entry for entry in entries if entry[part][position][0] == _NULL_ORDER]
    rest = [entry for entry in entries if entry[part][position][0] != _NULL_ORDER]
    return in_order(rest, key=lambda entry: entry[part][position], reverse=descending) + nulls


def unbounded() -> Reservation:
    """Of what takes little memory, or is bounded otherwise."""
    return MemoryBudget(sys.maxsize).open()


def _cell(plan: MetricsPlan, row: Row | None, reservation: Reservation) -> Any:
    if plan.has_lists and row is not None:
        return _written_lists(plan, _folder(plan, 0), row, reservation)
    results = _folder(plan, 0)(row) if row is not None else [_fold_metric(m, None) for m in plan.metrics]
    if plan.counted:
        results = [result + plan.counted for result in results]
    return _labelled(plan, results)


def _labelled(plan: MetricsPlan, results: list[Any]) -> Any:
    results = _rounded_results(plan, results)
    if not plan.query.multi:
        return results[0]
    return dict(zip((_label(metric) for metric in plan.metrics), results, strict=True))


def _written_lists(
    plan: MetricsPlan, fold: Callable[[Row], list[Any]], row: Row, reservation: Reservation
) -> Written:
    """The results of a row with lists, which may be long, as JSON."""
    items = _sorting_bytes(plan, row)
    reservation.reserve(items)
    text = dumps_in_steps(_labelled(plan, fold(row)))
    reservation.give_back(items)
    reservation.reserve(2 * len(text) + _BUFFER_BYTES)
    return Written(text)


def _sorting_bytes(plan: MetricsPlan, row: Row) -> int:
    """What the lists of a row take while their values are sorted and made one."""
    total, first = 0, len(row) - sum(len(metric.aggregates) for metric in plan.metrics)
    for metric in plan.metrics:
        cells = row[first : first + len(metric.aggregates)]
        each = _PLAIN_ITEM_BYTES if _plain_kind(metric) is not None else _MIXED_ITEM_BYTES
        total += each * sum(len(cell) for cell in cells if isinstance(cell, list))
        first += len(metric.aggregates)
    return total


def _intervals(plan: MetricsPlan, rows: Iterable[Row], reservation: Reservation) -> list[dict[str, Any]]:
    assert plan.query.buckets is not None
    fold = _folder(plan, 1)
    if plan.has_lists:
        found = {row[0]: _written_lists(plan, fold, row, reservation) for row in rows}
    else:
        found = {row[0]: _labelled(plan, fold(row)) for row in rows}
    empty = _labelled(plan, [_fold_metric(metric, None) for metric in plan.metrics])
    return [
        {"value": found.get(index, empty), "timeframe": span}
        for index, span in enumerate(timeframes(plan.query.buckets.edges))
    ]


def timeframes(edges: tuple[int, ...]) -> list[dict[str, str]]:
    texts = [format_instant(edge) for edge in edges]
    return [{"start": start, "end": end} for start, end in pairwise(texts)]


def _rounded_results(plan: MetricsPlan, results: Sequence[Any]) -> list[Any]:
    pairs = zip(plan.metrics, results, strict=True)
    return [rounded(result, metric.metric.decimals) for metric, result in pairs]


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
        one = metric.aggregates[0]
        return number(exact_sums.rounded(high, low, rows, one.split, one.exact_rows)) if rows else 0
    if len(cells) == 1 and isinstance(cells[0], float):
        return number(cells[0])
    total, error = _total(metric.aggregates, cells)
    return _rounded(total, error)


def _average(metric: MetricPlan, cells: Row) -> int | float | None:
    """Correctly rounded. Raises Uncertain."""
    folds = tuple(one.fold for one in metric.aggregates)
    if folds == _TWO_PARTS:
        high, low, rows = cells
        one = metric.aggregates[0]
        return number(exact_sums.rounded_mean(high, low, rows, one.split, one.exact_rows)) if rows else None
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
                error, split = Fraction(exact_sums.error_of(low, cell, split)), 0.0
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
        if error and (result != float(value + error) or abs(result) >= exact_sums.EXACT_DOUBLES):
            raise exact_sums.Uncertain
    except OverflowError:
        return None
    return int(value) if value.denominator == 1 and not error else number(result)


_PLAIN_KINDS = (ColumnKind.STRING, ColumnKind.NUMBER, ColumnKind.INTEGER)


def _unique(metric: MetricPlan, cells: Row) -> list[Any]:
    """Distinct values, elements for lists, sorted; null last. Objects in lists are no values."""
    if _plain_kind(metric) is not None:
        return _unique_plain(metric, cells)
    has_null = False
    texts: list[str] = []
    numbers: list[int | float] = []
    booleans: list[bool] = []
    for aggregate, cell in zip(metric.aggregates, cells, strict=True):
        if aggregate.fold is Fold.EXPLICIT_NULL:
            has_null = has_null or bool(cell)
            continue
        kind = aggregate.columns[0].kind
        if kind is ColumnKind.INSTANT:
            return [format_instant(us) for us in in_order(list(cell or ()))]
        if aggregate.fold is not Fold.ELEMENTS and kind is ColumnKind.STRING:
            texts += cell or ()
            continue
        elements = aggregate.fold is Fold.ELEMENTS
        for value in map(_element if elements else _decoder_of(kind), cell or ()):
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
    found: list[Any] = cells[0] or []
    if _plain_kind(metric) is not ColumnKind.STRING:
        found = [value for value in map(number, found) if value is not None]
    found = in_order(found)
    if any(one == next for one, next in pairwise(found)):
        found = list(dict.fromkeys(found))
    if any(cells[1:]):
        found.append(None)
    return found


def _plain_kind(metric: MetricPlan) -> ColumnKind | None:
    """The kind of its values, where its only list is one of texts or of finite numbers."""
    first, *rest = metric.aggregates or (Aggregate(Fold.ROWS),)
    if first.fold is not Fold.VALUES or any(one.fold is not Fold.EXPLICIT_NULL for one in rest):
        return None
    kind = first.columns[0].kind
    return kind if kind in _PLAIN_KINDS else None


def _distinct(values: list[Any]) -> list[Any]:
    """Each once, the first of equal ones, sorted. Takes the given list's items away."""
    found = dict.fromkeys(values)
    values.clear()
    return in_order(list(found))


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
