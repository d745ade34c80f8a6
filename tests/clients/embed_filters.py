"""Filters of embed tokens that a server takes and such that it does not, for both SDKs."""

from __future__ import annotations

from typing import Any

from query.errors import QueryError
from query.language.filters import parse_filters
from query.language.nodes import Operator
from query.limits import Limits

CIRCLE = {"coordinates": [21.0, 52.2], "max_distance_miles": 10}
VALUES: tuple[Any, ...] = ("x", "", 1, 1.5, True, None, [], ["x", 1, None], [[]], CIRCLE)


def _cases() -> list[list[Any]]:
    """Lists of filters: every operator with every kind of value, and what has another shape."""
    cases: list[list[Any]] = []
    for operator in (*Operator, "equals", "or", None):
        name = "keen.location.coordinates" if operator is Operator.WITHIN else "country"
        for value in VALUES:
            cases.append([{"property_name": name, "operator": operator, "property_value": value}])
        cases.append([{"property_name": name, "operator": operator}])
    sound = {"property_name": "country", "operator": "eq", "property_value": "PL"}
    cases += [[], [sound], [{"operator": "or", "operands": [sound]}], [{"operator": "or", "operands": []}]]
    cases += [[None], ["country"], [{**sound, "property_name": ""}], [{**sound, "property_name": 1}]]
    cases += [[{"operator": "or", "operands": bad}] for bad in (sound, [{**sound, "operator": 1}], None)]
    return cases


def taken_by_server(filters: Any) -> bool:
    try:
        parse_filters(filters, Limits(), lambda _: None)
    except QueryError:
        return False
    return True


CASES = _cases()
