"""From a number of a group by sessions, or by a cohort, to its events: exactly as many as the number says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.pages.conftest import Visitor
from tests.clients.pages.sources import called
from tests.clients.pages.test_behind import answer
from tests.support.server import Served, ServedProject

START = datetime(2026, 3, 1, tzinfo=UTC)
FRAME = {"start": "2026-03-02T00:00:00Z", "end": "2026-03-06T00:00:00Z"}
WHO: dict[str, Any] = {"actor_property": "user.id", "page_property": "path"}
LENGTHS = {"session": "duration", "ranges": [{"to": 60, "label": "short"}, {"from": 60}]}
GROUPS: list[list[Any]] = [
    [{"session": "entry"}],
    [{"session": "number"}],
    [{"session": "bounce"}, "path"],
    [{"session": "events", "buckets": {"size": 2}}, LENGTHS],
    [{"session": "unfinished"}, {"session": "position"}],
    [{"cohort": "loyal", "alias": "is loyal"}, "path"],
]


def visit(served: Served, project: ServedProject) -> None:
    luck = random.Random(11)
    for name, count in (("visits", 160), ("buys", 60)):
        served.record(
            project,
            name,
            *(
                {
                    "user": {"id": f"u{luck.randrange(8)}"},
                    "path": luck.choice(["/", "/price", None]),
                    "keen": {"timestamp": (START + timedelta(minutes=luck.randrange(8640))).isoformat()},
                }
                for _ in range(count)
            ),
        )
    definition = {"actor_property": "user.id", "actors": ["u1", "u2", "u3"]}
    path = f"/3.0/projects/{project.id}/cohorts/loyal"
    assert served.request("PUT", path, definition, key=project.master_key).status == 201


def name_of(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    return f"session.{entry['session']}" if "session" in entry else entry["alias"]


def cells(question: dict[str, Any], result: Any) -> list[tuple[Any, dict[str, Any]]]:
    parts = result if question.get("interval") else [{"value": result, "timeframe": None}]
    return [
        (
            row,
            {
                "index": 0,
                "name": "",
                "series": "",
                "value": 1,
                "timeframe": part["timeframe"],
                "groups": [row[name_of(one)] for one in question["group_by"]],
            },
        )
        for part in parts
        for row in part["value"]
    ]


def listed(served: Served, project: ServedProject, found: dict[str, Any]) -> int:
    asked = {name: value for name, value in found["question"].items() if name != "analysis_type"}
    return len(answer(served, project, "extraction", asked))


@pytest.mark.parametrize("more", [{}, {"interval": "daily"}])
def test_the_events_behind_a_group_by_sessions_are_as_many_as_it_says(
    served: Served, project: ServedProject, more: dict[str, Any]
) -> None:
    """Sessions of both collections; which one of an actor it is counts over all that was asked about."""
    visit(served, project)
    both = [{"event_collection": "visits"}, {"event_collection": "buys"}]
    asked, numbers = [], []
    for groups in GROUPS:
        session = {**WHO, "gap": "2_hours", **({"events": both} if groups != GROUPS[0] else {})}
        base = {"event_collection": "buys", "timeframe": FRAME, "timezone": "UTC", "session": session}
        question = {**base, "group_by": groups, **more}
        for row, place in cells(question, answer(served, project, "count", question)):
            asked.append([{"analysis_type": "count", **question}, place])
            numbers.append(row["result"])
    luck = random.Random(5)
    chosen = luck.sample(range(len(asked)), min(40, len(asked)))
    behind = called("behind.ts", "behind", *[asked[at] for at in chosen])
    assert {found["kind"] for found in behind} == {"events"}
    for at, found in zip(chosen, behind, strict=True):
        assert listed(served, project, found) == numbers[at], (asked[at], found)


def test_a_series_keeps_the_sessions_of_all_collections_that_it_names(
    served: Served, project: ServedProject
) -> None:
    visit(served, project)
    session = {**WHO, "gap": "2_hours"}
    question: dict[str, Any] = {
        "timeframe": FRAME,
        "timezone": "UTC",
        "session": session,
        "series": {one: {"event_collection": one, "analysis_type": "count"} for one in ("visits", "buys")},
        "filters": [{"session": "events", "operator": "gte", "property_value": 2}],
        "group_by": [{"session": "entry"}],
    }
    asked, numbers = [], []
    for row, place in cells(question, answer(served, project, "series", question)):
        for label in ("visits", "buys"):
            groups = [*place["groups"], label]
            asked.append([{"analysis_type": "series", **question}, {**place, "groups": groups}])
            numbers.append(row[label])
    behind = called("behind.ts", "behind", *asked)
    assert [listed(served, project, found) for found in behind] == numbers
    events = behind[0]["question"]["session"]["events"]
    assert [one["event_collection"] for one in events] == ["visits", "buys"]


def test_actors_of_groups_by_sessions_are_not_listed_and_it_is_said_why() -> None:
    place = {"index": 0, "name": "", "series": "", "value": 1, "timeframe": None, "groups": ["/", "new"]}
    question = {"analysis_type": "lifecycle", "event_collection": "c", "group_by": [{"session": "entry"}]}
    (found,) = called("behind.ts", "behind", [question, place])
    assert found["kind"] == "none"
    assert "sessions" in found["why"]


def test_a_bar_of_an_entry_page_leads_to_its_events(shop: Visitor) -> None:
    session = {"actor_property": "user.id", "page_property": "plan", "gap": "2_days"}
    question = {"analysis_type": "count", "event_collection": "purchases", "session": session}
    page = shop.explore(**question, group_by=[{"session": "entry"}])
    shop.drawn()
    page.get_by_role("heading", name="Number of events in purchases by session entry").wait_for()
    page.get_by_role("tab", name="Table").click()
    page.get_by_role("columnheader", name="Entry page").wait_for()
    page.get_by_role("tab", name="Chart").click()
    shop.drawn()
    page.locator("acumen-chart .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    panel.get_by_text("in purchases; times are yours").wait_for()
    panel.get_by_text("No file: sessions are read together.").wait_for()
    assert panel.get_by_role("link", name="Timeline of").count() == 0
