"""Results of saved queries as a worker serves them: computed on request, or kept and served from memory.

A worker caches whole answers, byte for byte, with the version of the store as of which they were correct. A
cached answer is served only while the store is unchanged, or after its changes were checked, so ``stale`` in
an answer is always exact.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from query.engine.engine import CancelToken, Deadline
from query.errors import InvalidQuery
from query.language.preferences import Preferences
from service.auth.principal import Caller, Permission
from service.errors import NotFound
from service.queries.byte_bounded_cache import ByteBoundedCache
from service.queries.query_service import QueryResponse, QueryService
from service.saved_queries import definition
from service.saved_queries.results import FilterScope, Freshness, Results
from service.saved_queries.viewer_changes import (
    Changes,
    changed,
    check_extractable,
    check_may_change,
    error_for_viewer,
)
from service.threads import in_thread
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.derived.records import SavedQuery, SavedRun
from storage.read.snapshot_reader import Reader, StoreVersion

ATTEMPTS_MAX = 3
_SECOND_US = 1_000_000


class Detail(Enum):
    """How much of a definition and its filters an answer shows."""

    WHOLE = "whole"
    WITHOUT_FILTERS = "without filters"
    """For keys that see part of the events."""
    FOR_VIEWER = "for viewer"
    """For embed tokens."""

    @classmethod
    def of(cls, caller: Caller) -> Detail:
        if caller.embed is not None:
            return cls.FOR_VIEWER
        return cls.WITHOUT_FILTERS if caller.is_filtered else cls.WHOLE


class Key(NamedTuple):
    """What a cached answer depends on, beside the state of the store."""

    project_id: str
    name: str
    audience: str
    plain: bool
    """Whether the result is without its definition."""
    detail: Detail
    asked: str = ""
    """The digest of the question as of its moment, for answers that are computed when asked for."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a result needs of the request that it is computed for."""

    gone: Callable[[], Awaitable[None]]
    """Returns once the client has left."""
    count: Callable[[str], None]
    """Counts one query of this analysis. Raises RateLimited."""


@dataclass(frozen=True, slots=True)
class _KeptResponse:
    response: QueryResponse
    moment: StoreVersion
    preferences: Preferences
    """The project's preferences at that moment."""
    looked: float
    """When the moment was read, by the monotonic clock."""
    stale: bool
    """Whether the result is stale; once it is, only a change of the catalog can make it fresh."""
    until_us: int | None
    """When the result expires; None where it does not."""


@dataclass(frozen=True, slots=True)
class _KeptResult:
    """A kept result that may be shown."""

    run: SavedRun
    result: bytes
    stale: bool
    warnings: tuple[str, ...] = ()


class _Replaced(Exception):
    """The file of a result is gone or damaged; there may be a newer result."""


