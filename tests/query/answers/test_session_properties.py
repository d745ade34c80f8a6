"""Filters and groups by an event's session answer as if the events had its properties themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from query.engine.engine import Engine
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.nodes import (
    AnyOf,
    Condition,
    ExtractionQuery,
    Filter,
    Group,
    MetricQuery,
    Operator,
    Row,
    Selection,
    SessionDefinition,
    SessionProperty,
    Span,
)
from storage.instants import format_instant
from tests.query import reference, strategies
from tests.query.answers.test_reference import ask, checked, close
from tests.query.behaviour.session_properties_reference import Collections, enriched, plain
from tests.query.support_source import Event

HOUR_US = strategies.HOUR_US
DAY_US = 24 * HOUR_US
ALWAYS = 10_000 * HOUR_US
PAGES = [path for path in strategies.PATHS if not path.startswith("keen.")]
ACTORS = st.sampled_from(["x", "x", "y", 1, None])
KINDS = ["a", "ab", "b", 2]
BEYOND = (SessionProperty.NUMBER, SessionProperty.UNFINISHED)
"""Properties that depend on the timeframe."""


@st.composite
def visits(draw: st.DrawFn, max_size: int) -> list[Event]:
    """Events of few actors, close to each other, many of them at the same time."""
    made = draw(st.lists(st.tuples(ACTORS, st.integers(0, 12), st.sampled_from(KINDS)), max_size=max_size))
    return [
        {
            **({} if actor is None else {"u": {"id": actor}}),
            "a": kind,
            "keen": {
                "timestamp": format_instant(strategies.BASE_US + step * HOUR_US // 2),
                "created_at": format_instant(strategies.BASE_US + number),
                "id": f"{number:024x}",
            },
        }
        for number, (actor, step, kind) in enumerate(made)
    ]


@st.composite
def histories(draw: st.DrawFn) -> Collections:
    if draw(st.integers(0, 2)) == 0:
        return {"c": draw(strategies.events_lists()), "d": draw(strategies.events_lists(6))}
    return {"c": draw(visits(14)), "d": draw(visits(6))}


@st.composite
def filters_of_kinds(draw: st.DrawFn) -> tuple[Condition, ...]:
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=2, unique=True))
    return tuple(Condition("a", Operator.NE, kind) for kind in kinds)


@st.composite
def definitions(draw: st.DrawFn, margins: st.SearchStrategy[int]) -> SessionDefinition:
    actor = draw(st.sampled_from(["u.id"] * 6 + ["a", "keen.timestamp", "absent"]))
    events = tuple(
        Selection(collection, actor, Span(), draw(st.one_of(filters_of_kinds(), strategies.filter_lists)))
        for collection in draw(st.lists(st.sampled_from(["c", "c", "d"]), min_size=1, max_size=3))
    )
    longest = draw(st.none() | st.integers(0, 12).map(lambda quarters: quarters * HOUR_US // 4))
    zones: list[tzinfo | None] = [None, None, UTC, timezone(timedelta(hours=-3))]
    return SessionDefinition(
        events,
        draw(st.integers(0, 8)) * HOUR_US // 4,
        longest,
        draw(margins),
        draw(st.sampled_from(zones)),
        draw(st.none() | st.sampled_from(PAGES)),
    )


def cuts_of(definition: SessionDefinition) -> tuple[int, ...]:
    """Some midnights before all events, and some after them."""
    if definition.midnights is None:
        return ()
    offset = definition.midnights.utcoffset(None)
    assert offset is not None
    first = (strategies.BASE_US // DAY_US - 3) * DAY_US - offset // timedelta(microseconds=1)
    return tuple(first + day * DAY_US for day in range(8))


def of_session(
    draw: Any, item: Filter, definition: SessionDefinition, names: list[SessionProperty]
) -> Filter:
    """The filter, or one of the same operator by a property of sessions."""
    if isinstance(item, AnyOf):
        return AnyOf(tuple(of_session(draw, one, definition, names) for one in item.operands))
    if item.operator is Operator.WITHIN or draw(st.integers(0, 3)) == 0:
        return item
    path = draw(st.sampled_from(names)).path
    operand = item.operand
    if isinstance(operand, Row):
        operand = Row(replace(operand.group, path=path, session=definition), operand.value)
    elif item.operator not in (Operator.EXISTS, Operator.REGEX, Operator.IN) and draw(st.booleans()):
        quarters: int = draw(st.integers(0, 6))
        operand = quarters * 900 if path == SessionProperty.DURATION.path else quarters
    return Condition(path, item.operator, operand, definition)


def group_of_session(draw: Any, group: Group, definition: SessionDefinition, path: str) -> Group:
    return replace(group, path=path, session=definition) if draw(st.booleans()) else group


@checked(500)
@given(
    collections=histories(),
    query=strategies.metric_queries(),
    definition=definitions(st.integers(0, 8).map(lambda quarters: quarters * HOUR_US // 4)),
    data=st.data(),
    seed=st.integers(0, 2**32),
)
def test_analyses_answer_as_if_events_had_the_properties(
    engine: Engine,
    data_folder: Path,
    collections: Collections,
    query: MetricQuery,
    definition: SessionDefinition,
    data: st.DataObject,
    seed: int,
) -> None:
    names = list(SessionProperty)
    paths = data.draw(st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True))
    query = replace(
        query,
        filters=tuple(of_session(data.draw, one, definition, names) for one in query.filters),
        groups=tuple(
            group_of_session(data.draw, group, definition, name.path)
            for group, name in zip(query.groups, paths, strict=False)
        ),
        order=(),
        limit=None,
    )
    expected_of = replace(
        query,
        filters=tuple(map(plain, query.filters)),
        groups=tuple(replace(group, session=None) for group in query.groups),
    )
    having = enriched(collections, definition, query.span, cuts_of(definition))

    found = ask(query, collections, engine, data_folder, seed)["result"]

    expected = reference.metrics(expected_of, having["c"])
    assert close(found, expected), (found, expected)


@checked(300)
@given(
    collections=histories(),
    query=strategies.extractions(),
    definition=definitions(st.integers(0, 8).map(lambda quarters: quarters * HOUR_US // 4)),
    data=st.data(),
    seed=st.integers(0, 2**32),
)
def test_extractions_keep_the_events_whose_sessions_match(
    engine: Engine,
    data_folder: Path,
    collections: Collections,
    query: ExtractionQuery,
    definition: SessionDefinition,
    data: st.DataObject,
    seed: int,
) -> None:
    names = list(SessionProperty)
    named = data.draw(strategies.conditions())
    filters = tuple(of_session(data.draw, one, definition, names) for one in (named, *query.filters))
    query = replace(query, filters=filters, properties=("keen.id", "keen.timestamp"))
    having = enriched(collections, definition, query.span, cuts_of(definition))

    found = ask(query, collections, engine, data_folder, seed)["result"]

    expected = reference.extraction(replace(query, filters=tuple(map(plain, filters))), having["c"])
    assert [one["keen"]["timestamp"] for one in found] == [one["keen"]["timestamp"] for one in expected]
    if query.latest is None:
        assert sorted(one["keen"]["id"] for one in found) == sorted(one["keen"]["id"] for one in expected)


@checked(200)
@given(
    collections=histories(),
    query=strategies.funnels(),
    definition=definitions(st.just(ALWAYS)),
    data=st.data(),
    seed=st.integers(0, 2**32),
)
def test_steps_of_funnels_take_the_events_whose_sessions_match(
    engine: Engine,
    data_folder: Path,
    collections: Collections,
    query: FunnelQuery,
    definition: SessionDefinition,
    data: st.DataObject,
    seed: int,
) -> None:
    names = [one for one in SessionProperty if one not in BEYOND]
    steps = tuple(
        replace(step, filters=tuple(of_session(data.draw, one, definition, names) for one in step.filters))
        for step in query.steps
    )
    having = enriched(collections, definition, Span(), cuts_of(definition))
    plain_steps = tuple(replace(step, filters=tuple(map(plain, step.filters))) for step in steps)

    body = ask(replace(query, steps=steps), collections, engine, data_folder, seed)

    counts, _ = reference.funnel(replace(query, steps=plain_steps), having)
    assert body["result"] == counts
