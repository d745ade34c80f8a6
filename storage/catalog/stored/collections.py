"""Collections and their lanes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from storage.catalog.database.checksums import refuse_lost
from storage.catalog.database.connection import Database, slices, version_now
from storage.catalog.database.versions import Area
from storage.catalog.errors import (
    InvalidName,
    TooManyCollections,
    TooManyProperties,
    UnknownCollection,
    UnknownProject,
)
from storage.catalog.people.audit import forget_names
from storage.catalog.repository import Repository
from storage.catalog.state import read_state
from storage.catalog.stored.files import list_live, list_superseded
from storage.catalog.stored.records import Collection, ErasureState, FileState
from storage.catalog.stored.schemas import SchemaCache, append_lanes, prune_lanes
from storage.catalog.tables import (
    claims,
    collections,
    counters,
    erased_spans,
    erasures,
    files,
    lanes,
    projects,
    streams,
)
from storage.catalog.tenants.names import is_text
from storage.catalog.tenants.projects import PURGING
from storage.schema import LaneKind

_COLUMNS = (
    collections.c.id,
    collections.c.project_id,
    collections.c.name,
    collections.c.lanes_version,
    collections.c.data_version,
    collections.c.created_us,
    collections.c.erase_version,
    collections.c.pruned_version,
    collections.c.freed_us,
    collections.c.derived,
)
_PROJECT = select(projects.c.id).where(projects.c.id == bindparam("project_id"))
_OF_PROJECT = (
    select(*_COLUMNS).where(collections.c.project_id == bindparam("project_id")).order_by(collections.c.name)
)
_NAMES = (
    select(collections.c.name)
    .where(collections.c.project_id == bindparam("project_id"), collections.c.freed_us.is_(None))
    .order_by(collections.c.name)
    .limit(bindparam("limit"))
)
_LISTED = _OF_PROJECT.where(collections.c.freed_us.is_(None) | (collections.c.erase_version > 0))
_BY_NAMES = _OF_PROJECT.where(collections.c.name.in_(bindparam("names", expanding=True)))
_BY_ID = select(*_COLUMNS).where(collections.c.id == bindparam("collection_id"))
_BY_IDS = select(*_COLUMNS).where(collections.c.id.in_(bindparam("ids", expanding=True)))
_ALL = select(*_COLUMNS).order_by(collections.c.id)
_ANY = select(collections.c.id).limit(1)
_CHANGED = select(collections.c.id).where(collections.c.changed > bindparam("since"))
_COUNT = (
    select(func.count())
    .select_from(collections)
    .where(collections.c.project_id == bindparam("project_id"), collections.c.freed_us.is_(None))
)
_UNCOUNTED = select(collections.c.id).where(
    collections.c.project_id == bindparam("project_id"),
    ~select(counters.c.collection_id).where(counters.c.collection_id == collections.c.id).exists(),
)
_REVIVE = (
    update(collections)
    .where(collections.c.id == bindparam("of"))
    .values(freed_us=None, changed=version_now(Area.DATA))
)
_FREED = (
    select(collections.c.id)
    .join(projects, projects.c.id == collections.c.project_id)
    .where(
        collections.c.freed_us.is_not(None),
        collections.c.retention_days.is_(None) | projects.c.purged_us.is_not(None),
        ~select(files.c.id).where(files.c.collection_id == collections.c.id).exists(),
        ~select(erasures.c.id)
        .where(erasures.c.collection_id == collections.c.id, erasures.c.state == ErasureState.WAITING.value)
        .exists(),
    )
    .order_by(collections.c.id)
)
_LIVE_FILE = select(files.c.id).where(
    files.c.collection_id == collections.c.id, files.c.state == FileState.LIVE.value
)
_FREE = (
    update(collections)
    .where(
        collections.c.id == bindparam("of"),
        collections.c.freed_us.is_(None),
        collections.c.derived.is_(False),
        ~select(lanes.c.position).where(lanes.c.collection_id == collections.c.id).exists(),
        ~_LIVE_FILE.exists(),
    )
    .values(freed_us=bindparam("now"), changed=version_now(Area.DATA))
)
_LANES_VERSIONS = select(collections.c.id, collections.c.lanes_version).where(
    collections.c.lanes_version > collections.c.pruned_version
)

_PURGED = (
    select(collections.c.id)
    .join(projects, projects.c.id == collections.c.project_id)
    .join(files, files.c.collection_id == collections.c.id)
    .where(projects.c.purged_us > PURGING, files.c.state == FileState.LIVE.value)
    .distinct()
)

_MOMENT = select(collections.c.id, collections.c.erase_version).where(
    collections.c.project_id == bindparam("project"), collections.c.name == bindparam("named")
)


class Collections(Repository):
    """Collections and their lanes."""

    def __init__(self, database: Database, clock: Callable[[], int], schemas: SchemaCache) -> None:
        super().__init__(database, clock)
        self._schemas = schemas

    def of_project(self, project_id: str) -> list[Collection]:
        """The project's collections ordered by name; empty for a project that does not exist."""
        with self._database.reading() as connection:
            return _decode(
                connection, self._schemas, connection.execute(_LISTED, {"project_id": project_id}).all()
            )

    def names(self, project_id: str, limit: int) -> list[str]:
        """Names of collections in order, including those without events, except those whose events were all
        deleted."""
        with self._database.reading() as connection:
            return list(connection.execute(_NAMES, {"project_id": project_id, "limit": limit}).scalars())

    def all(self) -> list[Collection]:
        """The collections of all projects, ordered by id."""
        with self._database.reading() as connection:
            return _decode(connection, self._schemas, connection.execute(_ALL).all())

    def exist(self) -> bool:
        """Whether any project has a collection."""
        with self._database.reading() as connection:
            return connection.execute(_ANY).first() is not None

    def get(self, project_id: str, name: str) -> Collection:
        """The collection of this name, which is case-sensitive. Raises UnknownCollection."""
        with self._database.reading() as connection:
            matches = named_collections(connection, self._schemas, project_id, [name])
        if not matches:
            raise UnknownCollection(f"There is no collection {name!r} in project {project_id}.")
        return matches[0]

    def named(self, project_id: str, names: Sequence[str]) -> list[Collection]:
        """The existing collections of these names."""
        with self._database.reading() as connection:
            return named_collections(connection, self._schemas, project_id, names)

    def by_ids(self, ids: Sequence[int]) -> list[Collection]:
        """The existing collections with these ids."""
        with self._database.reading() as connection:
            rows: list[Any] = []
            for batch in slices(ids):
                rows += connection.execute(_BY_IDS, {"ids": batch}).all()
            return _decode(connection, self._schemas, rows)

    def by_id(self, collection_id: int) -> Collection:
        """The collection with this id. Raises UnknownCollection."""
        with self._database.reading() as connection:
            return find_collection(connection, self._schemas, collection_id)

    def ensure(self, project_id: str, name: str, collections_max: int = sys.maxsize) -> Collection:
        """The collection, created if missing. Raises TooManyCollections, UnknownProject, InvalidName."""
        with suppress(UnknownCollection):
            existing = self.get(project_id, name)
            if not existing.freed:
                return existing
        created = self.ensure_all(project_id, {name: []}, 0, collections_max)
        if not created:
            raise TooManyCollections(f"Project {project_id} has {collections_max} collections already.")
        return created[0]

    def ensure_all(
        self,
        project_id: str,
        wanted: Mapping[str, Sequence[tuple[str, LaneKind]]],
        properties_max: int,
        collections_max: int = sys.maxsize,
    ) -> list[Collection]:
        """The collections with their lanes, created if missing, in one transaction.

        ``wanted`` maps the names of the collections to (path, kind) of their lanes.
        A collection that would have too many properties gets none of its new lanes; collections beyond
        ``collections_max`` are left out. Raises UnknownProject, InvalidName.
        """
        ensured: list[Collection] = []
        with self._database.changing(Area.DATA) as connection:
            names, now_us = list(wanted), self._clock()
            for current in ensure_collections(
                connection, self._schemas, project_id, names, collections_max, now_us
            ):
                schema = current.schema
                with suppress(TooManyProperties):
                    schema = append_lanes(connection, current, wanted[current.name], properties_max)
                ensured.append(replace(current, schema=schema))
        return ensured

    def freed(self) -> list[int]:
        """Ids of collections without events and properties that can be removed (see ``remove_freed``)."""
        with self._database.reading() as connection:
            return freed_collections(connection)

    def remove_freed(self, collection_id: int) -> bool:
        """Removes a collection that ``freed`` returned. False where it has been revived meanwhile."""
        with self._database.changing(Area.DATA) as connection:
            if collection_id not in freed_collections(connection):
                return False
            gone = find_collection(connection, self._schemas, collection_id)
            forget_names(connection, gone.project_id, gone.name)
            for table in (erasures, erased_spans, streams, counters, lanes):
                connection.execute(delete(table).where(table.c.collection_id == collection_id))
            scope = f"event:{collection_id}:"
            connection.execute(delete(claims).where(claims.c.scope >= scope, claims.c.scope < scope + "\x7f"))
            connection.execute(delete(collections).where(collections.c.id == collection_id))
            return True

    def add_lanes(
        self, collection_id: int, wanted: Sequence[tuple[str, LaneKind]], properties_max: int
    ) -> Collection:
        """Commits a lane for each (path, kind) in ``wanted``, and returns the collection, which may also have
        new lanes by other workers.

        ``properties_max`` limits distinct paths. Raises TooManyProperties (then no lane is added),
        UnknownCollection.
        """
        current = self.by_id(collection_id)
        if not current.schema.missing(wanted):
            return current
        with self._database.changing(Area.DATA) as connection:
            current = find_collection(connection, self._schemas, collection_id)
            schema = append_lanes(connection, current, wanted, properties_max)
        return replace(current, schema=schema)

    def prune_lanes(self, collection_id: int, columns: Set[str], nulls: Set[str]) -> Collection:
        """Removes the lanes that no event needs any more, and returns the collection.

        The columns of live and superseded files are read here; ``columns`` are those of events that are in no
        file yet, and ``nulls`` all paths at which an event, in a file or not, has an explicit null.

        Only the keeper may call this: it adds removed lanes again if it needs them for events that it reads
        from logs afterwards. Raises UnknownCollection.
        """
        with self._database.changing(Area.DATA) as connection:
            pruned, changed = prune(connection, self._schemas, collection_id, columns, nulls)
            if not changed:
                connection.rollback()
        return pruned

    def lanes_versions(self) -> Mapping[int, int]:
        """Collection id → lanes version, for collections with lanes added since lanes were last removed."""
        with self._database.reading() as connection:
            return {row.id: row.lanes_version for row in connection.execute(_LANES_VERSIONS)}

    def changed_since(self, version: int) -> tuple[int, list[int]]:
        """The current data version, and the ids of collections whose lanes changed, or that were freed or
        revived, after ``version``. It leaves out new collections, and removed ones, which were freed before.
        """
        with self._database.reading() as connection:
            now = read_state(connection)[0]
            return now, list(connection.execute(_CHANGED, {"since": version}).scalars())

    def purged(self) -> set[int]:
        """Ids of collections of purged projects that still have events in files."""
        with self._database.reading() as connection:
            return set(connection.execute(_PURGED).scalars())

    def moment(self, project_id: str, collection: str) -> tuple[int, int]:
        """A collection's id and erase version; (0, 0) if it does not exist."""
        with self._database.reading() as connection:
            return moment(connection, project_id, collection)


