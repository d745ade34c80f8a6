"""Retention: the number of days for which collections keep their events."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, select, update

from storage.catalog.database.versions import Area
from storage.catalog.repository import Repository
from storage.catalog.tables import collections

_RETENTIONS = select(collections.c.id, collections.c.retention_days).where(
    collections.c.retention_days.is_not(None)
)
_RETAINED = select(collections.c.id, collections.c.retained_days).where(
    collections.c.retained_days.is_not(None)
)
_NOTE_RETAINED = (
    update(collections).where(collections.c.id == bindparam("of")).values(retained_days=bindparam("days"))
)
_RETAIN = (
    update(collections)
    .where(collections.c.id == bindparam("of"))
    .values(retention_days=bindparam("days"), retained_days=None)
)


class Retention(Repository):
    """The number of days for which collections keep their events."""

    def days(self) -> Mapping[int, int]:
        """Collection id → days, for collections with a retention."""
        with self._database.reading() as connection:
            return {row.id: row.retention_days for row in connection.execute(_RETENTIONS)}

    def carried_out(self) -> Mapping[int, int]:
        """Collection id → days, for collections whose retention was carried out since it was set."""
        with self._database.reading() as connection:
            return {row.id: row.retained_days for row in connection.execute(_RETAINED)}

    def note_carried_out(self, collection_id: int, days: int) -> None:
        """Records that this retention was carried out: all events that were older then are deleted."""
        with self._database.writing() as connection:
            connection.execute(_NOTE_RETAINED, {"of": collection_id, "days": days})

    def put(self, collection_id: int, days: int | None) -> None:
        """Sets the retention of a collection; None keeps its events indefinitely."""
        with self._database.changing(Area.DATA) as connection:
            connection.execute(_RETAIN, {"of": collection_id, "days": days})
