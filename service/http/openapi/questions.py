"""Documentation of the query routes: parameters from the parameter table, schemas of answers, examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from query.language.nodes import Analysis
from query.language.parameter_table import (
    BEHAVIOURS,
    EXTRACTION,
    FUNNEL,
    LIFECYCLE,
    MULTI_ANALYSIS,
    PATHS,
    RETENTION,
    SERIES,
    SESSIONS,
    SPAN,
    STICKINESS,
    TARGETED,
    Parameter,
    Spelling,
    listing,
    record,
    taken_by,
)
from service.http.openapi.operation import SCRIPT, STRING, DocumentedAnswer, Example, Json, Operation, ref

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
    "retention": "How many actors came back, by when they started",
    "lifecycle": "How many actors are new, return, come back or stay away",
    "stickiness": "How often actors come: of a day, of its week and its month",
    "multi_analysis": "Several analyses at once",
    "series": "Several questions side by side, and what is computed of them",
    "paths": "The paths that actors take, as nodes and edges",
    "sessions": "Sessions: how many, how long, and where they begin and end",
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
    "series": {"type": "object", "description": "The values by the names of series and formulas."},
    "lifecycle": {
        "type": "object",
        "description": "The actors that are `new`, `returning`, `resurrected` and `dormant`.",
    },
    "stickiness": {
        "type": "object",
        "description": "`dau`, `wau`, `mau`, their ratios; with `histogram` rows of `periods` and `result`.",
    },
    "sessions": {"type": "object", "description": "The measures by their names; durations are in seconds."},
}
"""Schema of each analysis's value over all events of the query."""


_WHERE: Json = {"event_collection": "purchases", "timeframe": "this_14_days"}
_EXAMPLES: dict[str, Json] = {
    **{name: _WHERE | {"target_property": "price"} for name in sorted(TARGETED)},
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
    "series": {
        "timeframe": "this_14_days",
        "interval": "daily",
        "series": {
            "buyers": {
                "event_collection": "purchases",
                "analysis_type": "count_unique",
                "target_property": "user.id",
            },
            "revenue": {
                "event_collection": "purchases",
                "analysis_type": "sum",
                "target_property": "price",
            },
        },
        "formulas": {"revenue per buyer": "revenue / buyers"},
        "rolling": {"buyers": 7},
        "compare": "previous_period",
    },
    "retention": {
        "starting_event": {"event_collection": "signups"},
        "returning_event": {"event_collection": "purchases"},
        "actor_property": "user.id",
        "timeframe": "this_6_weeks",
        "interval": "weekly",
    },
    "multi_analysis": _WHERE
    | {
        "analyses": {
            "orders": {"analysis_type": "count"},
            "revenue": {"analysis_type": "sum", "target_property": "price"},
        },
    },
    "lifecycle": _WHERE | {"actor_property": "user.id", "interval": "daily"},
    "stickiness": _WHERE | {"actor_property": "user.id"},
    "paths": _WHERE | {"actor_property": "user.id", "by": "price", "depth": 3},
    "sessions": _WHERE | {"actor_property": "user.id", "page_property": "price"},
}
_NUMBER: Json = {"type": "integer"}
_DIAGRAM: Json = record(
    {
        "paths": {**_NUMBER, "description": "How many paths."},
        "actors": {**_NUMBER, "description": "Of how many actors."},
        "nodes": listing(
            record(
                {
                    "id": {**_NUMBER, "description": "Its place in the list."},
                    "step": {**_NUMBER, "description": "From 0, or, with `to`, up to 0."},
                    "name": {"description": "The name: `other` where `names` says how many are together."},
                    "names": _NUMBER,
                    "paths": _NUMBER,
                    "ended": {**_NUMBER, "description": "Paths that end here."},
                    "began": {**_NUMBER, "description": "With `to`: paths that begin here."},
                    "beyond": {**_NUMBER, "description": "At the last step: paths that would go on."},
                },
                "id",
                "step",
                "name",
                "paths",
            )
        ),
        "edges": listing(
            record(
                {"source": _NUMBER, "target": _NUMBER, "step": _NUMBER, "paths": _NUMBER},
                "source",
                "target",
                "step",
                "paths",
            )
        ),
        "left_out": record({"edges": _NUMBER, "paths": _NUMBER}, "edges", "paths"),
    },
    "paths",
    "actors",
    "nodes",
    "edges",
    "left_out",
)
_FIRST: Json = {"order_by": {"property_name": "result", "direction": "DESC"}, "limit": 3}
_UNORDERED = (MULTI_ANALYSIS, SERIES, Analysis.SELECT_UNIQUE.value)
_LACKING: Json = {"timeframe": "this_14_days"}


