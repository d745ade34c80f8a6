"""Answers equal those of a slow evaluator in plain Python, over files, tails and mixtures of both."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query import json_encoding
from query.answers.behaviour import active_periods
from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.language.analyses.activity import LIFECYCLE_LABELS
from query.language.analyses.activity_nodes import ActiveDaysQuery, ActivePeriodsQuery, LifecycleQuery
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.analyses.retention_nodes import RetentionQuery
from query.language.nodes import (
    Analysis,
    Condition,
    ExtractionQuery,
    Filter,
    Metric,
    MetricQuery,
    Operator,
    ParsedQuery,
    Row,
    Span,
)
from query.limits import Limits
from storage.instants import format_instant
from storage.source import NOWHERE
from tests.query import reference, strategies
from tests.query.behaviour.whole_funnel_reference import OrderedFunnel
from tests.query.journeys import journeys, ordered_funnels
from tests.query.support_source import Event, read, source_of
from tests.support.scale import examples

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
COUNT = (Metric(Analysis.COUNT),)


def checked(number: int) -> settings:
    return settings(
        max_examples=examples(number), deadline=None, suppress_health_check=QUIET, derandomize=False
    )


@contextmanager
def _read_by(bits: int) -> Iterator[None]:
    """In which periods an actor is active is read as words of so many bits; 0: event by event."""
    with (
        patch.object(active_periods, "WORD_BITS", bits or 1),
        patch.object(active_periods, "WORDS_MAX", 100 if bits else 0),
    ):
        yield


def ask(
    query: Any, collections: dict[str, list[Event]], engine: Engine, folder: Path, seed: int, **more: Any
) -> Any:
    rng = random.Random(seed)
    sources = {
        name: source_of(events, folder, rng, 7 if seed % 10 == 0 else 3)
        for name, events in collections.items()
    }
    return read(
        answer(ParsedQuery(query), lambda name: sources.get(name, NOWHERE), engine, limits=Limits(), **more)
    )


def close(left: Any, right: Any) -> bool:
    """Equal, floats up to rounding, types of JSON told apart; ``...`` is anything."""
    if right is ...:
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(close(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(close, left, right))
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        if isinstance(left, int) and isinstance(right, int):
            return left == right
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)


def blocks(query: MetricQuery, *results: Any) -> list[tuple[Any, ...]]:
    """The rows of groups of each result, one tuple for each interval."""
    if query.buckets is None:
        return [results]
    assert close(*([one["timeframe"] for one in result] for result in results[:2]))
    return [tuple(one["value"] for one in same) for same in zip(*results, strict=True)]


def are_among(rows: list[Any], candidates: list[Any]) -> bool:
    """Whether each row is close to a candidate of its own."""
    left = list(candidates)
    for row in rows:
        index = next((number for number, one in enumerate(left) if close(row, one)), None)
        if index is None:
            return False
        del left[index]
    return True


@checked(400)
@given(events=strategies.events_lists(), condition=strategies.conditions(), seed=st.integers(0, 2**32))
def test_every_filter_operator_keeps_the_events_that_the_reference_keeps(
    engine: Engine, data_folder: Path, events: list[Event], condition: Filter, seed: int
) -> None:
    query = ExtractionQuery("c", filters=(condition,), properties=("keen.id",))

    found = ask(query, {"c": events}, engine, data_folder, seed)["result"]

    expected = reference.extraction(query, events)
    assert sorted(event["keen"]["id"] for event in found) == sorted(event["keen"]["id"] for event in expected)


@checked(500)
@given(events=strategies.events_lists(), query=strategies.metric_queries(), seed=st.integers(0, 2**32))
def test_every_analysis_grouped_ordered_and_in_intervals_gives_the_answer_of_the_reference(
    engine: Engine, data_folder: Path, events: list[Event], query: MetricQuery, seed: int
) -> None:
    found = ask(query, {"c": events}, engine, data_folder, seed)["result"]

    expected = reference.metrics(query, events)
    inexact = {
        metric.label or "result"
        for metric in query.metrics
        if "average" in metric.analysis or "deviation" in metric.analysis
    }
    if not any(order.by in inexact for order in query.order):
        assert close(found, expected), (found, expected)
        return
    # Groups whose averages differ by less than the tolerance may stand, and be cut, in either order.
    everything = reference.metrics(replace(query, limit=None), events)
    for rows, sorted_rows, candidates in blocks(query, found, expected, everything):
        first = query.order[0].by
        assert close([row[first] for row in rows], [row[first] for row in sorted_rows]), (found, expected)
        assert are_among(rows, candidates), (found, everything)


@checked(300)
@given(
    events=strategies.events_lists(),
    query=strategies.metric_queries(),
    place=st.integers(0, 2**16),
    seed=st.integers(0, 2**32),
)
def test_the_events_behind_a_cell_are_as_many_as_it_counts(
    engine: Engine, data_folder: Path, events: list[Event], query: MetricQuery, place: int, seed: int
) -> None:
    """The same timeframe or interval, the same filters, and the row's value of each group."""
    query = replace(query, metrics=COUNT, multi=False, order=(), limit=None)
    found = ask(query, {"c": events}, engine, data_folder, seed)["result"]
    cells = [
        (span, row)
        for span, block in _spans(query, found)
        for row in (block if query.groups else [{"result": block}])
    ]
    if not cells:
        return
    span, row = cells[place % len(cells)]
    rows = tuple(Condition(one.path, Operator.IN_GROUP, Row(one, row[one.path])) for one in query.groups)

    behind = ask(
        ExtractionQuery("c", span, (*query.filters, *rows)), {"c": events}, engine, data_folder, seed
    )

    assert len(behind["result"]) == row["result"], (row, behind)


