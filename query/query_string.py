"""A query string's pairs as the mapping that a JSON body would have been."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from query.errors import InvalidQuery
from query.fields import decode_json, structured

_JSON = frozenset({"filters", "steps", "analyses"})
"""Nothing but JSON."""
_EITHER = frozenset({"timeframe", "timezone", "interval", "group_by", "order_by", "property_names"})
"""A bare text, or JSON where it begins like a list, an object or a quoted string."""
_LISTS = frozenset({"group_by", "property_names"})
"""Repeated, or written ``name[]``, they are a list."""
_SINGLE = (
    _JSON
    | _EITHER - _LISTS
    | {
        "event_collection",
        "target_property",
        "percentile",
        "latest",
        "limit",
        "zero_fill",
        "include_metadata",
        "max_age",
    }
)
"""Two different values of these are an error; of a parameter unknown here the last one counts."""
_BRACKETS = re.compile(r"(\w+)\[(\w*)\]", re.ASCII)


def from_query_string(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Parameter → value; lists and objects decoded, other values as their text.

    Empty values count as absent, but for an empty timeframe, which would silently mean all time. Raises
    InvalidQuery where JSON is malformed (InvalidJSONError) or one parameter has two values.
    """
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    ends: dict[str, str] = {}
    for name, text in pairs:
        if text == "" and name != "timeframe":
            continue
        brackets = _BRACKETS.fullmatch(name)
        base, key = (brackets[1], brackets[2]) if brackets else (name, "")
        if brackets and base == "timeframe" and key in ("start", "end"):
            _put_once(ends, key, text, base)
        elif base in _LISTS:
            lists.setdefault(base, []).append(text)
        elif base in _SINGLE and brackets is None:
            _put_once(texts, name, text, name)
        else:
            texts[name] = text
    params = {name: _value(name, text) for name, text in texts.items()}
    params.update((name, _list(name, found)) for name, found in lists.items())
    if ends:
        if "timeframe" in params and not _agrees(params["timeframe"], ends):
            raise _ambiguous("timeframe")
        params["timeframe"] = ends
    return params


def _value(name: str, text: str) -> Any:
    if name in _JSON:
        return decode_json(name, text)
    if name == "timeframe":
        return _timeframe(text)
    return structured(name, text) if name in _EITHER else text


def _timeframe(text: str) -> Any:
    """What is no JSON stays text: it is a bad timeframe, and told so as in a body."""
    try:
        return structured("timeframe", text)
    except InvalidQuery:
        return text


def _list(name: str, found: list[str]) -> Any:
    if len(set(found)) == 1:
        return _value(name, found[0])
    values = [_value(name, text) for text in found]
    return [entry for value in values for entry in (value if isinstance(value, list) else [value])]


def _put_once(values: dict[str, str], key: str, text: str, name: str) -> None:
    if values.setdefault(key, text) != text:
        raise _ambiguous(name)


def _agrees(timeframe: Any, ends: dict[str, str]) -> bool:
    """True where the bracket form only repeats the other one, as old explorer links do."""
    if not isinstance(timeframe, dict) or len(timeframe) != len(ends):
        return False
    return all(isinstance(value, str) and ends.get(key) == value for key, value in timeframe.items())


def _ambiguous(name: str) -> InvalidQuery:
    return InvalidQuery(f"You have multiple values for {name} specified.")
