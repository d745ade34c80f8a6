"""What reads what, and what a caller sees of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.lineage.references import read_by
from storage.catalog.derived.records import Dashboard
from storage.catalog.people.records import Role
from tests.service.people.browsers import person
from tests.service.whole import Whole

PIPELINES = """
owner = "data@shop.example"

[sources.tills]
files = "*.csv"
into = "purchases"

[sources.orders]
files = "*.csv"
into = "purchases"

[sources.stock]
files = "*.csv"
into = "stock"

[pipelines.revenue]
from = "purchases"
into = "revenue"
description = "Sums of what was paid"

[pipelines.monthly]
from = ["revenue", "refunds"]
into = "monthly"
bucket = "month"
"""
COUNT = {"analysis_type": "count", "event_collection": "monthly", "timeframe": "this_7_days"}
BUYERS = {"actor_property": "user.id", "all": [{"event_collection": "purchases", "at_least": 1}]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    base = tmp_path_factory.mktemp("lineage")
    made = Whole(base / "data", source_folder=base)
    try:
        project = made.project
        made.told(project, "POST", "pipelines/apply", {"file": PIPELINES})
        made.told(
            project,
            "PUT",
            "queries/saved/by-month",
            {"query": COUNT, "metadata": {"display_name": "By month"}},
        )
        made.told(project, "PUT", "cohorts/buyers", BUYERS)
        asked = {
            **COUNT,
            "event_collection": "visits",
            "filters": [{"operator": "in_cohort", "property_value": "buyers"}],
        }
        tiles = [
            {"id": "a", "type": "visualization", "query": "by-month"},
            {"id": "b", "type": "visualization", "query": asked},
        ]
        made.catalog.dashboards.put(
            project.id, Dashboard("board", "{}"), json.dumps({"title": "Board", "widgets": tiles})
        )
        made.told(
            project,
            "PUT",
            "alerts/few",
            {"saved_query": "by-month", "interval": "daily", "condition": {"below": 1}, "notify": []},
        )
        yield made
    finally:
        made.close()


def readers(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {
        f"{one['kind']}/{one['name']}": [f"{read['kind']}/{read['name']}" for read in one["reads"]]
        for one in answer["readers"]
    }


def test_everything_that_reads_is_listed_with_what_it_names(whole: Whole) -> None:
    answer = whole.told(whole.project, "GET", "lineage")
    assert readers(answer) == {
        "pipeline/monthly": ["collection/revenue", "collection/refunds"],
        "pipeline/revenue": ["collection/purchases"],
        "saved_query/by-month": ["collection/monthly"],
        "cohort/buyers": ["collection/purchases"],
        "dashboard/board": ["saved_query/by-month", "collection/visits", "cohort/buyers"],
        "alert/few": ["saved_query/by-month"],
    }
    assert {one["name"]: one["derived_by"] for one in answer["collections"]} == {
        "monthly": "monthly",
        "purchases": None,
        "refunds": None,
        "revenue": "revenue",
        "stock": None,
        "visits": None,
    }
    assert {one["name"]: one["sources"] for one in answer["collections"] if one["sources"]} == {
        "purchases": ["orders", "tills"],
        "stock": ["stock"],
    }
    shown = {one["name"]: (one["title"], one["owner"], one["into"]) for one in answer["readers"]}
    assert shown["revenue"] == ("Sums of what was paid", "data@shop.example", "revenue")
    assert shown["by-month"] == ("By month", None, None)
    assert shown["board"] == ("Board", None, None)
    urls = {one["name"]: one["url"] for one in answer["readers"]}
    assert urls["board"] == f"/projects/{whole.project.id}/dashboards/board"
    assert urls["by-month"] == f"/3.0/projects/{whole.project.id}/queries/saved/by-month"


def test_what_a_change_of_a_collection_may_touch_is_all_that_follows(whole: Whole) -> None:
    def of(name: str) -> set[str]:
        return set(readers(whole.told(whole.project, "GET", f"lineage?event_collection={name}")))

    below = {"saved_query/by-month", "dashboard/board", "alert/few"}
    assert of("refunds") == {"pipeline/monthly"} | below
    assert of("purchases") == {"pipeline/revenue", "pipeline/monthly", "cohort/buyers"} | below
    assert of("visits") == {"dashboard/board"}
    assert of("nothing") == set()
    of_stock = whole.told(whole.project, "GET", "lineage?event_collection=stock")
    assert of_stock["collections"] == [{"name": "stock", "derived_by": None, "sources": ["stock"]}]
    below_purchases = whole.told(whole.project, "GET", "lineage?event_collection=refunds")
    assert {name for one in below_purchases["collections"] for name in one["sources"]} == set()


def test_keys_that_may_not_list_definitions_see_nothing(whole: Whole) -> None:
    for key in (whole.project.read_key, whole.project.write_key):
        reply = whole.call(whole.project, "GET", "lineage", key=key)
        assert reply.status_code in (401, 403)


def test_a_viewer_sees_what_they_may_see_elsewhere_and_no_pipeline(whole: Whole) -> None:
    viewer, editor = person(whole, "ben", Role.VIEWER), person(whole, "cal", Role.EDITOR)
    seen = viewer.ask(whole.project, "lineage").json()
    kinds = {one.partition("/")[0] for one in readers(seen)}
    assert kinds == {"saved_query", "cohort", "dashboard", "alert"}
    assert [one["sources"] for one in seen["collections"]] == [[]] * len(seen["collections"])
    assert readers(viewer.ask(whole.project, "lineage?event_collection=revenue").json()) == {}
    assert viewer.ask(whole.project, "runs").status_code == 403
    assert "pipeline/revenue" in readers(editor.ask(whole.project, "lineage").json())


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ({"filters": [{"property_value": {"event_collection": "no"}, "operator": "eq"}]}, []),
        (
            {"filters": [{"property_value": {"all": [{"event_collection": "a"}]}, "operator": "in_cohort"}]},
            ["a"],
        ),
        ({"filters": [{"or": [{"operator": "inSegment", "property_value": "b"}]}]}, ["b"]),
        ({"group_by": ["x", {"cohort": "c"}]}, ["c"]),
        (
            {"analysis_type": "retention", "cohort": "weekly", "starting_event": {"event_collection": "s"}},
            ["s"],
        ),
        ({"steps": [{"event_collection": "a"}, {"event_collection": 7}]}, ["a"]),
        ({"all": [{"in_cohort": "d"}, {"not_in_cohort": "e"}]}, ["d", "e"]),
        (None, []),
    ],
)
def test_what_a_definition_reads(part: Any, names: list[str]) -> None:
    assert [one.name for one in read_by(part)] == names
