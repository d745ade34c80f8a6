"""Finds the cohorts in parsed questions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from query.language.nodes import ActorCohort, Selection, found_in


def cohorts_in(part: Any) -> Iterator[ActorCohort]:
    """Every cohort within a parsed question, after those that it names itself; some more than once."""
    return found_in(part, ActorCohort)


def selections_of(cohort: ActorCohort) -> tuple[Selection, ...]:
    """The events that the cohort itself reads, not those of cohorts that it names."""
    if cohort.funnel is not None:
        return cohort.funnel.funnel.selections
    return tuple(one.of for one in cohort.conditions if isinstance(one.of, Selection))
