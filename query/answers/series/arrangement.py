"""Arranges the values of a question for series: alone, in groups, in intervals, beside compared ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.series.arithmetic import Value, change, change_percent
from query.answers.series.asking import GroupList
from query.answers.series.evaluation import Evaluation
from query.answers.values import NULL_ORDER, rounded, value_order
from query.engine.runner import Runner
from query.engine.sorting import in_order
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, array, dumps
from query.language.nodes import Order, Span
from query.language.series.nodes import Formula, Period, Series, SeriesQuery, Windowed, WindowKind
from query.limits import Limits
from storage.instants import format_instant

_CELL_BYTES_MIN = 12
"""Lower bound of a value's size in an answer, with its label."""
_VALUE_BYTES = 48
"""Bytes that a computed value takes in Python until it is encoded."""
_CHECK_EVERY = 256
_OTHERS = -1
"""Stands for the number of the row of all other groups."""


@dataclass(frozen=True, slots=True)
class Table:
    """The values of one period."""

    period: Period
    evaluation: Evaluation
    others: Evaluation | None
    """The values of all groups but the first, together."""
    totals: dict[str, list[Any]]


_Columns = dict[str, Sequence[Value]]
_Formed = Callable[[Value, Value], Value]
_Rounding = Mapping[str, int | None]


