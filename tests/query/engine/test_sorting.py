"""Values are sorted as Python sorts them, in steps that let other threads run."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import sorting
from query.engine.sorting import in_order, sorted_items
from tests.support.scale import examples


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(st.integers(0, 5), st.integers())), st.integers(1, 7), st.booleans())
def test_as_sorted_with_equals_as_they_came(values: list[tuple[int, int]], run: int, reverse: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "RUN_VALUES", run)
        found = in_order(values, key=lambda value: value[0], reverse=reverse)
        assert found == sorted(values, key=lambda value: value[0], reverse=reverse)
        assert in_order(values) == sorted(values)


def test_many_values_and_what_is_in_order_already() -> None:
    values = list(range(3 * sorting.RUN_VALUES + 1))
    shuffled = random.Random(3).sample(values, len(values))
    assert in_order(values) == in_order(shuffled) == values
    assert in_order(shuffled, reverse=True) == values[::-1]
    assert in_order([]) == []


@settings(max_examples=examples(60))
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_arrow_sorts_texts_as_python_does(texts: list[str]) -> None:
    assert sorted_items(pa.array(texts, pa.string())).to_pylist() == sorted(texts)


def test_what_arrow_can_not_sort_stays_as_it_is() -> None:
    items = pa.array([[2], [1]], pa.list_(pa.int64()))
    assert sorted_items(items) is items
