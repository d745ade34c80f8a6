"""Timeframes and intervals, against a reference that walks through time one minute after the other.

The reference knows only what a clock on the wall shows at each minute. A calendar unit begins at the first
minute at which the clock has reached its date; a minute or an hour begins where the clock is at a full one,
and where the clock jumps by anything but whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.calendar import WeekStart
from query.language.nodes import Span
from query.language.timeframe import bucket_zone, buckets, parse_timezone, resolve
from storage.instants import format_instant, parse_instant
from tests.support.scale import examples

MINUTE = 60_000_000
DAY = 1440 * MINUTE
LIMIT = 9_000

JUMPS = [
    ("America/New_York", "2024-03-10T07:00Z"),  # an hour is skipped
    ("America/New_York", "2024-11-03T06:00Z"),  # an hour is shown twice
    ("Europe/Berlin", "2024-03-31T01:00Z"),
    ("Europe/Berlin", "2024-10-27T01:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30Z"),  # a quarter of an hour, at midnight
    ("America/Sao_Paulo", "2018-11-04T03:00Z"),  # no midnight
    ("America/Sao_Paulo", "2018-02-18T02:00Z"),  # midnight comes an hour late
    ("Africa/Cairo", "2023-04-27T22:00Z"),  # no midnight
    ("Africa/Cairo", "2023-10-26T21:00Z"),
    ("Australia/Lord_Howe", "2024-10-05T15:30Z"),  # half an hour
    ("Australia/Lord_Howe", "2024-04-06T15:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00Z"),  # 30 December does not exist
    ("Pacific/Kiritimati", "1994-12-31T10:00Z"),  # nor New Year's Eve
    ("Asia/Beirut", "2024-03-30T22:00Z"),  # no midnight
    ("Asia/Beirut", "2024-10-26T21:00Z"),
    ("America/Havana", "2024-03-10T05:00Z"),  # no midnight
    ("America/Havana", "2024-11-03T05:00Z"),  # two midnights
    ("America/St_Johns", "2011-03-13T03:31Z"),  # at one minute past midnight
    ("America/St_Johns", "2010-11-07T02:31Z"),  # the date goes back
    ("Africa/Casablanca", "2024-03-10T02:00Z"),
    ("Asia/Pyongyang", "2018-05-04T15:00Z"),  # half an hour, at half past
    ("UTC", "2024-02-29T12:00Z"),
    ("UTC", "2023-12-31T23:00Z"),
]
ZONES = sorted({zone for zone, _ in JUMPS})


def us(text: str) -> int:
    instant = parse_instant(text)
    assert instant is not None, text
    return instant


def wall(instant_us: int, zone: str) -> datetime:
    return datetime.fromtimestamp(instant_us // 1_000_000, ZoneInfo(zone)).replace(tzinfo=None)


def minutes(first_us: int, last_us: int) -> Iterator[int]:
    return iter(range(first_us - first_us % MINUTE, last_us, MINUTE))


def label(day: date, unit: str, week_start: str = "sunday") -> date:
    """The first date of the unit that holds ``day``."""
    if unit == "week":
        while day.strftime("%A").lower() != week_start:
            day -= timedelta(days=1)
        return day
    return day.replace(day=1 if unit != "day" else day.day, month=1 if unit == "year" else day.month)


def walk_days(first_us: int, last_us: int, zone: str) -> dict[date, int]:
    """Each date → the first minute at which the clock has reached it."""
    begins: dict[date, int] = {}
    reached = wall(first_us, zone).date()
    for minute in minutes(first_us, last_us):
        today = wall(minute, zone).date()
        while reached < today:
            reached += timedelta(days=1)
            begins[reached] = minute
    return begins


def walk_clock(first_us: int, last_us: int, zone: str, size: int) -> list[int]:
    """The minutes at which the clock is at a multiple of ``size`` minutes, or jumps by no multiple."""
    edges = []
    before: datetime | None = None
    for minute in minutes(first_us, last_us):
        now = wall(minute, zone)
        jumped = before is not None and ((now - before) // timedelta(minutes=1) - 1) % size
        if now.minute % size == 0 or jumped:
            edges.append(minute)
        before = now
    return edges


def clipped(start: int, end: int, edges: list[int]) -> list[int]:
    return [start, *sorted({edge for edge in edges if start < edge < end}), end]


zones = st.sampled_from(ZONES)


def near(jump: tuple[str, str]) -> st.SearchStrategy[tuple[str, int]]:
    zone, moment = jump
    return st.tuples(st.just(zone), st.integers(us(moment) - DAY, us(moment) + DAY))


places = st.one_of(
    st.sampled_from(JUMPS).flatmap(near),
    st.tuples(zones, st.integers(us("1980-01-01"), us("2035-01-01"))),
)
"""A zone and an instant, often within a day of a jump of its clocks."""


class TestAlignedIntervals:
    """``daily`` and the like: calendar edges, cut to the timeframe at both ends."""

    @pytest.mark.parametrize(("zone", "moment"), JUMPS)
    def test_days_and_hours_around_every_jump(self, zone: str, moment: str) -> None:
        start, end = us(moment) - 2 * DAY, us(moment) + 2 * DAY
        days = [*walk_days(start - 2 * DAY, end, zone).values()]
        hours = walk_clock(start, end, zone, 60)
        assert list(buckets(Span(start, end), "daily", zone, LIMIT).edges) == clipped(start, end, days)
        assert list(buckets(Span(start, end), "hourly", zone, LIMIT).edges) == clipped(start, end, hours)

    @settings(max_examples=examples(60), deadline=None)
    @given(places, st.integers(1, 4 * DAY))
    def test_daily_buckets_begin_when_the_clock_reaches_the_day(
        self, place: tuple[str, int], length: int
    ) -> None:
        zone, start = place
        end = start + length
        expected = walk_days(start - 2 * DAY, end, zone).values()
        assert list(buckets(Span(start, end), "daily", zone, LIMIT).edges) == clipped(start, end, [*expected])

    @settings(max_examples=examples(12), deadline=None)
    @given(
        places,
        st.integers(1, 70 * DAY),
        st.sampled_from(["week", "month", "year"]),
        st.sampled_from(WeekStart),
    )
    def test_longer_buckets_begin_with_the_first_of_their_days(
        self, place: tuple[str, int], length: int, unit: str, week_start: WeekStart
    ) -> None:
        zone, start = place
        end = start + length
        begins = walk_days(start - 2 * DAY, end, zone)
        expected = [at for day, at in begins.items() if label(day, unit, week_start) == day]
        edges = buckets(Span(start, end), f"{unit}ly", zone, LIMIT, week_start).edges
        assert list(edges) == clipped(start, end, expected)

    @settings(max_examples=examples(60), deadline=None)
    @given(places, st.integers(1, 2 * DAY))
    def test_hourly_buckets_begin_at_full_hours_of_the_clock(
        self, place: tuple[str, int], length: int
    ) -> None:
        zone, start = place
        end = start + length
        expected = walk_clock(start - 2 * DAY, end, zone, 60)
        assert list(buckets(Span(start, end), "hourly", zone, LIMIT).edges) == clipped(start, end, expected)

    @settings(max_examples=examples(20), deadline=None)
    @given(places, st.integers(1, DAY // 4))
    def test_minutely_buckets(self, place: tuple[str, int], length: int) -> None:
        zone, start = place
        end = start + length
        expected = [minute for minute in minutes(start, end) if minute > start]
        assert list(buckets(Span(start, end), "minutely", zone, LIMIT).edges) == clipped(start, end, expected)

    def test_weeks_of_a_month_are_cut_at_both_ends(self) -> None:
        """Recorded: weekly buckets of June 2015, weeks beginning on Sunday."""
        span = resolve("this_month", "UTC", us("2015-06-16T10:00Z"))
        days = [format_instant(edge)[5:10] for edge in buckets(span, "weekly", "UTC", LIMIT).edges]
        assert days == ["06-01", "06-07", "06-14", "06-21", "06-28", "07-01"]

    @pytest.mark.parametrize(
        ("zone", "day", "hours"),
        [
            ("America/New_York", "2024-03-10", 23),
            ("America/New_York", "2024-11-03", 25),
            ("America/Havana", "2024-03-10", 23),
            ("America/Sao_Paulo", "2018-11-04", 23),
            ("Africa/Cairo", "2023-10-26", 25),
        ],
    )
    def test_a_day_on_which_the_clocks_change_is_longer_or_shorter(
        self, zone: str, day: str, hours: int
    ) -> None:
        span = resolve("this_day", zone, us(f"{day}T20:00Z"))
        assert len(buckets(span, "hourly", zone, LIMIT).edges) - 1 == hours
        assert len(buckets(span, "daily", zone, LIMIT).edges) - 1 == 1

    def test_a_day_that_does_not_exist_has_no_bucket(self) -> None:
        """Apia went from the 29th to the 31st of December 2011."""
        span = Span(us("2011-12-29T10:00Z"), us("2012-01-01T10:00Z"))
        starts = [wall(edge, "Pacific/Apia") for edge in buckets(span, "daily", "Pacific/Apia", LIMIT).edges]
        assert starts == [
            datetime(2011, 12, 29),
            datetime(2011, 12, 31),
            datetime(2012, 1, 1),
            datetime(2012, 1, 2),
        ]

    def test_a_midnight_inside_a_gap_is_the_end_of_the_gap(self) -> None:
        """Toronto's clocks went from 23:30 to 00:30 on 30 March 1919."""
        span = Span(us("1919-03-30T12:00Z"), us("1919-04-01T00:00Z"))
        edges = buckets(span, "daily", "America/Toronto", LIMIT).edges
        assert format_instant(edges[1]) == "1919-03-31T04:30:00.000Z"


