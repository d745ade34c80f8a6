"""What a question for series compares with what, and which intervals its windows reach."""

from __future__ import annotations

from typing import Any

import pytest

from query.errors import InvalidQuery
from query.language.nodes import Span
from query.language.parse import parse
from query.language.series.nodes import Period, SeriesQuery, Window, WindowKind
from query.limits import Limits
from storage.instants import format_instant, parse_instant

SERIES = {"n": {"event_collection": "c", "analysis_type": "count"}}


def asked(now: str = "2026-03-31T10:00:00Z", **params: Any) -> SeriesQuery:
    now_us = parse_instant(now)
    assert now_us is not None
    query = parse("series", {"series": SERIES, **params}, now_us=now_us, limits=Limits()).query
    assert isinstance(query, SeriesQuery)
    return query


def compared(**params: Any) -> Period:
    period = asked(**params).compared
    assert period is not None
    return period


def told(span: Span | None) -> str | None:
    if span is None:
        return None
    assert span.start_us is not None and span.end_us is not None
    ends = (format_instant(us).removesuffix(":00.000Z") for us in (span.start_us, span.end_us))
    return " ".join(ends)


@pytest.mark.parametrize(
    ("timeframe", "compare", "expected"),
    [
        ("this_14_days", "previous_period", "2026-03-03T23:00 2026-03-17T23:00"),
        ("this_month", "previous_period", "2026-01-31T23:00 2026-02-28T23:00"),
        ("previous_2_months", "previous_period", "2025-10-31T23:00 2025-12-31T23:00"),
        ("this_3_hours", "previous_period", "2026-03-31T05:00 2026-03-31T08:00"),
        ("this_week", "previous_period", "2026-03-21T23:00 2026-03-28T23:00"),
        ("this_month", "previous_year", "2025-02-28T23:00 2025-03-31T22:00"),
        ("this_month", "same_weekdays", "2026-01-24T23:00 2026-02-24T23:00"),
        ("today", "same_weekdays", "2026-03-23T23:00 2026-03-24T23:00"),
        ("today", "previous_month", "2026-01-31T23:00 2026-02-28T23:00"),
        # The night in which clocks are set forward has 23 hours, and so many days are as many days.
        (
            {"start": "2026-03-29T00:00:00+01:00", "end": "2026-03-30T00:00:00+02:00"},
            "previous_period",
            "2026-03-27T23:00 2026-03-28T23:00",
        ),
        # Half a day is so many hours.
        (
            {"start": "2026-03-29T00:00:00+01:00", "end": "2026-03-29T12:00:00+02:00"},
            "previous_period",
            "2026-03-28T12:00 2026-03-28T23:00",
        ),
    ],
)
def test_the_compared_timeframe(timeframe: Any, compare: Any, expected: str) -> None:
    period = compared(timeframe=timeframe, timezone="Europe/Berlin", compare=compare)
    assert told(period.span) == expected
    assert period.buckets == (period.span,)


def test_each_day_is_compared_with_the_same_local_day_whatever_the_clocks_do() -> None:
    period = compared(
        timeframe="this_3_days", timezone="Europe/Berlin", interval="daily", compare="previous_period"
    )
    assert [told(one) for one in period.buckets] == [
        "2026-03-25T23:00 2026-03-26T23:00",
        "2026-03-26T23:00 2026-03-27T23:00",
        "2026-03-27T23:00 2026-03-28T23:00",
    ]
    assert period.rest == ()


def test_an_hour_that_the_clock_skipped_is_no_interval_and_its_counterpart_is_listed() -> None:
    frame = {"start": "2026-03-29T01:00:00+01:00", "end": "2026-03-29T04:00:00+02:00"}
    period = compared(
        timeframe=frame, timezone="Europe/Berlin", interval="hourly",
        compare={"start": "2026-03-28T01:00:00+01:00", "end": "2026-03-28T04:00:00+01:00"},
    )  # fmt: skip
    assert [told(one) for one in period.buckets] == [
        "2026-03-28T00:00 2026-03-28T01:00",
        "2026-03-28T02:00 2026-03-28T03:00",
    ]
    assert [told(one) for one in period.rest] == ["2026-03-28T01:00 2026-03-28T02:00"]


