"""Retention: the arrays agree with the reference over random events, many of them at one time."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from query.behaviour import activity, retention
from query.behaviour.retention import RETURNS, STARTS, RetentionRules
from query.behaviour.sequences import ActorEvents
from query.language.analyses.retention_nodes import Cohort, CohortSpan, PeriodRange, RetentionQuery, ReturnOn
from query.language.nodes import Selection, Span
from tests.query.behaviour.retention_reference import Done, retained

NOBODY = Selection("c", "a", Span())


@st.composite
def questions(draw: st.DrawFn) -> RetentionQuery:
    edges = sorted(draw(st.sets(st.integers(0, 30), min_size=2, max_size=7)))
    count = len(edges) - 1
    length = draw(st.none() | st.integers(1, 9))
    returned = draw(st.sampled_from(ReturnOn))
    if returned is ReturnOn.ON and draw(st.booleans()):
        ends = sorted(draw(st.lists(st.integers(0, 8), min_size=2, max_size=6)))
        ends = [end + number for number, end in enumerate(ends)]
        columns = [PeriodRange(low, high) for low, high in zip(ends[::2], ends[1::2], strict=False)]
    else:
        columns = [PeriodRange(number, number) for number in range(draw(st.integers(1, count)))]
    return RetentionQuery(
        NOBODY,
        draw(st.sampled_from([None, NOBODY])),
        tuple(CohortSpan(start, end, len(columns), 0, 0) for start, end in pairwise(edges)),
        tuple(columns),
        draw(st.sampled_from(Cohort)),
        length,
        returned,
    )


@st.composite
def streams(draw: st.DrawFn, query: RetentionQuery, groups: int) -> list[Done]:
    """Starting events may lie before the first cohort; returning ones do not."""
    first, end = query.cohorts[0].start_us, query.cohorts[-1].end_us
    events = []
    for _ in range(draw(st.integers(0, 25))):
        time = draw(st.integers(first if query.returning is None else first - 5, end - 1))
        starts, returns = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
        if query.returning is None:
            starts = returns = True
        returns = returns and time >= first
        if starts or returns:
            group = draw(st.integers(0, groups - 1))
            events.append(Done(draw(st.integers(0, 4)), time, starts, returns, group))
    return events


@settings(max_examples=800, deadline=None)
@given(st.data(), questions(), st.sampled_from([1, 1, 3]), st.sampled_from([0, 1 << 27]), st.integers(1, 9))
def test_arrays_agree_with_the_reference(
    data: st.DataObject, query: RetentionQuery, groups: int, table: int, pairs: int
) -> None:
    events = data.draw(streams(query, groups))
    with (
        patch.object(activity, "TABLE_BYTES_MAX", table),
        patch.object(activity, "_DENSE_MAX", table),
        patch.object(retention, "_PAIRS_MAX", pairs),
        patch.object(retention, "BLOCK", 5),
    ):
        assert counted(events, query, groups) == retained(events, query)


def counted(
    events: list[Done], query: RetentionQuery, groups: int
) -> dict[tuple[int, int], tuple[int, list[int]]]:
    masks = [
        STARTS * event.starts | RETURNS * (event.returns and query.returning is not None) for event in events
    ]
    read = ActorEvents(
        np.array([event.actor for event in events], dtype=np.int32),
        np.array([event.time for event in events], dtype=np.int64),
        np.array(masks, dtype=np.uint8),
        5,
        np.array([event.group for event in events], dtype=np.int64) if groups > 1 else None,
    )
    rules = RetentionRules(
        np.array([*(one.start_us for one in query.cohorts), query.cohorts[-1].end_us]),
        np.array([column.first for column in query.columns]),
        np.array([column.last for column in query.columns]),
        query.cohort is Cohort.RECURRING,
        query.length,
        query.returned is ReturnOn.ON_OR_AFTER,
        query.returning is None,
    )
    if query.returning is None and query.length is None and groups == 1:
        periods = activity.periods_of(read.times, rules.edges)
        keys = activity.active_periods(read.actors, periods, 5, rules.cohort_count)
        counts = retention.retention_of_periods(keys, rules)
        bits = np.zeros(5 * rules.cohort_count, dtype=np.uint8)
        bits[keys] = 1
        blocks = np.array_split(bits.reshape(5, -1), 2)
        same = retention.retention_of_bits(blocks, rules)
        assert same.rows.tolist() == counts.rows.tolist()
        assert same.sizes.tolist() == counts.sizes.tolist()
        assert same.retained.tolist() == counts.retained.tolist()
    else:
        counts = retention.retention(read, rules, groups)
    return {
        divmod(row, len(query.cohorts)): (size, kept)
        for row, size, kept in zip(
            counts.rows.tolist(), counts.sizes.tolist(), counts.retained.tolist(), strict=True
        )
    }