class TestSteppedIntervals:
    """``every_n_units``: steps from the start of the timeframe."""

    @settings(max_examples=examples(40), deadline=None)
    @given(places, st.integers(1, 4 * DAY), st.integers(1, 4))
    def test_days_step_along_the_clock_on_the_wall(
        self, place: tuple[str, int], length: int, count: int
    ) -> None:
        zone, start = place
        start -= start % MINUTE
        end = start + length
        target = wall(start, zone) + timedelta(days=count)
        reached, expected = wall(start, zone), []
        for minute in minutes(start, end):
            reached = max(reached, wall(minute, zone))
            while reached >= target:
                expected.append(minute)
                target += timedelta(days=count)
        found = buckets(Span(start, end), f"every_{count}_days", zone, LIMIT).edges
        assert list(found) == clipped(start, end, expected)

    @settings(max_examples=examples(40), deadline=None)
    @given(places, st.integers(1, 30 * DAY), st.integers(1, 100))
    def test_hours_and_minutes_step_in_absolute_time(
        self, place: tuple[str, int], length: int, count: int
    ) -> None:
        zone, start = place
        span = Span(start, start + length)
        hours = buckets(span, f"every_{count}_hours", zone, LIMIT)
        assert hours == buckets(span, f"every_{60 * count}_minutes", zone, LIMIT)
        assert {b - a for a, b in pairwise(hours.edges[:-1])} <= {60 * count * MINUTE}

    @pytest.mark.parametrize(
        ("interval", "expected"),
        [
            ("every_1_month", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-15"]),
            ("every_2_months", ["2024-01-31", "2024-03-31", "2024-05-15"]),
            ("every_8_weeks", ["2024-01-31", "2024-03-27", "2024-05-15"]),
            ("every_1_year", ["2024-01-31", "2024-05-15"]),
            ("every_999999999_years", ["2024-01-31", "2024-05-15"]),
            ("every_999999999_days", ["2024-01-31", "2024-05-15"]),
            ("every_999999999_hours", ["2024-01-31", "2024-05-15"]),
        ],
    )
    def test_months_keep_the_day_where_they_have_it(self, interval: str, expected: list[str]) -> None:
        span = Span(us("2024-01-31"), us("2024-05-15"))
        assert [format_instant(edge)[:10] for edge in buckets(span, interval, None, LIMIT).edges] == expected

    def test_leap_days_step_to_the_28th_and_back(self) -> None:
        span = Span(us("2020-02-29"), us("2025-01-01"))
        edges = buckets(span, "every_1_years", None, LIMIT).edges
        assert [format_instant(edge)[5:10] for edge in edges] == [
            "02-29",
            "02-28",
            "02-28",
            "02-28",
            "02-29",
            "01-01",
        ]


class TestEveryInterval:
    @settings(max_examples=examples(150), deadline=None)
    @given(
        places,
        st.integers(0, 400 * DAY),
        st.one_of(st.none(), st.integers(-86_399, 86_399)),
        st.one_of(
            st.sampled_from(["minutely", "hourly", "daily", "weekly", "monthly", "yearly"]),
            st.builds(
                "every_{}_{}s".format,
                st.integers(1, 999_999_999),
                st.sampled_from(["minute", "hour", "day", "week", "month", "year"]),
            ),
        ),
    )
    def test_edges_increase_from_start_to_end(
        self, place: tuple[str, int], length: int, offset: int | None, interval: str
    ) -> None:
        start = place[1]
        zone = place[0] if offset is None else offset
        try:
            edges = buckets(Span(start, start + length), interval, zone, LIMIT).edges
        except QueryLimitExceeded:
            assert length > LIMIT * MINUTE
            return
        assert (edges[0], edges[-1]) == (start, start + length)
        assert all(a < b for a, b in pairwise(edges))

    def test_an_empty_span_has_no_bucket(self) -> None:
        assert buckets(Span(5, 5), "daily", None, LIMIT).edges == (5,)

    def test_the_limit_counts_buckets(self) -> None:
        span = Span(0, 10 * MINUTE)
        assert len(buckets(span, "minutely", None, 10).edges) == 11
        with pytest.raises(QueryLimitExceeded, match="more than 9 parts"):
            buckets(span, "minutely", None, 9)

    def test_all_of_time_by_the_minute_stops_at_the_limit(self) -> None:
        with pytest.raises(QueryLimitExceeded):
            buckets(Span(us("0001-01-03"), us("9999-12-29")), "minutely", "Europe/Berlin", LIMIT)

    @pytest.mark.parametrize(
        "interval",
        [
            "",
            "Daily",
            "day",
            "every_0_days",
            "every_day",
            "every_1_decade",
            "every_-1_days",
            5,
            None,
            [],
            {},
            True,
        ],
    )
    def test_what_is_no_interval(self, interval: Any) -> None:
        with pytest.raises(InvalidQuery) as caught:
            buckets(Span(0, DAY), interval, None, LIMIT)
        assert caught.value.code == "InvalidIntervalError"

    @pytest.mark.parametrize("span", [Span(), Span(0, None), Span(None, 0)])
    def test_an_open_timeframe_cannot_be_divided(self, span: Span) -> None:
        with pytest.raises(InvalidQuery) as caught:
            buckets(span, "daily", None, LIMIT)
        assert caught.value.code == "TimeframeDefinitionError"

    @pytest.mark.parametrize("interval", ["daily", "hourly", "every_1_day", "yearly"])
    @pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", -86_399, 86_399])
    def test_the_ends_of_the_calendar_are_a_clean_answer(self, interval: str, zone: Any) -> None:
        for start, end in (("0001-01-01", "0001-01-03"), ("9999-12-29", "9999-12-31T23:59:59")):
            try:
                edges = buckets(Span(us(start), us(end)), interval, zone, LIMIT).edges
            except InvalidQuery as error:
                assert error.code == "TimeframeDefinitionError"
            else:
                assert all(a < b for a, b in pairwise(edges))


class TestRelative:
    @settings(max_examples=examples(25), deadline=None)
    @given(
        places,
        st.sampled_from(["day", "week"]),
        st.integers(1, 3),
        st.sampled_from(["this", "previous"]),
        st.sampled_from(WeekStart),
    )
    @example(("America/St_Johns", us("2010-11-07T02:45Z")), "day", 1, "this", WeekStart.SUNDAY)
    @example(("Africa/Casablanca", us("2034-12-17T00:00Z")), "day", 1, "this", WeekStart.SUNDAY)
    @example(("America/St_Johns", us("2010-11-07T02:45Z")), "week", 1, "this", WeekStart.SUNDAY)
    @example(("Pacific/Apia", us("2011-12-30T11:00Z")), "day", 1, "previous", WeekStart.SUNDAY)
    @example(("Pacific/Apia", us("2011-12-31T11:00Z")), "week", 1, "this", WeekStart.MONDAY)
    def test_days_and_weeks_of_the_calendar(
        self, place: tuple[str, int], unit: str, count: int, word: str, week_start: WeekStart
    ) -> None:
        zone, now = place
        begins = walk_days(now - 32 * DAY, now + 9 * DAY, zone)
        current = label(max(day for day, at in begins.items() if at <= now), unit, week_start)
        step = timedelta(days=7 if unit == "week" else 1)
        first, last = (1 - count, 1) if word == "this" else (-count, 0)
        expected = Span(begins[current + first * step], begins[current + last * step])
        assert resolve(f"{word}_{count}_{unit}s", zone, now, week_start) == expected

    @settings(max_examples=examples(40), deadline=None)
    @given(places, st.integers(1, 20), st.sampled_from(["this", "previous"]))
    @example(("Australia/Lord_Howe", us("2024-04-06T15:10Z")), 1, "this")
    @example(("Australia/Lord_Howe", us("2024-10-05T16:10Z")), 2, "this")
    def test_hours_of_the_clock(self, place: tuple[str, int], count: int, word: str) -> None:
        zone, now = place
        edges = walk_clock(now - 2 * DAY, now + DAY, zone, 60)
        begin = max(edge for edge in edges if edge <= now)
        end = min(edge for edge in edges if edge > now)
        back = begin - (count - (word == "this")) * 60 * MINUTE
        start = max(edge for edge in edges if edge <= back)
        assert resolve(f"{word}_{count}_hours", zone, now) == Span(start, end if word == "this" else begin)

    @pytest.mark.parametrize(
        ("text", "start", "end"),
        [
            ("this_minute", "2024-05-15T19:15", "2024-05-15T19:16"),
            ("this_hour", "2024-05-15T19:00", "2024-05-15T20:00"),
            ("this_day", "2024-05-15", "2024-05-16"),
            ("today", "2024-05-15", "2024-05-16"),
            ("this_week", "2024-05-12", "2024-05-19"),
            ("this_month", "2024-05-01", "2024-06-01"),
            ("this_year", "2024-01-01", "2025-01-01"),
            ("this_1_year", "2024-01-01", "2025-01-01"),
            ("this_7_days", "2024-05-09", "2024-05-16"),
            ("this_7_day", "2024-05-09", "2024-05-16"),
            ("this_2_months", "2024-04-01", "2024-06-01"),
            ("this_14_months", "2023-04-01", "2024-06-01"),
            ("previous_minute", "2024-05-15T19:14", "2024-05-15T19:15"),
            ("previous_7_hours", "2024-05-15T12:00", "2024-05-15T19:00"),
            ("last_7_hours", "2024-05-15T12:00", "2024-05-15T19:00"),
            ("previous_day", "2024-05-14", "2024-05-15"),
            ("yesterday", "2024-05-14", "2024-05-15"),
            ("last_week", "2024-05-05", "2024-05-12"),
            ("previous_3_months", "2024-02-01", "2024-05-01"),
            ("previous_2_years", "2022-01-01", "2024-01-01"),
            ('"this_7_days"', "2024-05-09", "2024-05-16"),
        ],
    )
    def test_forms(self, text: str, start: str, end: str) -> None:
        now = us("2024-05-15T19:15:42.123456Z")
        assert resolve(text, None, now) == Span(us(start), us(end))

    def test_the_zone_decides_what_today_is(self) -> None:
        now = us("2024-05-15T03:00Z")
        assert resolve("today", "US/Pacific", now) == Span(us("2024-05-14T07:00Z"), us("2024-05-15T07:00Z"))
        assert resolve("today", -25_200, now) == resolve("today", "US/Pacific", now)
        assert resolve("this_hour", "Asia/Kathmandu", now) == Span(
            us("2024-05-15T02:15Z"), us("2024-05-15T03:15Z")
        )

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "this",
            "this_days",
            "this_0_days",
            "this_-1_days",
            "this_1.5_days",
            "this_7_fortnights",
            "next_day",
            "This_day",
            " this_day",
            "this_day\n",
            "this_٣_days",
            "this_999999999_years",
            "previous_999999999_months",
            "previous_999999999_weeks",
            "previous_999999999_days",
            "this_999999999_hours",
            "previous_9999_years",
            "previous_" + "9" * 5000 + "_minutes",
            '"this_7_days',
            "{",
            "[]",
            "3",
        ],
    )
    def test_bad_text_is_a_definition_error(self, text: str) -> None:
        with pytest.raises(
            InvalidQuery, match="You sent in an invalid definition for the timeframe: '"
        ) as caught:
            resolve(text, None, us("2024-05-15T19:15Z"))
        assert caught.value.code == "TimeframeDefinitionError"
        assert len(caught.value.message) < 400


