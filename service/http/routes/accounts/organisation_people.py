"""The people of an organisation, managed by its owners: invitations, roles, and who did what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from service.errors import Conflict, InvalidParameter, NotFound
from service.http.authorization import OWNER
from service.http.models import accounts as models
from service.http.models.shared import Json, RowId
from service.http.openapi.operation import DocumentedAnswer, Example, gone, ok
from service.http.request import audit_details, empty_answer, json_answer, segment_of
from service.http.routes.extractions import base_url
from service.http.routing import AccountCall, OfAccount, RouteArea
from service.people.links import checked_address, join_path, make_invitation
from service.saved_queries.definition import moment_text
from storage.catalog.errors import LastOwner, UnknownPerson
from storage.catalog.people.records import AuditEntry, Invitation, Member, Role

_ORGANISATION = "/account/organisations/{organization_id}"
_INVITATIONS = f"{_ORGANISATION}/invitations"
_PEOPLE = f"{_ORGANISATION}/people"
_PERSON = f"{_PEOPLE}/{{person_id}}"
AUDIT_PAGE_MAX = 1_000
ActorKind = Literal["person", "key", "shell"]
OF_KIND = "Only entries of people, keys or the shell."
OF_ACTOR = "Only entries of who has this id, or this name, which of people is their address."
LAST_OWNER = "LastOwnerError"
_ME = {"person_id": "{owner_id}"}
_OTHER = {"person_id": "{member_id}"}

area = RouteArea("people", "The people of an organisation, for its owners.")


@area.post(
    _INVITATIONS,
    OWNER,
    "Invite somebody",
    {201: DocumentedAnswer("The invitation, with its link.", models.NewInvitation)},
    examples=(
        Example(
            body={"email": "ben-{project_id}@example.com", "roles": {"{project_id}": "editor"}},
            key="session",
            status=201,
            keep={"made_invitation": "id"},
        ),
        Example(body={"roles": {"none": "viewer"}}, key="session", status=400),
        Example(body={}, key="master", status=401),
    ),
)
async def invite(call: OfAccount, given: models.InvitationDefinition) -> Response:
    """Whoever has the link may accept it, once, within seven days; with `email` it makes only a person of
    that address. `owner`: of the organisation, and of all its projects."""
    given.refuse_unknown("an invitation")
    parts = call.parts
    roles = await _checked(call, given.roles)
    invitation, token = await parts.in_thread(
        make_invitation,
        parts.catalog,
        _organisation(call),
        parts.clock(),
        email=None if given.email is None else checked_address(given.email),
        roles=roles,
        is_owner=given.owner,
        invited_by=call.person.id,
    )
    audit_details(
        call.request,
        invitation=invitation.id,
        email=invitation.email,
        roles=dict(invitation.roles),
        owner=invitation.is_owner,
    )
    link = base_url(parts, call.request) + join_path(token)
    shown = {"id": invitation.id, "link": link, "expires_at": moment_text(invitation.expires_us)}
    return json_answer(shown, 201)


@area.get(
    _INVITATIONS,
    OWNER,
    "Invitations that can be accepted, newest first",
    ok(list[models.OpenInvitation], "The invitations, without their links."),
    examples=(Example(key="session"),),
)
async def list_invitations(call: OfAccount) -> Response:
    listed = await call.parts.in_thread(call.parts.catalog.invitations.of_organisation, _organisation(call))
    return json_answer([_invitation(one) for one in listed])


@area.delete(
    f"{_INVITATIONS}/{{invitation_id}}",
    OWNER,
    "Withdraw an invitation",
    gone("Its link is void."),
    examples=(
        Example({"invitation_id": "{made_invitation}"}, key="session", status=204),
        Example({"invitation_id": "{made_invitation}"}, key="session", status=404),
    ),
)
async def withdraw(call: OfAccount) -> Response:
    named = segment_of(call.request.scope, 5)
    parts = call.parts
    if not await parts.in_thread(parts.catalog.invitations.withdraw, _organisation(call), named):
        raise NotFound.named("invitation", named)
    return empty_answer()


@area.get(
    _PEOPLE,
    OWNER,
    "The people of the organisation, oldest first",
    ok(list[models.OrganisationMember], "The people."),
    examples=(Example(key="session"),),
)
async def list_people(call: OfAccount) -> Response:
    members = await call.parts.in_thread(call.parts.catalog.people.of_organisation, _organisation(call))
    return json_answer([_member(one) for one in members])


@area.put(
    _PERSON,
    OWNER,
    "Change what a person may do",
    gone("It is changed, on every worker."),
    errors=(409,),
    examples=(
        Example(
            _OTHER,
            body={"roles": {"{project_id}": "viewer"}, "owner": False},
            key="session",
            status=204,
        ),
        Example({"person_id": "none"}, body={"roles": {}, "owner": False}, key="session", status=404),
    ),
)
async def place(call: OfAccount, given: models.PlaceDefinition) -> Response:
    """Replaces all roles in the organisation's projects. The last owner stays one: a 409 otherwise."""
    given.refuse_unknown("a person's place")
    roles = await _checked(call, given.roles)
    audit_details(call.request, roles=dict(roles), owner=given.owner)
    people, named = call.parts.catalog.people, segment_of(call.request.scope, 5)
    with _changing(named):
        await call.parts.in_thread(
            people.place, _organisation(call), named, is_owner=given.owner, given=roles
        )
    return empty_answer()


