"""API versions, projects, time zones and usage."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from starlette.responses import Response

from query.language import zones
from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission, key_names
from service.http.authorization import MASTER, OWN, PUBLIC, needs
from service.http.models import discovery as models
from service.http.openapi.operation import Example, ok
from service.http.pages.shell import shell
from service.http.parts import Parts
from service.http.request import json_answer, request_key
from service.http.routes.schema import shown
from service.http.routing import OfAnyone, OfProject, RouteArea
from service.limits.quotas import usage_json
from storage.catalog.derived.records import SavedQuery
from storage.catalog.stored.records import Collection
from storage.catalog.tenants.records import Project, Usage

VERSIONS = [
    {"is_public": False, "url": "/1.0", "version": "1.0"},
    {"is_public": False, "url": "/2.0", "version": "2.0"},
    {"is_public": True, "url": "/3.0", "version": "3.0", "documentation_url": "/docs"},
]
_ZONES_SECONDS = 600
_PROJECT = f"{PROJECTS}/{{project_id}}"
_OPEN: dict[str, Any] = {"errors": (503,), "open": True, "examples": (Example(key=""),)}
_OF_MASTERS = (Example(), Example(key="write", status=401))

area = RouteArea("discover", "Versions, projects, usage and time zones.")


@area.get(
    PROJECTS,
    OWN,
    "The projects of a master key",
    ok(list[models.Project], "The projects."),
    examples=_OF_MASTERS,
)
async def projects(call: OfAnyone) -> Response:
    parts, request = call
    listed = []
    for one in await parts.tenants.mastered(request_key(request)):
        collections = await parts.in_thread(parts.catalog.collections.of_project, one.id)
        saved = await parts.in_thread(parts.catalog.saved_queries.of_project, one.id)
        listed.append(_listed(one, collections, saved, one.master_key))
    return json_answer(listed)


@area.get(
    _PROJECT,
    needs(Permission.SCHEMA),
    "One project and its collections",
    ok(models.Project, "The project."),
    examples=(Example(), Example(key="write", status=403)),
)
async def project(call: OfProject) -> Response:
    """Its saved queries are listed only for the master key, as at their own address."""
    parts, request, caller = call
    project_id = caller.project.id
    collections = await shown(call, await parts.in_thread(parts.catalog.collections.of_project, project_id))
    saved: list[SavedQuery] = []
    if Permission.DEFINITIONS in caller.permissions:
        saved = await parts.in_thread(parts.catalog.saved_queries.of_project, project_id)
    return json_answer(_listed(caller.project, collections, saved, request_key(request) or ""))


@area.get(
    f"{_PROJECT}/organization-usage",
    MASTER,
    "What the project holds",
    ok(models.OwnUsage, "What the project holds."),
    examples=_OF_MASTERS,
)
async def usage(call: OfProject) -> Response:
    parts, caller = call.parts, call.caller
    by_project = await parts.in_thread(parts.catalog.projects.usage)
    answer = _used(by_project.get(caller.project.id, Usage()))
    return json_answer(answer | await parts.in_thread(taken, parts, caller))


@area.get("/", PUBLIC, "The versions of the API", ok(list[models.Version], "The versions."), **_OPEN)
async def versions(call: OfAnyone) -> Response:
    """A browser gets the pages for people."""
    if "text/html" in call.request.headers.get("accept", ""):
        return await shell(call.parts, call.request)
    return json_answer(VERSIONS, headers={"vary": "Accept"})


@area.get("/3.0", PUBLIC, "The address of the projects", ok(models.Resources, "Their address."), **_OPEN)
async def resources(_: OfAnyone) -> Response:
    return json_answer({"projects_resource_url": PROJECTS})


@area.get(
    "/timezones",
    PUBLIC,
    "Time zones and their offsets now",
    ok(list[models.Timezone], "The time zones."),
    **_OPEN,
)
async def timezones(_: OfAnyone) -> Response:
    return json_answer(_zones(int(time.time()) // _ZONES_SECONDS))


def taken(parts: Parts, caller: Caller) -> dict[str, Any]:
    """The caller's project's activity, if there is any this month, and its quotas, if it has any. Blocks."""
    activity = parts.catalog.activity.of_project(caller.project.id)
    limits = {name: limit for name, limit in parts.quotas.limits_of(caller.project).items() if limit}
    activity_json = (
        usage_json(activity, key_names(parts.catalog.access_keys, caller.project)) if activity.month else {}
    )
    return activity_json | ({"quotas": limits} if limits else {})


def _used(usage: Usage) -> dict[str, Any]:
    """Usage in Keen's shape, with Acumen's further numbers."""
    fields = asdict(usage)
    return {"cached_queries": {"limited": False, "current_usage": fields.pop("cached_queries")}, **fields}


def _listed(
    project: Project, collections: Iterable[Collection], saved: Iterable[SavedQuery], key: str
) -> dict[str, Any]:
    """A project in Keen's shape; ``api_key`` is the key of the request, so that no other key is revealed."""
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
    """Every zone with its present offset; cached for some minutes, since it takes reading all zone files."""
    now = datetime.now(UTC)
    shown_zones = []
    for name in zones.names():
        offset = now.astimezone(zones.zone(name)).utcoffset()
        seconds = int(offset.total_seconds()) if offset is not None else 0
        sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
        text = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
        shown_zones.append({"name": name, "number_of_seconds_to_offset_time": seconds, "utc_offset": text})
    return shown_zones