def test_days_of_months_of_different_lengths() -> None:
    period = compared(timeframe="this_month", interval="daily", compare="previous_period")
    assert [told(one) for one in period.buckets[27:]] == [
        "2026-02-28T00:00 2026-03-01T00:00",
        None,
        None,
        None,
    ]
    period = compared(
        now="2026-02-10T00:00:00Z", timeframe="this_month", interval="daily", compare="previous_period"
    )
    assert told(period.buckets[27]) == "2026-01-28T00:00 2026-01-29T00:00"
    assert [told(one) for one in period.rest] == ["2026-01-29T00:00 2026-02-01T00:00"]


def test_months_are_counted() -> None:
    period = compared(timeframe="this_3_months", interval="monthly", compare="previous_period")
    assert [told(one) for one in period.buckets] == [
        "2025-10-01T00:00 2025-11-01T00:00",
        "2025-11-01T00:00 2025-12-01T00:00",
        "2025-12-01T00:00 2026-01-01T00:00",
    ]


def test_the_29_february_has_no_counterpart_either_way() -> None:
    leap = compared(
        now="2024-03-01T00:00:00Z", timeframe="this_3_days", interval="daily", compare="previous_year"
    )
    assert [told(one) for one in leap.buckets] == [
        "2023-02-28T00:00 2023-03-01T00:00",
        None,
        "2023-03-01T00:00 2023-03-02T00:00",
    ]
    after = compared(
        now="2025-03-01T00:00:00Z", timeframe="this_2_days", interval="daily", compare="previous_year"
    )
    assert [told(one) for one in after.buckets] == [
        "2024-02-28T00:00 2024-02-29T00:00",
        "2024-03-01T00:00 2024-03-02T00:00",
    ]
    assert [told(one) for one in after.rest] == ["2024-02-29T00:00 2024-03-01T00:00"]


def test_windows_are_of_whole_intervals_before_one_that_the_timeframe_cuts() -> None:
    frame = {"start": "2026-03-31T10:30:00Z", "end": "2026-03-31T12:15:00Z"}
    period = asked(timeframe=frame, interval="hourly", rolling={"n": 3}).period
    window = Window(WindowKind.ROLLING, 3)
    assert [told(period.window(place, window)) for place in range(3)] == [
        "2026-03-31T08:00 2026-03-31T11:00",
        "2026-03-31T09:00 2026-03-31T12:00",
        "2026-03-31T10:00 2026-03-31T12:15",
    ]
    assert told(period.hull) == "2026-03-31T08:00 2026-03-31T12:15"


def test_windows_of_days_and_of_steps_follow_the_calendar() -> None:
    daily = asked(timeframe="today", timezone="Europe/Berlin", interval="daily", rolling={"n": 4}).period
    assert told(daily.window(0, Window(WindowKind.ROLLING, 4))) == "2026-03-27T23:00 2026-03-31T22:00"
    steps = {"start": "2026-03-31T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
    period = asked(timeframe=steps, interval="every_2_months", rolling={"n": 2}).period
    assert told(period.window(0, Window(WindowKind.ROLLING, 2))) == "2026-01-31T00:00 2026-04-01T00:00"


@pytest.mark.parametrize("compare", ["this_3_dayz", {"start": "2026-01-01"}, 7, "previous_weak"])
def test_what_is_no_comparison(compare: Any) -> None:
    with pytest.raises(InvalidQuery, match="'compare' must be") as caught:
        asked(timeframe="today", compare=compare)
    assert caught.value.code == "TimeframeDefinitionError"
