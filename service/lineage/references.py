"""What a stored definition reads: the collections, cohorts and saved queries that it names.

Definitions are read as JSON and not parsed: one whose question cannot be asked any more still reads what it
names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

_COHORT = ("in_cohort", "not_in_cohort")
_OF_COHORTS = ("cohort", "segment")
"""Words in the operators that compare with a cohort, and in their other names."""


class AssetKind(StrEnum):
    """What a project has that reads others or is read."""

    COLLECTION = "collection"
    PIPELINE = "pipeline"
    SAVED_QUERY = "saved_query"
    DATASET = "dataset"
    COHORT = "cohort"
    DASHBOARD = "dashboard"
    ALERT = "alert"
    REPORT = "report"


class Asset(NamedTuple):
    """One of them, by its name."""

    kind: AssetKind
    name: str


def read_by(part: Any) -> Iterator[Asset]:
    """What a question, a cohort, or a part of one reads directly; some perhaps several times."""
    if isinstance(part, list):
        for one in part:
            yield from read_by(one)
    if not isinstance(part, Mapping):
        return
    collection = part.get("event_collection")
    if isinstance(collection, str):
        yield Asset(AssetKind.COLLECTION, collection)
    for name in (part.get(key) for key in _COHORT):
        if isinstance(name, str):
            yield Asset(AssetKind.COHORT, name)
    # Of a question about retention 'cohort' is something else.
    if isinstance(part.get("cohort"), str) and "analysis_type" not in part:
        yield Asset(AssetKind.COHORT, part["cohort"])
    for key, value in part.items():
        if key != "property_value":
            yield from read_by(value)
        elif _is_of_cohort(part):
            # A cohort that is defined in place, or the name of one.
            yield from [Asset(AssetKind.COHORT, value)] if isinstance(value, str) else read_by(value)


def _is_of_cohort(condition: Mapping[str, Any]) -> bool:
    operator = str(condition.get("operator")).lower()
    return any(word in operator for word in _OF_COHORTS)
