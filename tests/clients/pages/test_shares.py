"""Sharing a dashboard: the dialog, what strangers see by a link or in a frame, and its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.clients.pages.conftest import Visiting, Visitor

QUESTION = {
    "analysis_type": "count",
    "event_collection": "purchases",
    "group_by": "country",
    "timeframe": "this_14_days",
}
WIDGETS: list[dict[str, Any]] = [
    {"id": "a", "query": "orders", "type": "metric", "position": {"x": 0, "y": 0, "w": 4, "h": 8}},
    {"id": "b", "query": QUESTION, "title": "Places", "position": {"x": 4, "y": 0, "w": 8, "h": 11}},
]
GONE = "This dashboard is no longer available."


@pytest.fixture
def board(shop: Visitor) -> Visitor:
    shop.save("orders", "Orders", analysis_type="count", event_collection="purchases", timeframe="today")
    put(shop, WIDGETS)
    return shop


def put(board: Visitor, widgets: list[dict[str, Any]]) -> None:
    document = {"title": "Sales", "widgets": widgets, "layout": {"controls": {"timeframe": True}}}
    board.manage("PUT", f"/projects/{board.project.id}/dashboards/sales", document)


def shares(board: Visitor) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = board.manage("GET", f"/projects/{board.project.id}/dashboards/sales/shares")
    return found


def opened(board: Visitor) -> Any:
    page = board.open("dashboards", "sales")
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("dialog").wait_for()
    return page


def numbers(page: Any) -> Any:
    return page.locator("acumen-chart").first.locator("svg.acumen-drawing")


@contextmanager
def site_with(html: str) -> Iterator[str]:
    """Another site, whose only page has this in it; gives its address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><title>Elsewhere</title><link rel=icon href=data:,>{html}".encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_link_is_made_copied_and_opened_by_a_stranger(board: Visitor, visiting: Visiting) -> None:
    page = opened(board)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("For whom, or where").fill("Partners")
    page.get_by_role("button", name="Make a link").click()
    line = page.get_by_role("list", name="Links that work").get_by_role("listitem")
    line.get_by_text("Partners", exact=True).wait_for()
    page.get_by_role("button", name="Copy link Partners").click()
    line.get_by_text("Copied").wait_for()
    [share] = shares(board)
    assert page.evaluate("navigator.clipboard.readText()") == share["link"]
    page.get_by_role("button", name="Copy frame of Partners").click()
    page.get_by_role("button", name="Copy frame of Partners").get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == share["iframe"]
    stranger = visiting().page
    stranger.goto(share["link"])
    stranger.get_by_text("Sales", exact=True).wait_for()
    numbers(stranger).get_by_text("1", exact=True).first.wait_for()
    # A tile with a question of its own is shown too.
    stranger.locator("acumen-chart").nth(1).locator("svg.acumen-drawing").get_by_text("PL").wait_for()


def test_a_linked_dashboard_fills_the_window_and_its_tiles_their_places(
    board: Visitor, visiting: Visiting
) -> None:
    made = board.manage("POST", f"/projects/{board.project.id}/dashboards/sales/shares", {"name": "x"})
    page = visiting(viewport={"width": 1200, "height": 900}).page
    page.goto(made["link"])
    numbers(page).wait_for()
    assert page.locator("acumen-dashboard [role=group].root").first.bounding_box()["height"] == 900
    places = page.locator("acumen-chart").evaluate_all(
        """(charts) => charts.map((one) => {
          const root = one.shadowRoot.querySelector("[part~=root]");
          return [root.getBoundingClientRect().height, one.parentElement.getBoundingClientRect().height];
        })"""
    )
    assert [chart <= card for chart, card in places] == [True, True], places