def body_of(analysis: str) -> Json:
    """The schema of a query as a JSON body."""
    taken = taken_by(analysis)
    return {
        "type": "object",
        "properties": {one.name: one.documented for one in taken},
        "required": [one.name for one in taken if one.required_in(analysis)],
    }


_EXPLAINED = Example(
    body=_EXAMPLES[Analysis.COUNT] | {"explain": True},
    keep={"version": "explain.snapshot.version"},
    summary="How it was answered, and as of which version",
)


def operations_of(analysis: str, path: str) -> tuple[Operation, Operation]:
    """The same query by GET and by POST."""
    answer = DocumentedAnswer("The answer.", schema=answer_of(analysis))
    by_get = Operation(
        method="get",
        path=path,
        summary=_SUMMARIES[analysis],
        answers={200: DocumentedAnswer("The answer.", schema=answer_of(analysis), content={SCRIPT: {}})},
        parameters=(*(_query_parameter(one, analysis) for one in taken_by(analysis)), "jsonp"),
        errors=(504,),
        examples=(Example(query=_as_query(_EXAMPLES[analysis]), key="read"),),
        name=f"get_{analysis}",
    )
    by_post = Operation(
        method="post",
        path=path,
        summary=_SUMMARIES[analysis],
        answers={200: answer},
        body=body_of(analysis),
        errors=(504,),
        examples=(
            Example(body=_EXAMPLES[analysis], key="read"),
            *(Example(body=_EXAMPLES[analysis] | more, key="read") for more in _variants(analysis)),
            *([_EXPLAINED] if analysis == Analysis.COUNT else ()),
            Example(body=_LACKING, key="read", status=400, summary="Something is missing"),
        ),
        name=f"post_{analysis}",
    )
    return by_get, by_post


def _query_parameter(one: Parameter, analysis: str) -> Json:
    required = one.required_in(analysis)
    entry: Json = {"name": one.name, "in": "query", "required": required, "description": one.description}
    if one.spelling is Spelling.JSON:
        return {**entry, "content": {"application/json": {"schema": one.schema}}}
    if one.schema.get("type") in ("string", "integer", "number", "boolean"):
        default = {} if one.default is None else {"default": one.default}
        return {**entry, "schema": {**one.schema, **default}}
    return {**entry, "schema": STRING, "description": one.description + " Write lists and objects as JSON."}


