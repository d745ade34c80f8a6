"""Hypothesis strategies: events of mixed types, and questions about them that often find something."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from query.language.analyses.activity import LIFECYCLE_LABELS
from query.language.analyses.activity_nodes import ActiveDaysQuery, ActivePeriodsQuery, LifecycleQuery
from query.language.analyses.behaviour_nodes import FunnelQuery, Step
from query.language.analyses.retention_nodes import Cohort, CohortSpan, PeriodRange, RetentionQuery, ReturnOn
from query.language.analyses.sequence_nodes import (
    Anchor,
    Attribution,
    EventList,
    Measured,
    PathCounting,
    PathsQuery,
    Rename,
    SessionMeasure,
    SessionsQuery,
)
from query.language.cohorts.members import members_of
from query.language.nodes import (
    ActorCohort,
    Analysis,
    AnyOf,
    Buckets,
    Circle,
    CohortCondition,
    Condition,
    ExtractionQuery,
    Filter,
    FunnelActors,
    Group,
    Metric,
    MetricQuery,
    Operator,
    Order,
    Row,
    Selection,
    Span,
    ValueRange,
)
from storage.instants import format_instant
from tests.query.support_source import Event

OF_COHORTS = (Operator.IN_COHORT, Operator.NOT_IN_COHORT)
ACTORS = ["u.id", "u.id", "a", "b", "keen.timestamp", "absent"]
BASE_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000

NUMBERS: list[Any] = [0, 1, 1.0, 2, -3, 2.5, 10, 17.25, 2**53, 2**53 + 1, -(2**53) - 1, 2**62 + 1, 2**64 + 1]
NUMBERS += [-(2**70) - 1, 10**40 + 1, 10**22, 1e22, -0.5, 1e-9]
STRINGS = ["", "a", "ab", "b", "1", "true", "é", "A", 'q"uo\\te', "2024-01-01", "2024-01-01T00:00:00Z"]
STRINGS += [
    "2024-01-01T01:00:00+01:00",
    "2024-01-01T00:00:00.1234567-0030",
    "2024-13-01",
    "zz\n",
    "[1]",
    "x" * 40,
]
SCALARS = [*NUMBERS, *STRINGS, True, False]
NAMES = ["a", "b", "Price", "price", "u", 'we"ird $', "é 1", "t", "e0"]
PATHS = [
    *NAMES,
    "u.id",
    "u.a",
    "b.c",
    "b.c.d",
    "absent",
    "a.x",
    "keen.timestamp",
    "keen.id",
    "keen",
    "keen.created_at",
]

scalars = st.sampled_from(SCALARS)
elements = st.one_of(scalars, st.none(), st.just({"k": 1}), st.just([1]))
lists = st.lists(elements, max_size=4)
values = st.one_of(scalars, scalars, scalars, st.none(), lists, st.just({}))
coordinates = st.one_of(
    st.lists(st.sampled_from([0, 0.01, -74.0, 40.7, 179.9, -179.9, 90]), min_size=2, max_size=2),
    st.sampled_from([[], ["1", "2"], [1], "here", None, [True, 2]]),
)
inner = st.dictionaries(st.sampled_from(["id", "a", "c", "d"]), values, max_size=2)
middle = st.dictionaries(st.sampled_from(["id", "a", "c", "d"]), st.one_of(values, inner), max_size=2)
instants = st.integers(0, 40).map(lambda step: BASE_US + step * HOUR_US // 4 + (step % 3) * 1001)


@st.composite
def events_lists(draw: st.DrawFn, max_size: int = 14) -> list[Event]:
    """Each with its own ``keen.id``."""
    made = draw(
        st.lists(
            st.dictionaries(st.sampled_from(NAMES), st.one_of(values, middle), max_size=5), max_size=max_size
        )
    )
    for number, event in enumerate(made):
        event["keen"] = {
            "timestamp": format_instant(draw(instants)),
            "created_at": format_instant(BASE_US + number),
            "id": f"{number:024x}",
        }
        if draw(st.integers(0, 3)) == 0:
            event["keen"]["location"] = {"coordinates": draw(coordinates)}
    return made


@st.composite
def rows(draw: st.DrawFn, path: str) -> Row:
    """A group and a value that a row of its answer may have."""
    group = draw(groups_of(path))
    if group.ranges is not None:
        return Row(group, draw(st.sampled_from([None, *(one.label for one in group.ranges)])))
    if group.size is not None:
        return Row(group, draw(st.sampled_from([None, 0, 2, 10, 0.5, -2, -4.0, 16, 2**53, 10**40, 1e22])))
    return Row(group, draw(st.one_of(st.none(), scalars, st.just(format_instant(BASE_US)))))


@st.composite
def groups_of(draw: st.DrawFn, path: str) -> Group:
    """The property's values, its buckets or its ranges."""
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return Group(path, size=draw(st.sampled_from([2.0, 10.0, 0.5])))
    if kind == 1:
        ranges = (ValueRange(None, 1, "z"), ValueRange(1, 2.5, "m"), ValueRange(10, None, "a"))
        return Group(path, ranges=ranges)
    return Group(path)


