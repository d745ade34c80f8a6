"""The page of one actor: all that was done, over all collections, and how it is deleted."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

from playwright.sync_api import expect

from tests.clients.pages.conftest import Visitor, sell
from tests.clients.pages.sources import called


def timeline(visitor: Visitor, property_name: str, value: Any, more: str = "") -> Any:
    return visitor.open("actors", property_name, query=f"?value={quote(json.dumps(value))}{more}")


def test_the_timeline_of_a_user_is_that_of_all_collections(shop: Visitor) -> None:
    shop.served.record(shop.project, "other", {"name": "u0"})
    page = timeline(shop, "user.id", "u0")
    page.get_by_text("That is all: 4 events.").wait_for()
    summary = page.get_by_role("region", name="Summary")
    counts = summary.get_by_role("listitem").all_inner_texts()
    assert counts == ["purchases 2", "visits 2"]
    assert page.locator(".day .name").all_inner_texts().count("visits") == 2
    page.locator(".day button").first.click()
    assert '"id": "u0"' in page.get_by_label("the event", exact=True).inner_text()
    summary.get_by_role("link", name="visits").click()
    page.get_by_role("heading", name="Number of events in visits").wait_for()
    assert shop.question()["filters"] == [
        {"property_name": "user.id", "operator": "eq", "property_value": "u0"}
    ]


def test_a_person_is_found_by_an_id_that_was_given(shop: Visitor) -> None:
    shop.served.record(shop.project, "members", {"member_id": 7})
    page = shop.open("data")
    by = page.get_by_label("Find a person by")
    assert by.input_value() == "user.id"
    page.get_by_role("button", name="Open the timeline").click()
    page.get_by_text("Type the person’s id.").wait_for()
    page.get_by_label("Their id").fill("u1")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="user.id = u1").wait_for()
    page.get_by_text("That is all: 4 events.").wait_for()
    page = shop.open("settings", "deletions")
    by.fill("member_id")
    page.keyboard.press("Enter")
    page.get_by_label("Their id").fill("7")
    page.get_by_role("button", name="Open the timeline").click()
    page.get_by_text("That is all: 1 event.").wait_for()


def test_an_event_leads_to_the_timeline_of_any_of_its_values(shop: Visitor) -> None:
    page = shop.open("data", "purchases")
    page.get_by_role("row").nth(1).get_by_role("button").click()
    page.get_by_label("Property that names the actor").select_option("price")
    page.get_by_role("link", name="Timeline of price = 30").click()
    page.get_by_text("That is all: 1 event.").wait_for()
    page.go_back()
    page.get_by_role("row").nth(1).get_by_role("button").click()
    page.get_by_role("link", name="Timeline of user.id = u0").click()
    page.get_by_text("That is all: 4 events.").wait_for()


def test_values_of_any_type_name_an_actor(visitor: Visitor) -> None:
    for value in ("7", 7, True, "true", 'a "b" & c/ü', ""):
        visitor.served.record(visitor.project, "acts", {"who": value})
    for value in ("7", 7, True, 'a "b" & c/ü', ""):
        page = timeline(visitor, "who", value)
        page.get_by_text("That is all: 1 event.").wait_for()
    page = timeline(visitor, "who", 8)
    page.get_by_role("heading", name="No event of this actor").wait_for()
    page.get_by_text("One collection has the property, and none this value.").wait_for()
    assert page.get_by_role("region", name="Summary").count() == 0
    page.get_by_text("It may be stored as a text, in quotes.").wait_for()
    page = timeline(visitor, "who", "8")
    page.get_by_text("It may be stored as a number.").wait_for()
    page = timeline(visitor, "who", "ann")
    page.get_by_role("heading", name="No event of this actor").wait_for()
    assert page.get_by_text("It may be stored").count() == 0
    page = timeline(visitor, "whom", 8)
    page.get_by_text("No collection has the property whom.").wait_for()


def test_days_are_those_of_the_zone_that_is_named(visitor: Visitor) -> None:
    visitor.served.record(
        visitor.project, "acts", {"who": "a", "keen": {"timestamp": "2026-03-28T23:30:00Z"}}
    )
    page = timeline(visitor, "who", "a")
    page.get_by_role("heading", name="Sunday, 29 March 2026").wait_for()
    page.get_by_role("button", name="00:30:00").wait_for()
    page = timeline(visitor, "who", "a", "&zone=America/New_York")
    page.get_by_role("heading", name="Saturday, 28 March 2026").wait_for()
    assert page.get_by_role("combobox").input_value() == "America/New_York"


def test_older_events_come_on_demand(visitor: Visitor) -> None:
    visitor.served.record(visitor.project, "often", *({"who": "a", "n": n} for n in range(120)))
    visitor.served.record(
        visitor.project, "once", {"who": "a", "keen": {"timestamp": "2020-01-01T00:00:00Z"}}
    )
    page = timeline(visitor, "who", "a")
    page.get_by_text("of 121 are shown").wait_for()
    assert page.locator(".day .name", has_text="once").count() == 0
    page.get_by_role("button", name="Load more").click()
    page.get_by_text("That is all: 121 events.").wait_for()
    assert page.locator(".day li").count() == 121
    assert page.locator(".day .name").last.inner_text() == "once"


def test_an_owner_deletes_all_events_of_an_actor_once_the_value_is_typed(shop: Visitor) -> None:
    page = timeline(shop, "user.id", "u0")
    page.get_by_text("That is all").wait_for()
    page.get_by_role("button", name="Delete this actor’s events…").click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("listitem").all_inner_texts() == ["purchases: 2", "visits: 2"]
    dialog.get_by_label("Type u0 to go on").fill("u1")
    dialog.get_by_role("button", name="Delete 4 events").click()
    dialog.get_by_text("This is not the value of the actor.").wait_for()
    dialog.get_by_label("Type u0 to go on").fill("u0")
    dialog.get_by_role("button", name="Delete 4 events").click()
    page.get_by_role("heading", name="No event of this actor").wait_for()
    for collection, left in (("purchases", 3), ("visits", 4)):
        assert shop.served.ask(shop.project, "count", event_collection=collection) == left


def test_who_may_only_read_is_not_offered_the_deletion(visitor: Visitor) -> None:
    sell(visitor.served, visitor.project)
    visitor.enter(visitor.project.read_key)
    page = timeline(visitor, "user.id", "u0")
    page.get_by_text("That is all").wait_for()
    assert page.get_by_role("button", name="Delete this actor’s events…").count() == 0


def test_a_timeline_leaves_nothing_out_between_events_that_it_shows() -> None:
    """Whatever is known of each collection, what is shown is a beginning of all that there is."""
    rng = random.Random(5)
    calls: list[list[Any]] = []
    expected: list[list[str]] = []
    for _ in range(200):
        lists: list[dict[str, Any]] = []
        whole: list[dict[str, Any]] = []
        for name in "abc"[: rng.randrange(4)]:
            times = sorted((rng.randrange(40) for _ in range(rng.randrange(12))), reverse=True)
            events = [
                {"keen": {"timestamp": f"2026-01-01T00:00:{at:02d}.0000{at:02d}Z", "id": name}}
                for at in times
            ]
            known = rng.randrange(len(events) + 1)
            while 0 < known < len(events) and events[known - 1] == events[known]:
                known += 1
            lists.append({"collection": name, "events": events[:known], "whole": known == len(events)})
            whole += events
        calls.append([lists])
        expected.append(sorted((one["keen"]["timestamp"] for one in whole), reverse=True))
    for (lists,), every, shown in zip(
        calls, expected, called("pages/actors/merged.ts", "merged", *calls), strict=True
    ):
        seen = [one["event"]["keen"]["timestamp"] for one in shown]
        assert seen == every[: len(seen)]
        if all(one["whole"] for one in lists):
            assert seen == every


def test_more_of_a_collection_is_asked_for_until_the_list_goes_on() -> None:
    events = [
        [{"keen": {"timestamp": f"2026-01-01T00:00:{at:02d}.000Z"}} for at in times]
        for times in ((9, 8), (7, 3))
    ]
    lists = [
        {"collection": "new", "events": events[0], "whole": False},
        {"collection": "old", "events": events[1], "whole": False},
    ]
    assert called("pages/actors/merged.ts", "holdingUp", [lists]) == [["new"]]
    (shown,) = called("pages/actors/merged.ts", "merged", [lists])
    assert len(shown) == 2


def test_rows_of_one_collection_tell_what_differs(visitor: Visitor) -> None:
    common = {"user": {"id": "ann"}, "app": "web", "version": "1.2", "lang": "de", "host": "a.example"}
    second = "2026-03-02T10:00:05"
    visitor.served.record(
        visitor.project,
        "clicks",
        *(
            {**common, "button": button, "keen": {"timestamp": f"{second}.{at}00Z"}}
            for at, button in enumerate(("buy", "back", "buy"))
        ),
    )
    visitor.served.record(
        visitor.project, "visits", {**common, "keen": {"timestamp": "2026-03-02T09:00:00Z"}}
    )
    page = timeline(visitor, "user.id", "ann")
    rows = page.locator(".day li")
    expect(rows.locator(".small")).to_have_text(
        ["button: buy", "button: back", "button: buy", "app: web · version: 1.2 · lang: de"]
    )
    expect(rows.locator(".when")).to_have_text(["11:00:05.200", "11:00:05.100", "11:00:05.000", "10:00:00"])
