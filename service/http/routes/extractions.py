"""Extractions that become files: ``/3.0/projects/P/extractions``, each job below it, and its file."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Router

from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission
from service.errors import Gone, InvalidParameter, NotFound, RangeNotSatisfiable
from service.exports.file_writer import is_sound
from service.exports.jobs import Exports, download_name, media_type_of
from service.http.authorization import LINKED, Routes, needs
from service.http.parts import Parts
from service.http.request import empty_answer, json_answer, pairs_of, parameter, project_of, segment_of

PAGE_MAX = 100
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)

T = TypeVar("T")


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)
    served = _Extractions(parts)
    path = f"{PROJECTS}/{{project_id}}/extractions"
    rule = needs(Permission.QUERIES)
    routes.project(path, served.listed, rule)
    routes.project(f"{path}/{{job_id}}", served.shown, rule)
    routes.project(f"{path}/{{job_id}}", served.remove, rule, ("DELETE",))
    routes.public(f"{path}/{{job_id}}/file", served.file, rule=LINKED)
    return routes.router


def base_url(parts: Parts, request: Request) -> str:
    """Where clients reach the server."""
    return parts.settings.public_url or str(request.base_url).rstrip("/")


class _Extractions:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._exports = Exports(parts.settings, parts.catalog, parts.keyring, parts.asking, parts.clock)

    async def listed(self, request: Request, caller: Caller) -> Response:
        pairs = pairs_of(request.scope)
        limit = _limit(parameter(pairs, "limit"))
        before = parameter(pairs, "before")
        found = await self._in_thread(self._exports.page, caller, before, limit + 1)
        base = base_url(self._parts, request)
        following = None
        if len(found) > limit:
            found = found[:limit]
            query = f"limit={limit}&before={found[-1].id}"
            following = f"{base}{url_of(caller.project.id, 'extractions')}?{query}"
        told = [self._exports.described(caller, export, base) for export in found]
        return json_answer({"extractions": told, "next_page_url": following})

    async def shown(self, request: Request, caller: Caller) -> Response:
        found = await self._in_thread(self._exports.find, caller, segment_of(request.scope, 5))
        return json_answer(self._exports.described(caller, found, base_url(self._parts, request)))

    async def remove(self, request: Request, caller: Caller) -> Response:
        await self._in_thread(self._exports.remove, caller, segment_of(request.scope, 5))
        return empty_answer()

    async def file(self, request: Request) -> Response:
        """Needs no key: the link is one."""
        project_id, job_id = project_of(request.scope), segment_of(request.scope, 5)
        project = await self._parts.tenants.project(project_id)
        if project is None:
            raise NotFound
        pairs = pairs_of(request.scope)
        expires, signature = parameter(pairs, "expires"), parameter(pairs, "signature")
        self._exports.links.check(project_id, job_id, expires, signature, time.time())
        export = await self._in_thread(self._exports.file, project, job_id)
        path = self._parts.catalog.folder.exports / (export.file or "")
        try:
            found = await self._in_thread(path.stat)
            sound = await self._in_thread(is_sound, path, found)
        except FileNotFoundError:
            raise Gone("The extraction's file is gone.") from None
        if not sound:
            raise Gone("The extraction's file is damaged. Ask for the extraction again.")
        _check_range(request, found.st_size)
        headers = {"x-content-type-options": "nosniff", "cache-control": "private, no-store"}
        return FileResponse(
            path,
            headers=headers,
            media_type=media_type_of(export),
            filename=download_name(export),
            stat_result=found,
        )

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._parts.catalog_executor, work, *arguments)


def _limit(given: str | None) -> int:
    if given is None:
        return PAGE_MAX
    limit = int(given) if _DIGITS.fullmatch(given) else 0
    if not 1 <= limit <= PAGE_MAX:
        raise InvalidParameter(f"'limit' must be a number from 1 to {PAGE_MAX}.")
    return limit


def _check_range(request: Request, size: int) -> None:
    """Leaves of the request a range that can be answered, or none: any other may be ignored.

    Raises RangeNotSatisfiable.
    """
    given = request.headers.get("range")
    if given is None:
        return
    found = _RANGE.fullmatch(given)
    first, last = found.groups() if found is not None else ("", "")
    start = int(first) if first else size - int(last or 0)
    usable = bool(first or last) and not (first and last and int(last) < start)
    if usable and start < size:
        return
    if usable and "if-range" not in request.headers:
        raise RangeNotSatisfiable(size)
    kept = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
    request.scope["headers"] = kept
