"""The pages for people in a browser: what the first chart costs to load, and how fast pages change.

A project with the demo's shop is looked at with Chromium, by the session of its master key.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any
from urllib.parse import quote

from bench.charts import WAIT_MS, browser
from bench.report import Report, Wrong
from bench.serving import Acumen

ROUNDS = 5
BYTES_MAX = 250_000
CHANGE_MS_MAX = 100.0
NAMES = ("Saved", "Dashboards", "Data", "Start")
"""Links to pages that ask for no answer of a question, or show themselves before it."""

_CHART = "() => document.querySelector('acumen-chart')?.shadowRoot?.querySelector('svg.acumen-drawing')"
_CHANGE = """(name) => new Promise((done) => {
  const link = [...document.querySelectorAll("header nav a")].find((one) => one.textContent === name);
  const began = performance.now();
  const look = new MutationObserver(() => {
    if (link.getAttribute("aria-current") !== "page" || !document.querySelector("main > *")) return;
    look.disconnect();
    // Two frames later what was put into the page is on the screen.
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
  });
  look.observe(document.body, { subtree: true, childList: true, attributes: true });
  link.click();
})"""


def run(report: Report) -> None:
    """Raises Wrong where a page does not show what it should."""
    report.title(f"The pages, by Chromium ({ROUNDS} times each)")
    with Acumen() as server, browser() as running:
        report.progress("making the demo's shop")
        _demo(server)
        sizes, firsts, changes = [], [], []
        for turn in range(ROUNDS):
            report.progress(f"loading, round {turn + 1} of {ROUNDS}")
            size, first, changed = _visit(server, running)
            sizes.append(size)
            firsts.append(first)
            changes.append(changed)
    report.figure(
        "bytes before the first chart, of 250 kB",
        max(sizes) / BYTES_MAX,
        f"{max(sizes):,} bytes with headers, drawn after {median(firsts):.0f} ms",
        limit=1.0,
    )
    for name, found in zip(NAMES, zip(*changes, strict=True), strict=True):
        report.figure(
            f"to the page {name}, of 100 ms",
            median(found) / CHANGE_MS_MAX,
            f"{median(found):.0f} ms, at most {max(found):.0f} ms",
            limit=1.0,
        )


def _demo(server: Acumen) -> None:
    command = [sys.executable, "-P", "-m", "service", "demo", "--data", str(server.data)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Wrong(f"acumen demo: {made.stderr}")
    server.use_newest_project()


def _visit(server: Acumen, running: Any) -> tuple[int, float, list[float]]:
    """Bytes until the first chart is drawn, its milliseconds from the start, and those of each change."""
    with visitor(server, running) as (page, project):
        loaded: list[int] = []
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
        question = {"analysis_type": "count", "event_collection": "visits", "timeframe": "this_30_days"}
        asked = quote(json.dumps({**question, "interval": "daily"}))
        page.goto(f"{project}/explore?q={asked}")
        page.wait_for_function(_CHART)
        size, first = int(sum(loaded)), float(page.evaluate("performance.now()"))
        # All pages are loaded while the browser is idle.
        page.wait_for_load_state("networkidle")
        return size, first, [float(page.evaluate(_CHANGE, name)) for name in NAMES]


@contextmanager
def visitor(server: Acumen, running: Any) -> Iterator[tuple[Any, str]]:
    """A page of a browser without a cache, logged in with the master key, and the address of the project's
    pages. Raises Wrong."""
    url = f"http://127.0.0.1:{server.port}"
    context = running.new_context(viewport={"width": 1280, "height": 900})
    try:
        context.add_init_script("localStorage.setItem('acumen.session', '1')")
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        given = json.dumps({"project_id": server.project_id, "key": server.master_key})
        headers = {"Content-Type": "application/json", "Origin": url}
        if page.request.post(f"{url}/account/sessions", data=given, headers=headers).status != 201:
            raise Wrong("the session was refused")
        yield page, f"{url}/app/{server.project_id}"
    finally:
        context.close()
