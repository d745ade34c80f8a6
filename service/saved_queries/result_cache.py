"""Results of saved queries as a worker gives them: computed when asked for, or kept and served from memory.

What a worker holds in memory is a whole answer, byte for byte, with the moment of the store as of which it
was right. It is told again only while the store is as it was, or after what has changed was looked at; so an
answer is always exact about whether it is stale.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from query.engine.engine import CancelToken, Deadline
from query.language.preferences import Preferences
from service.auth.principal import Caller, Permission
from service.errors import NotFound
from service.queries.byte_bounded_cache import ByteBoundedCache
from service.queries.query_service import QueryResponse, QueryService
from service.saved_queries import definition
from service.saved_queries.results import FilterScope, Freshness, Results
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.derived.records import SavedQuery, SavedRun
from storage.read.snapshot_reader import Reader, StoreVersion

T = TypeVar("T")
Key = tuple[str, str, str, bool, bool]
"""Project, name, audience, whether the result stands alone, and whether it is for a filtered key."""
ATTEMPTS_MAX = 3
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request behind a question."""

    gone: Callable[[], Awaitable[None]]
    """Returns once the client has left."""
    count: Callable[[str], None]
    """Counts one question of this analysis. Raises RateLimited."""


@dataclass(frozen=True, slots=True)
class _KeptResponse:
    told: QueryResponse
    moment: StoreVersion
    preferences: Preferences
    """Of its project at that moment."""
    looked: float
    """When the moment was taken, by the monotonic clock."""
    stale: bool
    """Once it is, only the catalog can make it otherwise."""
    until_us: int | None
    """When it is too old for its audience."""


@dataclass(frozen=True, slots=True)
class _KeptResult:
    """A kept result that may be told."""

    run: SavedRun
    result: bytes
    stale: bool
    warnings: tuple[str, ...] = ()


class _Replaced(Exception):
    """The bytes of a result are gone: there is a newer one, or they are damaged."""


class ResultCache:
    """Belongs to the event loop of one worker."""

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
        self._held: ByteBoundedCache[Key, _KeptResponse] = ByteBoundedCache(held_bytes_max)
        self._locks: dict[Key, tuple[asyncio.Lock, int]] = {}

    async def result(
        self, caller: Caller, name: str, ask: RequestContext, *, plain: bool = False
    ) -> QueryResponse:
        """The definition with its result; ``plain``: as an ad-hoc question is answered.

        Raises NotFound, Forbidden, RateLimited, QueryError.
        """
        cached = FilterScope(caller.filters_for(Permission.CACHED_QUERIES))
        key = (caller.project.id, name, cached.digest, plain, caller.is_filtered)
        check_name(caller, name)
        if caller.admits_saved(name, cached=True):
            held = await self._current(key, float("inf"))
            if held is not None:
                return held.told
        query = await self._in_thread(lambda: self._catalog.saved_queries.find(caller.project.id, name))
        if query is None:
            raise NotFound.named("saved query", name)
        check_right(caller, query)
        if not query.refresh_rate:
            return await self._asked(caller, query, ask, plain=plain)
        return await self._cached(caller, key, cached, ask)

    async def described(self, caller: Caller, query: SavedQuery, ask: RequestContext) -> definition.Json:
        """The definition; of its last run those are told, and exactly, who may have its result."""
        audience = FilterScope(caller.filters_for(Permission.CACHED_QUERIES))
        narrowed = caller.is_filtered
        if not query.refresh_rate or not caller.admits_saved(query.name, cached=True):
            return definition.described(query, narrowed=narrowed)
        runs = await self._in_thread(lambda: self._catalog.saved_queries.runs(query.id))
        run = next((one for one in runs if one.audience == audience.digest), None)
        if run is None or run.version != query.version:
            return definition.described(query, narrowed=narrowed)
        if run.result is None:
            return definition.described(query, run, narrowed=narrowed)
        standing = await self._standing(caller, query, run, audience, ask)
        if standing is Freshness.ERASED:
            return definition.described(query, narrowed=narrowed)
        return definition.described(query, run, standing is Freshness.STALE, narrowed=narrowed)

    async def _asked(
        self, caller: Caller, query: SavedQuery, ask: RequestContext, *, plain: bool
    ) -> QueryResponse:
        """Of a query whose result is not kept: an ad-hoc question, with the definition around it."""
        audience = FilterScope(caller.filters_for(Permission.SAVED_QUERIES))
        analysis = definition.analysis_type(query)
        ask.count(analysis)

        def work(token: CancelToken) -> QueryResponse:
            result, warnings = self.results.now(query, audience, self._clock(), self._deadline(token))
            shown = _shown(query, result, narrowed=caller.is_filtered)
            return QueryResponse(
                _body(query, None, shown, plain=plain, narrowed=caller.is_filtered), warnings
            )

        return await self._query_service.during(caller, analysis, work, ask.gone)

    async def _cached(
        self, caller: Caller, key: Key, audience: FilterScope, ask: RequestContext
    ) -> QueryResponse:
        """One request at a time looks at a result; those that wait for it may have what it found."""
        came = time.monotonic()
        lock, waiting = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, waiting + 1)
        try:
            async with lock:
                held = await self._current(key, came)
                return held.told if held is not None else await self._renewed(caller, key, audience, ask)
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
            moment, preferences = await self._in_thread(self._moment_of, key[0])
            found = await self._in_thread(
                lambda: self._catalog.saved_queries.find_with_run(key[0], key[1], audience.digest)
            )
            if found is None:
                raise NotFound.named("saved query", key[1])
            query, run = found
            if not query.refresh_rate:
                check_right(caller, query)
                return await self._asked(caller, query, ask, plain=key[3])
            kept = None
            if run is not None and run.version == query.version and not _expired(query, run, now_us):
                try:
                    kept = await self._kept(caller, query, run, audience, ask)
                except _Replaced:
                    if attempt + 1 < ATTEMPTS_MAX:
                        continue
            if kept is None:
                kept = await self._computed(caller, query, audience, ask)
                # It is told as of its own moment, and looked at when next it is asked for.
                return await self._in_thread(_told, query, kept, key)
            told = await self._in_thread(_told, query, kept, key)
            self._hold(
                key, _KeptResponse(told, moment, preferences, looked, kept.stale, _until_us(query, kept.run))
            )
            return told
        raise AssertionError("the last attempt returns")

    async def _kept(
        self, caller: Caller, query: SavedQuery, run: SavedRun, audience: FilterScope, ask: RequestContext
    ) -> _KeptResult | None:
        """The result of this run where it may be told. Raises _Replaced where its bytes are gone."""
        if run.result is None:
            return None
        result = run.result
        standing = await self._standing(caller, query, run, audience, ask)
        if standing is Freshness.ERASED:
            return None
        found = await self._in_thread(lambda: self.results.load(result))
        if found is None:
            raise _Replaced
        return _KeptResult(run, found, standing is Freshness.STALE)

    async def _standing(
        self, caller: Caller, query: SavedQuery, run: SavedRun, audience: FilterScope, ask: RequestContext
    ) -> Freshness:
        assert run.result is not None
        result = run.result
        found = await self._in_thread(lambda: self.results.look(query, result))
        if found is not Freshness.UNSURE:
            return found

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

    async def _in_thread(self, work: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *given)

    # What is held

    async def _current(self, key: Key, came: float) -> _KeptResponse | None:
        """What is held, where it is right now, or was looked at after the request came."""
        held = self._held.get(key)
        if held is None or (held.until_us is not None and self._clock() >= held.until_us):
            return None
        if held.looked < came and not self._reader.surely_stands(held.moment, catalog_alone=held.stale):
            moment = await self._in_thread(lambda: self._standing_at(held, key[0]))
            if moment is None:
                return None
            if self._held.get(key) is held:
                self._hold(key, replace(held, moment=moment))
        return held

    def _moment_of(self, project_id: str) -> tuple[StoreVersion, Preferences]:
        """The moment before the preferences: where one of them is as it was, so is all that came after."""
        return self._reader.moment(), self.results.preferences_of(project_id)

    def _standing_at(self, held: _KeptResponse, project_id: str) -> StoreVersion | None:
        """Now, where all is as it was when the answer was made."""
        moment, preferences = self._moment_of(project_id)
        alike = moment.version == held.moment.version if held.stale else moment == held.moment
        return moment if alike and preferences == held.preferences else None

    def _hold(self, key: Key, held: _KeptResponse) -> None:
        self._held.put(key, held, len(held.told.body))


