"""The runner's task that writes the files of extractions, and removes those that may no longer be kept.

A job runs under a lease. If its runner dies, the next one starts the job again once the lease is over; the
unfinished file is removed.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from query.answers.export import Chunk, ExtractionRun, ExtractionSlices
from query.answers.freshness import ErasureMark, erasures
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
"""How often a job's progress is stored, its lease renewed, and its cancellation checked."""
ATTEMPTS_MAX = 5
SWEEP_SECONDS = 30.0
STRAY_SECONDS = 120.0
"""Age at which a file without a job is removed: far longer than a finished file waits to be recorded."""
FREE_TIMES = 4
"""Multiple of ``min_free_bytes`` left free on the disk, so that files never cause events to be refused."""
FORGET_DAYS = 30
"""How long a job without a file is listed after its end."""
NEVER_DONE = (
    f"The extraction was started {ATTEMPTS_MAX} times and never finished: each time the server stopped, or "
    "events of its collection were deleted or changed. Ask for it again, or for a shorter timeframe."
)
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US

_log = logging.getLogger("acumen.exports")


class _Unwanted(Exception):
    """The job was removed, or another runner has it."""


class _Outdated(Exception):
    """Events of the collection were deleted or changed since the job began."""


@dataclass
class _JobProgress:
    """The progress of a running job."""

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
        self._expire_jobs(now_us)
        if self._tools.stop.is_set():
            return False
        lease_us = now_us + int(LEASE_SECONDS * _SECOND_US)
        export = self._catalog.exports.claim(secrets.token_hex(8), now_us, lease_us)
        if export is None:
            return False
        self._run(export)
        return True

    # Files to remove

    def _expire_jobs(self, now_us: int) -> None:
        """Expire jobs: for erased events once the catalog has changed, others every ``SWEEP_SECONDS``."""
        now, version = time.monotonic(), self._catalog.versions().data
        if version != self._version:
            self._expire(self._catalog.exports.outdated(), ERASED)
            self._version = version
        if now - self._swept < SWEEP_SECONDS:
            return
        held_us = self._catalog.clock.held_us(now_us)
        self._expire(self._catalog.exports.overdue(held_us), OVERDUE)
        self._catalog.exports.forget(held_us - FORGET_DAYS * _DAY_US)
        self._remove_strays()
        self._swept = now

    def _expire(self, exports: Iterable[ExportJob], why: str) -> None:
        """Expire jobs and remove their files; the file goes first, since only the job names it."""
        for export in exports:
            if export.file is not None:
                end_file(self._catalog, export.file)
            self._catalog.exports.expire(export, why)

    def _remove_strays(self) -> None:
        """Remove files left by a dead process: unfinished ones, and old ones to which no job refers."""
        before = time.time() - STRAY_SECONDS
        paths = self._folder.iterdir()
        old = [path for path in paths if path.suffix == UNFINISHED or _changed(path) < before]
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
            project = self._catalog.projects.get(export.project_id)
            if not asker_lives(self._catalog, project, export, _now_us() / _SECOND_US):
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
        """Write the file and finish the job. Raises QueryError, SourceGone, OSError, _Unwanted, _Outdated."""
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
        self._report(progress, moment)
        form = ExportFormat(export.format)
        columns = {} if form is ExportFormat.NDJSON else extraction.held(cut)
        name = f"{export.id}-{export.claim}.{suffix_of(export)}"
        free_min = FREE_TIMES * self._settings.min_free_bytes
        output = Output(self._folder / name, self._settings.export_bytes_max, free_min)
        try:
            rows = rows_into(output, form, columns, query.properties, gzip=export.gzip)
            with closing(extraction.chunks(cut)) as chunks:
                for chunk in chunks:
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

    def _count(self, progress: _JobProgress, chunk: Chunk, moment: ErasureMark) -> None:
        progress.written += len(chunk.rows)
        if time.monotonic() - progress.at > RENEW_SECONDS:
            self._report(progress, moment)

    def _report(self, progress: _JobProgress, moment: ErasureMark) -> None:
        """Renew the lease and store the progress. Raises _Unwanted, _Outdated where the job must stop."""
        self._renew(progress)
        export = progress.export
        now = self._catalog.collections.moment(export.project_id, export.collection)
        if not moment.stand(ErasureMark(*now)):
            raise _Outdated
        progress.at = time.monotonic()

    def _renew(self, progress: _JobProgress) -> None:
        """Renew the lease and store the progress. Raises _Unwanted where this runner has lost the job."""
        lease_us = _now_us() + int(LEASE_SECONDS * _SECOND_US)
        if not self._catalog.exports.progress(progress.export, progress.written, progress.total, lease_us):
            raise _Unwanted


def _changed(path: Path) -> float:
    """When the file was last changed; now for one that has just been removed."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()


def _now_us() -> int:
    return time.time_ns() // 1_000
