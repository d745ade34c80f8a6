"""Questions: the analyses, their parameters, and the map of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from query.language.calendar import WeekStart
from query.language.preferences import DECIMALS_MAX, UNROUNDED
from service.http.openapi.describe import (
    BOOLEAN,
    PROJECT,
    SCRIPT,
    STRING,
    Answer,
    Area,
    Example,
    Json,
    Operation,
    listing,
    mapping,
    ok,
    record,
    ref,
)
from service.settings import Settings
from service.telemetry.metrics import ANALYSES

QUERIES = f"{PROJECT}/queries"
METRICS = tuple(name for name in ANALYSES if name not in ("extraction", "funnel"))
TARGETED = tuple(name for name in METRICS if name not in ("count", "multi_analysis"))
_COLLECTED = tuple(name for name in ANALYSES if name != "funnel")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a question: how JSON holds it, what it means, which analyses take it."""

    name: str
    schema: Json
    description: str
    analyses: tuple[str, ...] = ANALYSES
    required: bool = False
    plain: bool = True
    """Whether a query string holds it as it is; otherwise as JSON."""


_UNITS = "(minute|hour|day|week|month|year)"
_NAME: Json = {"type": "string", "minLength": 1}
_RELATIVE: Json = {
    "type": "string",
    "pattern": f"^(today|yesterday|(this|previous|last)_([1-9][0-9]{{0,8}}_{_UNITS}s?|{_UNITS}))$",
}
_ENDS: Json = {"start": {"type": "string"}, "end": {"type": "string"}}
_INTERVAL: Json = {
    "type": "string",
    "pattern": "^((minute|hour|week|month|year)ly|daily|every_[1-9][0-9]{0,8}_" + _UNITS + "s?)$",
}
_ORDER: Json = {
    "type": "object",
    "properties": {
        "property_name": _NAME,
        "direction": {"type": "string", "enum": ["ASC", "DESC"], "default": "ASC"},
    },
    "required": ["property_name"],
}
_ORDERED_BY: Json = {"anyOf": [STRING, _ORDER, {"type": "array", "items": {"anyOf": [STRING, _ORDER]}}]}
_GROUPED_BY: Json = {
    "anyOf": [STRING, ref("Group"), {"type": "array", "items": {"anyOf": [STRING, ref("Group")]}}]
}
WEEK_START: Json = {"type": "string", "enum": [day.value for day in WeekStart]}
ROUND: Json = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": DECIMALS_MAX}, {"const": UNROUNDED}]}
_TIMEZONE: Json = {"anyOf": [STRING, {"type": "integer"}]}
_NAMES: Json = {"anyOf": [STRING, {"type": "array", "items": STRING}]}

