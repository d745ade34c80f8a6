"""Executes the runs of a queue one after the other. Any number of processes may do so on one data folder."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from service.workflows.context import Execute, Interruption, RunContext
from service.workflows.errors import RunFailed, RunInterrupted, RunPostponed, RunRefused
from service.workflows.recovery import RetryPolicy, fail, recover
from service.workflows.run_lock import RunLock, RunLocks
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.database.versions import Area
from storage.catalog.errors import CatalogError, CatalogUnavailable
from storage.catalog.runs.records import QueuedRun

LOOK_SECONDS = 0.2
"""How often shared memory is looked at for changes of the queue; of the catalog nothing is read for that."""
RECOVER_SECONDS = 1.0
"""How often it is looked whether the processes of other runs live, while there are any."""
REST_SECONDS = 30.0
"""Longest time without a look into the queue: budgets are renewed without a change of it."""
SPENT_SECONDS = 5.0
"""How often what a run has used is recorded while it executes, so that a kill does not lose more."""
FAULT_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Pauses after a fault of the catalog or the disk, one for each in succession."""
MESSAGE_MAX = 2_000
GIVE_UP_STATUS = 75
_SECOND_US = 1_000_000

_log = logging.getLogger("acumen.runs")


def _give_up() -> None:
    os._exit(GIVE_UP_STATUS)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker behaves. Times are in seconds."""

    pools: tuple[str, ...] | None = None
    """The pools whose runs it takes; None: all."""
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    run_seconds: float = 3_600.0
    """After so long a run is interrupted, which counts as a failure."""
    grace_seconds: float = 10.0
    """How long a run that is interrupted may go on before the process gives up and ends; the lock goes with
    it, so that others deal with the run."""
    stop_seconds: float = 8.0
    """How long a run may go on undisturbed once the process is to stop."""


class RunWorker:
    """``work`` belongs to one thread; any thread may set ``stop``."""

    def __init__(
        self,
        catalog: Catalog,
        execute: Execute,
        stop: threading.Event,
        options: WorkerOptions | None = None,
        give_up: Callable[[], None] = _give_up,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self._catalog, self._execute, self._stop = catalog, execute, stop
        self._options, self._give_up, self._clock = options or WorkerOptions(), give_up, clock
        self._locks = RunLocks(catalog.folder.runs)
        self._lock: RunLock | None = None
        self._others = 0

    def work(self) -> None:
        """Execute runs until ``stop`` is set."""
        failures = 0
        try:
            while not self._stop.is_set():
                marks = self._catalog.mark(Area.RUNS)
                try:
                    if not self.execute_next():
                        self._rest(marks)
                    failures = 0
                except (CatalogError, OSError):
                    _log.exception("The queue of runs could not be used; it is tried again.")
                    self._stop.wait(FAULT_SECONDS[min(failures, len(FAULT_SECONDS) - 1)])
                    failures += 1
        finally:
            if self._lock is not None:
                self._lock.release()

    def execute_next(self) -> bool:
        """Execute the next run that may begin. False if there is none."""
        self._others = recover(self._catalog, self._locks, self._options.policy, self._clock())
        if self._lock is None:
            self._lock = self._locks.make()
        run = self._catalog.runs.claim(self._lock.name, self._options.pools)
        if run is None:
            return False
        try:
            _Execution(self, run, self._lock).run()
        finally:
            # Whatever was not recorded of the run is now for others to take back.
            self._lock.release()
            self._lock = None
        return True

    def _rest(self, marks: tuple[int, ...]) -> None:
        """Wait until the queue has changed, a run is due, or other processes' runs are to be looked after."""
        pools = self._options.pools
        seconds = RECOVER_SECONDS if self._others else REST_SECONDS
        due_us, now_us = self._catalog.runs.next_due_us(pools), self._clock()
        if due_us is not None and due_us > now_us:
            seconds = min(seconds, (due_us - now_us) / _SECOND_US)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._catalog.mark(Area.RUNS) == marks:
            if self._stop.wait(min(LOOK_SECONDS, left)):
                return


