"""Executes a run of a pipeline: derives one bucket, or delivers one.

The rows of a bucket and what they were derived from are committed together, so a run that dies leaves the
bucket as it was, and may be executed again.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from query.engine.engine import CancelToken, Deadline
from query.errors import QueryCancelled, QueryError
from query.transforms.compile import derived_beside
from query.transforms.fields import InvalidPipeline
from query.transforms.nodes import BucketSpan
from service.pipelines.connections.definition import SecretText, revealed
from service.pipelines.definition import PipelineDefinition, code_digest
from service.pipelines.execution import Derivation, DerivationFailed, together
from service.pipelines.expectations.quarantine import NO_ROWS
from service.pipelines.expectations.reports import text_of as text_of_reports
from service.pipelines.inputs import Inputs, Parts, events_of, text_of
from service.pipelines.planning import bucket_of, compared, is_delivery, kept_from
from service.pipelines.sinks.definition import FolderSink, PluginSink, TableSink
from service.pipelines.sinks.folders import SinkFolder
from service.pipelines.sinks.outgoing import delivery_of
from service.pipelines.sinks.plugins import deliver_to_plugins
from service.pipelines.toolbox import Toolbox
from service.plugins.confined import CodeFailed
from service.workflows.context import RunContext, RunResult
from service.workflows.errors import RunFailed, RunPostponed, RunRefused
from storage.catalog.derived.pipeline_records import BucketState, DerivedBucket, StoredPipeline
from storage.catalog.errors import PipelineChanged, TooManyProperties
from storage.catalog.runs.records import QueuedRun
from storage.disk.file_system import LocalFileSystem
from storage.files.derived_buckets import BucketBusy, BucketWriter
from storage.source import SourceGone

TOGETHER_MAX = 32
TOGETHER_EVENTS_MAX = 1_000_000
"""Most buckets, and events of theirs, that one statement derives: its start takes a quarter of a second."""
BESIDE_MAX = 16
BESIDE_EVENTS_MAX = 100_000
"""The same where each bucket has a part of the statement to itself, which reads the events again."""
AGAIN_SECONDS = 0.5
PROBLEM_MAX = 4_000


class BucketRuns:
    """Executes runs. Belongs to one thread."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._catalog = toolbox.catalog
        self._writer = BucketWriter(toolbox.catalog.folder, toolbox.catalog, LocalFileSystem())

    def execute(self, run: QueuedRun, context: RunContext) -> RunResult:
        """Derive the run's bucket, unless it is fresh. Raises the errors of ``service.workflows.errors``, and
        those of the disk and the catalog, which are tried again."""
        stored = self._catalog.pipelines.find(run.project_id, run.pipeline)
        if stored is None:
            raise RunRefused(f"The pipeline '{run.pipeline}' was removed.")
        try:
            definition = self._toolbox.reader.definition(stored)
        except InvalidPipeline as error:
            raise RunRefused(str(error)) from None
        bucket = bucket_of(run.target)
        if is_delivery(run.target):
            return self._deliver(stored, definition, bucket, context)
        try:
            inputs = self._toolbox.reader.inputs(stored.project_id, definition, time.time_ns() // 1_000)
            group = self._due_with(stored, definition, inputs, bucket)
            if not group:
                return RunResult({"unchanged": True})
            return self._derive(stored, definition, inputs, group, context)
        except (SourceGone, FileNotFoundError, PipelineChanged, BucketBusy):
            raise RunPostponed("Files or the definition changed meanwhile.", AGAIN_SECONDS) from None

    def _deliver(
        self, stored: StoredPipeline, definition: PipelineDefinition, bucket: BucketSpan, context: RunContext
    ) -> RunResult:
        """Deliver the rows that the bucket has now to the sinks that are not told by a message."""
        token = CancelToken()
        context.on_interrupt(lambda: token.cancel(QueryCancelled("The run is to end.")))
        ways = {
            FolderSink: partial(self._write_files, stored, definition, bucket, token),
            PluginSink: partial(self._give_plugins, stored, definition, bucket, token, context),
            TableSink: partial(self._fill_tables, stored, definition, bucket, token, context),
        }
        found: dict[str, int] = {}
        failures: list[RunFailed | RunRefused] = []
        try:
            for kind, deliver in ways.items():
                if any(isinstance(one, kind) for one in definition.sinks):
                    try:
                        found["rows"] = deliver()
                    except (RunFailed, RunRefused) as error:
                        failures.append(error)
        except SourceGone:
            raise RunPostponed("Files changed meanwhile.", AGAIN_SECONDS) from None
        except QueryCancelled:
            context.check()
            raise
        if failures:
            # A sink that fails holds up no other; what may be gone the next time is tried again.
            raise next((one for one in failures if isinstance(one, RunFailed)), failures[0])
        return RunResult(found or {"unchanged": True})

    def _write_files(
        self, stored: StoredPipeline, definition: PipelineDefinition, bucket: BucketSpan, token: CancelToken
    ) -> int:
        """How many rows the bucket has."""
        settings = self._toolbox.settings
        if settings.sink_folder is None:
            raise RunRefused("The server's ACUMEN_SINK_FOLDER is not set.")
        folder = SinkFolder(
            settings.sink_folder, stored.project_id, self._toolbox.engine, settings.export_limits
        )
        source = self._toolbox.reader.source(stored.project_id, definition.output)
        seconds = settings.pipeline_timeout_seconds
        return folder.deliver(definition, source, bucket, lambda: Deadline.after(seconds, token))

    def _give_plugins(
        self,
        stored: StoredPipeline,
        definition: PipelineDefinition,
        bucket: BucketSpan,
        token: CancelToken,
        context: RunContext,
    ) -> int:
        """How many rows the bucket has."""
        deriver = self._toolbox.deriver(Path(), lifeline=context.lifeline)
        version = self._catalog.deliveries.last(stored.id, bucket.start_us)
        source = self._toolbox.reader.source(stored.project_id, definition.output)
        if source.lacks(bucket.start_us, bucket.end_us):
            raise RunFailed("A stored file of its rows is damaged: 'acumen check' says which.")
        try:
            rows = deriver.derived_rows(stored.project_id, definition, source, bucket, token)
        except DerivationFailed as error:
            raise RunFailed(str(error)) from None
        if self._catalog.deliveries.last(stored.id, bucket.start_us) != version:
            # The rows may be those of the next version: its own run delivers them under its own key.
            raise RunPostponed("The bucket was derived again meanwhile.", AGAIN_SECONDS)
        deliver_to_plugins(
            stored,
            definition,
            bucket,
            version,
            rows,
            deriver.outside.plugins,
            lambda name: revealed(self._catalog, stored.project_id, SecretText("", name)),
            lambda: Deadline.after(self._toolbox.settings.pipeline_timeout_seconds, token),
        )
        return int(rows.num_rows)

    def _fill_tables(
        self,
        stored: StoredPipeline,
        definition: PipelineDefinition,
        bucket: BucketSpan,
        token: CancelToken,
        context: RunContext,
    ) -> int:
        """How many rows the bucket has."""
        # Imported here, since it loads a library that few need.
        from service.pipelines.sinks.tables import SinkTables

        tools, settings = self._toolbox, self._toolbox.settings
        tables = SinkTables(tools.catalog, settings, stored.project_id, tools.engine, settings.export_limits)
        source = tools.reader.source(stored.project_id, definition.output)
        seconds = settings.pipeline_timeout_seconds
        return tables.deliver(definition, source, bucket, lambda: Deadline.after(seconds, token), context)

    def _due_with(
        self, stored: StoredPipeline, definition: PipelineDefinition, inputs: Inputs, bucket: BucketSpan
    ) -> list[BucketSpan]:
        """The bucket, and neighbours of it that are due as well and can be derived with it; none where the
        bucket is not due: another run may have derived it. Their own runs then find nothing to do."""
        known = self._catalog.bucket_states.compared(
            [stored.id], inputs.texts(), kept_from(definition, inputs)
        )
        due = {one.bucket: one.events for one in compared(definition, inputs, known[stored.id]).due}
        if bucket not in due:
            return []
        is_beside = derived_beside(definition.operations)
        group, events = [bucket], due[bucket]
        by_start, by_end = {one.start_us: one for one in due}, {one.end_us: one for one in due}
        while len(group) < TOGETHER_MAX:
            # Earlier ones first: later ones are queued before them.
            one = by_end.get(group[0].start_us) or by_start.get(group[-1].end_us)
            if one is None or events + due[one] > TOGETHER_EVENTS_MAX:
                break
            wider = [one, *group] if one.end_us == group[0].start_us else [*group, one]
            few = len(wider) <= BESIDE_MAX and events + due[one] <= BESIDE_EVENTS_MAX
            if not together(definition, wider) and not (is_beside and few):
                break
            group, events = wider, events + due[one]
        return group

    def _derive(
        self,
        stored: StoredPipeline,
        definition: PipelineDefinition,
        inputs: Inputs,
        group: Sequence[BucketSpan],
        context: RunContext,
    ) -> RunResult:
        began, token = processor_seconds(), CancelToken()
        context.on_interrupt(lambda: token.cancel(QueryCancelled("The run is to end.")))
        context.add_bytes(sum(map(inputs.bytes_in, group)))
        accepted = self._catalog.pipelines.accepted(stored.id) if stored.quarantine_id is not None else []
        records = [_record(definition, bucket, inputs.of(bucket)) for bucket in group]
        try:
            if any(inputs.damaged_in(bucket, definition.lookback_us) for bucket in group):
                raise DerivationFailed("A stored file of its events is damaged: 'acumen check' says which.")
            deriver = self._toolbox.deriver(code_folder(stored, definition), lifeline=context.lifeline)
            found = deriver.derive_all(
                stored.project_id,
                definition,
                inputs.sources,
                group,
                token,
                accepted,
            )
            seconds = (processor_seconds() - began) / len(group)
            for record, derivation in zip(records, found, strict=True):
                context.check()
                self._store(stored, definition, replace(record, seconds=seconds), derivation, accepted)
        except QueryCancelled:
            context.check()
            raise
        except (DerivationFailed, CodeFailed, TooManyProperties, QueryError) as error:
            if len(group) > 1:
                # Alone, it is known which of them is at fault, and the others are derived.
                return self._one_by_one(stored, definition, inputs, group, context)
            problem = str(error)[:PROBLEM_MAX]
            report = text_of_reports(error.reports) if isinstance(error, DerivationFailed) else None
            self._catalog.pipelines.fail(stored.id, replace(records[0], report=report), problem)
            raise RunRefused(problem) from None
        return RunResult(
            {
                "rows_in": sum(record.rows_in for record in records),
                "rows_out": sum(len(one.rows.times) for one in found),
                "quarantined": sum(one.set_aside for one in found),
                "buckets": len(group),
            }
        )

    def _one_by_one(
        self,
        stored: StoredPipeline,
        definition: PipelineDefinition,
        inputs: Inputs,
        group: Sequence[BucketSpan],
        context: RunContext,
    ) -> RunResult:
        """Derive the buckets of a group alone. Raises RunRefused with the first problem, after all were
        tried."""
        refused: RunRefused | None = None
        for bucket in group:
            try:
                self._derive(stored, definition, inputs, [bucket], context)
            except RunRefused as error:
                refused = refused or error
        if refused is not None:
            raise refused
        return RunResult({"buckets": len(group)})

    def _store(
        self,
        stored: StoredPipeline,
        definition: PipelineDefinition,
        record: DerivedBucket,
        derivation: Derivation,
        accepted: Sequence[str],
    ) -> None:
        fresh = replace(
            record,
            state=BucketState.FRESH,
            rows_out=len(derivation.rows.times),
            changed_us=time.time_ns() // 1_000,
            quarantined=derivation.set_aside,
            report=text_of_reports(derivation.reports),
        )
        rows = {stored.collection_id: derivation.rows}
        if stored.quarantine_id is not None:
            rows[stored.quarantine_id] = derivation.quarantined or NO_ROWS
        limit = self._toolbox.settings.properties_max
        delivery = delivery_of(stored, definition, fresh, derivation.rows, self._toolbox.settings.public_url)
        also = None if delivery is None else partial(self._catalog.deliveries.record, delivery=delivery)
        self._writer.replace(stored.id, stored.version, fresh, rows, accepted, limit, also)


def _record(definition: PipelineDefinition, bucket: BucketSpan, parts: Parts) -> DerivedBucket:
    """The bucket as of a run that has not succeeded."""
    return DerivedBucket(
        bucket.start_us,
        bucket.end_us,
        BucketState.FAILED,
        definition.digest,
        text_of(parts),
        rows_in=events_of(parts),
    )


def code_folder(stored: StoredPipeline, definition: PipelineDefinition) -> Path:
    """The folder of a pipeline's Python files. Raises DerivationFailed unless they are as applied."""
    document = json.loads(stored.definition)
    folder = Path(document["folder"])
    if definition.runs_python and code_digest(folder) != document["code"]:
        raise DerivationFailed(
            f"The Python files in {folder} are not those that were applied: run 'acumen apply' on the folder."
        )
    return folder


def processor_seconds() -> float:
    """Processor time of this thread and of the processes that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + children.ru_utime + children.ru_stime
