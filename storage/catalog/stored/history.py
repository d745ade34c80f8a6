"""Earlier versions of the stored events: which files hold the events of a data version, and for how long.

A file holds events of the data versions from ``added_version`` to ``removed_version``. What compactions and
updates replace is *superseded*: it stays for a time, so that earlier versions can be read. Erasures apply to
superseded files as to live ones, so no version holds what was erased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from storage.catalog.repository import Repository
from storage.catalog.state import read_state
from storage.catalog.stored.files import ROW, decode_file
from storage.catalog.stored.logs import list_logs
from storage.catalog.stored.moments import first_version, flush_that_reaches, times_around, version_at
from storage.catalog.stored.records import Ends, FileRow, FileState, LogRow
from storage.catalog.tables import collections, erased_spans, files, moments
from storage.source import ErasedSpan

_KEPT = files.c.state.in_((FileState.LIVE.value, FileState.SUPERSEDED.value))
_OF = and_(files.c.collection_id == bindparam("of"), _KEPT)
_AT = (
    select(*ROW)
    .where(
        _OF,
        files.c.added_version <= bindparam("version"),
        or_(files.c.removed_version.is_(None), files.c.removed_version > bindparam("version")),
    )
    .order_by(files.c.id)
)
_LATER = (
    select(*ROW)
    .where(_OF, files.c.flushed.is_(True), files.c.added_version > bindparam("version"))
    .order_by(files.c.id)
)
_FROM = select(collections.c.history_from).where(collections.c.id == bindparam("of"))
_SPANS = select(erased_spans.c.id, erased_spans.c.min_us, erased_spans.c.max_us, erased_spans.c.events).where(
    erased_spans.c.collection_id == bindparam("of"), erased_spans.c.version > bindparam("version")
)
_EXPIRED = and_(files.c.state == FileState.SUPERSEDED.value, files.c.removed_us < bindparam("before"))
_ANY_EXPIRED = select(files.c.id).where(_EXPIRED).limit(1)
_SUPERSEDED_BYTES = select(func.count(), func.coalesce(func.sum(files.c.bytes), 0)).where(
    files.c.state == FileState.SUPERSEDED.value
)


@dataclass(frozen=True, slots=True)
class StoreState:
    """The present data version, and how far each log is in files."""

    version: int
    flushed_number: int
    logs: tuple[LogRow, ...]


@dataclass(frozen=True, slots=True)
class PastFiles:
    """What holds the events of a collection at an earlier data version, and what is needed beside it."""

    files: tuple[FileRow, ...]
    """The files that held them then."""
    later: tuple[FileRow, ...]
    """Files with events that were only in logs then, or not received yet."""
    reached: bool
    """Whether the later files hold all events that were only in logs then."""
    erased: tuple[ErasedSpan, ...]
    """What erasures took from this version since."""


class History(Repository):
    """Superseded files, and the versions that can be read with them."""

    def state(self) -> StoreState:
        """The present data version, and the logs."""
        with self._database.reading() as connection:
            version, flushed_number = read_state(connection)
            return StoreState(version, flushed_number, list_logs(connection))

    def version_at(self, us: int) -> int | None:
        """The data version at an instant; None before the first that is recorded."""
        with self._database.reading() as connection:
            return version_at(connection, us)

    def oldest(self, before_us: int) -> int:
        """The data version at ``before_us``, or the first that is recorded if that is later."""
        with self._database.reading() as connection:
            version = version_at(connection, before_us)
            return first_version(connection) if version is None else version

    def times_around(self, version: int) -> tuple[int, int | None]:
        """When the files were last changed up to this version, and when next; None where not yet."""
        with self._database.reading() as connection:
            return times_around(connection, version)

    def read_from(self, collection_id: int) -> int:
        """The data version from which on all of the collection's superseded files are kept."""
        with self._database.reading() as connection:
            return int(connection.execute(_FROM, {"of": collection_id}).scalar() or 0)

    def past(
        self,
        collection_id: int,
        version: int,
        ends: Mapping[int, Ends],
        received_us: int | None = None,
    ) -> PastFiles:
        """The files of a version. With it belong the events of the logs before ``ends``, or with
        ``received_us`` those that were received until then."""
        with self._database.reading() as connection:
            return _past(connection, collection_id, version, ends, received_us)

    def expire(self, before_us: int) -> None:
        """Keeps no longer what was superseded before then: it is removed like other replaced files."""
        with self._database.reading() as connection:
            if connection.execute(_ANY_EXPIRED, {"before": before_us}).first() is None:
                return
        with self._database.writing() as connection:
            _raise_history(connection, _EXPIRED, {"before": before_us})
            values = {"before": before_us}
            connection.execute(update(files).where(_EXPIRED).values(state=FileState.DEAD.value), values)
            kept = version_at(connection, before_us)
            if kept is not None:
                connection.execute(delete(moments).where(moments.c.version < kept))
                connection.execute(delete(erased_spans).where(erased_spans.c.version <= kept))

    def forget_all(self) -> None:
        """Forgets all superseded files, for a copy of the store that has none of them."""
        superseded = files.c.state == FileState.SUPERSEDED.value
        with self._database.writing() as connection:
            _raise_history(connection, superseded, {})
            connection.execute(delete(files).where(superseded))

    def superseded(self) -> tuple[int, int]:
        """How many superseded files are kept, and their bytes."""
        with self._database.reading() as connection:
            count, size = connection.execute(_SUPERSEDED_BYTES).one()
            return int(count), int(size)


def note_erased(
    connection: Connection, collection_id: int, span: tuple[int, int], events: int, now_us: int
) -> None:
    """Records that events of these times were erased from all versions before the present one."""
    values = {
        "collection_id": collection_id,
        "version": read_state(connection)[0],
        "min_us": span[0],
        "max_us": span[1],
        "events": events,
        "at_us": now_us,
    }
    connection.execute(insert(erased_spans), values)


def begin_history(connection: Connection, lost: Sequence[FileRow]) -> None:
    """Records that versions of these superseded files cannot be read any more."""
    for file in lost:
        connection.execute(
            update(collections)
            .where(collections.c.id == file.collection_id, collections.c.history_from < file.removed)
            .values(history_from=file.removed)
        )


def _raise_history(connection: Connection, which: ColumnElement[bool], values: Mapping[str, int]) -> None:
    """Records that the versions of these superseded files cannot be read any more."""
    newest = (
        select(files.c.collection_id, func.max(files.c.removed_version).label("removed"))
        .where(which)
        .group_by(files.c.collection_id)
    )
    for row in connection.execute(newest, values).all():
        connection.execute(
            update(collections)
            .where(collections.c.id == row.collection_id, collections.c.history_from < row.removed)
            .values(history_from=row.removed)
        )


def _past(
    connection: Connection,
    collection_id: int,
    version: int,
    ends: Mapping[int, Ends],
    received_us: int | None,
) -> PastFiles:
    values = {"of": collection_id, "version": version}
    held = tuple(decode_file(row) for row in connection.execute(_AT, values))
    reach = flush_that_reaches(connection, version, ends) if ends else None
    later: tuple[FileRow, ...] = ()
    if ends or received_us is not None:
        wanted = _LATER
        if received_us is not None:
            wanted = wanted.where(files.c.arrived_us <= received_us)
        elif reach is not None:
            wanted = wanted.where(files.c.added_version <= reach)
        later = tuple(decode_file(row) for row in connection.execute(wanted, values))
    spans = tuple(ErasedSpan(*row) for row in connection.execute(_SPANS, values))
    reached = received_us is None and (not ends or reach is not None)
    return PastFiles(held, later, reached, spans)
