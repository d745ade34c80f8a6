"""Sources: what they are, where they go on, and the portion of each that is being stored.

What was read is recorded as a portion before the first of its events is sent, and the position moves in the
transaction that ends the portion. A process that is killed leaves a portion, which the next one sends again
from where it was, under the same keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.database.connection import Database, upsert
from storage.catalog.database.versions import Area
from storage.catalog.errors import OutputTaken, SourceChanged
from storage.catalog.repository import Repository
from storage.catalog.runs.records import NewRun
from storage.catalog.runs.runs import Runs
from storage.catalog.sources.records import FileStatus, Portion, SourceFile, StoredSource
from storage.catalog.stored.collections import ensure_collections
from storage.catalog.stored.schemas import SchemaCache
from storage.catalog.tables import source_files, sources

LOOK_AGAIN = -1
"""Size of a file that is looked into again whatever it is."""
_COLUMNS = tuple(sources.c)
_ALL = select(*_COLUMNS).order_by(sources.c.id)
_OF_PROJECT = (
    select(*_COLUMNS).where(sources.c.project_id == bindparam("wanted_project")).order_by(sources.c.name)
)
_ONE = _OF_PROJECT.where(sources.c.name == bindparam("wanted_name"))
_BY_ID = select(*_COLUMNS).where(sources.c.id == bindparam("wanted"))
_FILE = tuple(column for column in source_files.c if column.name != "source_id")
_FILES = select(*_FILE).where(source_files.c.source_id == bindparam("wanted")).order_by(source_files.c.path)


class Sources(Repository):
    """Sources by project and name."""

    def __init__(
        self, database: Database, clock: Callable[[], int], schemas: SchemaCache, runs: Runs
    ) -> None:
        super().__init__(database, clock)
        self._schemas, self._runs = schemas, runs

    def all(self) -> list[StoredSource]:
        """The sources of all projects, by id."""
        with self._database.reading() as connection:
            return [_source(row) for row in connection.execute(_ALL)]

    def of_project(self, project_id: str) -> list[StoredSource]:
        """The project's sources, ordered by name."""
        with self._database.reading() as connection:
            return [_source(row) for row in connection.execute(_OF_PROJECT, {"wanted_project": project_id})]

    def find(self, project_id: str, name: str) -> StoredSource | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, name)

    def put(
        self,
        project_id: str,
        name: str,
        *,
        definition: str,
        identity: str,
        owner: str,
        revision: str | None,
        collection: str,
        collections_max: int,
    ) -> StoredSource:
        """Creates or changes a source, which goes on where it was; it is due at once.

        Raises OutputTaken where a pipeline derives the collection, or the project has ``collections_max``
        collections; SourceChanged where it is another source by its ``identity``; UnknownProject,
        InvalidName.
        """
        with self._database.changing(Area.DERIVED, Area.DATA) as connection:
            now_us, old = self._clock(), _find(connection, project_id, name)
            self._check_collection(connection, project_id, collection, collections_max)
            values = {
                "definition": definition,
                "identity": identity,
                "owner": owner,
                "revision": revision,
                "due_us": 0,
                "applied_us": now_us,
            }
            if old is None:
                start = {"version": 1, "position": "{}", "portion": 0, "sent": 0, "events": 0, "refused": 0}
                new = {"project_id": project_id, "name": name, "created_us": now_us, **start}
                connection.execute(insert(sources), [values | new])
            else:
                if old.identity != identity:
                    raise SourceChanged
                if old.definition != definition:
                    values["version"] = old.version + 1
                connection.execute(update(sources).where(sources.c.id == old.id).values(values))
            found = _find(connection, project_id, name)
            assert found is not None
            return found

    def _check_collection(
        self, connection: Connection, project_id: str, name: str, collections_max: int
    ) -> None:
        made = ensure_collections(
            connection, self._schemas, project_id, [name], collections_max, self._clock()
        )
        if not made:
            raise OutputTaken(f"The project has {collections_max} collections already: none can be added.")
        if made[0].derived:
            raise OutputTaken(f"A pipeline derives the collection '{name}': a source needs another one.")

    def remove(self, project_id: str, name: str) -> StoredSource | None:
        """Removes a source; what it brought stays. Returns it as it was."""
        with self._database.changing(Area.DERIVED) as connection:
            found = _find(connection, project_id, name)
            if found is not None:
                connection.execute(delete(source_files).where(source_files.c.source_id == found.id))
                connection.execute(delete(sources).where(sources.c.id == found.id))
            return found

    def set_paused(self, project_id: str, name: str, paused: bool) -> StoredSource | None:
        """Pauses a source, or lets it be read again; None where there is none. Of a paused one no run
        begins."""
        with self._database.changing(Area.DERIVED, Area.RUNS) as connection:
            this = (sources.c.project_id == project_id, sources.c.name == name)
            connection.execute(update(sources).where(*this).values(paused=paused))
            return _find(connection, project_id, name)

    # When it is read

    def ask(self, source: StoredSource, run: NewRun, due_us: int) -> None:
        """Queues a run of a source, which is due again after ``due_us``."""
        with self._database.changing(Area.RUNS) as connection:
            self._runs.enqueue_in(connection, run)
            connection.execute(
                update(sources)
                .where(sources.c.id == source.id, sources.c.version == source.version)
                .values(due_us=due_us)
            )

    def look_again(self, source: StoredSource, run: NewRun) -> None:
        """Queues a run that also looks into the files again that were not read for their content."""
        with self._database.changing(Area.RUNS) as connection:
            connection.execute(
                update(source_files)
                .where(
                    source_files.c.source_id == source.id,
                    source_files.c.state.in_([FileStatus.FAILED.value, FileStatus.CHANGED.value]),
                )
                .values(size=LOOK_AGAIN)
            )
            self._runs.enqueue_in(connection, run)

    # Portions

    def begin(self, source: StoredSource, portion: Portion) -> StoredSource:
        """Records a portion, of which nothing is sent yet. Raises SourceChanged."""
        values = {"portion": source.portion + 1, "pending": json.dumps(asdict(portion)), "sent": 0}
        with self._database.writing() as connection:
            _change(connection, source, values)
            return _by_id(connection, source.id)

    def note_sent(self, source: StoredSource, sent: int) -> None:
        """Records how many batches of the portion are stored. Raises SourceChanged."""
        with self._database.writing() as connection:
            _change(connection, source, {"sent": sent})

    def end(self, source: StoredSource, refused: int = 0) -> StoredSource:
        """Records that the portion is stored, but for ``refused`` events that the collection did not take.

        The position, and what is known of the file, become those of the portion. Raises SourceChanged.
        """
        portion, now_us = source.pending, self._clock()
        assert portion is not None
        stored = portion.events - refused
        values: dict[str, Any] = {
            "pending": None,
            "sent": 0,
            "position": json.dumps(dict(portion.position)),
            "events": sources.c.events + stored,
            "refused": sources.c.refused + portion.refused + refused,
        }
        if stored:
            values["stored_us"] = now_us
        with self._database.writing() as connection:
            _change(connection, source, values)
            if portion.of is not None:
                file = file_of(portion)
                if refused:
                    said = f"The collection refused {refused:,} of its events."
                    file = replace(file, refused=file.refused + refused, problem=file.problem or said)
                _put_file(connection, source.id, replace(file, changed_us=now_us))
            return _by_id(connection, source.id)

    def note_read(self, source: StoredSource, problem: str | None) -> None:
        """Records that a run has come to its end, and what is wrong nevertheless."""
        with self._database.writing() as connection:
            values = {"looked_us": self._clock(), "problem": problem}
            connection.execute(update(sources).where(sources.c.id == source.id).values(values))

    def fail(self, source: StoredSource, problem: str) -> None:
        """Records why it could not be read."""
        with self._database.writing() as connection:
            connection.execute(update(sources).where(sources.c.id == source.id).values(problem=problem))

    # Files

    def files(self, source_id: int) -> dict[str, SourceFile]:
        """What is known of the files of a source, by path."""
        with self._database.reading() as connection:
            found = [_file(row._mapping) for row in connection.execute(_FILES, {"wanted": source_id})]
        return {one.path: one for one in found}

    def note_files(self, source: StoredSource, found: Iterable[SourceFile]) -> None:
        """Records what was found of files that bring no events. Raises SourceChanged."""
        with self._database.writing() as connection:
            _change(connection, source, {"portion": source.portion})
            for one in found:
                _put_file(connection, source.id, replace(one, changed_us=self._clock()))


