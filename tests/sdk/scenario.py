"""One small shop that every SDK records and asks about, with the answers worked out by hand.

Prices are 10, 20, 30 and 40; one purchase has no price and no country.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

Event = dict[str, Any]

TIMEFRAME = {"start": "2026-01-01T00:00:00.000Z", "end": "2026-01-04T00:00:00.000Z"}


def _purchase(at: str, user: str, **rest: object) -> Event:
    return {"keen": {"timestamp": at}, "user": {"id": user}, **rest}


PURCHASES = [
    _purchase("2026-01-01T10:00:00.000Z", "ann", price=10, country="PL", tags=["new", "sale"]),
    _purchase("2026-01-01T15:00:00.000Z", "bob", price=20, country="DE", tags=["new"]),
    _purchase("2026-01-02T09:00:00.000Z", "ann", price=30, country="PL", tags=[]),
    _purchase("2026-01-03T12:00:00.000Z", "dora", gift=True),
    _purchase("2026-01-03T23:30:00.000Z", "cid", price=40, country="PL", tags=["sale"]),
]
VISITS = [_purchase("2026-01-01T08:00:00.000Z", user) for user in ("ann", "bob", "cid", "eve")]

# analysis, its own parameters, the result over TIMEFRAME
SCALARS: list[tuple[str, dict[str, Any], Any]] = [
    ("count", {}, 5),
    ("sum", {"target_property": "price"}, 100),
    ("minimum", {"target_property": "price"}, 10),
    ("maximum", {"target_property": "price"}, 40),
    ("average", {"target_property": "price"}, 25),
    ("median", {"target_property": "price"}, 20),
    ("percentile", {"target_property": "price", "percentile": 75}, 30),
    ("percentile", {"target_property": "price", "percentile": 90}, 40),
    ("count_unique", {"target_property": "user.id"}, 4),
    ("select_unique", {"target_property": "user.id"}, ["ann", "bob", "cid", "dora"]),
]

# filter, how many purchases it keeps
FILTERS: list[tuple[dict[str, Any], int]] = [
    ({"property_name": "country", "operator": "eq", "property_value": "PL"}, 3),
    ({"property_name": "country", "operator": "ne", "property_value": "PL"}, 2),
    ({"property_name": "price", "operator": "lt", "property_value": 20}, 1),
    ({"property_name": "price", "operator": "lte", "property_value": 20}, 2),
    ({"property_name": "price", "operator": "gt", "property_value": 20}, 2),
    ({"property_name": "price", "operator": "gte", "property_value": 20}, 3),
    ({"property_name": "gift", "operator": "exists", "property_value": True}, 1),
    ({"property_name": "price", "operator": "exists", "property_value": False}, 1),
    ({"property_name": "country", "operator": "in", "property_value": ["DE", "FR"]}, 1),
    ({"property_name": "user.id", "operator": "contains", "property_value": "o"}, 2),
    ({"property_name": "user.id", "operator": "not_contains", "property_value": "o"}, 3),
    ({"property_name": "tags", "operator": "eq", "property_value": "sale"}, 2),
    ({"property_name": "user.id", "operator": "regex", "property_value": "^(ann|cid)$"}, 3),
    (
        {
            "operator": "or",
            "operands": [
                {"property_name": "price", "operator": "gt", "property_value": 30},
                {"property_name": "country", "operator": "eq", "property_value": "DE"},
            ],
        },
        2,
    ),
]

BY_COUNTRY = [
    {"country": "DE", "result": 1},
    {"country": "PL", "result": 3},
    {"country": None, "result": 1},
]
BY_COUNTRY_MOST_FIRST = [{"country": "PL", "result": 80}, {"country": "DE", "result": 20}]


def days() -> list[dict[str, str]]:
    """The three days of TIMEFRAME, as answers name them."""
    edges = [f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3, 4)]
    return [{"start": start, "end": end} for start, end in pairwise(edges)]


DAILY_COUNTS = [{"value": value, "timeframe": day} for value, day in zip((2, 1, 2), days(), strict=True)]
DAILY_SUMS_BY_COUNTRY = [
    {
        "value": [
            {"country": "DE", "result": german},
            {"country": "PL", "result": polish},
            {"country": None, "result": 0},
        ],
        "timeframe": day,
    }
    for german, polish, day in zip((20, 0, 0), (10, 30, 40), days(), strict=True)
]

STEPS: list[dict[str, Any]] = [
    {"event_collection": "visits", "actor_property": "user.id"},
    {"event_collection": "purchases", "actor_property": "user.id", "with_actors": True},
    {
        "event_collection": "purchases",
        "actor_property": "user.id",
        "filters": [{"property_name": "price", "operator": "gte", "property_value": 30}],
    },
]
FUNNEL = [4, 3, 2]
SECOND_STEP_ACTORS = ["ann", "bob", "cid"]

ANALYSES: dict[str, Any] = {
    "orders": {"analysis_type": "count"},
    "revenue": {"analysis_type": "sum", "target_property": "price"},
    "third": {"analysis_type": "percentile", "target_property": "price", "percentile": 75},
}
MULTI = {"orders": 5, "revenue": 100, "third": 30}

SCHEMA = {
    "country": "string",
    "gift": "bool",
    "keen.created_at": "datetime",
    "keen.id": "string",
    "keen.timestamp": "datetime",
    "price": "num",
    "tags": "list",
    "user.id": "string",
}
