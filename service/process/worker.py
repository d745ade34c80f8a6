"""One HTTP worker: the composition root of everything that answers requests.

A child of the supervisor, from which it inherits the listening socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import shutil
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from query.engine.engine import Engine
from query.engine.memory_budget import MemoryBudget
from service.auth.principal import Tenants, key_of
from service.auth.shared_boards import SharedBoards
from service.bodies import body_thread
from service.bodies.reader import BodyLimits, BodyReader
from service.errors import ServiceUnavailable
from service.http.app import create_app
from service.http.client_address import client_ip_finder, is_trusted
from service.http.connections import ConnectionLimits, Connections, connections_within, raise_descriptors
from service.http.error_rendering import render
from service.http.fast_path import FastPath
from service.http.middleware import (
    App,
    Headers,
    Receive,
    RequestMiddleware,
    Scope,
    Send,
    as_headers,
    send_error,
)
from service.http.parts import Lifecycle, Parts
from service.http.protocol import bounded_protocol
from service.http.write_api import WriteApi, WriteLimits
from service.imports.previewer import Previewer
from service.ingest.enrich.enricher import Enricher
from service.ingest.ingestor import Ingestor
from service.ingest.log_session import WATCH_SECONDS, LogSession, admission_limits, log_limits
from service.limits.concurrency_limiter import Concurrency
from service.limits.embed_budgets import EmbedBudgets
from service.limits.query_scheduler import QueryScheduler
from service.limits.quotas import KINDS, PROJECT_NAMES, SYNC_SECONDS, Quotas
from service.limits.rate_limiter import Rate, RateLimits, fields_of
from service.machine import limit_arenas, return_freed_memory, return_large_blocks
from service.people.accounts import Accounts
from service.pictures.painter import Painter
from service.pipelines.definition import CheckContext
from service.pipelines.freshness.standings import PipelineStandings
from service.pipelines.inputs import PipelineReader
from service.process.child_process import ChildContext, StopReason, on_stop
from service.queries.arrival_finder import ArrivalFinder
from service.queries.live_tails import LiveTails, TailLimits
from service.queries.profiles import Profiles
from service.queries.query_service import QueryService
from service.queries.saved_cohorts import SavedCohorts
from service.queries.sql_service import SqlService
from service.queries.tail_cursor import TailCursors
from service.saved_queries.result_cache import ResultCache
from service.saved_queries.results import Results
from service.settings import Settings
from service.telemetry import json_logging
from service.telemetry.loop_pauses import measure_pauses
from service.telemetry.metrics import Metrics
from service.telemetry.refusals import Refusals
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.database.change_mark import Marks
from storage.catalog.database.versions import Area
from storage.disk.file_system import LocalFileSystem
from storage.files.partials import MEMORY_BYTES as PARTIALS_MEMORY_BYTES
from storage.files.partials import Partials
from storage.paths import DataFolder
from storage.read.arrivals import ArrivalReader
from storage.read.snapshot_reader import Reader

if TYPE_CHECKING:
    from service.people.openid import OpenIdLogIn

CATALOG_THREADS = 4
ORPHAN_SECONDS = 2.0
"""How long a worker whose supervisor died may continue to answer running requests."""

SWITCH_SECONDS = 0.0005
"""Time after which a thread that runs Python code yields the interpreter to another."""

GARBAGE_THRESHOLDS = (2_000, 10, 50_000)
"""Thresholds of Python's cyclic garbage collector, which stops all threads while it runs. Answers of many
rows create many objects that are freed without it, and cycles are rare. So it inspects a few new objects at a
time, and all objects only after a billion new ones."""

_log = logging.getLogger("acumen.worker")


class Server(uvicorn.Server):
    """uvicorn's server, stopped only by ``stop`` and not by signals."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, unready_seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._unready_seconds = unready_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def stop(self, reason: StopReason) -> None:
        """Report unready for a while, then finish running requests. An orphan allows these ORPHAN_SECONDS
        only, since a successor may be waiting for the data folder."""
        self._lifecycle.stopping = True
        if reason is StopReason.ORPHANED:
            self.config.timeout_graceful_shutdown = int(ORPHAN_SECONDS)
        else:
            await asyncio.sleep(self._unready_seconds)
        self.should_exit = True


