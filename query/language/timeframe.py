"""Resolves timeframes, time zones and intervals to instants.

Absolute timeframes are ``{"start": ISO, "end": ISO}``; the end is excluded, and either may be missing.
Relative ones name calendar units in the time zone: ``this_7_days`` ends with the current day,
``previous_7_days`` before it. Pure: the current time is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta, timezone, tzinfo
from itertools import islice
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language import calendar, zones
from query.language.calendar import FIXED_US, Unit, WeekStart
from query.language.fields import shown, structured
from query.language.nodes import Buckets, Span
from query.language.suggestions import NAME_LENGTH_MAX, did_you_mean, nearest
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US, parse_instant

_UNITS = "minute|hour|day|week|month|year"
_RELATIVE = re.compile(rf"(this|previous|last)_(?:(\d{{1,9}})_({_UNITS})s?|({_UNITS}))", re.ASCII)
_ALIASES = {"today": "this_day", "yesterday": "previous_day"}
_EVERY = re.compile(rf"every_(\d{{1,9}})_({_UNITS})s?", re.ASCII)
_ALIGNED = {
    "minutely": Unit.MINUTE,
    "hourly": Unit.HOUR,
    "daily": Unit.DAY,
    "weekly": Unit.WEEK,
    "monthly": Unit.MONTH,
    "yearly": Unit.YEAR,
}
_OTHER_WORDS = re.compile(
    r"(?:(?P<which>this|current|last|past|previous|prior)[\s_-]*)?(?P<count>\d{1,9})?[\s_-]*(?P<unit>[a-z]+)",
    re.ASCII,
)
_UNIT_WORDS = {
    "m": "minute",
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "d": "day",
    "w": "week",
    "wk": "week",
    "mo": "month",
    "mon": "month",
    "y": "year",
    "yr": "year",
}
_FORMS = (
    "Use 'this_7_days', 'previous_2_weeks', 'today' or "
    '{"start": "2024-01-31T00:00:00Z", "end": "2024-02-01T00:00:00Z"}.'
)
_INTERVALS_MEANT = {
    "minute": "minutely",
    "hour": "hourly",
    "day": "daily",
    "week": "weekly",
    "month": "monthly",
    "year": "yearly",
}
_TWICE_UTC = re.compile(r"([Zz])[+-]00:?00$")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?$", re.ASCII)
_DATE_CHARACTERS = 10
_SECONDS = re.compile(r"[+-]?(0|[1-9]\d{0,5})", re.ASCII)
_DAY_SECONDS = 86_400
LENGTHS_US = {**FIXED_US, Unit.DAY: _DAY_SECONDS * 1_000_000, Unit.WEEK: 7 * _DAY_SECONDS * 1_000_000}
"""Lengths in µs of units by the clock, whatever clocks change."""
_QUARTER_SECONDS = 900
"""Digits that are not a multiple of this are not seconds: ``-0530`` means hours and minutes."""


def parse_timezone(value: Any) -> tzinfo:
    """The zone of an IANA name, or of seconds east of UTC as a number or digits; None and "" are UTC.

    Raises InvalidQuery, code InvalidTimezoneError.
    """
    if value is None or value == "":
        return UTC
    sent = value
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if isinstance(value, str) and _SECONDS.fullmatch(value) and int(value) % _QUARTER_SECONDS == 0:
        value = int(value)
    if isinstance(value, str):
        zone = zones.zone(value)
        if zone is not None:
            return zone
    elif _is_offset(value):
        return timezone(timedelta(seconds=int(value)))
    raise InvalidQuery(
        "'timezone' must be an IANA name such as Europe/Berlin, or seconds east of UTC such as 7200. "
        f"You specified: {shown(sent)}.{did_you_mean(value, zones.names())}",
        "InvalidTimezoneError",
    )


def _is_offset(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < _DAY_SECONDS


def resolve(timeframe: Any, timezone: Any, now_us: int, week_start: WeekStart = WeekStart.SUNDAY) -> Span:
    """The span of a timeframe, with ``now_us`` as the current time; no timeframe is all time.

    Raises InvalidQuery, code TimeframeDefinitionError, or InvalidTimezoneError for the zone.
    """
    zone = parse_timezone(timezone)
    if timeframe is None:
        return Span()
    definition = _decoded(timeframe)
    if isinstance(definition, Mapping):
        return _absolute(definition)
    if isinstance(definition, str):
        match = _RELATIVE.fullmatch(_ALIASES.get(definition, definition))
        if match is not None:
            return _relative(definition, match, zone, now_us, week_start)
    raise _not_understood(timeframe)


def bucket_zone(timeframe: Any, timezone: Any) -> tzinfo:
    """The zone in which an interval's buckets align.

    For a relative timeframe that is ``timezone``. For an absolute one it is the offset of its start, or UTC
    where the start has none. If ``timezone`` has that same offset at the start, it is used instead, since it
    also gives the dates on which clocks change.
    """
    zone = parse_timezone(timezone)
    definition = _decoded(timeframe)
    if not isinstance(definition, Mapping):
        return zone
    start = definition.get("start")
    start_us = _instant(start) if isinstance(start, str) else None
    if start_us is None or not isinstance(start, str):
        return zone
    offset = _written_offset(start)
    try:
        agrees = calendar.offset_at(start_us, zone) == offset // timedelta(microseconds=1)
    except OverflowError:
        agrees = False
    return zone if agrees else _fixed(offset)


def unused_zone(timeframe: Any, timezone: Any, *, divided: bool) -> str | None:
    """Why a time zone, given by its name, does not shift an absolute timeframe, and what would; None where
    there is nothing to say. ``divided``: whether the answer has days or other parts of the timeframe."""
    zone = zones.zone(timezone) if isinstance(timezone, str) else None
    definition = _decoded(timeframe)
    if zone is None or not isinstance(definition, Mapping):
        return None
    for name in ("start", "end"):
        written = definition.get(name)
        us = _instant(written) if isinstance(written, str) else None
        if us is None or not isinstance(written, str):
            continue
        bare = _OFFSET.search(written.strip(), _DATE_CHARACTERS) is None and written.strip()[-1] not in "zZ"
        instead = _meant_in(us, zone, is_wall=bare)
        if instead is None or _written_offset(instead) == _written_offset(written):
            continue
        begins = "has no offset, so it is of UTC"
        if not bare:
            if name == "end" or not divided:
                continue
            begins = "has an offset of its own, by which days and other parts begin"
        return f"'{name}' of the timeframe {begins}: '{written}'. For {timezone} send '{instead}'."
    return None


def _meant_in(us: int, zone: tzinfo, *, is_wall: bool) -> str | None:
    """An instant as clocks of the zone show it, or with ``is_wall`` when they show what those of UTC do then;
    None beyond the years 1 to 9999."""
    try:
        wall = calendar.wall_at(us, UTC if is_wall else zone)
        offset = zone.utcoffset(wall) if is_wall else timedelta(microseconds=calendar.offset_at(us, zone))
        return wall.replace(tzinfo=_fixed(offset or timedelta(0))).isoformat()
    except (OverflowError, ValueError):
        return None


def relative_units(timeframe: Any) -> tuple[Unit, int] | None:
    """The unit and the number of units of a valid relative timeframe; None for an absolute one."""
    definition = _decoded(timeframe)
    match = _RELATIVE.fullmatch(_ALIASES.get(definition, definition)) if isinstance(definition, str) else None
    return None if match is None else (Unit(match[3] or match[4]), int(match[2] or 1))


def buckets(
    span: Span, interval: Any, timezone: Any, limit: int, week_start: WeekStart = WeekStart.SUNDAY
) -> Buckets:
    """The interval's buckets over a closed span, clipped at both ends; no bucket for an empty span.

    ``timezone`` is a tzinfo or any value that ``parse_timezone`` accepts. Raises InvalidQuery with code
    InvalidIntervalError or TimeframeDefinitionError, QueryLimitExceeded for more than ``limit`` buckets.
    """
    zone = timezone if isinstance(timezone, tzinfo) else parse_timezone(timezone)
    unit, count = parse_interval(interval)
    start, end = span.start_us, span.end_us
    if start is None or end is None:
        raise InvalidQuery(
            "'interval' needs a timeframe with both a start and an end.", "TimeframeDefinitionError"
        )
    if start >= end:
        return Buckets((start,))
    if count is None:
        following = calendar.aligned_edges(start, unit, zone, week_start)
    else:
        following = calendar.stepped_edges(start, unit, count, zone)
    try:
        return Buckets(_edges(start, end, following, limit))
    except OverflowError:
        raise InvalidQuery(
            "'interval' reaches beyond the years 1 to 9999 in this timezone.",
            "TimeframeDefinitionError",
        ) from None


def whole_end(divided: Buckets, interval: Any, zone: tzinfo, week_start: WeekStart = WeekStart.SUNDAY) -> int:
    """Where the last bucket of an interval would end if the timeframe did not cut it."""
    unit, count = parse_interval(interval)
    edges = divided.edges
    if count is None:
        following = calendar.aligned_edges(edges[-2], unit, zone, week_start)
    else:
        following = islice(calendar.stepped_edges(edges[0], unit, count, zone), len(edges) - 2, None)
    try:
        return next(following, edges[-1])
    except OverflowError:
        return edges[-1]


def period_before(
    start_us: int, interval: Any, zone: tzinfo, week_start: WeekStart = WeekStart.SUNDAY
) -> int:
    """The instant one interval earlier on the calendar. Raises InvalidQuery before the year 1."""
    unit, count = parse_interval(interval)
    try:
        if unit in FIXED_US:
            earlier = start_us - (count or 1) * FIXED_US[unit]
        else:
            wall = calendar.unit_start(start_us, unit, zone, week_start)
            if count is not None or calendar.first_reach(wall, zone) != start_us:
                wall = calendar.wall_at(start_us, zone)
            earlier = calendar.first_reach(calendar.plus(wall, unit, -(count or 1)), zone)
    except OverflowError:
        earlier = MIN_INSTANT_US - 1
    if earlier < MIN_INSTANT_US:
        raise InvalidQuery(
            "'timeframe' begins so early that the years 1 to 9999 have no period before it.",
            "TimeframeDefinitionError",
        )
    return earlier


def interval_length(interval: Any) -> int | None:
    """The length in µs of an interval of minutes, hours, days of 24 hours or weeks; None for longer units."""
    unit, count = parse_interval(interval)
    length = LENGTHS_US.get(unit)
    return None if length is None else length * (count or 1)


def _edges(start: int, end: int, following: Iterator[int], limit: int) -> tuple[int, ...]:
    edges = [start]
    for edge in following:
        if edge >= end:
            break
        edges.append(edge)
        if len(edges) > limit:
            raise QueryLimitExceeded(
                f"The interval divides the timeframe into more than {limit} parts. "
                "Use a longer interval or a shorter timeframe."
            )
    edges.append(end)
    return tuple(edges)


def parse_interval(interval: Any) -> tuple[Unit, int | None]:
    """The unit, and the count of ``every_n_units``; the count is None for the aligned names."""
    name = structured("interval", interval)
    if isinstance(name, str):
        if name in _ALIGNED:
            return _ALIGNED[name], None
        match = _EVERY.fullmatch(name)
        if match is not None and int(match[1]) > 0:
            return Unit(match[2]), int(match[1])
    raise InvalidQuery(
        "'interval' must be minutely, hourly, daily, weekly, monthly, yearly or every_n_units, such as "
        f"every_2_hours. You specified: {shown(interval)}.{_interval_meant(interval)}",
        "InvalidIntervalError",
    )


def _interval_meant(interval: Any) -> str:
    match = _OTHER_WORDS.fullmatch(interval.strip().lower()) if isinstance(interval, str) else None
    unit = None if match is None else _unit_meant(match["unit"])
    if match is None or unit is None:
        return did_you_mean(interval, _ALIGNED)
    count = int(match["count"] or 1)
    return f" Did you mean '{_INTERVALS_MEANT[unit] if count == 1 else f'every_{count}_{unit}s'}'?"


def _absolute(definition: Mapping[str, Any]) -> Span:
    ends: list[int | None] = []
    for name in ("start", "end"):
        value = definition.get(name)
        instant_us = _instant(value) if isinstance(value, str) else None
        if value is not None and instant_us is None:
            raise _invalid(definition, f"'{name}' must be an ISO 8601 time such as 2024-01-31T12:00:00Z.")
        ends.append(instant_us)
    start, end = ends
    if start is None and end is None:
        raise _invalid(definition, "It needs a 'start', an 'end' or both.")
    if start is not None and end is not None and start > end:
        raise _invalid(definition, "The start is after the end.")
    return Span(start, end)


def _relative(text: str, match: re.Match[str], zone: tzinfo, now_us: int, week_start: WeekStart) -> Span:
    unit = Unit(match[3] or match[4])
    count = int(match[2] or 1)
    if count < 1:
        raise _invalid(text, "The number of units must be at least 1.")
    # The current unit is the last one of "this", and the first one after "previous".
    first, last = (1 - count, 1) if match[1] == "this" else (-count, 0)
    try:
        if unit in FIXED_US:
            end = calendar.fixed_start(now_us, unit, zone)
            start = calendar.fixed_start(end + first * FIXED_US[unit], unit, zone)
            end = next(calendar.aligned_edges(end, unit, zone)) if last else end
        else:
            wall = calendar.unit_start(now_us, unit, zone, week_start)
            start = calendar.first_reach(calendar.plus(wall, unit, first), zone)
            end = calendar.first_reach(calendar.plus(wall, unit, last), zone)
    except OverflowError:
        raise _invalid(text, "It reaches beyond the years 1 to 9999.") from None
    if start < MIN_INSTANT_US or end > MAX_INSTANT_US:
        raise _invalid(text, "It reaches beyond the years 1 to 9999.")
    return Span(start, end)


def _decoded(timeframe: Any) -> Any:
    try:
        return structured("timeframe", timeframe)
    except InvalidQuery:
        raise _not_understood(timeframe) from None


def _instant(text: str) -> int | None:
    # Some clients write "2012-08-13T19:00Z+00:00", which is unambiguous.
    return parse_instant(_TWICE_UTC.sub(r"\1", text.strip()))


def _written_offset(start: str) -> timedelta:
    """The UTC offset in a text that is known to be an instant; zero where it is Z or missing."""
    match = _OFFSET.search(start.strip(), _DATE_CHARACTERS)
    if match is None:
        return timedelta(0)
    offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    return -offset if match[1] == "-" else offset


def _fixed(offset: timedelta) -> tzinfo:
    return timezone(offset) if offset else UTC


def _not_understood(timeframe: Any) -> InvalidQuery:
    """An error that lists the valid forms, and the timeframe that was probably meant."""
    meant = _meant(timeframe) if isinstance(timeframe, str) else None
    hint = "" if meant is None else f" Did you mean '{meant}'?"
    return _invalid(timeframe, f"{_FORMS}{hint}")


def _meant(text: str) -> str | None:
    """The relative timeframe that a text such as "7d", "last 7 days" or "this_7_dayz" probably means."""
    match = _OTHER_WORDS.fullmatch(text.strip().lower()) if len(text) <= NAME_LENGTH_MAX else None
    unit = None if match is None else _unit_meant(match["unit"])
    if match is not None and unit is None and match["count"]:
        unit = nearest(match["unit"].rstrip("s"), Unit)
    if match is None or unit is None:
        known = (f"{which}_{one}" for which in ("this", "previous") for one in Unit)
        return nearest(text, [*_ALIASES, *known])
    which = "previous" if match["which"] in ("last", "past", "previous", "prior") else "this"
    count = int(match["count"] or 1)
    return f"{which}_{unit}" if not match["count"] else f"{which}_{count}_{unit}s"


def _unit_meant(word: str) -> str | None:
    if word in _UNIT_WORDS:
        return _UNIT_WORDS[word]
    return next((str(unit) for unit in Unit if word in (unit, f"{unit}s")), None)


def _invalid(timeframe: Any, why: str = "") -> InvalidQuery:
    message = f"You sent in an invalid definition for the timeframe: '{shown(timeframe)}'."
    return InvalidQuery(f"{message} {why}".rstrip(), "TimeframeDefinitionError")