def named_collections(
    connection: Connection, schemas: SchemaCache, project_id: str, names: Sequence[str]
) -> list[Collection]:
    """The existing collections of these names."""
    rows: list[Any] = []
    for batch in slices([name for name in dict.fromkeys(names) if is_text(name)]):
        matches = connection.execute(_BY_NAMES, {"project_id": project_id, "names": batch}).all()
        absent = set(batch).difference(row.name for row in matches)
        if absent:
            refuse_lost(connection, collections, [(project_id, name) for name in absent])
        rows += matches
    return _decode(connection, schemas, rows)


def find_collection(connection: Connection, schemas: SchemaCache, collection_id: int) -> Collection:
    row = connection.execute(_BY_ID, {"collection_id": collection_id}).first()
    if row is None:
        raise UnknownCollection(f"There is no collection with id {collection_id}.")
    return _decode(connection, schemas, [row])[0]


def ensure_collections(
    connection: Connection,
    schemas: SchemaCache,
    project_id: str,
    names: Sequence[str],
    collections_max: int,
    now_us: int,
) -> list[Collection]:
    """The collections, created or revived if needed, in the order of ``names`` until ``collections_max``.

    Raises UnknownProject, InvalidName.
    """
    existing = {
        collection.name: collection
        for collection in named_collections(connection, schemas, project_id, names)
    }
    needed = [name for name in dict.fromkeys(names) if name not in existing or existing[name].freed]
    if needed:
        count = connection.execute(_COUNT, {"project_id": project_id}).scalar_one()
        admitted = needed[: max(0, collections_max - count)]
        revived = [{"of": existing[name].id} for name in admitted if name in existing]
        if revived:
            connection.execute(_REVIVE, revived)
        _insert(connection, project_id, [name for name in admitted if name not in existing], now_us)
    current = named_collections(connection, schemas, project_id, names)
    return [collection for collection in current if not collection.freed]


