"""Draw the pictures of the documentation, from a running server that holds the same events every time.

    .venv/bin/python -P scripts/make_pictures.py [FOLDER]

writes ``docs/images``: of every type of chart what the server draws, in light and dark, and with Chromium a
dashboard as a page shows it. Without Chromium the dashboard stays as it is.
"""

from __future__ import annotations

import json
import random
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
THEMES = ("light", "dark")
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 30
COUNTRIES = {"Poland": 9, "Germany": 6, "France": 4, "Italy": 3, "Czechia": 2}
PLANS = {"free": 5, "pro": 3, "team": 1}

Json = dict[str, Any]


def span(analysis: str, **more: Any) -> Json:
    """A question about purchases in these thirty days."""
    frame = {"start": FIRST.isoformat(), "end": (FIRST + timedelta(days=DAYS)).isoformat()}
    return {"analysis_type": analysis, "event_collection": "purchases", "timeframe": frame, **more}


def steps() -> list[Json]:
    frame = span("funnel")["timeframe"]
    return [
        {"event_collection": name, "timeframe": frame, "actor_property": "user.id"}
        for name in ("visits", "carts", "purchases")
    ]


def daily(analysis: str, *, target: str = "", **more: Any) -> Json:
    """A question for series, of one that is called ``orders`` or ``revenue``, by days."""
    name, named = ("revenue", {"target_property": target}) if target else ("orders", {})
    one = {"event_collection": "purchases", "analysis_type": analysis, **named}
    frame = span(analysis)["timeframe"]
    return {"analysis_type": "series", "timeframe": frame, "interval": "daily", "series": {name: one}, **more}


REVENUE = span("sum", target_property="price")
SAVED: dict[str, tuple[Json, Json]] = {
    "metric": (REVENUE, {"display_name": "Revenue", "visualization": {"type": "metric", "format": "EUR"}}),
    "line": (
        {**REVENUE, "interval": "daily", "group_by": "plan"},
        {"display_name": "Revenue of plans", "visualization": {"type": "line", "format": "EUR"}},
    ),
    "area": (
        span("count", interval="daily", group_by="country"),
        {"display_name": "Orders a day", "visualization": {"type": "area", "limit": 3}},
    ),
    "bar": (span("count", group_by="country"), {"display_name": "Orders by country"}),
    "stacked": (
        span("count", group_by=["country", "plan"]),
        {"display_name": "Orders by country and plan", "visualization": {"type": "stacked"}},
    ),
    "pie": (
        span("count", group_by="plan"),
        {"display_name": "Orders by plan", "visualization": {"type": "pie"}},
    ),
    "funnel": ({"analysis_type": "funnel", "steps": steps()}, {"display_name": "From visit to purchase"}),
    "heatmap": (
        span("count", interval="hourly")
        | {"timeframe": {"start": FIRST.isoformat(), "end": (FIRST + timedelta(days=7)).isoformat()}},
        {"display_name": "When people buy", "visualization": {"type": "heatmap"}},
    ),
    "gauge": (
        span("percentile", target_property="price", percentile=90),
        {
            "display_name": "90th percentile of orders",
            "visualization": {"type": "gauge", "target": 40, "max": 60, "format": "EUR"},
        },
    ),
    "rolling": (
        daily(
            "count",
            rolling={"orders": 7},
            formulas={"7-day average": "orders.rolling / 7"},
            show=["orders", "7-day average"],
        ),
        {"display_name": "Orders a day"},
    ),
    "cumulative": (
        daily("sum", target="price", cumulative=["revenue"], show=["revenue.cumulative"]),
        {"display_name": "Revenue so far", "visualization": {"format": "EUR"}},
    ),
    "top-other": (
        daily("sum", target="price", group_by="country", top={"limit": 3, "by": "revenue", "other": True}),
        {"display_name": "Revenue of countries", "visualization": {"format": "EUR"}},
    ),
    "table": (
        span(
            "multi_analysis",
            group_by="country",
            analyses={
                "orders": {"analysis_type": "count"},
                "revenue": {"analysis_type": "sum", "target_property": "price"},
                "average": {"analysis_type": "average", "target_property": "price"},
            },
        ),
        {"display_name": "Countries", "visualization": {"type": "table"}},
    ),
}
SIZES = {
    "metric": (320, 160),
    "gauge": (320, 240),
    "pie": (420, 260),
    "line": (640, 320),
    "heatmap": (640, 300),
}
SIZE = (480, 280)
DASHBOARD: Json = {
    "title": "Sales",
    "layout": {"controls": {"timeframe": True, "interval": True, "filters": ["country"]}},
    "widgets": [
        {"query": "metric", "layout": {"width": 4, "height": 190}},
        {"query": "gauge", "layout": {"width": 4, "height": 190}},
        {"query": "pie", "layout": {"width": 4, "height": 190}},
        {"query": "line", "layout": {"width": 8}},
        {"query": "bar", "layout": {"width": 4}},
        {"query": "heatmap", "layout": {"width": 6}},
        {"query": "funnel", "layout": {"width": 6}},
    ],
}


