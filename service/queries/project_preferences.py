"""What the projects prefer for their questions, as of the newest version of the tenants."""

from __future__ import annotations

from query.language.preferences import KEEN, Preferences
from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownProject


class ProjectPreferences:
    """``default``: what holds where a project says nothing. Thread-safe."""

    def __init__(self, catalog: Catalog, default: Preferences = KEEN) -> None:
        self._catalog = catalog
        self._default = default
        self._held: tuple[int, dict[str, Preferences]] = -1, {}

    def of(self, project_id: str) -> Preferences:
        """Asks the catalog once for each version of the tenants. Raises StorageError."""
        version = self._catalog.versions().tenants
        of, known = self._held
        if of != version:
            known = {}
        found = known.get(project_id)
        if found is None:
            found = known[project_id] = self._read(project_id)
            self._held = version, known
        return found

    def _read(self, project_id: str) -> Preferences:
        try:
            return self._default.of_project(self._catalog.projects.get(project_id).preferences)
        except UnknownProject:
            return self._default
