"""Questions about actors with several ids: as if each event had been sent with the id that stands for all."""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.errors import QueryLimitExceeded
from query.language.cohorts.naming import no_saved
from query.language.nodes import Condition, Filter, Operator
from query.language.parse import parse
from query.language.preferences import Preferences
from query.limits import Limits
from query.plan.actors import ALIAS, ANONYMOUS, IDENTITIES, USER
from storage.instants import format_instant
from storage.source import NOWHERE, Source
from tests.query.answers.test_reference import checked
from tests.query.identities_reference import People
from tests.query.support_source import Event, read, source_of

BASE_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
IDS = ["a", "b", "c", "ann", "bob", "A", 1, 2, 2.5, 7]
NO_IDS: list[Any] = ["", True, None, ["a"], 2**60 + 1]
FRAME = {"start": format_instant(BASE_US - HOUR_US), "end": format_instant(BASE_US + 90 * HOUR_US)}
NUMBERS = itertools.count(1)
Json = dict[str, Any]


def _event(number: int, time: int, **more: Any) -> Event:
    at = format_instant(BASE_US + time * HOUR_US)
    return {**more, "keen": {"id": f"{number:04}", "timestamp": at, "created_at": at}}


@st.composite
def statements(draw: st.DrawFn) -> list[Event]:
    """Some at one time, some said again, some late: their time is before that of their arrival."""
    ids = st.sampled_from(IDS) | st.sampled_from([*IDS, *NO_IDS])
    found = []
    for number in range(draw(st.integers(0, 12))):
        told = draw(
            st.sampled_from([(ANONYMOUS, USER)] * 4 + [(ALIAS, USER), (ANONYMOUS, ALIAS, USER), (USER,)])
        )
        event = _event(number, draw(st.integers(0, 6)), **{name: draw(ids) for name in told})
        event["keen"]["timestamp"] = format_instant(BASE_US - draw(st.integers(0, 2)) * HOUR_US)
        found.append(event)
    return found


@st.composite
def visits(draw: st.DrawFn) -> list[Event]:
    whose = st.sampled_from([*IDS, *IDS, *NO_IDS]) | st.lists(st.sampled_from([*IDS, True]), max_size=3)
    return [
        _event(
            number,
            draw(st.integers(0, 80)),
            who=draw(whose),
            kind=draw(st.integers(0, 2)),
            page=draw(st.sampled_from(["x", "y"])),
        )
        for number in range(draw(st.integers(0, 20)))
    ]


def _step(kind: int, **more: Any) -> Json:
    of_kind = {"property_name": "kind", "operator": "eq", "property_value": kind}
    return {"event_collection": "c", "filters": [of_kind], **more}


_STEPS = [_step(0, with_actors=True), _step(1, with_actors=True), _step(2, optional=True)]
_C: Json = {"event_collection": "c", "timeframe": FRAME}
_ORDERED = {"steps": _STEPS, "order": "ordered", "timeframe": FRAME, "actor_property": "who"}
QUESTIONS: list[tuple[str, Json]] = [
    ("funnel", {"steps": _STEPS, "timeframe": FRAME, "actor_property": "who"}),
    ("funnel", {"steps": _STEPS[:2], "actor_property": "who"}),
    ("funnel", {**_ORDERED, "times": True}),
    ("funnel", {**_ORDERED, "counting": "conversions", "steps": _STEPS[:2]}),
    ("funnel", {**_ORDERED, "group_by": "page", "window": "1_days"}),
    (
        "retention",
        {
            "starting_event": _step(0),
            "returning_event": _step(1),
            "interval": "daily",
            "timeframe": FRAME,
            "actor_property": "who",
        },
    ),
    ("retention", {"starting_event": {"event_collection": "c"}, "interval": "daily", "timeframe": FRAME}),
    ("lifecycle", {**_C, "interval": "daily"}),
    ("lifecycle", {**_C, "interval": "daily", "group_by": "page"}),
    ("stickiness", _C),
    ("stickiness", {**_C, "histogram": True}),
    ("sessions", {**_C, "gap": "2_hours", "page_property": "page"}),
    ("paths", {**_C, "by": "page", "depth": 3}),
    ("count_unique", {**_C, "target_property": "who"}),
    ("count_unique", {**_C, "target_property": "who", "group_by": "page", "interval": "daily"}),
    ("select_unique", {"event_collection": "c", "target_property": "who"}),
    (
        "multi_analysis",
        {**_C, "analyses": {"n": {"analysis_type": "count_unique", "target_property": "who"}}},
    ),
    (
        "series",
        {
            "timeframe": FRAME,
            "interval": "daily",
            "rolling": {"n": 2},
            "series": {
                "n": {"event_collection": "c", "analysis_type": "count_unique", "target_property": "who"}
            },
        },
    ),
]


