"""The pages of pipelines: the graph and the list, one pipeline, its buckets, and what reads what."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.pages.conftest import Visiting, Visitor
from tests.clients.pages.sources import called
from tests.support.axe import serious
from tests.support.server import START_SECONDS, Served, ServedProject

FAST = {"ACUMEN_FLUSH_SECONDS": "0.3", "ACUMEN_RUN_WORKERS": "1", "ACUMEN_RUN_IDLE_SECONDS": "600"}
PIPELINES = """
owner = "data@shop.example"

[masks.paid]
filters = [{ property_name = "paid", operator = "eq", property_value = true }]

[pipelines.orders]
from = "purchases"
into = "orders_clean"
description = "Paid orders"
timezone = "Europe/Berlin"
steps = [{ mask = "paid" }, { compute = { total = "price * 2" } }]

[pipelines.revenue]
from = ["orders_clean", "refunds"]
into = "revenue"
owner = "finance@shop.example"
steps = [{ aggregate = { values = { total = { sum = "total" } } } }]
columns = { total = "number" }

[pipelines.texts]
from = "visits"
into = "numbers"
steps = [{ parse = { column = "text", to = "number", on_error = "fail" } }]
columns = { text = "string" }
"""
DAYS = [f"2026-10-{day:02d}" for day in range(1, 11)]
GRAPH = "Graph of collections and pipelines"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server that has events in files soon."""
    with Served(env=FAST) as own:
        yield own


@pytest.fixture
def project(served: Served) -> ServedProject:
    return served.new_project()


@pytest.fixture
def derived(visitor: Visitor) -> Visitor:
    """The owner of a project whose pipelines have run: one of them fails."""
    served, project = visitor.served, visitor.project
    at = [{"timestamp": f"{day}T12:00:00Z"} for day in DAYS]
    served.record(project, "purchases", *({"price": 5, "paid": True, "keen": keen} for keen in at))
    served.record(project, "visits", {"text": "seven", "keen": at[0]})
    visitor.manage("POST", _path(visitor, "apply"), {"file": PIPELINES, "revision": "4f2a9c1"})
    until(lambda: states(visitor) == {"orders": "fresh", "revenue": "fresh", "texts": "failed"})
    return visitor


def _path(visitor: Visitor, *parts: str) -> str:
    return "/".join([f"/3.0/projects/{visitor.project.id}/pipelines", *parts])


def states(visitor: Visitor) -> dict[str, str]:
    """The health of those that have derived or failed something."""
    listed = visitor.manage("GET", f"/3.0/projects/{visitor.project.id}/pipelines")
    return {one["name"]: one["health"] for one in listed if any(one["buckets"].values()) and not one["due"]}


