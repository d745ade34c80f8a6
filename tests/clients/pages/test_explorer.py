"""The explorer: fields, answers, addresses, errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.clients.pages.conftest import ROOT, Visitor

SUM: dict[str, Any] = {
    "analysis_type": "sum",
    "event_collection": "purchases",
    "target_property": "price",
    "interval": "daily",
    "group_by": ["country"],
}


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
    page.get_by_label("How many groups").select_option("5")
    page.get_by_label("In parts").select_option("")
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
    assert waiting.value.suggested_filename == "purchases.csv"
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
