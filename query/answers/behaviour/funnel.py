"""Funnels without an order: how many actors did each step, among those of the steps before.

An actor's masks are combined; inverted and optional steps are evaluated on the masks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.behaviour.actor_lists import ACTOR_BYTES, CHECK_EVERY, Actor, actor_of, lists_of
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.engine.memory_budget import Reservation, unbounded
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, dumps
from query.language.analyses.behaviour_nodes import FunnelQuery, Step
from query.plan.views import Views
from query.sql import behaviour as sql
from query.sql.statement import Statement

_RESERVE_BYTES = 64 << 10
"""Memory for actors is reserved in steps of about this size."""


@dataclass(frozen=True)
class FunnelPlan:
    query: FunnelQuery
    scans: SelectionPlan
    actors_max: int

    @property
    def lists_actors(self) -> bool:
        return any(step.with_actors for step in self.query.steps)

    @property
    def statement(self) -> Statement | None:
        """The statement to run; None where no row can have an actor of the first step."""
        if not self.scans.can_have(0):
            return None
        parts = self.scans.parts
        branches = [sql.rows(one.scan, one.key, parts, one.tests) for one in self.scans.live]
        return sql.actors_by_mask(branches, parts, self.actors_max if self.lists_actors else None)


def plan_funnel(query: FunnelQuery, views: Views, actors_max: int) -> FunnelPlan:
    return FunnelPlan(query, plan_selections(query.steps, views, timed=False), actors_max)


def funnel_body(
    plan: FunnelPlan,
    rows: Iterable[Sequence[Any]],
    bytes_max: int,
    check: Callable[[], None] = lambda: None,
    reservation: Reservation | None = None,
) -> dict[str, Any]:
    """The answer's ``result``, ``steps``, and ``actors`` where a step requests them.

    ``check`` is called at intervals, and may raise. Raises QueryLimitExceeded where there are too many actors
    or they take more than ``bytes_max`` bytes.
    """
    memory = reservation or unbounded()
    steps = plan.query.steps
    counted: Counter[int] = Counter()
    actors: list[Actor] = []
    unreserved = 0
    for number, row in enumerate(rows):
        if number % CHECK_EVERY == 0:
            check()
        counted[row[-1] if plan.lists_actors else row[0]] += 1 if plan.lists_actors else row[1]
        if plan.lists_actors:
            actor = actor_of(plan.scans.parts, row, row[-1])
            actors.append(actor)
            unreserved += ACTOR_BYTES + 2 * len(actor[1])
            if unreserved > _RESERVE_BYTES:
                memory.reserve(unreserved)
                unreserved = 0
    check_actors(counted.total(), plan.actors_max)
    body: dict[str, Any] = {
        "result": [
            sum(count for mask, count in counted.items() if survives(mask, position, steps))
            for position in range(len(steps))
        ],
        "steps": echo(steps),
    }
    if plan.lists_actors:
        masks = [
            frozenset(mask for mask in counted if survives(mask, position, steps))
            if step.with_actors
            else None
            for position, step in enumerate(steps)
        ]
        body["actors"] = lists_of(actors, masks, bytes_max, check, memory)
    return body


def echo(steps: Sequence[Step]) -> Written:
    """The steps as they were asked, as JSON."""
    return Written(dumps([step.echo for step in steps]))


def check_actors(number: int, actors_max: int) -> None:
    if number > actors_max:
        raise QueryLimitExceeded(
            f"The funnel has more than {actors_max:,} actors. Ask for a shorter timeframe, or filter."
        )


def survives(mask: int, position: int, steps: Sequence[Step]) -> bool:
    """Whether a step counts actors with this mask: in it, and in all earlier steps that are not optional."""
    for index, step in enumerate(steps[: position + 1]):
        if step.optional and index < position:
            continue
        if bool(mask >> index & 1) == step.inverted:
            return False
    return True
