"""Parquet files and counters: flush and swap."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.catalog.database.checksums import UNVERIFIED
from storage.catalog.database.connection import slices, version_now
from storage.catalog.database.versions import Area
from storage.catalog.errors import CountsDisagree, FlushConflict, UnknownCollection
from storage.catalog.repository import Repository
from storage.catalog.state import advance_flushed_number, read_state
from storage.catalog.stored.logs import advance
from storage.catalog.stored.moments import note_moment
from storage.catalog.stored.records import Counts, FileRow, FileState, FlushCommit, ReservedFile
from storage.catalog.tables import collections, counters, files

_FACTS = (
    "span",
    "path",
    "rows",
    "bytes",
    "sha256",
    "min_us",
    "max_us",
    "created_us",
    "marked",
    "flushed",
    "arrived_us",
    "outdated",
    "removed_us",
)
"""Columns that are set once the file is live, named as in FileRow."""
ROW = (
    files.c.id,
    files.c.collection_id,
    files.c.span,
    files.c.path,
    files.c.rows,
    files.c.bytes,
    files.c.sha256,
    files.c.min_us,
    files.c.max_us,
    files.c.columns,
    files.c.created_us,
    files.c.damaged,
    files.c.marked,
    files.c.added_version,
    files.c.removed_version,
    files.c.removed_us,
    files.c.flushed,
    files.c.arrived_us,
    files.c.outdated,
)
"""The columns of which ``decode_file`` makes a FileRow."""
_COLUMNS_AT = [column.name for column in ROW].index("columns")
_LIVE = select(*ROW).where(files.c.state == FileState.LIVE.value).order_by(files.c.id)
_KEPT = files.c.state.in_((FileState.LIVE.value, FileState.SUPERSEDED.value))
_SET_ASIDE = select(*ROW).where(_KEPT, files.c.damaged.is_not(None)).order_by(files.c.id)
_LAST = select(func.max(files.c.id))
_LIVE_OF = _LIVE.where(files.c.collection_id == bindparam("of"))
_SUPERSEDED_OF = (
    select(*ROW)
    .where(files.c.state == FileState.SUPERSEDED.value, files.c.collection_id == bindparam("of"))
    .order_by(files.c.id)
)
_LIVE_IDS = (
    select(files.c.id, files.c.damaged)
    .where(files.c.state == FileState.LIVE.value, files.c.collection_id == bindparam("of"))
    .order_by(files.c.id)
    # Verified by comparing the number of rows with the counters (``storage.catalog.snapshot``).
    .execution_options(**{UNVERIFIED: True})
)
_MANY = (
    select(files.c.collection_id)
    .where(files.c.state == FileState.LIVE.value)
    .group_by(files.c.collection_id)
    .having(func.count() > 1)
)
_MERGEABLE = (
    select(collections.c.id, collections.c.data_version)
    .where(collections.c.id.in_(_MANY))
    .order_by(collections.c.id)
)
_BY_IDS = select(*ROW).where(files.c.id.in_(bindparam("ids", expanding=True)))
_KNOWN = (
    select(files.c.id)
    .where(files.c.id.in_(bindparam("ids", expanding=True)))
    .execution_options(**{UNVERIFIED: True})
)
_DEAD = (
    select(*ROW)
    .where(files.c.state == FileState.DEAD.value, files.c.removed_us < bindparam("before"))
    .order_by(files.c.id)
)
_WRITING = (
    select(files.c.id, files.c.collection_id, files.c.reserved_us)
    .where(files.c.state == FileState.WRITING.value, files.c.reserved_us < bindparam("before"))
    .order_by(files.c.id)
)
_MAKE_LIVE = (
    update(files)
    .where(
        files.c.id == bindparam("file_id"),
        files.c.collection_id == bindparam("of"),
        files.c.state == FileState.WRITING.value,
    )
    .values(
        state=bindparam("new_state"),
        **{
            name: bindparam(f"new_{name}")
            for name in (*_FACTS, "columns", "added_version", "removed_version")
        },
    )
)
_REMOVE = (
    update(files)
    .where(
        files.c.id.in_(bindparam("ids", expanding=True)),
        files.c.collection_id == bindparam("of"),
        files.c.state == FileState.LIVE.value,
    )
    .values(
        state=bindparam("to"),
        removed_us=bindparam("now"),
        removed_version=version_now(Area.DATA),
    )
)
_OUTDATE = (
    update(files)
    .where(
        files.c.collection_id == bindparam("of"),
        files.c.state == FileState.SUPERSEDED.value,
        files.c.outdated.is_(False),
    )
    .values(outdated=True)
)
_DROP_PAST = (
    update(files)
    .where(
        files.c.id.in_(bindparam("ids", expanding=True)),
        files.c.collection_id == bindparam("of"),
        files.c.state == FileState.SUPERSEDED.value,
    )
    .values(state=FileState.DEAD.value, removed_us=bindparam("now"))
)
_ROWS_OF = select(func.coalesce(func.sum(files.c.rows), 0)).where(
    files.c.id.in_(bindparam("ids", expanding=True))
)
_FORGET = delete(files).where(
    files.c.id.in_(bindparam("ids", expanding=True)), files.c.state != FileState.LIVE.value
)
_EXISTS = select(collections.c.id).where(collections.c.id == bindparam("of"))
_REVIVE = (
    update(collections)
    .where(collections.c.id == bindparam("of"), collections.c.freed_us.is_not(None))
    .values(freed_us=None, changed=version_now(Area.DATA))
)
_TOUCH = (
    update(collections)
    .where(collections.c.id == bindparam("of"))
    .values(data_version=collections.c.data_version + 1)
)
_ERASE = (
    update(collections)
    .where(collections.c.id == bindparam("of"))
    .values(erase_version=collections.c.erase_version + 1)
)
_COUNT = (
    update(counters)
    .where(counters.c.collection_id == bindparam("of"))
    .values(
        logged=counters.c.logged + bindparam("by_logged"),
        stored=counters.c.stored + bindparam("by_stored"),
        duplicates=counters.c.duplicates + bindparam("by_duplicates"),
        erased=counters.c.erased + bindparam("by_erased"),
    )
)
_COUNTERS_OF = select(
    counters.c.logged,
    counters.c.stored,
    counters.c.duplicates,
    counters.c.erased,
).where(counters.c.collection_id == bindparam("of"))


class Files(Repository):
    """Parquet files, their counters, and the flushes that registered them."""

    def reserve(self, collection_id: int, n: int) -> list[int]:
        """``n`` ids for new files, committed before any of the files exists. Raises UnknownCollection."""
        with self._database.writing() as connection:
            _refuse_unknown(connection, collection_id)
            row = {
                "collection_id": collection_id,
                "state": FileState.WRITING.value,
                "reserved_us": self._clock(),
            }
            if n < 1:
                return []
            return sorted(connection.execute(insert(files).returning(files.c.id), [row] * n).scalars())

    def commit_flush(self, flush: FlushCommit) -> None:
        """Commits a flush in one transaction: files, log positions, counters and data versions.

        Raises, without changes, FlushConflict (not the next flush, or a file id was given up), LogConflict (a
        position would go back), CountsDisagree, UnknownCollection, UnknownLog.
        """
        with self._database.changing(Area.DATA) as connection:
            if not advance_flushed_number(connection, flush.flush_number):
                raise FlushConflict(f"Flush {flush.flush_number} does not follow the last one.")
            advance(connection, flush.positions)
            rows: dict[int, int] = {}
            for file in flush.files:
                rows[file.collection_id] = rows.get(file.collection_id, 0) + file.rows
            for collection_id in sorted(rows.keys() | flush.counts.keys()):
                counts = flush.counts.get(collection_id, Counts())
                _check(collection_id, counts, rows.get(collection_id, 0))
                _add_counts(connection, collection_id, counts)
                connection.execute(_TOUCH, {"of": collection_id})
            if rows:
                # A worker that has not seen a deletion yet keeps writing to the collection.
                connection.execute(_REVIVE, [{"of": collection_id} for collection_id in rows])
            _make_live(connection, [replace(file, flushed=True) for file in flush.files])
            note_moment(connection, self._clock(), flush.ends)

    def swap(
        self,
        collection_id: int,
        remove_ids: Sequence[int],
        add: Sequence[FileRow],
        counts: Counts | None = None,
    ) -> bool:
        """Replaces live files by others with the same number of rows, less those erased by ``counts``.

        False, and nothing is changed, where any of them is no longer live. Raises CountsDisagree,
        FlushConflict, UnknownCollection.
        """
        with self._database.changing(Area.DATA) as connection:
            swapped = swap_files(
                connection, collection_id, remove_ids, add, counts or Counts(), self._clock()
            )
            if not swapped:
                connection.rollback()
            return swapped

    def live(self, collection_id: int | None = None) -> list[FileRow]:
        """The live files of a collection, or of all collections if None, ordered by id."""
        with self._database.reading() as connection:
            return list_live(connection, collection_id)

    def kept(self, collection_id: int) -> list[FileRow]:
        """The live files of a collection, and then its superseded ones."""
        with self._database.reading() as connection:
            return [*list_live(connection, collection_id), *list_superseded(connection, collection_id)]

    def superseded(self, collection_id: int) -> list[FileRow]:
        """The superseded files of a collection, which are kept for earlier versions, by id."""
        with self._database.reading() as connection:
            return list_superseded(connection, collection_id)

    def set_aside(self, file_id: int, why: str | None) -> bool:
        """Marks a file as damaged, or with None as intact again. False where it already is, or is neither
        live nor superseded."""
        with self._database.changing(Area.DATA) as connection:
            changed = files.c.damaged.is_not(None) if why is None else files.c.damaged.is_(None)
            condition = (files.c.id == file_id) & _KEPT & changed
            updated = connection.execute(
                update(files).where(condition).values(damaged=why).returning(files.c.collection_id)
            )
            collection_id = updated.scalar_one_or_none()
            if collection_id is not None:
                connection.execute(_TOUCH, {"of": collection_id})
            return collection_id is not None

    def damaged(self) -> list[FileRow]:
        """Files that are set aside, live and superseded ones."""
        with self._database.reading() as connection:
            return [decode_file(row) for row in connection.execute(_SET_ASIDE)]

    def oldest_unverified(self, before_us: int) -> FileRow | None:
        """The intact file, live or superseded, with the oldest verification (or creation, if never verified),
        if that was before then."""
        with self._database.reading() as connection:
            age = func.coalesce(files.c.verified_us, files.c.created_us)
            query = select(*ROW).where(_KEPT, files.c.damaged.is_(None), age < before_us)
            row = connection.execute(query.order_by(age).limit(1)).first()
            return None if row is None else decode_file(row)

    def mark_verified(self, file_id: int) -> None:
        """Records that the file's bytes were verified now. Raises no version, since nothing readers cache
        changes."""
        with self._database.writing() as connection:
            connection.execute(update(files).where(files.c.id == file_id).values(verified_us=self._clock()))

    def mergeable(self) -> Mapping[int, int]:
        """Collection id → data version, for collections with more than one live file."""
        with self._database.reading() as connection:
            return {row.id: row.data_version for row in connection.execute(_MERGEABLE)}

    def dead(self, before_us: int) -> list[FileRow]:
        """Files that were replaced before then and are not kept."""
        with self._database.reading() as connection:
            return [decode_file(row) for row in connection.execute(_DEAD, {"before": before_us})]

    def unfinished(self, before_us: int) -> list[ReservedFile]:
        """Files that were reserved before then and never became live."""
        with self._database.reading() as connection:
            return [ReservedFile(*row) for row in connection.execute(_WRITING, {"before": before_us})]

    def forget(self, ids: Iterable[int]) -> int:
        """Removes the rows of these files unless they are live; returns how many."""
        with self._database.writing() as connection:
            return sum(connection.execute(_FORGET, {"ids": batch}).rowcount for batch in slices(list(ids)))

    def known(self, ids: Iterable[int]) -> set[int]:
        """Those of the ids that are of a file, live or not."""
        with self._database.reading() as connection:
            found: set[int] = set()
            for batch in slices(list(ids)):
                found.update(connection.execute(_KNOWN, {"ids": batch}).scalars())
            return found

    def counters(self, collection_id: int) -> Counts:
        """The counts of a collection. Raises UnknownCollection."""
        with self._database.reading() as connection:
            return find_counters(connection, collection_id)

    def last_id(self) -> int:
        """The greatest id that was ever reserved for a file that is still known; 0 before the first."""
        with self._database.reading() as connection:
            return int(connection.execute(_LAST).scalar() or 0)

    def flushed_number(self) -> int:
        """The number of the last flush; 0 before the first."""
        with self._database.reading() as connection:
            return read_state(connection)[1]


def swap_files(
    connection: Connection,
    collection_id: int,
    remove: Sequence[int],
    add: Sequence[FileRow],
    counts: Counts,
    now_us: int,
    *,
    changed: bool = False,
    kept: bool = True,
) -> bool:
    """Replaces live files by others. False where any is not live; the caller must then roll back.

    ``changed``: the new files contain other events, which is implied where some were erased. ``kept``: the
    replaced files are kept for questions about earlier versions.
    """
    state = FileState.SUPERSEDED if kept else FileState.DEAD
    ids = sorted(set(remove))
    before = removed = 0
    for batch in slices(ids):
        before += connection.execute(_ROWS_OF, {"ids": batch}).scalar_one()
        values = {"ids": batch, "of": collection_id, "now": now_us, "to": state.value}
        removed += connection.execute(_REMOVE, values).rowcount
    if removed != len(ids):
        return False
    if any(file.collection_id != collection_id for file in add):
        raise FlushConflict(f"A swap in collection {collection_id} adds a file of another collection.")
    _check(collection_id, counts, sum(file.rows for file in add) - before)
    _make_live(connection, add)
    _add_counts(connection, collection_id, counts)
    connection.execute(_TOUCH, {"of": collection_id})
    if counts.erased or changed:
        connection.execute(_ERASE, {"of": collection_id})
    if changed and kept:
        connection.execute(_OUTDATE, {"of": collection_id})
    note_moment(connection, now_us)
    return True


def rewrite_past(
    connection: Connection, collection_id: int, remove: Sequence[int], add: Sequence[FileRow], now_us: int
) -> bool:
    """Replaces superseded files by others without what was erased; the old ones are not kept. False where
    any is not superseded; the caller must then roll back."""
    ids = sorted(set(remove))
    removed = 0
    for batch in slices(ids):
        values = {"ids": batch, "of": collection_id, "now": now_us}
        removed += connection.execute(_DROP_PAST, values).rowcount
    _make_live(connection, add)
    return removed == len(ids)


def list_superseded(connection: Connection, collection_id: int) -> list[FileRow]:
    """The superseded files of a collection by id."""
    return [decode_file(row) for row in connection.execute(_SUPERSEDED_OF, {"of": collection_id})]


def list_live(connection: Connection, collection_id: int | None) -> list[FileRow]:
    """Live files by id, of one collection or of all."""
    if collection_id is None:
        return [decode_file(row) for row in connection.execute(_LIVE)]
    return [decode_file(row) for row in connection.execute(_LIVE_OF, {"of": collection_id})]


def live_after(connection: Connection, collection_id: int, after: int, limit: int) -> list[FileRow]:
    """Live files of a collection with ids above ``after``, by id."""
    page = _LIVE_OF.where(files.c.id > after).limit(limit)
    return [decode_file(row) for row in connection.execute(page, {"of": collection_id})]


def live_ids(connection: Connection, collection_id: int) -> dict[int, bool]:
    """Ids of the collection's live files, in order → whether the file is set aside as damaged."""
    return {row.id: row.damaged is not None for row in connection.execute(_LIVE_IDS, {"of": collection_id})}