_OFTEN: Json = {"actor_property": "who", "all": [{**_C, "at_least": 2}]}
_NOT_YET: Json = {
    "actor_property": "who",
    "all": [{"in_cohort": _OFTEN}, {"event_collection": "c", "filters": _STEPS[0]["filters"], "at_most": 0}],
}
_LOST: Json = {"funnel": {"steps": [_step(0), _step(1)], "dropped": True, "order": "ordered"}}
_LISTED: Json = {"actor_property": "who", "actors": ["a", "ann", 1, 7, True]}
_EITHER: Json = {"actor_property": "who", "any": [{"in_cohort": _LISTED}, {"in_cohort": _LOST}]}
OF_COHORTS = [
    (analysis, {**params, "filters": [{"operator": operator, "property_value": cohort}]})
    for cohort in (_OFTEN, _NOT_YET, _LOST, _LISTED, _EITHER)
    for operator in ("in_cohort", "not_in_cohort")
    for analysis, params in (("count", _C), ("select_unique", {**_C, "target_property": "who"}))
]


def with_actors(params: Any, people: People) -> Any:
    """With what stands for the actors that are listed."""
    if isinstance(params, list):
        return [with_actors(one, people) for one in params]
    if not isinstance(params, dict):
        return params
    return {
        name: [people.actor(one) for one in value] if name == "actors" else with_actors(value, people)
        for name, value in params.items()
    }


def ask(
    analysis: str, params: Json, sources: dict[str, Source], engine: Engine, *filters: Filter, **limits: int
) -> Any:
    parsed = parse(
        analysis,
        params,
        now_us=BASE_US + 100 * HOUR_US,
        limits=Limits(),
        preferences=Preferences(actor="who"),
        find_cohort=no_saved,
    )
    of = lambda name: sources.get(name, NOWHERE)  # noqa: E731
    return read(answer(parsed, of, engine, limits=Limits(**limits), forced_filters=filters))


def sources_of(
    collections: dict[str, list[Event]], folder: Path, seed: int, number: int | None = None
) -> dict[str, Source]:
    """``number``: the id of the collection of identities, by default one that was never used."""
    rng = random.Random(seed)
    own = next(NUMBERS) if number is None else number
    return {
        name: replace(source_of(events, folder, rng), collection_id=own if name == IDENTITIES else 0)
        for name, events in collections.items()
        if events
    }


def rewritten(events: list[Event], people: People) -> list[Event]:
    changed = copy.deepcopy(events)
    for event in changed:
        event["who"] = people.actor(event["who"])
    return changed


@checked(400)
@given(
    said=statements(),
    events=visits(),
    asked=st.sampled_from([*QUESTIONS, *OF_COHORTS]),
    seed=st.integers(0, 2**32),
)
def test_every_question_is_answered_as_if_all_events_had_the_id_that_stands_for_the_actor(
    engine: Engine, data_folder: Path, said: list[Event], events: list[Event], asked: Any, seed: int
) -> None:
    analysis, params = asked
    sources = sources_of({"c": events, IDENTITIES: said}, data_folder, seed)

    merged = ask(analysis, params, sources, engine)

    people = People(said)
    plain = sources_of({"c": rewritten(events, people)}, data_folder, seed)
    assert merged == ask(analysis, {**with_actors(params, people), "identity": "as_sent"}, plain, engine)


@checked(100)
@given(said=statements(), events=visits(), asked=st.sampled_from(QUESTIONS), seed=st.integers(0, 2**32))
def test_as_sent_nothing_is_linked(
    engine: Engine, data_folder: Path, said: list[Event], events: list[Event], asked: Any, seed: int
) -> None:
    analysis, params = asked
    params = {**params, "identity": "as_sent"}
    sources = sources_of({"c": events, IDENTITIES: said}, data_folder, seed)

    assert ask(analysis, params, sources, engine) == ask(
        analysis, params, {name: one for name, one in sources.items() if name == "c"}, engine
    )


