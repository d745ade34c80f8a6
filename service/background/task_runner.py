"""Background tasks, which run beside the workers, each on its own thread.

A task is called repeatedly to do its next piece of work. It keeps its state in the catalog or in files, never
in memory: its process may die between any two instructions, and another process continues.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from query.engine.engine import CancelToken, Engine
from query.errors import QueryCancelled, QueryError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.database.versions import NEVER_SEEN, Area
from storage.read.snapshot_reader import Reader

LOOK_SECONDS = 0.25
"""Interval at which the catalog is checked for changes, which wake the tasks."""
REST_PER_SECOND = 9.0
"""Seconds of rest for each second of processor time that an idle task took to find nothing to do: what grows
with the number of tenants takes a tenth of a processor, however often the catalog changes."""
REST_SECONDS_MAX = 30.0
POLL_SECONDS = 1.0
"""Longest pause of an idle task while the catalog does not change."""
PAUSES_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Pauses before a failed task is retried, one for each successive failure."""

_log = logging.getLogger("acumen.runner")


class Task(Protocol):
    """Recurring background work."""

    @property
    def name(self) -> str:
        """One of ``metrics.TASKS``."""

    @property
    def areas(self) -> frozenset[Area]:
        """Areas of the catalog whose changes wake the task."""

    def run_due(self, now_us: int) -> bool:
        """Do one piece of the work that is due; True if there may be more. Must be quick if nothing is due.

        An exception is logged, and the task is retried after a pause.
        """


@dataclass(frozen=True)
class Tools:
    """Resources of tasks, such as a reader of consistent snapshots and an engine with one worker's memory."""

    settings: Settings
    catalog: Catalog
    reader: Reader
    engine: Engine
    metrics: Metrics
    stop: threading.Event
    """Set once the process is to end; long pieces of work check it."""
    cancels: Cancels


class Cancels:
    """Creates a cancel token for each query, and cancels all queries once the process is to end.

    A single token for all does not suffice: cancelling one query would cancel all later ones.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: QueryError | None = None
        self._tokens: weakref.WeakSet[CancelToken] = weakref.WeakSet()

    def token(self) -> CancelToken:
        token = CancelToken()
        with self._lock:
            self._tokens.add(token)
            reason = self._reason
        if reason is not None:
            token.cancel(reason)
        return token

    def cancel(self, reason: QueryError) -> None:
        with self._lock:
            self._reason = reason
            tokens = list(self._tokens)
        for token in tokens:
            token.cancel(reason)


class TaskRunner:
    """Runs tasks until ``stop`` is set. ``run`` belongs to one thread; any thread may set ``stop``."""

    def __init__(
        self,
        tasks: Sequence[Task],
        catalog: Catalog,
        metrics: Metrics,
        stop: threading.Event,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self._catalog = catalog
        self._stop = stop
        self._clock = clock
        self._tasks = tuple(tasks)
        self._wakes = {task.name: threading.Event() for task in tasks}
        self._failures = {
            task.name: metrics.counter("acumen_task_failures_total", task.name) for task in tasks
        }
        self._threads = [
            threading.Thread(target=self._run_repeatedly, args=(task,), name=task.name, daemon=True)
            for task in tasks
        ]

    def run(self, stop_seconds: float) -> None:
        """Run the tasks; returns once all have ended after ``stop``, or after ``stop_seconds`` more."""
        for thread in self._threads:
            thread.start()
        seen = NEVER_SEEN
        while not self._stop.wait(LOOK_SECONDS):
            try:
                versions = self._catalog.versions()
            except Exception:
                _log.exception("The catalog could not be read; it is tried again.")
                continue
            changes = zip(Area, seen, versions, strict=True)
            self._wake({area for area, before, now in changes if before != now})
            seen = versions
        self._wake(set(Area))
        deadline = time.monotonic() + stop_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _wake(self, changed: Set[Area]) -> None:
        for task in self._tasks:
            if self._stop.is_set() or not changed.isdisjoint(task.areas):
                self._wakes[task.name].set()

    def _run_repeatedly(self, task: Task) -> None:
        failures = 0
        wake = self._wakes[task.name]
        while not self._stop.is_set():
            wake.clear()
            began = time.thread_time()
            try:
                more = task.run_due(self._clock())
                failures = 0
            except Exception as error:
                if self._stop.is_set() and isinstance(error, QueryCancelled):
                    return
                pause = PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)]
                failures += 1
                self._failures[task.name].add()
                fields = {"task": task.name, "retry_seconds": pause}
                _log.exception("A background task failed and is tried again.", extra={"fields": fields})
                self._stop.wait(pause)
                continue
            if not more:
                rest = REST_PER_SECOND * (time.thread_time() - began)
                self._stop.wait(min(REST_SECONDS_MAX, rest))
                wake.wait(max(0.0, POLL_SECONDS - rest))
