"""From a number to the events behind it: the rule, and the way there by pointer and by keys."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.clients.pages.conftest import AS_JSON, ZONE, Visitor
from tests.clients.pages.sources import called
from tests.support.server import Served, ServedProject

SIZES = {"property_name": "price", "buckets": {"size": 0.1}}
AGES = {"property_name": "age", "ranges": [{"to": 18, "label": "minor"}, {"from": 18, "to": 60}]}
GROUPS: list[list[Any]] = [
    [],
    ["plan"],
    ["tags"],
    [SIZES],
    [AGES],
    ["plan", SIZES],
    ["tags", "plan"],
    ["flag"],
]
CLOCKS = {"start": "2026-03-27T12:00:00+01:00", "end": "2026-03-31T06:00:00+02:00"}
"""Of these days one has 23 hours in Berlin, and the first and the last are cut."""
FRAMES: list[Any] = [None, CLOCKS, {"start": "2026-03-28T00:00:00Z"}]
FILTERS: list[Any] = [[], [{"property_name": "plan", "operator": "ne", "property_value": "pro"}]]


def record_mixed(served: Served, project: ServedProject, rng: random.Random) -> None:
    values: dict[str, list[Any]] = {
        "plan": ["pro", "free", None, "", {"name": "pro"}, 7],
        "tags": [["a", "b"], [], ["a", None], "a", [["a"]], ["a", "a", 1]],
        "price": [0.1, 0.3, 0.30000000000000004, 12, "12", -0.05, None, 2**60 + 1],
        "age": [17, 18, 59.9, 60, "18", True],
        "flag": [True, False, "true"],
    }
    events = []
    for _ in range(120):
        event: dict[str, Any] = {
            name: rng.choice(some) for name, some in values.items() if rng.random() < 0.8
        }
        hour = rng.randrange(24 * 6)
        event["keen"] = {"timestamp": f"2026-03-{26 + hour // 24}T{hour % 24:02d}:00:00Z"}
        events.append(event)
    served.record(project, "mixed", *events)


def cells(question: dict[str, Any], result: Any) -> list[tuple[int, dict[str, Any]]]:
    """(the number, the place) of each cell, as a chart tells them."""
    names = [one if isinstance(one, str) else one["property_name"] for one in question["group_by"]]
    parts = result if question.get("interval") else [{"value": result, "timeframe": None}]
    found = []
    for part in parts:
        rows = part["value"] if names else [{"result": part["value"]}]
        for index, row in enumerate(rows):
            place = {"index": index, "name": "", "series": "", "value": row["result"]}
            groups = [row[name] for name in names]
            found.append((row["result"], {**place, "timeframe": part["timeframe"], "groups": groups}))
    return found


def test_the_events_behind_a_count_are_as_many_as_it_says(served: Served, project: ServedProject) -> None:
    """Of groups of every kind, missing values, lists, days of 23 hours and open timeframes."""
    rng = random.Random(7)
    record_mixed(served, project, rng)
    asked, numbers = [], []
    for groups in GROUPS:
        for frame in FRAMES:
            question: dict[str, Any] = {"event_collection": "mixed", "group_by": groups, "timezone": ZONE}
            question |= {"filters": rng.choice(FILTERS)}
            if frame:
                question["timeframe"] = frame
            if frame and "end" in frame:
                question["interval"] = "daily"
            result = answer(served, project, "count", question)
            for number, place in cells(question, result):
                asked.append([{"analysis_type": "count", **question}, place])
                numbers.append(number)
    chosen = rng.sample(range(len(asked)), 150)
    behind = called("behind.ts", "behind", *[asked[at] for at in chosen])
    refused = 0
    for at, found in zip(chosen, behind, strict=True):
        if found["kind"] == "none":
            assert "more digits" in found["why"]
            refused += 1
            continue
        extraction = {name: value for name, value in found["question"].items() if name != "analysis_type"}
        events = answer(served, project, "extraction", extraction)
        assert len(events) == numbers[at], (asked[at], found)
    assert refused < 20


def answer(served: Served, project: ServedProject, analysis: str, question: dict[str, Any]) -> Any:
    path = f"/3.0/projects/{project.id}/queries/{analysis}"
    reply = served.request("POST", path, question, key=project.read_key, headers=AS_JSON)
    assert reply.status == 200, reply.body
    return reply.json["result"]


@pytest.mark.parametrize(
    ("question", "groups", "filters"),
    [
        (
            {"analysis_type": "average", "target_property": "price"},
            [],
            [{"property_name": "price", "operator": "in_group", "ranges": [{}], "property_value": ".."}],
        ),
        (
            {"analysis_type": "count_unique", "target_property": "user.id"},
            [],
            [{"property_name": "user.id", "operator": "exists", "property_value": True}],
        ),
        (
            {"analysis_type": "select_unique", "target_property": "plan", "group_by": ["country"]},
            ["DE", None],
            [
                {"property_name": "country", "operator": "in_group", "property_value": "DE"},
                {"property_name": "plan", "operator": "in_group", "property_value": None},
            ],
        ),
        (
            {
                "analysis_type": "multi_analysis",
                "analyses": {"all": {"analysis_type": "sum", "target_property": "price"}},
                "group_by": "country",
            },
            ["DE", "all"],
            [
                {"property_name": "country", "operator": "in_group", "property_value": "DE"},
                {"property_name": "price", "operator": "in_group", "ranges": [{}], "property_value": ".."},
            ],
        ),
    ],
)
def test_an_analysis_of_values_counts_the_events_that_have_one(
    question: dict[str, Any], groups: list[Any], filters: list[Any]
) -> None:
    whole = {"event_collection": "c", "timeframe": "today", "timezone": "UTC", "limit": 3, **question}
    place = {"index": 0, "name": "", "series": "", "value": 1, "timeframe": None, "groups": groups}
    (found,) = called("behind.ts", "behind", [whole, place])
    assert found["question"] == {
        "analysis_type": "extraction",
        "event_collection": "c",
        "timeframe": "today",
        "timezone": "UTC",
        "filters": filters,
    }


def test_behind_a_number_of_series_are_the_events_of_that_one() -> None:
    question = {
        "analysis_type": "series",
        "timeframe": "today",
        "group_by": "country",
        "filters": [{"x": 1}],
        "series": {
            "visits": {"event_collection": "a", "analysis_type": "count"},
            "revenue": {
                "event_collection": "b", "analysis_type": "sum", "target_property": "price",
                "filters": [{"y": 2}], "group_by": "from",
            },
        },
        "formulas": {"each": "revenue / visits"},
        "top": {"limit": 3, "other": True},
    }  # fmt: skip
    place = {"index": 0, "name": "", "series": "", "value": 1, "timeframe": None}
    labels = [["DE", "revenue"], ["DE", "each"], ["other", "visits"], ["DE", "visits"]]
    revenue, *others, visits = called(
        "behind.ts", "behind", *([question, {**place, "groups": groups}] for groups in labels)
    )
    assert revenue["question"] == {
        "analysis_type": "extraction",
        "event_collection": "b",
        "timeframe": "today",
        "filters": [
            {"x": 1},
            {"y": 2},
            {"property_name": "from", "operator": "in_group", "property_value": "DE"},
            {"property_name": "price", "operator": "in_group", "ranges": [{}], "property_value": ".."},
        ],
    }
    assert [one["kind"] for one in others] == ["none", "none"]
    assert visits["question"]["event_collection"] == "a"


def test_a_step_of_a_funnel_is_asked_for_its_actors_with_what_the_funnel_says_for_all() -> None:
    steps = [
        {"event_collection": "a", "actor_property": "user.id", "filters": []},
        {"event_collection": "b", "actor_property": ["user.id"], "timeframe": "today"},
    ]
    question = {"analysis_type": "funnel", "steps": steps, "timeframe": "this_week", "filters": [{"x": 1}]}
    place = {"index": 1, "name": "b", "series": "", "value": 1, "timeframe": None, "groups": []}
    (found,) = called("behind.ts", "behind", [question, place])
    assert [step["with_actors"] for step in found["question"]["steps"]] == [False, True]
    assert found["actor"] == "user.id"
    assert found["events"]["timeframe"] == "today"
    assert found["events"]["filters"] == [{"x": 1}]
    assert found["not"]["actor"] == "user.id"
    inverted = [step.get("inverted", False) for step in found["not"]["question"]["steps"]]
    assert (inverted, found["not"]["question"]["timeframe"]) == ([False, True], "this_week")


COUNT = {"analysis_type": "count", "event_collection": "purchases", "group_by": ["country"]}


def test_a_bar_is_chosen_by_pointer(shop: Visitor) -> None:
    page = shop.explore(**COUNT)
    shop.drawn()
    page.locator("acumen-chart .acumen-drawing [data-series][data-index]").first.click()
    panel = page.get_by_role("dialog")
    panel.get_by_role("heading", name="Behind DE · Count: 3").wait_for()
    panel.get_by_text("3 in purchases").wait_for()
    assert panel.get_by_role("row").count() == 4
    panel.get_by_role("link", name="Timeline of country = DE").wait_for()
    panel.get_by_role("link", name="Open as a question").click()
    page.get_by_role("heading", name="Newest events in purchases").wait_for()
    assert shop.question()["filters"] == [
        {"property_name": "country", "operator": "in_group", "property_value": "DE"}
    ]


def test_back_closes_what_is_behind_first(shop: Visitor) -> None:
    page = shop.explore(**COUNT)
    shop.drawn()
    page.get_by_label("When").select_option("this_30_days")
    page.wait_for_function("location.search.includes('this_30_days')")
    shop.drawn()
    asked = page.url
    mark = page.locator("acumen-chart .acumen-drawing [data-series][data-index]").first
    panel = page.get_by_role("dialog")
    mark.click()
    panel.get_by_text("3 in purchases").wait_for()
    page.go_back()
    panel.wait_for(state="detached")
    assert page.url == asked
    # Closed by its button it leaves nothing to go back to.
    mark.click()
    panel.get_by_role("button", name="Close").click()
    panel.wait_for(state="detached")
    page.go_back()
    page.wait_for_function("location.search.includes('this_14_days')")


def behind_the_second_step(shop: Visitor) -> Any:
    """The page with the list behind the second step of a funnel."""
    steps = [{"event_collection": name, "actor_property": "user.id"} for name in ("visits", "purchases")]
    page = shop.explore(analysis_type="funnel", steps=steps, timeframe=None)
    shop.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    return page


def test_back_from_a_timeline_returns_to_who_was_listed(shop: Visitor) -> None:
    page = behind_the_second_step(shop)
    panel = page.get_by_role("dialog")
    panel.get_by_role("link", name="u1").click()
    page.get_by_role("heading", name="user.id = u1").wait_for()
    page.go_back()
    panel.get_by_text("3 of 3").wait_for()
    page.go_back()
    panel.wait_for(state="detached")
    page.get_by_role("heading", name="Funnel").wait_for()


def test_a_point_is_chosen_by_keys_and_the_focus_comes_back(shop: Visitor) -> None:
    page = shop.explore(analysis_type="count", event_collection="purchases", interval="daily")
    shop.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    panel.get_by_text("in purchases; times are yours").wait_for()
    page.keyboard.press("Escape")
    panel.wait_for(state="detached")
    assert page.locator("acumen-chart .plot").evaluate("(one) => one.getRootNode().activeElement === one")


def test_a_cell_of_a_table_is_chosen_by_keys_and_a_row_is_all_of_it(shop: Visitor) -> None:
    page = shop.explore(**{**COUNT, "group_by": ["country", "plan"]})
    page.get_by_role("tab", name="Table").click()
    first = page.locator("acumen-chart tbody tr").first.locator("th, td").first
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_text("1 in purchases").wait_for()


def test_the_single_number_has_its_events_and_they_become_a_file(shop: Visitor) -> None:
    page = shop.explore(analysis_type="sum", event_collection="purchases", target_property="price")
    shop.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    panel.get_by_text("5 in purchases").wait_for()
    panel.get_by_role("button", name="Export all as CSV").click()
    with page.expect_download() as waiting:
        panel.get_by_role("link", name="Save the file (CSV)").click()
    assert "country" in waiting.value.path().read_text(encoding="utf-8-sig").splitlines()[0]


def test_more_events_are_loaded_on_demand(visitor: Visitor) -> None:
    visitor.served.record(visitor.project, "steps", *({"n": n} for n in range(70)))
    page = visitor.explore(analysis_type="count", event_collection="steps")
    visitor.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    panel.get_by_text("The newest 50 of 70 in steps").wait_for()
    panel.get_by_role("button", name="Load more").click()
    panel.get_by_text("70 in steps; times are yours").wait_for()


def test_the_table_of_events_begins_with_what_the_question_names_and_what_differs(visitor: Visitor) -> None:
    names = ("browser", "height", "language", "os", "width")
    device = {"device": dict.fromkeys(names, "same")}
    events = [
        {**device, "page": f"/p{n}", "plan": "pro", "user": {"id": f"u{n % 3}"}, "ref": f"{n:032x}"}
        for n in range(6)
    ]
    visitor.served.record(visitor.project, "visits", *events)
    filters = [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]
    page = visitor.explore(analysis_type="count", event_collection="visits", filters=filters)
    visitor.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    panel.get_by_role("columnheader", name="plan").wait_for()
    headers = panel.get_by_role("columnheader")
    assert headers.all_inner_texts() == ["Time", "plan", "user.id", "page", "ref"]
    panel.get_by_text("Columns", exact=True).click()
    panel.get_by_label("device.os").check()
    panel.get_by_label("ref", exact=True).uncheck()
    wanted = ["Time", "plan", "user.id", "page", "device.os"]
    assert headers.all_inner_texts() == wanted
    visitor.open("data", "visits").get_by_role("columnheader", name="device.os").wait_for()
    assert page.get_by_role("columnheader").all_inner_texts() == wanted
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("button", name="Those that say most").click()
    page.get_by_role("columnheader", name="device.os").wait_for(state="detached")


def test_a_step_of_a_funnel_shows_who_reached_it_and_who_did_not(shop: Visitor) -> None:
    page = behind_the_second_step(shop)
    panel = page.get_by_role("dialog")
    panel.get_by_text("3 of 3").wait_for()
    assert panel.get_by_role("tab", name="Who reached this step").get_attribute("aria-selected") == "true"
    assert panel.get_by_role("listitem").all_inner_texts() == ["u0", "u1", "u2"]
    with page.expect_download() as saved:
        panel.get_by_role("button", name="Export as CSV").click()
    assert saved.value.path().read_text().splitlines() == ['"user.id"', '"u0"', '"u1"', '"u2"']
    panel.get_by_role("tab", name="Who reached the step before and not this one").click()
    panel.get_by_text("1 of 1").wait_for()
    assert panel.get_by_role("listitem").all_inner_texts() == ["u3"]
    panel.get_by_role("tab", name="All events of this step").click()
    panel.get_by_text("5 in purchases").wait_for()


def test_a_chart_of_a_dashboard_leads_to_its_events(shop: Visitor) -> None:
    shop.save("orders", "Orders", timeframe="this_14_days", **COUNT)
    widgets = [{"query": "orders"}]
    shop.manage(
        "PUT", f"/projects/{shop.project.id}/dashboards/sales", {"title": "Sales", "widgets": widgets}
    )
    page = shop.open("dashboards", "sales")
    page.locator("acumen-dashboard acumen-chart [data-series][data-index]").first.click()
    page.get_by_role("dialog").get_by_text("3 in purchases").wait_for()


def test_who_may_not_read_events_is_told_so(shop: Visitor) -> None:
    definition = {
        "name": "no events",
        "permitted": ["queries", "schema"],
        "options": {"queries": {"extraction": False}},
    }
    made = shop.manage("POST", f"/3.0/projects/{shop.project.id}/keys", definition)
    shop.enter(made["key"])
    page = shop.explore(**COUNT)
    shop.drawn()
    page.locator("acumen-chart .acumen-drawing [data-series][data-index]").first.click()
    page.get_by_text("Your key may not read single events").wait_for()
