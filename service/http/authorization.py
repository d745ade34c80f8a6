"""Who may call a route. Each is registered with its rule, and nothing but the rule lets a caller in.

The tests read the rules from the application's routes: one that has none does not pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from service.auth.principal import Caller, Permission, Tenants
from service.errors import ServiceUnavailable
from service.http.request import project_of, request_key


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


def needs(*permissions: Permission) -> Rule:
    """A route of a project, for keys with any of these permissions."""
    return Rule(Realm.PROJECT, frozenset(permissions))


MASTER = needs(Permission.MASTER)
WRITES = needs(Permission.WRITES)
"""The write routes', which ``service.http.write_api`` answers."""


def check_same(before: Caller, now: Caller) -> None:
    """Raises Unavailable where a key's rights were changed."""
    if (before.permissions, before.forced_filters, before.options) != (
        now.permissions,
        now.forced_filters,
        now.options,
    ):
        raise ServiceUnavailable("The key was changed meanwhile. Ask again.")
