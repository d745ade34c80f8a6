"""Answers about what actors do: what of them is drawn, and what each mark says."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.clients.charts.conftest import Core, Json
from tests.clients.charts.pictures import parsed, texts


def weeks(count: int) -> list[Json]:
    starts = [f"2026-03-{1 + 7 * at:02}T00:00:00.000Z" for at in range(count + 1)]
    return [{"start": a, "end": b} for a, b in itertools.pairwise(starts)]


FRAMES = weeks(3)
WHOLE = {"start": FRAMES[0]["start"], "end": FRAMES[2]["end"]}
RETENTION: Json = {
    "result": [
        {
            "timeframe": FRAMES[0],
            "size": 10,
            "retained": [10, 5, 1],
            "rates": [1, 0.5, 0.1],
            "unfinished": [False, False, True],
        },
        {
            "timeframe": FRAMES[1],
            "size": 4,
            "retained": [4, 1],
            "rates": [1, 0.25],
            "unfinished": [False, True],
        },
        {"timeframe": FRAMES[2], "size": 0, "retained": [0], "rates": [None], "unfinished": [True]},
    ],
    "summary": {"sizes": [14, 10, 0], "retained": [14, 5, 0], "rates": [1, 0.5, None]},
    "query": {"analysis_type": "retention", "interval": "weekly"},
}
PATHS: Json = {
    "result": {
        "paths": 9,
        "actors": 9,
        "nodes": [
            {"id": 0, "step": 0, "name": "/", "paths": 9, "ended": 2},
            {"id": 1, "step": 1, "name": "/price", "paths": 4, "ended": 4, "beyond": 0},
            {"id": 2, "step": 1, "name": "other", "names": 3, "paths": 3, "ended": 1, "beyond": 2},
        ],
        "edges": [
            {"source": 0, "target": 2, "step": 0, "paths": 3},
            {"source": 0, "target": 1, "step": 0, "paths": 4},
        ],
        "left_out": {"edges": 0, "paths": 0},
    },
    "query": {"analysis_type": "paths"},
}


def test_cohorts_are_rows_and_periods_columns(core: Core) -> None:
    made = core.describe(RETENTION)
    assert (made["type"], made["note"]) == ("heatmap", "Dashed: not over yet.")
    assert [one["name"] for one in made["series"]] == [
        "All",
        "2026-03-01 (10)",
        "2026-03-08 (4)",
        "2026-03-15 (0)",
    ]
    assert [one["values"] for one in made["series"]][1:3] == [[1, 0.5, 0.1], [1, 0.25, None]]
    assert made["told"]["1,2"] == {
        "name": "2026-03-01 (10) · Period 2",
        "value": 0.1,
        "extra": "1 of 10 · not over yet",
        "timeframe": FRAMES[0],
        "within": FRAMES[2],
        "whole": WHOLE,
    }
    svg = core.draw(RETENTION, resolve=True)
    dashed = [one for one in parsed(svg).iter() if one.get("stroke-dasharray")]
    assert len(dashed) == 2
    assert {"100%", "25%", "All"} <= {text.text for text in texts(svg)}


def test_retention_as_a_table_and_as_csv(core: Core) -> None:
    made = core.describe(RETENTION, type="table")
    assert [one["name"] for one in made["table"]["columns"]] == ["Cohort", "Size", "0", "1", "2"]
    assert made["table"]["rows"][1] == [FRAMES[0]["start"], 10, 1, 0.5, 0.1]
    lines = core.csv(RETENTION, all=True).splitlines()
    assert lines[0] == "Cohort,Size,0,1,2,0: actors,1: actors,2: actors"
    assert lines[2] == "2026-03-01T00:00:00.000Z,10,1,0.5,0.1,10,5,1"


def test_groups_and_brackets_of_retention(core: Core) -> None:
    summary = [{"country": None, "sizes": [3, 2], "retained": [1, 2], "rates": [0.33, 1]}]
    query = {**RETENTION["query"], "group_by": "country", "brackets": [[1, 3], [4, 4]]}
    made = core.describe({"result": [], "summary": summary, "query": query})
    assert [one["name"] for one in made["series"]] == ["(none)"]
    assert made["x"]["names"] == ["1–3", "4"]


def test_ways_lead_from_node_to_node(core: Core) -> None:
    made = core.describe(PATHS)
    assert made["type"] == "sankey"
    assert made["told"]["0,0"] == {"name": "/ (step 0)", "value": 9, "extra": "2 end here"}
    assert made["told"]["1,1"]["extra"] == "1 end here · 2 go on"
    assert made["told"]["2,0"] == {"name": "/ → /price", "value": 4}
    assert made["table"]["rows"] == [[0, "/", "/price", 4], [0, "/", "Other (3 more)", 3]]
    svg = core.draw(PATHS, interactive=True, width=600, height=300)
    marks = [one.get("aria-label") for one in parsed(svg).iter() if one.get("role") == "img"]
    assert marks == [
        "/: 9",
        "/price: 4",
        "Other (3 more): 3",
        "/ → /price: 4",
        "/ → Other (3 more): 3",
    ]


def test_of_very_many_ways_the_widest_are_drawn_and_the_rest_is_told(core: Core) -> None:
    nodes = [{"id": at, "step": at // 40, "name": f"p{at}", "paths": 100, "ended": 0} for at in range(80)]
    edges = [{"source": a, "target": 40 + b, "step": 0, "paths": 1 + a} for a in range(40) for b in range(25)]
    answer = {"result": {"nodes": nodes, "edges": edges, "left_out": {"edges": 2, "paths": 3}}}
    made = core.describe(answer)
    assert len(made["flow"]["edges"]) == 300
    assert min(one["paths"] for one in made["flow"]["edges"]) == 29
    assert made["note"] == (
        "The largest 300 of 1000; the rest is not shown. 2 ways of few paths are left out, 3 paths together."
    )
    assert len(core.csv(answer, all=True).splitlines()) == 1001


def test_who_is_gone_stands_below_zero_without_a_sign(core: Core) -> None:
    value = {"new": 5, "returning": 3, "resurrected": 1, "dormant": 4}
    answer = {
        "result": [{"value": value, "timeframe": frame} for frame in FRAMES],
        "query": {"analysis_type": "lifecycle", "interval": "weekly"},
    }
    made = core.describe(answer)
    assert made["type"] == "stacked"
    assert [one["values"][0] for one in made["series"]] == [5, 3, 1, -4]
    assert made["told"]["0,1"] == {"within": FRAMES[0], "whole": WHOLE}
    drawn = {text.text for text in texts(core.draw(answer, resolve=True))}
    assert "10" in drawn and not any(text.startswith(("-", "−")) for text in drawn)
    assert core.csv(answer, all=True).splitlines()[1].endswith(",5,3,1,4")


def test_ratios_have_a_panel_of_their_own(core: Core) -> None:
    value = {"dau": 5, "wau": 30, "mau": 50, "dau_wau": 0.17, "dau_mau": 0.1, "wau_mau": 0.6}
    answer = {
        "result": [{"value": value, "timeframe": frame} for frame in FRAMES],
        "query": {"analysis_type": "stickiness"},
    }
    made = core.describe(answer)
    assert [one["panel"] for one in made["series"]] == [0, 0, 0, 1, 1, 1]
    assert any(text.text.endswith("%") for text in texts(core.draw(answer, resolve=True)))
    rows = [{"periods": 1, "result": 7}, {"periods": 2, "result": 3}]
    bars = core.describe({"result": rows, "query": {"analysis_type": "stickiness", "histogram": True}})
    assert (bars["type"], bars["y"]["name"], bars["x"]["names"]) == ("bar", "Actors", ["1", "2"])


def test_sessions_have_their_units_and_their_pages(core: Core) -> None:
    entries = {"values": [{"value": "/", "sessions": 2}], "other": {"values": 3, "sessions": 4}}
    result: Json = {"sessions": 6, "bounce_rate": 0.5, "duration_average": 90, "entries": entries}
    answer = {"result": result, "query": {"analysis_type": "sessions"}}
    made = core.describe(answer)
    assert [one["name"] for one in made["metrics"]] == ["Sessions", "Bounce rate", "Duration average"]
    drawn = {text.text for text in texts(core.draw(answer, resolve=True))}
    assert {"6", "50%", "1m 30s"} <= drawn
    assert made["table"]["rows"][-2:] == [["Entries", "/", 2], ["Entries", "Other (3 more)", 4]]
    as_table = core.describe(answer, type="table")
    assert (as_table["type"], as_table["table"]) == ("table", made["table"])
    cells = {text.text for text in texts(core.draw(answer, {"type": "table"}, resolve=True))}
    assert {"50%", "1m 30s"} <= cells


STEPS = [{"event_collection": "visits"}, {"event_collection": "orders"}]
RATIO = "2. orders ÷ 1. visits"


def in_parts(rows: list[Any], **asked: Any) -> Json:
    return {"result": rows, "steps": STEPS, "query": {"analysis_type": "funnel", **asked}}


@pytest.mark.parametrize("parts", ["groups", "intervals"])
def test_a_funnel_in_parts_has_a_number_for_each_step(core: Core, parts: str) -> None:
    rows: list[Any] = [{"country": "DE", "result": [4, 3]}, {"country": None, "result": [1, 0]}]
    if parts == "intervals":
        rows = [{"timeframe": frame, "value": [4, 3]} for frame in FRAMES]
    made = core.describe(in_parts(rows))
    assert made["type"] == ("bar" if parts == "groups" else "line")
    ratio = [RATIO] if parts == "intervals" else []
    assert [one["name"] for one in made["series"]] == ["1. visits", "2. orders", *ratio]
    assert [one["values"][0] for one in made["series"]][:2] == [4, 3]


def test_a_funnel_over_time_has_its_conversion_in_a_panel_below(core: Core) -> None:
    values = [[4, 3], [0, 0]]
    rows = [{"timeframe": frame, "value": value} for frame, value in zip(FRAMES, values, strict=False)]
    made = core.describe(in_parts(rows))
    assert [one["panel"] for one in made["series"]] == [0, 0, 1]
    assert made["series"][2]["values"] == [0.75, None]
    assert any(text.text.endswith("%") for text in texts(core.draw(in_parts(rows), resolve=True)))


def test_a_funnel_over_time_in_groups_has_their_conversions_in_its_table(core: Core) -> None:
    groups = [{"country": "DE", "result": [4, 3]}, {"country": "PL", "result": [2, 1]}]
    answer = in_parts([{"timeframe": frame, "value": groups} for frame in FRAMES])
    assert not any(RATIO in one["name"] for one in core.describe(answer)["series"])
    header, first, *_ = core.csv(answer, all=True).splitlines()
    assert header.count("1. visits") == 4 and first.endswith(",4,3,0.75,2,1,0.5")


def test_the_table_of_a_funnel_in_groups_has_their_conversions(core: Core) -> None:
    answer = in_parts([{"country": "DE", "result": [4, 3]}, {"country": "PL", "result": [0, 0]}])
    header, *lines = core.csv(answer, type="table").splitlines()
    assert header == f"country,1. visits,2. orders,{RATIO}"
    assert lines == ["DE,4,3,0.75", "PL,0,0,"]
    cells = {text.text for text in texts(core.draw(answer, {"type": "table"}, width=900, resolve=True))}
    assert "75%" in cells


def test_a_funnel_says_how_long_its_steps_took(core: Core) -> None:
    steps = [{"event_collection": "visits"}, {"event_collection": "orders"}]
    answer = {"result": [4, 3], "steps": steps, "times": {"steps": [None, {"median": 7200}], "total": {}}}
    drawn = [text.text for text in texts(core.draw(answer, resolve=True))]
    assert "−25% · median 2h" in [text.replace("-", "−") for text in drawn]
    assert core.csv(answer).splitlines()[0] == "Step,Value,of the first step,median"


def test_the_compared_period_is_dashed_in_the_same_colour(core: Core) -> None:
    frames = [{"value": {"n": at}, "timeframe": frame} for at, frame in enumerate(FRAMES)]
    answer = {
        "result": [{**one, "compare": {"timeframe": None, "value": {"n": 7}}} for one in frames],
        "compare": {"unmatched": []},
        "query": {"analysis_type": "series", "series": {"n": {}}},
    }
    made = core.describe(answer)
    assert [one["name"] for one in made["series"]] == ["n", "n, previous period"]
    lines = [one for one in parsed(core.draw(answer, resolve=True)).iter() if one.get("stroke-dasharray")]
    assert {one.get("stroke") for one in lines} == {"#2f62d9"}


def still_coming(values: list[dict[str, Any]]) -> Json:
    """A series by day of which the newest two days are not complete."""
    days = [f"2026-03-{day:02}T00:00:00.000Z" for day in range(1, len(values) + 2)]
    frames = [{"start": start, "end": end} for start, end in itertools.pairwise(days)]
    share = {"arrived": 0.5, "least": 0.44, "most": 0.61, "intervals": 28}
    of = {"visits": share, "spent": {**share, "arrived": 0.25}}
    late = {name: {**one, "arrived": 0.8} for name, one in of.items()}
    query = {
        "analysis_type": "series",
        "interval": "daily",
        "series": {
            "visits": {"event_collection": "visits", "analysis_type": "count"},
            "spent": {"event_collection": "orders", "analysis_type": "sum", "target_property": "price"},
        },
    }
    return {
        "result": [{"value": value, "timeframe": one} for value, one in zip(values, frames, strict=True)],
        "completeness": [
            {"timeframe": frames[-2], "series": late},
            {"timeframe": frames[-1], "series": of},
        ],
        "query": query,
    }


def test_what_is_not_complete_is_dashed_and_what_is_expected_of_counts_stands_beside_it(core: Core) -> None:
    answer = still_coming([{"visits": n, "spent": n * 2} for n in (100, 110, 105, 80, 50)])
    made = core.describe(answer)
    assert made["unfinished"] == 2
    assert made["note"] == "Newest so far: visits 50 % (44–61 %), spent 25 % (44–61 %)."
    *own, line = made["series"]
    assert [one["name"] for one in own] == ["visits", "spent"]
    assert line["name"] == "visits, expected"
    assert line["values"] == [None, None, None, 100, 100]
    svg = core.draw(answer, resolve=True)
    dashed = [one for one in parsed(svg).iter() if one.get("stroke-dasharray")]
    assert len(dashed) == 3
    bars = core.describe(answer, type="bar")
    assert (bars["unfinished"], len(bars["series"])) == (2, 2)


def test_a_single_series_is_expected_by_its_own_name_and_groups_are_not(core: Core) -> None:
    answer = still_coming([{"visits": n} for n in (100, 110, 50)])
    assert [one["name"] for one in core.describe(answer)["series"]] == ["visits", "visits, expected"]
    for one in answer["completeness"]:
        unknown = {"arrived": 0, "least": 0, "most": 0, "intervals": 28}
        nothing = {**answer, "completeness": [{**one, "series": {"visits": unknown}}]}
        assert [series["name"] for series in core.describe(nothing)["series"]] == ["visits"]
    rows = [[{"page": "/", "visits": 3}], [{"page": "/", "visits": 2}], [{"page": "/", "visits": 1}]]
    parts = zip(answer["result"], rows, strict=True)
    result = [{"value": value, "timeframe": one["timeframe"]} for one, value in parts]
    made = core.describe({**answer, "result": result, "query": {**answer["query"], "group_by": "page"}})
    assert (len(made["series"]), made["unfinished"]) == (1, 2)
    assert "Newest" in made["note"]
