"""A question on its way: read, given a slot, answered in a thread, stopped when nobody waits for it.

The one place where ``query`` and ``storage.read.snapshot_reader`` meet, and where a key's forced filters
narrow what a question can see, so that no route can forget them.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from query.answers.freshness import RecordingSource, erasures
from query.answers.pipeline import Conditions, answer
from query.answers.visible_properties import held_lanes, lanes_standing
from query.engine.engine import CancelToken, Deadline, Engine
from query.engine.memory_budget import MemoryBudget, Reservation
from query.errors import (
    InvalidQuery,
    QueryCancelled,
    QueryError,
    QueryLimitExceeded,
    QueryOverloaded,
    QueryTimeout,
)
from query.json_encoding import dumps
from query.language import parameters
from query.language.filters import CheckRegex
from query.language.nodes import Filter, ParsedQuery
from query.language.parameter_table import ANALYSIS_NAMES
from query.language.parameters import without_use
from query.language.parse import parse
from query.language.preferences import KEEN, Preferences
from query.limits import Limits
from query.plan.data_warnings import DataWarning, without_effect
from service.auth.principal import Caller, Permission
from service.errors import ApiError, Forbidden, RateLimited
from service.limits.concurrency_limiter import Concurrency
from service.limits.query_scheduler import QueryScheduler
from service.limits.quotas import NoStore, Quotas, Tally
from service.queries.max_age_cache import BYTES_MAX as KEPT_BYTES_MAX
from service.queries.max_age_cache import MaxAgeCache, RecentAnswer, key_of
from service.queries.sight import SourceReader, WarningFinder
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import system_clock
from storage.catalog.tenants.records import Project
from storage.schema import Lane
from storage.source import Source

T = TypeVar("T")
GONE_AFTER_SECONDS = 0.05
"""So long a question runs before it is looked whether its client is still there."""
Warn = Callable[[Mapping[str, Source]], list[DataWarning]]
"""Finds the warnings to stand beside an answer that was made of these sources."""


@dataclass(frozen=True, slots=True)
class QueryResponse:
    """An answer as the client gets it: JSON, and what should be said beside it."""

    body: bytes
    warnings: tuple[str, ...] = ()
    age: int | None = None
    """Seconds since it was computed, where it was kept since."""
    complete: bool = True
    """False where damaged files were left out."""
    reservation: Reservation | None = field(default=None, compare=False)
    """Of the body's memory, until it is sent: from then on it counts as an unsent answer."""


