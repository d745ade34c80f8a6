"""Since when buckets wait to be derived, on the watermark of their inputs.

A bucket waits from the watermark at which it was first seen to lack events, or to have failed, until its rows
are those of at least the events that it had then. What comes meanwhile counts from when it came: a
bucket that is derived over and over is not late.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from query.transforms.nodes import BucketSpan
from service.pipelines.freshness.standings import ComparedPipeline
from service.pipelines.inputs import text_of
from storage.catalog.derived.pipeline_records import BucketState, DerivedBucket

STORED_MAX = 100
"""Buckets of which it is stored since when they wait: those that wait longest."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A bucket that waits. ``inputs`` is what it was to be derived from when it was first seen."""

    bucket: BucketSpan
    since_us: int
    inputs: str


Waits = Mapping[int, Wait]
"""By the start of the bucket."""


def followed(before: Waits, found: ComparedPipeline, through_us: int) -> dict[int, Wait]:
    """What waits as of a look at which the watermark of the inputs was ``through_us``."""
    inputs, standing = found.inputs, found.standing
    rows = {one.start_us: one for one in standing.unlike}
    waits: dict[int, Wait] = {}
    failed = (BucketSpan(one.start_us, one.end_us) for one in failing(found))
    for bucket in (*(one.bucket for one in found.plan.due), *failed):
        old, row = before.get(bucket.start_us), rows.get(bucket.start_us)
        derived_since = (
            old is not None
            and row is not None
            and row.state is BucketState.FRESH
            and row.digest == found.read.definition.digest
            and _reaches(row.inputs, old.inputs)
        )
        if old is None or old.bucket != bucket or derived_since:
            old = Wait(bucket, through_us, text_of(inputs.of(bucket)))
        waits[bucket.start_us] = old
    return waits


def failing(found: ComparedPipeline) -> list[DerivedBucket]:
    """The buckets that failed, in order, but for those whose events retention deletes."""
    return [
        one
        for one in found.standing.unlike
        if one.state is BucketState.FAILED
        and not found.inputs.expired(BucketSpan(one.start_us, one.end_us), found.read.definition.lookback_us)
    ]


def oldest(waits: Waits) -> Wait | None:
    """What waits longest; of several the newest bucket."""
    return min(waits.values(), key=lambda one: (one.since_us, -one.bucket.start_us), default=None)


def stored_text(waits: Waits, before_us: int) -> str | None:
    """What is stored of those that have waited since before then; None where there are none."""
    old = sorted(
        (one for one in waits.values() if one.since_us < before_us),
        key=lambda one: (one.since_us, one.bucket.start_us),
    )
    rows = [[one.bucket.start_us, one.bucket.end_us, one.since_us, one.inputs] for one in old[:STORED_MAX]]
    return json.dumps(rows, separators=(",", ":")) if rows else None


def read_text(text: str) -> dict[int, Wait]:
    """The inverse of ``stored_text``."""
    return {row[0]: Wait(BucketSpan(row[0], row[1]), row[2], row[3]) for row in json.loads(text)}


def _reaches(now: str, then: str) -> bool:
    """Whether inputs, as they are stored, are at least as new as those others: counters only grow."""
    if not now or not then:
        return False
    found, wanted = json.loads(now), json.loads(then)
    return found.keys() == wanted.keys() and all(found[name][:3] >= wanted[name][:3] for name in wanted)