def files_by_id(connection: Connection, ids: Sequence[int]) -> dict[int, FileRow]:
    rows: dict[int, FileRow] = {}
    for batch in slices(ids):
        for row in connection.execute(_BY_IDS, {"ids": batch}):
            rows[row.id] = decode_file(row)
    return rows


def find_counters(connection: Connection, collection_id: int) -> Counts:
    row = connection.execute(_COUNTERS_OF, {"of": collection_id}).first()
    if row is None:
        raise UnknownCollection(f"There is no collection with id {collection_id}.")
    return Counts(*row)


def decode_file(row: Sequence[Any]) -> FileRow:
    facts = list(row)
    # Thousands of files repeat the same few names, so intern them.
    facts[_COLUMNS_AT] = {
        sys.intern(name): greatest for name, greatest in json.loads(facts[_COLUMNS_AT]).items()
    }
    return FileRow(*facts)


def _make_live(connection: Connection, added: Sequence[FileRow]) -> None:
    """Makes reserved files live, or superseded where they are of versions that ended.

    Raises FlushConflict where an id is no longer reserved, UnknownCollection.
    """
    if not added:
        return
    for collection_id in sorted({file.collection_id for file in added}):
        _refuse_unknown(connection, collection_id)
    version = read_state(connection)[0]
    made_live = connection.execute(_MAKE_LIVE, [_encode_file(file, version) for file in added]).rowcount
    if made_live != len(added):
        raise FlushConflict(f"Of {len(added)} new files only {made_live} are reserved: some were given up.")