PARAMETERS = (
    Parameter("event_collection", _NAME, "The collection that is asked about.", _COLLECTED, required=True),
    Parameter(
        "target_property",
        _NAME,
        "The property to analyse, as a dotted path: `user.id`.",
        TARGETED,
        required=True,
    ),
    Parameter(
        "percentile",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        "Which percentile, by nearest rank.",
        ("percentile",),
        required=True,
    ),
    Parameter(
        "analyses",
        {"type": "object", "additionalProperties": ref("Analysis"), "minProperties": 1},
        "Label → analysis; the labels are keys of the answer.",
        ("multi_analysis",),
        required=True,
        plain=False,
    ),
    Parameter(
        "steps",
        {"type": "array", "items": ref("Step"), "minItems": 1, "maxItems": 20},
        "The steps. Each counts the actors of the steps before it that did this too, in any order.",
        ("funnel",),
        required=True,
        plain=False,
    ),
    Parameter(
        "timeframe",
        ref("Timeframe"),
        "Relative (`this_14_days`, `previous_month`, `today`) or `{start, end}`; none is all time.",
    ),
    Parameter(
        "timezone",
        _TIMEZONE,
        "Of a relative timeframe and of intervals: an IANA name, or seconds east of UTC.",
    ),
    Parameter(
        "filters",
        {"type": "array", "items": ref("Filter")},
        "Only events that pass all of these.",
        plain=False,
    ),
    Parameter(
        "interval",
        _INTERVAL,
        "One answer for each `minutely`, `hourly`, `daily`, `weekly`, `monthly`, `yearly` or "
        "`every_<n>_<units>` part of the timeframe.",
        METRICS,
    ),
    Parameter("group_by", _GROUPED_BY, "One answer for each value of these properties.", METRICS),
    Parameter("order_by", _ORDERED_BY, "Order of the groups: by `result` or a grouped property.", METRICS),
    Parameter(
        "limit", {"type": "integer", "minimum": 1}, "The first groups only; needs `order_by`.", METRICS
    ),
    Parameter("zero_fill", BOOLEAN, "Whether every group appears in every interval (default true).", METRICS),
    Parameter(
        "round",
        ROUND,
        "To how many decimals results are rounded, halves away from zero; `none`: not at all, whatever the "
        "project or the server prefers.",
        METRICS,
    ),
    Parameter(
        "week_start",
        WEEK_START,
        "On which day weeks begin, in relative timeframes and `weekly`; as the project prefers if absent.",
    ),
    Parameter(
        "latest", {"type": "integer", "minimum": 1}, "The newest events only, newest first.", ("extraction",)
    ),
    Parameter("property_names", _NAMES, "Only these properties of each event.", ("extraction",)),
    Parameter(
        "delivery",
        {"type": "string", "enum": ["link"]},
        "Make a file, to be fetched by a link: the answer names the job.",
        ("extraction",),
    ),
    Parameter(
        "email",
        STRING,
        "Make a file, and mail the link to it to this address, of a domain that the server's operator "
        "allows. A server that sends no mail says so, and names the job.",
        ("extraction",),
    ),
    Parameter(
        "content_type",
        {"type": "string", "enum": ["text/csv", "application/json", "application/vnd.apache.parquet"]},
        "Of a file: CSV (the default), an event in each line, or Parquet.",
        ("extraction",),
    ),
    Parameter(
        "content_encoding",
        {"type": "string", "enum": ["gzip"]},
        "How a file of lines is packed; absent: not at all.",
        ("extraction",),
    ),
    Parameter("include_metadata", BOOLEAN, "Whether to add `execution_metadata`."),
    Parameter("explain", BOOLEAN, "Whether to add `explain`: what was run for the answer, and what it read."),
    Parameter("max_age", {"type": "integer", "minimum": 0}, "How old, in seconds, the answer may be."),
)

_SUMMARIES = {
    "count": "Number of events",
    "count_unique": "Number of distinct values",
    "minimum": "Least number",
    "maximum": "Greatest number",
    "sum": "Sum of the numbers",
    "average": "Mean of the numbers",
    "median": "Median of the numbers, by nearest rank",
    "percentile": "Percentile of the numbers, by nearest rank",
    "standard_deviation": "Population standard deviation of the numbers",
    "select_unique": "The distinct values",
    "extraction": "The events themselves",
    "funnel": "How many actors took each step",
    "multi_analysis": "Several analyses at once",
}

_OPERATORS = (
    "eq",
    "ne",
    "lt",
    "lte",
    "gt",
    "gte",
    "exists",
    "in",
    "contains",
    "not_contains",
    "within",
    "regex",
)
_SCHEMAS: Json = {
    "Timeframe": {"anyOf": [_RELATIVE, record(_ENDS)]},
    "Filter": {
        "anyOf": [
            record(
                {
                    "property_name": _NAME,
                    "operator": {"type": "string", "enum": list(_OPERATORS)},
                    "property_value": {},
                },
                ("property_name", "operator"),
            ),
            record(
                {"operator": {"const": "or"}, "operands": listing(ref("Filter"))}, ("operator", "operands")
            ),
        ]
    },
    "Group": record(
        {
            "property_name": _NAME,
            "buckets": record({"size": {"type": "number", "exclusiveMinimum": 0}}, ("size",)),
            "ranges": listing(
                record({"from": {"type": "number"}, "to": {"type": "number"}, "label": STRING})
            ),
        },
        ("property_name",),
    ),
    "Analysis": record(
        {
            "analysis_type": {"type": "string", "enum": [*TARGETED, "count"]},
            "target_property": _NAME,
            "percentile": {"type": "number"},
            "round": ROUND,
        },
        ("analysis_type",),
    ),
    "Step": record(
        {
            "event_collection": _NAME,
            "actor_property": _NAME,
            "timeframe": ref("Timeframe"),
            "timezone": _TIMEZONE,
            "week_start": WEEK_START,
            "filters": listing(ref("Filter")),
            "inverted": BOOLEAN,
            "optional": BOOLEAN,
            "with_actors": BOOLEAN,
        },
        ("event_collection", "actor_property"),
    ),
    "Answer": record({"result": {}}, ("result",)),
}

