"""Projects and their keys.

Keys are sealed in the tables and plain in the records.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from storage.catalog.database.checksums import UNVERIFIED
from storage.catalog.database.connection import Database, slices, version_now
from storage.catalog.database.versions import Area
from storage.catalog.errors import (
    DuplicateProject,
    InvalidName,
    UnknownOrganisation,
    UnknownProject,
    WrongSecret,
)
from storage.catalog.keyring import SEALED, Keyring
from storage.catalog.people.audit import forget_names
from storage.catalog.repository import Repository
from storage.catalog.stored.records import request_scope
from storage.catalog.tables import claims, organisations, project_keys, projects
from storage.catalog.tenants import activity
from storage.catalog.tenants.names import PROJECT_ID_LENGTH_MAX, check_name, check_token, new_id
from storage.catalog.tenants.organisations import organisation_for, seal_organisation_keys, wrong_secret
from storage.catalog.tenants.records import KeyKind, Project, Usage
from storage.catalog.tenants.usage import usage_by_project

KEY_LENGTH_MIN = 8
KEY_LENGTH_MAX = 256
FIRST_PROJECT = "First project"

PURGING = 0
"""Stored as the time of a purge that has begun and not ended."""

_KEYS = select(project_keys.c.project_id, project_keys.c.kind, project_keys.c.key)
_PROJECT_COLUMNS = (
    projects.c.id,
    projects.c.name,
    projects.c.organisation_id,
    projects.c.created_us,
    projects.c.users,
    projects.c.preferences,
    projects.c.deleted_us,
)
_ALL_PROJECTS = select(*_PROJECT_COLUMNS).order_by(projects.c.number)
_PROJECTS = _ALL_PROJECTS.where(projects.c.deleted_us.is_(None))
_IDS = select(projects.c.id).where(projects.c.deleted_us.is_(None))
# Verifying the rows of thousands of projects takes a processor for a tenth of a second, and this is a number
# for the metrics.
_NUMBER = (
    select(func.count())
    .select_from(projects)
    .where(projects.c.deleted_us.is_(None))
    .execution_options(**{UNVERIFIED: True})
)
_DELETED = _ALL_PROJECTS.where(
    projects.c.deleted_us.is_not(None), projects.c.purged_us.is_(None) | (projects.c.purged_us == PURGING)
)
_ANY_PROJECT = select(*_PROJECT_COLUMNS).where(projects.c.id == bindparam("wanted"))
_PROJECT = _ANY_PROJECT.where(projects.c.deleted_us.is_(None))
_CHANGE = (
    update(projects).where(projects.c.id == bindparam("wanted")).values(changed=version_now(Area.TENANTS))
)
_CHANGED = _ALL_PROJECTS.where(projects.c.changed > bindparam("since"))
_KEYS_OF_PROJECT = _KEYS.where(project_keys.c.project_id == bindparam("wanted"))
_KEYS_OF_PROJECTS = _KEYS.where(project_keys.c.project_id.in_(bindparam("ids", expanding=True)))


class Projects(Repository):
    """Projects, their keys and preferences."""

    def __init__(self, database: Database, clock: Callable[[], int], keyring: Keyring) -> None:
        super().__init__(database, clock)
        self._keyring = keyring

    def create(
        self,
        name: str,
        *,
        id: str | None = None,
        organisation_id: str | None = None,
        master_key: str | None = None,
        write_key: str | None = None,
        read_key: str | None = None,
        users: Sequence[str] = (),
        preferences: Mapping[str, Any] | None = None,
        own_name: bool = False,
    ) -> Project:
        """Creates a project. By default its id and keys are generated, and it belongs to the oldest
        organisation. ``own_name`` requires the name to be unique in the organisation.

        Raises InvalidName, DuplicateProject, UnknownOrganisation.
        """
        keys = {KeyKind.MASTER: master_key, KeyKind.WRITE: write_key, KeyKind.READ: read_key}
        with self._database.changing(Area.TENANTS) as connection:
            return create_project(
                connection,
                self._keyring,
                name,
                project_id=id,
                organisation_id=organisation_id,
                keys=keys,
                now_us=self._clock(),
                users=users,
                preferences=preferences,
                own_name=own_name,
            )

    def update(
        self,
        project_id: str,
        *,
        name: str | None = None,
        users: Sequence[str] | None = None,
        preferences: Mapping[str, Any] | None = None,
        own_name: bool = False,
    ) -> Project:
        """Changes the fields that are not None; ``own_name`` is as in ``create``.

        Raises UnknownProject, InvalidName, DuplicateProject.
        """
        with self._database.changing(Area.TENANTS) as connection:
            project = find_project(connection, self._keyring, project_id)
            values: dict[str, Any] = {}
            if name is not None:
                check_name(name, "A project")
                if own_name:
                    _refuse_twin(connection, project.organisation_id, name, project_id)
                values["name"] = name
            if users is not None:
                values["users"] = json.dumps(list(users))
            if preferences is not None:
                values["preferences"] = json.dumps(dict(preferences))
            if values:
                connection.execute(_CHANGE.values(**values), {"wanted": project_id})
            return find_project(connection, self._keyring, project_id)

    def renew_keys(self, project_id: str, keys: Mapping[KeyKind, str | None]) -> None:
        """Replaces the keys of these kinds, by generated ones where None is given.

        Raises UnknownProject, InvalidName.
        """
        with self._database.changing(Area.TENANTS) as connection:
            project_row(connection, project_id)
            touch_project(connection, project_id)
            chosen = {kind: _checked_key(kind, key) for kind, key in keys.items()}
            of_kinds = project_keys.c.kind.in_([kind.value for kind in chosen])
            connection.execute(delete(project_keys).where(project_keys.c.project_id == project_id, of_kinds))
            rows = [_key_row(self._keyring, project_id, kind, key) for kind, key in chosen.items()]
            connection.execute(insert(project_keys), rows)
            # Other keys may be sealed with a lost secret. They are then unusable, so the new keys need
            # not differ from them.
            with suppress(WrongSecret):
                project = find_project(connection, self._keyring, project_id)
                chosen = {KeyKind.MASTER: project.master_key, KeyKind.WRITE: project.write_key}
                chosen |= {KeyKind.READ: project.read_key}
            _check_distinct(chosen.values())

    def delete(self, project_id: str) -> None:
        """Deletes a project: its keys are invalid at once, its data remains until it is purged.

        Raises UnknownProject.
        """
        with self._database.changing(Area.TENANTS) as connection:
            find_project(connection, self._keyring, project_id)
            mark_deleted(connection, project_id, self._clock())

    def restore(self, project_id: str) -> Project:
        """Restores a deleted project with its keys and data. Raises UnknownProject where it was purged."""
        with self._database.changing(Area.TENANTS) as connection:
            mark_deleted(connection, project_id, None)
            return find_project(connection, self._keyring, project_id)

    def deleted(self) -> list[Project]:
        """Deleted projects whose purge has not ended, oldest first."""
        with self._database.reading() as connection:
            return list_projects(connection, self._keyring, _DELETED)

    def begin_purge(self, project: Project) -> bool:
        """Begins the purge of a deleted project, which can then no longer be restored.

        False where it has been restored meanwhile.
        """
        with self._database.changing(Area.TENANTS) as connection:
            still_deleted = projects.c.deleted_us == project.deleted_us
            not_purged = projects.c.purged_us.is_(None) | (projects.c.purged_us == PURGING)
            change = _CHANGE.where(still_deleted, not_purged).values(purged_us=PURGING)
            return connection.execute(change, {"wanted": project.id}).rowcount == 1

    def end_purge(self, project: Project) -> None:
        """Ends a purge once all data is deleted or its deletion is requested: removes keys and names too."""
        with self._database.changing(Area.TENANTS) as connection:
            blank = {"purged_us": self._clock(), "name": "purged", "users": "[]", "preferences": "{}"}
            connection.execute(_CHANGE.values(**blank), {"wanted": project.id})
            connection.execute(delete(project_keys).where(project_keys.c.project_id == project.id))
            connection.execute(delete(claims).where(claims.c.scope == request_scope(project.id)))
            activity.forget(connection, project.id)
            forget_names(connection, project.id)

    def ensure_first(self) -> tuple[Project, bool]:
        """The oldest project, created if there is none, and whether this call created it."""
        oldest = _PROJECTS.limit(1)
        with self._database.reading() as connection:
            existing = list_projects(connection, self._keyring, oldest)
        if existing:
            return existing[0], False
        with self._database.changing(Area.TENANTS) as connection:
            existing = list_projects(connection, self._keyring, oldest)
            if existing:
                return existing[0], False
            now_us = self._clock()
            return create_project(connection, self._keyring, FIRST_PROJECT, keys={}, now_us=now_us), True

    def usage(self) -> Mapping[str, Usage]:
        """Project id → its usage; projects without any are left out."""
        with self._database.reading() as connection:
            return usage_by_project(connection)

    def all(self) -> list[Project]:
        """All projects, oldest first."""
        with self._database.reading() as connection:
            return list_projects(connection, self._keyring)

    def of_organisation(self, organisation_id: str) -> list[Project]:
        """The organisation's projects, oldest first."""
        with self._database.reading() as connection:
            own = _PROJECTS.where(projects.c.organisation_id == organisation_id)
            return list_projects(connection, self._keyring, own)

    def ids(self) -> frozenset[str]:
        with self._database.reading() as connection:
            return frozenset(connection.execute(_IDS).scalars())

    def number(self) -> int:
        """The number of projects without deleted ones, from rows that are not verified."""
        with self._database.reading() as connection:
            number: int = connection.execute(_NUMBER).scalar_one()
            return number

    def get(self, project_id: str) -> Project:
        """Raises UnknownProject."""
        with self._database.reading() as connection:
            return find_project(connection, self._keyring, project_id)