@st.composite
def conditions(draw: st.DrawFn) -> Filter:
    operator = draw(st.sampled_from([one for one in Operator if one not in OF_COHORTS]))
    path = draw(st.sampled_from(PATHS))
    if operator is Operator.IN_GROUP:
        return Condition(path, operator, draw(rows(path)))
    if operator is Operator.EXISTS:
        return Condition(path, operator, draw(st.booleans()))
    if operator is Operator.WITHIN:
        circle = Circle(draw(st.sampled_from([0.0, -74.0, 180.0])), draw(st.sampled_from([0.0, 40.0])), 60.0)
        return Condition("keen.location.coordinates", operator, circle)
    if operator is Operator.REGEX:
        return Condition(path, operator, draw(st.sampled_from(["a", "^b$", "[0-9]", "e|x", "\\\\"])))
    if operator is Operator.IN:
        options = draw(st.lists(st.one_of(scalars, st.none()), max_size=4))
        return Condition(path, operator, options + (["n"] * 60 if draw(st.booleans()) else []))
    if operator in (Operator.EQ, Operator.NE):
        return Condition(path, operator, draw(st.one_of(scalars, st.none(), st.lists(scalars, max_size=2))))
    if operator in (Operator.CONTAINS, Operator.NOT_CONTAINS):
        return Condition(path, operator, draw(scalars))
    operand = draw(
        st.one_of(st.sampled_from(NUMBERS), st.sampled_from([*STRINGS, format_instant(BASE_US + HOUR_US)]))
    )
    return Condition(path, operator, operand)


filters = st.recursive(
    conditions(),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda o: AnyOf(tuple(o))),
    max_leaves=4,
)
filter_lists = st.lists(filters, max_size=2).map(tuple)
ends = st.one_of(st.none(), instants)


@st.composite
def cohorts(draw: st.DrawFn, depth: int = 1) -> ActorCohort:
    """Static, by what actors did, or those of a funnel's step."""
    actor, kind = draw(st.sampled_from(ACTORS)), draw(st.integers(0, 5))
    if kind == 0:
        texts = [json.dumps(value) for value in draw(st.lists(scalars, max_size=6))]
        return ActorCohort("listed", actor, members=members_of(texts))
    if kind == 1:
        funnel = draw(funnels())
        step = draw(st.integers(0, len(funnel.steps) - 1))
        dropped = step > 0 and draw(st.booleans())
        return ActorCohort("steps", actor, funnel=FunnelActors(funnel, step, dropped))
    every = draw(st.lists(cohort_conditions(depth), max_size=2))
    some = draw(st.lists(cohort_conditions(depth), max_size=2))
    made = ActorCohort("", actor, tuple(every), tuple(some))
    if all(one.holds(0) for one in every) and (not some or any(one.holds(0) for one in some)):
        positive = CohortCondition(Selection("c", actor, draw(spans())), 1)
        made = replace(made, every=(*every, positive))
    return made


