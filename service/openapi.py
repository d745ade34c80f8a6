"""The OpenAPI document: every route of the API, its parameters, answers and errors.

Written by hand, since the most used routes are not FastAPI's (``service.collect`` answers them) and the
others read the query string and the body themselves, in the several forms that Keen's clients send.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.metrics import ANALYSES
from service.settings import Settings

TITLE = "Acumen"
VERSION = "3.0"
Json = dict[str, Any]

DESCRIPTION = """\
Send JSON events, ask questions about them. The API is Keen's 3.0, so its SDKs work with the host changed.

A key goes into the header `Authorization` as it is, without `Bearer`, or into the parameter `api_key`; the
header wins. Bodies are read as JSON whatever their content type. Every error has a `message` for people and
an `error_code` for programs; unknown parameters are ignored. Text without a time zone is UTC.
"""

_STRING: Json = {"type": "string"}
_BOOLEAN: Json = {"type": "boolean"}
_METRICS = tuple(name for name in ANALYSES if name not in ("extraction", "funnel"))
_TARGETED = tuple(name for name in _METRICS if name not in ("count", "multi_analysis"))
_COLLECTED = tuple(name for name in ANALYSES if name != "funnel")


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


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


_ORDER: Json = {
    "type": "object",
    "properties": {
        "property_name": _STRING,
        "direction": {"type": "string", "enum": ["ASC", "DESC"], "default": "ASC"},
    },
    "required": ["property_name"],
}
_ORDERED_BY: Json = {"anyOf": [_STRING, _ORDER, {"type": "array", "items": {"anyOf": [_STRING, _ORDER]}}]}
_GROUPED_BY: Json = {
    "anyOf": [_STRING, _ref("Group"), {"type": "array", "items": {"anyOf": [_STRING, _ref("Group")]}}]
}
_TIMEZONE: Json = {"anyOf": [_STRING, {"type": "integer"}]}
_NAMES: Json = {"anyOf": [_STRING, {"type": "array", "items": _STRING}]}

PARAMETERS = (
    Parameter("event_collection", _STRING, "The collection that is asked about.", _COLLECTED, required=True),
    Parameter(
        "target_property",
        _STRING,
        "The property to analyse, as a dotted path: `user.id`.",
        _TARGETED,
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
        {"type": "object", "additionalProperties": _ref("Analysis")},
        "Label → analysis; the labels are keys of the answer.",
        ("multi_analysis",),
        required=True,
        plain=False,
    ),
    Parameter(
        "steps",
        {"type": "array", "items": _ref("Step")},
        "The steps. Each counts the actors of the steps before it that did this too, in any order.",
        ("funnel",),
        required=True,
        plain=False,
    ),
    Parameter(
        "timeframe",
        _ref("Timeframe"),
        "Relative (`this_14_days`, `previous_month`, `today`) or `{start, end}`; none is all time.",
    ),
    Parameter(
        "timezone",
        _TIMEZONE,
        "Of a relative timeframe and of intervals: an IANA name, or seconds east of UTC.",
    ),
    Parameter(
        "filters",
        {"type": "array", "items": _ref("Filter")},
        "Only events that pass all of these.",
        plain=False,
    ),
    Parameter(
        "interval",
        _STRING,
        "One answer for each `minutely`, `hourly`, `daily`, `weekly`, `monthly`, `yearly` or "
        "`every_<n>_<units>` part of the timeframe.",
        _METRICS,
    ),
    Parameter("group_by", _GROUPED_BY, "One answer for each value of these properties.", _METRICS),
    Parameter("order_by", _ORDERED_BY, "Order of the groups: by `result` or a grouped property.", _METRICS),
    Parameter(
        "limit", {"type": "integer", "minimum": 1}, "The first groups only; needs `order_by`.", _METRICS
    ),
    Parameter(
        "zero_fill", _BOOLEAN, "Whether every group appears in every interval (default true).", _METRICS
    ),
    Parameter(
        "latest", {"type": "integer", "minimum": 1}, "The newest events only, newest first.", ("extraction",)
    ),
    Parameter("property_names", _NAMES, "Only these properties of each event.", ("extraction",)),
    Parameter("include_metadata", _BOOLEAN, "Whether to add `execution_metadata`."),
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

_EXAMPLES: dict[str, Json] = {
    "percentile": {
        "event_collection": "purchases",
        "target_property": "price",
        "percentile": 95,
        "timeframe": "this_14_days",
    },
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
    "multi_analysis": {
        "event_collection": "purchases",
        "timeframe": "this_14_days",
        "analyses": {
            "orders": {"analysis_type": "count"},
            "revenue": {"analysis_type": "sum", "target_property": "price"},
        },
    },
}
"""Of the questions whose bodies are hard to guess."""


def document(settings: Settings) -> Json:
    """The document, version 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": settings.public_url or "/"}],
        "tags": [{"name": name} for name in ("record", "ask", "schema", "discover", "operate")],
        "paths": _paths(settings),
        "components": {
            "schemas": _SCHEMAS,
            "parameters": _COMMON,
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "Authorization"},
                "parameter": {"type": "apiKey", "in": "query", "name": "api_key"},
            },
        },
        "security": [{"header": []}, {"parameter": []}],
    }


