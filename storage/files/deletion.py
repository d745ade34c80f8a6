"""Deleting or changing stored events: files are replaced in the transaction that completes the request.

The keeper has flushed everything acknowledged before, and prevents compaction meanwhile. The ``Matcher``,
which evaluates filters, determines the matching events. Files without a match stay unchanged.

An erasure applies to superseded files as well, so that no earlier version holds what was erased: the file
that replaces one holds the events of the same versions. An update only supersedes files.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import (
    Collection,
    Erasure,
    ErasureKind,
    FileRow,
    PastChange,
    TokenHolder,
    event_scope,
)
from storage.columns.property_update import Update, read_update, updated
from storage.columns.rowwise_shredder import wanted_of
from storage.disk.file_system import FileSystem
from storage.events.strict_decoder import TOKEN
from storage.files.flush import FileWriter
from storage.files.parquet import Encoded, encode_parts, parts_of, repetitive_in
from storage.files.pruning import nulls_in
from storage.files.verification import Verifier
from storage.paths import DataFolder
from storage.schema import EMPTIES, EVENT_ID, NULLS, TIMESTAMP, Schema
from storage.source import Source

FILES_AT_ONCE = 2
"""Most files that are in memory at a time, with their replacements."""
HOLDERS_AT_ONCE = 10_000
"""Most tokens that one transaction frees: other catalog writers wait for it."""
PAUSE_SECONDS = 0.05
"""Pause between two such transactions, so that other catalog writers get a turn."""
DAMAGED = "A stored file is damaged: 'acumen check' names it. Nothing was changed."


class CannotErase(Exception):
    """A request cannot be carried out; the text is a sentence for the client that sent it."""


class Matcher(Protocol):
    """Determines which events of a source a request applies to."""

    def __call__(self, source: Source, parameters: Mapping[str, Any]) -> list[str] | None:
        """The ``keen.id`` of the matching events; None if all match. Raises CannotErase."""


def needs_matcher(erasure: Erasure) -> bool:
    """Whether filters or a timeframe determine the events of the request."""
    values = (value for name, value in erasure.parameters.items() if name != "updates")
    return erasure.kind is not ErasureKind.PROPERTY and any(value not in (None, []) for value in values)


def match_nothing(source: Source, parameters: Mapping[str, Any]) -> list[str] | None:
    """The matcher of a keeper without one: all events match. Raises CannotErase for any condition."""
    if set(parameters) - {"start_us", "end_us", "filters"} or parameters.get("filters"):
        raise CannotErase("This keeper knows no filters.")
    if parameters.get("start_us") is not None or parameters.get("end_us") is not None:
        raise CannotErase("This keeper knows no timeframes.")
    return None


@dataclass
class _Change:
    """The files to replace and their replacements, which are already on the disk: they are written one after
    another, so that few are in memory at a time."""

    removed: list[int] = field(default_factory=list)
    added: list[FileRow] = field(default_factory=list)
    erased: int = 0
    events: int = 0
    tokens: list[pa.Table] = field(default_factory=list)
    """Ids and tokens of the deleted events, as columns, since there may be many millions."""
    past_removed: list[int] = field(default_factory=list)
    past_added: list[FileRow] = field(default_factory=list)
    lost: list[FileRow] = field(default_factory=list)
    """Superseded files that cannot be read: they are removed as a whole."""
    ids: list[pa.Array] | None = None
    """Ids of the deleted events, where earlier values of them may be in superseded files."""
    span: tuple[int, int] | None = None
    """The times of the erased events, both included."""

    def note(self, min_us: int, max_us: int) -> None:
        """Note that events of these times are erased."""
        low, high = self.span or (min_us, max_us)
        self.span = min(low, min_us), max(high, max_us)

    @property
    def past(self) -> PastChange:
        return PastChange(self.past_removed, self.past_added, self.lost, self.span, self.events)


@dataclass(frozen=True, slots=True)
class _Job:
    """A file to be replaced by one of ``rows`` rows; ``make`` builds it and may run on another thread."""

    file: FileRow
    rows: int
    make: Callable[[], Encoded | None]


class Eraser:
    """Carries out requests. Nothing else may swap files of the collection meanwhile."""

    def __init__(self, folder: DataFolder, catalog: Catalog, fs: FileSystem, matcher: Matcher) -> None:
        self._folder = folder
        self._catalog = catalog
        self._writer = FileWriter(folder, catalog, fs)
        self._matcher = matcher
        self._verifier = Verifier(folder, catalog, fs)

    def carry_out(self, erasure: Erasure) -> int:
        """Carry out a request; the number of events it applied to.

        Raises CannotErase, and errors of the disk or the catalog. Then nothing has changed, and the request
        is still waiting.
        """
        collection = self._catalog.collections.by_id(erasure.collection_id)
        files = self._catalog.files.kept(collection.id)
        reached = files if erasure.kind is not ErasureKind.UPDATE else [f for f in files if not f.is_past]
        self._check_room(erasure, reached)
        change = _Change()
        try:
            collection = self._make(change, erasure, collection, reached)
            gone = {*change.past_removed}
            if erasure.kind is not ErasureKind.UPDATE:
                gone |= {*change.removed}
            left = [file for file in files if file.id not in gone]
            done = self._catalog.erasures.commit(
                erasure,
                change.removed,
                change.added,
                erased=change.erased,
                events=change.events,
                holders=self._free_most(_holders(collection, change.tokens)),
                nulls=nulls_in(self._folder, collection.schema, [*left, *change.added, *change.past_added]),
                changed=bool(change.removed or change.added),
                past=change.past,
            )
        except BaseException:
            current = self._catalog.erasures.find(erasure.id)
            if current is not None and current.state is erasure.state:
                self._writer.discard([*change.added, *change.past_added])
            raise
        if not done:
            self._writer.discard([*change.added, *change.past_added])
            raise RuntimeError("files were replaced while events were taken out of them")
        return change.events

    def _free_most(self, holders: Iterator[TokenHolder]) -> list[TokenHolder]:
        """Free the tokens of all but the last batch, which the transaction that ends the request frees.

        The events are deleted next: only the disk or the catalog can still fail, and then the request remains
        waiting. An event sent again with its token meanwhile is stored, as it would be after the end.
        """
        last: list[TokenHolder] = []
        while batch := list(islice(holders, HOLDERS_AT_ONCE)):
            if last:
                self._catalog.claims.free(last)
                time.sleep(PAUSE_SECONDS)
            last = batch
        return last

    def _make(
        self, change: _Change, erasure: Erasure, collection: Collection, files: Sequence[FileRow]
    ) -> Collection:
        """Build the change; the collection with the lanes that were added for the request."""
        if erasure.kind is ErasureKind.EVENTS:
            self._without_events(change, collection, files, erasure.parameters)
        elif erasure.kind is ErasureKind.PROPERTY:
            self._without_property(change, collection, files, str(erasure.parameters["property"]))
        else:
            # The lanes were added with the request, but may have been removed since: no event used them.
            pairs = [
                pair
                for update in erasure.parameters["updates"]
                for pair in wanted_of(update["line"].encode())
            ]
            collection = self._catalog.collections.add_lanes(collection.id, pairs, sys.maxsize)
            self._updated(change, collection, files, erasure.parameters)
        return collection

    def _check_room(self, erasure: Erasure, files: Sequence[FileRow]) -> None:
        """Raise CannotErase if the disk has no room for copies: old files stay until no query reads them."""
        need = sum(file.bytes for file in files if _may_be_copied(erasure, file))
        if need and shutil.disk_usage(self._folder.root).free < need:
            raise CannotErase(
                f"The disk has no room for a second copy of the {need} bytes of this collection's files."
            )

    def _found(
        self, collection: Collection, file: FileRow, parameters: Mapping[str, Any]
    ) -> list[str] | None:
        """The ids of a file's matching events; None if all match. Raises CannotErase."""
        if _narrowed(parameters) or not _inside(file, parameters):
            self._check(file)
        try:
            return self._matcher(_source_of(self._folder, collection, file), parameters)
        except CannotErase:
            raise
        except Exception:
            # A damaged file would fail every later attempt as well, so it raises CannotErase.
            self._check(file)
            raise

    def _without_events(
        self,
        change: _Change,
        collection: Collection,
        files: Sequence[FileRow],
        parameters: Mapping[str, Any],
    ) -> None:
        if any(file.outdated and _may_hold(file, parameters) for file in files):
            change.ids = []

        def jobs() -> Iterator[_Job]:
            # The superseded files come last, when the ids of all deleted events are known.
            for file in files:
                if not _may_hold(file, parameters):
                    continue
                ids = self._found(collection, file, parameters) if not file.is_past else None
                if file.is_past:
                    try:
                        ids = self._found_in_past(collection, file, parameters, change)
                    except CannotErase:
                        _lose(change, file)
                        continue
                if ids is not None and not ids:
                    continue
                job = self._drop_rows(collection, file, ids, change)
                if job is not None:
                    yield job

        self._carry(change, collection, jobs())
        change.events = change.erased

    def _found_in_past(
        self, collection: Collection, file: FileRow, parameters: Mapping[str, Any], change: _Change
    ) -> list[str] | None:
        """The ids of a superseded file's events that match, by the values in it or by those they have now;
        None if all do. Raises CannotErase."""
        ids = self._found(collection, file, parameters)
        if ids is None or not file.outdated or not change.ids:
            return ids
        held = pa.concat_arrays(
            [part.column(EVENT_ID).combine_chunks() for part in parts_of(self._content(file), [EVENT_ID])]
        )
        deleted = held.filter(pc.is_in(held, pa.concat_arrays(change.ids)))
        return sorted({*ids, *deleted.to_pylist()})

    def _drop_rows(
        self, collection: Collection, file: FileRow, ids: list[str] | None, change: _Change
    ) -> _Job | None:
        """A job for the file without these events; None where no event is left."""
        erased = file.rows if ids is None else len(ids)
        if file.is_past:
            change.past_removed.append(file.id)
        else:
            change.removed.append(file.id)
            change.erased += erased
            change.tokens += self._tokens(collection, file, ids)
            if change.ids is not None:
                change.ids += self._ids(file) if ids is None else [pa.array(ids, pa.string())]
        if erased == file.rows:
            change.note(file.min_us, file.max_us)
            return None
        removed_ids = pa.array(ids, pa.string())
        self._note_times(file, removed_ids, change)

        def kept(content: bytes) -> Iterator[pa.Table]:
            for part in parts_of(content):
                yield part.filter(pc.invert(pc.is_in(part.column(EVENT_ID), removed_ids)))

        def make() -> Encoded | None:
            content = self._content(file)
            return encode_parts(lambda: kept(content), repetitive_in(content))

        return _Job(file, file.rows - erased, make)

    def _ids(self, file: FileRow) -> Iterator[pa.Array]:
        for part in parts_of(self._content(file), [EVENT_ID]):
            yield part.column(EVENT_ID).combine_chunks()

    def _note_times(self, file: FileRow, ids: pa.Array, change: _Change) -> None:
        """Note the times of the file's events with these ids as erased."""
        for part in parts_of(self._content(file), [EVENT_ID, TIMESTAMP]):
            times = part.filter(pc.is_in(part.column(EVENT_ID), ids)).column(TIMESTAMP).cast(pa.int64())
            ends = pc.min_max(times).as_py()
            if ends["min"] is not None:
                change.note(ends["min"], ends["max"])

    def _without_property(
        self, change: _Change, collection: Collection, files: Sequence[FileRow], path: str
    ) -> None:
        lanes = [*collection.schema.at(path), *collection.schema.under(path)]
        columns = {lane.column for lane in lanes}

        def jobs() -> Iterator[_Job]:
            for file in files:
                listed = [name for name in (NULLS, EMPTIES) if name in file.columns]
                if not columns & file.columns.keys() and not listed:
                    continue
                take = partial(self._parts_without, file, columns, listed, path)
                if file.is_past:
                    try:
                        self._content(file)
                    except CannotErase:
                        _lose(change, file)
                        continue
                    change.past_removed.append(file.id)
                else:
                    change.removed.append(file.id)
                    change.events += file.rows
                change.note(file.min_us, file.max_us)
                yield _Job(file, file.rows, partial(encode_parts, take))

        self._carry(change, collection, jobs())

    def _tokens(self, collection: Collection, file: FileRow, ids: list[str] | None) -> Iterator[pa.Table]:
        """Ids and tokens of the deleted events that have a token."""
        removed_ids = None if ids is None else pa.array(ids, pa.string())
        for column in (lane.column for lane in collection.schema.at(TOKEN) if lane.column in file.columns):
            for part in parts_of(self._content(file), [EVENT_ID, column]):
                rows = part.filter(pc.is_valid(part.column(column)))
                if removed_ids is not None:
                    rows = rows.filter(pc.is_in(rows.column(EVENT_ID), removed_ids))
                if rows.num_rows:
                    yield rows.select([EVENT_ID, column])

    def _parts_without(
        self, file: FileRow, columns: set[str], listed: Sequence[str], path: str
    ) -> Iterator[pa.Table]:
        return (_without_paths(part, columns, listed, path) for part in self._parts(file))

    def _updated(
        self,
        change: _Change,
        collection: Collection,
        files: Sequence[FileRow],
        parameters: Mapping[str, Any],
    ) -> None:
        schema = collection.schema
        updates = [
            read_update(schema, update["path"], update["line"].encode(), upsert=update["upsert"])
            for update in parameters["updates"]
        ]

        def jobs() -> Iterator[_Job]:
            for file in files:
                if not _may_hold(file, parameters):
                    continue
                matches = self._found(collection, file, parameters)
                if matches is not None and not matches:
                    continue
                ids = None if matches is None else pa.array(matches, pa.string())
                events = sum(updated(part, ids, updates, schema)[1] for part in self._parts(file))
                if events:
                    take = partial(self._parts_updated, file, ids, updates, schema)
                    change.removed.append(file.id)
                    change.events += events
                    yield _Job(file, file.rows, partial(encode_parts, take))

        self._carry(change, collection, jobs(), updating=True)

    def _parts_updated(
        self, file: FileRow, ids: pa.Array | None, updates: Sequence[Update], schema: Schema
    ) -> Iterator[pa.Table]:
        return (updated(part, ids, updates, schema)[0] for part in self._parts(file))

    def _carry(
        self, change: _Change, collection: Collection, jobs: Iterator[_Job], *, updating: bool = False
    ) -> None:
        """Run the jobs. One file is built while the one before it is written, and no more than that, since
        each is in memory as a whole."""
        with ThreadPoolExecutor(FILES_AT_ONCE, "eraser") as pool:
            made: deque[tuple[_Job, Future[Encoded | None]]] = deque()
            try:
                for job in jobs:
                    made.append((job, pool.submit(job.make)))
                    if len(made) == FILES_AT_ONCE:
                        self._take(change, collection, made, updating)
                while made:
                    self._take(change, collection, made, updating)
            finally:
                pool.shutdown(cancel_futures=True)

    def _take(
        self,
        change: _Change,
        collection: Collection,
        made: deque[tuple[_Job, Future[Encoded | None]]],
        updating: bool,
    ) -> None:
        """Write the next replacement. It keeps the file's label, since all its rows were in the file before;
        that of an erasure holds the events of the same versions."""
        job, future = made.popleft()
        file, content = job.file, future.result()
        if content is None or content.rows != job.rows:
            actual = 0 if content is None else content.rows
            raise RuntimeError(f"the replacement of {file.path} holds {actual} rows, not {job.rows}")
        added = self._writer.write(collection, [(file.span, content)])
        if updating:
            change.added += added
        else:
            (change.past_added if file.is_past else change.added).extend(
                _of_same_versions(new, file) for new in added
            )

    def _parts(self, file: FileRow) -> Iterator[pa.Table]:
        """The file's rows, in parts. Raises CannotErase where the file differs from what was written."""
        yield from parts_of(self._content(file))

    def _content(self, file: FileRow) -> bytes:
        try:
            content = self._folder.absolute(file.path).read_bytes()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise CannotErase(DAMAGED)
        return content

    def _check(self, file: FileRow) -> None:
        """Raise CannotErase where the file is damaged, since its matching events cannot be determined."""
        data_file = file.data_file(self._folder.root)
        fault = file.damaged or self._verifier.fault(data_file)
        if fault is not None:
            self._verifier.set_aside(data_file, fault)
            raise CannotErase(DAMAGED)


