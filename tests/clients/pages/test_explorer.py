"""The explorer: fields, answers, addresses, errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.clients.pages.conftest import ROOT, ZONE, Visiting, Visitor
from tests.clients.pages.sources import called
from tests.support.axe import serious

SUM: dict[str, Any] = {
    "analysis_type": "sum",
    "event_collection": "purchases",
    "target_property": "price",
    "interval": "daily",
    "group_by": ["country"],
}

COUNT: dict[str, Any] = {"analysis_type": "count", "event_collection": "purchases"}


def choose(page: Any, field: str, option: str) -> None:
    page.get_by_role("combobox", name=field, exact=True).last.click()
    page.get_by_role("option", name=option).click()


def test_fields_make_a_question_and_its_answer_follows(shop: Visitor) -> None:
    page = shop.open("explore")
    page.get_by_role("heading", name="Number of events in purchases · daily · last 14 days").wait_for()
    page.get_by_label("Show", exact=True).select_option("average")
    choose(page, "Of property", "price number")
    choose(page, "Group by", "plan text")
    page.get_by_role("heading", name="Average of price in purchases by plan").wait_for()
    page.get_by_label("In parts").select_option("")
    page.get_by_label("How many groups").select_option("5")
    page.get_by_label("When").select_option("this_30_days")
    page.get_by_role("heading", name="Average of price in purchases by plan · last 30 days").wait_for()
    assert shop.question() == {
        "analysis_type": "average",
        "event_collection": "purchases",
        "target_property": "price",
        "timeframe": "this_30_days",
        "timezone": "Europe/Berlin",
        "group_by": ["plan"],
        "order_by": {"property_name": "result", "direction": "DESC"},
        "limit": 5,
    }
    page.get_by_role("tab", name="JSON").click()
    answer = json.loads(page.get_by_role("tabpanel").locator("pre").inner_text())
    assert answer["result"][0] == {"plan": "team", "result": 70}


def test_operators_fit_the_type_and_values_are_suggested(shop: Visitor) -> None:
    page = shop.explore(analysis_type="count", event_collection="purchases")
    page.get_by_role("button", name="+ Filter").click()
    choose(page, "Property to filter by", "price number")
    comparison = page.get_by_label("Comparison")
    assert "gt" in comparison.evaluate("(one) => [...one.options].map(({ value }) => value)")
    choose(page, "Property to filter by", "country text")
    operators = comparison.evaluate("(one) => [...one.options].map(({ value }) => value)")
    assert "contains" in operators and "gt" not in operators
    comparison.select_option("in")
    choose(page, "One more value", "DE 3")
    choose(page, "One more value", "PL 1")
    page.get_by_role("button", name="Remove PL").wait_for()
    assert shop.question()["filters"] == [
        {"property_name": "country", "operator": "in", "property_value": ["DE", "PL"]}
    ]
    page.get_by_role("button", name="Remove filter 1").click()
    page.wait_for_function("!location.search.includes('filters')")
    page.get_by_role("button", name="+ Filter").click()
    choose(page, "Property to filter by", "gift true or false")
    page.wait_for_function("location.search.includes('gift')")
    assert shop.question()["filters"] == [{"property_name": "gift", "operator": "eq", "property_value": True}]


def test_numbers_are_asked_for_as_numbers_and_texts_as_texts(shop: Visitor) -> None:
    page = shop.explore(
        analysis_type="count",
        event_collection="purchases",
        filters=[{"property_name": "price", "operator": "gt", "property_value": 10}],
    )
    value = page.get_by_role("combobox", name="Value")
    value.fill("20")
    value.press("Enter")
    page.wait_for_function("location.search.includes('20')")
    assert shop.question()["filters"][0]["property_value"] == 20


def test_the_back_button_goes_through_questions(shop: Visitor) -> None:
    page = shop.explore(**SUM)
    shop.drawn()
    page.get_by_label("Show", exact=True).select_option("maximum")
    page.get_by_role("heading", name="Maximum of price").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Sum of price").wait_for()
    assert page.get_by_label("Show", exact=True).input_value() == "sum"
    page.go_forward()
    page.get_by_role("heading", name="Maximum of price").wait_for()
    assert page.get_by_label("Show", exact=True).input_value() == "maximum"


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"timezone": "Mars/Base"}, "Time zone", "must be an IANA name"),
        ({"timeframe": "this_0_days"}, "When", "this_0_days"),
        ({"interval": "sometimes"}, "In parts", "sometimes"),
    ],
)
def test_an_error_stands_next_to_its_field(
    shop: Visitor, wrong: dict[str, Any], field: str, said: str
) -> None:
    page = shop.explore(**{**SUM, **wrong})
    fault = page.get_by_role("alert").filter(has_text=said)
    fault.wait_for()
    control = page.get_by_label(field, exact=True)
    assert control.get_attribute("aria-describedby") == fault.get_attribute("id")
    assert page.get_by_text(f"see “{field}”").is_visible()
    shop.forget("status of 400")


def test_a_warning_is_shown(shop: Visitor) -> None:
    page = shop.explore(**{**SUM, "target_property": "prise"})
    page.get_by_text("No event has the property 'prise'. Did you mean 'price'?").wait_for()


def test_a_warning_of_a_field_that_shows_none_stands_above_the_answer(shop: Visitor) -> None:
    of_utc = {"start": "2026-03-01", "end": "2026-04-01"}
    page = shop.explore(
        analysis_type="count", event_collection="purchases", timeframe=of_utc, timezone="Europe/Berlin"
    )
    expect(page.locator(".answer .warning")).to_contain_text(
        "For Europe/Berlin send '2026-03-01T00:00:00+01:00'."
    )


def test_a_question_beyond_the_fields_is_edited_as_text(shop: Visitor) -> None:
    analyses = {"n": {"analysis_type": "count"}}
    page = shop.explore(analysis_type="multi_analysis", event_collection="purchases", analyses=analyses)
    text = page.get_by_label("The question as JSON")
    text.fill("{")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("alert").filter(has_text="This is no question yet").wait_for()
    text.fill(json.dumps({"analysis_type": "count", "event_collection": "visits", "timezone": "UTC"}))
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("heading", name="Number of events in visits").wait_for()
    assert page.get_by_role("combobox", name="Of events in").input_value() == "visits"


def test_series_are_drawn_and_compared_with_the_period_before(shop: Visitor) -> None:
    series = {
        "visits": {"event_collection": "visits", "analysis_type": "count"},
        "sold": {"event_collection": "purchases", "analysis_type": "sum", "target_property": "price"},
    }
    page = shop.explore(
        analysis_type="series", series=series, formulas={"each": "sold / visits"}, timeframe="this_14_days",
        timezone="UTC", interval="daily", compare="previous_period",
    )  # fmt: skip
    shop.drawn()
    page.get_by_role("heading", name="Series of visits, sold").wait_for()
    page.get_by_role("button", name="Compare with the period before").click()
    page.locator("acumen-chart").nth(1).wait_for()


@pytest.mark.parametrize(
    "query",
    [
        SUM | {"timeframe": "this_14_days", "timezone": "UTC"},
        {"analysis_type": "count", "event_collection": "visits", "timeframe": "today"},
        {
            "analysis_type": "funnel",
            "steps": [
                {"event_collection": name, "actor_property": "user.id", "timeframe": "this_14_days"}
                for name in ("visits", "purchases")
            ],
        },
        {"analysis_type": "extraction", "event_collection": "visits", "latest": 100, "timezone": "UTC"},
    ],
)
def test_a_saved_query_opens_in_fields(shop: Visitor, query: dict[str, Any]) -> None:
    """In the form in which the server keeps it."""
    shop.save("one", "One", **query)
    page = shop.open("saved")
    page.get_by_role("link", name="One", exact=True).click()
    page.get_by_label("Show", exact=True).wait_for()
    assert page.get_by_label("Show", exact=True).input_value() == query["analysis_type"]
    shop.page.locator("acumen-chart").wait_for()


def test_the_code_of_a_saved_query_has_the_address_of_its_result(shop: Visitor) -> None:
    shop.save("orders", "Orders", analysis_type="count", event_collection="purchases", timeframe="today")
    page = shop.open("saved")
    page.get_by_role("link", name="Orders").click()
    page.get_by_role("tab", name="Code").click()
    address = page.get_by_label("address of the result", exact=True).inner_text().strip()
    path = address.removeprefix(shop.served.url)
    assert shop.served.request("GET", path, key=shop.project.read_key).status == 200


def test_the_code_gives_the_same_answer(shop: Visitor) -> None:
    page = shop.explore(
        **{
            **SUM,
            "interval": None,
            "filters": [{"property_name": "plan", "operator": "ne", "property_value": "it's"}],
        }
    )
    page.get_by_role("tab", name="Code").click()
    keys = {"ACUMEN_READ_KEY": shop.project.read_key, "PYTHONPATH": str(ROOT / "clients/python/src")}
    told = {}
    for name in ("curl", "Python"):
        page.get_by_role("tab", name=name).click()
        text = page.get_by_label(name, exact=True).last.inner_text()
        command = ["sh", "-c", text] if name == "curl" else [sys.executable, "-c", text]
        done = subprocess.run(command, env={**os.environ, **keys}, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stderr
        told[name] = done.stdout
    rows = json.loads(told["curl"])["result"]
    assert {row["country"]: row["result"] for row in rows} == {"DE": 43, "FR": 70, "PL": 12.5}
    assert "12.5" in told["Python"] and "FR" in told["Python"]


def test_the_answer_is_exported_as_csv(shop: Visitor) -> None:
    page = shop.explore(**{**SUM, "interval": None})
    shop.drawn()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export CSV").click()
    assert waiting.value.suggested_filename == "sum-of-price-in-purchases-by-country.csv"
    text = waiting.value.path().read_text(encoding="utf-8-sig")
    assert "FR" in text and "70" in text


def test_saving_over_a_saved_query_says_so_and_keeps_its_metadata(shop: Visitor) -> None:
    path = f"/3.0/projects/{shop.project.id}/queries/saved/sales"
    metadata = {"display_name": "Sales", "team": "north", "visualization": {"format": "EUR"}}
    shop.manage("PUT", path, {"query": {**SUM, "timeframe": "this_14_days"}, "metadata": metadata})
    page = shop.open("saved")
    page.get_by_role("link", name="Sales").click()
    page.get_by_label("Type of chart").select_option("bar")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("saving replaces it").wait_for()
    page.get_by_role("button", name="Replace it").click()
    page.get_by_text("“Sales” is saved.").wait_for()
    metadata["visualization"] = {"format": "EUR", "type": "bar"}
    assert shop.manage("GET", path)["metadata"] == metadata


def test_a_saved_query_is_deleted_once_that_is_confirmed(shop: Visitor) -> None:
    shop.save("one", "One", analysis_type="count", event_collection="visits")
    page = shop.open("saved")
    page.get_by_role("button", name="Delete One").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Delete One").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("heading", name="Nothing is saved yet").wait_for()
    assert shop.manage("GET", f"/3.0/projects/{shop.project.id}/queries/saved") == []


def test_a_saved_query_is_drawn_as_on_dashboards_and_shows_its_title(shop: Visitor) -> None:
    path = f"/3.0/projects/{shop.project.id}/queries/saved/sales"
    question = {name: value for name, value in SUM.items() if name != "group_by"}
    metadata = {
        "display_name": "Sales so far",
        "visualization": {"type": "metric", "format": "EUR", "value": "total"},
    }
    shop.manage("PUT", path, {"query": {**question, "timeframe": "this_14_days"}, "metadata": metadata})
    page = shop.open("saved")
    page.get_by_role("link", name="Sales so far").click()
    page.get_by_role("heading", name="Sales so far").wait_for()
    page.get_by_text("Sum of price in purchases · daily · last 14 days").wait_for()
    page.locator("acumen-chart svg").filter(has_text="€125.50").wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export CSV").click()
    assert waiting.value.suggested_filename == "sales-so-far.csv"
    page.get_by_label("When").select_option("this_30_days")
    page.get_by_text("Sum of price in purchases · daily · last 30 days").wait_for()
    page.locator("acumen-chart svg").filter(has_text="€125.50").wait_for()
    page.get_by_label("Show", exact=True).select_option("count")
    page.get_by_text("Number of events in purchases").wait_for()
    page.locator("acumen-chart svg.acumen-drawing").filter(has_not_text="€").wait_for()


def test_an_unfinished_question_is_not_saved_as_the_one_before(shop: Visitor) -> None:
    page = shop.explore(analysis_type="count", event_collection="purchases")
    shop.drawn()
    save, place = (
        page.get_by_role("button", name=name, exact=True) for name in ("Save", "Add to a dashboard")
    )
    assert save.is_enabled()
    page.get_by_label("Show", exact=True).select_option("sum")
    page.get_by_text("Choose a property, and the answer follows.").wait_for()
    assert save.is_disabled() and place.is_disabled()
    choose(page, "Of property", "price number")
    page.get_by_role("heading", name="Sum of price in purchases").wait_for()
    page.locator("button.main:enabled", has_text="Save").wait_for()


def test_values_of_a_funnels_filters_are_those_of_its_first_step(shop: Visitor) -> None:
    page = shop.open("explore")
    page.get_by_label("Show", exact=True).select_option("funnel")
    choose(page, "Step 1: collection", "visits")
    choose(page, "Step 2: collection", "purchases")
    page.get_by_role("heading", name="Funnel of 2 steps · last 14 days").wait_for()
    page.get_by_role("button", name="Remove step 1").click()
    page.locator(".fields > fieldset").last.get_by_role("button", name="+ Filter").click()
    choose(page, "Property to filter by", "country text")
    choose(page, "Value", "DE 3")
    page.get_by_role("heading", name="Funnel of 1 step · last 14 days · 1 filter").wait_for()


def test_timeframes_have_the_words_of_the_dashboards_control(shop: Visitor) -> None:
    page = shop.open("explore")
    when = page.get_by_label("When", exact=True)
    when.wait_for()
    labels = when.evaluate("(one) => [...one.options].map(({ text }) => text)")
    assert {"This week", "Previous week", "This month", "Previous month"} < set(labels)
    when.select_option("previous_week")
    page.get_by_role("heading", name="daily · previous week").wait_for()
    assert shop.question()["timeframe"] == "previous_week"


@pytest.mark.parametrize(
    ("timeframe", "zone", "said"),
    [
        (("2026-11-01T00:00:00+01:00", "2026-11-16T00:00:00+01:00"), ZONE, "1 Nov – 15 Nov 2026"),
        (("2026-10-31T23:00:00Z", "2026-11-15T23:00:00Z"), ZONE, "1 Nov – 15 Nov 2026"),
        (("2026-10-31T23:00:00Z", "2026-11-15T23:00:00Z"), 3600, "1 Nov – 15 Nov 2026"),
        (("2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z"), "UTC", "31 Dec 2025 – 1 Jan 2026"),
        (("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"), "Mars/Base", "1 Nov 2026"),
    ],
)
def test_a_heading_says_the_days_and_how_many_filters(
    timeframe: tuple[str, str], zone: Any, said: str
) -> None:
    frame = dict(zip(("start", "end"), timeframe, strict=True))
    filters = [{"property_name": "country", "operator": "eq", "property_value": "DE"}] * 2
    asked = {"analysis_type": "count", "event_collection": "purchases", "filters": filters}
    question = {**asked, "timeframe": frame, "timezone": zone}
    assert called("question.ts", "saidOf", [question]) == [
        f"Number of events in purchases · {said} · 2 filters"
    ]
    step = {
        "event_collection": "purchases",
        "actor_property": "user.id",
        "timeframe": frame,
        "timezone": zone,
    }
    funnel = {"analysis_type": "funnel", "steps": [step, step]}
    assert called("question.ts", "saidOf", [funnel]) == [f"Funnel of 2 steps · {said}"]


BERLIN = {"timezone": "Europe/Berlin", "timeframe": "previous_10_days"}


@pytest.mark.parametrize(
    ("question", "starts", "said"),
    [
        ({"interval": "daily", **BERLIN}, ["02-28T23:00Z", "03-01T23:00Z", "03-02T23:00Z"], []),
        # A day on which clocks change is whole.
        ({"interval": "daily", **BERLIN}, ["03-28T23:00Z", "03-29T22:00Z", "03-30T22:00Z"], []),
        (
            {"interval": "monthly"},
            ["02-15T00:00Z", "03-01T00:00Z", "04-01T00:00Z"],
            ["The first month begins on Sunday 15 February: it holds 14 of 28 days."],
        ),
        (
            {"interval": "daily", "timezone": 3600},
            ["03-02T13:30Z", "03-02T23:00Z", "03-03T11:00Z"],
            [
                "The first day begins on Monday 2 March at 14:30: it holds 9.5 of 24 hours.",
                "The last day ends on Tuesday 3 March at 12:00: it holds 12 of 24 hours.",
            ],
        ),
        (
            {"interval": "yearly"},
            ["03-01T00:00Z", "04-01T00:00Z"],
            ["The only year begins on Sunday 1 March: it holds 31 of 365 days."],
        ),
        # The server cuts by the offset of an absolute start.
        (
            {"interval": "daily", **BERLIN, "timeframe": {"start": "2026-03-01T00:00-0500"}},
            ["03-01T05:00Z", "03-02T05:00Z"],
            [],
        ),
        ({"interval": "daily", "timezone": "Mars/Base"}, ["03-01T05:00Z", "03-02T00:00Z"], []),
        ({"interval": "every_2_days"}, ["03-01T00:00Z", "03-03T00:00Z", "03-04T00:00Z"], []),
        ({}, ["03-01T00:00Z", "03-01T12:00Z"], []),
    ],
)
def test_parts_that_the_timeframe_cuts_are_said(
    question: dict[str, Any], starts: list[str], said: list[str]
) -> None:
    frames = [{"start": f"2026-{start}", "end": f"2026-{end}"} for start, end in pairwise(starts)]
    result = [{"timeframe": frame, "value": 1} for frame in frames]
    assert called("cut.ts", "cutParts", [result, question], [3, question], [result, None]) == [said, [], []]


def test_a_cut_week_is_said_below_the_chart(shop: Visitor) -> None:
    frame = {"start": "2026-03-03T00:00:00+01:00", "end": "2026-03-29T00:00:00+01:00"}
    page = shop.explore(**COUNT, timeframe=frame, interval="weekly")
    shop.drawn()
    page.get_by_text("The first week begins on Tuesday 3 March: it holds 5 of 7 days.").wait_for()
    assert page.get_by_text("it holds").count() == 1


def test_timeframes_say_what_they_hold_and_which_days_they_are(shop: Visitor) -> None:
    page = shop.open("explore")
    when = page.get_by_label("When", exact=True)
    when.wait_for()
    labels = when.evaluate("(one) => [...one.options].map(({ text }) => text)")
    assert {"Last 7 days, today included", "Previous 7 full days", "Last 12 months, this one included"} < set(
        labels
    )
    when.select_option("this_month")
    zone = ZoneInfo(ZONE)
    today = datetime.now(zone)
    page.get_by_text(re.compile(rf"^1 {today:%b}t? – .* {today.year}, in {ZONE}$")).wait_for()
    # Which day a week begins with only the server knows.
    when.select_option("previous_week")
    sunday = today - timedelta(days=(today.weekday() + 1) % 7 + 7)
    page.get_by_text(re.compile(rf"^{sunday.day} {sunday:%b}.* – .*, in {ZONE}$")).wait_for()


@pytest.mark.parametrize(
    ("timeframe", "zone", "said"),
    [
        ("today", "Europe/Berlin", "1 Mar 2026"),
        ("this_7_days", "Europe/Berlin", "23 Feb – 1 Mar 2026"),
        ("this_7_days", "America/New_York", "22 Feb – 28 Feb 2026"),
        ("previous_7_days", "Europe/Berlin", "22 Feb – 28 Feb 2026"),
        ("this_2_months", "Europe/Berlin", "1 Feb – 31 Mar 2026"),
        ("previous_month", "UTC", "1 Jan – 31 Jan 2026"),
        ("previous_year", "UTC", "1 Jan – 31 Dec 2025"),
        ("this_week", "UTC", ""),
        ("this_2_hours", "UTC", ""),
        ("today", "Mars/Base", ""),
    ],
)
def test_the_days_of_a_timeframe(timeframe: str, zone: str, said: str) -> None:
    assert called("days.ts", "daysOfFrame", [timeframe, zone, "2026-02-28T23:30:00Z"]) == [said]


def test_saved_queries_are_listed_by_when_they_were_changed_and_searched_where_they_are_many(
    shop: Visitor,
) -> None:
    for name in ("b", "a", "c"):
        shop.save(name, name.upper(), **COUNT)
    shop.save("b", "B again", **COUNT, timeframe="today")
    page = shop.open("saved")
    names = page.get_by_role("main").get_by_role("listitem").locator("a.name")
    expect(names).to_have_text(["B again", "C", "A"])
    assert page.get_by_role("searchbox").count() == 0
    for at in range(8):
        shop.save(f"more-{at}", f"More {at}", **COUNT)
    page.reload()
    page.get_by_role("searchbox", name="Search saved queries").fill("again")
    expect(names).to_have_text(["B again"])


def test_pictures_are_named_after_the_question(shop: Visitor) -> None:
    page = shop.explore(**COUNT, interval="daily")
    shop.drawn()
    for kind in ("PNG", "SVG"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Export {kind}").click()
        assert waiting.value.suggested_filename == f"number-of-events-in-purchases.{kind.lower()}"


def test_a_value_that_does_not_fit_its_field_stands_below_in_full(shop: Visitor) -> None:
    long = "a value that is by far longer than any field of the explorer could be"
    filters = [{"property_name": "country", "operator": "eq", "property_value": long}]
    page = shop.explore(**COUNT, filters=filters)
    row = page.get_by_role("group", name="Filter 1")
    row.get_by_text(long).wait_for()
    assert row.get_by_text("country").count() == 0


def test_with_an_interval_no_limit_of_groups_is_offered(shop: Visitor) -> None:
    page = shop.explore(**COUNT, group_by=["country"])
    shop.drawn()
    page.get_by_label("How many groups").select_option("10")
    page.wait_for_function("location.search.includes('limit')")
    page.get_by_label("In parts").select_option("daily")
    page.get_by_text("All groups are asked for").wait_for()
    assert page.get_by_label("How many groups").count() == 0
    page.wait_for_function("location.search.includes('daily')")
    assert "limit" not in shop.question() and "order_by" not in shop.question()
    page.get_by_label("In parts").select_option("")
    page.wait_for_function("!location.search.includes('daily')")
    assert shop.question()["limit"] == 10


def test_a_saved_limit_of_each_part_stays(shop: Visitor) -> None:
    order = {"property_name": "result", "direction": "DESC"}
    grouped = {**COUNT, "group_by": ["country"], "timeframe": "this_14_days", "timezone": ZONE}
    shop.save("each", "Each", **grouped, interval="daily", order_by=order, limit=5)
    page = shop.open("saved")
    page.get_by_role("link", name="Each", exact=True).click()
    page.get_by_text("Of each part these are its own largest").wait_for()
    assert page.get_by_label("How many groups").input_value() == "5"
    page.get_by_label("In parts").select_option("weekly")
    page.wait_for_function("location.search.includes('weekly')")
    assert shop.question()["limit"] == 5
    page.get_by_label("How many groups").select_option("")
    page.get_by_text("All groups are asked for").wait_for()
    assert "limit" not in shop.question()


def test_a_name_that_is_begun_is_taken_from_the_suggestions(visitor: Visitor) -> None:
    visitor.served.record(visitor.project, "page_views", {"user": {"id": "ann"}, "path": "/", "os": "x"})
    visitor.served.record(visitor.project, "sales", {"n": 1})
    page = visitor.explore(analysis_type="count", event_collection="sales")
    visitor.drawn()
    page.get_by_role("combobox", name="Of events in").fill("view")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Number of events in page_views").wait_for()
    group = page.get_by_role("combobox", name="Group by")
    # One begins with it; none does.
    for typed, taken in (("user", "user.id"), ("s", "s")):
        group.fill(typed)
        page.keyboard.press("Enter")
        page.get_by_role("button", name=f"Do not group by {taken}", exact=True).wait_for()


def test_a_funnel_begins_with_the_collection_that_was_chosen(shop: Visitor) -> None:
    page = shop.explore(analysis_type="count", event_collection="purchases")
    shop.drawn()
    choose(page, "Of events in", "visits")
    page.get_by_role("heading", name="Number of events in visits").wait_for()
    page.get_by_label("Show", exact=True).select_option("funnel")
    first = page.get_by_role("combobox", name="Step 1: collection")
    expect(first).to_have_value("visits")


def test_a_saved_query_that_is_changed_keeps_its_title(shop: Visitor) -> None:
    shop.save("one", "My orders", **COUNT, timeframe="this_14_days", timezone=ZONE)
    page = shop.open("saved")
    page.get_by_role("link", name="My orders").click()
    page.get_by_role("heading", name="My orders", exact=True).wait_for()
    page.get_by_label("When").select_option("this_30_days")
    page.get_by_role("heading", name="My orders (changed)").wait_for()
    page.get_by_text("Number of events in purchases · last 30 days").wait_for()
    page.go_back()
    page.get_by_role("heading", name="My orders", exact=True).wait_for()


def test_why_says_what_the_answer_was_computed_from(shop: Visitor) -> None:
    pro = [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]
    page = shop.explore(**SUM, filters=pro)
    shop.drawn()
    page.get_by_role("tab", name="Why").click()
    panel = page.get_by_role("tabpanel")
    panel.get_by_text("plan is …: 3 left").wait_for()
    row = panel.get_by_role("row", name="purchases")
    assert row.get_by_role("cell").last.inner_text() == "5"
    panel.get_by_text("1 statement").click()
    panel.get_by_role("region", name="What was read").wait_for()
    version = panel.get_by_label("the version", exact=True).inner_text()
    assert version.startswith("v")
    asked = {"event_collection": "purchases", "as_of": version}
    path = f"/3.0/projects/{shop.project.id}/queries/count"
    assert shop.served.request("POST", path, asked, key=shop.project.read_key).json == {"result": 5}
    assert serious(page) == []


def test_why_is_not_for_keys_with_filters(shop: Visitor, visiting: Visiting) -> None:
    only = {"filters": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]}
    body = {"name": "k", "permitted": ["queries", "schema"], "options": {"queries": only}, "is_active": True}
    made = shop.manage("POST", f"/3.0/projects/{shop.project.id}/keys", body)
    guest = visiting()
    guest.enter(made["key"])
    page = guest.explore(**SUM)
    guest.drawn()
    page.get_by_role("tab", name="Why").click()
    page.get_by_role("tabpanel").get_by_role("alert").wait_for()
    guest.forget("status of 403")
