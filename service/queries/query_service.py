"""Running queries: parsed, given a slot, answered on a thread, and cancelled when the client has left.

The one place where ``query`` and ``storage.read.snapshot_reader`` meet, and where a key's forced filters
narrow what a query can see, so that no route can forget them.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from query.answers.cohorts.answering import cohort_actors
from query.answers.freshness import RecordingSource, is_named
from query.answers.pipeline import Answer, Conditions, Work, answer, answered
from query.answers.profiles.reading import profile
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
from query.json_encoding import Written, dumps
from query.language import parameters
from query.language.cohorts.naming import FindCohort, cohort_of, no_saved
from query.language.filters import CheckRegex
from query.language.nodes import ActorCohort, Filter, Members, ParsedQuery
from query.language.parameters import without_use
from query.language.parse import parse
from query.language.preferences import KEEN, Preferences
from query.limits import Limits
from query.plan.data_warnings import DataWarning, unused_zones, without_effect
from query.plan.profile import ProfileQuery
from service.auth.principal import Caller, Permission
from service.errors import ApiError, Forbidden, NotFound, RateLimited
from service.limits.concurrency_limiter import Concurrency
from service.limits.query_scheduler import QueryScheduler
from service.limits.quotas import NoStore, Quotas, Tally
from service.queries import past
from service.queries.answer_cache import BYTES_MAX as KEPT_BYTES_MAX
from service.queries.answer_cache import AnswerCache, kept_answer, key_of
from service.queries.diff import changes, check_may_compare, described, read_diff
from service.queries.past import Asked, asked
from service.queries.sight import SourceReader, WarningFinder
from service.telemetry.metrics import COHORT, DIFF, IDENTITY, PROFILE, QUERY_KINDS, Metrics
from service.threads import in_thread
from storage.catalog.catalog import system_clock
from storage.catalog.tenants.records import Project
from storage.schema import Lane
from storage.source import Source, SourceGone

T = TypeVar("T")
GONE_AFTER_SECONDS = 0.05
"""How long a query runs before its client's connection is watched."""
CohortsOf = Callable[[str], FindCohort]
"""Returns what finds the saved cohorts of the project with this id."""
Warn = Callable[[Mapping[str, Source]], list[DataWarning]]
"""Finds the warnings for an answer that was computed from these sources."""


@dataclass(frozen=True, slots=True)
class QueryResponse:
    """An answer as the client gets it: JSON, and the information for its headers."""

    body: bytes
    warnings: tuple[str, ...] = ()
    age: int | None = None
    """Seconds since it was computed, if it comes from a cache."""
    complete: bool = True
    """False where damaged files were left out."""
    reservation: Reservation | None = field(default=None, compare=False)
    """The memory reserved for the body, until sending begins: then it counts as an unsent answer."""