class QueryService:
    """Answers the questions of one worker. Methods belong to its event loop."""

    def __init__(
        self,
        reader: SourceReader,
        engine: Engine,
        limits: Limits,
        slots: QueryScheduler,
        concurrency: Concurrency,
        metrics: Metrics,
        executor: Executor,
        clock: Callable[[], int] = system_clock,
        *,
        quotas: Quotas | None = None,
        strict: bool = True,
        kept_bytes_max: int = KEPT_BYTES_MAX,
        preferences: Preferences = KEEN,
    ) -> None:
        """``strict``: parameters that a question does not take are refused. ``kept_bytes_max``: of answers
        that are kept for ``max_age``. ``preferences``: of projects that have none."""
        self._reader = reader
        self._engine = engine
        self._limits = limits
        self._slots = slots
        self._sight = WarningFinder(reader, engine, limits)
        self._concurrency = concurrency
        self._quotas = quotas or Quotas(NoStore(), {}, lambda _: None)
        self._executor = executor
        self._recent = MaxAgeCache(kept_bytes_max)
        self._clock = clock
        self.strict = strict
        self._preferences = preferences
        self._seconds = {name: metrics.histogram("acumen_query_seconds", name) for name in ANALYSIS_NAMES}
        self._ends = {
            end: metrics.counter("acumen_queries_total", end)
            for end in ("answered", "refused", "timeout", "cancelled", "overloaded", "failed")
        }
        self._running = metrics.counter("acumen_queries_running")
        self._waiting = metrics.counter("acumen_queries_waiting")
        slots.changed = self._measure

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def budget(self) -> MemoryBudget:
        """Of what results take."""
        return self._engine.budget

    @property
    def check_regex(self) -> CheckRegex:
        return self._engine.check_regex

    def preferences_of(self, project: Project) -> Preferences:
        """What its questions are read by."""
        return self._preferences.of_project(project.preferences)

    def judge(self, project: Project, analysis: str, params: Mapping[str, Any]) -> ParsedQuery:
        """The question of a definition that is to be kept, as of now. Blocks. Raises InvalidQuery."""
        deadline = Deadline.after(self._limits.timeout_seconds)
        return self._read(analysis, params, deadline, self.preferences_of(project))

    async def ask(
        self,
        caller: Caller,
        analysis: str,
        read: Callable[[], Mapping[str, Any]],
        gone: Callable[[], Awaitable[None]],
    ) -> QueryResponse:
        """The answer to one question; ``gone`` returns once the client has left.

        ``read`` makes the parameters, in the worker's thread since they may be long. Raises QueryError, and
        RateLimited where as many run as may.
        """
        return await self.during(
            caller, analysis, lambda token: self._answer(caller, analysis, read, token), gone
        )

    async def ask_prepared(
        self,
        caller: Caller,
        analysis: str,
        question: ParsedQuery,
        kind: Permission,
        gone: Callable[[], Awaitable[None]],
    ) -> QueryResponse:
        """The answer to a question of the server's own; ``kind`` says as part of what it is asked."""
        forced = caller.filters_for(kind)

        def work(token: CancelToken) -> QueryResponse:
            deadline = Deadline.after(self._limits.timeout_seconds, token)
            return self._found(caller, question, self._source_of(caller), deadline, forced)

        return await self.during(caller, analysis, work, gone)

    async def during(
        self,
        caller: Caller,
        analysis: str,
        work: Callable[[CancelToken], T],
        gone: Callable[[], Awaitable[None]],
    ) -> T:
        """What ``work`` gives, done in a thread, with a slot, and as a question in every count."""
        started = time.perf_counter()
        tally = await self._tally(caller)
        try:
            self._quotas.check_queries(tally)
            with self._concurrency.one(caller.project.id, caller.counted_as):
                async with self._slots.one(caller.project.id):
                    began = time.perf_counter()
                    try:
                        told = await self._in_thread(work, gone)
                    finally:
                        tally.query_us += int((time.perf_counter() - began) * 1_000_000)
        except Exception as error:
            self._ends[_ending(error)].add()
            raise
        finally:
            self._seconds[analysis].observe(time.perf_counter() - started)
        self._ends["answered"].add()
        return told

    async def held(
        self,
        caller: Caller,
        collection: str,
        gone: Callable[[], Awaitable[None]],
        kind: Permission = Permission.SCHEMA,
    ) -> tuple[Lane, ...] | None:
        """The lanes of the events that the caller can see; None where it sees none. Raises QueryError."""

        def look(token: CancelToken) -> tuple[Lane, ...] | None:
            deadline = Deadline.after(self._limits.timeout_seconds, token)
            return held_lanes(
                collection,
                lambda name: self._reader.source(caller.project.id, name),
                self._engine,
                filters=caller.filters_for(kind),
                spend=lambda: Conditions(self._limits, deadline.check).spend,
                deadline=deadline,
            )

        async with self._slots.one(caller.project.id):
            return await self._in_thread(look, gone)

    async def standing(self, caller: Caller, collection: str) -> tuple[Lane, ...] | None:
        """The lanes of all that is stored now; None where no event is. For collections that were erased from:
        of all others every lane has an event. Raises StorageError."""
        loop = asyncio.get_running_loop()
        source = await loop.run_in_executor(
            self._executor, self._reader.source, caller.project.id, collection
        )
        return lanes_standing(source) if source.known else None

    async def _tally(self, caller: Caller) -> Tally:
        """Where the caller's questions are counted."""
        tally = self._quotas.tally(caller.project.id, caller.counted_as)
        tally.limits = caller.options.quotas
        if tally.is_new:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._quotas.prepare, tally)
        return tally

    def _measure(self) -> None:
        self._running.set(self._slots.held)
        self._waiting.set(self._slots.waiting)

    async def _in_thread(self, work: Callable[[CancelToken], T], gone: Callable[[], Awaitable[None]]) -> T:
        token = CancelToken()
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        done = loop.run_in_executor(self._executor, lambda: context.run(work, token))
        watch = _GoneWatch(loop, gone, token)
        try:
            # The slot is held until the thread is free again, whatever becomes of the client.
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            token.cancel(QueryCancelled("The server stops."))
            await asyncio.wait((done,))
            raise
        finally:
            watch.end()
            # Its error leads to this frame, which would lead back to it.
            del done

    def _answer(
        self, caller: Caller, analysis: str, read: Callable[[], Mapping[str, Any]], token: CancelToken
    ) -> QueryResponse:
        deadline = Deadline.after(self._limits.timeout_seconds, token)
        params = read()
        question = self._read(analysis, params, deadline, self.preferences_of(caller.project))
        if question.explain:
            _check_may_explain(caller)
        forced = caller.filters_for(Permission.QUERIES)
        warn = self._warner(caller, analysis, params, question, deadline)
        if question.max_age is not None:
            seers = (*forced, *(() if warn is None else caller.filters_for(Permission.SCHEMA)))
            told_apart = (warn is not None, seers, question.preferences)
            key = key_of(caller.project.id, analysis, params, forced, told_apart)
            if key is not None:
                return self._recently(caller, question, question.max_age, key, deadline, forced, warn)
        return self._found(caller, question, self._source_of(caller), deadline, forced, warn)

    def warnings(
        self, caller: Caller, analysis: str, params: Mapping[str, Any], question: ParsedQuery
    ) -> list[dict[str, Any]]:
        """What leaves a question that is to be kept without data, as JSON. Blocks. Raises StorageError."""
        deadline = Deadline.after(self._limits.timeout_seconds)
        warn = self._warner(caller, analysis, params, question, deadline)
        return [] if warn is None else [one.as_json() for one in warn({})]

    def _warner(
        self,
        caller: Caller,
        analysis: str,
        params: Mapping[str, Any],
        question: ParsedQuery,
        deadline: Deadline,
    ) -> Warn | None:
        """What finds the warnings for this caller; None for one that may not read the schema."""
        if Permission.SCHEMA not in caller.permissions:
            return None
        unused = without_use(analysis, params)
        filters = caller.filters_for(Permission.SCHEMA)

        def warn(sources: Mapping[str, Source]) -> list[DataWarning]:
            project_id = caller.project.id
            found = self._sight.warnings(project_id, question.query, filters, deadline, sources)
            return [*without_effect(analysis, unused), *found]

        return warn

    def _read(
        self, analysis: str, params: Mapping[str, Any], deadline: Deadline, preferences: Preferences
    ) -> ParsedQuery:
        """The question as it was sent. Raises InvalidQuery."""
        if self.strict:
            parameters.check(analysis, params)
        return parse(
            analysis,
            params,
            now_us=self._clock(),
            limits=self._limits,
            check_regex=self._engine.check_regex,
            check=deadline.check,
            preferences=preferences,
        )

    def _source_of(self, caller: Caller) -> Callable[[str], Source]:
        return lambda name: self._reader.source(caller.project.id, name)

    def _recently(
        self,
        caller: Caller,
        question: ParsedQuery,
        max_age: int,
        key: str,
        deadline: Deadline,
        forced: tuple[Filter, ...],
        warn: Warn | None,
    ) -> QueryResponse:
        """The answer, or one that is old enough to be told still."""
        kept = self._recent.find(key, max_age, self._source_of(caller))
        if kept is not None:
            return QueryResponse(kept.body, kept.warnings, int(self._recent.now() - kept.at))
        at, watched = self._recent.now(), RecordingSource(self._source_of(caller))
        told = self._found(caller, question, watched, deadline, forced, warn)
        read = {name: erasures(source) for name, source in watched.given.items()}
        if told.complete:
            self._recent.keep(key, RecentAnswer(told.body, told.warnings, read, at))
        return told

    def _found(
        self,
        caller: Caller,
        question: ParsedQuery,
        source_of: Callable[[str], Source],
        deadline: Deadline,
        forced: tuple[Filter, ...],
        warn: Warn | None = None,
    ) -> QueryResponse:
        watched = RecordingSource(source_of)
        found = answer(
            question,
            watched,
            self._engine,
            limits=self._limits,
            deadline=deadline,
            forced_filters=forced,
            project_id=caller.project.id,
        )
        warnings = warn(watched.given) if warn is not None else []
        if warnings:
            found.body["warnings"] = [one.as_json() for one in warnings]
        body = written(found.body, self._limits)
        reservation = found.reservation
        if reservation is not None:
            found.body.clear()
            reservation.finish(len(body))
        return QueryResponse(body, tuple(found.warnings), complete=found.complete, reservation=reservation)


