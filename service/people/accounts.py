"""The accounts of a worker: log-in, log-out, passwords and links, for an event loop.

Every step that may wait (the catalog, hashing) runs on a thread. What is refused says the same, and takes as
long, whether an address is known or not.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from service.auth.principal import Caller, Tenants, caller_in_role, unknown_project
from service.errors import CodeRequired, Conflict, InvalidKey, NotFound, NotLoggedIn, RateLimited, WrongLogin
from service.limits.attempts import Attempts, AttemptsOf
from service.people.account_mail import Notice, mail_notice
from service.people.audit import Audit, actor_of, entries_of
from service.people.known_sessions import Holder, KnownSessions
from service.people.password_mail import mail_password_link
from service.people.passwords import Passwords
from service.people.second_factor import SecondFactors
from service.people.tokens import DAY_US, new_token
from service.settings import Settings
from service.threads import in_thread
from storage.catalog.catalog import Catalog
from storage.catalog.errors import WrongSecret
from storage.catalog.people.records import Person, Session
from storage.catalog.tenants.names import new_id

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS_PER_ACCOUNT = 10
"""Failed attempts at one account in a quarter of an hour: few enough that a code of six digits takes a year
to guess."""
MAILS_PER_ACCOUNT = 3
"""Mails of one kind to one address in a quarter of an hour: about a forgotten password, or a change."""
DEVICE_LENGTH_MAX = 200
_IPV6_PREFIX = 64

_log = logging.getLogger("acumen.accounts")


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a request for a session comes from. ``session``: the one that it has, which a new one ends."""

    address: str
    device: str = ""
    session: Holder | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that has begun. The token is known to its holder alone."""

    token: str
    session: Session


class Accounts:
    """Log-in and sessions of one worker."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        tenants: Tenants,
        executor: Executor,
        clock: Callable[[], int],
    ) -> None:
        """``executor`` has threads for the catalog; ``clock``, in µs, dates and ends sessions and links."""
        self.catalog = catalog
        self.settings = settings
        self.tenants = tenants
        self.executor = executor
        self.clock = clock
        self.known = KnownSessions(catalog, executor, clock)
        self.passwords = Passwords()
        self.audit = Audit(catalog.audit, executor)
        # Not those of the catalog: a mail server may take long.
        self._mails = ThreadPoolExecutor(1, "account mails")
        self.factors = SecondFactors(catalog, clock)
        self._attempts = Attempts(settings.run_folder / "attempts", lambda: clock() / 1_000_000)

    def close(self) -> None:
        self.passwords.close()
        self._mails.shutdown(wait=False, cancel_futures=True)
        self._attempts.close()

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(self.executor, work, *args, **kwargs)

    # What a session may do

    async def caller(self, holder: Holder, project_id: str) -> Caller:
        """The caller with this session in a project.

        Raises NotFound for a project that does not exist or that the session has nothing to do with, and
        NotLoggedIn where the key of the session is no longer valid.
        """
        session, standing = holder.session, holder.standing
        if standing is None:
            if session.project_id != project_id:
                raise unknown_project(project_id)
            return await self._caller_by_key(session)
        project = await self.tenants.project(project_id)
        role = None if project is None else standing.role_in(project.id, project.organisation_id)
        if project is None or role is None:
            raise unknown_project(project_id)
        return caller_in_role(project, role, standing.person.id)

    async def _caller_by_key(self, session: Session) -> Caller:
        assert session.project_id is not None and session.sealed_key is not None
        try:
            key = self.catalog.keyring.unseal(session.sealed_key, _seal_context(session.id))
            return await self.tenants.caller(session.project_id, key)
        except (WrongSecret, InvalidKey):
            raise NotLoggedIn("The key that this session began with is no longer valid.") from None

    # Beginning a session

    async def log_in(self, email: str, password: str, code: str | None, visit: Visit) -> Begun:
        """A session for who has this password. Raises WrongLogin, CodeRequired, RateLimited."""
        counted = [self.of_address(visit), _of_account("email", email)]
        async with self.attempt(counted):
            person = await self.in_thread(self.catalog.people.by_email, email)
            known = "" if person is None else person.password
            right = await self.passwords.is_right(known, password)
            if person is None or not right:
                self.refuse(person, "Log-in refused", visit)
                raise WrongLogin
            if person.factor is not None:
                if not code:
                    raise CodeRequired
                if not await self.in_thread(self.factors.takes, person, code):
                    self.refuse(person, "Log-in refused: wrong code", visit)
                    raise WrongLogin("The code is wrong, or was used before.")
        if self.passwords.is_outdated(person.password):
            renewed = replace(person, password=await self.passwords.hashed(password))
            await self.in_thread(self.catalog.people.renew_hash, person, renewed.password)
            person = renewed
        begun = await self.begin(person, visit)
        await self.note_of_person(person.id, "Log in", address=visit.address)
        return begun

    async def log_in_with_key(self, project_id: str, key: str, visit: Visit) -> Begun:
        """A session with the rights of a key of a project. Raises WrongLogin, RateLimited."""
        async with self.attempt([self.of_address(visit)]):
            try:
                caller = await self.tenants.caller(project_id, key)
            except (NotFound, InvalidKey):
                raise WrongLogin("The project or the key is wrong.") from None
            if caller.embed is not None:
                raise WrongLogin("An embed token begins no session: give a key.")
        token, digest = new_token()
        session_id, now_us = new_id(), self.clock()
        sealed = self.catalog.keyring.seal(key, _seal_context(session_id))
        session = Session(
            session_id,
            digest,
            _device(visit),
            now_us,
            self._end_us(now_us),
            project_id=caller.project.id,
            sealed_key=sealed,
        )
        await self.in_thread(self.catalog.sessions.create, session, instead_of=_former(visit))
        return Begun(token, session)

    async def begin(self, person: Person, visit: Visit, *, former: str | None = None) -> Begun:
        """A new session of a person, whose token nobody had before; it ends the one that the request has, or
        the one with the id ``former``.

        Raises WrongLogin where their password has changed since the record was read.
        """
        token, digest = new_token()
        now_us = self.clock()
        session = Session(new_id(), digest, _device(visit), now_us, self._end_us(now_us), person_id=person.id)
        begins = await self.in_thread(
            self.catalog.sessions.create,
            session,
            password=person.password,
            instead_of=former or _former(visit),
        )
        if not begins:
            raise WrongLogin
        return Begun(token, session)

    # What may fail, and is counted

    @contextlib.asynccontextmanager
    async def attempt(self, counted: list[AttemptsOf]) -> AsyncIterator[None]:
        """A context in which an attempt is made: it fails where WrongLogin or Conflict is raised.

        Raises RateLimited.
        """
        self._attempts.begin(counted)
        try:
            yield
        except (WrongLogin, Conflict):
            raise
        except BaseException:
            self._attempts.succeed(counted)
            raise
        self._attempts.succeed(counted)

    def taking_address(self, whose: str, visit: Visit) -> contextlib.AbstractAsyncContextManager[None]:
        """A context in which somebody chooses an e-mail address. One that is taken is a failed attempt, so
        that few can be tried out. ``whose``: the id of the person or invitation. Raises RateLimited."""
        return self.attempt([self.of_address(visit), _of_account("address", whose)])

    async def check_password(self, person: Person, password: str, visit: Visit) -> None:
        """Raises WrongLogin where it is not the person's, and RateLimited after many such attempts."""
        async with self.attempt([self.of_address(visit), _of_account("email", person.email)]):
            if not await self.passwords.is_right(person.password, password):
                raise WrongLogin("The password is wrong.")

    def attempts_at(self, person: Person) -> list[AttemptsOf]:
        """What counts the attempts at a person's account."""
        return [_of_account("email", person.email)]

    def of_address(self, visit: Visit) -> AttemptsOf:
        """What counts the attempts of a client address."""
        return AttemptsOf(f"address/{_network(visit.address)}", self.settings.login_failures_per_address)

    # A forgotten password

    def forgotten(self, email: str, visit: Visit) -> None:
        """Mail a link that sets a password, if there is such a person and mail is set up.

        Nothing is waited for, so that the time of the answer tells nothing. Raises RateLimited.
        """
        limit = AttemptsOf(_of_account("forgotten", email).name, MAILS_PER_ACCOUNT)
        self._attempts.begin([self.of_address(visit), limit])
        if self.settings.smtp_host:
            self._mails.submit(self._mail_link, email)

    def _mail_link(self, email: str) -> None:
        try:
            person = self.catalog.people.by_email(email)
            # Who has no password logs in with the provider alone, which may let them in no more.
            if person is not None and person.password:
                mail_password_link(self.settings, self.catalog, person, self.clock())
        except Exception:
            _log.exception("A link to set a password could not be mailed.")

    def notify(self, notice: Notice, address: str) -> None:
        """Mail to this address that something of its account has changed, if mail is set up.

        Nothing is waited for. Beyond ``MAILS_PER_ACCOUNT`` nothing is sent: the address may be a stranger's,
        which somebody entered as their own.
        """
        if not self.settings.smtp_host:
            return
        limit = AttemptsOf(_of_account(f"notice/{notice.name}", address).name, MAILS_PER_ACCOUNT)
        with contextlib.suppress(RateLimited):
            self._attempts.begin([limit])
            self._mails.submit(self._mail_notice, notice, address)

    def _mail_notice(self, notice: Notice, address: str) -> None:
        try:
            mail_notice(self.settings, notice, address)
        except Exception:
            _log.exception("A notice of a changed account could not be mailed.")

    # The audit log

    async def note_of_person(self, person_id: str, action: str, **details: str) -> None:
        """Enters what a person did in the audit logs of all organisations that they belong to."""
        standing = await self.in_thread(self.catalog.people.standing, person_id)
        if standing is not None:
            await self.audit.note(actor_of(standing.person), action, standing.organisations, details=details)

    def refuse(self, person: Person | None, action: str, visit: Visit) -> None:
        """Note a refused log-in, on a thread: the time of the answer must not tell whether it was noted."""
        if person is not None:
            self.executor.submit(self._note_refusal, person, action, visit)

    def _note_refusal(self, person: Person, action: str, visit: Visit) -> None:
        standing = self.catalog.people.standing(person.id)
        organisations = () if standing is None else standing.organisations
        details = {"address": visit.address}
        self.audit.write(entries_of(actor_of(person), action, organisations, details=details))

    def _end_us(self, now_us: int) -> int:
        return now_us + int(self.settings.session_days * DAY_US)


def _of_account(kind: str, name: str) -> AttemptsOf:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return AttemptsOf(f"{kind}/{digest}", ATTEMPTS_PER_ACCOUNT)


def _network(address: str) -> str:
    """The address, of IPv6 the network that one client has to itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))


def _device(visit: Visit) -> str:
    plain = "".join(character for character in visit.device if character.isprintable())
    return plain[:DEVICE_LENGTH_MAX]


def _former(visit: Visit) -> str | None:
    return None if visit.session is None else visit.session.session.id


def _seal_context(session_id: str) -> str:
    return f"session/{session_id}"
