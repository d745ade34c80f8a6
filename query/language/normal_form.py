"""The stored form of a query: one normal form of its parameters, in whichever form they were sent.

It holds exactly the parameters that the analysis takes, null where not given. Groups are a list or null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from query.language.analyses.ordered_funnel import NEEDING_ORDER
from query.language.fields import flag, missing, structured, wrong
from query.language.parameter_table import (
    ANALYSES,
    BEHAVIOURS,
    EXTRACTION,
    FUNNEL,
    LIFECYCLE,
    MULTI_ANALYSIS,
    PATHS,
    RETENTION,
    SERIES,
    SESSION,
    SESSIONS,
    STICKINESS,
)
from query.language.parameters import analysis_meant, is_unordered
from query.language.suggestions import meant

ANALYSIS = "analysis_type"
_ARRANGED = ("group_by", "interval", "order_by", "limit", "zero_fill")
_PREFERENCES = ("round", "week_start", "identity", SESSION)
"""Stored only where given: without them the project's preferences apply."""
_ORDER = ("order", *NEEDING_ORDER)
"""Stored only where given, as Keen's funnels have none of them."""
_OF_SERIES = ("formulas", "compare", "cumulative", "rolling", "share", "top", "fill", "show", "completeness")
"""Stored only where given."""
_OF_SESSIONS = (
    "event_collection",
    "actor_property",
    "gap",
    "cut",
    "longest",
    "measures",
    "page_property",
    "pages",
    "attribution",
    "counting",
)
"""Stored only where given."""
_OF_EVENTS = ("event_collection", "actor_property")
_EVENTS = ("starting_event", "returning_event")
_OF_BEHAVIOUR = {
    RETENTION: (
        "actor_property",
        "interval",
        "cohort",
        "first_in",
        "period_type",
        "periods",
        "returned",
        "counting",
    ),
    LIFECYCLE: (*_OF_EVENTS, "interval", "first_in", "limit", "zero_fill"),
    STICKINESS: (*_OF_EVENTS, "interval", "histogram", "month_days"),
}
"""Analyses of what actors do, and the parameters whose values are stored as they were given."""
_STEP_IN_ORDER = ("min_gap", "max_gap", "with_dropped")
_OF_PATHS = (
    "event_collection",
    "actor_property",
    "by",
    "from",
    "to",
    "depth",
    "counting",
    "gap",
    "window",
    "collapse_repeats",
    "rename",
    "nodes",
    "least",
)
"""Stored only where given."""
_ANCHORS = ("from", "to")
_STEP_FLAGS = ("inverted", "optional", "with_actors")


def analysis_of(query: Mapping[str, Any]) -> str:
    """The analysis that a query definition names. Raises InvalidQuery where missing or unknown."""
    name = query.get(ANALYSIS)
    if name is None or name == "":
        raise missing(f"query.{ANALYSIS}")
    if not isinstance(name, str) or name not in ANALYSES:
        raise wrong(
            f"query.{ANALYSIS}",
            f"one of {', '.join(sorted(ANALYSES))}",
            name,
            hint=meant(analysis_meant(name)),
        )
    return name


def normalised(query: Mapping[str, Any]) -> dict[str, Any]:
    """The normal form of parameters that ``parse`` accepts; parsed again, it gives the same query."""
    analysis = analysis_of(query)
    normal: dict[str, Any] = {ANALYSIS: analysis}
    if analysis in _OF_BEHAVIOUR:
        return normal | _behaviour(analysis, query) | _preferred(query)
    if analysis == PATHS:
        return normal | _of_events(query, _OF_PATHS) | _where(query) | _preferred(query)
    if analysis not in BEHAVIOURS and analysis != SERIES:
        normal["event_collection"] = query["event_collection"]
    if analysis == MULTI_ANALYSIS:
        normal["analyses"] = structured("analyses", query["analyses"])
    elif analysis == FUNNEL:
        normal["steps"] = [_step(step) for step in structured("steps", query["steps"])]
    elif analysis == SERIES:
        normal |= _series(query)
    elif analysis == SESSIONS:
        normal |= _of_events(query, _OF_SESSIONS)
    elif analysis != EXTRACTION:
        normal["target_property"] = query.get("target_property")
    if analysis == "percentile":
        normal["percentile"] = query["percentile"]
    normal |= _where(query)
    if analysis == EXTRACTION:
        normal["latest"] = _given(query, "latest")
        normal["property_names"] = _listed("property_names", query)
    elif analysis != FUNNEL:
        normal |= {name: _given(query, name) for name in _ARRANGED}
        normal["group_by"] = _listed("group_by", query)
        normal["order_by"] = structured("order_by", normal["order_by"])
    if analysis == FUNNEL:
        normal |= _those_given(query, ("actor_property",))
        if not is_unordered(query):
            normal |= {name: structured(name, value) for name, value in _those_given(query, _ORDER).items()}
    return normal | _preferred(query)


