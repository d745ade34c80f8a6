"""The audit log: who did what. It is bounded by age and by number of entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.catalog.people.records import AuditEntry
from storage.catalog.repository import Repository
from storage.catalog.tables import audit, projects

KEPT_DAYS = 400
KEPT_ENTRIES = 1_000_000
COLLECTION = "event_collection"
"""The detail that names a collection."""
_NAMES = (COLLECTION, "properties", "filtered_by")
"""The details that hold names of collections and properties."""
_DAY_US = 86_400_000_000
_FIELDS = tuple(name for name in AuditEntry.__dataclass_fields__ if name not in ("id", "details"))


class AuditLog(Repository):
    """Entries by organisation, newest first. No reader caches them, so that they raise no version."""

    kept_entries = KEPT_ENTRIES

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """Adds entries as of now, and deletes those that are too old or too many."""
        if not entries:
            return
        now_us = self._clock()
        values = [
            {name: getattr(one, name) for name in _FIELDS}
            | {"at_us": now_us, "details": json.dumps(dict(one.details))}
            for one in entries
        ]
        with self._database.writing() as connection:
            connection.execute(insert(audit), values)
            newest = connection.execute(select(func.max(audit.c.id))).scalar_one()
            connection.execute(delete(audit).where(audit.c.at_us < now_us - KEPT_DAYS * _DAY_US))
            connection.execute(delete(audit).where(audit.c.id <= newest - self.kept_entries))

    def page(
        self,
        organisation_id: str,
        *,
        before: int | None = None,
        limit: int = 100,
        project_id: str | None = None,
        kind: str | None = None,
        actor: str | None = None,
    ) -> list[AuditEntry]:
        """The organisation's entries, newest first, with ids below ``before``.

        ``kind`` and ``actor``: by actors of this kind, and by who has this id or name.
        """
        wanted = select(audit).where(audit.c.organisation_id == organisation_id)
        if before is not None:
            wanted = wanted.where(audit.c.id < before)
        if project_id is not None:
            wanted = wanted.where(audit.c.project_id == project_id)
        if kind is not None:
            wanted = wanted.where(audit.c.actor_kind == kind)
        if actor is not None:
            wanted = wanted.where((audit.c.actor_id == actor) | (audit.c.actor_name == actor))
        with self._database.reading() as connection:
            found = connection.execute(wanted.order_by(audit.c.id.desc()).limit(limit))
            return [_entry(row) for row in found]


def forget_names(connection: Connection, project_id: str, collection: str | None = None) -> None:
    """Remove the names of a collection that is gone, and of its properties, from the entries about it.

    Names may be data of people too. Without ``collection``: those of all collections of the project.
    """
    organisation = select(projects.c.organisation_id).where(projects.c.id == project_id).scalar_subquery()
    mentioned = json.dumps(COLLECTION if collection is None else collection)
    entries = select(audit.c.id, audit.c.details).where(
        # The index is by organisation, and this runs within a transaction that others wait for.
        audit.c.organisation_id == organisation,
        audit.c.project_id == project_id,
        audit.c.details.contains(mentioned, autoescape=True),
    )
    for row in connection.execute(entries).all():
        details = json.loads(row.details)
        if COLLECTION not in details or collection not in (None, details[COLLECTION]):
            continue
        kept = {name: value for name, value in details.items() if name not in _NAMES}
        connection.execute(update(audit).where(audit.c.id == row.id).values(details=json.dumps(kept)))


def _entry(row: Any) -> AuditEntry:
    fields = {name: getattr(row, name) for name in _FIELDS}
    return AuditEntry(**fields, id=row.id, details=json.loads(row.details))
