"""The pages of a large project in a browser: many events, 1,000 more collections, and five of 990 properties.

For each page: how long it takes until it shows its content with no part still loading. In the first round no
answer is kept; later ones may be answered from memory, as for people who come back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import quote

from bench.charts import browser
from bench.pages import visitor
from bench.report import Report, Wrong
from bench.serving import COLLECTION, Acumen
from bench.store import Loaded

ROUNDS = 3
COLLECTIONS = 1_000
WIDE = tuple(f"wide_{number}" for number in range(5))
PROPERTIES = 990
"""Of each of those; no collection may have more than 1,000."""
PER_EVENT = 99
PAGE_MS_MAX = 1_000.0
_FRAME = {"start": "2026-01-01T00:00:00Z", "end": "2026-03-05T00:00:00Z"}

_READY = """() => {
  const all = [...document.querySelectorAll("main *")];
  const charts = all.filter((one) => one.localName === "acumen-chart");
  return all.length > 3 && !all.some((one) => one.matches(".loading, [aria-busy=true]")) &&
    charts.every((one) => ["ready", "empty", "error"].includes(
      one.shadowRoot?.querySelector(".root")?.dataset.state));
}"""


@dataclass(frozen=True)
class Page:
    """A page of a project by its address, and the text that it must show."""

    name: str
    path: str
    shows: str


def _asked(**question: Any) -> str:
    whole = {"event_collection": COLLECTION, "timeframe": _FRAME, "timezone": "UTC", **question}
    return f"explore?q={quote(json.dumps(whole))}"


PAGES = (
    Page("list of the collections", "data", "collection_0001"),
    Page("the large collection", f"data/{COLLECTION}", "Properties"),
    Page("a wide collection", f"data/{WIDE[0]}", "Properties"),
    Page("an empty explorer", "explore", "Collection"),
    Page("a daily count in the explorer", _asked(analysis_type="count", interval="daily"), "Chart"),
    Page(
        "a sum by country",
        _asked(analysis_type="sum", target_property="price", group_by="user.country"),
        "DE",
    ),
    Page("its files", "settings/files", COLLECTION),
    Page("usage and limits", "settings/usage", "Events"),
)


def run(report: Report, store: Loaded) -> None:
    """Raises Wrong where a page does not show what it should."""
    server = store.server
    report.title(f"The pages of a project with {store.events:,} events, by Chromium ({ROUNDS} times each)")
    report.progress(f"making {COLLECTIONS:,} collections, and {len(WIDE) * PROPERTIES:,} properties")
    _fill(server)
    with browser() as running:
        found: dict[str, list[float]] = {page.name: [] for page in PAGES}
        for turn in range(ROUNDS):
            for page in PAGES:
                report.progress(f"{page.name}, round {turn + 1} of {ROUNDS}")
                found[page.name].append(_open(server, running, page))
    for name, taken in found.items():
        detail = f"{median(taken):.0f} ms, at first {taken[0]:.0f} ms"
        report.figure(f"{name}, of 1 s", median(taken) / PAGE_MS_MAX, detail, limit=1.0)


def _fill(server: Acumen) -> None:
    """Raises Wrong where events are refused."""
    connection = server.connect()
    for body in _bodies():
        path = f"/3.0/projects/{server.project_id}/events"
        headers = {"Authorization": server.write_key, "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != 200 or b'"success":false' in told:
            raise Wrong(f"The server answered {answer.status}: {told[:300]!r}")
    connection.close()


def _bodies() -> Iterator[dict[str, Any]]:
    at = {"timestamp": "2026-02-01T12:00:00Z"}
    for first in range(0, COLLECTIONS, 100):
        events = [{"n": n, "kind": f"kind {n % 3}", "keen": at} for n in range(5)]
        yield {f"collection_{number:04d}": events for number in range(first, first + 100)}
    for first in range(0, PROPERTIES, PER_EVENT):
        event = {f"property_{number:04d}": number for number in range(first, first + PER_EVENT)}
        yield {name: [{**event, "keen": at}] for name in WIDE}


def _open(server: Acumen, running: Any, page: Page) -> float:
    """Milliseconds from the navigation until the page is whole."""
    with visitor(server, running) as (tab, project):
        tab.goto(f"{project}/{page.path}")
        tab.wait_for_function(_READY)
        taken = float(tab.evaluate("performance.now()"))
        tab.get_by_text(page.shows).first.wait_for(state="attached")
        return taken
