"""The data pages: collections, properties, events, the live view."""

from __future__ import annotations

from tests.clients.pages.conftest import Visitor, dismissing

EVIL = "<img src=x onerror=alert(1)>"


def test_collections_are_found_by_their_properties(shop: Visitor) -> None:
    page = shop.open("data")
    page.get_by_role("link", name="visits", exact=True).wait_for()
    page.get_by_label("Search collections and properties").fill("price")
    page.get_by_role("link", name="visits", exact=True).wait_for(state="detached")
    page.get_by_role("link", name="purchases", exact=True).click()
    page.get_by_role("tab", name="Properties").click()
    assert page.get_by_role("row", name="price number").is_visible()
    page.get_by_text("5 events").wait_for()
    assert page.get_by_role("row", name="price number 0 % 5 5 – 70").is_visible()
    page.get_by_role("button", name="country", exact=True).click()
    page.get_by_role("link", name="Explore country = DE").wait_for()
    page.get_by_role("link", name="Timeline of country = PL").click()
    page.get_by_text("That is all: 1 event.").wait_for()
    page.go_back()
    page.get_by_role("tab", name="Properties").click()
    page.get_by_role("link", name="Values of country").click()
    page.get_by_role("heading", name="Number of events in purchases by country").wait_for()


def test_thousands_of_properties_are_searched_and_sorted_without_all_being_shown(visitor: Visitor) -> None:
    for at in range(0, 600, 100):
        event = {f"p{n:04d}": n for n in range(at, at + 100)}
        visitor.served.record(visitor.project, "wide", *([event] * (at // 100 + 1)))
    page = visitor.open("data", "wide")
    page.get_by_role("tab", name="Properties (603)").click()
    page.get_by_role("row", name="p0000").wait_for()
    assert page.get_by_role("row").count() == 26
    page.get_by_label("Search properties").fill("p059")
    page.get_by_role("row", name="p0599").wait_for()
    assert page.get_by_role("row").count() == 11
    page.get_by_label("Order of the properties").select_option("missing")
    page.get_by_label("Search properties").fill("")
    page.get_by_role("status").filter(has_text="603 properties").filter(has_not_text="still").wait_for()
    assert page.get_by_role("rowheader").first.inner_text() == "p0000"
    # A server with little memory is asked for fewer at a time.
    visitor.forget("status of 400")


def test_an_event_opens_to_its_json(shop: Visitor) -> None:
    page = shop.open("data", "purchases")
    first = page.get_by_role("row").nth(1).get_by_role("button")
    first.click()
    assert first.get_attribute("aria-expanded") == "true"
    assert '"country": "DE"' in page.get_by_label("the event", exact=True).inner_text()


def test_what_users_sent_is_never_html(visitor: Visitor) -> None:
    name = "<b>names</b>"
    visitor.served.record(visitor.project, name, {EVIL: EVIL, "plan": EVIL})
    alerts: list[str] = []
    visitor.page.on("dialog", dismissing(alerts))
    page = visitor.open("data", name)
    page.get_by_role("cell", name=EVIL).first.wait_for()
    page.get_by_role("row").nth(1).get_by_role("button").click()
    page.get_by_role("tab", name="Properties").click()
    page.get_by_role("rowheader", name=EVIL).wait_for()
    visitor.explore(analysis_type="count", event_collection=name, group_by=["plan"])
    visitor.drawn()
    assert page.locator("img[src=x]").count() == 0
    assert alerts == []


def test_properties_may_be_called_as_what_objects_have(visitor: Visitor) -> None:
    for event in ({"constructor": "mine", "toString": 1}, {"plan": "free"}):
        visitor.served.record(visitor.project, "odd", event)
    page = visitor.open("data", "odd")
    page.get_by_role("cell", name="mine").wait_for()
    page.get_by_role("cell", name="free").wait_for()


def test_events_are_seen_as_they_arrive(shop: Visitor) -> None:
    page = shop.open("live", "visits")
    page.get_by_text("Listening").wait_for()
    shop.served.record(shop.project, "visits", {"user": {"id": "new one"}})
    page.get_by_role("cell", name="new one").wait_for()
    assert page.get_by_text("1 since you came").is_visible()
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused").wait_for()
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Listening").wait_for()


def test_a_collection_that_is_not_there_is_said_so(shop: Visitor) -> None:
    page = shop.open("data", "nothing here")
    page.get_by_role("heading", name="There is no such collection").wait_for()
    page = shop.open("nonsense")
    page.get_by_role("heading", name="There is no such page").wait_for()
