"""Parsed questions about behaviour, as frozen values; their bases are in ``query.language.nodes``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from query.language.nodes import BehaviourQuery, Selection


@dataclass(frozen=True, slots=True)
class Step(Selection):
    """One funnel step. ``echo`` is the normalised step that the answer repeats."""

    inverted: bool = False
    optional: bool = False
    with_actors: bool = False
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
class FunnelQuery(BehaviourQuery):
    """``window``: µs from the first step's event to the last one's; None: no limit."""

    steps: tuple[Step, ...]
    order: FunnelOrder = FunnelOrder.ANY
    window: int | None = None
    equal_times: EqualTimes = EqualTimes.IN_ORDER

    @property
    def selections(self) -> tuple[Selection, ...]:
        return self.steps
