"""Actors with several ids: which ids belong together, and all events of one actor.

What is sent here is recorded by ``service.http.write_api``.
"""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Query
from starlette.responses import Response

from query.answers.identities.people import actors_page, ids_of, one_actor, with_events
from query.answers.pipeline import Work
from query.language.cohorts.members import member_of
from query.language.fields import decode_json, missing, structured, text, wrong
from query.language.preferences import ACTOR_LENGTH_MAX
from query.plan.actors import ALIAS, ANONYMOUS, IDENTITIES, USER
from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.errors import Forbidden, NotFound
from service.http.authorization import MASTER, needs, needs_both
from service.http.models.erasure import ActorEvents, ActorPage, ErasedActor, OneActor
from service.http.models.shared import Json
from service.http.openapi.operation import STRING, Example, gone, in_query, ok
from service.http.request import (
    audit_details,
    check_names,
    collection_before,
    count_rate,
    empty_answer,
    gone_of,
    json_answer,
    pairs_of,
    parameter,
)
from service.http.routes.erasure import carried_out, collection_to_change, narrowed
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.ingest.identities import ID_LENGTH_MAX
from service.limits.rate_limiter import Rate
from service.queries.query_service import QueryResponse
from storage.catalog.stored.records import Collection, ErasureKind
from storage.schema import LaneKind

_PATH = f"{PROJECTS}/{{project_id}}/identities"
_ACTOR = f"{_PATH}/{{actor_id:path}}"
_EVENTS = "/events"
_PAGE, _PAGE_MAX = 100, 1_000
_PROPERTIES_MAX = 20
_RULE = needs(Permission.QUERIES)
_ID_LANES = (LaneKind.STRING, LaneKind.NUMBER, LaneKind.JSON)
_PROPERTY = in_query(
    "actor_property",
    STRING,
    "A property with ids of actors; repeated, or a list, for several. By default the project's preference.",
)
_ANN = {"actor_id": "a1"}
_LINK = {"anonymous_id": "a1", "user_id": "ann"}
_REVOKED = {"anonymous_id": "a2", "user_id": "ann"}

area = RouteArea(
    "identities",
    "Say that several ids are one actor.",
    [
        ("POST", _PATH.replace("identities", "events/logins"), {"user": {"id": "ann"}}),
        ("POST", _PATH.replace("identities", "events/views"), {"user": {"id": "a1"}}),
        ("POST", f"{_PATH}", [_LINK, _REVOKED, {"anonymous_id": "b1", "user_id": "bea"}]),
    ],
)