class QueryService:
    """Answers the queries of one worker. Methods belong to its event loop."""

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
        cohorts_of: CohortsOf | None = None,
    ) -> None:
        """``strict``: refuse parameters that a query does not take. ``kept_bytes_max``: bytes of answers that
        are kept to be repeated. ``preferences``: for projects that have none. ``cohorts_of`` finds the saved
        cohorts of a project; without it no question has any."""
        self._reader = reader
        self._engine = engine
        self._limits = limits
        self._slots = slots
        self._sight = WarningFinder(reader, engine, limits)
        self._concurrency = concurrency
        self._quotas = quotas or Quotas(NoStore(), {}, lambda _: None)
        self._executor = executor
        self._kept = AnswerCache(kept_bytes_max)
        self._clock = clock
        self.strict = strict
        self._preferences = preferences
        self._cohorts_of = cohorts_of
        self._seconds = {name: metrics.histogram("acumen_query_seconds", name) for name in QUERY_KINDS}
        self._ends = {
            end: metrics.counter("acumen_queries_total", end)
            for end in ("answered", "refused", "timeout", "cancelled", "overloaded", "failed")
        }
        self._repeated = metrics.counter("acumen_answers_repeated_total")
        self._running = metrics.counter("acumen_queries_running")
        self._waiting = metrics.counter("acumen_queries_waiting")
        slots.changed = self._measure

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def budget(self) -> MemoryBudget:
        """The memory budget for results."""
        return self._engine.budget

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def check_regex(self) -> CheckRegex:
        return self._engine.check_regex

    def preferences_of(self, project: Project) -> Preferences:
        """The preferences by which the project's queries are parsed."""
        return self._preferences.of_project(project.preferences)

    def judge(
        self, project: Project, analysis: str, params: Mapping[str, Any], *, cohorts: bool = True
    ) -> ParsedQuery:
        """The parsed query of a definition that is to be stored, as of now; ``cohorts``: whether it may use
        any. Blocks. Raises InvalidQuery."""
        deadline = Deadline.after(self._limits.timeout_seconds)
        return self._read(analysis, params, deadline, project, cohorts=cohorts)

    def judge_cohort(self, project: Project, name: str, definition: Mapping[str, Any]) -> ActorCohort:
        """The parsed cohort of a definition that is to be stored. Blocks. Raises InvalidQuery."""
        return self._cohort(project, name, definition)

    async def cohort_actors(
        self,
        caller: Caller,
        name: str,
        limit: int,
        gone: Callable[[], Awaitable[None]],
    ) -> QueryResponse:
        """How many actors a saved cohort has now, and the first of them, under the caller's filters.

        Raises NotFound, QueryError, RateLimited.
        """

        def work() -> Work:
            return cohort_actors(self.saved_cohort(caller.project, name), limit)

        return await self._worked(caller, COHORT, work, gone)

    def saved_cohort(self, project: Project, name: str) -> ActorCohort:
        """The saved cohort of this name, as of now. Blocks. Raises NotFound, InvalidQuery."""
        find = self.find_cohort(project.id) or no_saved
        saved = find(name)
        if saved is None:
            raise NotFound.named("cohort", name)
        return self._cohort(project, name, saved.definition, saved.members)

    def _cohort(
        self, project: Project, name: str, definition: Mapping[str, Any], members: Members | None = None
    ) -> ActorCohort:
        deadline = Deadline.after(self._limits.timeout_seconds)
        return cohort_of(
            name,
            definition,
            self.find_cohort(project.id) or no_saved,
            members=members,
            now_us=self._clock(),
            limits=self._limits,
            check_regex=self._engine.check_regex,
            check=deadline.check,
            preferences=self.preferences_of(project),
        )

    def find_cohort(self, project_id: str) -> FindCohort | None:
        """What finds the saved cohorts of the project; it blocks."""
        return None if self._cohorts_of is None else self._cohorts_of(project_id)

    async def ask(
        self,
        caller: Caller,
        analysis: str,
        read: Callable[[], Mapping[str, Any]],
        gone: Callable[[], Awaitable[None]],
    ) -> QueryResponse:
        """The answer to one query; ``gone`` returns once the client has left.

        ``read`` returns the parameters; it is called on the query's thread since they may be long. Raises
        QueryError, and RateLimited where as many queries run as are allowed.
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
        """The answer to a query that the server made itself; filters for the permission ``kind`` apply."""
        forced = caller.filters_for(kind)

        def work(token: CancelToken) -> QueryResponse:
            deadline = Deadline.after(self._limits.timeout_seconds, token)
            return self._compute(caller, question, self._source_of(caller), deadline, forced)

        return await self.during(caller, analysis, work, gone)

    async def diff(
        self,
        caller: Caller,
        read: Callable[[], Any],
        gone: Callable[[], Awaitable[None]],
    ) -> QueryResponse:
        """The answers to one question about two versions, and which events make the difference. Raises as
        ``ask`` does, and Forbidden."""
        check_may_compare(caller)
        return await self.during(caller, DIFF, lambda token: self._diff(caller, read(), token), gone)

    def _diff(self, caller: Caller, body: Any, token: CancelToken) -> QueryResponse:
        deadline = Deadline.after(self._limits.timeout_seconds, token)
        request = read_diff(self._reader, body, self._clock())
        # Relative timeframes are those of the first answer, so that one timeframe is compared.
        about = Asked(request.first.instant_us, request.first)
        question = self._read(request.analysis, request.params, deadline, caller.project, about)
        sides = {}
        for name, version in (("from", request.first), ("to", request.second)):
            source_of = past.source_of(self._reader, caller.project.id, version)
            response = self._compute(caller, question, source_of, deadline, ())
            if response.reservation is not None:
                response.reservation.reduce_to(0)
            sides[name] = described(version, Written(response.body))
        found = changes(
            request,
            question,
            self._reader,
            self._engine,
            caller=caller,
            limits=self._limits,
            deadline=deadline,
        )
        return QueryResponse(written({**sides, "changes": found}, self._limits))

    async def profile(
        self,
        caller: Caller,
        query: ProfileQuery,
        forced: tuple[Filter, ...],
        more: Mapping[str, Any],
        gone: Callable[[], Awaitable[None]],
    ) -> tuple[QueryResponse, Source]:
        """A profile under these filters, followed by ``more``, and the source that it was computed from."""

        def work(token: CancelToken) -> tuple[QueryResponse, Source]:
            watched = RecordingSource(self._source_of(caller))
            computed = profile(
                query,
                watched,
                self._engine,
                limits=self._limits,
                deadline=Deadline.after(self._limits.timeout_seconds, token),
                forced_filters=forced,
                project_id=caller.project.id,
            )
            computed.body.update(more)
            return _written(computed, self._limits), watched.given[query.collection]

        return await self.during(caller, PROFILE, work, gone)

    async def identities(
        self, caller: Caller, work: Work, gone: Callable[[], Awaitable[None]]
    ) -> QueryResponse:
        """What ``work`` finds of the ids of actors, under the key's filters."""
        return await self._worked(caller, IDENTITY, lambda: work, gone)

    async def _worked(
        self, caller: Caller, kind: str, made: Callable[[], Work], gone: Callable[[], Awaitable[None]]
    ) -> QueryResponse:
        """What the work finds under the key's filters. ``made`` returns it, on the query's thread."""
        forced = caller.filters_for(Permission.QUERIES)

        def answer_all(token: CancelToken) -> QueryResponse:
            computed = answered(
                made(),
                self._source_of(caller),
                self._engine,
                limits=self._limits,
                ends=Deadline.after(self._limits.timeout_seconds, token),
                forced_filters=forced,
                project_id=caller.project.id,
            )
            return _written(computed, self._limits)

        return await self.during(caller, kind, answer_all, gone)

    async def during(
        self,
        caller: Caller,
        analysis: str,
        work: Callable[[CancelToken], T],
        gone: Callable[[], Awaitable[None]],
    ) -> T:
        """The result of ``work``, run on a thread with a slot, and counted as a query everywhere."""
        started = time.perf_counter()
        tally = await self._tally(caller)
        try:
            self._quotas.check_queries(tally)
            with self._concurrency.one(
                caller.project.id, caller.counted_as, by_token=caller.embed is not None
            ):
                async with self._slots.one(caller.project.id):
                    began = time.perf_counter()
                    try:
                        response = await self._run(work, gone)
                    finally:
                        tally.query_us += int((time.perf_counter() - began) * 1_000_000)
        except Exception as error:
            self._ends[_ending(error)].add()
            raise
        finally:
            self._seconds[analysis].observe(time.perf_counter() - started)
        self._ends["answered"].add()
        return response

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
            return await self._run(look, gone)

    async def standing(self, caller: Caller, collection: str) -> tuple[Lane, ...] | None:
        """The lanes that stored events have now; None where there is no event. Raises StorageError.

        Needed only for collections that were erased from: in all others every lane has an event.
        """
        source = await in_thread(self._executor, self._reader.source, caller.project.id, collection)
        return lanes_standing(source) if source.known else None

    def source(self, project_id: str, collection: str) -> Source:
        """A collection as a question reads it now. Blocks. Raises StorageError."""
        return self._reader.source(project_id, collection)

    async def _tally(self, caller: Caller) -> Tally:
        """The tally that counts the caller's queries."""
        tally = self._quotas.tally(caller.project.id, caller.counted_as)
        tally.limits = caller.options.quotas
        if tally.is_new:
            await in_thread(self._executor, self._quotas.prepare, tally)
        return tally

    def _measure(self) -> None:
        self._running.set(self._slots.held)
        self._waiting.set(self._slots.waiting)

    async def _run(self, work: Callable[[CancelToken], T], gone: Callable[[], Awaitable[None]]) -> T:
        token = CancelToken()
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        done = loop.run_in_executor(self._executor, lambda: context.run(work, token))
        watch = _GoneWatch(loop, gone, token)
        try:
            # The slot is held until the thread is free again, even if the client leaves.
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            token.cancel(QueryCancelled("The server is stopping."))
            await asyncio.wait((done,))
            raise
        finally:
            watch.end()
            # Avoids a reference cycle: its error refers to this frame, which refers to it.
            del done

    def _answer(
        self, caller: Caller, analysis: str, read: Callable[[], Mapping[str, Any]], token: CancelToken
    ) -> QueryResponse:
        deadline = Deadline.after(self._limits.timeout_seconds, token)
        params = read()
        about = asked(self._reader, caller, params, self._clock())
        question = self._read(analysis, params, deadline, caller.project, about)
        if question.explain:
            check_may_explain(caller)
        source_of = past.source_of(self._reader, caller.project.id, about.version)
        forced = caller.filters_for(Permission.QUERIES)
        warn = self._warner(caller, analysis, params, question, deadline, of_now=about.version is not None)
        seers = (*forced, *(() if warn is None else caller.filters_for(Permission.SCHEMA)))
        apart = (warn is not None, seers, question.preferences, question.cohorts)
        key = key_of(caller.project.id, analysis, params, forced, apart)
        if key is None:
            return self._compute(caller, question, source_of, deadline, forced, warn)
        return self._kept_or_new(caller, question, key, source_of, deadline, forced, warn)

    def warnings(
        self, caller: Caller, analysis: str, params: Mapping[str, Any], question: ParsedQuery
    ) -> list[dict[str, Any]]:
        """Warnings about names that leave a query to be stored without data, as JSON.

        Blocks. Raises StorageError.
        """
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
        *,
        of_now: bool = False,
    ) -> Warn | None:
        """A function that finds the warnings for this caller; None where it may not read the schema.

        ``of_now``: they are about what there is now, while the answer's sources are of an earlier version.
        """
        if Permission.SCHEMA not in caller.permissions:
            return None
        unused = [
            *without_effect(analysis, without_use(analysis, params)),
            *unused_zones(analysis, params),
        ]
        filters = caller.filters_for(Permission.SCHEMA)

        def warn(sources: Mapping[str, Source]) -> list[DataWarning]:
            project_id = caller.project.id
            read = {} if of_now else sources
            warnings = self._sight.warnings(project_id, question.query, filters, deadline, read)
            return [*unused, *warnings]

        return warn

    def _read(
        self,
        analysis: str,
        params: Mapping[str, Any],
        deadline: Deadline,
        project: Project,
        about: Asked | None = None,
        *,
        cohorts: bool = True,
    ) -> ParsedQuery:
        """The parsed query. Raises InvalidQuery."""
        if self.strict:
            parameters.check(analysis, params)
        return parse(
            analysis,
            params,
            now_us=self._clock() if about is None else about.now_us,
            limits=self._limits,
            check_regex=self._engine.check_regex,
            check=deadline.check,
            preferences=self.preferences_of(project),
            version="" if about is None or about.version is None else str(about.version),
            find_cohort=self.find_cohort(project.id) if cohorts else None,
        )

    def _source_of(self, caller: Caller) -> Callable[[str], Source]:
        return lambda name: self._reader.source(caller.project.id, name)

    def _kept_or_new(
        self,
        caller: Caller,
        question: ParsedQuery,
        key: str,
        source_of: Callable[[str], Source],
        deadline: Deadline,
        forced: tuple[Filter, ...],
        warn: Warn | None,
    ) -> QueryResponse:
        """A kept answer that may be repeated, or a new one, which is then kept."""
        with suppress(SourceGone):
            kept = self._kept.find(key, question, source_of) if question.max_age != 0 else None
            if kept is not None:
                self._repeated.add()
                age = self._kept.now() - kept.at
                # An older answer is repeated only where it would be the same now: it has no age.
                older = question.max_age is not None and age <= question.max_age
                return QueryResponse(kept.body, kept.warnings, int(age) if older else None)
        at, watched = self._kept.now(), RecordingSource(source_of)
        response = self._compute(caller, question, watched, deadline, forced, warn)
        made = kept_answer(response.body, response.warnings, question, watched.given, at)
        if response.complete and made is not None:
            self._kept.keep(key, made)
        return response

    def _compute(
        self,
        caller: Caller,
        question: ParsedQuery,
        source_of: Callable[[str], Source],
        deadline: Deadline,
        forced: tuple[Filter, ...],
        warn: Warn | None = None,
    ) -> QueryResponse:
        watched = RecordingSource(source_of)
        computed = answer(
            question,
            watched,
            self._engine,
            limits=self._limits,
            deadline=deadline,
            forced_filters=forced,
            project_id=caller.project.id,
        )
        named = {name: one for name, one in watched.given.items() if is_named(name, question.query)}
        warnings = warn(named) if warn is not None else []
        if warnings:
            found = computed.body.get("warnings", [])
            computed.body["warnings"] = [*(one.as_json() for one in warnings), *found]
        return _written(computed, self._limits)


