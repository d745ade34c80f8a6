"""Imports: files that were uploaded, and the claims under which their events are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.derived.job_queue import JobQueue, check_project
from storage.catalog.derived.records import ImportCounts, ImportJob, ImportState, NewImport
from storage.catalog.repository import Repository
from storage.catalog.tables import imports

STARTABLE = (ImportState.UPLOADED, ImportState.FAILED, ImportState.CANCELLED)
"""States from which an import may be started; its file is there."""

_COLUMNS = tuple(imports.c)
_COUNTS = tuple(ImportCounts.__dataclass_fields__)
_UNENDED = (ImportState.QUEUED, ImportState.RUNNING)
_QUEUE = JobQueue(imports, ImportState.QUEUED, ImportState.RUNNING)


class HeldImports(NamedTuple):
    """Counts of one project, or of those in it that one key or person has."""

    uploading: int
    files: int
    """Files that are kept or on their way."""
    all: int


class Imports(Repository):
    """Files to import, and how far their imports are."""

    def create(
        self,
        new: NewImport,
        expires_us: int,
        admit: Callable[[HeldImports, HeldImports], None] = lambda *_: None,
    ) -> ImportJob:
        """Enters an upload that begins. ``admit`` is called in the transaction with what the project has and
        what the key has of it, and may raise. Raises UnknownProject."""
        with self._database.changing(Area.DERIVED) as connection:
            admit(*_held(connection, new.project_id, new.key_id))
            check_project(connection, new.project_id)
            values: dict[str, Any] = {
                **asdict(new),
                **asdict(ImportCounts()),
                "state": ImportState.UPLOADING,
                "bytes": 0,
                "again": False,
                "cancelled": False,
                "created_us": self._clock(),
                "expires_us": expires_us,
                "attempts": 0,
            }
            connection.execute(insert(imports), values)
            return _found(connection, new.project_id, new.id)

    def uploaded(self, job: ImportJob, size: int, digest: str) -> ImportJob | None:
        """Records that the whole file is there; None where the upload was removed meanwhile."""
        with self._database.changing(Area.DERIVED) as connection:
            values = {"state": ImportState.UPLOADED, "bytes": size, "digest": digest}
            done = connection.execute(
                update(imports)
                .where(imports.c.number == job.number, imports.c.state == ImportState.UPLOADING)
                .values(values)
            )
            return _found(connection, job.project_id, job.id) if done.rowcount else None

    def find(self, project_id: str, import_id: str) -> ImportJob | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, import_id)

    def of_project(
        self, project_id: str, *, before: int | None = None, limit: int | None = None
    ) -> list[ImportJob]:
        """The project's imports, newest first; with ``before`` those with numbers below it."""
        with self._database.reading() as connection:
            query = (
                select(*_COLUMNS).where(imports.c.project_id == project_id).order_by(imports.c.number.desc())
            )
            if before is not None:
                query = query.where(imports.c.number < before)
            return [_import(row) for row in connection.execute(query.limit(limit))]

    def start(
        self,
        job: ImportJob,
        collection: str,
        options: str,
        *,
        again: bool,
        expires_us: int,
        key: tuple[str, str],
    ) -> ImportJob | None:
        """Queues the import for the caller with this (key id, id of quotas); None where its state does not
        allow that. It goes on where it was, if nothing was changed."""
        with self._database.changing(Area.DERIVED) as connection:
            now = _find(connection, job.project_id, job.id)
            if now is None or now.state not in STARTABLE:
                return None
            values: dict[str, Any] = {
                "state": ImportState.QUEUED,
                "message": None,
                "collection": collection,
                "options": options,
                "again": again,
                "cancelled": False,
                "ended_us": None,
                "expires_us": expires_us,
                "attempts": 0,
                "reasons": None,
                "key_id": key[0],
                "counted_as": key[1],
            }
            if (now.collection, now.options, now.again) != (collection, options, again):
                values |= asdict(ImportCounts())
            connection.execute(update(imports).where(imports.c.number == job.number).values(values))
            return _find(connection, job.project_id, job.id)

    def cancel(self, job: ImportJob, now_us: int) -> None:
        """Asks that the import ends, if it runs; one that waits ends at once."""
        with self._database.changing(Area.DERIVED) as connection:
            mine = update(imports).where(imports.c.number == job.number)
            ended = {"state": ImportState.CANCELLED, "cancelled": True, "ended_us": now_us}
            done = connection.execute(mine.where(imports.c.state == ImportState.QUEUED).values(ended))
            if not done.rowcount:
                running = mine.where(imports.c.state == ImportState.RUNNING)
                connection.execute(running.values(cancelled=True))

    def claim(self, claim: str, now_us: int, lease_us: int) -> ImportJob | None:
        """Claims the next import without a valid claim, until ``lease_us``; None if there is none."""
        row = _QUEUE.claim(self._database, claim, now_us, lease_us)
        return None if row is None else _import(row)

    def progress(self, job: ImportJob, counts: ImportCounts, lease_us: int) -> bool | None:
        """Records progress and extends the lease; whether the import is to go on. None where the claim is no
        longer valid."""
        with self._database.writing() as connection:
            if not _QUEUE.change(connection, job, {**asdict(counts), "lease_us": lease_us}):
                return None
            now = _find(connection, job.project_id, job.id)
            return now is not None and not now.cancelled

    def release(self, job: ImportJob, *, forgiven: bool = False) -> bool:
        """Queues the import again; with ``forgiven`` the attempt is not counted. False where the claim is no
        longer valid."""
        with self._database.writing() as connection:
            return _QUEUE.release(connection, job, forgiven=forgiven)

    def end(
        self,
        job: ImportJob,
        state: ImportState,
        counts: ImportCounts,
        *,
        now_us: int,
        message: str | None = None,
        reasons: str | None = None,
    ) -> bool:
        """Records the end. False where the claim is no longer valid."""
        with self._database.changing(Area.DERIVED) as connection:
            values = {
                **asdict(counts),
                "state": state,
                "message": message,
                "reasons": reasons,
                "claim": None,
                "lease_us": None,
                "ended_us": now_us,
            }
            return _QUEUE.change(connection, job, values)

    def overdue(self, now_us: int) -> list[ImportJob]:
        """Imports that have been kept for their time, and neither wait nor run."""
        with self._database.reading() as connection:
            query = select(*_COLUMNS).where(
                imports.c.expires_us <= now_us, imports.c.state.not_in((*_UNENDED, ImportState.UPLOADING))
            )
            return [_import(row) for row in connection.execute(query)]

    def in_state(self, state: ImportState) -> list[ImportJob]:
        with self._database.reading() as connection:
            query = select(*_COLUMNS).where(imports.c.state == state)
            return [_import(row) for row in connection.execute(query)]

    def ids(self) -> set[str]:
        """The ids of all imports, after which their files are named."""
        with self._database.reading() as connection:
            return set(connection.execute(select(imports.c.id)).scalars())

    def held(self, project_id: str, key_id: str) -> tuple[HeldImports, HeldImports]:
        """What the project has, and what the key has of it."""
        with self._database.reading() as connection:
            return _held(connection, project_id, key_id)

    def remove(self, job: ImportJob) -> None:
        """Deletes an import; the caller must remove its files."""
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(delete(imports).where(imports.c.number == job.number))


