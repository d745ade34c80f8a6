"""One worker's way in, opened and closed as a whole: its log, its claims, its collector and their watch."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from service.admission import AdmissionLimits
from service.backlog import Backlog
from service.claims import CLAIM_WAIT_SECONDS, Claims, OtherLogs
from service.collector import Collector, waker
from service.enrich.enricher import Enricher
from storage.catalog import Catalog
from storage.fs import FileSystem, LocalFileSystem
from storage.log import LogWriter

_log = logging.getLogger("acumen.collect")

WATCH_SECONDS = 0.25
THREADS = 4


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Sizes in bytes; beyond the last two events are refused until there is room again."""

    segment_bytes_max: int = 64 << 20
    queue_bytes_max: int = 64 << 20
    unflushed_bytes_max: int = 8 << 30
    """Over the logs of all workers."""
    free_bytes_min: int = 256 << 20
    """Left on the disk of the data folder."""


class Collecting:
    """Made by ``open``, of one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        data: Path,
        fs: FileSystem,
        log: LogWriter,
        admission: AdmissionLimits,
        limits: LogLimits,
        executor: ThreadPoolExecutor,
        wait_seconds: float,
        enricher: Enricher | None,
    ) -> None:
        """Use ``open``."""
        self._backlog = Backlog(catalog, fs, limits.free_bytes_min, limits.unflushed_bytes_max)
        self.log = log
        self.executor = executor
        others = OtherLogs(catalog, fs, data)
        claims = Claims(catalog, log, holds=others.holds, executor=executor, wait_seconds=wait_seconds)
        self.collector = Collector(
            catalog, log, admission, claims=claims, executor=executor, enricher=enricher
        )
        self._watch = asyncio.ensure_future(self._keep_watch())

    @classmethod
    async def open(
        cls,
        catalog: Catalog,
        data: Path,
        *,
        admission: AdmissionLimits | None = None,
        limits: LogLimits | None = None,
        fs: FileSystem | None = None,
        wait_seconds: float = CLAIM_WAIT_SECONDS,
        enricher: Enricher | None = None,
    ) -> Collecting:
        """A new log of the data folder, in the catalog before its first event. Raises StorageError."""
        fs, limits = fs or LocalFileSystem(), limits or LogLimits()
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(THREADS, thread_name_prefix="collect")

        def create() -> LogWriter:
            return LogWriter.create(
                fs,
                data,
                catalog.create_log(),
                on_synced=waker(loop),
                segment_bytes_max=limits.segment_bytes_max,
                queue_bytes_max=limits.queue_bytes_max,
            )

        log = await loop.run_in_executor(executor, create)
        taken = admission or AdmissionLimits()
        return cls(catalog, data, fs, log, taken, limits, executor, wait_seconds, enricher)

    async def close(self) -> None:
        """Sync what is queued and let the log go; nothing may be submitted any more."""
        self._watch.cancel()
        await asyncio.wait([self._watch])
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.executor, self.log.close)
        self._backlog.close()
        # What the last group's waiters were told reaches them in the next turn of the loop.
        await asyncio.sleep(0)
        self.executor.shutdown(wait=True, cancel_futures=True)

    async def _keep_watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self.collector.homes.refresh()
                closed_because = await loop.run_in_executor(self.executor, self._backlog.problem)
                if closed_because and not self.collector.closed_because:
                    _log.warning("Events are refused: %s", closed_because)
                self.collector.closed_because = closed_because
            except Exception:
                _log.exception("The watch over the log failed; it goes on.")
            await asyncio.sleep(WATCH_SECONDS)