def check_name(caller: Caller, name: str) -> None:
    """Before it is known whether there is such a query. Raises Forbidden."""
    if not caller.admits_saved(name, cached=True):
        caller.require_saved(name, cached=False)


def check_right(caller: Caller, query: SavedQuery) -> None:
    """Raises Forbidden."""
    caller.require_saved(query.name, cached=bool(query.refresh_rate))


def _told(query: SavedQuery, kept: _KeptResult, key: Key) -> QueryResponse:
    _, _, _, plain, narrowed = key
    kept = replace(kept, result=_shown(query, kept.result, narrowed=narrowed))
    return QueryResponse(_body(query, kept, kept.result, plain=plain, narrowed=narrowed), kept.warnings)


def _shown(query: SavedQuery, result: bytes, *, narrowed: bool) -> bytes:
    """The result; for a filtered key without what its steps filter by, where it repeats them."""
    if not narrowed or not definition.is_funnel(definition.analysis_type(query)):
        return result
    found = json.loads(result)
    if not any(step.get("filters") for step in found["steps"]):
        return result
    return definition.dumped({**found, "steps": [{**step, "filters": []} for step in found["steps"]]})


def _body(
    query: SavedQuery, kept: _KeptResult | None, result: bytes, *, plain: bool, narrowed: bool
) -> bytes:
    if plain:
        is_funnel = definition.is_funnel(definition.analysis_type(query))
        return result if is_funnel else b'{"result":' + result + b"}"
    run, stale = (None, None) if kept is None else (kept.run, kept.stale)
    return definition.with_result(definition.described(query, run, stale, narrowed=narrowed), result)


def _expired(query: SavedQuery, run: SavedRun, now_us: int) -> bool:
    """Results for keys with filters are not refreshed in the background: they end."""
    until_us = _until_us(query, run)
    return until_us is not None and now_us >= until_us


def _until_us(query: SavedQuery, run: SavedRun) -> int | None:
    if not run.audience or run.result is None:
        return None
    return run.result.asked_us + query.refresh_rate * _SECOND_US
