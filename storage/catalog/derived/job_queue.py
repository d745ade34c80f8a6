"""The queue that a table of background jobs is: which job is next, and the claim under which it runs.

A job runs under a claim with a lease, which the claimant keeps extending. Later calls by an earlier claimant
have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import Connection, Row, Table, and_, bindparam, func, or_, select, update

from storage.catalog.database.connection import Database
from storage.catalog.errors import UnknownProject
from storage.catalog.tables import projects

_PROJECT = select(projects.c.id).where(projects.c.id == bindparam("project"), projects.c.deleted_us.is_(None))


class Job(Protocol):
    """A job as it was read when it was claimed."""

    @property
    def number(self) -> int: ...

    @property
    def claim(self) -> str | None: ...

    @property
    def attempts(self) -> int: ...


class JobQueue:
    """The jobs of one table, by the names of two of their states. Projects take turns."""

    def __init__(self, jobs: Table, queued: str, running: str) -> None:
        self._jobs, self._queued, self._running = jobs, queued, running
        siblings = jobs.alias()
        last_start = (
            select(func.coalesce(func.max(siblings.c.started_us), 0))
            .where(siblings.c.project_id == jobs.c.project_id)
            .scalar_subquery()
        )
        self._next = (
            select(*jobs.c)
            .join(projects, projects.c.id == jobs.c.project_id)
            .where(
                projects.c.deleted_us.is_(None),
                or_(
                    jobs.c.state == queued,
                    and_(jobs.c.state == running, jobs.c.lease_us < bindparam("now")),
                ),
            )
            .order_by(last_start, jobs.c.number)
            .limit(1)
        )
        self._claimed = update(jobs).where(
            jobs.c.number == bindparam("which"),
            jobs.c.claim == bindparam("mine"),
            jobs.c.state == running,
        )

    def claim(
        self, database: Database, claim: str, now_us: int, lease_us: int, **more: Any
    ) -> Row[Any] | None:
        """Claims the next job without a valid claim, until ``lease_us``, and sets ``more`` of its columns.

        Returns its row; None if there is none.
        """
        with database.reading() as connection:
            if connection.execute(self._next, {"now": now_us}).first() is None:
                return None
        with database.writing() as connection:
            row = connection.execute(self._next, {"now": now_us}).first()
            if row is None:
                return None
            values = {
                "state": self._running,
                "claim": claim,
                "lease_us": lease_us,
                "started_us": now_us,
                "attempts": row.attempts + 1,
            }
            mine = self._jobs.c.number == row.number
            connection.execute(update(self._jobs).where(mine).values({**values, **more}))
            return connection.execute(select(*self._jobs.c).where(mine)).one()

    def release(self, connection: Connection, job: Job, *, forgiven: bool) -> bool:
        """Queues the job again; with ``forgiven`` the attempt is not counted. False where the claim is no
        longer valid."""
        attempts = job.attempts - 1 if forgiven else job.attempts
        values = {"state": self._queued, "claim": None, "lease_us": None, "attempts": attempts}
        return self.change(connection, job, values)

    def change(self, connection: Connection, job: Job, values: Mapping[str, Any]) -> bool:
        """Changes a running job. False where the claim is no longer valid."""
        key = {"which": job.number, "mine": job.claim}
        return connection.execute(self._claimed.values(values), key).rowcount > 0


def check_project(connection: Connection, project_id: str) -> None:
    """Raises UnknownProject, also for a project that was deleted."""
    if connection.execute(_PROJECT, {"project": project_id}).first() is None:
        raise UnknownProject(f"There is no project {project_id}.")
