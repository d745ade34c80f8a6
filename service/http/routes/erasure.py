"""Deleting events (a collection, those that match filters and a timeframe, a property) and changing them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from query.answers.event_matching import check_conditions, kept_without_value
from query.language.cohorts.members import member_of
from query.language.fields import structured
from query.language.nodes import AnyOf, Condition, Filter, MetricQuery, Operator
from query.language.parameters import check, is_absent
from query.language.query_string import from_query_string
from query.language.suggestions import did_you_mean
from service.api_paths import PROJECTS
from service.errors import (
    Forbidden,
    InvalidParameter,
    NotFound,
    ServiceUnavailable,
    StoredFileDamaged,
    TimedOut,
)
from service.http.authorization import MASTER
from service.http.models.erasure import EventUpdate, PropertyUpdate, Updated
from service.http.openapi.operation import STRING, Example, Operation, gone, in_query, ok
from service.http.parts import Parts
from service.http.request import (
    HARMLESS,
    EventAddress,
    Pairs,
    audit_action,
    audit_details,
    check_names,
    count_rate,
    empty_answer,
    event_address,
    json_answer,
    pairs_of,
    read_json,
)
from service.http.routes.schema import properties_of, shown
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.ingest.errors import CollectionDerived
from service.limits.rate_limiter import Rate
from service.saved_queries.definition import moment_text
from storage.catalog.errors import TooManyProperties, UnknownCollection
from storage.catalog.stored.records import Collection, Erasure, ErasureKind, ErasureState
from storage.catalog.tenants.records import Project
from storage.events.validation import Context, EventLimits, InvalidEvent, ValidatedEvent, examine
from storage.files.deletion import DAMAGED

POLL_SECONDS = (0.01, 0.02, 0.05, 0.1)
"""Pauses between checks whether a request is carried out; the last one is repeated."""
NOTED_MAX = 20
"""Properties of one request that the audit log names."""
_NOTED_LENGTH_MAX = 256
_NARROWING = ("filters", "timeframe", "timezone", "week_start")
_AS_THEY_ARE = Context("${keen.ip}", "${keen.user_agent}")
"""Leaves placeholders as they are: the caller who changes events is not the client that sent them."""
_EVENTS = f"{PROJECTS}/{{project_id}}/events"
_PATH = f"{_EVENTS}/{{rest:path}}"
_COLLECTION = f"{_EVENTS}/{{event_collection}}"
_BOB = '[{"property_name":"user.id","operator":"eq","property_value":"bob"}]'
_LOGINS = {"event_collection": "logins"}
_PLAN = {"property_name": "plan", "property_value": "free"}
_GONE = gone("Done: no query sees them any more. The bytes go from the disk after the grace period.")

area = RouteArea(
    "erase",
    "Delete events, or change them.",
    [
        ("POST", f"{_EVENTS}/logins", {"user": {"id": name, "mail": f"{name}@example.com"}})
        for name in ("ann", "bob")
    ],
)


def _before_update(call: ProjectCall) -> None:
    """Checks of a change before its body is read. Raises NotFound, RateLimited, InvalidQuery."""
    address = event_address(call.request.scope)
    if address.collection is None or address.property_name is not None:
        raise NotFound
    count_rate(call.parts.rates, call.request, call.caller, Rate.UPDATES)
    names = (name for name, _ in pairs_of(call.request.scope))
    check_names(names, (), "the query string of a change, which takes its parameters from the body")


@area.serve(
    _PATH,
    MASTER,
    Operation(
        method="put",
        path=_COLLECTION,
        summary="Change properties of events",
        answers=ok(Updated, "How many were changed."),
        errors=(409, 504),
        examples=(
            Example(_LOGINS, body={"property_updates": [{**_PLAN, "upsert_property": True}]}),
            Example(_LOGINS, body={"property_updates": [{"property_name": "plan"}]}, status=400),
        ),
    ),
    before=_before_update,
    admin_hint="It changes stored events; to record one, use POST.",
)
async def update(call: OfProject, body: EventUpdate) -> Response:
    """In all events that were acknowledged before and match. Without `upsert_property` only events that have
    the property are changed."""
    parts, request, caller = call
    name = event_address(request.scope).collection or ""
    updates = [_read_update(one, number) for number, one in enumerate(body.property_updates)]
    parameters, filters = await narrowed(parts, caller.project, name, _narrowing_of(body))
    collection = await collection_to_change(call, name)
    _check_filters(parts, collection, filters)
    _note(request, collection, parameters, filters)
    changed = [update["path"] for update, _ in updates]
    audit_details(request, changed="some events", properties=_noted_names(changed))
    return json_answer({"updated_events": await _update(call, collection, updates, parameters)})


@area.serve(
    _PATH,
    MASTER,
    Operation(
        method="delete",
        path=_COLLECTION,
        summary="Delete events, or a whole collection",
        answers=_GONE,
        description="All events that were acknowledged before and match `filters` and `timeframe`. Without "
        "either, the whole collection; then no other parameter may be given. A body may "
        "repeat the parameters, and has no effect of its own.",
        parameters=(
            in_query("filters", STRING, "A list of filters, as JSON."),
            in_query("timeframe", STRING, "A relative one, plain or quoted, or an absolute one as JSON."),
            in_query("timezone", STRING, "Of a relative timeframe: a name, or seconds east of UTC."),
            in_query("week_start", STRING, "Of a relative timeframe: on which day weeks begin."),
        ),
        errors=(409, 504),
        examples=(
            Example(_LOGINS, {"filters": _BOB, "timeframe": '"this_7_days"'}, status=204),
            Example(_LOGINS, {"filter": _BOB}, status=400, summary="A misspelt parameter deletes nothing"),
            Example(_LOGINS, key="read", status=401),
        ),
    ),
    Operation(
        method="delete",
        path=f"{_COLLECTION}/properties/{{property_name}}",
        summary="Delete a property, with all that is nested in it, from every event",
        answers=_GONE,
        errors=(409, 504),
        examples=(
            Example(_LOGINS | {"property_name": "user.mail"}, status=204),
            Example(_LOGINS | {"property_name": "keen.id"}, status=403),
        ),
    ),
    narrows=True,
)
async def delete(call: OfProject) -> Response:
    parts, request, caller = call
    address = event_address(request.scope)
    if address.collection is None:
        raise NotFound
    # Before a caller can learn whether the collection exists, as for every rate-limited request.
    count_rate(parts.rates, request, caller, _rate_of(request, address))
    narrowing = await _read_deletion(parts, request, address)
    if address.property_name is not None:
        audit_details(request, deleted="a property")
    elif narrowing:
        audit_action(request, "Delete events")
        audit_details(request, deleted="some events")
    else:
        audit_action(request, "Delete a collection")
        audit_details(request, deleted="a collection")
    collection = await collection_to_change(call, address.collection)
    if address.property_name is not None:
        await _delete_property(call, collection, address.property_name)
    else:
        await _delete_events(call, collection, narrowing)
    return empty_answer()


def _failed(problem: str | None) -> ServiceUnavailable:
    """The error for a request that the keeper could not carry out."""
    if problem == DAMAGED:
        return StoredFileDamaged(DAMAGED)
    return ServiceUnavailable(f"Nothing was changed. {problem}")


async def collection_to_change(call: ProjectCall, name: str) -> Collection:
    """The collection as it is now. Raises NotFound, and CollectionDerived where a pipeline fills it."""
    try:
        found = await call.parts.in_thread(call.parts.catalog.collections.get, call.caller.project.id, name)
    except UnknownCollection:
        raise NotFound.named("collection", name) from None
    visible = await shown(call, [found])
    if not visible:
        raise NotFound.named("collection", name)
    if found.derived:
        raise CollectionDerived(name)
    return visible[0]


async def _delete_property(call: ProjectCall, collection: Collection, path: str) -> None:
    if path == "keen" or path.startswith("keen."):
        raise Forbidden("A property of 'keen' cannot be deleted.")
    if not any(name == path or name.startswith(path + ".") for name in properties_of(collection.schema)):
        raise NotFound.named("property", path)
    _note(call.request, collection, {}, ())
    audit_details(call.request, properties=_noted_names([path]))
    await carried_out(call, collection, ErasureKind.PROPERTY, {"property": path})


async def _delete_events(call: ProjectCall, collection: Collection, given: Mapping[str, Any]) -> None:
    parameters: dict[str, Any] = {}
    filters: tuple[Filter, ...] = ()
    if given:
        parameters, filters = await narrowed(call.parts, call.caller.project, collection.name, given)
        _check_filters(call.parts, collection, filters)
    _note(call.request, collection, parameters, filters)
    try:
        await carried_out(call, collection, ErasureKind.EVENTS, parameters)
    except TimedOut:
        await _forget_actors(call, parameters, filters)
        raise
    await _forget_actors(call, parameters, filters)


async def _forget_actors(call: ProjectCall, parameters: Mapping[str, Any], filters: Sequence[Filter]) -> None:
    """Take those whose events are erased, by nothing but who they are, out of static cohorts."""
    erased = erased_actors(parameters, filters)
    if erased is None:
        return
    forget = call.parts.catalog.cohorts.forget
    cohorts = await call.parts.in_thread(forget, call.caller.project.id, *erased)
    if cohorts:
        audit_details(call.request, cohorts=cohorts)


def erased_actors(
    parameters: Mapping[str, Any], filters: Sequence[Filter]
) -> tuple[str, Sequence[str]] | None:
    """The property and the values, as members of cohorts, of a deletion that says only these; else None."""
    if len(filters) != 1 or parameters.get("start_us") is not None or parameters.get("end_us") is not None:
        return None
    (one,) = filters
    if not isinstance(one, Condition) or one.operator not in (Operator.EQ, Operator.IN):
        return None
    values = one.operand if one.operator is Operator.IN else [one.operand]
    return one.path, [text for value in values if (text := member_of(value)) is not None]


def _note(
    request: Request, collection: Collection, parameters: Mapping[str, Any], filters: Sequence[Filter]
) -> None:
    """Have the audit log say what a request is about. Of filters it never has the values, which may be what
    was to be forgotten."""
    audit_details(request, event_collection=collection.name)
    if filters:
        named = list(dict.fromkeys(_conditions(filters)))
        shown = [
            {"property_name": path[:_NOTED_LENGTH_MAX], "operator": operator}
            for path, operator in named[:NOTED_MAX]
        ]
        audit_details(request, filters=len(filters), filtered_by=shown)
    for name in ("start", "end"):
        moment = parameters.get(f"{name}_us")
        if moment is not None:
            audit_details(request, **{name: moment_text(moment)})


def _conditions(filters: Sequence[Filter]) -> Iterator[tuple[str, str]]:
    """The property and the operator of each condition."""
    for one in filters:
        if isinstance(one, AnyOf):
            yield from _conditions(one.operands)
        else:
            yield one.path, one.operator.value


def _noted_names(paths: Sequence[str]) -> list[str]:
    """Names of properties as far as the audit log has them."""
    return [path[:_NOTED_LENGTH_MAX] for path in paths[:NOTED_MAX]]


def _check_filters(parts: Parts, collection: Collection, filters: Sequence[Filter]) -> None:
    """Raises TooManyConditions, or InvalidParameter for a condition that matches events without its property.

    It would match all events where no event has the property, whose name is then probably misspelt.
    """
    check_conditions(collection.schema, filters, parts.query_service.limits)
    known = properties_of(collection.schema)
    for one in kept_without_value(filters):
        if one.path not in known and not any(name.startswith(one.path + ".") for name in known):
            raise InvalidParameter(
                f"No event of '{collection.name}' has the property '{one.path}', so the filter with "
                f"'{one.operator}' would mean all events.{did_you_mean(one.path, known)} Nothing was changed."
            )


async def _read_deletion(parts: Parts, request: Request, address: EventAddress) -> Mapping[str, Any]:
    """The parameters that narrow a deletion; empty for the whole collection, which takes no parameter at all.

    Only the query string counts. A body may repeat it, as keen-analysis does in browsers. Raises
    InvalidParameter, InvalidQuery, InvalidJSON.
    """
    known = () if address.property_name is not None else _NARROWING
    what = "the deletion of a property" if address.property_name is not None else "the deletion of events"
    pairs = pairs_of(request.scope)
    check_names((name.partition("[")[0] for name, _ in pairs), known, what)
    parameters = from_query_string([(name, value) for name, value in pairs if name not in HARMLESS])
    for name in {name.partition("[")[0] for name, _ in pairs} - parameters.keys() - HARMLESS:
        raise InvalidParameter(f"The parameter '{name}' is empty: leave it out to mean all events.")
    body = await read_json(parts.bodies, request, parts.settings.query_bytes_max, empty={})
    if body is None and parameters:
        body = {}
    if not isinstance(body, dict):
        # Null alone may be filters that a program has not set.
        raise InvalidParameter(
            "The body of a deletion must be empty, or repeat the query string's parameters."
        )
    check_names(body, known, what)
    for name, value in body.items():
        if name in known and not (name in parameters and _is_same_value(value, parameters[name])):
            raise InvalidParameter(
                f"'{name}' is in the body, which is ignored here. Put it in the query string: DELETE "
                f"…/events/COLLECTION?{name}=…. Nothing was deleted."
            )
    return _narrowing(parameters)


def _narrowing(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The filters, and the timeframe with its time zone and week start.

    Raises InvalidParameter where they are present but select no part of the events.
    """
    narrowing = {name: given[name] for name in _NARROWING if name in given}
    for name, value in narrowing.items():
        if is_absent(structured(name, value)) or value == "null":
            raise InvalidParameter(
                f"'{name}' is empty and selects no part of the events. To mean all events, send no "
                "parameter at all."
            )
    if narrowing and narrowing.keys() <= {"timezone", "week_start"}:
        alone = next(iter(narrowing))
        raise InvalidParameter(
            f"A '{alone}' alone selects no part of the events. Send a 'timeframe' with it or, to mean all "
            "events, no parameter at all."
        )
    return narrowing


