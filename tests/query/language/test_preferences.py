"""Rounding of results, and what is read of ``round`` and ``week_start``, against slow references."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from query.answers.values import rounded
from query.errors import InvalidQuery
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.calendar import WeekStart
from query.language.nodes import MetricQuery, ParsedQuery
from query.language.parse import parse
from query.language.preferences import KEEN, Preferences
from query.limits import Limits
from storage.instants import parse_instant
from tests.support.scale import examples

WEDNESDAY = parse_instant("2024-05-15T19:15:00Z") or 0
MONDAYS = Preferences(2, WeekStart.MONDAY)


def away_from_zero(value: float, decimals: int) -> float:
    """By whole numbers: the decimal that is shown, in units of the last place, and a half on top."""
    units = abs(Fraction(repr(value))) * 10**decimals + Fraction(1, 2)
    return math.copysign(float(Fraction(math.floor(units), 10**decimals)), value)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**9), 10**9).map(lambda number: number / 1000),
    st.integers(0, 15),
)
@example(2.5, 0)
@example(-2.5, 0)
@example(1.005, 2)
@example(2.675, 2)
@example(-0.001, 2)
@example(5e-324, 15)
@example(0.1 + 0.2, 15)
@example(4503599627370495.5, 0)
@example(1e300, 3)
def test_results_are_rounded_as_money_is(value: float, decimals: int) -> None:
    assert rounded(value, decimals) == away_from_zero(value, decimals)


@pytest.mark.parametrize("value", [None, 7, 10**40, "1.25", True, [1.25]])
def test_only_numbers_with_a_fraction_are_rounded(value: Any) -> None:
    assert rounded(value, 0) is value
    assert rounded(1.25, None) == 1.25


def ask(params: dict[str, Any], analysis: str = "sum", preferences: Preferences = KEEN) -> ParsedQuery:
    asked = {"event_collection": "c", "target_property": "p", **params}
    return parse(analysis, asked, now_us=WEDNESDAY, limits=Limits(), preferences=preferences)


@pytest.mark.parametrize(
    ("given", "preferred", "decimals"),
    [
        ({}, KEEN, None),
        ({}, MONDAYS, 2),
        ({"round": None}, MONDAYS, 2),
        ({"round": ""}, MONDAYS, 2),
        ({"round": 0}, MONDAYS, 0),
        ({"round": "3"}, MONDAYS, 3),
        ({"round": 15.0}, KEEN, 15),
        ({"round": "none"}, MONDAYS, None),
    ],
)
def test_the_parameter_goes_before_what_is_preferred(
    given: dict[str, Any], preferred: Preferences, decimals: int | None
) -> None:
    query = ask(given, preferences=preferred).query
    assert isinstance(query, MetricQuery)
    assert query.metrics[0].decimals == decimals


@pytest.mark.parametrize(
    ("step", "root", "preferred", "actor"),
    [
        ({"actor_property": "a"}, {"actor_property": "b"}, "c", "a"),
        ({}, {"actor_property": "b"}, "c", "b"),
        ({"actor_property": ""}, {"actor_property": ["b"]}, None, "b"),
        ({}, {}, "c", "c"),
    ],
)
def test_a_step_has_its_own_actor_or_that_of_the_funnel_or_the_project(
    step: dict[str, Any], root: dict[str, Any], preferred: str | None, actor: str
) -> None:
    params = {"steps": [{"event_collection": "c", **step}], **root}
    preferences = Preferences(actor=preferred)
    query = parse("funnel", params, now_us=WEDNESDAY, limits=Limits(), preferences=preferences).query
    assert isinstance(query, FunnelQuery)
    assert [one.actor for one in query.steps] == [actor]
    assert query.steps[0].echo["actor_property"] == actor


def test_a_funnel_without_an_actor_is_refused() -> None:
    with pytest.raises(InvalidQuery, match=r"'steps\[0\].actor_property'"):
        parse("funnel", {"steps": [{"event_collection": "c"}]}, now_us=WEDNESDAY, limits=Limits())


def test_a_member_of_a_multi_analysis_may_have_its_own() -> None:
    members: dict[str, Any] = {
        "own": {"analysis_type": "sum", "target_property": "p", "round": 1},
        "all": {"analysis_type": "sum", "target_property": "p", "round": "none"},
        "whole": {"analysis_type": "sum", "target_property": "p"},
    }
    query = ask({"analyses": members, "round": 3}, "multi_analysis").query
    assert isinstance(query, MetricQuery)
    assert [metric.decimals for metric in query.metrics] == [1, None, 3]


@pytest.mark.parametrize(
    ("analysis", "given", "message"),
    [
        ("sum", {"round": -1}, "'round' must be an integer from 0 to 15, or 'none'. You specified: -1."),
        ("sum", {"round": 16}, "'round' must be an integer from 0 to 15"),
        ("sum", {"round": 1.5}, "'round' must be an integer from 0 to 15"),
        ("count", {"round": True}, "'round' must be an integer from 0 to 15"),
        ("sum", {"round": "two"}, "'round' must be an integer from 0 to 15"),
        ("sum", {"round": [2]}, "'round' must be an integer from 0 to 15"),
        ("sum", {"week_start": "Monday"}, "sunday, monday. You specified: Monday. Did you mean 'monday'?"),
        ("count", {"week_start": "tuesday"}, "'week_start' must be one of sunday, monday."),
        ("extraction", {"week_start": 1}, "'week_start' must be one of sunday, monday."),
        (
            "multi_analysis",
            {"analyses": {"a": {"analysis_type": "sum", "target_property": "p", "round": 99}}},
            "'analyses.a.round' must be an integer from 0 to 15",
        ),
        (
            "funnel",
            {"steps": [{"event_collection": "c", "actor_property": "p", "week_start": "fri"}]},
            "'steps[0].week_start' must be one of sunday, monday.",
        ),
    ],
)
def test_what_is_no_such_value_is_refused_by_name(analysis: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        ask(given, analysis)
    assert message in refused.value.message


@pytest.mark.parametrize("kept", [{"round": "much"}, {"round": -2}, {"week_start": 7}, {"theme": "dark"}])
def test_preferences_from_before_that_mean_nothing_leave_what_holds(kept: dict[str, Any]) -> None:
    assert MONDAYS.of_project(kept) == MONDAYS
    assert KEEN.of_project({**kept, "week_start": "monday"}).week_start == WeekStart.MONDAY
