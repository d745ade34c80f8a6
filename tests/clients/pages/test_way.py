"""The way of somebody new: log in, send an event, ask, save, make a dashboard."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.clients.pages.conftest import Visiting, Visitor


def log_in(visitor: Visitor, project: str, key: str) -> Any:
    page = visitor.page
    page.goto(visitor.served.url)
    page.get_by_role("tab", name="Project key").click()
    page.get_by_label("Project id").fill(project)
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Log in").click()
    return page


def test_from_log_in_to_a_dashboard(visiting: Visiting) -> None:
    visitor = visiting()
    page = log_in(visitor, visitor.project.id, visitor.project.master_key)
    # the first event
    page.get_by_role("button", name="Send an event from this page").click()
    page.locator(".arrivals li", has_text='"page": "/pricing"').wait_for()
    visitor.drawn()
    assert visitor.served.ask(visitor.project, "count", event_collection="visits") == 1
    page.get_by_role("link", name="Ask more in the explorer").click()
    # a question
    page.get_by_label("Show", exact=True).select_option("sum")
    assert page.get_by_text("Choose a property, and the answer follows.").is_visible()
    page.get_by_role("combobox", name="Of property").click()
    page.get_by_role("option", name="seconds number").click()
    page.get_by_role("heading", name="Sum of seconds in visits").wait_for()
    visitor.drawn()
    # saved
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Title").fill("Seconds on the site")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_text("“Seconds on the site” is saved.").wait_for()
    page.get_by_role("link", name="Saved").click()
    page.get_by_role("link", name="Seconds on the site").click()
    page.get_by_role("heading", name="Seconds on the site").wait_for()
    page.get_by_text("Sum of seconds in visits").wait_for()
    # on a dashboard
    page.get_by_role("link", name="Dashboards").click()
    page.get_by_role("button", name="New dashboard").click()
    page.get_by_label("Title").fill("Überblick")
    page.get_by_label("Seconds on the site").check()
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("region", name="Seconds on the site").wait_for()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("heading", name="Überblick").wait_for()
    page.locator("acumen-dashboard acumen-chart svg.acumen-drawing").wait_for()
    stored = visitor.manage("GET", f"/projects/{visitor.project.id}/dashboards/uberblick")
    assert [one["query"] for one in stored["widgets"]] == ["seconds-on-the-site"]


@pytest.mark.parametrize(
    ("named", "key", "said"),
    [
        ("nowhere", "k", "The project or the key is wrong."),
        (None, "wrong", "The project or the key is wrong."),
        (None, "write", "This key may not read. Take the read or the master key."),
    ],
)
def test_a_refused_log_in_is_told_next_to_its_field(
    visiting: Visiting, named: str | None, key: str, said: str
) -> None:
    visitor = visiting()
    used = visitor.project.write_key if key == "write" else key
    page = log_in(visitor, named or visitor.project.id, used)
    fault = page.get_by_role("alert").filter(has_text=said)
    fault.wait_for()
    field = page.get_by_label("Key", exact=True)
    assert field.get_attribute("aria-describedby") == fault.get_attribute("id")
    assert field.get_attribute("aria-invalid") == "true"
    if key != "write":
        visitor.forget("status of 401")


def test_who_is_not_logged_in_is_asked_and_led_on(shop: Visitor, visiting: Visiting) -> None:
    stranger = visiting()
    page = stranger.open("data", "purchases")
    page.get_by_role("tab", name="Project key").click()
    page.get_by_label("Project id").fill(stranger.project.id)
    page.get_by_label("Key", exact=True).fill(stranger.project.master_key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="purchases").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("textbox", name="E-mail").wait_for()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    assert page.context.cookies() == []


def test_a_viewer_sees_all_and_changes_nothing(shop: Visitor, visiting: Visiting) -> None:
    viewer = visiting()
    viewer.enter(viewer.project.read_key)
    page = viewer.explore(analysis_type="count", event_collection="purchases", interval="daily")
    viewer.drawn()
    assert page.get_by_role("button", name="Run again").is_visible()
    assert not page.get_by_role("button", name="Save", exact=True).is_visible()
    page.get_by_role("link", name="Dashboards").click()
    page.get_by_role("heading", name="No dashboard yet").wait_for()
    assert not page.get_by_role("button", name="New dashboard").is_visible()


def test_an_event_of_another_collection_is_seen_too(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_text("Waiting for the first event").wait_for()
    visitor.served.record(visitor.project, "orders", {"n": 7})
    page.locator(".arrivals li", has_text='"n": 7').wait_for()


def test_an_overview_counts_each_collection(shop: Visitor) -> None:
    page = shop.open()
    shop.drawn()
    assert page.get_by_role("row", name="purchases 5").is_visible()
    page.get_by_role("button", name="purchases").click()
    page.locator("acumen-chart").get_by_text("purchases: events per day").first.wait_for()
    page.get_by_role("link", name="Explore visits").click()
    page.get_by_role("heading", name="Number of events in visits").wait_for()


def test_how_to_send_events_stays_within_reach(shop: Visitor) -> None:
    page = shop.open()
    page.get_by_role("link", name="Send events").click()
    page.get_by_role("heading", name="Send events").wait_for()
    page.get_by_role("button", name="Make a key that can only send, and fill it in").click()
    page.get_by_text("The key in the examples can send events and nothing else.").wait_for()
    assert page.get_by_role("button", name="Send an event from this page").count() == 0
    page.reload()
    [key] = shop.manage("GET", f"/3.0/projects/{shop.project.id}/keys")
    for name in ("curl", "Python", "JavaScript", "Your web site"):
        page.get_by_role("tab", name=name).click()
        expect(page.get_by_label(name, exact=True).last).to_contain_text(key["key"])
    assert page.get_by_role("banner").get_by_role("link", name="Docs").get_attribute("href") == "/docs"


def test_every_entry_of_the_menu_is_reached_on_a_phone(visiting: Visiting) -> None:
    visitor = visiting(viewport={"width": 390, "height": 844})
    visitor.enter()
    page = visitor.open()
    entries = page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(entries.last).to_have_text("Settings")
    for name in entries.all_inner_texts():
        entry = entries.filter(has_text=name)
        box = entry.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, name
        assert entry.evaluate(
            "(one) => { const { x, y, width, height } = one.getBoundingClientRect();"
            " return one.contains(document.elementFromPoint(x + width - 2, y + height / 2)); }"
        ), name
        entry.click()
        expect(entry).to_have_attribute("aria-current", "page")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
