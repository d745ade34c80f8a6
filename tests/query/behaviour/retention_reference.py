"""Retention, event by event: what ``query.behaviour.retention`` is held to. Slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from query.language.analyses.retention_nodes import Cohort, RetentionQuery, ReturnOn


@dataclass(frozen=True)
class Done:
    """An event of an actor. ``group``: its place in the order of groups."""

    actor: Any
    time: int
    starts: bool
    returns: bool
    group: Any = 0


def retained(events: Sequence[Done], query: RetentionQuery) -> dict[tuple[Any, int], tuple[int, list[int]]]:
    """(group, number of the cohort) → its size, and the actors retained in each column."""
    found: dict[tuple[Any, int], tuple[int, list[int]]] = {}
    for actor in {event.actor for event in events}:
        own = [event for event in events if event.actor == actor]
        for cohort, begun in _entered(own, query):
            size, counts = found.setdefault((begun.group, cohort), (0, [0] * len(query.columns)))
            passed = {_passed(query, cohort, begun.time, event.time)
                      for event in own if event.returns and event.time >= begun.time}  # fmt: skip
            for number, column in enumerate(query.columns):
                if query.returned is ReturnOn.ON_OR_AFTER:
                    hit = any(period >= column.first for period in passed)
                else:
                    hit = any(column.first <= period <= column.last for period in passed)
                counts[number] += hit
            found[begun.group, cohort] = size + 1, counts
    return found


def _entered(own: Sequence[Done], query: RetentionQuery) -> list[tuple[int, Done]]:
    """The cohorts of one actor, each with the event that put it there: of one time, the least group's."""
    starts = sorted((event for event in own if event.starts), key=lambda event: (event.time, event.group))
    if query.cohort is Cohort.FIRST_TIME:
        first = [(_cohort(query, event.time), event) for event in starts[:1]]
        return [(cohort, event) for cohort, event in first if cohort is not None]
    entered: dict[int, Done] = {}
    for event in starts:
        cohort = _cohort(query, event.time)
        if cohort is not None:
            entered.setdefault(cohort, event)
    return list(entered.items())


def _cohort(query: RetentionQuery, time: int) -> int | None:
    spans = enumerate(query.cohorts)
    return next((number for number, span in spans if span.start_us <= time < span.end_us), None)


def _passed(query: RetentionQuery, cohort: int, begun: int, time: int) -> int:
    """How many periods after the start a time lies."""
    if query.length is not None:
        return (time - begun) // query.length
    period = _cohort(query, time)
    assert period is not None
    return period - cohort
