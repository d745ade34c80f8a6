"""Organisations, projects and their keys. Each function runs inside its caller's transaction.

Keys stand sealed in the tables, and are open in the records.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.errors import (
    DuplicateProject,
    InvalidName,
    OrganisationInUse,
    UnknownOrganisation,
    UnknownProject,
    WrongSecret,
)
from storage.catalog.keyring import SEALED, Keyring
from storage.catalog.records import KeyKind, Organisation, Project, request_scope
from storage.catalog.tables import claims, organisations, project_keys, projects
from storage.catalog.tenants import activity

NAME_LENGTH_MAX = 256
PROJECT_ID_LENGTH_MAX = 64
KEY_LENGTH_MIN = 8
KEY_LENGTH_MAX = 256
FIRST_ORGANISATION = "First organisation"
FIRST_PROJECT = "First project"

PURGING = 0
"""Instead of the time of a purge: it has begun."""

_WRONG = (
    "The keys of {} were sealed with another secret: put the file secret.key of the data folder back or set "
    "ACUMEN_SECRET_KEY as it was, or make new keys: acumen {}."
)
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]+")
_ORGANISATIONS = (
    select(organisations.c.id, organisations.c.name, organisations.c.key, organisations.c.created_us)
    .where(organisations.c.deleted_us.is_(None))
    .order_by(organisations.c.number)
)
_CHANGE_ORGANISATION = update(organisations).where(
    organisations.c.id == bindparam("wanted"), organisations.c.deleted_us.is_(None)
)
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


def create_organisation(connection: Connection, keyring: Keyring, name: str, now_us: int) -> Organisation:
    _check_name(name, "An organisation")
    organisation = Organisation(new_id(), name, _new_organisation_key(), now_us)
    sealed = keyring.seal_text(organisation.key, organisation.id)
    values = {"id": organisation.id, "name": name, "key": sealed, "created_us": now_us}
    connection.execute(insert(organisations), values)
    return organisation


def list_organisations(connection: Connection, keyring: Keyring) -> list[Organisation]:
    """Oldest first. Raises WrongSecret."""
    return [
        Organisation(row.id, row.name, _organisation_key(keyring, row.id, row.key), row.created_us)
        for row in connection.execute(_ORGANISATIONS)
    ]


def rename_organisation(connection: Connection, organisation_id: str, name: str) -> None:
    """Raises UnknownOrganisation, InvalidName."""
    _check_name(name, "An organisation")
    _change_organisation(connection, organisation_id, name=name)


def renew_organisation_key(connection: Connection, keyring: Keyring, organisation_id: str) -> str:
    """The new key; the old one is dead. Raises UnknownOrganisation."""
    key = _new_organisation_key()
    _change_organisation(connection, organisation_id, key=keyring.seal_text(key, organisation_id))
    return key


def delete_organisation(
    connection: Connection, organisation_id: str, now_us: int, *, with_projects: bool
) -> None:
    """Raises UnknownOrganisation, and OrganisationInUse where it has projects and they are not meant too."""
    _change_organisation(connection, organisation_id, deleted_us=now_us, name="deleted", key="")
    theirs = projects.c.organisation_id == organisation_id, projects.c.deleted_us.is_(None)
    deleted = connection.execute(update(projects).where(*theirs).values(deleted_us=now_us)).rowcount
    if deleted and not with_projects:
        raise OrganisationInUse(f"Organisation {organisation_id} has projects: {deleted}.")


def _change_organisation(connection: Connection, organisation_id: str, **values: Any) -> None:
    changed = connection.execute(_CHANGE_ORGANISATION.values(**values), {"wanted": organisation_id})
    if changed.rowcount != 1:
        raise UnknownOrganisation(f"There is no organisation {organisation_id}.")


def create_project(
    connection: Connection,
    keyring: Keyring,
    name: str,
    *,
    project_id: str | None,
    organisation_id: str | None,
    keys: dict[KeyKind, str | None],
    now_us: int,
    users: Sequence[str] = (),
    preferences: Mapping[str, Any] | None = None,
    own_name: bool = False,
) -> Project:
    """What is not given is made up; without an organisation it goes to the oldest, made if need be."""
    _check_name(name, "A project")
    if project_id is not None:
        _check_token(project_id, "project id", 1, PROJECT_ID_LENGTH_MAX)
    chosen = _choose_keys(keys)
    project = Project(
        id=new_id() if project_id is None else project_id,
        name=name,
        organisation_id=_organisation_for(connection, keyring, organisation_id, now_us),
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
    connection.execute(insert(projects), values)
    rows = [_key_row(keyring, project.id, kind, key) for kind, key in chosen.items()]
    connection.execute(insert(project_keys), rows)
    return project


def list_projects(connection: Connection, keyring: Keyring, *, deleted: bool = False) -> list[Project]:
    """Oldest first. ``deleted``: those that are, and whose data is still there. Raises WrongSecret."""
    keys: dict[str, dict[str, str]] = {}
    for project_id, kind, key in connection.execute(_KEYS):
        keys.setdefault(project_id, {})[kind] = key
    rows = connection.execute(_DELETED if deleted else _PROJECTS)
    return [_project(row, _project_keys(keyring, row.id, keys[row.id])) for row in rows]


def find_project(connection: Connection, keyring: Keyring, project_id: str) -> Project:
    """Raises UnknownProject, WrongSecret."""
    row = project_row(connection, project_id)
    keys = {kind: key for _, kind, key in connection.execute(_KEYS_OF_PROJECT, {"wanted": project_id})}
    return _project(row, _project_keys(keyring, project_id, keys))


def update_project(
    connection: Connection,
    keyring: Keyring,
    project_id: str,
    *,
    name: str | None,
    users: Sequence[str] | None,
    preferences: Mapping[str, Any] | None,
    own_name: bool,
) -> Project:
    """What is None stays. Raises UnknownProject, InvalidName, DuplicateProject."""
    project = find_project(connection, keyring, project_id)
    values: dict[str, Any] = {}
    if name is not None:
        _check_name(name, "A project")
        if own_name:
            _refuse_twin(connection, project.organisation_id, name, project_id)
        values["name"] = name
    if users is not None:
        values["users"] = json.dumps(list(users))
    if preferences is not None:
        values["preferences"] = json.dumps(dict(preferences))
    if values:
        connection.execute(_CHANGE.values(**values), {"wanted": project_id})
    return find_project(connection, keyring, project_id)


def _refuse_twin(connection: Connection, organisation_id: str, name: str, project_id: str) -> None:
    twins = _PROJECTS.where(
        projects.c.organisation_id == organisation_id, projects.c.name == name, projects.c.id != project_id
    )
    if connection.execute(twins).first() is not None:
        raise DuplicateProject("Duplicate project name: the organisation has a project of this name.")


def renew_project_keys(
    connection: Connection, keyring: Keyring, project_id: str, keys: Mapping[KeyKind, str | None]
) -> None:
    """Other keys of these kinds, made up where None is given. Raises UnknownProject, InvalidName."""
    project_row(connection, project_id)
    chosen = {kind: _checked_key(kind, key) for kind, key in keys.items()}
    of_kinds = project_keys.c.kind.in_([kind.value for kind in chosen])
    connection.execute(delete(project_keys).where(project_keys.c.project_id == project_id, of_kinds))
    rows = [_key_row(keyring, project_id, kind, key) for kind, key in chosen.items()]
    connection.execute(insert(project_keys), rows)
    # Those that were not given may be sealed with a secret that is lost: such a key opens nothing.
    with suppress(WrongSecret):
        project = find_project(connection, keyring, project_id)
        chosen = {KeyKind.MASTER: project.master_key, KeyKind.WRITE: project.write_key}
        chosen |= {KeyKind.READ: project.read_key}
    _check_distinct(chosen.values())


def seal_keys(connection: Connection, keyring: Keyring) -> bool:
    """Seals the keys that are not yet, of an older format. True where there were any."""
    some = False
    for row in connection.execute(_KEYS.where(project_keys.c.key.not_like(SEALED + "%"))).all():
        own = project_keys.c.project_id == row.project_id, project_keys.c.kind == row.kind
        sealed = keyring.seal_text(row.key, _context(row.project_id, KeyKind(row.kind)))
        connection.execute(update(project_keys).where(*own).values(key=sealed))
        some = True
    open_ones = _ORGANISATIONS.where(organisations.c.key.not_like(SEALED + "%"))
    for organisation in connection.execute(open_ones).all():
        sealed = keyring.seal_text(organisation.key, organisation.id)
        _change_organisation(connection, organisation.id, key=sealed)
        some = True
    return some


def mark_deleted(connection: Connection, project_id: str, deleted_us: int | None) -> None:
    """Deletes a project, or (None) brings it back while its purge has not begun.

    Raises UnknownProject, and UnknownOrganisation where its own was deleted with it.
    """
    if deleted_us is None:
        _refuse_homeless(connection, project_id)
    change = _CHANGE.where(projects.c.purged_us.is_(None)).values(deleted_us=deleted_us)
    if connection.execute(change, {"wanted": project_id}).rowcount != 1:
        raise UnknownProject(f"There is no project {project_id} to bring back.")


def _refuse_homeless(connection: Connection, project_id: str) -> None:
    own = select(organisations.c.id).join(projects, projects.c.organisation_id == organisations.c.id)
    gone = own.where(projects.c.id == project_id, organisations.c.deleted_us.is_not(None))
    found = connection.execute(gone).scalar()
    if found is not None:
        raise UnknownOrganisation(
            f"The project's organisation {found} is deleted: it can not be brought back."
        )


def begin_purge(connection: Connection, project: Project) -> bool:
    """From now on it can not be brought back. False where it was, or is not the one that was deleted."""
    same = projects.c.deleted_us == project.deleted_us
    open_still = projects.c.purged_us.is_(None) | (projects.c.purged_us == PURGING)
    change = _CHANGE.where(same, open_still).values(purged_us=PURGING)
    return connection.execute(change, {"wanted": project.id}).rowcount == 1


def end_purge(connection: Connection, project: Project, now_us: int) -> None:
    """Its keys go, and what names people or repeats what they sent."""
    blank = {"purged_us": now_us, "name": "purged", "users": "[]", "preferences": "{}"}
    connection.execute(_CHANGE.values(**blank), {"wanted": project.id})
    connection.execute(delete(project_keys).where(project_keys.c.project_id == project.id))
    connection.execute(delete(claims).where(claims.c.scope == request_scope(project.id)))
    activity.forget(connection, project.id)


def new_id() -> str:
    """24 lower-case hex digits."""
    return secrets.token_hex(12)


def project_row(connection: Connection, project_id: str) -> Any:
    """As it stands in the table, without keys. Raises UnknownProject."""
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
        raise WrongSecret(_WRONG.format(f"project {project_id}", f"projects rekey {project_id}")) from None


def _organisation_key(keyring: Keyring, organisation_id: str, sealed: str) -> str:
    try:
        return keyring.unseal_text(sealed, organisation_id)
    except WrongSecret:
        whose = f"organisation {organisation_id}"
        raise WrongSecret(_WRONG.format(whose, f"orgs rekey {organisation_id}")) from None


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
    """Master keys are 32 bytes in hex, as clients unhex them to encrypt; the others only look alike."""
    return secrets.token_hex(32 if kind is KeyKind.MASTER else 64).upper()


def _new_organisation_key() -> str:
    return secrets.token_hex(32).upper()


def _choose_keys(given: dict[KeyKind, str | None]) -> dict[KeyKind, str]:
    chosen = {kind: _checked_key(kind, given.get(kind)) for kind in KeyKind}
    _check_distinct(chosen.values())
    return chosen


def _checked_key(kind: KeyKind, given: str | None) -> str:
    """The key, made up where there is none. Raises InvalidName."""
    key = _new_key(kind) if given is None else given
    _check_token(key, f"{kind.value} key", KEY_LENGTH_MIN, KEY_LENGTH_MAX)
    return key


def _check_distinct(keys: Collection[str]) -> None:
    if len(set(keys)) < len(keys):
        raise InvalidName("The three keys of a project must differ.")


def _organisation_for(
    connection: Connection, keyring: Keyring, organisation_id: str | None, now_us: int
) -> str:
    existing: list[str] = [row.id for row in connection.execute(_ORGANISATIONS)]
    if organisation_id is not None:
        if organisation_id not in existing:
            raise UnknownOrganisation(f"There is no organisation {organisation_id}.")
        return organisation_id
    if existing:
        return existing[0]
    return create_organisation(connection, keyring, FIRST_ORGANISATION, now_us).id


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
