"""The runner's task that stores the events of uploaded files, and removes files that are kept no longer.

An import runs under a lease. How far it is, is recorded every few seconds; if its runner dies, the next one
goes on after the last batch that was recorded. Batches that were stored since are recognised by their
idempotency keys.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import orjson

from query.errors import QueryCancelled
from service.background.task_runner import Tools
from service.errors import ApiError
from service.imports.data_target import CountedTarget, DataTarget
from service.imports.jobs import NO_WRITER, UNPACKED_TIMES, writer_of
from service.imports.json_source import BadSource, BatchSource, Interrupted
from service.imports.opening import OpenedSource, open_source
from service.imports.options import ImportOptions, checked, in_words_of_api, thawed_options
from service.imports.refused_file import RefusedFile
from service.imports.sending import (
    EVENT_BYTES_MAX,
    HOPELESS_EVENTS,
    BatchSender,
    ImportFailed,
    batch_keys,
    preparation,
)
from service.imports.tables import TableSource
from service.imports.uploads import import_of, refused_path, remove_all, remove_upload, upload_path
from service.ingest.enrich.enricher import Enricher
from service.ingest.log_session import LogSession, admission_limits, keep_looking_after, log_limits
from service.limits.quotas import PROJECT_NAMES, Quotas
from service.saved_queries.results import SERVER_FAULT
from service.threads import in_thread
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import ImportCounts, ImportJob, ImportState
from storage.catalog.errors import UnknownProject
from storage.catalog.tenants.records import Project

LEASE_SECONDS = 15.0
RENEW_SECONDS = 1.0
"""How often an import's progress is recorded, its lease renewed, and its cancellation checked."""
ATTEMPTS_MAX = 5
SWEEP_SECONDS = 30.0
STRAY_SECONDS = 300.0
"""Age at which a file that nothing was added to is removed, if no import needs it: far longer than the next
part of an upload may take to come."""
REFUSED_BYTES_MAX = 64 << 20
REASONS_MAX = 20
OTHER_REASONS = "Other reasons."
PLACES_NAMED = 5
THREADS = 4
NEVER_DONE = (
    f"The import was begun {ATTEMPTS_MAX} times, and each time the server stopped. What is counted is "
    "stored; start it again to go on."
)
_QUOTED = re.compile(r"'[^']*'")
_BYTE = re.compile(r"byte \d+")
_SECOND_US = 1_000_000

_log = logging.getLogger("acumen.imports")


class _Superseded(Interrupted):
    """The import was removed, or another runner has it."""


class _Stopping(Interrupted):
    """The process is to end."""


class _Cancelled(Interrupted):
    """The import was cancelled."""


class _Impossible(Interrupted):
    """The import cannot go on; the text says why."""


