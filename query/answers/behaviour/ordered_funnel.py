"""Funnels whose steps follow each other in time: ``query.behaviour.ordered_funnel`` follows the events."""

from __future__ import annotations

from typing import Any

import numpy as np

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.actor_lists import Actor, lists_of
from query.answers.behaviour.funnel import check_actors, echo
from query.answers.behaviour.selections import plan_selections
from query.behaviour.ordered_funnel import OrderRules, StepRule, actors_by_step
from query.behaviour.sequences import Integers, in_sequence
from query.engine.runner import Runner
from query.language.analyses.behaviour_nodes import EqualTimes, FunnelOrder, FunnelQuery
from query.limits import Limits
from query.plan.views import Views


def ordered_funnel(
    query: FunnelQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The answer's body, as of any funnel, and the number of stored events in its timeframes."""
    plan = plan_selections(query.steps, views, timed=True)
    limits.check_rows(plan.read)
    read = read_events(plan, runner) if plan.can_have(0) else None
    lists = any(step.with_actors for step in query.steps)
    counts = [0] * len(query.steps)
    actors: list[Actor] = []
    if read is not None:
        masks = _follow(query, read, counts, runner, limits, lists=lists)
        numbers = np.flatnonzero(masks)
        actors = read.actors(numbers, masks[numbers], runner)
    body: dict[str, Any] = {"result": counts, "steps": echo(query.steps)}
    if lists:
        wanted = _lists(query, {mask for *_, mask in actors})
        body["actors"] = lists_of(actors, wanted, limits.response_bytes_max, runner.check, runner.reservation)
    return body, plan.scanned


def _follow(
    query: FunnelQuery, read: ReadEvents, counts: list[int], runner: Runner, limits: Limits, *, lists: bool
) -> Integers:
    """Count the actors of each step; with ``lists`` the steps that count each actor, as bits."""
    first = read.events.doing(0)
    check_actors(int(first.sum()), limits.funnel_actors_max)
    masks = np.zeros(read.events.count if lists else 0, dtype=np.int64)
    rules = [StepRule(step.optional, step.inverted) for step in query.steps]
    order = OrderRules(query.window, query.order is FunnelOrder.STRICT, query.equal_times is EqualTimes.APART)
    for block in in_sequence(read.events.of_actors(first), len(query.steps)):
        runner.check()
        for position, found in enumerate(actors_by_step(block, rules, order)):
            counts[position] += len(found)
            if lists:
                masks[found] |= 1 << position
    return masks


def _lists(query: FunnelQuery, masks: set[int]) -> list[frozenset[int] | None]:
    """For each step that asks for its actors the masks that have its bit."""
    return [
        frozenset(mask for mask in masks if mask >> at & 1) if step.with_actors else None
        for at, step in enumerate(query.steps)
    ]
