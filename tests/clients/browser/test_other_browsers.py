"""The scripts of pages in Firefox and in WebKit, Safari's engine: events, charts, exports and the live tail.

No driver is used: the page does what a visitor would, and posts what came of it to its own site.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.browser.conftest import PATIENCE_SECONDS, Recorded, Site
from tests.clients.browser.shop import SAVED, Shop, open_shop
from tests.clients.faulty_proxy import LOST_ANSWER, LOST_REQUEST, FaultyProxy
from tests.support.server import Served, ServedProject

Visit = Callable[[str], Any]
ENGINES = {"firefox": "Firefox", "webkit": "AppleWebKit"}

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title>
<link rel="icon" href="data:,">
<script src="/dist/tracker.js"></script>
<script>
  const given = %s;
  const errors = [];
  addEventListener("error", (event) => errors.push(event.message));
  addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
  const wait = (ms) => new Promise((go) => setTimeout(go, ms));
  const report = (found) => fetch("/report", {
    method: "POST", body: JSON.stringify({ agent: navigator.userAgent, errors, ...found }) });
  const failed = (error) => report({ failed: String(error && error.stack || error) });
</script>%s</html>"""

TRACKING = """<script>
  acumen.init({ ...given.tracker, flushSeconds: 0.01, onDrop: (drop) => errors.push(drop.reason) });
  const kept = () => new Promise((resolve) => {
    const opening = indexedDB.open("acumen." + given.tracker.projectId, 1);
    // The tracker makes the database, not this.
    opening.onupgradeneeded = () => opening.transaction.abort();
    opening.onerror = () => resolve(0);
    opening.onsuccess = () => {
      const count = opening.result.transaction("e").objectStore("e").count();
      count.onsuccess = () => resolve(count.result);
    };
  });
  (async () => {
    if (!sessionStorage.visited) {
      sessionStorage.visited = "yes";
      for (let n = 0; n < 5; n += 1) acumen.track("seen", { n, text: "żółw 🐢" });
      while (await kept() < 5) await wait(5);
      location.reload();
      return;
    }
    for (let n = 5; n < 10; n += 1) acumen.track("seen", { n, text: "żółw 🐢" });
    while (!(await acumen.flush())) await wait(20);
    await report({ kept: await kept() });
  })().catch(failed);
</script>"""

CHARTS = """<body></body><script type="module">
  import { Acumen } from "/dist/index.js";
  import "/dist/acumen-charts.js";
  const drawn = {};
  const size = (blob) => createImageBitmap(blob).then((image) => [image.width, image.height]);
  const draw = async (name) => {
    const chart = Object.assign(document.createElement("acumen-chart"), { style: "width: 400px" });
    const attributes = { ...given.access, "saved-query": name };
    for (const [key, value] of Object.entries(attributes)) chart.setAttribute(key, value);
    const loaded = new Promise((done, refuse) => {
      chart.addEventListener("load", done);
      const fail = ({ detail }) => refuse(new Error(`${name}: ${JSON.stringify(detail)}`));
      chart.addEventListener("error", fail);
    });
    document.body.append(chart);
    await loaded;
    while (!chart.shadowRoot.querySelector("tr")) await wait(10);
    const pictures = [...chart.shadowRoot.querySelectorAll("svg")];
    drawn[name] = {
      width: Math.max(...pictures.map((one) => one.getBoundingClientRect().width)),
      rows: chart.shadowRoot.querySelectorAll("tr").length,
      csv: chart.toCSV().length,
    };
    return chart;
  };
  try {
    const charts = [];
    for (const name of given.names) charts.push(await draw(name));
    const png = await size(await charts[1].toPNG({ width: 300, height: 200, scale: 2 }));
    const client = new Acumen({ url: given.access.server, projectId: given.access.project, ...given.keys });
    const tailed = [];
    const send = () => client.recordMany({ followed: [{ n: 1 }, { n: 2 }, { n: 3 }] }).catch(failed);
    for await (const event of client.tail("followed", { onState: (state) => state === "open" && send() })) {
      tailed.push(event.n);
      if (tailed.length === 3) break;
    }
    await report({ drawn, png, tailed });
  } catch (error) { failed(error); }
</script>"""


def command(engine: str, profile: Path) -> list[str]:
    """How the browser is started; skips where it is not installed."""
    if engine == "firefox":
        program = shutil.which("firefox-esr") or shutil.which("firefox")
        if program is None:
            pytest.skip("Firefox is not installed")
        return [program, "--headless", "--no-remote", "--profile", str(profile)]
    browsers = sorted(map(str, Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")))
    if not browsers or shutil.which("xvfb-run") is None:
        pytest.skip("WebKit (MiniBrowser of webkit2gtk, and xvfb-run) is not installed")
    return ["xvfb-run", "--auto-servernum", browsers[-1], "--private"]


@pytest.fixture(params=ENGINES)
def visit(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Iterator[Visit]:
    """Open a page of the site in a new browser; its report."""
    running: list[subprocess.Popen[bytes]] = []
    start = command(request.param, tmp_path)

    def visit(path: str) -> Any:
        environment = {**os.environ, "HOME": str(tmp_path), "NO_AT_BRIDGE": "1"}
        running.append(
            subprocess.Popen(
                [*start, site.url + path],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        found = site.reports.get(timeout=2 * PATIENCE_SECONDS)
        assert "failed" not in found, found["failed"]
        assert ENGINES[request.param] in found["agent"]
        assert found["errors"] == []
        return found

    yield visit
    for one in running:
        os.killpg(one.pid, signal.SIGTERM)
        one.wait()
    with pytest.raises(queue.Empty):
        site.reports.get_nowait()


def test_events_are_stored_once_over_reloads_and_lost_answers(
    visit: Visit, site: Site, served: Served, project: ServedProject, recorded: Recorded
) -> None:
    with FaultyProxy(served.url, LOST_REQUEST, LOST_ANSWER) as proxy:
        tracker = {"url": proxy.url, "projectId": project.id, "writeKey": project.write_key}
        site.pages["/tracking.html"] = PAGE % (json.dumps({"tracker": tracker}), TRACKING)
        assert visit("/tracking.html")["kept"] == 0
    assert recorded.numbers() == list(range(10))
    assert {event["text"] for event in recorded.events()} == {"żółw 🐢"}


@pytest.fixture(scope="module")
def shop(served: Served, site: Site) -> Shop:
    return open_shop(served, [site.url])


def test_charts_are_drawn_and_exported_and_events_followed(visit: Visit, site: Site, shop: Shop) -> None:
    names = [name for name in SAVED if name not in ("recent", "nothing")]
    access = {"server": shop.url, "project": shop.project.id, "token": shop.token()}
    keys = {"readKey": shop.project.read_key, "writeKey": shop.project.write_key}
    given = {"access": access, "names": names, "keys": keys}
    site.pages["/charts.html"] = PAGE % (json.dumps(given), CHARTS)
    found = visit("/charts.html")
    assert found["drawn"].keys() == set(names)
    for name, chart in found["drawn"].items():
        assert chart["width"] > 100 or name == "revenue", name  # a number alone
        assert chart["rows"] > 1, name
        assert chart["csv"] > 10, name
    assert found["png"] == [600, 400]
    assert found["tailed"] == [1, 2, 3]
