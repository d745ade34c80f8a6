"""A Sankey diagram by keys alone: every node and way is reached, told and chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.browser.charts import Charts, charts_in
from tests.clients.browser.conftest import Site
from tests.clients.browser.shop import Shop, open_shop
from tests.support.axe import serious
from tests.support.server import Served

NODES = [
    {"id": 0, "step": 0, "name": "/", "paths": 9, "ended": 2},
    {"id": 1, "step": 1, "name": "/price", "paths": 4, "ended": 1, "beyond": 2},
    {"id": 2, "step": 1, "name": "/docs", "paths": 3, "ended": 3},
    {"id": 3, "step": 2, "name": "/buy", "paths": 1, "ended": 1},
]
EDGES = [
    {"source": 0, "target": 1, "step": 0, "paths": 4},
    {"source": 0, "target": 2, "step": 0, "paths": 3},
    {"source": 1, "target": 3, "step": 1, "paths": 1},
]
ANSWER = {
    "query": {"analysis_type": "paths", "event_collection": "visits", "by": "page"},
    "result": {"paths": 9, "nodes": NODES, "edges": EDGES, "left_out": {"edges": 0, "paths": 0}},
}
TOLD = {
    "/ (step 0): 9",
    "/price (step 1): 4",
    "/docs (step 1): 3",
    "/buy (step 2): 1",
    "/ → /price: 4",
    "/ → /docs: 3",
    "/price → /buy: 1",
}
SHOW = """(answer) => {
  globalThis.heard = [];
  const chart = document.querySelector("acumen-chart");
  chart.addEventListener("select", (event) => heard.push(event.detail));
  chart.data = answer;
}"""


@pytest.fixture
def charts(browser: Any, site: Site, served: Served) -> Iterator[Charts]:
    shop: Shop = open_shop(served, [site.url])
    with charts_in(browser, site, shop) as made:
        yield made


def test_every_node_and_way_is_reached_by_keys_and_can_be_chosen(charts: Charts) -> None:
    page = charts.open("<acumen-chart></acumen-chart>", wait=False)
    page.evaluate("customElements.whenDefined('acumen-chart')")
    page.evaluate(SHOW, ANSWER)
    chart = page.locator("acumen-chart .root")
    chart.locator("svg.acumen-drawing").wait_for()
    live, tip = chart.locator("[aria-live]"), chart.locator(".tip")
    chart.locator(".plot").focus()
    page.keyboard.press("ArrowRight")
    told: list[str] = []
    # Along each row of nodes, and along the ways below them.
    while len(set(told)) < len(TOLD):
        before = len(set(told))
        page.keyboard.press("Home")
        for _ in range(len(NODES)):
            told.append(live.inner_text().split(", ")[0])
            assert tip.inner_text().splitlines()[0] == told[-1].rpartition(": ")[0]
            assert chart.locator("[data-on]").count() == 1
            page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert len(set(told)) > before, told
    assert set(told) == TOLD
    page.keyboard.press("Enter")
    (chosen,) = page.evaluate("heard")
    assert f"{chosen['name']}: {chosen['value']}" == live.inner_text().split(", ")[0]
    page.keyboard.press("Escape")
    assert tip.count() == 0
    assert serious(page) == []
