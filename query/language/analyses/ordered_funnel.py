"""Parses what a funnel says about the order of its steps, and what needs one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language import timeframe
from query.language.analyses.behaviour_nodes import (
    Counting,
    Durations,
    EqualTimes,
    Exclusion,
    FunnelAttribution,
    FunnelOrder,
    FunnelQuery,
    Step,
)
from query.language.analyses.parsing import Parsing, choice, group_of, length
from query.language.calendar import WeekStart
from query.language.fields import is_number, missing, structured, text, whole, wrong
from query.language.nodes import Buckets
from query.language.parameter_table import DEFAULT_GAP
from query.language.parameters import is_absent

NEEDING_ORDER = (
    *("window", "equal_times", "exclusions", "hold", "group_by", "attribution", "interval", "counting"),
    *("session_gap", "times", "explain_actor"),
)
"""The parameters of funnels that need an order."""
PERCENTILES = (25, 50, 75, 90, 95)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
HISTOGRAM_SECONDS = (
    *(0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR),
    *(_DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY),
)
SECONDS_MAX = 10_000 * 366 * _DAY
FIELDS = ("result", "times")
"""What a row of the answer has beside the value of its group."""
ENTRIES_MAX = 1_000
"""Percentiles, and edges of a histogram."""


def ordered(parsing: Parsing, funnel: FunnelQuery) -> FunnelQuery:
    """The funnel with the order of its steps, and what needs one."""
    params = parsing.params
    order = choice(FunnelOrder, "order", params.get("order")) or FunnelOrder.ANY
    if order is FunnelOrder.ANY:
        _refuse_without_order(params, funnel.steps)
        return funnel
    steps = len(funnel.steps)
    counting = choice(Counting, "counting", params.get("counting")) or Counting.ACTORS
    gap = length("session_gap", params.get("session_gap"))
    if gap is not None and counting is not Counting.SESSIONS:
        raise InvalidQuery("'session_gap' needs counting: 'sessions'.")
    parsed = replace(
        funnel,
        order=order,
        window=length("window", params.get("window")),
        equal_times=choice(EqualTimes, "equal_times", params.get("equal_times")) or EqualTimes.IN_ORDER,
        exclusions=_exclusions(parsing, steps),
        hold=_held(parsing),
        group=group_of(parsing, FIELDS),
        attribution=_attribution(params, funnel.steps),
        buckets=_buckets(parsing, funnel.steps[0]),
        counting=counting,
        session_gap=gap or (length("session_gap", DEFAULT_GAP) if counting is Counting.SESSIONS else None),
        durations=_durations(parsing),
        explained=_explained(parsing),
    )
    _refuse_with_conversions(parsed)
    if parsed.explained is not None and (parsed.hold is not None or counting is Counting.SESSIONS):
        raise InvalidQuery(
            "'explain_actor' follows all events of the actor: leave out 'hold' and counting: 'sessions'."
        )
    return parsed


def _refuse_without_order(params: Mapping[str, Any], steps: Sequence[Step]) -> None:
    # Keen's funnels ignored these two.
    ignored = ("group_by", "interval")
    needs = [name for name in NEEDING_ORDER if name not in ignored and not is_absent(params.get(name))]
    needs += [
        f"{step.where}{name}"
        for step in steps
        for name, given in (
            ("min_gap", step.least_gap > 0),
            ("max_gap", step.most_gap is not None),
            ("with_dropped", step.with_dropped),
        )
        if given
    ]
    if needs:
        raise InvalidQuery(
            f"'{needs[0]}' needs an 'order': without one, the steps of a funnel may come at any time. "
            "Send order: 'ordered' as well."
        )


def _refuse_with_conversions(funnel: FunnelQuery) -> None:
    if funnel.counting is not Counting.CONVERSIONS:
        return
    for name, given in (("group_by", funnel.group), ("hold", funnel.hold), ("times", funnel.durations)):
        if given is not None:
            raise InvalidQuery(
                f"'{name}' cannot be used with counting: 'conversions': an actor may have several. "
                "Count actors or sessions."
            )


def _exclusions(parsing: Parsing, steps: int) -> tuple[Exclusion, ...]:
    entries = structured("exclusions", parsing.params.get("exclusions"))
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise wrong("exclusions", "a list of objects with event_collection", entries)
    if len(entries) > parsing.limits.steps_max:
        raise QueryLimitExceeded(f"'exclusions' may have at most {parsing.limits.steps_max} entries.")
    return tuple(
        _exclusion(parsing, entry, f"exclusions[{index}].", steps) for index, entry in enumerate(entries)
    )


def _exclusion(parsing: Parsing, entry: Any, where: str, steps: int) -> Exclusion:
    if not isinstance(entry, Mapping):
        raise wrong(where[:-1], "an object with event_collection", entry)
    after = _step_number(entry.get("after_step"), f"{where}after_step", 1, steps - 1)
    before = _step_number(entry.get("before_step"), f"{where}before_step", steps, steps)
    if after >= before:
        raise InvalidQuery(f"'{where}before_step' must be greater than 'after_step'.")
    frame, zone = parsing.own_or_root(entry, "timeframe"), parsing.own_or_root(entry, "timezone")
    return Exclusion(
        collection=parsing.collection(entry, where),
        actor=parsing.actor(entry, where),
        span=parsing.span(frame, zone),
        filters=parsing.filters(structured("filters", entry.get("filters")), f"{where}filters"),
        where=where,
        merged=parsing.merged,
        after=after - 1,
        before=before - 1,
    )


def _step_number(value: Any, name: str, default: int, greatest: int) -> int:
    """The number of a step, from 1 on."""
    if value is None or value == "":
        return default
    number = whole(name, value, 1)
    if number > greatest:
        raise wrong(name, f"the number of a step, from 1 to {greatest}", value)
    return number


def _held(parsing: Parsing) -> str | None:
    """One property's path, also as a list of one or as an object with it."""
    name = "hold"
    value = structured(name, parsing.params.get(name))
    if is_absent(value):
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping) and value.keys() == {"property_name"}:
        value = value["property_name"]
    if isinstance(value, Mapping) and value.keys() & {"cohort", "session"}:
        raise InvalidQuery(
            "A funnel's 'hold' cannot be a cohort or a property of sessions: an actor is in a cohort at all "
            "steps or at none, and counting: 'sessions' keeps the steps within one session. To compare them, "
            "use 'group_by'."
        )
    if not isinstance(value, str):
        raise wrong(name, "the name of one property", value)
    return text(name, value, parsing.limits.name_length_max)