class _GoneWatch:
    """Cancels a question once its client has left. It begins a moment late: most are answered before."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, gone: Callable[[], Awaitable[None]], token: CancelToken
    ) -> None:
        self._gone = gone
        self._token = token
        self._task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(GONE_AFTER_SECONDS, self._begin)

    def end(self) -> None:
        self._timer.cancel()
        # The task's error leads back here.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        await self._gone()
        self._token.cancel(QueryCancelled("The client went away."))


def _check_may_explain(caller: Caller) -> None:
    """Raises Forbidden where what is read for an answer would tell of more than the caller may see."""
    if Permission.SCHEMA not in caller.permissions:
        raise Forbidden("'explain' shows names of properties: this key lacks the permission 'schema'.")
    if caller.is_filtered:
        raise Forbidden("'explain' tells how many events there are: it is not for keys with filters.")


def written(body: Any, limits: Limits) -> bytes:
    """An answer as JSON. Raises QueryLimitExceeded where it is longer than an answer may be."""
    told = dumps(body)
    limit = limits.response_bytes_max
    if len(told) > limit:
        raise QueryLimitExceeded(
            f"The answer has {len(told)} bytes, more than the limit of {limit}. "
            "Ask for fewer properties, groups or intervals, or a shorter timeframe."
        )
    return told


def _ending(error: Exception) -> str:
    if isinstance(error, InvalidQuery):
        return "refused"
    if isinstance(error, ApiError) and not isinstance(error, RateLimited) and error.status < 500:
        return "refused"
    kinds: tuple[tuple[type[QueryError], str], ...] = (
        (QueryTimeout, "timeout"),
        (QueryCancelled, "cancelled"),
        (QueryOverloaded, "overloaded"),
    )
    if isinstance(error, RateLimited):
        return "overloaded"
    return next((name for kind, name in kinds if isinstance(error, kind)), "failed")
