"""A slow evaluator of questions over Python events: what every answer must equal."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from query.language.analyses.activity_nodes import ActiveDaysQuery, ActivePeriodsQuery, LifecycleQuery
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.analyses.retention_nodes import RetentionQuery
from query.language.analyses.sequence_nodes import EventList
from query.language.nodes import (
    ActorCohort,
    Analysis,
    AnyOf,
    Circle,
    CohortCondition,
    Condition,
    ExtractionQuery,
    Filter,
    Group,
    Metric,
    MetricQuery,
    Operator,
    Span,
)
from storage.instants import format_instant, parse_instant
from tests.query.behaviour import activity_reference
from tests.query.behaviour.retention_reference import Done, retained
from tests.query.support_source import Event

MISSING = object()
TIMES = ("keen.timestamp", "keen.created_at")


def lookup(event: Event, path: str) -> Any:
    value: Any = event
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    """Type-strict: 1 is 1.0, and is neither "1" nor true."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    return type(left) is type(right) and left == right and not isinstance(left, dict | list)


def equal(path: str, value: Any, operand: Any) -> bool:
    if operand is None:
        return value is MISSING or value is None or (isinstance(value, list) and None in value)
    if isinstance(value, list):
        if isinstance(operand, list):
            return len(value) == len(operand) and all(map(same, value, operand))
        return any(same(element, operand) for element in value)
    if path in TIMES:
        us = parse_instant(operand) if isinstance(operand, str) else None
        return us is not None and us == parse_instant(value)
    return value is not MISSING and same(value, operand)


def ordered(path: str, value: Any, operator: Operator, operand: Any) -> bool:
    if is_number(value) and is_number(operand):
        left, right = Fraction(value), Fraction(operand)
    elif isinstance(value, str) and isinstance(operand, str):
        left_us, right_us = parse_instant(value), parse_instant(operand)
        if left_us is not None and right_us is not None:
            left, right = Fraction(left_us), Fraction(right_us)
        elif path in TIMES:
            return False
        else:
            left, right = value, operand  # type: ignore[assignment]
    else:
        return False
    return {
        Operator.LT: left < right,
        Operator.LTE: left <= right,
        Operator.GT: left > right,
        Operator.GTE: left >= right,
    }[operator]


def miles(circle: Circle, value: Any) -> float | None:
    if not isinstance(value, list) or len(value) < 2 or not all(map(is_number, value[:2])):
        return None
    longitude, latitude = (math.radians(part) for part in value[:2])
    other_longitude, other_latitude = math.radians(circle.longitude), math.radians(circle.latitude)
    half = (
        math.sin((latitude - other_latitude) / 2) ** 2
        + math.cos(latitude) * math.cos(other_latitude) * math.sin((longitude - other_longitude) / 2) ** 2
    )
    return 3958.7613 * 2 * math.asin(math.sqrt(min(1.0, half)))


COHORT_EVENTS: ContextVar[dict[str, list[Event]]] = ContextVar("COHORT_EVENTS")
"""The events of all collections, for cohorts."""


def actor_key(path: str, value: Any) -> Any:
    return (type(value) is bool, order_at(path, value))


def actors_in(event: Event, path: str) -> set[Any]:
    return {actor_key(path, value) for value in values_of(event, path) if value is not None}


def cohort_actors(cohort: ActorCohort) -> set[Any]:
    collections = COHORT_EVENTS.get()
    if cohort.members is not None:
        return {actor_key("listed", canonical(value)) for value in cohort.members.values}
    if cohort.funnel is not None:
        asked = cohort.funnel.funnel
        assert isinstance(asked, FunnelQuery)
        step, before = cohort.funnel.step, cohort.funnel.step - 1
        while before > 0 and asked.steps[before].optional:
            before -= 1
        counted = funnel_actors(asked, collections)
        return counted[before] - counted[step] if cohort.funnel.dropped else counted[step]
    every = [numbers_of(one) for one in cohort.every]
    some = [numbers_of(one) for one in cohort.some]
    return {
        actor
        for actor in {actor for numbers in (*every, *some) for actor in numbers}
        if all(one.holds(numbers[actor]) for one, numbers in zip(cohort.every, every, strict=True))
        and (
            not some or any(one.holds(numbers[actor]) for one, numbers in zip(cohort.some, some, strict=True))
        )
    }


def numbers_of(condition: CohortCondition) -> Counter[Any]:
    of = condition.of
    if isinstance(of, ActorCohort):
        return Counter(cohort_actors(of))
    chosen = select(COHORT_EVENTS.get().get(of.collection, []), of.span, of.filters)
    return Counter(actor for event in chosen for actor in actors_in(event, of.actor))


