"""What there is of a project in Parquet files, as its owners are shown it.

No reader caches it: everything is counted by SQLite when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, func, select

from storage.catalog.repository import Repository
from storage.catalog.stored.files import live_after
from storage.catalog.stored.records import FileRow, FileState
from storage.catalog.tables import collections, files

_LIVE = and_(files.c.collection_id == collections.c.id, files.c.state == FileState.LIVE.value)
_BY_COLLECTION = (
    select(
        collections.c.id,
        collections.c.name,
        func.count(files.c.id).label("files"),
        func.coalesce(func.sum(files.c.rows), 0).label("events"),
        func.coalesce(func.sum(files.c.bytes), 0).label("bytes"),
        func.min(files.c.min_us).label("first_us"),
        func.max(files.c.max_us).label("last_us"),
        func.max(files.c.created_us).label("written_us"),
        func.count(files.c.damaged).label("damaged"),
    )
    .outerjoin(files, _LIVE)
    .where(collections.c.project_id == bindparam("project"), collections.c.freed_us.is_(None))
    .group_by(collections.c.id)
    .order_by(collections.c.name)
)
_PAST_BY_COLLECTION = (
    select(files.c.collection_id, func.count(), func.sum(files.c.bytes))
    .join(collections, files.c.collection_id == collections.c.id)
    .where(collections.c.project_id == bindparam("project"), files.c.state == FileState.SUPERSEDED.value)
    .group_by(files.c.collection_id)
)
_LEFT = select(func.count(), func.coalesce(func.sum(files.c.bytes), 0)).where(
    files.c.state.in_(bindparam("states", expanding=True)),
    files.c.collection_id == bindparam("of"),
    files.c.removed_us <= bindparam("until"),
)
_NEWEST = select(func.max(files.c.created_us)).where(files.c.state == FileState.LIVE.value)


@dataclass(frozen=True, slots=True)
class Holding:
    """What the live files of a collection hold; the times are None where there is no file."""

    id: int
    name: str
    files: int
    events: int
    bytes: int
    first_us: int | None
    last_us: int | None
    written_us: int | None
    """When the newest of them was written."""
    damaged: int
    superseded_files: int = 0
    superseded_bytes: int = 0


class Inventory(Repository):
    """Counts and lists of live files."""

    def holdings(self, project_id: str) -> list[Holding]:
        """What each collection of the project holds, by name."""
        with self._database.reading() as connection:
            values = {"project": project_id}
            past = {row[0]: row[1:] for row in connection.execute(_PAST_BY_COLLECTION, values)}
            return [
                Holding(*row, *past.get(row.id, (0, 0))) for row in connection.execute(_BY_COLLECTION, values)
            ]

    def files(self, collection_id: int, *, after: int = 0, limit: int) -> list[FileRow]:
        """Live files of a collection with ids above ``after``, by id."""
        with self._database.reading() as connection:
            return live_after(connection, collection_id, after, limit)

    def replaced(self, collection_id: int, until_us: int, *, superseded: bool) -> tuple[int, int]:
        """How many files that were replaced by then are still on the disk, and their bytes; with those that
        are kept for earlier versions or without."""
        states = [FileState.DEAD.value, *([FileState.SUPERSEDED.value] if superseded else [])]
        values = {"of": collection_id, "until": until_us, "states": states}
        with self._database.reading() as connection:
            count, size = connection.execute(_LEFT, values).one()
            return int(count), int(size)

    def last_written_us(self) -> int | None:
        """When the newest file of all projects was written; None where there is none."""
        with self._database.reading() as connection:
            newest: int | None = connection.execute(_NEWEST).scalar()
            return newest
