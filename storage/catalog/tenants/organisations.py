"""Organisations, each with a key. Keys are sealed in the tables and plain in the records."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from storage.catalog.database.connection import Database, version_now
from storage.catalog.database.versions import Area
from storage.catalog.errors import (
    OrganisationInUse,
    UnknownOrganisation,
    WrongSecret,
)
from storage.catalog.keyring import SEALED, Keyring
from storage.catalog.repository import Repository
from storage.catalog.tables import organisations, projects
from storage.catalog.tenants.names import check_name, new_id
from storage.catalog.tenants.records import Organisation

FIRST_ORGANISATION = "First organisation"
_ORGANISATIONS = (
    select(organisations.c.id, organisations.c.name, organisations.c.key, organisations.c.created_us)
    .where(organisations.c.deleted_us.is_(None))
    .order_by(organisations.c.number)
)
_FIRST = select(organisations.c.id).order_by(organisations.c.number).limit(1)
_CHANGE_ORGANISATION = (
    update(organisations)
    .where(organisations.c.id == bindparam("wanted"), organisations.c.deleted_us.is_(None))
    .values(changed=version_now(Area.TENANTS))
)
_CHANGED = (
    select(
        organisations.c.id,
        organisations.c.name,
        organisations.c.key,
        organisations.c.created_us,
        organisations.c.deleted_us,
    )
    .where(organisations.c.changed > bindparam("since"))
    .order_by(organisations.c.number)
)


class Organisations(Repository):
    """Organisations, each with a key of its own."""

    def __init__(self, database: Database, clock: Callable[[], int], keyring: Keyring) -> None:
        super().__init__(database, clock)
        self._keyring = keyring

    def create(self, name: str) -> Organisation:
        """Creates an organisation with a new key. Raises InvalidName."""
        with self._database.changing(Area.TENANTS) as connection:
            return _create(connection, self._keyring, name, self._clock())

    def all(self) -> list[Organisation]:
        """All organisations, oldest first."""
        with self._database.reading() as connection:
            return [_organisation(self._keyring, row) for row in connection.execute(_ORGANISATIONS)]

    def first_id(self) -> str | None:
        """The organisation that was made first, even if it is deleted: no other ever takes its place."""
        with self._database.reading() as connection:
            found: str | None = connection.execute(_FIRST).scalar()
            return found

    def rename(self, organisation_id: str, name: str) -> None:
        """Raises UnknownOrganisation, InvalidName."""
        with self._database.changing(Area.TENANTS) as connection:
            check_name(name, "An organisation")
            _change_organisation(connection, organisation_id, name=name)

    def renew_key(self, organisation_id: str) -> str:
        """Replaces the organisation's key and returns the new one. Raises UnknownOrganisation."""
        with self._database.changing(Area.TENANTS) as connection:
            key = _new_organisation_key()
            _change_organisation(
                connection, organisation_id, key=self._keyring.seal_text(key, organisation_id)
            )
            return key

    def delete(self, organisation_id: str, *, with_projects: bool) -> None:
        """Deletes an organisation irrevocably. Its projects are deleted as by ``Projects.delete``, but cannot
        be restored.

        Raises UnknownOrganisation, and OrganisationInUse where it has projects, unless ``with_projects``.
        """
        with self._database.changing(Area.TENANTS) as connection:
            now_us = self._clock()
            _change_organisation(connection, organisation_id, deleted_us=now_us, name="deleted", key="")
            own = projects.c.organisation_id == organisation_id, projects.c.deleted_us.is_(None)
            deleted = connection.execute(
                update(projects).where(*own).values(deleted_us=now_us, changed=version_now(Area.TENANTS))
            ).rowcount
            if deleted and not with_projects:
                raise OrganisationInUse(f"Organisation {organisation_id} has projects: {deleted}.")


def _create(connection: Connection, keyring: Keyring, name: str, now_us: int) -> Organisation:
    check_name(name, "An organisation")
    organisation = Organisation(new_id(), name, _new_organisation_key(), now_us)
    sealed = keyring.seal_text(organisation.key, organisation.id)
    values = {"id": organisation.id, "name": name, "key": sealed, "created_us": now_us}
    connection.execute(insert(organisations).values(changed=version_now(Area.TENANTS)), values)
    return organisation


def _change_organisation(connection: Connection, organisation_id: str, **values: Any) -> None:
    changed = connection.execute(_CHANGE_ORGANISATION.values(**values), {"wanted": organisation_id})
    if changed.rowcount != 1:
        raise UnknownOrganisation(f"There is no organisation {organisation_id}.")


def changed_organisations(
    connection: Connection, keyring: Keyring, since: int
) -> tuple[list[Organisation], frozenset[str]]:
    """The organisations that changed after this version, oldest first, and the ids of those deleted since.

    Raises WrongSecret.
    """
    rows = connection.execute(_CHANGED, {"since": since}).all()
    changed = [_organisation(keyring, row) for row in rows if row.deleted_us is None]
    return changed, frozenset(row.id for row in rows if row.deleted_us is not None)


def _organisation(keyring: Keyring, row: Any) -> Organisation:
    return Organisation(row.id, row.name, _organisation_key(keyring, row.id, row.key), row.created_us)


def _organisation_key(keyring: Keyring, organisation_id: str, sealed: str) -> str:
    try:
        return keyring.unseal_text(sealed, organisation_id)
    except WrongSecret:
        whose = f"organisation {organisation_id}"
        raise wrong_secret(whose, f"orgs rekey {organisation_id}") from None


def _new_organisation_key() -> str:
    return secrets.token_hex(32).upper()


def organisation_for(
    connection: Connection, keyring: Keyring, organisation_id: str | None, now_us: int
) -> str:
    """The id of this organisation; if None, of the oldest, which is created if there is none.

    Raises UnknownOrganisation.
    """
    existing: list[str] = [row.id for row in connection.execute(_ORGANISATIONS)]
    if organisation_id is not None:
        if organisation_id not in existing:
            raise UnknownOrganisation(f"There is no organisation {organisation_id}.")
        return organisation_id
    if existing:
        return existing[0]
    return _create(connection, keyring, FIRST_ORGANISATION, now_us).id


def seal_organisation_keys(connection: Connection, keyring: Keyring) -> bool:
    """Seals keys that an older format stored unsealed. True where there were any."""
    unsealed = connection.execute(_ORGANISATIONS.where(organisations.c.key.not_like(SEALED + "%"))).all()
    for row in unsealed:
        _change_organisation(connection, row.id, key=keyring.seal_text(row.key, row.id))
    return bool(unsealed)


def wrong_secret(whose: str, command: str) -> WrongSecret:
    """The error for keys that cannot be unsealed; ``command`` is the one that makes new keys."""
    return WrongSecret(
        f"The keys of {whose} were sealed with another secret: put the file secret.key of the data folder "
        f"back or set ACUMEN_SECRET_KEY as it was, or make new keys: acumen {command}."
    )