def without_filters(query: Mapping[str, Any]) -> dict[str, Any]:
    """A definition in normal form with all filters removed, so that their values are not shown."""
    copy = {**query, "filters": []}
    if "series" in query:
        copy["series"] = {label: {**one, "filters": []} for label, one in query["series"].items()}
    for name in ("steps", "exclusions", "events"):
        if name in query:
            copy[name] = [{**part, "filters": []} for part in query[name]]
    session = query.get(SESSION)
    if session and session.get("events"):
        events = [{**part, "filters": []} for part in structured("events", session["events"])]
        copy[SESSION] = {**session, "events": events}
    for name in (*_EVENTS, *_ANCHORS):
        if isinstance(query.get(name), dict):
            copy[name] = {**query[name], "filters": []}
    return copy


def _behaviour(analysis: str, query: Mapping[str, Any]) -> dict[str, Any]:
    normal: dict[str, Any] = {}
    for name in _EVENTS:
        event = structured(name, _given(query, name))
        if event:
            normal[name] = _entry(event)
    normal |= _of_events(query, _OF_BEHAVIOUR[analysis])
    for name in ("group_by", "order_by", "brackets"):
        listed = _listed(name, query)
        normal |= {} if listed is None else {name: listed}
    return normal | _where(query)


def _of_events(query: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The parameters of these names that are given, and the entries of ``events``."""
    normal = {name: _decoded(name, value) for name, value in _those_given(query, names).items()}
    entries = structured("events", _given(query, "events"))
    if entries:
        normal["events"] = [_entry(entry) for entry in entries]
    return normal


def _decoded(name: str, value: Any) -> Any:
    """The value, decoded where it may be JSON text; names of properties and of nodes may begin in any way."""
    is_object = name in _ANCHORS and isinstance(value, str) and value.lstrip()[:1] == "{"
    return structured(name, value) if is_object or name in ("measures", "rename") else value


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    filters = structured("filters", entry.get("filters")) or []
    named = _those_given(entry, ("actor_property", "name", "by"))
    return {"event_collection": entry["event_collection"], **named, "filters": filters}


def _where(query: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "filters": structured("filters", query.get("filters")) or [],
        "timeframe": structured("timeframe", _given(query, "timeframe")),
        "timezone": structured("timezone", _given(query, "timezone")),
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step's own parameters; those that it lacks are still taken from the funnel."""
    return {
        "event_collection": step["event_collection"],
        "actor_property": _given(step, "actor_property"),
        **_where(step),
        **{name: flag(step, name, False) for name in _STEP_FLAGS},
        **_those_given(step, _STEP_IN_ORDER),
        **_preferred(step),
    }


def _series(query: Mapping[str, Any]) -> dict[str, Any]:
    """The named questions, and what is given of the parameters of series."""
    normal = {"series": structured("series", query["series"])}
    for name in _OF_SERIES:
        value = structured(name, _given(query, name))
        if value is not None and value not in ([], {}):
            normal[name] = value
    if "fill" in query and query["fill"] is None:
        # Elsewhere null is nothing; here it is what stands where there is no data.
        normal["fill"] = "null"
    return normal


def _preferred(query: Mapping[str, Any]) -> dict[str, Any]:
    named = _those_given(query, _PREFERENCES)
    if SESSION in named:
        named[SESSION] = structured(SESSION, named[SESSION])
    return named


def _those_given(query: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    given = {name: _given(query, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _given(query: Mapping[str, Any], name: str) -> Any:
    value = query.get(name)
    return None if value == "" else value


def _listed(name: str, query: Mapping[str, Any]) -> list[Any] | None:
    value = structured(name, _given(query, name))
    if value is None or value == []:
        return None
    return value if isinstance(value, list) else [value]
