"""Parses funnels: their steps, and the order of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language import timeframe
from query.language.analyses.behaviour_nodes import (
    FunnelQuery,
    Step,
)
from query.language.analyses.ordered_funnel import ordered
from query.language.analyses.parsing import Parsing, length
from query.language.fields import flag, is_deeper, missing, structured, wrong
from query.language.preferences import week_start

ECHO_DEPTH_MAX = 300
"""Levels of nesting in a funnel's step, which the answer repeats; the deepest filters have fewer."""


def parse_funnel(parsing: Parsing) -> FunnelQuery:
    steps = structured("steps", parsing.params.get("steps"))
    if steps is None:
        raise missing("steps")
    if not isinstance(steps, list) or not steps:
        raise wrong("steps", "a list of at least one step", steps)
    if len(steps) > parsing.limits.steps_max:
        raise QueryLimitExceeded(f"A funnel may have at most {parsing.limits.steps_max} steps.")
    parsed = tuple(_step(parsing, step, f"steps[{index}].") for index, step in enumerate(steps))
    first = parsed[0]
    for name in ("inverted", "optional"):
        if getattr(first, name):
            raise InvalidQuery(f"The first step of a funnel cannot be {name}.")
    for name, given in (
        ("min_gap", first.least_gap > 0),
        ("max_gap", first.most_gap is not None),
        ("with_dropped", first.with_dropped),
    ):
        if given:
            raise InvalidQuery(
                f"'steps[0].{name}' has no meaning: no step is before the first one. "
                "Send it with a later step."
            )
    return ordered(parsing, FunnelQuery(parsed))


def _step(parsing: Parsing, step: Any, where: str) -> Step:
    if not isinstance(step, Mapping):
        raise wrong(where[:-1], "an object with event_collection and actor_property", step)
    collection = parsing.collection(step, where)
    actor, own = parsing.actor(step, where), step.get("actor_property")
    frame = parsing.own_or_root(step, "timeframe")
    zone = parsing.own_or_root(step, "timezone")
    week = week_start(step.get("week_start"), parsing.preferences.week_start, f"{where}week_start")
    span = timeframe.resolve(frame, zone, parsing.now_us, week)
    filters = structured("filters", parsing.own_or_root(step, "filters"))
    if is_deeper([filters, frame], ECHO_DEPTH_MAX):
        raise QueryLimitExceeded(f"'{where[:-1]}' is nested more than {ECHO_DEPTH_MAX} levels deep.")
    inverted, optional, with_actors, with_dropped = (
        flag(step, name, False, where) for name in ("inverted", "optional", "with_actors", "with_dropped")
    )
    gaps = {name: length(f"{where}{name}", step.get(name)) for name in ("min_gap", "max_gap")}
    if inverted and any(gap is not None for gap in gaps.values()):
        raise InvalidQuery(f"'{where[:-1]}' is inverted, and so cannot have a 'min_gap' or 'max_gap'.")
    least, most = gaps["min_gap"] or 0, gaps["max_gap"]
    if most is not None and least > most:
        raise InvalidQuery(f"'{where}min_gap' must not be longer than 'max_gap': no event could lie between.")
    return Step(
        collection=collection,
        actor=actor,
        span=span,
        filters=parsing.filters(filters, f"{where}filters"),
        where=where,
        merged=parsing.merged,
        inverted=inverted,
        optional=optional,
        with_actors=with_actors,
        with_dropped=with_dropped,
        least_gap=least,
        most_gap=most,
        echo={
            "with_actors": with_actors,
            "actor_property": own or actor,
            "filters": [] if filters is None else filters,
            "timeframe": structured("timeframe", frame),
            "timezone": structured("timezone", zone),
            "event_collection": collection,
            "optional": optional,
            "inverted": inverted,
            **({"week_start": week.value} if step.get("week_start") else {}),
            **({"with_dropped": True} if with_dropped else {}),
            **{name: step[name] for name, gap in gaps.items() if gap is not None},
        },
    )
