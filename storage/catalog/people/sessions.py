"""Sessions of the pages. The catalog holds a digest of each token, never the token."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select

from storage.catalog.database.versions import Area
from storage.catalog.people.people import standing_of
from storage.catalog.people.records import Session, Standing
from storage.catalog.repository import Repository
from storage.catalog.tables import invitations, password_links, people, sessions

_FIELDS = tuple(Session.__dataclass_fields__)


class Sessions(Repository):
    """Sessions by the digest of their token, and by person."""

    def create(self, session: Session, *, password: str = "", instead_of: str | None = None) -> bool:
        """Begins a session, ends the one with the id ``instead_of``, and forgets those that have expired.

        ``password`` is the hash that the person of the session has proved. False, and nothing begins, where
        they have another by now, or are gone: a change of the password ends what began with the one before.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            if session.person_id is not None:
                same = people.c.id == session.person_id, people.c.password == password
                if connection.execute(select(people.c.id).where(*same)).first() is None:
                    return False
            connection.execute(delete(sessions).where(sessions.c.expires_us <= self._clock()))
            if instead_of is not None:
                connection.execute(delete(sessions).where(sessions.c.id == instead_of))
            connection.execute(insert(sessions), {name: getattr(session, name) for name in _FIELDS})
            return True

    def find(self, digest: str) -> tuple[Session, Standing | None] | None:
        """The session with its person's standing, from one view; None where there is none.

        The standing is None for a key's session. Whether it has expired is for the caller to judge.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(sessions).where(sessions.c.digest == digest)).first()
            if row is None:
                return None
            session = _session(row)
            if session.person_id is None:
                return session, None
            standing = standing_of(connection, session.person_id)
            return None if standing is None else (session, standing)

    def of_person(self, person_id: str) -> list[Session]:
        """The person's sessions, newest first, without those that have expired."""
        own = sessions.c.person_id == person_id, sessions.c.expires_us > self._clock()
        with self._database.reading() as connection:
            found = connection.execute(select(sessions).where(*own).order_by(sessions.c.number.desc()))
            return [_session(row) for row in found]

    def end(self, session_id: str, person_id: str | None = None) -> bool:
        """Ends a session, with ``person_id`` only if it is that person's. Returns whether there was one."""
        ended = delete(sessions).where(sessions.c.id == session_id)
        if person_id is not None:
            ended = ended.where(sessions.c.person_id == person_id)
        with self._database.changing(Area.PEOPLE) as connection:
            return connection.execute(ended).rowcount == 1

    def end_all(self, person_id: str) -> int:
        """Ends all sessions of a person; returns how many there were."""
        with self._database.changing(Area.PEOPLE) as connection:
            return connection.execute(delete(sessions).where(sessions.c.person_id == person_id)).rowcount

    def end_everything(self) -> None:
        """Ends all sessions, and voids all one-time links."""
        with self._database.changing(Area.PEOPLE) as connection:
            for table in (sessions, invitations, password_links):
                connection.execute(delete(table))


def _session(row: Any) -> Session:
    return Session(**{name: getattr(row, name) for name in _FIELDS})
