"""Cached datasets: their definitions, how far they are computed, and their result files.

The row of a file is committed before the file exists. It is ``writing`` until the run that writes the file
commits, then ``live``, and ``dead`` once a later run has replaced the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from storage.catalog.database.connection import slices
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import Bucket, Dataset, DatasetFile, DatasetRun, DatasetStatus
from storage.catalog.errors import DatasetChanged, DuplicateDataset, UnknownDataset, UnknownProject
from storage.catalog.repository import Repository
from storage.catalog.tables import dataset_files, datasets, projects

_WRITING, _LIVE, _DEAD = "writing", "live", "dead"
_COLUMNS = tuple(datasets.c)
_NAMED = select(*_COLUMNS).where(
    datasets.c.project_id == bindparam("project"), datasets.c.name == bindparam("named")
)
_OF_PROJECT = select(*_COLUMNS).where(datasets.c.project_id == bindparam("project")).order_by(datasets.c.name)
_ALL = select(*_COLUMNS).order_by(datasets.c.id)
_PROJECT = select(projects.c.id).where(projects.c.id == bindparam("project"))
_EXISTS = select(datasets.c.id).where(datasets.c.id == bindparam("of"))
_FILES = (
    select(dataset_files.c.id, dataset_files.c.dataset_id, dataset_files.c.buckets)
    .where(dataset_files.c.dataset_id == bindparam("of"), dataset_files.c.state == _LIVE)
    .order_by(dataset_files.c.id)
)
_SET = update(datasets).where(datasets.c.id == bindparam("of"))
_DELETE = delete(datasets).where(datasets.c.id == bindparam("of"))
_DELETE_FILES = delete(dataset_files).where(dataset_files.c.dataset_id == bindparam("of"))
_RESERVE = insert(dataset_files).returning(dataset_files.c.id)
_MAKE_LIVE = (
    update(dataset_files)
    .where(dataset_files.c.id == bindparam("file"), dataset_files.c.state == _WRITING)
    .values(state=_LIVE, buckets=bindparam("held"))
)
_SET_BUCKETS = (
    update(dataset_files)
    .where(dataset_files.c.id == bindparam("file"), dataset_files.c.state == _LIVE)
    .values(buckets=bindparam("held"))
)
_MAKE_DEAD = (
    update(dataset_files)
    .where(dataset_files.c.id == bindparam("file"), dataset_files.c.state == _LIVE)
    .values(state=_DEAD, changed_us=bindparam("now"))
)
_MAKE_ALL_DEAD = (
    update(dataset_files)
    .where(dataset_files.c.dataset_id == bindparam("of"), dataset_files.c.state == _LIVE)
    .values(state=_DEAD, changed_us=bindparam("now"))
)
_UNFINISHED = select(dataset_files.c.id, dataset_files.c.dataset_id).where(
    dataset_files.c.state == _WRITING,
)
_DEAD_BEFORE = select(dataset_files.c.id, dataset_files.c.dataset_id).where(
    dataset_files.c.state == _DEAD, dataset_files.c.changed_us < bindparam("before")
)
_FORGET = delete(dataset_files).where(
    dataset_files.c.id.in_(bindparam("ids", expanding=True)), dataset_files.c.state != _LIVE
)


class Datasets(Repository):
    """Cached datasets: definitions, runs and result files."""

    def create(self, project_id: str, name: str, definition: str) -> Dataset:
        """Creates a dataset without results. Raises DuplicateDataset, UnknownProject."""
        with self._database.changing(Area.DERIVED) as connection:
            if connection.execute(_PROJECT, {"project": project_id}).first() is None:
                raise UnknownProject(f"There is no project {project_id}.")
            if connection.execute(_NAMED, {"project": project_id, "named": name}).first() is not None:
                raise DuplicateDataset(
                    f"A dataset named '{name}' already exists. Delete it first to replace it."
                )
            values = {
                "project_id": project_id,
                "name": name,
                "definition": definition,
                "created_us": self._clock(),
                "status": DatasetStatus.CREATED,
                "run": 0,
            }
            connection.execute(insert(datasets), values)
            return _find(connection, project_id, name)

    def get(self, project_id: str, name: str) -> Dataset:
        """Raises UnknownDataset."""
        with self._database.reading() as connection:
            return _find(connection, project_id, name)

    def of_project(self, project_id: str) -> list[Dataset]:
        """The project's datasets ordered by name, without their files."""
        with self._database.reading() as connection:
            return [_without_files(row) for row in connection.execute(_OF_PROJECT, {"project": project_id})]

    def all(self) -> list[Dataset]:
        """The datasets of all projects, oldest first."""
        with self._database.reading() as connection:
            return [_dataset(connection, row) for row in connection.execute(_ALL).all()]

    def delete(self, project_id: str, name: str) -> int:
        """Deletes a dataset and returns its id, whose folder is no longer in use. Raises UnknownDataset."""
        with self._database.changing(Area.DERIVED) as connection:
            dataset = _find(connection, project_id, name)
            connection.execute(_DELETE_FILES, {"of": dataset.id})
            connection.execute(_DELETE, {"of": dataset.id})
            return dataset.id

    def begin_run(self, dataset_id: int, status: DatasetStatus, now_us: int) -> None:
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(_SET.values(status=status, scheduled_us=now_us), {"of": dataset_id})

    def fail_run(self, dataset_id: int, status: DatasetStatus, message: str) -> None:
        """Records a failed run; earlier results stay valid."""
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(_SET.values(status=status, message=message), {"of": dataset_id})

    def commit_run(self, run: DatasetRun) -> None:
        """Records a successful run and makes its files live, in one transaction. Raises DatasetChanged."""
        with self._database.changing(Area.DERIVED) as connection:
            values = {
                "run": run.number,
                "status": DatasetStatus.OK,
                "message": None,
                "collection_id": run.moment[0],
                "erase_version": run.moment[1],
                "through_us": run.through_us,
                "start_us": run.start_us,
                "end_us": run.end_us,
                "later": run.later,
            }
            done = connection.execute(
                _SET.where(datasets.c.run == run.number - 1).values(**values), {"of": run.dataset_id}
            )
            if done.rowcount != 1:
                raise DatasetChanged("The dataset was deleted, or computed by another, meanwhile.")
            for change, files in ((_MAKE_LIVE, run.added), (_SET_BUCKETS, run.kept)):
                for file in files:
                    buckets = json.dumps(
                        [[bucket.start_us, bucket.end_us, bucket.events] for bucket in file.buckets]
                    )
                    if connection.execute(change, {"file": file.id, "held": buckets}).rowcount != 1:
                        raise DatasetChanged("A file of the run was given up meanwhile.")
            for file_id in run.removed:
                connection.execute(_MAKE_DEAD, {"file": file_id, "now": self._clock()})

    def end_files(self, dataset_id: int) -> None:
        """Marks all files of the dataset as dead, whether or not new ones can be computed."""
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(_MAKE_ALL_DEAD, {"of": dataset_id, "now": self._clock()})

    def reserve_file(self, dataset_id: int) -> int:
        """The id for a new file, committed before the file exists. Raises DatasetChanged."""
        with self._database.writing() as connection:
            if connection.execute(_EXISTS, {"of": dataset_id}).first() is None:
                raise DatasetChanged("The dataset was deleted meanwhile.")
            values = {"dataset_id": dataset_id, "state": _WRITING, "changed_us": self._clock()}
            file_id: int = connection.execute(_RESERVE, values).scalar_one()
            return file_id

    def forgettable_files(self, before_us: int, *, given_up: bool) -> list[tuple[int, int]]:
        """(file id, dataset id) of files that were replaced before then, and with ``given_up`` of all files
        that were never finished."""
        with self._database.reading() as connection:
            rows = connection.execute(_DEAD_BEFORE, {"before": before_us}).all()
            if given_up:
                rows = [*rows, *connection.execute(_UNFINISHED).all()]
            return [(row.id, row.dataset_id) for row in rows]

    def forget_files(self, ids: Sequence[int]) -> None:
        with self._database.writing() as connection:
            for batch in slices(ids):
                connection.execute(_FORGET, {"ids": batch})


