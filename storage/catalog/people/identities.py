"""Who people are at a provider of log-in: an issuer and its name for somebody, which never changes."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.errors import DuplicateIdentity
from storage.catalog.people.people import create_person, find_person, join, set_password
from storage.catalog.people.records import Identity, Person, Role
from storage.catalog.repository import Repository
from storage.catalog.tables import identities, openid_returns, people


class Identities(Repository):
    """Identities by issuer and subject, and the log-ins that have come back from a provider."""

    def find(self, issuer: str, subject: str) -> Identity | None:
        with self._database.reading() as connection:
            return _find(connection, issuer, subject)

    def is_linked(self, person_id: str) -> bool:
        """Whether the person is known at a provider."""
        with self._database.reading() as connection:
            own = select(identities.c.number).where(identities.c.person_id == person_id)
            return connection.execute(own).first() is not None

    def link(self, issuer: str, subject: str, person_id: str) -> Person:
        """Makes this the identity of a person, whose password, second factor and sessions end.

        Who set them may have been another: nobody had shown until now that the address is theirs. Returns the
        person as they are then. Raises UnknownPerson, DuplicateIdentity.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            enter_identity(connection, issuer, subject, person_id, self._clock())
            set_password(connection, person_id, "", None)
            values = {"factor": None, "factor_offered": None, "recovery": "[]"}
            connection.execute(update(people).where(people.c.id == person_id).values(**values))
            found = find_person(connection, person_id)
            assert found is not None
            return found

    def create(
        self, issuer: str, subject: str, person: Person, organisation_id: str, given: Mapping[str, Role]
    ) -> None:
        """Stores a new person with their identity and a place in an organisation.

        Raises DuplicatePerson, DuplicateIdentity, InvalidName.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            create_person(connection, person)
            join(connection, organisation_id, person.id, is_owner=False, given=given)
            enter_identity(connection, issuer, subject, person.id, self._clock())

    def forget(self, person_id: str) -> bool:
        """Forgets who the person is at providers. Returns whether that was known."""
        with self._database.changing(Area.PEOPLE) as connection:
            own = delete(identities).where(identities.c.person_id == person_id)
            return connection.execute(own).rowcount > 0

    def take_return(self, digest: str, expires_us: int) -> bool:
        """Whether this log-in comes back for the first time. It is remembered until it expires."""
        with self._database.writing() as connection:
            connection.execute(delete(openid_returns).where(openid_returns.c.expires_us <= self._clock()))
            known = select(openid_returns.c.digest).where(openid_returns.c.digest == digest)
            if connection.execute(known).first() is not None:
                return False
            connection.execute(insert(openid_returns), {"digest": digest, "expires_us": expires_us})
            return True


def enter_identity(
    connection: Connection, issuer: str, subject: str, person_id: str, created_us: int
) -> None:
    """Makes this the person's identity at its issuer, where it is nobody's and they have none there.

    Raises DuplicateIdentity.
    """
    known = _find(connection, issuer, subject)
    own = select(identities.c.subject).where(
        identities.c.issuer == issuer, identities.c.person_id == person_id
    )
    if (known is not None and known.person_id is not None) or connection.execute(own).first() is not None:
        raise DuplicateIdentity("The person is known by another account of the provider.")
    this = identities.c.issuer == issuer, identities.c.subject == subject
    connection.execute(delete(identities).where(*this))
    values = {"issuer": issuer, "subject": subject, "person_id": person_id, "created_us": created_us}
    connection.execute(insert(identities), values)


def _find(connection: Connection, issuer: str, subject: str) -> Identity | None:
    this = identities.c.issuer == issuer, identities.c.subject == subject
    row = connection.execute(select(identities).where(*this)).first()
    return None if row is None else Identity(row.issuer, row.subject, row.person_id)