def _insert(connection: Connection, project_id: str, names: Sequence[str], now_us: int) -> None:
    """Creates collections that do not exist, with their counters."""
    if not all(name and is_text(name) for name in names):
        raise InvalidName("A collection's name must be text and not empty.")
    if connection.execute(_PROJECT, {"project_id": project_id}).first() is None:
        raise UnknownProject(f"There is no project {project_id}.")
    if not names:
        return
    values = {
        "project_id": project_id,
        "lanes_version": 0,
        "data_version": 0,
        "created_us": now_us,
    }
    connection.execute(insert(collections), [values | {"name": name} for name in names])
    ids = connection.execute(_UNCOUNTED, {"project_id": project_id}).scalars()
    zero = {"logged": 0, "stored": 0, "duplicates": 0, "erased": 0}
    connection.execute(insert(counters), [zero | {"collection_id": collection_id} for collection_id in ids])


def freed_collections(connection: Connection) -> list[int]:
    """Ids of freed collections that no file, waiting erasure or retention refers to; the retentions of purged
    projects do not count."""
    return list(connection.execute(_FREED).scalars())


def free_empty(connection: Connection, collection_id: int, now_us: int) -> None:
    """Marks a collection without events and properties as freed: it no longer counts towards limits, and is
    removed later (see ``remove_freed``) unless new events arrive."""
    connection.execute(_FREE, {"of": collection_id, "now": now_us})


