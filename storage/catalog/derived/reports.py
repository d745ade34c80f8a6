"""Scheduled reports, and their runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.derived.job_queue import check_project
from storage.catalog.derived.notices import keep_newest, store_notice
from storage.catalog.derived.records import MailState, ReportRun, StoredNotice, StoredReport
from storage.catalog.repository import Repository
from storage.catalog.tables import projects, report_runs, reports

KEPT_MAX = 500
"""Runs of one report that are kept."""
_COLUMNS = tuple(reports.c[name] for name in StoredReport.__dataclass_fields__)
_RUN = tuple(report_runs.c[name] for name in ReportRun.__dataclass_fields__)
_ALL = select(*_COLUMNS).where(reports.c.project_id == bindparam("wanted_project")).order_by(reports.c.name)
_ONE = _ALL.where(reports.c.name == bindparam("wanted_name"))
_DUE = (
    select(*_COLUMNS)
    .join(projects, projects.c.id == reports.c.project_id)
    .where(reports.c.due_us <= bindparam("now"), projects.c.deleted_us.is_(None))
    .order_by(reports.c.due_us)
    .limit(1)
)
_RUN_DUE = (
    select(*_RUN)
    .join(reports, reports.c.id == report_runs.c.report_id)
    .join(projects, projects.c.id == reports.c.project_id)
    .where(
        report_runs.c.state == MailState.WAITING,
        report_runs.c.due_us <= bindparam("now"),
        projects.c.deleted_us.is_(None),
    )
    .order_by(report_runs.c.due_us)
    .limit(1)
)


class Reports(Repository):
    """Reports by project and name."""

    def of_project(self, project_id: str) -> list[StoredReport]:
        """The project's reports, ordered by name."""
        with self._database.reading() as connection:
            return [StoredReport(*row) for row in connection.execute(_ALL, {"wanted_project": project_id})]

    def find(self, project_id: str, name: str) -> StoredReport | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, name)

    def put(
        self, project_id: str, name: str, definition: str, *, due_us: int, most: int
    ) -> tuple[StoredReport, bool] | None:
        """Creates or replaces a report. Returns it, and whether it was created; None where the project has
        ``most`` already. Raises UnknownProject."""
        with self._database.changing(Area.DERIVED) as connection:
            now_us, old = self._clock(), _find(connection, project_id, name)
            values: dict[str, Any] = {"definition": definition, "modified_us": now_us, "due_us": due_us}
            if old is None:
                check_project(connection, project_id)
                number = select(func.count()).where(reports.c.project_id == project_id)
                if connection.execute(number).scalar_one() >= most:
                    return None
                identity = {"project_id": project_id, "name": name, "created_us": now_us, "version": 1}
                connection.execute(insert(reports), [values | identity])
            else:
                values["version"] = old.version + 1
                connection.execute(update(reports).where(reports.c.id == old.id).values(values))
            found = _find(connection, project_id, name)
            assert found is not None
            return found, old is None

    def remove(self, project_id: str, name: str) -> bool:
        """Removes a report with its runs. False where there is no such report."""
        with self._database.changing(Area.DERIVED) as connection:
            found = _find(connection, project_id, name)
            if found is None:
                return False
            connection.execute(delete(report_runs).where(report_runs.c.report_id == found.id))
            connection.execute(delete(reports).where(reports.c.id == found.id))
            return True

    def next_due(self, now_us: int) -> StoredReport | None:
        """The report that is due for the longest time."""
        with self._database.reading() as connection:
            row = connection.execute(_DUE, {"now": now_us}).first()
            return None if row is None else StoredReport(*row)

    def postpone(self, report: StoredReport, due_us: int) -> None:
        """The report is due then. Nothing where it was changed meanwhile."""
        with self._database.writing() as connection:
            connection.execute(update(reports).where(*_same(report)).values(due_us=due_us))

    def begin(
        self, report: StoredReport, next_us: int, emails: Sequence[str], notice: StoredNotice
    ) -> list[str] | None:
        """Stores a run of a report that is due, and what webhooks are told, in one transaction.

        Returns the names of webhooks that there are none of; None, and stores nothing, where the report was
        changed meanwhile.
        """
        with self._database.changing(Area.DERIVED) as connection:
            change = update(reports).where(*_same(report), reports.c.due_us == report.due_us)
            if not connection.execute(change.values(due_us=next_us)).rowcount:
                return None
            self._store_run(connection, report, report.due_us, emails, is_test=False)
            return store_notice(connection, report.project_id, notice, self._clock())

    def test(
        self, report: StoredReport, now_us: int, emails: Sequence[str], notice: StoredNotice
    ) -> list[str]:
        """Stores a run out of turn. Returns the names of webhooks that there are none of."""
        with self._database.changing(Area.DERIVED) as connection:
            self._store_run(connection, report, now_us, emails, is_test=True)
            return store_notice(connection, report.project_id, notice, self._clock())

    def claim_run(self, now_us: int, next_us: int) -> tuple[StoredReport, ReportRun] | None:
        """The next run to make, after counting the attempt; if nothing is noted of it, the next attempt is
        due at ``next_us``."""
        with self._database.reading() as connection:
            if connection.execute(_RUN_DUE, {"now": now_us}).first() is None:
                return None
        with self._database.writing() as connection:
            row = connection.execute(_RUN_DUE, {"now": now_us}).first()
            if row is None:
                return None
            this = report_runs.c.number == row.number
            values = {"attempts": row.attempts + 1, "due_us": next_us}
            connection.execute(update(report_runs).where(this).values(values))
            run = _run(connection.execute(select(*_RUN).where(this)).one())
            found = connection.execute(select(*_COLUMNS).where(reports.c.id == row.report_id)).one()
            return StoredReport(*found), run

    def note_left(self, run: ReportRun, left: Sequence[str]) -> None:
        """Stores to whom it was not sent yet."""
        with self._database.writing() as connection:
            connection.execute(update(report_runs).where(*_this(run)).values(left=json.dumps(list(left))))

    def note_run(
        self,
        run: ReportRun,
        left: Sequence[str],
        state: MailState,
        at_us: int,
        message: str | None,
        pictures: int,
    ) -> None:
        """Stores what became of an attempt; of a run that waits, ``at_us`` is when it is due."""
        values: dict[str, Any] = {"state": state, "message": message, "pictures": pictures}
        values |= {"left": json.dumps(list(left))}
        values |= {"due_us": at_us} if state is MailState.WAITING else {"ended_us": at_us}
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(update(report_runs).where(*_this(run)).values(values))

    def runs(self, report: StoredReport, *, before: int | None = None, limit: int) -> list[ReportRun]:
        """The runs, newest first. ``before``: only those with numbers below it."""
        query = (
            select(*_RUN)
            .where(report_runs.c.report_id == report.id)
            .order_by(report_runs.c.number.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(report_runs.c.number < before)
        with self._database.reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def _store_run(
        self,
        connection: Connection,
        report: StoredReport,
        at_us: int,
        emails: Sequence[str],
        *,
        is_test: bool,
    ) -> None:
        values = {
            "report_id": report.id,
            "scheduled_us": at_us,
            "is_test": is_test,
            "state": MailState.WAITING,
            "attempts": 0,
            "due_us": at_us,
            "left": json.dumps(list(emails)),
            "pictures": 0,
        }
        connection.execute(insert(report_runs), [values])
        keep_newest(connection, report_runs.c.report_id, report.id, KEPT_MAX)


def _same(report: StoredReport) -> tuple[Any, ...]:
    return (reports.c.id == report.id, reports.c.version == report.version)


def _this(run: ReportRun) -> tuple[Any, ...]:
    return (report_runs.c.number == run.number, report_runs.c.attempts == run.attempts)


def _find(connection: Connection, project_id: str, name: str) -> StoredReport | None:
    row = connection.execute(_ONE, {"wanted_project": project_id, "wanted_name": name}).first()
    return None if row is None else StoredReport(*row)


def _run(row: Any) -> ReportRun:
    values = {name: getattr(row, name) for name in ReportRun.__dataclass_fields__}
    return ReportRun(**values | {"state": MailState(row.state), "left": tuple(json.loads(row.left))})
