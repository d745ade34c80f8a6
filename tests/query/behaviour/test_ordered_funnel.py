"""Ordered funnels: the arrays agree with the reference over random sequences, with many equal times."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from query.behaviour.ordered_funnel import OrderRules, StepRule, actors_by_step
from query.behaviour.sequences import ActorEvents, in_sequence
from tests.query.behaviour.funnel_reference import Event, counted

STEPS = st.lists(st.builds(StepRule, st.booleans(), st.booleans()), min_size=0, max_size=4)
RULES = st.builds(OrderRules, st.none() | st.integers(0, 12), st.booleans(), st.booleans())

MANY_ACTORS = 1 << 20
FAR = [-(2**60), -(10**12), 3 * 10**12, 2**43, 2**44 + 7, 2**60]


def events_of(steps: int) -> st.SearchStrategy[list[Event]]:
    masks = st.integers(1, (1 << steps) - 1)
    # So far apart that keys of 63 bits hold whole seconds only, a part of the actors, or not even that.
    times = st.integers(-5, 25) | st.sampled_from(FAR)
    actors = st.integers(0, 3) | st.sampled_from([MANY_ACTORS - 1, MANY_ACTORS // 2])
    return st.lists(st.tuples(actors, times, masks), max_size=30)


@settings(max_examples=600, deadline=None)
@given(st.data(), STEPS, RULES)
def test_arrays_agree_with_the_reference(
    data: st.DataObject, later: list[StepRule], rules: OrderRules
) -> None:
    steps = [StepRule(), *later]
    events = data.draw(events_of(len(steps)))
    check(events, steps, rules)


def check(events: list[Event], steps: list[StepRule], rules: OrderRules) -> None:
    actors, times, masks = (np.array([one[at] for one in events], dtype=np.int64) for at in range(3))
    found: list[list[int]] = [[] for _ in steps]
    read = ActorEvents(actors, times, masks, int(max(actors, default=0)) + 1)
    for block in in_sequence(read, len(steps), block=7):
        for own, counted_now in zip(found, actors_by_step(block, steps, rules), strict=True):
            own += map(int, counted_now)
    assert found == counted(events, steps, rules)