_VALUES: dict[str, Json] = {
    "count": {"type": "integer", "minimum": 0},
    "count_unique": {"type": "integer", "minimum": 0},
    "sum": {"type": ["number", "null"]},
    "select_unique": {"type": "array"},
    **{
        name: {"type": ["number", "null"]}
        for name in ("minimum", "maximum", "average", "median", "percentile", "standard_deviation")
    },
    "multi_analysis": {"type": "object", "description": "The values by their labels."},
}
"""Of each analysis over all events that are asked about."""


def answer_of(analysis: str) -> Json:
    """The schema of an answer. Of a metric: a value; by groups a list of rows with the grouped properties
    and ``result``; by intervals one row for each, with one of the two as its ``value``."""
    if analysis == "extraction":
        found = _answer({"type": "array", "items": {"type": "object"}, "description": "The events."}, {})
        begun = record(
            {
                "result": {**STRING, "description": "What becomes of it."},
                "job": {"$ref": "#/components/schemas/ExtractionJob"},
            },
            ("result", "job"),
        )
        return {"anyOf": [{**found, "title": "Events"}, {**begun, "title": "A file that is being made"}]}
    if analysis == "funnel":
        counts = {"type": "array", "items": {"type": "integer", "minimum": 0}}
        return _answer(
            {**counts, "description": "The actors left after each step."},
            {
                "steps": {**listing({"type": "object"}), "description": "The steps as they were asked."},
                "actors": {"description": "Of each step that asked for them the actors, else null."},
            },
        )
    return _answer(_metric_result(_VALUES[analysis], labelled=analysis == "multi_analysis"), {})


def _answer(result: Json, more: Json) -> Json:
    metadata = {"type": "object", "description": "With `include_metadata`: what answering took."}
    explain = {"type": "object", "description": "With `explain`: what was run, and what it read."}
    beside = {
        **more,
        "warnings": listing(ref("Warning")),
        "execution_metadata": metadata,
        "explain": explain,
    }
    return record({"result": result, **beside}, ("result", *list(more)[:1]))


def _metric_result(value: Json, *, labelled: bool) -> Json:
    """Rows of a multi-analysis have the labels in place of ``result``."""
    group: Json = {"type": "object", "title": "A group", "properties": {} if labelled else {"result": value}}
    if not labelled:
        group["required"] = ["result"]
    groups = {"type": "array", "items": group, "title": "By group"}
    interval = record(
        {"timeframe": record(_ENDS, _ENDS), "value": {"anyOf": [value, groups]}}, ("timeframe", "value")
    )
    intervals = {"type": "array", "items": interval, "title": "By interval"}
    return {"anyOf": [{**value, "title": "A value"}, groups, intervals]}


