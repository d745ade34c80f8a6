"""Ordered funnels: the arrays agree with the reference over random sequences, with many equal times."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from query.behaviour.ordered_funnel import OrderRules, StepRule, attempts, conversions, follow
from query.behaviour.sequences import ActorEvents, Sequences, each_block
from tests.query.behaviour.funnel_reference import Event, by_actor
from tests.support.scale import examples

MANY_ACTORS = 1 << 20
FAR = [-(2**60), -(10**12), 3 * 10**12, 2**43, 2**44 + 7, 2**60]
EXCLUDED_MAX = 2


@st.composite
def rules_of_steps(draw: st.DrawFn) -> list[StepRule]:
    size = draw(st.integers(0, 4))
    steps = [StepRule()]
    for _ in range(size):
        optional, inverted = draw(st.booleans()), draw(st.booleans())
        gaps = (0, None) if inverted else (draw(st.integers(0, 4)), draw(st.none() | st.integers(1, 9)))
        bits = st.integers(0, (1 << EXCLUDED_MAX) - 1).map(lambda some: some << size + 1)
        steps.append(StepRule(optional, inverted, *gaps, excluded=0 if inverted else draw(bits)))
    return steps


RULES = st.builds(
    OrderRules,
    st.none() | st.integers(0, 12),
    st.booleans(),
    st.booleans(),
    st.none() | st.tuples(st.integers(-5, 10), st.integers(5, 25)),
)


def events_of(steps: int) -> st.SearchStrategy[list[Event]]:
    masks = st.integers(1, (1 << steps + EXCLUDED_MAX) - 1)
    # So far apart that keys of 63 bits hold whole seconds only, a part of the actors, or not even that.
    times = st.integers(-5, 25) | st.sampled_from(FAR)
    actors = st.integers(0, 3) | st.sampled_from([MANY_ACTORS - 1, MANY_ACTORS // 2])
    return st.lists(st.tuples(actors, times, masks), max_size=30)


def _same(block: Sequences) -> Sequences:
    return block


@settings(max_examples=examples(1_000), deadline=None)
@given(st.data(), rules_of_steps(), RULES)
def test_arrays_agree_with_the_reference(
    data: st.DataObject, steps: list[StepRule], rules: OrderRules
) -> None:
    events = data.draw(events_of(len(steps)))
    actors, times, masks = (np.array([one[at] for one in events], dtype=np.int64) for at in range(3))
    codes = np.arange(len(events)) % 7
    read = ActorEvents(actors, times, masks, int(max(actors, default=0)) + 1, codes)
    counted: list[list[int]] = [[] for _ in steps]
    converted = [0] * len(steps)
    tried: dict[int, list[Any]] = {}
    seen: list[Any] = []
    threads = data.draw(st.sampled_from([1, 2, 3]))
    for block in each_block(read, len(steps) + EXCLUDED_MAX, _same, threads, block=7):
        followed = follow(block, steps, rules)
        for at, found in enumerate(followed.counted):
            counted[at] += map(int, found)
        for at, reached in enumerate(followed.reached):
            converted[at] += 0 if reached is None else conversions(block, reached)
        made = attempts(block, steps, followed)
        for actor, own in zip(made.actors.tolist(), made.events.T.tolist(), strict=True):
            tried[actor] = [None if at < 0 else (int(block.times[at]), int(block.steps[at])) for at in own]
        assert block.marks is not None
        cells = (block.actors, block.times, block.steps, block.marks)
        seen += zip(*(cell.tolist() for cell in cells), strict=True)
    assert sorted(seen) == sorted((*event, code) for event, code in zip(events, codes.tolist(), strict=True))

    expected = dict(sorted(by_actor(events, steps, rules).items()))
    assert counted == [[actor for actor, one in expected.items() if one.did[at]] for at in range(len(steps))]
    assert converted == [sum(one.conversions[at] for one in expected.values()) for at in range(len(steps))]
    assert tried == {
        actor: [None if at is None else one.events[at][1:] for at in one.attempt]
        for actor, one in expected.items()
        if one.did[0]
    }