class Importer:
    """See ``service.background.task_runner.Task``."""

    name = "imports"
    areas = frozenset({Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        self._settings = tools.settings
        self._folder = tools.catalog.folder
        self._swept = float("-inf")

    def run_due(self, now_us: int) -> bool:
        self._sweep(now_us)
        if self._tools.stop.is_set():
            return False
        lease_us = now_us + int(LEASE_SECONDS * _SECOND_US)
        job = self._catalog.imports.claim(secrets.token_hex(8), now_us, lease_us)
        if job is None:
            return False
        self._run(job)
        return True

    # Files to remove

    def _sweep(self, now_us: int) -> None:
        """Every ``SWEEP_SECONDS``, remove what is kept no longer."""
        now = time.monotonic()
        if now - self._swept < SWEEP_SECONDS:
            return
        imports, held_us = self._catalog.imports, self._catalog.clock.held_us(now_us)
        broken = [job for job in imports.in_state(ImportState.UPLOADING) if self._is_broken(job)]
        for job in [*imports.overdue(held_us), *broken]:
            imports.remove(job)
            remove_all(self._folder, job.id)
        old = [path for path in self._folder.imports.iterdir() if _age_seconds(path) > STRAY_SECONDS]
        known = imports.ids() if old else set()
        for path in old:
            if import_of(path) not in known:
                path.unlink(missing_ok=True)
        self._swept = now

    def _is_broken(self, job: ImportJob) -> bool:
        """Whether the process that took an upload has died."""
        paths = self._folder.imports.glob(f"{job.id}*")
        age = min(map(_age_seconds, paths), default=(time.time_ns() // 1_000 - job.created_us) / _SECOND_US)
        return age > STRAY_SECONDS

    # One import

    def _run(self, job: ImportJob) -> None:
        if job.attempts > ATTEMPTS_MAX:
            self._end(job, job.counts, ImportState.FAILED, NEVER_DONE)
            return
        if job.cancelled:
            self._end(job, job.counts, ImportState.CANCELLED)
            return
        work = _Import(job, self._tools)
        try:
            asyncio.run(work.run())
            self._end(job, work.counts, ImportState.DONE)
        except _Superseded:
            self._remove_if_gone(job)
        except _Cancelled:
            self._end(job, work.counts, ImportState.CANCELLED)
        except _Stopping:
            self._record(job, work.counts)
            self._catalog.imports.release(job, forgiven=True)
            raise QueryCancelled("The server is stopping.") from None
        except (BadSource, ImportFailed, _Impossible) as error:
            self._end(job, work.counts, ImportState.FAILED, str(error))
        except ApiError as error:
            self._end(job, work.counts, ImportState.FAILED, error.message)
        except Exception as error:
            self._record(job, work.counts)
            if job.attempts < ATTEMPTS_MAX:
                self._catalog.imports.release(job)
                raise
            _log.exception("A file could not be imported.", exc_info=error)
            self._end(job, work.counts, ImportState.FAILED, SERVER_FAULT)

    def _record(self, job: ImportJob, counts: ImportCounts) -> None:
        self._catalog.imports.progress(job, counts, _lease_us())

    def _end(
        self, job: ImportJob, counts: ImportCounts, state: ImportState, message: str | None = None
    ) -> None:
        path = refused_path(self._folder, job.id)
        if message is not None:
            message = message[:1].upper() + message[1:].rstrip(".") + "."
        reasons = reasons_of(path, counts.refused_bytes)
        ended = self._catalog.imports.end(
            job, state, counts, now_us=time.time_ns() // 1_000, message=message, reasons=reasons
        )
        if ended and state is ImportState.DONE:
            remove_upload(self._folder, job.id)
        if not ended:
            self._remove_if_gone(job)
        if state is ImportState.FAILED:
            fields = {"project": job.project_id, "import": job.id}
            _log.warning("An import failed.", extra={"fields": fields})

    def _remove_if_gone(self, job: ImportJob) -> None:
        """Remove what was written after the import was removed."""
        if self._catalog.imports.find(job.project_id, job.id) is None:
            remove_all(self._folder, job.id)


class _Import:
    """One attempt at an import, on an event loop of its own."""

    def __init__(self, job: ImportJob, tools: Tools) -> None:
        self.counts = job.counts
        self._job = job
        self._tools = tools
        self._catalog = tools.catalog
        self._settings = tools.settings
        self._stop: Interrupted | None = None
        """Why the import is to end."""

    async def run(self) -> None:
        """Import the file, from where an earlier attempt was.

        Raises BadSource, ImportFailed, ApiError, Interrupted.
        """
        job = self._job
        with ThreadPoolExecutor(THREADS, "imports") as executor:
            project = await in_thread(executor, self._project)
            quotas = self._quotas(project)
            tally = quotas.tally(project.id, job.counted_as)
            async with self._session(executor) as session:
                target = CountedTarget(self._target(session), quotas, tally, executor)
                seen = _TimesSeen(checked(thawed_options(job.options or "{}")), self.counts)
                opened = await in_thread(executor, self._opened, seen.options)
                try:
                    await self._send(opened, seen, target, executor, quotas)
                finally:
                    opened.close()
                    await in_thread(executor, quotas.sync)
        if self._stop is not None:
            raise self._stop

    async def _send(
        self,
        opened: OpenedSource,
        seen: _TimesSeen,
        target: CountedTarget,
        executor: Executor,
        quotas: Quotas,
    ) -> None:
        job, source = self._job, opened.source
        refused = RefusedFile(
            refused_path(self._catalog.folder, job.id),
            bytes_before=self.counts.refused_bytes,
            bytes_max=REFUSED_BYTES_MAX,
            worded=in_words_of_api,
        )
        refused.of_rows = table = isinstance(source, TableSource)
        progress = _Progress(job, source, refused, seen)
        prepare = preparation(seen.options, opened.drops_stamps, table=table)
        sender = BatchSender(
            target, source, refused, progress, prepare, seen.options.timestamp_path, resumable=True
        )
        collection = job.collection or ""
        read_as = f"{job.id}/{opened.identity}" if job.again else opened.identity
        keys = batch_keys(job.project_id, collection, read_as, job.digest)
        beat = asyncio.ensure_future(self._keep_recording(progress, sender, executor, quotas))
        try:
            await sender.send_all(keys, HOPELESS_EVENTS, skip=self.counts.batches)
            progress.finish()
        finally:
            beat.cancel()
            await asyncio.wait([beat])
            await in_thread(executor, refused.close)
            self.counts = progress.counts()

    async def _keep_recording(
        self, progress: _Progress, sender: BatchSender, executor: Executor, quotas: Quotas
    ) -> None:
        """Record progress until cancelled, or until the import is to end."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                self._stop = await self._reason_to_stop(progress, executor)
                await in_thread(executor, quotas.sync)
            except Exception:
                _log.exception("An import's progress could not be recorded; it is tried again.")
            if self._stop is not None:
                sender.stop()
                return

    async def _reason_to_stop(self, progress: _Progress, executor: Executor) -> Interrupted | None:
        """Record the progress; why the import is to end, if it is."""
        if self._tools.stop.is_set():
            return _Stopping()
        counts = progress.counts()
        await in_thread(executor, progress.flush)
        wanted = await in_thread(executor, self._catalog.imports.progress, self._job, counts, _lease_us())
        if wanted is None:
            return _Superseded()
        if not wanted:
            return _Cancelled()
        try:
            await in_thread(executor, self._project)
        except ImportFailed as error:
            return _Impossible(str(error))
        return None

    def _check(self) -> None:
        """Called while the file is read. Raises what ends the import."""
        if self._tools.stop.is_set():
            raise _Stopping
        if self._stop is not None:
            raise self._stop

    def _project(self) -> Project:
        """The project, if who started the import may still record its events. Raises ImportFailed."""
        try:
            project = self._catalog.projects.get(self._job.project_id)
        except UnknownProject:
            raise ImportFailed(NO_WRITER) from None
        writer = writer_of(self._catalog, project, self._job, time.time())
        if writer is None:
            raise ImportFailed(NO_WRITER)
        self._key_quotas = writer.quotas
        return project

    def _quotas(self, project: Project) -> Quotas:
        defaults = {name: getattr(self._settings, f"quota_{name}") for name in PROJECT_NAMES}
        quotas = Quotas(self._catalog.activity, defaults, lambda _: project)
        tally = quotas.tally(project.id, self._job.counted_as)
        tally.limits = self._key_quotas
        quotas.prepare(tally)
        return quotas

    @asynccontextmanager
    async def _session(self, executor: Executor) -> AsyncIterator[LogSession]:
        settings = self._settings
        opening = LogSession.opened(
            self._catalog,
            executor,
            admission=admission_limits(settings),
            limits=log_limits(settings),
            enricher=Enricher(settings.geoip_database),
            logs_closing=False,
        )
        async with opening as session:
            watch = asyncio.ensure_future(keep_looking_after(session))
            try:
                yield session
            finally:
                watch.cancel()
                await asyncio.wait([watch])

    def _target(self, session: LogSession) -> DataTarget:
        collection = self._job.collection or ""
        return DataTarget(session, self._settings.metrics_path, self._job.project_id, collection)

    def _opened(self, options: ImportOptions) -> OpenedSource:
        path = upload_path(self._catalog.folder, self._job.id)
        if not path.exists():
            raise ImportFailed("the uploaded file is gone: send it again")
        return open_source(
            str(path),
            options,
            EVENT_BYTES_MAX,
            shown="The file",
            unpacked_bytes_max=UNPACKED_TIMES * self._settings.import_bytes,
            check=self._check,
        )


class _TimesSeen:
    """The options of an import, and the earliest and latest time that was read from its file."""

    def __init__(self, options: ImportOptions, counts: ImportCounts) -> None:
        self.first, self.last = counts.first, counts.last
        self._read = options.read_time
        read_time = None if self._read is None else self._noted
        self.options = replace(
            options, read_time=read_time, tables=replace(options.tables, read_time=read_time)
        )

    def _noted(self, value: Any) -> str:
        assert self._read is not None
        time = self._read(value)
        # Without the 'Z', texts with more digits of a second come after those with fewer.
        if self.first is None or time[:-1] < self.first[:-1]:
            self.first = time
        if self.last is None or time[:-1] > self.last[:-1]:
            self.last = time
        return time


class _Progress:
    """Counts what became of the events. See ``service.imports.sending.SendingProgress``."""

    def __init__(self, job: ImportJob, source: BatchSource, refused: RefusedFile, seen: _TimesSeen) -> None:
        counts = job.counts
        self.new, self.known, self.refused = counts.stored, counts.known, counts.refused
        self._batches = counts.batches
        self._refused_bytes = counts.refused_bytes
        self._position = counts.position
        self._source, self._refused_file, self._seen = source, refused, seen
        # What an attempt stored after it recorded its progress for the last time, the next one finds stored.
        self._own_come_back = (job.attempts > 1 or counts.batches > 0) and not counts.known

    def add(self, accepted: int, known: int, refused: int) -> None:
        if self._own_come_back and accepted:
            self._own_come_back = known == accepted
            known = 0 if self._own_come_back else known
        self.new += accepted - known
        self.known += known
        self.refused += refused
        self._batches += 1
        self._refused_bytes = self._refused_file.bytes

    def finish(self) -> None:
        """Count what was refused after the last batch."""
        self._refused_bytes = self._refused_file.bytes

    def flush(self) -> None:
        """Make durable what was refused so far."""
        self._refused_file.flush()

    def counts(self) -> ImportCounts:
        self._position = max(self._position, self._source.position)
        return ImportCounts(
            self._position,
            self._batches,
            self.new,
            self.known,
            self.refused,
            self._refused_bytes,
            self._seen.first,
            self._seen.last,
        )


class _RefusedEvent(msgspec.Struct):
    """The parts of a line of the refused file that are counted."""

    number: int
    error: dict[str, str]
    line: int | None = None


_refused_event = msgspec.json.Decoder(_RefusedEvent)


def reasons_of(path: Path, size: int) -> str | None:
    """Why events were refused, the most frequent reason first, as JSON; without the values of the events."""
    if not size:
        return None
    found: dict[str, list[_RefusedEvent]] = {}
    counts: dict[str, int] = {}
    with suppress(FileNotFoundError), open(path, "rb") as file:
        for line in file:
            event = _refused_event.decode(line)
            reason = _general(event.error["description"])
            if reason not in counts and len(counts) >= REASONS_MAX:
                reason = OTHER_REASONS
            counts[reason] = counts.get(reason, 0) + 1
            first = found.setdefault(reason, [])
            if len(first) < PLACES_NAMED:
                first.append(event)
    ordered = sorted(counts, key=lambda reason: -counts[reason])
    return orjson.dumps(
        [
            {
                "reason": reason,
                "count": counts[reason],
                "lines": [event.line for event in found[reason] if event.line is not None],
                "numbers": [event.number for event in found[reason]],
            }
            for reason in ordered
        ]
    ).decode()


def _general(description: str) -> str:
    """A reason without the values of one event: the first thing in quotes is a name, others are values."""
    quoted = 0

    def shown(found: re.Match[str]) -> str:
        nonlocal quoted
        quoted += 1
        return found[0] if quoted == 1 or "%" in found[0] else "'…'"

    return _BYTE.sub("byte …", _QUOTED.sub(shown, description))[:300]


def _age_seconds(path: Path) -> float:
    """Seconds since a file was changed; 0 for one that has just been removed."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _lease_us() -> int:
    return time.time_ns() // 1_000 + int(LEASE_SECONDS * _SECOND_US)
