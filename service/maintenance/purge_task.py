"""The runner's task that purges deleted projects once they can no longer be restored."""

from __future__ import annotations

import logging

from service.background.task_runner import Tools
from service.exports.jobs import end_file
from service.imports.uploads import remove_all
from storage.catalog.database.versions import Area
from storage.catalog.errors import UnknownDataset
from storage.catalog.stored.records import ErasureKind
from storage.catalog.tenants.records import Project

DAY_US = 86_400_000_000

_log = logging.getLogger("acumen.runner")


class Purge:
    """Purges one deleted project at a time. A purge may be repeated, so a crash does no harm."""

    name = "purge"
    areas = frozenset({Area.TENANTS})

    def __init__(self, tools: Tools) -> None:
        self._catalog = tools.catalog
        self._after_us = int(tools.settings.purge_days * DAY_US)

    def run_due(self, now_us: int) -> bool:
        """Purge the next project that is due. Returns whether there was one."""
        held_us = self._catalog.clock.held_us(now_us)
        due = [
            project
            for project in self._catalog.projects.deleted()
            if project.deleted_us is not None and project.deleted_us + self._after_us <= held_us
        ]
        if not due:
            return False
        self._purge(due[0])
        return True

    def _purge(self, project: Project) -> None:
        """Remove the project's definitions with their results and files; the keeper deletes the events."""
        catalog = self._catalog
        if not catalog.projects.begin_purge(project):
            return
        for query in catalog.saved_queries.of_project(project.id):
            for name in catalog.saved_queries.remove(project.id, query.name) or ():
                (catalog.folder.results / name).unlink(missing_ok=True)
        for cohort in catalog.cohorts.of_project(project.id):
            catalog.cohorts.remove(project.id, cohort.name)
        catalog.runs.remove_project(project.id)
        for alert in catalog.alerts.of_project(project.id):
            catalog.alerts.remove(project.id, alert.name)
        for report in catalog.reports.of_project(project.id):
            catalog.reports.remove(project.id, report.name)
        catalog.notices.remove_project(project.id)
        for webhook in catalog.webhooks.of_project(project.id):
            catalog.webhooks.remove(project.id, webhook.name)
        for pipeline in catalog.pipelines.of_project(project.id):
            catalog.pipelines.remove(project.id, pipeline.name)
        for source in catalog.sources.of_project(project.id):
            catalog.sources.remove(project.id, source.name)
        for secret in catalog.secrets.of_project(project.id):
            catalog.secrets.remove(project.id, secret.name)
        for dashboard in catalog.dashboards.of_project(project.id):
            catalog.dashboards.remove(project.id, dashboard.name)
        for dataset in catalog.datasets.of_project(project.id):
            try:
                catalog.datasets.delete(project.id, dataset.name)
            except UnknownDataset:
                pass
        for export in catalog.exports.of_project(project.id):
            catalog.exports.remove(export)
            if export.file is not None:
                end_file(catalog, export.file)
        for job in catalog.imports.of_project(project.id):
            catalog.imports.remove(job)
            remove_all(catalog.folder, job.id)
        for key in catalog.access_keys.of_project(project.id):
            catalog.access_keys.delete(project.id, key.digest)
        for collection in catalog.collections.of_project(project.id):
            catalog.erasures.request(collection.id, ErasureKind.EVENTS, {})
        catalog.projects.end_purge(project)
        _log.info("A deleted project is purged.", extra={"fields": {"project": project.id}})
