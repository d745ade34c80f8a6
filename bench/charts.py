"""Twelve charts of one page in a browser: ``<acumen-chart>`` against keen-dataviz with keen-analysis.

Both pages ask the same server the same twelve questions over the same events, by turns, each time in a
browser without a cache. What is measured is the time from the start of the page to the moment in which the
last of its charts is drawn. Needs Chromium, and npm for Keen's packages.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from acumen_client import Acumen as Client
from acumen_client import embed_token
from bench.report import Report, Wrong
from bench.serving import COLLECTION, Acumen

ROUNDS = 9
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WAIT_MS = 120_000.0
ROOT = Path(__file__).parents[1]
KEEN = ROOT / "tests/sdk/node"
"""Where Keen's packages are named with their versions."""

_FRAME = {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}


def _asked(analysis: str, **more: Any) -> dict[str, Any]:
    return {"analysis_type": analysis, "event_collection": COLLECTION, "timeframe": _FRAME, **more}


_TOTAL = "order.total"
CHARTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("metric", _asked("count")),
    ("metric", _asked("sum", target_property=_TOTAL)),
    ("line", _asked("count", interval="daily")),
    ("line", _asked("average", target_property="page.load_ms", interval="daily")),
    ("line", _asked("count", interval="daily", group_by="user.plan")),
    ("area", _asked("sum", target_property=_TOTAL, interval="daily")),
    ("area", _asked("count", interval="daily", group_by="device.family")),
    ("bar", _asked("count", group_by="user.country")),
    ("bar", _asked("sum", target_property=_TOTAL, group_by="page.section")),
    ("pie", _asked("count", group_by="order.currency")),
    ("pie", _asked("count", group_by="campaign.medium")),
    ("table", _asked("sum", target_property=_TOTAL, group_by="campaign.source")),
)
"""The type of each chart, which both libraries call by these names, and its question."""

_HEAD = """<!doctype html><meta charset="utf-8"><title>Twelve charts</title><link rel="icon" href="data:,">
<style>body { margin: 0; display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px }
acumen-chart, .chart { height: 280px; overflow: hidden }</style>
<script>
  const charts = CHARTS;
  // Two frames later what was put into the page is on the screen.
  const painted = (answers) => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
    done({ milliseconds: performance.now(), answers }))));
</script>"""
_OURS = """<body><script type="module" src="acumen-charts.js"></script><script>
  window.drawn = Promise.all(charts.map(([type, query], at) => new Promise((done, failed) => {
    const chart = document.createElement("acumen-chart");
    const title = "Chart " + at;
    const given = { server: SERVER, project: PROJECT, token: KEY, query: JSON.stringify(query), type, title };
    for (const [name, value] of Object.entries(given)) chart.setAttribute(name, value);
    // No question more than the other page asks.
    chart.setAttribute("compare", "none");
    chart.addEventListener("load", ({ detail }) => done(detail.answer.result));
    chart.addEventListener("error", ({ detail }) => failed(new Error(detail.message)));
    document.body.append(chart);
  }))).then(painted);
</script>"""
_THEIRS = """<link rel="stylesheet" href="keen-dataviz.min.css"><body>
<script src="keen-analysis.min.js"></script><script src="keen-dataviz.min.js"></script><script>
  const { host } = new URL(SERVER);
  const client = new KeenAnalysis({ projectId: PROJECT, readKey: KEY, host, protocol: "http" });
  window.drawn = Promise.all(charts.map(async ([type, query], at) => {
    const container = document.createElement("div");
    container.id = "chart" + at;
    container.className = "chart";
    document.body.append(container);
    const chart = new KeenDataviz({ container: "#chart" + at, type, title: "Chart " + at });
    const answer = await client.query(query);
    chart.render(answer);
    return answer.result;
  })).then(painted);
</script>"""

_SHOWN = """() => [...document.querySelectorAll("acumen-chart, .chart")].filter((one) =>
  (one.shadowRoot ?? one).querySelector("svg, table, [class*=metric]")).length"""
"""How many charts have something drawn in them."""


def run(report: Report, server: Acumen, events: int) -> None:
    """``server`` holds ``events``. Raises Wrong where the two pages show different answers."""
    report.title(f"Twelve charts over {events:,} events, drawn by Chromium ({ROUNDS} times each)")
    with browser() as running:
        for label, more, limit in (
            ("with answers computed", {"max_age": 0}, None),
            ("asked again", {}, 0.5),
        ):
            with TemporaryDirectory(prefix="acumen-bench-") as name:
                folder = Path(name)
                _write_pages(folder, server, more)
                with _site(folder) as url:
                    ours, theirs = _times(report, running, url)
            ratio = median(our / their for our, their in zip(ours, theirs, strict=True))
            detail = f"{median(ours):.0f} of {median(theirs):.0f} ms"
            report.figure(f"acumen-chart / keen-dataviz, {label}", ratio, detail, limit=limit)


def _times(report: Report, browser: Any, url: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each round, of either page."""
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(ROUNDS + 1):
        answers = {}
        for name, found in times.items():
            report.progress(f"drawing {name}, round {turn} of {ROUNDS}")
            drawn = _drawn(browser, f"{url}/{name}.html")
            answers[name] = drawn["answers"]
            # The first round warms the server up, for both.
            found += [drawn["milliseconds"]] if turn else []
        for number, (our, their) in enumerate(zip(answers["ours"], answers["theirs"], strict=True)):
            report.equal(f"chart {number}", our, their)
    return times["ours"], times["theirs"]


def _drawn(browser: Any, address: str) -> Any:
    """When the last chart was drawn, in milliseconds from the start of the page, and all answers."""
    context = browser.new_context(viewport={"width": 1280, "height": 1200})
    try:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(address)
        found = page.evaluate("drawn")
        shown = page.evaluate(_SHOWN)
        if shown != len(CHARTS):
            raise Wrong(f"{address}: {shown} of {len(CHARTS)} charts are drawn")
        return found
    finally:
        context.close()


def _write_pages(folder: Path, server: Acumen, more: Mapping[str, Any]) -> None:
    """The two pages with all that they load but the answers. ``more`` is asked with each question."""
    url = f"http://127.0.0.1:{server.port}"
    client = Client(url, project_id=server.project_id, master_key=server.master_key)
    token = embed_token(str(client.access_keys.create("Charts", ["queries"]).key), allow=["queries"])
    client.close()
    charts = [(type_, {**query, **more}) for type_, query in CHARTS]
    for name, body, key in (("ours", _OURS, token), ("theirs", _THEIRS, server.read_key)):
        text = _HEAD + body
        given = {"SERVER": url, "PROJECT": server.project_id, "KEY": key, "CHARTS": charts}
        for word, value in given.items():
            text = text.replace(word, json.dumps(value))
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "clients/charts/dist/acumen-charts.js", folder)
    packages = _keen_packages()
    for file in (
        "keen-analysis/dist/keen-analysis.min.js",
        "keen-dataviz/dist/keen-dataviz.min.js",
        "keen-dataviz/dist/keen-dataviz.min.css",
    ):
        shutil.copy(packages / file, folder)


def _keen_packages() -> Path:
    """The folder of Keen's packages, installed as the lock file says."""
    packages = KEEN / "node_modules"
    if not (packages / "keen-dataviz").exists():
        npm = shutil.which("npm")
        if npm is None:
            raise Wrong("npm is not installed: Keen's packages cannot be had.")
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=KEEN, check=True)
    return packages


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise Wrong("Chromium is not installed.")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def _site(folder: Path) -> Iterator[str]:
    """The address of a web server of this folder."""
    handler = functools.partial(_QuietFiles, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        return None
