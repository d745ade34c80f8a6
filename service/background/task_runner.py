"""Work that nobody waits for: tasks that run beside the workers, each on a thread of its own.

A task is asked again and again for its next piece of work. It keeps what it has to remember in the catalog or
in files, never in itself: its process may die between any two instructions, and another one goes on.
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
"""How soon a change of the catalog wakes the tasks."""
POLL_SECONDS = 1.0
"""How long a task that has nothing to do is left alone where the catalog does not change."""
PAUSES_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Before a task that failed is tried again."""

_log = logging.getLogger("acumen.runner")


class Task(Protocol):
    """Something to be done now and then."""

    @property
    def name(self) -> str:
        """One of ``metrics.TASKS``."""

    @property
    def areas(self) -> frozenset[Area]:
        """Of the catalog: a change of them wakes the task."""

    def run_due(self, now_us: int) -> bool:
        """Do one piece of what is due; True where there may be more of it. Must be quick where nothing is.

        What it raises is logged, and the task is tried again after a pause.
        """


@dataclass(frozen=True)
class Tools:
    """What tasks work with: a consistent view of events, an engine with one worker's share of memory."""

    settings: Settings
    catalog: Catalog
    reader: Reader
    engine: Engine
    metrics: Metrics
    stop: threading.Event
    """Set once the process is to end; a long piece of work looks at it."""
    cancels: Cancels


class Cancels:
    """Makes the token of each question, which then ends with QueryCancelled once the process is to end.

    One token for all would not do: what ends one question would end all that come after it.
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
    """Runs tasks until ``stop``. ``run`` belongs to one thread, ``stop`` may be called from any."""

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
            threading.Thread(target=self._keep_at, args=(task,), name=task.name, daemon=True)
            for task in tasks
        ]

    def run(self, stop_seconds: float) -> None:
        """Returns once all tasks have ended after ``stop``, or have been given ``stop_seconds`` for it."""
        for thread in self._threads:
            thread.start()
        seen = NEVER_SEEN
        while not self._stop.wait(LOOK_SECONDS):
            try:
                found = self._catalog.versions()
            except Exception:
                _log.exception("The catalog could not be looked at; it is tried again.")
                continue
            pairs = zip(Area, seen, found, strict=True)
            self._wake({area for area, before, now in pairs if before != now})
            seen = found
        self._wake(set(Area))
        deadline = time.monotonic() + stop_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _wake(self, changed: Set[Area]) -> None:
        for task in self._tasks:
            if self._stop.is_set() or not changed.isdisjoint(task.areas):
                self._wakes[task.name].set()

    def _keep_at(self, task: Task) -> None:
        failures = 0
        wake = self._wakes[task.name]
        while not self._stop.is_set():
            wake.clear()
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
                wake.wait(POLL_SECONDS)
