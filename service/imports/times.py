"""Times of imported events: converts the value of a column or property to a ``keen.timestamp``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from storage.instants import format_instant, parse_instant

EPOCHS = {"epoch": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000, "epoch_ns": 1_000_000_000}
"""Formats that count from 1970 → units per second."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS_BY_DIGITS = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}

_OFFSET = re.compile(r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)$")

NAMES = frozenset(
    {"timestamp", "time", "ts", "date", "datetime", "time_stamp", "created_at", "createdat", "created"}
    | {"event_time", "eventtime", "occurred_at", "occurredat", "received_at", "@timestamp"}
)
"""Common names, in lower case, of the property that holds an event's time."""

PATTERNS = (
    *(
        f"{date}{time}"
        for date in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d")
        for time in ("", " %H:%M", " %H:%M:%S")
    ),
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%d %b %Y",
    "%d %b %Y %H:%M",
    "%d %b %Y %H:%M:%S",
    "%b %d, %Y",
    "%a, %d %b %Y %H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S %z",
)
"""Formats of times that are often seen, beside ``auto``."""

ReadTime = Callable[[Any], str]
"""Converts a value to ISO 8601 in UTC. Raises ValueError, whose text says what is wrong."""


def reader(pattern: str, zone: tzinfo) -> ReadTime:
    """Create a reader of times in the given format: ``auto``, one of EPOCHS, or a pattern of ``strptime``.

    Times without an offset are in ``zone``. A local time that occurs twice means its first occurrence.
    """
    if pattern == "auto":
        return lambda value: _iso(_any_time(value, zone))
    if pattern in EPOCHS:
        units = EPOCHS[pattern]
        return lambda value: _iso(_since_epoch(value, units))
    return lambda value: _iso(_zoned(_parsed(value, pattern), zone))


def is_pattern(text: str) -> bool:
    """Whether ``strptime`` takes a text as a pattern, which shows in reading a time that it wrote itself."""
    try:
        datetime.strptime(_EPOCH.strftime(text), text)
    except (ValueError, re.error):
        return False
    return True


def _parsed(value: Any, pattern: str) -> datetime:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text, which the format '{pattern}' needs")
    try:
        return datetime.strptime(value.strip(), pattern)
    except ValueError:
        raise ValueError(f"'{value[:60]}' does not fit the format '{pattern}'") from None


def _any_time(value: Any, zone: tzinfo) -> datetime:
    if isinstance(value, datetime):
        return _zoned(value, zone)
    if isinstance(value, date):
        return _zoned(datetime(value.year, value.month, value.day), zone)
    text = value.strip() if isinstance(value, str) else str(value)
    whole = text.partition(".")[0]
    if whole.isascii() and whole.isdigit():
        units = _UNITS_BY_DIGITS.get(len(whole))
        if units is None:
            raise ValueError(f"'{text[:60]}' could be a date or a count: give --timestamp-format")
        return _since_epoch(text, units)
    instant_us = parse_instant(text)
    if instant_us is None:
        raise ValueError(
            f"'{text[:60]}' is not an ISO 8601 time: give --timestamp-format, such as '%d/%m/%Y %H:%M' or "
            "epoch"
        )
    time = _EPOCH + instant_us * _MICROSECOND
    return time if _OFFSET.search(text, 10) else time.replace(tzinfo=zone)


def _since_epoch(value: Any, units: int) -> datetime:
    """Compute the time with integers, since a float is not precise enough for today's microseconds."""
    text = value.strip() if isinstance(value, str) else str(value)
    whole, _, fraction = text.partition(".")
    try:
        digits = (fraction + "0" * 9)[:9]
        microseconds = int(whole) * 1_000_000 // units
        microseconds += int(digits) * 1_000_000 // (units * 10**9) * (-1 if whole.startswith("-") else 1)
        return _EPOCH + microseconds * _MICROSECOND
    except (ValueError, OverflowError):
        raise ValueError(f"'{text[:60]}' is not a number of seconds since 1970") from None


def _zoned(time: datetime, zone: tzinfo) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=zone)


def _iso(time: datetime) -> str:
    try:
        return format_instant((time - _EPOCH) // _MICROSECOND)
    except OverflowError:
        raise ValueError(f"{time} is out of range") from None
