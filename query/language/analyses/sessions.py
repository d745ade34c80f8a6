"""Parses questions about sessions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language import calendar, timeframe
from query.language.analyses.event_lists import parse_events
from query.language.analyses.parsing import Parsing, choice, length
from query.language.analyses.sequence_nodes import (
    Attribution,
    Cut,
    Measured,
    SessionMeasure,
    SessionsQuery,
)
from query.language.calendar import Unit
from query.language.fields import missing, structured, text, wrong
from query.language.grouping import CODE as GROUP_CODE
from query.language.grouping import parse_limit, parse_order
from query.language.nodes import Group, Span
from query.language.parameter_table import DEFAULT_GAP, PERCENTILE_MEASURE, value_of
from query.language.suggestions import did_you_mean
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US

LENGTH_MAX = MAX_INSTANT_US - MIN_INSTANT_US
"""All times differ by less."""
_PERCENTILE = re.compile(PERCENTILE_MEASURE, re.ASCII)
_NAMED = tuple(one for one in SessionMeasure if one is not SessionMeasure.DURATION_PERCENTILE)
_OF_PAGES = (SessionMeasure.ENTRIES, SessionMeasure.EXITS)


def parse_sessions(parsing: Parsing) -> SessionsQuery:
    params, limits = parsing.params, parsing.limits
    span = parsing.span(params.get("timeframe"), params.get("timezone"))
    gap = length("gap", params.get("gap") or DEFAULT_GAP) or 0
    longest = length("longest", params.get("longest"))
    gap, longest = min(gap, LENGTH_MAX), None if longest is None else min(longest, LENGTH_MAX)
    before = gap + (longest or 0)
    start = None if span.start_us is None else max(span.start_us - before, MIN_INSTANT_US)
    groups = parsing.groups(params.get("group_by"))
    page = params.get("page_property")
    page = None if page is None or page == "" else text("page_property", page, limits.name_length_max)
    measures = _measures(params.get("measures"), page)
    _check_names(groups, measures)
    attribution = choice(Attribution, "attribution", params.get("attribution"))
    if attribution is not None and not groups:
        raise InvalidQuery(
            "'attribution' needs a 'group_by': it names the event whose values are grouped by."
        )
    labels = [one.label for one in measures if one.measure not in _OF_PAGES]
    order = parse_order(params.get("order_by"), groups, labels) if params.get("order_by") else ()
    return SessionsQuery(
        parse_events(parsing, Span(start, span.end_us)),
        span,
        gap,
        cuts=_cuts(parsing, Span(start, span.end_us)),
        longest=longest,
        buckets=parsing.buckets(span),
        groups=groups,
        attribution=attribution or Attribution.ENTRY,
        measures=measures,
        page=page,
        pages=_pages(parsing, page),
        order=order,
        limit=parse_limit(params, order),
        zero_fill=value_of(params, "zero_fill"),
        decimals=parsing.preferences.decimals,
    )


def _measures(value: Any, page: str | None) -> tuple[Measured, ...]:
    named = structured("measures", value)
    if named is None or named == [] or named == "":
        return tuple(Measured(one, one.value) for one in _NAMED if page is not None or one not in _OF_PAGES)
    names = named if isinstance(named, list) else [named]
    measures = tuple(dict.fromkeys(_measure(name, page) for name in names))
    if len(measures) < len(names):
        raise wrong("measures", "a list that names each measure once", value)
    return measures


def _measure(name: Any, page: str | None) -> Measured:
    match = _PERCENTILE.fullmatch(name) if isinstance(name, str) else None
    if match is not None:
        percentile = float(match[1])
        if 0 < percentile <= 100:
            return Measured(SessionMeasure.DURATION_PERCENTILE, name, percentile)
    if name not in _NAMED:
        known = [one.value for one in _NAMED]
        hint = did_you_mean(name, known) if isinstance(name, str) else ""
        raise wrong("measures", f"of {', '.join(known)}, or duration_p90 and the like", name, hint=hint)
    measure = SessionMeasure(name)
    if measure in _OF_PAGES and page is None:
        raise missing("page_property", because="measures")
    return Measured(measure, measure.value)


def _check_names(groups: Sequence[Group], measures: Sequence[Measured]) -> None:
    labels = {one.label for one in measures}
    for group in groups:
        if group.path in labels:
            raise InvalidQuery(
                f"'group_by' cannot name the property '{group.path}' beside the measure of this name: rows "
                "would have that key twice. Name other 'measures'.",
                GROUP_CODE,
            )


def _pages(parsing: Parsing, page: str | None) -> int:
    pages: int = value_of(parsing.params, "pages")
    if page is None and parsing.params.get("pages"):
        raise missing("page_property", because="pages")
    if pages > parsing.limits.pages_max:
        raise QueryLimitExceeded(f"'pages' may be at most {parsing.limits.pages_max}.")
    return pages


def _cuts(parsing: Parsing, span: Span) -> tuple[int, ...]:
    """The midnights of the span, after its start and up to its end."""
    params = parsing.params
    if choice(Cut, "cut", params.get("cut")) is None:
        return ()
    if span.start_us is None or span.end_us is None:
        raise InvalidQuery(
            "'cut' needs a timeframe with both a start and an end.", "TimeframeDefinitionError"
        )
    zone = timeframe.bucket_zone(params.get("timeframe"), params.get("timezone"))
    midnights: list[int] = []
    try:
        for midnight in calendar.aligned_edges(span.start_us, Unit.DAY, zone):
            if midnight > span.end_us:
                break
            midnights.append(midnight)
            if len(midnights) > parsing.limits.intervals_max:
                raise QueryLimitExceeded(
                    f"'cut' divides the timeframe into more than {parsing.limits.intervals_max} days. "
                    "Use a shorter timeframe."
                )
    except OverflowError:
        raise InvalidQuery(
            "'cut' reaches beyond the years 1 to 9999 in this timezone.", "TimeframeDefinitionError"
        ) from None
    return tuple(midnights)
