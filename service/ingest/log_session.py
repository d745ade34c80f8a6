"""One process's write access to the data folder: its log, claims and ingestor, and their periodic upkeep.

Workers and ``acumen import`` open the same kind of session, so that the same limits and rules apply to both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.ingest.admission import AdmissionLimits
from service.ingest.backpressure import Backlog
from service.ingest.deduplication import CLAIM_WAIT_SECONDS, Deduplicator, OtherLogs
from service.ingest.enrich.enricher import Enricher
from service.ingest.ingestor import Ingestor, waker
from service.settings import Settings
from service.threads import in_thread
from storage.catalog.catalog import Catalog
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.log.writer import LogWriter

_log = logging.getLogger("acumen.collect")

WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Sizes in bytes; beyond the last two, events are refused until there is room again."""

    segment_bytes_max: int = 64 << 20
    queue_bytes_max: int = 64 << 20
    unflushed_bytes_max: int = 8 << 30
    """Unflushed bytes in the logs of all workers together."""
    free_bytes_min: int = 256 << 20
    """Free bytes that must remain on the data folder's disk."""


def admission_limits(settings: Settings) -> AdmissionLimits:
    """The settings' limits on events, batches, collections and tokens."""
    return AdmissionLimits(
        event_bytes_max=settings.event_bytes_max,
        batch_events_max=settings.bulk_events_max,
        properties_max=settings.properties_max,
        collections_max=settings.collections_max,
        tokens_max=settings.tokens_max,
        token_days=settings.token_days,
    )


def log_limits(settings: Settings) -> LogLimits:
    return LogLimits(
        segment_bytes_max=settings.segment_bytes,
        queue_bytes_max=settings.queue_bytes_max,
        unflushed_bytes_max=settings.log_bytes_max,
        free_bytes_min=settings.min_free_bytes,
    )


class LogSession:
    """A log with its ingestor and backlog, for one event loop; created by ``opened``."""

    def __init__(
        self,
        log: LogWriter,
        ingestor: Ingestor,
        backlog: Backlog,
        executor: Executor,
        *,
        logs_closing: bool = True,
    ) -> None:
        """Use ``opened``."""
        self.log = log
        self.ingestor = ingestor
        self.backlog = backlog
        self.executor = executor
        self._erased = -1
        self._logs_closing = logs_closing

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        catalog: Catalog,
        executor: Executor,
        *,
        admission: AdmissionLimits | None = None,
        limits: LogLimits | None = None,
        fs: FileSystem | None = None,
        wait_seconds: float = CLAIM_WAIT_SECONDS,
        enricher: Enricher | None = None,
        logs_closing: bool = True,
    ) -> AsyncIterator[LogSession]:
        """Open a session on a new log, registered in the catalog before its first event. Raises StorageError.

        ``logs_closing``: whether this session writes a log line when events are refused for want of room; of
        a server's workers, which all see the same disk, only one does. On exit, queued frames are synced and
        the log is closed; nothing may be submitted after that.
        """
        fs, limits = fs or LocalFileSystem(), limits or LogLimits()
        root, loop = catalog.folder.root, asyncio.get_running_loop()

        def create() -> LogWriter:
            return LogWriter.create(
                fs,
                root,
                catalog.logs.create(),
                on_synced=waker(loop),
                segment_bytes_max=limits.segment_bytes_max,
                queue_bytes_max=limits.queue_bytes_max,
            )

        log = await in_thread(executor, create)
        holds = OtherLogs(catalog, fs, root).holds
        admission = admission or AdmissionLimits()
        claims = Deduplicator(
            catalog,
            log,
            holds=holds,
            executor=executor,
            wait_seconds=wait_seconds,
            tokens_max=admission.tokens_max,
            token_days=admission.token_days,
        )
        ingestor = Ingestor(catalog, log, admission, claims=claims, executor=executor, enricher=enricher)
        backlog = Backlog(catalog, fs, limits.free_bytes_min, limits.unflushed_bytes_max)
        session = cls(log, ingestor, backlog, executor, logs_closing=logs_closing)
        try:
            yield session
        finally:
            await in_thread(executor, log.close)
            await in_thread(executor, backlog.close)
            # Waiters of the last group are resolved in the loop's next turn.
            await asyncio.sleep(0)

    async def look_after(self) -> None:
        """Apply catalog changes made by other processes, and check whether there is room for events.

        The process that opened the session calls this about every WATCH_SECONDS.
        """
        await self.ingestor.handles.refresh()
        erased = await in_thread(self.executor, self.backlog.catalog.erasures.last)
        if erased != self._erased or self.log.turn_due:
            # Erased events may still be in the open segment, and segments are deleted only as a whole.
            self.log.turn()
            self._erased = erased
        closed_because = await in_thread(self.executor, self.backlog.problem)
        if self._logs_closing and bool(closed_because) != bool(self.ingestor.closed_because):
            self._log_closing(closed_because)
        self.ingestor.closed_because = closed_because

    def _log_closing(self, closed_because: str | None) -> None:
        """Log one line when events begin to be refused, and one when they are accepted again."""
        backlog = self.backlog
        fields = {
            "free_bytes": backlog.free_bytes,
            "ACUMEN_MIN_FREE_BYTES": backlog.free_bytes_min,
            "unflushed_bytes": backlog.unflushed_bytes,
            "ACUMEN_LOG_BYTES_MAX": backlog.unflushed_bytes_max,
        }
        if closed_because:
            reason = closed_because.partition(". ")[0]
            _log.warning("Events are refused with 503. %s.", reason, extra={"fields": fields})
        else:
            _log.warning("Events are taken again.", extra={"fields": fields})


async def keep_looking_after(session: LogSession) -> None:
    """Call ``look_after`` periodically until cancelled; a failure is logged and retried."""
    while True:
        try:
            await session.look_after()
        except Exception:
            _log.exception("The periodic check of the log failed; it is tried again.")
        await asyncio.sleep(WATCH_SECONDS)