@asynccontextmanager
async def composed(
    settings: Settings, number: int, clock: Callable[[], int] = system_clock
) -> AsyncIterator[tuple[WriteApi, Parts]]:
    """Build the whole application of worker ``number``, for the running event loop.

    ``clock``, in µs, dates queries and definitions; events are dated by the system clock.
    """
    with contextlib.ExitStack() as stack:
        catalog = Catalog.open(settings.data, clock, secret=settings.secret_key)
        stack.callback(catalog.close)
        refusals = Refusals(metrics := _metrics(settings, number), settings.error_log_seconds)
        rates = stack.enter_context(contextlib.closing(_rates(settings)))
        concurrency = stack.enter_context(contextlib.closing(_concurrency(settings, number)))
        budgets = stack.enter_context(contextlib.closing(_budgets(catalog, clock)))
        catalog_threads = ThreadPoolExecutor(CATALOG_THREADS, "catalog")
        query_threads = ThreadPoolExecutor(settings.query_slots, "query")
        engine = _engine(settings, catalog.folder, catalog.folder.tmp / f"spill-{number}", metrics)
        stack.callback(engine.close)
        reader = Reader(catalog.folder, catalog, LocalFileSystem(), history_seconds=settings.history_seconds)
        for close in (reader.close, query_threads.shutdown, catalog_threads.shutdown):
            stack.callback(close)
        tenants = _tenants(catalog, catalog_threads, clock)
        quotas = _quotas(settings, catalog, tenants, metrics, clock)
        query_service = _query_service(
            settings, catalog, reader, engine, concurrency, metrics, query_threads, clock, quotas
        )
        results = Results(catalog, reader, engine, settings.query_limits, settings.preferences)
        saved = ResultCache(
            catalog, reader, results, query_service, catalog_threads, _kept_results_max(settings), clock
        )
        accounts = Accounts(catalog, settings, tenants, catalog_threads, clock)
        stack.callback(accounts.close)
        painter = stack.enter_context(contextlib.closing(_painter(settings)))
        parts = Parts(
            settings,
            catalog,
            tenants,
            query_service,
            saved,
            BodyReader(body_limits(settings)),
            metrics,
            rates,
            refusals,
            quotas,
            budgets,
            painter,
            _tails(settings, catalog, reader, engine, metrics),
            accounts,
            catalog_threads,
            Profiles(reader, query_service, catalog_threads, _kept_profiles_max(settings)),
            stack.enter_context(contextlib.closing(Previewer(settings))),
            stack.enter_context(_sql(settings, catalog, reader, engine, query_service)),
            _pipelines(catalog, query_service),
            openid=_openid(accounts),
            clock=clock,
        )
        stack.callback(refusals.log_due, last=True)
        async with (
            contextlib.aclosing(parts.tails),
            LogSession.opened(
                catalog,
                catalog_threads,
                admission=admission_limits(settings),
                limits=log_limits(settings),
                enricher=_enricher(settings, metrics, catalog_threads),
                logs_closing=number == 0,
            ) as session,
            _watching(parts, session, lambda: _open_if_used(catalog, engine, reader)),
        ):
            yield _compose(parts, session.ingestor), parts


def _tenants(catalog: Catalog, threads: ThreadPoolExecutor, clock: Callable[[], int]) -> Tenants:
    shares = SharedBoards(catalog, clock)
    return Tenants(catalog.tenants, catalog.access_keys, catalog.keyring, executor=threads, shares=shares)


@asynccontextmanager
async def _watching(
    parts: Parts, session: LogSession, open_if_used: Callable[[], bool]
) -> AsyncIterator[None]:
    """Run the worker's periodic tasks: upkeep of the log, metrics, quotas, keys and the engine."""
    running = [
        asyncio.ensure_future(_watch(parts, session)),
        asyncio.ensure_future(measure_pauses(parts.metrics)),
        asyncio.ensure_future(_sync(parts)),
        asyncio.ensure_future(parts.tenants.keep_fresh()),
        asyncio.ensure_future(_open_once_used(parts, open_if_used)),
    ]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await _sync_once(parts)


def _open_if_used(catalog: Catalog, engine: Engine, reader: Reader) -> bool:
    """Open DuckDB if there is anything to ask about. Returns whether there is."""
    if not catalog.collections.exist():
        return False
    engine.open()
    reader.open()
    return True


