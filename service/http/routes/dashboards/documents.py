"""Documents and metadata of dashboards, at the address that Keen's dashboard creator uses:
``/projects/P/dashboards``."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from service.auth.principal import Caller, Permission
from service.errors import NotFound
from service.http.authorization import EDITS, needs
from service.http.models.dashboards import DashboardMetadata, DashboardMetadataSent
from service.http.models.faults import fault_of
from service.http.models.shared import Json
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, gone, in_header, ok
from service.http.request import empty_answer, json_answer, raw_path, read_json, request_key, segment_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.queries import dashboards
from storage.catalog.derived.records import Dashboard

DASHBOARDS = "/projects/{project_id}/dashboards"
VERSION = "/3.0"
"""Before the addresses of routes below a dashboard, which have two."""
METADATA_HEADER = "X-Keen-Blob-Metadata"
_ONE = f"{DASHBOARDS}/{{dashboard_id}}"
_METADATA = f"{_ONE}/metadata"
_READ = needs(Permission.QUERIES, Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
_SALES = {"dashboard_id": "sales"}
_DOCUMENT = {"version": "1", "widgets": [{"id": "w1", "type": "chart", "query": "daily-sales"}]}
_METADATA_SENT = {METADATA_HEADER: '{"title": "Sales"}'}
_OBJECT: Json = {"type": "object"}

area = RouteArea(
    "dashboards",
    "Dashboards of Keen's dashboard creator.",
    [("PUT", f"{DASHBOARDS}/first", {"widgets": []})],
)


@area.get(
    f"{DASHBOARDS}/{dashboards.LIST}",
    _READ,
    "The metadata of all dashboards, by id",
    ok(list[DashboardMetadata], "The metadata."),
    examples=(Example(key="read"),),
    spends=False,
    name="list_dashboards",
)
async def list_dashboards(call: OfProject) -> Response:
    """Keys that see all answers of a project see all its dashboards. A key with filters or lists of names
    sees only those whose metadata has `isPublic` and the key as `publicAccessKey`; it gets a 404 for
    others."""
    parts, request, caller = call
    project_dashboards = await parts.in_thread(parts.catalog.dashboards.of_project, caller.project.id)
    key = request_key(request) or ""
    return json_answer(
        [_described(caller, one) for one in project_dashboards if dashboards.visible(caller, key, one)]
    )


@area.put(
    _ONE,
    EDITS,
    "Store or replace a dashboard",
    {
        200: DocumentedAnswer("It was replaced.", schema=_OBJECT),
        201: DocumentedAnswer("It is new.", schema=_OBJECT),
    },
    description=f"The body is any JSON object of up to {dashboards.DOCUMENT_BYTES_MAX:,} bytes.",
    parameters=(
        in_header(
            METADATA_HEADER,
            STRING,
            f"Its metadata as JSON, up to {dashboards.METADATA_BYTES_MAX:,} bytes. Without it, the "
            "dashboard keeps the metadata that it has.",
        ),
        in_header(
            "If-Match",
            STRING,
            "The `ETag` of a dashboard as it was read: it is replaced only if nobody has changed it since, "
            "and else it is a 412. `*`: only if it is there.",
        ),
    ),
    body=_OBJECT,
    errors=(412,),
    examples=(
        Example(_SALES, headers=_METADATA_SENT, body=_DOCUMENT, status=201),
        Example(_SALES, body=_DOCUMENT),
        Example(_SALES, headers={"If-Match": '"of-another"'}, body=_DOCUMENT, status=412),
        Example(_SALES, body=_DOCUMENT, key="read", status=401),
        Example(_SALES, body=["no object"], status=400),
    ),
)
async def put(call: OfProject) -> Response:
    parts, request, caller = call
    name = dashboards.read_name(_name(call))
    header = request.headers.get(METADATA_HEADER)
    metadata = None if header is None else _metadata_of(header)
    document = await read_json(parts.bodies, request, dashboards.DOCUMENT_BYTES_MAX)
    dashboards.check_document(document)
    expected = dashboards.read_condition(request.headers.getlist("if-match"))
    text, created = await parts.in_thread(
        dashboards.store, parts.catalog, caller.project.id, name, document, metadata, parts.clock(), expected
    )
    return json_answer(text, 201 if created else 200, {"etag": dashboards.entity_tag(text)})


@area.get(
    _ONE,
    _READ,
    "One dashboard",
    {200: DocumentedAnswer("As it was stored; `ETag` says which version.", schema=_OBJECT)},
    examples=(Example(_SALES, key="read"),),
    spends=False,
)
async def show(call: OfProject) -> Response:
    dashboard = await _visible(call)
    document = await call.parts.in_thread(
        call.parts.catalog.dashboards.document, call.caller.project.id, dashboard.name
    )
    if document is None:
        raise NotFound
    grant = call.caller.embed
    if grant is not None:
        return json_answer(await call.parts.in_thread(dashboards.document_for_token, document, grant))
    text = document.encode()
    return json_answer(text, headers={"etag": dashboards.entity_tag(text)})


@area.put(
    _METADATA,
    EDITS,
    "Replace a dashboard's metadata",
    ok(DashboardMetadata, "The metadata as it is now."),
    examples=(
        Example(_SALES, body={"title": "Sales", "tags": ["shop"], "isPublic": False}),
        Example(_SALES, body={"tags": "shop"}, status=400),
    ),
)
async def describe(call: OfProject, metadata: DashboardMetadataSent) -> Response:
    parts = call.parts
    name = dashboards.read_name(_name(call))
    made = dashboards.stored(name, dashboards.check_metadata(metadata.sent()))
    if not await parts.in_thread(parts.catalog.dashboards.describe, call.caller.project.id, made):
        raise NotFound
    return json_answer(dashboards.described(made))


@area.get(
    _METADATA,
    _READ,
    "A dashboard's metadata",
    ok(DashboardMetadata, "The metadata."),
    examples=(Example(_SALES, key="read"),),
    spends=False,
)
async def described(call: OfProject) -> Response:
    return json_answer(_described(call.caller, await _visible(call)))


@area.delete(
    _ONE,
    EDITS,
    "Delete a dashboard permanently",
    gone(),
    examples=(Example(_SALES, status=204), Example(_SALES, status=404)),
)
async def delete(call: OfProject) -> Response:
    parts = call.parts
    if not await parts.in_thread(parts.catalog.dashboards.remove, call.caller.project.id, _name(call)):
        raise NotFound
    return empty_answer()


def _metadata_of(header: str) -> Json:
    """The metadata in the header. Raises InvalidParameter, InvalidJSON."""
    metadata: Any = dashboards.read_header(header.encode("latin-1"))
    try:
        sent = DashboardMetadataSent.model_validate(metadata).sent()
    except ValidationError as error:
        faults = [{**fault, "loc": (METADATA_HEADER, *fault["loc"])} for fault in error.errors()]
        raise fault_of(faults, DashboardMetadataSent) from None
    return dashboards.check_metadata(sent)


def _described(caller: Caller, dashboard: Dashboard) -> Json:
    return (
        dashboards.described(dashboard) if caller.embed is None else dashboards.described_for_token(dashboard)
    )


async def _visible(call: ProjectCall) -> Dashboard:
    """The dashboard that the path names. Raises NotFound, also where the key may not see it."""
    return await visible_dashboard(call, _name(call))


async def visible_dashboard(call: ProjectCall, name: str) -> Dashboard:
    """The dashboard of this id. Raises NotFound, also where the key may not see it."""
    parts, request, caller = call
    dashboard = await parts.in_thread(parts.catalog.dashboards.find, caller.project.id, name)
    if dashboard is None or not dashboards.visible(caller, request_key(request) or "", dashboard):
        raise NotFound
    return dashboard


def _name(call: ProjectCall) -> str:
    return segment_of(call.request.scope, 4)


def segment_below(call: ProjectCall, number: int) -> str:
    """A segment of a path that may begin with the version, which is not counted."""
    scope = call.request.scope
    return segment_of(scope, number + raw_path(scope).startswith(f"{VERSION}/".encode()))
