"""Organisations, projects and their keys. Each function runs inside its caller's transaction."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog_errors import DuplicateProject, InvalidName, UnknownOrganisation, UnknownProject
from storage.catalog_records import KeyKind, Organisation, Project
from storage.catalog_tables import organisations, project_keys, projects

NAME_LENGTH_MAX = 256
PROJECT_ID_LENGTH_MAX = 64
KEY_LENGTH_MIN = 8
KEY_LENGTH_MAX = 256
FIRST_ORGANISATION = "First organisation"
FIRST_PROJECT = "First project"

PURGING = 0
"""Instead of the time of a purge: it has begun."""

_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]+")
_ORGANISATIONS = select(
    organisations.c.id, organisations.c.name, organisations.c.key, organisations.c.created_us
).order_by(organisations.c.number)
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
_DELETED = _ALL_PROJECTS.where(
    projects.c.deleted_us.is_not(None), projects.c.purged_us.is_(None) | (projects.c.purged_us == PURGING)
)
_ANY_PROJECT = select(*_PROJECT_COLUMNS).where(projects.c.id == bindparam("wanted"))
_PROJECT = _ANY_PROJECT.where(projects.c.deleted_us.is_(None))
_CHANGE = update(projects).where(projects.c.id == bindparam("wanted"))
_KEYS_OF_PROJECT = _KEYS.where(project_keys.c.project_id == bindparam("wanted"))


def create_organisation(connection: Connection, name: str, now_us: int) -> Organisation:
    _check_name(name, "An organisation")
    organisation = Organisation(new_id(), name, secrets.token_hex(32).upper(), now_us)
    values = {"id": organisation.id, "name": name, "key": organisation.key, "created_us": now_us}
    connection.execute(insert(organisations), values)
    return organisation


def list_organisations(connection: Connection) -> list[Organisation]:
    """Oldest first."""
    return [Organisation(*row) for row in connection.execute(_ORGANISATIONS)]


def create_project(
    connection: Connection,
    name: str,
    *,
    project_id: str | None,
    organisation_id: str | None,
    keys: dict[KeyKind, str | None],
    now_us: int,
    users: Sequence[str] = (),
    preferences: Mapping[str, Any] | None = None,
) -> Project:
    """What is not given is made up; without an organisation it goes to the oldest, made if need be."""
    _check_name(name, "A project")
    if project_id is not None:
        _check_token(project_id, "project id", 1, PROJECT_ID_LENGTH_MAX)
    chosen = _choose_keys(keys)
    project = Project(
        id=new_id() if project_id is None else project_id,
        name=name,
        organisation_id=_organisation_for(connection, organisation_id, now_us),
        master_key=chosen[KeyKind.MASTER],
        write_key=chosen[KeyKind.WRITE],
        read_key=chosen[KeyKind.READ],
        created_us=now_us,
        users=tuple(users),
        preferences=dict(preferences or {}),
    )
    if connection.execute(_ANY_PROJECT, {"wanted": project.id}).first() is not None:
        raise DuplicateProject(f"There already is a project {project.id}.")
    values = {
        "id": project.id,
        "name": name,
        "organisation_id": project.organisation_id,
        "created_us": now_us,
        "users": json.dumps(project.users),
        "preferences": json.dumps(project.preferences),
    }
    connection.execute(insert(projects), values)
    rows = [{"project_id": project.id, "key": key, "kind": kind.value} for kind, key in chosen.items()]
    connection.execute(insert(project_keys), rows)
    return project


def list_projects(connection: Connection, *, deleted: bool = False) -> list[Project]:
    """Oldest first. ``deleted``: those that are, and whose data is still there."""
    keys: dict[str, dict[str, str]] = {}
    for project_id, kind, key in connection.execute(_KEYS):
        keys.setdefault(project_id, {})[kind] = key
    return [_project(row, keys[row.id]) for row in connection.execute(_DELETED if deleted else _PROJECTS)]


def find_project(connection: Connection, project_id: str) -> Project:
    row = connection.execute(_PROJECT, {"wanted": project_id}).first()
    if row is None:
        raise UnknownProject(f"There is no project {project_id}.")
    keys = {kind: key for _, kind, key in connection.execute(_KEYS_OF_PROJECT, {"wanted": project_id})}
    return _project(row, keys)


def update_project(
    connection: Connection,
    project_id: str,
    *,
    name: str | None,
    users: Sequence[str] | None,
    preferences: Mapping[str, Any] | None,
) -> Project:
    """What is None stays. Raises UnknownProject, InvalidName."""
    find_project(connection, project_id)
    values: dict[str, Any] = {}
    if name is not None:
        _check_name(name, "A project")
        values["name"] = name
    if users is not None:
        values["users"] = json.dumps(list(users))
    if preferences is not None:
        values["preferences"] = json.dumps(dict(preferences))
    if values:
        connection.execute(_CHANGE.values(**values), {"wanted": project_id})
    return find_project(connection, project_id)


def mark_deleted(connection: Connection, project_id: str, deleted_us: int | None) -> None:
    """Deletes a project, or (None) brings it back while its purge has not begun. Raises UnknownProject."""
    change = _CHANGE.where(projects.c.purged_us.is_(None)).values(deleted_us=deleted_us)
    if connection.execute(change, {"wanted": project_id}).rowcount != 1:
        raise UnknownProject(f"There is no project {project_id} to bring back.")


def begin_purge(connection: Connection, project: Project) -> bool:
    """From now on it can not be brought back. False where it was, or is not the one that was deleted."""
    same = projects.c.deleted_us == project.deleted_us
    open_still = projects.c.purged_us.is_(None) | (projects.c.purged_us == PURGING)
    change = _CHANGE.where(same, open_still).values(purged_us=PURGING)
    return connection.execute(change, {"wanted": project.id}).rowcount == 1


def end_purge(connection: Connection, project: Project, now_us: int) -> None:
    """Its keys go, and what names people."""
    blank = {"purged_us": now_us, "name": "purged", "users": "[]", "preferences": "{}"}
    connection.execute(_CHANGE.values(**blank), {"wanted": project.id})
    connection.execute(delete(project_keys).where(project_keys.c.project_id == project.id))


def new_id() -> str:
    """24 lower-case hex digits."""
    return secrets.token_hex(12)


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


def _choose_keys(given: dict[KeyKind, str | None]) -> dict[KeyKind, str]:
    """Master keys are 32 bytes in hex, as clients unhex them to encrypt; the others only look alike."""
    chosen: dict[KeyKind, str] = {}
    for kind in KeyKind:
        key = given.get(kind)
        if key is None:
            key = secrets.token_hex(32 if kind is KeyKind.MASTER else 64).upper()
        _check_token(key, f"{kind.value} key", KEY_LENGTH_MIN, KEY_LENGTH_MAX)
        chosen[kind] = key
    if len(set(chosen.values())) < len(chosen):
        raise InvalidName("The three keys of a project must differ.")
    return chosen


def _organisation_for(connection: Connection, organisation_id: str | None, now_us: int) -> str:
    existing = [organisation.id for organisation in list_organisations(connection)]
    if organisation_id is not None:
        if organisation_id not in existing:
            raise UnknownOrganisation(f"There is no organisation {organisation_id}.")
        return organisation_id
    return existing[0] if existing else create_organisation(connection, FIRST_ORGANISATION, now_us).id


def _check_name(name: str, whose: str) -> None:
    if not name.strip() or len(name) > NAME_LENGTH_MAX or not is_text(name):
        raise InvalidName(f"{whose}'s name must have 1 to {NAME_LENGTH_MAX} characters, not only spaces.")


def _check_token(value: str, what: str, length_min: int, length_max: int) -> None:
    if not length_min <= len(value) <= length_max or not _ALPHANUMERIC.fullmatch(value):
        raise InvalidName(
            f"A {what} must be {length_min} to {length_max} ASCII letters and digits."
            # The value itself may be a secret and stays out of the message.
        )


def is_text(value: str) -> bool:
    """False for strings with lone surrogates, which have no UTF-8 form."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
