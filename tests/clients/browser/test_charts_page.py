"""Each block of docs/clients/charts.md is used in a page on another origin."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

from tests.clients.browser.charts import VIEWER, Charts
from tests.clients.browser.conftest import ROOT
from tests.clients.browser.shop import Shop
from tests.clients.browser.test_charts import charts, shop

__all__ = ["charts", "shop"]

PAGE = (ROOT / "docs/clients/charts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
HTML = [text for kind, text in BLOCKS if kind == "html"]
WORDS, SCRIPT = (text for kind, text in BLOCKS if kind == "js")
(STYLE,) = (text for kind, text in BLOCKS if kind == "css")
(DOCUMENT,) = (text for kind, text in BLOCKS if kind == "json")
SOURCES = ROOT / "clients/charts/src"


def opened(charts: Charts, *blocks: str) -> Any:
    """A page of these blocks alone, with names of this server in place of the page's."""
    shop = charts.shop
    text = "".join(blocks).replace("https://stats.example", shop.url).replace("PROJECT_ID", shop.project.id)
    text = text.replace("TOKEN", shop.token(viewer=VIEWER))
    charts.site.pages["/doc.html"] = f"<!doctype html><link rel=icon href=data:,><body>{text}"
    charts.page.goto(f"{charts.site.url}/doc.html")
    charts.page.locator(".acumen-drawing").first.wait_for()
    charts.settle()
    return charts.page


def test_all_blocks_are_used() -> None:
    assert [kind for kind, _ in BLOCKS] == ["html", "html", "css", "js", "js", "html", "json"]


def test_words_in_another_language(charts: Charts) -> None:
    page = opened(charts, HTML[0].split("\n")[0], HTML[1])
    page.evaluate("() => {" + WORDS + "}")
    page.get_by_text("Letzte 7 Tage").wait_for(state="attached")
    page.get_by_text("Heute").wait_for(state="attached")
    charts.check()


def test_the_first_chart_needs_what_stands_there(charts: Charts) -> None:
    page = opened(charts, HTML[0])
    assert page.locator("acumen-chart .title").text_content() == "Revenue by day"
    charts.check()


def test_the_chart_with_many_attributes(charts: Charts) -> None:
    script = HTML[0].split("\n")[0]
    page = opened(charts, script, HTML[1])
    chart = page.locator("acumen-chart")
    assert chart.bounding_box()["height"] == 320
    assert chart.get_by_label("plan", exact=True).is_visible()
    # the three largest and the rest
    assert chart.get_by_role("group", name="Series").get_by_role("button").count() == 4
    assert "Goal" in chart.locator(".acumen-drawing").text_content()
    assert "\u00a0€" in chart.locator(".acumen-drawing").text_content()
    charts.check()


def test_the_style_and_the_script(charts: Charts) -> None:
    page = opened(charts, f"<style>{STYLE}</style>", HTML[0])
    title = page.locator("acumen-chart .title").evaluate("(one) => getComputedStyle(one).fontSize")
    assert title == "18px"
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    sizes = page.evaluate(
        "(async () => {" + SCRIPT + "return [csv, svg, png].map((one) => one.size ?? one.length) })()"
    )
    assert all(size > 500 for size in sizes)
    plot = page.get_by_role("application")
    plot.press("ArrowRight")
    plot.press("Enter")
    assert any("line" in line for line in said)
    assert any(line.startswith("Sum ") for line in said)
    charts.check()


def test_the_dashboard(charts: Charts, shop: Shop) -> None:
    shop.put_dashboard("sales", json.loads(DOCUMENT))
    page = opened(charts, HTML[0].split("\n")[0], HTML[2])
    assert page.get_by_role("heading", name="Sales").is_visible()
    assert page.locator("acumen-chart").count() == 3
    assert page.get_by_text("All sums are gross.").is_visible()
    charts.check()


def test_the_page_names_all_there_is() -> None:
    components = {
        path.name: path.read_text(encoding="utf-8") for path in (SOURCES / "components").glob("*.ts")
    }
    lists = re.findall(r"const (?:ASKING|DRAWING) = \[(.*?)\];", components["chart.ts"], re.DOTALL)
    attributes = {name for text in lists for name in re.findall(r'"([\w-]+)"', text)}
    assert len(attributes) > 20
    assert not {name for name in attributes if not re.search(rf"`{name}`", PAGE)}
    theme = (
        (SOURCES / "theme.ts").read_text(encoding="utf-8").split("const light: Theme = {")[1].split("};")[0]
    )
    properties = set(re.findall(r'^  "?([\w-]+)"?:', theme, re.MULTILINE))
    properties |= {
        name for text in components.values() for name in re.findall(r"--acumen-([a-z][\w-]*)", text)
    }
    numbered = {name for name in properties if re.fullmatch(r"series-\d", name)}
    assert not {name for name in properties - numbered if f"`--acumen-{name}`" not in PAGE}
    parts = {part for text in components.values() for part in re.findall(r'part: "([a-z]+)"', text)}
    assert not {part for part in parts - {"loading"} if not re.search(rf"`{part}`", PAGE)}


def test_the_size_is_that_of_the_file() -> None:
    size = len(gzip.compress((ROOT / "clients/charts/dist/acumen-charts.js").read_bytes(), 9)) / 1000
    said = re.search(r"one file of (\d+) kB gzipped", PAGE)
    assert said is not None
    assert abs(int(said[1]) - size) < 1