def _paths(settings: Settings) -> Json:
    project = "/3.0/projects/{project_id}"
    events = f"{project}/events"
    return {
        f"{events}/{{event_collection}}": {
            "parameters": _common("project_id", "event_collection"),
            "post": _record_one(settings),
            "get": _inspect_or_beacon(),
        },
        events: {
            "parameters": _common("project_id"),
            "post": _record_many(settings),
            "get": _list_collections(),
        },
        f"{events}/{{event_collection}}/properties/{{property_name}}": {
            "parameters": _common("project_id", "event_collection", "property_name"),
            "get": _simple("schema", "The type of one property", _ref("Property")),
        },
        f"{project}/queries": {
            "parameters": _common("project_id"),
            "get": _simple("ask", "The queries and where they are", {"type": "object"}),
        },
        **{f"{project}/queries/{name}": _query(name) for name in ANALYSES},
        "/3.0/projects": {"get": _simple("discover", "The projects of a master key", _list(_ref("Project")))},
        project: {
            "parameters": _common("project_id"),
            "get": _simple("discover", "One project and its collections", _ref("Project")),
        },
        f"{project}/organization-usage": {
            "parameters": _common("project_id"),
            "get": _simple("discover", "Limits of cached queries: there are none", {"type": "object"}),
        },
        "/": {"get": _open("discover", "The versions of the API", _list({"type": "object"}))},
        "/3.0": {"get": _open("discover", "Where the projects are", {"type": "object"})},
        "/timezones": {"get": _open("discover", "Time zones and their offsets now", _list(_ref("Timezone")))},
        "/health": {"get": _open("operate", "Is the process alive?", {"type": "object"})},
        "/ready": {
            "get": _open("operate", "May it be sent requests? 503 while it stops", {"type": "object"})
        },
        "/metrics": {"get": _metrics()},
    }


def _record_one(settings: Settings) -> Json:
    return {
        **_about("record", "Record one event"),
        "description": "201 says that the event is durable. An unknown collection is created. "
        f"At most {settings.event_bytes_max} bytes; the body may be compressed.",
        "parameters": _common("content_encoding", "idempotency_key"),
        "requestBody": _body(_ref("Event")),
        "responses": _responses({"201": ("The event is stored.", _ref("Created"))}, 409, 413, 415),
    }


def _record_many(settings: Settings) -> Json:
    verdicts = {"type": "object", "additionalProperties": _list(_ref("Verdict"))}
    return {
        **_about("record", "Record many events"),
        "description": "Collection → events. The answer has a verdict for each event, in the same order; "
        f"200 also where some were refused. At most {settings.bulk_bytes_max} bytes and "
        f"{settings.bulk_events_max} events.",
        "parameters": _common("content_encoding", "idempotency_key"),
        "requestBody": _body({"type": "object", "additionalProperties": _list(_ref("Event"))}),
        "responses": _responses({"200": ("A verdict for each event.", verdicts)}, 409, 413, 415),
    }