_WHERE: Json = {"event_collection": "purchases", "timeframe": "this_14_days"}
_EXAMPLES: dict[str, Json] = {
    **{name: _WHERE | {"target_property": "price"} for name in TARGETED},
    "count": _WHERE | {"interval": "daily", "group_by": "user.id"},
    "percentile": _WHERE | {"target_property": "price", "percentile": 95},
    "extraction": _WHERE | {"latest": 10, "property_names": ["price", "keen.timestamp"]},
    "funnel": {
        "timeframe": "this_14_days",
        "steps": [
            {"event_collection": "signups", "actor_property": "user.id"},
            {
                "event_collection": "purchases",
                "actor_property": "user.id",
                "filters": [{"property_name": "price", "operator": "gt", "property_value": 2}],
            },
        ],
    },
    "multi_analysis": _WHERE
    | {
        "analyses": {
            "orders": {"analysis_type": "count"},
            "revenue": {"analysis_type": "sum", "target_property": "price"},
        },
    },
}
_FIRST: dict[str, Json] = {
    name: {}
    if name == "select_unique"
    else {"order_by": {"property_name": "result", "direction": "DESC"}, "limit": 3}
    for name in METRICS
}
_LACKING: Json = {"timeframe": "this_14_days"}


def area(_: Settings) -> Area:
    events = {
        "purchases": [{"price": 7, "user": {"id": "bob"}}, {"price": 30, "user": {"id": "ann"}}],
        "signups": [{"user": {"id": "ann"}}],
    }
    listed = Operation(
        "get",
        QUERIES,
        "The queries and where they are",
        ok(mapping(STRING), "Their addresses."),
        examples=(Example(key="read"),),
    )
    operations = [listed]
    for name in ANALYSES:
        operations += [_get(name), _post(name)]
    given = (("POST", f"{PROJECT}/events", events),)
    return Area("ask", "Ask questions.", tuple(operations), _SCHEMAS, given=given)


def body_of(analysis: str) -> Json:
    """The schema of a question as JSON."""
    taken = [one for one in PARAMETERS if analysis in one.analyses]
    return {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.description} for one in taken},
        "required": [one.name for one in taken if one.required],
    }


def _get(analysis: str) -> Operation:
    taken = [_query_parameter(one) for one in PARAMETERS if analysis in one.analyses]
    return Operation(
        "get",
        f"{QUERIES}/{analysis}",
        _SUMMARIES[analysis],
        {200: Answer("The answer.", answer_of(analysis), {SCRIPT: {}})},
        parameters=(*taken, "jsonp"),
        errors=(504,),
        examples=(Example(query=_as_query(_EXAMPLES[analysis]), key="read"),),
        name=f"get_{analysis}",
    )


def _post(analysis: str) -> Operation:
    return Operation(
        "post",
        f"{QUERIES}/{analysis}",
        _SUMMARIES[analysis],
        ok(answer_of(analysis), "The answer."),
        body=body_of(analysis),
        errors=(413, 415, 504),
        examples=(
            Example(body=_EXAMPLES[analysis], key="read"),
            *(Example(body=_EXAMPLES[analysis] | more, key="read") for more in _variants(analysis)),
            Example(body=_LACKING, key="read", status=400, summary="Something is missing"),
        ),
        name=f"post_{analysis}",
    )


def _variants(analysis: str) -> tuple[Json, ...]:
    """What else can be asked of the same."""
    if analysis not in METRICS:
        if analysis == "extraction":
            return ({"include_metadata": True}, {"delivery": "link", "content_encoding": "gzip"})
        return ({"include_metadata": True},)
    return (
        {"interval": "weekly", "timezone": "Europe/Warsaw", "week_start": "monday", "round": 2},
        {"group_by": ["user.id"], "interval": "daily", "zero_fill": False},
        {"group_by": "user.id", **({} if analysis == "multi_analysis" else _FIRST[analysis])},
    )


def _query_parameter(one: Parameter) -> Json:
    found: Json = {"name": one.name, "in": "query", "required": one.required, "description": one.description}
    if one.plain and one.schema.get("type") in ("string", "integer", "number", "boolean"):
        return {**found, "schema": one.schema}
    if one.plain:
        return {**found, "schema": STRING, "description": one.description + " Lists and objects as JSON."}
    return {**found, "content": {"application/json": {"schema": one.schema}}}


def _as_query(body: Mapping[str, Any]) -> dict[str, str]:
    """A question as a query string has it: texts and numbers as they are, all else as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
