"""A slow evaluator of questions for series over Python events: each value from the events of its window."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

from query.language.nodes import Span
from query.language.series.formulas import Expression, Name, Negative, Number
from query.language.series.nodes import (
    PLAIN,
    Fill,
    Formula,
    Period,
    Series,
    SeriesQuery,
    Share,
    Window,
    Windowed,
    WindowKind,
)
from storage.instants import format_instant
from tests.query import reference
from tests.query.support_source import Event

ALL, OTHERS = ("all",), ("others",)


class Reference:
    def __init__(self, query: SeriesQuery, collections: dict[str, list[Event]]) -> None:
        self.query = query
        self.collections = collections
        self.chosen: list[Any] | None = None
        self.values: dict[Any, Any] = {}

    def keys(self, series: Series, event: Event) -> list[Any]:
        found = product(*(reference.group_values(event, group) for group in series.groups))
        return [tuple((repr(order), order, value) for order, value in key) for key in found]

    def events(self, series: Series, span: Span | None, key: Any) -> list[Event]:
        if span is None:
            return []
        events = reference.select(self.collections.get(series.collection, []), span, series.filters)
        if key == ALL:
            return events
        found = []
        for event in events:
            keys = {said[:] for said in map(names, self.keys(series, event))}
            if key == OTHERS:
                if keys - {names(one) for one in self.chosen or ()}:
                    found.append(event)
            elif names(key) in keys:
                found.append(event)
        return found

    def leaf(self, series: Series, period: Period, place: int, key: Any, window: Window) -> Any:
        """(value, whether there are events)"""
        span = self.window(period, place, window)
        events = self.events(series, span, key)
        return reference.metric_value(series.metric, events), bool(events)

    def window(self, period: Period, place: int, window: Window) -> Span | None:
        if place >= len(period.buckets):
            return period.rest[place - len(period.buckets)]
        return period.window(place, window)

    def value(self, label: str, period: Period, place: int, key: Any, window: Window = PLAIN) -> Any:
        one = self.query.by_label[label]
        if isinstance(one, Series):
            return self.filled(one, period, place, key, window)
        if isinstance(one, Formula):
            return self.computed(one.expression, period, place, key, window)
        if isinstance(one, Windowed):
            return self.value(one.of, period, place, key, one.window)
        value = self.value(one.of, period, place, key, window)
        total = self.total(one, period, place, window)
        return percent(value, total)

    def total(self, one: Share, period: Period, place: int, window: Window) -> Any:
        if self.query.groups:
            return self.value(one.of, period, place, ALL, window)
        return self.value(one.of, Period(period.span, (period.span,)), 0, ALL, window)

    def filled(self, one: Series, period: Period, place: int, key: Any, window: Window) -> Any:
        if self.window(period, place, window) is None:
            return None
        value, there = self.leaf(one, period, place, key, window)
        fill = self.query.fill
        if fill is Fill.ANALYSIS or (there and value is not None):
            return value
        if fill is not Fill.PREVIOUS:
            return 0 if fill is Fill.ZERO else None
        return self.filled_before(one, period, place, key, window)

    def filled_before(self, one: Series, period: Period, place: int, key: Any, window: Window) -> Any:
        for earlier in range(place - 1, -1, -1):
            if self.window(period, earlier, window) is not None:
                value, there = self.leaf(one, period, earlier, key, window)
                if there and value is not None:
                    return value
        return None

    def computed(self, one: Expression, period: Period, place: int, key: Any, window: Window) -> Any:
        if isinstance(one, Number):
            return one.value
        if isinstance(one, Name):
            return self.value(one.label, period, place, key, window)
        if isinstance(one, Negative):
            operand = self.computed(one.operand, period, place, key, window)
            return None if operand is None else -operand
        left, right = (self.computed(side, period, place, key, window) for side in (one.left, one.right))
        if one.sign == "/":
            return divided(left, right)
        if left is None or right is None or ... in (left, right):
            return ... if ... in (left, right) else None
        return {"+": plus, "-": minus, "*": times}[one.sign](left, right)

    def body(self) -> dict[str, Any]:
        query = self.query
        self.chosen = self.first_groups()
        rows = self.rows()
        parts = [self.part(place, rows) for place in range(len(query.period.buckets))]
        if not query.divided:
            body = {"result": parts[0]["value"]}
            return {**body, "compare": parts[0]["compare"]} if query.compared else body
        body = {"result": parts}
        if query.compared:
            plain = [label for label in query.shown if self.plain(label)]
            places = range(
                len(query.compared.buckets), len(query.compared.buckets) + len(query.compared.rest)
            )
            body["compare"] = {
                "timeframe": framed(query.compared.span),
                "unmatched": [
                    {
                        "value": self.block(rows, plain, lambda key, label, at=place: self.value(
                            label, query.compared, at, key)),
                        "timeframe": framed(query.compared.rest[place - len(query.compared.buckets)]),
                    }
                    for place in places
                ],
            }  # fmt: skip
        return body

    def plain(self, label: str) -> bool:
        return all(window.kind is WindowKind.PLAIN for _, window in self.query.leaves(label))

    def part(self, place: int, rows: list[Any]) -> dict[str, Any]:
        query = self.query

        def here(key: Any, label: str) -> Any:
            return self.value(label, query.period, place, key)

        def base(key: Any, label: str) -> Any:
            return self.value(label, query.compared, place, key)  # type: ignore[arg-type]

        shown = [row for row in rows if query.zero_fill or not query.groups or self.there(row, place)]
        last = [row for row in shown if row == OTHERS]
        shown = [row for row in shown if row != OTHERS]
        paths = [group.path for group in query.groups]
        for order in reversed(query.order):

            def rank(key: Any, by: str = order.by) -> Any:
                return key[paths.index(by)][1] if by in paths else reference.order_of(here(key, by))

            nulls = [row for row in shown if rank(row)[0] == 9]
            kept = sorted((r for r in shown if rank(r)[0] != 9), key=rank, reverse=order.descending)
            shown = kept + nulls
        shown = shown[: query.limit] + last
        part = {
            "value": self.block(shown, query.shown, here),
            "timeframe": framed(query.period.buckets[place]),
        }
        if query.compared:
            part["compare"] = {
                "timeframe": framed(query.compared.buckets[place]),
                "value": self.block(shown, query.shown, base),
                "change": self.block(shown, query.shown, lambda k, n: minus(here(k, n), base(k, n))),
                "change_percent": self.block(
                    shown,
                    query.shown,
                    lambda k, n: percent(minus(here(k, n), base(k, n)), absolute(base(k, n))),
                ),
            }
        return part

    def block(self, rows: list[Any], labels: Any, valued: Any) -> Any:
        found = [{**self.named(key), **{label: valued(key, label) for label in labels}} for key in rows]
        return found if self.query.groups else found[0]

    def named(self, key: Any) -> dict[str, Any]:
        paths = [group.path for group in self.query.groups]
        if key == OTHERS:
            return dict.fromkeys(paths, self.query.top.other)  # type: ignore[union-attr]
        return {path: value for path, (_, _, value) in zip(paths, key, strict=True)} if paths else {}

    def there(self, key: Any, place: int) -> bool:
        return any(
            self.leaf(series, period, place, key, window)[1]
            for label in self.query.shown
            for series, window in self.query.leaves(label)
            for period in self.query.periods
        )

    def found(self, labels: Any, periods: Any) -> list[Any]:
        """All groups with an event in any window of a bucket, sorted."""
        keys: dict[Any, Any] = {}
        for label in labels:
            for series, window in self.query.leaves(label):
                for period in periods:
                    for place in range(len(period.buckets)):
                        for event in self.events(series, self.window(period, place, window), ALL):
                            for key in self.keys(series, event):
                                keys.setdefault(names(key), key)
        return sorted(keys.values(), key=lambda key: [order for _, order, _ in key])

    def first_groups(self) -> list[Any] | None:
        top = self.query.top
        if top is None:
            return None
        whole = Period(self.query.period.span, (self.query.period.span,))
        found = self.found([top.by], [whole])
        values = {names(key): self.value(top.by, whole, 0, key) for key in found}
        valued = [key for key in found if values[names(key)] is not None]
        valued.sort(key=lambda key: Fraction(values[names(key)]), reverse=True)
        return [*valued, *(key for key in found if values[names(key)] is None)][: top.limit]

    def rows(self) -> list[Any]:
        if not self.query.groups:
            return [ALL]
        found = self.found(self.query.shown, self.query.periods)
        if self.chosen is None:
            return found
        rows = [key for key in self.chosen if names(key) in set(map(names, found))]
        if self.query.top.other is None:  # type: ignore[union-attr]
            return rows
        others = any(
            self.leaf(series, period, place, OTHERS, window)[1]
            for label in self.query.shown
            for series, window in self.query.leaves(label)
            for period in self.query.periods
            for place in range(len(period.buckets))
        )
        return [*rows, *([OTHERS] if others else [])]


def names(key: Any) -> Any:
    """What tells groups apart: their values, by kind."""
    return tuple((type(value) is bool, value) for _, _, value in key)


def framed(span: Span | None) -> Any:
    if span is None:
        return None
    ends = {"start": span.start_us, "end": span.end_us}
    return {name: None if us is None else format_instant(us) for name, us in ends.items()}


def usual(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plus(left: Any, right: Any) -> Any:
    return None if left is None or right is None else usual(left + right)


def minus(left: Any, right: Any) -> Any:
    if ... in (left, right):
        return ...
    return None if left is None or right is None else usual(left - right)


def times(left: Any, right: Any) -> Any:
    if ... in (left, right):
        return ...
    return None if left is None or right is None else usual(left * right)


def percent(value: Any, total: Any) -> Any:
    hundredfold = times(100, value)
    return times(100, divided(value, total)) if hundredfold is None else divided(hundredfold, total)


def divided(left: Any, right: Any) -> Any:
    if ... in (left, right):
        return ...
    if left is None or right is None or right == 0:
        return None
    return usual(left / right)


def absolute(value: Any) -> Any:
    return value if value in (None, ...) else abs(value)
