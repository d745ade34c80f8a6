"""The retention of a collection's events: ``/3.0/projects/P/retention/C``."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from service.api_paths import PROJECTS
from service.errors import NotFound
from service.http.authorization import MASTER
from service.http.models.erasure import NewRetention, Retention
from service.http.openapi.operation import Example, gone, ok
from service.http.request import audit_details, empty_answer, json_answer, raw_path
from service.http.routing import OfProject, ProjectCall, RouteArea
from storage.catalog.errors import UnknownCollection

_PATH = f"{PROJECTS}/{{project_id}}/retention/{{event_collection:path}}"
_LOGINS = {"event_collection": "logins"}

area = RouteArea(
    "retention",
    "Keep events for some time only.",
    [("POST", f"{PROJECTS}/{{project_id}}/events/logins", {"user": {"id": "ann"}})],
)


@area.put(
    _PATH,
    MASTER,
    "Keep a collection's events for some days only",
    ok(Retention, "It applies from now on."),
    examples=(Example(_LOGINS, body={"days": 400}), Example(_LOGINS, body={"days": 0}, status=400)),
)
async def keep(call: OfProject, retention: NewRetention) -> Response:
    """Older events are deleted day by day, in UTC, by `keen.timestamp`; those too old already are deleted
    now."""
    retention.refuse_unknown("retention")
    collection_id = await _collection_id(call)
    await call.parts.in_thread(call.parts.catalog.retention.put, collection_id, retention.days)
    audit_details(call.request, event_collection=_collection_of(call.request), days=retention.days)
    return json_answer({"days": retention.days})


@area.get(_PATH, MASTER, "For how many days events are kept", ok(Retention), examples=(Example(_LOGINS),))
async def show(call: OfProject) -> Response:
    collection_id = await _collection_id(call)
    days_by_collection = await call.parts.in_thread(call.parts.catalog.retention.days)
    return json_answer({"days": days_by_collection.get(collection_id)})


@area.delete(
    _PATH,
    MASTER,
    "Keep a collection's events without limit",
    gone("Events are kept without limit from now on."),
    examples=(Example(_LOGINS, status=204),),
)
async def keep_for_ever(call: OfProject) -> Response:
    collection_id = await _collection_id(call)
    await call.parts.in_thread(call.parts.catalog.retention.put, collection_id, None)
    audit_details(call.request, event_collection=_collection_of(call.request))
    return empty_answer()


async def _collection_id(call: ProjectCall) -> int:
    """The number of the collection that the path names. Raises NotFound."""
    name = _collection_of(call.request)
    try:
        return (
            await call.parts.in_thread(call.parts.catalog.collections.get, call.caller.project.id, name)
        ).id
    except UnknownCollection:
        raise NotFound.named("collection", name) from None


def _collection_of(request: Request) -> str:
    """The collection's name: all that follows ``/retention/``, raw slashes included."""
    return unquote_to_bytes(raw_path(request.scope).split(b"/", 5)[5]).decode("utf-8", "replace")