def create_project(
    connection: Connection,
    keyring: Keyring,
    name: str,
    *,
    keys: Mapping[KeyKind, str | None],
    now_us: int,
    project_id: str | None = None,
    organisation_id: str | None = None,
    users: Sequence[str] = (),
    preferences: Mapping[str, Any] | None = None,
    own_name: bool = False,
) -> Project:
    """Creates a project; ids and keys that are not given are generated. By default it belongs to the oldest
    organisation, which is created if there is none."""
    check_name(name, "A project")
    if project_id is not None:
        check_token(project_id, "project id", 1, PROJECT_ID_LENGTH_MAX)
    chosen = _choose_keys(keys)
    project = Project(
        id=new_id() if project_id is None else project_id,
        name=name,
        organisation_id=organisation_for(connection, keyring, organisation_id, now_us),
        master_key=chosen[KeyKind.MASTER],
        write_key=chosen[KeyKind.WRITE],
        read_key=chosen[KeyKind.READ],
        created_us=now_us,
        users=tuple(users),
        preferences=dict(preferences or {}),
    )
    if connection.execute(_ANY_PROJECT, {"wanted": project.id}).first() is not None:
        raise DuplicateProject(f"There already is a project {project.id}.")
    if own_name:
        _refuse_twin(connection, project.organisation_id, name, project.id)
    values = {
        "id": project.id,
        "name": name,
        "organisation_id": project.organisation_id,
        "created_us": now_us,
        "users": json.dumps(project.users),
        "preferences": json.dumps(project.preferences),
    }
    connection.execute(insert(projects).values(changed=version_now(Area.TENANTS)), values)
    rows = [_key_row(keyring, project.id, kind, key) for kind, key in chosen.items()]
    connection.execute(insert(project_keys), rows)
    return project


