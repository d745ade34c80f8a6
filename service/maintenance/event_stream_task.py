"""Streaming: new events of every collection, each once, as gzip NDJSON in a folder that the operator names.

``<folder>/<project>/<time>/<collection>/<project>-<collection id>-<number>.json.gz``. A file is planned in
the catalog, written, and then marked as done; after a crash it is written again under the same name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import closing
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
"""Pause after a failure, unless the next round is due sooner."""
_SECOND_US = 1_000_000
FOLDER_MODE, FILE_MODE = 0o777, 0o666
"""Other programs read the files, so only the umask restricts their permissions."""
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
        self._has_lock = False
        self._next_us = 0
        self._round_time = ""
        self._due: list[Collection] = []

    def run_due(self, now_us: int) -> bool:
        if self._target is None or self._tools.stop.is_set() or not self._alone():
            return False
        if not self._due:
            if now_us < self._next_us:
                return False
            self._next_us = now_us + self._pause_us
            self._round_time = _iso(now_us)
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
        """Whether this process has the streaming lock; the previous runner may not have ended yet."""
        self._has_lock = self._has_lock or self._lock.acquire()
        return self._has_lock

    def _changed(self) -> list[Collection]:
        """The collections that may hold new events. Rows of pipelines are not streamed: they are replaced."""
        begin(self._catalog)
        known = self._catalog.streams.positions() or {}
        projects = self._catalog.projects.ids()
        collections = []
        for collection in self._catalog.collections.all():
            position, planned = known.get(collection.id, (StreamPosition(), None))
            streamed = collection.project_id in projects and not collection.derived
            if streamed and (planned is not None or position.version != collection.data_version):
                collections.append(collection)
        return collections

    def _stream(self, collection: Collection) -> bool:
        """Stream the next file of a collection. Returns whether there may be more to stream."""
        position, batch = (self._catalog.streams.positions() or {}).get(
            collection.id, (StreamPosition(), None)
        )
        before = self._catalog.collections.by_id(collection.id)
        settled = self._catalog.streams.settled(collection.id)
        if batch is None:
            try:
                ids = ids_after(self._catalog.folder, position, settled, self._tools.reader.verify)
                batch = next_batch(position, settled, ids, self._round_time, self._events_max)
            except (FileNotFoundError, SourceGone):
                return True
            if batch.ranges:
                self._catalog.streams.plan(collection.id, position, batch)
        written = 0
        if batch.ranges:
            # Read again: the files may have columns that did not exist when the round began.
            collection = self._catalog.collections.by_id(collection.id)
            if collection.schema.pruned != before.schema.pruned:
                # Columns of removed files may by now have names that other properties use: start again.
                return True
            try:
                written = self._write(collection, position, settled, batch)
            except SourceGone:
                return True
        self._catalog.streams.end(collection.id, batch.position)
        # Counted once the file is marked as done, so that one written twice after a crash counts once.
        self._tools.metrics.counter("acumen_streamed_events_total").add(written)
        return batch.position.version != settled.version

    def _write(
        self, collection: Collection, position: StreamPosition, settled: SettledFiles, batch: StreamBatch
    ) -> int:
        """Write the batch's file. Returns its number of events. Raises QueryError, SourceGone, OSError."""
        rows = list(files_after(position, settled))
        refuse_damaged(rows)
        files = tuple(file.data_file(self._catalog.folder.root) for file in rows)
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
            # The events were erased since the file was planned.
            return 0
        events = 0
        path = self._path(collection, batch)
        make_folder(path.parent, FOLDER_MODE)
        with new_file(path, FILE_MODE) as file:
            packer = isal_zlib.compressobj(wbits=_GZIP_WBITS)
            with closing(export.chunks(cut)) as chunks:
                for chunk in chunks:
                    file.write(packer.compress(ndjson(chunk, None)))
                    events += len(chunk.rows)
            file.write(packer.flush())
        return events

    def _path(self, collection: Collection, batch: StreamBatch) -> Path:
        """The path of a batch's file.

        The collection's number distinguishes collections that a case-insensitive disk puts into one folder.
        """
        assert self._target is not None
        name = f"{collection.project_id}-{collection.id}-{batch.position.number:06d}.json.gz"
        return self._target / collection.project_id / batch.time / encode(collection.name) / name

    def _deadline(self) -> Deadline:
        limits = self._tools.settings.export_limits
        return Deadline.after(limits.timeout_seconds, self._tools.cancels.token())


def filters_of(ranges: Iterable[OrdinalRange]) -> Iterator[Filter]:
    """Filters for ids within the ranges: not before the first, not in a gap, not after the last."""
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
