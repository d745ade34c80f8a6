"""``round`` and ``week_start``: as parameter, preference of a project and setting, wherever they count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.settings import BadSettings, load
from storage.instants import parse_instant
from tests.service.whole import Whole

MINUTE_US = 60_000_000
NOW_US = parse_instant("2024-05-15T12:00:00Z") or 0
"""A Wednesday."""
SUNDAY, MONDAY = "2024-05-12T00:00:00.000Z", "2024-05-13T00:00:00.000Z"
WEEKS: dict[str, Any] = {"event_collection": "c", "timeframe": "this_1_weeks"}
SUM = {"event_collection": "c", "target_property": "price"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Three events, of Sunday, Monday and Tuesday, that come to 3.375, in a server that says nothing."""
    data = tmp_path_factory.mktemp("preferences") / "data"
    with closing(Whole(data, NOW_US)) as opened:
        _fill(opened)
        yield opened


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Whole]:
    """The same where the server prefers one decimal and Mondays."""
    with closing(Whole(tmp_path / "data", NOW_US, round="1", week_start="monday")) as opened:
        _fill(opened)
        yield opened


@pytest.fixture(autouse=True)
def _without_preferences(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "whole" in request.fixturenames:
        prefer(request.getfixturevalue("whole"), {})


def _fill(whole: Whole) -> None:
    days = ("2024-05-12", "2024-05-13", "2024-05-14")
    events = [
        {"price": 1.125, "user": {"id": day}, "size": 0.125, "keen": {"timestamp": f"{day}T10:00:00Z"}}
        for day in days
    ]
    whole.record(whole.project, "c", events)


def prefer(whole: Whole, preferences: dict[str, Any]) -> None:
    """Through the catalog, as another worker would; until this one knows."""
    whole.catalog.projects.update(whole.project.id, preferences=preferences)
    whole.parts.tenants.look_again()
    found = whole.parts.tenants.find(whole.project.id)
    while found is None or found.preferences != preferences:
        found = whole.parts.tenants.find(whole.project.id)
    whole.project = replace(whole.project, preferences=preferences)


def ask(whole: Whole, analysis: str, body: dict[str, Any]) -> Any:
    return whole.told(whole.project, "POST", f"queries/{analysis}", body)["result"]


def test_parameter_before_preference_before_setting(setting: Whole) -> None:
    def found(**given: Any) -> tuple[float, int]:
        return ask(setting, "sum", {**SUM, **given}), ask(setting, "count", {**WEEKS, **given})

    assert found() == (3.4, 2)
    prefer(setting, {"round": 2})
    assert found() == (3.38, 2)
    prefer(setting, {"round": "none", "week_start": "sunday"})
    assert found() == (3.375, 3)
    prefer(setting, {"round": 0, "week_start": "sunday"})
    assert found(round=2, week_start="monday") == (3.38, 2)
    assert found(round="none") == (3.375, 3)


def test_results_of_every_shape_are_rounded_and_nothing_that_was_sent(whole: Whole) -> None:
    prefer(whole, {"round": 2})
    day = {"timeframe": {"start": "2024-05-12", "end": "2024-05-14"}, "interval": "daily"}
    groups = ask(whole, "sum", {**SUM, "group_by": "size"})
    assert groups == [{"size": 0.125, "result": 3.38}]
    assert [one["value"] for one in ask(whole, "average", {**SUM, **day})] == [1.13, 1.13]
    both = ask(whole, "maximum", {**SUM, **day, "group_by": "size"})
    assert [one["value"] for one in both] == [[{"size": 0.125, "result": 1.13}]] * 2
    members = {
        "mean": {"analysis_type": "average", "target_property": "price"},
        "exact": {"analysis_type": "median", "target_property": "price", "round": "none"},
        "values": {"analysis_type": "select_unique", "target_property": "price"},
        "events": {"analysis_type": "count"},
    }
    multi = {"event_collection": "c", "analyses": members}
    expected = {"mean": 1.13, "exact": 1.125, "values": [1.125], "events": 3}
    assert ask(whole, "multi_analysis", multi) == expected
    assert ask(whole, "multi_analysis", {**multi, "group_by": "size"}) == [{"size": 0.125, **expected}]
    assert ask(whole, "extraction", {"event_collection": "c", "latest": 1})[0]["price"] == 1.125


def test_order_and_limit_go_by_what_was_computed(whole: Whole) -> None:
    events = [{"name": name, "price": price} for name, price in (("a", 1.004), ("b", 1.001), ("c", 1.002))]
    whole.record(whole.project, "close", events)
    order = {"group_by": "name", "order_by": [{"property_name": "result", "direction": "DESC"}, "name"]}
    asked = {**SUM, "event_collection": "close", **order, "round": 2}
    assert [one["name"] for one in ask(whole, "sum", asked)] == ["a", "c", "b"]
    assert ask(whole, "sum", {**asked, "limit": 1}) == [{"name": "a", "result": 1}]


def test_weeks_begin_on_monday_wherever_weeks_are_meant(whole: Whole) -> None:
    monday = {"week_start": "monday"}
    weekly = {"event_collection": "c", "timeframe": "this_2_weeks", "interval": "weekly", **monday}
    found = ask(whole, "count", weekly)
    assert [(one["timeframe"]["start"][:10], one["value"]) for one in found] == [
        ("2024-05-06", 1),
        ("2024-05-13", 2),
    ]
    multi = {**weekly, "analyses": {"events": {"analysis_type": "count", **monday}}}
    assert [one["value"]["events"] for one in ask(whole, "multi_analysis", multi)] == [1, 2]
    every = {**weekly, "interval": "every_2_weeks"}
    assert [one["timeframe"]["start"][:10] for one in ask(whole, "count", every)] == ["2024-05-06"]
    text = {"event_collection": "c", "timeframe": "this_1_weeks", **monday}
    assert whole.told(whole.project, "GET", "queries/count", **text)["result"] == 2
    assert len(ask(whole, "extraction", {**WEEKS, **monday})) == 2
    previous = {**WEEKS, "timeframe": "previous_week"}
    assert [ask(whole, "count", previous), ask(whole, "count", {**previous, **monday})] == [0, 1]


def test_a_step_of_a_funnel_has_weeks_of_its_own_or_the_funnels(whole: Whole) -> None:
    step = {"event_collection": "c", "actor_property": "user.id", "timeframe": "this_1_weeks"}
    steps = [step, {**step, "week_start": "sunday", "optional": True}]
    asked = {"steps": steps, "week_start": "monday"}
    told = whole.told(whole.project, "POST", "queries/funnel", asked)
    assert told["result"] == [2, 2]
    assert [one.get("week_start") for one in told["steps"]] == [None, "sunday"]
    prefer(whole, {"week_start": "monday"})
    last = {"steps": [{**step, "week_start": "sunday"}, {**step, "optional": True}]}
    assert ask(whole, "funnel", last) == [3, 2]


def test_a_saved_query_keeps_what_it_was_given_and_follows_the_project_else(whole: Whole) -> None:
    given = {"analysis_type": "sum", **SUM, "timeframe": "this_1_weeks"}
    saved = {"query": {**given, "round": 1, "week_start": "monday"}}
    shown = whole.told(whole.project, "PUT", "queries/saved/own", saved)["query"]
    assert (shown["round"], shown["week_start"]) == (1, "monday")
    plain = whole.told(whole.project, "PUT", "queries/saved/plain", {"query": given})["query"]
    assert not {"round", "week_start"} & plain.keys()
    prefer(whole, {"round": 2})

    def result(name: str) -> Any:
        return whole.told(whole.project, "GET", f"queries/saved/{name}/result")["result"]

    assert (result("own"), result("plain")) == (2.3, 3.38)


def test_a_kept_result_is_stale_once_the_project_prefers_otherwise(whole: Whole) -> None:
    query = {"analysis_type": "sum", **SUM, "timeframe": "this_1_weeks"}
    for name, more in (("follows", {}), ("decides", {"round": 2, "week_start": "sunday"})):
        whole.told(
            whole.project,
            "PUT",
            f"queries/saved/{name}",
            {"query": {**query, **more}, "refresh_rate": 14_400},
        )

    def told(name: str) -> tuple[Any, bool]:
        found = whole.told(whole.project, "GET", f"queries/saved/{name}/result")
        return found["result"], found["run_information"]["stale"]

    assert [told(name) for name in ("follows", "decides")] == [(3.375, False), (3.38, False)]
    prefer(whole, {"round": 1, "week_start": "monday"})
    assert [told(name) for name in ("follows", "decides")] == [(3.375, True), (3.38, False)]
    whole.now_us += 14_500 * 1_000_000
    whole.refresh()
    assert [told(name) for name in ("follows", "decides")] == [(2.3, False), (3.38, False)]


def test_an_older_answer_is_not_told_to_a_project_that_prefers_otherwise(whole: Whole) -> None:
    asked = {**SUM, "timeframe": "this_1_weeks", "max_age": 300}
    assert ask(whole, "sum", asked) == 3.375
    prefer(whole, {"round": 1})
    assert ask(whole, "sum", asked) == 3.4
    prefer(whole, {"week_start": "monday"})
    assert ask(whole, "sum", asked) == 2.25
    prefer(whole, {})
    assert ask(whole, "sum", asked) == 3.375


@pytest.mark.parametrize("given", [{}, {"group_by": "size"}, {"group_by": "size", "order_by": "result"}])
def test_a_dataset_answers_as_its_question_whatever_the_project_prefers(
    whole: Whole, given: dict[str, Any]
) -> None:
    query = {
        "analysis_type": "sum",
        **SUM,
        "timeframe": {"start": "2024-05-01", "end": "2024-05-20"},
        "interval": "weekly",
        **given,
    }
    number = len(whole.told(whole.project, "GET", "datasets")["datasets"])
    follows, decides = f"follows{number}", f"decides{number}"
    definition = {"query": query, "index_by": "size"}
    whole.told(whole.project, "PUT", f"datasets/{follows}", definition)
    own = {**query, "round": 1, "week_start": "monday"}
    made = whole.told(whole.project, "PUT", f"datasets/{decides}", {**definition, "query": own})
    assert (made["query"]["round"], made["query"]["week_start"]) == (1, "monday")

    def equal(name: str, asked: dict[str, Any]) -> None:
        body = {name: value for name, value in asked.items() if name != "analysis_type"}
        expected = ask(whole, "sum", body)
        found = whole.told(whole.project, "GET", f"datasets/{name}/results", index_by="0.125")
        assert found["result"] == expected

    for preferences in ({}, {"round": 2}, {"round": 2, "week_start": "monday"}, {}):
        prefer(whole, preferences)
        equal(follows, query)
        equal(decides, own)
        whole.refresh()
        equal(follows, query)
        equal(decides, own)
        part = {"start": "2024-05-13", "end": "2024-05-20"}
        whole.told(whole.project, "GET", f"datasets/{decides}/results", index_by="0.125", timeframe=part)


def test_a_relative_part_of_a_dataset_is_read_in_its_weeks(whole: Whole) -> None:
    query = {"analysis_type": "count", "event_collection": "c", "timeframe": "this_3_weeks"}
    query |= {"interval": "daily", "week_start": "monday"}
    whole.told(whole.project, "PUT", "datasets/part", {"query": query, "index_by": "size"})
    found = whole.told(
        whole.project, "GET", "datasets/part/results", index_by="0.125", timeframe="this_1_weeks"
    )
    assert found["result"][0]["timeframe"]["start"] == MONDAY
    assert sum(one["value"] for one in found["result"]) == 2


def test_an_extraction_to_a_file_reads_the_projects_weeks(whole: Whole) -> None:
    def span(**given: Any) -> int:
        asked = {**WEEKS, "delivery": "link", **given}
        job = whole.told(whole.project, "POST", "queries/extraction", asked)["job"]
        found = whole.catalog.exports.find(whole.project.id, job["id"])
        assert found is not None
        return int(json.loads(found[0].question)["start_us"])

    assert span() == parse_instant(SUNDAY)
    assert span(week_start="monday") == parse_instant(MONDAY)
    prefer(whole, {"week_start": "monday"})
    assert span() == parse_instant(MONDAY)


def test_a_deletion_takes_the_week_that_the_project_means(whole: Whole) -> None:
    days = ["2024-05-12T10:00:00Z", "2024-05-13T10:00:00Z"]
    whole.record(whole.project, "d", [{"keen": {"timestamp": day}} for day in days])
    alone = whole.call(whole.project, "DELETE", "events/d", week_start="monday")
    assert alone.status_code == 400
    assert "A 'week_start' alone selects no part of the events" in alone.text
    prefer(whole, {"week_start": "monday"})
    whole.told(whole.project, "DELETE", "events/d", timeframe="this_week")
    assert ask(whole, "count", {"event_collection": "d"}) == 1
    whole.told(whole.project, "DELETE", "events/d", timeframe="this_week", week_start="sunday")
    assert ask(whole, "count", {"event_collection": "d"}) == 0


@pytest.mark.parametrize(
    ("preferences", "message"),
    [
        ({"round": 16}, "'preferences.round' must be an integer from 0 to 15, or 'none'"),
        ({"round": "two"}, "'preferences.round' must be an integer from 0 to 15, or 'none'"),
        ({"week_start": "Monday"}, "'preferences.week_start' must be one of sunday, monday"),
    ],
)
def test_preferences_that_mean_nothing_are_refused(
    whole: Whole, preferences: dict[str, Any], message: str
) -> None:
    from service.auth.project_fields import checked_preferences
    from service.errors import InvalidParameter

    with pytest.raises(InvalidParameter, match=message[:30].replace("'", ".")) as refused:
        checked_preferences(preferences)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"round": "16"}, "ACUMEN_ROUND: must be an integer from 0 to 15, or empty"),
        ({"round": "some"}, "ACUMEN_ROUND: must be an integer from 0 to 15, or empty"),
        ({"week_start": "friday"}, "ACUMEN_WEEK_START: must be sunday or monday"),
    ],
)
def test_settings_that_mean_nothing_stop_the_start(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSettings) as refused:
        load(**given)
    assert message in str(refused.value)
