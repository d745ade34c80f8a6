"""Parsed questions about events that follow each other: sessions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from query.language.nodes import BehaviourQuery, Buckets, Group, Order, Selection, Span


@dataclass(frozen=True, slots=True)
class EventList(Selection):
    """One entry of ``events``."""


class Attribution(StrEnum):
    """The event of a session whose properties are those of the session."""

    ENTRY = "entry"
    EXIT = "exit"


class Cut(StrEnum):
    """Where sessions end besides at gaps."""

    DAILY = "daily"
    """At midnight."""


class SessionMeasure(StrEnum):
    """What is said of sessions. Durations are in seconds, from a session's first event to its last."""

    SESSIONS = "sessions"
    ACTORS = "actors"
    EVENTS = "events"
    EVENTS_PER_SESSION = "events_per_session"
    BOUNCES = "bounces"
    BOUNCE_RATE = "bounce_rate"
    DURATION_AVERAGE = "duration_average"
    DURATION_MEDIAN = "duration_median"
    UNFINISHED = "unfinished"
    ENTRIES = "entries"
    EXITS = "exits"
    DURATION_PERCENTILE = "duration_p"
    """Followed by the percentile."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of an answer; ``label`` is its key."""

    measure: SessionMeasure
    label: str
    percentile: float | None = None


@dataclass(frozen=True, slots=True)
class SessionsQuery(BehaviourQuery):
    """Times are in µs. A session ends before a gap of more than ``gap``."""

    events: tuple[EventList, ...]
    span: Span
    """Sessions that begin in it; events before it are read only to see which sessions go on."""
    gap: int
    cuts: tuple[int, ...] = ()
    """Instants at which sessions are cut."""
    longest: int | None = None
    """The most that a session's last event comes after its first."""
    buckets: Buckets | None = None
    groups: tuple[Group, ...] = ()
    attribution: Attribution = Attribution.ENTRY
    measures: tuple[Measured, ...] = ()
    page: str | None = None
    """The property whose values at a session's first and last event are its entry and its exit."""
    pages: int = 10
    """How many entries and exits are named."""
    order: tuple[Order, ...] = ()
    limit: int | None = None
    zero_fill: bool = True
    decimals: int | None = None

    @property
    def selections(self) -> tuple[Selection, ...]:
        return self.events

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        pages = () if self.page is None else ((self.page, "page_property"),)
        return (*pages, *((group.path, "group_by") for group in self.groups))
