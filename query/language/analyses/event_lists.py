"""Parses the events of questions about what follows what: ``event_collection``, or a list of ``events``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.analyses.parsing import Parsing
from query.language.analyses.sequence_nodes import EventList
from query.language.fields import missing, structured, wrong
from query.language.nodes import Span


def parse_events(parsing: Parsing, span: Span) -> tuple[EventList, ...]:
    """The entries, each over the span, and with the filters of the whole query before its own."""
    params = parsing.params
    entries = structured("events", params.get("events"))
    if entries is None or entries == []:
        if not params.get("event_collection"):
            raise missing("events")
        return (_entry(parsing, {"event_collection": params["event_collection"]}, "", span),)
    if params.get("event_collection"):
        raise InvalidQuery("Send either 'event_collection' or 'events', which names several, not both.")
    if not isinstance(entries, list):
        raise wrong("events", "a list of objects with event_collection", entries)
    if len(entries) > parsing.limits.event_lists_max:
        raise QueryLimitExceeded(f"'events' may have at most {parsing.limits.event_lists_max} entries.")
    return tuple(_entry(parsing, entry, f"events[{index}].", span) for index, entry in enumerate(entries))


def _entry(parsing: Parsing, entry: Any, where: str, span: Span) -> EventList:
    if not isinstance(entry, Mapping):
        raise wrong(where[:-1], "an object with event_collection", entry)
    shared = parsing.filters(structured("filters", parsing.params.get("filters")))
    own = parsing.filters(structured(f"{where}filters", entry.get("filters")), f"{where}filters")
    return EventList(
        parsing.collection(entry, where),
        parsing.actor(entry, where),
        span,
        (*shared, *own),
        where=where,
        shared=len(shared),
    )
