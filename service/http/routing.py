"""FastAPI routes, with the steps that Acumen takes before FastAPI sees a request.

The order is: the route's rule admits the caller; the body is read within limits and decoded; FastAPI checks
it against the types of the handler's signature; the handler answers. FastAPI itself would read the body
before it resolves any dependency, so admission is no dependency. Every failure becomes an error in the API's
one shape.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.auth.given_keys import given_keys
from service.auth.principal import Caller, Permission, key_id
from service.errors import AdminOnly, Forbidden, InvalidParameter, NotFound, ServiceUnavailable, TimedOut
from service.http.authorization import (
    SESSION,
    Realm,
    Rule,
    admit_session,
    check_owner,
    check_page,
    check_same,
    session_of,
)
from service.http.browser_pages import answer_for_frame
from service.http.error_rendering import render
from service.http.models.faults import fault_of
from service.http.models.shared import RequestBody
from service.http.openapi.operation import DocumentedAnswer, Endpoint, Method, Operation
from service.http.parts import Parts
from service.http.request import (
    audited_action,
    audited_details,
    callback_of,
    check_names,
    decoded,
    error_answer,
    opened,
    pairs_of,
    raw_path,
    request_key,
    segment_of,
)
from service.people.audit import Actor, actor_of
from service.people.known_sessions import Holder
from storage.catalog.keyring import public_id
from storage.catalog.people.records import Person, Standing
from storage.catalog.tenants.records import Organisation

SLOW_SECONDS = 0.3
"""After a longer time the key is checked again, before a body counts and before an answer: it may have been
revoked."""
_OF_CHANGES = frozenset({Permission.MASTER, Permission.EDITS})
"""Permissions of routes that have changed something by the time of their answer."""
_ADDRESSES = frozenset({"project_id", "organization_id"})
"""Names in paths that say whose it is, and not what was changed."""
_OF_EVENTS = frozenset({"event_collection", "property_name", "rest", "actor_id"})
"""Names in paths that clients chose for their events. The catalog forgets them when the events go, so the
audit log has those alone that a route adds: of deletions, which nobody could account for otherwise."""
_CALL = "acumen.call"
"""Key in a request's scope: the call passed to the handler."""
Answers = Mapping[int, DocumentedAnswer]
Decorator = Callable[[Endpoint], Endpoint]


class Call(NamedTuple):
    """A request to a route that any caller may use."""

    parts: Parts
    request: Request


class ProjectCall(NamedTuple):
    """A request to a route of a project, from a caller with the right to make it."""

    parts: Parts
    request: Request
    caller: Caller


class OrganisationCall(NamedTuple):
    """A request for the organisation that the path names: with its key, or by an owner with a session, who
    is the ``holder`` then."""

    parts: Parts
    request: Request
    organisation: Organisation
    holder: Holder | None = None


class AccountCall(NamedTuple):
    """A request with a session. ``organisation_id``: that of an organisation which its person owns."""

    parts: Parts
    request: Request
    holder: Holder
    organisation_id: str | None = None

    @property
    def person(self) -> Person:
        """Raises Forbidden for the session of a key."""
        return self.standing.person

    @property
    def standing(self) -> Standing:
        """Raises Forbidden for the session of a key."""
        if self.holder.standing is None:
            raise Forbidden("This session began with a key, and belongs to no person.")
        return self.holder.standing


AnyCall = Call | ProjectCall | OrganisationCall | AccountCall
Answering = Callable[[Any], Awaitable[Response]]
"""What answers a call of the route's kind."""


async def _call_of(request: Request) -> Any:
    return request.scope[_CALL]


OfAnyone = Annotated[Call, Depends(_call_of)]
OfProject = Annotated[ProjectCall, Depends(_call_of)]
OfOrganisation = Annotated[OrganisationCall, Depends(_call_of)]
OfAccount = Annotated[AccountCall, Depends(_call_of)]
"""Types of the parameter through which a handler gets its call."""


