"""How far the events of each collection have been streamed out."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, func, select, update

from storage.catalog.database.connection import upsert
from storage.catalog.repository import Repository
from storage.catalog.state import get_meta, set_meta
from storage.catalog.stored.files import list_live
from storage.catalog.stored.logs import list_logs
from storage.catalog.stored.records import FileState, LogState
from storage.catalog.stored.stream_positions import (
    SettledFiles,
    StreamBatch,
    StreamPosition,
    read_batch,
    read_position,
    written,
)
from storage.catalog.tables import collections, files, logs, streams

_BEGUN = "streaming"
"""The name of the value that records that streaming has begun."""
_INSERT = upsert(streams)
_SET = _INSERT.on_conflict_do_update(
    index_elements=[streams.c.collection_id],
    set_={"position": _INSERT.excluded.position, "planned": _INSERT.excluded.planned},
)
_PLAN = update(streams).where(streams.c.collection_id == bindparam("of")).values(planned=bindparam("batch"))
_UNFINISHED = select(func.min(files.c.id)).where(
    files.c.collection_id == bindparam("of"), files.c.state == FileState.WRITING.value
)
_LAST_FILE = select(func.max(files.c.id))
_LAST_LOG = select(func.max(logs.c.id))
_DATA_VERSION = select(collections.c.data_version).where(collections.c.id == bindparam("of"))


class Streams(Repository):
    """Stream positions and planned batches by collection."""

    def positions(self) -> Mapping[int, tuple[StreamPosition, StreamBatch | None]] | None:
        """Collection id → its stream position, and the planned batch, which may be unfinished.

        None if streaming has never begun.
        """
        with self._database.reading() as connection:
            if get_meta(connection, _BEGUN) is None:
                return None
            return {
                row.collection_id: (
                    read_position(row.position),
                    None if row.planned is None else read_batch(row.planned),
                )
                for row in connection.execute(select(streams))
            }

    def begin(self, positions: Mapping[int, StreamPosition]) -> None:
        """Records that streaming begins after these positions; collections without one are streamed from the
        first event on."""
        with self._database.writing() as connection:
            for collection_id, position in positions.items():
                _set_position(connection, collection_id, position)
            set_meta(connection, _BEGUN, "1")

    def settled(self, collection_id: int) -> SettledFiles:
        """The collection's live files, and the bounds below which it gets no new events."""
        with self._database.reading() as connection:
            open_logs = [
                log.id
                for log in list_logs(connection)
                if log.state is not LogState.SEALED or log.flushed_lsn != log.end_lsn
            ]
            after_all = (connection.execute(_LAST_LOG).scalar() or 0) + 1
            unfinished = connection.execute(_UNFINISHED, {"of": collection_id}).scalar()
            last_file = connection.execute(_LAST_FILE).scalar() or 0
            return SettledFiles(
                files=tuple(list_live(connection, collection_id)),
                floor=min(open_logs, default=after_all),
                file=last_file if unfinished is None else unfinished - 1,
                version=connection.execute(_DATA_VERSION, {"of": collection_id}).scalar_one(),
            )

    def plan(self, collection_id: int, position: StreamPosition, batch: StreamBatch) -> None:
        """Records the next batch. ``position`` is the present one, for a collection without a stored one."""
        with self._database.writing() as connection:
            _set_position(connection, collection_id, position)
            connection.execute(_PLAN, {"of": collection_id, "batch": written(batch)})

    def end(self, collection_id: int, position: StreamPosition) -> None:
        """Records that the planned batch is done."""
        with self._database.writing() as connection:
            _set_position(connection, collection_id, position)


def _set_position(connection: Connection, collection_id: int, position: StreamPosition) -> None:
    """Stores a position without a planned batch."""
    connection.execute(_SET, {"collection_id": collection_id, "position": written(position), "planned": None})