def test_options_say_what_a_link_allows(board: Visitor) -> None:
    page = opened(board)
    page.get_by_label("For whom, or where").fill("Shop")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Viewers may change").select_option("chosen")
    page.get_by_label("The interval").check()
    page.get_by_label("Filters on these properties").fill("country, plan")
    page.get_by_label("Ends").select_option("7")
    page.get_by_label("Sites that may show it in a frame").fill("https://shop.example")
    page.get_by_role("button", name="+ Filter").click()
    page.get_by_role("button", name="Make a link").click()
    page.get_by_role("alert").filter(has_text="Finish each filter").wait_for()
    assert shares(board) == []
    page.get_by_role("combobox", name="Property to filter by").fill("price")
    page.keyboard.press("Enter")
    page.get_by_label("Comparison").select_option(label="is above")
    page.get_by_role("combobox", name="Value", exact=True).click()
    page.locator(".combo [role=option]", has_text="30").wait_for()
    page.get_by_role("combobox", name="Value", exact=True).fill("10")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_text("not used yet").wait_for()
    [share] = shares(board)
    assert share["viewer"] == {"timeframe": True, "interval": True, "filters": ["country", "plan"]}
    assert share["origins"] == ["https://shop.example"]
    assert share["filters"] == [{"property_name": "price", "operator": "gt", "property_value": 10}]
    assert share["expires_at"] is not None
    line = page.get_by_role("list", name="Links that work").get_by_role("listitem").inner_text()
    assert "Shows only events for which price is above 10" in line
    assert "viewers may change the timeframe, the interval, filters on country, plan" in line
    assert " · ends " in line
    assert "may be framed by https://shop.example" in line


def test_a_line_of_the_list_says_what_a_plain_link_shows(board: Visitor) -> None:
    board.manage("POST", f"/projects/{board.project.id}/dashboards/sales/shares", {"name": "All"})
    board.manage(
        "POST", f"/projects/{board.project.id}/dashboards/sales/shares", {"name": "None", "viewer": {}}
    )
    lines = opened(board).get_by_role("list", name="Links that work").get_by_role("listitem")
    lines.nth(1).wait_for()
    nothing, plain = lines.all_inner_texts()
    assert "Shows all events · viewers may change nothing" in nothing and "has no end" in nothing
    assert "viewers may change what the dashboard’s controls say" in plain
    assert "every site may frame it" in plain


