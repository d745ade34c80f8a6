"""The periods of a question for series: its timeframe, what it is compared with, and the intervals before.

Two rules make a comparison well defined:

- An interval's counterpart is found by the clock: so many days earlier at the same local time, or on the same
  date a year earlier. A part of the compared period that is no interval's counterpart (a 29 February, an hour
  that the clock showed twice, the days that a longer month has) is a part of ``rest``.
- Months and years differ in length, so those of compared months and years are counted instead: the first is
  the counterpart of the first.

The intervals before a period are whole ones, also where the period begins within an interval. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Any

from query.errors import InvalidQuery
from query.language import calendar, timeframe
from query.language.calendar import FIXED_US, Unit, WeekStart
from query.language.fields import missing, structured, wrong
from query.language.nodes import Span
from query.language.series.nodes import Period
from query.language.suggestions import did_you_mean
from query.limits import Limits
from storage.instants import MIN_INSTANT_US

CODE = "TimeframeDefinitionError"
_LONG = (Unit.MONTH, Unit.YEAR)


class Comparison(StrEnum):
    PREVIOUS_PERIOD = "previous_period"
    PREVIOUS_YEAR = "previous_year"
    SAME_WEEKDAYS = "same_weekdays"


@dataclass(frozen=True, slots=True)
class TimeParameters:
    """The parameters of time of one question."""

    timeframe: Any
    timezone: Any
    interval: Any
    now_us: int
    limits: Limits
    week_start: WeekStart
    lead: int
    """Intervals before the timeframe that windows reach."""

    @property
    def zone(self) -> tzinfo:
        return timeframe.bucket_zone(self.timeframe, self.timezone)

    @property
    def divided(self) -> bool:
        return self.interval is not None and self.interval != ""

    @property
    def unit(self) -> Unit | None:
        return timeframe.parse_interval(self.interval)[0] if self.divided else None


def period_of(frame: TimeParameters) -> Period:
    """The question's own period. Raises InvalidQuery, QueryLimitExceeded."""
    span = timeframe.resolve(frame.timeframe, frame.timezone, frame.now_us, frame.week_start)
    if not frame.divided:
        return Period(span, (span,))
    if frame.timeframe is None:
        raise missing("timeframe", because="interval")
    return _divided(span, frame)


def compared_period(frame: TimeParameters, period: Period, compare: Any) -> Period:
    """The period that ``compare`` names. Raises InvalidQuery, QueryLimitExceeded."""
    wanted = structured("compare", compare)
    start, end = period.span.start_us, period.span.end_us
    if start is None or end is None:
        raise InvalidQuery("'compare' needs a timeframe with both a start and an end.", CODE)
    if start == end:
        return Period(Span(start, start), tuple(None for _ in period.buckets))
    try:
        if isinstance(wanted, str) and wanted in tuple(Comparison):
            return _reached(_named(frame, period, start, end, Comparison(wanted)))
        span = _own(frame, wanted)
        return _reached(_paired(frame, period, span, _moved(start, span.start_us or 0, frame.zone)))
    except OverflowError:
        raise InvalidQuery("'compare' reaches beyond the years 1 to 9999.", CODE) from None


def _reached(period: Period) -> Period:
    """The period. Raises OverflowError where it begins before the year 1."""
    if (period.hull.start_us or 0) < MIN_INSTANT_US:
        raise OverflowError
    return period


def _own(frame: TimeParameters, wanted: Any) -> Span:
    try:
        span = timeframe.resolve(wanted, frame.timezone, frame.now_us, frame.week_start)
    except InvalidQuery as error:
        names = tuple(name.value for name in Comparison)
        near = did_you_mean(wanted, names)
        why = "" if near else f" {error.message}"
        raise wrong("compare", f"{', '.join(names)} or a timeframe", wanted, CODE, near + why) from None
    if span.start_us is None or span.end_us is None:
        raise wrong("compare", "a timeframe with both a start and an end", wanted, CODE)
    return span


