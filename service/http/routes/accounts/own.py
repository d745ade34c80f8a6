"""A person's own account: log-in and log-out, sessions, password and second factor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from service.auth.principal import OF_MASTER_KEY, Caller
from service.errors import Conflict, InvalidParameter, NotFound, WrongLogin
from service.http.authorization import ACCOUNT, VISITOR
from service.http.models import accounts as models
from service.http.models.shared import Json
from service.http.openapi.operation import DocumentedAnswer, Example, gone, ok
from service.http.parts import Parts
from service.http.request import audit_details, empty_answer, json_answer, segment_of
from service.http.routes.accounts.cookies import ended, visit_of, with_session
from service.http.routes.administration.server_state import operates
from service.http.routing import AccountCall, OfAccount, OfAnyone, RouteArea
from service.people.account_mail import Notice
from service.people.accounts import Begun
from service.people.known_sessions import Holder
from service.people.links import checked_address, plain_address
from service.people.second_factor import picture_of
from service.saved_queries.definition import moment_text
from storage.catalog.errors import DuplicatePerson, InvalidName
from storage.catalog.people.records import Session, Standing

SESSIONS = "/account/sessions"
CURRENT = "current"
FACTOR_THERE = "SecondFactorError"
OPEN: dict[str, Any] = {"open": True, "errors": (400, 401, 403, 408, 413, 415, 429, 500, 503)}
"""What is said of a route that takes no key, and that takes a body."""
_LOG_IN = {"email": "{owner_email}", "password": "{owner_password}"}
_SESSION = "session"

area = RouteArea(
    "account",
    "Log in with a password or a key. The session is in a cookie; with `Authorization: session` it stands "
    "for a key at every route of the person's projects.",
)


@area.post(
    SESSIONS,
    VISITOR,
    "Log in",
    {
        201: DocumentedAnswer(
            "The session has begun: its token is in the cookie `acumen_session`, by HTTPS "
            "`__Host-acumen_session`.",
            models.Account,
        )
    },
    examples=(
        Example(body=_LOG_IN, key="", status=201, keep={"other_session": "session.id"}),
        Example(body={"project_id": "{project_id}", "key": "{read_key}"}, key="", status=201),
        Example(body={**_LOG_IN, "password": "another one"}, key="", status=401),
    ),
    **OPEN,
)
async def log_in(call: OfAnyone, given: models.LogIn) -> Response:
    """With `email` and `password`, or with `project_id` and `key`: then the session may do what the key may,
    and ends with it. A 401 with the code `code_required` says that the password is right, and that `code` is
    needed: of the second factor, or a recovery code."""
    given.refuse_unknown("a log-in")
    parts, request = call
    visit = await visit_of(parts, request)
    if given.email is not None and given.password is not None and given.key is None:
        email = plain_address(given.email)
        begun = await parts.accounts.log_in(email, given.password, given.code, visit)
    elif given.project_id is not None and given.key is not None and given.email is None:
        begun = await parts.accounts.log_in_with_key(given.project_id, given.key, visit)
    else:
        raise InvalidParameter("Give 'email' and 'password', or 'project_id' and 'key'.")
    return await begun_answer(call, begun)


async def begun_answer(call: OfAnyone, begun: Begun) -> Response:
    """A 201 with the account and the cookie of a session that has just begun."""
    parts, request = call
    holder = await parts.accounts.known.find(begun.token)
    if holder is None:
        # The person was removed, or the password changed, in this moment.
        raise WrongLogin
    answer = json_answer(await account_json(parts, holder), 201)
    return with_session(answer, parts, request, begun)


@area.get(
    "/account",
    ACCOUNT,
    "Who is logged in",
    ok(models.Account, "The person, what they belong to, and the session."),
    examples=(Example(key="session"), Example(key="", status=401)),
)
async def account(call: OfAccount) -> Response:
    return json_answer(await account_json(call.parts, call.holder))


@area.get(
    SESSIONS,
    ACCOUNT,
    "One's sessions, newest first",
    ok(list[models.ListedSession], "The sessions."),
    examples=(Example(key="session"),),
)
async def list_sessions(call: OfAccount) -> Response:
    current = call.holder.session
    own = [current]
    if current.person_id is not None:
        own = await call.parts.in_thread(call.parts.catalog.sessions.of_person, current.person_id)
    return json_answer([_listed(one, current) for one in own])


@area.delete(
    f"{SESSIONS}/{{session_id}}",
    ACCOUNT,
    "End a session",
    gone("It has ended, on every worker."),
    examples=(
        Example({"session_id": "{other_session}"}, key="session", status=204),
        Example({"session_id": "{other_session}"}, key="session", status=404),
    ),
)
async def end_session(call: OfAccount) -> Response:
    """`current` is the one that asks: to log out."""
    parts, current = call.parts, call.holder.session
    named = segment_of(call.request.scope, 3)
    if named in (CURRENT, current.id):
        await parts.in_thread(parts.catalog.sessions.end, current.id)
        return ended(parts, call.request)
    person_id = current.person_id
    if person_id is None or not await parts.in_thread(parts.catalog.sessions.end, named, person_id):
        raise NotFound.named("session of yours", named)
    return empty_answer()


@area.put(
    "/account",
    ACCOUNT,
    "Change one's name and e-mail address",
    ok(models.Account, "It is changed."),
    errors=(409,),
    examples=(
        Example(
            body={"name": "Ann", "email": "{owner_email}", "password": "{owner_password}"}, key="session"
        ),
        Example(body={"name": "Ann", "email": "{owner_email}", "password": "x"}, key="session", status=401),
        Example(
            body={"name": "Ann", "email": "nobody", "password": "{owner_password}"},
            key="session",
            status=400,
        ),
    ),
)
async def rename(call: OfAccount, given: models.OwnChange) -> Response:
    """With the password. The address is the one to log in with; a 409 says that somebody else has it."""
    given.refuse_unknown("a change of one's account")
    parts, person = call.parts, call.person
    address = checked_address(given.email)
    await _check_password(call, given.password)
    async with parts.accounts.taking_address(person.id, await visit_of(parts, call.request)):
        try:
            await parts.in_thread(parts.catalog.people.rename, person.id, given.name.strip(), address)
        except DuplicatePerson as error:
            raise Conflict(str(error)) from None
        except InvalidName as error:
            raise InvalidParameter(f"'name': {error}") from None
    if address != person.email:
        parts.accounts.notify(Notice.ADDRESS, person.email)
    audit_details(call.request, name=given.name.strip(), email=address)
    standing = await parts.in_thread(parts.catalog.people.standing, person.id)
    return json_answer(await account_json(parts, replace(call.holder, standing=standing)))


@area.put(
    "/account/password",
    ACCOUNT,
    "Change one's password",
    gone("It is changed, and all other sessions have ended."),
    examples=(
        Example(body={"old": "{owner_password}", "new": "{owner_password}"}, key="session", status=204),
        Example(body={"old": "another one", "new": "{owner_password}"}, key="session", status=401),
    ),
)
async def change_password(call: OfAccount, given: models.PasswordChange) -> Response:
    given.refuse_unknown("a change of a password")
    parts = call.parts
    await _check_password(call, given.old)
    password_hash = await parts.accounts.passwords.hashed(given.new)
    changed = await parts.in_thread(
        parts.catalog.people.set_password,
        call.person.id,
        password_hash,
        keep_session=call.holder.session.id,
        proved=call.person.password,
    )
    if not changed:
        raise WrongLogin("The password is wrong: another was set in this moment.")
    parts.accounts.notify(Notice.PASSWORD, call.person.email)
    return empty_answer()


@area.post(
    "/account/two-factor",
    ACCOUNT,
    "Begin a second factor",
    ok(models.FactorOffer, "The secret for an app, also as an address to show as a code."),
    errors=(409,),
    examples=(
        Example(body={"password": "{owner_password}"}, key="session", keep={"secret": "secret"}),
        Example(body={"password": "another one"}, key="session", status=401),
        Example(body={}, key="session", status=400),
    ),
)
async def offer_factor(call: OfAccount, given: models.FactorBegin) -> Response:
    """With the password: a session that somebody left open must not be enough to lock its person out. It
    counts once it is confirmed with a code. Who has one already ends it first."""
    given.refuse_unknown("the beginning of a second factor")
    if not call.person.password:
        raise Conflict(
            "You have no password: a second factor is for your provider to ask for.", code=FACTOR_THERE
        )
    if call.person.factor is not None:
        raise Conflict("You have a second factor: end it first.", code=FACTOR_THERE)
    await _check_password(call, given.password)
    secret, uri = await call.parts.in_thread(call.parts.accounts.factors.offer, call.person)
    return json_answer({"secret": secret, "uri": uri, "picture": await call.parts.in_thread(picture_of, uri)})


@area.put(
    "/account/two-factor",
    ACCOUNT,
    "Confirm a second factor",
    ok(models.RecoveryCodes, "Codes for when the app is lost, each for once. They are shown now only."),
    examples=(
        Example(body={"code": "{factor_code}"}, key="session"),
        Example(body={"code": "123"}, key="session", status=401),
    ),
)
async def confirm_factor(call: OfAccount, given: models.FactorConfirmation) -> Response:
    given.refuse_unknown("a confirmation")
    accounts = call.parts.accounts
    async with accounts.attempt(accounts.attempts_at(call.person)):
        codes = await call.parts.in_thread(accounts.factors.confirm, call.person, given.code)
        if codes is None:
            if call.person.factor_offered is None:
                raise WrongLogin("No second factor was begun. Turn it on again, and scan the new picture.")
            raise WrongLogin(
                "The code is wrong. Enter the six digits that the app shows now for this server, and check "
                "that the clock of your phone is right."
            )
    return json_answer({"recovery_codes": codes})


@area.delete(
    "/account/two-factor",
    ACCOUNT,
    "End the second factor",
    gone("The password is enough from now on."),
    examples=(
        Example(body={"password": "{owner_password}"}, key="session", status=204),
        Example(body={"password": "another one"}, key="session", status=401),
    ),
)
async def end_factor(call: OfAccount, given: models.FactorEnd) -> Response:
    given.refuse_unknown("the end of a second factor")
    await _check_password(call, given.password)
    await call.parts.in_thread(call.parts.catalog.people.drop_factor, call.person.id)
    if call.person.factor is not None:
        call.parts.accounts.notify(Notice.FACTOR_ENDED, call.person.email)
    return empty_answer()


async def _check_password(call: AccountCall, password: str) -> None:
    visit = await visit_of(call.parts, call.request)
    await call.parts.accounts.check_password(call.person, password, visit)


async def account_json(parts: Parts, holder: Holder) -> Json:
    """The holder of a session as ``models.accounts.Account`` describes it."""
    if holder.standing is None:
        organisations, projects, person = [], await _project_of_key(parts, holder), None
    else:
        organisations = await _organisations(parts, holder.standing)
        projects = await _projects(parts, holder, holder.standing)
        own = holder.standing.person
        person = {
            "id": own.id,
            "email": own.email,
            "name": own.name,
            "two_factor": own.factor is not None,
            "password": bool(own.password),
        }
    session = {"id": holder.session.id, "expires_at": moment_text(holder.session.expires_us)}
    return {
        "person": person,
        "organisations": organisations,
        "projects": projects,
        "session": session,
        "operates": await operates(parts, holder),
    }


async def _organisations(parts: Parts, standing: Standing) -> list[Json]:
    listed = []
    for organisation_id, owned in standing.organisations.items():
        organisation = await parts.tenants.organisation_named(organisation_id)
        if organisation is not None:
            listed.append({"id": organisation.id, "name": organisation.name, "owner": owned})
    return listed


async def _projects(parts: Parts, holder: Holder, standing: Standing) -> list[Json]:
    listed = []
    for project in await parts.tenants.projects_of(standing.organisations):
        if standing.role_in(project.id, project.organisation_id) is not None:
            caller = await parts.accounts.caller(holder, project.id)
            listed.append(_project(caller, str(caller.role)))
    return listed


async def _project_of_key(parts: Parts, holder: Holder) -> list[Json]:
    assert holder.session.project_id is not None
    caller = await parts.accounts.caller(holder, holder.session.project_id)
    return [_project(caller, "owner" if caller.permissions >= OF_MASTER_KEY else "key")]


def _project(caller: Caller, role: str) -> Json:
    project = caller.project
    return {
        "id": project.id,
        "name": project.name,
        "role": role,
        "organisation_id": project.organisation_id,
        "permissions": sorted(caller.permissions),
    }


def _listed(session: Session, current: Session) -> Json:
    return {
        "id": session.id,
        "created_at": moment_text(session.created_us),
        "expires_at": moment_text(session.expires_us),
        "device": session.device,
        "current": session.id == current.id,
    }
