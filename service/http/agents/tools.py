"""The tools: their names, descriptions and arguments, who has them, and which call of the API each makes.

A tool has the rule of the route that it calls, so that a caller is offered what the API would let it do. The
call itself is judged by that route again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from query.language.parameter_table import (
    ANALYSIS_NAMES,
    EXTRACTION,
    FUNNEL,
    LIFECYCLE,
    MULTI_ANALYSIS,
    PATHS,
    RETENTION,
    SERIES,
    SESSIONS,
    STICKINESS,
    TIMEZONE,
    listing,
    ref,
    taken_by,
)
from query.language.suggestions import did_you_mean
from service.auth.principal import Caller, Permission
from service.errors import ApiError, InvalidParameter
from service.http.agents.tool_schemas import METRICS, closed, of_analysis, of_metrics
from service.http.authorization import Rule, needs, needs_both
from service.http.models.sql import REQUEST
from service.pictures.options import SCALE_MAX, SIZE_MAX, SIZE_MIN, THEMES, TYPES, read_options
from service.queries.profiles import PROPERTIES, PROPERTIES_MAX, TOP, TOP_MAX

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NAME: Json = {"type": "string", "minLength": 1}
_SCHEMA = needs(Permission.SCHEMA)
_QUERIES = needs(Permission.QUERIES)
_RESULTS = needs(Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
LOOKS = ("width", "height", "scale", "theme", "title", "type", "locale")
_CHARTED = tuple(name for name in ANALYSIS_NAMES if name != EXTRACTION)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of the API. ``path``: what follows the project's, percent-encoded."""

    method: str
    path: str
    query: str = ""
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. ``label``: where the API answers a list, its name in the structured answer."""

    name: str
    title: str
    description: str
    schema: Json
    rule: Rule
    call: Callable[[Json], ApiCall]
    label: str = "result"
    draws: bool = False
    """Whether the answer of the API is drawn, rather than shown."""

    def is_offered(self, caller: Caller) -> bool:
        """Whether the API would let this caller make the tool's call."""
        if self.name == "extract_events" and not caller.options.extraction:
            return False
        try:
            self.rule.check(caller)
        except ApiError:
            return False
        return True

    @property
    def described(self) -> Json:
        hints = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.schema,
            "annotations": hints,
        }

    def check(self, arguments: Json) -> None:
        """Raises InvalidParameter for an argument that the tool does not take, and where one is missing."""
        known = list(self.schema["properties"])
        for name in arguments:
            if name not in known:
                hint = did_you_mean(name, known)
                raise InvalidParameter(
                    f"The tool '{self.name}' takes no argument '{name[:100]}'.{hint} It takes: "
                    f"{', '.join(known) or 'none'}."
                )
        for name in self.schema.get("required", ()):
            if name not in arguments:
                raise InvalidParameter(f"The tool '{self.name}' needs the argument '{name}'.")


def offered(caller: Caller) -> list[Tool]:
    """The tools of this caller, in the order in which they are listed."""
    return [tool for tool in _tools() if tool.is_offered(caller)]


