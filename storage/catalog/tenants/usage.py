"""The usage of projects, computed by SQLite."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from storage.catalog.stored.records import FileState
from storage.catalog.tables import collections, datasets, files, saved_queries
from storage.catalog.tenants.records import Usage


def usage_by_project(connection: Connection) -> dict[str, Usage]:
    """Project id → its usage; projects without any are left out."""
    counts: dict[str, dict[str, int]] = {}
    for statement in (_EVENTS, _SAVED, _CACHED, _DATASETS):
        for row in connection.execute(statement):
            values = dict(row._mapping)
            counts.setdefault(values.pop("project_id"), {}).update(values)
    return {project_id: Usage(**values) for project_id, values in counts.items()}


def _count(table: Any, name: str) -> Select[Any]:
    return select(table.c.project_id, func.count().label(name)).group_by(table.c.project_id)


_EVENTS = (
    select(
        collections.c.project_id,
        func.count(collections.c.id.distinct()).label("collections"),
        func.coalesce(func.sum(files.c.rows), 0).label("events"),
        func.coalesce(func.sum(files.c.bytes), 0).label("bytes"),
    )
    .join(files, files.c.collection_id == collections.c.id)
    .where(files.c.state == FileState.LIVE.value)
    .group_by(collections.c.project_id)
)
_SAVED = _count(saved_queries, "saved_queries")
_CACHED = _count(saved_queries, "cached_queries").where(saved_queries.c.refresh_rate > 0)
_DATASETS = _count(datasets, "cached_datasets")
