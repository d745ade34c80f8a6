"""Answers computed beforehand equal those of the same question asked with the index values as filters."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from query.answers import precomputed
from query.answers.pipeline import answer
from query.answers.values import loads
from query.engine.engine import Deadline, Engine
from query.language.nodes import Buckets, Condition, MetricQuery, Operator, ParsedQuery, Span
from query.limits import Limits
from storage.instants import format_instant
from storage.source import NOWHERE, Source
from tests.query import strategies
from tests.query.answers.test_reference import checked, close
from tests.query.support_source import Event, leaves, read, source_of

LIMITS = Limits()
PATHS = [*strategies.PATHS, "a", "b", "u", "Price"]


def values_at(events: list[Event], path: str) -> list[Any]:
    """Every value that a filter may name at the path, and some that no event has."""
    found = [value for event in events for name, value in leaves(event) if name == path]
    found += [element for value in found if isinstance(value, list) for element in value]
    scalars = [value for value in found if not isinstance(value, list | dict)]
    return [*{repr(value): value for value in scalars}.values(), None, "nobody", 3.5]


def computed(
    query: MetricQuery, paths: list[str], source: Source, engine: Engine, parts: list[Buckets]
) -> list[dict[bytes, bytes]]:
    """The payloads of each part by their keys."""
    found = []
    for part in parts:
        span = Span(part.edges[0], part.edges[-1])
        pairs = list(
            precomputed.payloads(
                replace(query, span=span, buckets=part),
                paths,
                source,
                engine,
                limits=LIMITS,
                deadline=Deadline.after(60),
            )
        )
        assert len(dict(pairs)) == len(pairs), "a key comes twice"
        found.append(dict(pairs))
    return found


@st.composite
def cut_queries(draw: st.DrawFn) -> tuple[MetricQuery, list[Buckets]]:
    """A question with an interval, and the parts in which its buckets are computed."""
    query = draw(strategies.metric_queries())
    cuts = draw(st.lists(st.integers(0, 42), min_size=2, max_size=8, unique=True).map(sorted))
    edges = tuple(strategies.BASE_US + cut * strategies.HOUR_US // 4 for cut in cuts)
    middle = draw(st.integers(1, len(edges) - 1))
    parts = [edges[: middle + 1], edges[middle:]]
    query = replace(query, span=Span(edges[0], edges[-1]), buckets=Buckets(edges))
    return query, [Buckets(part) for part in parts if len(part) > 1]


@checked(150)
@given(
    events=strategies.events_lists(),
    cut=cut_queries(),
    paths=st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 2**32),
)
def test_every_combination_of_values_has_the_answer_of_the_filtered_question(
    engine: Engine,
    data_folder: Path,
    events: list[Event],
    cut: tuple[MetricQuery, list[Buckets]],
    paths: list[str],
    seed: int,
) -> None:
    query, parts = cut
    rng = random.Random(seed)
    source = source_of(events, data_folder, rng)
    found = computed(query, paths, source, engine, parts)
    assert query.buckets is not None
    places = {start: place for place, start in enumerate(query.buckets.edges[:-1])}
    combinations = list(product(*(values_at(events, path) for path in paths)))
    for values in rng.sample(combinations, min(6, len(combinations))):
        filters = tuple(
            Condition(path, Operator.EQ, value) for path, value in zip(paths, values, strict=True)
        )
        asked = replace(query, filters=(*query.filters, *filters))
        expected = read(answer(ParsedQuery(asked), lambda _: source, engine, limits=LIMITS))["result"]
        key = precomputed.key_of(paths, values)
        payloads = [(part[key], places) for part in found if key in part]
        told = loads(precomputed.arranged(query, payloads, limits=LIMITS).decode())
        unsure = query.order and any(
            "average" in one.analysis or "deviation" in one.analysis for one in query.metrics
        )
        assert unsure or close(told, expected), (values, told, expected)


@checked(60)
@given(events=strategies.events_lists(), cut=cut_queries(), seed=st.integers(0, 2**32))
def test_events_are_counted_in_each_bucket_and_after_the_last(
    engine: Engine,
    data_folder: Path,
    events: list[Event],
    cut: tuple[MetricQuery, list[Buckets]],
    seed: int,
) -> None:
    edges = cut[0].buckets.edges if cut[0].buckets is not None else ()
    source = source_of(events, data_folder, random.Random(seed))
    times = [event["keen"]["timestamp"] for event in events]

    counts = precomputed.event_counts("c", edges, source, engine, Deadline.after(60))

    ends = [format_instant(edge) for edge in edges]
    assert list(counts.buckets) == [
        sum(start <= time < end for time in times) for start, end in pairwise(ends)
    ]
    assert counts.later == sum(time >= ends[-1] for time in times)


def test_nowhere_there_is_nothing(engine: Engine) -> None:
    counts = precomputed.event_counts("c", (0, 1, 2), NOWHERE, engine, Deadline.after(60))
    assert counts == precomputed.EventCounts((0, 0), 0)
