"""Evaluates labels of a question for series, from the values of its series in all windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from query.answers.series.arithmetic import Value, percent, values_of
from query.answers.series.windows import Found
from query.language.nodes import Analysis
from query.language.series.formulas import names_in
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
)

_EMPTY_ZERO = frozenset((Analysis.COUNT, Analysis.COUNT_UNIQUE, Analysis.SUM))


class Evaluation:
    """The values of one period and scope. A place is a bucket, or a part of the rest after the buckets."""

    def __init__(self, query: SeriesQuery, period: Period, found: Found) -> None:
        self._query = query
        self._found = found
        self._present = [span is not None for span in (*period.buckets, *period.rest)]
        self._all_present = all(self._present)
        self._buckets = len(period.buckets)

    @cached_property
    def groups(self) -> set[int]:
        """The groups with events in any bucket."""
        return {
            group
            for by_group in self._found.values()
            for group, values in by_group.items()
            if any(place < self._buckets for place in values)
        }

    @cached_property
    def groups_at(self) -> Sequence[set[int]]:
        """The groups with events, of each place."""
        found: list[set[int]] = [set() for _ in self._present]
        for by_group in self._found.values():
            for group, values in by_group.items():
                for place in values:
                    found[place].add(group)
        return found

    def values(
        self, labels: Sequence[str], group: int, totals: Mapping[str, Sequence[Value]]
    ) -> dict[str, Sequence[Value]]:
        """The values of the labels for a group, by place; ``totals`` are those of labels that are shared."""
        known: dict[tuple[str, Window], Sequence[Value]] = {}
        return {label: self._of(label, group, PLAIN, totals, known) for label in labels}

    def _of(
        self,
        label: str,
        group: int,
        window: Window,
        totals: Mapping[str, Sequence[Value]],
        known: dict[tuple[str, Window], Sequence[Value]],
    ) -> Sequence[Value]:
        if (label, window) in known:
            return known[label, window]
        one = self._query.by_label[label]
        values: Sequence[Value]
        if isinstance(one, Series):
            values = self._of_series(one, group, window)
        elif isinstance(one, Formula):
            names = {name: self._of(name, group, window, totals, known) for name in names_in(one.expression)}
            values = values_of(one.expression, names, len(self._present))
        elif isinstance(one, Windowed):
            values = self._of(one.of, group, one.window, totals, known)
        else:
            values = self._shared(one, self._of(one.of, group, window, totals, known), totals[one.of])
        known[label, window] = values
        return values

    def _shared(self, one: Share, values: Sequence[Value], totals: Sequence[Value]) -> list[Value]:
        return [percent(value, total) for value, total in zip(values, totals, strict=True)]

    def _of_series(self, series: Series, group: int, window: Window) -> Sequence[Value]:
        held = self._found.get((series.label, window), {}).get(group, {})
        fill = self._query.fill
        if fill is Fill.PREVIOUS:
            return self._filled_from_before(held)
        empty: Value = 0 if fill is Fill.ZERO else None
        if fill is Fill.ANALYSIS and series.metric.analysis in _EMPTY_ZERO:
            empty = 0
        values = [empty] * len(self._present) if self._all_present else self._empties(empty)
        for place, value in held.items():
            # With a fill, what has events and no value is without data too.
            values[place] = empty if value is None and fill is not Fill.ANALYSIS else value
        return values

    def _empties(self, empty: Value) -> list[Value]:
        return [empty if present else None for present in self._present]

    def _filled_from_before(self, held: Mapping[int, Any]) -> list[Value]:
        values: list[Value] = []
        previous: Value = None
        for place, present in enumerate(self._present):
            if not present:
                values.append(None)
                continue
            value = held.get(place)
            previous = previous if value is None else value
            values.append(previous)
        return values
