"""<acumen-dashboard>: documents in both forms, and one control for all charts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.browser.charts import Charts, charts_in, tag
from tests.clients.browser.conftest import Site
from tests.clients.browser.shop import DASHBOARD, Shop, open_shop
from tests.support.server import Served

INNER = "document.querySelector('acumen-dashboard').shadowRoot.querySelectorAll('acumen-chart')"


@pytest.fixture(scope="module")
def shop(served: Served, site: Site) -> Shop:
    return open_shop(served, [site.url])


@pytest.fixture
def charts(browser: Any, site: Site, shop: Shop) -> Iterator[Charts]:
    with charts_in(browser, site, shop, viewport={"width": 1300, "height": 900}) as made:
        yield made


def board(charts: Charts, name: str | None = "sales", **attributes: Any) -> str:
    return tag("acumen-dashboard", {**charts.access(), "dashboard": name, **attributes})


def boxes(page: Any) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.evaluate(
        """[...document.querySelector("acumen-dashboard").shadowRoot.querySelectorAll(".card")]
          .map((one) => one.getBoundingClientRect().toJSON())"""
    )
    return found


def drawn(page: Any) -> list[str]:
    """The type of each chart in order."""
    types: list[str] = page.evaluate(
        f"""[...{INNER}].map((one) => one.shadowRoot.querySelector("svg.acumen-drawing")
          ?.getAttribute("class").replace("acumen-drawing acumen-", "") ?? "none")"""
    )
    return types


def test_a_dashboard_is_its_document(charts: Charts) -> None:
    page = charts.open(board(charts))
    assert page.get_by_role("heading", name="Sales").is_visible()
    assert drawn(page) == ["metric", "metric", "gauge", "area", "pie", "bar", "funnel"]
    titles = page.evaluate(f"[...{INNER}].map((one) => one.shadowRoot.querySelector('.title').textContent)")
    assert titles[2:4] == ["Large orders", "Revenue by day"]
    assert page.locator("acumen-dashboard .words p").text_content() == "All sums are <gross>."
    places = boxes(page)
    assert len({round(one["y"]) for one in places[:3]}) == 1
    assert places[3]["width"] > places[4]["width"] * 1.8
    assert not charts.faults()
    charts.check()


def test_what_the_dashboard_creator_wrote_is_shown(charts: Charts) -> None:
    page = charts.open(board(charts, "creators"))
    # a map is drawn as what suits the answer
    assert drawn(page) == ["stacked", "bar"]
    assert page.get_by_text("lorem ipsum").is_visible()
    assert page.get_by_label("Timeframe").is_visible()
    left, right, words = boxes(page)
    assert left["y"] == right["y"] and left["height"] == right["height"] == 12 * 30 - 16
    assert left["x"] + left["width"] < right["x"]
    assert words["y"] > left["y"] + left["height"]
    charts.check()


def test_a_document_without_a_title_has_that_of_its_metadata_and_else_its_name(
    charts: Charts, shop: Shop
) -> None:
    document = {"widgets": [{"query": "revenue"}]}
    for name, metadata, heading in (
        ("unnamed", "{}", "unnamed"),
        ("named", '{"title": "Orders of all"}', "Orders of all"),
    ):
        path = f"/projects/{shop.project.id}/dashboards/{name}"
        header = {"X-Keen-Blob-Metadata": metadata}
        stored = shop.served.request("PUT", path, document, key=shop.project.master_key, headers=header)
        assert stored.status == 201
        page = charts.open(board(charts, name))
        page.get_by_role("heading", name=heading, exact=True).first.wait_for()
        page = charts.open(board(charts, name, title=""))
        assert not page.locator("acumen-dashboard .head > .title").first.is_visible()


def test_one_control_changes_every_chart(charts: Charts, shop: Shop) -> None:
    page = charts.open(board(charts))
    country = page.get_by_role("combobox", name="country")
    country.fill("Poland")
    country.press("Enter")
    page.get_by_label("Timeframe").select_option("this_14_days")
    charts.settle()
    last = {request.url.split("/saved/")[1].split("/")[0]: request for request in charts.asked("/saved/")}
    sent = {name: charts.parameters(request) for name, request in last.items()}
    # the last request of a metric may be for the period before
    assert all("filters" in one and "timeframe" in one for one in sent.values()), sent
    page.wait_for_function(f"{INNER}[5].shadowRoot.querySelectorAll('tbody tr').length === 1")
    row = page.evaluate(f"{INNER}[5].shadowRoot.querySelector('tbody tr').textContent")
    assert row.startswith("Poland")
    charts.check()


def test_a_chart_that_may_not_be_changed_keeps_its_own(charts: Charts, shop: Shop) -> None:
    layout = {"widgets": [{"query": "by-country"}], "layout": {"controls": "timeframe"}}
    access = charts.access(viewer={"filters": ["country"]})
    page = charts.open(tag("acumen-dashboard", access), wait=False)
    page.evaluate(
        """(layout) => { const board = document.querySelector("acumen-dashboard");
          board.changes = {timeframe: "today"}; board.layout = layout }""",
        layout,
    )
    charts.settle()
    # what may not be changed is not offered
    assert page.get_by_label("Timeframe").count() == 0
    page.get_by_text("This chart keeps its own timeframe").wait_for()
    rows = len(Counter(event["country"] for event in shop.events["purchases"]))
    page.wait_for_function(f"{INNER}[0].shadowRoot.querySelectorAll('tbody tr').length === {rows}")
    charts.check(expected_errors=1)


def test_a_control_without_a_choice_names_what_it_leaves(charts: Charts) -> None:
    """Where charts differ in what they are saved with."""
    layout = {
        "widgets": [{"query": "hours"}, {"query": "revenue-daily"}],
        "layout": {"controls": "timeframe"},
    }
    page = charts.open(tag("acumen-dashboard", charts.access()), wait=False)
    page.evaluate("(layout) => { document.querySelector('acumen-dashboard').layout = layout }", layout)
    charts.settle()
    chosen = page.get_by_label("Timeframe").locator("option:checked")
    assert chosen.text_content() == "Timeframe: default"
    page.evaluate(
        "document.querySelector('acumen-dashboard').words = {timeframe: 'Zeitraum', usual: 'Standard'}"
    )
    page.get_by_label("Zeitraum").get_by_text("Zeitraum: Standard").wait_for(state="attached")
    charts.check()


@pytest.mark.parametrize("last", ["hours", "revenue-daily", "revenue"])
def test_the_interval_is_that_of_all_charts_whichever_comes_last(charts: Charts, last: str) -> None:
    layout = {
        "widgets": [{"query": one} for one in ("hours", "revenue", "revenue-daily", "plans-daily")],
        "layout": {"controls": "interval"},
    }
    held: list[Any] = []

    def hold(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    charts.page.route(f"**/saved/{last}/result*", hold)
    page = charts.open(tag("acumen-dashboard", charts.access()), wait=False)
    page.evaluate("(layout) => { document.querySelector('acumen-dashboard').layout = layout }", layout)
    page.wait_for_function(
        f"[...{INNER}].filter((one) => one.shadowRoot.querySelector('.root').dataset.state === 'ready')"
        ".length === 3"
    )
    (route,) = held
    route.continue_()
    charts.settle()
    options = page.get_by_label("Interval").locator("option").all_text_contents()
    every = ["By hour", "By day", "By week", "By month", "By year"]
    assert options == ["Interval: default", *every]


def test_an_interval_of_all_charts_can_be_chosen_again(charts: Charts) -> None:
    layout = {
        "widgets": [{"query": one} for one in ("revenue", "revenue-daily", "plans-daily")],
        "layout": {"controls": "interval"},
    }
    page = charts.open(tag("acumen-dashboard", charts.access()), wait=False)
    page.evaluate("(layout) => { document.querySelector('acumen-dashboard').layout = layout }", layout)
    charts.settle()
    control = page.get_by_label("Interval")
    options = ["By day", "By hour", "By week", "By month", "By year"]
    assert control.locator("option").all_text_contents() == options
    control.select_option(label="By week")
    assert page.evaluate("document.querySelector('acumen-dashboard').changes") == {"interval": "weekly"}
    control.select_option(label="By day")
    assert page.evaluate("document.querySelector('acumen-dashboard').changes") == {}
    charts.settle()
    charts.check()


def test_a_picture_that_does_not_come_is_named_in_small(charts: Charts) -> None:
    def image(link: str, **more: Any) -> Any:
        return {"type": "image", "settings": {"link": link}, "layout": {"height": 340}, **more}

    missing = f"{charts.site.url}/missing.png"
    layout = {
        "widgets": [
            image(missing, title="Our logo"),
            image("javascript:alert(1)", title="Refused"),
            image(missing),
        ]
    }
    page = charts.open(tag("acumen-dashboard", charts.access()), wait=False)
    page.evaluate("(layout) => { document.querySelector('acumen-dashboard').layout = layout }", layout)
    cards = page.locator("acumen-dashboard .card")
    for index, text in enumerate(["Our logo", "Refused", missing]):
        cards.nth(index).locator("small").get_by_text(text, exact=True).wait_for()
    assert [round(one["height"]) for one in boxes(page)] == [44, 44, 44]
    assert page.locator("acumen-dashboard img").count() == 0


def test_a_dashboard_comes_back_with_its_server(charts: Charts) -> None:
    page = charts.page
    page.clock.install()
    page.route("**/dashboards/sales*", lambda route: route.abort())
    charts.open(board(charts), wait=False)
    page.get_by_text("The server cannot be reached.").wait_for()
    page.unroute("**/dashboards/sales*")
    page.clock.run_for(6000)
    page.get_by_role("heading", name="Sales").first.wait_for()
    charts.settle()
    assert len(drawn(page)) == 7


def test_controls_are_there_once_it_is_known_what_may_be_changed(charts: Charts) -> None:
    waiting: list[Any] = []
    held = True

    def hold(route: Any) -> None:
        if held:
            waiting.append(route)
        else:
            route.continue_()

    charts.page.route("**/result*", hold)
    page = charts.open(board(charts), wait=False)
    page.locator("acumen-dashboard .card").first.wait_for()
    while not waiting:
        page.wait_for_timeout(20)
    assert page.get_by_label("Timeframe").is_hidden()
    held = False
    for route in waiting:
        route.continue_()
    charts.settle()
    assert page.get_by_label("Timeframe").is_visible()
    charts.check()


def test_refresh_asks_all_again_and_events_come_out(charts: Charts) -> None:
    page = charts.open(board(charts))
    page.evaluate(
        "window.heard = []; document.querySelector('acumen-dashboard')"
        ".addEventListener('select', (event) => heard.push(event.detail))"
    )
    before = len(charts.asked("/saved/"))
    page.get_by_label("Refresh").click()
    while len(charts.asked("/saved/")) < 2 * before:
        page.wait_for_timeout(20)
    charts.settle()
    plot = page.get_by_role("application").nth(4)
    plot.press("ArrowRight")
    plot.press("Enter")
    ((selected),) = page.evaluate("heard")
    assert (selected["name"], selected["series"]) == ("free", "Count")


def test_what_is_not_there_is_said_and_tried_again(charts: Charts, shop: Shop) -> None:
    page = charts.open(board(charts, "later"))
    error = page.locator("acumen-dashboard [part=error]")
    assert error.text_content() == "This could not be found."
    detail = page.locator("acumen-dashboard [part=detail]").text_content()
    assert "later" in detail or "not found" in detail
    assert not charts.faults()
    shop.put_dashboard("later", {"widgets": []})
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("This dashboard has no charts.").wait_for()
    charts.check(expected_errors=1)


def test_an_error_keeps_the_title(charts: Charts) -> None:
    page = charts.open(board(charts), board(charts, "nowhere", title="Mine"))
    page.route("**/dashboards/sales*", lambda route: route.abort())
    page.evaluate("document.querySelector('acumen-dashboard').reload()")
    page.get_by_text("The server cannot be reached.").wait_for()
    assert page.locator("acumen-dashboard .board > .head .title").all_text_contents() == ["Sales", "Mine"]


def test_the_error_has_room_to_be_read(charts: Charts) -> None:
    page = charts.open(board(charts, "nowhere"))
    height = page.locator("acumen-dashboard").bounding_box()["height"]
    button = page.get_by_role("button", name="Try again").bounding_box()
    assert button["y"] + button["height"] <= page.locator("acumen-dashboard").bounding_box()["y"] + height
    charts.check(expected_errors=1)


def test_numbers_and_dates_are_in_the_language_of_the_page(charts: Charts) -> None:
    page = charts.open(board(charts))
    pages = charts.site.pages
    pages["/charts.html"] = pages["/charts.html"].replace('lang="en"', 'lang="de"')
    page.reload()
    charts.settle()
    metric = page.locator("acumen-dashboard svg.acumen-metric").first.text_content()
    assert re.search(r"\d,\d\d\s€", metric), metric
    charts.check()


def test_words_reach_controls_and_charts_whenever_they_are_set(charts: Charts) -> None:
    page = charts.open(board(charts))
    page.evaluate(
        "document.querySelector('acumen-dashboard').words ="
        " {language: 'de', lastSpan: 'Letzte {n}', asTable: 'Als Tabelle'}"
    )
    page.get_by_label("Timeframe").get_by_text("Letzte 14 Tage").wait_for(state="attached")
    page.get_by_label("Als Tabelle").first.wait_for()
    charts.check()


@pytest.mark.parametrize(("width", "columns"), [(360, 1), (800, 2), (1300, 3)])
def test_it_fits_any_width(browser: Any, site: Site, shop: Shop, width: int, columns: int) -> None:
    with charts_in(browser, site, shop, viewport={"width": width, "height": 800}) as charts:
        page = charts.open(board(charts))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        places = boxes(page)
        assert sum(round(one["y"]) == round(places[0]["y"]) for one in places) == columns
        charts.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, site: Site, shop: Shop, scheme: str) -> None:
    with charts_in(browser, site, shop, color_scheme=scheme) as charts:
        charts.open(board(charts), board(charts, "creators"), style="h1{background:#fff;color:#000}")
        assert charts.faults() == []


def test_on_paper_there_are_no_controls(charts: Charts) -> None:
    page = charts.open(board(charts))
    page.emulate_media(media="print")
    assert page.get_by_label("Timeframe").is_hidden()
    assert page.get_by_label("Refresh").is_hidden()
    assert drawn(page)[0] == "metric"


def test_a_strict_policy_is_kept(charts: Charts, shop: Shop) -> None:
    page = charts.page
    address = f"{shop.url}/3.0/projects/{shop.project.id}/dashboards/sales/embed"
    frame = (
        f'<iframe title=f height=700 width=900 src="{address}?api_key={charts.access()["token"]}"></iframe>'
    )
    charts.open(frame, wait=False)
    inside = page.frame_locator("iframe").locator("acumen-chart")
    inside.nth(len(DASHBOARD["widgets"]) - 2).locator(".root[data-state=ready]").wait_for()
    charts.check()