def _of_same_versions(new: FileRow, old: FileRow) -> FileRow:
    """The replacement of a file, for the data versions that the old one was of."""
    return replace(
        new,
        added=old.added,
        removed=old.removed,
        removed_us=old.removed_us,
        flushed=old.flushed,
        arrived_us=old.arrived_us,
        outdated=old.outdated,
    )


def _lose(change: _Change, file: FileRow) -> None:
    """Remove a superseded file that cannot be read as a whole: an erasure must not fail for it."""
    change.past_removed.append(file.id)
    change.lost.append(file)
    change.note(file.min_us, file.max_us)


def _may_hold(file: FileRow, parameters: Mapping[str, Any]) -> bool:
    """Whether the file may hold events within the timeframe."""
    start, end = parameters.get("start_us"), parameters.get("end_us")
    return (start is None or file.max_us >= start) and (end is None or file.min_us < end)


def _inside(file: FileRow, parameters: Mapping[str, Any]) -> bool:
    """Whether all its events are within the timeframe."""
    start, end = parameters.get("start_us"), parameters.get("end_us")
    return (start is None or file.min_us >= start) and (end is None or file.max_us < end)


def _narrowed(parameters: Mapping[str, Any]) -> bool:
    """Whether the request is limited by more than a timeframe."""
    return any(parameters[name] for name in parameters.keys() - {"start_us", "end_us"})


