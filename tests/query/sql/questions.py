"""The questions whose statements are kept as snapshots, and the collections that they are about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from storage.schema import ARROW_TYPES, CREATED_AT, EMPTIES, EVENT_ID, NULLS, TIMESTAMP, LaneKind, Schema
from storage.source import NOWHERE, DataFile, Source

Json = dict[str, Any]

NOW_US = 1_768_485_600_000_000  # 2026-01-15T14:00:00Z, a Thursday
DAY_US = 86_400_000_000
JANUARY_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z"""
JANUARY = {"start": "2026-01-01", "end": "2026-02-01"}
PLACE = "keen.location.coordinates"

_SCHEMA = Schema().extended(
    [
        ("plan", LaneKind.STRING),
        ("price", LaneKind.NUMBER),
        ("price", LaneKind.INTEGER),
        ("price", LaneKind.LONG),
        ("score", LaneKind.NUMBER),
        ("user.id", LaneKind.STRING),
        ("user.id", LaneKind.NUMBER),
        ("paid", LaneKind.BOOLEAN),
        ("tags", LaneKind.JSON),
        ("ordered_at", LaneKind.STRING),
        (PLACE, LaneKind.JSON),
    ]
)
_COLUMNS = {TIMESTAMP, CREATED_AT, EVENT_ID, *(lane.column for lane in _SCHEMA.lanes)}
_GREATEST = {"price": 1000.0, "score": 250.0}


def _file(number: int, first_day: int, days: int, columns: set[str], *, marked: bool = True) -> DataFile:
    start = JANUARY_US + first_day * DAY_US
    return DataFile(
        path=f"purchases/{number}.parquet",
        rows=1000,
        bytes=50_000,
        min_us=start,
        max_us=start + days * DAY_US - 1,
        columns={name: _GREATEST.get(name) for name in sorted(columns)},
        id=number,
        marked=marked,
    )


def _tail() -> pa.Table:
    """Two events of the fifteenth of January, without tags."""
    instants = pa.array([NOW_US, NOW_US + 1], pa.timestamp("us"))
    columns: dict[str, pa.Array] = {
        TIMESTAMP: instants,
        CREATED_AT: instants,
        EVENT_ID: pa.array(["0" * 24, "1" * 24]),
    }
    for lane in _SCHEMA.lanes:
        if lane.path in ("plan", "price", "score", "user.id"):
            columns[lane.column] = pa.array([None, None], ARROW_TYPES[lane.kind])
    return pa.table(columns)


PURCHASES = Source(
    _SCHEMA,
    (_file(1, 0, 14, _COLUMNS), _file(2, 20, 20, _COLUMNS - {"tags"} | {NULLS, EMPTIES})),
    _tail(),
)
"""One file lies in January whole; the other goes on into February, and has nulls and empty objects."""
IN_FILES = replace(PURCHASES, tail=None)
OLD = Source(
    _SCHEMA,
    tuple(
        _file(n, n, 1, _COLUMNS - {c}, marked=n > 2)
        for n, c in enumerate(("plan", "score", "paid", "tags", "ordered_at", "user.id"))
    ),
)
"""Files that differ in their columns, some of before instants were marked as UTC."""
SPRING = Source(_SCHEMA, (_file(7, 80, 20, _COLUMNS),))
"""In whose time the clocks of Berlin change."""
SOURCES = {"purchases": PURCHASES, "files": IN_FILES, "old": OLD, "spring": SPRING}


def source_of(name: str) -> Source:
    return SOURCES.get(name, NOWHERE)


def where(path: str, operator: str, value: Any) -> Json:
    return {"property_name": path, "operator": operator, "property_value": value}


def down(name: str) -> Json:
    return {"property_name": name, "direction": "DESC"}


def asked(analysis: str, collection: str = "purchases", **params: Any) -> tuple[str, Json]:
    return analysis, {"event_collection": collection, **params}


def _filtered(*filters: Json) -> tuple[str, Json]:
    return asked("count", "files", filters=list(filters))


def _grouped(*groups: Any, **params: Any) -> tuple[str, Json]:
    return asked("count", "files", group_by=list(groups), **params)


