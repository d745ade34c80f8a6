"""Profiles equal what a slow evaluator finds in the events, over files, tails and mixtures of both."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.answers.profiles import reading
from query.answers.profiles.reading import profile
from query.engine.engine import Deadline, Engine
from query.language.nodes import Condition, Filter, Operator, Span
from query.limits import Limits
from query.plan.profile import ProfileQuery
from storage.instants import format_instant, parse_instant
from storage.source import NOWHERE, Source
from tests.query import reference, strategies
from tests.query.answers.test_reference import checked, close
from tests.query.support_source import Event, leaves, read, source_of

PATHS: tuple[str, ...] = ("a", "absent", "b.c", "e0", "keen.created_at", "keen.id", "keen.timestamp")
PATHS += ("Price", "price", "t", "u", "u.a", "u.id")
TIMES = ("keen.created_at", "keen.timestamp")
DAY_US = 86_400_000_000


def profiled(source: Source, engine: Engine, query: ProfileQuery, **more: Any) -> Any:
    return read(
        profile(query, lambda _: source, engine, limits=Limits(), deadline=Deadline.after(60.0), **more)
    )


def values_at(events: list[Event], path: str) -> list[Any]:
    return [value for event in events for found, value in leaves(event) if found == path and value != {}]


def type_of(path: str, value: Any) -> str:
    if path in TIMES:
        return "datetime"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "list" if isinstance(value, list) else "num"


def instant(us: int) -> str:
    return format_instant(us)


def expected_dates(path: str, values: list[Any]) -> Any:
    texts = [value for value in values if isinstance(value, str)]
    if not texts or (path not in TIMES and None in (parse_instant(min(texts)), parse_instant(max(texts)))):
        return None
    found = [us for us in map(parse_instant, texts) if us is not None]
    return {"count": len(found), "first": instant(min(found)), "last": instant(max(found))}


def expected_of(path: str, events: list[Event]) -> dict[str, Any]:
    values = values_at(events, path)
    types = Counter(type_of(path, value) for value in values)
    numbers = [value for value in values if reference.is_number(value)]
    texts = [value for value in values if isinstance(value, str) and path not in TIMES]
    lengths = [len(text) for text in texts]
    return {
        "types": dict(types),
        "missing": None if not events else (len(events) - len(values)) / len(events),
        "numbers": None
        if not numbers
        else {
            "min": reference.float_or_int(min(map(Fraction, numbers))),
            "max": reference.float_or_int(max(map(Fraction, numbers))),
            "mean": reference.float_or_int(sum(map(Fraction, numbers), Fraction(0)) / len(numbers)),
        },
        "dates": expected_dates(path, values),
        "lengths": None
        if not lengths
        else {"min": min(lengths), "max": max(lengths), "mean": sum(lengths) / len(lengths)},
    }


def counted(path: str, events: list[Event]) -> Counter[Any]:
    """How often each value that is no list occurs; numbers, texts and booleans told apart."""
    found: Counter[Any] = Counter()
    for value in values_at(events, path):
        if path in TIMES:
            us = parse_instant(value)
            assert us is not None
            found["string", instant(us)] += 1
        elif value is not None and not isinstance(value, list):
            found[type_of(path, value), Fraction(value) if reference.is_number(value) else value] += 1
    return found


def check(found: Any, events: list[Event], top: int) -> None:
    assert found["events"] == len(events)
    times = sorted(map(reference.time_of, events))
    assert (found["first"], found["last"]) == (
        (instant(times[0]), instant(times[-1])) if times else (None, None)
    )
    days = Counter(us - us % DAY_US for us in times)
    assert found["over_time"] == {
        "interval": "daily",
        "counts": [{"start": instant(us), "events": count} for us, count in sorted(days.items())],
    }
    for one in found["properties"]:
        expected = expected_of(one["name"], events)
        assert one["types"] == expected["types"], one
        for name in ("missing", "numbers", "dates", "lengths"):
            assert close(one[name], expected[name]), (one, expected)
        counts = counted(one["name"], events)
        assert one["distinct"] == {"count": len(counts), "exact": True}
        listed = one["top"]["values"]
        assert [pair["count"] for pair in listed] == sorted(counts.values(), reverse=True)[:top]
        shown = [
            (
                type_of("", pair["value"]),
                Fraction(pair["value"]) if reference.is_number(pair["value"]) else pair["value"],
            )
            for pair in listed
        ]
        assert len(set(shown)) == len(shown)
        assert [counts[value] for value in shown] == [pair["count"] for pair in listed]


@checked(250)
@given(
    events=strategies.events_lists(),
    span=strategies.spans(),
    own=strategies.filter_lists,
    forced=strategies.filter_lists,
    top=st.sampled_from([0, 1, 2, 50]),
    seed=st.integers(0, 2**32),
)
def test_a_profile_says_what_the_events_of_its_key_are_like(
    engine: Engine,
    data_folder: Path,
    events: list[Event],
    span: Span,
    own: tuple[Filter, ...],
    forced: tuple[Filter, ...],
    top: int,
    seed: int,
) -> None:
    rng = random.Random(seed)
    source = source_of(events, data_folder, rng, 7 if seed % 10 == 0 else 3)
    found = profiled(source, engine, ProfileQuery("c", span, own, PATHS, top), forced_filters=forced)
    assert [one["name"] for one in found["properties"]] == list(PATHS)
    check(found, reference.select(events, span, (*own, *forced)), top)


def event(number: int, **properties: Any) -> Event:
    at = f"2024-01-{1 + number % 20:02}T00:00:00Z"
    return {"keen": {"timestamp": at, "created_at": at, "id": f"id-{number:05}"}, **properties}


def test_many_distinct_values_are_estimated_and_frequent_ones_found(
    engine: Engine, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts of the values that are shown are exact all the same."""
    monkeypatch.setattr(reading, "DISTINCT_EXACT_MAX", 100)
    often = {"often": 300, "at times": 150, "now and then": 75}
    texts = [text for text, count in often.items() for _ in range(count)]
    events = [
        event(n, text=text, id=f"u{n}", few=n % 3)
        for n, text in enumerate([*texts, *(f"rare {n}" for n in range(200))])
    ]
    source = source_of(events, data_folder, random.Random(1))
    found = profiled(source, engine, ProfileQuery("c", Span(), (), ("few", "id", "text"), 3))
    few, ids, text = found["properties"]
    assert few["distinct"] == {"count": 3, "exact": True}
    assert few["top"]["exact"]
    assert ids["distinct"]["exact"] is text["distinct"]["exact"] is False
    assert 0.8 * len(events) < ids["distinct"]["count"] <= len(events)
    assert ids["top"] == {"values": [], "exact": False}
    assert text["top"]["values"] == [{"value": name, "count": count} for name, count in often.items()]


