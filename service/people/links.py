"""One-time links: invitations to join an organisation, and links to set a password."""

from __future__ import annotations

from collections.abc import Mapping

from service.auth.project_fields import check_address
from service.errors import Conflict, Gone, InvalidParameter
from service.people.account_mail import Notice
from service.people.accounts import Accounts, Begun, Visit
from service.people.audit import actor_of
from service.people.tokens import DAY_US, digest_of, new_token
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.errors import DuplicatePerson, InvalidName, UnknownInvitation, UnknownPerson
from storage.catalog.people.records import Invitation, Person, Role
from storage.catalog.tenants.names import new_id

INVITATION_DAYS = 7
USED = "The link was used or withdrawn, or it has expired. Ask for another."


def plain_address(text: str) -> str:
    """An e-mail address as people are found by it, whatever is given."""
    return text.encode("utf-8", "replace").decode().strip().lower()


def checked_address(text: str) -> str:
    """As ``plain_address``. Raises InvalidParameter for what is no address."""
    try:
        return plain_address(check_address(text.strip()))
    except ValueError:
        raise InvalidParameter("'email' must be an e-mail address.") from None


def join_path(token: str) -> str:
    """The token stands behind the ``#``, so that it is in no log and in no ``Referer``."""
    return f"/join#{token}"


def make_invitation(
    catalog: Catalog,
    organisation_id: str,
    now_us: int,
    *,
    email: str | None = None,
    roles: Mapping[str, Role] | None = None,
    is_owner: bool = False,
    is_first: bool = False,
    invited_by: str | None = None,
) -> tuple[Invitation, str]:
    """A stored invitation, and its token, which is stored nowhere. Blocks."""
    token, digest = new_token()
    invitation = Invitation(
        new_id(),
        digest,
        organisation_id,
        email,
        roles or {},
        is_owner,
        now_us,
        now_us + INVITATION_DAYS * DAY_US,
        is_first,
        invited_by,
    )
    catalog.invitations.create(invitation)
    return invitation, token


def make_first_link(catalog: Catalog) -> str | None:
    """The path of a link for the first person, who owns the oldest organisation; None where there are people.

    Blocks.
    """
    if catalog.people.exist():
        return None
    organisation_id = catalog.projects.ensure_first()[0].organisation_id
    _, token = make_invitation(catalog, organisation_id, system_clock(), is_owner=True, is_first=True)
    return join_path(token)


async def invitation_of(accounts: Accounts, token: str) -> Invitation:
    """The invitation that this token accepts. Raises Gone."""
    digest = digest_of(token)
    try:
        if digest is None:
            raise UnknownInvitation
        return await accounts.in_thread(accounts.catalog.invitations.find, digest)
    except UnknownInvitation:
        raise Gone(USED) from None


async def join(
    accounts: Accounts,
    token: str,
    visit: Visit,
    *,
    email: str | None,
    name: str | None,
    password: str | None,
) -> Begun | None:
    """Accept an invitation: as the person who is logged in, or else as a new one, for whom a session begins.

    Raises Gone, InvalidParameter, Conflict, RateLimited.
    """
    invitation = await invitation_of(accounts, token)
    standing = None if visit.session is None else visit.session.standing
    if standing is not None:
        await accept(accounts, invitation, standing.person, visit, is_new=False)
        return None
    if name is None or password is None:
        raise InvalidParameter("Give 'name' and 'password', or log in first.")
    address = invitation.email if email is None and invitation.email else checked_address(email or "")
    if invitation.email is not None and address != invitation.email:
        raise InvalidParameter(f"'email' must be {invitation.email}, whom the invitation is for.")
    async with accounts.taking_address(invitation.id, visit):
        if await accounts.in_thread(accounts.catalog.people.by_email, address) is not None:
            raise Conflict(_TAKEN)
        password_hash = await accounts.passwords.hashed(password)
        person = Person(new_id(), address, name.strip(), password_hash, accounts.clock())
        await accept(accounts, invitation, person, visit, is_new=True)
    return await accounts.begin(person, visit)


async def set_password(accounts: Accounts, token: str, password: str, visit: Visit) -> None:
    """Set a person's password with a link. All their sessions end. Raises Gone."""
    digest = digest_of(token)
    links = accounts.catalog.password_links
    try:
        if digest is None:
            raise UnknownInvitation
        # A password is hashed for good links only.
        await accounts.in_thread(links.person_of, digest)
        password_hash = await accounts.passwords.hashed(password)
        person_id = await accounts.in_thread(links.use, digest, password_hash)
    except (UnknownInvitation, UnknownPerson):
        raise Gone(USED) from None
    person = await accounts.in_thread(accounts.catalog.people.find, person_id)
    if person is not None:
        accounts.notify(Notice.PASSWORD, person.email)
    await accounts.note_of_person(person_id, "Set a password with a link", address=visit.address)


async def accept(
    accounts: Accounts,
    invitation: Invitation,
    person: Person,
    visit: Visit,
    *,
    is_new: bool,
    identity: tuple[str, str] | None = None,
) -> None:
    """Use an invitation up for a person; ``identity``: issuer and subject of a new one.

    Raises Gone, Conflict, InvalidParameter, DuplicateIdentity.
    """
    try:
        await accounts.in_thread(
            accounts.catalog.invitations.accept, invitation.digest, person, is_new=is_new, identity=identity
        )
    except (UnknownInvitation, UnknownPerson):
        raise Gone(USED) from None
    except DuplicatePerson:
        raise Conflict(_TAKEN) from None
    except InvalidName as error:
        raise InvalidParameter(f"'name': {error}") from None
    await accounts.audit.note(
        actor_of(person),
        "Join",
        [invitation.organisation_id],
        object=person.name or person.email,
        details={"address": visit.address, "invitation": invitation.id},
    )


_TAKEN = "There already is a person with this address. Log in, then open the link again."
