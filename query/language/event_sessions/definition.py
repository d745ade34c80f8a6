"""Parses ``session``: what the sessions are whose properties filters and groups name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language import timeframe
from query.language.analyses.parsing import Parsing, choice, length
from query.language.analyses.sequence_nodes import Cut
from query.language.fields import missing, structured, text, wrong
from query.language.nodes import Selection, SessionDefinition, SessionProperty, Span
from query.language.parameter_table import DEFAULT_GAP, SESSION
from query.language.suggestions import did_you_mean
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US

LENGTH_MAX = MAX_INSTANT_US - MIN_INSTANT_US
"""All times differ by less."""
_HOUR_US = 3_600_000_000
_NAMES = [one.value for one in SessionProperty]
_WITH_COLLECTIONS = (
    *("steps", "exclusions", "events", "starting_event", "returning_event", "from", "to", "series"),
)
_OF_PAGES = (SessionProperty.ENTRY, SessionProperty.EXIT)


class QuestionSessions:
    """The sessions of one question, parsed where they are first needed."""

    def __init__(self, parsing: Parsing) -> None:
        """``parsing`` refuses properties of sessions: sessions cannot be made of themselves."""
        self._parsing = parsing
        self._definition: SessionDefinition | None = None
        if parsing.params.get(SESSION) not in (None, "", {}):
            # Its faults are reported even if nothing uses it.
            self._parsed()

    def property_of(self, value: Any, name: str, code: str) -> tuple[SessionProperty, SessionDefinition]:
        """The property that ``value`` names. Raises InvalidQuery, which calls the parameter ``name``."""
        if not isinstance(value, str) or value not in _NAMES:
            hint = did_you_mean(value, _NAMES) if isinstance(value, str) else ""
            raise wrong(name, f"one of {', '.join(_NAMES)}", value, code, hint)
        definition, found = self._parsed(), SessionProperty(value)
        if found in _OF_PAGES and definition.page is None:
            raise missing(f"{SESSION}.page_property", because=name)
        return found, definition

    def _parsed(self) -> SessionDefinition:
        if self._definition is None:
            self._definition = _definition(self._parsing)
        return self._definition


def _definition(parsing: Parsing) -> SessionDefinition:
    given = structured(SESSION, parsing.params.get(SESSION))
    if given is None or given == "":
        given = {}
    if not isinstance(given, Mapping):
        raise wrong(SESSION, 'an object such as {"gap": "30_minutes", "page_property": "path"}', given)
    margin = parsing.limits.session_margin_hours * _HOUR_US
    gap = length(f"{SESSION}.gap", given.get("gap") or DEFAULT_GAP) or 0
    longest = length(f"{SESSION}.longest", given.get("longest"))
    longest = None if longest is None else min(longest, LENGTH_MAX)
    page = given.get("page_property")
    return SessionDefinition(
        _events(parsing, given),
        min(gap, LENGTH_MAX),
        longest,
        margin if longest is None else min(longest, margin),
        _midnights(parsing, given),
        text(f"{SESSION}.page_property", page, parsing.limits.name_length_max) if page else None,
    )


def _midnights(parsing: Parsing, given: Mapping[str, Any]) -> tzinfo | None:
    """The zone at whose midnights sessions are cut; None: they are not."""
    zone = given.get("timezone")
    own = None if zone in (None, "") else timeframe.parse_timezone(zone)
    if choice(Cut, f"{SESSION}.cut", given.get("cut")) is None:
        return None
    if own is not None:
        return own
    return timeframe.bucket_zone(parsing.params.get("timeframe"), parsing.params.get("timezone"))


def _events(parsing: Parsing, given: Mapping[str, Any]) -> tuple[Selection, ...]:
    named = f"{SESSION}.events"
    entries = structured(named, given.get("events"))
    if entries is None or entries == [] or entries == "":
        collections = list(dict.fromkeys(_asked(parsing.params)))
        if not collections:
            raise missing(named)
        return tuple(
            _selection(parsing, given, {"event_collection": one}, f"{SESSION}.") for one in collections
        )
    if not isinstance(entries, list):
        raise wrong(named, "a list of objects with event_collection", entries)
    if len(entries) > parsing.limits.event_lists_max:
        raise QueryLimitExceeded(f"'{named}' may have at most {parsing.limits.event_lists_max} entries.")
    selections = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise wrong(f"{named}[{index}]", "an object with event_collection", entry)
        selections.append(_selection(parsing, given, entry, f"{named}[{index}]."))
    actors: dict[str, str] = {}
    for index, one in enumerate(selections):
        if actors.setdefault(one.collection, one.actor) != one.actor:
            raise InvalidQuery(
                f"'{named}[{index}].actor_property' must be that of the entry before it of the collection "
                f"'{one.collection}': an event has one actor."
            )
    return tuple(selections)


def _selection(parsing: Parsing, given: Mapping[str, Any], entry: Mapping[str, Any], where: str) -> Selection:
    own = next((one for one in (entry, given) if one.get("actor_property")), parsing.params)
    actor = parsing.actor(own, "" if own is parsing.params else where if own is entry else f"{SESSION}.")
    filters = parsing.filters(structured(f"{where}filters", entry.get("filters")), f"{where}filters")
    collection = parsing.collection(entry, where)
    return Selection(collection, actor, Span(), filters, where=where, merged=parsing.merged)


def _asked(params: Mapping[str, Any]) -> Iterator[str]:
    """The collections of a question. Faults of its parameters are reported where those are parsed."""
    named = params.get("event_collection")
    if named and isinstance(named, str):
        yield named
    for name in (
        "steps",
        "exclusions",
        "events",
        "starting_event",
        "returning_event",
        "from",
        "to",
        "series",
    ):
        try:
            value = structured(name, params.get(name))
        except InvalidQuery:
            continue
        entries = value if isinstance(value, list) else [value]
        if name == "series" and isinstance(value, Mapping):
            entries = list(value.values())
        for entry in entries:
            own = entry.get("event_collection") if isinstance(entry, Mapping) else None
            if own and isinstance(own, str):
                yield own


def with_sessions(parsing: Parsing) -> Parsing:
    """The inputs of a parse in which filters and groups may name properties of sessions."""
    return replace(parsing, session_of=QuestionSessions(parsing).property_of)
