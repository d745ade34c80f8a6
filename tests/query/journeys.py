"""Random journeys of a few actors through a few kinds of events, and funnels over them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

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
from query.language.cohorts.members import members_of
from query.language.nodes import (
    ActorCohort,
    Buckets,
    CohortCondition,
    Condition,
    Filter,
    Group,
    Operator,
    Selection,
    Span,
    ValueRange,
)
from storage.instants import format_instant
from tests.query.strategies import BASE_US, HOUR_US
from tests.query.support_source import Event

QUARTER_US = HOUR_US // 4
KINDS = 5
ACTORS = ["ann", "ann", "bob", 7, 7.5, True, ["ann", "bob"], None]
GROUPS = ["x", "y", 3, 2.5, False, None, ["x"]]
HELD = ["s", "s", 1, None]


@st.composite
def events(draw: st.DrawFn, number: int, collection: str) -> Event:
    """Half an hour apart on average, many at one time."""
    event: Event = {
        "kind": draw(st.integers(0, KINDS - 1)),
        "who": draw(st.sampled_from(ACTORS)),
        "keen": {
            "id": f"{collection}{number:04}",
            "timestamp": format_instant(BASE_US + draw(st.integers(0, 24)) * QUARTER_US),
        },
    }
    for name, values in (("group", GROUPS), ("held", HELD)):
        if draw(st.integers(0, 3)):
            event[name] = draw(st.sampled_from(values))
    return event


@st.composite
def journeys(draw: st.DrawFn) -> dict[str, list[Event]]:
    """The events of the collections ``c`` and ``d``."""
    return {
        name: [draw(events(number, name)) for number in range(draw(st.integers(0, most)))]
        for name, most in (("c", 25), ("d", 8))
    }


def quarters(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most).map(lambda number: number * QUARTER_US)


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    of_kind: tuple[Filter, ...] = (Condition("kind", Operator.EQ, draw(st.integers(0, KINDS - 1))),)
    whole = draw(st.integers(0, 5)) == 0
    ends = [BASE_US + draw(quarters(*most)) for most in ((0, 6), (16, 25))]
    return Selection(
        draw(st.sampled_from(["c", "c", "c", "d"])),
        "who",
        Span(*ends) if draw(st.integers(0, 3)) == 0 else Span(),
        () if whole else of_kind,
    )


@st.composite
def steps(draw: st.DrawFn) -> tuple[Step, ...]:
    found = []
    for position in range(draw(st.integers(1, 4))):
        chosen = draw(selections())
        inverted, optional = (position > 0 and draw(st.integers(0, 4)) == 0 for _ in range(2))
        gaps = position > 0 and not inverted and draw(st.integers(0, 2)) == 0
        found.append(
            Step(
                chosen.collection,
                chosen.actor,
                chosen.span,
                chosen.filters,
                inverted=inverted,
                optional=optional,
                with_actors=draw(st.integers(0, 3)) == 0,
                with_dropped=position > 0 and draw(st.integers(0, 3)) == 0,
                least_gap=draw(quarters(0, 3)) if gaps else 0,
                most_gap=draw(st.none() | quarters(0, 6)) if gaps else None,
                echo={"position": position},
            )
        )
    return tuple(found)


@st.composite
def ordered_funnels(draw: st.DrawFn) -> FunnelQuery:
    chosen = draw(steps())
    counting = draw(st.sampled_from(Counting))
    alone = counting is Counting.CONVERSIONS
    plain = [at for at, step in enumerate(chosen) if not (step.optional or step.inverted)]
    return FunnelQuery(
        chosen,
        draw(st.sampled_from([FunnelOrder.ORDERED, FunnelOrder.ORDERED, FunnelOrder.STRICT])),
        draw(st.none() | quarters(0, 12)),
        draw(st.sampled_from(EqualTimes)),
        tuple(draw(_exclusions(len(chosen)))) if len(chosen) > 1 else (),
        hold="held" if not alone and draw(st.integers(0, 3)) == 0 else None,
        group=draw(_groups()) if not alone and draw(st.booleans()) else None,
        attribution=draw(st.sampled_from([*FunnelAttribution, *plain])),
        buckets=draw(_buckets()) if draw(st.integers(0, 2)) == 0 else None,
        counting=counting,
        session_gap=draw(quarters(0, 4)) if counting is Counting.SESSIONS else None,
        durations=draw(_durations()) if not alone and draw(st.booleans()) else None,
    )


@st.composite
def _groups(draw: st.DrawFn) -> Group:
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return Group("group", size=draw(st.sampled_from([1.0, 0.5])))
    if kind == 1:
        return Group("group", ranges=(ValueRange(None, 2.5, "few"), ValueRange(2.5, 3, "some")))
    if kind > 3:
        return Group("group")
    if kind == 2:
        cohort = ActorCohort("some", "who", members=members_of(['"ann"', "7", "true"]))
    else:
        did = CohortCondition(draw(selections()), draw(st.integers(1, 3)))
        cohort = ActorCohort("some", "who", (did,))
    return Group("in it", cohort=cohort, actor="who")


@st.composite
def _exclusions(draw: st.DrawFn, steps: int) -> Sequence[Exclusion]:
    found = []
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        chosen, after = draw(selections()), draw(st.integers(0, steps - 2))
        before = draw(st.integers(after + 1, steps - 1))
        found.append(
            Exclusion(
                chosen.collection, chosen.actor, chosen.span, chosen.filters, after=after, before=before
            )
        )
    return found


@st.composite
def _buckets(draw: st.DrawFn) -> Buckets:
    edges = draw(st.lists(st.integers(0, 25), min_size=1, max_size=4, unique=True))
    return Buckets(tuple(BASE_US + edge * QUARTER_US for edge in sorted(edges)))


@st.composite
def _durations(draw: st.DrawFn) -> Durations:
    edges = draw(st.lists(quarters(0, 8), max_size=3, unique=True))
    assert all(one < two for one, two in pairwise(sorted(edges)))
    return Durations((1, 50, 90.5), tuple(sorted(edges)))
