"""Parsed questions about when actors are active, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from query.language.analyses.sequence_nodes import EventList
from query.language.nodes import BehaviourQuery, Buckets, Group, Order, Selection


@dataclass(frozen=True, slots=True)
class LifecycleQuery(BehaviourQuery):
    """Which actors of each bucket are new, go on, come back or stay away.

    ``before_us``: where the period before the first bucket begins; earlier events are the history. None:
    nothing before the first bucket is looked at. ``begun``: how many buckets have begun.
    """

    events: tuple[EventList, ...]
    buckets: Buckets
    begun: int
    before_us: int | None = None
    groups: tuple[Group, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    zero_fill: bool = True

    @property
    def selections(self) -> tuple[Selection, ...]:
        return self.events

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        return tuple((group.property_name, "group_by") for group in self.groups if group.session is None)


@dataclass(frozen=True, slots=True)
class ActiveDaysQuery(BehaviourQuery):
    """The actors of each day, and of the 7 and ``month_days`` days that end with it.

    ``days``: where each day begins that is read, and where the last one ends; the answer's are the last ones,
    from ``first`` on. ``begun``: how many days of the answer have begun.
    """

    events: tuple[EventList, ...]
    days: tuple[int, ...]
    first: int
    begun: int
    month_days: int
    decimals: int | None = None

    @property
    def selections(self) -> tuple[Selection, ...]:
        return self.events


@dataclass(frozen=True, slots=True)
class ActivePeriodsQuery(BehaviourQuery):
    """How many actors were active in 1, 2, 3 … of the buckets."""

    events: tuple[EventList, ...]
    buckets: Buckets

    @property
    def selections(self) -> tuple[Selection, ...]:
        return self.events
