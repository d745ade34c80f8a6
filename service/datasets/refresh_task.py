"""The runner's task that computes cached datasets: first run, refresh, and removal of old files.

A run takes the buckets of the dataset's timeframe as of now, and counts the events of each. Buckets with as
many events as when they were computed are unchanged, unless events were erased; all others are computed, in
files of some hundred buckets at most. One transaction then replaces the old files by the new ones. A run that
dies leaves only files that the next process removes.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise

from query.answers import precomputed
from query.engine.engine import Deadline
from query.errors import DataDamaged, QueryCancelled, QueryError, QueryLimitExceeded
from query.language.nodes import Buckets, MetricQuery, Span
from service.background.task_runner import Tools
from service.datasets import definition as datasets
from service.datasets.results import Moment, moment_of
from service.queries.project_preferences import ProjectPreferences
from storage.catalog.database.versions import NEVER_SEEN, Area
from storage.catalog.derived.records import Bucket, Dataset, DatasetFile, DatasetRun, DatasetStatus
from storage.catalog.errors import CatalogUnavailable, DatasetChanged
from storage.errors import StorageError
from storage.files.dataset_file import TooManyKeys, is_whole, write_results
from storage.source import Source, SourceGone

RECENT_US = 48 * 3_600 * 1_000_000
"""Younger buckets, which change at every run, have files of their own."""
FILE_BUCKETS = 32
FILES_WANTED = 8
"""A file has ``FILE_BUCKETS`` buckets, or one part in ``FILES_WANTED`` of all if that is more."""
FILES_MAX = 24
"""With more files than this, small neighbouring ones are merged."""
PAUSE_US = 60 * 1_000_000
"""Shortest pause between two runs of a dataset, unless events were erased."""
DEAD_US = 30 * 1_000_000
"""How long a replaced file is kept for processes that are about to open it."""
SWEEP_US = 10 * 1_000_000

_log = logging.getLogger("acumen.datasets")


class DatasetRefresher:
    """See ``service.background.task_runner.Task``. Belongs to one thread."""

    name = "datasets"
    areas = frozenset(Area)
    """Includes the tenants: results depend on their projects' preferences."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        self._folder = tools.catalog.folder
        self._limits = tools.settings.query_limits
        self._preferences = ProjectPreferences(tools.catalog, tools.settings.preferences)
        self._every_us = int(tools.settings.dataset_refresh_seconds * 1_000_000)
        self._versions = NEVER_SEEN
        self._known: list[tuple[Dataset, datasets.DatasetDefinition, Moment]] = []
        self._swept_us: int | None = None

    def run_due(self, now_us: int) -> bool:
        self._check()
        self._sweep(now_us)
        due = [one for one in self._known if self._is_due(*one, now_us)]
        if not due:
            return False
        # The dataset that has waited longest, so that slow ones do not keep others from their turn.
        dataset, definition, _ = min(due, key=lambda one: one[0].scheduled_us or 0)
        self._run(dataset, definition, now_us)
        return True

    def _check(self) -> None:
        versions = self._catalog.versions()
        if versions[:3] == self._versions[:3]:
            return
        known = []
        for dataset in self._catalog.datasets.all():
            definition = datasets.stored(dataset, self._preferences.of(dataset.project_id))
            moment = self._moment(dataset, definition)
            if dataset.files and dataset.moment != moment:
                # Erased events must no longer be shown, and must go even if the next run fails.
                self._catalog.datasets.end_files(dataset.id)
                dataset = replace(dataset, files=())
            known.append((dataset, definition, moment))
        self._known, self._versions = known, versions

    def _moment(self, dataset: Dataset, definition: datasets.DatasetDefinition) -> Moment:
        collections = self._catalog.collections.named(dataset.project_id, [definition.collection])
        return moment_of(collections[0] if collections else None)

    def _is_due(
        self, dataset: Dataset, definition: datasets.DatasetDefinition, moment: Moment, now_us: int
    ) -> bool:
        if dataset.scheduled_us is None:
            return True
        since = now_us - dataset.scheduled_us
        failed = dataset.status in (DatasetStatus.FAILED, DatasetStatus.WARN)
        if failed or since < 0:
            # The clock may have been set back.
            return abs(since) >= min(PAUSE_US, self._every_us)
        if dataset.run == 0 or dataset.moment != moment or since >= self._every_us:
            return True
        if since < PAUSE_US:
            return False
        span = definition.span(now_us)
        return (span.start_us, span.end_us) != (dataset.start_us, dataset.end_us)

    def _run(self, dataset: Dataset, definition: datasets.DatasetDefinition, now_us: int) -> None:
        first = dataset.run == 0
        self._catalog.datasets.begin_run(
            dataset.id, DatasetStatus.BOOTSTRAPPING if first else dataset.status, now_us
        )
        try:
            _RefreshRun(self._tools, dataset, definition).compute(now_us)
        except DatasetChanged:
            # The dataset was deleted, or events were erased: it is checked again in the next round.
            return
        except (QueryCancelled, CatalogUnavailable):
            raise
        except (QueryError, StorageError, SourceGone, OSError) as error:
            _log.warning("the dataset %r could not be computed: %s", dataset.name, error)
            status = DatasetStatus.FAILED if first else DatasetStatus.WARN
            self._catalog.datasets.fail_run(dataset.id, status, str(error) or type(error).__name__)

    def _sweep(self, now_us: int) -> None:
        """Remove unused files: replaced ones, those of dead processes, folders of deleted datasets."""
        first = self._swept_us is None
        if self._swept_us is not None and 0 <= now_us - self._swept_us < SWEEP_US:
            return
        self._swept_us = now_us
        removable = self._catalog.datasets.forgettable_files(now_us - DEAD_US, given_up=first)
        for file_id, dataset_id in removable:
            self._folder.dataset_file(dataset_id, file_id).unlink(missing_ok=True)
        if removable:
            self._catalog.datasets.forget_files([file_id for file_id, _ in removable])
        known = {str(dataset.id) for dataset, _, _ in self._known}
        if self._folder.datasets.exists():
            for path in self._folder.datasets.iterdir():
                if path.name not in known:
                    shutil.rmtree(path, ignore_errors=True)


