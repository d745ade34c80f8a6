"""The explorer's forms of what actors do and of series: fields, JSON and answers of the same question."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.clients.pages.conftest import Visiting, Visitor, sell
from tests.clients.pages.sources import called
from tests.clients.pages.test_explorer import choose
from tests.support.axe import serious

WHO: dict[str, Any] = {"actor_property": "user.id", "timeframe": "this_14_days", "timezone": "Europe/Berlin"}
OF = {"event_collection": "purchases", **WHO}
EITHER = {
    "operator": "or",
    "operands": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}],
}
PRO = {"property_name": "plan", "operator": "eq", "property_value": "pro"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "funnel": {
        "order": "strict",
        "window": "7_days",
        "equal_times": "apart",
        "hold": "country",
        "counting": "sessions",
        "session_gap": "1_hours",
        "times": {"percentiles": [50, 90]},
        "exclusions": [{"event_collection": "visits", "after_step": 1, "before_step": 2}],
        "steps": [
            {"event_collection": "visits", "filters": [EITHER, {**PRO, "property_name": "user.id"}]},
            {
                "event_collection": "purchases",
                "max_gap": "2_days",
                "min_gap": "5_minutes",
                "with_dropped": True,
            },
        ],
        "max_age": 60,
        **WHO,
    },
    "retention": {
        "starting_event": {"event_collection": "visits"},
        "returning_event": {"event_collection": "purchases", "filters": [PRO]},
        "interval": "weekly",
        "brackets": [[0, 1], [2, 4]],
        "cohort": "recurring",
        "round": 2,
        **WHO,
    },
    "lifecycle": {**OF, "interval": "weekly", "first_in": "timeframe", "group_by": ["plan"]},
    "stickiness": {**OF, "histogram": True, "interval": "daily"},
    "sessions": {
        "events": [{"event_collection": "visits"}, {"event_collection": "purchases", "filters": [PRO]}],
        "gap": "45_minutes",
        "cut": "daily",
        "page_property": "plan",
        "measures": ["sessions", "duration_p90"],
        **WHO,
    },
    "paths": {
        **OF,
        "by": "plan",
        "from": "free",
        "depth": 3,
        "counting": "occurrences",
        "collapse_repeats": False,
        "rename": [{"match": "p*", "as": "paid"}],
    },
    "series": {
        "series": {
            "visits": {"event_collection": "visits", "analysis_type": "count"},
            "sold": {"event_collection": "purchases", "analysis_type": "sum", "target_property": "price"},
        },
        "formulas": {"each": "sold / visits"},
        "compare": "previous_period",
        "interval": "daily",
        "rolling": {"sold": 7},
        "cumulative": ["each"],
        "share": "visits",
        "show": ["sold", "sold.rolling"],
        "fill": "previous",
        "completeness": {"intervals": 7},
        "timeframe": "this_14_days",
        "timezone": "Europe/Berlin",
    },
}


@pytest.mark.parametrize("analysis", QUESTIONS)
def test_nothing_of_a_question_is_lost_in_its_form(analysis: str) -> None:
    question = {"analysis_type": analysis, "unheard_of": {"of": [1, None, False]}, **QUESTIONS[analysis]}
    (draft,) = called("pages/explore/asking/draft.ts", "anyDraftOf", [question])
    assert called("pages/explore/asking/draft.ts", "asked", [draft]) == [question]
    assert called("pages/explore/asking/draft.ts", "lacking", [draft]) == [{}]


def test_no_data_may_stay_nothing() -> None:
    question = {"analysis_type": "series", "series": {"A": {"event_collection": "a"}}, "fill": None}
    (draft,) = called("pages/explore/asking/draft.ts", "anyDraftOf", [question])
    assert called("pages/explore/asking/draft.ts", "asked", [draft]) == [{**question, "fill": "null"}]


LABELLED: dict[str, Any] = {
    "series": {"A": {}, "B": {}},
    "formulas": {"ratio": 'A / B.rolling + "A" - "A b"'},
    "rolling": {"A": 7, "B": 3},
    "cumulative": "A",
    "share": ["ratio"],
    "show": ["A", "A.rolling", "ratio", "ratio.share"],
    "top": {"by": "A", "limit": 5},
}


def test_another_name_of_a_series_is_its_name_everywhere() -> None:
    renamed, gone = called(
        "pages/explore/asking/labels.ts", "relabelled", [LABELLED, "A", "new users"], [LABELLED, "A", None]
    )
    assert renamed == {
        "formulas": {"ratio": '"new users" / B.rolling + "new users" - "A b"'},
        "rolling": {"new users": 7, "B": 3},
        "cumulative": ["new users"],
        "share": ["ratio"],
        "show": ["new users", "new users.rolling", "ratio", "ratio.share"],
        "top": {"by": "new users", "limit": 5},
    }
    assert gone == {"rolling": {"B": 3}, "share": ["ratio"], "show": ["ratio", "ratio.share"]}


def test_labels_are_those_of_the_answer_and_what_is_added_is_shown() -> None:
    (all_labels,) = called("pages/explore/asking/labels.ts", "labelsOf", [LABELLED])
    assert all_labels == ["A", "B", "ratio", "A.cumulative", "A.rolling", "B.rolling", "ratio.share"]
    (added,) = called("pages/explore/asking/labels.ts", "withAlso", [LABELLED, "B", "share", True])
    assert added == {"share": ["ratio", "B"], "show": [*LABELLED["show"], "B.share"]}
    shown = called(
        "pages/explore/asking/labels.ts",
        "withShown",
        [{**LABELLED, "show": ["A"]}, "A", False],
        [{**LABELLED, "show": all_labels[1:]}, "A", True],
        [LABELLED, "B", True],
    )
    assert shown == [["A"], None, ["A", "B", "ratio", "A.rolling", "ratio.share"]]


def test_series_have_fields_for_what_is_computed_of_them(shop: Visitor) -> None:
    page = shop.explore(
        analysis_type="series",
        interval="daily",
        series={"A": {"event_collection": "purchases", "analysis_type": "count"}},
    )
    shop.drawn()
    series = page.get_by_role("group", name="Series 1", exact=True)
    series.get_by_text("And computed of it").click()
    series.get_by_label("Rolling, over so many parts").fill("3")
    series.get_by_label("Rolling, over so many parts").press("Enter")
    series.get_by_label("Running, from the start on").check()
    series.get_by_label("In per cent of all groups, or of all parts").check()
    page.wait_for_function("location.search.includes('share')")
    shown = page.get_by_role("group", name="Shown")
    shown.get_by_label("A", exact=True).uncheck()
    page.get_by_label("Where nothing is").select_option("previous")
    page.get_by_label("How much of the newest parts is there").check()
    page.get_by_label("Judged by so many earlier ones").fill("7")
    page.get_by_label("Judged by so many earlier ones").press("Enter")
    page.wait_for_function("location.search.includes('intervals')")
    question = shop.question()
    assert question["rolling"] == {"A": 3}
    assert (question["cumulative"], question["share"]) == (["A"], ["A"])
    assert question["show"] == ["A.cumulative", "A.rolling", "A.share"]
    assert (question["fill"], question["completeness"]) == ("previous", {"intervals": 7})
    shop.drawn()
    page.get_by_role("tab", name="JSON").click()
    page.get_by_role("tabpanel").get_by_text('"completeness"').wait_for()
    name = page.get_by_label("Series 1: name")
    name.fill("orders")
    name.press("Enter")
    page.wait_for_function("location.search.includes('orders.share')")
    assert shop.question()["rolling"] == {"orders": 3}
    assert serious(page) == []


def test_what_all_steps_say_alike_is_the_funnels_own() -> None:
    step = {"event_collection": "visits", "actor_property": "user.id", "timeframe": "today"}
    question = {"analysis_type": "funnel", "steps": [step, {**step, "filters": [PRO]}]}
    (draft,) = called("pages/explore/asking/draft.ts", "anyDraftOf", [question])
    shared = {"actor_property": "user.id", "timeframe": "today"}
    steps = [{"event_collection": "visits"}, {"event_collection": "visits", "filters": [PRO]}]
    assert draft["own"] == {**shared, "steps": steps}
    mixed = {**question, "steps": [step, {**step, "timeframe": "yesterday"}]}
    (kept,) = called("pages/explore/asking/draft.ts", "anyDraftOf", [mixed])
    assert [one["timeframe"] for one in kept["own"]["steps"]] == ["today", "yesterday"]


@pytest.mark.parametrize(
    "broken",
    [
        {"analysis_type": "funnel", "steps": "two"},
        {"analysis_type": "funnel"},
        {"analysis_type": "retention", "starting_event": ["visits"]},
        {"analysis_type": "series", "series": {"a": 1}},
        {"analysis_type": "paths", "event_collection": "a", "filters": {"not": "a list"}},
    ],
)
def test_what_is_not_of_the_forms_shape_is_edited_as_text(broken: dict[str, Any]) -> None:
    assert called("pages/explore/asking/draft.ts", "anyDraftOf", [broken]) == [None]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_form_stands_beside_its_answer_and_is_accessible(visiting: Visiting, scheme: str) -> None:
    visitor = visiting(color_scheme=scheme, viewport={"width": 390, "height": 844})
    visitor.enter()
    sell(visitor.served, visitor.project)
    for analysis, question in QUESTIONS.items():
        page = visitor.explore(analysis_type=analysis, **question)
        page.locator("acumen-chart").locator("svg.acumen-drawing, p[part=empty]").first.wait_for()
        page.get_by_text("Change the question").click()
        page.get_by_label("Time zone", exact=True).wait_for()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert (analysis, wide, serious(page)) == (analysis, 390, [])


def test_a_funnel_is_made_in_fields(shop: Visitor) -> None:
    page = shop.open("explore")
    page.get_by_label("Show", exact=True).select_option("funnel")
    # The collection that was chosen, and the property that seems to say who.
    expect(page.get_by_role("combobox", name="Step 1: collection")).to_have_value("purchases")
    expect(page.get_by_role("combobox", name="Who", exact=True)).to_have_value("user.id")
    choose(page, "Step 2: collection", "visits")
    page.get_by_role("heading", name="Funnel of 2 steps · last 14 days").wait_for()
    window = page.get_by_label("Within, from the first to the last", exact=True)
    window.fill("3")
    window.press("Enter")
    page.get_by_role("button", name="Move step 2 up").click()
    page.wait_for_function("location.search.includes('3_days')")
    assert shop.question() == {
        "analysis_type": "funnel",
        "order": "ordered",
        "actor_property": "user.id",
        "window": "3_days",
        "times": True,
        "steps": [{"event_collection": "visits"}, {"event_collection": "purchases"}],
        "timeframe": "this_14_days",
        "timezone": "Europe/Berlin",
    }
    page.get_by_label("Steps follow").select_option("")
    page.wait_for_function("!location.search.includes('ordered')")
    assert not {"order", "window", "times"} & set(shop.question())
    page.get_by_role("button", name="Edit as JSON").click()
    text = page.get_by_label("The question as JSON")
    question = json.loads(text.input_value())
    text.fill(json.dumps({**question, "order": "ordered", "max_age": 60}))
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Edit in fields").click()
    page.get_by_text("Without a field, and asked as it is: max_age.").wait_for()
    expect(page.get_by_label("Steps follow")).to_have_value("ordered")


def test_a_funnel_over_time_shows_its_conversion_and_where_its_times_are(shop: Visitor) -> None:
    steps = [{"event_collection": "visits"}, {"event_collection": "purchases"}]
    asked = {"order": "ordered", "actor_property": "user.id", "steps": steps, "times": True}
    page = shop.explore(analysis_type="funnel", timeframe="this_2_weeks", interval="daily", **asked)
    expect(page.locator("acumen-chart")).to_contain_text("2. purchases ÷ 1. visits")
    expect(page.get_by_text("over time the times stand under “JSON”")).to_be_visible()


def test_the_other_forms_are_begun_from_the_question_before(shop: Visitor) -> None:
    page = shop.explore(analysis_type="count", event_collection="purchases", filters=[PRO])
    shop.drawn()
    show = page.get_by_label("Show", exact=True)
    for analysis in ("retention", "lifecycle", "stickiness", "sessions", "paths", "series"):
        show.select_option(analysis)
        page.wait_for_function("(name) => location.search.includes(name)", arg=f"%22{analysis}%22")
        page.locator("section.answer[aria-busy=false] acumen-chart").first.wait_for()
        question = shop.question()
        assert question["filters"] == [PRO]
        assert analysis == "series" or question["actor_property"] == "user.id"
    show.select_option("sum")
    choose(page, "Of property", "price number")
    page.get_by_role("heading", name="Sum of price in purchases").wait_for()
    assert shop.question()["filters"] == [PRO]


@pytest.mark.parametrize(
    ("analysis", "wrong", "field", "said"),
    [
        (
            "funnel",
            {
                "order": "ordered",
                "steps": [
                    {"event_collection": "visits"},
                    {"event_collection": "visits", "max_gap": "x_days"},
                ],
            },
            "At most so long after it",
            "'steps[1].max_gap' must be a length of time",
        ),
        ("sessions", {"gap": "no_minutes"}, "A session ends after a break of", "'gap' must be"),
        ("series", {"formulas": {"each": "sold /"}}, "Is", "'formulas.each'"),
        ("retention", {"interval": "sometimes"}, "In parts", "sometimes"),
    ],
)
def test_an_error_stands_next_to_the_field_that_it_names(
    shop: Visitor, analysis: str, wrong: dict[str, Any], field: str, said: str
) -> None:
    page = shop.explore(analysis_type=analysis, **{**QUESTIONS[analysis], **wrong})
    fault = page.get_by_role("alert").filter(has_text=said).first
    fault.wait_for()
    control = page.get_by_label(field, exact=True).last
    assert control.get_attribute("aria-describedby") == fault.get_attribute("id")
    shop.forget("status of 400")
