"""What a run's function is given beside the run, and what it returns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from service.workflows.errors import RunInterrupted
from storage.catalog.runs.records import QueuedRun


class Interruption(Enum):
    """Why a run is to end before its work is done."""

    CANCELLED = "The run was cancelled."
    OVERTIME = "The run took longer than it may."
    STOPPING = "The process that executes the run is to stop."
    LOST = "The run is no longer this process's."


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run that is done."""

    detail: Mapping[str, Any] = field(default_factory=dict)
    """What is shown of it; JSON values."""


class RunContext:
    """The surroundings of one execution. Thread-safe."""

    def __init__(self, lifeline: int) -> None:
        self.lifeline = lifeline
        """A descriptor for the child processes of the run (``pass_fds``): as long as one of them has it open,
        the run is not executed again, even if this process is killed."""
        self.interrupted = threading.Event()
        """Set once the run is to end."""
        self.reason: Interruption | None = None
        self._lock = threading.Lock()
        self._bytes = 0
        self._callbacks: list[Callable[[], None]] = []

    def check(self) -> None:
        """Raises RunInterrupted once the run is to end. Call it between pieces of work."""
        if self.interrupted.is_set():
            assert self.reason is not None
            raise RunInterrupted(self.reason.value)

    def add_bytes(self, number: int) -> None:
        """Count bytes that the run read or wrote, for budgets and listings."""
        with self._lock:
            self._bytes += number

    def on_interrupt(self, call: Callable[[], None]) -> None:
        """Have ``call`` called once the run is to end, in any thread: to cancel a query, or kill a child."""
        with self._lock:
            if not self.interrupted.is_set():
                self._callbacks.append(call)
                return
        call()

    def interrupt(self, reason: Interruption) -> None:
        """Tell the run to end. Only the first reason counts."""
        with self._lock:
            if self.interrupted.is_set():
                return
            self.reason = reason
            self.interrupted.set()
            callbacks, self._callbacks = self._callbacks, []
        for call in callbacks:
            call()

    def take_bytes(self) -> int:
        """The bytes counted since the last call."""
        with self._lock:
            number, self._bytes = self._bytes, 0
            return number


Execute = Callable[[QueuedRun, RunContext], RunResult]
"""Does the work of a run. It is called again for a run that was interrupted or killed in it, so it must be
repeatable. Raises the errors of ``service.workflows.errors``."""
