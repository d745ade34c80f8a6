"""A parsed query as frozen values: ``parse`` creates them and every later stage reads them.

Times are int64 µs since 1970 UTC and half-open, ``[start, end)``; ``None`` is an open end. Nothing here
knows JSON, SQL or a collection's columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import tzinfo
from enum import StrEnum
from typing import Any, TypeVar

from query.language.preferences import KEEN, Preferences


class Analysis(StrEnum):
    COUNT = "count"
    COUNT_UNIQUE = "count_unique"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    SUM = "sum"
    AVERAGE = "average"
    MEDIAN = "median"
    PERCENTILE = "percentile"
    STANDARD_DEVIATION = "standard_deviation"
    SELECT_UNIQUE = "select_unique"


class ActorIdentity(StrEnum):
    """Whose events are an actor's."""

    MERGED = "merged"
    """Those with any id that is linked to the actor's."""
    AS_SENT = "as_sent"
    """Those with the same id."""


class Operator(StrEnum):
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    EXISTS = "exists"
    IN = "in"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    WITHIN = "within"
    REGEX = "regex"
    IN_GROUP = "in_group"
    IN_COHORT = "in_cohort"
    NOT_IN_COHORT = "not_in_cohort"


@dataclass(frozen=True, slots=True)
class Circle:
    """The operand of ``within``: degrees and statute miles."""

    longitude: float
    latitude: float
    miles: float


@dataclass(frozen=True, slots=True)
class Condition:
    """``property operator operand``; the operand is a JSON value (objects as nodes: a Circle, a Row …)."""

    path: str
    operator: Operator
    operand: Any
    session: SessionDefinition | None = None
    """For a property of the event's session, which ``path`` then names."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """``or``: true where any operand is true."""

    operands: tuple[Filter, ...]


Filter = Condition | AnyOf


@dataclass(frozen=True, slots=True)
class Span:
    """A resolved timeframe."""

    start_us: int | None = None
    end_us: int | None = None


@dataclass(frozen=True, slots=True)
class Buckets:
    """An interval resolved over a closed timeframe: bucket i is ``[edges[i], edges[i+1])``."""

    edges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ValueRange:
    """``low <= v < high``; an end of None is open. ``label`` is the group's value in the answer."""

    low: int | float | None
    high: int | float | None
    label: str


@dataclass(frozen=True, slots=True)
class Group:
    """One ``group_by`` entry: the plain property, numeric buckets of ``size``, ``ranges``, or a cohort.

    For a cohort, ``path`` is what the answer calls the group, and ``actor`` the property with the actor.
    """

    path: str
    size: float | None = None
    ranges: tuple[ValueRange, ...] | None = None
    cohort: ActorCohort | None = None
    actor: str = ""
    session: SessionDefinition | None = field(default=None, kw_only=True)
    """For a property of the event's session, which ``path`` then names."""

    @property
    def property_name(self) -> str:
        """The property whose values the group reads."""
        return self.path if self.cohort is None else self.actor

    def condition(self, operator: Operator, operand: Any) -> Condition:
        """A condition on what the group reads."""
        return Condition(self.property_name, operator, operand, self.session)


@dataclass(frozen=True, slots=True)
class Row:
    """The operand of ``in_group``: the value that a row of an answer has for ``group``; None is one too."""

    group: Group
    value: Any


@dataclass(frozen=True, slots=True)
class OtherRows:
    """An operand of ``in_group``: all rows but these, each the values that it has for ``groups``."""

    groups: tuple[Group, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One ``order_by`` entry; ``by`` is ``result``, a multi-analysis label or a group's path."""

    by: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One analysis; ``label`` is its key in a multi-analysis answer, None outside one."""

    analysis: Analysis
    target: str | None = None
    percentile: float | None = None
    label: str | None = None
    decimals: int | None = None
    """Decimals that the result is rounded to; None: not rounded."""
    merged: bool = False
    """Whether values are ids of actors, of which those that are linked are one."""


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """An analysis of single events; several metrics make a multi-analysis."""

    collection: str
    metrics: tuple[Metric, ...]
    span: Span = Span()
    filters: tuple[Filter, ...] = ()
    groups: tuple[Group, ...] = ()
    buckets: Buckets | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    zero_fill: bool = True
    multi: bool = False


@dataclass(frozen=True, slots=True)
class ExtractionQuery:
    collection: str
    span: Span = Span()
    filters: tuple[Filter, ...] = ()
    latest: int | None = None
    properties: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of one collection that a question about behaviour reads, and the property with their actor.

    ``where`` begins the names of the parameters that it was parsed from: ``steps[0].``.
    """

    collection: str
    actor: str
    span: Span
    filters: tuple[Filter, ...] = ()
    where: str = field(default="", kw_only=True, compare=False)
    shared: int = field(default=0, kw_only=True, compare=False)
    """How many of the filters, the first ones, are those of the whole query."""
    merged: bool = field(default=True, kw_only=True)
    """Whether ids that are linked are one actor."""


class Members:
    """The actors of a static cohort: JSON scalars but null. Equal where they are the same."""

    __slots__ = ("digest", "values")

    def __init__(self, values: tuple[Any, ...], digest: str) -> None:
        """``digest`` differs where the values do."""
        self.values = values
        self.digest = digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Members) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Members({self.digest})"