async def _open_once_used(parts: Parts, open_if_used: Callable[[], bool]) -> None:
    """Open DuckDB soon after the first collection exists, so that no question has to wait for it."""
    seen: Marks | None = None
    while True:
        marks = parts.catalog.mark(Area.DATA)
        try:
            if marks != seen and await parts.in_thread(open_if_used):
                return
            seen = marks
        except Exception:
            _log.exception("DuckDB could not be opened; it is tried again.")
        await asyncio.sleep(WATCH_SECONDS)


def _tails(
    settings: Settings, catalog: Catalog, reader: Reader, engine: Engine, metrics: Metrics
) -> LiveTails:
    limits = TailLimits(
        settings.tail_connections,
        settings.tail_connections_per_project,
        settings.tail_queue_bytes,
        settings.tail_resumed_events_max,
    )
    return LiveTails(
        ArrivalReader(catalog.folder, catalog, reader),
        ArrivalFinder(reader, engine, settings.query_limits),
        TailCursors(catalog.keyring),
        limits,
        metrics,
    )


def _openid(accounts: Accounts) -> OpenIdLogIn | None:
    """Log-in with OpenID Connect, where it is set up: a worker without it is smaller by what that imports."""
    if not accounts.settings.openid_issuer:
        return None
    from service.people.openid import OpenIdLogIn

    return OpenIdLogIn(accounts)


def _budgets(catalog: Catalog, clock: Callable[[], int]) -> EmbedBudgets:
    return EmbedBudgets(catalog.folder.embed_budgets, lambda: clock() / 1_000_000)


def _query_service(
    settings: Settings,
    catalog: Catalog,
    reader: Reader,
    engine: Engine,
    concurrency: Concurrency,
    metrics: Metrics,
    threads: Executor,
    clock: Callable[[], int],
    quotas: Quotas,
) -> QueryService:
    return QueryService(
        reader,
        engine,
        settings.query_limits,
        QueryScheduler(settings.query_slots, settings.query_queue_max, settings.query_wait_seconds),
        concurrency,
        metrics,
        threads,
        clock,
        quotas=quotas,
        strict=settings.unknown_parameters == "refuse",
        kept_bytes_max=_kept_answers_max(settings) - _kept_profiles_max(settings),
        preferences=settings.preferences,
        cohorts_of=SavedCohorts(catalog).of,
    )


def _sql(
    settings: Settings, catalog: Catalog, reader: Reader, engine: Engine, queries: QueryService
) -> contextlib.closing[SqlService]:
    return contextlib.closing(SqlService(settings, catalog.folder, reader, engine, queries))


def _pipelines(catalog: Catalog, queries: QueryService) -> PipelineStandings:
    return PipelineStandings(PipelineReader(catalog, CheckContext(queries.limits, queries.check_regex)))


def _painter(settings: Settings) -> Painter:
    return Painter(settings.picture_seconds, settings.picture_idle_seconds)