def _as_query(body: Mapping[str, Any]) -> dict[str, str]:
    """A query as query-string parameters: texts as they are, all else as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}


def _variants(analysis: str) -> tuple[Json, ...]:
    """Further parameters for examples of the same query."""
    if analysis == EXTRACTION:
        return ({"include_metadata": True}, {"delivery": "link", "content_encoding": "gzip"})
    if analysis == FUNNEL:
        in_order = {"order": "ordered", "window": "7_days"}
        return (
            {"include_metadata": True},
            {**in_order, "times": True, "group_by": "user.plan", "attribution": "last"},
            {**in_order, "interval": "weekly", "counting": "conversions"},
            {
                **in_order,
                "explain_actor": "ann",
                "exclusions": [{"event_collection": "refunds", "actor_property": "user.id"}],
            },
        )
    if analysis == PATHS:
        return (
            {"from": "7", "rename": [{"match": "* EUR", "as": "euros"}], "nodes": 3, "least": 2},
            {"to": {"event_collection": "purchases"}, "counting": "occurrences", "window": "1_days"},
        )
    if analysis == SESSIONS:
        return (
            {"interval": "daily", "timezone": "Europe/Warsaw", "cut": "daily", "gap": "1_hours"},
            {"group_by": "price", "attribution": "exit", "measures": ["sessions", "bounce_rate"]},
        )
    if analysis == LIFECYCLE:
        return (
            {"interval": "weekly", "timezone": "Europe/Warsaw", "week_start": "monday"},
            {"first_in": "timeframe", "group_by": "price", "order_by": "new", "limit": 2},
        )
    if analysis == STICKINESS:
        return ({"month_days": 28, "round": 2}, {"histogram": True, "interval": "weekly"})
    if analysis == RETENTION:
        return (
            {"cohort": "recurring", "interval": "daily", "returned": "on_or_after", "periods": 7},
            {"period_type": "rolling", "interval": "daily", "brackets": [[0, 0], [1, 3], [4, 7]]},
            {"first_in": "history", "group_by": "keen.id"},
        )
    return (
        {"interval": "weekly", "timezone": "Europe/Warsaw", "week_start": "monday", "round": 2},
        {"group_by": ["user.id"], "interval": "daily", "zero_fill": False},
        {"group_by": "user.id", **({} if analysis in _UNORDERED else _FIRST)},
    )


def answer_of(analysis: str) -> Json:
    """The schema of an answer.

    The result of a metric is a value; with ``group_by`` a list of rows with the grouped properties and
    ``result``; with ``interval`` one row for each interval, whose ``value`` is one of the two.
    """
    if analysis == EXTRACTION:
        events = _answer({"type": "array", "items": {"type": "object"}, "description": "The events."}, {})
        job = record(
            {
                "result": {**STRING, "description": "How to get the file."},
                "job": ref("ExtractionJob"),
            },
            "result",
            "job",
        )
        return {"anyOf": [{**events, "title": "Events"}, {**job, "title": "A file that is being made"}]}
    if analysis == FUNNEL:
        return _funnel_answer()
    if analysis == RETENTION:
        return _retention()
    if analysis == PATHS:
        return _answer(_DIAGRAM, {})
    labelled = analysis in (MULTI_ANALYSIS, SERIES, *BEHAVIOURS)
    answer = _answer(_metric_result(_VALUES[analysis], labelled=labelled), {})
    if analysis == SERIES:
        answer["properties"]["compare"] = {
            "type": "object",
            "description": "With `compare`: without an interval the compared values, with one the compared "
            "timeframe and what of it no interval has for its counterpart. The compared values of an "
            "interval stand beside its `value`.",
        }
        answer["properties"]["completeness"] = {
            **listing(_COMPLETENESS),
            "description": "With `completeness`: the newest intervals to which events are still expected.",
        }
    return answer


_ARRIVED = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_COMPLETENESS = record(
    {
        "timeframe": {"type": "object", "description": "The interval."},
        "series": {
            "type": "object",
            "additionalProperties": record(
                {
                    "arrived": {
                        **_ARRIVED,
                        "description": "The share of its events that is expected to be there.",
                    },
                    "least": _ARRIVED,
                    "most": _ARRIVED,
                    "intervals": {
                        "type": "integer",
                        "minimum": 0,
                        "description": "By how many earlier ones.",
                    },
                },
                "arrived",
                "least",
                "most",
                "intervals",
            ),
        },
    },
    "timeframe",
    "series",
)


def _funnel_answer() -> Json:
    counts = listing({"type": "integer", "minimum": 0})
    by_step = {"type": "array", "items": {"type": ["array", "null"]}}
    result = _metric_result(counts, labelled=False)
    return _answer(
        {
            **result,
            "description": "What each step counts; with `group_by` and `interval` as of any analysis.",
        },
        {
            "steps": {**listing({"type": "object"}), "description": "The steps as they were asked."},
            "actors": {
                **by_step,
                "description": "For each step its actors, if it asked for them, else null.",
            },
            "dropped": {
                **by_step,
                "description": "For each step the actors of the step before that did not do it.",
            },
            "times": {"type": "object", "description": "With `times`: of each step and in all, in seconds."},
            "actor": {
                "type": "object",
                "description": "With `explain_actor`: its events, and what stopped it.",
            },
        },
    )


def _answer(result: Json, more: Json) -> Json:
    metadata = {"type": "object", "description": "With `include_metadata`: what the answer took to compute."}
    explain = {"type": "object", "description": "With `explain`: what was run, and what it read."}
    fields = {
        **more,
        "warnings": listing(ref("Warning")),
        "execution_metadata": metadata,
        "explain": explain,
        "erased_since": {
            "type": "boolean",
            "description": "With `as_of`: whether events of the timeframe were erased since. Keys with "
            "filters are not told.",
        },
    }
    return record({"result": result, **fields}, "result", *list(more)[:1])


def _retention() -> Json:
    count: Json = {"type": "integer", "minimum": 0}
    rates: Json = {
        **listing({"type": ["number", "null"]}),
        "description": "As parts of the size; null where the size is 0 and of what has not begun.",
    }
    cohort = record(
        {
            "timeframe": {**SPAN, "required": list(SPAN["properties"])},
            "size": {**count, "description": "The actors that started in this timeframe."},
            "retained": {
                **listing({"type": ["integer", "null"]}),
                "description": "Of these, the ones that returned in each period; null: it has not begun.",
            },
            "rates": rates,
            "unfinished": {
                **listing({"type": "boolean"}),
                "description": "Whether each period goes on, or is cut by the end of the timeframe.",
            },
        },
        *("timeframe", "size", "retained", "rates", "unfinished"),
    )
    total = record(
        {"sizes": listing(count), "retained": listing(count), "rates": rates}, "sizes", "retained", "rates"
    )
    summary = {
        "anyOf": [total, listing(total)],
        "description": "All cohorts together, each period over those for which it has ended; with `group_by` "
        "one for each group.",
    }
    return _answer({**listing(cohort), "description": "The cohorts."}, {"summary": summary})


def _metric_result(value: Json, *, labelled: bool) -> Json:
    """The schema of a metric's result. ``labelled``: rows have labels in place of ``result``."""
    group: Json = {"type": "object", "title": "A group", "properties": {} if labelled else {"result": value}}
    if not labelled:
        group["required"] = ["result"]
    groups = {"type": "array", "items": group, "title": "By group"}
    interval = record(
        {"timeframe": {**SPAN, "required": list(SPAN["properties"])}, "value": {"anyOf": [value, groups]}},
        "timeframe",
        "value",
    )
    intervals = {"type": "array", "items": interval, "title": "By interval"}
    return {"anyOf": [{**value, "title": "A value"}, groups, intervals]}


