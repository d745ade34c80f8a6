"""What managing a project is like: keys and what they would see, deletions, files, usage, and the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.clients.pages.conftest import ROOT, Visiting, Visitor, sell
from tests.clients.pages.test_access import LONG
from tests.support.axe import serious

IN_GERMANY = [{"property_name": "country", "operator": "eq", "property_value": "DE"}]


def settings(visitor: Visitor, *parts: str) -> Any:
    page = visitor.open("settings", *parts)
    page.get_by_role("heading", level=1).wait_for()
    return page


def choose(page: Any, label: str, value: str) -> None:
    """Type a value into a field with suggestions, and take it."""
    page.get_by_role("combobox", name=label, exact=True).fill(value)
    page.keyboard.press("Enter")


def fill_german_key(page: Any) -> None:
    page.get_by_label("Name", exact=True).fill("German customers")
    assert page.get_by_role("checkbox", checked=True).count() == 0
    page.get_by_label("Ask questions, and extract events").check()
    page.get_by_label("Read names and types").check()
    page.get_by_role("button", name="+ Filter").click()
    choose(page, "Property to filter by", "country")
    choose(page, "Value", "DE")


def keys_of(visitor: Visitor) -> Any:
    return visitor.manage("GET", f"/3.0/projects/{visitor.project.id}/keys")


class TestKeys:
    def test_a_key_is_previewed_made_and_shown(self, shop: Visitor) -> None:
        shop.served.record(shop.project, "alphabetically_first", {"n": 1})
        page = settings(shop)
        page.get_by_role("link", name="Make a key").click()
        fill_german_key(page)
        page.get_by_role("button", name="Preview").click()
        seen = page.get_by_role("list", name="Collections as the key would see them")
        purchases = seen.get_by_role("listitem").filter(has_text="purchases")
        purchases.get_by_text("3 events").wait_for()
        assert "sees nothing of it" in seen.get_by_role("listitem").filter(has_text="visits").inner_text()
        shop.drawn()
        assert keys_of(shop) == []
        page.get_by_role("button", name="Make the key").click()
        page.get_by_text("This is the key").wait_for()
        [made] = keys_of(shop)
        assert made["key"] in page.locator("main").inner_text()
        example = page.get_by_role("region", name="Ask a question")
        # The first collection by name is one that the key sees nothing of.
        assert '"event_collection": "purchases"' in example.get_by_label("curl", exact=True).last.inner_text()
        for name in ("curl", "Python"):
            example.get_by_role("tab", name=name).click()
            text = example.get_by_label(name, exact=True).last.inner_text()
            assert made["key"] in text
            command = ["sh", "-c", text] if name == "curl" else [sys.executable, "-c", text]
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients/python/src")}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd="/")
            assert done.returncode == 0 and "3" in done.stdout, done
        example.get_by_role("tab", name="JavaScript").click()
        assert made["key"] in example.get_by_label("JavaScript", exact=True).last.inner_text()
        assert made["options"]["queries"] == {"filters": IN_GERMANY}
        page.get_by_role("link", name="Done").click()
        page.get_by_role("link", name="German customers").wait_for()
        page.get_by_text("only events for which country is DE").wait_for()
        assert made["key"] not in page.content()

    def test_a_key_for_saved_queries_sees_their_results_alone(self, shop: Visitor) -> None:
        shop.save("orders", "Orders", analysis_type="count", event_collection="purchases", timeframe="today")
        page = settings(shop, "keys", "new")
        page.get_by_label("Name", exact=True).fill("Results")
        page.get_by_role("button", name="Make the key").click()
        page.get_by_text("Choose what the key may do.").wait_for()
        page.get_by_label("Read results of saved queries that are computed").check()
        page.get_by_label("Which saved queries that are computed").wait_for()
        assert page.get_by_label("Which saved queries that are kept").count() == 0
        page.get_by_role("button", name="Preview").click()
        page.get_by_text("It sees the results of the saved queries: orders").wait_for()
        assert page.get_by_text("sees nothing of it").count() == 0
        page.get_by_role("button", name="Make the key").click()
        command = page.get_by_role("region", name="Read a saved query").get_by_label("curl", exact=True).last
        command.wait_for()
        assert "/queries/saved/orders/result" in command.inner_text()

    def test_a_key_is_changed_revoked_restored_and_deleted(self, shop: Visitor) -> None:
        made = shop.manage(
            "POST",
            f"/3.0/projects/{shop.project.id}/keys",
            {"name": "Old", "permitted": ["queries"], "options": {"queries": {"filters": IN_GERMANY}}},
        )
        page = settings(shop, "keys", made["public_id"])
        page.get_by_role("button", name="Show the key").click()
        page.get_by_text(made["key"]).wait_for()
        page.get_by_label("Name", exact=True).fill("New")
        page.get_by_label("It may extract single events").uncheck()
        page.get_by_role("button", name="Save").click()
        page.get_by_text("“New” is changed.").wait_for()
        [now] = keys_of(shop)
        assert now["name"] == "New" and now["key"] == made["key"]
        assert now["options"]["queries"] == {"filters": IN_GERMANY, "extraction": False}
        page.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        page.get_by_text("revoked", exact=True).wait_for()
        assert not keys_of(shop)[0]["is_active"]
        page.get_by_role("button", name="Let it work again").click()
        page.get_by_text("works", exact=True).wait_for()
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
        page.get_by_role("heading", name="No access keys yet").wait_for()
        assert keys_of(shop) == []

    def test_what_is_wrong_stands_at_its_field(self, shop: Visitor) -> None:
        page = settings(shop, "keys", "new")
        page.get_by_role("button", name="Make the key").click()
        page.locator("#name-fault").get_by_text("'name'").wait_for()
        assert page.evaluate("document.activeElement.id") == "name"
        shop.forget("400")
        page.get_by_label("Name", exact=True).fill("Sends")
        page.get_by_label("Send events").check()
        page.get_by_label("Written into every event").fill("{")
        page.get_by_role("button", name="Make the key").click()
        page.locator("#autofill-fault").get_by_text("This is no JSON").wait_for()
        page.get_by_label("Written into every event").fill('{"keen": {"timestamp": "when?"}}')
        page.get_by_role("button", name="Make the key").click()
        page.locator("#autofill-fault").get_by_text("'options.writes.autofill' cannot be part").wait_for()
        shop.forget("400")
        page.get_by_label("Written into every event").fill("")
        page.get_by_text("Limits, and pages that may embed").click()
        page.get_by_label("Its embed tokens work on these pages only").check()
        page.get_by_label("Origins, one a line").fill("nowhere")
        page.get_by_role("button", name="Make the key").click()
        page.locator("#origins-fault").get_by_text("'options.embed.origins'").wait_for()
        shop.forget("400")
        page.get_by_label("Ask questions, and extract events").check()
        page.get_by_role("button", name="+ Filter").click()
        page.get_by_role("button", name="Make the key").click()
        page.get_by_text("Finish each filter, or remove it").wait_for()
        assert keys_of(shop) == []

    def test_every_option_comes_through_the_form_unchanged(self, shop: Visitor) -> None:
        options = {
            "writes": {"autofill": {"customer": {"id": "c1"}}},
            "queries": {"filters": IN_GERMANY, "extraction": False},
            "saved_queries": {"filters": IN_GERMANY, "allowed": ["a", "b"], "blocked": ["c"]},
            "cached_queries": {"allowed": [], "blocked": ["d"]},
            "datasets": {
                "operations": ["read"],
                "allowed": {"visits": {"index_by": {"country": ["DE"]}}, "others": None},
                "blocked": ["x"],
            },
            "quotas": {"events_per_day": 5, "query_seconds_per_month": 7},
            "embed": {"origins": ["https://shop.example"]},
        }
        permitted = [
            "writes",
            "queries",
            "schema",
            "saved_queries",
            "cached_queries",
            "query_definition",
            "datasets",
        ]
        path = f"/3.0/projects/{shop.project.id}/keys"
        made = shop.manage("POST", path, {"name": "All", "permitted": permitted, "options": options})
        page = settings(shop, "keys", made["public_id"])
        page.get_by_label("Name", exact=True).fill("Still all")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("“Still all” is changed.").wait_for()
        [now] = keys_of(shop)
        assert {**now, "name": "All"} == made

    def test_what_has_no_field_is_edited_as_json(self, shop: Visitor) -> None:
        either = {"operator": "or", "operands": IN_GERMANY}
        path = f"/3.0/projects/{shop.project.id}/keys"
        options = {"queries": {"filters": [either]}}
        made = shop.manage("POST", path, {"name": "Odd", "permitted": ["queries"], "options": options})
        page = settings(shop, "keys", made["public_id"])
        page.get_by_role("tab", name="Form").click()
        page.get_by_text("The form has no fields for some of this key").wait_for()
        page.get_by_role("tab", name="JSON").click()
        text = page.get_by_label("The key as JSON")
        text.fill(text.input_value().replace('"Odd"', '"Even"'))
        page.get_by_role("button", name="Preview").click()
        page.get_by_text("3 events").first.wait_for()
        page.get_by_role("button", name="Save").click()
        page.get_by_text("“Even” is changed.").wait_for()
        assert {**keys_of(shop)[0], "name": "Odd"} == made

    def test_own_keys_are_shown_when_asked_for_and_replaced(self, shop: Visitor) -> None:
        page = settings(shop)
        assert shop.project.read_key not in page.content()
        page.get_by_role("button", name="Show them").click()
        page.get_by_text(shop.project.read_key).wait_for()
        page.get_by_role("button", name="Replace the read key").click()
        page.get_by_role("dialog").get_by_role("button", name="Replace it").click()
        page.get_by_text("The read key is replaced.").wait_for()
        assert shop.project.read_key not in page.locator("main").inner_text()
        path = f"/3.0/projects/{shop.project.id}/events"
        assert shop.served.request("GET", path, key=shop.project.read_key).status == 401


class TestDeletions:
    def count(self, visitor: Visitor, collection: str) -> int:
        found: int = visitor.served.ask(visitor.project, "count", event_collection=collection)
        return found

    def test_events_are_counted_confirmed_and_gone(self, shop: Visitor) -> None:
        page = settings(shop, "deletions")
        page.get_by_text("Nothing was deleted or changed.").wait_for()
        choose(page, "In the collection", "purchases")
        assert page.get_by_role("button", name="Count what would go").is_disabled()
        page.get_by_role("button", name="+ Filter").click()
        choose(page, "Property to filter by", "country")
        choose(page, "Value", "DE")
        page.get_by_role("button", name="Count what would go").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("3 events of “purchases” will go.").wait_for()
        dialog.get_by_role("button", name="Delete").click()
        dialog.get_by_text("Type the collection's name").wait_for()
        assert self.count(shop, "purchases") == 5
        dialog.get_by_label("To confirm, type purchases").fill("purchases")
        dialog.get_by_role("button", name="Delete").click()
        page.get_by_text("Events in purchases: 3 events").wait_for()
        assert self.count(shop, "purchases") == 2
        assert "Still on the disk" in page.get_by_role("list", name="Deletions").inner_text()

    def test_a_property_and_a_whole_collection_go_too(self, shop: Visitor) -> None:
        page = settings(shop, "deletions")
        choose(page, "In the collection", "purchases")
        page.get_by_label("What", exact=True).select_option("property")
        choose(page, "Property, with all that is nested in it", "plan")
        page.get_by_role("button", name="Count what would go").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("“plan” will go from 5 events").wait_for()
        dialog.get_by_label("To confirm").fill("purchases")
        dialog.get_by_role("button", name="Delete").click()
        page.get_by_text("A property in purchases: 5 events").wait_for()
        choose(page, "In the collection", "visits")
        page.get_by_label("What", exact=True).select_option("all")
        page.get_by_role("button", name="Count what would go").click()
        dialog.get_by_text("All of “visits” will go: 6 events.").wait_for()
        dialog.get_by_label("To confirm").fill("visits")
        dialog.get_by_role("button", name="Delete").click()
        page.get_by_text("Events in a collection that is gone: 6 events").wait_for()
        assert self.count(shop, "visits") == 0


def test_files_are_told_with_code_that_reads_them(shop: Visitor) -> None:
    page = settings(shop, "files")
    page.get_by_role("link", name="purchases").click()
    page.get_by_role("heading", name="purchases").wait_for()
    page.get_by_role("link", name="All collections").click()
    page.get_by_text("Events of the last minutes may not be in files yet").wait_for()


def test_usage_is_drawn_with_limits(shop: Visitor) -> None:
    page = settings(shop, "usage")
    shop.drawn()
    page.get_by_role("heading", name="By key").wait_for()
    page.get_by_text("The project has no quotas.").wait_for()


def test_a_file_is_asked_for_from_the_explorer_made_fetched_and_removed(shop: Visitor) -> None:
    page = shop.explore(analysis_type="count", event_collection="purchases", filters=IN_GERMANY)
    shop.drawn()
    page.get_by_role("link", name="Events as a file").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("group", name="Filter 1").wait_for()
    assert dialog.get_by_role("combobox", name="Events in").input_value() == "purchases"
    dialog.get_by_label("As", exact=True).select_option("application/json")
    dialog.get_by_role("button", name="Make it").click()
    row = page.get_by_role("list", name="Exports").get_by_role("listitem")
    row.get_by_text("NDJSON").wait_for()
    row.get_by_text("ready").wait_for()
    with page.expect_download() as started:
        row.get_by_role("link", name="Download").click()
    lines = started.value.path().read_text().splitlines()
    assert [json.loads(line)["country"] for line in lines] == ["DE"] * 3
    row.get_by_role("button", name="Remove the export of purchases").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_text("No file was asked for yet.").wait_for()


def test_retention_says_what_would_go_before_it_does(shop: Visitor) -> None:
    page = settings(shop, "retention")
    page.get_by_role("button", name="Change the retention of purchases").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Days").fill("0")
    dialog.get_by_text("A whole number of days").wait_for()
    dialog.get_by_label("Days").fill("2")
    dialog.get_by_text("2 events of now are older, and will go at once").wait_for()
    dialog.get_by_label("Days").fill("400")
    dialog.get_by_text("No event is older now.").wait_for()
    dialog.get_by_role("button", name="Save").click()
    page.get_by_text("kept for 400 days", exact=True).wait_for()
    path = f"/3.0/projects/{shop.project.id}/retention/purchases"
    assert shop.manage("GET", path) == {"days": 400}
    page.get_by_role("button", name="Change the retention of purchases").click()
    dialog.get_by_label("Days").fill("")
    dialog.get_by_role("button", name="Save").click()
    page.get_by_text("kept for 400 days", exact=True).wait_for(state="detached")
    assert shop.manage("GET", path) == {"days": None}


def test_the_audit_log_of_the_project_is_narrowed_to_one_actor(shop: Visitor) -> None:
    path = f"/3.0/projects/{shop.project.id}/keys"
    shop.manage("POST", path, {"name": "Noted", "permitted": ["queries"]})
    only = [{"property_name": "country", "operator": "eq", "property_value": "PL"}]
    events = f"/3.0/projects/{shop.project.id}/events/logins"
    shop.served.record(shop.project, "logins", {"country": "PL"})
    shop.manage("DELETE", f"{events}?{urlencode({'filters': json.dumps(only)})}")
    page = settings(shop, "audit")
    page.get_by_text("event collection: logins, filters: 1, filtered by: country (eq), ").wait_for()
    page.get_by_text("name: Noted").wait_for()
    page.get_by_role("button", name="master key").first.click()
    page.get_by_role("button", name="Of everybody again").wait_for()
    page.get_by_label("Who did it").select_option("person")
    page.get_by_text("Nothing has been noted yet.").wait_for()


SECTIONS = (
    ("keys",),
    ("keys", "new"),
    ("usage",),
    ("deletions",),
    ("retention",),
    ("files",),
    ("exports",),
    ("audit",),
    ("project",),
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visiting: Visiting, scheme: str) -> None:
    visitor = visiting(color_scheme=scheme)
    visitor.enter()
    sell(visitor.served, visitor.project)
    made = a_long_key(visitor)
    for parts in (*SECTIONS, ("keys", made)):
        page = settings(visitor, *parts)
        page.locator("main .loading").first.wait_for(state="detached")
        assert (parts, serious(page)) == (parts, [])


def test_a_phone_scrolls_no_page_sideways(visiting: Visiting) -> None:
    visitor = visiting(viewport={"width": 390, "height": 844})
    visitor.enter()
    visitor.served.record(visitor.project, "c" * 64, {"p" * 200: "x" * 900})
    made = a_long_key(visitor)
    for parts in (*SECTIONS, ("keys", made)):
        page = settings(visitor, *parts)
        page.locator("main .loading").first.wait_for(state="detached")
        if parts[-1] == made:
            page.get_by_role("button", name="Preview").click()
            page.get_by_text("1 event").first.wait_for()
        assert (parts, page.evaluate("document.documentElement.scrollWidth")) == (parts, 390)


def a_long_key(visitor: Visitor) -> str:
    """The public id of a key with a long name that is narrowed in many ways."""
    body = {
        "name": LONG,
        "permitted": ["queries", "schema", "saved_queries"],
        "options": {"saved_queries": {"allowed": [LONG]}, "quotas": {"events_per_day": 5}},
    }
    made = visitor.manage("POST", f"/3.0/projects/{visitor.project.id}/keys", body)
    return str(made["public_id"])


def test_who_does_not_manage_the_project_is_told_so(visiting: Visiting) -> None:
    visitor = visiting()
    visitor.enter(visitor.project.read_key)
    page = visitor.open("settings")
    page.get_by_role("heading", name="Only owners see this page").wait_for()
    assert page.get_by_role("link", name="Settings").count() == 0