class RuledRoute(APIRoute):
    """A route that admits callers by its rule alone.

    ``before`` is called once the caller is admitted and before the body is read; it may raise. ``scripted``:
    a GET that names a callback gets its errors through that too. ``admin_hint`` is appended to the refusal
    where the master key is needed. ``narrows``: the handler of a DELETE checks the parameters; without it any
    parameter of a DELETE is refused. ``spends``: its answers count against the budgets of embed tokens.
    ``framed``: what is shown in a frame, such as a chart; browsers get errors as pages then. ``audited``:
    whether the audit log tells of it; by default if its method and rule are those of a change.
    """

    def __init__(
        self,
        path: str,
        endpoint: Endpoint,
        rule: Rule,
        methods: Iterable[str],
        *,
        before: Callable[[Any], None] | None = None,
        scripted: bool = False,
        admin_hint: str = "",
        narrows: bool = False,
        spends: bool = True,
        framed: str = "",
        audited: bool | None = None,
    ) -> None:
        self.rule = rule
        self.summaries: Mapping[str, str] = {}
        """Method → what it does, in the words of the document and of the audit log."""
        self._framed = framed
        self._audited = audited
        self._spends = spends
        self._before = before
        self._scripted = scripted
        self._admin_hint = admin_hint
        self._narrows = narrows
        self._slashes = path.count("/")
        super().__init__(
            path,
            endpoint,
            methods=list(methods),
            response_model=None,
            response_class=Response,
            # ``_Read`` removes the content type; such a body must still count as JSON.
            strict_content_type=False,
        )
        if self.is_direct:
            # FastAPI's own wrappers set up exit stacks and catch exceptions, of which there are none here.
            self.app = _answering(self.get_route_handler())
        else:
            self.app = AsyncExitStackMiddleware(self.app)

    # Starlette's method: FastAPI's also searches included routers, of which there are none.
    matches = Route.matches

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in (self.methods or ()):
            await self.app(scope, receive, send)
        else:
            # Other routes of the path may take it: the router has tried them all.
            await scope["app"].router.default(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Any]:
        # A handler that takes nothing but its call is asked as it is.
        answering = self.endpoint if self.is_direct else self._validated(super().get_route_handler())

        async def handle(request: Request) -> Response:
            callback = script_callback(request) if self._scripted else None
            try:
                return await self._answered(request, answering)
            except AdminOnly as error:
                refusal = AdminOnly(f"{error.message} {self._admin_hint}".rstrip())
                return error_answer(render(refusal), callback)
            except Exception as error:
                rendered = render(error)
                page = answer_for_frame(rendered, self._framed, request) if self._framed else None
                return page or error_answer(rendered, callback)

        return handle

    async def _answered(self, request: Request, answering: Answering) -> Response:
        """The handler's answer. Raises any exception that ``render`` turns into an answer."""
        if raw_path(request.scope).count(b"/") < self._slashes:
            # Routes match the decoded path, but a slash that is part of a name is no separator.
            raise NotFound
        call = await self._admitted(request)
        if request.method not in ("GET", "HEAD"):
            request = Request(request.scope, self._rechecking(call))
            call = call._replace(request=request)
        request.scope[_CALL] = call
        if self._before is not None:
            self._before(call)
        if request.method == "DELETE" and not self._narrows:
            check_names((name for name, _ in pairs_of(request.scope)), (), "this deletion")
        if not self._is_audited(request):
            return await self._answer_of(call, request, answering)
        try:
            response = await self._answer_of(call, request, answering)
        except TimedOut:
            # The work has begun, and goes on.
            await _note(call, request, self._summary(request))
            raise
        if response.status_code < 400:
            await _note(call, request, self._summary(request))
        return response

    def _summary(self, request: Request) -> str:
        return self.summaries["GET" if request.method == "HEAD" else request.method]

    def _is_audited(self, request: Request) -> bool:
        """Whether the audit log tells of the request: it changes what is managed, or the route says so."""
        if self._audited is not None:
            return self._audited
        if request.method in ("GET", "HEAD"):
            return False
        if self.rule.realm is Realm.PROJECT:
            return bool(self.rule.permissions & _OF_CHANGES)
        return self.rule.realm in (Realm.ORGANISATION, Realm.ACCOUNT, Realm.OWNER)

    async def _answer_of(self, call: AnyCall, request: Request, answering: Answering) -> Response:
        if not isinstance(call, ProjectCall):
            return await answering(call)
        with _spending(call, spends=self._spends) as spending:
            began = time.monotonic()
            spending.response = await answering(call)
            if time.monotonic() - began > SLOW_SECONDS and not self.rule.permissions & _OF_CHANGES:
                # Whether the body or the query was slow: the key may have been revoked or changed since.
                check_same(call.caller, await self.rule.admit(call.parts, request))
            return spending.response

    def _rechecking(self, call: AnyCall) -> Receive:
        """The request's ``receive``, which admits the caller again at the end of a body that took long: their
        right may have ended meanwhile, and who sends the last byte of what they began before must change
        nothing. Raises ApiError then."""
        receive, began = call.request.receive, time.monotonic()

        async def receive_rechecked() -> Message:
            message = await receive()
            ends = message["type"] == "http.request" and not message.get("more_body", False)
            if ends and time.monotonic() - began > SLOW_SECONDS:
                _check_unchanged(call, await self._admitted(call.request))
            return message

        return receive_rechecked

    async def _admitted(self, request: Request) -> AnyCall:
        """The call, once the caller is admitted. Raises ApiError."""
        parts: Parts = request.scope["app"].parts
        realm = self.rule.realm
        if realm is Realm.PROJECT:
            return ProjectCall(parts, request, await self.rule.admit(parts, request))
        if realm is Realm.ORGANISATION:
            return await _for_organisation(parts, request)
        if realm in (Realm.ACCOUNT, Realm.OWNER):
            holder = await admit_session(parts, request)
            owned = segment_of(request.scope, 3) if realm is Realm.OWNER else None
            if owned is not None:
                await check_owner(parts, holder, owned)
            return AccountCall(parts, request, holder, owned)
        if realm is Realm.VISITOR:
            check_page(parts, request)
        if realm is not Realm.OWN:
            # Two keys of one kind are an error even where no key is required.
            given_keys(request.scope)
        return Call(parts, request)

    @property
    def is_direct(self) -> bool:
        """Whether the call is the handler's only parameter, so that FastAPI has nothing to check."""
        needs = self.dependant
        typed = needs.path_params or needs.query_params or needs.header_params or needs.cookie_params
        only_call = [one.call for one in needs.dependencies] == [_call_of]
        return only_call and not typed and self.body_field is None

    def _validated(self, handler: Callable[[Request], Awaitable[Response]]) -> Answering:
        """The handler behind FastAPI's checks. Raises BodyError, InvalidJSON, InvalidQuery."""
        body_field = self.body_field

        async def answer(call: AnyCall) -> Response:
            parts, request, *_ = call
            try:
                if body_field is None:
                    return await handler(_Read(request))
                async with opened(parts.bodies, request, parts.settings.query_bytes_max) as body:
                    return await handler(_Read(request, await decoded(parts.bodies, body)))
            except RequestValidationError as error:
                model: Any = RequestBody if body_field is None else body_field.field_info.annotation
                raise fault_of(error.errors(), model) from None

        return answer


