"""Parses lifecycle and stickiness: which actors are active, and in which periods."""

from __future__ import annotations

from bisect import bisect_right

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language import calendar, timeframe
from query.language.analyses.activity_nodes import ActiveDaysQuery, ActivePeriodsQuery, LifecycleQuery
from query.language.analyses.event_lists import parse_events
from query.language.analyses.parsing import Parsing, Periods, choice, divided
from query.language.analyses.retention_nodes import FirstIn
from query.language.calendar import Unit
from query.language.fields import structured, wrong
from query.language.grouping import CODE as GROUP_CODE
from query.language.grouping import parse_limit, parse_order
from query.language.nodes import Buckets, Span
from query.language.parameter_table import MONTH_DAYS, value_of
from storage.instants import MIN_INSTANT_US

LIFECYCLE_LABELS = ("new", "returning", "resurrected", "dormant")
WEEK_DAYS = 7
_DAILY = "daily"


def parse_lifecycle(parsing: Parsing) -> LifecycleQuery:
    params = parsing.params
    parts = divided(parsing)
    edges = parts.edges
    groups = parsing.groups(params.get("group_by"))
    for group in groups:
        if group.path in LIFECYCLE_LABELS:
            raise InvalidQuery(
                f"'group_by' cannot name the property '{group.path}': rows would have that key twice.",
                GROUP_CODE,
            )
    order = parse_order(params.get("order_by"), groups, LIFECYCLE_LABELS)
    first_in = choice(FirstIn, "first_in", params.get("first_in")) or FirstIn.HISTORY
    before = None
    if first_in is FirstIn.HISTORY:
        before = timeframe.period_before(
            edges[0], params.get("interval"), parts.zone, parsing.preferences.week_start
        )
    return LifecycleQuery(
        parse_events(parsing, Span(edges[0] if before is None else None, edges[-1])),
        Buckets(edges),
        _begun(edges, parsing.now_us),
        before,
        groups,
        order,
        parse_limit(params, order),
        value_of(params, "zero_fill"),
    )


def parse_stickiness(parsing: Parsing) -> ActiveDaysQuery | ActivePeriodsQuery:
    params = parsing.params
    parts = divided(parsing, _DAILY)
    if value_of(params, "histogram"):
        if params.get("month_days") not in (None, ""):
            raise InvalidQuery(
                "'month_days' has no place in a histogram, which counts the parts of 'interval'."
            )
        edges = parts.edges
        return ActivePeriodsQuery(parse_events(parsing, Span(edges[0], edges[-1])), Buckets(edges))
    interval = structured("interval", params.get("interval"))
    if interval not in (None, "", _DAILY):
        hint = " The actors of a day are compared with those of its week and month. A histogram takes any."
        raise wrong("interval", _DAILY, interval, "InvalidIntervalError", hint)
    month_days: int = value_of(params, "month_days") or MONTH_DAYS[-1]
    if month_days not in MONTH_DAYS:
        raise wrong("month_days", " or ".join(map(str, MONTH_DAYS)), params.get("month_days"))
    days, first = _days(parts, month_days, parsing)
    return ActiveDaysQuery(
        parse_events(parsing, Span(days[0], days[-1])),
        days,
        first,
        _begun(days[first:], parsing.now_us),
        month_days,
        parsing.preferences.decimals,
    )


def _begun(edges: tuple[int, ...], now_us: int) -> int:
    return bisect_right(edges, now_us, hi=len(edges) - 1)


def _days(parts: Periods, month_days: int, parsing: Parsing) -> tuple[tuple[int, ...], int]:
    """Where whole days begin: those of the timeframe, and as many before as the first of them needs."""
    edges, zone = parts.edges, parts.zone
    if len(edges) < 2:
        return edges, 0
    try:
        midnight = calendar.unit_start(edges[0], Unit.DAY, zone)
        before = [
            calendar.first_reach(calendar.plus(midnight, Unit.DAY, -count), zone)
            for count in range(month_days - 1, -1, -1)
        ]
    except OverflowError:
        before = [MIN_INSTANT_US - 1]
    if before[0] < MIN_INSTANT_US:
        raise InvalidQuery(
            "'timeframe' begins so early that the years 1 to 9999 have no month before it.",
            "TimeframeDefinitionError",
        )
    # Where clocks skip a whole day, two days begin at one instant.
    days = (*dict.fromkeys(before), *edges[1:-1], parts.whole_end)
    if len(days) > parsing.limits.intervals_max:
        raise QueryLimitExceeded(f"The timeframe has more than {parsing.limits.intervals_max} days.")
    return days, len(dict.fromkeys(before)) - 1