class Arrangement:
    def __init__(
        self,
        query: SeriesQuery,
        groups: GroupList,
        tables: Sequence[Table],
        chosen: Sequence[int] | None,
        limits: Limits,
        runner: Runner,
    ) -> None:
        self._query = query
        self._groups = groups
        self._tables = tables
        self._limits = limits
        self._runner = runner
        self._alone = groups.number((), ())
        self._paths = [group.path for group in query.groups]
        self._decimals = {label: self._decimals_of(label) for label in query.shown}
        self._rounds = any(decimals is not None for decimals in self._decimals.values())
        self._text_bytes = 0
        self._rows = self._listed(chosen)
        self._other = self._name_of_others()
        self._check_cells()
        self._names = [self._named(row) for row in range(len(self._rows))]
        self._values = [[self._columns(table, number) for number in self._rows] for table in tables]

    def body(self) -> dict[str, Any]:
        """The answer's body. Raises QueryLimitExceeded."""
        query = self._query
        if not query.divided:
            parts = self._part(0)
            body: dict[str, Any] = {"result": Written(self._encoded(parts["value"]))}
            if query.compared is not None:
                body["compare"] = Written(self._encoded(parts["compare"]))
            return body
        texts = []
        for place in range(len(query.period.buckets)):
            self._runner.check()
            texts.append(self._encoded(self._part(place)))
        body = {"result": Written(array(texts))}
        if query.compared is not None:
            body["compare"] = {
                "timeframe": timeframe_of(query.compared.span),
                "unmatched": [Written(self._encoded(part)) for part in self._unmatched(query.compared)],
            }
        return body

    def _part(self, place: int) -> dict[str, Any]:
        shown = self._ordered(place)
        part = {
            "value": self._rounded_block(shown, place, 0),
            "timeframe": timeframe_of(self._query.period.buckets[place]),
        }
        if self._query.compared is not None:
            percents: _Rounding = dict.fromkeys(self._decimals, self._query.decimals)
            part["compare"] = {
                "timeframe": timeframe_of(self._query.compared.buckets[place]),
                "value": self._rounded_block(shown, place, 1),
                "change": self._block(shown, place, change, self._decimals),
                "change_percent": self._block(shown, place, change_percent, percents),
            }
        return part

    def _unmatched(self, compared: Period) -> list[dict[str, Any]]:
        """The parts of the compared period that are no interval's counterpart."""
        plain = [label for label in self._query.shown if self._is_plain(label)]
        parts = []
        for number, span in enumerate(compared.rest):
            place = len(compared.buckets) + number
            rows = [self._row(row, plain, self._values[1][row], place) for row in range(len(self._rows))]
            parts.append({"value": rows if self._paths else rows[0], "timeframe": timeframe_of(span)})
        return parts

    def _row(self, row: int, labels: Sequence[str], columns: _Columns, place: int) -> dict[str, Any]:
        if not self._rounds:
            return {**self._names[row], **{label: columns[label][place] for label in labels}}
        found = {label: rounded(columns[label][place], self._decimals[label]) for label in labels}
        return {**self._names[row], **found}

    def _is_plain(self, label: str) -> bool:
        return all(window.kind is WindowKind.PLAIN for _, window in self._query.leaves(label))

    def _rounded_block(self, shown: Sequence[int], place: int, table: int) -> Any:
        """The values of a table, alone or in rows."""
        rows = [self._row(row, self._query.shown, self._values[table][row], place) for row in shown]
        return rows if self._paths else rows[0]

    def _block(self, shown: Sequence[int], place: int, formed: _Formed, decimals: _Rounding) -> Any:
        """What is formed of each value and the one that it is compared with, alone or in rows."""
        rows = []
        for row in shown:
            values = self._values[0][row]
            bases = self._values[1][row]
            found = {
                label: rounded(formed(values[label][place], bases[label][place]), decimals[label])
                for label in self._query.shown
            }
            rows.append({**self._names[row], **found})
        return rows if self._paths else rows[0]

    def _named(self, row: int) -> dict[str, Any]:
        number = self._rows[row]
        if number == _OTHERS:
            return dict.fromkeys(self._paths, self._other)
        return dict(zip(self._paths, self._groups.values[number], strict=True))

    def _ordered(self, place: int) -> list[int]:
        """The positions of the rows of a bucket, in the order asked for."""
        query = self._query
        shown = list(range(len(self._rows)))
        if not query.zero_fill and self._paths:
            shown = [row for row in shown if self._has_events(row, place)]
        last = [row for row in shown if self._rows[row] == _OTHERS]
        shown = [row for row in shown if self._rows[row] != _OTHERS]
        for order in reversed(query.order):
            keys = {row: self._key(order, row, place) for row in shown}
            nulls = [row for row in shown if keys[row][0] == NULL_ORDER]
            rest = [row for row in shown if keys[row][0] != NULL_ORDER]
            shown = in_order(rest, key=keys.__getitem__, reverse=order.descending) + nulls
        return [*(shown if query.limit is None else shown[: query.limit]), *last]

    def _key(self, order: Order, row: int, place: int) -> tuple[int, Any]:
        if order.by in self._decimals:
            return value_order(self._values[0][row][order.by][place])
        return self._groups.orders[self._rows[row]][self._paths.index(order.by)]

    def _has_events(self, row: int, place: int) -> bool:
        number = self._rows[row]
        for table in self._tables:
            evaluation = table.others if number == _OTHERS else table.evaluation
            found = self._alone if number == _OTHERS else number
            if evaluation is not None and found in evaluation.groups_at[place]:
                return True
        return False

    def _listed(self, chosen: Sequence[int] | None) -> list[int]:
        """The numbers of the groups that have a row, in order; that of all others last."""
        if not self._paths:
            return [self._alone]
        found = set().union(*(table.evaluation.groups for table in self._tables))
        if chosen is None:
            return in_order(list(found), key=lambda number: self._groups.orders[number])
        rows = [number for number in chosen if number in found]
        if any(table.others is not None and table.others.groups for table in self._tables):
            rows.append(_OTHERS)
        return rows

    def _name_of_others(self) -> str:
        """What the row of all other groups is called: no row has this value for any property."""
        top = self._query.top
        name = (top.other if top is not None else None) or ""
        values = {value for number in self._rows if number >= 0 for value in self._groups.values[number]}
        while name in values:
            name += " groups"
        return name

    def _columns(self, table: Table, number: int) -> _Columns:
        if number % _CHECK_EVERY == 0:
            self._runner.check()
        if number == _OTHERS and table.others is not None:
            return table.others.values(self._query.shown, self._alone, table.totals)
        return table.evaluation.values(self._query.shown, number, table.totals)

    def _decimals_of(self, label: str) -> int | None:
        one = self._query.by_label[label]
        if isinstance(one, Series):
            return one.metric.decimals
        if isinstance(one, Formula):
            return one.decimals
        return self._decimals_of(one.of) if isinstance(one, Windowed) else self._query.decimals

    def _check_cells(self) -> None:
        """Raises QueryLimitExceeded for an answer that is certainly too long; reserves memory for others."""
        places = sum(len(table.period.buckets) + len(table.period.rest) for table in self._tables)
        cells = places * len(self._rows) * len(self._query.shown)
        if cells * _CELL_BYTES_MIN > self._limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The answer would have {cells:,} values, more than {self._limits.response_bytes_max:,} "
                "bytes hold. Ask for the 'top' groups, fewer series, longer intervals or a shorter timeframe."
            )
        self._runner.reservation.reserve(cells * _VALUE_BYTES)

    def _encoded(self, part: Any) -> bytes:
        """The part as JSON. Raises QueryLimitExceeded where the answer becomes too long."""
        text = dumps(part)
        self._text_bytes += len(text)
        if self._text_bytes > self._limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The answer takes more than {self._limits.response_bytes_max:,} bytes. Ask for the 'top' "
                "groups, fewer series, longer intervals or a shorter timeframe."
            )
        self._runner.reservation.reserve(2 * len(text))
        return text


def timeframe_of(span: Span | None) -> dict[str, str | None] | None:
    """The span as answers have it."""
    if span is None:
        return None
    ends = {"start": span.start_us, "end": span.end_us}
    return {name: None if us is None else format_instant(us) for name, us in ends.items()}
