"""Several questions side by side, and the period before."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.pages.conftest import Visitor
from tests.clients.pages.sources import called

COUNT = {"analysis_type": "count", "event_collection": "purchases"}


def asked(visitor: Visitor) -> dict[str, Any]:
    """The parameters of the address, by their names."""
    found: dict[str, Any] = visitor.page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
    return {name: json.loads(value) if name.startswith("q") else value for name, value in found.items()}


def test_a_question_is_duplicated_changed_and_gone_back_from(shop: Visitor) -> None:
    page = shop.explore(**COUNT)
    shop.drawn()
    page.get_by_role("button", name="Duplicate").click()
    second = page.get_by_role("region", name="Answer 2")
    second.get_by_role("heading", name="Number of events in purchases").wait_for()
    page.get_by_label("Show", exact=True).select_option("count_unique")
    page.get_by_role("combobox", name="Of property").click()
    page.get_by_role("option", name="country text").click()
    second.get_by_role("heading", name="Number of different values of country").wait_for()
    assert asked(shop)["q"]["analysis_type"] == "count"
    address = page.url
    page.go_back()
    second.get_by_role("heading", name="Number of events in purchases").wait_for()
    page.go_back()
    second.wait_for(state="detached")
    page.goto(address)
    page.get_by_role("region", name="Answer 2").get_by_role("heading", name="of country").wait_for()
    page.get_by_role("button", name="Remove question 1").click()
    page.get_by_role("region", name="Answer 2").wait_for(state="detached")
    assert shop.question()["analysis_type"] == "count_unique"


def test_linked_questions_share_the_timeframe(shop: Visitor) -> None:
    page = shop.explore(**COUNT)
    shop.drawn()
    page.get_by_role("button", name="Duplicate").click()
    page.get_by_label("The same timeframe for all").check()
    page.get_by_label("When").select_option("this_30_days")
    page.wait_for_function("location.search.split('this_30_days').length === 3")
    page.get_by_label("The same timeframe for all").uncheck()
    page.get_by_label("When").select_option("today")
    page.wait_for_function("location.search.includes('today')")
    assert {name: one["timeframe"] for name, one in asked(shop).items() if name.startswith("q")} == {
        "q": "this_30_days",
        "q2": "today",
    }


def test_the_period_before_stands_beside(shop: Visitor) -> None:
    page = shop.explore(
        **{**COUNT, "timeframe": {"start": "2026-03-23T00:00+01:00", "end": "2026-03-30T00:00+02:00"}}
    )
    shop.drawn()
    page.get_by_role("button", name="Compare with the period before").click()
    page.get_by_role("region", name="Answer 2").wait_for()
    assert asked(shop)["q2"]["timeframe"] == {
        "start": "2026-03-16T00:00:00+01:00",
        "end": "2026-03-23T00:00:00+01:00",
    }


@pytest.mark.parametrize(
    ("given", "found"),
    [
        # A week in which clocks go forward has as many days as the one before.
        (
            ("2026-03-22T23:00Z", "2026-03-29T22:00Z"),
            ("2026-03-16T00:00:00+01:00", "2026-03-23T00:00:00+01:00"),
        ),
        (("2026-03-01T10:00Z", "2026-03-01T12:30Z"), ("2026-03-01T07:30:00.000Z", "2026-03-01T10:00Z")),
    ],
)
def test_the_period_before_is_as_long(given: tuple[str, str], found: tuple[str, str]) -> None:
    (frame,) = called("pages/explore/frames.ts", "before", [*given, "Europe/Berlin"])
    assert frame == {"start": found[0], "end": found[1]}


def test_values_are_searched_on_the_server_as_they_are_typed(visitor: Visitor) -> None:
    often = [{"who": f"common {n % 60}"} for n in range(120)]
    visitor.served.record(visitor.project, "acts", *often, {"who": "Rare (one)"})
    page = visitor.explore(
        analysis_type="count",
        event_collection="acts",
        filters=[{"property_name": "who", "operator": "eq", "property_value": "x"}],
    )
    value = page.get_by_role("combobox", name="Value")
    value.fill("rare (")
    page.get_by_role("option", name="Rare (one) 1").click()
    page.wait_for_function("location.search.includes('Rare')")
    assert visitor.question()["filters"][0]["property_value"] == "Rare (one)"


@pytest.mark.parametrize("interval", [None, "daily"])
def test_the_change_since_the_period_before_is_said(shop: Visitor, interval: str | None) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    frame = {"start": (today - timedelta(days=1)).isoformat(), "end": (today + timedelta(days=1)).isoformat()}
    asked_of = {**COUNT, "timeframe": frame, "timezone": "UTC", "interval": interval}
    three = [{"keen": {"timestamp": (today - timedelta(days=2, hours=at)).isoformat()}} for at in range(1, 4)]
    shop.served.record(shop.project, "purchases", *three)
    page = shop.explore(**{name: value for name, value in asked_of.items() if value})
    shop.drawn()
    page.get_by_role("button", name="Compare with the period before").click()
    first = page.get_by_role("region", name="Answer", exact=True)
    # Two purchases in these days; in the two before one of the shop's and three.
    first.get_by_text("2 instead of 5 in question 2").wait_for()
    assert first.get_by_text("▼ −60 %").count() == 1
    assert first.get_by_text("This period is not over yet.").count() == 1


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((10, 8), "▲ +25 %"), ((1, 3), "▼ −66.7 %"), ((4, 4), "= 0 %"), ((4, 0), None), ((-1, -2), "▲ +50 %")],
)
def test_a_change_has_an_arrow_and_a_sign(numbers: tuple[int, int], said: str | None) -> None:
    assert called("pages/explore/compared.tsx", "changeText", [*numbers]) == [said]
