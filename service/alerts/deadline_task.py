"""The runner's task that tells of pipelines that miss their deadline, or fail for good.

A deadline is missed once a bucket has waited longer than it, on the watermark of the pipeline's inputs. That
this began, or ended, and what is told of it are stored in one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from query.transforms.fields import InvalidPipeline
from service.alerts.pipeline_notices import begun_notice, ended_notice
from service.background.task_runner import Tools
from service.pipelines.definition import CheckContext
from service.pipelines.freshness.overview import DAY_US, stored_through
from service.pipelines.freshness.standings import (
    ComparedPipeline,
    PipelineStandings,
    ReadPipeline,
    by_inputs,
    compared_group,
)
from service.pipelines.freshness.waits import Wait, Waits, failing, followed, oldest, read_text, stored_text
from service.pipelines.inputs import PipelineReader
from service.pipelines.planning import target_of
from storage.catalog.database.versions import NEVER_SEEN, Area
from storage.catalog.derived.pipeline_records import DerivedBucket
from storage.catalog.runs.records import QueuedRun, RunState
from storage.catalog.runs.troubles import PipelineTrouble, TroubleCause, TroubleKind
from storage.errors import StorageError
from storage.source import SourceGone

START_US = 60_000_000
"""For so long after a start no deadline is missed: what waited while no server ran is derived first."""
STORED_SHARE = 20
"""What waits for longer than a deadline divided by it is stored, within these bounds."""
STORED_US = (5_000_000, 60_000_000)
MESSAGE_MAX = 1_000

_log = logging.getLogger("acumen.alerts")


@dataclass(slots=True)
class _Watched:
    """A pipeline with a deadline, or with somebody to tell."""

    read: ReadPipeline
    waits: Waits = field(default_factory=dict)
    failed: Sequence[DerivedBucket] = ()
    seen: object = None
    """What it was compared as of."""
    stored: str | None = None
    """What is stored of its waits."""

    @property
    def fresh_within_us(self) -> int | None:
        return self.read.definition.fresh_within_us


class DeadlineWatch:
    """See ``service.background.task_runner.Task``. Belongs to one thread."""

    name = "deadlines"
    areas = frozenset({Area.DATA, Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._tools, self._catalog = tools, tools.catalog
        around = CheckContext(tools.settings.query_limits, tools.engine.check_regex)
        self._standings = PipelineStandings(PipelineReader(tools.catalog, around))
        self._versions, self._today = NEVER_SEEN, -1
        self._watched: dict[int, _Watched] = {}
        self._open: dict[tuple[int, TroubleKind], PipelineTrouble] = {}
        self._began_us: int | None = None

    def run_due(self, now_us: int) -> bool:
        if self._began_us is None:
            self._began_us = now_us
        versions = self._catalog.versions()
        if versions.derived != self._versions.derived:
            self._load()
        today, changed, looked = now_us // DAY_US, {}, True
        if (versions, today) != (self._versions, self._today):
            changed = self._changed(now_us)
        for group in by_inputs(one.read for one in self._watched.values()).values():
            if self._tools.stop.is_set():
                return False
            looked &= self._look(group, changed, now_us)
        if looked:
            self._versions, self._today = versions, today
        return False

    def _load(self) -> None:
        """Read what has changed of definitions and troubles."""
        self._open = {(one.pipeline_id, one.kind): one for one in self._catalog.troubles.open()}
        stored = self._catalog.troubles.waits() if self._versions is NEVER_SEEN else {}
        watched: dict[int, _Watched] = {}
        for one in self._read():
            known = self._watched.get(one.stored.id)
            if known is None:
                text = stored.get(one.stored.id)
                known = _Watched(one, {} if text is None else read_text(text), stored=text)
            known.read = one
            watched[one.stored.id] = known
        self._watched = watched
        for (pipeline_id, kind), trouble in self._open.items():
            found = watched.get(pipeline_id)
            if found is None or (kind is TroubleKind.OVERDUE and found.fresh_within_us is None):
                # Nobody is to be told of it any more.
                self._catalog.troubles.end("", trouble, None)

    def _read(self) -> Iterator[ReadPipeline]:
        for stored in self._catalog.pipelines.all():
            try:
                definition = self._standings.definition(stored)
            except (InvalidPipeline, KeyError, ValueError):
                # The planner logs it.
                continue
            if definition.fresh_within_us is not None or definition.notify:
                yield ReadPipeline(stored, definition)

    def _changed(self, now_us: int) -> dict[int, object]:
        """Pipeline → what its comparison follows from, of those of which that has changed."""
        witnesses = self._standings.witnesses([one.read for one in self._watched.values()], now_us)
        return {of: seen for of, seen in witnesses.items() if self._watched[of].seen != seen}

    def _look(self, group: Sequence[ReadPipeline], changed: dict[int, object], now_us: int) -> bool:
        """Look at pipelines that have the same inputs: at their buckets, where something has changed, and at
        their deadlines. False where the inputs cannot be read now."""
        watched = [self._watched[one.stored.id] for one in group]
        looked_at = [one for one in watched if one.read.stored.id in changed]
        if not looked_at and not any(one.waits for one in watched):
            return True
        try:
            through_us = self._through(watched, now_us)
            reads = [one.read for one in looked_at]
            found = list(compared_group(self._standings.reader, reads, now_us)) if reads else []
        except (OSError, SourceGone, StorageError) as error:
            _log.debug("The inputs of pipelines could not be read: %s", error)
            return False
        for known, one in zip(looked_at, found, strict=True):
            self._compare(known, one, through_us)
            known.seen = changed[one.read.stored.id]
        for known in watched:
            self._judge(known, through_us)
        self._store(watched, through_us)
        return True

    def _through(self, watched: Sequence[_Watched], now_us: int) -> int:
        """The watermark of the inputs, read before what they hold: what is in no file yet may be in one then,
        and never the other way."""
        if all(one.fresh_within_us is None for one in watched):
            return now_us
        stored, definition = watched[0].read
        source = self._tools.reader.source
        return stored_through((source(stored.project_id, name) for name in definition.sources), now_us)

    def _compare(self, known: _Watched, found: ComparedPipeline, through_us: int) -> None:
        known.failed = failing(found)
        known.waits = followed(known.waits, found, through_us)

    def _judge(self, known: _Watched, through_us: int) -> None:
        stored = known.read.stored
        self._settle(known, TroubleKind.OVERDUE, self._overdue(known, through_us))
        failed = self._open.get((stored.id, TroubleKind.FAILED))
        if known.failed:
            newest = known.failed[-1]
            since_us = newest.changed_us if failed is None else failed.since_us
            self._settle(known, TroubleKind.FAILED, _failure(stored.id, newest, since_us))
        elif failed is not None and failed.bucket_us not in known.waits:
            self._settle(known, TroubleKind.FAILED, None)

    def _overdue(self, known: _Watched, through_us: int) -> PipelineTrouble | None:
        """How the deadline is missed; None where it is not."""
        within_us, wait = known.fresh_within_us, oldest(known.waits)
        if within_us is None or wait is None or through_us - wait.since_us <= within_us:
            return None
        stored, kind = known.read.stored, TroubleKind.OVERDUE
        lasting = self._open.get((stored.id, kind))
        assert self._began_us is not None
        if lasting is None and through_us < self._began_us + min(START_US, within_us):
            return None
        why, message = self._why(known, wait)
        since_us = wait.since_us + within_us if lasting is None else lasting.since_us
        return PipelineTrouble(stored.id, kind, since_us, wait.bucket.start_us, why, message[:MESSAGE_MAX])

    def _settle(self, known: _Watched, kind: TroubleKind, found: PipelineTrouble | None) -> None:
        """Begin, go on or end a trouble."""
        read, troubles = known.read, self._catalog.troubles
        lasting = self._open.get((read.stored.id, kind))
        if found is None and lasting is not None:
            notice = ended_notice(read, lasting, self._tools.settings)
            self._told(read, troubles.end(read.stored.project_id, lasting, notice))
            del self._open[read.stored.id, kind]
        elif found is not None and lasting is None:
            notice = begun_notice(read, found, self._tools.settings)
            self._told(read, troubles.begin(read.stored.project_id, found, notice))
            self._open |= {(one.pipeline_id, one.kind): one for one in troubles.open()}
        elif found is not None and lasting is not None:
            now = replace(found, number=lasting.number, told_us=lasting.told_us)
            if now != lasting:
                troubles.explain(now)
                self._open[read.stored.id, kind] = now

    def _told(self, read: ReadPipeline, missing: list[str] | None) -> None:
        if missing:
            fields = {"project": read.stored.project_id, "pipeline": read.stored.name, "webhooks": missing}
            _log.warning("A pipeline names webhooks that are gone.", extra={"fields": fields})

    def _why(self, known: _Watched, wait: Wait) -> tuple[TroubleCause, str]:
        stored, pool = known.read.stored, known.read.definition.pool
        if stored.paused:
            return TroubleCause.PAUSED, "The pipeline is paused."
        failed = next((one for one in known.failed if one.start_us == wait.bucket.start_us), None)
        if failed is not None:
            return TroubleCause.FAILED, failed.problem or ""
        run = self._newest(known.read, target_of(wait.bucket))
        if run is not None and run.state is RunState.DEAD:
            return TroubleCause.FAILED, run.message or ""
        if run is not None and run.state is RunState.RUNNING:
            return TroubleCause.RUNNING, "A run derives the bucket at present."
        if not self._has_worker(pool, wait.since_us):
            return TroubleCause.NO_RUN_WORKER, f"No process executes runs of the pool '{pool}'."
        return TroubleCause.WAITING, "Its run waits for others, or for its limits."

    def _newest(self, read: ReadPipeline, target: str) -> QueuedRun | None:
        project_id, name = read.stored.project_id, read.stored.name
        found = self._catalog.runs.listed(project_id, pipeline=name, target=target, limit=1)
        return found[0] if found else None

    def _has_worker(self, pool: str, since_us: int) -> bool:
        """Whether the server executes runs of the pool, or another process has since then."""
        settings = self._tools.settings
        if settings.run_workers and (settings.run_pools is None or pool in settings.run_pools):
            return True
        return self._catalog.runs.began_since(pool, since_us)

    def _store(self, watched: Iterable[_Watched], through_us: int) -> None:
        """Store what has waited for long, so that a restart does not forget since when."""
        changed: dict[int, str | None] = {}
        for one in watched:
            if one.fresh_within_us is not None:
                long_us = min(max(one.fresh_within_us // STORED_SHARE, STORED_US[0]), STORED_US[1])
                text = stored_text(one.waits, through_us - long_us)
                if text != one.stored:
                    changed[one.read.stored.id] = one.stored = text
        if changed:
            self._catalog.troubles.note_waits(changed)


def _failure(pipeline_id: int, bucket: DerivedBucket, since_us: int) -> PipelineTrouble:
    message = (bucket.problem or "")[:MESSAGE_MAX]
    return PipelineTrouble(
        pipeline_id, TroubleKind.FAILED, since_us, bucket.start_us, TroubleCause.FAILED, message
    )
