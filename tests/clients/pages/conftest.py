"""A visitor of the pages, in a browser whose every complaint fails the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.browser import PATIENCE_SECONDS
from tests.support.server import Served, ServedProject

ROOT = Path(__file__).resolve().parents[3]
DIST = ROOT / "clients/pages/dist"
ZONE = "Europe/Berlin"
AS_JSON = {"Content-Type": "application/json"}
PERHAPS_A_SESSION = "localStorage.setItem('acumen.session', '1')"


@dataclass
class Visitor:
    """Somebody with a browser, before one project."""

    page: Any
    served: Served
    project: ServedProject
    complaints: list[str] = field(default_factory=list)
    """What the console said, and what failed, since this was looked at last."""
    addresses: list[str] = field(default_factory=list)

    def enter(self, key: str | None = None) -> None:
        """Have the browser hold a session of a key, as after log-in."""
        given = {"project_id": self.project.id, "key": key or self.project.master_key}
        reply = self.served.request("POST", "/account/sessions", given, headers=AS_JSON)
        assert reply.status == 201, reply.body
        self.hold(reply.headers["set-cookie"])

    def hold(self, set_cookie: str) -> None:
        """Have the browser hold the session of this cookie."""
        name, _, token = set_cookie.partition(";")[0].partition("=")
        cookie = {
            "name": name,
            "value": token,
            "url": self.served.url,
            "httpOnly": True,
            "sameSite": "Strict",
        }
        self.page.context.add_cookies([cookie])
        self.page.add_init_script(PERHAPS_A_SESSION)

    def open(self, *parts: str, query: str = "") -> Any:
        """Open a page of the project."""
        path = "/".join(["/app", self.project.id, *(quote(part, safe="") for part in parts)])
        self.page.goto(self.served.url + path + query)
        return self.page

    def explore(self, **question: Any) -> Any:
        asked = {"timeframe": "this_14_days", "timezone": ZONE, **question}
        return self.open("explore", query=f"?q={quote(json.dumps(asked))}")

    def question(self) -> dict[str, Any]:
        """What the address of the explorer asks."""
        asked: dict[str, Any] = self.page.evaluate(
            "JSON.parse(new URLSearchParams(location.search).get('q'))"
        )
        return asked

    def drawn(self) -> Any:
        """The drawing of the one chart of the page, once it is there."""
        drawing = self.page.locator("acumen-chart svg.acumen-drawing").first
        drawing.wait_for()
        return drawing

    def manage(self, method: str, path: str, body: Any = None) -> Any:
        """A call with the master key, which must be answered with success."""
        reply = self.served.request(method, path, body, key=self.project.master_key)
        assert reply.status < 300, reply.body
        return reply.json if reply.body else None

    def save(self, name: str, title: str, **query: Any) -> None:
        path = f"/3.0/projects/{self.project.id}/queries/saved/{name}"
        self.manage("PUT", path, {"query": query, "metadata": {"display_name": title}})

    def forget(self, *expected: str) -> None:
        """Take away complaints that the test provokes: each must be there, and no other."""
        for one in self.complaints:
            assert any(text in one for text in expected), one
        self.complaints.clear()


def dismissing(heard: list[str]) -> Callable[[Any], None]:
    """What hears of dialogs of the browser's own, and says no."""

    def dismiss(dialog: Any) -> None:
        heard.append(dialog.message)
        dialog.dismiss()

    return dismiss


Visiting = Callable[..., Visitor]


@pytest.fixture
def visiting(browser: Any, served: Served, project: ServedProject) -> Iterator[Visiting]:
    """Makes visitors; the options are those of a browser's context."""
    made: list[tuple[Any, Visitor]] = []

    def visit(**options: Any) -> Visitor:
        context = browser.new_context(
            **{"locale": "en-GB", "timezone_id": ZONE, "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        visitor = Visitor(context.new_page(), served, project)
        heard = visitor.complaints
        visitor.page.on(
            "console", lambda said: heard.append(said.text) if said.type in ("error", "warning") else None
        )
        visitor.page.on("pageerror", lambda error: heard.append(str(error)))
        visitor.page.on("request", lambda request: visitor.addresses.append(request.url))
        made.append((context, visitor))
        return visitor

    yield visit
    for context, visitor in made:
        context.close()
        assert visitor.complaints == []
        own = (served.url, "blob:", "data:")
        assert [address for address in visitor.addresses if not address.startswith(own)] == []


@pytest.fixture
def visitor(visiting: Visiting) -> Visitor:
    """The owner of an empty project."""
    made = visiting()
    made.enter()
    return made


def sell(served: Served, project: ServedProject) -> None:
    """A few purchases of the last days."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    sold = [("DE", "pro", 30), ("DE", "free", 5), ("PL", "pro", 12.5), ("FR", "team", 70), ("DE", "pro", 8)]
    served.record(
        project,
        "purchases",
        *(
            {
                "country": country,
                "plan": plan,
                "price": price,
                "gift": price < 10,
                "user": {"id": f"u{at % 3}"},
                "keen": {"timestamp": (today - timedelta(days=at)).isoformat()},
            }
            for at, (country, plan, price) in enumerate(sold)
        ),
    )
    served.record(project, "visits", *({"user": {"id": f"u{at % 4}"}} for at in range(6)))


@pytest.fixture
def shop(visitor: Visitor) -> Visitor:
    """The owner of a project with purchases."""
    sell(visitor.served, visitor.project)
    return visitor
