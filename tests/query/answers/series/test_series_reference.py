"""Answers to questions for series equal those of a slow evaluator: formulas, windows, comparisons, top."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.language.parse import parse
from query.language.series.nodes import SeriesQuery
from query.limits import Limits
from storage.instants import format_instant, parse_instant
from storage.source import NOWHERE
from tests.query import spoken, strategies
from tests.query.answers.test_reference import checked, close
from tests.query.series_reference import Reference
from tests.query.support_source import Event, read, source_of

Json = dict[str, Any]
NOW_US = parse_instant("2026-03-30T09:20:00Z") or 0
"""The day after clocks were set forward in Berlin."""
HOUR_US = 3_600_000_000
TIMEFRAMES: list[Any] = [
    "this_4_days",
    "previous_3_days",
    "this_2_weeks",
    "this_month",
    "previous_2_months",
    "this_30_hours",
    "today",
    {"start": "2026-03-28T12:00:00+01:00", "end": "2026-03-30T09:00:00+02:00"},
    {"start": "2026-03-27T00:00:00+01:00", "end": "2026-03-31T00:00:00+02:00"},
    {"start": "2026-03-29T23:00:00Z", "end": "2026-03-29T23:00:00Z"},
]
NUMBERS = [0, 1, 2, 2.5, -3, 0.1, 0.2, 10, 7, "1", True, None, [1]]
GROUPS = ["a", "b", "c", 1, 1.0, "1", True, None, [], ["a", "b"], ["c", "c", None], ["b", 1]]
FORMULAS = [
    "one / two",
    "one - two",
    "-(one + 2) * two",
    "(one + two) / (two - two)",
    "one / 'one.rolling'",
    "one * 0.5 / 'part'",
]


@st.composite
def events_lists(draw: st.DrawFn, number: int, max_size: int = 16) -> list[Event]:
    """Within the last weeks, the last hours, and the same days a year ago."""
    ago = st.one_of(
        st.integers(0, 40), st.integers(0, 5 * 24), st.integers(0, 70 * 24), st.integers(8_700, 8_900)
    )
    made = []
    for position in range(draw(st.integers(0, max_size))):
        us = NOW_US - draw(ago) * HOUR_US + draw(st.sampled_from([0, 1, HOUR_US // 3]))
        event: Event = {
            "n": draw(st.sampled_from(NUMBERS)),
            "g": draw(st.sampled_from(GROUPS)),
            "k": draw(st.sampled_from(["x", "y", ["x", "z"]])),
            "u": {"id": draw(st.sampled_from(["ann", "bob", 3, None, ["ann", "eve"]]))},
        }
        absent = draw(st.sampled_from(["n", "g", "k", "other"]))
        event.pop(absent, None)
        event["keen"] = {
            "timestamp": format_instant(us),
            "created_at": format_instant(us),
            "id": f"{number}{position:023x}",
        }
        made.append(event)
    return made


@st.composite
def one_series(draw: st.DrawFn, groups: list[Any]) -> Json:
    analysis = draw(
        st.sampled_from(
            ["count", "count_unique", "sum", "average", "minimum", "maximum", "median", "percentile"]
        )
    )
    asked: Json = {"analysis_type": analysis, "event_collection": draw(st.sampled_from(["c", "c", "d"]))}
    if analysis != "count":
        asked["target_property"] = draw(st.sampled_from(["n", "n", "u.id", "g"]))
    if analysis == "percentile":
        asked["percentile"] = draw(st.sampled_from([5, 50, 90]))
    if draw(st.integers(0, 3)) == 0:
        asked["filters"] = spoken.filters(draw(strategies.filter_lists))
    if draw(st.integers(0, 2)) == 0:
        asked["filters"] = [{"property_name": "n", "operator": "gt", "property_value": 0}]
    if groups and draw(st.integers(0, 3)) == 0:
        asked["group_by"] = [
            {**group, "property_name": "n"} if isinstance(group, dict) else draw(st.sampled_from(["g", "k"]))
            for group in groups[:1]
        ] + groups[1:]
        if len({repr(group) for group in asked["group_by"]}) < len(groups):
            del asked["group_by"]
    return asked


def _without_within(asked: Any) -> bool:
    return "within" not in repr(asked)


@st.composite
def questions(draw: st.DrawFn) -> Json:
    groups: list[Any] = draw(
        st.sampled_from(
            [[], ["g"], ["g"], ["k", "g"], ["u.id"], [{"property_name": "n", "buckets": {"size": 2}}]]
        )
    )
    asked: Json = {
        "timeframe": draw(st.sampled_from(TIMEFRAMES)),
        "timezone": draw(st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"])),
        "series": {label: draw(one_series(groups).filter(_without_within)) for label in ["one", "two"]},
        "group_by": groups,
    }
    interval = draw(st.sampled_from([None, "daily", "daily", "weekly", "monthly", "every_2_days"]))
    if asked["timeframe"] in ("this_30_hours", "today"):
        interval = draw(st.sampled_from([None, "hourly", "every_5_hours"]))
    if interval:
        asked["interval"] = interval
    labels = ["one", "two"]
    if draw(st.booleans()):
        asked["formulas"] = {"part": "one / two"}
        labels.append("part")
    rolling: Json = {}
    if interval:
        rolling = draw(st.dictionaries(st.sampled_from(labels), st.integers(1, 4), max_size=2))
        asked["rolling"] = rolling
        asked["cumulative"] = draw(st.lists(st.sampled_from(labels), max_size=2))
    if "formulas" in asked:
        usable = [one for one in FORMULAS if "rolling" not in one or "one" in rolling]
        asked["formulas"]["more"] = draw(st.sampled_from(usable))
        labels.append("more")
    compares = [None, "previous_period", "previous_year", "same_weekdays", "previous_2_days"]
    asked["compare"] = draw(st.sampled_from(compares))
    if groups or interval:
        shared = [label for label in labels if label != "more"]
        asked["share"] = draw(st.lists(st.sampled_from(shared), max_size=1))
    kind = draw(st.sampled_from(["all", "top", "order"])) if groups else "all"
    if kind == "top":
        by = draw(st.sampled_from([label for label in labels if label != "more"]))
        asked["top"] = {
            "limit": draw(st.integers(1, 3)),
            "by": by,
            "other": draw(st.sampled_from([False, "rest"])),
        }
    elif kind == "order":
        order = draw(st.sampled_from(["one", "two", "k" if "k" in groups else "one"]))
        asked["order_by"] = {"property_name": order, "direction": draw(st.sampled_from(["ASC", "DESC"]))}
        if draw(st.booleans()):
            asked["limit"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        asked["fill"] = draw(st.sampled_from([0, None, "null", "previous"]))
    asked["zero_fill"] = draw(st.booleans())
    return asked


@checked(300)
@given(events=events_lists(1), others=events_lists(2, 8), asked=questions(), seed=st.integers(0, 2**32))
def test_every_question_for_series_gives_the_answer_of_the_reference(
    engine: Engine, data_folder: Path, events: list[Event], others: list[Event], asked: Json, seed: int
) -> None:
    parsed = parse("series", asked, now_us=NOW_US, limits=Limits())
    query = parsed.query
    assert isinstance(query, SeriesQuery)
    collections = {"c": events, "d": others}
    rng = random.Random(seed)
    sources = {name: source_of(held, data_folder, rng) for name, held in collections.items()}

    found = read(answer(parsed, lambda name: sources.get(name, NOWHERE), engine, limits=Limits()))

    expected = Reference(query, collections).body()
    assert close(found["result"], expected["result"]), (asked, found, expected)
    assert close(found.get("compare"), expected.get("compare")), (asked, found, expected)


@checked(60)
@given(events=events_lists(1), asked=questions(), seed=st.integers(0, 2**32))
def test_plain_series_are_the_answers_to_the_single_questions(
    engine: Engine, data_folder: Path, events: list[Event], asked: Json, seed: int
) -> None:
    asked = {
        name: value
        for name, value in asked.items()
        if name in ("timeframe", "timezone", "interval", "group_by", "zero_fill")
    } | {"series": {"one": {**asked["series"]["one"], "event_collection": "c"}}}
    asked["series"]["one"].pop("group_by", None)
    source = source_of(events, data_folder, random.Random(seed))

    def answered(analysis: str, params: Json) -> Any:
        parsed = parse(analysis, params, now_us=NOW_US, limits=Limits())
        return read(answer(replace(parsed), lambda _: source, engine, limits=Limits()))["result"]

    one = asked["series"]["one"]
    root = {name: value for name, value in asked.items() if name != "series"}
    single = {key: value for key, value in one.items() if key != "analysis_type"}
    expected = answered(one["analysis_type"], {**root, **single})

    def renamed(value: Any) -> Any:
        if isinstance(value, list) and value and "timeframe" in value[0]:
            return [{**part, "value": renamed(part["value"])} for part in value]
        if isinstance(value, list):
            return [
                {"one" if name == "result" else name: held for name, held in row.items()} for row in value
            ]
        return {"one": value}

    assert answered("series", asked) == renamed(expected)
