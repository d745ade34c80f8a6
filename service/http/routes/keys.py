"""Creating, showing, changing, revoking and deleting access keys, with the master key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Query
from starlette.responses import Response

from service.api_paths import PROJECTS
from service.auth.access_keys import CheckedAccessKey, checked, new_access_key, shown
from service.errors import NotFound
from service.http.authorization import MASTER
from service.http.models.keys import AccessKey, AccessKeyDefinition
from service.http.models.shared import Json
from service.http.openapi.operation import DocumentedAnswer, Example, gone, ok
from service.http.request import audit_details, empty_answer, json_answer, segment_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from storage.catalog.errors import UnknownAccessKey
from storage.catalog.tenants import records

KEYS = f"{PROJECTS}/{{project_id}}/keys"
PAGE_SIZE_MAX = 200
PAGE_MAX = 1_000_000
_ONE = f"{KEYS}/{{access_key}}"
_NO_KEY = "Resource not found: the project has no access key with the value that the path names."
_SENT: Json = {
    "name": "Dashboard of one customer",
    "permitted": ["queries", "schema"],
    "options": {
        "queries": {"filters": [{"property_name": "customer.id", "operator": "eq", "property_value": "c1"}]}
    },
}
_MINE = {"access_key": "{made_key}"}
_KEY = ok(AccessKey, "The key.")
T = TypeVar("T")

area = RouteArea("keys", "Access keys, with the rights that you choose.")


@area.post(
    KEYS,
    MASTER,
    "Make an access key",
    {201: DocumentedAnswer("The key.", AccessKey)},
    examples=(
        Example(body=_SENT, status=201, keep={"made_key": "key"}),
        Example(body={"name": "x", "permitted": ["all"]}, status=400),
        Example(body=_SENT, key="read", status=401),
    ),
)
async def create(call: OfProject, definition: AccessKeyDefinition) -> Response:
    """What a key is permitted to do, narrowed by its options: `writes.autofill` is written into every event
    that is sent with it, and wins; `queries.filters` and `saved_queries.filters` hold for all that is asked
    with it; `allowed` and `blocked` name saved queries, cached ones and datasets. A list that is absent
    excludes nothing."""
    parts = call.parts
    made = _checked(call, definition)
    _, key = new_access_key(parts.keyring, call.caller.project.id, made, parts.clock())
    await parts.in_thread(parts.catalog.access_keys.create, key)
    audit_details(call.request, name=key.name, key=key.public_id)
    return _answer(call, key, 201)


@area.get(
    KEYS,
    MASTER,
    "The project's access keys, oldest first",
    ok(list[AccessKey], "The keys."),
    examples=(Example(query={"name": "Dashboard of one customer"}),),
)
async def list_keys(
    call: OfProject,
    name: Annotated[str, Query(description="Only keys of exactly this name.")] = "",
    page: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Which page.")] = 1,
    per_page: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX, description="Keys on a page.")] = PAGE_SIZE_MAX,
) -> Response:
    parts, project_id = call.parts, call.caller.project.id
    keys = await parts.in_thread(
        lambda: parts.catalog.access_keys.of_project(
            project_id, name=name or None, offset=(page - 1) * per_page, limit=per_page
        )
    )
    return json_answer([shown(parts.keyring, key) for key in keys])


@area.get(_ONE, MASTER, "One access key", _KEY, examples=(Example(_MINE),))
async def show(call: OfProject) -> Response:
    catalog = call.parts.catalog
    key = await call.parts.in_thread(catalog.access_keys.find, call.caller.project.id, _digest(call))
    if key is None:
        raise NotFound(_NO_KEY)
    return _answer(call, key)


@area.post(
    _ONE,
    MASTER,
    "Replace name, rights and options of an access key",
    _KEY,
    examples=(Example(_MINE, body={**_SENT, "name": "Renamed"}),),
)
async def update(call: OfProject, definition: AccessKeyDefinition) -> Response:
    made, digest = _checked(call, definition), _digest(call)

    def change() -> records.AccessKey:
        return call.parts.catalog.access_keys.update(
            call.caller.project.id,
            digest,
            name=made.name,
            is_active=made.is_active,
            permitted=made.permitted,
            options=made.options,
        )

    return _answer(call, await _changing(call, change))


@area.post(f"{_ONE}/revoke", MASTER, "Revoke an access key", _KEY, examples=(Example(_MINE),))
async def revoke(call: OfProject) -> Response:
    return await _activate(call, active=False)


@area.post(f"{_ONE}/unrevoke", MASTER, "Restore a revoked access key", _KEY, examples=(Example(_MINE),))
async def unrevoke(call: OfProject) -> Response:
    return await _activate(call, active=True)


@area.delete(
    _ONE,
    MASTER,
    "Delete an access key permanently",
    gone(),
    examples=(Example(_MINE, status=204), Example(_MINE, status=404)),
)
async def delete(call: OfProject) -> Response:
    digest = _digest(call)
    await _changing(call, lambda: call.parts.catalog.access_keys.delete(call.caller.project.id, digest))
    return empty_answer()


async def _activate(call: ProjectCall, *, active: bool) -> Response:
    """Revoke the key or restore it. The body is ignored: clients send nothing, or an empty string."""
    project_id, digest = call.caller.project.id, _digest(call)
    catalog = call.parts.catalog
    key = await _changing(call, lambda: catalog.access_keys.activate(project_id, digest, active))
    return _answer(call, key)


def _checked(call: ProjectCall, definition: AccessKeyDefinition) -> CheckedAccessKey:
    """Raises InvalidParameter."""
    return checked(definition.sent(), call.parts.query_service.check_regex)


def _digest(call: ProjectCall) -> str:
    """The digest of the key that the path names."""
    return call.parts.keyring.digest(call.caller.project.id, segment_of(call.request.scope, 5))


def _answer(call: ProjectCall, key: records.AccessKey, status: int = 200) -> Response:
    return json_answer(shown(call.parts.keyring, key), status)


async def _changing(call: ProjectCall, work: Callable[[], T]) -> T:
    try:
        return await call.parts.in_thread(call.parts.tenants.changing, work)
    except UnknownAccessKey:
        raise NotFound(_NO_KEY) from None