def until(holds: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_who_has_none_is_told_how_to_begin(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_role("link", name="Pipelines", exact=True).click()
    page.get_by_role("heading", name="Pipelines", exact=True).wait_for()
    page.get_by_text("No pipeline yet").wait_for()
    assert "acumen apply" in page.get_by_label("commands", exact=True).inner_text()
    assert page.get_by_role("link", name="over HTTP").is_visible()


def test_all_are_seen_as_a_graph_and_as_a_list(derived: Visitor) -> None:
    page = derived.open("pipelines")
    graph = page.get_by_role("group", name=GRAPH)
    graph.get_by_role("button", name="pipeline texts: failed, 1 bucket").wait_for()
    assert graph.get_by_role("button").count() == 9
    page.get_by_role("status").filter(has_text="1 failed").filter(has_text="2 fresh").wait_for()
    rows = page.get_by_role("group", name="List of pipelines").get_by_role("row")
    first = rows.nth(1).inner_text()
    assert "texts" in first and "failed" in first and "Could not convert" in first
    assert "finance@shop.example" in page.get_by_role("row", name="revenue").inner_text()
    page.get_by_role("button", name="Rows", exact=True).click()
    assert page.get_by_role("columnheader", name="Rows").get_attribute("aria-sort") == "descending"
    assert rows.nth(1).get_by_role("rowheader").inner_text().startswith("orders")
    page.get_by_label("Search pipelines").fill("finance")
    page.get_by_text("2 pipelines").wait_for()
    assert graph.get_by_role("button").count() == 6
    page.get_by_label("Search pipelines").fill("nothing like it")
    page.get_by_text("Nothing is called “nothing like it”.").wait_for()


def test_by_keys_alone_one_is_reached_and_what_is_up_and_downstream_shown(derived: Visitor) -> None:
    page = derived.open("pipelines")
    graph = page.get_by_role("group", name=GRAPH)
    graph.get_by_role("button", name="collection visits").wait_for()
    # One stop for Tab in the whole graph.
    assert graph.locator("[tabindex='0']").count() == 1
    graph.get_by_role("button", name="collection purchases").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.id") == "pipeline/orders"
    page.keyboard.press("Enter")
    page.get_by_text("Up- and downstream of pipeline orders: 2 pipelines.").wait_for()
    assert graph.get_by_role("button", name="pipeline orders").get_attribute("aria-pressed") == "true"
    graph.get_by_role("button", name="collection visits").wait_for(state="detached")
    assert page.evaluate("document.activeElement.dataset.id") == "pipeline/orders"
    page.get_by_role("button", name="Show all").click()
    graph.get_by_role("button", name="collection visits").wait_for()
    graph.get_by_role("button", name="pipeline revenue").click()
    page.get_by_role("link", name="Open revenue").click()
    page.get_by_role("heading", name="revenue", exact=True).wait_for()


def test_one_pipeline_tells_all_of_itself(derived: Visitor) -> None:
    derived.save(
        "by-day", "Revenue by day", analysis_type="count", event_collection="revenue", timeframe="this_7_days"
    )
    page = derived.open("pipelines", "orders")
    page.get_by_text("Paid orders").wait_for()
    for text in ("data@shop.example", "one for each day, Europe/Berlin", "4f2a9c1"):
        assert page.get_by_text(text).first.is_visible()
    page.get_by_role("img", name="10 buckets: 10 fresh").wait_for()
    page.get_by_role("row", name="Sat, 10 Oct 2026 fresh 1 1").wait_for()
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("row", name="Sat, 10 Oct 2026 done").first.wait_for()
    page.get_by_role("tab", name="Steps").click()
    page.get_by_text("total = price * 2").wait_for()
    assert page.get_by_text("paid eq true").is_visible()
    page.get_by_role("tab", name="Lineage").click()
    downstream = page.get_by_role("region", name="What reads orders_clean")
    downstream.get_by_role("link", name="revenue", exact=True).wait_for()
    assert page.get_by_role("region", name="Upstream").get_by_role("link", name="purchases").is_visible()
    downstream.get_by_role("link", name="Revenue by day").click()
    page.get_by_role("heading", name="Revenue by day").wait_for()


def test_buckets_are_chosen_counted_frozen_and_derived_again(derived: Visitor) -> None:
    page = derived.open("pipelines", "orders")
    cells = page.locator(".cell")
    cells.filter(has_text="7 Oct").click()
    cells.filter(has_text="9 Oct").click()
    page.get_by_role("button", name="Change what is chosen").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What is done").select_option("frozen")
    assert dialog.get_by_label("First").input_value() == "2026-10-07"
    assert dialog.get_by_label("Last").input_value() == "2026-10-09"
    dialog.get_by_text("This touches 3 buckets.").wait_for()
    dialog.get_by_role("button", name="Freeze 3 buckets").click()
    page.get_by_role("img", name="7 fresh, 3 frozen").wait_for()
    page.get_by_text("3 buckets of orders: frozen.").wait_for()
    page.get_by_role("button", name="Change buckets").click()
    dialog.get_by_text("This touches all 10 buckets.").wait_for()
    dialog.get_by_label("Last").fill("2026-09-01")
    dialog.get_by_text("There is no bucket in this time.").wait_for()
    dialog.get_by_label("Last").fill("2026-10-09")
    dialog.get_by_label("First").fill("2026-10-10")
    dialog.get_by_text("It is before the first.").wait_for()
    dialog.get_by_label("First").fill("2026-10-08")
    dialog.get_by_role("button", name="Derive 2 buckets").click()
    # Without anybody asking anew.
    page.get_by_role("img", name="9 fresh, 1 frozen").wait_for()
    entries = derived.manage("GET", f"/3.0/projects/{derived.project.id}/audit?limit=5")
    assert "buckets" in entries[0]["action"]


def test_a_pipeline_is_paused_and_resumed(derived: Visitor) -> None:
    page = derived.open("pipelines", "orders")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.locator(".facts-of").get_by_text("paused").wait_for()
    page.get_by_role("button", name="Change buckets").click()
    page.get_by_text("nothing is derived until it is resumed").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()


def test_what_failed_says_why_and_what_is_not_there_is_said_so(derived: Visitor) -> None:
    page = derived.open("pipelines", "texts")
    page.get_by_text("The newest bucket that failed says:").wait_for()
    page.locator(".problem").get_by_text("Could not convert").wait_for()
    page.get_by_label("State of the buckets").select_option("frozen")
    page.get_by_text("There is none.").wait_for()
    page = derived.open("pipelines", "nothing")
    page.get_by_role("alert").filter(has_text="nothing").wait_for()
    derived.forget("status of 404")


def test_what_reads_a_collection_stands_on_its_page(derived: Visitor) -> None:
    page = derived.open("data", "purchases")
    page.get_by_role("tab", name="What reads it").click()
    page.get_by_text("reads it directly, fills orders_clean").wait_for()
    page.get_by_text("by way of collection orders_clean, fills revenue").wait_for()
    page.get_by_role("link", name="orders", exact=True).click()
    page.get_by_role("heading", name="orders", exact=True).wait_for()
    page = derived.open("data", "revenue")
    page.get_by_role("tab", name="What reads it").click()
    page.get_by_text("No definition names this collection.").wait_for()


def test_who_may_not_edit_sees_none(derived: Visitor, visiting: Visiting) -> None:
    reader = visiting()
    reader.enter(derived.project.read_key)
    page = reader.open("pipelines")
    page.get_by_role("heading", name="Pipelines are for editors").wait_for()
    assert page.get_by_role("link", name="Pipelines", exact=True).count() == 0
    reader.open("pipelines", "orders").get_by_role("heading", name="Pipelines are for editors").wait_for()
    page = reader.open("data", "purchases")
    page.get_by_role("tab", name="Newest events").wait_for()
    assert page.get_by_role("tab", name="What reads it").count() == 0


@pytest.mark.parametrize(
    "options",
    [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}}],
    ids=["light", "dark", "phone"],
)
def test_everybody_can_use_them(derived: Visitor, visiting: Visiting, options: dict[str, Any]) -> None:
    visitor = visiting(**options)
    visitor.enter()
    page = visitor.open("pipelines", query="?of=pipeline%2Forders")
    page.get_by_text("Up- and downstream").wait_for()
    assert serious(page) == []
    page = visitor.open("pipelines", "orders")
    for tab in ("Runs", "Steps", "Lineage", "Buckets"):
        page.get_by_role("tab", name=tab).click()
        page.locator("main .loading").first.wait_for(state="detached")
        assert (tab, serious(page)) == (tab, [])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Change buckets").click()
    page.get_by_text("This touches").wait_for()
    assert serious(page) == []