def _by(interval: str, timeframe: Any = JANUARY, **params: Any) -> tuple[str, Json]:
    return asked("count", "files", interval=interval, timeframe=timeframe, **params)


def _step(collection: str, actor: str = "user.id", **more: Any) -> Json:
    return {"event_collection": collection, "actor_property": actor, **more}


_BUCKETS = {"property_name": "score", "buckets": {"size": 10}}
_DECIMAL_BUCKETS = {"property_name": "score", "buckets": {"size": 0.1}}
_RANGES = {"property_name": "price", "ranges": [{"to": 10}, {"from": 10, "to": 20.5, "label": "middle"}]}
_MANY_RANGES = {"property_name": "score", "ranges": [{"from": n, "to": n + 1} for n in range(20)]}

READING = {
    "count_in_a_timeframe": asked("count", timeframe=JANUARY),
    "count_of_a_key_with_filters": asked("count"),
    "count_in_files_of_different_columns": asked("count", "old", filters=[where("plan", "eq", "pro")]),
    "count_in_files_read_by_name": asked("count", "old", group_by=["plan", "score", "paid", "user.id"]),
}
FILTERS = {
    "filter_eq": _filtered(where("plan", "eq", "pro"), where("paid", "eq", True)),
    "filter_ne": _filtered(where("plan", "ne", "pro")),
    "filter_null": _filtered(where("plan", "eq", None)),
    "filter_number_of_any_length": _filtered(where("price", "gte", 12.5)),
    "filter_text_that_may_be_a_time": _filtered(where("ordered_at", "lt", "2026-01-10T00:00:00+01:00")),
    "filter_keen_timestamp": _filtered(
        where("keen.timestamp", "gte", "2026-01-10"), where("plan", "eq", "a")
    ),
    "filter_exists": _filtered(where("user", "exists", True)),
    "filter_in": _filtered(where("user.id", "in", ["ann", 7, None])),
    "filter_in_a_long_list": _filtered(where("plan", "in", [f"plan {n}" for n in range(51)])),
    "filter_contains": _filtered(where("plan", "contains", "o"), where("tags", "contains", "new")),
    "filter_not_contains": _filtered(where("plan", "not_contains", "o")),
    "filter_regex": _filtered(where("plan", "regex", "^pro")),
    "filter_within": _filtered(
        where(PLACE, "within", {"coordinates": [13.4, 52.5], "max_distance_miles": 10})
    ),
    "filter_list": _filtered(where("tags", "eq", ["new", 1, None])),
    "filter_in_group": _filtered(
        where("plan", "in_group", "pro"),
        where("tags", "in_group", None),
        {**where("score", "in_group", 20), "buckets": {"size": 10}},
        {**where("price", "in_group", "some"), "ranges": [{"from": 1, "to": 9.5, "label": "some"}]},
    ),
    "filter_or": _filtered(
        {"operator": "or", "operands": [where("plan", "eq", "pro"), where("price", "lt", 5)]}
    ),
}
GROUPS = {
    "group_by_text": _grouped("plan"),
    "group_by_two_of_mixed_types": _grouped("user.id", "paid"),
    "group_by_list": _grouped("tags"),
    "group_by_buckets": _grouped(_BUCKETS),
    "group_by_decimal_buckets": _grouped(_DECIMAL_BUCKETS),
    "group_by_ranges": _grouped(_RANGES),
    "group_by_many_ranges": _grouped(_MANY_RANGES),
    "order_by_result_with_limit": _grouped("plan", order_by=[down("result"), "plan"], limit=3),
}
INTERVALS = {
    "interval_daily": _by("daily"),
    "interval_hourly": _by("hourly", "previous_2_days"),
    "interval_over_a_change_of_clocks": asked(
        "count",
        "spring",
        interval="daily",
        timeframe={"start": "2026-03-28T00:00:00+01:00", "end": "2026-03-31T00:00:00+02:00"},
        timezone="Europe/Berlin",
    ),
    "interval_too_irregular_for_arithmetic": _by("monthly", {"start": "2020-01-01", "end": "2030-01-01"}),
    "interval_and_group": _by("daily", group_by="plan", filters=[where("paid", "eq", True)]),
}
AGGREGATES = {
    "sum": asked("sum", target_property="score"),
    "sum_ordered": asked(
        "sum", "files", target_property="score", group_by="plan", order_by=down("result"), limit=2
    ),
    "average_of_numbers_of_any_length": asked("average", target_property="price"),
    "minimum": asked("minimum", target_property="price"),
    "median": asked("median", target_property="price"),
    "standard_deviation": asked("standard_deviation", target_property="score"),
    "count_unique": asked("count_unique", target_property="user.id"),
    "select_unique_of_lists": asked("select_unique", "files", target_property="tags"),
    "multi_analysis": asked(
        "multi_analysis",
        "files",
        timeframe=JANUARY,
        interval="weekly",
        group_by="plan",
        analyses={
            "orders": {"analysis_type": "count"},
            "buyers": {"analysis_type": "count_unique", "target_property": "user.id"},
            "p90": {"analysis_type": "percentile", "target_property": "score", "percentile": 90},
        },
    ),
    "several_percentiles": asked(
        "multi_analysis",
        "files",
        analyses={
            "middle": {"analysis_type": "median", "target_property": "score"},
            "p90": {"analysis_type": "percentile", "target_property": "score", "percentile": 90},
        },
    ),
}
OTHERS = {
    "extraction": asked("extraction", "files", timeframe=JANUARY),
    "extraction_of_some_properties": asked("extraction", latest=5, property_names=["user", "score"]),
    "funnel": ("funnel", {"steps": [_step("files"), _step("files", filters=[where("plan", "eq", "pro")])]}),
    "funnel_in_order": (
        "funnel",
        {
            "order": "ordered",
            "window": "7_days",
            "steps": [
                _step("files", with_actors=True),
                _step("files", filters=[where("plan", "eq", "pro")]),
                _step("old", "plan"),
            ],
        },
    ),
    "paths": (
        "paths",
        {
            "events": [{"event_collection": "files", "by": "plan"}, {"event_collection": "old"}],
            "actor_property": "user.id",
            "to": {"event_collection": "files", "filters": [where("paid", "eq", True)]},
        },
    ),
    "sessions": asked("sessions", "files", actor_property="user.id", timeframe=JANUARY),
    "sessions_of_two_collections_by_group": (
        "sessions",
        {
            "events": [
                {"event_collection": "purchases", "filters": [where("paid", "eq", True)]},
                {"event_collection": "purchases"},
                {"event_collection": "old", "actor_property": "plan"},
            ],
            "actor_property": "user.id",
            "page_property": "tags",
            "group_by": [_RANGES, "plan"],
        },
    ),
    "retention": (
        "retention",
        {
            "starting_event": {"event_collection": "purchases"},
            "actor_property": "user.id",
            "timeframe": JANUARY,
            "interval": "weekly",
        },
    ),
    "lifecycle": asked("lifecycle", "files", actor_property="user.id", timeframe=JANUARY, interval="daily"),
    "lifecycle_of_many_days": asked(
        "lifecycle",
        "files",
        actor_property="user.id",
        timeframe={"start": "2025-11-01", "end": "2026-02-01"},
        interval="daily",
        first_in="timeframe",
    ),
    "stickiness": asked("stickiness", "files", actor_property="plan", timeframe=JANUARY),
    "retention_by_a_group": (
        "retention",
        {
            "starting_event": {"event_collection": "files", "filters": [where("plan", "eq", "pro")]},
            "returning_event": {"event_collection": "old", "actor_property": "plan"},
            "actor_property": "user.id",
            "timeframe": JANUARY,
            "interval": "weekly",
            "first_in": "history",
            "group_by": "tags",
        },
    ),
    "funnel_of_two_collections_with_actors": (
        "funnel",
        {
            "steps": [
                _step("files", timeframe={"start": "2026-01-01", "end": "2026-01-08"}, with_actors=True),
                _step("files", timeframe={"start": "2026-01-08", "end": "2026-01-15"}, inverted=True),
                _step("old", "plan"),
            ]
        },
    ),
}
QUESTIONS: dict[str, tuple[str, Json]] = READING | FILTERS | GROUPS | INTERVALS | AGGREGATES | OTHERS
