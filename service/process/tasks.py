"""The runner's tasks and their resources. Slow to import, so not imported where a quick start matters."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator

from query.engine.engine import Engine
from query.engine.memory_budget import MemoryBudget
from query.errors import QueryCancelled
from service.alerts.alert_task import AlertWatch
from service.alerts.deadline_task import DeadlineWatch
from service.alerts.notice_mail_task import NoticeMailer
from service.alerts.report_task import Reporter
from service.background.task_runner import Cancels, Task, TaskRunner, Tools
from service.datasets.refresh_task import DatasetRefresher
from service.exports.export_task import Exporter
from service.exports.mail_task import Mailer
from service.imports.import_task import Importer
from service.maintenance.event_stream_task import Streamer
from service.maintenance.measures_task import Measures
from service.maintenance.purge_task import Purge
from service.maintenance.scrub_task import Scrubber
from service.outbound.webhook_task import Deliverer
from service.pipelines.planner_task import PipelinePlanner
from service.pipelines.sources.planner_task import SourcePlanner
from service.saved_queries.refresh_task import Refresher
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.workflows.upkeep_task import RunUpkeep
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
        Deliverer(tools),
        AlertWatch(tools),
        DeadlineWatch(tools),
        NoticeMailer(tools),
        Reporter(tools),
        Streamer(tools),
        Purge(tools),
        Scrubber(tools),
        Measures(tools),
        RunUpkeep(tools),
        PipelinePlanner(tools),
        SourcePlanner(tools),
    ]


def run(settings: Settings, number: int, stop: threading.Event) -> None:
    """Run the tasks until ``stop``."""
    metrics = Metrics(settings.metrics_path, number, settings.metric_rows)
    metrics.counter("acumen_starts_total", "runner").add()
    with opened_tools(settings, str(number), metrics, stop) as tools:
        TaskRunner(tasks_of(tools), tools.catalog, metrics, stop).run(STOP_SECONDS)


@contextlib.contextmanager
def opened_tools(
    settings: Settings, name: str, metrics: Metrics, stop: threading.Event, *, memory_share: int = 1
) -> Iterator[Tools]:
    """The resources of work in the background. ``name`` differs from that of any other process of the folder.
    ``memory_share``: one part in so many of the memory of a worker's queries."""
    with contextlib.ExitStack() as stack:
        catalog = Catalog.open(settings.data, secret=settings.secret_key)
        stack.callback(catalog.close)
        spill = catalog.folder.tmp / f"spill-{name}"
        shutil.rmtree(spill, ignore_errors=True)
        engine = Engine(
            catalog.folder.root,
            memory_limit_bytes=settings.engine_memory_bytes // memory_share,
            threads=settings.worker_threads,
            temp_folder=spill,
            temp_bytes_max=settings.worker_spill_bytes,
            budget=MemoryBudget(
                settings.results_memory_bytes // memory_share, settings.query_timeout_seconds
            ),
        )
        stack.callback(engine.close)
        reader = Reader(catalog.folder, catalog, LocalFileSystem(), history_seconds=settings.history_seconds)
        stack.callback(reader.close)
        cancels = Cancels()
        threading.Thread(target=_cancel_at, args=(stop, cancels), daemon=True).start()
        yield Tools(settings, catalog, reader, engine, metrics, stop, cancels)


def _cancel_at(stop: threading.Event, cancels: Cancels) -> None:
    stop.wait()
    cancels.cancel(QueryCancelled("The server is stopping."))
