"""Paths: the arrays agree with the reference over random sequences, with many equal times and names."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from query.behaviour.paths import PathRules, PathTallies, PathTally, walks_of
from query.behaviour.sequences import ActorEvents, in_sequence
from tests.query.behaviour.paths_reference import Walk, walks
from tests.query.behaviour.sessions_reference import Happened

RULES = st.builds(
    PathRules,
    depth=st.integers(2, 5),
    backward=st.booleans(),
    gap=st.none() | st.integers(0, 8),
    window=st.none() | st.integers(0, 12),
    collapse=st.booleans(),
    every=st.booleans(),
    by_session=st.booleans(),
)
EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-5, 25), st.integers(1, 3), st.integers(0, 4)), max_size=30
)


@settings(max_examples=800, deadline=None)
@given(EVENTS, RULES, st.booleans(), st.none() | st.integers(-5, 25))
def test_arrays_agree_with_the_reference(
    events: list[tuple[int, int, int, int]], rules: PathRules, anchored: bool, since: int | None
) -> None:
    actors, times, masks, marks = (np.array([one[at] for one in events], dtype=np.int64) for at in range(4))
    read = ActorEvents(actors, times, masks, int(max(actors, default=0)) + 1, marks)
    found: list[Walk] = []
    tallies = PathTallies(rules.depth, 5)
    if not anchored:
        rules = PathRules(
            rules.depth,
            gap=rules.gap,
            window=rules.window,
            collapse=rules.collapse,
            by_session=rules.by_session,
        )
    for block in in_sequence(read, 2, block=7):
        made = walks_of(block, rules, block.counting_for(1) if anchored else None, since)
        tallies.add(made)
        for actor, nodes, beyond in zip(made.actors, made.nodes.tolist(), made.beyond.tolist(), strict=True):
            found.append(Walk(int(actor), tuple(node for node in nodes if node >= 0), beyond))

    happened = [
        Happened(actor, time, ([not mask & 1, not mask & 2], mark), (mask, mark))
        for actor, time, mask, mark in events
    ]
    is_anchor = (lambda event: bool(event.what[0] & 2)) if anchored else None
    expected = walks(happened, rules, lambda event: event.what[1], is_anchor, since)
    assert found == expected
    check_tallies(tallies, expected)


def check_tallies(tallies: PathTallies, expected: list[Walk]) -> None:
    assert tallies.paths == len(expected)
    assert tallies.actors == len({walk.actor for walk in expected})
    for step, one in enumerate(tallies.steps):
        here = [walk for walk in expected if len(walk.names) > step]
        nodes = [walk.names[step] for walk in here]
        ended = [walk.names[step] for walk in here if len(walk.names) == step + 1 and not walk.beyond]
        edges = [walk.names[step] * 5 + walk.names[step + 1] for walk in here if len(walk.names) > step + 1]
        for tally, keys in ((one.nodes, nodes), (one.ended, ended), (one.edges, edges)):
            assert as_dict(tally) == {key: keys.count(key) for key in sorted(set(keys))}
    last = [walk.names[-1] for walk in expected if walk.beyond]
    assert as_dict(tallies.beyond) == {key: last.count(key) for key in sorted(set(last))}


def as_dict(tally: PathTally) -> dict[int, int]:
    return dict(zip(*(one.tolist() for one in tally.counted()), strict=True))
