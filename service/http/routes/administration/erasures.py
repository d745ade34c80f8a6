"""Deletions and changes of events: those that wait and those that have ended, and what is left of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from service.api_paths import PROJECTS
from service.errors import NotFound
from service.http.authorization import MASTER
from service.http.models.administration import RequestedErasure
from service.http.models.shared import Json, RowId
from service.http.openapi.operation import Example, ok
from service.http.parts import Parts
from service.http.request import json_answer, segment_of
from service.http.routing import OfProject, RouteArea
from service.saved_queries.definition import moment_or_none, moment_text
from storage.catalog.stored import records
from storage.disk.file_system import LocalFileSystem
from storage.maintenance.erased_bytes import erased_bytes

_PATH = f"{PROJECTS}/{{project_id}}/erasures"
PAGE_MAX = 100
_SECOND_US = 1_000_000

area = RouteArea(
    "erasures",
    "What was deleted or changed, and whether its bytes are gone.",
    [
        ("POST", f"{PROJECTS}/{{project_id}}/events/logins", {"user": {"id": "ann"}}),
        ("POST", f"{PROJECTS}/{{project_id}}/events/kept", {"user": {"id": "ann"}}),
        ("DELETE", f"{PROJECTS}/{{project_id}}/events/logins/properties/user.id", None),
    ],
)


@area.get(
    _PATH,
    MASTER,
    "Deletions and changes of events, newest first",
    ok(list[RequestedErasure], "Those that wait, and those of the last day."),
    examples=(
        Example(keep={"erasure_id": "0.id"}),
        Example(query={"limit": "0"}, status=400),
        Example(key="read", status=401),
    ),
)
async def list_erasures(
    call: OfProject,
    before: Annotated[RowId | None, Query(description="Only those with ids below this.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many at most.")] = PAGE_MAX,
) -> Response:
    """Those of retention are among them. One that has ended is forgotten a day later, and its filters are
    forgotten at once."""
    parts, project_id = call.parts, call.caller.project.id
    return json_answer(await parts.in_thread(_listed, parts, project_id, before, limit))


@area.get(
    f"{_PATH}/{{erasure_id}}",
    MASTER,
    "One deletion or change of events",
    ok(RequestedErasure, "What is known of it."),
    examples=(
        Example({"erasure_id": "{erasure_id}"}),
        Example({"erasure_id": "none"}, status=404),
    ),
)
async def show(call: OfProject) -> Response:
    parts, named = call.parts, segment_of(call.request.scope, 5)
    number = int(named) if named.isascii() and named.isdecimal() and len(named) < 19 else 0
    page = await parts.in_thread(_listed, parts, call.caller.project.id, number + 1, 1)
    if not page or page[0]["id"] != number:
        raise NotFound.named("deletion", named)
    return json_answer(page[0])


def _listed(parts: Parts, project_id: str, before: int | None, limit: int) -> list[Json]:
    page = parts.catalog.erasures.of_project(project_id, before=before, limit=limit)
    return [_described(parts, one) for one in page]


def _described(parts: Parts, one: records.RequestedErasure) -> Json:
    erasure, given = one.erasure, one.erasure.parameters
    start, end = given.get("start_us"), given.get("end_us")
    timeframe = None
    if start is not None or end is not None:
        timeframe = {"start": moment_or_none(start), "end": moment_or_none(end)}
    return {
        "id": erasure.id,
        "kind": erasure.kind.value,
        "state": erasure.state.value,
        "event_collection": one.collection,
        "requested_at": moment_text(one.requested_us),
        "ended_at": moment_or_none(one.ended_us),
        "events": erasure.events,
        "problem": erasure.problem,
        "filters": given.get("filters"),
        "timeframe": timeframe,
        "property_name": given.get("property"),
        "on_disk": _on_disk(parts, one),
    }


def _on_disk(parts: Parts, one: records.RequestedErasure) -> Json | None:
    left = erased_bytes(parts.catalog, LocalFileSystem(), one)
    if left is None or one.ended_us is None:
        return None
    seconds = parts.settings.grace_seconds
    if one.erasure.kind is records.ErasureKind.UPDATE:
        seconds += parts.settings.history_seconds
    by_us = one.ended_us + int(seconds * _SECOND_US)
    return {
        "gone": left.gone,
        "files": left.files,
        "bytes": left.bytes,
        "segments": left.segments,
        "by": None if left.gone else moment_text(by_us),
    }
