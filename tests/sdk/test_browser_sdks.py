"""Keen's three browser bundles on one page, unmodified, and `<acumen-chart>` beside them: the same numbers.

`keen-tracking` 5.0.1 records, `keen-analysis` 3.7.0 asks and `keen-dataviz` 3.15.5 draws, in Chromium, from a
page of another origin than the server's.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.browser.conftest import ROOT, Site
from tests.sdk import scenario
from tests.sdk.conftest import NODE, Acumen, install_node_sdks
from tests.sdk.test_node_sdks import QUESTIONS
from tests.support.browser import PATIENCE_SECONDS

BUNDLES = {
    "keen-tracking.min.js": "keen-tracking/dist/keen-tracking.min.js",
    "keen-analysis.min.js": "keen-analysis/dist/keen-analysis.min.js",
    "keen-dataviz.min.js": "keen-dataviz/dist/keen-dataviz.min.js",
}
PAGE = """<!doctype html><html lang="en"><title>Keen</title><link rel="icon" href="data:,">
<script src="/keen-tracking.min.js"></script>
<script src="/keen-analysis.min.js"></script>
<script src="/keen-dataviz.min.js"></script>
<script type="module" src="/dist/acumen-charts.js"></script>
<script>
  const given = %s;
  const at = { projectId: given.project, host: given.host, protocol: "http" };
  const tracking = new KeenTracking({ ...at, writeKey: given.writeKey });
  const analysis = new KeenAnalysis({ ...at, readKey: given.readKey });

  /** What the official packages answer and draw. */
  async function drawnByKeen(type, query) {
    const container = document.createElement("div");
    document.body.append(container);
    const chart = new KeenDataviz({ container, type, animation: false });
    chart.render(await analysis.query(query));
    return container;
  }

  /** The table behind our chart of the same question, as CSV. */
  async function drawnByAcumen(type, query) {
    const chart = document.createElement("acumen-chart");
    Object.assign(chart, { server: given.url, project: given.project, key: given.readKey, type, query });
    const drawn = new Promise((done, failed) => {
      chart.addEventListener("load", done);
      chart.addEventListener("error", ({ detail }) => failed(new Error(detail.message)));
    });
    document.body.append(chart);
    await drawn;
    return chart.toCSV();
  }
</script>"""


@pytest.fixture(scope="module")
def page(browser: Any, acumen: Acumen) -> Iterator[Any]:
    """The page, on which keen-tracking has recorded the shop's events."""
    install_node_sdks()
    site = Site()
    for name, path in BUNDLES.items():
        site.pages[f"/{name}"] = (NODE / "node_modules" / path).read_text(encoding="utf-8")
    given = {
        "url": acumen.url,
        "host": f"127.0.0.1:{acumen.port}",
        "project": acumen.project_id,
        "writeKey": acumen.write_key,
        "readKey": acumen.read_key,
    }
    site.pages["/keen.html"] = PAGE % json.dumps(given)
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    page.goto(f"{site.url}/keen.html")
    # In a browser keen-tracking resolves before it has read the answer.
    page.evaluate(
        "(events) => tracking.recordEvents(events)",
        {"purchases": scenario.PURCHASES, "visits": scenario.VISITS[1:]},
    )
    page.evaluate("(event) => tracking.recordEvent('visits', event)", scenario.VISITS[0])
    for collection, events in (("purchases", scenario.PURCHASES), ("visits", scenario.VISITS)):
        wait_for_events(page, collection, len(events))
    yield page
    context.close()
    site.close()


def wait_for_events(page: Any, collection: str, count: int) -> None:
    asked = {"event_collection": collection}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while page.evaluate("(asked) => analysis.query('count', asked)", asked)["result"] != count:
        assert time.monotonic() < deadline, collection
        page.wait_for_timeout(50)


@pytest.mark.parametrize(
    ("analysis", "parameters", "result"), [one[1:] for one in QUESTIONS], ids=[one[0] for one in QUESTIONS]
)
def test_keen_analysis_answers_in_a_browser(
    page: Any, analysis: str, parameters: dict[str, Any], result: Any
) -> None:
    answer = page.evaluate("([name, asked]) => analysis.query(name, asked)", [analysis, parameters])["result"]
    assert answer == (pytest.approx(result) if isinstance(result, float) else result)


def asked(analysis: str, **more: Any) -> dict[str, Any]:
    return {
        "analysis_type": analysis,
        "event_collection": "purchases",
        "timeframe": scenario.TIMEFRAME,
        **more,
    }


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_a_number_is_the_same_in_both_libraries(page: Any) -> None:
    query = asked("sum", target_property="price")
    shown = page.evaluate("async (query) => (await drawnByKeen('metric', query)).innerText", query)
    assert "100" in shown.split()
    assert rows(page.evaluate("(query) => drawnByAcumen('metric', query)", query))[-1][-1] == "100"


def test_a_table_is_the_same_in_both_libraries(page: Any) -> None:
    query = asked("sum", target_property="price", group_by="country")
    theirs = page.evaluate(
        """async (query) => [...(await drawnByKeen("table", query)).querySelectorAll("tbody tr")]
          .map((row) => [...row.querySelectorAll("td")].map((cell) => cell.innerText))""",
        query,
    )
    ours = rows(page.evaluate("(query) => drawnByAcumen('table', query)", query))[1:]
    assert {tuple(row) for row in theirs} >= {("DE", "20"), ("PL", "80")}
    assert {tuple(row) for row in ours} >= {("DE", "20"), ("PL", "80")}
    assert len(ours) == len(theirs) == 3


@pytest.mark.parametrize("type_", ["line", "area", "bar"])
def test_series_are_the_same_in_both_libraries(page: Any, type_: str) -> None:
    query = asked("sum", target_property="price", interval="daily", group_by="country")
    theirs = page.evaluate(
        """async ([type, query]) => {
          const container = await drawnByKeen(type, query);
          const found = {};
          const shapes = ".c3-chart-lines .c3-circle, .c3-chart-bars .c3-bar";
          for (const shape of container.querySelectorAll(shapes)) {
            const { id, index, value } = shape.__data__;
            (found[id] ??= [])[index] = value;
          }
          return found;
        }""",
        [type_, query],
    )
    ours = rows(page.evaluate("(given) => drawnByAcumen(...given)", [type_, query]))
    columns = {name: values for name, *values in zip(*ours, strict=True)}
    for country, values in (("DE", [20, 0, 0]), ("PL", [10, 30, 40])):
        assert theirs[country] == values
        assert [float(value) for value in columns[country]] == values


def test_the_bundles_are_those_of_the_lock_file() -> None:
    locked = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for path in BUNDLES.values():
        package = path.split("/")[0]
        installed = json.loads((NODE / "node_modules" / package / "package.json").read_text(encoding="utf-8"))
        assert installed["version"] == locked[f"node_modules/{package}"]["version"]


def test_the_chart_is_a_third_of_theirs() -> None:
    """What a page loads for one line chart, before compression."""
    ours = (ROOT / "clients/charts/dist/acumen-charts.js").stat().st_size
    theirs = Path(NODE / "node_modules" / BUNDLES["keen-dataviz.min.js"]).stat().st_size
    assert ours <= 0.35 * theirs
