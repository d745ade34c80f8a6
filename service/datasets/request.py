"""Parameters of a request for a dataset's results: index values, and a part of the timeframe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.precomputed import Scalar
from query.errors import InvalidQuery
from query.language.fields import decode_json, encodable, is_number, missing, shown, structured, wrong
from query.language.nodes import Condition, Operator, Span
from service.datasets.definition import DatasetDefinition

HoldsText = Callable[[str], bool]
"""Returns whether any event has a text in this property."""


@dataclass(frozen=True, slots=True)
class IndexValues:
    """One value for each index property; ``echo``: the values as the request spelled them."""

    values: tuple[Scalar, ...]
    echo: Any

    def filters(self, paths: Sequence[str]) -> tuple[Condition, ...]:
        """Filters that match the events with these values."""
        return tuple(
            Condition(path, Operator.EQ, value) for path, value in zip(paths, self.values, strict=True)
        )


def index_values(given: str | None, paths: Sequence[str], holds_text: HoldsText) -> IndexValues:
    """The values in the parameter ``index_by``: a JSON object, a JSON list, JSON text or unquoted text.

    Unquoted text that spells a JSON number, boolean or null is read as that if no event has a text in the
    property; otherwise it is text. Raises InvalidQuery.
    """
    if given is None or given == "":
        raise missing("index_by")
    mark = given.lstrip()[:1]
    if mark == "{":
        return _of_object(decode_json("index_by", given), paths)
    if mark == "[":
        listed = decode_json("index_by", given)
        if len(listed) != len(paths):
            raise _wrong(paths, listed)
        return IndexValues(tuple(_scalar(value, paths) for value in listed), listed)
    if len(paths) > 1:
        raise _wrong(paths, given)
    if mark == '"':
        return IndexValues((_scalar(decode_json("index_by", given), paths),), given)
    value = given if holds_text(paths[0]) else _spelled(given)
    return IndexValues((_scalar(value, paths),), given)


def part_of(definition: DatasetDefinition, given: str | None, now_us: int) -> tuple[Span, Any]:
    """The part of the dataset's timeframe that the parameter ``timeframe`` names, and its spelling.

    Without the parameter it is the whole timeframe. A request may go beyond the end of a timeframe that is
    still running: there are no events, unless they are dated ahead. Raises InvalidQuery.
    """
    whole = definition.span(now_us)
    if given is None or given == "":
        return whole, definition.query["timeframe"]
    sent = structured("timeframe", given)
    span = definition.resolved(sent, now_us)
    if isinstance(sent, Mapping) and (span.start_us is None or span.end_us is None):
        # An open end is the dataset's own.
        span = Span(
            whole.start_us if span.start_us is None else span.start_us,
            whole.end_us if span.end_us is None else span.end_us,
        )
    assert whole.start_us is not None and whole.end_us is not None
    assert span.start_us is not None and span.end_us is not None
    running = whole.end_us >= now_us
    if span.start_us < whole.start_us or (span.end_us > whole.end_us and not running):
        raise InvalidQuery(
            f"The timeframe '{shown(sent)}' is not inside the dataset's own, "
            f"'{shown(definition.query['timeframe'])}'.",
            "TimeframeDefinitionError",
        )
    return span, sent


def _of_object(given: Mapping[str, Any], paths: Sequence[str]) -> IndexValues:
    if set(given) != set(paths):
        raise _wrong(paths, given)
    return IndexValues(tuple(_scalar(given[path], paths) for path in paths), given)


def _scalar(value: Any, paths: Sequence[str]) -> Scalar:
    if value is None or isinstance(value, bool) or (isinstance(value, str) and encodable(value)):
        return value
    if is_number(value) and isinstance(value, int | float):
        return value
    raise _wrong(paths, value)


def _spelled(given: str) -> Any:
    try:
        value = json.loads(given)
    except (ValueError, RecursionError):
        return given
    return value if value is None or isinstance(value, bool) or is_number(value) else given


def _wrong(paths: Sequence[str], given: Any) -> InvalidQuery:
    needs = "a value, or a JSON object" if len(paths) == 1 else "a JSON object"
    return wrong("index_by", f"{needs} with one text, number, boolean or null for {', '.join(paths)}", given)
