"""Dashboards: arranged by pointer and by keys, saved through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.pages.conftest import Visitor, dismissing

WIDGETS: list[dict[str, Any]] = [
    {"id": "a", "query": "orders", "position": {"x": 0, "y": 0, "w": 6, "h": 8}, "mine": {"kept": True}},
    {"id": "b", "query": "orders", "title": "Second", "position": {"x": 6, "y": 0, "w": 6, "h": 8}},
    {"id": "c", "type": "image", "settings": {"link": "x"}, "position": {"x": 0, "y": 8, "w": 12, "h": 4}},
]


@pytest.fixture
def board(shop: Visitor) -> Visitor:
    shop.save("orders", "Orders", analysis_type="count", event_collection="purchases", timeframe="today")
    document = {"title": "Sales", "version": "x", "widgets": WIDGETS}
    shop.manage("PUT", f"/projects/{shop.project.id}/dashboards/sales", document)
    return shop


def edited(board: Visitor) -> Any:
    page = board.open("dashboards", "sales", query="?edit=1")
    page.get_by_role("region", name="Orders").wait_for()
    return page


def stored(board: Visitor) -> dict[str, Any]:
    board.page.get_by_role("button", name="Save", exact=True).click()
    board.page.get_by_text("The dashboard is saved.").wait_for()
    document: dict[str, Any] = board.manage("GET", f"/projects/{board.project.id}/dashboards/sales")
    return document


def places(document: dict[str, Any]) -> dict[str, list[int]]:
    return {one["id"]: [one["position"][side] for side in "xywh"] for one in document["widgets"]}


def test_tiles_are_moved_and_resized_by_keys(board: Visitor) -> None:
    page = edited(board)
    handle = page.get_by_role("button", name="Orders", exact=True)
    handle.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.get_by_role("status").filter(has_text="Orders: column 1, row 1, 5 wide, 9 high.").wait_for()
    page.keyboard.press("ArrowRight")
    # It is in the way of its neighbour, which goes below.
    page.get_by_role("status").filter(has_text="Orders: column 2, row 1, 5 wide, 9 high.").wait_for()
    assert handle.evaluate("(one) => one === document.activeElement")
    document = stored(board)
    assert places(document) == {"a": [1, 0, 5, 9], "b": [6, 0, 6, 8], "c": [0, 9, 12, 4]}
    assert document["version"] == "x" and document["title"] == "Sales"
    kept = {one["id"]: one for one in document["widgets"]}
    assert kept["a"]["mine"] == {"kept": True} and kept["c"]["settings"] == {"link": "x"}


def test_a_tile_goes_past_its_neighbours_by_keys(board: Visitor) -> None:
    page = edited(board)
    page.get_by_role("button", name="Orders", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("status").filter(has_text="Orders: column 1, row 5").wait_for()
    assert places(stored(board)) == {"a": [0, 4, 6, 8], "b": [6, 4, 6, 8], "c": [0, 0, 12, 4]}


def test_tiles_are_dragged_and_resized_by_pointer(board: Visitor) -> None:
    page = edited(board)
    handle = page.get_by_role("button", name="Second", exact=True).bounding_box()
    page.mouse.move(handle["x"] + 20, handle["y"] + 10)
    page.mouse.down()
    page.mouse.move(handle["x"] - 400, handle["y"] + 10, steps=4)
    page.mouse.move(handle["x"] - 700, handle["y"] + 10, steps=4)
    page.mouse.up()
    page.get_by_role("status").filter(has_text="Second: column 1, row 1").wait_for()
    corner = page.get_by_role("region", name="Second").locator(".corner").bounding_box()
    page.mouse.move(corner["x"] + 8, corner["y"] + 8)
    page.mouse.down()
    page.mouse.move(corner["x"] + 8, corner["y"] + 8 + 60, steps=3)
    page.mouse.up()
    page.get_by_role("status").filter(has_text="6 wide, 10 high").wait_for()
    found = places(stored(board))
    assert found["b"] == [0, 0, 6, 10]
    assert found["a"] == [0, 10, 6, 8]


def test_tiles_are_added_written_and_removed(board: Visitor) -> None:
    page = edited(board)
    page.get_by_role("button", name="Add text").click()
    page.get_by_label("Heading").fill("<b>About</b>")
    page.get_by_label("Text").fill("All sums are gross.")
    page.get_by_role("combobox", name="Add a chart of a saved query").click()
    page.get_by_role("option", name="orders").click()
    page.get_by_role("button", name="Remove Second").click()
    page.get_by_label("Title of the dashboard").fill("Sales of today")
    page.get_by_label("Viewers may change the timeframe").check()
    document = stored(board)
    assert [one.get("type", one.get("query")) for one in document["widgets"]].count("orders") == 2
    assert "b" not in places(document)
    assert document["title"] == "Sales of today"
    assert document["layout"]["controls"]["timeframe"] is True
    metadata = board.manage("GET", f"/projects/{board.project.id}/dashboards/sales/metadata")
    assert (metadata["title"], metadata["widgets"]) == ("Sales of today", 4)
    # and is shown as text
    board.page.locator("acumen-dashboard .words h2").get_by_text("<b>About</b>").wait_for()


def test_leaving_with_unsaved_changes_is_asked_about(board: Visitor) -> None:
    page = edited(board)
    asked: list[str] = []
    page.on("dialog", dismissing(asked))
    page.get_by_role("button", name="Add text").click()
    page.get_by_role("button", name="Discard").wait_for()
    page.get_by_role("link", name="Data").click()
    assert asked == ["Leave without saving your changes?"]
    assert page.get_by_role("button", name="Add text").is_visible()


def test_a_dashboard_is_deleted_once_that_is_confirmed(board: Visitor) -> None:
    page = board.open("dashboards")
    page.get_by_role("button", name="Delete sales").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("heading", name="No dashboard yet").wait_for()
    assert board.manage("GET", f"/projects/{board.project.id}/dashboards/metadata") == []