class TestAbsolute:
    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("2012-08-13T19:00:00.000Z", "2012-08-14T19:00:00.000Z"),
            ("2012-08-13T19:00Z", "2012-08-14T19:00Z"),
            ("2012-08-13T19:00Z+00:00", "2012-08-14T19:00Z+00:00"),
            ("2012-08-13T19:00", "2012-08-14T19:00"),
            ("2012-08-13T12:00-07:00", "2012-08-15T00:00+0500"),
        ],
    )
    def test_spellings(self, start: str, end: str) -> None:
        expected = Span(us("2012-08-13T19:00Z"), us("2012-08-14T19:00Z"))
        assert resolve({"start": start, "end": end}, "US/Pacific", 0) == expected

    def test_a_date_is_its_midnight_in_utc_whatever_the_timezone(self) -> None:
        frame = {"start": "2014-10-01", "end": "2014-10-02", "colour": "red"}
        assert resolve(frame, "Asia/Tokyo", 0) == Span(us("2014-10-01T00:00Z"), us("2014-10-02T00:00Z"))

    def test_an_end_may_be_open(self) -> None:
        assert resolve({"start": "2014-10-01"}, None, 0) == Span(us("2014-10-01"), None)
        assert resolve({"end": "2014-10-01", "start": None}, None, 0) == Span(None, us("2014-10-01"))

    def test_json_text_of_an_object(self) -> None:
        assert resolve('{"start": "2014-10-01"}', None, 0) == Span(us("2014-10-01"), None)

    def test_no_timeframe_is_all_time(self) -> None:
        assert resolve(None, None, 0) == Span(None, None)

    def test_start_at_the_end_is_empty(self) -> None:
        assert resolve({"start": "2014-10-01", "end": "2014-10-01T00:00Z"}, None, 0) == Span(
            us("2014-10-01"), us("2014-10-01")
        )

    @pytest.mark.parametrize(
        "frame",
        [
            {},
            {"start": None},
            {"start": "2014"},
            {"start": 5, "end": "2014-10-01"},
            {"start": "", "end": "2014-10-01"},
            {"start": "2014-10-02", "end": "2014-10-01"},
            {"start": ["2014-10-01"]},
            {"start": "\ud800"},
            [],
            ["2014-10-01", "2014-10-02"],
            5,
            1.5,
            True,
            False,
        ],
    )
    def test_bad_definitions(self, frame: Any) -> None:
        with pytest.raises(InvalidQuery) as caught:
            resolve(frame, None, 0)
        assert caught.value.code == "TimeframeDefinitionError"
        caught.value.message.encode()