def _attribution(params: Mapping[str, Any], steps: Sequence[Step]) -> FunnelAttribution | int:
    value = params.get("attribution")
    if is_absent(value):
        return FunnelAttribution.FIRST
    if is_absent(params.get("group_by")):
        raise InvalidQuery("'attribution' needs a 'group_by': it says which step's event has the group.")
    if isinstance(value, str) and value in tuple(FunnelAttribution):
        return FunnelAttribution(value)
    needs = f"'first', 'last' or the number of a step, from 1 to {len(steps)}"
    try:
        number = whole("attribution", value, 1)
    except InvalidQuery:
        raise wrong("attribution", needs, value) from None
    if number > len(steps):
        raise wrong("attribution", needs, value)
    if steps[number - 1].optional or steps[number - 1].inverted:
        raise InvalidQuery(
            f"'attribution' cannot name step {number}: an actor may get further without an event of a step "
            "that is optional or inverted."
        )
    return number - 1


def _buckets(parsing: Parsing, first: Step) -> Buckets | None:
    params = parsing.params
    interval = params.get("interval")
    if is_absent(interval):
        return None
    frame = first.echo["timeframe"]
    if frame is None:
        raise missing("timeframe", because="interval")
    zone = timeframe.bucket_zone(frame, first.echo["timezone"])
    week = WeekStart(first.echo.get("week_start", parsing.preferences.week_start))
    return timeframe.buckets(first.span, interval, zone, parsing.limits.funnel_intervals_max, week)


def _durations(parsing: Parsing) -> Durations | None:
    value = structured("times", parsing.params.get("times"))
    if is_absent(value) or value is False or value == "false":
        return None
    given = {} if value is True or value == "true" else value
    if not isinstance(given, Mapping):
        raise wrong("times", "true, or an object with percentiles and histogram", value)
    percentiles = given.get("percentiles", PERCENTILES)
    edges = given.get("histogram", HISTOGRAM_SECONDS)
    if not _ascend(percentiles) or not all(0 < one <= 100 for one in percentiles):
        needs = "a list of numbers above 0 and up to 100, each above the last"
        raise wrong("times.percentiles", needs, percentiles)
    if not _ascend(edges) or not all(0 <= one <= SECONDS_MAX for one in edges):
        raise wrong("times.histogram", "a list of seconds from 0 on, each above the last", edges)
    if max(len(percentiles), len(edges)) > ENTRIES_MAX:
        raise QueryLimitExceeded(f"'times' may have at most {ENTRIES_MAX} percentiles and edges.")
    return Durations(tuple(percentiles), tuple(round(one * 1_000_000) for one in edges))


def _ascend(values: Any) -> bool:
    return (
        isinstance(values, list | tuple)
        and all(map(is_number, values))
        and all(one < next_one for one, next_one in pairwise(values))
    )


def _explained(parsing: Parsing) -> Any:
    value = parsing.params.get("explain_actor")
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | float | bool):
        raise wrong("explain_actor", "an actor: a string, a number or a boolean", value)
    return value
