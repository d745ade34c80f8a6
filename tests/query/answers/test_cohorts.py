"""Filters and groups by cohorts give what a slow evaluator finds, in every kind of question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from query.engine.engine import Engine
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.nodes import (
    Analysis,
    Condition,
    ExtractionQuery,
    Filter,
    Group,
    Metric,
    MetricQuery,
    Operator,
    Row,
)
from tests.query import reference, strategies
from tests.query.answers.test_reference import ask, checked, close
from tests.query.support_source import Event

Collections = dict[str, list[Event]]
both = st.fixed_dictionaries({"c": strategies.events_lists(), "d": strategies.events_lists(8)})
seeds = st.integers(0, 2**32)


@contextmanager
def _cohorts_of(events: Collections) -> Iterator[None]:
    token = reference.COHORT_EVENTS.set(events)
    try:
        yield
    finally:
        reference.COHORT_EVENTS.reset(token)


@checked(400)
@given(events=both, condition=strategies.memberships(), seed=seeds)
def test_a_filter_by_a_cohort_keeps_the_events_of_its_actors(
    engine: Engine, data_folder: Path, events: Collections, condition: Condition, seed: int
) -> None:
    query = ExtractionQuery("c", filters=(condition,), properties=("keen.id",))

    found = ask(query, events, engine, data_folder, seed)["result"]

    with _cohorts_of(events):
        expected = reference.extraction(query, events["c"])
    assert sorted(event["keen"]["id"] for event in found) == sorted(event["keen"]["id"] for event in expected)


@checked(300)
@given(
    events=both,
    query=strategies.metric_queries(),
    conditions=st.lists(strategies.memberships(), max_size=2),
    group=st.none() | strategies.cohort_groups(),
    seed=seeds,
)
def test_analyses_filtered_and_grouped_by_cohorts(
    engine: Engine,
    data_folder: Path,
    events: Collections,
    query: MetricQuery,
    conditions: list[Condition],
    group: Group | None,
    seed: int,
) -> None:
    metrics = (Metric(Analysis.COUNT), Metric(Analysis.COUNT_UNIQUE, "u.id", label="other"))
    groups = query.groups if group is None else (*query.groups[:1], group)
    query = replace(
        query,
        metrics=(replace(metrics[0], label="total"), metrics[1]),
        multi=True,
        groups=groups,
        filters=(*query.filters, *conditions),
        order=(),
        limit=None,
    )

    found = ask(query, events, engine, data_folder, seed)["result"]

    with _cohorts_of(events):
        expected = reference.metrics(query, events["c"])
    assert close(found, expected), (found, expected)


@checked(200)
@given(
    events=both,
    query=strategies.funnels(),
    condition=strategies.memberships(),
    at=st.integers(0, 4),
    seed=seeds,
)
def test_funnels_whose_steps_are_filtered_by_cohorts(
    engine: Engine,
    data_folder: Path,
    events: Collections,
    query: FunnelQuery,
    condition: Condition,
    at: int,
    seed: int,
) -> None:
    steps = tuple(
        replace(step, filters=(*step.filters, condition)) if number == at % len(query.steps) else step
        for number, step in enumerate(query.steps)
    )
    query = replace(query, steps=steps)

    body: Any = ask(query, events, engine, data_folder, seed)

    with _cohorts_of(events):
        counts, actors = reference.funnel(query, events)
    assert body["result"] == counts
    for step, listed, expected in zip(steps, body.get("actors", [None] * 5), actors, strict=False):
        if step.with_actors:
            assert len(listed) == len(expected)


@checked(150)
@given(events=both, group=strategies.cohort_groups(), seed=seeds)
def test_the_events_behind_a_row_of_a_group_by_a_cohort_are_as_many_as_it_counts(
    engine: Engine, data_folder: Path, events: Collections, group: Group, seed: int
) -> None:
    counted = MetricQuery("c", (Metric(Analysis.COUNT),), groups=(group,))

    rows = ask(counted, events, engine, data_folder, seed)["result"]

    assert sum(row["result"] for row in rows) == len(events["c"])
    for row in rows:
        behind: Filter = Condition(group.actor, Operator.IN_GROUP, Row(group, row[group.path]))
        found = ask(ExtractionQuery("c", filters=(behind,)), events, engine, data_folder, seed)["result"]
        assert len(found) == row["result"], row
