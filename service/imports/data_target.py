"""The data folder as the target of an import, written through a log of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from pathlib import Path

from service.imports.sending import BatchOutcome, ImportFailed
from service.ingest.batches import Origin
from service.ingest.errors import IngestError, IngestUnavailable
from service.ingest.log_session import LogSession
from service.limits.quotas import Quotas, Tally
from service.telemetry.metrics import count_import
from service.threads import in_thread
from storage.catalog.catalog import system_clock

ATTEMPTS_MAX = 10
"""Attempts to send a batch before the import gives up, which takes about two minutes."""
FIRST_WAIT_SECONDS = 0.5
SYNC_EVENTS = 5_000
"""Events after which quotas are judged again."""
WAIT_SECONDS_MAX = 30.0


class DataTarget:
    """A data folder, written through a separate log; works beside a running server."""

    def __init__(self, session: LogSession, metrics_path: Path, project_id: str, collection: str) -> None:
        self._metrics_path = metrics_path
        self._ingestor = session.ingestor
        self._project_id = project_id
        self._collection = collection

    async def send(self, events: bytes, key: str, digest: bytes) -> BatchOutcome:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            origin = Origin(system_clock(), idempotency_key=key, digest=digest)
            try:
                verdicts = await self._ingestor.submit(self._project_id, {self._collection: events}, origin)
                refused = verdicts.refused.get(self._collection, {})
                count = verdicts.counts.get(self._collection, 0)
                await asyncio.to_thread(self._count, count, len(refused), verdicts.duplicates)
                return BatchOutcome(refused, verdicts.duplicates, count)
            except IngestUnavailable as error:
                if attempt == ATTEMPTS_MAX:
                    raise ImportFailed(error.message) from error
                await asyncio.sleep(backoff_seconds(attempt))
            except IngestError as error:
                raise ImportFailed(error.message) from error
        raise AssertionError("unreachable")

    def _count(self, events: int, refused: int, duplicates: int) -> None:
        """Count the events in the metrics of the server that runs on the folder, if there is one."""
        accepted = events - refused - duplicates
        count_import(self._metrics_path, accepted=accepted, refused=refused, duplicate=duplicates)


class CountedTarget:
    """A target whose events count towards the quotas of the project and the key."""

    def __init__(self, target: DataTarget, quotas: Quotas, tally: Tally, executor: Executor) -> None:
        self._executor = executor
        self._unsynced = 0
        self._target = target
        self._quotas = quotas
        self._tally = tally

    async def send(self, events: bytes, key: str, digest: bytes) -> BatchOutcome:
        """Raises ImportFailed, RateLimited, QuotaExceeded."""
        self._quotas.check_writes(self._tally)
        outcome = await self._target.send(events, key, digest)
        new = outcome.count - len(outcome.refused) - outcome.known
        self._tally.events += new
        self._tally.bytes += len(events) if new else 0
        self._unsynced += new
        if self._unsynced >= SYNC_EVENTS:
            # An import is far faster than the syncs of a worker, which come with time alone.
            self._unsynced = 0
            await in_thread(self._executor, self._quotas.sync)
        return outcome


def backoff_seconds(attempt: int) -> float:
    return min(WAIT_SECONDS_MAX, FIRST_WAIT_SECONDS * float(2 ** (attempt - 1)))
