"""Parsed questions about behaviour, as frozen values; their bases are in ``query.language.nodes``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from query.language.nodes import BehaviourQuery, Buckets, Group, Selection


@dataclass(frozen=True, slots=True)
class Step(Selection):
    """One funnel step. ``echo`` is the normalised step that the answer repeats."""

    inverted: bool = False
    optional: bool = False
    with_actors: bool = False
    with_dropped: bool = False
    least_gap: int = 0
    """µs after the required step before."""
    most_gap: int | None = None
    echo: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)


class FunnelOrder(StrEnum):
    """Whether the steps of a funnel follow each other in time."""

    ANY = "any"
    """They need not: Keen's funnel."""
    ORDERED = "ordered"
    STRICT = "strict"
    """They do, with no event of another step between them."""


class EqualTimes(StrEnum):
    """Whether events of one time follow each other."""

    IN_ORDER = "in_order"
    """They do, in the order of the steps that they count for."""
    APART = "apart"
    """They do not: a step is later than the one before."""


@dataclass(frozen=True, slots=True)
class Exclusion(Selection):
    """Events of which none may lie between two steps: positions of steps, from the first on."""

    after: int = 0
    before: int = 1


class Counting(StrEnum):
    """What a step counts."""

    ACTORS = "actors"
    SESSIONS = "sessions"
    CONVERSIONS = "conversions"
    """The greatest number of chains of events up to the step of which no two overlap."""


class FunnelAttribution(StrEnum):
    """The step of an actor's attempt whose event says the group, where it is not the number of a step."""

    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Durations:
    """Times between the steps: which percentiles, and the edges of the histogram in µs."""

    percentiles: tuple[float, ...]
    edges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FunnelQuery(BehaviourQuery):
    """``window``: µs from the first step's event to the last one's; None: no limit.

    Everything from ``exclusions`` on needs an order.
    """

    steps: tuple[Step, ...]
    order: FunnelOrder = FunnelOrder.ANY
    window: int | None = None
    equal_times: EqualTimes = EqualTimes.IN_ORDER
    exclusions: tuple[Exclusion, ...] = ()
    hold: str | None = None
    """The property that has one value in all steps."""
    group: Group | None = None
    attribution: FunnelAttribution | int = FunnelAttribution.FIRST
    """An integer is the position of a step."""
    buckets: Buckets | None = None
    """Of the time of the first step."""
    counting: Counting = Counting.ACTORS
    session_gap: int | None = None
    """µs without an event of the funnel, after which another session begins."""
    durations: Durations | None = None
    explained: Any = None
    """The actor whose events are explained; None for none."""

    @property
    def selections(self) -> tuple[Selection, ...]:
        return (*self.steps, *self.exclusions)

    @property
    def values_read(self) -> tuple[tuple[Group, str], ...]:
        """What is read of each event beside its time, each with its parameter."""
        held = None if self.hold is None else Group(self.hold)
        named = ((self.group, "group_by"), (held, "hold"))
        return tuple((group, name) for group, name in named if group is not None)

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        return tuple((group.property_name, name) for group, name in self.values_read if group.session is None)
