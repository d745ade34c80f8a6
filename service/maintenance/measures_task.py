"""The runner's task that measures the data folder for the metrics."""

from __future__ import annotations

import time

from service.background.task_runner import Tools
from storage.catalog.database.versions import Area
from storage.disk.durable_files import bytes_below
from storage.files.partials import SUFFIX

EVERY_SECONDS = 10.0


class Measures:
    """See ``service.background.task_runner.Task``."""

    name = "measures"
    areas: frozenset[Area] = frozenset()

    def __init__(self, tools: Tools) -> None:
        self._catalog = tools.catalog
        counter = tools.metrics.counter
        self._events = counter("acumen_events_stored")
        self._bytes = counter("acumen_stored_bytes")
        self._collections = counter("acumen_collections")
        self._projects = counter("acumen_projects")
        self._superseded_bytes = counter("acumen_superseded_bytes")
        self._log_bytes = counter("acumen_log_bytes")
        self._partials_bytes = counter("acumen_partials_bytes")
        self._due = 0.0

    def run_due(self, now_us: int) -> bool:
        if time.monotonic() < self._due:
            return False
        usages = self._catalog.projects.usage().values()
        self._events.set(sum(one.events for one in usages))
        self._bytes.set(sum(one.bytes for one in usages))
        self._collections.set(sum(one.collections for one in usages))
        self._projects.set(self._catalog.projects.number())
        self._superseded_bytes.set(self._catalog.history.superseded()[1])
        folder = self._catalog.folder
        self._log_bytes.set(bytes_below(folder.logs, "*.seg"))
        self._partials_bytes.set(bytes_below(folder.partials, f"*{SUFFIX}"))
        self._due = time.monotonic() + EVERY_SECONDS
        return False