def list_projects(
    connection: Connection, keyring: Keyring, statement: Select[Any] = _PROJECTS
) -> list[Project]:
    """The selected projects, oldest first. Raises WrongSecret."""
    rows = connection.execute(statement).all()
    keys = _keys_of(connection, [row.id for row in rows])
    return [_project(row, _project_keys(keyring, row.id, keys[row.id])) for row in rows]


def find_project(connection: Connection, keyring: Keyring, project_id: str) -> Project:
    """Raises UnknownProject, WrongSecret."""
    row = project_row(connection, project_id)
    keys = {kind: key for _, kind, key in connection.execute(_KEYS_OF_PROJECT, {"wanted": project_id})}
    return _project(row, _project_keys(keyring, project_id, keys))


def _refuse_twin(connection: Connection, organisation_id: str, name: str, project_id: str) -> None:
    twins = _PROJECTS.where(
        projects.c.organisation_id == organisation_id, projects.c.name == name, projects.c.id != project_id
    )
    if connection.execute(twins).first() is not None:
        raise DuplicateProject(
            "Duplicate project name: the organisation already has a project with this name."
        )


def seal_keys(connection: Connection, keyring: Keyring) -> bool:
    """Seals keys that an older format stored unsealed. True where there were any."""
    any_sealed = seal_organisation_keys(connection, keyring)
    for row in connection.execute(_KEYS.where(project_keys.c.key.not_like(SEALED + "%"))).all():
        own = project_keys.c.project_id == row.project_id, project_keys.c.kind == row.kind
        sealed = keyring.seal_text(row.key, _context(row.project_id, KeyKind(row.kind)))
        connection.execute(update(project_keys).where(*own).values(key=sealed))
        any_sealed = True
    return any_sealed


