"""One-time links: to join an organisation, and to set a password."""

from __future__ import annotations

from starlette.responses import Response

from service.errors import Gone
from service.http.authorization import VISITOR
from service.http.models import accounts as models
from service.http.models.shared import Json
from service.http.openapi.operation import DocumentedAnswer, Example, gone, ok
from service.http.parts import Parts
from service.http.request import empty_answer, json_answer
from service.http.routes.accounts.cookies import visit_of
from service.http.routes.accounts.own import OPEN, account_json, begun_answer
from service.http.routing import OfAnyone, RouteArea
from service.people import links
from service.people.links import plain_address
from service.saved_queries.definition import moment_text
from storage.catalog.people.records import Invitation

_GONE = {**OPEN, "errors": (*OPEN["errors"], 409, 410)}
_TOKEN = {"token": "{invitation_token}"}
_JOIN = {
    **_TOKEN,
    "email": "new-{project_id}@example.com",
    "name": "Ann",
    "password": "correct horse battery",
}

area = RouteArea("joining", "One-time links: `/join#TOKEN` and `/reset#TOKEN`.")


@area.post(
    "/account/join/check",
    VISITOR,
    "What an invitation gives",
    ok(models.JoinOffer, "The invitation; it is not used up."),
    examples=(Example(body=_TOKEN, key=""), Example(body={"token": "x"}, key="", status=410)),
    **_GONE,
)
async def check(call: OfAnyone, given: models.JoinCheck) -> Response:
    given.refuse_unknown("a token")
    invitation = await links.invitation_of(call.parts.accounts, given.token)
    return json_answer(await _offer(call.parts, invitation))


@area.post(
    "/account/join",
    VISITOR,
    "Accept an invitation",
    {
        200: DocumentedAnswer("Who was logged in has what the invitation gives.", models.Account),
        201: DocumentedAnswer("There is a new person, who is logged in.", models.Account),
    },
    examples=(
        Example(body=_JOIN, key="", status=201),
        Example(body=_JOIN, key="", status=410),
    ),
    **_GONE,
)
async def join(call: OfAnyone, given: models.Join) -> Response:
    """Makes a person with `name`, `password` and `email`, which may be left out where the invitation has one.
    Who is logged in accepts it for themselves, with the token alone."""
    given.refuse_unknown("an acceptance")
    parts, request = call
    visit = await visit_of(parts, request)
    begun = await links.join(
        parts.accounts, given.token, visit, email=given.email, name=given.name, password=given.password
    )
    if begun is not None:
        return await begun_answer(call, begun)
    holder = (await visit_of(parts, request)).session
    if holder is None:
        raise Gone("The session has ended in this moment. Log in again.")
    return json_answer(await account_json(parts, holder))


@area.post(
    "/account/password/forgotten",
    VISITOR,
    "Have a link mailed that sets a password",
    {
        202: DocumentedAnswer(
            "If there is such a person, and the server can send mail, the mail is on its way."
        )
    },
    examples=(Example(body={"email": "{owner_email}"}, key="", status=202),),
    **OPEN,
)
async def forgotten(call: OfAnyone, given: models.PasswordForgotten) -> Response:
    given.refuse_unknown("an address")
    parts, request = call
    visit = await visit_of(parts, request)
    parts.accounts.forgotten(plain_address(given.email), visit)
    return Response(status_code=202)


@area.post(
    "/account/password/reset",
    VISITOR,
    "Set a password with a link",
    gone("It is set, and all sessions have ended: log in."),
    examples=(
        Example(body={"token": "{password_token}", "new": "another good password"}, key="", status=204),
        Example(body={"token": "{password_token}", "new": "another good password"}, key="", status=410),
    ),
    **_GONE,
)
async def reset(call: OfAnyone, given: models.PasswordReset) -> Response:
    given.refuse_unknown("a new password")
    parts, request = call
    await links.set_password(parts.accounts, given.token, given.new, await visit_of(parts, request))
    return empty_answer()


async def _offer(parts: Parts, invitation: Invitation) -> Json:
    organisation = await parts.tenants.organisation_named(invitation.organisation_id)
    if organisation is None:
        raise Gone(links.USED)
    projects = [
        {"id": project.id, "name": project.name, "role": "owner" if invitation.is_owner else given}
        for project in await parts.tenants.projects_of([organisation.id])
        if (given := invitation.roles.get(project.id)) is not None or invitation.is_owner
    ]
    return {
        "organisation": {"id": organisation.id, "name": organisation.name, "owner": invitation.is_owner},
        "projects": projects,
        "email": invitation.email,
        "expires_at": moment_text(invitation.expires_us),
    }
