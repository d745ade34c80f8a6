"""An extraction as text that outlives its request: every value of it is fixed, and nothing is judged again.

What was asked relative to the time of asking is absolute here, and the filters of the key that asked stand
beside it as they were then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from query.language.nodes import AnyOf, Circle, Condition, ExtractionQuery, Filter, Operator, Span


def freeze(query: ExtractionQuery, forced: Iterable[Filter]) -> str:
    """JSON that ``thaw`` reads."""
    held = {
        "collection": query.collection,
        "start_us": query.span.start_us,
        "end_us": query.span.end_us,
        "filters": _listed(query.filters),
        "latest": query.latest,
        "properties": query.properties,
        "forced": _listed(forced),
    }
    return json.dumps(held, separators=(",", ":"))


def thaw(text: str) -> tuple[ExtractionQuery, tuple[Filter, ...]]:
    """The question, and the filters of the key that asked it. Raises ValueError, KeyError."""
    held = json.loads(text)
    properties = held["properties"]
    query = ExtractionQuery(
        collection=held["collection"],
        span=Span(held["start_us"], held["end_us"]),
        filters=_read(held["filters"]),
        latest=held["latest"],
        properties=None if properties is None else tuple(properties),
    )
    return query, _read(held["forced"])


def _listed(filters: Iterable[Filter]) -> list[Any]:
    return [_written(one) for one in filters]


def _written(one: Filter) -> dict[str, Any]:
    if isinstance(one, AnyOf):
        return {"any": _listed(one.operands)}
    operand = one.operand
    if isinstance(operand, Circle):
        operand = {"circle": [operand.longitude, operand.latitude, operand.miles]}
    return {"path": one.path, "operator": one.operator.value, "operand": operand}


def _read(listed: Iterable[Mapping[str, Any]]) -> tuple[Filter, ...]:
    return tuple(_filter(one) for one in listed)


def _filter(one: Mapping[str, Any]) -> Filter:
    if "any" in one:
        return AnyOf(_read(one["any"]))
    operand = one["operand"]
    if isinstance(operand, dict):
        operand = Circle(*operand["circle"])
    return Condition(one["path"], Operator(one["operator"]), operand)
