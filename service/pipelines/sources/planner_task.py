"""The runner's task that queues a run of each source that is due: its time has come, and of watched files
some are new or changed."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from query.transforms.fields import InvalidPipeline
from service.background.task_runner import Tools
from service.pipelines.sources.definition import SourceDefinition, WatchedFiles, stored_source
from service.pipelines.sources.files import ProjectFiles, SourceFolderMissing, due_files
from service.pipelines.sources.run import run_of
from storage.catalog.database.versions import NEVER_SEEN, Area
from storage.catalog.errors import UnknownProject
from storage.catalog.sources.records import StoredSource

_log = logging.getLogger("acumen.sources")


@dataclass(slots=True)
class _KnownSource:
    stored: StoredSource
    definition: SourceDefinition
    due_us: int


class SourcePlanner:
    """See ``service.background.task_runner.Task``. Belongs to one thread."""

    name = "sources"
    areas = frozenset({Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._catalog, self._settings, self._stop = tools.catalog, tools.settings, tools.stop
        self._versions = NEVER_SEEN
        self._sources: list[_KnownSource] = []

    def run_due(self, now_us: int) -> bool:
        versions = self._catalog.versions()
        if versions.derived != self._versions.derived:
            self._load()
            self._versions = versions
        for known in self._sources:
            if self._stop.is_set():
                return False
            if known.stored.paused:
                continue
            # A clock that went back must not hold it up.
            if not known.due_us - known.definition.every_us <= now_us < known.due_us:
                known.due_us = now_us + known.definition.every_us
                self._ask(known)
        return False

    def _load(self) -> None:
        found = []
        for stored in self._catalog.sources.all():
            try:
                definition = stored_source(stored.name, stored.definition)
            except (InvalidPipeline, KeyError, ValueError) as error:
                _log.error("The source %r cannot be read: %s", stored.name, error)
                continue
            found.append(_KnownSource(stored, definition, stored.due_us))
        self._sources = found

    def _ask(self, known: _KnownSource) -> None:
        stored, definition = known.stored, known.definition
        cause = self._cause(stored, definition)
        if cause is None:
            return
        try:
            self._catalog.sources.ask(stored, run_of(stored, definition, cause), known.due_us)
        except UnknownProject:
            _log.info("The project of the source %r is gone.", stored.name)

    def _cause(self, stored: StoredSource, definition: SourceDefinition) -> str | None:
        """Why it is to be read now; None where it is not."""
        if not isinstance(definition.reads, WatchedFiles):
            return "its time has come"
        files = ProjectFiles(self._settings.source_folder, stored.project_id)
        try:
            found = files.found(definition.reads)
        except (SourceFolderMissing, OSError) as error:
            # The run says so, where people look.
            return str(error)
        due = due_files(found, self._catalog.sources.files(stored.id), time.time_ns())
        return f"{len(due):,} {'file' if len(due) == 1 else 'files'}" if due else None