class ResultCache:
    """Serves results of saved queries. Belongs to the event loop of one worker."""

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        results: Results,
        query_service: QueryService,
        executor: Executor,
        held_bytes_max: int,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self.results = results
        self._query_service = query_service
        self._executor = executor
        self._clock = clock
        self._cache: ByteBoundedCache[Key, _KeptResponse] = ByteBoundedCache(held_bytes_max)
        self._locks: dict[Key, tuple[asyncio.Lock, int]] = {}

    async def result(
        self,
        caller: Caller,
        name: str,
        ask: RequestContext,
        *,
        plain: bool = False,
        changes: Changes | None = None,
    ) -> QueryResponse:
        """The definition with its result; ``plain``: the result alone, in the shape of an ad-hoc answer.

        ``changes``: what the request changes of the query. Raises NotFound, Forbidden, RateLimited,
        QueryError.
        """
        if changes:
            check_may_change(caller, changes)
        try:
            response = await self._result(caller, name, ask, plain=plain, changes=changes)
        except InvalidQuery as error:
            raise error if caller.embed is None else error_for_viewer(error) from None
        if caller.embed is None:
            return response
        viewer = caller.embed.changeable
        body = response.body if plain else definition.with_viewer(response.body, viewer)
        # A warning names collections.
        return replace(response, body=body, warnings=())

    async def result_of_tile(
        self, caller: Caller, query: SavedQuery, ask: RequestContext, changes: Changes
    ) -> QueryResponse:
        """The result of a question that a dashboard asks by itself, as if it were saved; nothing is kept.

        Raises Forbidden, RateLimited, QueryError.
        """
        if changes:
            check_may_change(caller, changes)
            query = changed(query, changes)
        # It is nobody's saved query, so that all filters of the caller hold.
        audience = FilterScope(caller.filters_for(Permission.SCHEMA))
        response = await self._computed_now(caller, query, ask, audience, plain=False, reuses=True)
        if caller.embed is None:
            return response
        body = definition.with_viewer(response.body, caller.embed.changeable)
        return replace(response, body=body, warnings=())

    async def _result(
        self, caller: Caller, name: str, ask: RequestContext, *, plain: bool, changes: Changes | None
    ) -> QueryResponse:
        cached = FilterScope(caller.filters_for(Permission.CACHED_QUERIES))
        key = Key(caller.project.id, name, cached.digest, plain, Detail.of(caller))
        check_name(caller, name)
        if not changes and caller.admits_saved(name, cached=True):
            entry = await self._current(key, float("inf"))
            if entry is not None:
                return entry.response
        query = await in_thread(
            self._executor, lambda: self._catalog.saved_queries.find(caller.project.id, name)
        )
        if query is None:
            raise NotFound.named("saved query", name)
        check_right(caller, query)
        check_extractable(caller, query, changes)
        if changes:
            # A question of its own: the filters for ad-hoc questions hold too, as they do for the schema.
            audience = FilterScope(caller.filters_for(Permission.SCHEMA))
            query, as_of = changed(query, changes), changes.as_of
            return await self._computed_now(
                caller, query, ask, audience, plain=plain, reuses=not as_of, as_of=as_of
            )
        if not query.refresh_rate:
            return await self._computed_now(caller, query, ask, cached, plain=plain)
        if caller.embed is not None and caller.embed.filtered_by_holder:
            # Whoever holds a token can make as many filters as it likes: their results are not stored.
            return await self._computed_now(caller, query, ask, cached, plain=plain, reuses=True)
        return await self._cached(caller, key, cached, ask)

    async def described(self, caller: Caller, query: SavedQuery, ask: RequestContext) -> definition.Json:
        """The definition, with exact information on its last run for callers who may see its result."""
        audience = FilterScope(caller.filters_for(Permission.CACHED_QUERIES))
        narrowed = caller.is_filtered
        if not query.refresh_rate or not caller.admits_saved(query.name, cached=True):
            return definition.described(query, narrowed=narrowed)
        runs = await in_thread(self._executor, self._catalog.saved_queries.runs, query.id)
        run = next((one for one in runs if one.audience == audience.digest), None)
        if run is None or run.version != query.version:
            return definition.described(query, narrowed=narrowed)
        if run.result is None:
            return definition.described(query, run, narrowed=narrowed)
        freshness = await self._freshness(caller, query, run, audience, ask)
        if freshness is Freshness.ERASED:
            return definition.described(query, narrowed=narrowed)
        return definition.described(query, run, freshness is Freshness.STALE, narrowed=narrowed)

    async def _computed_now(
        self,
        caller: Caller,
        query: SavedQuery,
        ask: RequestContext,
        audience: FilterScope,
        *,
        plain: bool,
        reuses: bool = False,
        as_of: str = "",
    ) -> QueryResponse:
        """The answer for a query whose result is not stored: computed now, with the definition around it.

        ``reuses``: an answer in memory to the same question serves, while no event has come since.
        """
        analysis, detail = definition.analysis_type(query), Detail.of(caller)
        ask.count(analysis)

        def compute(now_us: int, deadline: Deadline) -> QueryResponse:
            result, warnings = self.results.now(query, audience, now_us, deadline, as_of)
            shown = _shown(query, result, detail)
            return QueryResponse(_body(query, None, shown, plain=plain, detail=detail), warnings)

        def work(token: CancelToken) -> QueryResponse:
            now_us, deadline, looked = self._clock(), self._deadline(token), time.monotonic()
            if not reuses:
                return compute(now_us, deadline)
            moment, preferences = self._moment_of(query.project_id)
            asked = self.results.asked(query, now_us, deadline)
            key = Key(query.project_id, query.name, audience.digest, plain, detail, asked)
            entry = self._cache.get(key)
            if entry is not None and entry.moment == moment:
                return entry.response
            response = compute(now_us, deadline)
            self._put(key, _KeptResponse(response, moment, preferences, looked, False, None))
            return response

        return await self._query_service.during(caller, analysis, work, ask.gone)

    async def _cached(
        self, caller: Caller, key: Key, audience: FilterScope, ask: RequestContext
    ) -> QueryResponse:
        """The answer from a kept result.

        One request at a time checks a result; those that wait for it use the answer it finds.
        """
        came = time.monotonic()
        lock, waiting = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, waiting + 1)
        try:
            async with lock:
                entry = await self._current(key, came)
                return (
                    entry.response if entry is not None else await self._renewed(caller, key, audience, ask)
                )
        finally:
            lock, waiting = self._locks[key]
            self._locks[key] = (lock, waiting - 1)
            if waiting == 1:
                del self._locks[key]

    async def _renewed(
        self, caller: Caller, key: Key, audience: FilterScope, ask: RequestContext
    ) -> QueryResponse:
        for attempt in range(ATTEMPTS_MAX):
            looked, now_us = time.monotonic(), self._clock()
            moment, preferences = await in_thread(self._executor, self._moment_of, key[0])
            query_and_run = await in_thread(
                self._executor,
                lambda: self._catalog.saved_queries.find_with_run(key[0], key[1], audience.digest),
            )
            if query_and_run is None:
                raise NotFound.named("saved query", key[1])
            query, run = query_and_run
            if not query.refresh_rate:
                check_right(caller, query)
                return await self._computed_now(caller, query, ask, audience, plain=key.plain)
            kept = None
            if run is not None and run.version == query.version and not _expired(query, run, now_us):
                try:
                    kept = await self._kept(caller, query, run, audience, ask)
                except _Replaced:
                    if attempt + 1 < ATTEMPTS_MAX:
                        continue
            if kept is None:
                kept = await self._computed(caller, query, audience, ask)
                # Served as computed, but not cached: the next request checks it against the store.
                return await in_thread(self._executor, _response, query, kept, key)
            response = await in_thread(self._executor, _response, query, kept, key)
            self._put(
                key,
                _KeptResponse(response, moment, preferences, looked, kept.stale, _until_us(query, kept.run)),
            )
            return response
        raise AssertionError("the last attempt returns")

    async def _kept(
        self, caller: Caller, query: SavedQuery, run: SavedRun, audience: FilterScope, ask: RequestContext
    ) -> _KeptResult | None:
        """The result of this run if it may be shown. Raises _Replaced where its file is gone or damaged."""
        if run.result is None:
            return None
        result = run.result
        freshness = await self._freshness(caller, query, run, audience, ask)
        if freshness is Freshness.ERASED:
            return None
        content = await in_thread(self._executor, self.results.load, result)
        if content is None:
            raise _Replaced
        return _KeptResult(run, content, freshness is Freshness.STALE)

    async def _freshness(
        self, caller: Caller, query: SavedQuery, run: SavedRun, audience: FilterScope, ask: RequestContext
    ) -> Freshness:
        assert run.result is not None
        result = run.result
        freshness = await in_thread(self._executor, self.results.look, query, result)
        if freshness is not Freshness.UNSURE:
            return freshness

        def work(token: CancelToken) -> Freshness:
            return self.results.examine(query, audience, result, self._deadline(token))

        return await self._query_service.during(caller, definition.analysis_type(query), work, ask.gone)

    async def _computed(
        self, caller: Caller, query: SavedQuery, audience: FilterScope, ask: RequestContext
    ) -> _KeptResult:
        def work(token: CancelToken) -> _KeptResult:
            done = self.results.compute(query, audience, self._clock(), self._deadline(token))
            return _KeptResult(done.run, done.result, False, done.warnings)

        return await self._query_service.during(caller, definition.analysis_type(query), work, ask.gone)

    def _deadline(self, token: CancelToken) -> Deadline:
        return self.results.deadline(token)

    # Cached answers

    async def _current(self, key: Key, came: float) -> _KeptResponse | None:
        """The cached answer, if it is correct now or was checked after the request came."""
        entry = self._cache.get(key)
        if entry is None or (entry.until_us is not None and self._clock() >= entry.until_us):
            return None
        if entry.looked < came and not self._reader.surely_stands(entry.moment, catalog_alone=entry.stale):
            moment = await in_thread(self._executor, self._moment_if_current, entry, key[0])
            if moment is None:
                return None
            if self._cache.get(key) is entry:
                self._put(key, replace(entry, moment=moment))
        return entry

    def _moment_of(self, project_id: str) -> tuple[StoreVersion, Preferences]:
        """The store's version and the project's preferences.

        The version is read first, so that a change in between shows at the next comparison.
        """
        return self._reader.moment(), self.results.preferences_of(project_id)

    def _moment_if_current(self, entry: _KeptResponse, project_id: str) -> StoreVersion | None:
        """The store's present version, if the cached answer is still correct; otherwise None."""
        moment, preferences = self._moment_of(project_id)
        alike = moment.version == entry.moment.version if entry.stale else moment == entry.moment
        return moment if alike and preferences == entry.preferences else None

    def _put(self, key: Key, entry: _KeptResponse) -> None:
        self._cache.put(key, entry, len(entry.response.body))


