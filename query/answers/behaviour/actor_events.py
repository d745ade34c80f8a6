"""Reads the events of a question about behaviour as arrays, each actor as a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from query.answers.behaviour.actor_lists import ACTOR_BYTES, CHECK_EVERY, Actor, actor_of
from query.answers.behaviour.selections import SelectionPlan
from query.behaviour.sequences import BLOCK, ActorEvents, Integers, numbered
from query.engine.runner import Runner
from query.plan.keys import KeyPart
from query.sql import behaviour as sql
from query.sql.statement import Statement

_EVENT_BYTES = 24
"""Bytes that an event takes while the events are put in order: its cells once more, and a key to sort by."""
_BLOCK_EVENT_BYTES = 200
"""Bytes that each event of a block takes while it is followed."""


@dataclass(frozen=True)
class ReadEvents:
    """The events, and who their actors are."""

    events: ActorEvents
    parts: tuple[KeyPart, ...]
    values: Sequence[pa.Array]
    """The values of each part; those of the first part have the first numbers."""

    def actors(self, numbers: Integers, masks: Integers, runner: Runner) -> list[Actor]:
        """These actors, each with its mask; their memory is reserved."""
        runner.reservation.reserve(ACTOR_BYTES * len(numbers))
        actors: list[Actor] = []
        first = 0
        for part, values in zip(self.parts, self.values, strict=True):
            own = (numbers >= first) & (numbers < first + len(values))
            cells: list[Any] = values.take(pa.array(numbers[own] - first)).to_pylist()
            for at, (cell, mask) in enumerate(zip(cells, masks[own].tolist(), strict=True)):
                if at % CHECK_EVERY == 0:
                    runner.check()
                actors.append(actor_of((part,), (cell,), mask))
            first += len(values)
        return actors


def statement_of(plan: SelectionPlan) -> Statement:
    """The statement that reads the events of a plan with live branches."""
    branches = [sql.rows(one.scan, one.key, plan.parts, one.tests, timed=True) for one in plan.live]
    return sql.events(branches, plan.parts, plan.size)


def read_events(plan: SelectionPlan, runner: Runner) -> ReadEvents | None:
    """The events of all selections; None where there are none. Their memory is reserved."""
    if not plan.live:
        return None
    table = runner.table(statement_of(plan), plan.tables, reads=plan.read)
    if not table.num_rows:
        return None
    runner.reservation.reserve(_EVENT_BYTES * table.num_rows)
    runner.check()
    parts = plan.parts
    numbers, values = numbered([table.column(at) for at in range(len(parts))])
    masks, times = (table.column(at).to_numpy() for at in range(len(parts), len(parts) + 2))
    count = sum(map(len, values))
    runner.reservation.reserve(_BLOCK_EVENT_BYTES * min(BLOCK, len(times)) + np.dtype(bool).itemsize * count)
    return ReadEvents(ActorEvents(numbers, times, masks, count), parts, values)
