"""Taking events away (a collection, those that filters and a timeframe name, a property), changing them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from query.answers.event_matching import check_conditions, kept_without_value
from query.language.fields import structured
from query.language.nodes import Filter, MetricQuery
from query.language.parameters import check, is_absent
from query.language.parse import from_query_string
from query.language.suggestions import did_you_mean
from service.api_paths import PROJECTS
from service.auth.principal import Caller, Permission
from service.errors import Forbidden, InvalidParameter, NotFound, TimedOut, Unavailable
from service.http.authorization import Routes, needs
from service.http.parts import Parts
from service.http.request import (
    HARMLESS,
    EventAddress,
    Pairs,
    check_names,
    count_rate,
    empty_answer,
    event_address,
    json_answer,
    pairs_of,
    read_json,
)
from service.http.routes.schema import properties_of, shown
from service.limits.rate_limiter import Rate
from storage.catalog.errors import TooManyProperties, UnknownCollection
from storage.catalog.stored.records import Collection, Erasure, ErasureKind, ErasureState
from storage.catalog.tenants.records import Project
from storage.events.validation import Context, EventLimits, Examined, InvalidEvent, examine

POLL_SECONDS = (0.01, 0.02, 0.05, 0.1)
"""Pauses between looks at what became of a request; the last one is kept to."""
UPDATES_MAX = 100
_NARROWING = ("filters", "timeframe", "timezone", "week_start")
_AS_THEY_ARE = Context("${keen.ip}", "${keen.user_agent}")
"""In a change placeholders stand for nothing: whoever asks for it is not who sent the events."""


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)

    async def delete(request: Request, caller: Caller) -> Response:
        address = event_address(request.scope)
        if address.collection is None:
            raise NotFound
        # Before it is said whether there is such a collection, as for every limited request.
        count_rate(parts.rates, request, caller, _rate_of(request, address))
        given = await _read_deletion(parts, request, address)
        collection = await _collection(parts, request, caller, address.collection)
        if address.property_name is not None:
            await _delete_property(parts, collection, address.property_name)
        else:
            await _delete_events(parts, caller.project, collection, given)
        return empty_answer()

    async def update(request: Request, caller: Caller) -> Response:
        address = event_address(request.scope)
        if address.collection is None or address.property_name is not None:
            raise NotFound
        count_rate(parts.rates, request, caller, Rate.UPDATES)
        check_names(
            (name for name, _ in pairs_of(request.scope)),
            (),
            "the query string of a change, whose body says all",
        )
        body = await read_json(parts.bodies, request, parts.settings.query_bytes_max)
        updates = _read_updates(body)
        parameters, filters = await narrowed(parts, caller.project, address.collection, _narrowing(body))
        collection = await _collection(parts, request, caller, address.collection)
        _check_filters(parts, collection, filters)
        return json_answer({"updated_events": await _update(parts, collection, updates, parameters)})

    rule = needs(Permission.MASTER)
    path = f"{PROJECTS}/{{project_id}}/events/{{rest:path}}"
    routes.project(path, delete, rule, ["DELETE"], narrows=True)
    hint = "It changes stored events; to record one, use POST."
    routes.project(path, update, rule, ["PUT"], admin_hint=hint)
    return routes.router


async def _collection(parts: Parts, request: Request, caller: Caller, name: str) -> Collection:
    """As it stands now. Raises NotFound."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(
            parts.catalog_executor, parts.catalog.collections.get, caller.project.id, name
        )
    except UnknownCollection:
        raise NotFound.named("collection", name) from None
    standing = await shown(parts, request, caller, [found])
    if not standing:
        raise NotFound.named("collection", name)
    return standing[0]


async def _delete_property(parts: Parts, collection: Collection, path: str) -> None:
    if path == "keen" or path.startswith("keen."):
        raise Forbidden("A property of 'keen' can not be deleted.")
    if not any(name == path or name.startswith(path + ".") for name in properties_of(collection.schema)):
        raise NotFound.named("property", path)
    await carried_out(parts, collection, ErasureKind.PROPERTY, {"property": path})


