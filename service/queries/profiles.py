"""Profiles of collections, as a worker serves them: each is kept until the collection's events change.

Looking whether they have takes no question: a source has a version, which two sources share only where they
hold equal events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from query.answers.extraction import is_wanted
from query.language.cohorts.finding import cohorts_in
from query.language.fields import whole, wrong
from query.language.nodes import ExtractionQuery, Filter, Span
from query.language.parameter_table import EXTRACTION
from query.plan.profile import ProfileQuery
from service.auth.principal import Caller, Permission
from service.errors import NotFound
from service.queries.byte_bounded_cache import ByteBoundedCache
from service.queries.query_service import QueryResponse, QueryService
from service.queries.sight import SourceReader
from service.threads import in_thread
from storage.source import Source

PARAMETERS = ("property_names", "timeframe", "timezone", "filters", "after", "limit", "top")
_OF_EVENTS = ("property_names", "timeframe", "timezone", "filters")
"""Parameters that mean what they mean in an extraction."""
PROPERTIES = 50
PROPERTIES_MAX = 100
TOP = 10
TOP_MAX = 50

NamesOf = Callable[[], Awaitable[Sequence[str]]]
"""Returns the names of the properties that the caller sees, in order. Raises NotFound."""


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """What is asked for; ``wanted`` are properties, or what they are nested in; None: all."""

    collection: str
    span: Span
    filters: tuple[Filter, ...]
    wanted: tuple[str, ...] | None
    after: str
    limit: int
    top: int

    def page(self, names: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
        """The properties of one answer, and the last of them if there are more. Raises NotFound."""
        if self.wanted is not None:
            for name in self.wanted:
                if not any(is_wanted(path, {name}) for path in names):
                    raise NotFound.named("property", name)
            names = [path for path in names if is_wanted(path, frozenset(self.wanted))]
        rest = [path for path in names if path > self.after]
        page = tuple(rest[: self.limit])
        return page, page[-1] if len(rest) > self.limit else None


def read_request(
    service: QueryService, caller: Caller, collection: str, params: Mapping[str, Any]
) -> ProfileRequest:
    """What the parameters ask for. Blocks. Raises InvalidQuery."""
    given = {name: params[name] for name in _OF_EVENTS if name in params} | {"event_collection": collection}
    query = service.judge(caller.project, EXTRACTION, given).query
    assert isinstance(query, ExtractionQuery)
    limit, top = (
        _up_to(name, params.get(name), least, default, most)
        for name, least, default, most in (
            ("limit", 1, PROPERTIES, PROPERTIES_MAX),
            ("top", 0, TOP, TOP_MAX),
        )
    )
    after = str(params.get("after") or "")
    return ProfileRequest(collection, query.span, query.filters, query.properties, after, limit, top)


def _up_to(name: str, value: Any, least: int, default: int, most: int) -> int:
    number = default if value is None else whole(name, value, least)
    if number > most:
        raise wrong(name, f"an integer from {least} to {most}", value)
    return number


@dataclass(frozen=True, slots=True)
class _KeptProfile:
    body: bytes
    state: tuple[object, ...]
    """The state of the source that it was computed from."""


class Profiles:
    """The profiles of one worker."""

    def __init__(
        self, reader: SourceReader, query_service: QueryService, executor: Executor, kept_bytes_max: int
    ) -> None:
        self._reader = reader
        self._query_service = query_service
        self._executor = executor
        self._kept: ByteBoundedCache[str, _KeptProfile] = ByteBoundedCache(kept_bytes_max)

    async def profile(
        self,
        caller: Caller,
        request: ProfileRequest,
        names_of: NamesOf,
        gone: Callable[[], Awaitable[None]],
    ) -> QueryResponse:
        """The profile under the caller's filters. Raises NotFound, QueryError, RateLimited."""
        forced = _forced(caller)
        key = _key(caller, request, forced)
        kept = self._kept.get(key)
        if kept is not None:
            source = await in_thread(
                self._executor, self._reader.source, caller.project.id, request.collection
            )
            if kept.state == _state(source):
                return QueryResponse(kept.body)
        names, last = request.page(await names_of())
        query = ProfileQuery(request.collection, request.span, request.filters, names, request.top)
        response, source = await self._query_service.profile(caller, query, forced, {"next": last}, gone)
        if not any(cohorts_in(request.filters)):
            # Who is in a cohort depends on other collections too.
            kept_profile = _KeptProfile(response.body, _state(source))
            self._kept.put(key, kept_profile, len(response.body) + len(key))
        return response


def _forced(caller: Caller) -> tuple[Filter, ...]:
    """The filters for questions and for the schema: a profile tells what both do."""
    kinds = (Permission.QUERIES, Permission.SCHEMA)
    added: list[Filter] = []
    for kind in kinds:
        added += (one for one in caller.filters_for(kind) if one not in added)
    return tuple(added)


def _key(caller: Caller, request: ProfileRequest, forced: tuple[Filter, ...]) -> str:
    text = repr((caller.project.id, request, forced))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _state(source: Source) -> tuple[object, ...]:
    """Equal for two sources only where profiles of both are equal."""
    damaged = frozenset(file.path for file in source.damaged)
    return source.known, source.version, source.schema.version, damaged