def events() -> dict[str, list[Json]]:
    """Visits, carts and purchases, the same ones every time."""
    luck = random.Random(11)
    found: dict[str, list[Json]] = {"visits": [], "carts": [], "purchases": []}
    # As many days before, with which the numbers are compared.
    for day in range(-DAYS, DAYS):
        weekend = (FIRST + timedelta(days=day)).weekday() >= 5
        for _ in range((70 if weekend else 110) + day + luck.randrange(30)):
            at = FIRST + timedelta(days=day, minutes=luck.triangular(0, 1439, 1100))
            event = {
                "user": {"id": f"u{luck.randrange(2000)}"},
                "country": chosen(luck, COUNTRIES),
                "plan": chosen(luck, PLANS),
                "keen": {"timestamp": at.isoformat()},
            }
            found["visits"].append(event)
            if luck.random() < 0.6:
                found["carts"].append(event)
                if luck.random() < 0.7:
                    found["purchases"].append({**event, "price": round(luck.lognormvariate(3, 0.5), 2)})
    return found


def chosen(luck: random.Random, weights: dict[str, int]) -> str:
    return luck.choices(list(weights), list(weights.values()))[0]


class Shop:
    """A project of a running server, filled."""

    def __init__(self, url: str, project_id: str, master_key: str) -> None:
        self._url, self.project_id, self._key = url, project_id, master_key
        self._send("POST", "/events", events())
        for name, (query, metadata) in SAVED.items():
            self._send("PUT", f"/queries/saved/{name}", {"query": query, "metadata": metadata})
        body = {
            "name": "Embedding",
            "permitted": ["queries", "saved_queries", "cached_queries"],
            "options": {"embed": {"origins": [url]}},
        }
        self.access_key = self._send("POST", "/keys", body)["key"]
        path = f"{url}/projects/{project_id}/dashboards/sales"
        answered(urllib.request.Request(path, json.dumps(DASHBOARD).encode(), self._headers(), method="PUT"))

    def _send(self, method: str, path: str, body: Any) -> Any:
        address = f"{self._url}/3.0/projects/{self.project_id}{path}"
        request = urllib.request.Request(address, json.dumps(body).encode(), self._headers(), method=method)
        return json.loads(answered(request))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._key, "Content-Type": "application/json"}

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """File names and contents of what the server draws."""
        for name in SAVED:
            width, height = SIZES.get(name, SIZE)
            for theme in THEMES:
                asked = urlencode({"width": width, "height": height, "theme": theme})
                path = f"/3.0/projects/{self.project_id}/queries/saved/{name}/result.svg?{asked}"
                yield (
                    f"{name}-{theme}.svg",
                    answered(urllib.request.Request(self._url + path, headers=self._headers())),
                )

    def dashboards(self, program: str) -> Iterator[tuple[str, bytes]]:
        """The dashboard's page for frames, as Chromium shows it."""
        from playwright.sync_api import sync_playwright

        from acumen_client import embed_token

        viewer = {"timeframe": True, "interval": True, "filters": ["country"]}
        token = embed_token(self.access_key, dashboards=["sales"], viewer=viewer)
        path = f"/3.0/projects/{self.project_id}/dashboards/sales/embed?{urlencode({'api_key': token})}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=program, args=["--no-sandbox", "--disable-gpu"]
            )
            for theme in THEMES:
                page = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme=theme)
                page.goto(self._url + path, referer=f"{self._url}/")
                page.wait_for_function(DRAWN)
                yield f"dashboard-{theme}.png", page.screenshot(full_page=True)
            browser.close()


DRAWN = """() => {
  const board = document.querySelector("acumen-dashboard")?.shadowRoot;
  const charts = [...(board?.querySelectorAll("acumen-chart") ?? [])];
  return charts.length > 0 &&
    charts.every((one) => one.shadowRoot?.querySelector(".root").dataset.state === "ready");
}"""


def answered(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=120) as answer:
        content: bytes = answer.read()
        return content


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from tests.support.browser import find_chromium
    from tests.support.server import Served

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    program = find_chromium()
    with Served() as server:
        shop = Shop(server.url, server.project.id, server.project.master_key)
        found = dict(shop.pictures())
        if program is None:
            print("No Chromium: the pictures of the dashboard stay as they are.", file=sys.stderr)
        else:
            found |= dict(shop.dashboards(program))
    for name, content in found.items():
        (folder / name).write_bytes(content)
        print(f"{folder / name}  {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
