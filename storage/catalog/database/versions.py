"""Versions of the catalog's areas, counted separately so that a change invalidates only its area's caches."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Area(StrEnum):
    """A part of the catalog that readers cache separately from the others."""

    TENANTS = "tenants"
    """Organisations, projects, keys and preferences."""
    DATA = "data"
    """Collections, lanes, files, logs, erasures and retentions."""
    DERIVED = "derived"
    """Saved queries and their runs, cohorts, datasets, dashboards, exports, imports, webhooks and
    alerts."""
    PEOPLE = "people"
    """People, their roles and sessions."""
    RUNS = "runs"
    """The queue of runs, their limits, and their progress when it ends."""


class Versions(NamedTuple):
    """The number of changes to each area, in the order of ``Area``."""

    tenants: int
    data: int
    derived: int
    people: int
    runs: int


NEVER_SEEN = Versions(-1, -1, -1, -1, -1)