DIFF_REQUEST: Json = {
    "type": "object",
    "required": ["analysis_type", "from"],
    "properties": {
        "analysis_type": {"type": "string", "description": "The analysis; its parameters stand beside it."},
        "from": {"type": "string", "minLength": 1, "description": "A version or an instant, as of `as_of`."},
        "to": {"type": "string", "description": "The later one; now by default."},
        "events": {
            "type": "integer",
            "minimum": 0,
            "maximum": 1000,
            "default": 20,
            "description": "How many events to name for each part of the question.",
        },
    },
    "additionalProperties": True,
}
_SIDE = record(
    {
        "version": {"type": "string"},
        "instant": {"type": "string"},
        "answer": {"type": "object", "description": "As of the analysis."},
    },
    "version",
    "instant",
    "answer",
)
_MOVED: Json = {"type": "integer", "minimum": 0}
DIFF_RESULT: Json = record(
    {
        "from": _SIDE,
        "to": _SIDE,
        "changes": listing(
            record(
                {
                    "event_collection": {"type": "string"},
                    "timeframe": {"type": "object"},
                    "counts": record(
                        {
                            "late": {**_MOVED, "description": "Came since, with a time before `from`."},
                            "new": {**_MOVED, "description": "Came since, with a time after it."},
                            "updated": {**_MOVED, "description": "Have other values, or match now only."},
                            "erased": {
                                **_MOVED,
                                "description": "Taken by erasures that met the timeframe; in neither answer.",
                            },
                        },
                        "late",
                        "new",
                        "updated",
                        "erased",
                    ),
                    "events": listing(
                        record(
                            {
                                "kind": {"type": "string", "enum": ["late", "new", "updated"]},
                                "id": {"type": "string"},
                                "timestamp": {"type": "string"},
                                "created_at": {"type": "string"},
                            },
                            "kind",
                            "id",
                        )
                    ),
                    "truncated": {"type": "boolean", "description": "Whether there are more events."},
                },
                "event_collection",
                "timeframe",
                "counts",
                "events",
                "truncated",
            )
        ),
    },
    "from",
    "to",
    "changes",
)
