"""The runner's task that queues a run for each bucket that is to be derived, the newest first.

A pipeline is looked at when its collections, its definition or the state of one of its buckets has changed.
Of one pipeline some runs wait at a time; more follow as these end.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from query.transforms.fields import InvalidPipeline
from service.background.task_runner import Tools
from service.pipelines.definition import CheckContext, PipelineDefinition
from service.pipelines.freshness.standings import ReadPipeline, by_inputs, compared_group
from service.pipelines.inputs import PipelineReader
from service.pipelines.planning import DueBucket, target_of
from storage.catalog.database.versions import NEVER_SEEN, Area
from storage.catalog.derived.pipeline_records import StoredPipeline
from storage.catalog.errors import UnknownProject
from storage.catalog.runs.records import NewRun
from storage.source import SourceGone

WAITING_MAX = 32
"""Runs of one pipeline that wait at a time, and runs that one transaction queues: their number must not delay
other tasks of the catalog."""

_log = logging.getLogger("acumen.pipelines")


@dataclass(slots=True)
class _KnownPipeline:
    """A pipeline, and the versions of its inputs as of which all that was due is queued or done."""

    read: ReadPipeline
    settled: object = None


class PipelinePlanner:
    """See ``service.background.task_runner.Task``. Belongs to one thread."""

    name = "pipelines"
    areas = frozenset({Area.DATA, Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._catalog = tools.catalog
        self._stop = tools.stop
        around = CheckContext(tools.settings.query_limits, tools.engine.check_regex)
        self._reader = PipelineReader(tools.catalog, around)
        self._versions = NEVER_SEEN
        self._pipelines: dict[int, _KnownPipeline] = {}

    def run_due(self, now_us: int) -> bool:
        versions = self._catalog.versions()
        if versions.derived != self._versions.derived:
            self._load()
        if self._pipelines:
            changed = self._changed()
            for group in by_inputs(known.read for known, _ in changed.values()).values():
                if self._stop.is_set():
                    return False
                self._plan([changed[one.stored.id] for one in group], group, now_us)
        self._versions = versions
        return False

    def _changed(self) -> dict[int, tuple[_KnownPipeline, object]]:
        """The pipelines of which something has changed since all that was due was queued, and the versions of
        their inputs."""
        moments = self._catalog.pipelines.input_versions()
        changed: dict[int, tuple[_KnownPipeline, object]] = {}
        for known in self._pipelines.values():
            stored, definition = known.read
            moment = tuple(moments.get((stored.project_id, name)) for name in definition.sources)
            if not stored.paused and known.settled != (stored, moment):
                changed[stored.id] = known, moment
        return changed

    def _load(self) -> None:
        """Read the definitions that have changed."""
        found: dict[int, _KnownPipeline] = {}
        for stored in self._catalog.pipelines.all():
            known = self._pipelines.get(stored.id)
            if known is not None and known.read.stored.version == stored.version:
                found[stored.id] = replace(known, read=ReadPipeline(stored, known.read.definition))
                continue
            try:
                definition = self._reader.definition(stored)
            except (InvalidPipeline, KeyError, ValueError) as error:
                _log.error("The pipeline %r cannot be read: %s", stored.name, error)
                continue
            found[stored.id] = _KnownPipeline(ReadPipeline(stored, definition))
        self._pipelines = found

    def _plan(
        self, known: Sequence[tuple[_KnownPipeline, object]], group: Sequence[ReadPipeline], now_us: int
    ) -> None:
        """Queue what is due of pipelines that have the same inputs."""
        try:
            plans = [(one.read, one.plan) for one in compared_group(self._reader, group, now_us)]
        except (OSError, SourceGone):
            # A merge has replaced a file, which changes the collection's version: the next round sees it.
            return
        for one, plan in plans:
            self._catalog.pipelines.note_inputs(one.stored.id, plan.unchanged)
        runs = [_run(*one, due) for one, plan in plans for due in plan.due[:WAITING_MAX]]
        try:
            for start in range(0, len(runs), WAITING_MAX):
                self._catalog.runs.enqueue_all(runs[start : start + WAITING_MAX])
        except UnknownProject:
            _log.info("The project %s of a pipeline is gone.", group[0].stored.project_id)
        for looked_at, moment in known:
            looked_at.settled = (looked_at.read.stored, moment)


def _run(stored: StoredPipeline, definition: PipelineDefinition, due: DueBucket) -> NewRun:
    return NewRun(
        stored.project_id,
        stored.name,
        target_of(due.bucket),
        f"{due.cause}: {due.events:,} events",
        definition.pool,
        definition.priority,
    )
