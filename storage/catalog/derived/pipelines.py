"""Pipelines, their output collections, and the buckets that they derived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from storage.catalog.database.checksums import UNVERIFIED
from storage.catalog.database.connection import Database, upsert, version_now
from storage.catalog.database.versions import Area
from storage.catalog.derived.pipeline_records import HELD, BucketState, DerivedBucket, StoredPipeline
from storage.catalog.errors import OutputTaken, PipelineChanged
from storage.catalog.repository import Repository
from storage.catalog.stored.collections import ensure_collections
from storage.catalog.stored.files import swap_files
from storage.catalog.stored.records import Counts, FileRow, FileState
from storage.catalog.stored.schemas import SchemaCache
from storage.catalog.tables import (
    collections,
    files,
    pipeline_accepted,
    pipeline_buckets,
    pipeline_deliveries,
    pipeline_troubles,
    pipeline_waits,
    pipelines,
)

_COLUMNS = (
    pipelines.c.id,
    pipelines.c.project_id,
    pipelines.c.name,
    pipelines.c.definition,
    pipelines.c.version,
    pipelines.c.digest,
    pipelines.c.owner,
    pipelines.c.revision,
    pipelines.c.paused,
    pipelines.c.collection_id,
    pipelines.c.quarantine_id,
    pipelines.c.buckets_version,
    pipelines.c.created_us,
    pipelines.c.applied_us,
)
_BUCKET = (
    pipeline_buckets.c.start_us,
    pipeline_buckets.c.end_us,
    pipeline_buckets.c.state,
    pipeline_buckets.c.digest,
    pipeline_buckets.c.inputs,
    pipeline_buckets.c.rows_in,
    pipeline_buckets.c.rows_out,
    pipeline_buckets.c.seconds,
    pipeline_buckets.c.attempts,
    pipeline_buckets.c.changed_us,
    pipeline_buckets.c.problem,
    pipeline_buckets.c.quarantined,
    pipeline_buckets.c.report,
)
_ALL = select(*_COLUMNS).order_by(pipelines.c.id)
_OF_PROJECT = (
    select(*_COLUMNS).where(pipelines.c.project_id == bindparam("wanted_project")).order_by(pipelines.c.name)
)
_ONE = _OF_PROJECT.where(pipelines.c.name == bindparam("wanted_name"))
_BY_ID = select(*_COLUMNS).where(pipelines.c.id == bindparam("wanted"))
_BUCKETS = (
    select(*_BUCKET)
    .where(pipeline_buckets.c.pipeline_id == bindparam("wanted"))
    .order_by(pipeline_buckets.c.start_us)
)
_BUCKET_AT = _BUCKETS.where(pipeline_buckets.c.start_us == bindparam("wanted_start"))
_CHANGED = (
    update(pipelines)
    .where(pipelines.c.id == bindparam("wanted"))
    .values(buckets_version=pipelines.c.buckets_version + 1)
)
_WRITERS = select(pipelines.c.name).where(
    or_(pipelines.c.collection_id == bindparam("of"), pipelines.c.quarantine_id == bindparam("of"))
)
_VERSIONS = (
    select(
        collections.c.project_id,
        collections.c.name,
        collections.c.id,
        collections.c.data_version,
        collections.c.erase_version,
    )
    .where(collections.c.project_id.in_(select(pipelines.c.project_id)))
    # Only compared with what was read before: what it leads to is read from verified rows.
    .execution_options(**{UNVERIFIED: True})
)
_VERSIONS_IN = _VERSIONS.where(collections.c.project_id == bindparam("wanted_project"))
_ACCEPTED = (
    select(pipeline_accepted.c.digest)
    .where(pipeline_accepted.c.pipeline_id == bindparam("wanted"))
    .order_by(pipeline_accepted.c.digest)
    # Only digests are read: what a lost or damaged one does is to set its row aside again.
    .execution_options(**{UNVERIFIED: True})
)
_LIVE_FILE = select(files.c.id).where(
    files.c.collection_id == bindparam("of"), files.c.state == FileState.LIVE.value
)


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """The rows of a bucket in one collection: files that are on the disk already, and what they replace."""

    collection_id: int
    rows: int
    """The rows that come."""
    remove: Sequence[int] = ()
    """Ids of live files of the collection."""
    add: Sequence[FileRow] = field(default=())
    """New files, with the rows of removed ones that belong to other buckets."""
    rows_before: int = 0
    """Derived rows of the bucket that go."""


@dataclass(frozen=True, slots=True)
class BucketCommit:
    """The rows of one bucket in the pipeline's output, and in its quarantine."""

    pipeline_id: int
    version: int
    """Of the definition that the rows were derived by."""
    bucket: DerivedBucket
    seen: DerivedBucket | None
    """The bucket as it was before its files were looked at."""
    changes: Sequence[CollectionChange] = ()
    accepted: Sequence[str] = ()
    """What was accepted when the rows were derived."""
    also: Callable[[Connection], None] | None = None
    """What else is recorded in the transaction: of derived data, and of runs."""