def _decode(connection: Connection, schemas: SchemaCache, rows: Iterable[Any]) -> list[Collection]:
    rows = list(rows)
    schemas_by_id = schemas.read(
        connection, [(row.id, row.lanes_version, row.pruned_version) for row in rows]
    )
    return [
        Collection(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            schema=schemas_by_id[row.id],
            data_version=row.data_version,
            created_us=row.created_us,
            erase_version=row.erase_version,
            freed=row.freed_us is not None,
            derived=bool(row.derived),
        )
        for row in rows
    ]


def prune(
    connection: Connection, schemas: SchemaCache, collection_id: int, columns: Set[str], nulls: Set[str]
) -> tuple[Collection, bool]:
    """Removes the lanes that no event needs. Returns the collection, and whether any was removed; see
    ``Collections.prune_lanes``."""
    current = find_collection(connection, schemas, collection_id)
    kept = [*list_live(connection, collection_id), *list_superseded(connection, collection_id)]
    needed = set(columns).union(*(file.columns for file in kept))
    schema = prune_lanes(connection, current, needed, nulls)
    return replace(current, schema=schema), schema is not current.schema


def moment(connection: Connection, project_id: str, name: str) -> tuple[int, int]:
    """A collection's id and erase version; (0, 0) if it does not exist."""
    row = connection.execute(_MOMENT, {"project": project_id, "named": name}).first()
    return (0, 0) if row is None else (row.id, row.erase_version)
