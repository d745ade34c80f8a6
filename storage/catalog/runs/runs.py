"""The queue of runs of pipelines: which one is next, the claim under which it executes, what becomes of it.

A claim is the name of a lock that the claimant holds, so that others can tell whether it lives: nothing here
depends on clocks being equal. Later calls under an earlier claim have no effect.

Order: a run's *turn* is when it was queued, but some seconds after the last waiting one of its project, pool
and priority; its *rank* is its turn, less ``ageing_us`` for each step of priority. The least rank is next. As
ranks do not change, a run of low priority is overtaken for a bounded time only, and a project that queues
much at once lets others in between.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from storage.catalog.database.checksums import UNVERIFIED
from storage.catalog.database.connection import VALUES_MAX, Database, bump, upsert
from storage.catalog.database.versions import Area
from storage.catalog.derived.job_queue import check_project
from storage.catalog.errors import UnknownRun
from storage.catalog.repository import Repository
from storage.catalog.runs.records import LimitScope, NewRun, QueuedRun, RunLimits, RunState, RunUsage
from storage.catalog.sources.records import RUNS_OF
from storage.catalog.tables import pipelines, projects, run_limits, run_usage, runs, sources

AGEING_US = 60_000_000
"""For each step of priority, a run goes before those that were queued so much earlier."""
SPACING_US = 5_000_000
"""Distance of the turns of two runs of one project, pool and priority that are queued at once."""
PAGE = 200
HELD_MAX = 4 * VALUES_MAX
"""Names of full pools, projects or pipelines that a statement leaves out; further ones are read and left."""
_BETWEEN = "/"
"""Between the id of a project, which has none, and the name of a pipeline."""
_DAY_US = 86_400_000_000
_COLUMNS = tuple(runs.c)
_WAITING = runs.c.state == RunState.WAITING
_DELETED = select(projects.c.id).where(projects.c.deleted_us.is_not(None))
_PAUSED = or_(
    exists().where(
        pipelines.c.project_id == runs.c.project_id, pipelines.c.name == runs.c.pipeline, pipelines.c.paused
    ),
    exists().where(
        sources.c.project_id == runs.c.project_id,
        literal(RUNS_OF) + sources.c.name == runs.c.pipeline,
        sources.c.paused,
    ),
)
_UNVERIFIED = {UNVERIFIED: True}
"""For numbers of many rows: each row is verified when it is claimed."""
_Target = tuple[str, str, str]


class Runs(Repository):
    """The runs of all projects. ``at_us`` and ``now_us`` are given, so that a caller has one clock."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        ageing_us: int = AGEING_US,
        spacing_us: int = SPACING_US,
    ) -> None:
        super().__init__(database, clock)
        self._ageing_us, self._spacing_us = ageing_us, spacing_us

    # Asking for runs

    def enqueue(self, new: NewRun) -> tuple[QueuedRun, bool]:
        """Queues a run, or joins the one that waits for the same target: the more urgent of both wins.

        Returns the run that waits, and whether it is a new one. Raises UnknownProject.
        """
        with self._database.changing(Area.RUNS) as connection:
            return self.enqueue_in(connection, new)

    def enqueue_all(self, new: Iterable[NewRun]) -> list[tuple[QueuedRun, bool]]:
        """As ``enqueue``, many in one transaction, which takes little longer than one."""
        with self._database.changing(Area.RUNS) as connection:
            return [self.enqueue_in(connection, one) for one in new]

    def enqueue_in(self, connection: Connection, new: NewRun) -> tuple[QueuedRun, bool]:
        """As ``enqueue``, in an open transaction of ``changing(Area.RUNS)``."""
        check_project(connection, new.project_id)
        now_us = self._clock()
        found = _waiting(connection, (new.project_id, new.pipeline, new.target))
        if found is None:
            return self._insert(connection, new, now_us), True
        joined = {"asked": found.asked + 1, "due_us": min(found.due_us, new.due_us)}
        if found.attempts:
            # It failed before, and its pause holds.
            joined["due_us"] = found.due_us
        if new.priority > found.priority:
            joined["priority"] = new.priority
            joined["rank_us"] = found.rank_us - (new.priority - found.priority) * self._ageing_us
        connection.execute(update(runs).where(runs.c.number == found.number).values(joined))
        return _read(connection, found.number), False

    def _insert(
        self, connection: Connection, new: NewRun, now_us: int, *, replays: str | None = None
    ) -> QueuedRun:
        begin_us = max(new.due_us, now_us)
        last = connection.execute(
            select(func.max(runs.c.turn_us))
            .where(
                _WAITING,
                runs.c.project_id == new.project_id,
                runs.c.pool == new.pool,
                runs.c.priority == new.priority,
            )
            .execution_options(**_UNVERIFIED)
        ).scalar()
        turn_us = begin_us if last is None else max(begin_us, last + self._spacing_us)
        pool = _limits(connection).get((LimitScope.POOL, "", new.pool))
        urgency = new.priority + (pool.priority if pool is not None else 0)
        values = {
            "id": secrets.token_hex(8),
            "project_id": new.project_id,
            "pool": new.pool,
            "pipeline": new.pipeline,
            "target": new.target,
            "cause": new.cause,
            "priority": new.priority,
            "state": RunState.WAITING,
            "asked": 1,
            "attempts": 0,
            "turn_us": turn_us,
            "rank_us": turn_us - urgency * self._ageing_us,
            "due_us": new.due_us,
            "created_us": now_us,
            "cancelling": False,
            "cpu_us": 0,
            "bytes": 0,
            "detail": "{}",
            "replays": replays,
        }
        key = connection.execute(insert(runs).values(values)).inserted_primary_key
        assert key is not None
        return _read(connection, key[0])

    def replay(self, project_id: str, run_id: str) -> QueuedRun:
        """Queues a dead run again, as a new one. Raises UnknownRun where there is no such dead run."""
        with self._database.changing(Area.RUNS) as connection:
            dead = _find(connection, project_id, run_id)
            if dead is None or dead.state != RunState.DEAD:
                raise UnknownRun(f"There is no dead run {run_id}.")
            connection.execute(
                update(runs).where(runs.c.number == dead.number).values(state=RunState.REPLAYED)
            )
            found = _waiting(connection, (project_id, dead.pipeline, dead.target))
            if found is not None:
                return found
            new = NewRun(project_id, dead.pipeline, dead.target, dead.cause, dead.pool, dead.priority)
            return self._insert(connection, new, self._clock(), replays=dead.id)

    def cancel(self, project_id: str, run_id: str) -> QueuedRun:
        """Cancels a run that waits; one that executes is told to end. Raises UnknownRun if it has ended."""
        with self._database.changing(Area.RUNS) as connection:
            run = _find(connection, project_id, run_id)
            if run is None or run.state not in (RunState.WAITING, RunState.RUNNING):
                raise UnknownRun(f"There is no run {run_id} that waits or executes.")
            if run.state == RunState.WAITING:
                values: dict[str, Any] = {"state": RunState.CANCELLED, "ended_us": self._clock()}
            else:
                values = {"cancelling": True}
            connection.execute(update(runs).where(runs.c.number == run.number).values(values))
            return _read(connection, run.number)

    # Executing them

    def claim(self, claim: str, pools: Sequence[str] | None = None) -> QueuedRun | None:
        """Claims the next run that may begin, of these pools or of all; None if there is none."""
        now_us = self._clock()
        query = _due(now_us, pools)
        with self._database.reading() as connection:
            # Nobody is told of a look that finds nothing, or those who wait would wake each other for ever.
            if connection.execute(query.limit(1)).first() is None or _next(connection, query, now_us) is None:
                return None
        with self._database.writing(Area.RUNS) as connection:
            found = _next(connection, query, now_us)
            if found is None:
                return None
            values = {
                "state": RunState.RUNNING,
                "claim": claim,
                "started_us": now_us,
                "ended_us": None,
                "attempts": found.attempts + 1,
            }
            connection.execute(update(runs).where(runs.c.number == found.number).values(values))
            _charge(connection, found, now_us, runs=1)
            bump(connection, Area.RUNS)
            return _read(connection, found.number)

    def spent(self, run: QueuedRun, cpu_us: int, read_bytes: int) -> bool | None:
        """Adds what an executing run has used since the last call. Returns whether it is to be cancelled;
        None where the claim is no longer valid."""
        with self._database.writing() as connection:
            held = _held(connection, run)
            if held is None:
                return None
            _add(connection, held, self._clock(), cpu_us, read_bytes)
            return held.cancelling

    def charge(self, run: QueuedRun, cpu_us: int, read_bytes: int) -> None:
        """Adds what a run has used after its end was recorded."""
        with self._database.writing() as connection:
            _add(connection, run, self._clock(), cpu_us, read_bytes)

    def is_cancelling(self, run: QueuedRun) -> bool:
        """Whether an executing run is to end: it was cancelled, or its claim is no longer valid."""
        with self._database.reading() as connection:
            held = _held(connection, run)
            return held is None or held.cancelling

    def finish(self, run: QueuedRun, detail: str = "{}", cpu_us: int = 0, read_bytes: int = 0) -> bool:
        """Records that an executing run is done. False where the claim is no longer valid."""
        with self._database.changing(Area.RUNS) as connection:
            return self.finish_in(connection, run, detail, cpu_us, read_bytes)

    def finish_in(
        self,
        connection: Connection,
        run: QueuedRun,
        detail: str = "{}",
        cpu_us: int = 0,
        read_bytes: int = 0,
    ) -> bool:
        """As ``finish``, in an open transaction of ``changing(Area.RUNS)``, with what the run made."""
        values = {"state": RunState.DONE, "detail": detail, "message": None}
        return self._end(connection, run, values, cpu_us, read_bytes)

    def bury(self, run: QueuedRun, message: str, cpu_us: int = 0, read_bytes: int = 0) -> bool:
        """Records that an executing run failed for good. False where the claim is no longer valid."""
        with self._database.changing(Area.RUNS) as connection:
            values = {"state": RunState.DEAD, "message": message}
            return self._end(connection, run, values, cpu_us, read_bytes)

    def end_cancelled(self, run: QueuedRun, cpu_us: int = 0, read_bytes: int = 0) -> bool:
        """Records that a run ended as it was cancelled. False where the claim is no longer valid."""
        with self._database.changing(Area.RUNS) as connection:
            return self._end(connection, run, {"state": RunState.CANCELLED}, cpu_us, read_bytes)

    def put_back(
        self,
        run: QueuedRun,
        due_us: int,
        message: str | None = None,
        *,
        forgiven: bool = False,
        cpu_us: int = 0,
        read_bytes: int = 0,
    ) -> bool:
        """Queues an executing run again, not before ``due_us``; with ``forgiven`` the attempt is not counted.

        Where another run of its target waits already, that one goes on in its place, after the same pause.
        False where the claim is no longer valid.
        """
        with self._database.changing(Area.RUNS) as connection:
            held = _held(connection, run)
            if held is None:
                return False
            attempts = held.attempts - 1 if forgiven else held.attempts
            message = held.message if message is None else message
            other = _waiting(connection, _target(held))
            values: dict[str, Any] = {"state": RunState.WAITING, "due_us": due_us, "attempts": attempts}
            if held.cancelling:
                values = {"state": RunState.CANCELLED}
            elif other is not None:
                values = {"state": RunState.SUPERSEDED}
                carried = {
                    "due_us": max(due_us, other.due_us),
                    "attempts": max(attempts, other.attempts),
                    "message": message,
                }
                connection.execute(update(runs).where(runs.c.number == other.number).values(carried))
            return self._end(connection, run, {**values, "message": message}, cpu_us, read_bytes)

    def _end(
        self,
        connection: Connection,
        run: QueuedRun,
        values: dict[str, Any],
        cpu_us: int,
        read_bytes: int,
    ) -> bool:
        held = _held(connection, run)
        if held is None:
            return False
        now_us = self._clock()
        _add(connection, held, now_us, cpu_us, read_bytes)
        ended = {"claim": None, "cancelling": False, "ended_us": now_us, **values}
        connection.execute(update(runs).where(runs.c.number == run.number).values(ended))
        return True

    # Looking at them

    def find(self, project_id: str, run_id: str) -> QueuedRun:
        """Raises UnknownRun."""
        with self._database.reading() as connection:
            run = _find(connection, project_id, run_id)
        if run is None:
            raise UnknownRun(f"There is no run {run_id}.")
        return run

    def with_id(self, run_id: str) -> QueuedRun:
        """A run of any project. Raises UnknownRun."""
        with self._database.reading() as connection:
            row = connection.execute(select(*_COLUMNS).where(runs.c.id == run_id)).first()
        if row is None:
            raise UnknownRun(f"There is no run {run_id}.")
        return _run(row)

    def listed(
        self,
        project_id: str | None = None,
        *,
        pipeline: str | None = None,
        target: str | None = None,
        states: Iterable[RunState] | None = None,
        before: int | None = None,
        limit: int = PAGE,
        without: str | None = None,
    ) -> list[QueuedRun]:
        """Runs, newest first; ``before`` selects those with numbers below it, ``without`` leaves out those
        whose pipeline's name begins so."""
        wanted: list[ColumnElement[bool]] = []
        if without is not None:
            wanted.append(~runs.c.pipeline.startswith(without, autoescape=True))
        for column, value in ((runs.c.project_id, project_id), (runs.c.pipeline, pipeline)):
            if value is not None:
                wanted.append(column == value)
        if target is not None:
            wanted.append(runs.c.target == target)
        if states is not None:
            wanted.append(runs.c.state.in_(list(states)))
        if before is not None:
            wanted.append(runs.c.number < before)
        query = select(*_COLUMNS).where(*wanted).order_by(runs.c.number.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def executing(self) -> list[QueuedRun]:
        """The runs under a claim, whether or not their claimants live."""
        with self._database.reading() as connection:
            query = select(*_COLUMNS).where(runs.c.state == RunState.RUNNING)
            return [_run(row) for row in connection.execute(query)]

    def began_since(self, pool: str, since_us: int) -> bool:
        """Whether a run of the pool executes, or has begun since then."""
        query = select(runs.c.number).where(
            runs.c.pool == pool, (runs.c.state == RunState.RUNNING) | (runs.c.started_us >= since_us)
        )
        with self._database.reading() as connection:
            found = connection.execute(query.limit(1).execution_options(**_UNVERIFIED))
            return found.first() is not None

    def next_due_us(self, pools: Sequence[str] | None = None) -> int | None:
        """When the next of the runs that wait is due, perhaps in the past; None if none waits. Those of
        paused pipelines and sources are left out."""
        query = select(func.min(runs.c.due_us)).where(_WAITING, ~_PAUSED)
        if pools is not None:
            query = query.where(runs.c.pool.in_(pools))
        with self._database.reading() as connection:
            return connection.execute(query.execution_options(**_UNVERIFIED)).scalar()

    def ready(self, limit: int, pools: Sequence[str] | None = None) -> int:
        """How many runs could begin now one beside the other, counted to ``limit``."""
        now_us = self._clock()
        number = 0
        with self._database.reading() as connection:
            gate = _Gate(connection, now_us)
            with connection.execute(gate.narrowed(_due(now_us, pools))) as rows:
                for row in rows:
                    if number >= limit:
                        break
                    if gate.admits(found := _run(row)):
                        gate.count(found)
                        number += 1
        return number

    def counts(self) -> dict[tuple[str, RunState], int]:
        """How many runs each pool has in each state."""
        query = select(runs.c.pool, runs.c.state, func.count()).group_by(runs.c.pool, runs.c.state)
        query = query.execution_options(**_UNVERIFIED)
        with self._database.reading() as connection:
            return {(pool, RunState(state)): count for pool, state, count in connection.execute(query)}

    def forget(self, before_us: int) -> int:
        """Removes runs that ended before, and usage of earlier days. Returns how many runs it removed."""
        ended = runs.c.state.not_in([RunState.WAITING, RunState.RUNNING])
        old = (ended, runs.c.ended_us < before_us)
        with self._database.reading() as connection:
            if connection.execute(select(runs.c.number).where(*old).limit(1)).first() is None:
                return 0
        with self._database.changing(Area.RUNS) as connection:
            connection.execute(delete(run_usage).where(run_usage.c.day < before_us // _DAY_US))
            return connection.execute(delete(runs).where(*old)).rowcount

    def remove_project(self, project_id: str) -> None:
        """Removes all runs of a project with what they used, and its limits."""
        with self._database.changing(Area.RUNS) as connection:
            for table in (runs, run_limits, run_usage):
                connection.execute(delete(table).where(table.c.project_id == project_id))

    # Limits

    def set_limits(self, limits: RunLimits) -> None:
        """Sets the limits of a pool, project or pipeline, in place of earlier ones."""
        key = {"scope": limits.scope, "project_id": limits.project_id, "name": limits.name}
        values = {
            "concurrency": limits.concurrency,
            "cpu_us_per_day": limits.cpu_us_per_day,
            "bytes_per_day": limits.bytes_per_day,
            "priority": limits.priority,
        }
        with self._database.changing(Area.RUNS) as connection:
            earlier = _limits(connection).get((limits.scope, limits.project_id, limits.name))
            more = limits.priority - (earlier.priority if earlier is not None else 0)
            if limits.scope == LimitScope.POOL and more:
                ranked = {"rank_us": runs.c.rank_us - more * self._ageing_us}
                connection.execute(update(runs).where(_WAITING, runs.c.pool == limits.name).values(ranked))
            connection.execute(
                upsert(run_limits)
                .values({**key, **values})
                .on_conflict_do_update(index_elements=list(key), set_=values)
            )

    def remove_limits(self, scope: LimitScope, project_id: str = "", name: str = "") -> None:
        """Removes the limits of a pool, project or pipeline."""
        self.set_limits(RunLimits(scope, name, project_id))
        with self._database.changing(Area.RUNS) as connection:
            which = (
                run_limits.c.scope == scope,
                run_limits.c.project_id == project_id,
                run_limits.c.name == name,
            )
            connection.execute(delete(run_limits).where(*which))

    def limits(self) -> list[RunLimits]:
        with self._database.reading() as connection:
            return list(_limits(connection).values())

    def usage(self, project_id: str | None = None, since_day: int | None = None) -> list[RunUsage]:
        """What runs used, by UTC day since 1970, pool, project and pipeline; by default today."""
        day = self._clock() // _DAY_US if since_day is None else since_day
        query = select(run_usage).where(run_usage.c.day >= day).order_by(run_usage.c.day)
        if project_id is not None:
            query = query.where(run_usage.c.project_id == project_id)
        with self._database.reading() as connection:
            return [RunUsage(*row) for row in connection.execute(query)]


class _Gate:
    """Which waiting runs may begin now, by what executes, the limits, and what was used today."""

    def __init__(self, connection: Connection, now_us: int) -> None:
        self._limits = _limits(connection)
        self._running: Counter[tuple[str, str, str]] = Counter()
        self._targets: set[_Target] = set()
        query = select(*_COLUMNS).where(runs.c.state == RunState.RUNNING)
        for row in connection.execute(query):
            self.count(_run(row))
        self._spent = set(self._used_up(connection, now_us))

    def _used_up(self, connection: Connection, now_us: int) -> Iterable[tuple[str, str, str]]:
        budgeted = [
            one for one in self._limits.values() if (one.cpu_us_per_day, one.bytes_per_day) != (None, None)
        ]
        if not budgeted:
            return
        cpu_us: Counter[tuple[str, str, str]] = Counter()
        used_bytes: Counter[tuple[str, str, str]] = Counter()
        query = select(run_usage).where(run_usage.c.day == now_us // _DAY_US)
        for row in connection.execute(query):
            for scope in _scopes(row.pool, row.project_id, row.pipeline):
                cpu_us[scope] += row.cpu_us
                used_bytes[scope] += row.bytes
        for one in budgeted:
            scope = (one.scope, one.project_id, one.name)
            used = ((cpu_us[scope], one.cpu_us_per_day), (used_bytes[scope], one.bytes_per_day))
            if any(limit is not None and amount >= limit for amount, limit in used):
                yield scope

    def narrowed(self, query: Select[Any]) -> Select[Any]:
        """The query in the order of ranks, without most runs that may not begin: thousands may be held."""
        full = {
            scope
            for scope, limits in self._limits.items()
            if scope in self._spent
            or (limits.concurrency is not None and self._running[scope] >= limits.concurrency)
        }
        columns = {
            LimitScope.POOL: runs.c.pool,
            LimitScope.PROJECT: runs.c.project_id + _BETWEEN,
            LimitScope.PIPELINE: runs.c.project_id + _BETWEEN + runs.c.pipeline,
        }
        for scope, column in columns.items():
            names = sorted(_full_name(one) for one in full if one[0] == scope)
            if names:
                query = query.where(column.not_in(names[:HELD_MAX]))
        return query.order_by(runs.c.rank_us, runs.c.number)

    def admits(self, run: QueuedRun) -> bool:
        if _target(run) in self._targets:
            return False
        for scope in _scopes(run.pool, run.project_id, run.pipeline):
            limits = self._limits.get(scope)
            if limits is None:
                continue
            if scope in self._spent:
                return False
            if limits.concurrency is not None and self._running[scope] >= limits.concurrency:
                return False
        return True

    def count(self, run: QueuedRun) -> None:
        """Counts a run as executing."""
        self._targets.add(_target(run))
        for scope in _scopes(run.pool, run.project_id, run.pipeline):
            self._running[scope] += 1


def _scopes(pool: str, project_id: str, pipeline: str) -> tuple[tuple[str, str, str], ...]:
    return (
        (LimitScope.POOL, "", pool),
        (LimitScope.PROJECT, project_id, ""),
        (LimitScope.PIPELINE, project_id, pipeline),
    )


def _full_name(scope: tuple[str, str, str]) -> str:
    """As ``_Gate.narrowed`` compares it."""
    kind, project_id, name = scope
    return name if kind == LimitScope.POOL else project_id + _BETWEEN + name


def _due(now_us: int, pools: Sequence[str] | None) -> Select[Any]:
    """The runs that wait and are due, without those of deleted projects, paused pipelines and paused
    sources."""
    query = select(*_COLUMNS).where(
        _WAITING, runs.c.due_us <= now_us, runs.c.project_id.not_in(_DELETED.scalar_subquery()), ~_PAUSED
    )
    return query if pools is None else query.where(runs.c.pool.in_(pools))


def _next(connection: Connection, query: Select[Any], now_us: int) -> QueuedRun | None:
    gate = _Gate(connection, now_us)
    with connection.execute(gate.narrowed(query)) as rows:
        for row in rows:
            if gate.admits(found := _run(row)):
                return found
    return None


def _limits(connection: Connection) -> dict[tuple[str, str, str], RunLimits]:
    return {
        (row.scope, row.project_id, row.name): RunLimits(
            LimitScope(row.scope),
            row.name,
            row.project_id,
            row.concurrency,
            row.cpu_us_per_day,
            row.bytes_per_day,
            row.priority,
        )
        for row in connection.execute(select(run_limits))
    }


def _add(connection: Connection, run: QueuedRun, now_us: int, cpu_us: int, read_bytes: int) -> None:
    if cpu_us or read_bytes:
        more = {"cpu_us": runs.c.cpu_us + cpu_us, "bytes": runs.c.bytes + read_bytes}
        connection.execute(update(runs).where(runs.c.number == run.number).values(more))
        _charge(connection, run, now_us, cpu_us=cpu_us, bytes=read_bytes)


def _charge(connection: Connection, run: QueuedRun, now_us: int, **used: int) -> None:
    key = {
        "day": now_us // _DAY_US,
        "pool": run.pool,
        "project_id": run.project_id,
        "pipeline": run.pipeline,
    }
    values = {"cpu_us": 0, "bytes": 0, "runs": 0, **used}
    connection.execute(
        upsert(run_usage)
        .values({**key, **values})
        .on_conflict_do_update(
            index_elements=list(key),
            set_={name: run_usage.c[name] + value for name, value in used.items()},
        )
    )


def _target(run: QueuedRun) -> _Target:
    return run.project_id, run.pipeline, run.target


def _waiting(connection: Connection, target: _Target) -> QueuedRun | None:
    project_id, pipeline, name = target
    query = select(*_COLUMNS).where(
        _WAITING,
        runs.c.project_id == project_id,
        runs.c.pipeline == pipeline,
        runs.c.target == name,
    )
    row = connection.execute(query).first()
    return None if row is None else _run(row)


def _held(connection: Connection, run: QueuedRun) -> QueuedRun | None:
    """The run as it is now; None where its claim is no longer valid."""
    query = select(*_COLUMNS).where(
        runs.c.number == run.number, runs.c.claim == run.claim, runs.c.state == RunState.RUNNING
    )
    row = connection.execute(query).first()
    return None if row is None else _run(row)


def _find(connection: Connection, project_id: str, run_id: str) -> QueuedRun | None:
    query = select(*_COLUMNS).where(runs.c.project_id == project_id, runs.c.id == run_id)
    row = connection.execute(query).first()
    return None if row is None else _run(row)


def _read(connection: Connection, number: int) -> QueuedRun:
    return _run(connection.execute(select(*_COLUMNS).where(runs.c.number == number)).one())


def _run(row: Row[Any]) -> QueuedRun:
    return QueuedRun(**{**row._mapping, "state": RunState(row.state)})
