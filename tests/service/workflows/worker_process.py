"""A process that executes runs of the queue, for tests that kill it: ``python -m … DATA NOTES [POOLS]``.

A run's target says what it does: words joined by ``+``. While it executes, it holds a lock on a file of its
target in NOTES: who finds it held by another process notes that in the file ``twice``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from service.workflows.context import RunContext, RunResult
from service.workflows.errors import RunRefused
from service.workflows.recovery import RetryPolicy
from service.workflows.run_worker import RunWorker, WorkerOptions, pools_of
from storage.catalog.catalog import Catalog
from storage.catalog.runs.records import QueuedRun

WAIT_SECONDS = 0.01


class Acts:
    """What runs do in tests."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    def __call__(self, run: QueuedRun, context: RunContext) -> RunResult:
        with (self._notes / f"{run.target}.busy").open("a") as busy:
            try:
                fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._note("twice", run.target)
            self._note("began", f"{run.target} {os.getpid()} {run.attempts}")
            for word in run.target.split("+"):
                getattr(self, word.split("-")[0])(context)
        self._note("done", run.target)
        return RunResult({"by": os.getpid()})

    def _note(self, file: str, text: str) -> None:
        with (self._notes / file).open("a") as notes:
            notes.write(text + "\n")

    def _until(self, name: str, context: RunContext | None = None) -> None:
        while not (self._notes / name).exists():
            if context is not None:
                context.check()
            time.sleep(WAIT_SECONDS)

    def none(self, _: RunContext) -> None:
        """Nothing."""

    def steps(self, context: RunContext) -> None:
        """Three short steps."""
        for _ in range(3):
            context.check()
            context.add_bytes(10)
            time.sleep(WAIT_SECONDS)

    def held(self, context: RunContext) -> None:
        """Goes on until the file ``free`` is there, or it is told to end."""
        self._until("free", context)

    def deaf(self, _: RunContext) -> None:
        """Goes on until the file ``free`` is there, whatever it is told."""
        self._until("free")

    def refused(self, _: RunContext) -> None:
        raise RunRefused("There is no such table.")

    def killed(self, _: RunContext) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def parent(self, context: RunContext) -> None:
        """Starts a child that holds the run, notes its id, and waits for it."""
        child = subprocess.Popen(["sleep", "600"], pass_fds=[context.lifeline])
        self._note("child", str(child.pid))
        child.wait()


def main(data: str, notes: str, *pools: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop.set, daemon=True).start())
    policy = RetryPolicy(attempts=1_000 if "steady" not in pools else 2, first_pause=0.05)
    options = WorkerOptions(pools_of(pools), policy, grace_seconds=0.5, stop_seconds=0.1)
    RunWorker(Catalog.open(Path(data)), Acts(Path(notes)), stop, options).work()


if __name__ == "__main__":
    main(*sys.argv[1:])