@st.composite
def cohort_conditions(draw: st.DrawFn, depth: int) -> CohortCondition:
    least, most = draw(st.sampled_from([(1, None), (2, None), (0, 0), (0, 1), (1, 1), (3, 5), (2, 2)]))
    if depth and draw(st.integers(0, 4)) == 0:
        bounds = draw(st.sampled_from([(1, None), (0, 0)]))
        return CohortCondition(draw(cohorts(depth - 1)), *bounds)
    kept: tuple[Filter, ...] = draw(filter_lists) if draw(st.booleans()) else ()
    if depth and draw(st.integers(0, 4)) == 0:
        kept = (*kept, draw(memberships(depth - 1)))
    collection, actor = draw(st.sampled_from(["c", "c", "d", "missing"])), draw(st.sampled_from(ACTORS))
    return CohortCondition(Selection(collection, actor, draw(spans()), kept), least, most)


@st.composite
def memberships(draw: st.DrawFn, depth: int = 1) -> Condition:
    cohort = draw(cohorts(depth))
    path = draw(st.sampled_from([cohort.actor, *ACTORS]))
    return Condition(path, draw(st.sampled_from(OF_COHORTS)), cohort)


@st.composite
def cohort_groups(draw: st.DrawFn) -> Group:
    cohort = draw(cohorts())
    return Group("in it", cohort=cohort, actor=draw(st.sampled_from([cohort.actor, *ACTORS])))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    return Span(draw(ends), draw(ends))


@st.composite
def metrics(draw: st.DrawFn, label: str | None = None) -> Metric:
    analysis = draw(st.sampled_from(list(Analysis)))
    target = None if analysis is Analysis.COUNT else draw(st.sampled_from(PATHS))
    percent = draw(st.sampled_from([0.5, 7.0, 29.0, 50.0, 57.0, 99.99, 100.0]))
    return Metric(analysis, target, percent if analysis is Analysis.PERCENTILE else None, label)


@st.composite
def groups(draw: st.DrawFn) -> tuple[Group, ...]:
    paths = draw(st.lists(st.sampled_from(PATHS), max_size=2, unique=True))
    return tuple(draw(groups_of(path)) for path in paths)


