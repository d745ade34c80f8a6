"""Pages with charts on another origin than the server's, and what a browser says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.clients.browser.conftest import PATIENCE_SECONDS, Site
from tests.clients.browser.shop import Shop
from tests.support.axe import serious

HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Charts</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>body{margin:8px}%s</style><script type="module" src="/dist/acumen-charts.js"></script></head>
<body><main><h1>Charts</h1>%s</main></body></html>"""
VIEWER = {"timeframe": True, "interval": True, "filters": ["country", "plan"]}


def tag(name: str, attributes: Mapping[str, Any], content: str = "") -> str:
    said = "".join(
        f' {key.replace("_", "-")}="{escape(value if isinstance(value, str) else json.dumps(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{said}>{content}</{name}>"


class Charts:
    """One page in a browser context, whose errors and requests are kept."""

    def __init__(self, context: Any, site: Site, shop: Shop) -> None:
        self.site, self.shop = site, shop
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.errors: list[str] = []
        self.requests: list[Any] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def chart(self, saved: str | None = None, **attributes: Any) -> str:
        """The markup of a chart with a token whose viewer may change everything."""
        return tag("acumen-chart", {**self.access(), "saved_query": saved, **attributes})

    def access(self, **conditions: Any) -> dict[str, Any]:
        all_ = {"viewer": VIEWER, "allow": ["extractions"], **conditions}
        token = self.shop.token(**{name: value for name, value in all_.items() if value is not None})
        return {"server": self.shop.url, "project": self.shop.project.id, "token": token}

    def open(self, *markup: str, style: str = "", wait: bool = True) -> Any:
        """Load a page with this in it; ``wait`` until no chart waits for an answer."""
        self.site.pages["/charts.html"] = HEAD % (style, "".join(markup))
        self.page.goto(f"{self.site.url}/charts.html")
        if wait:
            self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until all charts, those in dashboards too, are drawn or failed, and have their tables."""
        self.page.wait_for_function(
            """() => {
              const found = [...document.querySelectorAll("acumen-chart")];
              for (const board of document.querySelectorAll("acumen-dashboard")) {
                if (!board.shadowRoot) return false;
                const inner = [...board.shadowRoot.querySelectorAll("acumen-chart")];
                const none = board.shadowRoot.querySelector("[part=error], [part=empty]");
                if (!inner.length && !none) return false;
                found.push(...inner);
              }
              return found.every((one) => one.shadowRoot &&
                ["ready", "error"].includes(one.shadowRoot.querySelector(".root").dataset.state) &&
                one.shadowRoot.querySelector(".root").getAttribute("aria-busy") !== "true");
            }"""
        )
        # a drawing is made before the next picture of the page
        self.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
        # After the charts' own: they make their tables when the browser is idle.
        self.page.evaluate("() => new Promise((done) => requestIdleCallback(() => done()))")

    def asked(self, part: str = "/3.0/") -> list[Any]:
        """The requests to the server whose address holds this."""
        of_server = [one for one in self.requests if one.url.startswith(self.shop.url)]
        return [one for one in of_server if part in one.url and one.method != "OPTIONS"]

    def parameters(self, request: Any) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}

    def table(self, index: int = 0) -> list[list[str]]:
        """The rows of the table behind the chart, its heading first."""
        rows: list[list[str]] = self.page.evaluate(
            """(index) => [...document.querySelectorAll("acumen-chart")[index].shadowRoot
              .querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.textContent))""",
            index,
        )
        return rows

    def faults(self) -> list[str]:
        """What axe-core finds of serious and critical faults."""
        return serious(self.page)

    def check(self, expected_errors: int = 0) -> None:
        """Nothing was said on the console but so many failed requests, and no other place was asked."""
        assert len(self.errors) == expected_errors, self.errors
        places = {f"{url.scheme}://{url.netloc}" for url in map(urlsplit, (one.url for one in self.requests))}
        others = {place for place in places if place.startswith("http")} - {self.site.url, self.shop.url}
        assert not others


@contextmanager
def charts_in(browser: Any, site: Site, shop: Shop, **options: Any) -> Iterator[Charts]:
    """``options`` are those of a browser context: ``viewport``, ``color_scheme``, ``locale`` …"""
    usual = {"viewport": {"width": 900, "height": 800}, "locale": "en-US", "timezone_id": "UTC"}
    context = browser.new_context(**{**usual, **options})
    try:
        yield Charts(context, site, shop)
    finally:
        context.close()
