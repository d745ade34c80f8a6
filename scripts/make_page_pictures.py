"""Take pictures of the pages, from a server with the demo's shop.

    .venv/bin/python -P scripts/make_page_pictures.py [--all FOLDER] [NAME…]

writes those of the documentation to ``docs/images/pages``, in light and dark. With ``--all`` it writes every
page to FOLDER in light, dark and as wide as a phone, each with data, empty, while loading, after an error and
with very long names, to be looked at. Needs Chromium.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images/pages"
DESKTOP = {"width": 1280, "height": 820}
PHONE = {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2},
}
PATIENCE_MS = 60_000
PASSWORD = "a password for pictures"
EMAIL = "owner@example.com"
LONG = "an_uncommonly_long_name_that_no_column_was_made_for_" * 4

OF_PROJECTS = re.compile(r"/(3\.0|projects)/")
"""The addresses of requests that a page of a project makes."""

READY = """() => {
  const deep = (root) => [...root.querySelectorAll("*")].flatMap((one) =>
    one.shadowRoot ? [one, ...deep(one.shadowRoot)] : [one]);
  const all = deep(document);
  const waits = all.some((one) => one.matches(".loading, [aria-busy=true]"));
  const charts = all.filter((one) => one.localName === "acumen-chart");
  return !waits && charts.every((one) =>
    ["ready", "empty", "error"].includes(one.shadowRoot?.querySelector(".root")?.dataset.state));
}"""
"""Whether nothing on the page is being loaded."""


def asked(**question: Any) -> str:
    """The address of a question in the explorer."""
    return f"explore?q={quote(json.dumps({'timezone': 'UTC', 'timeframe': 'previous_30_days', **question}))}"


REVENUE = {"analysis_type": "sum", "event_collection": "purchases", "target_property": "order.total"}
SECTIONS = ("keys", "usage", "deletions", "retention", "files", "exports", "audit", "project")
_OF_USERS = {"event_collection": "page_views", "actor_property": "user.id"}
PAGES: dict[str, str] = {
    "start": "",
    "explore": asked(**REVENUE, interval="daily", group_by=["device.type"]),
    "explore-table": asked(**REVENUE, group_by=["device.type"]) + "&view=table",
    "explore-code": asked(**REVENUE, interval="daily") + "&view=code",
    "explore-funnel": asked(
        analysis_type="funnel",
        order="ordered",
        actor_property="user.id",
        times=True,
        steps=[{"event_collection": name} for name in ("page_views", "purchases")],
    ),
    "explore-retention": asked(
        analysis_type="retention",
        starting_event={"event_collection": "page_views"},
        actor_property="user.id",
        interval="weekly",
    ),
    "explore-lifecycle": asked(**_OF_USERS, analysis_type="lifecycle", interval="weekly"),
    "explore-sessions": asked(**_OF_USERS, analysis_type="sessions"),
    "explore-paths": asked(**_OF_USERS, analysis_type="paths", by="page.path"),
    "explore-series": asked(
        analysis_type="series",
        interval="daily",
        compare="previous_period",
        series={"orders": {"event_collection": "purchases", "analysis_type": "count"}},
        rolling={"orders": 7},
        show=["orders", "orders.rolling"],
        completeness=True,
    ),
    "explore-why": asked(
        **REVENUE,
        interval="daily",
        filters=[{"property_name": "device.type", "operator": "eq", "property_value": "mobile"}],
    )
    + "&view=why",
    "explore-cohort": asked(
        analysis_type="count_unique",
        event_collection="page_views",
        target_property="user.id",
        interval="daily",
        group_by=[{"cohort": "buyers"}],
        filters=[{"operator": "not_in_cohort", "property_value": "testers"}],
    ),
    "explore-entry": asked(
        **REVENUE,
        session={
            "events": [{"event_collection": "page_views"}, {"event_collection": "purchases"}],
            "actor_property": "user.id",
            "page_property": "page.path",
        },
        group_by=[{"session": "entry"}],
    ),
    "cohorts": "cohorts",
    "cohort": "cohorts/buyers",
    "cohort-form": "cohorts/buyers?edit",
    "cohort-funnel": "cohorts/undecided?edit",
    "sql": "sql?sql=SELECT%20*%20FROM%20purchases%20LIMIT%2020",
    "saved": "saved",
    "dashboards": "dashboards",
    "dashboard": "dashboards/sales",
    "dashboard-editor": "dashboards/sales?edit=1",
    "data": "data",
    "collection": "data/purchases",
    "live": "live/purchases",
    "import": "import",
    "exports": "exports",
    **{f"settings-{name}": f"settings/{name}" for name in SECTIONS},
}
"""The pages of a project, by their addresses below it."""
LONG_QUESTIONS = {
    page: asked(**REVENUE | {"target_property": "price"}, group_by=[LONG]) + f"&view={view}"
    for page, view in (("explore", "chart"), ("explore-table", "table"), ("explore-code", "code"))
}
"""What the explorer is asked where names are long."""
OWN = {name: f"/app/{name}" for name in ("account", "people", "projects", "server")}
"""The pages of a person."""
ENTRY = {"login": "/login", "join": "/join", "reset": "/reset"}
"""The pages without a session."""
IN_DOCS = (
    *("start", "explore", "dashboard", "dashboard-editor", "cohort-form", "collection", "settings-usage"),
    "people",
)
STATES = ("full", "empty", "loading", "error", "long")


@dataclass(frozen=True)
class Shown:
    """One picture: a page in a state and a look."""

    page: str
    state: str
    look: str

    @property
    def file(self) -> str:
        return f"{self.page}-{self.state}-{self.look}.png"


class Studio:
    """A server with the demo's shop, an empty project and one of long names; and its owner."""

    def __init__(self, server: Any, *, every_state: bool) -> None:
        """``every_state``: with a project of long names, which other pages would tell of."""
        self._server = server
        self.empty = server.project
        server.run("demo")
        self.shop = next(one for one in server.projects() if one.id != self.empty.id)
        server.await_project(self.shop)
        self.long = self._make_long() if every_state else None
        self._make_cohorts()
        self.cookie = self._join()

    def _make_long(self) -> Any:
        server = self._server
        made = server.new_project(LONG[:100])
        at = {"timestamp": (datetime.now(UTC) - timedelta(days=3)).isoformat()}
        event = {LONG: LONG * 4, "price": 1e15, "parent": {LONG: -1}, "user": {"id": LONG}, "keen": at}
        server.record(made, "purchases", *[event] * 20)
        server.record(made, LONG[:64], event)
        query = {**REVENUE, "target_property": "price", "group_by": LONG}
        path = f"/3.0/projects/{made.id}/queries/saved/overview"
        body = {"query": query, "metadata": {"display_name": LONG}}
        assert server.request("PUT", path, body, key=made.master_key).status == 201
        board = {"title": LONG, "widgets": [{"query": "overview"}]}
        path = f"/projects/{made.id}/dashboards/sales"
        assert server.request("PUT", path, board, key=made.master_key).status == 201
        return made

    def _make_cohorts(self) -> None:
        month = {"timeframe": "this_30_days", "timezone": "UTC"}
        did = {"event_collection": "purchases", "at_least": 2, **month}
        steps = [{"event_collection": name, "timezone": "UTC"} for name in ("page_views", "purchases")]
        funnel = {"steps": steps, "order": "ordered", "window": "7_days", "timeframe": "this_30_days"}
        shop = {
            "buyers": {"display_name": "Regular buyers", "all": [did, {"not_in_cohort": "testers"}]},
            "undecided": {"display_name": "Undecided", "funnel": {**funnel, "step": 2, "dropped": True}},
            "testers": {"display_name": "Testers", "actors": ["u1", "u2", "u3"]},
        }
        long = {"buyers": {"display_name": LONG, "all": [did]}, "undecided": shop["undecided"]}
        for project, cohorts in ((self.shop, shop), *([(self.long, long)] if self.long else [])):
            for name, definition in sorted(cohorts.items(), reverse=True):
                path = f"/3.0/projects/{project.id}/cohorts/{name}"
                body = {"actor_property": "user.id", **definition}
                reply = self._server.request("PUT", path, body, key=project.master_key)
                assert reply.status == 201, reply.body

    def _join(self) -> dict[str, Any]:
        """The cookie of somebody who owns all of it."""
        link = re.search(r"#(\S+)", self._server.run("people", "invite", EMAIL, "--owner").stdout)
        assert link is not None
        given = {"token": link[1], "name": "Ada Example", "password": PASSWORD}
        reply = self._server.request(
            "POST", "/account/join", given, headers={"Content-Type": "application/json"}
        )
        assert reply.status == 201, reply.body
        name, _, value = reply.headers["set-cookie"].partition(";")[0].partition("=")
        return {"name": name, "value": value, "url": self._server.url, "httpOnly": True, "sameSite": "Strict"}

    @contextmanager
    def visit(self, browser: Any, look: str, *, logged_in: bool = True) -> Iterator[Any]:
        context = browser.new_context(
            locale="en-GB", timezone_id="UTC", reduced_motion="reduce", **LOOKS[look]
        )
        context.set_default_timeout(PATIENCE_MS)
        if logged_in:
            context.add_cookies([self.cookie])
            context.add_init_script("localStorage.setItem('acumen.session', '1')")
        page = context.new_page()
        yield page
        context.close()

    def address(self, shown: Shown) -> str:
        project: Any = {"empty": self.empty, "long": self.long}.get(shown.state, self.shop)
        of_project = {**PAGES, **LONG_QUESTIONS} if shown.state == "long" else PAGES
        path = {**ENTRY, **OWN}.get(shown.page) or f"/app/{project.id}/{of_project[shown.page]}"
        return f"{self._server.url}{path}"