def _find(connection: Connection, project_id: str, import_id: str) -> ImportJob | None:
    query = select(*_COLUMNS).where(imports.c.project_id == project_id, imports.c.id == import_id)
    row = connection.execute(query).first()
    return None if row is None else _import(row)


def _found(connection: Connection, project_id: str, import_id: str) -> ImportJob:
    job = _find(connection, project_id, import_id)
    assert job is not None
    return job


def _held(connection: Connection, project_id: str, key_id: str) -> tuple[HeldImports, HeldImports]:
    own = imports.c.key_id == key_id
    uploading, unfinished = imports.c.state == ImportState.UPLOADING, imports.c.state != ImportState.DONE
    counts = [
        func.count().filter(uploading),
        func.count().filter(unfinished),
        func.count(),
        func.count().filter(uploading, own),
        func.count().filter(unfinished, own),
        func.count().filter(own),
    ]
    found = connection.execute(select(*counts).where(imports.c.project_id == project_id)).one()
    return HeldImports(found[0], found[1], found[2]), HeldImports(found[3], found[4], found[5])


def _import(row: Row[Any]) -> ImportJob:
    values: dict[str, Any] = dict(row._mapping)
    values["state"] = ImportState(row.state)
    values["counts"] = ImportCounts(**{name: values.pop(name) for name in _COUNTS})
    return ImportJob(**values)
