"""Instants as text: ISO 8601 in, µs since 1970 UTC out, and back.

One grammar serves events, timeframes and filters, so that a text means the same instant everywhere:

    YYYY-MM-DD [ (T | t | space) HH:MM [ :SS [ (. | ,) digits ] ] [ Z | z | ±HH:MM | ±HHMM | ±HH ] ]

Text without a zone is UTC, a date alone is its midnight, digits beyond µs are cut off. Compact dates
("20240101"), week dates, hour 24 and leap seconds are not instants: all-digit text is far more often a
number than a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

US_PER_SECOND = 1_000_000
LENGTH_MAX = 64
"""Longer text is not read: fractions may be long, but not without end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_read = datetime.fromisoformat

MIN_INSTANT_US = (datetime(1, 1, 1) - _NAIVE_EPOCH) // _MICROSECOND
MAX_INSTANT_US = (datetime.max - _NAIVE_EPOCH) // _MICROSECOND
"""First and last µs of the years 1 to 9999 UTC: what ``parse_instant`` can return."""

_GRAMMAR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"([Zz]|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)


def parse_instant(text: str) -> int | None:
    """µs since 1970 UTC, or None where ``text`` is not an instant in the years 1 to 9999 UTC."""
    # The library reads the common forms several times faster than the grammar does, but also takes forms
    # that are not ours; those are told by their shape, and whatever is unusual goes the slow way.
    if 19 <= len(text) <= LENGTH_MAX and text[10] == "T" and text[4] == text[7] == "-":
        plain = text[:-1] if text[-1] == "Z" else text
        if plain[13:17:3] == "::" and plain[19:20] in ("", ".", ",") and plain[11:13] != "24":
            try:
                value = datetime.fromisoformat(plain)
            except ValueError:
                return _parse_by_grammar(text)
            if value.tzinfo is None:
                return (value - _NAIVE_EPOCH) // _MICROSECOND
    return _parse_by_grammar(text)


def parse_instants(texts: Sequence[str]) -> list[int] | None:
    """Each as ``parse_instant`` reads it; None where one of them is no instant."""
    times = []
    for text in texts:
        # The form that nearly all clients send, told by its shape as above, and read without its "Z": before
        # one the library lets much pass that is no time.
        if (
            text[-1:] == "Z"
            and text[4:11:3] == "--T"
            and text[13:17:3] == "::"
            and text[11:13] != "24"
            and (len(text) == 20 or (20 < len(text) <= LENGTH_MAX and text[19] in ".,"))
        ):
            try:
                value = _read(text[:-1])
                if value.tzinfo is None:
                    times.append((value - _NAIVE_EPOCH) // _MICROSECOND)
                    continue
            except ValueError:
                pass
        time = parse_instant(text)
        if time is None:
            return None
        times.append(time)
    return times


def offset_of(text: str) -> int:
    """Seconds east of UTC that a text which is an instant names; 0 where it names no zone."""
    match = _GRAMMAR.fullmatch(text)
    if match is None or match[9] is None:
        return 0
    seconds = int(match[10]) * 3_600 + int(match[11] or 0) * 60
    return -seconds if match[9] == "-" else seconds


def format_instant(instant_us: int) -> str:
    """``2026-01-01T00:00:00.000Z``, with six digits of fraction where three would lose some.

    Raises OverflowError outside the years 1 to 9999.
    """
    value = _NAIVE_EPOCH + timedelta(microseconds=instant_us)
    return value.isoformat(timespec="microseconds" if instant_us % 1000 else "milliseconds") + "Z"


def _parse_by_grammar(text: str) -> int | None:
    if not 10 <= len(text) <= LENGTH_MAX:
        return None
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone, sign, zone_hour, zone_minute = match.groups()
    try:
        value = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "")[:6].ljust(6, "0")),
            _zone(sign, zone_hour, zone_minute) if zone else UTC,
        )
    except ValueError:
        return None
    instant_us = (value - _EPOCH) // _MICROSECOND
    return instant_us if MIN_INSTANT_US <= instant_us <= MAX_INSTANT_US else None


def _zone(sign: str | None, hour: str | None, minute: str | None) -> timezone:
    """Raises ValueError for an offset of a day or more, or of 60 minutes and over past the hour."""
    if hour is None:
        return UTC
    if minute is not None and int(minute) > 59:
        raise ValueError(minute)
    offset = timedelta(hours=int(hour), minutes=int(minute or 0))
    return timezone(-offset if sign == "-" else offset)