def _may_be_copied(erasure: Erasure, file: FileRow) -> bool:
    """Whether some rows of the file may be copied; a file that is deleted as a whole needs no space."""
    if erasure.kind is ErasureKind.PROPERTY:
        return True
    parameters = erasure.parameters
    return _may_hold(file, parameters) and (_narrowed(parameters) or not _inside(file, parameters))


def _source_of(folder: DataFolder, collection: Collection, file: FileRow) -> Source:
    return Source(collection.schema, (file.data_file(folder.root),))


def _holders(collection: Collection, tokens: Sequence[pa.Table]) -> Iterator[TokenHolder]:
    scope = event_scope(collection.id)
    for table in tokens:
        for batch in table.to_batches(HOLDERS_AT_ONCE):
            for event_id, token in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield TokenHolder(scope, token, *_place(event_id))


def _place(event_id: str) -> tuple[int, int]:
    """The log and the ordinal that an event's id consists of."""
    return int(event_id[:8], 16), int(event_id[8:], 16)


def _without_paths(part: pa.Table, columns: set[str], listed: Sequence[str], path: str) -> pa.Table:
    """The rows without these columns, and without the path and those below it in the lists of nulls and empty
    objects."""
    kept = part.select([name for name in part.column_names if name not in columns])
    prefix = path + "."
    for name in listed:
        lists = [
            None if paths is None else [p for p in paths if p != path and not p.startswith(prefix)]
            for paths in part.column(name).to_pylist()
        ]
        position = kept.column_names.index(name)
        field = kept.schema.field(name)
        kept = kept.set_column(position, field, pa.array([paths or None for paths in lists], field.type))
    return kept
