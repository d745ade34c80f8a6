"""Stores the events of a portion through a log of this process, batch by batch, each under its own key."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Self

from service.errors import QuotaExceeded, RateLimited
from service.imports.data_target import CountedTarget, DataTarget
from service.imports.sending import ImportFailed
from service.ingest.enrich.enricher import Enricher
from service.ingest.log_session import LogSession, admission_limits, keep_looking_after, log_limits
from service.limits.quotas import PROJECT_NAMES, Quotas
from service.pipelines.sources.portions import batches_of
from service.settings import Settings
from service.threads import in_thread
from service.workflows.errors import RunFailed, RunPostponed
from storage.catalog.catalog import Catalog
from storage.catalog.sources.records import StoredSource
from storage.disk.lock import sharing

NOTE_SECONDS = 1.0
"""How often it is recorded how many batches are stored; those since are sent again after a kill."""
THREADS = 2
BACKUP_SECONDS = 1.0
POSTPONED_SECONDS_MAX = 600.0
"""Longest pause for a quota: it may be raised meanwhile."""


class PortionSender:
    """Sends portions of one source; opens a log for the first. For one thread without an event loop."""

    def __init__(self, catalog: Catalog, settings: Settings, check: Callable[[], None]) -> None:
        """``check`` is called between batches, and may raise."""
        self._catalog, self._settings, self._check = catalog, settings, check
        self._executor = ThreadPoolExecutor(THREADS, "sources")
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._session: LogSession | None = None
        self._noted = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._stack.aclose())
        finally:
            self._runner.close()
            self._executor.shutdown()

    def send(self, source: StoredSource, collection: str) -> int:
        """Store what is left of the pending portion; how many events the collection refused.

        Raises RunRefused, RunFailed, RunPostponed, SourceChanged, and what ``check`` raises.
        """
        try:
            return self._runner.run(self._send(source, collection))
        except RateLimited as error:
            raise RunPostponed(error.message, min(error.retry_after_seconds, POSTPONED_SECONDS_MAX)) from None
        except QuotaExceeded as error:
            raise RunFailed(error.message) from None
        except ImportFailed as error:
            raise RunFailed(str(error)) from None

    async def _send(self, source: StoredSource, collection: str) -> int:
        assert source.pending is not None
        session = await self._opened()
        await session.look_after()
        watch = asyncio.ensure_future(keep_looking_after(session))
        project = await in_thread(self._executor, self._catalog.projects.get, source.project_id)
        defaults = {name: getattr(self._settings, f"quota_{name}") for name in PROJECT_NAMES}
        quotas = Quotas(self._catalog.activity, defaults, lambda _: project)
        tally = quotas.tally(source.project_id, source.runs_as)
        await in_thread(self._executor, quotas.prepare, tally)
        data = DataTarget(session, self._settings.metrics_path, source.project_id, collection)
        target = CountedTarget(data, quotas, tally, self._executor)
        refused = 0
        try:
            for index, batch in enumerate(batches_of(self._catalog.folder.sources, source.pending)):
                if index >= source.sent:
                    digest = hashlib.blake2b(batch, digest_size=16).digest()
                    outcome = await target.send(batch, key_of(source, index), digest)
                    refused += len(outcome.refused)
                    self._check()
                    await self._note(source, index + 1)
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            await in_thread(self._executor, quotas.sync)
        return refused

    async def _note(self, source: StoredSource, sent: int) -> None:
        now = time.monotonic()
        if now - self._noted >= NOTE_SECONDS:
            self._noted = now
            await in_thread(self._executor, self._note_sent, source, sent)

    def _note_sent(self, source: StoredSource, sent: int) -> None:
        with recording(self._catalog):
            self._catalog.sources.note_sent(source, sent)

    async def _opened(self) -> LogSession:
        if self._session is None:
            opening = LogSession.opened(
                self._catalog,
                self._executor,
                admission=admission_limits(self._settings),
                limits=log_limits(self._settings),
                enricher=Enricher(self._settings.geoip_database),
                logs_closing=False,
            )
            self._session = await self._stack.enter_async_context(opening)
        return self._session


@contextmanager
def recording(catalog: Catalog) -> Iterator[None]:
    """In it, what is stored may be recorded. Raises RunPostponed while a backup copies the log: the copied
    catalog would count events that the copied log lacks."""
    with sharing(catalog.folder.sources_lock) as free:
        if not free:
            raise RunPostponed("A backup is being made.", BACKUP_SECONDS)
        yield


def key_of(source: StoredSource, index: int) -> str:
    """The idempotency key of a batch of the pending portion: no other batch ever has it."""
    assert source.pending is not None
    text = f"{source.project_id}/{source.id}/{source.portion}/{source.pending.digest}/{index}"
    return f"source-{hashlib.sha256(text.encode()).hexdigest()}"
