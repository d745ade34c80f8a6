"""Takes runs back whose process was killed, and decides when a failed run is tried again."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

from service.workflows.run_lock import RunLocks
from storage.catalog.catalog import Catalog
from storage.catalog.runs.records import QueuedRun

PAUSE_SECONDS_MAX = 600.0
_SECOND_US = 1_000_000

_log = logging.getLogger("acumen.runs")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a run is tried, and after which pauses in seconds: each twice as long as the one before."""

    attempts: int = 5
    first_pause: float = 5.0

    def pause_us(self, attempts: int) -> int:
        """The pause after so many attempts, in µs, up to a quarter longer at random."""
        seconds = min(PAUSE_SECONDS_MAX, self.first_pause * 2.0 ** min(attempts - 1, 30))
        return int(seconds * (1.0 + random.random() / 4) * _SECOND_US)


def fail(
    catalog: Catalog,
    policy: RetryPolicy,
    run: QueuedRun,
    message: str,
    now_us: int,
    cpu_us: int = 0,
    read_bytes: int = 0,
) -> bool:
    """Queue a run that failed again after a pause, or end it after its last attempt. False where the claim is
    no longer valid."""
    told = {"project": run.project_id, "pipeline": run.pipeline, "target": run.target, "run": run.id}
    fields = {**told, "attempts": run.attempts, "error": message}
    if run.attempts >= policy.attempts:
        _log.error("A run failed for the last time.", extra={"fields": fields})
        return catalog.runs.bury(run, message, cpu_us, read_bytes)
    _log.warning("A run failed and is tried again.", extra={"fields": fields})
    due_us = now_us + policy.pause_us(run.attempts)
    return catalog.runs.put_back(run, due_us, message, cpu_us=cpu_us, read_bytes=read_bytes)


def recover(catalog: Catalog, locks: RunLocks, policy: RetryPolicy, now_us: int) -> int:
    """Take back the runs whose processes are gone; returns how many still execute.

    A run that was left for the first time may begin again at once; afterwards it waits as one that failed,
    since it may be what kills its process.
    """
    alive = 0
    for run in catalog.runs.executing():
        if run.claim is not None and locks.is_held(run.claim):
            alive += 1
            continue
        message = f"The process that executed the run ended in attempt {run.attempts}."
        if run.attempts <= 1 < policy.attempts:
            if catalog.runs.put_back(run, 0, message):
                fields = {"project": run.project_id, "pipeline": run.pipeline, "run": run.id}
                _log.warning("The process of a run ended; the run begins again.", extra={"fields": fields})
        else:
            fail(catalog, policy, run, message, now_us)
    return alive
