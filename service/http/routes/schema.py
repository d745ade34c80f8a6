"""What is recorded: collections, their properties and the type of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission
from service.errors import NotFound
from service.http.authorization import Routes, needs
from service.http.parts import Parts
from service.http.request import EventAddress, event_address, gone_of, json_answer, pairs_of, parameter
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


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)

    async def inspect(request: Request, caller: Caller) -> Response:
        address = event_address(request.scope)
        loop = asyncio.get_running_loop()
        if address.collection is None:
            wanted = parameter(pairs_of(request.scope), "include_schema")
            include = (wanted or "true").strip().lower() not in ("false", "0")
            limit = parts.settings.schema_collections_max
            found = await loop.run_in_executor(
                parts.catalog_executor, parts.catalog.collections.of_project, address.project_id
            )
            found = await shown(parts, request, caller, found)
            if len(found) > limit:
                return _cut_listing(found, limit, include=include)
            return json_answer([_listed(collection, include=include) for collection in found])
        try:
            collection = await loop.run_in_executor(
                parts.catalog_executor, parts.catalog.collections.get, address.project_id, address.collection
            )
        except UnknownCollection:
            raise NotFound.named("collection", address.collection) from None
        visible = await shown(parts, request, caller, [collection])
        if not visible:
            raise NotFound.named("collection", address.collection)
        return json_answer(_described(address, visible[0]))

    path = f"{PROJECTS}/{{project_id}}/events"
    for one in (path, f"{path}/{{rest:path}}"):
        routes.project(one, inspect, needs(Permission.SCHEMA))
    return routes.router


async def shown(
    parts: Parts, request: Request, caller: Caller, collections: Sequence[Collection]
) -> list[Collection]:
    """The collections as the caller sees them: what no event in its sight holds, or none any more, is not
    there."""
    narrowed = bool(caller.filters_for(Permission.SCHEMA))
    visible = []
    for collection in collections:
        if narrowed:
            found = await parts.asking.held(caller, collection.name, gone_of(request))
            # In an order of their own: which came first may have been decided by an event out of sight.
            lanes = None if found is None else tuple(sorted(found, key=_order))
        elif collection.erase_version:
            lanes = await parts.asking.standing(caller, collection.name)
        else:
            lanes = collection.schema.lanes
        if lanes is not None:
            visible.append(replace(collection, schema=Schema(lanes)))
    return visible


def _order(lane: Lane) -> tuple[str, int]:
    return lane.path, list(_TYPES).index(lane.kind)


def properties_of(schema: Schema) -> dict[str, str]:
    """Property path → the name of its type; of a path with several kinds of values the first seen."""
    types = {TIMESTAMP: "datetime", CREATED_AT: "datetime", EVENT_ID: "string"}
    above = with_prefixes(path.rpartition(".")[0] for path in schema.by_path)
    for path, lanes in schema.by_path.items():
        if path in above and all(lane.kind is LaneKind.NULL for lane in lanes):
            # Properties below tell of it; whether it has a lane depends on which event came first.
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


def _cut_listing(found: list[Collection], limit: int, *, include: bool) -> Response:
    """The first collections by name, and a word that there are more."""
    warning = f'199 acumen "Only the first {limit} of {len(found)} collections are listed."'
    listed = [_listed(collection, include=include) for collection in found[:limit]]
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
