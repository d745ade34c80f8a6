"""Parses retention: who starts, who returns, and in which periods."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.analyses.parsing import Parsing, choice, divided, group_of
from query.language.analyses.retention_nodes import (
    Cohort,
    CohortSpan,
    FirstIn,
    PeriodRange,
    PeriodType,
    RetentionQuery,
    ReturnOn,
)
from query.language.fields import missing, structured, whole, wrong
from query.language.nodes import Selection, Span
from query.language.parameter_table import value_of
from query.language.timeframe import interval_length

FIELDS = ("timeframe", "size", "sizes", "retained", "rates", "unfinished")
"""Keys of the answer's rows and of its summary."""
STARTING, RETURNING = "starting_event", "returning_event"
PERIOD_MAX = 1_000_000
"""The greatest number of a period in ``brackets``."""


def parse_retention(parsing: Parsing) -> RetentionQuery:
    params = parsing.params
    starting = _event(parsing, STARTING)
    if starting is None:
        raise missing(STARTING)
    returning = _event(parsing, RETURNING)
    if returning == starting:
        returning = None
    cohort = choice(Cohort, "cohort", params.get("cohort")) or Cohort.FIRST_TIME
    period_type = choice(PeriodType, "period_type", params.get("period_type")) or PeriodType.CALENDAR
    returned = choice(ReturnOn, "returned", params.get("returned")) or ReturnOn.ON
    if _first_in(parsing, cohort) is FirstIn.HISTORY:
        # The same event over another timeframe: who started before it is in no cohort.
        returning = returning or starting
        starting = replace(starting, span=Span(None, starting.span.end_us))
    length = _rolling_length(params.get("interval")) if period_type is PeriodType.ROLLING else None
    columns = _brackets(parsing, returned)
    cohorts, columns = _spans(parsing, columns, length)
    group = group_of(parsing, FIELDS)
    decimals = parsing.preferences.decimals
    return RetentionQuery(starting, returning, cohorts, columns, cohort, length, returned, group, decimals)


def _event(parsing: Parsing, name: str) -> Selection | None:
    """The events of one of the two kinds: those that pass its filters and those of the whole question."""
    event = structured(name, parsing.params.get(name))
    if event is None or event == "" or event == {}:
        return None
    if not isinstance(event, Mapping):
        raise wrong(name, "an object with event_collection", event)
    where = f"{name}."
    collection = parsing.collection(event, where)
    shared = parsing.filters(structured("filters", parsing.params.get("filters")))
    own = parsing.filters(structured(f"{where}filters", event.get("filters")), f"{where}filters")
    return Selection(
        collection=collection,
        actor=parsing.own_or_root_actor(event, where),
        span=parsing.span(parsing.params.get("timeframe"), parsing.params.get("timezone")),
        filters=(*shared, *own),
        where=where,
        shared=len(shared),
        merged=parsing.merged,
    )


def _first_in(parsing: Parsing, cohort: Cohort) -> FirstIn:
    first_in = choice(FirstIn, "first_in", parsing.params.get("first_in"))
    if first_in is not None and cohort is Cohort.RECURRING:
        raise InvalidQuery(
            "'first_in' has no place in a retention with cohort: 'recurring': such cohorts have all actors "
            "of a period, whenever they began."
        )
    return first_in or FirstIn.TIMEFRAME


def _rolling_length(interval: Any) -> int:
    if interval is None or interval == "":
        raise missing("interval")
    length = interval_length(interval)
    if length is None:
        raise wrong(
            "interval",
            "one of minutes, hours, days or weeks with period_type: 'rolling', as every_30_days",
            interval,
            "InvalidIntervalError",
        )
    return length


def _brackets(parsing: Parsing, returned: ReturnOn) -> tuple[PeriodRange, ...]:
    """The columns of ``brackets``; none where it is absent."""
    value = structured("brackets", parsing.params.get("brackets"))
    if value is None or value == "" or value == []:
        return ()
    if returned is ReturnOn.ON_OR_AFTER:
        raise InvalidQuery(
            "'brackets' cannot be used together with returned: 'on_or_after': a bracket says itself where "
            "it ends."
        )
    if parsing.params.get("periods") not in (None, ""):
        raise InvalidQuery("'periods' cannot be used together with 'brackets', which say which periods.")
    if not isinstance(value, list):
        raise wrong("brackets", "a list such as [[1, 3], [4, 7]]", value)
    if len(value) > parsing.limits.intervals_max:
        raise QueryLimitExceeded(f"'brackets' may have at most {parsing.limits.intervals_max} entries.")
    columns = tuple(_bracket(entry, f"brackets[{index}]") for index, entry in enumerate(value))
    for index, (one, following) in enumerate(pairwise(columns), 1):
        if following.first <= one.last:
            raise wrong(f"brackets[{index}]", "a bracket that begins after the one before it", value[index])
    return columns


def _bracket(entry: Any, name: str) -> PeriodRange:
    if not isinstance(entry, list) or len(entry) != 2:
        raise wrong(name, "the numbers of its first and last period, as [1, 3]", entry)
    first, last = (whole(name, end, 0) for end in entry)
    if not first <= last <= PERIOD_MAX:
        raise wrong(name, f"two numbers from 0 to {PERIOD_MAX:,}, the lesser one first", entry)
    return PeriodRange(first, last)


def _spans(
    parsing: Parsing, brackets: tuple[PeriodRange, ...], length: int | None
) -> tuple[tuple[CohortSpan, ...], tuple[PeriodRange, ...]]:
    """The cohorts of the timeframe, and the columns that any of them has."""
    parts = divided(parsing)
    edges = parts.edges
    span_end, now = edges[-1], parsing.now_us
    most: int | None = value_of(parsing.params, "periods")
    count = len(edges) - 1
    if brackets:
        columns = brackets
    else:
        periods = count if length is None else -((edges[0] - span_end) // length)
        last = periods - 1 if most is None else min(most, periods - 1)
        if last + 1 > parsing.limits.intervals_max:
            raise QueryLimitExceeded(
                f"The timeframe has more than {parsing.limits.intervals_max} periods. "
                "Ask for fewer 'periods'."
            )
        columns = tuple(PeriodRange(number, number) for number in range(last + 1))
    begins = [column.first for column in columns]
    ends = [column.last for column in columns]
    ended = bisect_right([*edges[1:-1], parts.whole_end], min(now, span_end))
    cohorts = []
    for number in range(count):
        start, end = edges[number], edges[number + 1]
        if length is None:
            listed = bisect_right(begins, count - 1 - number)
            begun = bisect_right(begins, bisect_right(edges, now, hi=count) - 1 - number)
            over = bisect_right(ends, ended - 1 - number)
        else:
            listed = bisect_right(begins, (span_end - start - 1) // length)
            begun = bisect_right(begins, (now - start) // length)
            over = bisect_right(ends, (min(now, span_end) - end) // length - 1)
        cohorts.append(CohortSpan(start, end, listed, min(begun, listed), min(over, listed)))
    _check_cells(parsing, cohorts)
    return tuple(cohorts), columns[: max((one.listed for one in cohorts), default=0)]


def _check_cells(parsing: Parsing, cohorts: Sequence[CohortSpan]) -> None:
    cells_max = parsing.limits.cells_max
    if sum(one.listed for one in cohorts) > cells_max:
        raise QueryLimitExceeded(
            f"The cohorts and their periods are more than {cells_max:,} numbers. Ask for fewer 'periods', "
            "a longer 'interval' or a shorter 'timeframe'."
        )