def _is_same_value(one: Any, other: Any) -> bool:
    """Whether two spellings of a parameter mean the same: 3600 and "3600", JSON and its text."""
    one, other = structured("body", one), structured("query string", other)
    return bool(one == other) or (not isinstance(one, (dict, list)) and str(one) == str(other))


def _rate_of(request: Request, address: EventAddress) -> Rate:
    whole = address.property_name is None and not _narrows(pairs_of(request.scope))
    return Rate.COLLECTION_DELETES if whole else Rate.DELETES


def _narrows(pairs: Pairs) -> bool:
    """Whether the parameters select a part of the collection."""
    return any(name.partition("[")[0] in _NARROWING for name, _ in pairs)


def _narrowing_of(body: EventUpdate) -> Mapping[str, Any]:
    """The parameters in the body that narrow a change. Raises InvalidParameter, InvalidQuery."""
    sent = body.sent()
    check_names(sent, ("property_updates", *_NARROWING), "a change")
    return _narrowing(sent)


async def _update(
    call: ProjectCall,
    collection: Collection,
    updates: list[tuple[dict[str, Any], ValidatedEvent]],
    parameters: dict[str, Any],
) -> int:
    """How many events were changed. Raises InvalidParameter."""
    parts = call.parts
    lanes = list(dict.fromkeys(pair for _, found in updates for pair in found.wanted))
    try:
        await parts.in_thread(
            parts.catalog.collections.add_lanes, collection.id, lanes, parts.settings.properties_max
        )
    except TooManyProperties as error:
        raise InvalidParameter(str(error)) from None
    parameters["updates"] = [update for update, _ in updates]
    return (await carried_out(call, collection, ErasureKind.UPDATE, parameters)).events


