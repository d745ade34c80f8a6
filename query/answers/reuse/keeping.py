"""Computes partial answers to be kept, on a thread of its own and while no query runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from query.engine.engine import Engine
from query.engine.memory_budget import computed
from query.engine.partials import PartialStore
from query.errors import QueryError
from query.plan.partials import Contribution, PartialsPlan
from query.sql.reuse import partials as sql
from query.sql.statement import Statement
from storage.source import DataFile, SourceGone

SECONDS_MAX = 60.0
"""A partial that takes longer is not kept."""
PATIENCE_SECONDS = 10.0
"""How long the work for one file waits for a moment without queries."""
_PAUSE_SECONDS = 0.01

_log = logging.getLogger("acumen.partials")


@dataclass(frozen=True, slots=True)
class MissingPartial:
    """A file of which a partial is to be kept under a key."""

    file: DataFile
    key: str
    contribution: Callable[[], Contribution]


def compute(
    plan: PartialsPlan,
    missing: Sequence[MissingPartial],
    engine: Engine,
    store: PartialStore,
    then: Callable[[], None],
) -> None:
    """Have these partials computed and kept later: the smallest file's first, and if that partial is too
    large to be kept, no other. Afterwards ``then`` is called."""

    def work() -> None:
        for number, one in enumerate(by_size):
            if engine.later.closing.is_set():
                return
            if store.holds(one.file, one.key) or store.is_refused(one.file, one.key):
                continue
            if not _kept(plan, one, engine, store) and number == 0:
                for other in by_size:
                    store.refuse(other.file, other.key)
                return
        then()

    by_size = sorted(missing, key=lambda one: one.file.rows)
    engine.later.add(" ".join(sorted(one.key for one in missing)), work)


def merge(
    plan: PartialsPlan,
    together: pa.Table,
    of: frozenset[tuple[str, int]],
    name: str,
    engine: Engine,
    store: PartialStore,
) -> None:
    """Have partials merged later, so that questions to come read one row instead of one for each file."""

    def work() -> None:
        statement = sql.merged_partials(plan, together.column_names)
        table = _run(statement, {sql.PARTIALS: together}, together.num_rows, engine)
        if table is not None:
            store.keep_merged(name, (of, with_values(table)))

    engine.later.add(name, work)


def gather(
    plan: PartialsPlan,
    contribution: Callable[[], Contribution],
    rows: int,
    merging: tuple[frozenset[tuple[str, int]], pa.Table | None],
    name: str,
    engine: Engine,
    store: PartialStore,
) -> None:
    """Have one partial of several files computed later, merged with what was merged before.

    ``merging``: the keys of the result, and what was merged before, with buckets as the query counts them.
    """

    def work() -> None:
        of, before = merging
        _await_pause(engine)
        table = _run(sql.with_all_columns(contribution(), plan), {}, rows, engine)
        if table is not None and before is not None:
            both = pa.concat_tables([before, with_values(table)], promote_options="permissive")
            statement = sql.merged_partials(plan, both.column_names)
            table = _run(statement, {sql.PARTIALS: both}, both.num_rows, engine)
        if table is None:
            store.refuse_merged(name)
        else:
            store.keep_merged(name, (of, with_values(table)))

    engine.later.add(f"{name} together", work)


def _await_pause(engine: Engine) -> None:
    """Wait for a moment without queries, but not for ever."""
    began = time.monotonic()
    while engine.is_busy and time.monotonic() - began < PATIENCE_SECONDS:
        if engine.later.closing.wait(_PAUSE_SECONDS):
            return


def _kept(plan: PartialsPlan, one: MissingPartial, engine: Engine, store: PartialStore) -> bool:
    """Compute and keep one partial. False where it is too large."""
    _await_pause(engine)
    if engine.later.closing.is_set():
        return True
    started = time.perf_counter()
    table = _run(sql.with_all_columns(one.contribution(), plan), {}, one.file.rows, engine)
    if table is None:
        return True
    return store.keep(one.file, one.key, with_values(table), time.perf_counter() - started)


def _run(statement: Statement, tables: Mapping[str, pa.Table], reads: int, engine: Engine) -> pa.Table | None:
    """The rows of a statement; None where it fails, which hurts nobody: the next question finds nothing."""
    deadline = engine.later_deadline(SECONDS_MAX)
    reservation = engine.budget.open(deadline.check)
    try:
        table = computed(reservation, lambda: engine.table(statement, tables, deadline, reservation, reads))
        reservation.release()
    except (QueryError, SourceGone) as error:
        _log.info("a partial answer was not computed: %s", error)
        return None
    return table


def with_values(table: pa.Table) -> pa.Table:
    """Without the columns in which every cell is null: there is nothing for them. One column stays."""
    names = [
        name
        for name, column in zip(table.column_names, table.columns, strict=True)
        if column.null_count < table.num_rows
    ]
    return table.select(names or table.column_names[:1])
