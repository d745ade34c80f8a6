"""Cohorts: their definitions, and the actors of those that list them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.database.connection import upsert
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import StoredCohort
from storage.catalog.errors import TooManyMembers, UnknownProject
from storage.catalog.repository import Repository
from storage.catalog.tables import cohort_members, cohorts, projects

_COLUMNS = (
    cohorts.c.id,
    cohorts.c.project_id,
    cohorts.c.name,
    cohorts.c.definition,
    cohorts.c.actor_property,
    cohorts.c.version,
    cohorts.c.created_us,
    cohorts.c.modified_us,
)
_ALL = select(*_COLUMNS).where(cohorts.c.project_id == bindparam("wanted_project")).order_by(cohorts.c.name)
_ONE = _ALL.where(cohorts.c.name == bindparam("wanted_name"))
_STATIC = _ALL.where(cohorts.c.actor_property == bindparam("wanted_property"))
_MEMBERS = select(cohort_members.c.members).where(cohort_members.c.cohort_id == bindparam("wanted_cohort"))
_NUMBER = select(cohort_members.c.number).where(cohort_members.c.cohort_id == bindparam("wanted_cohort"))


class Cohorts(Repository):
    """Cohorts by project and name. Members are the JSON texts of actors, each once."""

    def of_project(self, project_id: str) -> list[StoredCohort]:
        """The project's cohorts, ordered by name."""
        with self._database.reading() as connection:
            rows = connection.execute(_ALL, {"wanted_project": project_id}).all()
            return [_cohort(connection, row) for row in rows]

    def find(self, project_id: str, name: str) -> StoredCohort | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, name)

    def members(self, cohort: StoredCohort) -> list[str]:
        """The actors that a static cohort lists now; none where it is gone."""
        with self._database.reading() as connection:
            return _members(connection, cohort.id)

    def find_with_members(self, project_id: str, name: str) -> tuple[StoredCohort, list[str]] | None:
        """A cohort and the actors that it lists, from one consistent view."""
        with self._database.reading() as connection:
            found = _find(connection, project_id, name)
            if found is None:
                return None
            return found, _members(connection, found.id) if found.is_static else []

    def put(
        self,
        project_id: str,
        name: str,
        *,
        definition: str,
        actor_property: str | None,
        members: Sequence[str],
    ) -> tuple[StoredCohort, bool]:
        """Creates or replaces a cohort. Returns it, and whether it was created. Raises UnknownProject."""
        with self._database.changing(Area.DERIVED) as connection:
            now_us, old = self._clock(), _find(connection, project_id, name)
            values = {"definition": definition, "actor_property": actor_property, "modified_us": now_us}
            if old is None:
                known = select(projects.c.id).where(projects.c.id == project_id)
                if connection.execute(known).first() is None:
                    raise UnknownProject(f"There is no project {project_id}.")
                identity = {"project_id": project_id, "name": name, "version": 1, "created_us": now_us}
                connection.execute(insert(cohorts), [values | identity])
            else:
                values["version"] = old.version + 1
                connection.execute(update(cohorts).where(cohorts.c.id == old.id).values(values))
            current = _find(connection, project_id, name)
            assert current is not None
            if actor_property is None:
                connection.execute(delete(cohort_members).where(cohort_members.c.cohort_id == current.id))
            else:
                _store_members(connection, current.id, members)
            found = _find(connection, project_id, name)
            assert found is not None
            return found, old is None

    def change_members(
        self, project_id: str, name: str, add: Iterable[str], remove: Collection[str], most: int
    ) -> StoredCohort | None:
        """Removes actors from a static cohort and then adds others; None where there is no such cohort.

        Raises TooManyMembers where it would list more than ``most``.
        """
        with self._database.changing(Area.DERIVED) as connection:
            found = _find(connection, project_id, name)
            if found is None or not found.is_static:
                return None
            before = _members(connection, found.id)
            after = _changed(before, add, set(remove))
            if len(after) > most:
                raise TooManyMembers(name, len(after), most)
            if after != before:
                self._replace(connection, found, after)
            return _find(connection, project_id, name)

    def forget(self, project_id: str, actor_property: str, members: Collection[str]) -> int:
        """Removes actors from all static cohorts of the property. Returns how many cohorts listed any."""
        gone, changed = set(members), 0
        with self._database.changing(Area.DERIVED) as connection:
            values = {"wanted_project": project_id, "wanted_property": actor_property}
            for row in connection.execute(_STATIC, values).all():
                cohort = _cohort(connection, row)
                before = _members(connection, cohort.id)
                after = _changed(before, (), gone)
                if len(after) < len(before):
                    self._replace(connection, cohort, after)
                    changed += 1
        return changed

    def remove(self, project_id: str, name: str) -> bool:
        """Deletes a cohort. False where there is no such cohort."""
        with self._database.changing(Area.DERIVED) as connection:
            found = _find(connection, project_id, name)
            if found is None:
                return False
            connection.execute(delete(cohort_members).where(cohort_members.c.cohort_id == found.id))
            connection.execute(delete(cohorts).where(cohorts.c.id == found.id))
            return True

    def _replace(self, connection: Connection, cohort: StoredCohort, members: Sequence[str]) -> None:
        _store_members(connection, cohort.id, members)
        values = {"version": cohort.version + 1, "modified_us": self._clock()}
        connection.execute(update(cohorts).where(cohorts.c.id == cohort.id).values(values))


def _changed(before: Iterable[str], add: Iterable[str], remove: set[str]) -> list[str]:
    kept = dict.fromkeys(member for member in before if member not in remove)
    return list(kept | dict.fromkeys(add))


def _store_members(connection: Connection, cohort_id: int, members: Sequence[str]) -> None:
    values = {"number": len(members), "members": json.dumps(list(members), separators=(",", ":"))}
    statement = upsert(cohort_members).on_conflict_do_update(index_elements=["cohort_id"], set_=values)
    connection.execute(statement, values | {"cohort_id": cohort_id})


def _members(connection: Connection, cohort_id: int) -> list[str]:
    text = connection.execute(_MEMBERS, {"wanted_cohort": cohort_id}).scalar()
    listed: list[str] = [] if text is None else json.loads(text)
    return listed


def _find(connection: Connection, project_id: str, name: str) -> StoredCohort | None:
    row = connection.execute(_ONE, {"wanted_project": project_id, "wanted_name": name}).first()
    return None if row is None else _cohort(connection, row)


def _cohort(connection: Connection, row: Any) -> StoredCohort:
    number = None
    if row.actor_property is not None:
        number = connection.execute(_NUMBER, {"wanted_cohort": row.id}).scalar()
    return replace(StoredCohort(*row), number=number)