class Pipelines(Repository):
    """Pipelines by project and name."""

    def __init__(self, database: Database, clock: Callable[[], int], schemas: SchemaCache) -> None:
        super().__init__(database, clock)
        self._schemas = schemas

    def all(self) -> list[StoredPipeline]:
        """The pipelines of all projects, by id."""
        with self._database.reading() as connection:
            return [_pipeline(row) for row in connection.execute(_ALL)]

    def of_project(self, project_id: str) -> list[StoredPipeline]:
        """The project's pipelines, ordered by name."""
        with self._database.reading() as connection:
            return [_pipeline(row) for row in connection.execute(_OF_PROJECT, {"wanted_project": project_id})]

    def find(self, project_id: str, name: str) -> StoredPipeline | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, name)

    def put(
        self,
        project_id: str,
        name: str,
        *,
        definition: str,
        digest: str,
        owner: str,
        revision: str | None,
        output: str,
        quarantine: str | None = None,
        collections_max: int,
    ) -> StoredPipeline:
        """Creates or replaces a pipeline; its output, and the collection for rows that are set aside, are
        created if missing, and no client may write to them.

        Raises OutputTaken where the collection has events of clients or belongs to another pipeline, or where
        the project has ``collections_max`` collections; UnknownProject, InvalidName.
        """
        with self._database.changing(Area.DERIVED, Area.DATA) as connection:
            now_us, old = self._clock(), _find(connection, project_id, name)
            own = None if old is None else old.id
            of = self._output(connection, project_id, output, collections_max, own)
            aside = None if old is None else old.quarantine_id
            if quarantine is not None:
                aside = self._output(connection, project_id, quarantine, collections_max, own)
            values = {
                "definition": definition,
                "digest": digest,
                "owner": owner,
                "revision": revision,
                "collection_id": of,
                "quarantine_id": aside,
                "applied_us": now_us,
            }
            if old is None:
                identity = {"project_id": project_id, "name": name, "version": 1, "created_us": now_us}
                connection.execute(insert(pipelines), [values | identity])
            else:
                if old.collection_id != of or old.quarantine_id not in (None, aside):
                    raise OutputTaken(
                        f"The pipeline '{name}' derives another collection already: give the new output to a "
                        "pipeline of another name, and remove this one."
                    )
                if old.definition != definition or old.digest != digest:
                    values["version"] = old.version + 1
                connection.execute(update(pipelines).where(pipelines.c.id == old.id).values(values))
            found = _find(connection, project_id, name)
            assert found is not None
            return found

    def _output(
        self, connection: Connection, project_id: str, name: str, collections_max: int, own: int | None
    ) -> int:
        ensured = ensure_collections(
            connection, self._schemas, project_id, [name], collections_max, self._clock()
        )
        if not ensured:
            raise OutputTaken(f"The project has {collections_max} collections already: none can be added.")
        of = ensured[0].id
        if not ensured[0].derived:
            if connection.execute(_LIVE_FILE, {"of": of}).first() is not None or ensured[0].schema.lanes:
                raise OutputTaken(
                    f"The collection '{name}' has events that clients sent. A pipeline needs a collection of "
                    "its own: name another in 'into', or delete these events first."
                )
            _mark_derived(connection, of, derived=True)
        other = connection.execute(_WRITERS.where(pipelines.c.id != (own or 0)), {"of": of}).scalar()
        if other is not None:
            raise OutputTaken(f"The pipeline '{other}' derives the collection '{name}' already.")
        return of

    def input_versions(self, project_id: str | None = None) -> dict[tuple[str, str], tuple[int, int, int]]:
        """(project, collection) → id, data version and erase version, in projects that have pipelines."""
        with self._database.reading() as connection:
            query = _VERSIONS if project_id is None else _VERSIONS_IN
            found = connection.execute(query, {} if project_id is None else {"wanted_project": project_id})
            return {(row[0], row[1]): tuple(row[2:]) for row in found}

    def set_paused(self, project_id: str, name: str, paused: bool) -> StoredPipeline | None:
        """Pauses a pipeline, or lets it run again; None where there is none. A paused one begins no run."""
        with self._database.changing(Area.DERIVED, Area.RUNS) as connection:
            found = _find(connection, project_id, name)
            if found is None:
                return None
            connection.execute(update(pipelines).where(pipelines.c.id == found.id).values(paused=paused))
            return _find(connection, project_id, name)

    def remove(self, project_id: str, name: str) -> bool:
        """Removes a pipeline. The rows that it derived stay, as events of a collection like any other."""
        with self._database.changing(Area.DERIVED, Area.DATA) as connection:
            found = _find(connection, project_id, name)
            if found is None:
                return False
            for table in (
                pipeline_buckets,
                pipeline_deliveries,
                pipeline_accepted,
                pipeline_waits,
                pipeline_troubles,
            ):
                connection.execute(delete(table).where(table.c.pipeline_id == found.id))
            connection.execute(delete(pipelines).where(pipelines.c.id == found.id))
            for of in filter(None, (found.collection_id, found.quarantine_id)):
                _mark_derived(connection, of, derived=False)
            return True

    def buckets(self, pipeline_id: int) -> list[DerivedBucket]:
        """The buckets of a pipeline that were derived, failed, or changed by an operator, in order."""
        with self._database.reading() as connection:
            return [_bucket(row) for row in connection.execute(_BUCKETS, {"wanted": pipeline_id})]

    def bucket(self, pipeline_id: int, start_us: int) -> DerivedBucket | None:
        with self._database.reading() as connection:
            return _bucket_at(connection, pipeline_id, start_us)

    def set_states(self, pipeline_id: int, buckets: Sequence[tuple[int, int]], state: BucketState) -> None:
        """Gives buckets, as (start, end), a state that an operator chose."""
        with self._database.changing(Area.DERIVED) as connection:
            for start_us, end_us in buckets:
                old = _bucket_at(connection, pipeline_id, start_us)
                new = old or DerivedBucket(start_us, end_us, state, "", "")
                values = {**_values(new), "state": state.value, "attempts": 0, "problem": None}
                _store(connection, pipeline_id, {**values, "changed_us": self._clock()})

    def note_inputs(self, pipeline_id: int, changes: Sequence[tuple[DerivedBucket, str]]) -> None:
        """Records that the rows of buckets are also those of other inputs, which hold the same events."""
        if not changes:
            return
        with self._database.changing(Area.DERIVED) as connection:
            for bucket, inputs in changes:
                if _bucket_at(connection, pipeline_id, bucket.start_us) == bucket:
                    _store(connection, pipeline_id, {**_values(bucket), "inputs": inputs})

    def fail(self, pipeline_id: int, bucket: DerivedBucket, problem: str) -> None:
        """Records that a run of a bucket failed, and for what inputs; its rows stay as they are."""
        with self._database.changing(Area.DERIVED) as connection:
            old = _bucket_at(connection, pipeline_id, bucket.start_us) or bucket
            if old.state in HELD:
                return
            values = {
                "state": BucketState.FAILED.value,
                "attempts": old.attempts + 1,
                "problem": problem,
                "digest": bucket.digest,
                "inputs": bucket.inputs,
                "report": bucket.report,
            }
            _store(connection, pipeline_id, {**_values(old), **values, "changed_us": self._clock()})

    def accepted(self, pipeline_id: int) -> list[str]:
        """The digests of the rows that no expectation of the pipeline sets aside."""
        with self._database.reading() as connection:
            return _accepted(connection, pipeline_id)

    def accept(self, pipeline_id: int, digests: Sequence[str], *, withdrawn: Sequence[str] = ()) -> None:
        """Accepts rows, and withdraws that for others. Has every bucket derived again in which rows were set
        aside, or, for a withdrawal, all."""
        with self._database.changing(Area.DERIVED) as connection:
            gone = pipeline_accepted.c.digest.in_(withdrawn)
            connection.execute(
                delete(pipeline_accepted).where(pipeline_accepted.c.pipeline_id == pipeline_id, gone)
            )
            for digest in digests:
                values = {"pipeline_id": pipeline_id, "digest": digest, "accepted_us": self._clock()}
                connection.execute(upsert(pipeline_accepted).on_conflict_do_nothing(), values)
            for row in connection.execute(_BUCKETS, {"wanted": pipeline_id}).all():
                old = _bucket(row)
                concerned = old.quarantined or old.state is BucketState.FAILED or withdrawn
                if concerned and old.state not in HELD:
                    values = {**_values(old), "state": BucketState.STALE.value, "problem": None}
                    _store(connection, pipeline_id, {**values, "changed_us": self._clock()})

    def commit(self, commit: BucketCommit) -> bool:
        """Replaces a bucket's rows, and records what they were derived from, in one transaction.

        False, and nothing is changed, where a file to remove is no longer live or the bucket is not as it was
        seen: another process may have derived it meanwhile, whose rows would stay beside these. Raises
        PipelineChanged where the pipeline was removed or has another definition now, or an operator holds the
        bucket.
        """
        areas = (Area.DERIVED, Area.DATA) if commit.also is None else (Area.DERIVED, Area.DATA, Area.RUNS)
        with self._database.changing(*areas) as connection:
            row = connection.execute(_BY_ID, {"wanted": commit.pipeline_id}).first()
            old = _bucket_at(connection, commit.pipeline_id, commit.bucket.start_us)
            if row is None or row.version != commit.version or (old is not None and old.state in HELD):
                raise PipelineChanged
            if row.quarantine_id is not None and _accepted(connection, row.id) != list(commit.accepted):
                raise PipelineChanged
            if old != commit.seen:
                connection.rollback()
                return False
            if not all(_swapped(connection, one, self._clock()) for one in commit.changes):
                connection.rollback()
                return False
            _store(connection, commit.pipeline_id, _values(commit.bucket))
            if commit.also is not None:
                commit.also(connection)
            return True


