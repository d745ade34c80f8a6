"""<acumen-chart>: what it draws, its states, controls, keys, events, exports and looks."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.clients.browser.charts import Charts, charts_in, tag
from tests.clients.browser.conftest import Site
from tests.clients.browser.shop import SAVED, ZONE, Shop, open_shop
from tests.support.server import Served

DRAWN = {
    "revenue": "metric",
    "revenue-daily": "line",
    "revenue-kpi": "metric",
    "by-country": "bar",
    "country-plan": "stacked",
    "countries-daily": "line",
    "plans-daily": "area",
    "plans": "pie",
    "funnel": "funnel",
    "hours": "heatmap",
    "share": "gauge",
    "recent": "table",
}


@pytest.fixture(scope="module")
def shop(served: Served, site: Site) -> Shop:
    return open_shop(served, [site.url])


@pytest.fixture
def charts(browser: Any, site: Site, shop: Shop) -> Iterator[Charts]:
    with charts_in(browser, site, shop) as made:
        yield made


def root(page: Any, index: int = 0) -> Any:
    return page.locator("acumen-chart").nth(index).locator(".root")


def held(page: Any, part: str) -> list[Any]:
    """Requests to this address are held until they are continued."""
    waiting: list[Any] = []
    page.route(f"**/*{part}*", lambda route: waiting.append(route))
    return waiting


def until(page: Any, ready: Callable[[], bool]) -> None:
    for _ in range(3000):
        if ready():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it never came")


# --- what is drawn


def test_every_type_is_drawn_from_its_answer(charts: Charts) -> None:
    page = charts.open(*(charts.chart(name) for name in DRAWN))
    for index, (name, kind) in enumerate(DRAWN.items()):
        chart = root(page, index)
        assert chart.get_attribute("data-state") == "ready", name
        assert chart.locator(".title").text_content() == SAVED[name][1]["display_name"]
        if kind == "table":
            assert chart.locator(".sheet table").is_visible()
        else:
            assert chart.locator(f"svg.acumen-{kind}").count() == 1, name
    charts.check()


def test_the_table_behind_a_chart_has_the_numbers_of_the_server(charts: Charts, shop: Shop) -> None:
    charts.open(charts.chart("by-country"))
    rows = charts.table()
    assert rows[0] == ["country", "Count"]
    expected = Counter(event["country"] for event in shop.events["purchases"])
    assert {name: int(count) for name, count in rows[1:]} == expected
    assert "Côte d'Ivoire <b>" in expected


def test_text_of_users_is_text_alone(charts: Charts) -> None:
    bad = "<img src=x onerror=window.bad=1><script>window.bad=1</script>"
    rows = [{"group": bad, "result": 3}, {"group": "b", "result": 2}]
    answer = {"result": rows, "query": {"group_by": "group"}, "metadata": {"display_name": bad}}
    page = charts.open("<acumen-chart></acumen-chart>", wait=False)
    page.evaluate("(answer) => { document.querySelector('acumen-chart').data = answer }", answer)
    charts.settle()
    root(page).get_by_role("application").press("ArrowDown")
    assert bad in root(page).locator(".tip").text_content()
    root(page).get_by_label("Show as table").click()
    assert root(page).locator("tbody th").first.text_content() == bad
    assert page.evaluate("window.bad") is None
    charts.check()


def test_properties_may_be_set_before_the_script_is_there(charts: Charts) -> None:
    early = "<acumen-chart></acumen-chart><script>const one = document.querySelector('acumen-chart');" + (
        "one.data = {result: 12}; one.format = 'EUR'; one.options = {names: {result: 'Sum'}}</script>"
    )
    page = charts.open(early)
    assert "€12" in root(page).locator(".acumen-drawing").text_content()
    assert page.evaluate("one.options") == {"names": {"result": "Sum"}}
    charts.check()


def test_questions_of_a_page_and_datasets_are_asked_with_a_key(charts: Charts, shop: Shop) -> None:
    query = {"analysis_type": "count", "event_collection": "purchases", "group_by": "plan"}
    path = f"/3.0/projects/{shop.project.id}/datasets/by-plan"
    made = {
        "query": {
            "analysis_type": "count",
            "event_collection": "purchases",
            "timeframe": "this_60_days",
            "interval": "daily",
        },
        "index_by": "plan",
        "display_name": "Of a plan",
    }
    reply = shop.served.request("PUT", path, made, key=shop.project.master_key)
    assert reply.status in (200, 201, 409), reply.body
    key = {"token": None, "key": shop.project.read_key}
    page = charts.open(
        charts.chart(query=query, **key),
        charts.chart(dataset="by-plan", index_by="pro", timeframe="this_7_days", **key),
    )
    expected = Counter(event["plan"] for event in shop.events["purchases"])
    assert {name: int(count) for name, count in charts.table()[1:]} == expected
    assert root(page, 1).locator(".title").text_content() == "Of a plan"
    assert len(charts.table(1)) == 1 + 7
    # a key stands in no address
    assert all(shop.project.read_key not in one.url for one in charts.requests)
    charts.check()


# --- states


def test_while_it_loads_nothing_moves(charts: Charts) -> None:
    page = charts.page
    waiting = held(page, "/result")
    charts.open(charts.chart("revenue-daily", controls="timeframe"), "<p id=after>after</p>", wait=False)
    until(page, lambda: bool(waiting))
    assert root(page).get_attribute("data-state") == "loading"
    assert root(page).locator(".bones").is_visible()
    before = page.locator("#after").bounding_box()
    waiting[0].continue_()
    charts.settle()
    assert root(page).get_attribute("data-state") == "ready"
    assert page.locator("#after").bounding_box() == before


def test_an_answer_without_anything_says_so(charts: Charts) -> None:
    page = charts.open("<acumen-chart title='Nothing'></acumen-chart>", wait=False)
    page.evaluate("document.querySelector('acumen-chart').data = {result: []}")
    charts.settle()
    assert root(page).locator("[part=empty]").text_content() == "No data in this timeframe"
    assert not charts.faults()
    charts.check()


def test_an_error_has_the_words_of_the_server_and_is_tried_again(charts: Charts, shop: Shop) -> None:
    page = charts.open(charts.chart("later"))
    assert root(page).locator("[part=error]").text_content() == "This could not be found."
    assert "later" in root(page).locator("[part=detail]").text_content()
    assert not charts.faults()
    shop.put("later", SAVED["by-country"][0])
    root(page).get_by_role("button", name="Try again").click()
    charts.page.wait_for_function(
        "document.querySelector('acumen-chart').shadowRoot.querySelector('svg.acumen-bar')"
    )
    charts.check(expected_errors=1)


@pytest.mark.parametrize(
    ("status", "code", "name", "told"),
    [
        (401, "EmbedTokenExpiredError", "expired", False),
        (401, "InvalidApiKeyError", "refused", True),
        (403, "ForbiddenError", "refused", True),
        (404, "ResourceNotFoundError", "missing", True),
        (400, "InvalidParameterError", "wrong", True),
        (429, "RateLimitExceededError", "usedUp", True),
        (500, "InternalError", "fault", True),
        (504, None, "fault", False),
        (200, None, "unreadable", False),
        (0, None, "unreachable", False),
    ],
)
def test_an_error_keeps_the_title_and_speaks_the_language_of_the_words(
    charts: Charts, status: int, code: str | None, name: str, told: bool
) -> None:
    page = charts.open(charts.chart("plans"))
    said = json.dumps({"message": "Said by <b>the server</b>.", "error_code": code}) if code else "<html>"

    def answer(route: Any) -> None:
        headers = {"Access-Control-Allow-Origin": "*"}
        if status:
            route.fulfill(status=status, headers=headers, body=said)
        else:
            route.abort()

    page.route("**/result*", answer)
    page.evaluate(
        """async (name) => { const chart = document.querySelector("acumen-chart");
          chart.words = {[name]: "Auf Deutsch."}; chart.changes = {interval: "daily"};
          await chart.reload() }""",
        name,
    )
    charts.settle()
    chart = root(page)
    assert chart.locator("[part=error]").text_content() == "Auf Deutsch."
    details = chart.locator("[part=detail]").all_text_contents()
    assert details == (["Said by <b>the server</b>."] if told else [])
    assert chart.locator(".title").text_content() == "Plans"
    assert not charts.faults()
    # another question has another title
    page.evaluate("document.querySelector('acumen-chart').savedQuery = 'by-country'")
    until(page, lambda: chart.locator(".title").is_hidden())


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<acumen-chart></acumen-chart>", "needs project"),
        ("<acumen-chart project=p query='{bad'></acumen-chart>", "query"),
        ("<acumen-chart type=sphere></acumen-chart>", "sphere"),
    ],
)
def test_what_is_wrong_with_the_page_is_said(charts: Charts, markup: str, text: str) -> None:
    page = charts.open(markup, wait=False)
    if "type" in markup:
        page.evaluate("document.querySelector('acumen-chart').data = {result: 1}")
    charts.settle()
    assert text in root(page).locator("[part=error]").text_content()
    charts.check()


def test_a_value_that_means_nothing_is_warned_of_once(charts: Charts) -> None:
    warnings: list[str] = []
    charts.page.on(
        "console", lambda message: warnings.append(message.text) if message.type == "warning" else None
    )
    wrong = {
        "options": "{bad",
        "timezone": "Mars/X",
        "format": "EURO",
        "controls": "timeframe nonsense",
        "theme": "blue",
    }
    right = {
        "options": {"limit": 3},
        "timezone": "Europe/Warsaw",
        "format": "EUR",
        "controls": " timeframe  interval filter:country ",
        "theme": "auto",
        "filters": [],
    }
    others = {"timezone": "-3600", "format": {"decimals": 1}, "controls": {"filters": ["a"]}, "theme": ""}
    page = charts.open(*(tag("acumen-chart", one) for one in (wrong, wrong, right, others)))
    page.evaluate("""() => { const [one, , other] = document.querySelectorAll("acumen-chart");
      one.words = {nodata: "x", retry: "y"}; other.words = {noData: "x"}; other.data = {result: 3} }""")
    charts.settle()
    assert len(warnings) == len(wrong) + 1, warnings
    for name, value in {**wrong, "words": "nodata"}.items():
        (said,) = (one for one in warnings if f'{name}="{value}"' in one)
        assert "it takes" in said
    assert "light, dark, auto" in "".join(warnings)
    assert root(page).locator("[part=error]").text_content().startswith("Nothing says what to show")


def test_a_server_that_is_away_is_said(charts: Charts) -> None:
    page = charts.open(charts.chart("revenue", server="http://127.0.0.1:9"))
    assert root(page).locator("[part=error]").text_content() == "The server cannot be reached."


def test_an_incomplete_answer_is_marked(charts: Charts) -> None:
    page = charts.open("<acumen-chart></acumen-chart>", wait=False)
    page.evaluate("document.querySelector('acumen-chart').data = {result: 5, complete: false}")
    charts.settle()
    assert "Incomplete" in root(page).locator("[part=note]").text_content()


def test_what_was_drawn_stays_while_a_refresh_fails(charts: Charts) -> None:
    page = charts.open(charts.chart("by-country", refresh="1"))
    page.route("**/result*", lambda route: route.abort())
    note = root(page).locator("[part=note]")
    note.get_by_text("Not refreshed").wait_for()
    assert root(page).locator("svg.acumen-bar").is_visible()
    page.unroute("**/result*")
    until(page, lambda: note.text_content() == "")


def test_a_refresh_waits_while_nobody_sees_it(charts: Charts) -> None:
    page = charts.open(charts.chart("by-country", refresh="1"))
    hide = """(state) => {
      Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
      document.dispatchEvent(new Event("visibilitychange")) }"""
    page.evaluate(hide, "hidden")
    charts.settle()
    count = len(charts.asked())
    for _ in range(3):
        page.wait_for_timeout(600)
    assert len(charts.asked()) == count
    page.evaluate(hide, "visible")
    until(page, lambda: len(charts.asked()) > count)


def test_equal_charts_ask_once_and_what_is_removed_asks_no_more(charts: Charts) -> None:
    page = charts.page
    waiting = held(page, "/result")
    same = charts.chart("by-country")
    charts.open(same, same, charts.chart("plans"), wait=False)
    until(page, lambda: len(waiting) == 2)
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.evaluate("document.querySelectorAll('acumen-chart')[2].remove()")
    until(page, lambda: any("/plans/" in url for url in failed))
    page.evaluate("document.querySelectorAll('acumen-chart')[0].remove()")
    next(route for route in waiting if "by-country" in route.request.url).continue_()
    charts.settle()
    assert root(page).locator("svg.acumen-bar").count() == 1
    charts.check()


def test_it_waits_as_long_as_the_server_says(charts: Charts) -> None:
    page = charts.page
    tries: list[Any] = []

    def answer(route: Any) -> None:
        tries.append(route)
        if len(tries) > 2:
            route.continue_()
            return
        headers = {"Retry-After": "1", "Access-Control-Allow-Origin": "*"}
        headers["Access-Control-Expose-Headers"] = "Retry-After"
        route.fulfill(status=(429, 503)[len(tries) - 1], headers=headers, body='{"message": "Too many."}')

    page.route("**/result*", answer)
    charts.open(charts.chart("by-country"), wait=False)
    root(page).get_by_text("The server is busy").wait_for()
    charts.settle()
    assert len(tries) == 3
    assert root(page).locator("svg.acumen-bar").count() == 1


def test_a_budget_that_is_used_up_is_not_waited_for(charts: Charts) -> None:
    access = charts.access(queries=1)
    page = charts.open(charts.chart("by-country", **access), charts.chart("plans", **access))
    states = sorted(root(page, index).get_attribute("data-state") for index in (0, 1))
    assert states == ["error", "ready"]
    assert len(charts.asked()) == 2
    said = page.locator("acumen-chart [part=error]").all_text_contents()
    assert said == ["No more answers are left."]
    assert page.get_by_role("button", name="Try again").count() == 0
    assert page.get_by_text("later").count() == 0
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(300)
    assert len(charts.asked()) == 2


def fails(page: Any, status: int, **headers: str) -> list[Any]:
    """Answers fail so, 0 for none; the requests."""
    asked: list[Any] = []
    said = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After", **headers}

    def answer(route: Any) -> None:
        asked.append(route)
        if status:
            route.fulfill(status=status, headers=said, body='{"message": "Not now."}')
        else:
            route.abort()

    page.route("**/result*", answer)
    return asked


def test_too_many_requests_are_tried_again_when_the_server_says(charts: Charts) -> None:
    charts.page.clock.install()
    asked = fails(charts.page, 429, **{"Retry-After": "90"})
    page = charts.open(charts.chart("by-country"))
    assert root(page).locator("[part=error]").text_content() == "Too many requests. Try again later."
    assert root(page).get_by_role("button", name="Try again").is_visible()
    page.clock.run_for(60_000)
    assert len(asked) == 1
    page.clock.run_for(40_000)
    until(page, lambda: len(asked) == 2)


@pytest.mark.parametrize("status", [0, 500])
def test_a_chart_comes_back_with_its_server(charts: Charts, status: int) -> None:
    """Without `refresh`: after ever longer pauses, and at once when the browser is online again."""
    page = charts.page
    page.clock.install()
    asked = fails(page, status)
    charts.open(charts.chart("by-country"), wait=False)
    error = root(page).locator("[part=error]")
    error.wait_for()
    page.evaluate(HEARD)
    for pause in (6, 11, 21, 41, 61, 61):
        count, told = len(asked), page.evaluate("heard.length")
        page.clock.run_for((pause - 2) * 900)
        assert len(asked) == count
        page.clock.run_for(pause * 1000)
        while page.evaluate("heard.length") == told:
            page.wait_for_timeout(20)
        assert len(asked) > count
        assert error.is_visible()
    page.unroute("**/result*")
    page.evaluate("dispatchEvent(new Event('online'))")
    root(page).locator("svg.acumen-bar").wait_for()
    count = len(charts.asked())
    page.evaluate("dispatchEvent(new Event('online'))")
    page.clock.run_for(120_000)
    assert len(charts.asked()) == count


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_is_refused_is_not_asked_again_by_itself(charts: Charts, status: int) -> None:
    page = charts.page
    page.clock.install()
    asked = fails(page, status)
    charts.open(charts.chart("by-country"))
    page.evaluate("dispatchEvent(new Event('online'))")
    page.clock.run_for(120_000)
    assert len(asked) == 1
    assert root(page).get_by_role("button", name="Try again").is_visible()


def test_a_key_that_is_revoked_is_refused_at_the_next_answer(charts: Charts, shop: Shop) -> None:
    page = charts.open(charts.chart("by-country"))
    path = f"/3.0/projects/{shop.project.id}/keys/{shop.access_key}/revoke"
    assert shop.served.request("POST", path, key=shop.project.master_key).status < 300
    try:
        until(
            page,
            lambda: page.evaluate("""async () => {
          const chart = document.querySelector("acumen-chart");
          await chart.reload();
          return chart.shadowRoot.querySelector(".root").dataset.state === "error" }"""),
        )
        assert root(page).locator("svg").first.is_hidden() or root(page).locator("[part=error]").is_visible()
    finally:
        shop.served.request("POST", path.replace("/revoke", "/unrevoke"), key=shop.project.master_key)


# --- what a viewer changes


def test_a_viewer_changes_timeframe_interval_and_filters(charts: Charts, shop: Shop) -> None:
    controls = "timeframe interval filter:country"
    page = charts.open(charts.chart("revenue-daily", controls=controls))
    chart = root(page)
    assert chart.get_by_label("Timeframe").locator("option:checked").text_content() == "Last 30 days"
    page.evaluate(
        "window.told = []; addEventListener('change', (e) => e.detail && told.push(e.detail.changes))"
    )
    chart.get_by_label("Timeframe").select_option("this_7_days")
    until(page, lambda: len(charts.table()) == 1 + 7)
    chart.get_by_label("Interval").select_option("weekly")
    until(page, lambda: len(charts.table()) in (2, 3))
    chart.get_by_label("country").fill("Poland, Italy")
    chart.get_by_label("country").press("Enter")
    until(page, lambda: "filters" in charts.parameters(charts.asked()[-1]))
    charts.settle()
    sent = charts.parameters(charts.asked()[-1])
    assert (sent["timeframe"], sent["interval"]) == ("this_7_days", "weekly")
    (kept,) = json.loads(sent["filters"])
    assert kept == {"property_name": "country", "operator": "in", "property_value": ["Poland", "Italy"]}
    start = datetime.now(ZoneInfo(ZONE)).replace(hour=0, minute=0, second=0) - timedelta(days=6)
    expected = sum(
        event["price"]
        for event in shop.events["purchases"]
        if event["country"] in ("Poland", "Italy")
        and datetime.fromisoformat(event["keen"]["timestamp"]) >= start
    )
    drawn = sum(float(value.replace(",", "")) for _, value in charts.table()[1:])
    assert drawn == pytest.approx(expected, abs=0.02)
    assert page.evaluate("told.length") == 3
    chart.get_by_label("Timeframe").select_option("")
    until(page, lambda: "timeframe" not in charts.parameters(charts.asked()[-1]))
    charts.settle()
    assert not charts.faults()
    charts.check()


def test_a_viewer_chooses_days(charts: Charts) -> None:
    page = charts.open(charts.chart("revenue-daily", controls="timeframe"))
    chart = root(page)
    chart.get_by_label("Timeframe").select_option("custom")
    today = datetime.now(ZoneInfo(ZONE)).date()
    first = today - timedelta(days=9)
    chart.get_by_label("From").fill(first.isoformat())
    chart.get_by_label("To").fill((first + timedelta(days=2)).isoformat())
    chart.get_by_label("To").press("Enter")
    until(page, lambda: len(charts.table()) == 1 + 3)
    sent = json.loads(charts.parameters(charts.asked()[-1])["timeframe"])
    midnight = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(ZONE))
    assert datetime.fromisoformat(sent["start"]) == midnight


def test_days_in_the_wrong_order_are_asked_in_the_right_one(charts: Charts) -> None:
    page = charts.open(charts.chart("revenue-daily", controls="timeframe"))
    chart = root(page)
    chart.get_by_label("Timeframe").select_option("custom")
    today = datetime.now(ZoneInfo(ZONE)).date()
    first = today - timedelta(days=9)
    chart.get_by_label("From").fill((first + timedelta(days=2)).isoformat())
    chart.get_by_label("To").fill(first.isoformat())
    chart.get_by_label("To").press("Enter")
    until(page, lambda: len(charts.table()) == 1 + 3)
    sent = json.loads(charts.parameters(charts.asked()[-1])["timeframe"])
    assert datetime.fromisoformat(sent["start"]).date() == first
    count = len(charts.asked())
    # a year of five digits, and one that is still being typed
    for day in ("10000-01-01", "9999-12-31", "0202-01-01"):
        chart.get_by_label("To").evaluate(
            "(one, day) => { one.value = day; one.dispatchEvent(new Event('change')) }", day
        )
    page.wait_for_timeout(200)
    assert len(charts.asked()) == count
    assert chart.get_by_label("To").get_attribute("max") == "9999-12-30"


def test_what_a_viewer_may_not_change_is_told_and_taken_back(charts: Charts) -> None:
    page = charts.open(charts.chart("revenue-daily", controls="filter:country"))
    page.route(
        "**/result?*filters=*",
        lambda route: route.fulfill(
            status=403, headers={"Access-Control-Allow-Origin": "*"}, body='{"message": "Not that."}'
        ),
    )
    root(page).get_by_label("country").fill("Poland")
    root(page).get_by_label("country").press("Enter")
    root(page).locator("[part=error]").wait_for()
    assert root(page).locator("[part=detail]").text_content() == "Not that."
    root(page).get_by_role("button", name="Reset").click()
    root(page).locator("svg.acumen-line").wait_for()
    charts.check(expected_errors=1)


@pytest.mark.parametrize(
    ("viewer", "shown"),
    [
        (None, []),
        ({"timeframe": True}, ["Timeframe"]),
        ({"interval": True, "filters": ["plan", "n"]}, ["Interval", "plan"]),
    ],
)
def test_only_what_the_token_lets_viewers_change_is_offered(
    charts: Charts, viewer: dict[str, Any] | None, shown: list[str]
) -> None:
    controls = "timeframe interval filter:country filter:plan"
    waiting = held(charts.page, "/result")
    markup = charts.chart("revenue-daily", controls=controls, **charts.access(viewer=viewer))
    page = charts.open(markup, "<p id=after>after</p>", wait=False)
    until(page, lambda: bool(waiting))
    before = page.locator("#after").bounding_box()
    named = ["Timeframe", "Interval", "country", "plan"]

    def visible() -> list[str]:
        return [name for name in named if root(page).get_by_label(name, exact=True).is_visible()]

    # until it is known, there is room and nothing to be taken away again
    assert visible() == []
    waiting[0].continue_()
    charts.settle()
    assert visible() == shown
    assert page.locator("#after").bounding_box() == before
    charts.check()


def test_what_viewers_may_not_change_is_not_asked(charts: Charts) -> None:
    page = charts.open(
        charts.chart("revenue", compare="previous", controls="timeframe", **charts.access(viewer=None)),
        charts.chart("revenue", compare="number", **charts.access(viewer={"interval": True})),
    )
    assert [charts.parameters(one).get("timeframe") for one in charts.asked()] == [None, None]
    page.evaluate("document.querySelector('acumen-chart').changes = {timeframe: 'today'}")
    root(page).get_by_text("This chart keeps its own timeframe").wait_for()
    assert root(page).locator("svg.acumen-metric").is_visible()
    charts.check()


def test_a_saved_query_says_what_its_viewers_may_change(charts: Charts, shop: Shop) -> None:
    shop.put("offered", SAVED["plans"][0], {"visualization": {"type": "pie", "controls": "timeframe"}})
    page = charts.open(charts.chart("offered"))
    assert root(page).get_by_label("Timeframe").is_visible()


# --- keys and pointer

HEARD = """window.heard = []; for (const name of ["load", "error", "select"])
  document.querySelector("acumen-chart").addEventListener(name,
    (event) => heard.push([name, event.detail, event.composed]))"""


def test_all_of_it_goes_by_keys_alone(charts: Charts) -> None:
    page = charts.open(charts.chart("plans-daily"))
    page.evaluate(HEARD)
    chart = root(page)

    def focused() -> str:
        return str(
            page.evaluate(
                "(() => { const at = document.activeElement.shadowRoot.activeElement;"
                " return at.getAttribute('aria-label') || at.textContent })()"
            )
        )

    page.keyboard.press("Tab")
    assert focused() == "Show as table"
    page.keyboard.press("Enter")
    assert chart.locator(".sheet").is_visible()
    assert chart.locator(".plot").is_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused() == "Download"
    page.keyboard.press("Enter")
    assert focused() == "CSV"
    page.keyboard.press("Escape")
    assert focused() == "Download"
    page.keyboard.press("Tab")
    first = focused()
    assert first in ("free", "pro", "team")
    page.keyboard.press("Space")
    assert focused() == first
    assert chart.get_by_role("button", name=first, exact=True).get_attribute("aria-pressed") == "false"
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("Tab")
    assert "Arrow keys" in focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    said = chart.locator("[aria-live]").text_content()
    page.keyboard.press("ArrowUp")
    other = chart.locator("[aria-live]").text_content()
    assert said.split(": ")[0] != other.split(": ")[0]
    assert chart.locator(".tip").is_visible()
    page.keyboard.press("Enter")
    ((name, detail, composed),) = page.evaluate("heard")
    assert (name, composed, detail["index"]) == ("select", True, 1)
    assert other.startswith(f"{detail['name']}, {detail['series']}: {detail['value']}")
    length = datetime.fromisoformat(detail["timeframe"]["end"]) - datetime.fromisoformat(
        detail["timeframe"]["start"]
    )
    assert length == timedelta(days=1)
    page.keyboard.press("Escape")
    assert chart.locator(".tip").count() == 0
    charts.check()


@pytest.mark.parametrize("name", [name for name, kind in DRAWN.items() if kind != "table"])
def test_every_mark_is_reached_by_keys(charts: Charts, name: str) -> None:
    page = charts.open(charts.chart(name))
    page.evaluate(HEARD)
    plot = root(page).get_by_role("application")
    plot.press("Home")
    assert root(page).locator(".tip").is_visible()
    plot.press("Enter")
    plot.press("End")
    plot.press("Enter")
    selected = page.evaluate("heard.map(([, detail]) => detail)")
    assert len(selected) == 2
    assert all(isinstance(one["value"], int | float) for one in selected)
    if DRAWN[name] in ("line", "area", "bar", "stacked", "pie", "funnel", "heatmap"):
        assert selected[0]["index"] < selected[1]["index"] or DRAWN[name] in ("bar", "stacked")
    charts.check()


def test_the_pointer_shows_and_selects(charts: Charts) -> None:
    page = charts.open(charts.chart("countries-daily"))
    page.evaluate(HEARD)
    box = root(page).locator(".plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = root(page).locator(".tip")
    assert tip.locator("div").count() == 6
    assert root(page).locator(".line").is_visible()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    ((name, detail, _),) = page.evaluate("heard")
    assert name == "select"
    assert detail["series"] in Counter(event["country"] for event in charts.shop.events["purchases"])
    inner = root(page).bounding_box()
    area = tip.bounding_box()
    assert inner["x"] <= area["x"] and area["x"] + area["width"] <= inner["x"] + inner["width"]
    page.mouse.move(2, 2)
    assert tip.count() == 0


def test_a_series_that_is_switched_off_is_not_drawn(charts: Charts) -> None:
    page = charts.open(charts.chart("countries-daily"))
    drawn = "document.querySelector('acumen-chart').shadowRoot.querySelectorAll('.acumen-series path').length"
    before = page.evaluate(drawn)
    root(page).get_by_role("button", name="Poland", exact=True).click()
    assert page.evaluate(drawn) < before
    svg = page.evaluate("document.querySelector('acumen-chart').toSVG()")
    assert ">Germany<" in svg and ">Poland<" not in svg


def test_events_tell_of_answers_and_errors(charts: Charts) -> None:
    page = charts.open(charts.chart("plans"))
    page.evaluate(HEARD)
    page.evaluate("document.querySelector('acumen-chart').reload()")
    page.evaluate("document.querySelector('acumen-chart').setAttribute('saved-query', 'none')")
    until(page, lambda: page.evaluate("heard.length") >= 1 and page.evaluate("heard.at(-1)[0]") == "error")
    detail = page.evaluate("heard.at(-1)[1]")
    assert (detail["status"], detail["code"]) == (404, "ResourceNotFoundError")
    page.evaluate("document.querySelector('acumen-chart').setAttribute('saved-query', 'plans')")
    until(page, lambda: bool(page.evaluate("heard.at(-1)[0]") == "load"))
    assert page.evaluate("heard.at(-1)[1].description.type") == "pie"


# --- files


def test_csv_svg_and_png_are_what_is_shown(charts: Charts, shop: Shop) -> None:
    page = charts.open(charts.chart("by-country"))
    text = page.evaluate("document.querySelector('acumen-chart').toCSV()")
    rows = list(csv.reader(io.StringIO(text)))
    expected = Counter(event["country"] for event in shop.events["purchases"])
    assert {name: int(count) for name, count in rows[1:]} == expected
    svg = page.evaluate("document.querySelector('acumen-chart').toSVG({width: 500, height: 300})")
    made = ET.fromstring(svg)
    assert (made.get("width"), made.get("height")) == ("500", "300")
    assert "var(" not in svg and "Orders by country" in svg
    png = page.evaluate("""async () => {
      const blob = await document.querySelector("acumen-chart").toPNG({width: 500, height: 300, scale: 2});
      const bytes = new Uint8Array(await blob.arrayBuffer());
      return btoa(String.fromCharCode(...bytes)) }""")
    picture = base64.b64decode(png)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", picture[16:24]) == (1000, 600)
    charts.check()


def test_csv_has_all_groups_also_those_that_are_not_drawn(charts: Charts) -> None:
    page = charts.open("<acumen-chart type=bar></acumen-chart><acumen-chart type=pie></acumen-chart>")
    names = [None, "", "Other", *(f"/{index}" for index in range(100))]
    rows = [{"page": name, "result": 200 - at} for at, name in enumerate(names)]
    page.evaluate(
        """(answer) => { for (const one of document.querySelectorAll("acumen-chart")) one.data = answer }""",
        {"result": rows, "query": {"analysis_type": "count"}},
    )
    charts.settle()
    for index, left in ((0, 83), (1, 96)):
        assert charts.table(index)[-1][0] == f"Other ({left} more)"
        text = page.evaluate(f"document.querySelectorAll('acumen-chart')[{index}].toCSV()")
        assert text.split("\r\n")[1:4] == [",200", '"",199', "Other,198"]
        assert text.count("\r\n") == 1 + len(names)


def test_the_menu_gives_files_and_only_those_allowed(charts: Charts) -> None:
    page = charts.open(charts.chart("by-country", exports="csv svg"), charts.chart("plans", exports=""))
    for kind in ("CSV", "SVG"):
        root(page).get_by_label("Download").click()
        with page.expect_download() as started:
            root(page).get_by_role("button", name=kind).click()
        assert started.value.suggested_filename == f"Orders-by-country.{kind.lower()}"
    root(page).get_by_label("Download").click()
    assert root(page).get_by_role("button", name="PNG").count() == 0
    assert not charts.faults()
    assert root(page, 1).get_by_label("Download").is_hidden()


# --- numbers, zones, the period before


def test_numbers_and_times_are_written_as_in_the_place(charts: Charts) -> None:
    answer = {
        "result": [
            {
                "value": 1234567.5,
                "timeframe": {"start": "2026-03-29T22:00:00.000Z", "end": "2026-03-30T22:00:00.000Z"},
            }
        ],
        "query": {"interval": "daily", "timezone": "Europe/Berlin", "analysis_type": "sum"},
    }
    page = charts.open("<acumen-chart type=table locale=de-DE format=EUR></acumen-chart>", wait=False)
    page.evaluate("(answer) => { document.querySelector('acumen-chart').data = answer }", answer)
    charts.settle()
    assert charts.table()[1] == ["30. März 2026", "1.234.567,50\u00a0€"]
    page.evaluate("document.querySelector('acumen-chart').timezone = 'America/New_York'")
    until(page, lambda: charts.table()[1][0] == "29. März 2026")


def test_words_may_be_in_another_language(charts: Charts) -> None:
    page = charts.open("<acumen-chart lang=pl></acumen-chart>", wait=False)
    page.evaluate("""() => { const chart = document.querySelector("acumen-chart");
      chart.words = {noData: "Brak danych"}; chart.data = {result: []} }""")
    charts.settle()
    assert root(page).locator("[part=empty]").text_content() == "Brak danych"


def _before(timeframe: str, zone: str, now: datetime) -> tuple[datetime, datetime]:
    """The reference: by the calendar of the zone, step by step."""
    kind, count, unit = timeframe.split("_")
    unit = unit.rstrip("s")
    local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)

    def floor(at: datetime) -> datetime:
        cut: dict[str, Any] = {}
        for name, first in (("minute", 0), ("hour", 0), ("day", 1), ("month", 1)):
            if name == unit:
                break
            cut[name] = first
        return at.replace(second=0, microsecond=0, **cut)

    def back(at: datetime, steps: int) -> datetime:
        for _ in range(steps):
            if unit in ("month", "year"):
                months = at.year * 12 + at.month - 1 - (12 if unit == "year" else 1)
                day = at.day
                while True:
                    try:
                        at = at.replace(year=months // 12, month=months % 12 + 1, day=day)
                        break
                    except ValueError:
                        day -= 1
            else:
                at -= timedelta(**{f"{unit}s": 1})
        return at

    start = back(floor(local), int(count) - 1 if kind == "this" else int(count))
    end = local if kind == "this" else floor(local)
    first, last = (back(at, int(count)).replace(tzinfo=ZoneInfo(zone)) for at in (start, end))
    return first, last


@pytest.mark.parametrize("zone", ["UTC", "Europe/Warsaw", "America/Los_Angeles"])
def test_a_number_is_compared_with_as_much_of_the_period_before(charts: Charts, zone: str) -> None:
    frames = [
        "this_1_days",
        "previous_1_days",
        "this_7_days",
        "previous_30_days",
        "this_1_months",
        "previous_2_months",
        "this_1_years",
        "this_36_hours",
        "this_3_weeks",
    ]
    base = {"analysis_type": "count", "event_collection": "purchases", "timezone": zone}
    key = {"token": None, "key": charts.shop.project.read_key}
    charts.open(*(charts.chart(query={**base, "timeframe": one}, **key) for one in frames))
    now = datetime.now(UTC)
    asked = [json.loads(request.post_data)["timeframe"] for request in charts.asked("/queries/count")]
    spans = [one for one in asked if isinstance(one, dict)]
    assert len(spans) == len(frames) - 1, "weeks have no first day here"
    for frame in frames[:-1]:
        expected = _before(frame, zone, now)
        nearest = min(
            max(
                abs(datetime.fromisoformat(span["start"]) - expected[0]),
                abs(datetime.fromisoformat(span["end"]) - expected[1]),
            )
            for span in spans
        )
        assert nearest < timedelta(minutes=2), frame
    charts.check()


def test_a_metric_says_how_it_changed(charts: Charts, shop: Shop) -> None:
    page = charts.open(
        charts.chart("revenue", timeframe="this_10_days", controls="timeframe"),
        charts.chart("revenue", compare="none", controls="timeframe"),
        charts.chart("revenue-daily", timeframe="this_10_days", compare="previous"),
    )
    assert "%" in root(page, 0).locator(".acumen-drawing").text_content()
    assert "previous" in root(page, 0).locator(".acumen-drawing").text_content()
    assert "%" not in root(page, 1).locator(".acumen-drawing").text_content()
    assert root(page, 2).get_by_role("button", name="Previous period").is_visible()
    charts.check()


def test_equal_parts_have_equal_shares_and_decimals_are_as_many(charts: Charts) -> None:
    page = charts.open("<acumen-chart type=pie></acumen-chart><acumen-chart type=bar></acumen-chart>")
    page.evaluate("""() => {
      const rows = (values) => ({result: values.map((result, page) => ({page: `/${page}`, result}))});
      const [pie, bars] = document.querySelectorAll("acumen-chart");
      [pie.data, bars.data] = [rows([2, 2, 2]), rows([12.5, 12, 3])] }""")
    charts.settle()
    drawn = [root(page, index).locator(".acumen-drawing text") for index in (0, 1)]
    until(page, lambda: drawn[1].count() > 0)
    assert [text for text in drawn[0].all_text_contents() if "%" in text] == ["33%", "33%", "33%"]
    root(page).get_by_role("application").press("Home")
    assert "33%" in root(page).locator(".tip").text_content()
    assert {"12.5", "12.0", "3.0"} <= set(drawn[1].all_text_contents())


# --- looks

STYLE = "getComputedStyle(document.querySelector('acumen-chart').shadowRoot.querySelector('%s')).%s"
GROUND = STYLE % (".root", "backgroundColor")
BAR = STYLE % ("path.acumen-bar", "fill")
CONTROLS = "timeframe interval filter:country"


@pytest.mark.parametrize(
    ("theme", "scheme", "ground"),
    [
        ("light", "dark", "rgb(255, 255, 255)"),
        ("dark", "light", "rgb(20, 23, 28)"),
        ("auto", "dark", "rgb(20, 23, 28)"),
        (None, "light", "rgb(255, 255, 255)"),
    ],
)
def test_the_theme_is_the_pages_or_the_visitors(
    browser: Any, site: Site, shop: Shop, theme: str | None, scheme: str, ground: str
) -> None:
    with charts_in(browser, site, shop, color_scheme=scheme) as charts:
        page = charts.open(charts.chart("by-country", theme=theme))
        assert page.evaluate(GROUND) == ground
        if theme == "auto":
            page.emulate_media(color_scheme="light")
            until(page, lambda: page.evaluate(GROUND) == "rgb(255, 255, 255)")


def test_a_brand_is_a_few_variables(charts: Charts) -> None:
    style = ":root{--acumen-accent:#7a1fa2;--acumen-background:rgb(255, 250, 242)}"
    style += "acumen-chart::part(title){color:red}"
    page = charts.open(charts.chart("by-country"), style=style)
    assert page.evaluate(BAR) == "rgb(122, 31, 162)"
    assert page.evaluate(GROUND) == "rgb(255, 250, 242)"
    title = (
        "getComputedStyle(document.querySelector('acumen-chart').shadowRoot.querySelector('.title')).color"
    )
    assert page.evaluate(title) == "rgb(255, 0, 0)"
    assert "#7a1fa2" in page.evaluate("document.querySelector('acumen-chart').toSVG()")
    # a change needs no script
    page.evaluate("document.documentElement.style.setProperty('--acumen-accent', 'rgb(1, 2, 3)')")
    assert page.evaluate(BAR) == "rgb(1, 2, 3)"


def test_a_phone_has_room_for_every_chart(browser: Any, site: Site, shop: Shop) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with charts_in(browser, site, shop, **phone) as charts:
        page = charts.open(*(charts.chart(name, controls=CONTROLS) for name in DRAWN))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        plot = root(page, 1).locator(".plot")
        plot.scroll_into_view_if_needed()
        plot.tap()
        assert root(page, 1).locator(".tip").is_visible()
        charts.check()


def test_it_is_as_large_as_the_page_says(charts: Charts) -> None:
    page = charts.open(
        charts.chart("by-country", height="200"),
        f'<div id=box style="height:420px;width:300px">{charts.chart("by-country")}</div>',
        style="#box acumen-chart{display:block;height:100%}",
    )
    heights = [root(page, index).bounding_box()["height"] for index in (0, 1)]
    assert heights == [200, 420]
    second = "document.querySelectorAll('acumen-chart')[1].shadowRoot"
    width = f"{second}.querySelector('svg.acumen-bar').getAttribute('width')"
    assert page.evaluate(width) == "300"
    page.evaluate("document.querySelector('#box').style.width = '250px'")
    until(page, lambda: page.evaluate(width) == "250")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, site: Site, shop: Shop, scheme: str) -> None:
    with charts_in(browser, site, shop, color_scheme=scheme) as charts:
        page = charts.open(
            *(charts.chart(name, controls=CONTROLS) for name in DRAWN),
            style="h1{background:#fff;color:#000}",
        )
        assert charts.faults() == []
        for index in range(len(DRAWN) - 1):
            root(page, index).get_by_label("Show as table").click()
        assert charts.faults() == []


@pytest.mark.parametrize("scheme", ["normal", "light dark"])
def test_a_frame_has_no_corners_of_another_colour(browser: Any, site: Site, shop: Shop, scheme: str) -> None:
    with charts_in(browser, site, shop, color_scheme="dark") as charts:
        token = charts.access()["token"]
        url = f"{shop.url}/3.0/projects/{shop.project.id}/queries/saved/plans/embed?api_key={token}"
        frame = f'<iframe title=f height=400 width=600 src="{url}"></iframe>'
        style = f":root{{color-scheme:{scheme};background:#06c}}iframe{{border:0}}"
        page = charts.open(frame, style=style, wait=False)
        page.frame_locator("iframe").locator("acumen-chart .root[data-state=ready]").wait_for()
        box = page.locator("iframe").bounding_box()
        picture = base64.b64encode(page.screenshot(clip={**box, "width": 1, "height": 1})).decode()
        color = page.evaluate(
            """async (text) => {
              const image = new Image();
              image.src = "data:image/png;base64," + text;
              await image.decode();
              const pen = document.createElement("canvas").getContext("2d");
              pen.drawImage(image, 0, 0);
              return [...pen.getImageData(0, 0, 1, 1).data] }""",
            picture,
        )
        assert color == [20, 23, 28, 255]


def test_a_strict_policy_is_kept(charts: Charts, shop: Shop) -> None:
    """The page for frames: one script with a nonce, and no style but in sheets that scripts make."""
    token = charts.access()["token"]
    page = charts.page
    saved = f"{shop.url}/3.0/projects/{shop.project.id}/queries/saved"
    for name in ("plans-daily", "country-plan", "hours", "recent", "plans"):
        frame = f'<iframe title=f height=400 width=600 src="{saved}/{name}/embed?api_key={token}"></iframe>'
        charts.open(frame, wait=False)
        inside = page.frame_locator("iframe").locator("acumen-chart .root[data-state=ready]")
        inside.wait_for()
        assert inside.bounding_box()["height"] == 400
    inside.get_by_role("application").press("ArrowRight")
    assert inside.locator(".tip").is_visible()
    size = page.frames[1].evaluate("document.querySelector('acumen-chart').toPNG().then((blob) => blob.size)")
    assert size > 1000
    charts.check()


def test_a_cell_of_a_table_tells_its_groups_by_pointer_and_by_keys(charts: Charts) -> None:
    page = charts.open(charts.chart("plans-daily"))
    page.evaluate(HEARD)
    root(page).get_by_label("Show as table").click()
    cell = root(page).locator(".sheet tbody tr").nth(1).locator("td").first
    cell.click()
    first = root(page).locator(".sheet tbody [tabindex='0']")
    first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    by_pointer, by_keys = page.evaluate("heard.map(([, detail]) => detail)")
    assert by_pointer["index"] == by_keys["index"] == 1
    assert by_pointer["timeframe"] == by_keys["timeframe"]
    assert by_pointer["groups"] == by_pointer["key"] and len(by_pointer["groups"]) == 1
    # The row's name is all of the row.
    assert by_keys["groups"] == []
    assert by_pointer["query"]["group_by"] == ["plan"]
    charts.check()