async def _delete_events(
    parts: Parts, project: Project, collection: Collection, given: Mapping[str, Any]
) -> None:
    parameters: dict[str, Any] = {}
    if given:
        parameters, filters = await narrowed(parts, project, collection.name, given)
        _check_filters(parts, collection, filters)
    await carried_out(parts, collection, ErasureKind.EVENTS, parameters)


def _check_filters(parts: Parts, collection: Collection, filters: Sequence[Filter]) -> None:
    """Raises TooManyConditions, and InvalidParameter for a condition that narrows nothing, since no event has
    its property: that is misspelt."""
    check_conditions(collection.schema, filters, parts.asking.limits)
    known = properties_of(collection.schema)
    for one in kept_without_value(filters):
        if one.path not in known and not any(name.startswith(one.path + ".") for name in known):
            raise InvalidParameter(
                f"No event of '{collection.name}' has the property '{one.path}', so the filter with "
                f"'{one.operator}' would mean all events.{did_you_mean(one.path, known)} Nothing was changed."
            )


async def _read_deletion(parts: Parts, request: Request, address: EventAddress) -> Mapping[str, Any]:
    """What narrows the deletion, empty where all is meant: that is said by no parameter at all.

    Only the query string counts, and a body may repeat it, as keen-analysis does in browsers. Raises
    InvalidParameter, InvalidQuery, InvalidJSON.
    """
    known = () if address.property_name is not None else _NARROWING
    what = "the deletion of a property" if address.property_name is not None else "the deletion of events"
    pairs = pairs_of(request.scope)
    check_names((name.partition("[")[0] for name, _ in pairs), known, what)
    given = from_query_string([(name, value) for name, value in pairs if name not in HARMLESS])
    for name in {name.partition("[")[0] for name, _ in pairs} - given.keys() - HARMLESS:
        raise InvalidParameter(f"The parameter '{name}' is empty: leave it out to mean all events.")
    body = await read_json(parts.bodies, request, parts.settings.query_bytes_max, empty={})
    if not isinstance(body, dict | None):
        raise InvalidParameter(
            "The body of a deletion must be empty, or repeat the query string's parameters."
        )
    check_names(body or {}, known, what)
    for name, value in (body or {}).items():
        if name in known and not (name in given and _says_the_same(value, given[name])):
            raise InvalidParameter(
                f"'{name}' is in the body, which does not count here: put it into the query string, as "
                f"DELETE …/events/COLLECTION?{name}=…. Nothing was deleted."
            )
    return _narrowing(given)


