"""Changing the states of a pipeline's buckets, as an operator does."""

from __future__ import annotations

from service.pipelines.inputs import PipelineReader
from storage.catalog.derived.pipeline_records import BucketState, StoredPipeline


def set_states(
    reader: PipelineReader,
    stored: StoredPipeline,
    since_us: int | None,
    until_us: int | None,
    state: BucketState,
    now_us: int,
) -> list[tuple[int, int]]:
    """Gives the buckets that meet a time a state; returns them as (start, end), in order."""
    definition = reader.definition(stored)
    inputs = reader.inputs(stored.project_id, definition, now_us)
    known = [(one.start_us, one.end_us) for one in reader.catalog.pipelines.buckets(stored.id)]
    chosen = [
        (start, end)
        for start, end in sorted({*known, *((one.start_us, one.end_us) for one in inputs.buckets)})
        if (since_us is None or end > since_us) and (until_us is None or start < until_us)
    ]
    if chosen and state is BucketState.STALE:
        # Who asks for it again wants it delivered again, too.
        reader.catalog.deliveries.forget(stored.id, [start for start, _ in chosen])
    if chosen:
        reader.catalog.pipelines.set_states(stored.id, chosen, state)
    return chosen
