"""Serializes an extraction, so that it can run after its request without being parsed or checked again.

Relative timeframes are stored as absolute ones, and the filters of the requesting key are stored as they were
at the time of the request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from query.errors import InvalidQuery
from query.language.cohorts.finding import cohorts_in
from query.language.nodes import (
    AnyOf,
    Circle,
    Condition,
    ExtractionQuery,
    Filter,
    Group,
    Operator,
    Row,
    Span,
    ValueRange,
)


def freeze(query: ExtractionQuery, forced: Iterable[Filter]) -> str:
    """Encodes the query and the key's filters as JSON, which ``thaw`` reads."""
    fields = {
        "collection": query.collection,
        "start_us": query.span.start_us,
        "end_us": query.span.end_us,
        "filters": _encoded_list(query.filters),
        "latest": query.latest,
        "properties": query.properties,
        "forced": _encoded_list(forced),
    }
    return json.dumps(fields, separators=(",", ":"))


def thaw(text: str) -> tuple[ExtractionQuery, tuple[Filter, ...]]:
    """The query, and the filters of the key that requested it. Raises ValueError, KeyError if invalid."""
    fields = json.loads(text)
    properties = fields["properties"]
    query = ExtractionQuery(
        collection=fields["collection"],
        span=Span(fields["start_us"], fields["end_us"]),
        filters=_decoded_list(fields["filters"]),
        latest=fields["latest"],
        properties=None if properties is None else tuple(properties),
    )
    return query, _decoded_list(fields["forced"])


def _encoded_list(filters: Iterable[Filter]) -> list[Any]:
    return [_encoded(item) for item in filters]


def _encoded(item: Filter) -> dict[str, Any]:
    if isinstance(item, AnyOf):
        return {"any": _encoded_list(item.operands)}
    operand = item.operand
    if any(cohorts_in(item)):
        raise InvalidQuery(
            "An extraction as a file cannot use cohorts: it runs later, when a cohort may have other actors. "
            "Ask for the events themselves, or for shorter timeframes.",
            "InvalidFilterError",
        )
    if isinstance(operand, Circle):
        operand = {"circle": [operand.longitude, operand.latitude, operand.miles]}
    if isinstance(operand, Row):
        group = operand.group
        ranges = group.ranges and [[one.low, one.high, one.label] for one in group.ranges]
        operand = {"value": operand.value, "size": group.size, "ranges": ranges}
    return {"path": item.path, "operator": item.operator.value, "operand": operand}


def _decoded_list(listed: Iterable[Mapping[str, Any]]) -> tuple[Filter, ...]:
    return tuple(_decoded(item) for item in listed)


def _decoded(item: Mapping[str, Any]) -> Filter:
    if "any" in item:
        return AnyOf(_decoded_list(item["any"]))
    operand = item["operand"]
    if isinstance(operand, dict) and "circle" in operand:
        operand = Circle(*operand["circle"])
    elif isinstance(operand, dict):
        ranges = operand["ranges"] and tuple(ValueRange(*one) for one in operand["ranges"])
        operand = Row(Group(item["path"], operand["size"], ranges), operand["value"])
    return Condition(item["path"], Operator(item["operator"]), operand)
