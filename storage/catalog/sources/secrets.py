"""Named secrets of projects, which connections use. They stand sealed in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.database.connection import Database
from storage.catalog.database.versions import Area
from storage.catalog.derived.job_queue import check_project
from storage.catalog.keyring import Keyring
from storage.catalog.repository import Repository
from storage.catalog.sources.records import NamedSecret
from storage.catalog.tables import secrets

_OF_PROJECT = (
    select(
        secrets.c.project_id, secrets.c.name, secrets.c.sealed, secrets.c.created_us, secrets.c.modified_us
    )
    .where(secrets.c.project_id == bindparam("wanted_project"))
    .order_by(secrets.c.name)
)
_ONE = _OF_PROJECT.where(secrets.c.name == bindparam("wanted_name"))


class Secrets(Repository):
    """Secrets by project and name."""

    def __init__(self, database: Database, clock: Callable[[], int], keyring: Keyring) -> None:
        super().__init__(database, clock)
        self._keyring = keyring

    def of_project(self, project_id: str) -> list[NamedSecret]:
        """The project's secrets without their values, ordered by name."""
        with self._database.reading() as connection:
            rows = connection.execute(_OF_PROJECT, {"wanted_project": project_id}).all()
        return [NamedSecret(row.name, row.created_us, row.modified_us) for row in rows]

    def value(self, project_id: str, name: str) -> str | None:
        """The secret itself; None where there is none of the name. Raises WrongSecret."""
        with self._database.reading() as connection:
            row = _row(connection, project_id, name)
        return None if row is None else self._keyring.unseal_text(row.sealed, _context(project_id, name))

    def put(self, project_id: str, name: str, value: str) -> bool:
        """Creates or replaces a secret; whether it is a new one. Raises UnknownProject."""
        sealed = self._keyring.seal_text(value, _context(project_id, name))
        with self._database.changing(Area.DERIVED) as connection:
            check_project(connection, project_id)
            now_us, old = self._clock(), _row(connection, project_id, name)
            values = {"sealed": sealed, "modified_us": now_us}
            if old is None:
                key = {"project_id": project_id, "name": name, "created_us": now_us}
                connection.execute(insert(secrets), [key | values])
            else:
                connection.execute(update(secrets).where(*_this(project_id, name)).values(values))
            return old is None

    def remove(self, project_id: str, name: str) -> bool:
        """Removes a secret. False where there is none of the name."""
        with self._database.changing(Area.DERIVED) as connection:
            return connection.execute(delete(secrets).where(*_this(project_id, name))).rowcount > 0


def _this(project_id: str, name: str) -> tuple[Any, Any]:
    return secrets.c.project_id == project_id, secrets.c.name == name


def _row(connection: Connection, project_id: str, name: str) -> Any:
    return connection.execute(_ONE, {"wanted_project": project_id, "wanted_name": name}).first()


def _context(project_id: str, name: str) -> str:
    return f"{project_id}/secret/{name}"
