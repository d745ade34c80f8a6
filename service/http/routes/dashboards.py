"""Dashboards, where Keen's dashboard creator looks for them: ``/projects/P/dashboards``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from service.auth.principal import Caller, Permission
from service.errors import InvalidParameter, NotFound
from service.http.authorization import Routes, needs
from service.http.parts import Parts
from service.http.request import empty_answer, json_answer, read_json, request_key, segment_of
from service.queries import dashboards
from storage.catalog.derived.records import Dashboard

DASHBOARDS = "/projects/{project_id}/dashboards"
METADATA_HEADER = "x-keen-blob-metadata"

T = TypeVar("T")


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)
    served = _Dashboards(parts)
    one = f"{DASHBOARDS}/{{dashboard_id}}"
    read = needs(Permission.QUERIES, Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
    change = needs(Permission.MASTER)
    routes.project(f"{DASHBOARDS}/{dashboards.LIST}", served.listed, read)
    routes.project(one, served.shown, read)
    routes.project(one, served.put, change, ("PUT",))
    routes.project(one, served.delete, change, ("DELETE",))
    routes.project(f"{one}/metadata", served.described, read)
    routes.project(f"{one}/metadata", served.describe, change, ("PUT",))
    return routes.router


class _Dashboards:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog

    async def listed(self, request: Request, caller: Caller) -> Response:
        found = await self._blocking(lambda: self._catalog.dashboards.of_project(caller.project.id))
        key = request_key(request) or ""
        return json_answer(
            [dashboards.described(one) for one in found if dashboards.visible(caller, key, one)]
        )

    async def shown(self, request: Request, caller: Caller) -> Response:
        found = await self._visible(request, caller)
        project_id = caller.project.id
        document = await self._blocking(lambda: self._catalog.dashboards.document(project_id, found.name))
        if document is None:
            raise NotFound
        return json_answer(document.encode())

    async def described(self, request: Request, caller: Caller) -> Response:
        return json_answer(dashboards.described(await self._visible(request, caller)))

    async def put(self, request: Request, caller: Caller) -> Response:
        name = dashboards.read_name(_name(request))
        header = request.headers.get(METADATA_HEADER)
        given = None if header is None else dashboards.read_header(header.encode("latin-1"))
        document = await read_json(self._parts.bodies, request, dashboards.DOCUMENT_BYTES_MAX)
        dashboards.check_document(document)
        project_id, text = caller.project.id, json.dumps(document, separators=(",", ":"))

        def store() -> bool:
            old = self._catalog.dashboards.find(project_id, name)
            if (
                old is None
                and len(self._catalog.dashboards.of_project(project_id)) >= dashboards.DASHBOARDS_MAX
            ):
                raise InvalidParameter(
                    f"A project may have {dashboards.DASHBOARDS_MAX:,} dashboards: delete one first."
                )
            now_ms = self._parts.clock() // 1_000
            made = dashboards.made(name, document, given, old, now_ms)
            return self._catalog.dashboards.put(project_id, made, text)

        created = await self._blocking(store)
        return json_answer(text.encode(), 201 if created else 200)

    async def describe(self, request: Request, caller: Caller) -> Response:
        name = dashboards.read_name(_name(request))
        body = await read_json(self._parts.bodies, request, self._parts.settings.query_bytes_max)
        made = dashboards.stored(name, dashboards.read_metadata(body))
        if not await self._blocking(lambda: self._catalog.dashboards.describe(caller.project.id, made)):
            raise NotFound
        return json_answer(dashboards.described(made))

    async def delete(self, request: Request, caller: Caller) -> Response:
        name = _name(request)
        if not await self._blocking(lambda: self._catalog.dashboards.remove(caller.project.id, name)):
            raise NotFound
        return empty_answer()

    async def _visible(self, request: Request, caller: Caller) -> Dashboard:
        """Raises NotFound, for what the key is not to see too."""
        name = _name(request)
        found = await self._blocking(lambda: self._catalog.dashboards.find(caller.project.id, name))
        if found is None or not dashboards.visible(caller, request_key(request) or "", found):
            raise NotFound
        return found

    async def _blocking(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._parts.catalog_executor, work)


def _name(request: Request) -> str:
    return segment_of(request.scope, 4)
