"""Questions: ``GET``, ``POST`` and ``HEAD`` ``/3.0/projects/P/queries/<analysis>``, and the map of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from query.json_encoding import dumps
from query.language.parse import ANALYSES, EXTRACTION, from_query_string
from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission
from service.bodies.json_body import json_of
from service.errors import Forbidden
from service.exports.jobs import Exports
from service.exports.request import wants_file
from service.http.authorization import Handler, Routes, needs
from service.http.parts import Parts
from service.http.request import (
    Pairs,
    callback_of,
    count_rate,
    gone_of,
    json_answer,
    opened,
    pairs_of,
    script_answer,
    warning_headers,
)
from service.http.routes.extractions import base_url
from service.limits.rate_limiter import Rate
from service.queries.query_service import Told

_MOST_ASKED = ("count", "sum", "count_unique", "funnel", "average", "extraction", "maximum", "minimum")
"""Their routes are tried first."""
_BARE_NAMES = frozenset({"minimum", "percentile", "average", "median", "maximum", "sum"})
"""Keen's map of queries names these without ``_url``."""


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)
    path = f"{PROJECTS}/{{project_id}}/queries"
    rule = needs(Permission.QUERIES)
    for analysis in dict.fromkeys((*_MOST_ASKED, *sorted(ANALYSES))):
        routes.project(
            f"{path}/{analysis}", _asking(parts, analysis), rule, ("GET", "HEAD", "POST"), scripted=True
        )
    routes.project(path, _list_queries, rule)
    return routes.router


async def _list_queries(request: Request, caller: Caller) -> Response:
    names = ((name, name if name in _BARE_NAMES else f"{name}_url") for name in sorted(ANALYSES))
    return json_answer({key: url_of(caller.project.id, "queries", name) for name, key in names})


def _asking(parts: Parts, analysis: str) -> Handler:
    rate = Rate.EXTRACTIONS if analysis == EXTRACTION else Rate.QUERIES

    async def ask(request: Request, caller: Caller) -> Response:
        if analysis == EXTRACTION and not caller.options.extraction:
            raise Forbidden("This key may not do that: its options leave out extraction.")
        count_rate(parts.rates, request, caller, rate)
        if request.method == "POST":
            return await _answer_post(parts, request, caller, analysis)
        pairs = pairs_of(request.scope)
        callback = callback_of(pairs)
        told = await _tell(parts, request, caller, analysis, _reader_of(pairs))
        return _answer(told, callback)

    return ask


async def _tell(
    parts: Parts, request: Request, caller: Caller, analysis: str, read: Callable[[], Any]
) -> Told:
    if analysis != EXTRACTION:
        return await parts.asking.ask(caller, analysis, read, gone_of(request))
    loop = asyncio.get_running_loop()
    params = await loop.run_in_executor(parts.catalog_executor, read)
    if not wants_file(params):
        return await parts.asking.ask(caller, analysis, lambda: params, gone_of(request))
    exports = Exports(parts.settings, parts.catalog, parts.keyring, parts.asking, parts.clock)
    base = base_url(parts, request)
    made = await loop.run_in_executor(parts.catalog_executor, exports.request, caller, params, base)
    return Told(dumps(made))


async def _answer_post(parts: Parts, request: Request, caller: Caller, analysis: str) -> Response:
    limit = parts.settings.query_bytes_max
    async with opened(parts.bodies, request, limit) as body:
        values_max = parts.bodies.limits.values_max
        told = await _tell(parts, request, caller, analysis, lambda: json_of(body, values_max))
    return _answer(told, None)


def _reader_of(pairs: Pairs) -> Callable[[], Mapping[str, Any]]:
    return lambda: from_query_string(pairs)


def _answer(told: Told, callback: str | None) -> Response:
    headers = warning_headers(told.warnings)
    if told.age is not None:
        headers = {**(headers or {}), "age": str(told.age)}
    if callback is not None:
        response = script_answer(callback, told.body, headers=headers)
    else:
        response = json_answer(told.body, headers=headers)
    return response
