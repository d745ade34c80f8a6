"""Access keys.

The catalog never stores a plain key, only its digest for lookups and the key sealed with the server's secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.errors import UnknownAccessKey, WrongSecret
from storage.catalog.keyring import Keyring, public_id
from storage.catalog.repository import Repository
from storage.catalog.tables import access_keys
from storage.catalog.tenants.projects import project_row, touch_project
from storage.catalog.tenants.records import AccessKey

_COLUMNS = (
    access_keys.c.project_id,
    access_keys.c.digest,
    access_keys.c.sealed,
    access_keys.c.name,
    access_keys.c.is_active,
    access_keys.c.permitted,
    access_keys.c.options,
    access_keys.c.created_us,
    access_keys.c.public_id,
)
_BY_PROJECT = access_keys.c.project_id == bindparam("project")
_THIS = _BY_PROJECT & (access_keys.c.digest == bindparam("wanted"))
_BY_PUBLIC_ID = _BY_PROJECT & (access_keys.c.public_id == bindparam("wanted"))
_FIND = select(*_COLUMNS).where(_THIS)
_FIND_PUBLIC = select(*_COLUMNS).where(_BY_PUBLIC_ID)
_LIST = select(*_COLUMNS).where(_BY_PROJECT).order_by(access_keys.c.number)
_NAMED = _LIST.where(access_keys.c.name == bindparam("named"))
_WITHOUT_PUBLIC_ID = select(*_COLUMNS).where(access_keys.c.public_id.is_(None))
_UPDATE = update(access_keys).where(_THIS)
_DELETE = delete(access_keys).where(_THIS)


class AccessKeys(Repository):
    """Access keys by project and digest."""

    def create(self, key: AccessKey) -> None:
        """Stores a new access key. Raises UnknownProject."""
        with self._database.changing(Area.TENANTS) as connection:
            project_row(connection, key.project_id)
            touch_project(connection, key.project_id)
            values = {
                "project_id": key.project_id,
                "digest": key.digest,
                "sealed": key.sealed,
                "created_us": key.created_us,
                "public_id": key.public_id,
                **_written(key.name, key.is_active, key.permitted, key.options),
            }
            connection.execute(insert(access_keys), values)

    def find(self, project_id: str, digest: str) -> AccessKey | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, digest)

    def find_public(self, project_id: str, public_id: str) -> AccessKey | None:
        """The access key that embed tokens name by this id."""
        with self._database.reading() as connection:
            row = connection.execute(_FIND_PUBLIC, {"project": project_id, "wanted": public_id}).first()
            return None if row is None else _read(row)

    def of_project(
        self, project_id: str, *, name: str | None = None, offset: int = 0, limit: int = 1_000_000
    ) -> list[AccessKey]:
        """The project's access keys, oldest first; with ``name`` only those of exactly this name."""
        with self._database.reading() as connection:
            statement = (_LIST if name is None else _NAMED).offset(offset).limit(limit)
            values = {"project": project_id} | ({} if name is None else {"named": name})
            return [_read(row) for row in connection.execute(statement, values)]

    def update(
        self,
        project_id: str,
        digest: str,
        *,
        name: str,
        is_active: bool | None,
        permitted: tuple[str, ...],
        options: Mapping[str, Any],
    ) -> AccessKey:
        """Replaces all changeable fields; ``is_active`` None leaves it unchanged. Raises UnknownAccessKey."""
        with self._database.changing(Area.TENANTS) as connection:
            values = _written(name, bool(is_active), permitted, options)
            if is_active is None:
                del values["is_active"]
            return _update(connection, project_id, digest, values)

    def activate(self, project_id: str, digest: str, active: bool) -> AccessKey:
        """Activates or revokes an access key. Raises UnknownAccessKey."""
        with self._database.changing(Area.TENANTS) as connection:
            return _update(connection, project_id, digest, {"is_active": active})

    def delete(self, project_id: str, digest: str) -> None:
        """Raises UnknownAccessKey."""
        with self._database.changing(Area.TENANTS) as connection:
            if not connection.execute(_DELETE, {"project": project_id, "wanted": digest}).rowcount:
                raise UnknownAccessKey
            touch_project(connection, project_id)


def seal_context(project_id: str, digest: str) -> str:
    """The context under which an access key is sealed."""
    return f"{project_id}/{digest}"


def fill_public_ids(connection: Connection, keyring: Keyring) -> None:
    """Give their public id to the keys of an older format. Those sealed with another secret are left out."""
    for row in connection.execute(_WITHOUT_PUBLIC_ID).all():
        try:
            key = keyring.unseal(row.sealed, seal_context(row.project_id, row.digest))
        except WrongSecret:
            continue
        this = {"project": row.project_id, "wanted": row.digest}
        connection.execute(_UPDATE.values(public_id=public_id(key)), this)


def _find(connection: Connection, project_id: str, digest: str) -> AccessKey | None:
    row = connection.execute(_FIND, {"project": project_id, "wanted": digest}).first()
    return None if row is None else _read(row)


def _update(connection: Connection, project_id: str, digest: str, values: dict[str, Any]) -> AccessKey:
    connection.execute(_UPDATE.values(**values), {"project": project_id, "wanted": digest})
    key = _find(connection, project_id, digest)
    if key is None:
        raise UnknownAccessKey
    touch_project(connection, project_id)
    return key


def _written(
    name: str, is_active: bool, permitted: tuple[str, ...], options: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "is_active": is_active,
        "permitted": json.dumps(permitted),
        "options": json.dumps(options),
    }


def _read(row: Any) -> AccessKey:
    return AccessKey(
        project_id=row.project_id,
        digest=row.digest,
        sealed=row.sealed,
        name=row.name,
        is_active=bool(row.is_active),
        permitted=tuple(json.loads(row.permitted)),
        options=json.loads(row.options),
        created_us=row.created_us,
        public_id=row.public_id,
    )
