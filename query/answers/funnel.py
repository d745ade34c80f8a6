"""Funnels: every step is a set of actors, intersected with the survivors; order in time plays no part.

Each (collection, actor property) is scanned once: a row gives its actor and a mask of the steps that it
satisfies, and an actor's masks are joined. What inverted and optional steps mean is then a matter of masks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from query.answers.values import part_value
from query.engine.memory_budget import Reservation, unbounded
from query.engine.sorting import in_order
from query.errors import QueryLimitExceeded
from query.json_encoding import STEP_VALUES, Written, array, dumps, in_parts
from query.language.nodes import FunnelQuery, Span, Step
from query.plan import predicates as p
from query.plan.columns import TIMESTAMP_COLUMN
from query.plan.keys import GroupKey, KeyPart, key_of
from query.plan.predicates import Predicate
from query.plan.scans import Scan, hull
from query.plan.views import View, Views
from query.sql import statements
from query.sql.statement import Statement

_Actor = tuple[tuple[int, Any], bytes, int]
"""What orders it, its JSON, and its mask."""
_CHECK_EVERY = 4_096
_RESERVE_BYTES = 64 << 10
"""Actors take from their reservation in steps of about this size."""
_ACTOR_BYTES = 300
"""What an actor takes in Python beside its text."""


@dataclass(frozen=True)
class Branch:
    """The steps that one scan answers."""

    view: View
    scan: Scan
    key: GroupKey
    steps: tuple[tuple[int, Predicate, Span], ...]
    """Position, condition, and span where the scan's is wider."""


@dataclass(frozen=True)
class FunnelPlan:
    query: FunnelQuery
    branches: tuple[Branch, ...]
    actors_max: int

    @property
    def parts(self) -> tuple[KeyPart, ...]:
        """The parts that any branch's actors have."""
        return tuple(part for part in KeyPart if any(part in branch.key.parts for branch in self.branches))

    @property
    def lists_actors(self) -> bool:
        return any(step.with_actors for step in self.query.steps)

    @property
    def statement(self) -> Statement | None:
        """None where no row can be an actor of the first step."""
        live = [branch for branch in self.branches if branch.key.parts and not branch.scan.empty]
        if not any(position == 0 for branch in live for position, _, _ in branch.steps):
            return None
        branches = [
            statements.funnel_branch(branch.scan, branch.key, self.parts, branch.steps) for branch in live
        ]
        return statements.funnel(branches, self.parts, self.actors_max if self.lists_actors else None)

    @property
    def tables(self) -> dict[str, pa.Table]:
        return {
            name: table for branch in self.branches for name, table in branch.view.tables(branch.scan).items()
        }


def plan_funnel(query: FunnelQuery, views: Views, actors_max: int) -> FunnelPlan:
    alike: dict[tuple[str, str], list[int]] = {}
    for position, step in enumerate(query.steps):
        alike.setdefault((step.collection, step.actor), []).append(position)
    branches = (
        _branch(collection, actor, positions, query.steps, views)
        for (collection, actor), positions in alike.items()
    )
    return FunnelPlan(query, tuple(branches), actors_max)


def funnel_body(
    plan: FunnelPlan,
    rows: Iterable[Sequence[Any]],
    bytes_max: int,
    check: Callable[[], None] = lambda: None,
    reservation: Reservation | None = None,
) -> dict[str, Any]:
    """``result``, ``steps``, and ``actors`` where a step asked.

    ``check`` is called now and then, and may raise. Raises QueryLimitExceeded where the actors are too many
    or take more than ``bytes_max`` bytes.
    """
    held = reservation or unbounded()
    steps = plan.query.steps
    counted: Counter[int] = Counter()
    actors: list[_Actor] = []
    unreserved = 0
    for number, row in enumerate(rows):
        if number % _CHECK_EVERY == 0:
            check()
        counted[row[-1] if plan.lists_actors else row[0]] += 1 if plan.lists_actors else row[1]
        if plan.lists_actors:
            actor = _actor(plan.parts, row)
            actors.append(actor)
            unreserved += _ACTOR_BYTES + 2 * len(actor[1])
            if unreserved > _RESERVE_BYTES:
                held.reserve(unreserved)
                unreserved = 0
    if counted.total() > plan.actors_max:
        raise QueryLimitExceeded(
            f"The funnel has more than {plan.actors_max:,} actors. Ask for a shorter timeframe, or filter."
        )
    body: dict[str, Any] = {
        "result": [
            sum(count for mask, count in counted.items() if _survives(mask, position, steps))
            for position in range(len(steps))
        ],
        "steps": Written(dumps([step.echo for step in steps])),
    }
    if plan.lists_actors:
        check()
        actors = in_order(actors, key=lambda actor: actor[0])
        body["actors"] = _listed(actors, frozenset(counted), steps, bytes_max, check, held)
    return body


def _actor(parts: Sequence[KeyPart], row: Sequence[Any]) -> _Actor:
    value, order = next(
        part_value(part, cell) for part, cell in zip(parts, row, strict=False) if cell is not None
    )
    # What the library gives is as large as its buffer was, some kilobytes: a part of it is not.
    return order, dumps([value])[1:-1], row[-1]


def _listed(
    actors: Sequence[_Actor],
    masks: frozenset[int],
    steps: Sequence[Step],
    bytes_max: int,
    check: Callable[[], None],
    reservation: Reservation,
) -> list[Written | None]:
    """For each step that asks the actors that it counts."""
    listed: list[Written | None] = []
    held = 0
    for position, step in enumerate(steps):
        if not step.with_actors:
            listed.append(None)
            continue
        check()
        counted = {mask for mask in masks if _survives(mask, position, steps)}
        size = sum(len(text) + 1 for _, text, mask in actors if mask in counted)
        reservation.reserve(2 * size)
        parts = list(in_parts((text for _, text, mask in actors if mask in counted), STEP_VALUES))
        held += sum(map(len, parts))
        if held > bytes_max:
            raise QueryLimitExceeded(
                f"The funnel's actors take more than {bytes_max:,} bytes. "
                "Ask for them at fewer steps, for a shorter timeframe, or filter."
            )
        listed.append(Written(array(parts)))
    # The actors themselves go now.
    reservation.reduce_to(2 * held)
    return listed


def _branch(
    collection: str, actor: str, positions: Sequence[int], steps: Sequence[Step], views: Views
) -> Branch:
    spans = [steps[position].span for position in positions]
    whole = hull(spans)
    view = views.view(collection, spans)
    tests = [
        (position, view.condition(steps[position].filters), Span() if span == whole else span)
        for position, span in zip(positions, spans, strict=True)
    ]
    key = key_of(actor, view)
    columns = [*key.columns, *(column for _, test, _ in tests for column in p.columns_of(test))]
    if any(span != Span() for _, _, span in tests):
        columns.append(TIMESTAMP_COLUMN)
    conditions = [test for _, test, _ in tests]
    scan = view.scan(columns, p.some_of(conditions), whole, conditions)
    return Branch(view, scan, key, tuple(tests))


def _survives(mask: int, position: int, steps: Sequence[Step]) -> bool:
    """True where an actor of this mask is counted by the step: in it, and in all that narrow before it."""
    for index, step in enumerate(steps[: position + 1]):
        if step.optional and index < position:
            continue
        if bool(mask >> index & 1) == step.inverted:
            return False
    return True
