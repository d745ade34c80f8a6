"""Frozen records of the queue of runs. Times are µs since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PRIORITY_MAX = 100
"""Greatest priority of a run and of a pool; the least is its negative."""


class RunState(StrEnum):
    """What has become of a run."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    """It failed for good; it can be replayed."""
    CANCELLED = "cancelled"
    REPLAYED = "replayed"
    """It was dead, and another run was queued in its place."""
    SUPERSEDED = "superseded"
    """It failed while another run of the same target waited, which goes on in its place."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be queued. Of one ``target`` of a pipeline, such as a bucket or range, one run waits at a time
    and one executes."""

    project_id: str
    pipeline: str
    target: str
    cause: str
    """Why it is to run, in words for a person."""
    pool: str
    priority: int = 0
    """Greater ones go first; from -PRIORITY_MAX to PRIORITY_MAX."""
    due_us: int = 0
    """It does not begin before; 0: at once, even where the clock goes back meanwhile."""


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run as it was read."""

    number: int
    id: str
    project_id: str
    pool: str
    pipeline: str
    target: str
    cause: str
    priority: int
    state: RunState
    asked: int
    """How often it was asked for while it waited."""
    attempts: int
    """How often it began, but for times that were forgiven."""
    turn_us: int
    rank_us: int
    """Runs that are due go in the order of their ranks."""
    due_us: int
    created_us: int
    started_us: int | None
    """When it began last."""
    ended_us: int | None
    claim: str | None
    cancelling: bool
    """Whether it is to be cancelled and has not ended yet."""
    message: str | None
    """Why it failed last, for a person."""
    cpu_us: int
    """Processor time of all attempts."""
    bytes: int
    """Bytes that all attempts said they read and wrote."""
    detail: str
    """What it says of its result: a JSON object."""
    replays: str | None
    """The id of the dead run in whose place it was queued."""


class LimitScope(StrEnum):
    """What a limit is for."""

    POOL = "pool"
    PROJECT = "project"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class RunLimits:
    """The limits of a pool, of a project, or of a pipeline of a project; None: without limit. Budgets are for
    each UTC day: once one is used up, no run begins until the next day; those that execute go on."""

    scope: LimitScope
    name: str = ""
    """Of the pool or pipeline; empty for a project."""
    project_id: str = ""
    """Empty for a pool."""
    concurrency: int | None = None
    cpu_us_per_day: int | None = None
    bytes_per_day: int | None = None
    priority: int = 0
    """Of a pool, added to that of its runs."""


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What the runs of a pipeline in one pool used on a UTC day, in days since 1970."""

    day: int
    pool: str
    project_id: str
    pipeline: str
    cpu_us: int
    bytes: int
    runs: int
    """How many began."""
