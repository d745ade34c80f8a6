"""Executes a run of a source: stores what an earlier run has read, then reads on.

What is read is recorded as a portion before it is sent; see ``portions`` for what a kill leaves.
"""

from __future__ import annotations

import time

from query.transforms.fields import InvalidPipeline
from service.pipelines.sources.definition import (
    FetchedPages,
    PluginRows,
    QueriedRows,
    SourceDefinition,
    WatchedFiles,
    stored_source,
)
from service.pipelines.sources.files import (
    FileReading,
    ProjectFiles,
    SourceFolderMissing,
    due_files,
    problem_of,
)
from service.pipelines.sources.portions import remove_portion, sweep
from service.pipelines.sources.sending import PortionSender, recording
from service.settings import Settings
from service.workflows.context import RunContext, RunResult
from service.workflows.errors import RunFailed, RunPostponed, RunRefused
from storage.catalog.catalog import Catalog
from storage.catalog.errors import SourceChanged
from storage.catalog.runs.records import NewRun, QueuedRun
from storage.catalog.sources.records import RUNS_OF, Portion, StoredSource
from storage.catalog.sources.sources import file_of

TARGET = "read"
"""Of one source one run waits and one executes."""
AGAIN_SECONDS = 0.5
PROBLEM_MAX = 2_000


def run_of(source: StoredSource, definition: SourceDefinition, cause: str) -> NewRun:
    """A run that reads the source."""
    return NewRun(source.project_id, source.runs_as, TARGET, cause, definition.pool, definition.priority)


def is_of_source(run: QueuedRun) -> bool:
    """Whether a run reads a source; others derive or deliver buckets."""
    return run.pipeline.startswith(RUNS_OF)


class SourceRuns:
    """Executes runs. Belongs to one thread."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog, self._settings = catalog, settings

    def execute(self, run: QueuedRun, context: RunContext) -> RunResult:
        """Raises the errors of ``service.workflows.errors``, and those of the disk and the catalog, which are
        tried again."""
        name = run.pipeline.removeprefix(RUNS_OF)
        source = self._catalog.sources.find(run.project_id, name)
        if source is None:
            raise RunRefused(f"The source '{name}' was removed.")
        try:
            definition = stored_source(source.name, source.definition)
            with PortionSender(self._catalog, self._settings, context.check) as sender:
                return _SourceRun(self._catalog, self._settings, definition, sender, context).run(source)
        except SourceChanged:
            raise RunPostponed("The source changed meanwhile.", AGAIN_SECONDS) from None
        except InvalidPipeline as error:
            raise RunRefused(str(error)) from None
        except (RunFailed, RunRefused, RunPostponed) as error:
            self._catalog.sources.fail(source, error.message[:PROBLEM_MAX])
            raise
        except OSError as error:
            problem = f"It cannot be read: {error.strerror or error}."
            self._catalog.sources.fail(source, problem[:PROBLEM_MAX])
            raise RunFailed(problem) from None


class _SourceRun:
    """One execution."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        definition: SourceDefinition,
        sender: PortionSender,
        context: RunContext,
    ) -> None:
        self._catalog, self._settings, self._definition = catalog, settings, definition
        self._sender, self._context = sender, context
        self._spool = catalog.folder.sources
        self._events = 0
        self._left_out: str | None = None

    def run(self, source: StoredSource) -> RunResult:
        sweep(self._spool, source.id, source.pending)
        if source.pending is not None:
            source = self._stored(source)
        if isinstance(self._definition.reads, WatchedFiles):
            problem = self._read_files(source, self._definition.reads)
        else:
            problem = None
            self._read_others(source, self._definition.reads)
        self._catalog.sources.note_read(source, problem)
        left_out = {"left_out": self._left_out} if self._left_out else {}
        return RunResult({"events": self._events, **left_out})

    def _stored(self, source: StoredSource) -> StoredSource:
        """The source once its portion is stored."""
        portion = source.pending
        assert portion is not None
        refused = self._sender.send(source, self._definition.collection) if portion.batches else 0
        with recording(self._catalog):
            source = self._catalog.sources.end(source, refused)
        remove_portion(self._spool, portion)
        self._events += portion.events - refused
        return source

    def _store(self, source: StoredSource, portion: Portion) -> StoredSource:
        return self._stored(self._catalog.sources.begin(source, portion))

    def _read_others(self, source: StoredSource, reads: FetchedPages | QueriedRows | PluginRows) -> None:
        if isinstance(reads, FetchedPages):
            self._read_pages(source, reads)
        elif isinstance(reads, PluginRows):
            self._read_portions(source, reads)
        else:
            self._read_rows(source, reads)

    def _read_rows(self, source: StoredSource, reads: QueriedRows) -> None:
        """Read rows, portion by portion, until none is new."""
        # Imported here, since it loads a library that few need.
        from service.pipelines.sources.postgres import QueryReading

        reading = QueryReading(self._catalog, self._settings, self._definition, reads, self._context)
        while not reading.is_done:
            portion = reading.read(source, self._spool)
            self._context.add_bytes(reading.bytes)
            reading.bytes = 0
            if portion is not None:
                self._left_out = portion.problem or self._left_out
                source = self._store(source, portion)

    def _read_portions(self, source: StoredSource, reads: PluginRows) -> None:
        """Read what a plugin has, portion by portion, until nothing is new."""
        # Imported here, since few need it.
        from service.pipelines.sources.plugin_rows import PluginReading

        reading = PluginReading(self._catalog, self._settings, self._definition, reads, self._context)
        while (portion := reading.read(source, self._spool)) is not None:
            self._context.add_bytes(reading.bytes)
            reading.bytes = 0
            self._left_out = portion.problem or self._left_out
            source = self._store(source, portion)
            self._context.check()

    def _read_pages(self, source: StoredSource, reads: FetchedPages) -> None:
        """Read the pages once."""
        # Its HTTP client takes memory in each worker: it is imported where there is such a source alone.
        from service.pipelines.sources.pages import PageReading

        reading = PageReading(self._catalog, self._settings, self._definition, reads, self._context.check)
        portion = reading.read(source, self._spool)
        self._context.add_bytes(reading.bytes)
        if portion is not None:
            self._left_out = portion.problem
            self._store(source, portion)

    def _read_files(self, source: StoredSource, reads: WatchedFiles) -> str | None:
        """Read the files that are due, each as a portion; what is wrong with those that are not read."""
        files = ProjectFiles(self._settings.source_folder, source.project_id)
        try:
            found = files.found(reads)
        except SourceFolderMissing as error:
            raise RunFailed(str(error)) from None
        reading = FileReading(
            self._settings, self._spool, self._definition, reads.changes, files, self._context.check
        )
        known = self._catalog.sources.files(source.id)
        for seen in due_files(found, known, time.time_ns()):
            self._context.check()
            looked = reading.look(source, seen, known)
            self._context.add_bytes(reading.bytes)
            reading.bytes = 0
            if looked.portion is not None:
                source = self._store(source, looked.portion)
                known[seen.path] = file_of(looked.portion)
            elif looked.file is not None:
                self._catalog.sources.note_files(source, [looked.file])
                known[seen.path] = looked.file
        return problem_of(found, known)
