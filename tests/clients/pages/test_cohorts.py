"""The pages of cohorts: made by fields, of a funnel's step or of a pasted list, and used in the explorer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.pages.conftest import Visiting, Visitor, sell
from tests.clients.pages.sources import called
from tests.clients.pages.test_explorer import choose
from tests.support.axe import serious

DID = {"event_collection": "purchases", "at_least": 1}
MEMBERS = {"actor_property": "user.id", "actors": ["u0", "u1"]}


def put(visitor: Visitor, name: str, definition: dict[str, Any]) -> None:
    visitor.manage("PUT", f"/3.0/projects/{visitor.project.id}/cohorts/{name}", definition)


def kept(visitor: Visitor, name: str) -> dict[str, Any]:
    found: dict[str, Any] = visitor.manage("GET", f"/3.0/projects/{visitor.project.id}/cohorts/{name}")
    return found


@pytest.mark.parametrize(
    ("condition", "how"),
    [
        (DID, "at_least"),
        ({"event_collection": "c"}, "at_least"),
        ({"event_collection": "c", "at_most": 0}, "never"),
        ({"event_collection": "c", "exactly": 0}, "never"),
        ({"event_collection": "c", "at_most": 3}, "at_most"),
        ({"event_collection": "c", "at_least": 1, "at_most": 3}, "between"),
        ({"event_collection": "c", "exactly": 2}, "exactly"),
        ({"not_in_cohort": "a"}, "not_in_cohort"),
    ],
)
def test_how_often_is_read_and_changed_without_losing_the_rest(condition: dict[str, Any], how: str) -> None:
    assert called("pages/cohorts/definition.ts", "howOf", [condition]) == [how]
    given = {**condition, "filters": [{"x": 1}]}
    hows = ["at_least", "at_most", "exactly", "between", "never"]
    changed = called("pages/cohorts/definition.ts", "asHow", *([given, one, "d", "b"] for one in hows))
    assert called("pages/cohorts/definition.ts", "howOf", *([one] for one in changed)) == hows
    assert all(one["filters"] == [{"x": 1}] for one in changed)


def test_pasted_lines_are_actors_each_once() -> None:
    text = 'ann\r\n"bob",Bob,7\n\n ann \n7\n7.0\n'
    assert called("pages/cohorts/definition.ts", "actorsIn", [text, False], [text, True]) == [
        ["ann", "bob", "7", "7.0"],
        ["ann", "bob", 7],
    ]


def test_a_funnel_that_says_more_than_a_cohort_can_makes_none() -> None:
    steps = [{"event_collection": "a", "with_actors": False}, {"event_collection": "b", "with_actors": True}]
    funnel = {"analysis_type": "funnel", "order": "ordered", "actor_property": "u", "times": True}
    plain, lost, held = called(
        "pages/cohorts/definition.ts",
        "ofStep",
        [{**funnel, "steps": steps, "filters": [{"x": 1}], "timezone": "UTC"}, 1, False],
        [{**funnel, "steps": steps}, 1, True],
        [{**funnel, "steps": steps, "hold": "session.id"}, 1, False],
    )
    of = {"timezone": "UTC", "filters": [{"x": 1}]}
    assert plain == {
        "actor_property": "u",
        "funnel": {
            "order": "ordered",
            "actor_property": "u",
            "steps": [{**of, "event_collection": "a"}, {**of, "event_collection": "b"}],
            "step": 2,
        },
    }
    assert lost["funnel"]["dropped"] is True
    assert held is None


def test_a_cohort_is_made_of_what_they_did_and_changed(shop: Visitor) -> None:
    page = shop.open("cohorts")
    page.get_by_role("link", name="New cohort").click()
    page.get_by_label("Title").fill("Buyers of two")
    condition = page.get_by_role("group", name="Condition 1")
    condition.get_by_label("Times").fill("2")
    page.get_by_role("button", name="+ Condition").first.click()
    second = page.get_by_role("group", name="Condition 2")
    second.get_by_label("Condition 2: they").select_option("never")
    second.get_by_label("Events in").fill("refunds")
    second.get_by_label("When").select_option("")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Buyers of two").wait_for()
    page.get_by_role("heading", name="2 actors now").wait_for()
    page.get_by_text("Who did purchases at least twice (last 30 days), and never did refunds.").wait_for()
    found = kept(shop, "buyers-of-two")
    assert found["actor_property"] == "user.id"
    assert found["all"] == [
        {**DID, "at_least": 2, "timeframe": "this_30_days", "timezone": "Europe/Berlin"},
        {"event_collection": "refunds", "at_most": 0},
    ]
    page.get_by_role("link", name="u1").click()
    page.get_by_role("heading", name="user.id = u1").wait_for()
    page.go_back()
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("group", name="Condition 1").get_by_label("Times").fill("1")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="3 actors now").wait_for()


def test_what_is_wrong_stands_in_the_form(shop: Visitor) -> None:
    page = shop.open("cohorts", query="?new")
    page.get_by_label("Title").fill("Never")
    page.get_by_label("Condition 1: they").select_option("never")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("fulfilled by actors without any event").wait_for()
    shop.forget("status of 400")
    page.get_by_label("Condition 1: they").select_option("at_least")
    page.get_by_label("Times").fill("often")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("'all[0].at_least' must be").first.wait_for()
    shop.forget("status of 400")


def test_a_list_is_pasted_changed_and_deleted(shop: Visitor) -> None:
    page = shop.open("cohorts", query="?new")
    page.get_by_label("Title").fill("Testers")
    page.get_by_label("Who is in it").select_option("static")
    page.get_by_label("Actors", exact=True).fill("u0\nu1\nu1\nnobody")
    page.get_by_text("3 actors, each once.").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="3 actors now").wait_for()
    page.get_by_role("button", name="Add or remove").click()
    page.get_by_label("Add").fill("u2")
    page.get_by_label("Take out").fill("nobody\nu0")
    page.get_by_role("button", name="Change the list").click()
    page.get_by_role("heading", name="2 actors now").wait_for()
    page.get_by_role("link", name="Cohorts").click()
    page.get_by_text("2 actors now").wait_for()
    page.get_by_role("button", name="Delete Testers").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="No cohort yet").wait_for()


@pytest.mark.parametrize(
    ("tab", "title", "size"),
    [
        ("Who reached this step", "Went on", "3 actors now"),
        ("Who reached the step before and not this one", "Left", "1 actor now"),
    ],
)
def test_who_is_behind_a_step_becomes_a_cohort(shop: Visitor, tab: str, title: str, size: str) -> None:
    steps = [{"event_collection": name} for name in ("visits", "purchases")]
    page = shop.explore(analysis_type="funnel", actor_property="user.id", steps=steps)
    shop.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    panel.get_by_role("tab", name=tab, exact=True).click()
    panel.get_by_role("link", name="Make a cohort of them").click()
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name=size).wait_for()


def test_a_funnel_is_said_in_fields(shop: Visitor) -> None:
    page = shop.open("cohorts", query="?new")
    page.get_by_label("Title").fill("Undecided")
    page.get_by_label("Who is in it").select_option("funnel")
    page.get_by_label("Step 1: collection").fill("visits")
    page.get_by_label("Step 2: collection").fill("purchases")
    page.get_by_label("Steps follow").select_option("")
    page.get_by_label("Rather those who came to step 1 and not to step 2").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Who came to visits and not to purchases.").wait_for()
    page.get_by_role("heading", name="1 actor now").wait_for()
    page.get_by_role("link", name="u3").wait_for()


def test_the_explorer_filters_and_groups_by_cohorts(shop: Visitor) -> None:
    put(shop, "testers", {**MEMBERS, "display_name": "Testers"})
    put(shop, "buyers", {"actor_property": "user.id", "all": [DID]})
    page = shop.open("cohorts", "testers")
    page.get_by_role("link", name="Compare them with all others").click()
    shop.drawn()
    page.get_by_role("button", name="Do not group by cohort testers").wait_for()
    page.get_by_role("heading", name="by cohort testers").wait_for()
    page.get_by_role("button", name="+ Cohort").click()
    page.get_by_label("Cohort", exact=True).select_option("testers")
    page.get_by_label("Comparison").select_option("not_in_cohort")
    page.wait_for_function("location.search.includes('not_in_cohort')")
    assert shop.question()["filters"] == [{"operator": "not_in_cohort", "property_value": "testers"}]
    page.get_by_role("button", name="Do not group by cohort testers").click()
    choose(page, "Group by", "cohort buyers")
    page.wait_for_function("location.search.includes('buyers')")
    assert shop.question()["group_by"] == [{"cohort": "buyers"}]
    shop.drawn()


def test_forms_of_other_questions_filter_by_cohorts_too(shop: Visitor) -> None:
    put(shop, "testers", MEMBERS)
    page = shop.explore(analysis_type="sessions", event_collection="purchases", actor_property="user.id")
    page.get_by_role("button", name="+ Cohort").click()
    page.wait_for_function("location.search.includes('in_cohort')")
    assert shop.question()["filters"] == [{"operator": "in_cohort", "property_value": "testers"}]
    shop.drawn()


def test_a_bar_of_a_cohort_leads_to_its_events(shop: Visitor) -> None:
    put(shop, "testers", MEMBERS)
    page = shop.explore(analysis_type="count", event_collection="purchases", group_by=[{"cohort": "testers"}])
    shop.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    panel.get_by_role("heading", name="Behind testers: yes").wait_for()
    panel.get_by_text("4 in purchases").wait_for()
    panel.get_by_text("No file: a cohort moves with the time.").wait_for()


def test_who_may_not_edit_looks_only(visiting: Visiting) -> None:
    visitor = visiting()
    sell(visitor.served, visitor.project)
    put(visitor, "testers", MEMBERS)
    visitor.enter(visitor.project.read_key)
    page = visitor.open("cohorts")
    page.get_by_role("link", name="testers").click()
    page.get_by_role("heading", name="2 actors now").wait_for()
    for name in ("Delete", "Add or remove"):
        assert page.get_by_role("button", name=name).count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_a_phone(visiting: Visiting, scheme: str) -> None:
    visitor = visiting(color_scheme=scheme, viewport={"width": 390, "height": 844})
    visitor.enter()
    sell(visitor.served, visitor.project)
    put(visitor, "testers", {**MEMBERS, "display_name": "Averylongtitlewithoutasinglespace" * 4})
    put(visitor, "buyers", {"actor_property": "user.id", "all": [DID, {"not_in_cohort": "testers"}]})
    steps = [{"event_collection": "visits"}, {"event_collection": "purchases"}]
    put(visitor, "undecided", {"actor_property": "user.id", "funnel": {"steps": steps, "order": "ordered"}})
    for path, query in ((["testers"], ""), (["buyers"], "?edit"), (["undecided"], "?edit"), ([], "")):
        page = visitor.open("cohorts", *path, query=query)
        page.locator("main h1").wait_for()
        page.locator("main .loading").first.wait_for(state="detached")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
