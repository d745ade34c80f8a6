"""The audit log: who did what, by whichever way."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple

from service.threads import in_thread
from storage.catalog.people.audit import AuditLog
from storage.catalog.people.records import AuditEntry, Person

_log = logging.getLogger("acumen.audit")
NAME_LENGTH_MAX = 256


class Actor(NamedTuple):
    """``kind`` is person, key or shell."""

    kind: str
    id: str
    name: str


SHELL = Actor("shell", "", "shell")


def actor_of(person: Person) -> Actor:
    return Actor("person", person.id, person.email)


class Audit:
    """Writes the audit log for an event loop. A log that cannot be written is reported, and stops nothing."""

    def __init__(self, log: AuditLog, executor: Executor) -> None:
        self._audit = log
        self._executor = executor

    async def note(
        self,
        actor: Actor,
        action: str,
        organisation_ids: Iterable[str | None],
        *,
        object: str = "",
        project_id: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Enters what was done, once for each organisation that it is about."""
        entries = entries_of(actor, action, organisation_ids, object, project_id, details)
        await in_thread(self._executor, self.write, entries)

    def write(self, entries: list[AuditEntry]) -> None:
        """As ``note``, on a thread of the caller's."""
        try:
            self._audit.add(entries)
        except Exception:
            _log.exception("The audit log could not be written.")


def entries_of(
    actor: Actor,
    action: str,
    organisation_ids: Iterable[str | None],
    object: str = "",
    project_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> list[AuditEntry]:
    """An entry for each of the organisations."""
    return [
        AuditEntry(
            actor.kind,
            actor.id,
            actor.name,
            action,
            object[:NAME_LENGTH_MAX].encode("utf-8", "replace").decode(),
            organisation_id,
            project_id,
            details or {},
        )
        for organisation_id in organisation_ids
    ]