@area.delete(
    _PERSON,
    OWNER,
    "Remove a person from the organisation",
    gone("They have no role there any more; who belongs to no other organisation is removed."),
    errors=(409,),
    examples=(
        Example(_OTHER, key="session", status=204),
        Example(_OTHER, key="session", status=404),
    ),
)
async def remove(call: OfAccount) -> Response:
    people, named = call.parts.catalog.people, segment_of(call.request.scope, 5)
    with _changing(named):
        await call.parts.in_thread(people.leave, _organisation(call), named)
    return empty_answer()


@area.get(
    f"{_ORGANISATION}/audit",
    OWNER,
    "Who did what, newest first",
    ok(list[models.AuditedAction], "The actions."),
    examples=(Example(query={"limit": "10"}, key="session"),),
)
async def audit(
    call: OfAccount,
    before: Annotated[RowId | None, Query(description="Only entries with ids below this.")] = None,
    limit: Annotated[int, Query(ge=1, le=AUDIT_PAGE_MAX, description="Entries at most.")] = 100,
    project_id: Annotated[str | None, Query(description="Only entries about this project.")] = None,
    kind: Annotated[ActorKind | None, Query(description=OF_KIND)] = None,
    actor: Annotated[str | None, Query(description=OF_ACTOR)] = None,
) -> Response:
    page = await call.parts.in_thread(
        call.parts.catalog.audit.page,
        _organisation(call),
        before=before,
        limit=limit,
        project_id=project_id,
        kind=kind,
        actor=actor,
    )
    return json_answer([audited(entry) for entry in page])


@contextmanager
def _changing(named: str) -> Iterator[None]:
    """A context in which a person's place is changed. Raises NotFound, Conflict."""
    try:
        yield
    except UnknownPerson:
        raise NotFound.named("person of this organization", named) from None
    except LastOwner as error:
        raise Conflict(str(error), code=LAST_OWNER) from None


def _organisation(call: AccountCall) -> str:
    assert call.organisation_id is not None
    return call.organisation_id


async def _checked(call: AccountCall, given: Mapping[str, models.RoleName]) -> dict[str, Role]:
    """The roles, all in projects of the organisation. Raises InvalidParameter."""
    own = {project.id for project in await call.parts.tenants.projects_of([_organisation(call)])}
    unknown = next((one for one in given if one not in own), None)
    if unknown is not None:
        raise InvalidParameter(f"'roles': the organization has no project '{unknown[:100]}'.")
    return {project_id: Role(role) for project_id, role in given.items()}


def _invitation(one: Invitation) -> Json:
    return {
        "id": one.id,
        "email": one.email,
        "roles": dict(one.roles),
        "owner": one.is_owner,
        "created_at": moment_text(one.created_us),
        "expires_at": moment_text(one.expires_us),
        "invited_by": one.invited_by,
    }


def _member(one: Member) -> Json:
    person = one.person
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "two_factor": person.factor is not None,
        "owner": one.is_owner,
        "roles": dict(one.roles),
        "created_at": moment_text(person.created_us),
    }


def audited(entry: AuditEntry) -> Json:
    """The entry as ``models.accounts.AuditedAction`` describes it."""
    shown: Json = {
        "id": entry.id,
        "at": moment_text(entry.at_us),
        "actor": {"kind": entry.actor_kind, "id": entry.actor_id, "name": entry.actor_name},
        "action": entry.action,
        "object": entry.object,
        "details": dict(entry.details),
    }
    return shown if entry.project_id is None else {**shown, "project_id": entry.project_id}
