"""Parses the events of questions about what follows what: ``event_collection``, or a list of ``events``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.analyses.parsing import Parsing
from query.language.analyses.sequence_nodes import EventList
from query.language.fields import missing, structured, text, wrong
from query.language.nodes import Span


def parse_events(parsing: Parsing, span: Span, *, named: bool = False) -> tuple[EventList, ...]:
    """The entries, each over the span, and with the filters of the whole query before its own.

    ``named``: they may say what their events are called.
    """
    if not named:
        _refuse_names(parsing)
    params = parsing.params
    entries = structured("events", params.get("events"))
    if entries is None or entries == []:
        if not params.get("event_collection"):
            raise missing("events")
        return (parse_entry(parsing, {"event_collection": params["event_collection"]}, "", span),)
    if params.get("event_collection"):
        raise InvalidQuery("Send either 'event_collection' or 'events', which names several, not both.")
    if not isinstance(entries, list):
        raise wrong("events", "a list of objects with event_collection", entries)
    if len(entries) > parsing.limits.event_lists_max:
        raise QueryLimitExceeded(f"'events' may have at most {parsing.limits.event_lists_max} entries.")
    return tuple(
        parse_entry(parsing, entry, f"events[{index}].", span) for index, entry in enumerate(entries)
    )


def parse_entry(parsing: Parsing, entry: Any, where: str, span: Span) -> EventList:
    """One entry; ``where`` begins the names of its parameters."""
    if not isinstance(entry, Mapping):
        raise wrong(where[:-1], "an object with event_collection", entry)
    length_max = parsing.limits.name_length_max
    shared = parsing.filters(structured("filters", parsing.params.get("filters")))
    own = parsing.filters(structured(f"{where}filters", entry.get("filters")), f"{where}filters")
    collection = parsing.collection(entry, where)
    name, by = entry.get("name"), parsing.own_or_root(entry, "by")
    return EventList(
        collection,
        parsing.actor(entry, where),
        span,
        (*shared, *own),
        text(f"{where}name", name, length_max) if name else collection,
        text(f"{where}by", by, length_max) if by else None,
        where=where,
        by_where=f"{where if entry.get('by') else ''}by",
        shared=len(shared),
        merged=parsing.merged,
    )


def _refuse_names(parsing: Parsing) -> None:
    """Raises InvalidQuery where an entry names its events, in a question that does not."""
    entries = structured("events", parsing.params.get("events"))
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        for key in ("name", "by"):
            if isinstance(entry, Mapping) and entry.get(key):
                raise InvalidQuery(f"'events[{index}].{key}' has a place in paths only: leave it out.")