def is_member(event: Event, path: str, cohort: ActorCohort) -> bool | None:
    """None where the event has no actor."""
    actors = actors_in(event, path)
    return bool(actors & cohort_actors(cohort)) if actors else None


def matches(event: Event, item: Filter) -> bool:
    if isinstance(item, AnyOf):
        return any(matches(event, operand) for operand in item.operands)
    if item.operator in (Operator.IN_COHORT, Operator.NOT_IN_COHORT):
        return is_member(event, item.path, item.operand) is (item.operator is Operator.IN_COHORT)
    value = lookup(event, item.path)
    operator, operand = item.operator, item.operand
    if operator is Operator.IN_GROUP:
        return any(
            said is None if operand.value is None else same(said, operand.value)
            for _, said in group_values(event, operand.group)
        )
    if operator is Operator.EXISTS:
        return (value is not MISSING) is bool(operand)
    if operator in (Operator.EQ, Operator.NE):
        return equal(item.path, value, operand) == (operator is Operator.EQ)
    if operator is Operator.IN:
        return any(equal(item.path, value, one) for one in operand)
    if operator in (Operator.CONTAINS, Operator.NOT_CONTAINS):
        if isinstance(value, list):
            found = any(same(element, operand) for element in value)
        else:
            text = isinstance(value, str) and isinstance(operand, str) and item.path not in TIMES
            found = text and operand in value
        return found == (operator is Operator.CONTAINS)
    if operator is Operator.WITHIN:
        distance = miles(operand, value)
        return distance is not None and distance <= operand.miles
    if operator is Operator.REGEX:
        return isinstance(value, str) and item.path not in TIMES and re.search(operand, value) is not None
    return ordered(item.path, value, operator, operand)


def time_of(event: Event) -> int:
    us = parse_instant(event["keen"]["timestamp"])
    assert us is not None
    return us


def in_span(event: Event, span: Span) -> bool:
    us = time_of(event)
    return (span.start_us is None or us >= span.start_us) and (span.end_us is None or us < span.end_us)


def select(events: Iterable[Event], span: Span, filters: Iterable[Filter]) -> list[Event]:
    wanted = tuple(filters)
    return [event for event in events if in_span(event, span) and all(matches(event, f) for f in wanted)]


def canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def values_of(event: Event, path: str) -> list[Any]:
    """The distinct values of a path in one event: a list's elements; null where there is none."""
    value = lookup(event, path)
    if path in TIMES:
        us = parse_instant(value)
        assert us is not None
        return [format_instant(us)]
    found = value if isinstance(value, list) and value else [value]
    kept = [canonical(one) if isinstance(one, str | int | float | bool) else None for one in found]
    return unique(kept)


def stated_values(event: Event, path: str) -> list[Any]:
    """As ``values_of``, but only what the event says: nothing for a property that it lacks."""
    value = lookup(event, path)
    found = value if isinstance(value, list) else [value]
    said = [one for one in found if one is not MISSING and not isinstance(one, dict | list)]
    return values_of(event, path) if path in TIMES else [canonical(one) for one in said]


def unique(values: Iterable[Any]) -> list[Any]:
    seen: dict[Any, Any] = {}
    for value in values:
        seen.setdefault((type(value) is bool, value), value)
    return list(seen.values())


def order_of(value: Any) -> tuple[int, Any]:
    if value is None:
        return 9, 0
    if isinstance(value, list):
        return 5, [order_of(one) for one in value]
    return (2, value) if isinstance(value, bool) else (1, value) if isinstance(value, str) else (0, value)


def order_at(path: str, value: Any) -> tuple[int, Any]:
    """Times sort as instants, which their texts of three and of six digits do not."""
    return (1, parse_instant(value)) if path in TIMES else order_of(value)


def metric_value(metric: Metric, events: list[Event]) -> Any:
    if metric.analysis is Analysis.COUNT:
        return len(events)
    assert metric.target is not None
    if metric.analysis in (Analysis.COUNT_UNIQUE, Analysis.SELECT_UNIQUE):
        found = unique(value for event in events for value in stated_values(event, metric.target))
        target = metric.target
        found.sort(key=lambda value: order_at(target, value))
        return (
            found if metric.analysis is Analysis.SELECT_UNIQUE else len([v for v in found if v is not None])
        )
    numbers = [value for event in events if is_number(value := lookup(event, metric.target))]
    if metric.analysis is Analysis.SUM:
        return float_or_int(sum((Fraction(number) for number in numbers), Fraction(0)))
    if not numbers:
        return None
    if metric.analysis in (Analysis.MINIMUM, Analysis.MAXIMUM):
        return canonical((min if metric.analysis is Analysis.MINIMUM else max)(numbers))
    if any(abs(number) > 1e300 for number in numbers):
        return ...
    doubles = sorted(float(number) for number in numbers)
    mean = sum(map(Fraction, doubles)) / len(doubles)
    if metric.analysis is Analysis.AVERAGE:
        return float(mean)
    if metric.analysis is Analysis.STANDARD_DEVIATION:
        return math.sqrt(sum((Fraction(one) - mean) ** 2 for one in doubles) / len(doubles))
    percent = Fraction(str(metric.percentile)) if metric.percentile is not None else Fraction(50)
    rank = max(1, math.ceil(percent * len(doubles) / 100))
    return doubles[rank - 1]


