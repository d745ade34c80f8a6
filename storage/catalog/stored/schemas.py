"""The lanes of collections, and a cache of decoded schemas."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.database.checksums import refuse_incomplete
from storage.catalog.database.connection import slices, version_now
from storage.catalog.database.versions import Area
from storage.catalog.errors import TooManyProperties
from storage.catalog.stored.records import Collection
from storage.catalog.tables import (
    collections,
    lanes,
)
from storage.schema import Lane, LaneKind, Schema

SCHEMAS_MAX = 10_000
"""Limit of decoded schemas cached in one process."""
_LANES = (
    select(lanes.c.collection_id, lanes.c.path, lanes.c.kind, lanes.c.column)
    .where(lanes.c.collection_id.in_(bindparam("ids", expanding=True)))
    .order_by(lanes.c.collection_id, lanes.c.position)
)
_SET_LANES_VERSION = (
    update(collections)
    .where(collections.c.id == bindparam("of"))
    .values(
        lanes_version=bindparam("version"),
        pruned_version=bindparam("pruned"),
        changed=version_now(Area.DATA),
    )
)
_REMOVE_LANE = delete(lanes).where(
    lanes.c.collection_id == bindparam("of"),
    lanes.c.path == bindparam("at"),
    lanes.c.kind == bindparam("of_kind"),
)


class SchemaCache:
    """Caches the newest decoded schema of each collection, identified by its version.

    Older versions are not cached: a thousand properties added one by one would make a thousand schemas.
    """

    def __init__(self) -> None:
        self._schemas: dict[int, Schema] = {}
        self._lock = threading.Lock()

    def read(self, connection: Connection, versions: Iterable[tuple[int, int, int]]) -> Mapping[int, Schema]:
        """Collection id → schema, for (id, lanes version, pruned version) as read in this transaction."""
        schemas: dict[int, Schema] = {}
        missing: dict[int, tuple[int, int]] = {}
        for collection_id, version, pruned in versions:
            schema = self._schemas.get(collection_id) if version else Schema()
            if schema is None or schema.version != version:
                missing[collection_id] = version, pruned
            else:
                schemas[collection_id] = schema
        if missing:
            loaded = _load_schemas(connection, missing)
            self._keep(loaded)
            schemas.update(loaded)
        return schemas

    def _keep(self, loaded: Mapping[int, Schema]) -> None:
        with self._lock:
            if len(self._schemas) + len(loaded) > SCHEMAS_MAX:
                self._schemas.clear()
            for collection_id, schema in loaded.items():
                known = self._schemas.get(collection_id)
                if known is None or known.version < schema.version:
                    self._schemas[collection_id] = schema


def _load_schemas(connection: Connection, versions: Mapping[int, tuple[int, int]]) -> dict[int, Schema]:
    """Collection id → its schema, given its version and the version at which lanes were last removed."""
    rows: dict[int, list[Lane]] = {collection_id: [] for collection_id in versions}
    for batch in slices(list(rows)):
        for collection_id, path, kind, column in connection.execute(_LANES, {"ids": batch}):
            rows[collection_id].append(Lane(path, LaneKind(kind), column))
    for collection_id, own in rows.items():
        refuse_incomplete(connection, lanes, (collection_id,), len(own))
    return {
        collection_id: Schema(tuple(own), version - len(own), pruned)
        for collection_id, own in rows.items()
        for version, pruned in [versions[collection_id]]
    }


def append_lanes(
    connection: Connection, current: Collection, wanted: Sequence[tuple[str, LaneKind]], properties_max: int
) -> Schema:
    """Appends the missing lanes and returns the new schema. ``current`` must be read in this transaction.

    Raises TooManyProperties.
    """
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
    """Removes the lanes that no event needs (see ``Schema.unheld``), and returns the new schema.

    ``current``, ``columns`` and ``nulls`` must be read in this transaction.
    """
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


def _lane_rows(collection_id: int, before: Schema, schema: Schema) -> list[dict[str, Any]]:
    """The rows of the lanes that ``schema`` has in addition to ``before``. Positions are never reused."""
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
