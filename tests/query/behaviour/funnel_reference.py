"""Ordered funnels, event by event: what ``query.behaviour.ordered_funnel`` is held to. Slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from query.behaviour.ordered_funnel import OrderRules, StepRule

Event = tuple[Any, ...]
"""Actor, time in µs, and the steps it counts for as bits, with more bits for what is excluded; then, where
events have a group, the position of its value."""


@dataclass(frozen=True)
class Found:
    """Of one actor: which steps count it, its attempt as indexes into its events, and conversions by step."""

    did: list[bool]
    attempt: list[int | None]
    conversions: list[int]
    events: list[Event]


def by_actor(events: Sequence[Event], steps: Sequence[StepRule], rules: OrderRules) -> dict[Any, Found]:
    own_events: dict[Any, list[Event]] = {}
    for event in events:
        own_events.setdefault(event[0], []).append(event)
    found = {}
    for actor, own in own_events.items():
        # At one time, in the order of the first step that an event counts for; then of the others.
        own.sort(key=_order)
        found[actor] = _Actor(own, steps, rules).found()
    return found


def _order(event: Event) -> Any:
    return event[1], [not event[2] >> bit & 1 for bit in range(64)], event[3:]


@dataclass
class _Actor:
    own: list[Event]
    steps: Sequence[StepRule]
    rules: OrderRules

    def found(self) -> Found:
        steps = self.steps
        # Each end of a chain: the index of its last event, and the latest of its possible first events.
        ends = {index: index for index in self._hits(0) if self._enters(index)}
        left, barred = dict(ends), list[list[int]]()
        did, conversions = [bool(ends)], [len(ends)]
        ways: list[dict[int, int]] = [dict(ends)]
        """Of each required step: the event before, for each event that reaches it."""
        required = [0]
        passed: list[int] = []
        """The optional steps since the last required one."""
        for number, step in enumerate(steps[1:], 1):
            hits = self._hits(number)
            if step.inverted:
                alone = {
                    end: begun
                    for end, begun in left.items()
                    if not any(self._after(end, hit) and self._in_time(begun, hit) for hit in hits)
                }
                did.append(bool(alone))
                conversions.append(0)
                if step.optional:
                    passed.append(number)
                else:
                    left = alone
                    barred.append(hits)
                continue
            forbidden = [*barred, [at for at, one in enumerate(self.own) if one[2] & step.excluded]]
            others = [at for at in range(len(steps)) if at not in passed]
            between = [at for at, one in enumerate(self.own) if any(one[2] >> other & 1 for other in others)]
            chosen = {hit: self._before(hit, ends, step, forbidden, between) for hit in hits}
            reached = {hit: max(ends[end] for end in before) for hit, before in chosen.items() if before}
            did.append(bool(reached))
            conversions.append(_disjoint(reached))
            if step.optional:
                passed.append(number)
            else:
                ways.append({hit: max(before) for hit, before in chosen.items() if before})
                required.append(number)
                ends, left, barred, passed = reached, dict(reached), [], []
        return Found(did, self._attempt(ways, required), conversions, self.own)

    def _attempt(self, ways: list[dict[int, int]], required: list[int]) -> list[int | None]:
        attempt: list[int | None] = [None] * len(self.steps)
        furthest = max((at for at, way in enumerate(ways) if way), default=None)
        if furthest is not None:
            end = min(ways[furthest])
            for at in range(furthest, -1, -1):
                attempt[required[at]] = end
                end = ways[at][end]
        return attempt

    def _before(
        self,
        hit: int,
        ends: dict[int, int],
        step: StepRule,
        forbidden: list[list[int]],
        between: list[int],
    ) -> list[int]:
        """The events that it may follow; where they have to be adjacent, with none of ``between`` between."""
        return [
            end
            for end, begun in ends.items()
            if self._after(end, hit)
            and self._in_time(begun, hit)
            and self._spent(end, hit) >= step.least_gap
            and (step.most_gap is None or self._spent(end, hit) <= step.most_gap)
            and (not self.rules.adjacent or not any(end < at < hit for at in between))
            and not any(
                self._after(end, one) and self._after(one, hit) for others in forbidden for one in others
            )
        ]

    def _hits(self, step: int) -> list[int]:
        return [index for index, one in enumerate(self.own) if one[2] >> step & 1]

    def _enters(self, index: int) -> bool:
        entered = self.rules.entered
        return entered is None or entered[0] <= self.own[index][1] < entered[1]

    def _after(self, earlier: int, later: int) -> bool:
        return self._spent(earlier, later) > 0 if self.rules.later else later > earlier

    def _spent(self, earlier: int, later: int) -> int:
        return int(self.own[later][1] - self.own[earlier][1])

    def _in_time(self, begun: int, last: int) -> bool:
        return self.rules.window is None or self._spent(begun, last) <= self.rules.window


def _disjoint(reached: dict[int, int]) -> int:
    """How many chains there are of which none begins before another has ended: those that end first."""
    number, ended = 0, -1
    for end, begun in sorted(reached.items()):
        if begun > ended:
            number, ended = number + 1, end
    return number
