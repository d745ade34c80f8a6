"""Cursors against a list of all rows: each is new once, whatever order they come in and however often."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipelines.sources.cursors import CursorWindow, TooManyTies


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=6))
def test_each_row_is_new_once(readings: list[list[int]]) -> None:
    """Rows are added at the greatest value or behind it, and equal ones may be."""
    rows: list[bytes] = []
    taken: list[bytes] = []
    position: dict[str, object] = {}
    greatest = 0
    for added in readings:
        for step in added:
            greatest += step // 4
            rows.append(json.dumps({"at": greatest, "x": step % 2}).encode())
        window = CursorWindow(position, 0)
        since = position.get("cursor", 0)
        asked = [row for row in reversed(rows) if json.loads(row)["at"] >= since]
        taken += [row for row in asked if window.take(json.loads(row)["at"], row)]
        position = json.loads(json.dumps(window.position()))
        assert sorted(taken) == sorted(rows)


def test_more_ties_than_can_be_told_apart_are_refused() -> None:
    window = CursorWindow({}, 0, known_max=10)
    with pytest.raises(TooManyTies, match="have the value '7'"):
        for number in range(100):
            window.take(7, b"%d" % number)
    window = CursorWindow({}, 0, known_max=10)
    for number in range(100):
        assert window.take(number, b"%d" % number)
    assert (window.value, window.before) == (99, 98)