def float_or_int(value: Fraction) -> int | float | None:
    if value.denominator == 1:
        try:
            float(value)
        except OverflowError:
            return None
        return int(value)
    return float(value)


def group_values(event: Event, group: Group) -> list[Any]:
    """(what sorts it, what the row says) of each of the event's values."""
    if group.cohort is not None:
        member = is_member(event, group.actor, group.cohort)
        return [(order_of(member), member)]
    if group.size is None and group.ranges is None:
        return [(order_at(group.path, value), value) for value in values_of(event, group.path)]
    value = lookup(event, group.path)
    if not is_number(value):
        return [((9, 0), None)]
    if group.size is not None:
        if isinstance(value, int) and abs(value) >= 2**53:
            # With all of its digits, which a double has not; the sizes asked for are exact as doubles.
            low = float_or_int(math.floor(value / Fraction(group.size)) * Fraction(group.size))
        else:
            low = canonical(math.floor(float(value) / group.size) * group.size)
        return [((0, low), low)]
    for index, one in enumerate(group.ranges or ()):
        if (one.low is None or value >= one.low) and (one.high is None or value < one.high):
            return [((0, index), one.label)]
    return [((9, 0), None)]


def metrics(query: MetricQuery, events: list[Event]) -> Any:
    chosen = select(events, query.span, query.filters)
    if query.buckets is None:
        return block(query, chosen, None)
    edges = query.buckets.edges
    cells: list[list[Event]] = [[] for _ in edges[1:]]
    for event in chosen:
        cells[bisect_right(edges, time_of(event)) - 1].append(event)
    keys = grouped(query, chosen) if query.groups and query.zero_fill else None
    return [
        {
            "value": block(query, cell, keys),
            "timeframe": {"start": format_instant(start), "end": format_instant(end)},
        }
        for cell, (start, end) in zip(cells, pairwise(edges), strict=True)
    ]


def grouped(query: MetricQuery, events: list[Event]) -> dict[Any, list[Event]]:
    groups: dict[Any, list[Event]] = {}
    for event in events:
        for key in product(*(group_values(event, group) for group in query.groups)):
            groups.setdefault(tuple((repr(order), order, value) for order, value in key), []).append(event)
    return groups


def block(query: MetricQuery, events: list[Event], keys: dict[Any, Any] | None) -> Any:
    if not query.groups:
        return results(query, events)
    groups = grouped(query, events)
    if keys is not None:
        groups = {key: groups.get(key, []) for key in keys}
    listed = sorted(groups, key=lambda key: [order for _, order, _ in key])
    rows = []
    for key in listed:
        row = {group.path: value for group, (_, _, value) in zip(query.groups, key, strict=True)}
        found = results(query, groups[key])
        row.update(found if query.multi else {"result": found})
        rows.append((key, row))
    for order in reversed(query.order):
        paths = [group.path for group in query.groups]

        def rank(pair: Any, by: str = order.by, paths: list[str] = paths) -> Any:
            if by in paths:
                return pair[0][paths.index(by)][1]
            return order_of(pair[1][by])

        nulls = [pair for pair in rows if rank(pair)[0] == 9]
        rest = sorted((p for p in rows if rank(p)[0] != 9), key=rank, reverse=order.descending)
        rows = rest + nulls
    return [row for _, row in rows][: query.limit]


def results(query: MetricQuery, events: list[Event]) -> Any:
    found = {metric.label or "result": metric_value(metric, events) for metric in query.metrics}
    return found if query.multi else found["result"]


def funnel_actors(query: FunnelQuery, collections: dict[str, list[Event]]) -> list[set[Any]]:
    _, _, keys = funnel_steps(query, collections)
    return keys


def funnel(query: FunnelQuery, collections: dict[str, list[Event]]) -> tuple[list[int], list[Any]]:
    """(result, the sorted actors of each step)"""
    counts, actors, _ = funnel_steps(query, collections)
    return counts, actors