class _GoneWatch:
    """Cancels a query once its client has left. It starts with a delay: most queries are answered before."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, gone: Callable[[], Awaitable[None]], token: CancelToken
    ) -> None:
        self._gone = gone
        self._token = token
        self._task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(GONE_AFTER_SECONDS, self._begin)

    def end(self) -> None:
        self._timer.cancel()
        # Avoids a reference cycle: the task's error refers to this frame.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        await self._gone()
        self._token.cancel(QueryCancelled("The client went away."))


def check_may_explain(caller: Caller) -> None:
    """Raises Forbidden where the explanation would reveal more than the caller may see."""
    if caller.embed is not None:
        raise Forbidden("'explain' shows statements: it is not for embed tokens.")
    if Permission.SCHEMA not in caller.permissions:
        raise Forbidden("'explain' shows names of properties: this key lacks the permission 'schema'.")
    if caller.is_filtered:
        raise Forbidden("'explain' shows how many events are stored, so a key with filters cannot use it.")


def _written(computed: Answer, limits: Limits) -> QueryResponse:
    """The response with an answer's body, of whose memory no more than the written bytes stay reserved."""
    body = written(computed.body, limits)
    reservation = computed.reservation
    if reservation is not None:
        computed.body.clear()
        reservation.finish(len(body))
    return QueryResponse(body, tuple(computed.warnings), complete=computed.complete, reservation=reservation)


def written(body: Any, limits: Limits) -> bytes:
    """An answer as JSON. Raises QueryLimitExceeded where it exceeds ``response_bytes_max``."""
    text = dumps(body)
    limit = limits.response_bytes_max
    if len(text) > limit:
        raise QueryLimitExceeded(
            f"The answer has {len(text)} bytes, more than the limit of {limit}. "
            "Ask for fewer properties, groups or intervals, or a shorter timeframe."
        )
    return text


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
