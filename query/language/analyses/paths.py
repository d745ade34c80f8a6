"""Parses questions about the paths that actors take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.analyses.event_lists import parse_entry, parse_events
from query.language.analyses.parsing import Parsing, choice, length
from query.language.analyses.sequence_nodes import Anchor, PathCounting, PathsQuery, Rename
from query.language.analyses.sessions import LENGTH_MAX
from query.language.fields import missing, structured, text, whole, wrong
from query.language.nodes import Span
from query.language.parameter_table import DEFAULT_GAP, DEPTH_MIN, value_of
from storage.instants import MIN_INSTANT_US

WILDCARDS_MAX = 10
"""Times that one rule has ``*``: each name is matched in time proportional to its length and to these."""
_ANCHORS = ("from", "to")


def parse_paths(parsing: Parsing) -> PathsQuery:
    params = parsing.params
    span = parsing.span(params.get("timeframe"), params.get("timezone"))
    counting = choice(PathCounting, "counting", params.get("counting")) or PathCounting.ACTORS
    gap = length("gap", params.get("gap") or (DEFAULT_GAP if counting is PathCounting.SESSIONS else None))
    window = length("window", params.get("window"))
    gap, window = (None if one is None else min(one, LENGTH_MAX) for one in (gap, window))
    read = span
    if counting is PathCounting.SESSIONS and gap is not None and span.start_us is not None:
        # Sessions that began before the timeframe are told apart by the events of the gap before it.
        read = Span(max(span.start_us - gap, MIN_INSTANT_US), span.end_us)
    anchor = _anchor(parsing, read)
    if counting is PathCounting.OCCURRENCES and anchor is None:
        raise missing("from", because="counting")
    return PathsQuery(
        parse_events(parsing, read, named=True),
        span,
        anchor,
        _bounded(parsing, "depth", DEPTH_MIN, parsing.limits.path_depth_max),
        counting,
        gap,
        window,
        value_of(params, "collapse_repeats"),
        _renames(parsing),
        _bounded(parsing, "nodes", 1, parsing.limits.path_nodes_max),
        value_of(params, "least"),
    )


def _anchor(parsing: Parsing, span: Span) -> Anchor | None:
    given = [(name, value) for name in _ANCHORS if (value := _given(parsing, name)) is not None]
    if not given:
        return None
    if len(given) > 1:
        raise InvalidQuery(
            "Send either 'from' or 'to', not both: a funnel tells how many get from one to another."
        )
    name, value = given[0]
    if isinstance(value, Mapping):
        return Anchor(name == "to", selection=parse_entry(parsing, value, f"{name}.", span))
    if not isinstance(value, str):
        raise wrong(name, "the name of a node, or an object with event_collection", value)
    return Anchor(name == "to", text(name, value, parsing.limits.name_length_max))


def _given(parsing: Parsing, name: str) -> Any:
    value = parsing.params.get(name)
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = structured(name, value)
    return None if value in ("", {}) else value


def _bounded(parsing: Parsing, name: str, low: int, high: int) -> int:
    value = parsing.params.get(name)
    number: int = value_of({}, name) if value is None or value == "" else whole(name, value, low)
    if number > high:
        raise QueryLimitExceeded(f"'{name}' may be at most {high}.")
    return number


def _renames(parsing: Parsing) -> tuple[Rename, ...]:
    rules = structured("rename", parsing.params.get("rename"))
    if rules is None or rules == "" or rules == []:
        return ()
    if isinstance(rules, Mapping):
        rules = [rules]
    if not isinstance(rules, list):
        raise wrong("rename", 'a list of objects such as {"match": "/product/*", "as": "a product"}', rules)
    if len(rules) > parsing.limits.renames_max:
        raise QueryLimitExceeded(f"'rename' may have at most {parsing.limits.renames_max} entries.")
    return tuple(_rename(parsing, rule, f"rename[{index}]") for index, rule in enumerate(rules))


def _rename(parsing: Parsing, rule: Any, where: str) -> Rename:
    if not isinstance(rule, Mapping):
        raise wrong(where, 'an object such as {"match": "/product/*", "as": "a product"}', rule)
    for key in ("match", "as"):
        if rule.get(key) is None or rule.get(key) == "":
            raise missing(f"{where}.{key}")
    match = text(f"{where}.match", rule["match"], parsing.limits.regex_length_max)
    name = text(f"{where}.as", rule["as"], parsing.limits.name_length_max)
    if match.count("*") > WILDCARDS_MAX:
        raise QueryLimitExceeded(f"'{where}.match' may have '*' at most {WILDCARDS_MAX} times.")
    return Rename(match, name)
