"""Who may call a route. Each route is registered with a rule, and only the rule admits callers.

The tests read the rules from the application's routes, and fail for a route without one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from service.auth.embed_conditions import EmbedGrant
from service.auth.given_keys import given_keys
from service.auth.origins import origin_of
from service.auth.principal import Caller, Permission, key_of
from service.errors import CrossSite, Forbidden, NotFound, NotLoggedIn, ServiceUnavailable
from service.http.error_rendering import JSON
from service.http.parts import Parts
from service.http.request import cookie_of, project_of
from service.people.known_sessions import Holder
from service.people.same_origin import check_same_origin

_COOKIE = "acumen_session"
SESSION = b"session"
"""Given in place of a key in the header ``Authorization``: the session in the cookie."""


class Realm(StrEnum):
    """Whose keys give access to a route."""

    PUBLIC = "public"
    """No key is required."""
    PROJECT = "project"
    """The keys of the project that the path names."""
    LINK = "link"
    """No key is required: the address is signed, and was given to an authorised caller."""
    ORGANISATION = "organisation"
    """The key of the organisation that the path names, or the session of one of its owners."""
    VISITOR = "visitor"
    """No key is required, but what a page of another site sends is refused: log-in, one-time links."""
    ACCOUNT = "account"
    """A session."""
    OWNER = "owner"
    """The session of an owner of the organisation that the path names."""
    OWN = "own"
    """The handler finds what belongs to the key: the path names neither a project nor an organisation."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``permissions``: a project's key needs one of these, and all of ``further``. ``bearer``: the header may
    also hold ``Bearer`` and the key."""

    realm: Realm
    permissions: frozenset[Permission] = frozenset()
    further: frozenset[Permission] = frozenset()
    bearer: bool = False

    async def admit(self, parts: Parts, request: Request) -> Caller:
        """The caller.

        Raises NotFound, InvalidKey, AdminOnly, Forbidden where it may not call the route, and for an embed
        token also EmbedTokenExpired, OriginNotAllowed; for a session NotLoggedIn, CrossSite.
        """
        header, parameter = given_keys(request.scope)
        if self.bearer:
            header = without_scheme(header)
        if header == SESSION:
            caller = await parts.accounts.caller(
                await admit_session(parts, request), project_of(request.scope)
            )
        else:
            key = key_of(header.decode("latin-1"), parameter or None)
            caller = await parts.tenants.caller(project_of(request.scope), key)
        if caller.embed is not None:
            caller.embed.check_expiry(parts.clock() / 1_000_000)
            check_origin(caller.embed, parts, request)
        self.check(caller)
        return caller

    def check(self, caller: Caller) -> None:
        """Raises AdminOnly or Forbidden where the caller lacks a permission."""
        caller.require(*self.permissions)
        for permission in self.further:
            caller.require(permission)


def without_scheme(header: bytes) -> bytes:
    """The key in a header ``Authorization`` that may begin with ``Bearer``."""
    scheme, _, key = header.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else header


PUBLIC = Rule(Realm.PUBLIC)
VISITOR = Rule(Realm.VISITOR)
ACCOUNT = Rule(Realm.ACCOUNT)
OWNER = Rule(Realm.OWNER)
OWN = Rule(Realm.OWN)
LINKED = Rule(Realm.LINK)
ORGANISATION = Rule(Realm.ORGANISATION)


def needs(*permissions: Permission) -> Rule:
    """The rule for a route of a project, open to keys with any of these permissions."""
    return Rule(Realm.PROJECT, frozenset(permissions))


def needs_both(first: Permission, second: Permission) -> Rule:
    """The rule for a route of a project, open to keys with both of these permissions."""
    return Rule(Realm.PROJECT, frozenset({first}), frozenset({second}))


MASTER = needs(Permission.MASTER)
EDITS = needs(Permission.EDITS)
WRITES = needs(Permission.WRITES)
"""The rule of the write routes, which ``service.http.write_api`` answers."""


def is_secure(parts: Parts, request: Request) -> bool:
    """Whether cookies are for HTTPS alone."""
    return request.url.scheme == "https" or parts.settings.public_url.startswith("https://")


def cookie_name(parts: Parts, request: Request, plain: str) -> str:
    """The name under which a cookie is set and read. With this prefix no other host of the domain can set it,
    which browsers see to by HTTPS."""
    return f"__Host-{plain}" if is_secure(parts, request) else plain


def session_cookie(parts: Parts, request: Request) -> str:
    """The name of the cookie with the token of a session."""
    return cookie_name(parts, request, _COOKIE)


async def session_of(parts: Parts, request: Request) -> Holder | None:
    """The holder of the session in the request's cookie, not checked further; None where there is none."""
    token = cookie_of(request.scope, session_cookie(parts, request))
    return None if token is None else await parts.accounts.known.find(token)


async def admit_session(parts: Parts, request: Request) -> Holder:
    """The holder of the request's session.

    The cookie alone changes nothing: see ``check_page``. Raises NotLoggedIn, CrossSite.
    """
    header, _ = given_keys(request.scope)
    if header not in (b"", SESSION):
        raise NotLoggedIn("This call needs the session of a person: no key and no embed token may make it.")
    holder = await session_of(parts, request)
    if holder is None:
        raise NotLoggedIn
    check_page(parts, request)
    return holder


async def check_owner(parts: Parts, holder: Holder, organisation_id: str) -> None:
    """Raises NotFound where the session's person does not belong to the organisation, or it is unknown, and
    Forbidden where they do not own it."""
    owned = holder.standing.organisations.get(organisation_id) if holder.standing is not None else None
    if owned is None or await parts.tenants.organisation_named(organisation_id) is None:
        raise NotFound.named("organization", organisation_id)
    if not owned:
        raise Forbidden("Only owners of the organization may do that.")


def check_page(parts: Parts, request: Request) -> None:
    """Check that a program or a page of this server sent the request: a browser adds the cookie to what any
    page sends. Raises CrossSite.

    What changes something also needs a header or content type that no form, link or image can have: for a
    page of another site its browser would ask this server first, and the answer never allows cookies.
    """
    headers, reads = request.headers, request.method in ("GET", "HEAD")
    check_same_origin(
        headers.getlist("origin"), headers.getlist("sec-fetch-site"), _own_origin(parts, request), reads=reads
    )
    header, _ = given_keys(request.scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (reads or header == SESSION or kind == JSON):
        raise CrossSite(
            "Send 'Content-Type: application/json' or 'Authorization: session', which forms cannot send."
        )


def check_origin(grant: EmbedGrant, parts: Parts, request: Request) -> None:
    """Raises OriginNotAllowed where the token may not be used by the page that the request comes from."""
    headers = request.headers
    grant.check_origin(
        headers.getlist("origin"),
        headers.getlist("referer"),
        _own_origin(parts, request),
        opens_page=headers.get("sec-fetch-dest") == "document",
    )


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