@dataclass(frozen=True, slots=True)
class CohortCondition:
    """What an actor of a cohort did, or another cohort that it belongs to; ``least <= number <= most``.

    The number is that of the selection's events; for a cohort it is 1 for its actors.
    """

    of: Selection | ActorCohort
    least: int = 0
    most: int | None = None

    def holds(self, number: int) -> bool:
        return self.least <= number and (self.most is None or number <= self.most)


@dataclass(frozen=True, slots=True)
class FunnelActors:
    """The actors that a step of a funnel counts, or those that the step before counts and it does not."""

    funnel: BehaviourQuery
    step: int
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class ActorCohort:
    """A set of actors: those that fulfil all of ``every`` and any of ``some``, or those that are listed.

    No actor without an event fulfils them. ``name`` is that of a saved cohort, empty for one defined where
    it is used.
    """

    name: str
    actor: str
    """The property that identifies an actor where the cohort is used."""
    every: tuple[CohortCondition, ...] = ()
    some: tuple[CohortCondition, ...] = ()
    members: Members | None = None
    funnel: FunnelActors | None = None
    merged: bool = True
    """Whether ids that are linked are one actor."""

    @property
    def conditions(self) -> tuple[CohortCondition, ...]:
        return (*self.every, *self.some)


class SessionProperty(StrEnum):
    """What an event's session is like, and where in it the event is."""

    DURATION = "duration"
    """Seconds from the session's first event to its last."""
    EVENTS = "events"
    BOUNCE = "bounce"
    """Whether the session has one event."""
    ENTRY = "entry"
    EXIT = "exit"
    NUMBER = "number"
    """Which of its actor's sessions in the timeframe it is, from 1."""
    POSITION = "position"
    """Which of the session's events it is, from 1; those of one time have the same."""
    UNFINISHED = "unfinished"
    """Whether events that were not read may belong to the session."""

    @property
    def path(self) -> str:
        """What conditions and groups call it."""
        return f"session.{self.value}"


@dataclass(frozen=True, slots=True)
class SessionDefinition:
    """What the sessions of a question are. Times are in µs.

    An event belongs to a session if it is of ``events``, whose spans are of no account.
    """

    events: tuple[Selection, ...]
    gap: int
    longest: int | None
    margin: int
    """How far before and after a timeframe events are read, beside the gap; not where ``midnights`` cut."""
    midnights: tzinfo | None = None
    """The zone at whose midnights sessions are cut."""
    page: str | None = None
    """The property whose values at a session's first and last event are its entry and its exit."""


class BehaviourQuery(ABC):
    """A question about what each actor did: ``query.language.analyses`` has one module for each kind."""

    __slots__ = ()

    @property
    @abstractmethod
    def selections(self) -> tuple[Selection, ...]:
        """All events that are read, in the order of the parameters."""

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """Further properties whose values are read, each with the parameter that names it."""
        return ()


@dataclass(frozen=True, slots=True)
class EventsRead:
    """Events of one collection that a composed question reads, and what it uses of them."""

    collection: str
    span: Span
    filters: tuple[Filter, ...] = ()
    """Those of the whole question first, ``shared`` of them, then those of this part."""
    shared: int = 0
    values: tuple[tuple[str, bool, str], ...] = ()
    """(property, whether it must be numeric, parameter) of each property whose values are used."""
    merged: bool = False
    """Whether it counts actors, of whom some ids may be linked."""
    where: str = ""
    """What the names of this part's parameters begin with: ``series.revenue.``."""


class ComposedQuery(ABC):
    """A question that several questions about single events answer together."""

    __slots__ = ()

    @property
    @abstractmethod
    def reads(self) -> tuple[EventsRead, ...]:
        """All events that are read, in the order of the parameters."""


_Part = TypeVar("_Part")


def found_in(part: Any, kind: type[_Part]) -> Iterator[_Part]:
    """Every value of a kind within a parsed question, after those within it; some more than once."""
    if isinstance(part, tuple):
        for item in part:
            yield from found_in(item, kind)
    elif is_dataclass(part):
        for one in fields(part):
            yield from found_in(getattr(part, one.name), kind)
        if isinstance(part, kind):
            yield part


Query = MetricQuery | ExtractionQuery | BehaviourQuery | ComposedQuery


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A parsed query, and the options that concern the rest of the response."""

    query: Query
    include_metadata: bool = False
    max_age: int | None = None
    preferences: Preferences = KEEN
    """The preferences that the query was parsed with."""
    explain: bool = False
    """Whether the response shows which statements were run for the answer."""
    version: str = ""
    """The version of the stored events that is read; empty: whatever is stored."""
    now_us: int = field(default=0, compare=False, repr=False)
    """What relative timeframes are relative to."""
    cohorts: tuple[tuple[str, str], ...] = ()
    """The name and the version of every saved cohort that the query uses."""
