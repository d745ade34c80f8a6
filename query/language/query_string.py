"""Converts the pairs of a query string into the parameters that an equivalent JSON body has.

Lists and objects are JSON (``filters=[…]``) or in bracket notation, as in PHP and jQuery
(``filters[0][property_name]=a``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import decode_json, structured
from query.language.parameter_table import BY_NAME, Spelling

BRACKETS_DEPTH_MAX = 220
"""Levels of brackets; the deepest filters have fewer."""
_BRACKETS = re.compile(r"(\w+)((?:\[[^\[\]]*\])+)", re.ASCII)
_INDEX = re.compile(r"\d{1,9}", re.ASCII)
_LITERAL = re.compile(r'-?\d.*|true|false|null|["\[{].*', re.ASCII | re.DOTALL)
_TYPED = frozenset({"property_value", "size", "from", "to"})
"""Keys below which bracketed values are typed: numbers, true, false and null are read as such."""

Tree = dict[str, Any]
"""Keys → texts and further trees."""


def from_query_string(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A mapping of parameter to value; lists and objects are decoded, other values stay text.

    Empty values count as absent, except for an empty timeframe, which would silently mean all time. Raises
    InvalidQuery where JSON is malformed (InvalidJSONError), brackets are invalid, or one parameter has two
    different values.
    """
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    trees: dict[str, Tree] = {}
    for name, text in pairs:
        base, keys = _split(name)
        if text == "" and base != "timeframe" and "property_value" not in keys:
            continue
        parameter = BY_NAME.get(base)
        if parameter is not None and parameter.repeated and len(keys) < 2 and all(map(_is_index, keys)):
            lists.setdefault(base, []).append(text)
        elif keys:
            _put(trees.setdefault(base, {}), keys, text, base, name)
        elif parameter is not None:
            _put_once(texts, name, text, name)
        else:
            # The last value of an unknown parameter is used.
            texts[name] = text
    params = {name: _value(name, text) for name, text in texts.items()}
    params.update((name, _list(name, value)) for name, value in lists.items())
    for name, tree in trees.items():
        value = _assembled(tree, as_object=name == "analyses")
        if name in params and params[name] != value:
            raise ambiguous(name)
        params[name] = value
    return params


def _split(name: str) -> tuple[str, list[str]]:
    """Splits a parameter's name from the keys in brackets after it. Raises InvalidQuery."""
    base = name.partition("[")[0]
    if base == name:
        return name, []
    match = _BRACKETS.fullmatch(name)
    if base not in BY_NAME:
        return name, []
    if match is None or BY_NAME[base].spelling is Spelling.WORD:
        raise _unreadable(name)
    keys = match[2][1:-1].split("][")
    if len(keys) > BRACKETS_DEPTH_MAX:
        raise InvalidQuery(f"'{base}' is nested more than {BRACKETS_DEPTH_MAX} levels deep in brackets.")
    return base, keys


def _is_index(key: str) -> bool:
    return key == "" or _INDEX.fullmatch(key) is not None


def _put(tree: Tree, keys: Sequence[str], text: str, base: str, name: str) -> None:
    for key in keys[:-1]:
        if key == "":
            # With empty brackets it is ambiguous which values belong to the same object.
            raise _unreadable(name)
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ambiguous(base)
    key = keys[-1] or str(len(tree))
    value = _literal(text, name) if not _TYPED.isdisjoint(keys) else text
    if tree.setdefault(key, value) != value:
        raise ambiguous(base)


def _literal(text: str, name: str) -> Any:
    """The JSON value that the text represents, or the text itself."""
    if not _LITERAL.fullmatch(text):
        return text
    try:
        return decode_json(name, text)
    except InvalidQuery:
        if text[0] in '"[{':
            raise
        return text


def _assembled(tree: Any, *, as_object: bool = False) -> Any:
    """Converts trees whose keys are all numbers into lists, in the order of the numbers."""
    if not isinstance(tree, dict):
        return tree
    parts = {key: _assembled(part) for key, part in tree.items()}
    if not as_object and all(_INDEX.fullmatch(key) for key in parts):
        return [parts[key] for key in sorted(parts, key=int)]
    return parts


def _value(name: str, text: str) -> Any:
    parameter = BY_NAME.get(name)
    spelling = Spelling.WORD if parameter is None else parameter.spelling
    if spelling is Spelling.JSON:
        return decode_json(name, text)
    if name == "timeframe":
        return _timeframe(text)
    return structured(name, text) if spelling is Spelling.EITHER else text


def _timeframe(text: str) -> Any:
    """Malformed JSON stays text, so that it is reported as an invalid timeframe, as in a body."""
    try:
        return structured("timeframe", text)
    except InvalidQuery:
        return text


def _list(name: str, texts: list[str]) -> Any:
    if len(set(texts)) == 1:
        return _value(name, texts[0])
    values = [_value(name, text) for text in texts]
    return [entry for value in values for entry in (value if isinstance(value, list) else [value])]


def _put_once(values: dict[str, str], key: str, text: str, name: str) -> None:
    if values.setdefault(key, text) != text:
        raise ambiguous(name)


def _unreadable(name: str) -> InvalidQuery:
    return InvalidQuery(
        f"The parameter '{name[:100]}' cannot be read. Write lists and objects as JSON, such as "
        "filters=[…], or in numbered brackets, such as filters[0][property_name]=… and timeframe[start]=…."
    )


def ambiguous(name: str) -> InvalidQuery:
    return InvalidQuery(f"You have multiple values for {name} specified.")
