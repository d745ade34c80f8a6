"""Dashboards: arranged by pointer and by keys, saved through the API."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.clients.pages.conftest import Visiting, Visitor, dismissing
from tests.support.browser import PATIENCE_SECONDS

PATIENCE = PATIENCE_SECONDS * 1000

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


def test_viewers_may_change_what_the_document_says_and_editors_are_told_that_they_may_more(
    board: Visitor, visiting: Visiting
) -> None:
    question = {"analysis_type": "count", "event_collection": "purchases", "timeframe": "this_7_days"}
    widgets = [{"query": {**question, "interval": "daily"}}]
    document = {"title": "Sales", "widgets": widgets, "layout": {"controls": {"timeframe": True}}}
    board.manage("PUT", f"/projects/{board.project.id}/dashboards/sales", document)
    page = board.open("dashboards", "sales")
    page.get_by_role("combobox", name="Interval", exact=True).wait_for()
    page.get_by_text("Viewers can change the timeframe, and not the interval.").wait_for()
    viewer = visiting()
    viewer.enter(board.project.read_key)
    page = viewer.open("dashboards", "sales")
    viewer.drawn()
    assert page.get_by_role("combobox", name="Timeframe", exact=True).count() == 1
    assert page.get_by_role("combobox", name="Interval", exact=True).count() == 0
    assert page.get_by_text("Viewers can change").count() == 0


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


def test_back_and_forward_ask_about_unsaved_changes_too(board: Visitor) -> None:
    page = board.open("dashboards")
    page.get_by_role("link", name="Sales").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_role("heading", name="Data").wait_for()
    page.go_back()
    page.get_by_role("button", name="Add text").click()
    page.get_by_label("Heading").fill("Mine")
    edits = page.url
    asked: list[str] = []
    page.on("dialog", dismissing(asked))
    for turn, way in enumerate(["back", "forward"], 1):
        with page.expect_event("dialog"):
            page.evaluate(f"history.{way}()")
        page.wait_for_url(edits)
        assert asked == ["Leave without saving your changes?"] * turn
        expect(page.get_by_label("Heading")).to_have_value("Mine")
    # The link that skips the menu leaves nothing.
    page.get_by_role("link", name="Skip to the page").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(edits + "#main")
    page.go_back()
    page.wait_for_url(edits)
    assert len(asked) == 2
    expect(page.get_by_label("Heading")).to_have_value("Mine")


def test_back_leaves_unsaved_changes_once_that_is_confirmed(board: Visitor) -> None:
    page = board.open("dashboards", "sales")
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("button", name="Add text").click()
    page.get_by_role("button", name="Discard").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    page.go_back()
    page.get_by_role("button", name="Share").wait_for()
    page.go_forward()
    page.get_by_role("button", name="Close").wait_for()


def test_after_saving_it_is_shown_as_after_a_reload(board: Visitor) -> None:
    question = {"analysis_type": "count", "event_collection": "purchases", "timeframe": "this_1_days"}
    document = {"title": "Sales", "widgets": [{"query": {**question, "timezone": "UTC"}}]}
    board.manage("PUT", f"/projects/{board.project.id}/dashboards/sales", document)
    page = board.open("dashboards", "sales")
    for frame, said, count in (
        ("this_30_days", "Last 30 days", "5"),
        ("today", "Today", "1"),
    ):
        page.get_by_role("link", name="Edit").click()
        page.get_by_label("Viewers may change the timeframe").check()
        page.get_by_label("Timeframe at first").select_option(frame)
        page.get_by_role("button", name="Save", exact=True).click()
        for look in ("saved", "reloaded"):
            shown = page.locator("acumen-dashboard")
            shown.locator("acumen-chart").get_by_text(count, exact=True).first.wait_for()
            control = shown.get_by_role("combobox", name="Timeframe", exact=True)
            text = control.evaluate("(one) => one.selectedOptions[0].text")
            assert text.startswith(said), (frame, look)
            page.reload()


def test_a_dashboard_is_deleted_once_that_is_confirmed(board: Visitor) -> None:
    page = board.open("dashboards")
    page.get_by_role("button", name="Delete sales").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("heading", name="No dashboard yet").wait_for()
    assert board.manage("GET", f"/projects/{board.project.id}/dashboards/metadata") == []


def document_of(board: Visitor) -> dict[str, Any]:
    document: dict[str, Any] = board.manage("GET", f"/projects/{board.project.id}/dashboards/sales")
    return document


def test_titles_types_and_pictures_are_set_for_each_tile(board: Visitor) -> None:
    page = edited(board)
    page.get_by_role("button", name="Settings of Second").click()
    page.get_by_role("textbox", name="Title", exact=True).fill("Renamed")
    page.get_by_label("Type of chart").select_option("bar")
    page.get_by_role("button", name="Take over").click()
    page.get_by_role("region", name="Renamed").wait_for()
    page.get_by_role("button", name="Add image").click()
    page.get_by_role("button", name="Settings of Image").last.click()
    page.get_by_label("What the picture shows").fill("Logo")
    page.get_by_label("Address of the picture").fill(f"{board.served.url}/pages/icon.svg")
    page.get_by_role("button", name="Take over").click()
    page.get_by_role("region", name="Logo").get_by_role("img", name="Logo").wait_for()
    widgets = {one.get("title"): one for one in stored(board)["widgets"]}
    assert widgets["Renamed"]["type"] == "bar"
    assert widgets["Logo"]["settings"]["link"].endswith("/pages/icon.svg")


def test_a_widget_of_keens_editor_keeps_its_kind(board: Visitor) -> None:
    widget = {"id": "k", "type": "visualization", "query": "orders", "title": "Keen's", "settings": {"a": 1}}
    document = {"title": "Sales", "widgets": [{**widget, "position": {"x": 0, "y": 0, "w": 6, "h": 8}}]}
    board.manage("PUT", f"/projects/{board.project.id}/dashboards/sales", document)
    page = board.open("dashboards", "sales", query="?edit=1")
    page.get_by_role("button", name="Settings of Keen's").click()
    page.get_by_label("Type of chart").select_option("line")
    page.get_by_role("button", name="Take over").click()
    [kept] = stored(board)["widgets"]
    assert kept["type"] == "visualization"
    assert kept["settings"] == {"a": 1, "visualizationType": "line"}


def test_controls_for_all_tiles_and_what_they_start_with(board: Visitor) -> None:
    page = edited(board)
    page.get_by_label("Viewers may change the timeframe").check()
    page.get_by_label("Timeframe at first").select_option("this_7_days")
    page.get_by_label("Viewers may change the interval").check()
    page.get_by_role("combobox", name="Add a filter for viewers").fill("country")
    page.keyboard.press("Enter")
    page.get_by_role("combobox", name="Value of country at first").click()
    page.get_by_role("option", name="DE 3").click()
    assert stored(board)["layout"]["controls"] == {
        "timeframe": True,
        "interval": True,
        "filters": ["country"],
        "start": {
            "timeframe": "this_7_days",
            "filters": [{"property_name": "country", "operator": "eq", "property_value": "DE"}],
        },
    }
    # Of five purchases in these days three are German.
    shown = page.locator("acumen-dashboard")
    shown.locator("acumen-chart").first.get_by_text("3", exact=True).first.wait_for()
    shown.get_by_role("combobox", name="country").fill("")
    page.keyboard.press("Enter")
    shown.locator("acumen-chart").first.get_by_text("5", exact=True).first.wait_for()


def test_two_who_edit_do_not_lose_the_others_work(board: Visitor) -> None:
    page = edited(board)
    page.get_by_label("Title of the dashboard").fill("Mine")
    path = f"/projects/{board.project.id}/dashboards/sales"
    board.manage("PUT", path, {"title": "Theirs", "widgets": WIDGETS})
    page.get_by_role("button", name="Save", exact=True).click()
    said = page.get_by_role("alert").filter(has_text="Somebody else has changed this dashboard")
    said.wait_for()
    board.forget("412 (Precondition Failed)")
    assert document_of(board)["title"] == "Theirs"
    said.get_by_role("button", name="Load theirs").click()
    expect(page.get_by_label("Title of the dashboard")).to_have_value("Theirs", timeout=PATIENCE)
    page.get_by_label("Title of the dashboard").fill("Mine again")
    board.manage("PUT", path, {"title": "Theirs again", "widgets": WIDGETS})
    # It is seen when the window is looked at again, too.
    page.evaluate("dispatchEvent(new Event('focus'))")
    said.get_by_role("button", name="Overwrite theirs").click()
    page.get_by_text("The dashboard is saved.").wait_for()
    assert document_of(board)["title"] == "Mine again"


def test_a_question_goes_on_a_dashboard_without_being_saved(board: Visitor) -> None:
    page = board.explore(analysis_type="sum", target_property="price", event_collection="purchases")
    board.drawn()
    page.get_by_role("button", name="Add to a dashboard").click()
    page.get_by_role("dialog").get_by_label("Dashboard", exact=True).select_option("sales")
    page.get_by_role("button", name="Add it").click()
    page.get_by_text("It is on “sales”.").wait_for()
    added = document_of(board)["widgets"][-1]
    assert (added["query"]["analysis_type"], added["title"]) == ("sum", "Sum of price in purchases")
    page = edited(board)
    tile = page.get_by_role("region", name="Sum of price in purchases")
    tile.locator("svg.acumen-drawing").get_by_text("125.5").first.wait_for()
    # With one click it is a saved query, by which the tile goes on.
    page.get_by_role("button", name="Settings of Sum of price in purchases").click()
    page.get_by_role("button", name="Save it under a name").click()
    page.get_by_role("dialog").wait_for(state="detached")
    names = [one.get("query") for one in stored(board)["widgets"]]
    assert "sum-of-price-in-purchases" in names


def test_a_saved_query_goes_on_a_new_dashboard_by_its_name(board: Visitor) -> None:
    page = board.open("saved")
    page.get_by_role("link", name="Orders").click()
    board.drawn()
    page.get_by_role("button", name="Add to a dashboard").click()
    page.get_by_role("dialog").get_by_label("Dashboard", exact=True).select_option("A new one")
    page.get_by_label("Title of the new dashboard").fill("Second")
    page.get_by_role("button", name="Add it").click()
    page.get_by_text("It is on “Second”.").wait_for()
    listed = board.manage("GET", f"/projects/{board.project.id}/dashboards/metadata")
    [made] = [one["id"] for one in listed if one["title"] == "Second"]
    [widget] = board.manage("GET", f"/projects/{board.project.id}/dashboards/{made}")["widgets"]
    assert widget["query"] == "orders"


def test_a_tile_leads_to_the_explorer(board: Visitor) -> None:
    page = board.open("dashboards", "sales")
    page.get_by_text("Explore a tile").click()
    page.get_by_role("link", name="Second").click()
    board.drawn()
    assert board.question()["event_collection"] == "purchases"


def test_it_fills_the_screen_by_button_and_key(board: Visitor) -> None:
    page = board.open("dashboards", "sales")
    board.drawn()
    page.get_by_role("button", name="Full screen").click()
    page.locator(".looking:fullscreen").wait_for()
    page.evaluate("document.exitFullscreen()")
    page.locator(".looking:not(:fullscreen)").wait_for()
    page.get_by_role("heading", name="Sales").click()
    page.keyboard.press("f")
    page.locator(".looking:fullscreen").wait_for()
    page.keyboard.press("f")
    page.locator(".looking:not(:fullscreen)").wait_for()


def test_how_often_it_is_asked_again_is_kept(board: Visitor) -> None:
    page = board.open("dashboards", "sales")
    page.get_by_text("Asked at").wait_for()
    page.get_by_label("How often the dashboard is asked again").select_option("60")
    page.reload()
    page.get_by_text("Asked at").wait_for()
    assert page.get_by_label("How often the dashboard is asked again").input_value() == "60"


def test_a_board_is_arranged_on_a_phone_in_a_list(board: Visitor) -> None:
    page = board.page
    page.set_viewport_size({"width": 390, "height": 844})
    board.open("dashboards", "sales", query="?edit=1")
    page.get_by_role("button", name="Orders down").click()
    page.get_by_role("status").filter(has_text="Orders is below its neighbour.").wait_for()
    page.get_by_label("Width of Second").select_option("12")
    document = stored(board)
    found = places(document)
    assert found["b"][2] == 12
    assert sorted(found, key=lambda one: (found[one][1], found[one][0])) == ["b", "a", "c"]


def test_types_of_tiles_have_the_names_of_the_explorer(board: Visitor) -> None:
    page = board.explore(analysis_type="count", event_collection="purchases")
    board.drawn()
    names = "(one) => [...one.options].map(({ text }) => text)"
    explorers = page.get_by_role("combobox", name="Type of chart").evaluate(names)
    page = edited(board)
    page.get_by_role("button", name="Settings of Orders").click()
    assert page.get_by_label("Type of chart").evaluate(names) == explorers
    assert "Stacked bars" in explorers


def test_tiles_say_which_parts_the_timeframe_cuts_and_which_days_it_is(board: Visitor) -> None:
    frame = {"start": "2026-03-03T00:00:00+01:00", "end": "2026-03-31T00:00:00+02:00"}
    question = {"analysis_type": "count", "event_collection": "purchases", "timeframe": frame}
    asked = {**question, "timezone": "Europe/Berlin"}
    widgets = [{"query": {**asked, "interval": name}, "title": name} for name in ("weekly", "daily")]
    board.manage("PUT", f"/projects/{board.project.id}/dashboards/sales", {"widgets": widgets})
    page = board.open("dashboards", "sales")
    said = page.get_by_text("The first week begins on Tuesday")
    said.wait_for()
    assert said.inner_text() == (
        "The first week begins on Tuesday 3 March: it holds 5 of 7 days. "
        "The last week ends on Monday 30 March: it holds 2 of 7 days."
    )
    page.get_by_text("3 Mar – 30 Mar 2026 · Days are those of Europe/Berlin.").wait_for()
    assert page.get_by_text("it holds").count() == 1
    card = page.locator("acumen-dashboard [part=card]").first.bounding_box()
    line = said.bounding_box()
    assert line["y"] + line["height"] <= card["y"] + card["height"]


def test_a_dashboard_says_in_which_zone_its_days_are_and_which_tiles_differ(board: Visitor) -> None:
    question = {"analysis_type": "count", "event_collection": "purchases", "timeframe": "this_7_days"}
    funnel = {
        "analysis_type": "funnel",
        "steps": [
            {"event_collection": "visits", "actor_property": "user.id", "timeframe": "this_7_days"},
            {"event_collection": "purchases", "actor_property": "user.id", "timeframe": "this_7_days"},
        ],
    }
    widgets: list[dict[str, Any]] = [
        {"query": {**question, "timezone": "Europe/Berlin"}, "title": "First"},
        {"query": {**question, "timezone": "Europe/Berlin", "interval": "daily"}, "title": "Second"},
        {"query": "orders"},
        {"query": funnel, "title": "Way"},
        {"query": {"analysis_type": "count", "event_collection": "purchases"}, "title": "Ever"},
        {"query": {**question, "timezone": "Asia/Tokyo"}, "title": "Third"},
    ]
    path = f"/projects/{board.project.id}/dashboards/sales"
    board.manage("PUT", path, {"title": "Sales", "widgets": widgets[:2]})
    page = board.open("dashboards", "sales")
    page.get_by_role("status").filter(has_text="Days are those of Europe/Berlin.").wait_for()
    board.manage("PUT", path, {"title": "Sales", "widgets": [*widgets, {**widgets[0], "title": "Fourth"}]})
    page.reload()
    said = "Days are those of Europe/Berlin; in “Orders”, “Way” those of UTC; in “Third” those of Asia/Tokyo."
    page.get_by_role("status").filter(has_text=said).wait_for()
