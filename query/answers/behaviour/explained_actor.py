"""Why one actor got as far in a funnel as it did: its events, those that counted, and what stopped it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.actor_lists import actor_of
from query.answers.behaviour.funnel_outcomes import rules_of
from query.answers.behaviour.selections import plan_selections
from query.answers.values import number
from query.behaviour.ordered_funnel import Followed, OrderRules, StepRule, attempts, follow, passed_over
from query.behaviour.sequences import Sequences, in_sequence
from query.engine.runner import Runner
from query.json_encoding import dumps
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.nodes import Condition, Operator
from query.plan.actors import is_id
from query.plan.views import Views
from storage.instants import format_instant

EVENTS_MAX = 1_000
"""Events of the actor that are listed."""
Json = dict[str, Any]


def explanation_of(query: FunnelQuery, views: Views, runner: Runner) -> Json:
    """``events``: those of the actor, in order; ``reached``: the number of the last step of its attempt;
    ``stopped``: the next step, a code of the reason and a sentence; null where it did all steps.

    The property that ``hold`` names is not considered.
    """
    ids = _ids_of(query, views)
    actor = ids[0]
    selections = [
        replace(one, filters=(*one.filters, Condition(one.actor, Operator.IN, ids)))
        for one in query.selections
    ]
    plan = plan_selections(selections, views, timed=True)
    read = read_events(plan, runner)
    steps, order = rules_of(query)
    events = None if read is None else _sequence_of(read, actor, len(selections))
    if events is None:
        stopped = _stopped(0, "no_event", "It has no event that counts for a step.")
        return {"actor": actor, "events": [], "events_left_out": 0, "reached": 0, "stopped": stopped}
    followed = follow(events, steps, order)
    made = attempts(events, steps, followed)
    attempt = made.events[:, 0].tolist() if len(made.actors) else [-1] * len(steps)
    furthest = max((at for at, event in enumerate(attempt) if event >= 0), default=-1)
    required = [at for at, step in enumerate(steps) if not (step.optional or step.inverted)]
    following = next((at for at in required if at > furthest), None)
    return {
        "actor": actor,
        "events": list(_listed(events, attempt, len(steps))),
        "events_left_out": max(0, events.size - EVENTS_MAX),
        "reached": furthest + 1,
        "stopped": None if following is None else _why(events, followed, steps, order, attempt, following),
    }


def _ids_of(query: FunnelQuery, views: Views) -> list[Any]:
    """All ids of the actor that the question names; the one that stands for it first."""
    asked = query.explained
    if not query.steps[0].merged or not is_id(asked):
        return [asked]
    return [one if isinstance(one, str) else number(one) for one in views.links().ids_of(asked)]


def _sequence_of(read: ReadEvents, actor: Any, selections: int) -> Sequences | None:
    """The events of this actor. Others have come with it where the property is a list."""
    wanted = dumps([actor])[1:-1]
    first = 0
    for part, values in zip(read.parts, read.values, strict=True):
        for at, cell in enumerate(values.to_pylist()):
            if actor_of((part,), (cell,), 0)[1] == wanted:
                own = read.events.at(np.flatnonzero(read.events.actors == first + at))
                return next(in_sequence(own, selections, own.size))
        first += len(values)
    return None


def _listed(events: Sequences, attempt: Sequence[int], steps: int) -> Iterator[Json]:
    """The newest events last; of more than ``EVENTS_MAX`` those from the attempt's first on."""
    first = min((at for at in attempt if at >= 0), default=0)
    start = max(0, min(first, events.size - EVENTS_MAX))
    for at in range(start, min(events.size, start + EVENTS_MAX)):
        mask = int(events.steps[at])
        counted = [number + 1 for number, event in enumerate(attempt) if event == at]
        yield {
            "timestamp": format_instant(int(events.times[at])),
            "steps": _numbers(mask & ((1 << steps) - 1)),
            "exclusions": _numbers(mask >> steps),
            "counted_for": counted[0] if counted else None,
        }


def _numbers(mask: int) -> list[int]:
    """The bits of a mask, numbered from 1."""
    return [bit + 1 for bit in range(mask.bit_length()) if mask >> bit & 1]


def _why(
    events: Sequences,
    followed: Followed,
    steps: Sequence[StepRule],
    order: OrderRules,
    attempt: Sequence[int],
    number: int,
) -> Json:
    """What keeps the actor from the step with this position, by its first event after the attempt's last."""
    hits = np.flatnonzero(events.counting_for(number)).tolist()
    if not hits:
        return _stopped(number, "no_event", f"No event counts for step {number + 1}.")
    if number == 0:
        return _stopped(number, "no_event", "No event counts for step 1.")
    end = max(attempt)
    begun = next(at for at in attempt if at >= 0)
    after = [hit for hit in hits if (events.times[hit] > events.times[end] if order.later else hit > end)]
    if not after:
        return _stopped(number, "before", f"No event of step {number + 1} is later than the step before.")
    hit, rule = after[0], steps[number]
    gap = int(events.times[hit] - events.times[end])
    if gap < rule.least_gap:
        return _stopped(number, "too_soon", f"Step {number + 1} came before its 'min_gap' was over.")
    if rule.most_gap is not None and gap > rule.most_gap:
        return _stopped(number, "gap_too_long", f"Step {number + 1} came later than its 'max_gap' allows.")
    if order.window is not None and int(events.times[hit] - events.times[begun]) > order.window:
        return _stopped(number, "window_over", f"Step {number + 1} came after the end of the window.")
    between = events.steps[end + 1 : hit]
    if rule.excluded and (between & rule.excluded).any():
        return _stopped(number, "excluded", f"An excluded event lies before step {number + 1}.")
    of_others = (1 << len(steps)) - 1 & ~passed_over(steps, number)
    if order.adjacent and (between & of_others).any():
        return _stopped(number, "not_adjacent", f"An event of another step lies before step {number + 1}.")
    return _stopped(number, "barred", f"An event of an inverted step lies before step {number + 1}.")


def _stopped(number: int, code: str, message: str) -> Json:
    return {"step": number + 1, "reason": code, "message": message}
