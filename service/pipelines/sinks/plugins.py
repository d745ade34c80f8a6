"""Gives the rows of a bucket to a plugin, at least once for each version of the bucket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from query.engine.engine import Deadline
from query.transforms.nodes import BucketSpan
from service.pipelines.definition import PipelineDefinition
from service.pipelines.sinks.definition import PluginSink
from service.plugins.confined import CodeFailed
from service.plugins.contract import SinkBucket
from service.plugins.installed import PluginKind
from service.plugins.running import PluginRunner, PluginUse
from service.plugins.secret_settings import with_secrets
from service.workflows.errors import RunFailed
from storage.catalog.derived.pipeline_records import StoredPipeline

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY_LENGTH = 32


def deliver_to_plugins(
    stored: StoredPipeline,
    definition: PipelineDefinition,
    bucket: BucketSpan,
    version: tuple[int, str],
    rows: pa.Table,
    runner: PluginRunner,
    reveal: Callable[[str], str],
    deadline: Callable[[], Deadline],
) -> None:
    """``version``: its number and the digest of its rows. Raises RunFailed, after all had them, for the first
    that failed, and what ``reveal`` and the deadline raise."""
    failed: CodeFailed | None = None
    for sink in definition.sinks:
        if not isinstance(sink, PluginSink):
            continue
        settings = with_secrets(json.loads(sink.settings), reveal)
        text = f"{stored.id}/{bucket.start_us}/{version[0]}/{version[1]}/{sink}/{sink.settings}"
        given = SinkBucket(
            stored.name,
            definition.output,
            _EPOCH + timedelta(microseconds=bucket.start_us),
            _EPOCH + timedelta(microseconds=bucket.end_us),
            version[0],
            hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH],
        )
        try:
            runner.deliver(PluginUse(PluginKind.SINK, sink.plugin, settings, None), given, rows, deadline())
        except CodeFailed as error:
            failed = failed or error
    if failed is not None:
        raise RunFailed(str(failed))