class TestZones:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, 0),
            ("", 0),
            ("UTC", 0),
            ("utc", 0),
            (0, 0),
            ("0", 0),
            (-28_800, -28_800),
            ("-28800", -28_800),
            ("+3600", 3_600),
            (20_700.0, 20_700),
            ("US/Pacific", -28_800),
            ("Asia/Kathmandu", 20_700),
            ('"Europe/Berlin"', 3_600),
        ],
    )
    def test_forms(self, value: Any, seconds: int) -> None:
        moment = datetime(2024, 1, 1, tzinfo=UTC).astimezone(parse_timezone(value))
        assert moment.utcoffset() == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "value",
        [
            "Mars/Olympus",
            "Europe",
            "../../etc/passwd",
            "/etc/localtime",
            "a" * 100_000,
            "Europe/Berlin\x00",
            "\ud800",
            86_400,
            -86_400,
            "999999",
            "-0500",
            "+0530",
            "-0600",
            "02",
            "120",
            "+1000",
            float("inf"),
            float("nan"),
            10**400,
            True,
            [],
            {},
            '"',
        ],
    )
    def test_bad_zones(self, value: Any) -> None:
        with pytest.raises(InvalidQuery) as caught:
            parse_timezone(value)
        assert caught.value.code == "InvalidTimezoneError"
        caught.value.message.encode()

    @pytest.mark.parametrize(
        ("frame", "zone", "expected"),
        [
            ("this_7_days", "US/Pacific", -28_800),
            ({"start": "2024-01-01"}, "US/Pacific", 0),
            ({"start": "2024-01-01T00:00Z"}, "-28800", 0),
            ({"start": "2024-01-01T00:00+02:00"}, None, 7_200),
            ({"start": "2024-01-01T00:00-0330"}, "Europe/Berlin", -12_600),
            ({"start": "2024-01-01T00:00-08"}, None, -28_800),
            ({"end": "2024-01-01T00:00-08"}, "Europe/Berlin", 3_600),
        ],
    )
    def test_an_absolute_timeframe_brings_its_own_offset(self, frame: Any, zone: Any, expected: int) -> None:
        moment = datetime(2024, 1, 1, 8, tzinfo=UTC).astimezone(bucket_zone(frame, zone))
        assert moment.utcoffset() == timedelta(seconds=expected)

    def test_a_named_zone_that_agrees_with_the_offset_knows_the_clock_change(self) -> None:
        frame = {"start": "2024-03-09T00:00-05:00", "end": "2024-03-12T00:00-04:00"}
        zone = bucket_zone(frame, "America/New_York")
        edges = buckets(resolve(frame, None, 0), "daily", zone, LIMIT).edges
        assert [(b - a) // (60 * MINUTE) for a, b in pairwise(edges)] == [24, 23, 24]
