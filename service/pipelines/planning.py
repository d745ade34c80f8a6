"""Which buckets of a pipeline are to be derived now, and why; what their runs are called in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from query.transforms.nodes import BucketSpan
from service.pipelines.definition import PipelineDefinition
from service.pipelines.inputs import Inputs, Parts, events_of, same_events, text_of
from storage.catalog.derived.pipeline_records import HELD, BucketState, DerivedBucket
from storage.catalog.runs.bucket_states import BucketStanding

_DELIVER = "/deliver"


class DueCause(StrEnum):
    """Why a bucket is derived."""

    NEW = "new"
    EVENTS = "events"
    """Its inputs have other events."""
    DEFINITION = "definition"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class DueBucket:
    """A bucket to derive."""

    bucket: BucketSpan
    cause: DueCause
    events: int
    """The events that a run reads."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for a pipeline."""

    due: Sequence[DueBucket]
    """Newest first: what people look at is fresh soonest."""
    unchanged: Sequence[tuple[DerivedBucket, str]]
    """Buckets whose events are now in other files, and these inputs."""


def target_of(bucket: BucketSpan, *, delivers: bool = False) -> str:
    """The target of the run that derives a bucket, or delivers it."""
    return f"{bucket.start_us}/{bucket.end_us}{_DELIVER if delivers else ''}"


def bucket_of(target: str) -> BucketSpan:
    """The bucket that a run derives or delivers."""
    start, end = target.split("/")[:2]
    return BucketSpan(int(start), int(end))


def is_delivery(target: str) -> bool:
    """Whether a run of this target delivers a bucket; others derive one."""
    return target.endswith(_DELIVER)


def planned(
    definition: PipelineDefinition,
    inputs: Inputs,
    buckets: Sequence[DerivedBucket],
) -> Plan:
    """Compares the inputs with those that the buckets were derived from."""
    known = {BucketSpan(one.start_us, one.end_us): one for one in buckets}
    due: list[DueBucket] = []
    unchanged: list[tuple[DerivedBucket, str]] = []
    for bucket in sorted({*inputs.buckets, *known}, key=lambda one: -one.start_us):
        last, parts = known.get(bucket), inputs.of(bucket)
        if inputs.expired(bucket, definition.lookback_us):
            continue
        if bucket not in inputs.buckets and (last is None or not _matters(last)):
            continue
        cause = _cause(definition, last, parts)
        if cause is not None:
            due.append(DueBucket(bucket, cause, events_of(parts)))
        elif last is not None and last.state is BucketState.FRESH and last.inputs != text_of(parts):
            unchanged.append((last, text_of(parts)))
    return Plan(due, unchanged)


def compared(definition: PipelineDefinition, inputs: Inputs, standing: BucketStanding) -> Plan:
    """As ``planned``, from the buckets that are not as they should be and those that are missing alone."""
    open_ = {BucketSpan(one.start_us, one.end_us) for one in standing.unlike}
    open_ |= {BucketSpan(start, end) for start, end in standing.missing}
    return planned(definition, inputs.only(open_), standing.unlike)


def kept_from(definition: PipelineDefinition, inputs: Inputs) -> int | None:
    """Rows of fresh buckets that begin before it stay: retention deletes what they were derived from."""
    return None if inputs.expired_us is None else inputs.expired_us + definition.lookback_us


def _cause(definition: PipelineDefinition, last: DerivedBucket | None, parts: Parts) -> DueCause | None:
    if last is None:
        return DueCause.NEW
    if last.state in HELD:
        return None
    if last.state is BucketState.STALE:
        return DueCause.REQUESTED
    # What failed is derived again once what it failed for may be gone.
    if last.digest != definition.digest:
        return DueCause.DEFINITION
    return None if same_events(last.inputs, parts) else DueCause.EVENTS


def _matters(last: DerivedBucket) -> bool:
    """Whether a bucket without events in its inputs may still have to be derived."""
    return last.rows_out > 0 or last.quarantined > 0 or last.state is not BucketState.FRESH
