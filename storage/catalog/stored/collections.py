"""Collections and their lanes. Each function runs inside its caller's transaction."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.catalog.database.checksums import refuse_incomplete, refuse_lost
from storage.catalog.database.connection import slices
from storage.catalog.errors import InvalidName, TooManyProperties, UnknownCollection, UnknownProject
from storage.catalog.records import Collection, ErasureState, FileState
from storage.catalog.state import get_meta, set_meta
from storage.catalog.tables import (
    claims,
    collections,
    counters,
    erasures,
    files,
    lanes,
    projects,
    streams,
)
from storage.catalog.tenants.projects import is_text
from storage.schema import Lane, LaneKind, Schema

SCHEMAS_MAX = 10_000
"""Schemas kept decoded in one process."""

_COLUMNS = (
    collections.c.id,
    collections.c.project_id,
    collections.c.name,
    collections.c.generation,
    collections.c.lanes_version,
    collections.c.data_version,
    collections.c.created_us,
    collections.c.erase_version,
    collections.c.pruned_version,
    collections.c.freed_us,
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
_COUNT = (
    select(func.count())
    .select_from(collections)
    .where(collections.c.project_id == bindparam("project_id"), collections.c.freed_us.is_(None))
)
_UNCOUNTED = select(collections.c.id).where(
    collections.c.project_id == bindparam("project_id"),
    ~select(counters.c.collection_id).where(counters.c.collection_id == collections.c.id).exists(),
)
_REVIVE = update(collections).where(collections.c.id == bindparam("of")).values(freed_us=None)
_LAST_ERASURE = select(func.coalesce(func.max(erasures.c.id), 0))
_NEWEST_REMOVED = "newest_removed_erasure"
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
_LANES = (
    select(lanes.c.collection_id, lanes.c.path, lanes.c.kind, lanes.c.column)
    .where(lanes.c.collection_id.in_(bindparam("ids", expanding=True)))
    .order_by(lanes.c.collection_id, lanes.c.position)
)
_SET_LANES_VERSION = (
    update(collections)
    .where(collections.c.id == bindparam("of"))
    .values(lanes_version=bindparam("version"), pruned_version=bindparam("pruned"))
)
_REMOVE_LANE = delete(lanes).where(
    lanes.c.collection_id == bindparam("of"),
    lanes.c.path == bindparam("at"),
    lanes.c.kind == bindparam("of_kind"),
)
_LIVE_FILE = select(files.c.id).where(
    files.c.collection_id == collections.c.id, files.c.state == FileState.LIVE.value
)
_FREE = (
    update(collections)
    .where(
        collections.c.id == bindparam("of"),
        collections.c.freed_us.is_(None),
        ~select(lanes.c.position).where(lanes.c.collection_id == collections.c.id).exists(),
        ~_LIVE_FILE.exists(),
    )
    .values(freed_us=bindparam("now"))
)
_LANES_VERSIONS = select(collections.c.id, collections.c.lanes_version).where(
    collections.c.lanes_version > collections.c.pruned_version
)


class SchemaCache:
    """The newest decoded schema of each collection: its version tells it from all others. Older ones are not
    kept: a thousand properties that came one by one were a thousand schemas."""

    def __init__(self) -> None:
        self._schemas: dict[int, Schema] = {}
        self._lock = threading.Lock()

    def read(self, connection: Connection, wanted: Iterable[tuple[int, int, int]]) -> Mapping[int, Schema]:
        """Collection id → schema, for the ids and versions that the same transaction read."""
        found: dict[int, Schema] = {}
        missing: dict[int, tuple[int, int]] = {}
        for collection_id, version, pruned in wanted:
            schema = self._schemas.get(collection_id) if version else Schema()
            if schema is None or schema.version != version:
                missing[collection_id] = version, pruned
            else:
                found[collection_id] = schema
        if missing:
            loaded = _load_schemas(connection, missing)
            self._keep(loaded)
            found.update(loaded)
        return found

    def _keep(self, loaded: Mapping[int, Schema]) -> None:
        with self._lock:
            if len(self._schemas) + len(loaded) > SCHEMAS_MAX:
                self._schemas.clear()
            for collection_id, schema in loaded.items():
                known = self._schemas.get(collection_id)
                if known is None or known.version < schema.version:
                    self._schemas[collection_id] = schema


def _load_schemas(connection: Connection, versions: Mapping[int, tuple[int, int]]) -> dict[int, Schema]:
    """Collection id → its schema, given its version and the one as of which lanes were last removed."""
    rows: dict[int, list[Lane]] = {collection_id: [] for collection_id in versions}
    for some in slices(list(rows)):
        for collection_id, path, kind, column in connection.execute(_LANES, {"ids": some}):
            rows[collection_id].append(Lane(path, LaneKind(kind), column))
    for collection_id, own in rows.items():
        refuse_incomplete(connection, lanes, (collection_id,), len(own))
    return {
        collection_id: Schema(tuple(own), version - len(own), pruned)
        for collection_id, own in rows.items()
        for version, pruned in [versions[collection_id]]
    }


def list_collections(connection: Connection, schemas: SchemaCache, project_id: str) -> list[Collection]:
    """By name."""
    return _decode(connection, schemas, connection.execute(_LISTED, {"project_id": project_id}).all())


def all_collections(connection: Connection, schemas: SchemaCache) -> list[Collection]:
    """Of all projects, by id."""
    return _decode(connection, schemas, connection.execute(_ALL).all())


def collection_names(connection: Connection, project_id: str, limit: int) -> list[str]:
    """The first names by the alphabet."""
    return list(connection.execute(_NAMES, {"project_id": project_id, "limit": limit}).scalars())


def named_collections(
    connection: Connection, schemas: SchemaCache, project_id: str, names: Sequence[str]
) -> list[Collection]:
    """Those of the names that exist."""
    rows: list[Any] = []
    for some in slices([name for name in dict.fromkeys(names) if is_text(name)]):
        found = connection.execute(_BY_NAMES, {"project_id": project_id, "names": some}).all()
        absent = set(some).difference(row.name for row in found)
        if absent:
            refuse_lost(connection, collections, [(project_id, name) for name in absent])
        rows += found
    return _decode(connection, schemas, rows)


def find_collection(connection: Connection, schemas: SchemaCache, collection_id: int) -> Collection:
    row = connection.execute(_BY_ID, {"collection_id": collection_id}).first()
    if row is None:
        raise UnknownCollection(f"There is no collection with id {collection_id}.")
    return _decode(connection, schemas, [row])[0]


def find_collections(connection: Connection, schemas: SchemaCache, ids: Sequence[int]) -> list[Collection]:
    """Those of the ids that exist."""
    rows: list[Any] = []
    for some in slices(ids):
        rows += connection.execute(_BY_IDS, {"ids": some}).all()
    return _decode(connection, schemas, rows)


def ensure_collections(
    connection: Connection,
    schemas: SchemaCache,
    project_id: str,
    names: Sequence[str],
    collections_max: int,
    now_us: int,
) -> list[Collection]:
    """The collections, made where there are none: in order, as far as the project may have so many.

    Raises UnknownProject, InvalidName.
    """
    there = {one.name: one for one in named_collections(connection, schemas, project_id, names)}
    wanted = [name for name in dict.fromkeys(names) if name not in there or there[name].freed]
    if wanted:
        count = connection.execute(_COUNT, {"project_id": project_id}).scalar_one()
        taken = wanted[: max(0, collections_max - count)]
        revived = [{"of": there[name].id} for name in taken if name in there]
        if revived:
            connection.execute(_REVIVE, revived)
        _insert(connection, project_id, [name for name in taken if name not in there], now_us)
    found = named_collections(connection, schemas, project_id, names)
    return [one for one in found if not one.freed]


def _insert(connection: Connection, project_id: str, names: Sequence[str], now_us: int) -> None:
    """Makes collections that are not there. Each is of a later generation than any that had its name before
    and was removed: what was computed of that one is not of this one."""
    if not all(name and is_text(name) for name in names):
        raise InvalidName("A collection's name must be text and not empty.")
    if connection.execute(_PROJECT, {"project_id": project_id}).first() is None:
        raise UnknownProject(f"There is no project {project_id}.")
    if not names:
        return
    values = {
        "project_id": project_id,
        "generation": _last_erasure(connection) + 1,
        "lanes_version": 0,
        "data_version": 0,
        "created_us": now_us,
    }
    connection.execute(insert(collections), [values | {"name": name} for name in names])
    made = connection.execute(_UNCOUNTED, {"project_id": project_id}).scalars()
    zero = {"logged": 0, "stored": 0, "duplicates": 0, "erased": 0}
    connection.execute(insert(counters), [zero | {"collection_id": one} for one in made])


def _last_erasure(connection: Connection) -> int:
    """The id of the newest request, be it of a collection that was removed since."""
    known = int(get_meta(connection, _NEWEST_REMOVED) or 0)
    return max(known, int(connection.execute(_LAST_ERASURE).scalar_one()))


def freed_collections(connection: Connection) -> list[int]:
    """Ids of collections that are freed, and that nothing in the catalog cites any more."""
    return list(connection.execute(_FREED).scalars())


def remove_freed(connection: Connection, collection_id: int) -> bool:
    """Forgets a collection, with its name. False where it is not, or no more, to be removed."""
    if collection_id not in freed_collections(connection):
        return False
    set_meta(connection, _NEWEST_REMOVED, str(_last_erasure(connection)))
    for table in (erasures, streams, counters, lanes):
        connection.execute(delete(table).where(table.c.collection_id == collection_id))
    scope = f"event:{collection_id}:"
    connection.execute(delete(claims).where(claims.c.scope >= scope, claims.c.scope < scope + "\x7f"))
    connection.execute(delete(collections).where(collections.c.id == collection_id))
    return True


def append_lanes(
    connection: Connection, current: Collection, wanted: Sequence[tuple[str, LaneKind]], properties_max: int
) -> Schema:
    """Appends what is missing. ``current`` is of this transaction. Raises TooManyProperties."""
    schema = current.schema.extended(wanted)
    if schema.version == current.schema.version:
        return schema
    if len(schema.by_path) > max(properties_max, len(current.schema.by_path)):
        raise TooManyProperties(
            f"Collection {current.name!r} would have {len(schema.by_path)} properties; "
            f"at most {properties_max} are allowed."
        )
    connection.execute(insert(lanes), _lane_rows(current.id, current.schema, schema))
    _set_version(connection, current.id, schema)
    return schema


def prune_lanes(
    connection: Connection, current: Collection, columns: Container[str], nulls: Container[str]
) -> Schema:
    """Removes the lanes that no event needs (see ``Schema.unheld``). ``current`` is of this transaction, and
    so is what is known of its events."""
    gone, silent = current.schema.unheld(columns, nulls)
    if not gone:
        return current.schema
    rows = [{"of": current.id, "at": lane.path, "of_kind": lane.kind.value} for lane in gone]
    connection.execute(_REMOVE_LANE, rows)
    pruned = current.schema.without(gone)
    schema = pruned.extended(silent)
    if schema.version > pruned.version:
        connection.execute(insert(lanes), _lane_rows(current.id, pruned, schema))
    _set_version(connection, current.id, schema)
    return schema


def free_empty(connection: Connection, collection_id: int, now_us: int) -> None:
    """A collection without events and properties counts no more, and its name goes after a while (see
    ``remove_freed``), unless events come again."""
    connection.execute(_FREE, {"of": collection_id, "now": now_us})


def lanes_versions(connection: Connection) -> dict[int, int]:
    """Collection id → the version of its lanes, where some were added since some were last removed."""
    return {row.id: row.lanes_version for row in connection.execute(_LANES_VERSIONS)}


def _lane_rows(collection_id: int, before: Schema, schema: Schema) -> list[dict[str, Any]]:
    """The lanes that ``schema`` has after those of ``before``. Positions are never used again."""
    return [
        {
            "collection_id": collection_id,
            "position": position,
            "path": lane.path,
            "kind": lane.kind.value,
            "column": lane.column,
        }
        for position, lane in enumerate(schema.lanes[len(before.lanes) :], before.version)
    ]


def _set_version(connection: Connection, collection_id: int, schema: Schema) -> None:
    values = {"of": collection_id, "version": schema.version, "pruned": schema.pruned}
    connection.execute(_SET_LANES_VERSION, values)


def _decode(connection: Connection, schemas: SchemaCache, rows: Iterable[Any]) -> list[Collection]:
    rows = list(rows)
    known = schemas.read(connection, [(row.id, row.lanes_version, row.pruned_version) for row in rows])
    return [
        Collection(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            generation=row.generation,
            schema=known[row.id],
            data_version=row.data_version,
            created_us=row.created_us,
            erase_version=row.erase_version,
            freed=row.freed_us is not None,
        )
        for row in rows
    ]
