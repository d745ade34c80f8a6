"""Numbering the values of events: in one thread and in several it is the same, in the order of the values."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from query.behaviour import sequences
from query.behaviour.sequences import encoded, numbered
from query.behaviour.threads import in_threads
from tests.support.scale import examples

TEXTS = st.none() | st.text("abc", max_size=2)
NUMBERS = st.none() | st.sampled_from([0.0, -0.0, 1.5, -7.0])


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(st.lists(TEXTS, max_size=9), min_size=1, max_size=4), st.integers(1, 4))
def test_values_are_numbered_in_the_order_in_which_they_occur(
    chunks: list[list[str | None]], threads: int
) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks])
    with patch.object(sequences, "BLOCK", 3):
        numbers, distinct = encoded(column, threads)
    values = [value for chunk in chunks for value in chunk]
    expected = list(dict.fromkeys(value for value in values if value is not None))
    assert distinct.to_pylist() == expected
    assert [None if number < 0 else expected[number] for number in numbers.tolist()] == values


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(st.booleans(), TEXTS, NUMBERS), max_size=30), st.integers(1, 4))
def test_actors_of_several_parts_have_numbers_of_their_own(rows: list[Any], threads: int) -> None:
    kept = [(text, None) if first else (None, number) for first, text, number in rows]
    kept = [row for row in kept if row != (None, None)]
    texts = pa.chunked_array([pa.array([text for text, _ in kept], pa.string())])
    values = pa.chunked_array([pa.array([number for _, number in kept], pa.float64())])
    with patch.object(sequences, "BLOCK", 3):
        numbers, distinct = numbered([texts, values], threads)
    actors = [*distinct[0].to_pylist(), *distinct[1].to_pylist()]
    found = [actors[number] for number in numbers.tolist()]
    assert found == [number if text is None else text for text, number in kept]
    assert len(set(map(repr, actors))) == len(set(actors)) == len(actors)


def test_what_fails_in_a_thread_is_raised_and_the_rest_is_left() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        return item * item

    found = []
    try:
        for one in in_threads(work, range(100), 2):
            found.append(one)
    except ValueError as error:
        assert str(error) == "three"
    assert found == [0, 1, 4]
    assert len(begun) < 10
