"""One-time links to join an organisation. The catalog holds a digest of each token, never the token."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from storage.catalog.database.versions import Area
from storage.catalog.errors import UnknownInvitation
from storage.catalog.people.identities import enter_identity
from storage.catalog.people.people import create_person, join, people_exist
from storage.catalog.people.records import Invitation, Person, Role
from storage.catalog.repository import Repository
from storage.catalog.tables import invitations, organisations

_FIELDS = tuple(name for name in Invitation.__dataclass_fields__ if name != "roles")


class Invitations(Repository):
    """Invitations by the digest of their token, and by organisation."""

    def create(self, invitation: Invitation) -> None:
        """Stores an invitation, and forgets those that have expired; a first one replaces earlier ones."""
        with self._database.changing(Area.PEOPLE) as connection:
            connection.execute(delete(invitations).where(invitations.c.expires_us <= self._clock()))
            if invitation.is_first:
                connection.execute(delete(invitations).where(invitations.c.is_first.is_(True)))
            values = {name: getattr(invitation, name) for name in _FIELDS}
            connection.execute(insert(invitations), values | {"roles": json.dumps(dict(invitation.roles))})

    def of_organisation(self, organisation_id: str) -> list[Invitation]:
        """The invitations that can still be accepted, newest first."""
        own = invitations.c.organisation_id == organisation_id, invitations.c.expires_us > self._clock()
        with self._database.reading() as connection:
            found = connection.execute(select(invitations).where(*own).order_by(invitations.c.number.desc()))
            return [_invitation(row) for row in found]

    def find(self, digest: str) -> Invitation:
        """Raises UnknownInvitation where it cannot be accepted."""
        with self._database.reading() as connection:
            return self._open(connection, digest)

    def withdraw(self, organisation_id: str, invitation_id: str) -> bool:
        """Deletes an invitation of the organisation. Returns whether there was one."""
        this = invitations.c.organisation_id == organisation_id, invitations.c.id == invitation_id
        with self._database.changing(Area.PEOPLE) as connection:
            return connection.execute(delete(invitations).where(*this)).rowcount == 1

    def accept(
        self, digest: str, person: Person, *, is_new: bool, identity: tuple[str, str] | None = None
    ) -> Invitation:
        """Uses an invitation up, for a new person or one that there is.

        ``identity``: issuer and subject of a new person. Raises UnknownInvitation, DuplicatePerson,
        UnknownPerson, DuplicateIdentity, InvalidName; then nothing is used up.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            invitation = self._open(connection, digest)
            connection.execute(delete(invitations).where(invitations.c.id == invitation.id))
            if is_new:
                create_person(connection, person)
            if identity is not None:
                enter_identity(connection, *identity, person.id, self._clock())
            join(
                connection,
                invitation.organisation_id,
                person.id,
                is_owner=invitation.is_owner,
                given=invitation.roles,
            )
            return invitation

    def _open(self, connection: Connection, digest: str) -> Invitation:
        living = select(organisations.c.id).where(organisations.c.deleted_us.is_(None))
        this = invitations.c.digest == digest, invitations.c.organisation_id.in_(living)
        row = connection.execute(select(invitations).where(*this)).first()
        invitation = None if row is None else _invitation(row)
        if (
            invitation is None
            or invitation.expires_us <= self._clock()
            or (invitation.is_first and people_exist(connection))
        ):
            raise UnknownInvitation("The link was used, withdrawn or has expired.")
        return invitation


def _invitation(row: Any) -> Invitation:
    given = {project_id: Role(role) for project_id, role in json.loads(row.roles).items()}
    return Invitation(**{name: getattr(row, name) for name in _FIELDS}, roles=given)
