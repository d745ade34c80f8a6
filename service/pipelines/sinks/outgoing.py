"""What is delivered of a bucket that was derived."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

from query.transforms.nodes import BucketSpan
from service.api_paths import url_of
from service.outbound.notices import body_of
from service.pipelines.definition import PipelineDefinition
from service.pipelines.planning import target_of
from service.pipelines.sinks.content import content_of
from service.pipelines.sinks.definition import WebhookSink, digest_of
from service.saved_queries.definition import moment_text
from storage.catalog.derived.pipeline_records import DerivedBucket, StoredPipeline
from storage.catalog.runs.deliveries import BucketDelivery
from storage.catalog.runs.records import NewRun
from storage.files.derived_buckets import DerivedRows

KIND = "pipeline.derived"


def delivery_of(
    stored: StoredPipeline,
    definition: PipelineDefinition,
    bucket: DerivedBucket,
    rows: DerivedRows,
    public_url: str,
) -> BucketDelivery | None:
    """What the sinks of a pipeline get of these rows; None where it has none."""
    if not definition.sinks:
        return None
    content = content_of(rows)
    run = None
    if any(not isinstance(one, WebhookSink) for one in definition.sinks):
        run = NewRun(
            stored.project_id,
            stored.name,
            target_of(BucketSpan(bucket.start_us, bucket.end_us), delivers=True),
            f"deliver: {bucket.rows_out:,} rows",
            definition.pool,
            definition.priority,
        )

    def body(version: int) -> str:
        data = {
            "pipeline": stored.name,
            "collection": definition.output,
            "bucket": {"start": moment_text(bucket.start_us), "end": moment_text(bucket.end_us)},
            "state": bucket.state.value,
            "rows": bucket.rows_out,
            "version": version,
            "content": content,
            "url": public_url + _rows_url(stored.project_id, definition.output, bucket),
        }
        return body_of(KIND, stored.project_id, time.time_ns() // 1_000, data)

    return BucketDelivery(
        project_id=stored.project_id,
        pipeline_id=stored.id,
        start_us=bucket.start_us,
        content=content,
        sinks=digest_of(definition.sinks),
        webhooks=[one.webhook for one in definition.sinks if isinstance(one, WebhookSink)],
        kind=KIND,
        body=body,
        run=run,
    )


def _rows_url(project_id: str, collection: str, bucket: DerivedBucket) -> str:
    """Where the bucket's rows are read, with a key."""
    timeframe = {"start": moment_text(bucket.start_us), "end": moment_text(bucket.end_us)}
    asked = {"event_collection": collection, "timeframe": json.dumps(timeframe, separators=(",", ":"))}
    return f"{url_of(project_id, 'queries', 'extraction')}?{urlencode(asked)}"