def _segment(arguments: Json, name: str) -> str:
    """An argument as a part of a path. Raises InvalidParameter."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidParameter(f"'{name}' must be a text that is not empty: {str(value)[:100]!r}.")
    return quote(value, safe="")


def _query(arguments: Json, *names: str) -> str:
    """Arguments as a query string: texts as they are, all else as JSON."""
    pairs = [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in arguments.items()
        if name in names
    ]
    return urlencode(pairs)


def _asking(analysis: str) -> Callable[[Json], ApiCall]:
    return lambda arguments: ApiCall("POST", f"queries/{analysis}", body=arguments)


def _measure(arguments: Json) -> ApiCall:
    return _question(_metric(arguments, METRICS), arguments)


def _metric(arguments: Json, known: Sequence[str]) -> str:
    analysis = arguments.get("analysis_type")
    if analysis not in known:
        shown = str(analysis)[:100]
        hint = did_you_mean(shown, known)
        raise InvalidParameter(f"'analysis_type' must be one of {', '.join(known)}: {shown!r}.{hint}")
    return str(analysis)


def _question(analysis: str, parameters: Json) -> ApiCall:
    """The call of an analysis. Raises InvalidParameter for a parameter that it does not take."""
    given = {name: value for name, value in parameters.items() if name != "analysis_type"}
    taken = [one.name for one in taken_by(analysis)]
    for name in given:
        if name not in taken:
            raise InvalidParameter(
                f"'{analysis}' takes no parameter '{name[:100]}'.{did_you_mean(name, taken)} It takes: "
                f"{', '.join(taken)}."
            )
    return ApiCall("POST", f"queries/{analysis}", body=given)


def _chart(arguments: Json) -> ApiCall:
    parameters = arguments.get("parameters")
    if not isinstance(parameters, dict):
        raise InvalidParameter("'parameters' must be an object: the parameters of the question.")
    # Before the question is asked, which may take long.
    picture_format(arguments)
    read_options(look_pairs(arguments))
    return _question(_metric(arguments, _CHARTED), parameters)


def _saved(arguments: Json) -> ApiCall:
    path = f"queries/saved/{_segment(arguments, 'query_name')}/result"
    return ApiCall("GET", path, _query(arguments, *_CHANGES))


def _saved_chart(arguments: Json) -> ApiCall:
    kind = picture_format(arguments)
    path = f"queries/saved/{_segment(arguments, 'query_name')}/result.{kind}"
    looks = LOOKS if kind == "png" else tuple(name for name in LOOKS if name != "scale")
    return ApiCall("GET", path, _query(arguments, *_CHANGES, *looks))


def picture_format(arguments: Json) -> str:
    """``png`` or ``svg``. Raises InvalidParameter."""
    kind = arguments.get("format", "png")
    if kind not in ("png", "svg"):
        raise InvalidParameter(f"'format' must be png or svg: {str(kind)[:100]!r}.")
    return str(kind)


def look_pairs(arguments: Json) -> list[tuple[str, str]]:
    """The looks of a chart, as parameters of a query string."""
    return [(name, str(arguments[name])) for name in LOOKS if name in arguments]


_CHANGES: Json = {
    "timeframe": {**ref("Timeframe"), "description": "Another timeframe than the saved one."},
    "timezone": {**TIMEZONE, "description": "Another time zone."},
    "interval": {**_TEXT, "description": "Another interval."},
    "filters": {**listing(ref("Filter")), "description": "Filters beside those of the saved query."},
    "as_of": {**_TEXT, "description": "A version of the events that an `explain` named, or an instant."},
}
_SIZE: Json = {"type": "integer", "minimum": SIZE_MIN, "maximum": SIZE_MAX}
_LOOKS: Json = {
    "format": {"type": "string", "enum": ["png", "svg"], "default": "png"},
    "width": {**_SIZE, "default": 640},
    "height": {**_SIZE, "default": 360},
    "scale": {
        "type": "number",
        "minimum": 0.5,
        "maximum": SCALE_MAX,
        "description": "Pixels of a PNG for each pixel of the size; 2 by default.",
    },
    "theme": {"type": "string", "enum": [*THEMES]},
    "title": {**_TEXT, "description": "Above the chart; empty: none."},
    "type": {"type": "string", "enum": [*TYPES], "description": "By default what suits the result."},
    "locale": {**_TEXT, "description": "How numbers and dates are written, such as `de`."},
}
_PROFILE: Json = {
    "property_names": {**listing(_NAME), "description": "Only these properties, or what is nested in them."},
    "timeframe": {**ref("Timeframe"), "description": "Only events of this time."},
    "timezone": {**TIMEZONE, "description": "The time zone of the timeframe."},
    "filters": {**listing(ref("Filter")), "description": "Only events for which these hold."},
    "after": {**_TEXT, "description": "Only properties after this one: the `next` of an answer."},
    "limit": {"type": "integer", "minimum": 1, "maximum": PROPERTIES_MAX, "default": PROPERTIES},
    "top": {
        "type": "integer",
        "minimum": 0,
        "maximum": TOP_MAX,
        "default": TOP,
        "description": "Frequent values of each property.",
    },
}
_COLLECTION: Json = {"event_collection": {**_NAME, "description": "The name of a collection."}}
_SAVED_NAME: Json = {"query_name": {**_NAME, "description": "The name of a saved query."}}


@cache
def _tools() -> tuple[Tool, ...]:
    return (*_of_schema(), *_of_questions(), *_of_cohorts(), *_of_saved(), *_of_charts())


def _of_schema() -> Sequence[Tool]:
    return (
        Tool(
            "list_collections",
            "Collections",
            "The names of the collections of events. Begin here. What they hold: describe_collection.",
            closed({}),
            _SCHEMA,
            lambda _: ApiCall("GET", "events", "include_schema=false"),
            "collections",
        ),
        Tool(
            "describe_collection",
            "Properties of a collection",
            "The properties of a collection's events, as dotted paths, and their types: num, string, bool, "
            "list, null, datetime.",
            closed(_COLLECTION, _COLLECTION),
            _SCHEMA,
            lambda given: ApiCall("GET", f"events/{_segment(given, 'event_collection')}"),
        ),
        Tool(
            "profile_collection",
            "Profile of a collection",
            "What a collection's events and their properties are like: how many events, from when to when, "
            "and of each property its types, how often it is missing, how many different values it has and "
            "which are frequent. Use it to learn exact values before filtering by them.",
            closed({**_COLLECTION, **_PROFILE}, _COLLECTION),
            needs_both(Permission.SCHEMA, Permission.QUERIES),
            lambda given: ApiCall(
                "GET", f"events/{_segment(given, 'event_collection')}/profile", _query(given, *_PROFILE)
            ),
        ),
    )


def _of_questions() -> Sequence[Tool]:
    return (
        Tool(
            "measure",
            "One number, by group and interval",
            f"One value of a collection's events: {', '.join(METRICS)}. With `interval` one for each "
            "interval, with `group_by` one for each group. Without `timeframe` over all time.",
            of_metrics(),
            _QUERIES,
            _measure,
        ),
        *(
            Tool(name, title, description, of_analysis(analysis), rule, _asking(analysis))
            for name, analysis, rule, title, description in _ANALYSES
        ),
        Tool(
            "sql",
            "SQL",
            "One SELECT, in DuckDB's dialect. Each collection is a table, each property a column of its "
            'dotted name, which needs double quotes: "user.id". For what no other tool answers.',
            closed(
                {name: schema for name, schema in REQUEST["properties"].items() if name != "format"}, ["sql"]
            ),
            needs_both(Permission.QUERIES, Permission.SQL),
            lambda given: ApiCall("POST", "queries/sql", body={**given, "format": "json"}),
        ),
    )


_ANALYSES = (
    (
        "multi_analysis",
        MULTI_ANALYSIS,
        _QUERIES,
        "Several numbers of one collection",
        "Several values of one collection's events at once, each under its own label.",
    ),
    (
        "series",
        SERIES,
        _QUERIES,
        "Series and formulas",
        "Several questions side by side, also over several collections: formulas between them, comparison "
        "with an earlier time, cumulative and rolling values, shares, the first groups.",
    ),
    (
        "funnel",
        FUNNEL,
        _QUERIES,
        "Funnel",
        "How many actors took each of several steps. `order` says whether they must follow each other in "
        "time, `window` within how long.",
    ),
    (
        "retention",
        RETENTION,
        _QUERIES,
        "Retention",
        "How many actors came back in each period after they started.",
    ),
    (
        "lifecycle",
        LIFECYCLE,
        _QUERIES,
        "Lifecycle",
        "How many actors of each period are new, come back after the period before or after a break, or are "
        "gone.",
    ),
    (
        "stickiness",
        STICKINESS,
        _QUERIES,
        "Stickiness",
        "How regularly actors come: the active ones of a day among those of its month, or in how many "
        "periods each was there.",
    ),
    (
        "paths",
        PATHS,
        _QUERIES,
        "Paths",
        "What actors do after an event, or before one, step by step, as nodes and edges.",
    ),
    (
        "sessions",
        SESSIONS,
        _QUERIES,
        "Sessions",
        "Sessions of actors: how many, how long, how many with one event only, where they begin and end.",
    ),
    (
        "extract_events",
        EXTRACTION,
        needs(Permission.EXTRACTIONS),
        "Events",
        "The events themselves. Give `latest` for the newest few, and `property_names` for what you need of "
        "them.",
    ),
)


def _of_cohorts() -> Sequence[Tool]:
    name: Json = {"cohort_name": {**_NAME, "description": "The name of a cohort."}}
    limit: Json = {
        "limit": {"type": "integer", "minimum": 0, "description": "Actors to show; 100 by default."}
    }
    return (
        Tool(
            "list_cohorts",
            "Cohorts",
            "Named sets of actors, and what puts an actor into each. Any question takes them by name: as a "
            'filter, {"operator": "in_cohort", "property_value": NAME} or not_in_cohort, and in group_by as '
            '{"cohort": NAME}, which has the rows true and false.',
            closed({}),
            _QUERIES,
            lambda _: ApiCall("GET", "cohorts"),
            "cohorts",
        ),
        Tool(
            "cohort_actors",
            "Actors of a cohort",
            "How many actors a cohort has now, and the first of them.",
            closed({**name, **limit}, name),
            _QUERIES,
            lambda given: ApiCall(
                "GET", f"cohorts/{_segment(given, 'cohort_name')}/actors", _query(given, "limit")
            ),
        ),
    )


def _of_saved() -> Sequence[Tool]:
    return (
        Tool(
            "list_saved_queries",
            "Saved queries",
            "All saved queries, with their names and what they ask.",
            closed({}),
            needs(Permission.DEFINITIONS),
            lambda _: ApiCall("GET", "queries/saved"),
            "saved_queries",
        ),
        Tool(
            "describe_saved_query",
            "Definition of a saved query",
            "What one saved query asks.",
            closed(_SAVED_NAME, _SAVED_NAME),
            needs(Permission.QUERY_DEFINITION),
            lambda given: ApiCall("GET", f"queries/saved/{_segment(given, 'query_name')}"),
        ),
        Tool(
            "saved_query_result",
            "Result of a saved query",
            "The result of a saved query, also with another timeframe, time zone or interval, or more "
            "filters, where the key may ask questions.",
            closed({**_SAVED_NAME, **_CHANGES}, _SAVED_NAME),
            _RESULTS,
            _saved,
        ),
        Tool(
            "saved_query_chart",
            "Chart of a saved query",
            "The result of a saved query as a picture.",
            closed({**_SAVED_NAME, **_CHANGES, **_LOOKS}, _SAVED_NAME),
            _RESULTS,
            _saved_chart,
        ),
    )


def _of_charts() -> Sequence[Tool]:
    asked: Json = {
        "analysis_type": {"type": "string", "enum": [*_CHARTED], "description": "As of the other tools."},
        "parameters": {
            "type": "object",
            "description": "The parameters of the question, as the tool of its analysis takes them; those of "
            "one metric as `measure` does.",
        },
    }
    return (
        Tool(
            "chart",
            "Chart of a question",
            "The answer to a question as a picture.",
            closed({**asked, **_LOOKS}, asked),
            _QUERIES,
            _chart,
            draws=True,
        ),
    )
