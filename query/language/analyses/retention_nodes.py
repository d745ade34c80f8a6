"""Parsed questions about who comes back, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from query.language.nodes import BehaviourQuery, Group, Selection


class Cohort(StrEnum):
    """Which actors a period's cohort has."""

    FIRST_TIME = "first_time"
    """Those whose first starting event lies in it."""
    RECURRING = "recurring"
    """All that did the starting event in it."""


class FirstIn(StrEnum):
    """Where an actor's first event is looked for."""

    TIMEFRAME = "timeframe"
    HISTORY = "history"
    """In all that is stored from before the timeframe as well."""


class PeriodType(StrEnum):
    """What the periods after a starting event are."""

    CALENDAR = "calendar"
    """Those of the interval, in the timezone; the first is the one in which the starting event lies."""
    ROLLING = "rolling"
    """Lengths of 24 hours, or what the interval says, from the starting event on."""


class ReturnOn(StrEnum):
    """When a returning event counts for a period."""

    ON = "on"
    ON_OR_AFTER = "on_or_after"
    """In the period or in any later one of the timeframe."""


@dataclass(frozen=True, slots=True)
class PeriodRange:
    """The periods that one number of a cohort is about, as counted from the starting one; both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class CohortSpan:
    """The actors who started in ``[start, end)``, and how many of the columns they have by now.

    ``listed``: those that begin within the timeframe; ``begun``: those that have begun; ``ended``: those that
    have ended for all of the cohort.
    """

    start_us: int
    end_us: int
    listed: int
    begun: int
    ended: int


@dataclass(frozen=True, slots=True)
class RetentionQuery(BehaviourQuery):
    """``returning`` is None where the same event starts and returns."""

    starting: Selection
    returning: Selection | None
    cohorts: tuple[CohortSpan, ...]
    columns: tuple[PeriodRange, ...]
    cohort: Cohort = Cohort.FIRST_TIME
    length: int | None = None
    """The length of a rolling period in µs; None: periods are those of the calendar."""
    returned: ReturnOn = ReturnOn.ON
    group: Group | None = None
    decimals: int | None = None
    """Of the rates; None: they are not rounded."""

    @property
    def of_periods(self) -> bool:
        """Whether all that matters is in which periods each actor did the event."""
        return self.returning is None and self.length is None and self.group is None

    @property
    def selections(self) -> tuple[Selection, ...]:
        return (self.starting,) if self.returning is None else (self.starting, self.returning)

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        if self.group is None or self.group.session is not None:
            return ()
        return ((self.group.property_name, "group_by"),)
