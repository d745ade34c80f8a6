"""Lifecycle and stickiness, by sets: what ``query.behaviour.activity`` is held to. Slow and obvious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

Event = tuple[Any, int]
"""Actor, and time in µs."""


def lifecycle(events: Iterable[Event], edges: Sequence[int], before: int | None) -> list[list[int]]:
    """For each period the actors that are new, return, are resurrected, and are dormant."""
    seen = [event for event in events if before is not None or event[1] >= edges[0]]
    periods = list(pairwise(edges if before is None else (before, *edges)))
    active = [{actor for actor, time in seen if start <= time < end} for start, end in periods]
    known = {actor for actor, time in seen if before is not None and time < before}
    found = []
    last: set[Any] = set()
    for now in active:
        found.append([
            len(now - known), len(now & last), len((now & known) - last), len(last - now),
        ])  # fmt: skip
        known |= now
        last = now
    return found if before is None else found[1:]


def windows(
    events: Iterable[Event], days: Sequence[int], first: int, sizes: Sequence[int]
) -> list[list[int]]:
    """For each day from ``first`` on the actors of the days that end with it, for each size of window."""
    listed = list(events)
    return [
        [
            len({actor for actor, time in listed if days[max(0, day + 1 - size)] <= time < days[day + 1]})
            for size in sizes
        ]
        for day in range(first, len(days) - 1)
    ]


def histogram(events: Iterable[Event], edges: Sequence[int]) -> list[int]:
    """How many actors were active in 1, 2, 3 … of the periods."""
    spans = list(enumerate(pairwise(edges)))
    pairs = {(actor, number) for actor, time in events for number, (low, high) in spans if low <= time < high}
    counts = Counter(Counter(actor for actor, _ in pairs).values())
    return [counts[number] for number in range(1, len(edges))]
