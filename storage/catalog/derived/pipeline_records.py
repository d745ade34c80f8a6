"""Frozen records of pipelines and their buckets. Times are µs since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BucketState(StrEnum):
    """The states of a derived bucket that are kept; whether a fresh one is stale follows from its inputs."""

    FRESH = "fresh"
    STALE = "stale"
    """To be derived again, whatever its inputs are."""
    FAILED = "failed"
    FROZEN = "frozen"
    """Its rows stay as they are."""
    SKIPPED = "skipped"
    """It is not derived; rows that it has stay."""


HELD = (BucketState.FROZEN, BucketState.SKIPPED)
"""States that only an operator ends."""


@dataclass(frozen=True, slots=True)
class StoredPipeline:
    """A pipeline as it was applied.

    ``version`` grows with each changed definition; ``digest`` is of all that its rows depend on beside its
    inputs.
    """

    id: int
    project_id: str
    name: str
    definition: str
    """A JSON text."""
    version: int
    digest: str
    owner: str
    revision: str | None
    """The commit that it was applied from."""
    paused: bool
    collection_id: int
    quarantine_id: int | None
    """The collection of the rows that its expectations set aside."""
    buckets_version: int
    """Grows with every change of one of its buckets."""
    created_us: int
    applied_us: int


@dataclass(frozen=True, slots=True)
class DerivedBucket:
    """One bucket of a pipeline's output, ``[start, end)``, and what its rows were derived from."""

    start_us: int
    end_us: int
    state: BucketState
    digest: str
    """That of the pipeline when its rows were derived; empty before."""
    inputs: str
    """A JSON text."""
    rows_in: int = 0
    rows_out: int = 0
    seconds: float = 0.0
    """Processor seconds of its last run."""
    attempts: int = 0
    """Failures since it last succeeded."""
    changed_us: int = 0
    problem: str | None = None
    quarantined: int = 0
    """Rows that its expectations set aside."""
    report: str | None = None
    """A JSON text: what they found."""
