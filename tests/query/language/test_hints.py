"""Error texts that say what is right, and what was probably meant."""

from __future__ import annotations

import re
from typing import Any

import pytest

from query.errors import InvalidQuery
from query.language.parse import parse
from query.limits import Limits
from storage.instants import parse_instant

NOW = parse_instant("2024-05-15T19:15:42Z") or 0


def refusal(analysis: str = "count", **params: Any) -> InvalidQuery:
    with pytest.raises(InvalidQuery) as raised:
        parse(analysis, {"event_collection": "c", **params}, now_us=NOW, limits=Limits())
    return raised.value


@pytest.mark.parametrize(
    ("timeframe", "meant"),
    [
        ("7d", "this_7_days"),
        ("last 7 days", "previous_7_days"),
        ("past 2 weeks", "previous_2_weeks"),
        ("last-30-days", "previous_30_days"),
        ("last week", "previous_week"),
        ("1h", "this_1_hours"),
        ("12 months", "this_12_months"),
        ("This_7_Days", "this_7_days"),
        ("30 min", "this_30_minutes"),
        ("this_dya", "this_day"),
        ("this_7_dayz", "this_7_days"),
        ("previous_2_wekes", "previous_2_weeks"),
        ("yesterdy", "yesterday"),
        ("day", "this_day"),
    ],
)
def test_a_timeframe_in_other_words(timeframe: str, meant: str) -> None:
    error = refusal(timeframe=timeframe)
    assert error.code == "TimeframeDefinitionError"
    assert f"invalid definition for the timeframe: '{timeframe}'." in error.message
    assert f"Did you mean '{meant}'?" in error.message
    parse("count", {"event_collection": "c", "timeframe": meant}, now_us=NOW, limits=Limits())


@pytest.mark.parametrize("timeframe", ["soon", 7, ["today"], "2024-01-01", "x" * 10_000, "[", ""])
def test_any_other_is_told_both_forms(timeframe: Any) -> None:
    message = refusal(timeframe=timeframe).message
    assert "this_7_days" in message
    assert '"start"' in message


@pytest.mark.parametrize(
    ("interval", "meant"),
    [
        ("day", "daily"),
        ("1d", "daily"),
        ("7 days", "every_7_days"),
        ("dayly", "daily"),
        ("Hourly", "hourly"),
        ("15min", "every_15_minutes"),
        ("month", "monthly"),
    ],
)
def test_an_interval_in_other_words(interval: str, meant: str) -> None:
    error = refusal(interval=interval, timeframe="this_7_days")
    assert (error.code, f"Did you mean '{meant}'?" in error.message) == ("InvalidIntervalError", True)
    asked = {"event_collection": "c", "timeframe": "this_7_days", "interval": meant}
    parse("count", asked, now_us=NOW, limits=Limits())


@pytest.mark.parametrize(
    ("zone", "meant"), [("Europe/Berln", "Europe/Berlin"), ("America/New York", "America/New_York")]
)
def test_a_misspelt_zone(zone: str, meant: str) -> None:
    error = refusal(timezone=zone)
    assert (error.code, f"Did you mean '{meant}'?" in error.message) == ("InvalidTimezoneError", True)


DOWN = '{"property_name":"result","direction":"DESC"}'


@pytest.mark.parametrize(
    ("order", "hint"),
    [
        ("-result", f"Did you mean {DOWN}?"),
        ("result desc", f"Did you mean {DOWN}?"),
        ("result:DESC", f"Did you mean {DOWN}?"),
        ("results", "Did you mean 'result'?"),
        ("+plan", "Did you mean 'plan'?"),
        ("plan asc", "Did you mean 'plan'?"),
        ("-plam", 'Did you mean {"property_name":"plan","direction":"DESC"}?'),
        ("zzz", f"To sort in descending order: {DOWN}."),
        ({"property_name": "result", "direction": "down"}, "To sort in descending order"),
        (5, f"To sort in descending order: {DOWN}."),
    ],
)
def test_an_order_says_how_to_sort_down(order: Any, hint: str) -> None:
    error = refusal(order_by=order, group_by="plan")
    assert (error.code, hint in error.message) == ("InvalidOrderByError", True), error.message


@pytest.mark.parametrize(
    ("operator", "meant"),
    [
        ("greater", "gt"),
        ("greater_than", "gt"),
        ("greaterThan", "gt"),
        (">=", "gte"),
        ("$gte", "gte"),
        ("equals", "eq"),
        ("Equals", "eq"),
        ("EQ", "eq"),
        ("==", "eq"),
        ("is not", "ne"),
        ("less-than", "lt"),
        ("lesser", "lt"),
        ("matches", "regex"),
        ("OR", "or"),
        ("exist", "exists"),
    ],
)
def test_an_operator_of_another_system_is_told_ours(operator: str, meant: str) -> None:
    error = refusal(filters=[{"property_name": "a", "operator": operator, "property_value": 1}])
    assert error.code == "InvalidFilterError"
    assert error.message.endswith(f"You specified: {operator}. Did you mean '{meant}'?")


def test_operators_and_analyses_name_the_nearest() -> None:
    item = {"property_name": "a", "operator": "resembles", "property_value": 1}
    assert re.search(r"one of eq, ne", refusal(filters=[item]).message)
    near = {**item, "operator": "not_contain"}
    assert "Did you mean 'not_contains'?" in refusal(filters=[near]).message
    members = {"n": {"analysis_type": "avrage", "target_property": "a"}}
    assert "Did you mean 'average'?" in refusal("multi_analysis", analyses=members).message
    elsewhere = {"n": {"analysis_type": "stddev", "target_property": "a"}}
    assert "Did you mean 'standard_deviation'?" in refusal("multi_analysis", analyses=elsewhere).message
    assert "two decimals" in refusal("percentile", target_property="a", percentile=101).message
