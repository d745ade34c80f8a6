"""Which interval an alert is asked about, and with which earlier ones it is compared."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from query.language.calendar import WeekStart
from service.alerts.buckets import INTERVALS, Interval, Intervals

BERLIN = ZoneInfo("Europe/Berlin")


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def bucket(start: str, end: str) -> Interval:
    return Interval(us(start), us(end))


@pytest.mark.parametrize(
    ("interval", "now", "start", "end"),
    [
        ("every_5_minutes", "2026-03-10T12:34:56Z", "2026-03-10T12:25Z", "2026-03-10T12:30Z"),
        ("every_15_minutes", "2026-03-10T12:00:00Z", "2026-03-10T11:45Z", "2026-03-10T12:00Z"),
        ("hourly", "2026-03-10T12:34:56Z", "2026-03-10T11:00Z", "2026-03-10T12:00Z"),
        ("hourly", "2026-03-10T12:00:00Z", "2026-03-10T11:00Z", "2026-03-10T12:00Z"),
        ("daily", "2026-03-10T12:00:00Z", "2026-03-09T00:00+01:00", "2026-03-10T00:00+01:00"),
        ("daily", "2026-03-30T12:00:00Z", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("weekly", "2026-03-10T12:00:00Z", "2026-03-01T00:00+01:00", "2026-03-08T00:00+01:00"),
        ("monthly", "2026-03-10T12:00:00Z", "2026-02-01T00:00+01:00", "2026-03-01T00:00+01:00"),
    ],
)
def test_the_last_interval_has_ended(interval: str, now: str, start: str, end: str) -> None:
    clock = Intervals(interval, BERLIN)
    assert clock.last(us(now)) == bucket(start, end)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("zone", [UTC, BERLIN, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")])
def test_intervals_follow_one_another(interval: str, zone: ZoneInfo) -> None:
    clock = Intervals(interval, zone, WeekStart.MONDAY)
    for now in (
        "2026-03-29T01:30:00Z",
        "2026-10-25T00:30:00Z",
        "2026-04-04T15:10:00Z",
        "2026-12-31T23:59:59Z",
    ):
        last = clock.last(us(now))
        assert last.start_us < last.end_us <= us(now) < clock.following_end(last)
        before = clock.before(last)
        assert (before.end_us, clock.following_end(before)) == (last.start_us, last.end_us)
        assert clock.last(clock.following_end(last)).start_us == last.end_us


def test_a_week_earlier_is_at_the_same_local_time() -> None:
    clock = Intervals("hourly", BERLIN)
    after = bucket("2026-03-30T09:00+02:00", "2026-03-30T10:00+02:00")
    assert clock.same_weekday(after, 1) == bucket("2026-03-23T09:00+01:00", "2026-03-23T10:00+01:00")
    assert list(clock.history(after, 2))[1] == bucket("2026-03-16T09:00+01:00", "2026-03-16T10:00+01:00")


def test_the_history_of_months_is_the_months_before() -> None:
    clock = Intervals("monthly", UTC)
    march = bucket("2026-03-01T00:00Z", "2026-04-01T00:00Z")
    assert list(clock.history(march, 2)) == [
        bucket("2026-02-01T00:00Z", "2026-03-01T00:00Z"),
        bucket("2026-01-01T00:00Z", "2026-02-01T00:00Z"),
    ]
