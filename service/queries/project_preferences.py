"""The projects' preferences for queries, as of the newest version of the tenants."""

from __future__ import annotations

from query.language.preferences import KEEN, Preferences
from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownProject


class ProjectPreferences:
    """Preferences by project. ``default`` fills in what a project has not set. Thread-safe."""

    def __init__(self, catalog: Catalog, default: Preferences = KEEN) -> None:
        self._catalog = catalog
        self._default = default
        self._cached: tuple[int, dict[str, Preferences]] = -1, {}

    def of(self, project_id: str) -> Preferences:
        """A project's preferences, read once for each version of the tenants. Raises StorageError."""
        version = self._catalog.versions().tenants
        known_version, known = self._cached
        if known_version != version:
            known = {}
        preferences = known.get(project_id)
        if preferences is None:
            preferences = known[project_id] = self._read(project_id)
            self._cached = version, known
        return preferences

    def _read(self, project_id: str) -> Preferences:
        try:
            return self._default.of_project(self._catalog.projects.get(project_id).preferences)
        except UnknownProject:
            return self._default
