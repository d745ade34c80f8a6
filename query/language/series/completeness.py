"""Parses which of the newest intervals are asked about, and by which earlier ones they are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language import timeframe
from query.language.fields import missing, structured, whole, wrong
from query.language.nodes import Buckets, Span
from query.language.series.nodes import OpenInterval, Period
from query.language.series.periods import CODE, TimeParameters, whole_starts
from storage.instants import MIN_INSTANT_US

INTERVALS = 28
"""Earlier intervals by which one is judged, if the question does not say."""
NEWEST = 3
"""Intervals that are judged: the newest one that has begun, and those before it."""


def parse_completeness(value: Any, frame: TimeParameters, period: Period) -> tuple[OpenInterval, ...] | None:
    """The newest intervals of the period, the newest one first; None where nothing is asked.

    Raises InvalidQuery, QueryLimitExceeded.
    """
    count = _count(value, frame)
    if count is None:
        return None
    if not frame.divided:
        raise missing("interval", because="completeness")
    found = []
    for bucket in reversed(period.buckets):
        if bucket is None or bucket.start_us is None or bucket.end_us is None:
            continue
        if bucket.start_us >= frame.now_us:
            continue
        made = _open(bucket.start_us, bucket.end_us, count, frame)
        if made is not None:
            found.append(made)
        if len(found) == NEWEST:
            break
    return tuple(found)


def _count(value: Any, frame: TimeParameters) -> int | None:
    """How many earlier intervals are looked at."""
    given = structured("completeness", value)
    if given is None or given == "" or given is False or given == "false":
        return None
    if given is True or given == "true":
        given = {}
    if not isinstance(given, Mapping):
        raise wrong("completeness", 'true, or an object such as {"intervals": 28}', value)
    count = given.get("intervals")
    count = INTERVALS if count is None or count == "" else whole("completeness.intervals", count, 1)
    if count > frame.limits.rolling_max:
        raise QueryLimitExceeded(f"'completeness.intervals' may be at most {frame.limits.rolling_max:,}.")
    return count


def _open(start: int, end: int, count: int, frame: TimeParameters) -> OpenInterval | None:
    """The interval from ``start`` to ``end``; None where the timeframe's start cuts it."""
    zone = frame.zone
    try:
        edges = whole_starts(start, replace(frame, lead=count), zone)
    except OverflowError:
        raise InvalidQuery("'completeness' reaches beyond the years 1 to 9999.", CODE) from None
    if edges[0] < MIN_INSTANT_US:
        raise InvalidQuery("'completeness' reaches beyond the years 1 to 9999.", CODE)
    if edges[-1] != start:
        return None
    whole_end = timeframe.whole_end(Buckets((start, end)), frame.interval, zone, frame.week_start)
    cut = None if end >= whole_end else end - start
    return OpenInterval(Span(start, end), tuple(edges), cut, frame.now_us - start)