@dataclass
class _RefreshRun:
    """One run of one dataset."""

    tools: Tools
    dataset: Dataset
    definition: datasets.DatasetDefinition

    def compute(self, through_us: int) -> None:
        """Compute the dataset as of ``through_us``.

        Raises DatasetChanged, QueryError, SourceGone, StorageError, OSError.
        """
        moment = self._moment()
        query = self.definition.question(
            through_us, self.tools.settings.query_limits, self.tools.engine.check_regex
        )
        assert query.buckets is not None
        edges = query.buckets.edges
        counts = self._counts(edges)
        buckets = _buckets(edges, counts)
        files = self.dataset.files if self.dataset.moment == moment else ()
        path_of = self.tools.catalog.folder.dataset_file
        # A data folder may have been restored from a backup without its results.
        kept = _kept([file for file in files if is_whole(path_of(file.dataset_id, file.id))], buckets)
        kept_starts = {bucket.start_us for file in kept for bucket in file.buckets}
        missing = [bucket for bucket in buckets if bucket.start_us not in kept_starts]
        added = []
        try:
            for group in _cut(missing, len(buckets), through_us):
                added += self._write(query, group)
            if self._moment() != moment:
                raise DatasetChanged("Events were erased meanwhile.")
            self._commit(query, moment, through_us, counts.later, added, kept)
        except BaseException:
            self._discard(added)
            raise

    def _commit(
        self,
        query: MetricQuery,
        moment: Moment,
        through_us: int,
        later: int,
        added: Sequence[DatasetFile],
        kept: Sequence[DatasetFile],
    ) -> None:
        stay = {file.id for file in kept}
        assert query.span.start_us is not None and query.span.end_us is not None
        run = DatasetRun(
            dataset_id=self.dataset.id,
            number=self.dataset.run + 1,
            moment=moment,
            through_us=through_us,
            start_us=query.span.start_us,
            end_us=query.span.end_us,
            later=later,
            added=tuple(added),
            kept=tuple(kept),
            removed=tuple(file.id for file in self.dataset.files if file.id not in stay),
        )
        self.tools.catalog.datasets.commit_run(run)

    def _write(self, query: MetricQuery, buckets: Sequence[Bucket]) -> list[DatasetFile]:
        """Compute neighbouring buckets into one file, or into several where one would exceed the limits."""
        try:
            return [self._write_one(query, buckets)]
        except QueryLimitExceeded:
            if len(buckets) == 1:
                raise
        middle = len(buckets) // 2
        first = self._write(query, buckets[:middle])
        try:
            return [*first, *self._write(query, buckets[middle:])]
        except BaseException:
            self._discard(first)
            raise

    def _write_one(self, query: MetricQuery, buckets: Sequence[Bucket]) -> DatasetFile:
        tools = self.tools
        edges = (*(bucket.start_us for bucket in buckets), buckets[-1].end_us)
        part = replace(query, span=Span(edges[0], edges[-1]), buckets=Buckets(edges))
        source = self._source()
        deadline = self._deadline()
        # Counted in the same source from which the results are computed.
        counts = precomputed.event_counts(query.collection, edges, source, tools.engine, deadline)
        file_id = tools.catalog.datasets.reserve_file(self.dataset.id)
        limits = tools.settings.query_limits
        payloads = precomputed.payloads(
            part, self.definition.index_by, source, tools.engine, limits=limits, deadline=deadline
        )
        path = tools.catalog.folder.dataset_file(self.dataset.id, file_id)
        try:
            with closing(payloads):
                write_results(path, payloads, tools.settings.dataset_values_max)
        except TooManyKeys as error:
            raise QueryLimitExceeded(
                f"The properties of 'index_by' have more than {error.limit:,} combinations of values, "
                "which is the limit. Index by properties with fewer values."
            ) from None
        return DatasetFile(file_id, self.dataset.id, tuple(_buckets(edges, counts)))

    def _counts(self, edges: tuple[int, ...]) -> precomputed.EventCounts:
        source = self._source()
        return precomputed.event_counts(
            self.definition.collection, edges, source, self.tools.engine, self._deadline()
        )

    def _source(self) -> Source:
        """The collection's events. Raises DataDamaged, so that partial results never replace full ones."""
        source = self.tools.reader.source(self.dataset.project_id, self.definition.collection)
        if source.damaged:
            raise DataDamaged
        return source

    def _deadline(self) -> Deadline:
        return Deadline.after(self.tools.settings.query_timeout_seconds, self.tools.cancels.token())

    def _moment(self) -> Moment:
        collections = self.tools.catalog.collections.named(
            self.dataset.project_id, [self.definition.collection]
        )
        return moment_of(collections[0] if collections else None)

    def _discard(self, files: Sequence[DatasetFile]) -> None:
        """Remove files of a run that failed; those that cannot be removed go at the next start."""
        try:
            for file in files:
                self.tools.catalog.folder.dataset_file(file.dataset_id, file.id).unlink(missing_ok=True)
            self.tools.catalog.datasets.forget_files([file.id for file in files])
        except (OSError, StorageError):
            _log.exception("Files of a failed run could not be removed; the next start removes them.")


