"""What is left of deleted projects, taken away once nobody can want them back."""

from __future__ import annotations

import logging

from service.background.task_runner import Tools
from service.exports.jobs import end_file
from storage.catalog.errors import UnknownDataset
from storage.catalog.records import ErasureKind, Project

DAY_US = 86_400_000_000

_log = logging.getLogger("acumen.runner")


class Purge:
    """A task: one deleted project at a time. Done twice it does no harm, and so neither does a crash."""

    name = "purge"

    def __init__(self, tools: Tools) -> None:
        self._catalog = tools.catalog
        self._after_us = int(tools.settings.purge_days * DAY_US)

    def run_due(self, now_us: int) -> bool:
        """Purge the next project that is due; True where one was."""
        held_us = self._catalog.held_us(now_us)
        due = [
            project
            for project in self._catalog.deleted_projects()
            if project.deleted_us is not None and project.deleted_us + self._after_us <= held_us
        ]
        if not due:
            return False
        self._purge(due[0])
        return True

    def _purge(self, project: Project) -> None:
        """Derived answers lose their definitions, and their files with them; the keeper takes the events."""
        catalog = self._catalog
        if not catalog.begin_purge(project):
            return
        for query in catalog.saved_queries(project.id):
            for name in catalog.remove_saved_query(project.id, query.name) or ():
                (catalog.folder.results / name).unlink(missing_ok=True)
        for dashboard in catalog.dashboards(project.id):
            catalog.remove_dashboard(project.id, dashboard.name)
        for dataset in catalog.datasets(project.id):
            try:
                catalog.delete_dataset(project.id, dataset.name)
            except UnknownDataset:
                pass
        for export in catalog.exports(project.id):
            catalog.remove_export(export)
            if export.file is not None:
                end_file(catalog, export.file)
        for key in catalog.access_keys(project.id):
            catalog.delete_access_key(project.id, key.digest)
        for collection in catalog.collections(project.id):
            catalog.request_erasure(collection.id, ErasureKind.EVENTS, {})
        catalog.end_purge(project)
        _log.info("A deleted project is purged.", extra={"fields": {"project": project.id}})
