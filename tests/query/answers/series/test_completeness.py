"""How complete the newest intervals are: the share of earlier ones that had arrived at their age."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.errors import InvalidQuery
from query.language.nodes import Condition, Operator
from query.language.parse import parse
from query.limits import Limits
from storage.instants import format_instant, parse_instant
from storage.source import NOWHERE
from tests.query.answers.test_reference import checked
from tests.query.support_source import Event, read, source_of

Json = dict[str, Any]
NOW = datetime(2026, 3, 30, 9, 20, tzinfo=UTC)
"""The day after clocks were set forward in Berlin."""
ZONES = ["Europe/Berlin", "America/New_York", "UTC"]
EVENTS = {"event_collection": "c", "analysis_type": "count"}


def us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def starts(interval: str, zone: ZoneInfo) -> list[datetime]:
    """Where intervals begin, up to the one that holds now and the one after it."""
    if interval == "hourly":
        first = NOW.replace(minute=0) - timedelta(hours=100)
        return [first + timedelta(hours=number) for number in range(102)]
    today = NOW.astimezone(zone).replace(hour=0, minute=0)
    # Weeks begin on Sundays.
    step = {"daily": 1, "weekly": 7}[interval]
    newest = today - timedelta(days=(today.weekday() + 1) % 7 if step == 7 else 0)
    return [newest + timedelta(days=step * number) for number in range(-60, 2)]


def expected(events: list[Event], asked: Json, end: datetime, intervals: int) -> list[Json]:
    edges = starts(asked["interval"], ZoneInfo(asked["timezone"]))
    begun = [number for number, at in enumerate(edges[:-1]) if at < min(NOW, end)]
    found = []
    for number in begun[-3:]:
        start, length = edges[number], min(edges[number + 1], end) - edges[number].astimezone(UTC)
        whole = min(edges[number + 1], end) == edges[number + 1]
        age = NOW - edges[number].astimezone(UTC)
        pairs = []
        for low, high in pairwise(edges[number - intervals : number + 1]):
            held = [
                event
                for event in events
                if event["n"]
                and us(low) <= (at := parse_instant(event["keen"]["timestamp"]) or 0) < us(high)
                and (whole or at < us(low) + length // timedelta(microseconds=1))
            ]
            until = us(low) + age // timedelta(microseconds=1)
            here = [one for one in held if (parse_instant(one["keen"]["created_at"]) or 0) < until]
            if held:
                pairs.append((len(here), len(held)))
        shares = [here / held for here, held in pairs]
        part = {
            "arrived": round(sum(a for a, _ in pairs) / sum(b for _, b in pairs), 4) if pairs else None,
            "least": round(min(shares), 4) if pairs else None,
            "most": round(max(shares), 4) if pairs else None,
            "intervals": len(pairs),
        }
        if part["arrived"] != 1:
            span = {
                "start": format_instant(us(start)),
                "end": format_instant(us(min(edges[number + 1], end))),
            }
            found.append({"timeframe": span, "series": {"one": part}})
    return found


@st.composite
def late_events(draw: st.DrawFn) -> list[Event]:
    made = []
    for position in range(draw(st.integers(0, 30))):
        at = NOW - timedelta(
            hours=draw(st.sampled_from([1, 24])) * draw(st.integers(0, 40)),
            seconds=draw(st.integers(0, 7_200)),
        )
        arrived = min(at + timedelta(hours=draw(st.sampled_from([0, 0, 0, 1, 5, 30, 200]))), NOW)
        made.append(
            {
                "n": draw(st.integers(0, 3)),
                "keen": {
                    "timestamp": format_instant(us(at)),
                    "created_at": format_instant(us(arrived)),
                    "id": f"{position:024x}",
                },
            }
        )
    return made


@checked(200)
@given(
    events=late_events(),
    interval=st.sampled_from(["hourly", "daily", "daily", "weekly"]),
    zone=st.sampled_from(ZONES),
    intervals=st.integers(1, 9),
    cut=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_completeness_is_that_of_the_reference(
    engine: Engine,
    data_folder: Path,
    events: list[Event],
    interval: str,
    zone: str,
    intervals: int,
    cut: bool,
    seed: int,
) -> None:
    edges = starts(interval, ZoneInfo(zone))
    end = NOW if cut else edges[-1]
    asked: Json = {
        "timeframe": {"start": edges[-6].isoformat(), "end": end.isoformat()},
        "timezone": zone,
        "interval": interval,
        "filters": [{"property_name": "n", "operator": "gt", "property_value": 0}],
        "series": {"one": EVENTS},
        "completeness": {"intervals": intervals},
    }
    parsed = parse("series", asked, now_us=us(NOW), limits=Limits())
    sources = {"c": source_of(events, data_folder, random.Random(seed))}

    found = read(answer(parsed, lambda name: sources.get(name, NOWHERE), engine, limits=Limits()))

    assert found["completeness"] == expected(events, asked, end, intervals), (asked, found)


def test_events_that_the_key_does_not_see_say_nothing(engine: Engine, data_folder: Path) -> None:
    def event(number: int, hidden: bool, hours_late: int) -> Event:
        at = NOW - timedelta(days=number + 1)
        times = {
            "timestamp": format_instant(us(at)),
            "created_at": format_instant(us(at) + hours_late * 3_600_000_000),
        }
        return {"hidden": hidden, "keen": {**times, "id": f"{number:023x}{int(hidden)}"}}

    seen = [event(number, False, 0) for number in range(5)]
    hidden = [event(number, True, 40) for number in range(5)]
    asked: Json = {
        "timeframe": "this_3_days",
        "interval": "daily",
        "series": {"one": EVENTS},
        "completeness": True,
    }
    parsed = parse("series", asked, now_us=us(NOW), limits=Limits())

    def answered(events: list[Event]) -> Any:
        source = source_of(events, data_folder, random.Random(1))
        forced = (Condition("hidden", Operator.EQ, False),)
        return read(answer(parsed, lambda _: source, engine, limits=Limits(), forced_filters=forced))

    assert answered(seen) == answered([*seen, *hidden])


@pytest.mark.parametrize(
    ("completeness", "more", "said"),
    [
        (True, {"interval": None}, "Field: 'interval', because of 'completeness'"),
        (7, {}, "'completeness' must be true, or an object"),
        ({"intervals": 0}, {}, "'completeness.intervals'"),
        ({"intervals": 10_000}, {}, "may be at most 366"),
        (True, {"timeframe": {"start": "0001-01-02", "end": "0001-01-04"}}, "beyond the years 1 to 9999"),
    ],
)
def test_what_cannot_be_judged_is_an_error_that_says_why(completeness: Any, more: Json, said: str) -> None:
    asked = {"timeframe": "this_3_days", "interval": "daily", "series": {"one": EVENTS}, **more}
    with pytest.raises(InvalidQuery, match=said):
        parse("series", {**asked, "completeness": completeness}, now_us=us(NOW), limits=Limits())
