"""One-time links to set a password. The catalog holds a digest of each token, never the token."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from storage.catalog.database.versions import Area
from storage.catalog.errors import UnknownInvitation
from storage.catalog.people.people import set_password
from storage.catalog.repository import Repository
from storage.catalog.tables import password_links


class PasswordLinks(Repository):
    """Links by the digest of their token; a person has one at most."""

    def create(self, person_id: str, digest: str, expires_us: int) -> None:
        """Stores a link, in place of an earlier one of the person."""
        with self._database.writing() as connection:
            connection.execute(delete(password_links).where(password_links.c.expires_us <= self._clock()))
            connection.execute(delete(password_links).where(password_links.c.person_id == person_id))
            values = {"person_id": person_id, "digest": digest, "expires_us": expires_us}
            connection.execute(insert(password_links), values)

    def person_of(self, digest: str) -> str:
        """The id of the person whose password it sets. Raises UnknownInvitation."""
        with self._database.reading() as connection:
            return self._person_of(connection, digest)

    def use(self, digest: str, password: str) -> str:
        """Sets the password's hash, ends all sessions of the person, and uses the link up.

        Returns the person's id. Raises UnknownInvitation, UnknownPerson.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            person_id = self._person_of(connection, digest)
            set_password(connection, person_id, password, None)
            return person_id

    def _person_of(self, connection: Connection, digest: str) -> str:
        row = connection.execute(select(password_links).where(password_links.c.digest == digest)).first()
        if row is None or row.expires_us <= self._clock():
            raise UnknownInvitation("The link was used or has expired.")
        person_id: str = row.person_id
        return person_id
