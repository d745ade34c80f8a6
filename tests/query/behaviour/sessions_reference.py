"""Sessions, event by event: what ``query.behaviour.sessions`` is held to. Slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from query.behaviour.sessions import SessionRules


@dataclass(frozen=True)
class Happened:
    """``rank`` orders the events of one actor and one time; ``what`` is anything else about it."""

    actor: Any
    time: int
    rank: Any
    what: Any = None


def sessions(events: Sequence[Happened], rules: SessionRules) -> list[list[Happened]]:
    """The events of each session, by actor and time."""
    found: list[list[Happened]] = []
    for event in sorted(events, key=lambda one: (one.actor, one.time, one.rank)):
        if found and _goes_on(found[-1], event, rules):
            found[-1].append(event)
        else:
            found.append([event])
    return found


def _goes_on(session: Sequence[Happened], event: Happened, rules: SessionRules) -> bool:
    first, last = session[0], session[-1]
    return (
        event.actor == last.actor
        and event.time - last.time <= rules.gap
        and (rules.longest is None or event.time - first.time <= rules.longest)
        and not any(last.time < cut <= event.time for cut in rules.cuts)
    )