def funnel_steps(
    query: FunnelQuery, collections: dict[str, list[Event]]
) -> tuple[list[int], list[Any], list[Any]]:
    survivors: dict[Any, Any] | None = None
    counts, actors, keys = [], [], []
    for step in query.steps:
        found = {
            order_at(step.actor, value): value
            for event in select(collections.get(step.collection, []), step.span, step.filters)
            for value in values_of(event, step.actor)
            if value is not None
        }
        if survivors is None:
            here = found
        elif step.inverted:
            here = {key: value for key, value in survivors.items() if key not in found}
        else:
            here = {key: value for key, value in survivors.items() if key in found}
        counts.append(len(here))
        actors.append([here[key] for key in sorted(here)])
        keys.append({(type(value) is bool, key) for key, value in here.items()})
        survivors = survivors if step.optional else here
    return counts, actors, keys


def retention(query: RetentionQuery, collections: dict[str, list[Event]]) -> dict[Any, Any]:
    """(group's value or None, number of the cohort) → (size, retained)"""
    returning = query.returning or query.starting
    groups_of: dict[Any, list[Any]] = {}
    same_scan = (query.starting.collection, query.starting.actor) == (returning.collection, returning.actor)
    done = []
    for kind in (query.starting,) if same_scan else (query.starting, returning):
        for event in collections.get(kind.collection, []):
            starts = kind is query.starting and bool(select([event], kind.span, kind.filters))
            returns = (same_scan or kind is returning) and bool(
                select([event], returning.span, returning.filters)
            )
            mark: Any = ()
            groups = [None]
            if query.group is not None and starts:
                groups = [said for _, said in group_values(event, query.group)]
                mark = mark_of(event, query.group)
            groups_of.setdefault(mark, groups)
            for value in values_of(event, kind.actor):
                if value is not None and (starts or returns):
                    key = repr(order_at(kind.actor, value))
                    done.append(Done(key, time_of(event), starts, returns, mark))
    total: dict[Any, Any] = {}
    for (mark, cohort), (size, counts) in retained(done, query).items():
        for group in groups_of[mark]:
            before, counted_before = total.get((group, cohort), (0, [0] * len(counts)))
            added = [one + other for one, other in zip(counted_before, counts, strict=True)]
            total[group, cohort] = before + size, added
    return total


def lifecycle(query: LifecycleQuery, collections: dict[str, list[Event]]) -> dict[Any, list[list[int]]]:
    """The groups' values → for each interval the actors of each state."""
    by_group: dict[Any, list[Any]] = {} if query.groups else {(): []}
    for key, event in _acted(query.events, collections):
        for group in product(*(group_values(event, group) for group in query.groups)):
            by_group.setdefault(tuple(said for _, said in group), []).append((key, time_of(event)))
    return {
        group: activity_reference.lifecycle(events, query.buckets.edges, query.before_us)
        for group, events in by_group.items()
    }


def active_days(query: ActiveDaysQuery, collections: dict[str, list[Event]]) -> list[list[int]]:
    events = [(key, time_of(event)) for key, event in _acted(query.events, collections)]
    return activity_reference.windows(events, query.days, query.first, (1, 7, query.month_days))


def active_periods(query: ActivePeriodsQuery, collections: dict[str, list[Event]]) -> list[int]:
    events = [(key, time_of(event)) for key, event in _acted(query.events, collections)]
    return activity_reference.histogram(events, query.buckets.edges)


def _acted(events: Iterable[EventList], collections: dict[str, list[Event]]) -> Iterator[tuple[Any, Event]]:
    """Actors and their events, once for each list that has them."""
    for one in events:
        for event in select(collections.get(one.collection, []), one.span, one.filters):
            for value in values_of(event, one.actor):
                if value is not None:
                    yield repr(order_at(one.actor, value)), event


def mark_of(event: Event, group: Group) -> tuple[Any, ...]:
    """Which of several events of one time says the group: the least value, those of lists and none last."""
    value = lookup(event, group.path)
    plain = group.size is None and group.ranges is None
    if plain and isinstance(value, list) and value and group.path not in TIMES:
        return 5, json.dumps(value, ensure_ascii=len(group.path) % 2 == 0)
    ((order, said),) = group_values(event, group)
    if is_number(said) and group.ranges is None and abs(said) >= 2**53 and isinstance(said, int):
        return 0, 1, str(said)
    return (order[0], 0, order[1])


def pick(event: Event, properties: tuple[str, ...] | None) -> Event:
    if properties is None:
        return event
    picked: Event = {}
    for path in properties:
        value = lookup(event, path)
        if value is MISSING:
            continue
        home = picked
        *outer, last = path.split(".")
        for name in outer:
            home = home.setdefault(name, {})
        home[last] = value
    return picked


def extraction(query: ExtractionQuery, events: list[Event]) -> list[Event]:
    chosen = select(events, query.span, query.filters)
    chosen.sort(key=time_of, reverse=True)
    return [pick(event, query.properties) for event in chosen[: query.latest]]


def condition_paths(items: Iterable[Filter]) -> set[str]:
    return {item.path for item in items if isinstance(item, Condition)}
