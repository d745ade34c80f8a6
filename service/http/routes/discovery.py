"""What there is: versions, projects, time zones, usage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from query.language import zones
from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission, key_names
from service.http import welcome
from service.http.authorization import OWN, Routes, needs
from service.http.parts import Parts
from service.http.request import json_answer, request_key
from service.http.routes.schema import shown
from service.limits.quotas import usage_json
from storage.catalog.derived.records import SavedQuery
from storage.catalog.stored.records import Collection
from storage.catalog.tenants.records import Project, Usage

VERSIONS = [
    {"is_public": False, "url": "/1.0", "version": "1.0"},
    {"is_public": False, "url": "/2.0", "version": "2.0"},
    {"is_public": True, "url": "/3.0", "version": "3.0"},
]
_ZONES_SECONDS = 600


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)

    async def versions(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return welcome.page()
        return json_answer(VERSIONS, headers={"vary": "Accept"})

    async def resources(_: Request) -> Response:
        return json_answer({"projects_resource_url": PROJECTS})

    async def timezones(_: Request) -> Response:
        return json_answer(_zones(int(time.time()) // _ZONES_SECONDS))

    async def projects(request: Request) -> Response:
        found = await parts.tenants.mastered(request_key(request))
        told = [
            _listed(one, await _collections(parts, one), await _saved(parts, one), one.master_key)
            for one in found
        ]
        return json_answer(told)

    async def project(request: Request, caller: Caller) -> Response:
        found = await shown(parts, request, caller, await _collections(parts, caller.project))
        # As at their own address, saved queries are listed for the master key alone.
        saved = await _saved(parts, caller.project) if Permission.MASTER in caller.permissions else []
        return json_answer(_listed(caller.project, found, saved, request_key(request) or ""))

    async def usage(_: Request, caller: Caller) -> Response:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(parts.catalog_executor, parts.catalog.projects.usage)
        told = _used(found.get(caller.project.id, Usage()))
        return json_answer(told | await loop.run_in_executor(parts.catalog_executor, taken, parts, caller))

    routes.public("/", versions)
    routes.public("/3.0", resources)
    routes.public("/timezones", timezones)
    routes.public(PROJECTS, projects, rule=OWN)
    routes.project(f"{PROJECTS}/{{project_id}}", project, needs(Permission.SCHEMA))
    routes.project(f"{PROJECTS}/{{project_id}}/organization-usage", usage, needs(Permission.MASTER))
    return routes.router


def taken(parts: Parts, caller: Caller) -> dict[str, Any]:
    """What was sent and asked, where anything was, and the quotas there are. Blocks."""
    activity = parts.catalog.activity.of_project(caller.project.id)
    limits = {name: limit for name, limit in parts.quotas.limits_of(caller.project).items() if limit}
    found = (
        usage_json(activity, key_names(parts.catalog.access_keys, caller.project)) if activity.month else {}
    )
    return found | ({"quotas": limits} if limits else {})


def _used(usage: Usage) -> dict[str, Any]:
    """As Keen says it, with what else there is."""
    told = asdict(usage)
    return {"cached_queries": {"limited": False, "current_usage": told.pop("cached_queries")}, **told}


async def _collections(parts: Parts, project: Project) -> list[Collection]:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(
        parts.catalog_executor, parts.catalog.collections.of_project, project.id
    )


async def _saved(parts: Parts, project: Project) -> list[SavedQuery]:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(
        parts.catalog_executor, parts.catalog.saved_queries.of_project, project.id
    )


def _listed(
    project: Project, collections: Iterable[Collection], saved: Iterable[SavedQuery], key: str
) -> dict[str, Any]:
    """As Keen lists it; ``api_key`` is the key that was sent, so that a reader learns no other."""
    events = [{"name": one.name, "url": url_of(project.id, "events", one.name)} for one in collections]
    return {
        "id": project.id,
        "name": project.name,
        "api_key": key,
        "url": url_of(project.id),
        "events_url": url_of(project.id, "events"),
        "queries_url": url_of(project.id, "queries"),
        "events": events,
        "saved_queries": [
            {"name": one.name, "url": url_of(project.id, "queries", "saved", one.name)} for one in saved
        ],
    }


@lru_cache(maxsize=2)
def _zones(_moment: int) -> list[dict[str, Any]]:
    """Every zone with its offset now; kept for some minutes, since making it reads all zone files."""
    now = datetime.now(UTC)
    shown_zones = []
    for name in zones.names():
        offset = now.astimezone(zones.zone(name)).utcoffset()
        seconds = int(offset.total_seconds()) if offset is not None else 0
        sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
        text = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
        shown_zones.append({"name": name, "number_of_seconds_to_offset_time": seconds, "utc_offset": text})
    return shown_zones
