"""What is made of each shape of answer that is recorded of Keen's service, and of Acumen's own.

The descriptions stand in `snapshots/` and are reviewed like code; ACUMEN_RENEW_SNAPSHOTS=1 writes them anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients.charts.conftest import Core, Json
from tests.clients.charts.test_any_answer import holds

SNAPSHOTS = Path(__file__).parent / "snapshots"
RENEW = os.environ.get("ACUMEN_RENEW_SNAPSHOTS") == "1"


def day(number: int, value: Any) -> Json:
    start, end = (f"2026-01-{one:02}T00:00:00.000Z" for one in (number, number + 1))
    return {"value": value, "timeframe": {"start": start, "end": end}}


DEFINITION = {"analysis_type": "count", "interval": "daily", "group_by": ["country"], "timezone": None}
STEPS = [
    {"with_actors": False, "actor_property": ["user.id"], "event_collection": "signed up", "inverted": False},
    {"with_actors": True, "actor_property": ["user.id"], "event_collection": "bought", "optional": True},
    {"with_actors": False, "actor_property": ["user.id"], "event_collection": "came back", "inverted": True},
]
SHAPES: dict[str, Json] = {
    "number": {"result": 2450},
    "null": {"result": None},
    "groups": {
        "result": [
            {"switch": False, "result": 1230},
            {"switch": True, "result": 33423},
            {"switch": None, "result": 354},
        ]
    },
    "two_groups": {"result": [{"keen.id": "555196212fd4b12ed0fe00a6", "click-number": 0, "result": 1}]},
    "interval": {"result": [day(1, 10), day(2, 0), day(3, None), day(4, 7)]},
    "interval_of_one": {"result": [day(1, 10)]},
    "interval_groups": {
        "result": [day(1, [{"key": True, "result": 0}, {"key": False, "result": 4}]), day(2, [])]
    },
    "multi": {"result": {"first analysis": 12345, "second analysis": 54321}},
    "multi_groups": {"result": [{"groupByProperty": "group1", "first analysis": 1, "second analysis": 2}]},
    "multi_interval": {
        "result": [day(1, {"orders": 5, "revenue": 1000}), day(2, {"orders": 6, "revenue": 1500})]
    },
    "multi_both": {
        "result": [day(1, [{"g": "a", "total": 10, "buyers": 3}, {"g": "b", "total": 1, "buyers": None}])]
    },
    "unique": {"result": ["Argentina", "Brazil", None]},
    "unique_groups": {"result": [{"g": "a", "result": ["x", "y"]}, {"g": "b", "result": []}]},
    "unique_interval": {"result": [day(1, ["Dr.", "Miss"]), day(2, [])]},
    "unique_both": {
        "result": [day(1, [{"country": "PL", "result": ["a"]}, {"country": "DE", "result": []}])]
    },
    "extraction": {
        "result": [
            {"keen": {"timestamp": "2014-02-12T01:44:25.310Z", "id": "52fa"}, "page": "/", "user": {"id": 7}}
        ]
    },
    "extraction_by_mail": {"result": "Processing. Check the specified email for the extraction results."},
    "funnel": {"result": [3, 1, 0], "steps": STEPS, "actors": [None, ["ann"], None]},
    "saved_funnel": {
        "query_name": "f",
        "query": {"analysis_type": "funnel"},
        "result": {"steps": STEPS, "result": [3, 1, None], "actors": None},
        "metadata": {"display_name": "Way to the shop"},
    },
    "saved": {
        "query_name": "q",
        "query": {**DEFINITION, "group_by": None},
        "result": [day(1, 1), day(2, 2), day(3, 1)],
        "metadata": {"display_name": "Visits", "visualization": {"chart_type": "area-spline"}},
        "run_information": {"data_through": "2026-01-03T12:00:00.000Z"},
    },
    "dataset": {
        "result": [day(1, [{"country": "PL", "result": 3}]), day(2, [{"country": "PL", "result": 5}])],
        "metadata": {
            "dataset": {"dataset_name": "d", "display_name": "By country", "query": DEFINITION},
            "request": {"index_by": ["0"], "timeframe": "this_10_days"},
        },
    },
    "buckets": {
        "result": [{"price": 10, "result": 4}, {"price": 0, "result": 3}, {"price": None, "result": 1}],
        "query": {
            "analysis_type": "count",
            "group_by": [{"property_name": "price", "buckets": {"size": 10}}],
        },
    },
    "ranges": {
        "result": [{"age": "18..", "result": 4}, {"age": "minor", "result": 3}],
        "query": {
            "analysis_type": "count",
            "group_by": [{"property_name": "age", "ranges": [{"to": 18, "label": "minor"}, {"from": 18}]}],
        },
    },
    "incomplete": {"result": [day(1, 10), day(2, 3)], "complete": False},
    "nothing": {"result": []},
    "nothing_by_interval": {"result": [], "query": DEFINITION},
    "with_metadata": {"result": 5, "execution_metadata": {"events_scanned": 1000}},
    "unknown_type": {"result": 5, "metadata": {"visualization": {"type": "choropleth"}}},
}


@pytest.mark.parametrize("name", SHAPES)
def test_description(core: Core, name: str) -> None:
    description = core.describe(SHAPES[name])
    path = SNAPSHOTS / f"{name}.json"
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    if RENEW:
        path.write_text(text)
    assert json.loads(path.read_text()) == description, text
    for width, height in ((360, 240), (1200, 400)):
        holds(core.draw(SHAPES[name], width=width, height=height))


def test_every_snapshot_has_its_shape() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == set(SHAPES)
