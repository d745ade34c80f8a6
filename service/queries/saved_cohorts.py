"""Finds the cohorts of projects for questions that name them."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import Any

from query.language.cohorts.members import members_of
from query.language.cohorts.naming import FindCohort, SavedCohort
from query.language.nodes import Members
from storage.catalog.catalog import Catalog
from storage.catalog.derived.records import StoredCohort

DISPLAY_NAME = "display_name"
"""Stored with a definition, of which it is no part."""
KEPT_MEMBERS_MAX = 300_000
"""Actors of static cohorts that are kept in memory, in all."""


class SavedCohorts:
    """The cohorts of all projects. The actors of static ones are kept between questions. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Members] = OrderedDict()

    def of(self, project_id: str) -> FindCohort:
        """A function that finds the project's cohorts, as they are when it is called. It blocks."""

        def find(name: str) -> SavedCohort | None:
            cohort = self._catalog.cohorts.find(project_id, name)
            if cohort is None:
                return None
            if not cohort.is_static:
                return SavedCohort(definition_of(cohort), version_of(cohort))
            return self._static(project_id, cohort)

        return find

    def _static(self, project_id: str, cohort: StoredCohort) -> SavedCohort | None:
        with self._lock:
            kept = self._kept.get(version_of(cohort))
        if kept is None:
            # Definition and actors of one moment: they may have changed since.
            found = self._catalog.cohorts.find_with_members(project_id, cohort.name)
            if found is None:
                return None
            cohort, texts = found
            if not cohort.is_static:
                return SavedCohort(definition_of(cohort), version_of(cohort))
            kept = members_of(texts)
            self._keep(version_of(cohort), kept)
        return SavedCohort(definition_of(cohort) | {"actors": []}, version_of(cohort), kept)

    def _keep(self, version: str, members: Members) -> None:
        with self._lock:
            self._kept[version] = members
            while sum(len(one.values) for one in self._kept.values()) > KEPT_MEMBERS_MAX and self._kept:
                self._kept.popitem(last=False)


def definition_of(cohort: StoredCohort) -> dict[str, Any]:
    """The stored definition as ``query.language.cohorts`` reads it."""
    definition: dict[str, Any] = json.loads(cohort.definition)
    definition.pop(DISPLAY_NAME, None)
    return definition


def version_of(cohort: StoredCohort) -> str:
    """Differs where the definition or the members do, and for another cohort of the same name."""
    return f"{cohort.id}.{cohort.version}"