def _named(frame: TimeParameters, period: Period, start: int, end: int, comparison: Comparison) -> Period:
    zone = frame.zone
    if comparison is Comparison.PREVIOUS_YEAR:
        return _mapped(frame, period, Span(_year_before(start, zone), _year_before(end, zone)), _year_before)
    length = _nominal(end, zone) - _nominal(start, zone)
    if comparison is Comparison.SAME_WEEKDAYS:
        weeks = timedelta(weeks=max(1, -(-length // timedelta(weeks=1))))
        move = _by(weeks)
        return _mapped(frame, period, Span(move(start, zone), move(end, zone)), move)
    relative = timeframe.relative_units(frame.timeframe)
    if relative is None:
        move = _by(length) if not length % timedelta(days=1) else _by_elapsed(end - start)
        return _mapped(frame, period, Span(move(start, zone), start), move)
    unit, count = relative
    if unit in FIXED_US:
        return _mapped(frame, period, Span(2 * start - end, start), _by_elapsed(end - start))
    before = calendar.first_reach(calendar.plus(_nominal(start, zone), unit, -count), zone)
    return _paired(frame, period, Span(before, start), _moved(start, before, zone), counted=unit in _LONG)


def _paired(
    frame: TimeParameters, period: Period, span: Span, move: _Move, *, counted: bool = True
) -> Period:
    """The period with months and years counted, if ``counted`` and the interval is of these."""
    if not (counted and frame.unit in _LONG):
        return _mapped(frame, period, span, move)
    other = _divided(span, frame)
    here, there = len(period.buckets), len(other.buckets)
    buckets = (*other.buckets[:here], *[None] * (here - there))
    return Period(span, buckets, other.starts, other.lead, tuple(one for one in other.buckets[here:] if one))


_Move = Callable[[int, tzinfo], int]
"""From an instant of the question's period to its counterpart."""


def _by(length: timedelta) -> _Move:
    return lambda us, zone: calendar.first_reach(_nominal(us, zone) - length, zone)


def _by_elapsed(length_us: int) -> _Move:
    return lambda us, zone: us - length_us


def _moved(start: int, other_start: int, zone: tzinfo) -> _Move:
    return _by(_nominal(start, zone) - _nominal(other_start, zone))


def _year_before(us: int, zone: tzinfo) -> int:
    wall = _nominal(us, zone)
    earlier = calendar.plus(wall, Unit.YEAR, -1)
    # A 29 February has no counterpart: nothing lies between those of its two ends.
    if earlier.day != wall.day:
        earlier = (earlier + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return calendar.first_reach(earlier, zone)


def _nominal(us: int, zone: tzinfo) -> datetime:
    """The local time; the midnight at which a day begins, also where the clock skipped it."""
    midnight = calendar.unit_start(us, Unit.DAY, zone)
    return midnight if calendar.first_reach(midnight, zone) == us else calendar.wall_at(us, zone)


def _mapped(frame: TimeParameters, period: Period, span: Span, move: _Move) -> Period:
    """The period with each bucket's ends moved."""
    if not frame.divided:
        return Period(span, (span,))
    zone, start, end = frame.zone, span.start_us or 0, span.end_us or 0
    buckets = tuple(_counterpart(one, frame.unit, zone, Span(start, end), move) for one in period.buckets)
    ends = [start, *(edge for one in buckets if one for edge in (one.start_us, one.end_us)), end]
    gaps = [Span(low, high) for low, high in zip(ends[::2], ends[1::2], strict=True)]
    rest = tuple(gap for gap in gaps if (gap.start_us or 0) < (gap.end_us or 0))
    starts = tuple(move(at, zone) for at in period.starts)
    return Period(span, buckets, starts, period.lead, rest)


def _counterpart(
    bucket: Span | None, unit: Unit | None, zone: tzinfo, within: Span, move: _Move
) -> Span | None:
    if bucket is None or bucket.start_us is None or bucket.end_us is None:
        return None
    first, last = within.start_us or 0, within.end_us or 0
    start, end = (min(max(move(at, zone), first), last) for at in (bucket.start_us, bucket.end_us))
    # The counterpart is no longer than the interval: of an hour that is shown twice, it is the first.
    if unit in FIXED_US:
        end = min(end, start + bucket.end_us - bucket.start_us)
    elif unit in (Unit.DAY, Unit.WEEK):
        length = _nominal(bucket.end_us, zone) - _nominal(bucket.start_us, zone)
        end = min(end, calendar.first_reach(_nominal(start, zone) + length, zone))
    return Span(start, end) if start < end else None


def _divided(span: Span, frame: TimeParameters) -> Period:
    zone = frame.zone
    edges = timeframe.buckets(span, frame.interval, zone, frame.limits.intervals_max, frame.week_start).edges
    buckets = tuple(Span(start, end) for start, end in pairwise(edges))
    if not frame.lead or not buckets:
        return Period(span, buckets)
    try:
        before = whole_starts(edges[0], frame, zone)
        return _reached(Period(span, buckets, (*before, *edges[1:-1]), frame.lead))
    except OverflowError:
        raise InvalidQuery("'rolling' reaches beyond the years 1 to 9999.", CODE) from None


def whole_starts(start: int, frame: TimeParameters, zone: tzinfo) -> list[int]:
    """Where the interval that holds the start begins, and before it those of ``lead`` intervals."""
    unit, count = timeframe.parse_interval(frame.interval)
    if count is not None:
        return _stepped_starts(start, unit, count, frame.lead, zone)
    starts = [_aligned(start, unit, zone, frame.week_start)]
    for _ in range(frame.lead):
        starts.append(_aligned(starts[-1] - 1, unit, zone, frame.week_start))
    return starts[::-1]


def _aligned(us: int, unit: Unit, zone: tzinfo, week_start: WeekStart) -> int:
    if unit in FIXED_US:
        return calendar.fixed_start(us, unit, zone)
    return calendar.first_reach(calendar.unit_start(us, unit, zone, week_start), zone)


def _stepped_starts(start: int, unit: Unit, count: int, lead: int, zone: tzinfo) -> list[int]:
    if unit in FIXED_US:
        return [start - steps * count * FIXED_US[unit] for steps in range(lead, -1, -1)]
    wall = calendar.wall_at(start, zone)
    starts = [start]
    steps = 0
    while len(starts) <= lead:
        steps += count
        earlier = calendar.first_reach(calendar.plus(wall, unit, -steps), zone)
        if earlier < starts[-1]:
            starts.append(earlier)
    return starts[::-1]
