"""Exports: extraction jobs, the claims under which they run, and the files that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, or_, select, update

from storage.catalog.database.versions import Area
from storage.catalog.derived.job_queue import JobQueue, check_project
from storage.catalog.derived.records import ExportFile, ExportJob, ExportState, MailState, NewExport
from storage.catalog.repository import Repository
from storage.catalog.stored.collections import moment
from storage.catalog.tables import collections, exports, projects

DONE_WITH = "{}"
"""Replaces the query of a job that has ended, since its filters may contain personal data."""

_COLUMNS = tuple(exports.c)
_NAMED = select(*_COLUMNS).where(
    exports.c.project_id == bindparam("project"), exports.c.id == bindparam("named")
)
_UNENDED = (ExportState.QUEUED, ExportState.RUNNING)
_QUEUE = JobQueue(exports, ExportState.QUEUED, ExportState.RUNNING)
_OUTDATED = (
    select(*_COLUMNS)
    .join(
        collections,
        and_(collections.c.project_id == exports.c.project_id, collections.c.name == exports.c.collection),
    )
    .where(
        exports.c.state == ExportState.DONE,
        exports.c.collection_id != 0,
        or_(
            collections.c.id != exports.c.collection_id,
            collections.c.erase_version != exports.c.erase_version,
        ),
    )
)
_OVERDUE = select(*_COLUMNS).where(
    exports.c.state == ExportState.DONE, exports.c.expires_us <= bindparam("now")
)
_MAIL_DUE = (
    select(*_COLUMNS)
    .join(projects, projects.c.id == exports.c.project_id)
    .where(
        exports.c.mail_state == MailState.WAITING,
        exports.c.mail_us <= bindparam("now"),
        projects.c.deleted_us.is_(None),
    )
    .order_by(exports.c.mail_us)
    .limit(1)
)


class Exports(Repository):
    """Jobs that export events to files."""

    def create(self, new: NewExport, admit: Callable[[int, int, int], None] = lambda *_: None) -> ExportJob:
        """Creates a job. ``admit`` is called in the transaction with the values of ``held`` and may raise.

        Raises UnknownProject.
        """
        with self._database.changing(Area.DERIVED) as connection:
            admit(*_held(connection, new.project_id))
            check_project(connection, new.project_id)
            values = {
                "id": new.id,
                "project_id": new.project_id,
                "key_id": new.key_id,
                "audience": new.audience,
                "collection": new.collection,
                "question": new.question,
                "format": new.format,
                "gzip": new.gzip,
                "email": new.email,
                "state": ExportState.QUEUED,
                "created_us": self._clock(),
                "attempts": 0,
                "events": 0,
                "mail_attempts": 0,
            }
            connection.execute(insert(exports), values)
            export = _find(connection, new.project_id, new.id)
            assert export is not None
            return export

    def find(self, project_id: str, export_id: str) -> tuple[ExportJob, tuple[int, int]] | None:
        """A job, and the id and erase version of its collection, from one consistent view."""
        with self._database.reading() as connection:
            export = _find(connection, project_id, export_id)
            if export is None:
                return None
            return export, moment(connection, project_id, export.collection)

    def of_project(
        self,
        project_id: str,
        *,
        of: tuple[str, str] | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[ExportJob]:
        """The project's jobs, newest first.

        ``of`` selects a (key id, audience), and ``before`` the jobs with numbers below it.
        """
        with self._database.reading() as connection:
            query = (
                select(*_COLUMNS).where(exports.c.project_id == project_id).order_by(exports.c.number.desc())
            )
            if of is not None:
                query = query.where(exports.c.key_id == of[0], exports.c.audience == of[1])
            if before is not None:
                query = query.where(exports.c.number < before)
            return [_export(row) for row in connection.execute(query.limit(limit))]

    def held(self, project_id: str) -> tuple[int, int, int]:
        """Counts of a project: jobs that wait or run, all jobs, and bytes of files."""
        with self._database.reading() as connection:
            return _held(connection, project_id)

    def claim(self, claim: str, now_us: int, lease_us: int) -> ExportJob | None:
        """Claims the next job without a valid claim, until ``lease_us``; None if there is none."""
        row = _QUEUE.claim(self._database, claim, now_us, lease_us, events=0, total=None)
        return None if row is None else _export(row)

    def progress(self, export: ExportJob, events: int, total: int | None, lease_us: int) -> bool:
        """Records progress and extends the lease. False where the claim is no longer valid."""
        with self._database.writing() as connection:
            return _QUEUE.change(connection, export, {"events": events, "total": total, "lease_us": lease_us})

    def release(self, export: ExportJob, *, forgiven: bool = False) -> bool:
        """Queues the job again; with ``forgiven`` the attempt is not counted. False where the claim is no
        longer valid."""
        with self._database.writing() as connection:
            return _QUEUE.release(connection, export, forgiven=forgiven)

    def finish(self, export: ExportJob, file: ExportFile, now_us: int, expires_us: int) -> bool:
        """Records the finished file. False, and nothing is changed, where the claim is no longer valid, or
        events of the collection were erased or changed since they were read."""
        with self._database.changing(Area.DERIVED) as connection:
            now = moment(connection, export.project_id, export.collection)
            if file.collection_id and now != (file.collection_id, file.erase_version):
                return False
            values = {
                "state": ExportState.DONE,
                "events": file.events,
                "total": file.events,
                "bytes": file.bytes,
                "file": file.name,
                "collection_id": file.collection_id,
                "erase_version": file.erase_version,
                "expires_us": expires_us,
            }
            return _QUEUE.change(connection, export, values | _ending(export, now_us))

    def fail(self, export: ExportJob, message: str, now_us: int) -> bool:
        """Records a failure. False where the claim is no longer valid."""
        with self._database.changing(Area.DERIVED) as connection:
            values = {"state": ExportState.FAILED, "message": message}
            return _QUEUE.change(connection, export, values | _ending(export, now_us))

    def outdated(self) -> list[ExportJob]:
        """Jobs whose files contain events that may have been erased or changed since."""
        with self._database.reading() as connection:
            return [_export(row) for row in connection.execute(_OUTDATED)]

    def overdue(self, now_us: int) -> list[ExportJob]:
        """Jobs whose files have expired."""
        with self._database.reading() as connection:
            return [_export(row) for row in connection.execute(_OVERDUE, {"now": now_us})]

    def expire(self, export: ExportJob, message: str) -> bool:
        """Records that the job's file is gone. False where the job is not done."""
        with self._database.changing(Area.DERIVED) as connection:
            done = connection.execute(
                update(exports)
                .where(exports.c.number == export.number, exports.c.state == ExportState.DONE)
                .values(state=ExportState.EXPIRED, message=message, file=None, bytes=None)
            )
            return done.rowcount > 0

    def files(self) -> set[str]:
        """Names of the files that jobs refer to."""
        with self._database.reading() as connection:
            return set(
                connection.execute(select(exports.c.file).where(exports.c.file.is_not(None))).scalars()
            )

    def remove(self, export: ExportJob) -> None:
        """Deletes a job; the caller must remove its file."""
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(delete(exports).where(exports.c.number == export.number))

    def forget(self, before_us: int) -> int:
        """Deletes the jobs that failed or expired before then; returns how many."""
        with self._database.writing() as connection:
            gone = delete(exports).where(
                exports.c.state.in_((ExportState.FAILED, ExportState.EXPIRED)),
                func.coalesce(exports.c.expires_us, exports.c.ended_us) < before_us,
            )
            return connection.execute(gone).rowcount

    def claim_mail(self, now_us: int, next_us: int) -> ExportJob | None:
        """The next job to send a mail about, after counting the attempt; the next attempt is due at
        ``next_us``."""
        with self._database.reading() as connection:
            if connection.execute(_MAIL_DUE, {"now": now_us}).first() is None:
                return None
        with self._database.writing() as connection:
            row = connection.execute(_MAIL_DUE, {"now": now_us}).first()
            if row is None:
                return None
            values = {"mail_attempts": row.mail_attempts + 1, "mail_us": next_us}
            connection.execute(update(exports).where(exports.c.number == row.number).values(values))
            return _find(connection, row.project_id, row.id)

    def note_mail(self, export: ExportJob, state: MailState, at_us: int, message: str | None = None) -> None:
        """Records the result of an attempt; ``at_us`` is when the mail was sent, or is tried next."""
        with self._database.writing() as connection:
            values = {"mail_state": state, "mail_us": at_us, "mail_message": message}
            connection.execute(update(exports).where(exports.c.number == export.number).values(values))


def _find(connection: Connection, project_id: str, export_id: str) -> ExportJob | None:
    row = connection.execute(_NAMED, {"project": project_id, "named": export_id}).first()
    return None if row is None else _export(row)


def _held(connection: Connection, project_id: str) -> tuple[int, int, int]:
    """Counts of a project: jobs that wait or run, all jobs, and bytes of files."""
    unended = func.count().filter(exports.c.state.in_(_UNENDED))
    size = func.coalesce(func.sum(exports.c.bytes).filter(exports.c.state == ExportState.DONE), 0)
    query = select(unended, func.count(), size).where(exports.c.project_id == project_id)
    waiting, jobs, kept = connection.execute(query).one()
    return waiting, jobs, kept


def _ending(export: ExportJob, now_us: int) -> dict[str, Any]:
    mail = {} if export.email is None else {"mail_state": MailState.WAITING, "mail_us": now_us}
    return {"question": DONE_WITH, "claim": None, "lease_us": None, "ended_us": now_us, **mail}


def _export(row: Row[Any]) -> ExportJob:
    values: dict[str, Any] = dict(row._mapping)
    values["state"] = ExportState(row.state)
    values["mail_state"] = None if row.mail_state is None else MailState(row.mail_state)
    return ExportJob(**values)
