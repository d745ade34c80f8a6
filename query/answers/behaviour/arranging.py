"""Arranges what was measured by groups and intervals, in the shapes of a multi-analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.behaviour.value_texts import Valued
from query.answers.values import NULL_ORDER, rounded, timeframes, value_order
from query.engine.memory_budget import Reservation
from query.engine.sorting import in_order
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, array, dumps, in_parts
from query.language.nodes import Buckets, Order
from query.limits import Limits

_CHECK_EVERY = 1_024
_ROW_BYTES = 600
"""Bytes that a row takes in Python in addition to its text, until rows are sorted."""
_PART_ROWS = 4_096
_CELL_BYTES_MIN = 32
Results = Mapping[str, Any]
Row = tuple[tuple[tuple[int, Any], ...], Results, bytes]
"""The sort keys of a row's group, its results and its text."""


@dataclass(frozen=True, slots=True)
class Arranging:
    """How the question wants its answer."""

    paths: tuple[str, ...]
    order: tuple[Order, ...]
    limit: int | None
    zero_fill: bool
    decimals: int | None
    buckets: Buckets | None


@dataclass(frozen=True, slots=True)
class CellResults:
    """``cells``: for each interval, or the one timeframe, the numbers of its groups and of their cells;
    ``result`` computes what a cell has; ``empty`` is that of a cell without anything."""

    groups: Sequence[tuple[Valued, ...]]
    cells: Sequence[Mapping[int, int]]
    result: Callable[[int], Results]
    empty: Results


def arranged(
    how: Arranging,
    measures: CellResults,
    limits: Limits,
    check: Callable[[], None],
    reservation: Reservation,
) -> Written:
    """The answer's ``result`` as JSON. Raises QueryLimitExceeded."""
    rows = _Rows(how, measures, limits, check, reservation)
    if how.buckets is None:
        return Written(rows.value(measures.cells[0]))
    texts: list[bytes] = []
    for span, cells in zip(timeframes(how.buckets.edges), measures.cells, strict=True):
        check()
        texts.append(b'{"value":%b,"timeframe":%b}' % (rows.value(cells), dumps(span)))
        reservation.reserve(2 * len(texts[-1]))
    return Written(array(texts))


def check_cells(groups: int, cells: int, limits: Limits) -> None:
    """Raises QueryLimitExceeded."""
    if groups > limits.groups_max:
        raise QueryLimitExceeded(
            f"The answer has more than {limits.groups_max:,} groups. Group by fewer properties, or filter."
        )
    if cells > limits.cells_max:
        raise QueryLimitExceeded(
            f"More than {limits.cells_max:,} groups are found in all intervals together. "
            "Ask for longer intervals or a shorter timeframe, group by fewer properties, or filter."
        )


@dataclass(slots=True)
class _Rows:
    how: Arranging
    measures: CellResults
    limits: Limits
    check: Callable[[], None]
    reservation: Reservation
    _bytes: int = 0

    def __post_init__(self) -> None:
        groups = len(self.measures.groups)
        if self.how.zero_fill and self.how.buckets is not None and self.how.paths:
            cells = min(groups, self.how.limit or groups) * len(self.measures.cells)
            if cells * _CELL_BYTES_MIN > self.limits.response_bytes_max:
                raise QueryLimitExceeded(
                    f"The answer would have {cells:,} cells, more than {self.limits.response_bytes_max:,} "
                    "bytes hold. Use 'zero_fill=false', fewer intervals or groups, or 'order_by' with "
                    "'limit'."
                )

    def value(self, cells: Mapping[int, int]) -> bytes:
        """The results, or the rows of the groups, of an interval or of the timeframe."""
        if not self.how.paths:
            return self._counted(dumps(self._rounded(self._results(cells.get(0)))))
        before = self.reservation.used_bytes
        parts = list(in_parts((text for _, _, text in self._sorted(cells)), _PART_ROWS))
        self.reservation.reduce_to(before)
        size = sum(map(len, parts))
        self.reservation.reserve(2 * size)
        return array(parts)

    def _sorted(self, cells: Mapping[int, int]) -> list[Row]:
        filled = self.how.zero_fill and self.how.buckets is not None
        rows = list(self._rows(range(len(self.measures.groups)) if filled else cells, cells))
        rows = in_order(rows, key=lambda row: row[0])
        for order in reversed(self.how.order):
            rows = self._ordered(rows, order)
        return rows[: self.how.limit]

    def _rows(self, groups: range | Mapping[int, int], cells: Mapping[int, int]) -> Iterator[Row]:
        for number, group in enumerate(groups):
            if number % _CHECK_EVERY == 0:
                self.check()
            named = self.measures.groups[group]
            results = self._results(cells.get(group))
            values = {path: value for path, (value, _) in zip(self.how.paths, named, strict=True)}
            text = self._counted(dumps({**values, **self._rounded(results)}))
            self.reservation.reserve(_ROW_BYTES + len(text))
            yield tuple(order for _, order in named), results, text

    def _ordered(self, rows: list[Row], order: Order) -> list[Row]:
        """Sorted by one entry of the order; null is last either way."""
        if order.by in self.how.paths:
            at = self.how.paths.index(order.by)
            keyed = [(row[0][at], row) for row in rows]
        else:
            keyed = [(value_order(row[1][order.by]), row) for row in rows]
        nulls = [row for key, row in keyed if key[0] == NULL_ORDER]
        rest = [pair for pair in keyed if pair[0][0] != NULL_ORDER]
        return [row for _, row in in_order(rest, key=_first, reverse=order.descending)] + nulls

    def _results(self, cell: int | None) -> Results:
        return self.measures.empty if cell is None else self.measures.result(cell)

    def _rounded(self, results: Results) -> Results:
        if self.how.decimals is None:
            return results
        return {name: rounded(value, self.how.decimals) for name, value in results.items()}

    def _counted(self, text: bytes) -> bytes:
        """The text, whose bytes are counted. Raises QueryLimitExceeded."""
        self._bytes += len(text) + 1
        if self._bytes > self.limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The groups and results take more than {self.limits.response_bytes_max:,} bytes. "
                "Ask for fewer measures, groups or intervals, or a shorter timeframe."
            )
        return text


def _first(pair: tuple[tuple[int, Any], Row]) -> tuple[int, Any]:
    return pair[0]
