"""Log-in with OpenID Connect: begun here, decided by a provider, and finished when the browser comes back.

What is to be known then is sealed in a cookie of the browser that began, so that any worker can finish it and
no other browser. A person is found by who the provider says they are; the first time, by a verified address.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from service.errors import Conflict, Gone, InvalidParameter, RateLimited, ServiceUnavailable, WrongLogin
from service.people.account_mail import Notice
from service.people.accounts import Accounts, Begun, Visit
from service.people.links import accept, checked_address, invitation_of
from service.people.openid_provider import Challenge, NotProven, OpenIdProvider, Proven, ProviderFailed
from service.people.tokens import digest_of
from storage.catalog.errors import (
    DuplicateIdentity,
    DuplicatePerson,
    InvalidName,
    UnknownInvitation,
    UnknownPerson,
    WrongSecret,
)
from storage.catalog.people.records import Invitation, Person, Role
from storage.catalog.tenants.names import NAME_LENGTH_MAX, check_name, new_id

RETURN_PATH = "/account/openid/return"
MINUTES = 10
"""How long somebody may take at the provider."""
NEXT_LENGTH_MAX = 2_000
"""Limit of the address to go to afterwards: with it the cookie stays below the 4 KiB that browsers keep."""
_SEALED_AS = "log-in at a provider"
_PAGES = "/app/"
_log = logging.getLogger("acumen.openid")


class Fault(StrEnum):
    """Why somebody who came back was not let in; the page to log in has the words."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """No browser that began, too late, or a second time."""
    PROVIDER = "provider"
    UNPROVEN = "unproven"
    UNVERIFIED = "unverified"
    DOMAIN = "domain"
    UNKNOWN = "unknown"
    REMOVED = "removed"
    TAKEN = "taken"
    INVITATION = "invitation"
    BUSY = "busy"


class NotLetIn(WrongLogin):
    """Counted as any log-in that fails."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"The log-in failed: {fault}.")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the browser goes, and what it is to keep until it comes back."""

    location: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back in the address."""

    state: str
    code: str
    error: str
    issuer: str | None


@dataclass(frozen=True, slots=True)
class Entered:
    """A session that has begun, and the page to show."""

    begun: Begun
    next: str | None


@dataclass(frozen=True, slots=True)
class _Pending:
    """A log-in that was begun. ``invitation`` is the digest of its token, ``former`` the session that the new
    one is to end."""

    challenge: Challenge
    next: str | None
    invitation: str | None
    former: str | None
    expires_us: int


class OpenIdLogIn:
    """Log-in with the provider that the settings name."""

    def __init__(self, accounts: Accounts) -> None:
        settings = accounts.settings
        self._accounts = accounts
        self._settings = settings
        self._provider = OpenIdProvider(settings, settings.public_url + RETURN_PATH, accounts.clock)

    async def begin(self, visit: Visit, *, next: str | None, invitation: str | None) -> Sent:
        """Raises InvalidParameter, Gone, ServiceUnavailable."""
        if next is not None and not _is_page(next):
            raise InvalidParameter(
                f"'next' must begin with {_PAGES}, and have {NEXT_LENGTH_MAX} characters of ASCII at most."
            )
        digest = None if invitation is None else (await invitation_of(self._accounts, invitation)).digest
        challenge = Challenge(*(secrets.token_urlsafe(32) for _ in range(3)))
        try:
            location = await self._provider.authorization_url(challenge)
        except ProviderFailed as error:
            _log.warning("The provider of log-in failed: %s", error)
            raise ServiceUnavailable(
                f"'{self._settings.openid_label}' does not answer as it should. Try again shortly; the "
                "server's log says more."
            ) from None
        former = None if visit.session is None else visit.session.session.id
        expires_us = self._accounts.clock() + MINUTES * 60_000_000
        pending = _Pending(challenge, next, digest, former, expires_us)
        return Sent(location, await self._accounts.in_thread(self._sealed, pending))

    async def finish(self, visit: Visit, cookie: str | None, returned: Returned) -> Entered:
        """A session for who comes back from the provider. Raises NotLetIn."""
        try:
            async with self._accounts.attempt([self._accounts.of_address(visit)]):
                return await self._finish(visit, cookie, returned)
        except RateLimited:
            raise NotLetIn(Fault.BUSY) from None

    async def _finish(self, visit: Visit, cookie: str | None, returned: Returned) -> Entered:
        pending = await self._accounts.in_thread(self._taken, cookie, returned.state)
        if pending is None:
            raise NotLetIn(Fault.EXPIRED)
        try:
            await self._provider.check_answering(returned.issuer)
            if returned.error == "access_denied":
                raise NotLetIn(Fault.CANCELLED)
            if returned.error or not returned.code:
                raise ProviderFailed(f"it sent the browser back with the error {returned.error[:100]!r}")
            proven = await self._provider.prove(returned.code, pending.challenge)
        except ProviderFailed as error:
            _log.warning("The provider of log-in failed: %s", error)
            raise NotLetIn(Fault.PROVIDER) from None
        except NotProven as error:
            _log.warning("What the provider of log-in sent is refused: %s", error)
            raise NotLetIn(Fault.UNPROVEN) from None
        try:
            person, next = await self._admitted(proven, pending, visit)
        except (DuplicateIdentity, DuplicatePerson, Conflict):
            raise NotLetIn(Fault.TAKEN) from None
        except (UnknownInvitation, Gone):
            raise NotLetIn(Fault.INVITATION) from None
        except UnknownPerson:
            raise NotLetIn(Fault.UNKNOWN) from None
        begun = await self._accounts.begin(person, visit, former=pending.former)
        await self._accounts.note_of_person(person.id, "Log in", address=visit.address, by="OpenID Connect")
        return Entered(begun, next)

    # What the browser keeps meanwhile

    def _sealed(self, pending: _Pending) -> str:
        one = pending.challenge
        kept = [one.state, one.nonce, one.verifier, pending.next, pending.invitation, pending.former]
        text = json.dumps([*kept, pending.expires_us])
        sealed = self._accounts.catalog.keyring.seal(text, _SEALED_AS)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def _taken(self, cookie: str | None, state: str) -> _Pending | None:
        """The log-in that the cookie is of, which is used up; None where the state is not its own. Blocks."""
        try:
            text = (cookie or "").encode("ascii")
            sealed = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
            kept = json.loads(self._accounts.catalog.keyring.unseal(sealed, _SEALED_AS))
        except (WrongSecret, ValueError):
            return None
        pending = _Pending(Challenge(*kept[:3]), *kept[3:])
        given, wanted = state.encode("utf-8", "replace"), pending.challenge.state.encode()
        if not hmac.compare_digest(given, wanted) or pending.expires_us <= self._accounts.clock():
            return None
        digest = digest_of(pending.challenge.state)
        assert digest is not None
        takes = self._accounts.catalog.identities.take_return(digest, pending.expires_us)
        return pending if takes else None

    # Who it is here

    async def _admitted(self, proven: Proven, pending: _Pending, visit: Visit) -> tuple[Person, str | None]:
        """The person, and the page to show them. Raises NotLetIn, and what accepting an invitation raises."""
        catalog = self._accounts.catalog
        known = await self._accounts.in_thread(catalog.identities.find, proven.issuer, proven.subject)
        person = None
        if known is not None and known.person_id is not None:
            person = await self._accounts.in_thread(catalog.people.find, known.person_id)
        if not self._is_of_domain(proven.email):
            if person is not None:
                self._accounts.refuse(person, "Log-in refused: the domain of the address", visit)
            raise NotLetIn(Fault.DOMAIN if proven.email else Fault.UNVERIFIED)
        if person is None:
            _check_address(proven.email)
            person = await self._linked(proven, visit)
        if pending.invitation is not None:
            invitation = await self._accounts.in_thread(catalog.invitations.find, pending.invitation)
            joined = await self._joined(invitation, person, proven, visit)
            return joined, _first_page(invitation) or pending.next
        if person is None:
            person = await self._new(proven, visit, was_removed=known is not None)
        return person, pending.next

    def _is_of_domain(self, email: str) -> bool:
        domains = self._settings.openid_domains
        return not domains or email.rpartition("@")[2] in domains

    async def _linked(self, proven: Proven, visit: Visit) -> Person | None:
        """The person with this verified address, known by this identity from now on; None without one."""
        catalog = self._accounts.catalog
        person = await self._accounts.in_thread(catalog.people.by_email, proven.email)
        if person is None:
            return None
        try:
            linked = await self._accounts.in_thread(
                catalog.identities.link, proven.issuer, proven.subject, person.id
            )
        except DuplicateIdentity:
            self._accounts.refuse(person, "Log-in refused: another account of the provider", visit)
            raise
        if person.password:
            self._accounts.notify(Notice.PROVIDER, person.email)
        await self._accounts.note_of_person(
            person.id, "Link with OpenID Connect", address=visit.address, subject=proven.subject
        )
        return linked

    async def _joined(
        self, invitation: Invitation, person: Person | None, proven: Proven, visit: Visit
    ) -> Person:
        """The person, or a new one, once the invitation is accepted."""
        if person is not None:
            await accept(self._accounts, invitation, person, visit, is_new=False)
            return person
        if invitation.email is not None and invitation.email != proven.email:
            raise NotLetIn(Fault.INVITATION)
        made = self._person(proven)
        identity = (proven.issuer, proven.subject)
        await accept(self._accounts, invitation, made, visit, is_new=True, identity=identity)
        return made

    async def _new(self, proven: Proven, visit: Visit, *, was_removed: bool) -> Person:
        """A new person, where the settings let unknown people in."""
        catalog, settings = self._accounts.catalog, self._settings
        # The first person has to own something, which takes an invitation.
        if not settings.openid_admit_unknown or not await self._accounts.in_thread(catalog.people.exist):
            raise NotLetIn(Fault.REMOVED if was_removed else Fault.UNKNOWN)
        if was_removed:
            raise NotLetIn(Fault.REMOVED)
        organisation_id = settings.openid_organisation
        if not organisation_id:
            [first, *_] = await self._accounts.in_thread(catalog.projects.ensure_first)
            organisation_id = first.organisation_id
        if await self._accounts.tenants.organisation_named(organisation_id) is None:
            _log.error("ACUMEN_OPENID_ORGANISATION: there is no organisation '%s'.", organisation_id)
            raise NotLetIn(Fault.UNKNOWN)
        given: Mapping[str, Role] = {}
        if settings.openid_role:
            projects = await self._accounts.tenants.projects_of([organisation_id])
            given = {project.id: Role(settings.openid_role) for project in projects}
        person = self._person(proven)
        await self._accounts.in_thread(
            catalog.identities.create, proven.issuer, proven.subject, person, organisation_id, given
        )
        await self._accounts.note_of_person(person.id, "Come in by OpenID Connect", address=visit.address)
        return person

    def _person(self, proven: Proven) -> Person:
        """A new person without a password."""
        person = Person(new_id(), proven.email, proven.name[:NAME_LENGTH_MAX], "", self._accounts.clock())
        try:
            check_name(person.name, "A person")
        except InvalidName:
            return replace(person, name=proven.email.partition("@")[0][:NAME_LENGTH_MAX])
        return person


def _is_page(address: str) -> bool:
    return address.startswith(_PAGES) and address.isascii() and len(address) <= NEXT_LENGTH_MAX


def _check_address(email: str) -> None:
    """Raises NotLetIn for none, and for what is no address."""
    try:
        checked_address(email)
    except InvalidParameter:
        raise NotLetIn(Fault.UNVERIFIED) from None


def _first_page(invitation: Invitation) -> str | None:
    """The page of a project that an invitation gives."""
    return next((f"{_PAGES}{project_id}" for project_id in invitation.roles), None)