@st.composite
def bucketed(draw: st.DrawFn) -> tuple[Span, Buckets | None]:
    if draw(st.booleans()):
        return draw(spans()), None
    cuts = draw(st.lists(st.integers(0, 42), min_size=2, max_size=8, unique=True).map(sorted))
    edges = tuple(BASE_US + cut * HOUR_US // 4 for cut in cuts)
    return Span(edges[0], edges[-1]), Buckets(edges)


@st.composite
def metric_queries(draw: st.DrawFn) -> MetricQuery:
    multi = draw(st.booleans())
    labels = ["total", "other"][: draw(st.integers(1, 2))] if multi else [None]
    chosen = tuple(draw(metrics(label)) for label in labels)
    by = draw(groups())
    span, buckets = draw(bucketed())
    orders: tuple[Order, ...] = ()
    ordered: bool = draw(st.booleans())
    if by and ordered:
        names = [*(label or "result" for label in labels), *(group.path for group in by)]
        picked = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        orders = tuple(Order(name, draw(st.booleans())) for name in picked)
    return MetricQuery(
        "c",
        chosen,
        span,
        draw(filter_lists),
        by,
        buckets,
        orders,
        draw(st.one_of(st.none(), st.integers(1, 3))) if orders else None,
        draw(st.booleans()),
        multi,
    )


@st.composite
def funnels(draw: st.DrawFn) -> FunnelQuery:
    """Funnels without an order."""
    steps = []
    for position in range(draw(st.integers(1, 5))):
        steps.append(
            Step(
                draw(st.sampled_from(["c", "c", "d"])),
                draw(st.sampled_from(["u.id", "u.id", "a", "keen.timestamp", "absent"])),
                draw(spans()),
                draw(filter_lists) if draw(st.booleans()) else (),
                inverted=position > 0 and draw(st.booleans()),
                optional=position > 0 and draw(st.booleans()),
                with_actors=draw(st.integers(0, 4)) == 0,
                echo={"event_collection": "c", "position": position},
            )
        )
    return FunnelQuery(tuple(steps))


@st.composite
def event_lists(draw: st.DrawFn, span: Span) -> tuple[EventList, ...]:
    return tuple(
        EventList(
            draw(st.sampled_from(["c", "c", "d"])),
            draw(st.sampled_from(["u.id", "u.id", "a", "keen.timestamp", "absent"])),
            span,
            draw(filter_lists) if draw(st.booleans()) else (),
        )
        for _ in range(draw(st.integers(1, 3)))
    )


@st.composite
def measures(draw: st.DrawFn, page: str | None) -> tuple[Measured, ...]:
    of_pages = (SessionMeasure.ENTRIES, SessionMeasure.EXITS)
    named = [one for one in SessionMeasure if page is not None or one not in of_pages]
    chosen = draw(st.lists(st.sampled_from(named), min_size=1, unique=True))
    return tuple(
        Measured(one, "duration_p29", 29.0)
        if one is SessionMeasure.DURATION_PERCENTILE
        else Measured(one, one)
        for one in chosen
    )


@st.composite
def sessions_queries(draw: st.DrawFn) -> SessionsQuery:
    gap = draw(st.integers(0, 8)) * HOUR_US // 4
    longest = draw(st.none() | st.integers(0, 12).map(lambda quarters: quarters * HOUR_US // 4))
    span, buckets = draw(bucketed())
    start = None if span.start_us is None else span.start_us - gap - (longest or 0)
    page = draw(st.none() | st.sampled_from(PATHS))
    groups_drawn = draw(groups())
    chosen = draw(measures(page))
    cuts = draw(
        st.just(()) | st.lists(instants, max_size=3, unique=True).map(lambda cuts: tuple(sorted(cuts)))
    )
    sortable = [
        one.label for one in chosen if one.measure not in (SessionMeasure.ENTRIES, SessionMeasure.EXITS)
    ]
    names = [*sortable, *(group.path for group in groups_drawn)]
    orders: tuple[Order, ...] = ()
    ordered: bool = draw(st.booleans())
    if groups_drawn and ordered:
        picked = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        orders = tuple(Order(name, draw(st.booleans())) for name in picked)
    return SessionsQuery(
        draw(event_lists(Span(start, span.end_us))),
        span,
        gap,
        cuts,
        longest,
        buckets,
        groups_drawn,
        draw(st.sampled_from(Attribution)),
        chosen,
        page,
        draw(st.integers(1, 3)),
        orders,
        draw(st.one_of(st.none(), st.integers(1, 3))) if orders else None,
        draw(st.booleans()),
    )


@st.composite
def retentions(draw: st.DrawFn) -> RetentionQuery:
    edges = draw(cuts())
    span = Span(edges[0], edges[-1])
    starting, returning = (
        Selection(
            draw(st.sampled_from(["c", "c", "d"])),
            draw(st.sampled_from(["u.id", "u.id", "a", "keen.timestamp", "absent"])),
            span,
            draw(filter_lists) if draw(st.booleans()) else (),
        )
        for _ in range(2)
    )
    cohort = draw(st.sampled_from(Cohort))
    same = draw(st.booleans())
    if cohort is Cohort.FIRST_TIME and draw(st.booleans()):
        starting, returning, same = (
            replace(starting, span=Span(None, edges[-1])),
            starting if same else returning,
            False,
        )
    columns = tuple(PeriodRange(number, number) for number in range(draw(st.integers(1, len(edges) - 1))))
    cohorts = tuple(
        CohortSpan(
            low,
            high,
            len(columns),
            *sorted(draw(st.tuples(*[st.integers(0, len(columns))] * 2)), reverse=True),
        )
        for low, high in pairwise(edges)
    )
    return RetentionQuery(
        starting,
        None if same or returning == starting else returning,
        cohorts,
        columns,
        cohort,
        draw(st.none() | st.integers(1, 8).map(lambda quarters: quarters * HOUR_US // 4)),
        draw(st.sampled_from(ReturnOn)),
        draw(st.none() | st.sampled_from(PATHS).flatmap(groups_of)),
    )


@st.composite
def lifecycles(draw: st.DrawFn) -> LifecycleQuery:
    edges = draw(cuts())
    before = draw(st.none() | st.integers(1, 12).map(lambda quarters: edges[0] - quarters * HOUR_US // 4))
    grouped = draw(groups())
    names = [*LIFECYCLE_LABELS, *(group.path for group in grouped)]
    by = draw(st.sampled_from([None, *names])) if grouped else None
    orders = () if by is None else (Order(by, draw(st.booleans())),)
    return LifecycleQuery(
        draw(event_lists(Span(edges[0] if before is None else None, edges[-1]))),
        Buckets(edges),
        draw(st.integers(0, len(edges) - 1)),
        before,
        grouped,
        orders,
        draw(st.none() | st.integers(1, 3)) if orders else None,
        draw(st.booleans()),
    )


@st.composite
def active_days(draw: st.DrawFn) -> ActiveDaysQuery:
    """Days of any lengths."""
    edges = draw(cuts(12))
    first = draw(st.integers(0, len(edges) - 2))
    span = Span(edges[0], edges[-1])
    begun = draw(st.integers(0, len(edges) - 1 - first))
    return ActiveDaysQuery(draw(event_lists(span)), edges, first, begun, draw(st.sampled_from([2, 9])))


@st.composite
def active_periods(draw: st.DrawFn) -> ActivePeriodsQuery:
    edges = draw(cuts())
    return ActivePeriodsQuery(draw(event_lists(Span(edges[0], edges[-1]))), Buckets(edges))


@st.composite
def cuts(draw: st.DrawFn, most: int = 8) -> tuple[int, ...]:
    """Edges of intervals."""
    drawn = draw(st.lists(st.integers(0, 42), min_size=2, max_size=most, unique=True).map(sorted))
    return tuple(BASE_US + cut * HOUR_US // 4 for cut in drawn)


@st.composite
def paths_queries(draw: st.DrawFn) -> PathsQuery:
    counting = draw(st.sampled_from(PathCounting))
    gap = draw(st.integers(0, 8)) * HOUR_US // 4
    no_gap: bool = counting is not PathCounting.SESSIONS and draw(st.booleans())
    span = draw(spans())
    by_session = counting is PathCounting.SESSIONS and span.start_us is not None
    read = Span(span.start_us - gap, span.end_us) if by_session and span.start_us is not None else span
    events = tuple(
        replace(
            one,
            name=draw(st.sampled_from(["c", "d", "a", "né*"])),
            by=draw(st.none() | st.sampled_from(PATHS)),
        )
        for one in draw(event_lists(read))
    )
    anchor = None
    if counting is PathCounting.OCCURRENCES or draw(st.booleans()):
        anchor = Anchor(draw(st.booleans()), name=draw(st.sampled_from(["a", "c", "x", "b", "absent"])))
        if draw(st.booleans()):
            (one, *_) = draw(event_lists(read))
            anchor = Anchor(
                anchor.backward, selection=replace(one, name="anchor", by=draw(st.none() | st.just("a")))
            )
    matches = st.sampled_from(["a*", "*", "*b", "*\\*", "1", "2024-*T*", "zz*", "_%", "z*z*"])
    rules = st.builds(Rename, matches, st.sampled_from(["x", "b"]))
    return PathsQuery(
        events,
        span,
        anchor,
        draw(st.integers(2, 4)),
        counting,
        None if no_gap else gap,
        draw(st.none() | st.integers(0, 12).map(lambda quarters: quarters * HOUR_US // 4)),
        draw(st.booleans()),
        tuple(draw(st.lists(rules, max_size=2))),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 2)),
    )


@st.composite
def extractions(draw: st.DrawFn) -> ExtractionQuery:
    properties = draw(
        st.one_of(st.none(), st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True))
    )
    latest = draw(st.one_of(st.none(), st.integers(1, 5)))
    return ExtractionQuery(
        "c", draw(spans()), draw(filter_lists), latest, None if properties is None else tuple(properties)
    )
