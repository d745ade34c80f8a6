"""The runner's tasks and their resources. Slow to import, so not imported where a quick start matters."""

from __future__ import annotations

import contextlib
import shutil
import threading

from query.engine.engine import Engine
from query.engine.memory_budget import MemoryBudget
from query.errors import QueryCancelled
from service.background.task_runner import Cancels, Task, TaskRunner, Tools
from service.datasets.refresh_task import DatasetRefresher
from service.exports.export_task import Exporter
from service.exports.mail_task import Mailer
from service.imports.import_task import Importer
from service.maintenance.event_stream_task import Streamer
from service.maintenance.measures_task import Measures
from service.maintenance.purge_task import Purge
from service.maintenance.scrub_task import Scrubber
from service.saved_queries.refresh_task import Refresher
from service.settings import Settings
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog
from storage.disk.file_system import LocalFileSystem
from storage.read.snapshot_reader import Reader

STOP_SECONDS = 10.0
"""How long a piece of work may continue once the server stops; unfinished work is restarted later."""


def tasks_of(tools: Tools) -> list[Task]:
    """All background tasks. Register new tasks here."""
    return [
        Refresher(tools),
        DatasetRefresher(tools),
        Exporter(tools),
        Importer(tools),
        Mailer(tools),
        Streamer(tools),
        Purge(tools),
        Scrubber(tools),
        Measures(tools),
    ]


def run(settings: Settings, number: int, stop: threading.Event) -> None:
    """Run the tasks until ``stop``."""
    with contextlib.ExitStack() as stack:
        metrics = Metrics(settings.metrics_path, number, settings.metric_rows)
        metrics.counter("acumen_starts_total", "runner").add()
        catalog = Catalog.open(settings.data, secret=settings.secret_key)
        stack.callback(catalog.close)
        spill = catalog.folder.tmp / f"spill-{number}"
        shutil.rmtree(spill, ignore_errors=True)
        engine = Engine(
            catalog.folder.root,
            memory_limit_bytes=settings.engine_memory_bytes,
            threads=settings.worker_threads,
            temp_folder=spill,
            temp_bytes_max=settings.worker_spill_bytes,
            budget=MemoryBudget(settings.results_memory_bytes, settings.query_timeout_seconds),
        )
        stack.callback(engine.close)
        reader = Reader(catalog.folder, catalog, LocalFileSystem(), history_seconds=settings.history_seconds)
        stack.callback(reader.close)
        cancels = Cancels()
        tools = Tools(settings, catalog, reader, engine, metrics, stop, cancels)
        threading.Thread(target=_cancel_at, args=(stop, cancels), daemon=True).start()
        TaskRunner(tasks_of(tools), catalog, metrics, stop).run(STOP_SECONDS)


def _cancel_at(stop: threading.Event, cancels: Cancels) -> None:
    stop.wait()
    cancels.cancel(QueryCancelled("The server is stopping."))