@checked(200)
@given(
    said=statements(),
    parts=st.lists(st.integers(0, 12), max_size=3),
    events=visits(),
    seed=st.integers(0, 2**32),
    in_order=st.booleans(),
)
def test_what_arrives_between_two_questions_is_seen_by_the_second(
    engine: Engine,
    data_folder: Path,
    said: list[Event],
    parts: list[int],
    events: list[Event],
    seed: int,
    in_order: bool,
) -> None:
    if in_order:
        said = sorted(said, key=lambda event: event["keen"]["created_at"])
    number = next(NUMBERS)
    for part in (*sorted(parts), len(said)):
        known = said[:part]
        sources = sources_of({"c": events, IDENTITIES: known}, data_folder, seed, number)
        plain = sources_of({"c": rewritten(events, People(known))}, data_folder, seed)
        params = {"event_collection": "c", "target_property": "who"}
        assert ask("select_unique", params, sources, engine) == ask("select_unique", params, plain, engine)


@checked(100)
@given(
    said=statements(),
    events=visits(),
    asked=st.sampled_from([("select_unique", {"event_collection": "c", "target_property": "who"})]),
    seed=st.integers(0, 2**32),
)
def test_a_key_with_filters_sees_the_links_of_the_events_that_it_sees(
    engine: Engine, data_folder: Path, said: list[Event], events: list[Event], asked: Any, seed: int
) -> None:
    analysis, params = asked
    for number, event in enumerate([*said, *events]):
        event["site"] = number % 2
    seen = Condition("site", Operator.EQ, 0)
    sources = sources_of({"c": events, IDENTITIES: said}, data_folder, seed)

    found = ask(analysis, params, sources, engine, seen)

    own, own_said = ([event for event in listed if event["site"] == 0] for listed in (events, said))
    plain = sources_of({"c": rewritten(own, People(own_said))}, data_folder, seed)
    assert found == ask(analysis, params, plain, engine)


@pytest.mark.parametrize("asked", ["a", "ann", "bob"])
def test_an_actor_is_explained_by_any_of_its_ids(engine: Engine, data_folder: Path, asked: str) -> None:
    said = [
        _event(1, 0, anonymous_id="a", user_id="ann"),
        _event(2, 1, alias="bob", user_id="ann"),
    ]
    events = [_event(1, 1, who="a", kind=0), _event(2, 2, who="bob", kind=1)]
    sources = sources_of({"c": events, IDENTITIES: said}, data_folder, 1)

    told = ask("funnel", {**_ORDERED, "steps": _STEPS[:2], "explain_actor": asked}, sources, engine)

    assert told["actor"]["actor"] == "ann"
    assert told["actor"]["reached"] == 2
    assert told["actors"] == [["ann"], ["ann"]]


def test_a_shared_device_makes_no_two_users_one(engine: Engine, data_folder: Path) -> None:
    said = [
        _event(1, 0, anonymous_id="tablet", user_id="ann"),
        _event(2, 1, anonymous_id="tablet", user_id="bob"),
    ]
    events = [_event(at, at, who=who) for at, who in enumerate(["tablet", "ann", "bob"])]
    sources = sources_of({"c": events, IDENTITIES: said}, data_folder, 1)
    params = {"event_collection": "c", "target_property": "who"}

    assert ask("select_unique", params, sources, engine)["result"] == ["ann", "bob"]


def test_another_property_is_merged_where_the_question_says_so(engine: Engine, data_folder: Path) -> None:
    said = [_event(1, 0, anonymous_id="a", user_id="ann")]
    events = [_event(1, 1, device="a"), _event(2, 1, device="ann")]
    sources = sources_of({"c": events, IDENTITIES: said}, data_folder, 1)
    params = {"event_collection": "c", "target_property": "device"}

    assert ask("count_unique", params, sources, engine)["result"] == 2
    assert ask("count_unique", {**params, "identity": "merged"}, sources, engine)["result"] == 1


def test_more_statements_than_the_limit_are_an_error(engine: Engine, data_folder: Path) -> None:
    said = [_event(at, at, anonymous_id=f"a{at}", user_id="ann") for at in range(3)]
    sources = sources_of({"c": [_event(1, 1, who="a1")], IDENTITIES: said}, data_folder, 1)
    params = {"event_collection": "c", "target_property": "who"}

    with pytest.raises(QueryLimitExceeded, match="ACUMEN_IDENTITIES_MAX"):
        ask("count_unique", params, sources, engine, identities_max=2)
    assert ask("count_unique", params, sources, engine, identities_max=3)["result"] == 1
