"""Streaming out: new events of every collection, each once, as gzip NDJSON in a folder of the operator's.

``<folder>/<project>/<time>/<collection>/<project>-<collection id>-<number>.json.gz``. A file is planned in
the catalog, written under its name, and then ticked off: what a crash leaves is written again, so named.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from isal import isal_zlib

from query.answers.export import ExtractionRun
from query.answers.export_rows import ndjson
from query.engine.engine import Deadline
from query.language.nodes import AnyOf, Condition, ExtractionQuery, Filter, Operator
from service.background.task_runner import Tools
from storage.catalog.database.versions import Area
from storage.catalog.stored.records import Collection
from storage.catalog.stored.stream_positions import (
    OrdinalRange,
    SettledFiles,
    StreamBatch,
    StreamPosition,
    event_id,
    next_batch,
)
from storage.disk.durable_files import make_folder, new_file
from storage.disk.lock import FolderLock
from storage.paths import encode
from storage.read.change_feed import begin, files_after, ids_after, refuse_damaged
from storage.schema import EVENT_ID
from storage.source import Source, SourceGone

RETRY_SECONDS = 15.0
"""After a failure, where the next round is not due sooner."""
_SECOND_US = 1_000_000
FOLDER_MODE, FILE_MODE = 0o777, 0o666
"""What other programs read, as far as the umask lets them."""
_GZIP_WBITS = 31
_BUFFER_BYTES = 1 << 20


class Streamer:
    """See ``service.background.task_runner.Task``."""

    name = "streaming"
    areas = frozenset({Area.DATA})

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        self._target = tools.settings.stream_folder
        self._events_max = tools.settings.stream_events_max
        self._pause_us = int(tools.settings.stream_seconds * _SECOND_US)
        self._lock = FolderLock(tools.catalog.folder.stream_lock)
        self._held = False
        self._next_us = 0
        self._time = ""
        self._due: list[Collection] = []

    def run_due(self, now_us: int) -> bool:
        if self._target is None or self._tools.stop.is_set() or not self._alone():
            return False
        if not self._due:
            if now_us < self._next_us:
                return False
            self._next_us = now_us + self._pause_us
            self._time = _iso(now_us)
            self._due = self._changed()
        if not self._due:
            return False
        collection = self._due.pop()
        try:
            if self._stream(collection):
                self._due.append(collection)
        except BaseException:
            self._next_us = min(self._next_us, now_us + int(RETRY_SECONDS * _SECOND_US))
            raise
        return bool(self._due)

    def _alone(self) -> bool:
        """Does no other process stream? The one before may not have ended yet."""
        self._held = self._held or self._lock.acquire()
        return self._held

    def _changed(self) -> list[Collection]:
        """The collections that may hold new events."""
        begin(self._catalog)
        known = self._catalog.streams.positions() or {}
        projects = self._catalog.projects.ids()
        found = []
        for collection in self._catalog.collections.all():
            position, planned = known.get(collection.id, (StreamPosition(), None))
            if collection.project_id in projects and (
                planned is not None or position.version != collection.data_version
            ):
                found.append(collection)
        return found

    def _stream(self, collection: Collection) -> bool:
        """Stream the next file of a collection. True where there may be more to stream."""
        position, batch = (self._catalog.streams.positions() or {}).get(
            collection.id, (StreamPosition(), None)
        )
        before = self._catalog.collections.by_id(collection.id)
        settled = self._catalog.streams.settled(collection.id)
        if batch is None:
            try:
                ids = ids_after(self._catalog.folder, position, settled, self._tools.reader.verify)
                batch = next_batch(position, settled, ids, self._time, self._events_max)
            except (FileNotFoundError, SourceGone):
                return True
            if batch.ranges:
                self._catalog.streams.plan(collection.id, position, batch)
        written = 0
        if batch.ranges:
            # The collection as it is now: its files may have columns that it had not when the round began.
            collection = self._catalog.collections.by_id(collection.id)
            if collection.schema.pruned != before.schema.pruned:
                # Files that are no more may have columns that are others' names by now: begin anew.
                return True
            try:
                written = self._write(collection, position, settled, batch)
            except SourceGone:
                return True
        self._catalog.streams.end(collection.id, batch.position)
        # Counted once the file is ticked off: one that a crash has written twice is counted once.
        self._tools.metrics.counter("acumen_streamed_events_total").add(written)
        return batch.position.version != settled.version

    def _write(
        self, collection: Collection, position: StreamPosition, settled: SettledFiles, batch: StreamBatch
    ) -> int:
        """Write the batch's file. How many events it holds. Raises QueryError, SourceGone, OSError."""
        found = list(files_after(position, settled))
        refuse_damaged(found)
        files = tuple(file.data_file(self._catalog.folder.root) for file in found)
        export = ExtractionRun(
            ExtractionQuery(collection.name, filters=tuple(filters_of(batch.ranges))),
            Source(collection.schema, files, verify=self._tools.reader.verify),
            self._tools.engine,
            forced=(),
            limits=self._tools.settings.export_limits,
            deadline=self._deadline,
        )
        cut = export.cut(self._events_max)
        if not cut.rows:
            # They were erased since they were planned.
            return 0
        events = 0
        path = self._path(collection, batch)
        make_folder(path.parent, FOLDER_MODE)
        with new_file(path, FILE_MODE) as file:
            write = file.write
            packer = isal_zlib.compressobj(wbits=_GZIP_WBITS)
            for chunk in export.chunks(cut):
                write(packer.compress(ndjson(chunk, None)))
                events += len(chunk.rows)
            write(packer.flush())
        return events

    def _path(self, collection: Collection, batch: StreamBatch) -> Path:
        """The collection's number keeps apart what a disk that knows no capitals puts into one folder."""
        assert self._target is not None
        name = f"{collection.project_id}-{collection.id}-{batch.position.number:06d}.json.gz"
        return self._target / collection.project_id / batch.time / encode(collection.name) / name

    def _deadline(self) -> Deadline:
        limits = self._tools.settings.export_limits
        return Deadline.after(limits.timeout_seconds, self._tools.cancels.token())


def filters_of(ranges: Iterable[OrdinalRange]) -> Iterator[Filter]:
    """That an event's id is in one of the ranges: not before the first, not in a gap, not after the last."""
    ordered = sorted(ranges, key=lambda one: (one.log, one.first))
    yield _is(Operator.GTE, ordered[0].log, ordered[0].first)
    for before, after in itertools.pairwise(ordered):
        yield AnyOf((_is(Operator.LTE, before.log, before.last), _is(Operator.GTE, after.log, after.first)))
    yield _is(Operator.LTE, ordered[-1].log, ordered[-1].last)


def _is(operator: Operator, log: int, ordinal: int) -> Condition:
    return Condition(EVENT_ID, operator, event_id(log, ordinal))


def _iso(now_us: int) -> str:
    moment = datetime.fromtimestamp(now_us // _SECOND_US, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