def mark_deleted(connection: Connection, project_id: str, deleted_us: int | None) -> None:
    """Marks a project as deleted, or with None restores it if its purge has not begun.

    Raises UnknownProject, and UnknownOrganisation where its organisation is deleted too.
    """
    if deleted_us is None:
        _refuse_deleted_organisation(connection, project_id)
    change = _CHANGE.where(projects.c.purged_us.is_(None)).values(deleted_us=deleted_us)
    if connection.execute(change, {"wanted": project_id}).rowcount != 1:
        raise UnknownProject(f"There is no project {project_id} to bring back.")


def _refuse_deleted_organisation(connection: Connection, project_id: str) -> None:
    own = select(organisations.c.id).join(projects, projects.c.organisation_id == organisations.c.id)
    gone = own.where(projects.c.id == project_id, organisations.c.deleted_us.is_not(None))
    deleted_id = connection.execute(gone).scalar()
    if deleted_id is not None:
        raise UnknownOrganisation(
            f"The project's organisation {deleted_id} is deleted, so it cannot be restored."
        )


def touch_project(connection: Connection, project_id: str) -> None:
    """Records that a key of the project has changed."""
    connection.execute(_CHANGE, {"wanted": project_id})


def changed_projects(
    connection: Connection, keyring: Keyring, since: int
) -> tuple[list[Project], frozenset[str]]:
    """The projects that changed after this version, oldest first, and the ids of those deleted since.

    Raises WrongSecret.
    """
    rows = connection.execute(_CHANGED, {"since": since}).all()
    alive = [row for row in rows if row.deleted_us is None]
    keys = _keys_of(connection, [row.id for row in alive])
    changed = [_project(row, _project_keys(keyring, row.id, keys[row.id])) for row in alive]
    return changed, frozenset(row.id for row in rows if row.deleted_us is not None)


def _keys_of(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Project id → kind → sealed key."""
    keys: dict[str, dict[str, str]] = {project_id: {} for project_id in ids}
    for batch in slices(ids):
        for project_id, kind, key in connection.execute(_KEYS_OF_PROJECTS, {"ids": batch}):
            keys[project_id][kind] = key
    return keys


def project_row(connection: Connection, project_id: str) -> Any:
    """The project's row, without keys. Raises UnknownProject where there is none or it is deleted."""
    row = connection.execute(_PROJECT, {"wanted": project_id}).first()
    if row is None:
        raise UnknownProject(f"There is no project {project_id}.")
    return row


def _key_row(keyring: Keyring, project_id: str, kind: KeyKind, key: str) -> dict[str, str]:
    sealed = keyring.seal_text(key, _context(project_id, kind))
    return {"project_id": project_id, "key": sealed, "kind": kind.value}


def _context(project_id: str, kind: KeyKind) -> str:
    return f"{project_id}/{kind.value}"


def _project_keys(keyring: Keyring, project_id: str, sealed: Mapping[str, str]) -> dict[str, str]:
    try:
        return {
            kind: keyring.unseal_text(text, _context(project_id, KeyKind(kind)))
            for kind, text in sealed.items()
        }
    except WrongSecret:
        raise wrong_secret(f"project {project_id}", f"projects rekey {project_id}") from None


def _project(row: Any, keys: Mapping[str, str]) -> Project:
    return Project(
        id=row.id,
        name=row.name,
        organisation_id=row.organisation_id,
        master_key=keys[KeyKind.MASTER],
        write_key=keys[KeyKind.WRITE],
        read_key=keys[KeyKind.READ],
        created_us=row.created_us,
        users=tuple(json.loads(row.users)),
        preferences=json.loads(row.preferences),
        deleted_us=row.deleted_us,
    )


def _new_key(kind: KeyKind) -> str:
    """A random key. Master keys are 32 bytes in hex, which clients decode to an encryption key; the other
    kinds only look alike."""
    return secrets.token_hex(32 if kind is KeyKind.MASTER else 64).upper()


def _choose_keys(given: Mapping[KeyKind, str | None]) -> dict[KeyKind, str]:
    checked = {kind: _checked_key(kind, given.get(kind)) for kind in KeyKind}
    _check_distinct(checked.values())
    return checked


def _checked_key(kind: KeyKind, chosen: str | None) -> str:
    """The given key, or a generated one if None. Raises InvalidName."""
    key = _new_key(kind) if chosen is None else chosen
    check_token(key, f"{kind.value} key", KEY_LENGTH_MIN, KEY_LENGTH_MAX)
    return key


def _check_distinct(keys: Collection[str]) -> None:
    if len(set(keys)) < len(keys):
        raise InvalidName("The three keys of a project must differ.")