def check_name(caller: Caller, name: str) -> None:
    """Raises Forbidden where the caller may read no result of this name; called before the lookup."""
    if not caller.admits_saved(name, cached=True):
        caller.require_saved(name, cached=False)


def check_right(caller: Caller, query: SavedQuery) -> None:
    """Raises Forbidden where the caller may not read the query's result."""
    caller.require_saved(query.name, cached=bool(query.refresh_rate))


def _response(query: SavedQuery, kept: _KeptResult, key: Key) -> QueryResponse:
    kept = replace(kept, result=_shown(query, kept.result, key.detail))
    body = _body(query, kept, kept.result, plain=key.plain, detail=key.detail)
    return QueryResponse(body, kept.warnings)


def _shown(query: SavedQuery, result: bytes, detail: Detail) -> bytes:
    """The result; of a funnel's, which repeats its steps, no more of these than the caller may see."""
    if detail is Detail.WHOLE or not definition.is_funnel(definition.analysis_type(query)):
        return result
    parsed = json.loads(result)
    if detail is Detail.FOR_VIEWER:
        return definition.dumped(definition.funnel_for_viewer(parsed))
    if not any(step.get("filters") for step in parsed["steps"]):
        return result
    return definition.dumped({**parsed, "steps": [{**step, "filters": []} for step in parsed["steps"]]})


def _body(
    query: SavedQuery, kept: _KeptResult | None, result: bytes, *, plain: bool, detail: Detail
) -> bytes:
    if plain:
        is_funnel = definition.is_funnel(definition.analysis_type(query))
        return result if is_funnel else b'{"result":' + result + b"}"
    if detail is Detail.FOR_VIEWER:
        return definition.with_result(definition.described_for_viewer(query), result)
    run, stale = (None, None) if kept is None else (kept.run, kept.stale)
    narrowed = detail is Detail.WITHOUT_FILTERS
    return definition.with_result(definition.described(query, run, stale, narrowed=narrowed), result)


def _expired(query: SavedQuery, run: SavedRun, now_us: int) -> bool:
    """Whether the result has expired: for keys with filters it is not refreshed in the background."""
    until_us = _until_us(query, run)
    return until_us is not None and now_us >= until_us


def _until_us(query: SavedQuery, run: SavedRun) -> int | None:
    if not run.audience or run.result is None:
        return None
    return run.result.asked_us + query.refresh_rate * _SECOND_US
