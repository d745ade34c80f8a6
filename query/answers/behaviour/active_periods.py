"""Reads in which periods each actor was active, where it does not matter how often or in which order.

The engine makes a row of bits of each actor's events, which are many times as many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from query.answers.behaviour.actor_events import read_events
from query.answers.behaviour.selections import SelectionPlan
from query.behaviour.activity import Bits, active_periods, periods_of, table_bytes
from query.behaviour.sequences import Integers
from query.engine.runner import Runner
from query.sql import behaviour as sql
from query.sql.intervals import is_regular, runs_of
from query.sql.statement import Statement

WORD_BITS = 62
WORDS_MAX = 6
"""With more periods than these words have bits, the events are read instead."""
_ROWS = 1 << 16
"""Actors whose bits are taken apart at once."""
_ROW_BYTES = 400
"""Bytes that each of these takes for a word: its bits as bytes, and what is computed from them."""
_KEY_BYTES = 64
"""Bytes that a pair of an actor and a period takes while pairs are compared."""


def read_active(
    plan: SelectionPlan, edges: Sequence[int], runner: Runner, first: int = 0
) -> tuple[Integers, int, int]:
    """The pairs of ``query.behaviour.activity.active_periods``, the number of actors, and that of periods.

    The periods lie between the edges, and are numbered from ``first`` on; what comes before them has the
    number 0. The memory of the pairs is reserved.
    """
    period_count = len(edges) - 1 + first
    statement = statement_of(plan, edges, first)
    if statement is None:
        keys, actors = _of_events(plan, edges, runner, first)
    else:
        keys, actors = _of_words(plan, statement, period_count, runner)
    runner.reservation.reserve(_KEY_BYTES * len(keys))
    runner.check()
    return keys, actors, period_count


def statement_of(plan: SelectionPlan, edges: Sequence[int], first: int = 0) -> Statement | None:
    """The statement that gives the bits of each actor; None where nothing is read, or they are too many."""
    runs = runs_of(tuple(edges))
    words = -(-(len(edges) - 1 + first) // WORD_BITS)
    if not plan.live or not runs or not is_regular(runs) or words > WORDS_MAX:
        return None
    branches = [sql.rows(one.scan, one.key, plan.parts, one.tests, timed=True) for one in plan.live]
    return sql.active_periods(branches, plan.parts, runs, first, words, WORD_BITS)


def read_bits(plan: SelectionPlan, edges: Sequence[int], runner: Runner) -> Iterator[Bits] | None:
    """For some actors at a time, whether each was active in each of the periods between the edges.

    None where ``read_active`` is to be used instead.
    """
    statement = statement_of(plan, edges)
    return None if statement is None else _bits(plan, statement, len(edges) - 1, runner)


def _of_words(
    plan: SelectionPlan, statement: Statement, period_count: int, runner: Runner
) -> tuple[Integers, int]:
    found, actors = [np.empty(0, dtype=np.int64)], 0
    for bits in _bits(plan, statement, period_count, runner):
        keys = np.flatnonzero(bits)
        runner.reservation.reserve(2 * keys.nbytes)
        found.append(keys + actors * period_count)
        actors += len(bits)
    return np.concatenate(found), actors


def _bits(plan: SelectionPlan, statement: Statement, period_count: int, runner: Runner) -> Iterator[Bits]:
    table = runner.table(statement, plan.tables, reads=plan.read)
    words = [column.to_numpy() for column in table.columns]
    runner.reservation.reserve(_ROW_BYTES * len(words) * min(_ROWS, table.num_rows))
    for start in range(0, table.num_rows, _ROWS):
        runner.check()
        packed = np.stack([word[start : start + _ROWS] for word in words], axis=1).astype("<i8")
        bits = np.unpackbits(packed.view(np.uint8), axis=1, bitorder="little")
        bits = bits.reshape(len(packed), len(words), 64)[:, :, :WORD_BITS].reshape(len(packed), -1)
        yield bits[:, :period_count]


def _of_events(plan: SelectionPlan, edges: Sequence[int], runner: Runner, first: int) -> tuple[Integers, int]:
    read = read_events(plan, runner)
    if read is None:
        return np.empty(0, dtype=np.int64), 0
    events = read.events
    period_count = len(edges) - 1 + first
    periods = periods_of(events.times, np.array(edges, dtype=np.int64))
    periods = np.where(periods < 0, 0, periods + first)
    runner.reservation.reserve(table_bytes(events.size, events.count, period_count))
    return active_periods(events.actors, periods, events.count, period_count), events.count
