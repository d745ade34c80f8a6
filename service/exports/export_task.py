"""The runner's task that makes the files of extractions, and takes away those that may not be kept.

A job is worked at under a lease. What dies with its runner is begun again by the next one once the lease is
over; what was written until then is nobody's, and removed.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from query.answers.export import Chunk, ExtractionRun, ExtractionSlices
from query.answers.freshness import Erasures, erasures
from query.engine.engine import Deadline
from query.errors import DataDamaged, QueryCancelled, QueryError, QueryLimitExceeded
from query.language.serialized_query import thaw
from service.background.task_runner import Tools
from service.errors import DAMAGED
from service.exports.file_writer import Output, rows_into
from service.exports.jobs import ERASED, OVERDUE, REVOKED, asker_lives, end_file, suffix_of
from service.exports.request import ExportFormat
from service.saved_queries.results import SERVER_FAULT
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import ExportFile, ExportJob
from storage.catalog.errors import UnknownProject
from storage.disk.durable_files import UNFINISHED
from storage.log.errors import LogUnreadable
from storage.read.snapshot_reader import SnapshotUnstable
from storage.source import SourceGone

LEASE_SECONDS = 15.0
RENEW_SECONDS = 2.0
"""How often it is said how far a job is; and looked whether it is wanted still."""
ATTEMPTS_MAX = 5
SWEEP_SECONDS = 30.0
STRAY_SECONDS = 120.0
"""Far longer than a finished file waits for its job to name it."""
FREE_TIMES = 4
"""How many times ``min_free_bytes`` of the disk are left free: files are no reason to refuse events."""
FORGET_DAYS = 30
"""How long after its end a job without a file is told of."""
NEVER_DONE = (
    f"The extraction was begun {ATTEMPTS_MAX} times and never came to its end: the server stopped, or events "
    "of its collection were deleted or changed each time. Ask for it again, or for a shorter timeframe."
)
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US

_log = logging.getLogger("acumen.exports")


class _Unwanted(Exception):
    """The job was removed, or another works at it."""


class _Outdated(Exception):
    """Events of the collection were taken away since the job began."""


@dataclass
class _JobProgress:
    """What is said of a job as it runs."""

    export: ExportJob
    written: int = 0
    total: int | None = None
    at: float = 0.0


class Exporter:
    """See ``service.background.task_runner.Task``."""

    name = "exports"
    areas = frozenset({Area.DATA, Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        self._settings = tools.settings
        self._limits = tools.settings.export_limits
        self._folder = tools.catalog.folder.exports
        self._version = -1
        self._swept = float("-inf")

    def run_due(self, now_us: int) -> bool:
        self._sweep(now_us)
        if self._tools.stop.is_set():
            return False
        lease_us = now_us + int(LEASE_SECONDS * _SECOND_US)
        export = self._catalog.exports.claim(secrets.token_hex(8), now_us, lease_us)
        if export is None:
            return False
        self._run(export)
        return True

    # What may not stay

    def _sweep(self, now_us: int) -> None:
        """Files of events that were erased go as soon as the catalog has changed, all else now and then."""
        now, version = time.monotonic(), self._catalog.versions().data
        if version != self._version:
            self._end(self._catalog.exports.outdated(), ERASED)
            self._version = version
        if now - self._swept < SWEEP_SECONDS:
            return
        held_us = self._catalog.clock.held_us(now_us)
        self._end(self._catalog.exports.overdue(held_us), OVERDUE)
        self._catalog.exports.forget(held_us - FORGET_DAYS * _DAY_US)
        self._remove_strays()
        self._swept = now

    def _end(self, found: Iterable[ExportJob], why: str) -> None:
        """The bytes first: the job says where they are."""
        for export in found:
            if export.file is not None:
                end_file(self._catalog, export.file)
            self._catalog.exports.expire(export, why)

    def _remove_strays(self) -> None:
        """Files that a process which died has left: unfinished ones, and old ones to which no job refers."""
        before = time.time() - STRAY_SECONDS
        found = self._folder.iterdir()
        old = [path for path in found if path.suffix == UNFINISHED or _changed(path) < before]
        named = self._catalog.exports.files() if old else set()
        for path in old:
            if path.name not in named:
                end_file(self._catalog, path.name)

    # One job

    def _run(self, export: ExportJob) -> None:
        if export.attempts > ATTEMPTS_MAX:
            self._fail(export, NEVER_DONE)
            return
        with suppress(UnknownProject):
            if not asker_lives(self._catalog, self._catalog.projects.get(export.project_id), export):
                self._fail(export, REVOKED)
                return
        try:
            self._make(export)
        except _Unwanted:
            pass
        except (_Outdated, SourceGone):
            self._catalog.exports.release(export)
        except (QueryCancelled, SnapshotUnstable):
            self._catalog.exports.release(export, forgiven=True)
            raise
        except LogUnreadable:
            self._fail(export, DAMAGED)
        except QueryError as error:
            self._fail(export, error.message)
        except Exception as error:
            if export.attempts < ATTEMPTS_MAX:
                self._catalog.exports.release(export)
                raise
            _log.exception("An extraction could not be made.", exc_info=error)
            self._fail(export, SERVER_FAULT)

    def _fail(self, export: ExportJob, message: str) -> None:
        self._catalog.exports.fail(export, message, _now_us())
        fields = {"project": export.project_id, "job": export.id, "error": message}
        _log.warning("An extraction failed.", extra={"fields": fields})

    def _make(self, export: ExportJob) -> None:
        """Raises QueryError, SourceGone, OSError, _Unwanted, _Outdated."""
        query, forced = thaw(export.question)
        source = self._tools.reader.source(export.project_id, export.collection)
        if source.lacks(query.span.start_us, query.span.end_us):
            raise DataDamaged
        moment = erasures(source)
        extraction = ExtractionRun(
            query, source, self._tools.engine, forced=forced, limits=self._limits, deadline=self._deadline
        )
        progress = _JobProgress(export)
        cut = self._cut(extraction)
        progress.total = cut.rows
        self._go_on(progress, moment)
        form = ExportFormat(export.format)
        held = {} if form is ExportFormat.NDJSON else extraction.held(cut)
        name = f"{export.id}-{export.claim}.{suffix_of(export)}"
        free_min = FREE_TIMES * self._settings.min_free_bytes
        output = Output(self._folder / name, self._settings.export_bytes_max, free_min)
        try:
            rows = rows_into(output, form, held, query.properties, gzip=export.gzip)
            for chunk in extraction.chunks(cut):
                rows.add(chunk)
                self._count(progress, chunk, moment)
            rows.end()
            name = f"{export.id}-{export.claim}-{output.digest}.{suffix_of(export)}"
            output.finish(name)
            file = ExportFile(
                name, output.bytes, progress.written, moment.collection_id, moment.erase_version
            )
            now_us = _now_us()
            expires_us = now_us + int(self._settings.export_days * _DAY_US)
            if not self._catalog.exports.finish(export, file, now_us, expires_us):
                self._renew(progress)
                raise _Outdated
        except BaseException:
            output.abandon()
            raise

    def _cut(self, extraction: ExtractionRun) -> ExtractionSlices:
        limit = self._settings.export_events_max
        cut = extraction.cut(limit)
        if cut.rows > limit:
            raise QueryLimitExceeded(
                f"The extraction has more than {limit:,} events, which is the limit. Ask for a shorter "
                "timeframe, filter, or use 'latest'."
            )
        return cut

    def _deadline(self) -> Deadline:
        return Deadline.after(self._limits.timeout_seconds, self._tools.cancels.token())

    def _count(self, progress: _JobProgress, chunk: Chunk, moment: Erasures) -> None:
        progress.written += len(chunk.rows)
        if time.monotonic() - progress.at > RENEW_SECONDS:
            self._go_on(progress, moment)

    def _go_on(self, progress: _JobProgress, moment: Erasures) -> None:
        """Raises _Unwanted, _Outdated where it is no use."""
        self._renew(progress)
        export = progress.export
        now = self._catalog.collections.moment(export.project_id, export.collection)
        if not moment.stand(Erasures(*now)):
            raise _Outdated
        progress.at = time.monotonic()

    def _renew(self, progress: _JobProgress) -> None:
        """Raises _Unwanted."""
        lease_us = _now_us() + int(LEASE_SECONDS * _SECOND_US)
        if not self._catalog.exports.progress(progress.export, progress.written, progress.total, lease_us):
            raise _Unwanted


def _changed(path: Path) -> float:
    """When; now for a file that has just gone."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()


def _now_us() -> int:
    return time.time_ns() // 1_000