def _swapped(connection: Connection, change: CollectionChange, now_us: int) -> bool:
    """Replace a collection's rows of a bucket. False where a file to remove is no longer live."""
    if not (change.remove or change.add):
        return True
    new, gone = change.rows, change.rows_before
    counts = Counts(new, new - gone, 0, gone)
    swapped = swap_files(
        connection,
        change.collection_id,
        change.remove,
        change.add,
        counts,
        now_us,
        changed=gone > 0,
        kept=False,
    )
    if swapped and gone:
        _end_history(connection, change.collection_id)
    return swapped


def _mark_derived(connection: Connection, collection_id: int, *, derived: bool) -> None:
    values = {"derived": derived, "changed": version_now(Area.DATA)}
    connection.execute(update(collections).where(collections.c.id == collection_id).values(values))


def _end_history(connection: Connection, collection_id: int) -> None:
    """Replaced rows are not kept: what an input has erased must be gone here too."""
    values = {"history_from": version_now(Area.DATA)}
    connection.execute(update(collections).where(collections.c.id == collection_id).values(values))


def _find(connection: Connection, project_id: str, name: str) -> StoredPipeline | None:
    row = connection.execute(_ONE, {"wanted_project": project_id, "wanted_name": name}).first()
    return None if row is None else _pipeline(row)