class _Execution:
    """One execution of one run, watched by a second thread."""

    def __init__(self, worker: RunWorker, run: QueuedRun, lock: RunLock) -> None:
        self._worker, self._run = worker, run
        self._catalog, self._options = worker._catalog, worker._options
        self._context = RunContext(lock.descriptor)
        self._ended = threading.Event()
        self._spent_us = _cpu_us()

    def run(self) -> None:
        watch = threading.Thread(target=self._watch, name="run-watch", daemon=True)
        watch.start()
        try:
            record = self._outcome()
        finally:
            self._ended.set()
            watch.join()
        used = self._used()
        # A catalog that cannot be written now must not make the work be done twice.
        while True:
            try:
                if not record(*used):
                    # It was finished in one transaction with what it made, or taken away.
                    self._catalog.runs.charge(self._run, *used)
                return
            except CatalogUnavailable:
                if self._worker._stop.wait(RECOVER_SECONDS):
                    raise

    def _outcome(self) -> Callable[[int, int], bool]:
        """Do the run's work; returns how its outcome is recorded, given processor time in µs and bytes
        not recorded yet."""
        run, context, record = self._run, self._context, self._catalog.runs
        try:
            result = self._worker._execute(run, context)
            return partial(record.finish, run, json.dumps(dict(result.detail)))
        except RunPostponed as error:
            due_us = self._worker._clock() + int(error.seconds * _SECOND_US)
            return partial(self._put_back, due_us, error.message)
        except RunRefused as error:
            return partial(record.bury, run, error.message[:MESSAGE_MAX])
        except Exception as error:
            reason = context.reason
            if reason is Interruption.CANCELLED:
                return partial(record.end_cancelled, run)
            if reason in (Interruption.STOPPING, Interruption.LOST):
                return partial(self._put_back, 0, None)
            message = self._message_of(error)
            return partial(fail, self._catalog, self._options.policy, run, message, self._worker._clock())

    def _put_back(self, due_us: int, message: str | None, cpu_us: int, read_bytes: int) -> bool:
        return self._catalog.runs.put_back(
            self._run, due_us, message, forgiven=True, cpu_us=cpu_us, read_bytes=read_bytes
        )

    def _message_of(self, error: Exception) -> str:
        """What is said to a person of a run that failed."""
        if self._context.reason is Interruption.OVERTIME:
            message = f"The run took longer than {self._options.run_seconds:g} seconds."
        elif isinstance(error, RunFailed | RunInterrupted):
            message = error.message
        else:
            _log.exception("A run raised an error.", extra={"fields": {"run": self._run.id}})
            message = f"{type(error).__name__}: {error}"
        return message[:MESSAGE_MAX]

    def _used(self) -> tuple[int, int]:
        """Processor time in µs and bytes since the last call."""
        before, self._spent_us = self._spent_us, _cpu_us()
        return self._spent_us - before, self._context.take_bytes()

    def _watch(self) -> None:
        """Interrupt the run when it is to end, and record what it uses, until it has ended."""
        began = recorded = time.monotonic()
        deadline = began + self._options.run_seconds
        stopping: float | None = None
        marks = None
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            if now > deadline:
                self._context.interrupt(Interruption.OVERTIME)
            if self._worker._stop.is_set():
                stopping = now if stopping is None else stopping
                if now - stopping >= self._options.stop_seconds:
                    self._context.interrupt(Interruption.STOPPING)
            try:
                seen = self._catalog.mark(Area.RUNS)
                if seen != marks and self._catalog.runs.is_cancelling(self._run):
                    self._context.interrupt(Interruption.CANCELLED)
                marks = seen
                if now - recorded >= SPENT_SECONDS:
                    recorded = now
                    self._record_spent()
            except CatalogError:
                # Whoever records the outcome hears of it.
                marks = None
            if self._context.interrupted.is_set():
                self._end_by_force()
                return

    def _record_spent(self) -> None:
        if self._catalog.runs.spent(self._run, *self._used()) is None:
            self._context.interrupt(Interruption.LOST)

    def _end_by_force(self) -> None:
        """End the process where the interrupted run does not end by itself."""
        if not self._ended.wait(self._options.grace_seconds):
            fields = {"run": self._run.id, "pipeline": self._run.pipeline}
            _log.error("A run does not end when it is told to; its process ends.", extra={"fields": fields})
            self._worker._give_up()


def _cpu_us() -> int:
    """Processor time of this process, and of those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return int(sum(one.ru_utime + one.ru_stime for one in used) * _SECOND_US)


def pools_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """The names of pools in comma-separated words; None where there is none."""
    names = [name.strip() for word in words for name in word.split(",")]
    return tuple(name for name in names if name) or None
