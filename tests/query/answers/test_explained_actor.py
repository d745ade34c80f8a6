"""Why an actor did not get further in a funnel: as the reference says, naming the condition that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from query.engine.engine import Engine
from query.language.analyses.behaviour_nodes import Counting, FunnelQuery
from storage.instants import format_instant
from tests.query.answers.test_reference import ask, checked
from tests.query.behaviour.whole_funnel_reference import OrderedFunnel
from tests.query.journeys import journeys, ordered_funnels
from tests.query.support_source import Event

PLAIN: dict[str, Any] = {
    "hold": None,
    "group": None,
    "buckets": None,
    "counting": Counting.ACTORS,
    "session_gap": None,
    "durations": None,
}


@checked(150)
@given(
    collections=journeys(),
    query=ordered_funnels(),
    actor=st.sampled_from(["ann", "ann", "bob", 7, 7.5, True, "nobody"]),
    seed=st.integers(0, 2**32),
)
def test_an_explanation_agrees_with_the_reference(
    engine: Engine,
    data_folder: Path,
    collections: dict[str, list[Event]],
    query: FunnelQuery,
    actor: Any,
    seed: int,
) -> None:
    query = replace(query, **PLAIN, explained=actor)

    told = ask(query, collections, engine, data_folder, seed)["actor"]

    whole = OrderedFunnel(query, collections)
    entry = next((one for one in whole.entries[0] if whole.names[one.actor] == actor), None)
    assert told["actor"] == actor
    assert told["reached"] == (0 if entry is None else entry.furthest + 1)
    counted = {one["counted_for"]: one["timestamp"] for one in told["events"] if one["counted_for"]}
    times = [] if entry is None else [entry.time(at) for at in range(len(query.steps))]
    assert counted == {at + 1: format_instant(us) for at, us in enumerate(times) if us is not None}
    required = [at for at, step in enumerate(query.steps) if not (step.optional or step.inverted)]
    missing = [at + 1 for at in required if at + 1 > told["reached"]]
    assert (told["stopped"] or {}).get("step") == (missing[0] if missing else None)


LIFTS: Mapping[str, Callable[[FunnelQuery, int], FunnelQuery]] = {
    "too_soon": lambda query, at: _with_step(query, at, least_gap=0),
    "gap_too_long": lambda query, at: _with_step(query, at, most_gap=None),
    "window_over": lambda query, at: replace(query, window=None),
    "excluded": lambda query, at: replace(query, exclusions=()),
}
"""The funnel without the condition that is named as the reason."""


def _with_step(query: FunnelQuery, at: int, **changes: Any) -> FunnelQuery:
    steps = list(query.steps)
    steps[at] = replace(steps[at], **changes)
    return replace(query, steps=tuple(steps))


@checked(150)
@given(
    collections=journeys(),
    query=ordered_funnels(),
    actor=st.sampled_from(["ann", "bob"]),
    seed=st.integers(0, 2**32),
)
def test_without_the_condition_that_is_named_its_event_is_not_refused_for_it(
    engine: Engine,
    data_folder: Path,
    collections: dict[str, list[Event]],
    query: FunnelQuery,
    actor: Any,
    seed: int,
) -> None:
    query = replace(query, **PLAIN, explained=actor)
    told = ask(query, collections, engine, data_folder, seed)["actor"]
    stopped = told["stopped"]
    if stopped is None or stopped["reason"] not in LIFTS:
        return

    lifted = LIFTS[stopped["reason"]](query, stopped["step"] - 1)
    again = ask(lifted, collections, engine, data_folder, seed)["actor"]

    assert again["reached"] >= told["reached"]
    if again["reached"] == told["reached"]:
        assert again["stopped"]["reason"] != stopped["reason"]
