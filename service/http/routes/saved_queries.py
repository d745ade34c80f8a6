"""Saved queries: their definitions, and their results.

/3.0/projects/P/queries/saved[/NAME[/result]]
/3.0/projects/P/saved_queries[/NAME[/result]]      the same in the shapes of the first version of the API
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from query.language.parse import EXTRACTION
from service.api_paths import PROJECTS
from service.auth.principal import Caller, Permission
from service.bodies.json_body import json_of
from service.errors import NotFound
from service.http.authorization import Routes, needs
from service.http.parts import Parts
from service.http.request import (
    callback_of,
    check_parameters,
    count_rate,
    empty_answer,
    gone_of,
    json_answer,
    opened,
    pairs_of,
    raw_path,
    script_answer,
    segment_of,
    warning_headers,
)
from service.limits.rate_limiter import Rate
from service.saved_queries import definition as saved
from service.saved_queries.result_cache import Ask
from storage.catalog.derived.records import SavedQuery

T = TypeVar("T")
SAVED = f"{PROJECTS}/{{project_id}}/queries/saved"
LEGACY = f"{PROJECTS}/{{project_id}}/saved_queries"


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)

    async def list_all(request: Request, caller: Caller) -> Response:
        found = await _blocking(parts, lambda: parts.catalog.saved_queries.of_project(caller.project.id))
        return json_answer(saved.dumped([await _told(parts, request, caller, query) for query in found]))

    async def show(request: Request, caller: Caller) -> Response:
        name = _name(request)
        caller.require_definition(name, True, False)
        query = await _blocking(parts, lambda: parts.catalog.saved_queries.find(caller.project.id, name))
        if query is None:
            raise NotFound.named("saved query", name)
        caller.require_definition(name, bool(query.refresh_rate))
        return json_answer(saved.dumped(await _told(parts, request, caller, query)))

    async def put(request: Request, caller: Caller) -> Response:
        query, created, warnings = await _put(parts, request, caller)
        told = await _told(parts, request, caller, query)
        if warnings:
            told["warnings"] = warnings
        if _is_legacy(request):
            told = {"created": created, "updated": not created, "saved_query": told}
        return json_answer(saved.dumped(told), 201 if created else 200)

    async def delete(request: Request, caller: Caller) -> Response:
        name = _name(request)
        files = await _blocking(parts, lambda: parts.catalog.saved_queries.remove(caller.project.id, name))
        if files is None:
            raise NotFound.named("saved query", name)
        await _blocking(parts, lambda: parts.saved.results.remove_files(files))
        return empty_answer()

    async def result(request: Request, caller: Caller) -> Response:
        pairs = pairs_of(request.scope)
        callback = callback_of(pairs)
        if parts.asking.strict:
            check_parameters(pairs, (), "the result of a saved query, which is asked as it was saved")
        plain = _is_legacy(request)
        told = await parts.saved.result(caller, _name(request), _ask(parts, request, caller), plain=plain)
        headers = warning_headers(told.warnings)
        if callback is not None:
            return script_answer(callback, told.body, headers=headers)
        return json_answer(told.body, headers=headers)

    for base in (SAVED, LEGACY):
        one = f"{base}/{{query_name}}"
        routes.project(base, list_all, needs(Permission.MASTER))
        routes.project(one, show, needs(Permission.QUERY_DEFINITION))
        routes.project(one, put, needs(Permission.MASTER), ["PUT"])
        routes.project(one, delete, needs(Permission.MASTER), ["DELETE"])
        either = needs(Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
        routes.project(f"{one}/result", result, either, scripted=True)
    return routes.router


async def _put(
    parts: Parts, request: Request, caller: Caller
) -> tuple[SavedQuery, bool, list[dict[str, Any]]]:
    """What is kept now, whether it is new, and what leaves it without data.

    Raises InvalidJSON, InvalidQuery, DuplicateSavedQuery.
    """
    name, limit = _name(request), parts.settings.query_bytes_max
    async with opened(parts.bodies, request, limit) as body:

        def keep() -> tuple[SavedQuery, bool, list[dict[str, Any]]]:
            definition = json_of(body, parts.bodies.limits.values_max)
            if _is_legacy(request) and isinstance(definition, dict) and "query" not in definition:
                definition = _with_query(definition)
            found: list[dict[str, Any]] = []

            def judge(analysis: str, params: Mapping[str, Any]) -> None:
                question = parts.asking.judge(caller.project, analysis, params)
                found.extend(parts.asking.warnings(caller, analysis, params, question))

            read = saved.read(name, definition, judge, strict=parts.asking.strict)
            kept, created = parts.catalog.saved_queries.put(
                caller.project.id,
                name,
                read.name,
                query=read.query,
                metadata=read.metadata,
                refresh_rate=read.refresh_rate,
            )
            return kept, created, found

        return await _blocking(parts, keep)


def _with_query(sent: saved.Json) -> saved.Json:
    """The definition of which the first version of the API has the parameters beside the fields."""
    fields = {name: value for name, value in sent.items() if name in saved.FIELDS}
    return {**fields, "query": {name: value for name, value in sent.items() if name not in fields}}


async def _told(parts: Parts, request: Request, caller: Caller, query: SavedQuery) -> saved.Json:
    definition = await parts.saved.described(caller, query, _ask(parts, request, caller))
    return saved.legacy(definition, query.project_id) if _is_legacy(request) else definition


async def _blocking(parts: Parts, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(parts.catalog_executor, work)


def _ask(parts: Parts, request: Request, caller: Caller) -> Ask:
    def count(analysis: str) -> None:
        rate = Rate.EXTRACTIONS if analysis == EXTRACTION else Rate.QUERIES
        count_rate(parts.rates, request, caller, rate)

    return Ask(gone_of(request), count)


def _is_legacy(request: Request) -> bool:
    return raw_path(request.scope).split(b"/")[4] == b"saved_queries"


def _name(request: Request) -> str:
    return segment_of(request.scope, 5 if _is_legacy(request) else 6)