def _change(connection: Connection, source: StoredSource, values: dict[str, Any]) -> None:
    this = (sources.c.id == source.id, sources.c.portion == source.portion)
    if not connection.execute(update(sources).where(*this).values(values)).rowcount:
        raise SourceChanged


def _put_file(connection: Connection, source_id: int, file: SourceFile) -> None:
    values = {**asdict(file), "state": file.state.value}
    new = {name: value for name, value in values.items() if name != "path"}
    statement = upsert(source_files).on_conflict_do_update(index_elements=["source_id", "path"], set_=new)
    connection.execute(statement, {**values, "source_id": source_id})


def _find(connection: Connection, project_id: str, name: str) -> StoredSource | None:
    row = connection.execute(_ONE, {"wanted_project": project_id, "wanted_name": name}).first()
    return None if row is None else _source(row)


def _by_id(connection: Connection, source_id: int) -> StoredSource:
    row = connection.execute(_BY_ID, {"wanted": source_id}).first()
    if row is None:
        raise SourceChanged
    return _source(row)


def _source(row: Any) -> StoredSource:
    pending = None if row.pending is None else Portion(**json.loads(row.pending))
    read = {"position": json.loads(row.position), "pending": pending, "paused": bool(row.paused)}
    return StoredSource(**{**row._mapping, **read})


def file_of(portion: Portion) -> SourceFile:
    """The file that a portion is from, as it is known once the portion is stored."""
    assert portion.of is not None
    return _file(portion.of)


def _file(values: Any) -> SourceFile:
    return SourceFile(**{**values, "state": FileStatus(values["state"])})