def _buckets(edges: tuple[int, ...], counts: precomputed.EventCounts) -> list[Bucket]:
    return [
        Bucket(start, end, events)
        for (start, end), events in zip(pairwise(edges), counts.buckets, strict=True)
    ]


def _kept(files: Sequence[DatasetFile], needed: Sequence[Bucket]) -> list[DatasetFile]:
    """The files whose buckets are unchanged, reduced to the buckets still needed.

    Small files are left out where there would be too many.
    """
    left = {bucket.start_us: bucket for bucket in needed}
    kept: list[DatasetFile] = []
    for file in files:
        usable = tuple(
            bucket
            for bucket in file.buckets
            if bucket.start_us in left and left[bucket.start_us].end_us == bucket.end_us
        )
        if usable and all(bucket == left[bucket.start_us] for bucket in usable):
            kept.append(replace(file, buckets=usable))
            for bucket in usable:
                del left[bucket.start_us]
    if len(kept) > FILES_MAX - FILES_WANTED:
        size = _file_buckets(len(needed))
        kept = [file for file in kept if len(file.buckets) > size // 2]
    return kept


def _cut(missing: Sequence[Bucket], total: int, now_us: int) -> Iterator[list[Bucket]]:
    """Split buckets into runs of neighbours, at most a file's size each, with recent and older ones apart."""
    size = _file_buckets(total)
    run: list[Bucket] = []
    for bucket in missing:
        if run and (
            len(run) >= size
            or run[-1].end_us != bucket.start_us
            or _is_recent(run[-1], now_us) != _is_recent(bucket, now_us)
        ):
            yield run
            run = []
        run.append(bucket)
    if run:
        yield run


def _is_recent(bucket: Bucket, now_us: int) -> bool:
    return bucket.end_us > now_us - RECENT_US


def _file_buckets(total: int) -> int:
    return max(FILE_BUCKETS, -(-total // FILES_WANTED))
