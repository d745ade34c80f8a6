"""Properties of events' sessions, worked out event by event, as if the events had them themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from query.behaviour.sessions import SessionRules
from query.language.nodes import AnyOf, Condition, Filter, Group, Row, SessionDefinition, Span
from tests.query import reference
from tests.query.behaviour.sessions_answer import Session, happened, rank_of
from tests.query.behaviour.sessions_reference import sessions
from tests.query.support_source import Event

Collections = dict[str, list[Event]]


def enriched(
    collections: Collections, definition: SessionDefinition, span: Span, cuts: tuple[int, ...]
) -> Collections:
    """The events with an object ``session``, where they have a session. ``cuts``: where sessions are cut."""
    read = reading(definition, span, cuts)
    selections = [replace(one, span=read) for one in definition.events]
    alone: Collections = {
        name: [event for event in events if not _names_several(event, name, definition)]
        for name, events in collections.items()
    }
    page = Group(definition.page or "absent")
    found = happened(selections, lambda event, _: rank_of(event, page), alone)
    rules = SessionRules(definition.gap, cuts, definition.longest)
    properties: dict[int, dict[str, Any]] = {}
    numbers: dict[Any, int] = {}
    for session in sessions(found, rules):
        actor = session[0].actor
        if span.start_us is None or session[-1].time >= span.start_us:
            numbers[actor] = numbers.get(actor, 0) + 1
        chain = next(one for one in sessions(found, replace(rules, longest=None)) if session[0] in one)
        whole = _of_session(session, definition) | {
            "number": numbers.get(actor),
            "unfinished": _is_unfinished(session, chain, definition, read, cuts),
        }
        for event in session:
            before = sum(other.time < event.time for other in session)
            properties[id(event.what[0])] = {**whole, "position": before + 1}
    return {
        name: [
            {**event, "session": properties[id(event)]} if id(event) in properties else event
            for event in events
        ]
        for name, events in collections.items()
    }


def reading(definition: SessionDefinition, span: Span, cuts: tuple[int, ...]) -> Span:
    """The times that are read: with cuts whole days, and otherwise so much on both sides."""
    if definition.midnights is not None:
        start = None if span.start_us is None else max(cut for cut in cuts if cut <= span.start_us)
        return Span(start, None if span.end_us is None else min(cut for cut in cuts if cut >= span.end_us))
    around = definition.gap + definition.margin
    return Span(
        None if span.start_us is None else span.start_us - around,
        None if span.end_us is None else span.end_us + around,
    )


def plain(item: Filter) -> Filter:
    """The filter, of properties that the events have themselves."""
    if isinstance(item, AnyOf):
        return AnyOf(tuple(map(plain, item.operands)))
    operand = item.operand
    if isinstance(operand, Row):
        operand = Row(replace(operand.group, session=None), operand.value)
    return Condition(item.path, item.operator, operand)


def _of_session(session: Session, definition: SessionDefinition) -> dict[str, Any]:
    duration = (session[-1].time - session[0].time) / 1_000_000
    found: dict[str, Any] = {
        "duration": int(duration) if duration.is_integer() else duration,
        "events": len(session),
        "bounce": len(session) == 1,
    }
    if definition.page is not None:
        for name, event in (("entry", session[0]), ("exit", session[-1])):
            value = reference.lookup(event.what[0], definition.page)
            if isinstance(value, str | int | float | list):
                found[name] = value
    return found


def _is_unfinished(
    session: Session, chain: Session, definition: SessionDefinition, read: Span, cuts: tuple[int, ...]
) -> bool:
    """Whether an event just outside what is read could belong to the session."""
    if definition.midnights is not None:
        return False
    if read.start_us is not None and chain[0].time - (read.start_us - 1) <= definition.gap:
        return True
    if read.end_us is None or read.end_us - session[-1].time > definition.gap:
        return False
    return definition.longest is None or read.end_us - session[0].time <= definition.longest


def _names_several(event: Event, collection: str, definition: SessionDefinition) -> bool:
    """Whether the event's actor is a list, and so perhaps several."""
    actors = {one.actor for one in definition.events if one.collection == collection}
    return any(isinstance(reference.lookup(event, actor), list) for actor in actors)