def _inspect_or_beacon() -> Json:
    found = _responses({"200": ("The collection; for a beacon a GIF or a script.", _ref("Collection"))}, 413)
    found["200"]["content"]["image/gif"] = {}
    found["200"]["content"]["text/javascript"] = {}
    found["302"] = {"description": "The beacon's event is stored; go on to `redirect`."}
    return {
        **_about("schema", "The properties of a collection; with `data`, record one event"),
        "description": "With `data`, an event as base64 of its JSON, this records it from an image tag, a "
        "link (`redirect`) or a script (`jsonp`), and needs a key that may write.",
        "parameters": [
            _in_query("data", _STRING, "An event: base64 of its JSON, standard or URL-safe."),
            _in_query("redirect", _STRING, "With `data`: an absolute http(s) URL to go on to."),
            *_common("jsonp"),
        ],
        "responses": found,
    }


def _list_collections() -> Json:
    listed = _simple("schema", "All collections and their properties", _list(_ref("Collection")))
    flag = _in_query("include_schema", _BOOLEAN, "Whether to list properties (default true).")
    return {**listed, "parameters": [flag]}


def _query(analysis: str) -> Json:
    taken = [one for one in PARAMETERS if analysis in one.analyses]
    answer = _responses({"200": ("The answer.", _ref("Answer"))}, 413, 415, 429, 504)
    scripted = _responses({"200": ("The answer.", _ref("Answer"))}, 429, 504)
    scripted["200"]["content"]["text/javascript"] = {}
    body: Json = {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.description} for one in taken},
        "required": [one.name for one in taken if one.required],
    }
    return {
        "parameters": _common("project_id"),
        "get": {
            **_about("ask", _SUMMARIES[analysis], f"get_{analysis}"),
            "parameters": [*(_query_parameter(one) for one in taken), *_common("jsonp")],
            "responses": scripted,
        },
        "post": {
            **_about("ask", _SUMMARIES[analysis], f"post_{analysis}"),
            "requestBody": _body(body, _EXAMPLES.get(analysis)),
            "responses": answer,
        },
    }


def _query_parameter(one: Parameter) -> Json:
    found: Json = {"name": one.name, "in": "query", "required": one.required, "description": one.description}
    if one.plain and one.schema.get("type") in ("string", "integer", "number", "boolean"):
        return {**found, "schema": one.schema}
    if one.plain:
        return {**found, "schema": _STRING, "description": one.description + " Lists and objects as JSON."}
    return {**found, "content": {"application/json": {"schema": one.schema}}}


def _metrics() -> Json:
    return {
        **_about("operate", "Counters in Prometheus' text format"),
        "security": [],
        "responses": {"200": {"description": "The metrics.", "content": {"text/plain": {"schema": _STRING}}}},
    }


def _simple(tag: str, summary: str, schema: Json) -> Json:
    return {**_about(tag, summary), "responses": _responses({"200": (summary + ".", schema)})}


def _open(tag: str, summary: str, schema: Json) -> Json:
    """A route that needs no key."""
    content = {"application/json": {"schema": schema}}
    responses: Json = {"200": {"description": summary + ".", "content": content}, "503": _error(503)}
    return {**_about(tag, summary), "security": [], "responses": responses}


def _about(tag: str, summary: str, operation: str | None = None) -> Json:
    about: Json = {"tags": [tag], "summary": summary}
    return {**about, "operationId": operation} if operation else about


def _body(schema: Json, example: Json | None = None) -> Json:
    content = {"schema": schema, **({"example": example} if example else {})}
    return {"required": True, "content": {"application/json": content}}


def _list(schema: Json) -> Json:
    return {"type": "array", "items": schema}


_MEANINGS = {
    400: "Something in the request cannot be used; the message names it.",
    401: "The key is missing or wrong, or the master key is needed.",
    403: "The key may not do this.",
    404: "There is no such project, collection, property or route.",
    405: "The route does not take this method.",
    408: "The body did not come in time.",
    409: "The idempotency key came before with another body.",
    413: "The body is too large.",
    415: "The content encoding is unknown.",
    429: "Too many requests or running queries; see `Retry-After`.",
    500: "The server failed; it has logged why.",
    503: "Not now; see `Retry-After`.",
    504: "The query ran too long.",
}


def _responses(good: dict[str, tuple[str, Json]], *more: int) -> Json:
    found: Json = {
        status: {"description": text, "content": {"application/json": {"schema": schema}}}
        for status, (text, schema) in good.items()
    }
    for status in sorted({400, 401, 403, 404, 405, 408, 429, 500, 503, *more}):
        found[str(status)] = _error(status)
    return found