def _spans(query: MetricQuery, found: Any) -> list[tuple[Span, Any]]:
    if query.buckets is None:
        return [(query.span, found)]
    return [
        (Span(start, end), one["value"])
        for (start, end), one in zip(pairwise(query.buckets.edges), found, strict=True)
    ]


@checked(200)
@given(
    events=strategies.events_lists(),
    others=strategies.events_lists(5),
    query=strategies.funnels(),
    seed=st.integers(0, 2**32),
)
def test_funnels_intersect_sets_of_actors_whatever_the_order_of_events(
    engine: Engine, data_folder: Path, events: list[Event], others: list[Event], query: FunnelQuery, seed: int
) -> None:
    collections = {"c": events, "d": others}

    body = ask(query, collections, engine, data_folder, seed)

    counts, actors = reference.funnel(query, collections)
    assert body["result"] == counts
    assert body["steps"] == [step.echo for step in query.steps]
    if any(step.with_actors for step in query.steps):
        wanted = [
            listed if step.with_actors else None for step, listed in zip(query.steps, actors, strict=True)
        ]
        assert close(body["actors"], wanted)
    else:
        assert "actors" not in body


@checked(500)
@given(collections=journeys(), query=ordered_funnels(), seed=st.integers(0, 2**32))
def test_ordered_funnels_follow_the_events_of_each_actor(
    engine: Engine, data_folder: Path, collections: dict[str, list[Event]], query: FunnelQuery, seed: int
) -> None:
    body = ask(query, collections, engine, data_folder, seed)

    assert body.pop("steps") == [step.echo for step in query.steps]
    token = reference.COHORT_EVENTS.set(collections)
    expected = OrderedFunnel(query, collections).body()
    reference.COHORT_EVENTS.reset(token)
    assert close(dict(sorted(body.items())), dict(sorted(expected.items())))


@checked(300)
@given(
    events=strategies.events_lists(),
    others=strategies.events_lists(5),
    query=strategies.retentions(),
    bits=st.sampled_from([0, 2, 62]),
    seed=st.integers(0, 2**32),
)
def test_retention_counts_who_comes_back_as_the_reference_does(
    engine: Engine,
    data_folder: Path,
    events: list[Event],
    others: list[Event],
    query: RetentionQuery,
    bits: int,
    seed: int,
) -> None:
    collections = {"c": events, "d": others}

    with _read_by(bits):
        body = ask(query, collections, engine, data_folder, seed)

    starts = [format_instant(one.start_us) for one in query.cohorts]
    name = None if query.group is None else query.group.path
    found = {}
    for row in body["result"]:
        number = starts.index(row["timeframe"]["start"])
        if row["size"]:
            key = json.dumps(row[name]) if name is not None else "null"
            found[key, number] = row["size"], [count or 0 for count in row["retained"]]
        assert row["rates"] == [count / row["size"] if count is not None and row["size"] else None
                                for count in row["retained"]]  # fmt: skip
        assert row["unfinished"] == [at >= query.cohorts[number].ended for at in range(len(query.columns))]
    expected = reference.retention(query, collections)
    assert found == {
        (json.dumps(group), number): (size, counts) for (group, number), (size, counts) in expected.items()
    }
    _check_summary(query, body, name)


def _check_summary(query: RetentionQuery, body: Any, name: str | None) -> None:
    summaries = body["summary"] if name is not None else [body["summary"]]
    assert len(summaries) == (len({json.dumps(row[name]) for row in body["result"]}) if name else 1)
    for summary in summaries:
        rows = [row for row in body["result"] if name is None or row[name] == summary[name]]
        for at, size in enumerate(summary["sizes"]):
            ended = [row for row in rows if not row["unfinished"][at]]
            assert size == sum(row["size"] for row in ended)
            assert summary["retained"][at] == sum(row["retained"][at] or 0 for row in ended)


