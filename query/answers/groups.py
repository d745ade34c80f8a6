"""Arranges rows of groups and encodes them as JSON, with or without intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from query.answers.results import fold_metric, folder, label_of, rounded_results
from query.answers.values import NULL_ORDER, Row, loads, part_value, timeframes, value_order
from query.engine.memory_budget import Reservation, unbounded
from query.engine.sorting import in_order
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, array, dumps, in_parts
from query.limits import Limits
from query.plan.keys import GroupKey, KeyPart
from query.plan.plan import MetricsPlan

_CELL_BYTES_MIN = 32
"""Lower bound of a cell's size in an answer: a group's name, its value and ``"result":0``."""
_CHECK_EVERY = 4_096
_RESERVE_BYTES = 64 << 10
"""Memory for results is reserved in steps of about this size."""
_ENTRY_BYTES = 280
"""Bytes that a group and its results take in Python, in addition to their text, until they are sorted."""
_ORDER_BYTES = 120
"""Bytes that each sort key takes."""
_CELL_OBJECT_BYTES = 260
"""Bytes that the results of a group in an interval take in addition to their text."""
_T = TypeVar("_T")
Members = tuple[bytes, tuple[tuple[int, Any], ...]]
"""Encoded members of a JSON object, and their sort keys as of ``value_order``."""
_Entry = tuple[Members, Members]
"""A group and the results of its metrics."""
_Sortable = tuple[tuple[tuple[int, Any], ...], tuple[tuple[int, Any], ...], bytes]
"""Sort keys of the group and of its results, and the text of both."""


class Groups:
    """Arranges the rows of a query with ``group_by``.

    Groups and results are encoded as they arrive: JSON takes a small part of the memory that objects take,
    and is what the limit on an answer's bytes applies to. The first ``indexes`` keys of the plan are not
    groups.
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
        self._decoders = [key_decoder(key) for key in self._keys]
        self._width = sum(len(key.parts) for key in self._keys)
        self._fold = folder(plan, self._first + self._width)
        self._paths = [key.path for key in self._keys]
        self._labels = [label_of(metric) for metric in plan.metrics]
        orders = () if plan.ordered else plan.query.order
        self._ordering = [self._labels.index(order.by) for order in orders if order.by in self._labels]
        # A shortcut for one result that is not a sort key: most queries have one, for up to a million groups.
        alone = len(self._labels) == 1 and not self._ordering
        self._only_label = dumps(self._labels[0]) + b":" if alone else None
        self._only_path = dumps(self._paths[0]) + b":" if len(self._paths) == 1 else None
        self._rounds = any(metric.metric.decimals is not None for metric in plan.metrics)
        self._text_bytes = 0

    def rows(self, rows: Iterable[Row]) -> Written:
        """The groups as a JSON array, in the query's order."""
        if self._plan.order is None or (self._plan.query.order and not self._plan.ordered):
            return self._array(self._sorted_texts(rows))
        return self._array(map(_entry_text, self._entries(rows)))

    def _array(self, texts: Iterable[bytes]) -> Written:
        """Joins encoded entries into a JSON array, part by part: many small texts take twice the memory."""
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
                self._text_bytes = sum(len(text) for _, _, text in entries)
                self._reduce_to(before + overhead * len(entries) + self._text_bytes)
        entries = self._sorted(entries)
        entries.reverse()
        for number in range(len(entries)):
            if number % _CHECK_EVERY == 0:
                self._check()
            yield entries.pop()[2]
        self._reduce_to(before + self._text_bytes + len(entries))

    def _entries(self, rows: Iterable[Row]) -> Iterator[_Entry]:
        for number, row in enumerate(self._checked(rows)):
            if not self._plan.cut and number >= self._limits.groups_max:
                raise self._too_many_groups()
            entry = self.group(row), self.results(row)
            self._count_bytes(_entry_bytes(entry))
            yield entry

    def _sorted(self, entries: list[_Sortable]) -> list[_Sortable]:
        if self._plan.order is None:
            entries = in_order(entries, key=lambda entry: entry[0])
        return entries if self._plan.ordered else self._ordered(entries)

    def intervals(self, rows: Iterable[Row]) -> Written:
        assert self._plan.query.buckets is not None
        groups, cells = self._cells(rows, len(self._plan.query.buckets.edges) - 1)
        places = list(range(len(groups)))
        if self._plan.order is None:
            places = in_order(places, key=lambda place: groups[place][1])
        return self.arranged(groups, cells, places)

    def arranged(
        self, groups: Sequence[Members], found: Sequence[dict[int, Members]], places: Sequence[int]
    ) -> Written:
        """The intervals as a JSON array.

        ``found`` has for each interval the results of groups, by the groups' positions in ``groups``;
        ``places`` are all positions in sort order. Empties the dicts of ``found`` to free memory.
        """
        assert self._plan.query.buckets is not None
        spans = timeframes(self._plan.query.buckets.edges)
        fill = self._plan.query.zero_fill
        if fill:
            self._check_cells(min(len(groups), self._plan.query.limit or len(groups)) * len(spans))
        empty = self.empty
        self._text_bytes = 0
        ordered = bool(self._plan.query.order) or self._plan.query.limit is not None
        texts = []
        for span, cells in zip(spans, found, strict=True):
            self._check()
            shown = places if fill else [place for place in places if place in cells]
            self._reserve(_ENTRY_BYTES * len(shown))
            texts_of = self._in_order if ordered else self._in_given_order
            value = b",".join(texts_of([(groups[place], cells.get(place, empty)) for place in shown]))
            cells.clear()
            self._give_back(_ENTRY_BYTES * len(shown))
            self._count_bytes(len(value))
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
        """The groups in order of arrival, and for each bucket the results of its groups, by position."""
        groups: list[Members] = []
        places: dict[Row, int] = {}
        cells: list[dict[int, Members]] = [{} for _ in range(buckets)]
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
                self._count_bytes(len(groups[-1][0]))
                self._reserve(len(groups[-1][0]) * 2 + _ENTRY_BYTES + _ORDER_BYTES * self._width)
            results = cells[row[0]][place] = self.results(row)
            self._count_bytes(len(results[0]))
            self._reserve(cell_bytes + len(results[0]))
        return groups, cells

    def _checked(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yields the items, and calls ``check`` at intervals."""
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
        """The results rounded for output; groups are ordered by the unrounded ones."""
        return rounded_results(self._plan, results) if self._rounds else results

    @property
    def empty(self) -> Members:
        """The results of a group without events in an interval."""
        return self.written([fold_metric(metric, None) for metric in self._plan.metrics])

    def reread(self, written: bytes) -> Members:
        """Results from previously encoded, unrounded ones, with their sort keys for this query."""
        if not self._ordering and not self._rounds:
            return written, ()
        results = loads(f"{{{written.decode()}}}")
        return self.written([results[label] for label in self._labels])

    def _ordered(self, entries: list[_Sortable]) -> list[_Sortable]:
        """Sorts entries, given in the groups' order, into the query's own, and applies its limit."""
        of_results = len(self._ordering)
        for order in reversed(self._plan.query.order):
            if order.by in self._labels:
                of_results -= 1
                entries = _sorted_by(entries, 1, of_results, order.descending)
            else:
                entries = _sorted_by(entries, 0, self._paths.index(order.by), order.descending)
        return entries if self._plan.query.limit is None else entries[: self._plan.query.limit]

    def _count_bytes(self, size: int) -> None:
        """Counts encoded bytes. Raises QueryLimitExceeded where they exceed the limit on an answer."""
        self._text_bytes += size
        if self._text_bytes > self._limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The groups and results take more than {self._limits.response_bytes_max:,} bytes. "
                "Ask for fewer analyses, groups or intervals, or a shorter timeframe."
            )

    def _reserve(self, size: int) -> None:
        """Reserves memory, in steps since it is called for every group."""
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
    """Encodes the members of a JSON object, without its braces; for a repeated name, the last value."""
    return dumps(dict(zip(names, values, strict=True)))[1:-1]


def _entry_text(entry: _Entry) -> bytes:
    return b"{%b,%b}" % (entry[0][0], entry[1][0])


def _entry_bytes(entry: _Entry) -> int:
    return len(entry[0][0]) + len(entry[1][0])


def _sorted_by(
    entries: list[_Sortable], part: Literal[0, 1], position: int, descending: bool
) -> list[_Sortable]:
    """Sorts by a sort key of the group (part 0) or of its results (part 1); null is last either way."""
    nulls = [entry for entry in entries if entry[part][position][0] == NULL_ORDER]
    rest = [entry for entry in entries if entry[part][position][0] != NULL_ORDER]
    return in_order(rest, key=lambda entry: entry[part][position], reverse=descending) + nulls


def key_decoder(key: GroupKey) -> Callable[[Row, int], tuple[Any, tuple[int, Any]]]:
    """A function of (row, position of the key's first part) that returns the group's value and sort key."""
    parts = key.parts
    ranges = key.ranges

    def decode(row: Row, position: int) -> tuple[Any, tuple[int, Any]]:
        for offset, part in enumerate(parts):
            cell = row[position + offset]
            if cell is None:
                continue
            if part is KeyPart.RANGE and ranges is not None:
                return ranges[cell].label, (0, cell)
            return part_value(part, cell)
        return None, (NULL_ORDER, 0)

    return decode
