"""The schema of events: collections, their properties and the type of each; and events in a URL.

An event in a URL is recognised by its parameter ``data`` and handled by ``service.http.write_api``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from query.language.query_string import from_query_string
from service.api_paths import PROJECTS, url_of
from service.auth.principal import Permission
from service.errors import NotFound
from service.http.authorization import needs, needs_both
from service.http.models import discovery as models
from service.http.models.profile import CollectionProfile
from service.http.openapi.operation import (
    BOOLEAN,
    INTEGER,
    SCRIPT,
    STRING,
    DocumentedAnswer,
    Example,
    Operation,
    in_query,
    ok,
)
from service.http.request import (
    EventAddress,
    check_parameters,
    collection_before,
    count_rate,
    event_address,
    gone_of,
    json_answer,
    pairs_of,
    parameter,
)
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.limits.rate_limiter import Rate
from service.queries.profiles import PARAMETERS, PROPERTIES, PROPERTIES_MAX, TOP, TOP_MAX, read_request
from storage.catalog.errors import UnknownCollection
from storage.catalog.stored.records import Collection
from storage.schema import CREATED_AT, EVENT_ID, TIMESTAMP, Lane, LaneKind, Schema, with_prefixes

LOCATION = "keen.location.coordinates"

_TYPES = {
    LaneKind.NUMBER: "num",
    LaneKind.INTEGER: "num",
    LaneKind.LONG: "num",
    LaneKind.STRING: "string",
    LaneKind.BOOLEAN: "bool",
    LaneKind.JSON: "list",
    LaneKind.NULL: "null",
}
EVENTS = f"{PROJECTS}/{{project_id}}/events"
_COLLECTION = f"{EVENTS}/{{event_collection}}"
RULE = needs(Permission.SCHEMA)
_PURCHASES = {"event_collection": "purchases"}
_BEACON = {"data": "eyJwcmljZSI6IDN9", "api_key": "{write_key}"}

area = RouteArea(
    "schema",
    "See what is recorded.",
    [("POST", f"{EVENTS}/purchases", {"price": 1, "user": {"id": "ann"}})],
)


@area.get(
    EVENTS,
    RULE,
    "All collections and their properties",
    ok(list[models.Collection], "The collections."),
    parameters=(in_query("include_schema", BOOLEAN, "Whether to list properties (default true)."),),
    examples=(Example(key="read"), Example(query={"include_schema": "false"}, key="read")),
)
async def list_collections(call: OfProject) -> Response:
    return await _all(call)


async def _all(call: ProjectCall) -> Response:
    parts, request, caller = call
    include_schema = parameter(pairs_of(request.scope), "include_schema")
    include = (include_schema or "true").strip().lower() not in ("false", "0")
    limit = parts.settings.schema_collections_max
    found = await shown(call, await parts.in_thread(parts.catalog.collections.of_project, caller.project.id))
    if len(found) > limit:
        return _cut_listing(found, limit, include=include)
    return json_answer([_listed(collection, include=include) for collection in found])


@area.get(
    f"{EVENTS}/{{event_collection:path}}/profile",
    needs_both(Permission.SCHEMA, Permission.QUERIES),
    "What the events of a collection and their properties are like",
    ok(CollectionProfile, "The profile."),
    parameters=(
        in_query("property_names", STRING, "Only these, or what is nested in them: a JSON list of names."),
        in_query("timeframe", STRING, "Only events of this time: relative, or JSON of an absolute one."),
        in_query("timezone", STRING, "The time zone of the timeframe."),
        in_query("filters", STRING, "Only events for which these hold: a JSON list, as in questions."),
        in_query("after", STRING, "Only properties whose names follow this one: the `next` of an answer."),
        in_query("limit", INTEGER, f"Properties of one answer: {PROPERTIES}, {PROPERTIES_MAX} at most."),
        in_query("top", INTEGER, f"Frequent values of each property: {TOP}, {TOP_MAX} at most."),
    ),
    errors=(504,),
    examples=(
        Example(_PURCHASES, key="read"),
        Example(_PURCHASES, {"property_names": '["user"]', "top": "1"}, key="read", summary="One property"),
        Example(_PURCHASES, {"limit": "1"}, key="read", summary="Property by property"),
        Example(_PURCHASES, {"limit": "0"}, key="read", status=400),
        Example(_PURCHASES, {"property_names": '["cost"]'}, key="read", status=404),
        Example({"event_collection": "nothing"}, key="read", status=404),
        Example(_PURCHASES, key="write", status=403),
    ),
    name="profile_collection",
)
async def profile(call: OfProject) -> Response:
    """Of the collection: how many events it has, the first and the last, and how many there are each day. Of
    each property, by name: types, the share of events without it, distinct and frequent values, numbers,
    dates and lengths of texts. The key needs the permissions `schema` and `queries`, and sees what its
    filters leave. Up to 10,000 distinct values are counted; more are estimated, and `exact` is false."""
    parts, request, caller = call
    count_rate(parts.rates, request, caller, Rate.QUERIES)
    pairs, name = pairs_of(request.scope), collection_before(request.scope, "/profile")
    check_parameters([(name.partition("[")[0], value) for name, value in pairs], PARAMETERS, "a profile")
    asked = await parts.in_thread(
        lambda: read_request(parts.query_service, caller, name, from_query_string(pairs))
    )

    async def names() -> list[str]:
        return sorted(properties_of((await _visible(call, name)).schema))

    response = await parts.profiles.profile(caller, asked, names, gone_of(request))
    return json_answer(response.body)


@area.serve(
    f"{EVENTS}/{{rest:path}}",
    RULE,
    Operation(
        method="get",
        path=_COLLECTION,
        summary="The properties of a collection; with `data`, record one event",
        answers={
            200: DocumentedAnswer(
                "The collection; for a beacon a GIF or a script.",
                models.Collection,
                content={"image/gif": {}, SCRIPT: {}},
            ),
            302: DocumentedAnswer("The beacon's event is stored; go on to `redirect`."),
        },
        description="With `data`, an event as base64 of its JSON, this records it from an image tag, a link "
        "(`redirect`) or a script (`jsonp`), and needs a key that may write.",
        parameters=(
            in_query("data", STRING, "An event: base64 of its JSON, standard or URL-safe."),
            in_query("redirect", STRING, "With `data`: an absolute http(s) URL to go on to."),
            "jsonp",
        ),
        errors=(413,),
        examples=(
            Example(_PURCHASES, key="read"),
            Example({"event_collection": "nothing"}, key="read", status=404),
            Example(_PURCHASES, _BEACON, key="", summary="A pixel"),
            Example(_PURCHASES, _BEACON | {"redirect": "https://example.com/"}, key="", status=302),
            Example(_PURCHASES, _BEACON | {"jsonp": "stored"}, key=""),
        ),
    ),
    Operation(
        method="get",
        path=f"{_COLLECTION}/properties/{{property_name}}",
        summary="The type of one property",
        answers=ok(models.Property, "Its name and type."),
        examples=(Example(_PURCHASES | {"property_name": "user.id"}, key="read"),),
    ),
)
async def inspect(call: OfProject) -> Response:
    address = event_address(call.request.scope)
    if address.collection is None:
        return await _all(call)
    return json_answer(_described(address, await _visible(call, address.collection)))


async def _visible(call: ProjectCall, name: str) -> Collection:
    """The collection as the caller sees it. Raises NotFound."""
    parts, project_id = call.parts, call.caller.project.id
    try:
        collection = await parts.in_thread(parts.catalog.collections.get, project_id, name)
    except UnknownCollection:
        raise NotFound.named("collection", name) from None
    visible = await shown(call, [collection])
    if not visible:
        raise NotFound.named("collection", name)
    return visible[0]


async def shown(call: ProjectCall, collections: Sequence[Collection]) -> list[Collection]:
    """The collections as the caller sees them, without properties that no event in its sight has now.

    Collections of which it sees no event are left out.
    """
    parts, request, caller = call
    narrowed = bool(caller.filters_for(Permission.SCHEMA))
    visible = []
    for collection in collections:
        if narrowed:
            found = await parts.query_service.held(caller, collection.name, gone_of(request))
            # Sorted: the catalog's order may reveal an event that the caller cannot see.
            lanes = None if found is None else tuple(sorted(found, key=_order))
        elif collection.erase_version:
            lanes = await parts.query_service.standing(caller, collection.name)
        else:
            lanes = collection.schema.lanes
        if lanes is not None:
            visible.append(replace(collection, schema=Schema(lanes)))
    return visible


def _order(lane: Lane) -> tuple[str, int]:
    return lane.path, list(_TYPES).index(lane.kind)


def properties_of(schema: Schema) -> dict[str, str]:
    """Property path → the name of its type; with several types, the one that was recorded first."""
    types = {TIMESTAMP: "datetime", CREATED_AT: "datetime", EVENT_ID: "string"}
    above = with_prefixes(path.rpartition(".")[0] for path in schema.by_path)
    for path, lanes in schema.by_path.items():
        if path in above and all(lane.kind is LaneKind.NULL for lane in lanes):
            # The nested properties show it; its own lane exists only if an event without them came first.
            continue
        kind = next((lane.kind for lane in lanes if lane.kind is not LaneKind.NULL), LaneKind.NULL)
        types[path] = "geo" if path == LOCATION else _TYPES[kind]
    return types


def _listed(collection: Collection, *, include: bool) -> dict[str, Any]:
    name = collection.name
    listed: dict[str, Any] = {"name": name, "url": url_of(collection.project_id, "events", name)}
    if include:
        listed["properties"] = properties_of(collection.schema)
    return listed


def _cut_listing(collections: list[Collection], limit: int, *, include: bool) -> Response:
    """An answer with the first collections by name, and a warning that there are more."""
    warning = f'199 acumen "Only the first {limit} of {len(collections)} collections are listed."'
    listed = [_listed(collection, include=include) for collection in collections[:limit]]
    return json_answer(listed, headers={"warning": warning})


def _described(address: EventAddress, collection: Collection) -> dict[str, Any]:
    name = address.property_name
    if name is None:
        return _listed(collection, include=True)
    type_name = properties_of(collection.schema).get(name)
    if type_name is None:
        raise NotFound.named("property", name)
    url = url_of(address.project_id, "events", collection.name, "properties", name)
    return {"property_name": name, "url": url, "type": type_name}
