"""Calendar arithmetic in a time zone: where minutes, hours, days, weeks, months and years begin.

An instant is int64 µs since 1970 UTC; a *wall* time is a naive datetime, the local time in the zone. Clocks
jump, so two rules make every edge well defined:

- a day, week, month or year begins at the first instant at which the clock reaches its midnight: the
  earlier of two midnights, and the end of the gap where midnight was skipped;
- minutes and hours are steps of absolute time, aligned to the clock; where a jump is not a whole unit (half
  an hour on Lord Howe), the jump is an edge too and the steps are realigned after it.

Nothing here reads the current time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Unit(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class WeekStart(StrEnum):
    """The day on which weeks begin."""

    SUNDAY = "sunday"
    MONDAY = "monday"


FIXED_US = {Unit.MINUTE: 60_000_000, Unit.HOUR: 3_600_000_000}
"""Length in µs of the units that are steps of absolute time."""


def wall_at(instant_us: int, zone: tzinfo) -> datetime:
    """The local time at the instant. Raises OverflowError outside the years 1 to 9999."""
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone).replace(tzinfo=None)


def offset_at(instant_us: int, zone: tzinfo) -> int:
    """The offset from UTC at the instant, in µs. Raises OverflowError outside the years 1 to 9999."""
    return _offset((_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone))


def first_reach(wall: datetime, zone: tzinfo) -> int:
    """The first instant at which the clock shows ``wall`` or later, as µs."""
    wall_us = (wall - _NAIVE_EPOCH) // _MICROSECOND
    earlier = wall_us - _offset(wall.replace(tzinfo=zone, fold=0))
    later = wall_us - _offset(wall.replace(tzinfo=zone, fold=1))
    if earlier <= later:
        return earlier
    # Inside a gap the two interpretations are swapped, and the jump lies between them.
    low, high = later, earlier
    while low < high:
        middle = (low + high) // 2
        if middle + offset_at(middle, zone) >= wall_us:
            high = middle
        else:
            low = middle + 1
    return low


def unit_start(
    instant_us: int, unit: Unit, zone: tzinfo, week_start: WeekStart = WeekStart.SUNDAY
) -> datetime:
    """The wall midnight at which the day, week, month or year that holds the instant begins."""
    wall = _floor(wall_at(instant_us, zone), unit, week_start)
    # A clock set back across midnight shows the previous date again, though the new day has already begun.
    while first_reach(following := plus(wall, unit, 1), zone) <= instant_us:
        wall = following
    return wall


def fixed_start(instant_us: int, unit: Unit, zone: tzinfo) -> int:
    """The instant at which the minute or hour that holds ``instant_us`` begins."""
    size = FIXED_US[unit]
    offset = offset_at(instant_us, zone)
    start = instant_us - (instant_us + offset) % size
    earlier_offset = offset_at(start, zone)
    if (earlier_offset - offset) % size:
        return _first_change(start, instant_us, earlier_offset, zone)
    return start


def plus(wall: datetime, unit: Unit, count: int) -> datetime:
    """``count`` units later on the calendar; a day that the month lacks becomes its last day.

    Raises OverflowError outside the years 1 to 9999.
    """
    if unit is Unit.WEEK:
        return wall + timedelta(days=7 * count)
    if unit is Unit.DAY:
        return wall + timedelta(days=count)
    months = wall.year * 12 + wall.month - 1 + count * (12 if unit is Unit.YEAR else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError(f"year {year}")
    return wall.replace(year=year, month=month + 1, day=min(wall.day, _days_in(year, month)))


def aligned_edges(
    start_us: int, unit: Unit, zone: tzinfo, week_start: WeekStart = WeekStart.SUNDAY
) -> Iterator[int]:
    """The instants after ``start_us`` at which a unit begins, strictly increasing, up to the year 9999."""
    if unit in FIXED_US:
        yield from _aligned_fixed(start_us, FIXED_US[unit], zone)
        return
    yield from _calendar_edges(start_us, unit_start(start_us, unit, zone, week_start), unit, 1, zone)


def stepped_edges(start_us: int, unit: Unit, count: int, zone: tzinfo) -> Iterator[int]:
    """The instants ``count``, ``2·count``, ... units after ``start_us``, strictly increasing."""
    if unit in FIXED_US:
        step = FIXED_US[unit] * count
        edge = start_us
        while True:
            edge += step
            yield edge
    yield from _calendar_edges(start_us, wall_at(start_us, zone), unit, count, zone)


def _calendar_edges(start_us: int, wall: datetime, unit: Unit, count: int, zone: tzinfo) -> Iterator[int]:
    last = start_us
    steps = 0
    while True:
        # Always counted from the first wall time: 31 January, 28 February, 31 March.
        steps += count
        try:
            following = plus(wall, unit, steps)
        except OverflowError:
            return
        edge = first_reach(following, zone)
        if edge > last:
            yield edge
            last = edge


def _aligned_fixed(start_us: int, size: int, zone: tzinfo) -> Iterator[int]:
    edge = start_us
    offset = offset_at(edge, zone)
    while True:
        following = edge - (edge + offset) % size + size
        next_offset = offset_at(following, zone)
        if (next_offset - offset) % size:
            following = _first_change(edge, following, offset, zone)
            next_offset = offset_at(following, zone)
        edge, offset = following, next_offset
        yield edge


def _first_change(low: int, high: int, offset: int, zone: tzinfo) -> int:
    """The first instant in ``(low, high]`` at which the offset is no longer ``offset``."""
    while low + 1 < high:
        middle = (low + high) // 2
        if offset_at(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high


def _floor(wall: datetime, unit: Unit, week_start: WeekStart) -> datetime:
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit is Unit.WEEK:
        days = midnight.weekday() if week_start is WeekStart.MONDAY else midnight.isoweekday() % 7
        return midnight - timedelta(days=days)
    if unit is Unit.MONTH:
        return midnight.replace(day=1)
    if unit is Unit.YEAR:
        return midnight.replace(month=1, day=1)
    return midnight


def _days_in(year: int, month_index: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month_index == 1 and leap else _MONTH_DAYS[month_index]


def _offset(value: datetime) -> int:
    offset = value.utcoffset()
    return 0 if offset is None else offset // _MICROSECOND