def take(studio: Studio, browser: Any, shown: Shown) -> bytes:
    """The picture as PNG."""
    with studio.visit(browser, shown.look, logged_in=shown.page not in ENTRY) as page:
        held: list[Any] = []
        if shown.state == "loading":
            page.route(OF_PROJECTS, lambda route: held.append(route))
        elif shown.state == "error":
            page.route(OF_PROJECTS, _failing)
        page.goto(studio.address(shown))
        if shown.state == "loading":
            page.locator(".loading").first.wait_for()
        else:
            page.locator("main").wait_for()
            page.wait_for_function(READY)
            # Animations of what has just come end.
            page.wait_for_timeout(300)
        content: bytes = page.screenshot(full_page=True)
        for route in held:
            route.abort()
        return content


def _failing(route: Any) -> None:
    body = {
        "message": "The server is stopping; try again in a moment.",
        "error_code": "ServiceUnavailableError",
    }
    headers = {"X-Request-Id": "0123456789abcdef"}
    route.fulfill(status=503, json=body, headers=headers)


def of_docs() -> dict[str, Shown]:
    """The pictures of the documentation, by file name."""
    return {f"{page}-{look}.png": Shown(page, "full", look) for page in IN_DOCS for look in ("light", "dark")}


def of_all() -> dict[str, Shown]:
    found = []
    for look in LOOKS:
        for page in PAGES:
            found += [Shown(page, state, look) for state in STATES]
        found += [Shown(page, "full", look) for page in (*OWN, *ENTRY)]
    return {one.file: one for one in found}


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from tests.support.browser import FLAGS, find_chromium
    from tests.support.server import Served

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--all", type=Path, metavar="FOLDER", help="every page in every state, to be looked at"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of file names; none: all pictures")
    args = parser.parse_args()
    program = find_chromium()
    if program is None:
        print("Needs Chromium.", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    wanted = {
        file: shown
        for file, shown in (of_all() if args.all else of_docs()).items()
        if not args.names or any(name in file for name in args.names)
    }
    folder = args.all or IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    with Served() as server, sync_playwright() as playwright:
        studio = Studio(server, every_state=args.all is not None)
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for file, shown in wanted.items():
            content = take(studio, browser, shown)
            (folder / file).write_bytes(content)
            print(f"{folder / file}  {len(content):,} bytes", flush=True)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
