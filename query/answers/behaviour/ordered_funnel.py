"""Funnels whose steps follow each other in time: ``query.behaviour.ordered_funnel`` follows the events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.actor_lists import Actor, lists_of
from query.answers.behaviour.explained_actor import explanation_of
from query.answers.behaviour.funnel import check_actors, echo
from query.answers.behaviour.funnel_outcomes import Entrants, Outcomes, entrants, none_entered, outcomes
from query.answers.behaviour.funnel_times import times_of
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.behaviour.value_texts import Decoder
from query.answers.values import timeframes
from query.behaviour.sequences import Integers
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.language.analyses.behaviour_nodes import Counting, FunnelQuery
from query.limits import Limits
from query.plan.views import Views

Json = dict[str, Any]


def ordered_funnel(query: FunnelQuery, views: Views, runner: Runner, limits: Limits) -> tuple[Json, int]:
    """The answer's body, as of any funnel, and the number of stored events in its timeframes."""
    plan = _planned(query, views, limits)
    entered = _entered(query, plan, runner, limits)
    found, groups = _found(query, plan, entered, runner)
    body = _arranged(query, found, groups, limits)
    body["steps"] = echo(query.steps)
    _list_actors(query, None if entered is None else entered.read, found, body, runner, limits)
    if query.explained is not None:
        body["actor"] = explanation_of(query, views, runner)
    return body, plan.scanned


def actors_and_masks(
    query: FunnelQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[ReadEvents | None, Integers, Integers]:
    """The actors of a funnel by their numbers, and for each the steps that count it, as bits.

    None where nobody did the first step.
    """
    plan = _planned(query, views, limits)
    entered = _entered(query, plan, runner, limits)
    found, _ = _found(query, plan, entered, runner)
    numbers, masks = _masks_of_actors(found)
    return None if entered is None else entered.read, numbers, masks


def _planned(query: FunnelQuery, views: Views, limits: Limits) -> SelectionPlan:
    values = [group for group, _ in query.values_read]
    plan = plan_selections(query.selections, views, timed=True, values=values)
    limits.check_rows(plan.read)
    return plan


def _entered(query: FunnelQuery, plan: SelectionPlan, runner: Runner, limits: Limits) -> Entrants | None:
    """Those who did the first step, with their events; None where there are none."""
    read = read_events(plan, runner) if plan.can_have(0) else None
    if read is None:
        return None
    entered = entrants(query, read)
    check_actors(int(entered.events.doing(0).sum()), limits.funnel_actors_max)
    return entered


def _found(
    query: FunnelQuery, plan: SelectionPlan, entered: Entrants | None, runner: Runner
) -> tuple[list[Outcomes], Callable[[int], Any]]:
    """The outcomes of each interval, or of the whole timeframe; and the value of each group by its code."""
    spans: Sequence[tuple[int, int] | None] = (
        [None] if query.buckets is None else list(pairwise(query.buckets.edges))
    )
    if entered is None:
        return [none_entered(query) for _ in spans], lambda _: None
    found = [outcomes(entered, span, runner) for span in spans]
    if entered.groups is None:
        return found, lambda _: None
    assert query.group is not None
    return found, Decoder(entered.groups, plan.value_parts[0], query.group.ranges).value


def _arranged(
    query: FunnelQuery, found: Sequence[Outcomes], value_of: Callable[[int], Any], limits: Limits
) -> Json:
    """``result``: the counts, by group or interval where the question says so; with ``times``."""
    if query.group is None:
        rows = [_tally(query, one) for one in found]
        values = [{"value": row.pop("result"), **row} for row in rows] if query.buckets else rows
    else:
        coded = [one.groups for one in found if one.groups is not None]
        seen = np.unique(np.concatenate(coded)).tolist() if coded else []
        if len(seen) * len(found) > limits.groups_max:
            raise QueryLimitExceeded(
                f"The funnel has more than {limits.groups_max:,} groups. "
                "Ask for a shorter timeframe, or filter."
            )
        grouped = [
            [{query.group.path: value_of(group), **_tally(query, one.of_group(group))} for group in seen]
            for one in found
        ]
        values = [{"value": rows} if query.buckets else {"result": rows} for rows in grouped]
    if query.buckets is None:
        return values[0]
    frames = timeframes(query.buckets.edges)
    return {"result": [{"timeframe": frame, **value} for frame, value in zip(frames, values, strict=True)]}


def _tally(query: FunnelQuery, found: Outcomes) -> Json:
    """How many each step counts, and how long the steps took."""
    if query.counting is Counting.CONVERSIONS:
        return {"result": found.converted or [0] * len(query.steps)}
    masks, numbers = np.unique(found.masks, return_counts=True)
    counts = [int(numbers[masks >> at & 1 == 1].sum()) for at in range(len(query.steps))]
    if query.durations is None:
        return {"result": counts}
    assert found.times is not None
    return {"result": counts, "times": times_of(found.times, query.steps, query.durations)}


def _list_actors(
    query: FunnelQuery,
    read: ReadEvents | None,
    found: Sequence[Outcomes],
    body: Json,
    runner: Runner,
    limits: Limits,
) -> None:
    """Add ``actors`` and ``dropped`` where a step asks for them."""
    listed = any(step.with_actors for step in query.steps)
    dropped = any(step.with_dropped for step in query.steps)
    if not (listed or dropped):
        return
    actors: list[Actor] = []
    if read is not None and found:
        numbers, masks = _masks_of_actors(found)
        actors = read.actors(numbers, masks, runner)
    seen = {mask for *_, mask in actors}
    wanted = [
        frozenset(mask for mask in seen if mask >> at & 1) if step.with_actors else None
        for at, step in enumerate(query.steps)
    ]
    left = [
        frozenset(mask for mask in seen if mask >> step_before(query, at) & 1 and not mask >> at & 1)
        if step.with_dropped
        else None
        for at, step in enumerate(query.steps)
    ]
    lists = lists_of(actors, [*wanted, *left], limits.response_bytes_max, runner.check, runner.reservation)
    if listed:
        body["actors"] = lists[: len(query.steps)]
    if dropped:
        body["dropped"] = lists[len(query.steps) :]


def _masks_of_actors(found: Iterable[Outcomes]) -> tuple[Integers, Integers]:
    """All actors, and the steps that count any session of each, in any interval."""
    actors = np.concatenate([one.actors for one in found])
    masks = np.concatenate([one.masks for one in found])
    order = np.argsort(actors, kind="stable")
    numbers, begins = np.unique(actors[order], return_index=True)
    return numbers, np.bitwise_or.reduceat(masks[order], begins) if len(numbers) else masks


def step_before(query: FunnelQuery, position: int) -> int:
    """The required step before."""
    return max(at for at in range(position) if at == 0 or not query.steps[at].optional)