def _kept_answers_max(settings: Settings) -> int:
    """Bytes of answers to questions, profiles among them."""
    return min(settings.answer_cache_bytes, settings.caches_memory_bytes // 4)


def _kept_profiles_max(settings: Settings) -> int:
    return _kept_answers_max(settings) // 4


def _kept_results_max(settings: Settings) -> int:
    """Bytes of saved results: each kind of cached answers has a share of the memory of all caches."""
    return min(settings.cached_bytes_max, settings.caches_memory_bytes // 4 * 2)


def _metrics(settings: Settings, number: int) -> Metrics:
    metrics = Metrics(settings.metrics_path, number, settings.metric_rows)
    metrics.clear_gauges()
    metrics.counter("acumen_starts_total", "worker").add()
    return metrics


def _partials(settings: Settings, folder: DataFolder, metrics: Metrics) -> Partials | None:
    """What keeps partial answers of files; None where the settings turn it off."""
    if not settings.partials_bytes:
        return None
    return Partials(
        folder.partials,
        rows_min=settings.partials_events_min,
        share=settings.partials_share,
        memory_bytes=min(PARTIALS_MEMORY_BYTES, settings.caches_memory_bytes // 4),
        reused=metrics.counter("acumen_partials_reused_total").add,
        kept=metrics.counter("acumen_partials_kept_total").add,
    )


def _engine(settings: Settings, folder: DataFolder, spill: Path, metrics: Metrics) -> Engine:
    shutil.rmtree(spill, ignore_errors=True)
    budget = MemoryBudget(settings.results_memory_bytes, settings.query_wait_seconds)
    body_thread.share(budget.turns)
    return Engine(
        folder.root,
        memory_limit_bytes=settings.engine_memory_bytes,
        threads=settings.worker_threads,
        temp_folder=spill,
        temp_bytes_max=settings.worker_spill_bytes,
        budget=budget,
        partials=_partials(settings, folder, metrics),
        return_memory=return_freed_memory,
    )


def _enricher(settings: Settings, metrics: Metrics, threads: Executor) -> Enricher:
    enricher = Enricher(settings.geoip_database, metrics)
    if settings.geoip_database is not None:
        # A configured database will be used by add-ons, and an error in it should show at the start.
        threads.submit(enricher.prepare_places)
    return enricher


def _compose(parts: Parts, ingestor: Ingestor) -> WriteApi:
    """The write API, which passes all other requests to the middleware and the application."""
    settings = parts.settings
    inner = RequestMiddleware(
        create_app(parts), parts.metrics, refusals=parts.refusals, access_log=settings.access_log
    )
    return WriteApi(
        inner,
        ingestor,
        parts.tenants,
        bodies=parts.bodies,
        limits=write_limits(settings),
        executor=parts.catalog_executor,
        client_ip=client_ip_finder(settings.trusted_proxies),
        quotas=parts.quotas,
        admit=_admission(parts.rates, parts.tenants),
        metrics=parts.metrics,
        refusals=parts.refusals,
        access_log=settings.access_log,
    )


def _quotas(
    settings: Settings, catalog: Catalog, tenants: Tenants, metrics: Metrics, clock: Callable[[], int]
) -> Quotas:
    refusals = {kind: metrics.counter("acumen_quota_refusals_total", kind) for kind in KINDS}
    defaults = {name: getattr(settings, f"quota_{name}") for name in PROJECT_NAMES}
    return Quotas(
        catalog.activity,
        defaults,
        tenants.known,
        count_refusal=lambda kind: refusals[kind].add(),
        clock=lambda: clock() / 1_000_000,
    )


async def _sync(parts: Parts) -> None:
    """Write the quotas' counts to the catalog periodically."""
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        await _sync_once(parts)


async def _sync_once(parts: Parts) -> None:
    try:
        await parts.in_thread(parts.quotas.sync)
    except Exception:
        _log.exception("The counts of quotas could not be written to the catalog; it is tried again.")


def write_limits(settings: Settings) -> WriteLimits:
    """Byte limits of events and bodies for the write API."""
    return WriteLimits(settings.event_bytes_max, settings.bulk_bytes_max, settings.inflated_bytes_max)


def body_limits(settings: Settings) -> BodyLimits:
    """Limits over all bodies that a worker reads."""
    return BodyLimits(
        settings.body_timeout_seconds,
        settings.body_bytes_in_flight,
        values_max=settings.query_values_max,
    )


def _rates(settings: Settings) -> RateLimits:
    projects = {
        Rate.QUERIES: settings.rate_queries,
        Rate.EXTRACTIONS: settings.rate_extractions,
        Rate.WRITES: settings.rate_writes,
        Rate.UPDATES: settings.rate_updates,
        Rate.DELETES: settings.rate_deletes,
        Rate.COLLECTION_DELETES: settings.rate_collection_deletes,
    }
    keys = {
        Rate.QUERIES: settings.rate_queries_per_key,
        Rate.EXTRACTIONS: settings.rate_extractions_per_key,
        Rate.WRITES: settings.rate_writes_per_key,
        Rate.UPDATES: settings.rate_updates_per_key,
        Rate.DELETES: settings.rate_deletes_per_key,
        Rate.COLLECTION_DELETES: settings.rate_collection_deletes_per_key,
    }
    return RateLimits(settings.run_folder / "rates", projects, keys)


def _admission(rates: RateLimits, tenants: Tenants) -> Callable[[str, bytes], Headers] | None:
    """A function that counts requests that record events, by project and key; None if they have no limit."""
    if not rates.limits(Rate.WRITES):
        return None

    def admit(project_id: str, key: bytes) -> Headers:
        counted_as = tenants.counted_as(project_id, key_of(key.decode("latin-1"), None) or "")
        quotas = rates.check(project_id, Rate.WRITES, counted_as)
        return as_headers(fields_of(quotas))

    return admit


def _concurrency(settings: Settings, number: int) -> Concurrency:
    return Concurrency(
        settings.run_folder / "running",
        number,
        settings.workers,
        per_project=settings.concurrent_queries,
        per_key=settings.concurrent_queries_per_key,
    )


async def _watch(parts: Parts, session: LogSession) -> None:
    """Call the session's ``look_after`` periodically, and update its metrics."""
    queued = parts.metrics.counter("acumen_log_queued_bytes")
    body_bytes = parts.metrics.counter("acumen_body_bytes")
    damaged = parts.metrics.counter("acumen_logs_damaged")
    jumped = parts.metrics.counter("acumen_clock_jumped")
    free = parts.metrics.counter("acumen_disk_free_bytes")
    unflushed = parts.metrics.counter("acumen_log_unflushed_bytes")
    refused = parts.metrics.counter("acumen_events_refused")
    while True:
        try:
            await session.look_after()
            parts.lifecycle.damaged_logs = session.backlog.damaged_logs
            parts.lifecycle.closed_because = session.ingestor.closed_because
            damaged.set(len(session.backlog.damaged_logs))
            jumped.set(int(session.backlog.clock_jumped))
            free.set(session.backlog.free_bytes)
            unflushed.set(session.backlog.unflushed_bytes)
            refused.set(int(session.ingestor.closed_because is not None))
            queued.set(session.log.queued_bytes)
            parts.refusals.log_due()
            body_bytes.set(parts.bodies.held_bytes)
        except Exception:
            _log.exception("The periodic check of the worker failed; it is tried again.")
        await asyncio.sleep(WATCH_SECONDS)


def connection_limits(settings: Settings) -> ConnectionLimits:
    """The configured limits of connections, lowered if this process has too few file descriptors."""
    return ConnectionLimits(
        connections_max=connections_within(raise_descriptors(), settings.connections_max),
        per_client_max=settings.connections_per_client,
        write_seconds=settings.write_seconds,
        unsent_bytes_max=settings.answer_bytes_in_flight,
        is_shared=lambda address: is_trusted(settings.trusted_proxies, address),
    )


def _config(
    settings: Settings, app: App, express: FastPath | None, connections: Connections, *, tls: bool
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=bounded_protocol(settings.header_bytes_max, settings.header_seconds, express, connections),
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=4_096,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        ssl_certfile=settings.tls_cert if tls else None,
        ssl_keyfile=settings.tls_key if tls else None,
    )


def _answering_at_the_end(app: App, lifecycle: Lifecycle) -> App:
    """Wrap the application so that requests cancelled by the stop of the server are answered with a 503."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if not lifecycle.stopping:
                raise
            error = ServiceUnavailable(
                "The server is stopping, and it is not known whether this request was carried out."
            )
            # RuntimeError: the answer had begun. It stays incomplete, and the connection is closed.
            with contextlib.suppress(RuntimeError):
                await send_error(send, render(error))

    return answer


async def _serve(context: ChildContext) -> None:
    assert context.listener is not None
    settings, listener = context.settings, socket.socket(fileno=context.listener)
    async with composed(settings, context.number) as (app, parts):
        answering = _answering_at_the_end(app, parts.lifecycle)
        connections = Connections(connection_limits(settings), parts.metrics, parts.refusals)
        config = _config(settings, answering, app.express, connections, tls=settings.tls_cert is not None)
        server = Server(config, parts.lifecycle, settings.unready_seconds)
        loop = asyncio.get_running_loop()

        def stop(reason: StopReason) -> None:
            asyncio.run_coroutine_threadsafe(server.stop(reason), loop)

        def reload() -> None:
            json_logging.set_level(settings.current_log_level())
            if settings.tls_cert is not None and config.ssl is not None:
                # Load into a separate context first: a certificate and key that do not match must not
                # reach the context in use.
                ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                    settings.tls_cert, settings.tls_key
                )
                config.ssl.load_cert_chain(settings.tls_cert, settings.tls_key)

        on_stop(context, stop, reload)
        serving = asyncio.ensure_future(server.serve([listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        context.say_ready()
        await serving


def main(context: ChildContext) -> None:
    """Answer requests until the supervisor commands a stop."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)
    return_large_blocks()
    limit_arenas()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(context))
