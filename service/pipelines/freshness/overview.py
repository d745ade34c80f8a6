"""What is known of a pipeline's state and cost, from the catalog's own facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from service.pipelines.definition import PipelineDefinition
from service.pipelines.inputs import Inputs, events_of
from service.pipelines.planning import Plan
from storage.catalog.catalog import Catalog
from storage.catalog.derived.pipeline_records import BucketState, DerivedBucket, StoredPipeline
from storage.catalog.runs.bucket_states import BucketStanding
from storage.schema import CREATED_AT
from storage.source import Source

DAY_US = 86_400_000_000
RECENT_DAYS = 7
SECONDS_PER_RUN = 0.3
SECONDS_PER_ROW = 2e-6
"""Processor time of a pipeline that never ran: measured with a mask, a lookup and an aggregation."""


class Health(StrEnum):
    FRESH = "fresh"
    STALE = "stale"
    FAILED = "failed"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a pipeline as of now."""

    health: Health
    buckets: Mapping[BucketState, int]
    due: int
    """How many buckets are to be derived."""
    rows: int
    """Rows that it has derived."""
    seconds: float
    """Processor seconds of the last run of each bucket."""
    derived_until_us: int | None
    """The end of its newest fresh bucket."""
    problem: str | None
    """Why its newest failed bucket failed."""
    quarantined: int
    """Rows that its expectations have set aside."""
    fresh_until_us: int | None
    """Buckets that begin before it are as their events in files; None: all are."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a pipeline takes on a day, by the last seven days of its inputs."""

    rows_read: float
    bytes_read: float
    runs: float
    processor_seconds: float
    rows_written: float | None
    bytes_written: float | None
    """None before it has run."""
    measured: bool
    """Whether processor time and rows are those of its runs."""


def overview_of(stored: StoredPipeline, standing: BucketStanding, plan: Plan) -> Overview:
    failed = [one for one in standing.unlike if one.state is BucketState.FAILED]
    if stored.paused:
        health = Health.PAUSED
    elif failed:
        health = Health.FAILED
    else:
        health = Health.STALE if plan.due else Health.FRESH
    behind = [*(one.bucket.start_us for one in plan.due), *(one.start_us for one in failed)]
    return Overview(
        health,
        standing.counts,
        len(plan.due),
        standing.rows,
        standing.seconds,
        standing.fresh_until_us,
        failed[-1].problem if failed else None,
        standing.quarantined,
        min(behind, default=None),
    )


def stored_through(sources: Iterable[Source], now_us: int) -> int:
    """An instant: all events that were acknowledged before it are in files, which pipelines read."""
    tails = [source.tail for source in sources if source.tail is not None and source.tail.num_rows]
    first: list[int] = [
        pc.min(tail.column(CREATED_AT).cast(pa.timestamp("us")).cast(pa.int64())).as_py() for tail in tails
    ]
    return min([now_us, *first])


def estimated(
    catalog: Catalog,
    definition: PipelineDefinition,
    inputs: Inputs,
    stored: StoredPipeline | None,
    buckets: Sequence[DerivedBucket],
    now_us: int,
) -> Estimate:
    """The cost of a day, from what the files of the last days hold and what earlier runs took."""
    since_us = now_us - RECENT_DAYS * DAY_US
    recent = [(bucket, parts) for bucket, parts in inputs.buckets.items() if bucket.end_us > since_us]
    rows = sum(events_of(parts) for _, parts in recent) / RECENT_DAYS
    bytes_per_row = _bytes_per_row(inputs.sources.values())
    runs = len(recent) / RECENT_DAYS
    ran = [one for one in buckets if one.rows_in and one.state is BucketState.FRESH]
    rows_in, rows_out = sum(one.rows_in for one in ran), sum(one.rows_out for one in ran)
    if ran:
        seconds = sum(one.seconds for one in ran) / rows_in * rows
        written = rows_out / rows_in * rows
    else:
        seconds, written = runs * SECONDS_PER_RUN + rows * SECONDS_PER_ROW, None
    out_bytes = None
    if written is not None and stored is not None and rows_out:
        files = catalog.files.live(stored.collection_id)
        stored_rows = sum(file.rows for file in files)
        out_bytes = written * sum(file.bytes for file in files) / stored_rows if stored_rows else None
    return Estimate(rows, rows * bytes_per_row, runs, seconds, written, out_bytes, bool(ran))


def _bytes_per_row(sources: Iterable[Source]) -> float:
    files = [file for source in sources for file in source.files]
    rows = sum(file.rows for file in files)
    return sum(file.bytes for file in files) / rows if rows else 0.0