@checked(300)
@given(
    events=strategies.events_lists(),
    others=strategies.events_lists(5),
    query=strategies.lifecycles(),
    bits=st.sampled_from([0, 2, 62]),
    seed=st.integers(0, 2**32),
)
def test_lifecycle_finds_the_states_of_the_reference(
    engine: Engine,
    data_folder: Path,
    events: list[Event],
    others: list[Event],
    query: LifecycleQuery,
    bits: int,
    seed: int,
) -> None:
    collections = {"c": events, "d": others}

    with _read_by(bits):
        found = ask(query, collections, engine, data_folder, seed)["result"]

    expected = reference.lifecycle(query, collections)
    names = [group.path for group in query.groups]
    edges = query.buckets.edges
    assert [row["timeframe"]["start"] for row in found] == [format_instant(edge) for edge in edges[:-1]]
    for number, interval in enumerate(found):
        states: dict[str, list[int | None]] = {}
        states |= {json.dumps(group): [*rows[number]] for group, rows in expected.items()}
        if number >= query.begun:
            states = {group: [*counts[:3], None] for group, counts in states.items()}
        rows = interval["value"] if names else [interval["value"]]
        shown = {
            json.dumps([row[name] for name in names]): [row[label] for label in LIFECYCLE_LABELS]
            for row in rows
        }
        if query.limit is None:
            assert len(shown) == len(rows)
            least = {group: counts for group, counts in states.items() if any(counts)}
            assert least.items() <= shown.items() <= states.items()
            if query.zero_fill:
                assert shown == states
        else:
            assert shown.items() <= states.items()
        for order in query.order:
            sizes = [row[order.by] for row in rows if row[order.by] is not None]
            if order.by in LIFECYCLE_LABELS:
                assert sizes == sorted(sizes, reverse=order.descending)


@checked(200)
@given(
    events=strategies.events_lists(),
    others=strategies.events_lists(5),
    days=strategies.active_days(),
    periods=strategies.active_periods(),
    bits=st.sampled_from([0, 2, 62]),
    seed=st.integers(0, 2**32),
)
def test_stickiness_counts_the_actors_of_the_reference(
    engine: Engine,
    data_folder: Path,
    events: list[Event],
    others: list[Event],
    days: ActiveDaysQuery,
    periods: ActivePeriodsQuery,
    bits: int,
    seed: int,
) -> None:
    collections = {"c": events, "d": others}

    with _read_by(bits):
        found = ask(days, collections, engine, data_folder, seed)["result"]
        counted = ask(periods, collections, engine, data_folder, seed)["result"]

    for number, (row, counts) in enumerate(zip(found, reference.active_days(days, collections), strict=True)):
        value, (day, week, month) = row["value"], counts
        if number >= days.begun:
            assert set(value.values()) == {None}
            continue
        assert [value["dau"], value["wau"], value["mau"]] == counts
        ratios = [(day, week), (day, month), (week, month)]
        assert [value["dau_wau"], value["dau_mau"], value["wau_mau"]] == [
            part / whole if whole else None for part, whole in ratios
        ]
    expected = reference.active_periods(periods, collections)
    assert counted == [{"periods": at, "result": count} for at, count in enumerate(expected, 1)]


@checked(300)
@given(events=strategies.events_lists(), query=strategies.extractions(), seed=st.integers(0, 2**32))
def test_an_extraction_gives_the_events_back_as_they_were_sent(
    engine: Engine, data_folder: Path, events: list[Event], query: ExtractionQuery, seed: int
) -> None:
    found = ask(query, {"c": events}, engine, data_folder, seed)["result"]

    whole = reference.extraction(ExtractionQuery("c", query.span, query.filters), events)
    times = [event["keen"]["timestamp"] for event in whole]
    assert len(found) == len(whole[: query.latest])
    left = [
        reference.pick(event, query.properties)
        for event in whole
        if event["keen"]["timestamp"] >= (times[len(found) - 1] if found else "")
    ]
    for event in json.loads(json_encoding.dumps(found)):
        index = next(i for i, one in enumerate(left) if close(sorted_keys(event), sorted_keys(one)))
        del left[index]
    if query.properties is None:
        assert [event["keen"]["timestamp"] for event in found] == times[: len(found)]


@checked(100)
@given(
    events=strategies.events_lists(),
    query=st.one_of(
        strategies.metric_queries(),
        strategies.funnels(),
        strategies.retentions(),
        strategies.lifecycles(),
        strategies.active_days(),
        strategies.active_periods(),
        strategies.sessions_queries(),
        strategies.paths_queries(),
        strategies.extractions(),
    ),
    forced=strategies.filter_lists,
    seed=st.integers(0, 2**32),
)
def test_a_keys_filters_give_the_answer_over_events_already_filtered(
    engine: Engine, data_folder: Path, events: list[Event], query: Any, forced: tuple[Filter, ...], seed: int
) -> None:
    for number, event in enumerate(events):
        # No two at one time, so that it is certain which rows come, and in which order.
        event["keen"]["timestamp"] = format_instant(reference.time_of(event) + number)
    kept = [event for event in events if all(reference.matches(event, item) for item in forced)]
    narrowed = ask(query, {"c": events}, engine, data_folder, seed, forced_filters=forced)

    whole = ask(query, {"c": kept}, engine, data_folder, seed)

    if isinstance(query, ExtractionQuery):
        narrowed, whole = sorted_keys(narrowed), sorted_keys(whole)
    assert close(narrowed, whole), (narrowed, whole)


def sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value
