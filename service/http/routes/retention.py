"""How long a collection keeps its events: ``/3.0/projects/P/retention/C``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from service.api_paths import PROJECTS
from service.auth.principal import Caller, Permission
from service.errors import InvalidParameter, NotFound
from service.http.authorization import Routes, needs
from service.http.parts import Parts
from service.http.request import empty_answer, json_answer, raw_path, read_json
from storage.catalog.errors import UnknownCollection

DAYS_MAX = 36_500
T = TypeVar("T")


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)

    async def blocking(work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(parts.catalog_executor, work)

    async def collection_id(request: Request, caller: Caller) -> int:
        try:
            work = partial(parts.catalog.collections.get, caller.project.id, _collection_of(request))
            return (await blocking(work)).id
        except UnknownCollection:
            raise NotFound from None

    async def show(request: Request, caller: Caller) -> Response:
        found = await collection_id(request, caller)
        return json_answer({"days": (await blocking(parts.catalog.retention.days)).get(found)})

    async def keep(request: Request, caller: Caller) -> Response:
        days = _days(await read_json(parts.bodies, request, parts.settings.query_bytes_max))
        found = await collection_id(request, caller)
        await blocking(partial(parts.catalog.retention.put, found, days))
        return json_answer({"days": days})

    async def keep_for_ever(request: Request, caller: Caller) -> Response:
        found = await collection_id(request, caller)
        await blocking(partial(parts.catalog.retention.put, found, None))
        return empty_answer()

    path = f"{PROJECTS}/{{project_id}}/retention/{{event_collection:path}}"
    rule = needs(Permission.MASTER)
    routes.project(path, show, rule)
    routes.project(path, keep, rule, ["PUT"])
    routes.project(path, keep_for_ever, rule, ["DELETE"])
    return routes.router


def _collection_of(request: Request) -> str:
    """All that follows ``/retention/``, raw slashes included."""
    return unquote_to_bytes(raw_path(request.scope).split(b"/", 5)[5]).decode("utf-8", "replace")


def _days(body: Any) -> int:
    """Raises InvalidParameter."""
    days = body.get("days") if isinstance(body, dict) else None
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= DAYS_MAX:
        raise InvalidParameter(f"'days' must be a whole number from 1 to {DAYS_MAX}.")
    return days
