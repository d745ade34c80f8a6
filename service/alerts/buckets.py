"""The intervals that an alert is asked about: the last one that has ended, and earlier ones.

Pure. All are intervals of local time, so a day of 23 hours is compared with one of 24.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from query.language.calendar import Unit, WeekStart, first_reach, fixed_start, plus, unit_start, wall_at
from query.language.nodes import Span

INTERVALS: dict[str, tuple[Unit, int]] = {
    **{f"every_{count}_minutes": (Unit.MINUTE, count) for count in (5, 10, 15, 20, 30)},
    "hourly": (Unit.HOUR, 1),
    "daily": (Unit.DAY, 1),
    "weekly": (Unit.WEEK, 1),
    "monthly": (Unit.MONTH, 1),
}
"""Name → the unit of the interval, and how many of it."""
_MINUTE_US = 60_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of time, in µs; the end is not part of it."""

    start_us: int
    end_us: int

    @property
    def span(self) -> Span:
        return Span(self.start_us, self.end_us)


@dataclass(frozen=True, slots=True)
class Intervals:
    """How a project counts its intervals."""

    interval: str
    zone: tzinfo
    week_start: WeekStart = WeekStart.SUNDAY

    def last(self, now_us: int) -> Interval:
        """The last interval that has ended by now."""
        end_us = self._start(now_us)
        return Interval(self._start(end_us - 1), end_us)

    def after(self, at_us: int) -> Interval:
        """The interval that begins then."""
        return Interval(at_us, self.following_end(Interval(at_us - 1, at_us)))

    def before(self, bucket: Interval) -> Interval:
        """The interval before."""
        return Interval(self._start(bucket.start_us - 1), bucket.start_us)

    def following_end(self, bucket: Interval) -> int:
        """When the next interval ends."""
        unit, count = INTERVALS[self.interval]
        if unit is Unit.MINUTE:
            hour = fixed_start(bucket.end_us, Unit.HOUR, self.zone)
            return min(bucket.end_us + count * _MINUTE_US, hour + 60 * _MINUTE_US)
        if unit is Unit.HOUR:
            return bucket.end_us + 60 * _MINUTE_US
        return first_reach(
            plus(unit_start(bucket.end_us, unit, self.zone, self.week_start), unit, 1), self.zone
        )

    def same_weekday(self, bucket: Interval, weeks: int) -> Interval:
        """The interval at the same local time so many weeks earlier."""
        back = timedelta(days=7 * weeks)
        start_us, end_us = (
            first_reach(wall_at(at_us, self.zone) - back, self.zone)
            for at_us in (bucket.start_us, bucket.end_us)
        )
        return Interval(start_us, max(end_us, start_us + 1))

    def history(self, bucket: Interval, count: int) -> Iterator[Interval]:
        """So many earlier intervals of its kind, the newest one first: at the same time of the week, or, of
        weeks and months, those before."""
        if INTERVALS[self.interval][0] in (Unit.WEEK, Unit.MONTH):
            for _ in range(count):
                bucket = self.before(bucket)
                yield bucket
        else:
            for weeks in range(1, count + 1):
                yield self.same_weekday(bucket, weeks)

    def timeframe(self, bucket: Interval) -> dict[str, Any]:
        """The bucket as an absolute timeframe, in local time: so its interval aligns with the zone's."""
        return {"start": self._written(bucket.start_us), "end": self._written(bucket.end_us)}

    def _written(self, at_us: int) -> str:
        local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(self.zone)
        return local.isoformat(timespec="milliseconds")

    def _start(self, at_us: int) -> int:
        """When the interval begins that holds this instant."""
        unit, count = INTERVALS[self.interval]
        if unit is Unit.MINUTE:
            hour = fixed_start(at_us, Unit.HOUR, self.zone)
            size = count * _MINUTE_US
            return hour + (at_us - hour) // size * size
        if unit is Unit.HOUR:
            return fixed_start(at_us, unit, self.zone)
        return first_reach(unit_start(at_us, unit, self.zone, self.week_start), self.zone)
