"""Saved queries and their runs."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from storage.catalog.database.connection import upsert
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import SavedQuery, SavedResult, SavedRun
from storage.catalog.errors import DuplicateSavedQuery, UnknownProject
from storage.catalog.repository import Repository
from storage.catalog.tables import projects, saved_queries, saved_runs

_QUERY_COLUMNS = (
    saved_queries.c.id,
    saved_queries.c.project_id,
    saved_queries.c.name,
    saved_queries.c.query,
    saved_queries.c.metadata,
    saved_queries.c.refresh_rate,
    saved_queries.c.version,
    saved_queries.c.created_us,
    saved_queries.c.modified_us,
)
_OF_PROJECT = (
    select(*_QUERY_COLUMNS)
    .where(saved_queries.c.project_id == bindparam("wanted_project"))
    .order_by(saved_queries.c.name)
)
_NAMED = _OF_PROJECT.where(saved_queries.c.name == bindparam("wanted_name"))
_REFRESHED = select(*_QUERY_COLUMNS).where(saved_queries.c.refresh_rate > 0).order_by(saved_queries.c.id)
_RUNS = select(saved_runs).order_by(saved_runs.c.query_id, saved_runs.c.audience)
_RUN = select(saved_runs).where(
    saved_runs.c.query_id == bindparam("wanted_query"), saved_runs.c.audience == bindparam("wanted_audience")
)
_VERSION = select(saved_queries.c.version).where(saved_queries.c.id == bindparam("wanted_query"))


class SavedQueries(Repository):
    """Saved queries by project and name, and the last run of each."""

    def of_project(self, project_id: str) -> list[SavedQuery]:
        """The project's saved queries, ordered by name."""
        with self._database.reading() as connection:
            return [
                SavedQuery(*row) for row in connection.execute(_OF_PROJECT, {"wanted_project": project_id})
            ]

    def find(self, project_id: str, name: str) -> SavedQuery | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, name)

    def find_with_run(
        self, project_id: str, name: str, audience: str
    ) -> tuple[SavedQuery, SavedRun | None] | None:
        """A query and its last run for this audience, from one consistent view."""
        with self._database.reading() as connection:
            query = _find(connection, project_id, name)
            return None if query is None else (query, _find_run(connection, query.id, audience))

    def refreshed(self) -> list[SavedQuery]:
        """Saved queries of all projects whose results are kept, oldest first."""
        with self._database.reading() as connection:
            return [SavedQuery(*row) for row in connection.execute(_REFRESHED)]

    def put(
        self, project_id: str, name: str, new_name: str, *, query: str, metadata: str, refresh_rate: int
    ) -> tuple[SavedQuery, bool]:
        """Creates a saved query, or replaces and renames an existing one. Returns it, and whether it was
        created.

        Raises UnknownProject, and DuplicateSavedQuery where another query has the new name.
        """
        with self._database.changing(Area.DERIVED) as connection:
            now_us = self._clock()
            old = _find(connection, project_id, name)
            if new_name != name and _find(connection, project_id, new_name) is not None:
                raise DuplicateSavedQuery(f"There already is a saved query {new_name!r}.")
            values = {"name": new_name, "query": query, "metadata": metadata, "refresh_rate": refresh_rate}
            values["modified_us"] = now_us
            if old is None:
                if (
                    connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first()
                    is None
                ):
                    raise UnknownProject(f"There is no project {project_id}.")
                identity = {"project_id": project_id, "version": 1, "created_us": now_us}
                connection.execute(insert(saved_queries), [values | identity])
            else:
                values["version"] = old.version + (query != old.query)
                connection.execute(update(saved_queries).where(saved_queries.c.id == old.id).values(values))
            current = _find(connection, project_id, new_name)
            assert current is not None
            return current, old is None

    def remove(self, project_id: str, name: str) -> list[str] | None:
        """Deletes a query. Returns its result files, which are no longer in use; None where there is no such
        query."""
        with self._database.changing(Area.DERIVED) as connection:
            query = _find(connection, project_id, name)
            if query is None:
                return None
            files = [run.result.file for run in _runs(connection, query.id) if run.result is not None]
            connection.execute(delete(saved_runs).where(saved_runs.c.query_id == query.id))
            connection.execute(delete(saved_queries).where(saved_queries.c.id == query.id))
            return files

    def runs(self, query_id: int | None = None) -> list[SavedRun]:
        """The last runs of this query, or of all queries if None."""
        with self._database.reading() as connection:
            return _runs(connection, query_id)

    def store_run(self, run: SavedRun) -> str | None:
        """Stores a run; a failed one keeps the last result.

        Returns the result file that no run refers to any more, if any: the replaced one, or the run's own
        where the query was changed or a later run was stored meanwhile.
        """
        with self._database.changing(Area.DERIVED) as connection:
            own = None if run.result is None else run.result.file
            if connection.execute(_VERSION, {"wanted_query": run.query_id}).scalar() != run.version:
                return own
            old = _find_run(connection, run.query_id, run.audience)
            if old is not None and old.version == run.version and old.run_us > run.run_us:
                return own
            if run.failure is not None:
                same = old if old is not None and old.version == run.version else None
                failures = 1 if same is None else same.failures + 1
                run = replace(run, failures=failures, result=None if same is None else same.result)
            result = run.result
            values = {
                "query_id": run.query_id,
                "audience": run.audience,
                "version": run.version,
                "run_us": run.run_us,
                "duration_us": run.duration_us,
                "failure": run.failure,
                "failures": run.failures,
                "asked_us": None if result is None else result.asked_us,
                "events": None if result is None else result.events,
                "covers": None if result is None else result.covers,
                "file": None if result is None else result.file,
                "sha256": None if result is None else result.sha256,
            }
            statement = upsert(saved_runs).on_conflict_do_update(
                index_elements=["query_id", "audience"],
                set_={name: value for name, value in values.items() if name not in ("query_id", "audience")},
            )
            connection.execute(statement, [values])
            replaced = None if old is None or old.result is None else old.result.file
            return None if replaced == values["file"] else replaced

    def remove_run(self, run: SavedRun) -> bool:
        """Deletes a run. False where it is not the last run any more; the caller must not remove its file
        then."""
        with self._database.changing(Area.DERIVED) as connection:
            done = connection.execute(
                delete(saved_runs).where(
                    saved_runs.c.query_id == run.query_id,
                    saved_runs.c.audience == run.audience,
                    saved_runs.c.run_us == run.run_us,
                )
            )
            return done.rowcount > 0


def _find(connection: Connection, project_id: str, name: str) -> SavedQuery | None:
    row = connection.execute(_NAMED, {"wanted_project": project_id, "wanted_name": name}).first()
    return None if row is None else SavedQuery(*row)


def _runs(connection: Connection, query_id: int | None = None) -> list[SavedRun]:
    """The last runs of this query, or of all queries if None."""
    statement = _RUNS if query_id is None else _RUNS.where(saved_runs.c.query_id == query_id)
    return [_run(row) for row in connection.execute(statement)]


def _find_run(connection: Connection, query_id: int, audience: str) -> SavedRun | None:
    row = connection.execute(_RUN, {"wanted_query": query_id, "wanted_audience": audience}).first()
    return None if row is None else _run(row)


def _run(row: Row[tuple[object, ...]]) -> SavedRun:
    result = None
    if row.file is not None:
        result = SavedResult(row.asked_us, row.events, row.covers, row.file, row.sha256)
    return SavedRun(
        row.query_id,
        row.audience,
        row.version,
        row.run_us,
        row.duration_us,
        row.failure,
        row.failures,
        result,
    )