def test_columns_of_many_values_are_counted_in_parts(
    engine: Engine, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CELLS_MAX", 60)
    events = [event(n, a=n % 9, b=f"b{n % 10}", d=n % 2 == 0, e=n % 40) for n in range(80)]
    source = source_of(events, data_folder, random.Random(4))
    found = profiled(source, engine, ProfileQuery("c", Span(), (), ("a", "b", "d", "e"), 50))
    check(found, events, 50)


def test_long_texts_are_cut_where_they_are_shown(engine: Engine, data_folder: Path) -> None:
    events = [event(0, a="x" * 256), event(1, a="y" * 257), event(2, a="y" * 257)]
    source = source_of(events, data_folder, random.Random(2))
    (one,) = profiled(source, engine, ProfileQuery("c", Span(), (), ("a",), 5))["properties"]
    values = [pair["value"] for pair in one["top"]["values"]]
    assert values == ["y" * 256 + "…", "x" * 256]
    assert one["lengths"] == {"min": 256, "max": 257, "mean": 770 / 3}


@pytest.mark.parametrize(
    ("last", "interval", "starts"),
    [
        ("2024-12-31", "daily", ["2024-01-01", "2024-12-31"]),
        ("2044-12-31", "monthly", ["2024-01-01", "2044-12-01"]),
        ("2524-12-31", "yearly", ["2024-01-01", "2524-01-01"]),
    ],
)
def test_events_far_apart_are_counted_by_month_or_year(
    engine: Engine, data_folder: Path, last: str, interval: str, starts: list[str]
) -> None:
    events = [event(0), event(0)]
    events[1]["keen"] = {**events[1]["keen"], "timestamp": f"{last}T12:00:00Z"}
    source = source_of(events, data_folder, random.Random(3))
    over_time = profiled(source, engine, ProfileQuery("c", Span(), (), (), 5))["over_time"]
    assert over_time == {
        "interval": interval,
        "counts": [{"start": f"{start}T00:00:00.000Z", "events": 1} for start in starts],
    }


def test_a_collection_without_events_has_an_empty_profile(engine: Engine) -> None:
    found = profiled(NOWHERE, engine, ProfileQuery("c", Span(), (), ("a",), 5))
    assert (found["events"], found["first"], found["over_time"]["counts"]) == (0, None, [])
    (one,) = found["properties"]
    assert (one["missing"], one["types"], one["numbers"]) == (None, {}, None)


def test_files_set_aside_are_told(engine: Engine, data_folder: Path) -> None:
    """But not to a key with filters, to which their names would reveal events."""
    events = [event(n, a=n) for n in range(50)]
    source = source_of(events, data_folder, random.Random(5))
    damaged = replace(source, files=source.files[1:], damaged=source.files[:1])
    query = ProfileQuery("c", Span(), (), ("a",), 5)
    found = profiled(damaged, engine, query)
    assert found["complete"] is False
    assert found["damaged_files"] == [source.files[0].name]
    seen = profiled(damaged, engine, query, forced_filters=(Condition("a", Operator.GTE, 0),))
    assert seen["complete"] is False
    assert "damaged_files" not in seen
