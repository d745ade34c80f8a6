"""Parsed questions about events that follow each other: sessions, and the paths that actors take."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from query.language.nodes import BehaviourQuery, Buckets, Group, Order, Selection, Span


@dataclass(frozen=True, slots=True)
class EventList(Selection):
    """One entry of ``events``. ``name``: what its events are called in paths."""

    name: str = ""
    by: str | None = None
    """The property by whose value its events are called instead, where they have one."""
    by_where: str = field(default="by", kw_only=True, compare=False)
    """The parameter that names this property."""


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
        grouped = ((group.property_name, "group_by") for group in self.groups if group.session is None)
        return (*pages, *grouped)


class PathCounting(StrEnum):
    """Of what each path is one."""

    ACTORS = "actors"
    SESSIONS = "sessions"
    OCCURRENCES = "occurrences"
    """Each event that a path begins at, or ends at."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The event that paths begin at, or with ``backward`` end at: one of this name, or of the selection."""

    backward: bool
    name: str | None = None
    selection: EventList | None = None


@dataclass(frozen=True, slots=True)
class Rename:
    """Names that ``match``, in which ``*`` is any text, are called ``name``."""

    match: str
    name: str


@dataclass(frozen=True, slots=True)
class PathsQuery(BehaviourQuery):
    """``depth``: the most nodes of a path. ``gap`` and ``window``: µs beyond which a path does not go on."""

    events: tuple[EventList, ...]
    span: Span
    anchor: Anchor | None = None
    depth: int = 5
    counting: PathCounting = PathCounting.ACTORS
    gap: int | None = None
    window: int | None = None
    collapse: bool = True
    """Whether events of one name that follow each other are one node."""
    renames: tuple[Rename, ...] = ()
    nodes: int = 10
    """How many nodes of each step are named."""
    least: int = 1
    """Edges of fewer paths are left out, and their nodes are not named."""

    @property
    def selections(self) -> tuple[EventList, ...]:
        """Those of the anchor are the last."""
        if self.anchor is None or self.anchor.selection is None:
            return self.events
        return (*self.events, self.anchor.selection)

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        return tuple((one.by, one.by_where) for one in self.selections if one.by is not None)