def _error(status: int) -> Json:
    found: Json = {
        "description": _MEANINGS[status],
        "content": {"application/json": {"schema": _ref("Error")}},
    }
    if status in (429, 503):
        text = "Seconds after which it is worth trying again."
        found["headers"] = {"Retry-After": {"description": text, "schema": {"type": "integer"}}}
    return found


def _in_query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _in_path(name: str, description: str, pattern: str | None = None) -> Json:
    schema = {**_STRING, "minLength": 1, **({"pattern": pattern} if pattern else {})}
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


def _in_header(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "header", "schema": schema, "description": description}


def _common(*names: str) -> list[Json]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


_COMMON: Json = {
    "project_id": _in_path("project_id", "The project's id.", "^[A-Za-z0-9]+$"),
    "event_collection": _in_path("event_collection", "The collection's name; slashes may be raw or `%2F`."),
    "property_name": _in_path("property_name", "A dotted path: `user.id`."),
    "jsonp": _in_query("jsonp", _STRING, "Answer a script that calls this function."),
    "content_encoding": _in_header(
        "Content-Encoding", {"type": "string", "enum": ["gzip", "deflate", "zstd"]}, "How the body is packed."
    ),
    "idempotency_key": _in_header(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255},
        "Names this request: sent again with the same body, it is stored once.",
    ),
}


def _object(properties: Json, required: Iterable[str] = ()) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


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
    "Error": _object({"message": _STRING, "error_code": _STRING}, ("message", "error_code")),
    "Event": {
        "type": "object",
        "description": "Any JSON object. `keen.timestamp` may say when it happened.",
        "properties": {
            "keen": _object(
                {"timestamp": {"type": "string", "format": "date-time"}, "uniqueness_token": _STRING}
            )
        },
        "additionalProperties": True,
    },
    "Created": _object({"created": {"const": True}}, ("created",)),
    "Verdict": _object(
        {"success": _BOOLEAN, "error": _object({"name": _STRING, "description": _STRING})}, ("success",)
    ),
    "Timeframe": {"anyOf": [_STRING, _object({"start": _STRING, "end": _STRING})]},
    "Filter": {
        "anyOf": [
            _object(
                {
                    "property_name": _STRING,
                    "operator": {"type": "string", "enum": list(_OPERATORS)},
                    "property_value": {},
                },
                ("property_name", "operator"),
            ),
            _object(
                {"operator": {"const": "or"}, "operands": _list(_ref("Filter"))}, ("operator", "operands")
            ),
        ]
    },
    "Group": _object(
        {
            "property_name": _STRING,
            "buckets": _object({"size": {"type": "number", "exclusiveMinimum": 0}}, ("size",)),
            "ranges": _list(
                _object({"from": {"type": "number"}, "to": {"type": "number"}, "label": _STRING})
            ),
        },
        ("property_name",),
    ),
    "Analysis": _object(
        {
            "analysis_type": {"type": "string", "enum": [*_TARGETED, "count"]},
            "target_property": _STRING,
            "percentile": {"type": "number"},
        },
        ("analysis_type",),
    ),
    "Step": _object(
        {
            "event_collection": _STRING,
            "actor_property": _STRING,
            "timeframe": _ref("Timeframe"),
            "timezone": _TIMEZONE,
            "filters": _list(_ref("Filter")),
            "inverted": _BOOLEAN,
            "optional": _BOOLEAN,
            "with_actors": _BOOLEAN,
        },
        ("event_collection", "actor_property"),
    ),
    "Answer": _object({"result": {}}, ("result",)),
    "Collection": _object(
        {"name": _STRING, "url": _STRING, "properties": {"type": "object", "additionalProperties": _STRING}},
        ("name", "url"),
    ),
    "Property": _object(
        {"property_name": _STRING, "url": _STRING, "type": _STRING}, ("property_name", "url", "type")
    ),
    "Project": _object(
        {
            "id": _STRING,
            "name": _STRING,
            "api_key": _STRING,
            "url": _STRING,
            "events_url": _STRING,
            "queries_url": _STRING,
            "events": _list(_object({"name": _STRING, "url": _STRING})),
            "saved_queries": _list({"type": "object"}),
        },
        ("id", "name", "url", "events"),
    ),
    "Timezone": _object(
        {"name": _STRING, "number_of_seconds_to_offset_time": {"type": "integer"}, "utc_offset": _STRING}
    ),
}
