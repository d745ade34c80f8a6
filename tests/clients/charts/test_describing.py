"""Rules of descriptions: types, what is left out, what has not ended, and tables."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.charts.conftest import Core, Json

COUNT = {"analysis_type": "count"}


def by_day(values: list[Any], start: str = "2026-11-01T00:00:00Z", hours: int = 24) -> list[Json]:
    first = datetime.fromisoformat(start).astimezone(UTC)
    edges = [
        (first + timedelta(hours=hours * index)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for index in range(len(values) + 1)
    ]
    return [
        {"value": value, "timeframe": {"start": a, "end": b}}
        for value, a, b in zip(values, edges, edges[1:], strict=False)
    ]


def groups(count: int, key: str = "page") -> list[Json]:
    return [{key: f"/{index}", "result": count - index} for index in range(count)]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"result": 3}, "metric"),
        ({"result": {"a": 1, "b": 2}}, "metric"),
        ({"result": groups(3)}, "bar"),
        ({"result": by_day([1, 2])}, "line"),
        ({"result": by_day([1])}, "bar"),
        ({"result": [{"a": a, "b": b, "result": 1} for a in "xyz" for b in "uv"], "query": COUNT}, "stacked"),
        ({"result": [{"a": a, "b": b, "result": -1} for a in "xyz" for b in "uv"], "query": COUNT}, "bar"),
        ({"result": [{"a": a, "b": b, "result": 1} for a in range(20) for b in range(20)]}, "heatmap"),
        ({"result": [{"a": a, "b": a, "c": a, "result": 1} for a in "xyz"]}, "table"),
        ({"result": [3, 2], "steps": [{"event_collection": "a"}, {"event_collection": "b"}]}, "funnel"),
        ({"result": ["a", "b"]}, "table"),
    ],
)
def test_the_shape_chooses_the_type(core: Core, answer: Json, kind: str) -> None:
    assert core.describe(answer)["type"] == kind
    assert core.describe(answer, type="auto")["type"] == kind


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ({"result": 3}, "line", "it needs an interval"),
        ({"result": 3}, "pie", "this answer is one number"),
        ({"result": groups(3)}, "metric", "one for each 'page'"),
        ({"result": groups(3)}, "area", "it needs an interval, or groups that are numbers"),
        ({"result": [{"g": "a", "result": -1}]}, "pie", "it cannot show negative numbers"),
        ({"result": by_day([1, 2])}, "funnel", "it needs steps"),
        ({"result": ["a"]}, "bar", "cannot show lists of values"),
        ({"result": 3}, "choropleth", "There is no chart type 'choropleth'"),
    ],
)
def test_a_type_that_cannot_show_the_answer_says_why(
    core: Core, answer: Json, kind: str, reason: str
) -> None:
    assert reason in core.refuse(answer, type=kind)


STEPS = [{"event_collection": "a"}, {"event_collection": "b"}]


def test_intervals_with_and_without_groups_are_read_by_those_that_have_them(core: Core) -> None:
    parts = [{"g": "x", "result": [4, 1]}, {"g": "y", "result": [2, 1]}]
    for values in ([[9, 3], parts], [parts, [9, 3]]):
        answer = {"result": by_day(values), "steps": STEPS}
        assert "one for each 'g'" in core.refuse(answer, type="metric")
        table = core.ask(answer=answer, options={"type": "line"})["table"]
        assert {column["name"] for column in table["columns"]} >= {"x · 1. a", "y · 2. b", "(none) · 1. a"}
    mixed = {"result": by_day([5, [{"g": "x", "result": 3}]])}
    assert "one for each 'g'" in core.refuse(mixed, type="metric")


def test_an_interval_has_one_value_where_there_are_no_groups(core: Core) -> None:
    several = {"result": by_day([1, [{"result": 2}, {"result": 3}]])}
    for kind in ("metric", "line", "table", None):
        assert "an interval has several values without groups" in core.refuse(several, type=kind)
    gaps = core.describe({"result": by_day([[], 4, [], 7])}, type="metric")["metrics"][0]
    assert (gaps["value"], gaps["sparkline"]) == (7, [None, 4, None, 7])


@pytest.mark.parametrize(
    "answer",
    [
        {"result": [1, 2], "query": {"analysis_type": "funnel"}, "steps": [None, {}], "times": 5},
        {"result": [None, {"result": 3}], "query": {"analysis_type": "funnel"}, "steps": STEPS},
        {"result": [{}], "steps": False},
        {"result": [{}], "query": {"analysis_type": "retention"}},
        {"result": 5, "query": {"analysis_type": "retention"}},
        {"result": [None], "query": {"analysis_type": "lifecycle"}},
        {"result": ["x"], "query": {"analysis_type": "sessions"}},
        {"result": [None], "compare": {}},
        {"result": {"nodes": [{"step": 0, "paths": {}}], "edges": [None]}},
        {"result": 3, "query": {"analysis_type": {"toString": 1}}},
    ],
)
def test_a_malformed_answer_is_described_or_refused_in_plain_words(core: Core, answer: Json) -> None:
    for kind in ("metric", "table", "line", None):
        made = core.ask(answer=answer, options={"type": kind}, drawings=[{}], csv=True)
        if "error" in made:
            assert made["name"] == "ChartError", made
            assert "cannot be read" in made["error"] or "Possible: " in made["error"]


def test_an_interval_without_a_time_and_a_message_as_a_gauge_are_drawn(core: Core) -> None:
    untimed = {"result": [{"value": 3, "timeframe": {"start": "", "end": "x"}}], "query": COUNT}
    assert core.draw(untimed).startswith("<svg") and core.describe(untimed)["x"] is None
    assert "No data" in core.draw({"result": "Nothing yet"}, {"type": "gauge"})


def test_the_least_of_doubles_have_an_axis(core: Core) -> None:
    assert "<path" in core.draw({"result": by_day([5e-309, 1e-309, 0])}, {"type": "line"})


def test_a_saved_type_that_cannot_show_the_answer_gives_way(core: Core) -> None:
    description = core.describe({"result": 3, "metadata": {"visualization": {"type": "line"}}})
    assert description["type"] == "metric"
    assert description["note"] == "A chart of type “line” cannot show this; it is shown as metric."


def test_the_smallest_are_added_up_where_that_means_something(core: Core) -> None:
    counted = core.describe({"result": groups(50), "query": COUNT}, limit=5)
    assert counted["x"]["names"] == ["/0", "/1", "/2", "/3", "/4", "Other (45 more)"]
    assert counted["series"][0]["values"] == [50, 49, 48, 47, 46, sum(range(1, 46))]
    assert counted["note"] == "The largest 5 of 50; the rest is in “Other (45 more)”."
    averaged = core.describe({"result": groups(50), "query": {"analysis_type": "average"}}, limit=5)
    assert averaged["x"]["names"] == ["/0", "/1", "/2", "/3", "/4"]
    assert averaged["note"] == "The largest 5 of 50; the rest is not shown."


def test_a_group_is_told_from_the_rest_and_from_what_is_not_there(core: Core) -> None:
    names = ["Other", None, "(none)", "", "(empty)", "   ", *"abcd"]
    answer = {"result": [{"g": name, "result": 20 - at} for at, name in enumerate(names)], "query": COUNT}
    shown = ["Other", "(none)", "“(none)”", "(empty)", "“(empty)”", "“\u00a0\u00a0\u00a0”"]
    words = {"other": "Sonstige", "more": "{n} weitere"}
    for kind in ("bar", "pie"):
        assert core.describe(answer, type=kind, limit=6)["x"]["names"] == [*shown, "Other (4 more)"]
        made = core.describe(answer, type=kind, limit=6, words=words)
        assert made["x"]["names"][-1] == "Sonstige (4 weitere)"
    by_group = {
        "result": by_day([[{"g": name, "result": 20 - at} for at, name in enumerate(names)]] * 2),
        "query": COUNT,
    }
    made = core.describe(by_group, type="area", limit=6, colors={"Other": "#123456"})
    assert [series["name"] for series in made["series"]] == [*shown, "Other (4 more)"]
    assert made["series"][-1]["color"] == "#123456"


@pytest.mark.parametrize("kind", ["bar", "pie", "table"])
def test_csv_has_every_group_by_its_own_value(core: Core, kind: str) -> None:
    groups = [None, "", "  ", "Other", 'a "b"', *(f"/{index}" for index in range(200))]
    answer = {"result": [{"g": one, "result": 300 - at} for at, one in enumerate(groups)], "query": COUNT}
    text = core.csv(answer, type=kind, all=True, names={"/0": "Home"})
    assert text.split("\r\n")[:4] == ["g,Count", ",300", '"",299', "  ,298"]
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert [name for name, _ in rows] == ["", "", "  ", "Other", 'a "b"', "Home", *groups[6:]]
    assert [int(value) for _, value in rows] == list(range(300, 300 - len(groups), -1))


def test_csv_of_two_groups_and_of_many_series_has_all(core: Core) -> None:
    two = [{"a": f"a{a}", "b": b or None, "result": 1 + b} for a in range(30) for b in range(3)]
    pie = list(csv.reader(io.StringIO(core.csv({"result": two, "query": COUNT}, type="pie", all=True))))
    assert pie[0] == ["a", "b", "Count"] and len(pie) == 1 + 90 and pie[1] == ["a0", "", "1"]
    stacked = core.csv({"result": two, "query": COUNT}, type="stacked", all=True).split("\r\n")
    assert stacked[0] == "a,(none),1,2" and len(stacked) == 1 + 30 + 1
    many = [[{"g": f"g{one}", "result": one} for one in range(30)]] * 2
    lines = core.csv({"result": by_day(many), "query": COUNT}, type="line", all=True).split("\r\n")
    assert lines[0].count(",") == 30


def test_an_order_that_was_asked_for_stays(core: Core) -> None:
    answer = {
        "result": [{"g": "b", "result": 1}, {"g": "a", "result": 9}],
        "query": {**COUNT, "order_by": "result"},
    }
    assert core.describe(answer)["x"]["names"] == ["b", "a"]


def test_intervals_that_have_not_ended_are_marked_and_future_ones_empty(core: Core) -> None:
    answer = {"result": by_day([5, 6, 2, 0, 0]), "query": COUNT}
    description = core.describe(answer, now="2026-11-03T12:00:00Z")
    assert (description["unfinished"], description["future"]) == (1, 2)
    assert description["series"][0]["values"] == [5, 6, 2, None, None]
    assert core.describe(answer)["future"] == 0
    kept = {**answer, "run_information": {"data_through": "2026-11-03T12:00:00Z"}}
    assert core.describe(kept)["unfinished"] == 1
    # Drawn later, it still knows nothing of what came after.
    assert core.describe(kept, now="2026-11-09T12:00:00Z")["unfinished"] == 1
    assert core.describe(answer, now="2026-11-09T12:00:00Z")["unfinished"] == 0


def test_a_metric_compares_whole_intervals(core: Core) -> None:
    answer = {"result": by_day([5, 6, 2, 0]), "query": COUNT}
    metric = core.describe(answer, type="metric", now="2026-11-03T12:00:00Z")["metrics"][0]
    assert (metric["value"], metric["previous"], metric["sparkline"]) == (6, 5, [5, 6, 2])
    latest = core.describe(answer, type="metric", now="2026-11-03T12:00:00Z", value="latest")["metrics"][0]
    assert latest["value"] == 2 and "previous" not in latest
    period = core.describe(answer, type="metric", previous={"result": by_day([1, 1])})["metrics"][0]
    assert (period["value"], period["previous"]) == (13, 2)


def test_measures_of_different_sizes_have_panels(core: Core) -> None:
    alike = core.describe({"result": by_day([{"a": 5, "b": 6}, {"a": 6, "b": 3}])})
    assert all("panel" not in series for series in alike["series"])
    unlike = core.describe({"result": by_day([{"a": 5, "b": 6000}, {"a": 6, "b": 3}])})
    assert [series["panel"] for series in unlike["series"]] == [0, 1]


def test_names_and_colours_of_ones_own(core: Core) -> None:
    answer = {"result": by_day([[{"c": "PL", "result": 2}, {"c": None, "result": 1}], []])}
    made = core.describe(answer, names={"PL": "Polska"}, colors={"PL": "#123456", "(none)": "url(x)"})
    assert [series["name"] for series in made["series"]] == ["Polska", "(none)"]
    assert [series.get("color") for series in made["series"]] == ["#123456", None]


def test_csv_has_raw_numbers_and_times_with_their_offset(core: Core) -> None:
    answer = {
        "result": by_day(
            [[{"c": '=1+"1"', "result": 1.5}, {"c": "b,\n", "result": None}]], "2026-11-01T00:00:00+01:00"
        ),
        "query": {**COUNT, "interval": "daily", "timezone": "Europe/Warsaw", "group_by": ["c"]},
    }
    text = core.csv(answer)
    assert text.endswith("\r\n")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["Time", '\'=1+"1"', "b,\n"],
        ["2026-11-01T00:00:00.000+01:00", "1.5", ""],
    ]


def test_a_table_has_everything(core: Core) -> None:
    answer = {"result": groups(500), "query": COUNT}
    made = core.ask(answer=answer, options={"type": "table"})
    assert len(made["table"]["rows"]) == 500


@pytest.mark.parametrize("grouped", [False, True])
def test_series_are_drawn_as_a_multi_analysis_is(core: Core, grouped: bool) -> None:
    """What is compared stands beside the values, which are the same."""
    values: list[Any] = [{"users": 3, "users.rolling": 9}, {"users": None, "users.rolling": 9}]
    if grouped:
        values = [[{"g": "a", **value}, {"g": "other", **value}] for value in values]
    several = {"group_by": "g"} if grouped else {}
    plain = {"result": by_day(values), "query": {**several, "analysis_type": "multi_analysis"}}
    compared = {"timeframe": None, "value": values[1], "change": values[1], "change_percent": values[1]}
    series = {
        "result": [{**part, "compare": compared} for part in by_day(values)],
        "compare": {"timeframe": {}, "unmatched": []},
        "query": {**several, "analysis_type": "series"},
    }
    drawn = core.describe(series)
    dashed = [one for one in drawn["series"] if one.get("role") == "previous"]
    drawn["series"] = [one for one in drawn["series"] if one.get("role") != "previous"]
    assert drawn == core.describe(plain)
    assert [(one["like"], one["key"]) for one in dashed] == [
        (at, one["key"]) for at, one in enumerate(drawn["series"])
    ]
    first = "a · users" if grouped else "users"
    assert (dashed[0]["name"], dashed[0]["values"]) == (f"{first}, previous period", [None, None])
    alone, beside = {"result": values[0]}, {"result": values[0], "compare": compared}
    drawn = core.describe({**beside, "query": series["query"]})
    for metric, before in zip(drawn.get("metrics", []), (None, 9), strict=not grouped):
        assert (metric.pop("previous"), metric.pop("previousName")) == (before, "previous period")
    assert drawn == core.describe({**alone, "query": plain["query"]})


def test_groups_by_sessions_and_cohorts_have_plain_names(core: Core) -> None:
    query = {**COUNT, "group_by": [{"session": "entry"}]}
    rows = [{"session.entry": "/", "result": 3}, {"session.entry": None, "result": 1}]
    entries = core.describe({"result": rows}, query=query)
    assert (entries["x"]["name"], entries["x"]["names"]) == ("Entry page", ["/", "(none)"])
    query = {**COUNT, "group_by": [{"cohort": "loyal"}, {"session": "bounce"}], "interval": "daily"}
    row = {"loyal": True, "session.bounce": False, "result": 3}
    timed = core.describe({"result": by_day([[row], [{**row, "loyal": False}]])}, query=query)
    names = [f"loyal: {word} · Session bounce: no" for word in ("yes", "no")]
    assert [one["name"] for one in timed["series"]] == names
    assert [one["key"] for one in timed["series"]] == [[True, False], [False, False]]
    sizes = [{"session.events": 10, "result": 3}]
    query = {**COUNT, "group_by": [{"session": "events", "buckets": {"size": 10}}]}
    assert core.describe({"result": sizes}, query=query)["x"]["names"] == ["10–20"]


def test_a_property_that_is_called_like_one_of_sessions_keeps_its_name(core: Core) -> None:
    rows = [{"session.entry": "/", "result": 3}]
    query = {**COUNT, "group_by": ["session.entry"]}
    assert core.describe({"result": rows}, query=query)["x"]["name"] == "session.entry"
    own = core.describe({"result": rows}, query=query, names={"session.entry": "Where"})
    assert own["x"]["name"] == "Where"
