"""Who is behind the numbers of cohorts, life cycles and days: exactly as many as the numbers say."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.pages.conftest import Visitor
from tests.clients.pages.sources import called
from tests.support.server import Served, ServedProject

START = datetime(2026, 3, 1, tzinfo=UTC)
FRAME = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-29T00:00:00Z"}
WHO = {"actor_property": "user.id", "timeframe": FRAME, "timezone": "UTC"}


def live(served: Served, project: ServedProject) -> None:
    """A month of some who sign up and come back as they like, and of some who came earlier."""
    luck = random.Random(7)
    for name, count in (("signups", 60), ("visits", 400)):
        events = [
            {
                "user": {"id": f"u{luck.randrange(40)}"},
                "country": luck.choice(["DE", "PL"]),
                "keen": {"timestamp": (START + timedelta(hours=luck.uniform(-300, 672))).isoformat()},
            }
            for _ in range(count)
        ]
        served.record(project, name, *events)


def ask(served: Served, project: ServedProject, question: dict[str, Any]) -> Any:
    body = dict(question)
    reply = served.request(
        "POST",
        f"/3.0/projects/{project.id}/queries/{body.pop('analysis_type')}",
        body,
        key=project.master_key,
    )
    assert reply.status == 200, reply.body
    return reply.json


def counted(served: Served, project: ServedProject, found: dict[str, Any]) -> tuple[int, int]:
    """How many a funnel of what is behind a number counts in its last step, and how many it lists."""
    answer = ask(served, project, found["question"])
    return answer["result"][found["step"]], len(answer["actors"][found["step"]])


RETENTION = {
    "analysis_type": "retention",
    "starting_event": {"event_collection": "signups"},
    "interval": "weekly",
    **WHO,
}
VISITS = {"returning_event": {"event_collection": "visits"}}
SOME = [{"property_name": "country", "operator": "eq", "property_value": "DE"}]


@pytest.mark.parametrize(
    "more",
    [
        VISITS,
        {**VISITS, "cohort": "recurring", "returned": "on_or_after"},
        {**VISITS, "first_in": "history", "filters": SOME},
        {**VISITS, "brackets": [[1, 1], [2, 3]]},
        {},
    ],
)
def test_a_period_of_a_cohort_lists_as_many_as_it_counts(
    served: Served, project: ServedProject, more: dict[str, Any]
) -> None:
    live(served, project)
    question = {**RETENTION, **more}
    rows = ask(served, project, question)["result"]
    brackets = question.get("brackets", [[at, at] for at in range(9)])
    whole = {"start": rows[0]["timeframe"]["start"], "end": rows[-1]["timeframe"]["end"]}
    cells = [
        (row, at, *brackets[at])
        for place, row in enumerate(rows)
        for at, value in enumerate(row["retained"])
        if value is not None and place + brackets[at][1] < len(rows)
    ]
    places = [
        {
            "index": at,
            "name": "",
            "series": "",
            "value": row["rates"][at],
            "timeframe": row["timeframe"],
            "groups": [],
            "within": {
                "start": rows[rows.index(row) + first]["timeframe"]["start"],
                "end": rows[rows.index(row) + last]["timeframe"]["end"],
            },
            "whole": whole,
        }
        for row, at, first, last in cells
    ]
    behind = called("behind.ts", "behind", *[[question, place] for place in places])
    known = [(row["retained"][at], found) for (row, at, *_), found in zip(cells, behind, strict=True)]
    listed = [(number, found) for number, found in known if found["kind"] == "actors"]
    assert len(listed) >= 4
    assert [counted(served, project, found) for _, found in listed] == [
        (number, number) for number, _ in listed
    ]
    if "returning_event" in question and "brackets" not in question:
        assert {found["kind"] for place, found in zip(places, behind, strict=True) if not place["index"]} == {
            "none"
        }


@pytest.mark.parametrize("more", [{}, {"group_by": "country"}, {"first_in": "timeframe", "filters": SOME}])
def test_each_part_of_a_life_cycle_lists_as_many_as_it_counts(
    served: Served, project: ServedProject, more: dict[str, Any]
) -> None:
    live(served, project)
    question = {
        "analysis_type": "lifecycle",
        "event_collection": "visits",
        "interval": "weekly",
        **WHO,
        **more,
    }
    rows = ask(served, project, question)["result"]
    whole = {"start": rows[0]["timeframe"]["start"], "end": rows[-1]["timeframe"]["end"]}
    cases = []
    for before, row in zip([None, *rows], rows, strict=False):
        for value in row["value"] if isinstance(row["value"], list) else [row["value"]]:
            for label in ("new", "returning", "resurrected", "dormant"):
                groups = [*([value["country"]] if "country" in value else []), label]
                place = {
                    "index": 0,
                    "name": "",
                    "series": "",
                    "value": value[label],
                    "timeframe": row["timeframe"],
                    "groups": groups,
                    "whole": whole,
                }
                cases.append((value[label], {**place, **({"within": before["timeframe"]} if before else {})}))
    behind = called("behind.ts", "behind", *[[question, place] for _, place in cases])
    listed = [
        (number, found) for (number, _), found in zip(cases, behind, strict=True) if found["kind"] == "actors"
    ]
    assert len(listed) >= 12
    assert [counted(served, project, found)[1] for _, found in listed] == [number for number, _ in listed]


def test_a_day_its_week_and_its_month_list_as_many_as_they_count(
    served: Served, project: ServedProject
) -> None:
    live(served, project)
    question = {"analysis_type": "stickiness", "event_collection": "visits", **WHO, "timezone": "US/Pacific"}
    row = ask(served, project, question)["result"][20]
    places = [
        {"index": 0, "name": "", "series": "", "value": 1, "timeframe": row["timeframe"], "groups": [label]}
        for label in ("dau", "wau", "mau", "dau_wau")
    ]
    *behind, ratio = called("behind.ts", "behind", *[[question, place] for place in places])
    assert [counted(served, project, found)[1] for found in behind] == [
        row["value"][name] for name in ("dau", "wau", "mau")
    ]
    assert ratio["kind"] == "none"


def test_who_dropped_out_of_an_ordered_funnel_is_named_by_the_answer() -> None:
    steps = [{"event_collection": "a"}, {"event_collection": "b"}]
    question = {
        "analysis_type": "funnel",
        "order": "ordered",
        "actor_property": "who",
        "times": True,
        "steps": steps,
    }
    place = {"index": 1, "name": "b", "series": "", "value": 1, "timeframe": None, "groups": []}
    found, grouped = called("behind.ts", "behind", [question, place], [{**question, "group_by": "x"}, place])
    assert (found["actor"], found["not"]["dropped"]) == ("who", True)
    assert [one["with_dropped"] for one in found["not"]["question"]["steps"]] == [False, True]
    assert "times" not in found["question"]
    assert grouped["kind"] == "none"


def test_a_cell_of_a_cohort_shows_who_came_back(visitor: Visitor) -> None:
    live(visitor.served, visitor.project)
    page = visitor.explore(**{**RETENTION, **VISITS})
    visitor.drawn()
    page.locator("acumen-chart [data-series='1'][data-index='1']").click()
    page.get_by_role("heading", name="Behind").wait_for()
    page.get_by_text("Actors of this cohort who were there in this period.").wait_for()
    reached = page.get_by_role("status").filter(has_text=" of ").first
    reached.wait_for()
    row = ask(visitor.served, visitor.project, {**RETENTION, **VISITS})["result"][0]
    count = row["retained"][1]
    assert reached.inner_text() == f"{count} of {count}"
    page.get_by_role("tab", name="Who started and did not").click()
    page.get_by_role("status").filter(has_text=f"{row['size'] - count} of {row['size'] - count}").wait_for()
