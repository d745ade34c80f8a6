"""Reads the events of a question about behaviour as arrays, each actor as a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from query.answers.behaviour.actor_lists import ACTOR_BYTES, CHECK_EVERY, Actor, actor_of
from query.answers.behaviour.selections import SelectionPlan
from query.answers.identities.merging import merged_ids
from query.behaviour.sequences import BLOCK, ActorEvents, Integers, numbered
from query.behaviour.values import Marks, Values, coded, marks_of
from query.engine.runner import Runner
from query.plan.keys import KeyPart
from query.sql import behaviour as sql
from query.sql.statement import Statement

_EVENT_BYTES = 40
"""Bytes that an event takes while the events are put in order: its cells once more, and keys to sort by."""
_VALUE_BYTES = 12
"""Bytes that each further value of an event takes: its code, and its part of the event's mark."""
_MARK_BYTES = 24
"""Bytes that an event takes in addition where its mark does not fit into the key to sort by."""
_BLOCK_EVENT_BYTES = 400
"""Bytes that each event of a block takes while it is followed."""


@dataclass(frozen=True)
class ReadEvents:
    """The events, and who their actors are."""

    events: ActorEvents
    parts: tuple[KeyPart, ...]
    values: Sequence[pa.Array]
    """The values of each part; those of the first part have the first numbers."""
    further: tuple[Values, ...] = ()
    """The further values that the plan reads of each event."""
    marks: Marks | None = None
    """The marks of the events, which stand for those."""

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


def statement_of(plan: SelectionPlan, limit: int | None = None) -> Statement:
    """The statement that reads the events of a plan with live branches, at most ``limit`` of them."""
    listed = plan.value_parts
    branches = [
        sql.rows(one.scan, one.key, plan.parts, one.tests, timed=True, values=one.values, value_parts=listed)
        for one in plan.live
    ]
    return sql.events(branches, plan.parts, plan.size, listed, limit)


def read_events(
    plan: SelectionPlan, runner: Runner, *, marked: bool = True, limit: int | None = None
) -> ReadEvents | None:
    """The events of all selections; None where there are none. Their memory is reserved.

    ``marked``: whether the further values are the marks of the events. ``limit``: how many are read at most.
    """
    links, sent = plan.links, plan.as_sent
    links, plan = (None, plan) if sent is None else (links, sent)
    if not plan.live:
        return None
    table = runner.table(statement_of(plan, limit), plan.tables, reads=plan.read)
    if not table.num_rows:
        return None
    marks = _MARK_BYTES if plan.value_parts else 0
    runner.reservation.reserve((_EVENT_BYTES + _VALUE_BYTES * len(plan.value_parts) + marks) * table.num_rows)
    runner.check()
    parts, threads = plan.parts, runner.threads
    columns = iter(table.columns)
    numbers, values = numbered(list(islice(columns, len(parts))), threads)
    if links is not None:
        numbers, parts, values = merged_ids(numbers, parts, values, links)
    masks, times = (column.to_numpy() for column in islice(columns, 2))
    further = tuple(coded(list(islice(columns, len(one))), len(times), threads) for one in plan.value_parts)
    if table.column(0).num_chunks > 1:
        # All has been copied: the rows, most of all the texts in them, are freed before anything is computed.
        distinct = [*values, *(own for one in further for own in one.distinct)]
        runner.reservation.give_back(max(0, table.nbytes - sum(own.nbytes for own in distinct)))
    del table, columns
    runner.check()
    made = marks_of(further) if marked else None
    count = sum(map(len, values))
    blocks = _BLOCK_EVENT_BYTES * min(threads * BLOCK, len(times))
    runner.reservation.reserve(blocks + np.dtype(bool).itemsize * count)
    events = ActorEvents(numbers, times, masks, count, None if made is None else made.numbers)
    return ReadEvents(events, parts, values, further, made)


def holding(read: ReadEvents, held: Values) -> tuple[ReadEvents, Integers]:
    """The events as those of one subject for each actor and value, and each subject's actor.

    Events without a value are left out.
    """
    rows = np.flatnonzero(held.codes != held.size - 1)
    events = read.events.at(rows)
    pairs = events.actors.astype(np.int64) * held.size + held.codes[rows]
    subjects, numbers = np.unique(pairs, return_inverse=True)
    return replace(read, events=replace(events, actors=numbers, count=len(subjects))), subjects // held.size