def _pipeline(row: Any) -> StoredPipeline:
    return StoredPipeline(**{**row._mapping, "paused": bool(row.paused)})


def _accepted(connection: Connection, pipeline_id: int) -> list[str]:
    return list(connection.execute(_ACCEPTED, {"wanted": pipeline_id}).scalars())


def _bucket_at(connection: Connection, pipeline_id: int, start_us: int) -> DerivedBucket | None:
    row = connection.execute(_BUCKET_AT, {"wanted": pipeline_id, "wanted_start": start_us}).first()
    return None if row is None else _bucket(row)


def _bucket(row: Any) -> DerivedBucket:
    return DerivedBucket(**{**row._mapping, "state": BucketState(row.state)})


def _values(bucket: DerivedBucket) -> dict[str, Any]:
    values = {column.name: getattr(bucket, column.name) for column in _BUCKET}
    return {**values, "state": bucket.state.value}


def _store(connection: Connection, pipeline_id: int, values: dict[str, Any]) -> None:
    keys = ["pipeline_id", "start_us"]
    new = {name: value for name, value in values.items() if name not in keys}
    statement = upsert(pipeline_buckets).on_conflict_do_update(index_elements=keys, set_=new)
    connection.execute(statement, {**values, "pipeline_id": pipeline_id})
    connection.execute(_CHANGED, {"wanted": pipeline_id})