def _answering(handle: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """The ASGI application of a handler that raises nothing."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


def _check_unchanged(before: AnyCall, now: AnyCall) -> None:
    """Raises ServiceUnavailable where the rights of the caller, or their account, have changed."""
    if isinstance(before, ProjectCall) and isinstance(now, ProjectCall):
        check_same(before.caller, now.caller)
    elif isinstance(before, OrganisationCall | AccountCall) and before.holder != getattr(now, "holder", None):
        raise ServiceUnavailable("The account was changed while the request was read. Send it again.")


async def _for_organisation(parts: Parts, request: Request) -> OrganisationCall:
    """The call with the organisation's key, or by one of its owners. Raises ApiError."""
    organisation_id = segment_of(request.scope, 3)
    if given_keys(request.scope)[0] != SESSION:
        organisation = await parts.tenants.organisation_of(organisation_id, request_key(request))
        return OrganisationCall(parts, request, organisation)
    holder = await admit_session(parts, request)
    await check_owner(parts, holder, organisation_id)
    owned = await parts.tenants.organisation_named(organisation_id)
    if owned is None:
        raise NotFound.named("organization", organisation_id)
    return OrganisationCall(parts, request, owned, holder)


async def who_calls(call: ProjectCall) -> Actor:
    """Who makes a call that changes something: a person, or a key that may."""
    if call.caller.role is not None:
        holder = await session_of(call.parts, call.request)
        if holder is not None and holder.standing is not None:
            return actor_of(holder.standing.person)
    name = "master key" if Permission.MASTER in call.caller.permissions else "a key that records events"
    return Actor("key", call.caller.key_id, name)


async def _note(call: AnyCall, request: Request, action: str) -> None:
    """Enter what a request has changed in the audit log of the organisations that it is about."""
    actor = Actor("key", "", "")
    organisation_ids: list[str] = []
    project_id: str | None = None
    named = {
        name: value for name, value in request.path_params.items() if name not in _ADDRESSES | _OF_EVENTS
    }
    if isinstance(call, ProjectCall):
        project = call.caller.project
        organisation_ids, project_id = [project.organisation_id], project.id
        actor = await who_calls(call)
    elif isinstance(call, OrganisationCall):
        organisation_ids, project_id = [call.organisation.id], named.pop("own_project", None)
        actor = Actor("key", key_id(call.organisation.key), "organisation key")
        if call.holder is not None and call.holder.standing is not None:
            actor = actor_of(call.holder.standing.person)
    elif isinstance(call, AccountCall):
        standing = call.holder.standing
        if standing is None:
            # The session of a key, which belongs to no organisation, has ended itself.
            return
        actor = actor_of(standing.person)
        organisation_ids = (
            list(standing.organisations) if call.organisation_id is None else [call.organisation_id]
        )
    if "access_key" in named:
        named["access_key"] = public_id(str(named["access_key"]))
    await call.parts.accounts.audit.note(
        actor,
        audited_action(request, action),
        organisation_ids,
        object="/".join(map(str, named.values())),
        project_id=project_id,
        details=audited_details(request),
    )


class RouteOfName(RuledRoute):
    """A route whose path ends in a fixed name behind a parameter that may have slashes.

    It is the route's only with a raw slash before that name: an encoded one is part of the parameter.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        name = self.path.rpartition("/")[2]
        if not raw_path(scope).endswith(f"/{name}".encode()):
            return Match.NONE, {}
        return Route.matches(self, scope)


class _Read(Request):
    """A request whose body is already decoded as JSON, whatever its content type.

    Of a parameter that is repeated, the last non-empty value counts.
    """

    def __init__(self, request: Request, value: Any = None) -> None:
        headers = [field for field in request.scope["headers"] if field[0] != b"content-type"]
        super().__init__({**request.scope, "headers": headers}, request.receive)
        self._value = value

    async def body(self) -> bytes:
        """A placeholder: FastAPI only checks that the body is not empty."""
        return b"JSON"

    async def json(self) -> Any:
        return self._value

    @property
    def query_params(self) -> QueryParams:
        return QueryParams([(name, value) for name, value in pairs_of(self.scope) if value])


class RouteArea:
    """The routes of one part of the API, in the order in which they are tried, and their descriptions.

    ``tag`` is unique. ``given``: requests sent with the master key before the examples: method, path, body.
    """

    def __init__(self, tag: str, about: str, given: Sequence[tuple[str, str, Any]] = ()) -> None:
        self.tag = tag
        self.about = about
        self.given = given
        self.routes: list[RuledRoute] = []
        self.described: list[tuple[Operation, Endpoint]] = []

    @property
    def operations(self) -> list[Operation]:
        return [operation for operation, _ in self.described]

    def serve(self, path: str, rule: Rule, *operations: Operation, **how: Any) -> Decorator:
        """Decorator that registers the handler of a path for the methods of these operations."""

        def register(endpoint: Endpoint) -> Endpoint:
            methods = dict.fromkeys(one.method.upper() for one in operations)
            if "GET" in methods:
                methods["HEAD"] = None
            kind = RouteOfName if ":path}/" in path else RuledRoute
            route = kind(path, endpoint, rule, methods, **how)
            # The first operation of a method is the one that names them all.
            route.summaries = {one.method.upper(): one.summary for one in reversed(operations)}
            self.routes.append(route)
            self.described += [(one, endpoint) for one in operations]
            return endpoint

        return register

    def describe(self, *operations: Operation) -> None:
        """Add operations to the document alone: they are answered before any route is tried."""
        self.described += [(one, _answered_in_front) for one in operations]

    def get(self, path: str, rule: Rule, summary: str, answers: Answers, **more: Any) -> Decorator:
        return self._one("get", path, rule, summary, answers, more)

    def post(self, path: str, rule: Rule, summary: str, answers: Answers, **more: Any) -> Decorator:
        return self._one("post", path, rule, summary, answers, more)

    def put(self, path: str, rule: Rule, summary: str, answers: Answers, **more: Any) -> Decorator:
        return self._one("put", path, rule, summary, answers, more)

    def delete(self, path: str, rule: Rule, summary: str, answers: Answers, **more: Any) -> Decorator:
        return self._one("delete", path, rule, summary, answers, more)

    def _one(
        self, method: Method, path: str, rule: Rule, summary: str, answers: Answers, more: dict[str, Any]
    ) -> Decorator:
        """Register a path with one method, and describe it under the same path."""
        how = {name: more.pop(name) for name in _SERVING & more.keys()}
        shown = path.replace(":path}", "}")
        operation = Operation(method=method, path=shown, summary=summary, answers=answers, **more)
        return self.serve(path, rule, operation, **how)


async def _answered_in_front() -> None:
    raise NotFound


_SERVING = {"before", "scripted", "admin_hint", "narrows", "spends", "framed", "audited"}


class _Spending:
    """What became of a request that counts against budgets."""

    response: Response | None = None


@contextmanager
def _spending(call: ProjectCall, *, spends: bool) -> Iterator[_Spending]:
    """Count an answer against the budgets of the call's embed token, unless it turns out to be an error.

    Raises BudgetUsedUp.
    """
    spending, grant, budgets = _Spending(), call.caller.embed, call.parts.budgets
    if grant is None or not grant.budgets or not spends:
        yield spending
        return
    budgets.spend(grant.key_public_id, grant.budgets)
    try:
        yield spending
    except BaseException:
        budgets.give_back(grant.key_public_id, grant.budgets)
        raise
    if spending.response is not None and spending.response.status_code >= 400:
        budgets.give_back(grant.key_public_id, grant.budgets)


def script_callback(request: Request) -> str | None:
    """The JSONP callback if a valid one is named; an invalid one is reported by the handler."""
    if request.method == "POST":
        return None
    try:
        return callback_of(pairs_of(request.scope))
    except InvalidParameter:
        return None
