"""Who may call a route. Each is registered with its rule, and nothing but the rule lets a caller in.

The tests read the rules from the application's routes: one that has none does not pass.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from service.auth.given_keys import given_keys
from service.auth.principal import Caller, Permission, Tenants
from service.errors import AdminOnly, InvalidParameter, NotFound, Unavailable
from service.http.error_rendering import render
from service.http.request import (
    callback_of,
    check_names,
    error_answer,
    pairs_of,
    project_of,
    raw_path,
    request_key,
    segment_of,
)
from storage.catalog.tenants.records import Organisation

READING = ("GET", "HEAD")
SLOW_SECONDS = 0.3
"""After so long a key is looked at again before it gets its answer: it may have been revoked."""
PublicHandler = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Caller], Awaitable[Response]]
OrganisationHandler = Callable[[Request, Organisation], Awaitable[Response]]


class Realm(StrEnum):
    """Whose keys open a route."""

    PUBLIC = "public"
    """Nobody's are asked for."""
    PROJECT = "project"
    """Those of the project that the path names."""
    LINK = "link"
    """None: the address is signed, and was given to one who may."""
    ORGANISATION = "organisation"
    """That of the organisation that the path names."""
    OWN = "own"
    """The route looks itself for what belongs to the key: the path names nothing that has keys."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``permissions``: a project's key needs one of these."""

    realm: Realm
    permissions: frozenset[Permission] = frozenset()

    async def admit(self, tenants: Tenants, request: Request) -> Caller:
        """The caller, who may call the route. Raises NotFound, InvalidKey, AdminOnly, Forbidden."""
        caller = await tenants.caller(project_of(request.scope), request_key(request))
        caller.require(*self.permissions)
        return caller


PUBLIC = Rule(Realm.PUBLIC)
OWN = Rule(Realm.OWN)
LINKED = Rule(Realm.LINK)
ORGANISATION = Rule(Realm.ORGANISATION)
WRITES = Rule(Realm.PROJECT, frozenset({Permission.WRITES}))
"""The write routes', which ``service.http.write_api`` answers."""


def needs(*permissions: Permission) -> Rule:
    """A route of a project, for keys with any of these permissions."""
    return Rule(Realm.PROJECT, frozenset(permissions))


class Routes:
    """Routes of one module; every failure is told in the API's one shape."""

    def __init__(self, tenants: Tenants) -> None:
        self.router = Router()
        self._tenants = tenants

    def public(
        self, path: str, handler: PublicHandler, methods: Iterable[str] = READING, rule: Rule = PUBLIC
    ) -> None:
        """A route that is answered whoever asks, or that looks at the key itself."""
        self._add(path, handler, rule, methods)

    def project(
        self,
        path: str,
        handler: Handler,
        rule: Rule,
        methods: Iterable[str] = READING,
        *,
        scripted: bool = False,
        admin_hint: str = "",
        narrows: bool = False,
    ) -> None:
        """A route below a project. ``scripted``: a GET that names a callback gets its errors through it.

        ``narrows``: a DELETE reads its parameters itself; of all others they are refused.
        """

        async def answer(request: Request) -> Response:
            callback = script_callback(request) if scripted else None
            try:
                caller, began = await rule.admit(self._tenants, request), time.monotonic()
                if request.method == "DELETE" and not narrows:
                    check_names((name for name, _ in pairs_of(request.scope)), (), "this deletion")
                response = await handler(request, caller)
                if time.monotonic() - began > SLOW_SECONDS and Permission.MASTER not in rule.permissions:
                    # Whatever took so long, the body or the question: it is told to who may be told it now.
                    _check_same(caller, await rule.admit(self._tenants, request))
                return response
            except AdminOnly as error:
                return error_answer(render(AdminOnly(f"{error.message} {admin_hint}".rstrip())), callback)
            except Exception as error:
                return error_answer(render(error), callback)

        self._add(path, answer, rule, methods)

    def organisation(self, path: str, handler: OrganisationHandler, methods: Iterable[str] = READING) -> None:
        """A route below an organisation, for that one's key alone."""

        async def answer(request: Request) -> Response:
            organisation_id = segment_of(request.scope, 3)
            organisation = await self._tenants.organisation_of(organisation_id, request_key(request))
            return await handler(request, organisation)

        self._add(path, answer, ORGANISATION, methods)

    def _add(self, path: str, handler: PublicHandler, rule: Rule, methods: Iterable[str]) -> None:
        slashes = path.count("/")

        async def endpoint(request: Request) -> Response:
            try:
                if raw_path(request.scope).count(b"/") < slashes:
                    # What is matched is the path decoded: a slash that is part of a name sets nothing apart.
                    raise NotFound
                if rule.realm in (Realm.PUBLIC, Realm.LINK):
                    # The others read the key itself.
                    given_keys(request.scope)
                return await handler(request)
            except Exception as error:
                return error_answer(render(error))

        endpoint.rule = rule  # type: ignore[attr-defined]
        self.router.routes.append(Route(path, endpoint, methods=list(methods)))


def _check_same(before: Caller, now: Caller) -> None:
    """Raises Unavailable where a key's rights were changed."""
    if (before.permissions, before.forced_filters, before.options) != (
        now.permissions,
        now.forced_filters,
        now.options,
    ):
        raise Unavailable("The key was changed meanwhile. Ask again.")


def script_callback(request: Request) -> str | None:
    """The callback where a good one is named; a bad one is told by the handler, in its turn."""
    if request.method == "POST":
        return None
    try:
        return callback_of(pairs_of(request.scope))
    except InvalidParameter:
        return None