def _find(connection: Connection, project_id: str, name: str) -> Dataset:
    """Raises UnknownDataset."""
    row = connection.execute(_NAMED, {"project": project_id, "named": name}).first()
    if row is None:
        raise UnknownDataset(name)
    return _dataset(connection, row)


def _dataset(connection: Connection, row: Row[Any]) -> Dataset:
    dataset = _without_files(row)
    files = connection.execute(_FILES, {"of": dataset.id})
    return replace(dataset, files=tuple(_file(*file) for file in files))


def _file(file_id: int, dataset_id: int, buckets: str) -> DatasetFile:
    return DatasetFile(file_id, dataset_id, _buckets(json.loads(buckets)))


def _buckets(listed: Iterable[Sequence[int]]) -> tuple[Bucket, ...]:
    return tuple(Bucket(start, end, events) for start, end, events in listed)


def _without_files(row: Row[Any]) -> Dataset:
    return Dataset(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        definition=row.definition,
        created_us=row.created_us,
        status=DatasetStatus(row.status),
        message=row.message,
        run=row.run,
        scheduled_us=row.scheduled_us,
        through_us=row.through_us,
        moment=None if row.collection_id is None else (row.collection_id, row.erase_version),
        start_us=row.start_us,
        end_us=row.end_us,
        later=row.later,
    )
