"""Conversion of instants between ISO 8601 text and µs since 1970 UTC.

One grammar serves events, timeframes and filters, so that a text means the same instant everywhere:

    YYYY-MM-DD [ (T | t | space) HH:MM [ :SS [ (. | ,) digits ] ] [ Z | z | ±HH:MM | ±HHMM | ±HH ] ]

Text without a zone is UTC, a date alone means its midnight, digits beyond µs are cut off. Compact dates
("20240101"), week dates, hour 24 and leap seconds are not accepted: all-digit text is far more often a
number than a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

LENGTH_MAX = 64
"""Longer text is not an instant: this bounds the digits of a fraction."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_read = datetime.fromisoformat

MIN_INSTANT_US = (datetime(1, 1, 1) - _NAIVE_EPOCH) // _MICROSECOND
MAX_INSTANT_US = (datetime.max - _NAIVE_EPOCH) // _MICROSECOND
"""First and last µs of the years 1 to 9999 UTC: the range of ``parse_instant``."""

_GRAMMAR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"([Zz]|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)


def parse_instant(text: str) -> int | None:
    """µs since 1970 UTC, or None where ``text`` is not an instant in the years 1 to 9999 UTC."""
    # The library reads the common forms several times faster than the grammar, but also accepts forms
    # outside it. Only texts of the common shape take the fast path; all others are parsed by the grammar.
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
    """Parse each text as ``parse_instant`` does; None if any of them is not an instant."""
    times = []
    for text in texts:
        # The form that nearly all clients send, recognised by its shape as above. It is parsed without its
        # "Z", since the library accepts invalid times before one.
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
    """The UTC offset of an instant's text in seconds, positive to the east; 0 where it has no offset."""
    match = _GRAMMAR.fullmatch(text)
    if match is None or match[9] is None:
        return 0
    seconds = int(match[10]) * 3_600 + int(match[11] or 0) * 60
    return -seconds if match[9] == "-" else seconds


def format_instant(instant_us: int) -> str:
    """Format as ``2026-01-01T00:00:00.000Z``, with six digits of fraction where three would lose precision.

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
    """The zone of an offset. Raises ValueError for an offset of a day or more, or of minutes above 59."""
    if hour is None:
        return UTC
    if minute is not None and int(minute) > 59:
        raise ValueError(minute)
    offset = timedelta(hours=int(hour), minutes=int(minute or 0))
    return timezone(-offset if sign == "-" else offset)