def _read_update(given: PropertyUpdate, number: int) -> tuple[dict[str, Any], ValidatedEvent]:
    """The update in the form that the keeper takes, and its value as an event with that property alone.

    Raises InvalidParameter, Forbidden.
    """
    where, path = f"property_updates[{number}]", given.property_name
    known = list(PropertyUpdate.model_fields)
    check_names((*known, *(given.model_extra or ())), known, f"'{where}'")
    if path == "keen" or path.startswith("keen."):
        raise Forbidden("A property of 'keen' cannot be changed.")
    event: Any = given.property_value
    for name in reversed(path.split(".")):
        event = {name: event}
    try:
        examined = examine(json.dumps(event).encode(), EventLimits(), _AS_THEY_ARE)
    except (InvalidEvent, ValueError, RecursionError) as error:
        raise InvalidParameter(f"'{where}': {error}") from None
    line = {"path": path, "line": examined.payload.decode(), "upsert": given.upsert_property}
    return line, examined


async def narrowed(
    parts: Parts, project: Project, collection: str, given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Filter, ...]]:
    """The parameters of a request to the keeper, and the parsed filters. Raises InvalidQuery."""
    params = {name: given[name] for name in _NARROWING if name in given} | {"event_collection": collection}
    # Unknown parameters are always refused, whatever the settings say for queries.
    check("count", params)
    judge = partial(parts.query_service.judge, cohorts=False)
    question = await parts.in_thread(judge, project, "count", params)
    assert isinstance(question.query, MetricQuery)
    span = question.query.span
    parameters = {"filters": params.get("filters"), "start_us": span.start_us, "end_us": span.end_us}
    return parameters, question.query.filters


