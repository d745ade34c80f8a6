"""Who may call a route. Each route is registered with a rule, and only the rule admits callers.

The tests read the rules from the application's routes, and fail for a route without one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from service.auth.embed_conditions import EmbedGrant
from service.auth.origins import origin_of
from service.auth.principal import Caller, Permission
from service.errors import ServiceUnavailable
from service.http.parts import Parts
from service.http.request import project_of, request_key


class Realm(StrEnum):
    """Whose keys give access to a route."""

    PUBLIC = "public"
    """No key is required."""
    PROJECT = "project"
    """The keys of the project that the path names."""
    LINK = "link"
    """No key is required: the address is signed, and was given to an authorised caller."""
    ORGANISATION = "organisation"
    """The key of the organisation that the path names."""
    OWN = "own"
    """The handler finds what belongs to the key: the path names neither a project nor an organisation."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``permissions``: a project's key needs one of these."""

    realm: Realm
    permissions: frozenset[Permission] = frozenset()

    async def admit(self, parts: Parts, request: Request) -> Caller:
        """The caller.

        Raises NotFound, InvalidKey, AdminOnly, Forbidden where it may not call the route, and for an embed
        token also EmbedTokenExpired, OriginNotAllowed.
        """
        caller = await parts.tenants.caller(project_of(request.scope), request_key(request))
        if caller.embed is not None:
            caller.embed.check_expiry(parts.clock() / 1_000_000)
            check_origin(caller.embed, parts, request)
        caller.require(*self.permissions)
        return caller


PUBLIC = Rule(Realm.PUBLIC)
OWN = Rule(Realm.OWN)
LINKED = Rule(Realm.LINK)
ORGANISATION = Rule(Realm.ORGANISATION)


def needs(*permissions: Permission) -> Rule:
    """The rule for a route of a project, open to keys with any of these permissions."""
    return Rule(Realm.PROJECT, frozenset(permissions))


MASTER = needs(Permission.MASTER)
WRITES = needs(Permission.WRITES)
"""The rule of the write routes, which ``service.http.write_api`` answers."""


def check_origin(grant: EmbedGrant, parts: Parts, request: Request) -> None:
    """Raises OriginNotAllowed where the token may not be used by the page that the request comes from."""
    headers = request.headers
    grant.check_origin(headers.getlist("origin"), headers.getlist("referer"), _own_origin(parts, request))


def _own_origin(parts: Parts, request: Request) -> Callable[[str], bool]:
    """A function: whether an origin is this server's own, as clients address it."""
    if parts.settings.public_url:
        own = origin_of(parts.settings.public_url)
        return lambda origin: origin == own
    # A proxy in front may have ended TLS, so the scheme is not known.
    host = request.headers.get("host", "")
    known = {origin_of(f"{scheme}://{host}") for scheme in ("http", "https")} - {None}
    return lambda origin: origin in known


def check_same(before: Caller, now: Caller) -> None:
    """Raises ServiceUnavailable where a key's rights have changed."""
    if (before.permissions, before.forced_filters, before.options, before.embed) != (
        now.permissions,
        now.forced_filters,
        now.options,
        now.embed,
    ):
        key = "key" if before.embed is None else "access key of this embed token"
        raise ServiceUnavailable(f"The {key} was changed while the request was read. Send the request again.")
