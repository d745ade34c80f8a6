"""Ordered funnels, event by event: what ``query.behaviour.ordered_funnel`` is held to. Slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from query.behaviour.ordered_funnel import OrderRules, StepRule

Event = tuple[Any, int, int]
"""Actor, time in µs, and the steps it counts for as bits."""


def counted(events: Sequence[Event], steps: Sequence[StepRule], rules: OrderRules) -> list[list[Any]]:
    """The actors of each step."""
    by_actor: dict[Any, list[Event]] = {}
    for event in events:
        by_actor.setdefault(event[0], []).append(event)
    found: list[list[Any]] = [[] for _ in steps]
    for actor, own in sorted(by_actor.items()):
        # At one time, in the order of the first step that an event counts for; then of the others.
        own.sort(key=lambda one: (one[1], [not one[2] >> bit & 1 for bit in range(len(steps))]))
        for number, did in enumerate(_did(own, steps, rules)):
            if did:
                found[number].append(actor)
    return found


def _did(own: Sequence[Event], steps: Sequence[StepRule], rules: OrderRules) -> list[bool]:
    """Whether one actor is counted by each step."""
    # Each end of a chain: the index of its last event, and the latest of its possible first events.
    ends = {index: index for index, one in enumerate(own) if one[2] & 1}
    left, barred = dict(ends), []
    did = [bool(ends)]
    for number, step in enumerate(steps[1:], 1):
        hits = [index for index, one in enumerate(own) if one[2] >> number & 1]
        if step.inverted:
            alone = {
                end: begun
                for end, begun in left.items()
                if not any(_after(own, end, hit, rules) and _in_time(own, begun, hit, rules) for hit in hits)
            }
            did.append(bool(alone))
            if not step.optional:
                left = alone
                barred.append(hits)
            continue
        reached: dict[int, int] = {}
        for hit in hits:
            begins = [
                begun
                for end, begun in ends.items()
                if _after(own, end, hit, rules)
                and _in_time(own, begun, hit, rules)
                and (not rules.adjacent or end == hit - 1)
                and not any(
                    _after(own, end, one, rules) and _after(own, one, hit, rules)
                    for others in barred
                    for one in others
                )
            ]
            if begins:
                reached[hit] = max(begins)
        did.append(bool(reached))
        if not step.optional:
            ends, left, barred = reached, dict(reached), []
    return did


def _after(own: Sequence[Event], earlier: int, later: int, rules: OrderRules) -> bool:
    return own[later][1] > own[earlier][1] if rules.later else later > earlier


def _in_time(own: Sequence[Event], begun: int, last: int, rules: OrderRules) -> bool:
    return rules.window is None or own[last][1] - own[begun][1] <= rules.window
