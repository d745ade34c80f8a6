"""Everybody can use them: by keys alone, with a screen reader, on a phone, in the dark."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.pages.conftest import Visiting, Visitor, sell
from tests.support.axe import serious

PAGES: dict[str, tuple[str, ...]] = {
    "start": (),
    "explore": ("explore",),
    "saved": ("saved",),
    "dashboards": ("dashboards",),
    "cohorts": ("cohorts",),
    "cohort": ("cohorts", "often"),
    "cohort form": ("cohorts", "often"),
    "dashboard": ("dashboards", "sales"),
    "editor": ("dashboards", "sales"),
    "data": ("data",),
    "collection": ("data", "purchases"),
    "live": ("live", "purchases"),
    "timeline": ("actors", "user.id"),
    "import": ("import",),
}
QUERIES = {"editor": "?edit=1", "cohort form": "?edit", "timeline": "?value=%22u0%22"}
LONG = "Averyverylongtitlewithoutasinglespace" * 5


def furnish(visitor: Visitor, title: str = "Orders") -> None:
    sell(visitor.served, visitor.project)
    visitor.save(
        "orders", title, analysis_type="count", event_collection="purchases", timeframe="this_7_days"
    )
    often = {"actor_property": "user.id", "all": [{"event_collection": "purchases", "at_least": 2}]}
    visitor.manage(
        "PUT", f"/3.0/projects/{visitor.project.id}/cohorts/often", {**often, "display_name": title}
    )
    widgets = [{"query": "orders"}, {"type": "text", "title": title, "settings": {"content": title}}]
    path = f"/projects/{visitor.project.id}/dashboards/sales"
    visitor.manage("PUT", path, {"title": title, "widgets": widgets})


def settled(visitor: Visitor, name: str) -> Any:
    """The page, once it stands."""
    page = visitor.open(*PAGES[name], query=QUERIES.get(name, ""))
    page.locator("main h1, main h2").first.wait_for(state="attached")
    page.locator("main .loading").first.wait_for(state="detached")
    if name == "editor":
        page.locator(".tile svg.acumen-drawing, .tiles li").first.wait_for()
    elif name in ("start", "explore", "dashboard"):
        page.locator("svg.acumen-drawing").first.wait_for()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visiting: Visiting, scheme: str) -> None:
    visitor = visiting(color_scheme=scheme)
    visitor.page.goto(f"{visitor.served.url}/login")
    visitor.page.get_by_role("textbox", name="E-mail").wait_for()
    assert serious(visitor.page) == []
    visitor.page.get_by_role("tab", name="Project key").click()
    visitor.page.get_by_label("Project id").wait_for()
    assert serious(visitor.page) == []
    visitor.enter()
    visitor.open()
    visitor.page.get_by_role("heading", name="Send an event").wait_for()
    assert serious(visitor.page) == []
    furnish(visitor)
    for name in PAGES:
        assert (name, serious(settled(visitor, name))) == (name, [])


def test_dialogs_and_lists_are_accessible_too(visitor: Visitor) -> None:
    furnish(visitor)
    page = settled(visitor, "explore")
    page.get_by_role("combobox", name="Of events in").click()
    page.get_by_role("option", name="visits").wait_for()
    assert serious(page) == []
    page.keyboard.press("Escape")
    for button in ("Save", "Add to a dashboard"):
        page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("dialog").wait_for()
        assert (button, serious(page)) == (button, [])
        page.keyboard.press("Escape")
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("row").nth(1).get_by_role("button").click()
    page.get_by_label("Property that names the actor").wait_for()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page = settled(visitor, "dashboard")
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_label("For whom, or where").fill("Ann")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_role("list", name="Links that work").wait_for()
    page.get_by_text("Options", exact=True).click()
    page.get_by_role("button", name="+ Filter").click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page = settled(visitor, "editor")
    page.get_by_role("button", name="Settings of Orders").first.click()
    page.get_by_role("dialog").wait_for()
    assert serious(page) == []


def test_a_phone_scrolls_no_page_sideways(visiting: Visiting) -> None:
    visitor = visiting(viewport={"width": 390, "height": 844})
    visitor.enter()
    furnish(visitor, LONG)
    visitor.served.record(visitor.project, "c" * 64, {"p" * 200: "x" * 900})
    for name in PAGES:
        page = settled(visitor, name)
        assert (name, page.evaluate("document.documentElement.scrollWidth")) == (name, 390)


def test_a_question_is_asked_and_saved_by_keys_alone(visitor: Visitor) -> None:
    sell(visitor.served, visitor.project)
    page = visitor.open("explore")
    visitor.drawn()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to the page"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "analysis"
    page.keyboard.press("s")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "target_property"
    page.keyboard.type("pri")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Sum of price in purchases").wait_for()
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.type("By keys")
    page.keyboard.press("Enter")
    page.get_by_text("is saved.").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Save"


def tab_to(page: Any, text: str) -> None:
    """Press Tab until the element with this text has the focus, which must be seen."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == text:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
            return
    raise AssertionError(f"Tab does not come to {text}")
