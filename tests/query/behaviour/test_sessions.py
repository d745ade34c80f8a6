"""Sessions: the arrays agree with the reference over random sequences, with many equal times."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from query.behaviour.sequences import ActorEvents, in_sequence
from query.behaviour.sessions import FoundSessions, SessionRules, sessions_of
from tests.query.behaviour.sessions_reference import Happened, sessions

MANY_ACTORS = 1 << 20
FAR = [-(2**60), -(10**12), 3 * 10**12, 2**43, 2**44 + 7, 2**60]
RULES = st.builds(
    SessionRules,
    st.integers(0, 6) | st.just(2**61),
    st.lists(st.integers(-5, 25), max_size=3).map(lambda cuts: tuple(sorted(cuts))),
    st.none() | st.integers(0, 8),
)
# So far apart that keys of 63 bits hold whole seconds only, a part of the actors, or not even that.
TIMES = st.integers(-5, 25) | st.sampled_from(FAR)
ACTORS = st.integers(0, 3) | st.sampled_from([MANY_ACTORS - 1, MANY_ACTORS // 2])
MARKS = st.integers(0, 3) | st.sampled_from([2**20, 2**40])
EVENTS = st.lists(st.tuples(ACTORS, TIMES, st.integers(1, 7), MARKS), max_size=30)


@settings(max_examples=800, deadline=None)
@given(EVENTS, RULES, st.none() | st.integers(-5, 25))
def test_arrays_agree_with_the_reference(
    events: list[tuple[int, int, int, int]], rules: SessionRules, since: int | None
) -> None:
    actors, times, masks, marks = (np.array([one[at] for one in events], dtype=np.int64) for at in range(4))
    read = ActorEvents(actors, times, masks, int(max(actors, default=0)) + 1, marks)
    found = FoundSessions.of_all(sessions_of(block, rules, since) for block in in_sequence(read, 3, block=7))

    # At one time, in the order of the first selection that an event belongs to; then of the others.
    happened = [
        Happened(actor, time, ([not mask >> bit & 1 for bit in range(3)], mark), mark)
        for actor, time, mask, mark in events
    ]
    expected = [
        (own[0].actor, own[0].time, own[-1].time - own[0].time, len(own), own[0].what, own[-1].what)
        for own in sessions(happened, rules)
        if since is None or own[0].time >= since
    ]
    columns = [found.actors, found.starts, found.durations, found.sizes]
    columns += [marks for marks in (found.entries, found.exits) if marks is not None]
    assert list(zip(*(one.tolist() for one in columns), strict=True)) == expected
