"""The runner's task for the queue of runs: takes runs of killed processes back, forgets old ones, measures
it, and says how many processes the server should run for it."""

from __future__ import annotations

import time

from service.background.task_runner import Tools
from service.workflows.recovery import RetryPolicy, recover
from service.workflows.run_lock import RunLocks
from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from storage.catalog.runs.records import RunState

FORGET_SECONDS = 3_600.0
MEASURE_SECONDS = 5.0
SHOWN = (RunState.WAITING, RunState.RUNNING, RunState.DEAD)
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US
_NEVER_US = 1 << 62


class RunUpkeep:
    """See ``service.background.task_runner.Task``. While no run is due and none executes, it reads shared
    memory alone."""

    name = "runs"
    areas = frozenset({Area.RUNS})

    def __init__(self, tools: Tools) -> None:
        self._catalog, self._settings = tools.catalog, tools.settings
        self._locks = RunLocks(tools.catalog.folder.runs)
        self._policy = RetryPolicy(tools.settings.run_attempts, tools.settings.run_retry_seconds)
        # A killed runner's successor must not end the processes that it finds.
        self._processes = ProcessCount(
            self._settings.run_workers, self._settings.run_idle_seconds, self._kept(), time.monotonic()
        )
        counter = tools.metrics.counter
        self._number = {state: counter("acumen_runs", state) for state in SHOWN}
        self._cpu_seconds = counter("acumen_runs_processor_seconds_today")
        self._bytes = counter("acumen_runs_bytes_today")
        self._wanted = counter("acumen_run_workers")
        self._marks: tuple[int, ...] | None = None
        self._active = True
        self._due_us = 0
        self._written = -1
        self._forgot = self._measured = float("-inf")

    def run_due(self, now_us: int) -> bool:
        now = time.monotonic()
        marks = self._catalog.mark(Area.RUNS)
        if self._active or marks != self._marks or now_us >= self._due_us:
            executing = recover(self._catalog, self._locks, self._policy, now_us)
            due_us = self._catalog.runs.next_due_us()
            self._due_us = _NEVER_US if due_us is None else due_us
            self._active = executing > 0 or now_us >= self._due_us
            self._want(self._processes.wanted(self._catalog, executing, now, self._settings.run_pools))
            if now - self._measured >= MEASURE_SECONDS or not self._active:
                self._measure()
                self._measured = now
            self._marks = marks
        elif self._written:
            self._want(self._processes.wanted(self._catalog, 0, now, self._settings.run_pools))
        if now - self._forgot >= FORGET_SECONDS:
            self._forgot = now
            held_us = self._catalog.clock.held_us(now_us)
            self._catalog.runs.forget(held_us - int(self._settings.run_history_days * _DAY_US))
            self._locks.sweep()
        return False

    def _kept(self) -> int:
        """How many processes the supervisor was told to keep; none at the start of a server."""
        try:
            return int(self._settings.run_workers_path.read_bytes())
        except (OSError, ValueError):
            return 0

    def _want(self, number: int) -> None:
        """Tell the supervisor how many processes to run, by a file in the run folder."""
        if number == self._written:
            return
        path = self._settings.run_workers_path
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(str(number), encoding="ascii")
        unfinished.replace(path)
        self._written = number
        self._wanted.set(number)

    def _measure(self) -> None:
        numbers = dict.fromkeys(SHOWN, 0)
        for (_, state), number in self._catalog.runs.counts().items():
            if state in numbers:
                numbers[state] += number
        for state, number in numbers.items():
            self._number[state].set(number)
        usage = self._catalog.runs.usage()
        self._cpu_seconds.set(sum(one.cpu_us for one in usage) / _SECOND_US)
        self._bytes.set(sum(one.bytes for one in usage))


class ProcessCount:
    """How many processes the backlog needs: one for each run that could begin, beside those that are busy, up
    to a limit. Fewer again only after some time in which fewer were enough: to start one costs more than
    to keep it."""

    def __init__(self, most: int, idle_seconds: float, number: int = 0, now: float = 0.0) -> None:
        """``number`` of them are there ``now``."""
        self._most, self._idle_seconds = most, idle_seconds
        self._number, self._needed_at = number, now

    def wanted(self, catalog: Catalog, executing: int, now: float, pools: tuple[str, ...] | None) -> int:
        """``now`` in seconds of a clock that never goes back."""
        needed = 0
        if self._most:
            busy = min(self._number, executing)
            needed = min(self._most, busy + catalog.runs.ready(self._most, pools))
        if needed >= self._number or now - self._needed_at >= self._idle_seconds:
            self._number = needed
            self._needed_at = now
        return self._number
