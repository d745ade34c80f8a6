"""``keen:date_time_parser``: the parts of a time, as its own zone's clock shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from storage.instants import offset_of, parse_instant

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> dict[str, Any] | None:
    """A text that ``parse_instant`` reads; None for another, and outside the years 1 to 9999 of its zone.

    ``week`` is that of ISO 8601, ``day_of_week`` 0 for Monday, ``timezone_offset`` seconds east.
    """
    instant_us = parse_instant(text)
    if instant_us is None:
        return None
    offset = offset_of(text)
    try:
        local = _EPOCH + timedelta(microseconds=instant_us) + timedelta(seconds=offset)
    except OverflowError:
        return None
    return {
        "year": local.year,
        "month": local.month,
        "day_of_month": local.day,
        "hour": local.hour,
        "minute": local.minute,
        "second": local.second,
        "millisecond": local.microsecond // 1000,
        "week": local.isocalendar().week,
        "day_of_week": local.weekday(),
        "day_of_week_string": DAYS[local.weekday()],
        "timezone_offset": offset,
    }