@area.get(
    _PATH,
    _RULE,
    "All actors with several ids",
    ok(ActorPage),
    parameters=(),
    examples=(Example(), Example(key="read"), Example(query={"limit": "0"}, status=400)),
)
async def list_actors(
    call: OfProject,
    after: Annotated[int, Query(ge=0, le=2**53, description="The `next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=_PAGE_MAX, description="How many at most.")] = _PAGE,
) -> Response:
    """As far as the key sees what was said of ids. Texts come first, each kind of ids in its order."""
    _count(call)
    return await _answer(call, lambda views, runner: actors_page(views, after, limit))


@area.get(
    f"{_ACTOR}{_EVENTS}",
    needs_both(Permission.QUERIES, Permission.EXTRACTIONS),
    "All events of one actor, in all collections",
    ok(ActorEvents),
    parameters=(_PROPERTY,),
    examples=(
        Example(_ANN, {"actor_property": "user.id"}),
        Example(_ANN, status=400, summary="Neither the request nor the project says which property"),
    ),
)
async def export_actor(call: OfProject) -> Response:
    """Those with any of its ids in one of the properties, newest first, and those of `acumen.identities` that
    name its ids."""
    if not call.caller.options.extraction:
        raise call.caller.excluded("extraction")
    paths = _properties(call)
    _count(call, Rate.EXTRACTIONS)
    asked, quoted = _asked(call, _EVENTS)
    places = [(one.name, own) for one, own in await _places(call, paths)]
    limits = call.parts.query_service.limits
    return await _answer(
        call, lambda views, runner: with_events(views, runner, limits, asked, places, quoted=quoted)
    )


@area.delete(
    f"{_ACTOR}{_EVENTS}",
    MASTER,
    "Delete all events of one actor, in all collections",
    ok(ErasedActor, "Done: no query sees them any more. The bytes go from the disk after the grace period."),
    parameters=(_PROPERTY,),
    errors=(504,),
    narrows=True,
    examples=(
        Example({"actor_id": "b1"}, {"actor_property": "user.id"}),
        Example(_ANN, {"actor_proprety": "user.id"}, status=400),
    ),
)
async def erase_actor(call: OfProject) -> Response:
    """Those that the export has, also in collections that a pipeline fills.

    What was said of its ids goes last: where a request ends before it is done, the same request completes it.
    """
    check_names((name for name, _ in pairs_of(call.request.scope)), ("actor_property",), "this deletion")
    paths = _properties(call)
    count_rate(call.parts.rates, call.request, call.caller, Rate.DELETES)
    asked, quoted = _asked(call, _EVENTS)
    found = orjson.loads(
        (await _asked_for(call, lambda views, runner: ids_of(views, runner, asked, quoted=quoted))).body
    )
    await _forget(call, paths, found["ids"])
    deleted: dict[str, int] = {}
    for collection, own in await _places(call, paths):
        deleted[collection.name] = await _erase(call, collection, own, found["ids"])
    audit_details(call.request, deleted="an actor", events=sum(deleted.values()))
    return json_answer({**found, "deleted_events": {name: n for name, n in deleted.items() if n}})


async def _forget(call: ProjectCall, paths: list[str], ids: list[Any]) -> None:
    """Take the ids out of the static cohorts of these properties."""
    members = [member for one in ids if (member := member_of(one)) is not None]
    for path in paths:
        await call.parts.in_thread(call.parts.catalog.cohorts.forget, call.caller.project.id, path, members)


@area.get(
    _ACTOR,
    _RULE,
    "One actor: all of its ids, and what was said of them",
    ok(OneActor),
    examples=(Example(_ANN), Example(_ANN, key="read"), Example({"actor_id": "nobody"}, status=404)),
)
async def show_actor(call: OfProject) -> Response:
    """By any of its ids. One that spells a number is that number where nothing names the text; in quotes, as
    `%2242%22`, it is a text."""
    _count(call)
    asked, quoted = _asked(call)
    response = await _asked_for(call, lambda views, runner: one_actor(views, runner, asked, quoted=quoted))
    if response.body == b"{}":
        raise NotFound.named("id", asked)
    return json_answer(response.body)


@area.delete(
    _PATH,
    MASTER,
    "Revoke what was said of two ids",
    gone("No event says so any more."),
    parameters=(
        in_query(USER, STRING, "The user.", required=True),
        in_query(ANONYMOUS, STRING, "Of a link: the anonymous id."),
        in_query(ALIAS, STRING, "Of an alias: the other user."),
    ),
    errors=(409, 504),
    narrows=True,
    examples=(
        Example(query={"anonymous_id": "a9", "user_id": "ann"}, status=404, summary="It was never said"),
        Example(query=_REVOKED, status=204),
        Example(query={"user_id": "ann"}, status=400),
    ),
)
async def revoke(call: OfProject) -> Response:
    """All events that say so are deleted; ids of which other events say that they are one stay one."""
    pairs = pairs_of(call.request.scope)
    check_names((name for name, _ in pairs), (USER, ANONYMOUS, ALIAS), "this deletion")
    user = parameter(pairs, USER)
    if user is None:
        raise missing(USER)
    given = {name: one for name in (ANONYMOUS, ALIAS) if (one := parameter(pairs, name)) is not None}
    if len(given) != 1:
        raise missing(ANONYMOUS) if not given else wrong(ALIAS, f"left out with '{ANONYMOUS}'", given[ALIAS])
    count_rate(call.parts.rates, call.request, call.caller, Rate.DELETES)
    ((name, other),) = given.items()
    statement = await _said(call, name, other, user)
    collection = await collection_to_change(call, IDENTITIES)
    filters = [
        {"property_name": one, "operator": "eq", "property_value": statement[one]} for one in (name, USER)
    ]
    parameters, _ = await narrowed(call.parts, call.caller.project, IDENTITIES, {"filters": filters})
    await carried_out(call, collection, ErasureKind.EVENTS, parameters)
    return empty_answer()


async def _said(call: ProjectCall, name: str, other: str, user: str) -> Json:
    """What was said of two ids as they are written. Raises NotFound, InvalidQuery."""
    (other_text, other_quoted), (user_text, user_quoted) = _unquoted(name, other), _unquoted(USER, user)
    found = orjson.loads(
        (
            await _asked_for(
                call, lambda views, runner: one_actor(views, runner, user_text, quoted=user_quoted)
            )
        ).body
    )
    said = [
        one
        for one in found.get("links", ())
        if _spells(one.get(name), other_text, quoted=other_quoted)
        and _spells(one[USER], user_text, quoted=user_quoted)
    ]
    if not said:
        raise NotFound(f"No event says so of '{other_text}' and '{user_text}'.")
    if len({(type(one[name]), type(one[USER])) for one in said}) > 1:
        raise wrong(name, "in quotes where it is a text: a number is linked too", other)
    statement: Json = said[0]
    return statement


def _spells(value: Any, given: str, *, quoted: bool) -> bool:
    if isinstance(value, str):
        return value == given
    return value is not None and not quoted and str(value) == given


def _unquoted(name: str, given: str) -> tuple[str, bool]:
    """The text, and whether it was in quotes."""
    if len(given) > 1 and given[0] == given[-1] == '"':
        return text(name, decode_json(name, given), ID_LENGTH_MAX), True
    return given, False


def _asked(call: ProjectCall, end: str = "") -> tuple[str, bool]:
    """The id in the path, and whether it is in quotes. Raises Forbidden for embed tokens."""
    if call.caller.embed is not None:
        raise Forbidden("Embed tokens are for charts: who has which ids is for keys.")
    return _unquoted("actor_id", collection_before(call.request.scope, end))


def _count(call: ProjectCall, rate: Rate = Rate.QUERIES) -> None:
    """Raises Forbidden for embed tokens, and RateLimited."""
    if call.caller.embed is not None:
        raise Forbidden("Embed tokens are for charts: who has which ids is for keys.")
    count_rate(call.parts.rates, call.request, call.caller, rate)


async def _answer(call: ProjectCall, work: Work) -> Response:
    return json_answer((await _asked_for(call, work)).body)


async def _asked_for(call: ProjectCall, work: Work) -> QueryResponse:
    return await call.parts.query_service.identities(call.caller, work, gone_of(call.request))


def _properties(call: ProjectCall) -> list[str]:
    """The properties with ids of actors. Raises InvalidQuery."""
    pairs = pairs_of(call.request.scope)
    sent = [
        structured("actor_property", value) for name, value in pairs if name == "actor_property" and value
    ]
    listed = [one for value in sent for one in (value if isinstance(value, list) else [value])]
    named = list(dict.fromkeys(text("actor_property", one, ACTOR_LENGTH_MAX) for one in listed))
    preferred = call.parts.query_service.preferences_of(call.caller.project).actor
    if not named and preferred is None:
        raise missing("actor_property")
    if len(named) > _PROPERTIES_MAX:
        raise wrong("actor_property", f"at most {_PROPERTIES_MAX} properties", named)
    return named or [preferred or ""]


async def _places(call: ProjectCall, paths: list[str]) -> list[tuple[Collection, list[str]]]:
    """The collections that may hold events of an actor, each with its properties.

    Those that clients fill come first, then those that pipelines derive, and that of identities last.
    """
    parts, project = call.parts, call.caller.project
    found: list[tuple[Collection, list[str]]] = []
    for collection in await parts.in_thread(parts.catalog.collections.of_project, project.id):
        wanted = (ANONYMOUS, ALIAS, USER) if collection.name == IDENTITIES else paths
        if collection.derived:
            # In a quarantine, properties of rows stand below "row".
            wanted = [*wanted, *(f"row.{path}" for path in paths)]
        own = [path for path in wanted if any(lane.kind in _ID_LANES for lane in collection.schema.at(path))]
        if own:
            found.append((collection, own))
    return sorted(found, key=lambda one: (one[0].name == IDENTITIES, one[0].derived))


async def _erase(call: ProjectCall, collection: Collection, paths: list[str], ids: list[Any]) -> int:
    """Delete the collection's events with any of the ids, and return how many there were."""
    tests = [{"property_name": path, "operator": "in", "property_value": ids} for path in paths]
    filters = tests if len(tests) == 1 else [{"operator": "or", "operands": tests}]
    parameters, _ = await narrowed(call.parts, call.caller.project, collection.name, {"filters": filters})
    return (await carried_out(call, collection, ErasureKind.EVENTS, parameters)).events
