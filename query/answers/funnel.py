"""Funnels: every step is a set of actors, intersected with those of the steps before, regardless of time.

Each (collection, actor property) is scanned once: a row has its actor and a mask of the steps that it
satisfies, and an actor's masks are combined. Inverted and optional steps are then evaluated on the masks.
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
"""An actor's sort key, its JSON, and its mask."""
_CHECK_EVERY = 4_096
_RESERVE_BYTES = 64 << 10
"""Memory for actors is reserved in steps of about this size."""
_ACTOR_BYTES = 300
"""Bytes that an actor takes in Python in addition to its text."""


@dataclass(frozen=True)
class Branch:
    """The steps that are evaluated by one scan."""

    view: View
    scan: Scan
    key: GroupKey
    steps: tuple[tuple[int, Predicate, Span], ...]
    """Position and condition of each step, and its span if narrower than the scan's."""


@dataclass(frozen=True)
class FunnelPlan:
    query: FunnelQuery
    branches: tuple[Branch, ...]
    actors_max: int

    @property
    def parts(self) -> tuple[KeyPart, ...]:
        """The key parts that occur in any branch."""
        return tuple(part for part in KeyPart if any(part in branch.key.parts for branch in self.branches))

    @property
    def lists_actors(self) -> bool:
        return any(step.with_actors for step in self.query.steps)

    @property
    def statement(self) -> Statement | None:
        """The statement to run; None where no row can have an actor of the first step."""
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
    positions_by_scan: dict[tuple[str, str], list[int]] = {}
    for position, step in enumerate(query.steps):
        positions_by_scan.setdefault((step.collection, step.actor), []).append(position)
    branches = (
        _branch(collection, actor, positions, query.steps, views)
        for (collection, actor), positions in positions_by_scan.items()
    )
    return FunnelPlan(query, tuple(branches), actors_max)


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
                memory.reserve(unreserved)
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
        body["actors"] = _listed(actors, frozenset(counted), steps, bytes_max, check, memory)
    return body


def _actor(parts: Sequence[KeyPart], row: Sequence[Any]) -> _Actor:
    value, order = next(
        part_value(part, cell) for part, cell in zip(parts, row, strict=False) if cell is not None
    )
    # The bytes that orjson returns keep its buffer of some kilobytes; a slice is a copy without it.
    return order, dumps([value])[1:-1], row[-1]


def _listed(
    actors: Sequence[_Actor],
    masks: frozenset[int],
    steps: Sequence[Step],
    bytes_max: int,
    check: Callable[[], None],
    reservation: Reservation,
) -> list[Written | None]:
    """The actors counted by each step; None for a step that does not ask for them (``with_actors``)."""
    listed: list[Written | None] = []
    text_bytes = 0
    for position, step in enumerate(steps):
        if not step.with_actors:
            listed.append(None)
            continue
        check()
        counted = {mask for mask in masks if _survives(mask, position, steps)}
        size = sum(len(text) + 1 for _, text, mask in actors if mask in counted)
        reservation.reserve(2 * size)
        parts = list(in_parts((text for _, text, mask in actors if mask in counted), STEP_VALUES))
        text_bytes += sum(map(len, parts))
        if text_bytes > bytes_max:
            raise QueryLimitExceeded(
                f"The funnel's actors take more than {bytes_max:,} bytes. "
                "Ask for them at fewer steps, for a shorter timeframe, or filter."
            )
        listed.append(Written(array(parts)))
    # The actors are freed after this; only their JSON stays reserved.
    reservation.reduce_to(2 * text_bytes)
    return listed


def _branch(
    collection: str, actor: str, positions: Sequence[int], steps: Sequence[Step], views: Views
) -> Branch:
    spans = [steps[position].span for position in positions]
    common_span = hull(spans)
    view = views.view(collection, spans)
    tests = [
        (position, view.condition(steps[position].filters), Span() if span == common_span else span)
        for position, span in zip(positions, spans, strict=True)
    ]
    key = key_of(actor, view)
    columns = [*key.columns, *(column for _, test, _ in tests for column in p.columns_of(test))]
    if any(span != Span() for _, _, span in tests):
        columns.append(TIMESTAMP_COLUMN)
    conditions = [test for _, test, _ in tests]
    scan = view.scan(columns, p.some_of(conditions), common_span, conditions)
    return Branch(view, scan, key, tuple(tests))


def _survives(mask: int, position: int, steps: Sequence[Step]) -> bool:
    """Whether a step counts actors with this mask: in it, and in all earlier steps that are not optional."""
    for index, step in enumerate(steps[: position + 1]):
        if step.optional and index < position:
            continue
        if bool(mask >> index & 1) == step.inverted:
            return False
    return True