def _encode_file(file: FileRow, version: int) -> dict[str, Any]:
    encoded: dict[str, Any] = {f"new_{name}": getattr(file, name) for name in _FACTS}
    encoded["new_state"] = (FileState.SUPERSEDED if file.is_past else FileState.LIVE).value
    encoded["new_added_version"] = version if file.added is None else file.added
    encoded["new_removed_version"] = file.removed
    encoded["new_columns"] = json.dumps(dict(file.columns), ensure_ascii=False, separators=(",", ":"))
    return encoded | {"file_id": file.id, "of": file.collection_id}


def _check(collection_id: int, counts: Counts, rows: int) -> None:
    """Checks that a commit neither creates nor loses events. Raises CountsDisagree."""
    if not counts.balanced or counts.stored != rows:
        raise CountsDisagree(
            f"In collection {collection_id} the files change by {rows} rows and the counts by {counts}."
        )


def _add_counts(connection: Connection, collection_id: int, counts: Counts) -> None:
    logged, stored, duplicates, erased = astuple(counts)
    values = {"by_logged": logged, "by_stored": stored, "by_duplicates": duplicates, "by_erased": erased}
    if connection.execute(_COUNT, values | {"of": collection_id}).rowcount != 1:
        raise UnknownCollection(f"There is no collection with id {collection_id}.")


def _refuse_unknown(connection: Connection, collection_id: int) -> None:
    if connection.execute(_EXISTS, {"of": collection_id}).first() is None:
        raise UnknownCollection(f"There is no collection with id {collection_id}.")