def test_a_graph_of_hundreds_has_its_nodes_apart_and_from_left_to_right() -> None:
    edges = [[f"c{at % 40}", f"p{at}"] for at in range(300)] + [[f"p{at}", f"d{at}"] for at in range(300)]
    edges += [[f"d{at}", f"p{at + 150}"] for at in range(150)]
    names = {name for edge in edges for name in edge}
    nodes = [
        {"id": name, "name": name, "kind": "pipeline" if name[0] == "p" else "collection"}
        for name in sorted(names)
    ]
    (drawing,) = called("pages/pipelines/graph_model.ts", "drawn", [{"nodes": nodes, "edges": edges}])
    placed = {one["id"]: one for one in drawing["nodes"]}
    assert placed.keys() == names
    assert all(placed[a]["x"] + placed[a]["width"] < placed[b]["x"] for a, b in edges)
    for layer in range(5):
        tops = sorted((one["y"], one["height"]) for one in placed.values() if one["layer"] == layer)
        assert all(y + height <= after for (y, height), (after, _) in itertools.pairwise(tops))
    assert all(one["y"] >= 0 and one["y"] + one["height"] <= drawing["height"] for one in placed.values())


def test_buckets_stand_in_a_calendar_of_their_zone() -> None:
    def slots(*starts: str) -> list[dict[str, str]]:
        return [{"start": start} for start in starts]

    # Newest first: Monday 2 November and Sunday 1 November in Berlin; hours of two days; months of two years.
    days, hours, months = called(
        "pages/pipelines/calendar.ts",
        "calendarOf",
        [slots("2026-11-01T23:00:00Z", "2026-10-31T23:00:00Z"), "day", "Europe/Berlin"],
        [slots("2026-11-02T00:00:00Z", "2026-11-01T22:00:00Z"), "hour", "Europe/Berlin"],
        [slots("2027-01-01T00:00:00Z", "2026-11-01T00:00:00Z"), "month", "UTC"],
    )

    def places(calendar: dict[str, Any]) -> list[tuple[int, int]]:
        return [(one["column"], one["row"]) for one in calendar["cells"]]

    assert places(days) == [(1, 0), (0, 6)]
    assert places(hours) == [(1, 1), (23, 0)]
    assert places(months) == [(0, 1), (10, 0)]
    assert [one["text"] for one in months["labels"]] == ["2026", "2027"]


def test_chosen_days_and_hours_are_those_of_the_pipelines_zone() -> None:
    zone = "Europe/Berlin"
    days, hours, opened = called(
        "pages/pipelines/calendar.ts",
        "spanOf",
        ["2026-10-25", "2026-10-25", "day", zone],
        ["2026-01-01T05:00", "2026-01-01T06:00", "hour", zone],
        ["", "", "day", zone],
    )
    assert days == {"since": "2026-10-25T00:00:00+02:00", "until": "2026-10-26T00:00:00+01:00"}
    assert hours == {"since": "2026-01-01T04:00:00.000Z", "until": "2026-01-01T06:00:00.000Z"}
    assert opened == {"since": None, "until": None}
