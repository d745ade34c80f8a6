"""A parsed question for series, as frozen values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from query.language.nodes import (
    Analysis,
    ComposedQuery,
    EventsRead,
    Filter,
    Group,
    Metric,
    Order,
    Span,
)
from query.language.series.formulas import Expression, names_in

_NUMERIC_ANALYSES = frozenset(Analysis) - {Analysis.COUNT, Analysis.COUNT_UNIQUE}


@dataclass(frozen=True, slots=True)
class Series:
    """One named question. ``groups`` are the whole question's, by the names that this collection has."""

    label: str
    collection: str
    metric: Metric
    filters: tuple[Filter, ...] = ()
    shared: int = 0
    """How many of the filters are the whole question's; they come first."""
    groups: tuple[Group, ...] = ()


class WindowKind(StrEnum):
    """Which events a value is computed over."""

    PLAIN = "plain"
    """Those of the interval."""
    ROLLING = "rolling"
    """Those of the interval and of some before it."""
    CUMULATIVE = "cumulative"
    """Those from the timeframe's start to the interval's end."""


@dataclass(frozen=True, slots=True)
class Window:
    kind: WindowKind = WindowKind.PLAIN
    length: int = 1
    """For ROLLING: the number of intervals."""


PLAIN = Window()


@dataclass(frozen=True, slots=True)
class Windowed:
    """A label computed over other windows: ``revenue.rolling``."""

    label: str
    of: str
    window: Window


@dataclass(frozen=True, slots=True)
class Share:
    """How many per cent of the total a label's value is: ``revenue.share``."""

    label: str
    of: str


@dataclass(frozen=True, slots=True)
class Formula:
    label: str
    expression: Expression
    decimals: int | None = None


Labelled = Series | Formula | Windowed | Share


@dataclass(frozen=True, slots=True)
class Period:
    """A timeframe divided into buckets.

    ``buckets`` has None where an interval of the question has no counterpart in a compared period. ``rest``
    are the parts of the span that are the counterpart of no interval. ``starts`` are where whole intervals
    begin: ``starts[lead + i]`` that of bucket i, those before it of the intervals before the timeframe.
    """

    span: Span
    buckets: tuple[Span | None, ...]
    starts: tuple[int, ...] = ()
    lead: int = 0
    rest: tuple[Span, ...] = ()

    def window(self, index: int, window: Window) -> Span | None:
        """The window of a bucket; None where the bucket is none."""
        bucket = self.buckets[index]
        if bucket is None or window.kind is WindowKind.PLAIN:
            return bucket
        if window.kind is WindowKind.CUMULATIVE:
            return Span(self.span.start_us, bucket.end_us)
        return Span(self.starts[self.lead + index - window.length + 1], bucket.end_us)

    @property
    def hull(self) -> Span:
        """The span, and the intervals before it that windows reach."""
        if not self.starts or self.span.start_us is None:
            return self.span
        return Span(min(self.starts[0], self.span.start_us), self.span.end_us)


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """An interval to which events may still come, and the whole intervals before it."""

    interval: Span
    edges: tuple[int, ...]
    """Where the intervals before it begin, in order, and last where it begins itself."""
    cut_us: int | None
    """How much of each interval counts, where the timeframe cuts this one."""
    age_us: int
    """How long ago it began, when the question was asked."""


class Fill(StrEnum):
    """What stands where a series has no data."""

    ANALYSIS = "analysis"
    """What the analysis answers of no events."""
    ZERO = "0"
    NULL = "null"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class Top:
    """The first groups of the whole timeframe, by a label."""

    limit: int
    by: str
    other: str | None = None
    """What the row of all other groups is called; None: there is none."""


@dataclass(frozen=True)
class SeriesQuery(ComposedQuery):
    series: tuple[Series, ...]
    formulas: tuple[Formula, ...]
    windowed: tuple[Windowed, ...]
    shares: tuple[Share, ...]
    shown: tuple[str, ...]
    """The labels of the answer, in order."""
    period: Period
    compared: Period | None = None
    groups: tuple[Group, ...] = ()
    divided: bool = False
    """Whether there is an interval."""
    top: Top | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    zero_fill: bool = True
    fill: Fill = Fill.ANALYSIS
    decimals: int | None = None
    open_intervals: tuple[OpenInterval, ...] | None = None
    """The intervals whose completeness is asked for, the newest one first; None: it is not."""

    @cached_property
    def by_label(self) -> Mapping[str, Labelled]:
        parts: tuple[Labelled, ...] = (*self.series, *self.formulas, *self.windowed, *self.shares)
        return {one.label: one for one in parts}

    @property
    def periods(self) -> tuple[Period, ...]:
        return (self.period,) if self.compared is None else (self.period, self.compared)

    def leaves(self, label: str, window: Window = PLAIN) -> Iterator[tuple[Series, Window]]:
        """The series, and the windows, that a label's value is computed from."""
        one = self.by_label[label]
        if isinstance(one, Series):
            yield one, window
        elif isinstance(one, Formula):
            for name in names_in(one.expression):
                yield from self.leaves(name, window)
        elif isinstance(one, Windowed):
            yield from self.leaves(one.of, one.window)
        else:
            yield from self.leaves(one.of, window)

    @property
    def reads(self) -> tuple[EventsRead, ...]:
        return tuple(
            EventsRead(
                one.collection,
                period.hull,
                one.filters,
                one.shared,
                tuple(_values(one)),
                one.metric.merged,
                f"series.{one.label}.",
            )
            for one in self.series
            for period in self.periods
        ) + tuple(
            EventsRead(
                one.collection,
                Span(interval.edges[0], interval.edges[-1]),
                one.filters,
                one.shared,
                where=f"series.{one.label}.",
            )
            for one in self.series
            for interval in self.open_intervals or ()
        )


def _values(one: Series) -> Iterator[tuple[str, bool, str]]:
    if one.metric.target is not None:
        numeric = one.metric.analysis in _NUMERIC_ANALYSES
        yield one.metric.target, numeric, f"series.{one.label}.target_property"
    for group in one.groups:
        if group.session is None:
            yield group.property_name, group.size is not None or group.ranges is not None, "group_by"
