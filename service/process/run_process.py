"""A process that executes runs: a child of the supervisor while there are any, or ``acumen worker``."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from service.background.task_runner import Tools
from service.process.child_process import ChildContext, stopped
from service.process.tasks import opened_tools
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.workflows.context import Execute, RunContext, RunResult
from service.workflows.recovery import RetryPolicy
from service.workflows.run_worker import RunWorker, WorkerOptions
from storage.catalog.runs.records import QueuedRun
from storage.paths import DataFolder

NICENESS = 10
"""No client waits for a run: acknowledgements and answers take precedence, then the keeper."""
MEMORY_SHARE = 2
"""A run's queries have one part in so many of the memory that a worker's have."""


def executor(tools: Tools) -> Execute:
    """What executes runs with these resources. Slow imports belong in here: no other process needs them."""

    from service.pipelines.run import BucketRuns
    from service.pipelines.sources.run import SourceRuns, is_of_source
    from service.pipelines.toolbox import Toolbox

    buckets = BucketRuns(Toolbox(tools.settings, tools.catalog, tools.engine, tools.reader.verify))
    sources = SourceRuns(tools.catalog, tools.settings)

    def execute(run: QueuedRun, context: RunContext) -> RunResult:
        return (sources if is_of_source(run) else buckets).execute(run, context)

    return execute


def options_of(settings: Settings, pools: tuple[str, ...] | None) -> WorkerOptions:
    return WorkerOptions(
        pools=pools,
        policy=RetryPolicy(settings.run_attempts, settings.run_retry_seconds),
        run_seconds=settings.run_seconds,
        stop_seconds=settings.shutdown_seconds,
    )


def main(context: ChildContext) -> None:
    """Execute runs until the supervisor commands a stop."""
    stop = stopped(context)
    os.nice(NICENESS)
    settings = context.settings
    metrics = Metrics(settings.metrics_path, context.number, settings.metric_rows)
    metrics.counter("acumen_starts_total", "run_worker").add()
    with opened_tools(settings, str(context.number), metrics, stop, memory_share=MEMORY_SHARE) as tools:
        context.say_ready()
        RunWorker(tools.catalog, executor(tools), stop, options_of(settings, settings.run_pools)).work()


def work(settings: Settings, pools: tuple[str, ...] | None) -> None:
    """Execute runs of these pools, or of all, until SIGTERM or SIGINT. Raises CatalogError, OSError."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=stop.set, daemon=True).start())
    os.nice(NICENESS)
    with (
        beside_a_server(settings.data),
        opened_tools(settings, f"p{os.getpid()}", Metrics(), stop, memory_share=MEMORY_SHARE) as tools,
    ):
        options = options_of(settings, pools)
        worker = RunWorker(tools.catalog, executor(tools), stop, options, give_up=_start_again)
        # In another thread: this one must be free for signals, which a long query would hold up.
        with ThreadPoolExecutor(1, "runs") as threads:
            threads.submit(worker.work).result()


def _start_again() -> None:
    """Become a new process, which drops the run that did not end, and its lock."""
    os.execv(sys.executable, [sys.executable, "-P", *sys.orig_argv[1:]])


@contextmanager
def beside_a_server(data: Path) -> Iterator[None]:
    """Tell a server that stops that another process uses its catalog, so that it stores no digest of it."""
    descriptor = os.open(DataFolder.at(data).workers_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