async def carried_out(
    call: ProjectCall, collection: Collection, kind: ErasureKind, parameters: Mapping[str, Any]
) -> Erasure:
    """The request, once the keeper has carried it out.

    Raises TimedOut, after which it may still be carried out, and ServiceUnavailable if it failed.
    """
    parts, catalog = call.parts, call.parts.catalog
    number = await parts.in_thread(catalog.erasures.request, collection.id, kind, parameters)
    audit_details(call.request, erasure=number)
    deadline = time.monotonic() + parts.settings.erase_seconds
    checks = 0
    while time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS[min(checks, len(POLL_SECONDS) - 1)])
        checks += 1
        erasure = await parts.in_thread(catalog.erasures.find, number)
        if erasure is None or erasure.state is ErasureState.DONE:
            erasure = erasure or Erasure(number, collection.id, kind, {}, ErasureState.DONE, 0, None)
            if kind is not ErasureKind.PROPERTY:
                # Of a property it is the number of all events in the files that had it.
                audit_details(call.request, events=erasure.events)
            return erasure
        if erasure.state is ErasureState.FAILED:
            raise _failed(erasure.problem)
    raise TimedOut(
        f"The request was accepted and is not finished after {parts.settings.erase_seconds:g} seconds. It "
        "continues in the background."
    )