def test_the_buttons_of_a_long_dialog_stay_in_a_low_window(board: Visitor, visiting: Visiting) -> None:
    visitor = visiting(viewport={"width": 1200, "height": 820})
    visitor.enter()
    for name in ("A", "B", "C", "D", "E"):
        board.manage("POST", f"/projects/{board.project.id}/dashboards/sales/shares", {"name": name})
    page = opened(visitor)
    page.get_by_text("Options", exact=True).click()
    page.get_by_role("list", name="Links that work").wait_for()
    for name in ("Make a link", "Close"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 820
        page.get_by_role("button", name=name, exact=True).click(trial=True)


def test_what_is_wrong_with_an_option_is_said_in_the_dialog(board: Visitor) -> None:
    page = opened(board)
    page.get_by_text("Options", exact=True).click()
    assert "In 14 days" in page.get_by_label("Ends").inner_text()
    sites = page.get_by_label("Sites that may show it in a frame")
    sites.fill("https://shop.example localhost:18732")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_role("alert").filter(has_text="“localhost:18732” is no address of a site").wait_for()
    assert sites.get_attribute("aria-invalid") == "true"
    assert shares(board) == []
    sites.fill("https://shop.example http://localhost:18732")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_text("may be framed by https://shop.example, http://localhost:18732").wait_for()


def test_a_frame_of_another_site_shows_it_until_it_is_revoked(board: Visitor, visiting: Visiting) -> None:
    made = board.manage(
        "POST", f"/projects/{board.project.id}/dashboards/sales/shares", {"name": "In the shop"}
    )
    viewer = visiting()
    with site_with(made["iframe"]) as site:
        viewer.page.goto(site)
        frame = viewer.page.frame_locator("iframe")
        numbers(frame).get_by_text("1", exact=True).first.wait_for()
        frame.get_by_role("combobox", name="Timeframe").select_option("this_7_days")
        numbers(frame).get_by_text("5", exact=True).first.wait_for()
        # What is put on the dashboard is in the frame.
        put(board, [*WIDGETS, {"id": "c", "type": "text", "title": "New", "settings": {"content": "Words"}}])
        viewer.page.reload()
        frame.get_by_text("Words").wait_for()
        page = opened(board)
        page.get_by_role("button", name="Revoke In the shop").click()
        page.get_by_role("button", name="Revoke now").click()
        page.get_by_text("There is none.").wait_for()
        # An open frame is refused with its next question, and a new one altogether.
        frame.get_by_role("combobox", name="Timeframe").select_option("today")
        frame.locator("acumen-chart [part~=error]").first.wait_for()
        viewer.page.reload()
        frame.get_by_text(GONE).wait_for()
    viewer.forget("401 (Unauthorized)")
    viewer.addresses[:] = [one for one in viewer.addresses if not one.startswith(site)]


def test_a_frame_of_a_site_that_is_not_named_shows_nothing(board: Visitor, visiting: Visiting) -> None:
    sent = {"name": "x", "origins": ["https://shop.example"]}
    made = board.manage("POST", f"/projects/{board.project.id}/dashboards/sales/shares", sent)
    viewer = visiting()
    with site_with(made["iframe"]) as site:
        viewer.page.goto(site)
        viewer.page.frame_locator("iframe").get_by_text("may not be shown on this page").wait_for()
        viewer.page.goto(made["link"])
        numbers(viewer.page).wait_for()
    viewer.forget("403 (Forbidden)")
    viewer.addresses[:] = [one for one in viewer.addresses if not one.startswith(site)]


def test_who_may_not_edit_may_not_share(board: Visitor, visiting: Visiting) -> None:
    reader = visiting()
    reader.enter(board.project.read_key)
    page = reader.open("dashboards", "sales")
    reader.drawn()
    assert page.get_by_role("button", name="Share", exact=True).count() == 0


MARKED = r"""# About *gross* sums
All of **Germany**, `a < b`,
see [the *shop*](https://shop.example/a?b=1&c=x) or [mail](mailto:a@b.example).

- one **bold
- two \*stars\* and 2 * 3 * 4
[no](javascript:alert(1)) <img src=x onerror=alert(1)> [](https://x.example)"""


def test_texts_show_their_marks_also_to_strangers_and_are_stored_as_written(
    board: Visitor, visiting: Visiting
) -> None:
    blocks = {"blocks": [{"text": "# as *written*"}]}
    widgets = [
        {"type": "text", "title": "Notes", "settings": {"content": MARKED}},
        {"type": "text", "settings": {"content": blocks}},
    ]
    put(board, widgets)
    share = board.manage("POST", f"/projects/{board.project.id}/dashboards/sales/shares", {"name": "x"})
    stranger = visiting().page
    stranger.goto(share["link"])
    for page in (board.open("dashboards", "sales"), stranger):
        words = page.locator("acumen-dashboard .words")
        words.locator("ul").wait_for()
        shown = words.first.evaluate("(one) => [...one.children].map((block) => block.outerHTML)")
        link = '<a href="{}" target="_blank" rel="noopener">{}</a>'
        assert shown == [
            "<h2>Notes</h2>",
            "<h3>About <em>gross</em> sums</h3>",
            "<p>All of <strong>Germany</strong>, <code>a &lt; b</code>,<br>see "
            + link.format("https://shop.example/a?b=1&amp;c=x", "the <em>shop</em>")
            + " or "
            + link.format("mailto:a@b.example", "mail")
            + ".</p>",
            "<ul><li>one **bold</li><li>two *stars* and 2 * 3 * 4</li></ul>",
            "<p>[no](javascript:alert(1)) &lt;img src=x onerror=alert(1)&gt; [](https://x.example)</p>",
        ]
        assert words.nth(1).inner_text() == "# as *written*"
    page = board.open("dashboards", "sales", query="?edit=1")
    text = page.get_by_role("region", name="Notes").get_by_label("Text")
    described = text.evaluate(
        "(one) => document.getElementById(one.getAttribute('aria-describedby')).textContent"
    )
    assert "**bold**" in described
    page.get_by_label("Title of the dashboard").fill("Other")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("The dashboard is saved.").wait_for()
    document = board.manage("GET", f"/projects/{board.project.id}/dashboards/sales")
    assert [one["settings"]["content"] for one in document["widgets"]] == [MARKED, blocks]