def _narrowing(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Filters, and the timeframe with what it is read by, which narrow.

    Raises InvalidParameter where they do not.
    """
    found = {name: given[name] for name in _NARROWING if name in given}
    for name, value in found.items():
        if is_absent(structured(name, value)) or value == "null":
            raise InvalidParameter(
                f"'{name}' is empty, and so narrows nothing: leave it out, and all else with it, to mean all "
                "events."
            )
    if found and found.keys() <= {"timezone", "week_start"}:
        alone = next(iter(found))
        raise InvalidParameter(
            f"A '{alone}' alone narrows nothing: send a 'timeframe' with it, or no parameter at all to mean "
            "all events."
        )
    return found


def _says_the_same(one: Any, other: Any) -> bool:
    """Whether two spellings of a parameter are equal: 3600 and "3600", JSON and its text."""
    one, other = structured("body", one), structured("query string", other)
    return bool(one == other) or (not isinstance(one, (dict, list)) and str(one) == str(other))


def _rate_of(request: Request, address: EventAddress) -> Rate:
    whole = address.property_name is None and not _narrows(pairs_of(request.scope))
    return Rate.COLLECTION_DELETES if whole else Rate.DELETES


def _narrows(pairs: Pairs) -> bool:
    """Are some events meant, and not all of the collection?"""
    return any(name.partition("[")[0] in _NARROWING for name, _ in pairs)


def _read_updates(body: Any) -> list[tuple[dict[str, Any], Examined]]:
    """Raises InvalidParameter, EventRefused."""
    if not isinstance(body, dict):
        raise InvalidParameter("The body must be an object with 'property_updates'.")
    check_names(body, ("property_updates", *_NARROWING), "a change")
    given = body.get("property_updates")
    if not isinstance(given, list) or not 0 < len(given) <= UPDATES_MAX:
        raise InvalidParameter(f"'property_updates' must be a list of 1 to {UPDATES_MAX} updates.")
    return [_read_update(one, number) for number, one in enumerate(given)]


async def _update(
    parts: Parts,
    collection: Collection,
    updates: list[tuple[dict[str, Any], Examined]],
    parameters: dict[str, Any],
) -> int:
    """How many events were changed. Raises InvalidParameter."""
    wanted = list(dict.fromkeys(pair for _, found in updates for pair in found.wanted))
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(
            parts.catalog_executor,
            parts.catalog.collections.add_lanes,
            collection.id,
            wanted,
            parts.settings.properties_max,
        )
    except TooManyProperties as error:
        raise InvalidParameter(str(error)) from None
    parameters["updates"] = [update for update, _ in updates]
    return (await carried_out(parts, collection, ErasureKind.UPDATE, parameters)).events


def _read_update(given: Any, number: int) -> tuple[dict[str, Any], Examined]:
    """As the keeper takes it, and its value as the event that holds nothing else."""
    where = f"property_updates[{number}]"
    if not isinstance(given, dict):
        raise InvalidParameter(f"'{where}' must be an object.")
    check_names(given, ("property_name", "property_value", "upsert_property"), f"'{where}'")
    path, upsert = given.get("property_name"), given.get("upsert_property", False)
    if not isinstance(path, str) or not path:
        raise InvalidParameter(f"'{where}.property_name' must be the dotted path of a property.")
    if path == "keen" or path.startswith("keen."):
        raise Forbidden("A property of 'keen' can not be changed.")
    if not isinstance(upsert, bool):
        raise InvalidParameter(f"'{where}.upsert_property' must be true or false.")
    if "property_value" not in given:
        raise InvalidParameter(f"'{where}.property_value' is missing.")
    event: Any = given["property_value"]
    for name in reversed(path.split(".")):
        event = {name: event}
    try:
        examined = examine(json.dumps(event).encode(), EventLimits(), _AS_THEY_ARE)
    except (InvalidEvent, ValueError, RecursionError) as error:
        raise InvalidParameter(f"'{where}': {error}") from None
    return {"path": path, "line": examined.payload.decode(), "upsert": upsert}, examined


async def narrowed(
    parts: Parts, project: Project, collection: str, given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Filter, ...]]:
    """Filters and timeframe as a request to the keeper has them; the filters, read. Raises InvalidQuery."""
    params = {name: given[name] for name in _NARROWING if name in given} | {"event_collection": collection}
    # Strictly, whatever the settings say of questions.
    check("count", params)
    loop = asyncio.get_running_loop()
    question = await loop.run_in_executor(
        parts.catalog_executor, parts.asking.judge, project, "count", params
    )
    assert isinstance(question.query, MetricQuery)
    span = question.query.span
    parameters = {"filters": params.get("filters"), "start_us": span.start_us, "end_us": span.end_us}
    return parameters, question.query.filters


async def carried_out(
    parts: Parts, collection: Collection, kind: ErasureKind, parameters: Mapping[str, Any]
) -> Erasure:
    """The request, once the keeper has done it. Raises TimedOut, Unavailable: it may be done later still."""
    loop = asyncio.get_running_loop()
    catalog = parts.catalog
    number = await loop.run_in_executor(
        parts.catalog_executor, catalog.erasures.request, collection.id, kind, parameters
    )
    deadline = time.monotonic() + parts.settings.erase_seconds
    looks = 0
    while time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS[min(looks, len(POLL_SECONDS) - 1)])
        looks += 1
        found = await loop.run_in_executor(parts.catalog_executor, catalog.erasures.find, number)
        if found is None or found.state is ErasureState.DONE:
            return found or Erasure(number, collection.id, kind, {}, ErasureState.DONE, 0, None)
        if found.state is ErasureState.FAILED:
            raise Unavailable(f"Nothing was changed. {found.problem}")
    raise TimedOut(
        f"The request is recorded, and not done after {parts.settings.erase_seconds:g} seconds. It goes on."
    )
