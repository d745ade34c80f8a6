"""What the catalog counts changes of: each area has a version, so that a change wakes only who needs it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Area(StrEnum):
    """A part of the catalog that readers cache apart from the others."""

    TENANTS = "tenants"
    """Organisations, projects, keys and preferences."""
    DATA = "data"
    """Collections, lanes, files, logs, erasures and retentions."""
    DERIVED = "derived"
    """Saved queries and their runs, datasets, dashboards and exports."""


class Versions(NamedTuple):
    """How often each area was changed; in the order of ``Area``."""

    tenants: int
    data: int
    derived: int


NEVER_SEEN = Versions(-1, -1, -1)
