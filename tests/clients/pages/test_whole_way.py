"""From the one-time link of the first start to a chart on another site, and its end, without the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.pages.conftest import Visiting, Visitor
from tests.clients.pages.test_people import ENDED, PASSWORD, first_link, log_in, project
from tests.clients.pages.test_shares import GONE, site_with
from tests.support.server import Served

__all__ = ["project"]


@pytest.fixture
def served() -> Iterator[Served]:
    """A server with nobody in it."""
    with Served() as own:
        yield own


def join(page: Any, link: str, name: str) -> None:
    page.goto(link)
    email = page.get_by_label("E-mail")
    email.wait_for()
    if email.is_editable():
        email.fill(f"{name.lower()}@example.com")
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join", exact=True).click()


def ask_and_save(page: Any) -> None:
    page.get_by_role("button", name="Send an event from this page").click()
    page.get_by_role("link", name="Ask more in the explorer").click()
    page.get_by_label("Show", exact=True).select_option("sum")
    page.get_by_role("combobox", name="Of property").click()
    page.get_by_role("option", name="seconds number").click()
    page.get_by_label("In parts").select_option(label="All together")
    page.wait_for_url(lambda address: "interval" not in address)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Title").fill("Seconds")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_text("“Seconds” is saved.").wait_for()


def make_dashboard(page: Any) -> None:
    page.get_by_role("link", name="Dashboards").click()
    page.get_by_role("button", name="New dashboard").click()
    page.get_by_label("Title").fill("Visits")
    page.get_by_label("Seconds").check()
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("region", name="Seconds").wait_for()
    page.get_by_role("button", name="Close").click()
    page.locator("acumen-dashboard acumen-chart svg.acumen-drawing").wait_for()


def share(page: Any) -> str:
    """The HTML of a frame that shows the dashboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_label("For whom, or where").fill("The shop")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_role("button", name="Copy frame").click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.startsWith('<iframe'))")
    html: str = page.evaluate("navigator.clipboard.readText()")
    return html


def invite_viewer(page: Any, project: str) -> str:
    """A link for a viewer of the project."""
    page.get_by_role("link", name="People").click()
    page.get_by_role("button", name="Invite somebody").click()
    page.get_by_label(project).select_option("viewer")
    page.get_by_role("button", name="Make the link").click()
    link: str = page.get_by_label("the link", exact=True).inner_text()
    return link.strip()


def test_from_the_first_link_to_a_frame_on_another_site(visiting: Visiting, served: Served) -> None:
    ann = visiting()
    join(ann.page, first_link(served), "Ann")
    ask_and_save(ann.page)
    make_dashboard(ann.page)
    with site_with(share(ann.page)) as site:
        stranger = visiting()
        stranger.page.goto(site)
        frame = stranger.page.frame_locator("iframe")
        seconds = frame.locator("acumen-chart svg.acumen-drawing").get_by_text("42", exact=True).first
        seconds.wait_for()
        frame.get_by_role("combobox", name="Timeframe").select_option("previous_month")
        seconds.wait_for(state="detached")
        frame.get_by_role("combobox", name="Timeframe").select_option("this_7_days")
        seconds.wait_for()
        ann.page.get_by_role("button", name="Revoke The shop").click()
        ann.page.get_by_role("button", name="Revoke now").click()
        ann.page.get_by_text("There is none.").wait_for()
        stranger.page.reload()
        frame.get_by_text(GONE).wait_for()
        stranger.forget("401 (Unauthorized)")
        stranger.addresses[:] = [one for one in stranger.addresses if not one.startswith(site)]
    ann.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    ben = visiting()
    join(ben.page, invite_viewer(ann.page, ann.project.name), "Ben")
    reads_and_changes_nothing(ben)
    ends_elsewhere(ben, visiting)


def reads_and_changes_nothing(viewer: Visitor) -> None:
    page = viewer.page
    page.get_by_role("link", name="Dashboards").click()
    page.get_by_role("link", name="Visits").click()
    page.locator("acumen-dashboard acumen-chart svg.acumen-drawing").wait_for()
    for name in ("Share", "Edit"):
        assert page.get_by_role("button", name=name, exact=True).count() == 0
        assert page.get_by_role("link", name=name, exact=True).count() == 0
    refused = page.evaluate(
        """(path) => fetch(path, {method: "DELETE", headers: {authorization: "session"}})
        .then((answer) => answer.status)""",
        f"/projects/{viewer.project.id}/dashboards/visits",
    )
    assert refused == 403
    viewer.forget("403 (Forbidden)")


def ends_elsewhere(viewer: Visitor, visiting: Visiting) -> None:
    elsewhere = visiting()
    elsewhere.page.goto(viewer.served.url)
    log_in(elsewhere.page, "ben")
    elsewhere.page.get_by_role("link", name="Account").click()
    elsewhere.page.get_by_role("button", name="End the session of").click()
    elsewhere.page.get_by_text("The session has ended.").wait_for()
    viewer.page.get_by_role("link", name="Data").click()
    viewer.page.get_by_text(ENDED).wait_for()
    viewer.forget("401 (Unauthorized)")
