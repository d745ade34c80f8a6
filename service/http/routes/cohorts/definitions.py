"""Cohorts: named sets of actors.

/3.0/projects/P/cohorts[/NAME[/members | /actors]]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from query.errors import InvalidQuery
from query.language.cohorts.finding import cohorts_in
from query.language.cohorts.members import written
from query.language.fields import whole, wrong
from query.language.nodes import ActorCohort
from service.api_paths import PROJECTS
from service.auth.principal import Caller, Permission
from service.cohorts import definition as cohorts
from service.errors import Conflict, Forbidden, InvalidParameter, NotFound
from service.http.authorization import EDITS, needs
from service.http.models.cohorts.definitions import CohortActors, CohortDefinition, MemberChanges, SavedCohort
from service.http.models.shared import Json
from service.http.openapi.operation import DocumentedAnswer, Example, gone, in_query, ok
from service.http.request import (
    check_parameters,
    count_rate,
    empty_answer,
    gone_of,
    json_answer,
    pairs_of,
    parameter,
    segment_of,
    warning_headers,
)
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.limits.rate_limiter import Rate
from storage.catalog.derived import records
from storage.catalog.errors import TooManyMembers

COHORTS = f"{PROJECTS}/{{project_id}}/cohorts"
_ONE = f"{COHORTS}/{{cohort_name}}"
_READ = needs(Permission.QUERIES)
ACTORS_SHOWN = 100
"""Actors that an answer shows, if nothing else is said."""
_OFTEN: Json = {
    "actor_property": "user.id",
    "all": [
        {"event_collection": "purchases", "timeframe": "this_30_days", "at_least": 2},
        {"event_collection": "refunds", "timeframe": "this_30_days", "at_most": 0},
    ],
}
_NEVER: Json = {"actor_property": "user.id", "all": [{"event_collection": "refunds", "at_most": 0}]}
_TESTERS: Json = {"actor_property": "user.id", "actors": ["bob", 7], "display_name": "Testers"}
_NAMED = {"cohort_name": "often"}
_LISTED = {"cohort_name": "testers"}
_EVENTS: Json = {
    "purchases": [{"user": {"id": "ann"}}, {"user": {"id": "ann"}}, {"user": {"id": "bob"}}],
    "refunds": [{"user": {"id": "bob"}}],
}

area = RouteArea(
    "cohorts",
    "Named sets of actors, to filter and to group by in any question.",
    [("POST", f"{PROJECTS}/{{project_id}}/events", _EVENTS)],
)


@area.put(
    _ONE,
    EDITS,
    "Make or replace a cohort",
    {
        200: DocumentedAnswer("It was replaced.", SavedCohort),
        201: DocumentedAnswer("It is new.", SavedCohort),
    },
    examples=(
        Example(_NAMED, body=_OFTEN, status=201),
        Example(_NAMED, body=_OFTEN),
        Example(_LISTED, body=_TESTERS, status=201, summary="A static cohort"),
        Example(_NAMED, body=_NEVER, status=400, summary="Those who never did something"),
        Example(_NAMED, body={"actor_property": "user.id"}, status=400),
        Example(_NAMED, body=_OFTEN, key="read", status=401),
    ),
)
async def put(call: OfProject, sent: CohortDefinition) -> Response:
    """It replaces everything, with the actors that a static cohort lists."""
    shown, created = await call.parts.in_thread(_store, call, sent.sent())
    return json_answer(shown, 201 if created else 200)


def _store(call: ProjectCall, body: Mapping[str, Any]) -> tuple[Json, bool]:
    """Store the cohort. Blocks. Raises InvalidQuery, InvalidParameter."""
    parts, _, caller = call
    name = _name(call)
    cohorts.check_name(name)

    def judge(definition: Mapping[str, Any]) -> ActorCohort:
        return parts.query_service.judge_cohort(caller.project, name, definition)

    read = cohorts.read(body, judge, parts.query_service.limits.cohort_members_max)
    kept, created = parts.catalog.cohorts.put(
        caller.project.id,
        name,
        definition=read.definition,
        actor_property=read.actor_property,
        members=read.members,
    )
    return cohorts.described(kept), created


@area.get(
    COHORTS,
    _READ,
    "All cohorts",
    ok(list[SavedCohort], "By name."),
    examples=(Example(key="read"), Example(key="write", status=403)),
    spends=False,
    name="list_cohorts",
)
async def list_all(call: OfProject) -> Response:
    """A key with filters sees no values of filters, and not how many actors a static cohort lists."""
    _refuse_token(call.caller)
    found = await call.parts.in_thread(call.parts.catalog.cohorts.of_project, call.caller.project.id)
    return json_answer([cohorts.described(one, narrowed=call.caller.is_filtered) for one in found])


@area.get(
    _ONE,
    _READ,
    "The definition of a cohort",
    ok(SavedCohort, "The definition."),
    examples=(Example(_NAMED, key="read"), Example({"cohort_name": "none"}, key="read", status=404)),
    spends=False,
)
async def show(call: OfProject) -> Response:
    _refuse_token(call.caller)
    return json_answer(cohorts.described(await _found(call), narrowed=call.caller.is_filtered))


@area.get(
    f"{_ONE}/actors",
    _READ,
    "How many actors a cohort has, and the first of them",
    ok(CohortActors, "As of now, under the key's filters."),
    parameters=(
        in_query(
            "limit",
            {"type": "integer", "minimum": 0, "default": ACTORS_SHOWN},
            "How many actors are shown; `ACUMEN_COHORT_ACTORS_MAX` at most.",
        ),
    ),
    errors=(504,),
    examples=(
        Example(_NAMED, key="read"),
        Example(_LISTED, {"limit": "1"}, key="read", summary="The first one"),
        Example(_NAMED, {"limit": "-1"}, key="read", status=400),
        Example({"cohort_name": "none"}, key="read", status=404),
    ),
    name="cohort_actors",
)
async def actors(call: OfProject) -> Response:
    """Not for embed tokens. A key with filters may not list a cohort that is static, or names one that is."""
    parts, request, caller = call
    _refuse_token(caller)
    pairs = pairs_of(request.scope)
    check_parameters(pairs, ("limit",), "the actors of a cohort")
    limit = whole("limit", parameter(pairs, "limit") or ACTORS_SHOWN, 0)
    most = parts.query_service.limits.cohort_actors_max
    if limit > most:
        raise wrong("limit", f"an integer from 0 to {most}", limit)
    cohort = await _found(call)
    if caller.is_filtered:
        await parts.in_thread(_refuse_listed, call, cohort)
    count_rate(parts.rates, request, caller, Rate.QUERIES)
    response = await parts.query_service.cohort_actors(caller, cohort.name, limit, gone_of(request))
    return json_answer(response.body, headers=warning_headers(response.warnings))


@area.post(
    f"{_ONE}/members",
    EDITS,
    "Change which actors a static cohort lists",
    ok(SavedCohort, "The cohort as it is now."),
    errors=(409,),
    examples=(
        Example(_LISTED, body={"add": ["ann"], "remove": [7]}),
        Example(_LISTED, body={"add": [None]}, status=400),
        Example(_NAMED, body={"add": ["ann"]}, status=409, summary="No static cohort"),
    ),
    name="change_cohort_members",
)
async def change_members(call: OfProject, sent: MemberChanges) -> Response:
    """First those to `remove` are taken out, then those to `add` are listed."""
    sent.refuse_unknown("a change of members")
    return json_answer(await call.parts.in_thread(_change, call, sent.sent()))


def _change(call: ProjectCall, body: Mapping[str, Any]) -> Json:
    """Blocks. Raises InvalidQuery, InvalidParameter, NotFound, Conflict."""
    parts, _, caller = call
    most = parts.query_service.limits.cohort_members_max
    add, remove = (written(body.get(name) or [], name, most) for name in ("add", "remove"))
    if not (add or remove):
        raise InvalidParameter("A change of members needs 'add' or 'remove', a list of actors each.")
    name = _name(call)
    try:
        changed = parts.catalog.cohorts.change_members(caller.project.id, name, add, remove, most)
    except TooManyMembers as error:
        raise InvalidQuery(
            f"{error} (ACUMEN_COHORT_MEMBERS_MAX). 'add' fewer, or say what the actors of the cohort did.",
            "QueryLimitError",
        ) from None
    if changed is None:
        if parts.catalog.cohorts.find(caller.project.id, name) is None:
            raise NotFound.named("cohort", name)
        raise Conflict(f"The cohort '{name}' lists no actors: it has those who fulfil its conditions.")
    return cohorts.described(changed)


@area.delete(
    _ONE,
    EDITS,
    "Delete a cohort",
    gone(),
    examples=(Example(_LISTED, status=204), Example(_LISTED, status=404)),
)
async def delete(call: OfProject) -> Response:
    """Questions and saved queries that name it are a 400 from then on."""
    name, catalog = _name(call), call.parts.catalog
    if not await call.parts.in_thread(catalog.cohorts.remove, call.caller.project.id, name):
        raise NotFound.named("cohort", name)
    return empty_answer()


def _refuse_listed(call: ProjectCall, cohort: records.StoredCohort) -> None:
    """Raises Forbidden for a cohort whose actors need no event: a key with filters would learn of actors
    outside them. Blocks."""
    parts, _, caller = call
    parsed = parts.query_service.saved_cohort(caller.project, cohort.name)
    if any(one.members is not None for one in cohorts_in(parsed)):
        raise Forbidden(
            "A key with filters cannot list a static cohort, or one that names it: its actors may have no "
            "event that the key sees. It can filter and group by it."
        )


def _refuse_token(caller: Caller) -> None:
    if caller.embed is not None:
        raise Forbidden(
            "Embed tokens are for pages: they cannot read cohorts, only the answers that use them."
        )


async def _found(call: ProjectCall) -> records.StoredCohort:
    """Raises NotFound."""
    name = _name(call)
    found = await call.parts.in_thread(call.parts.catalog.cohorts.find, call.caller.project.id, name)
    if found is None:
        raise NotFound.named("cohort", name)
    return found


def _name(call: ProjectCall) -> str:
    return segment_of(call.request.scope, 5)
