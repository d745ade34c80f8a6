"""Sorting that lets other threads run: one ``sorted`` call on a million values blocks them for long."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

T = TypeVar("T")

RUN_VALUES = 20_000
"""Values sorted by one call, which takes a few milliseconds."""


def in_order(values: list[T], key: Callable[[T], Any] | None = None, *, reverse: bool = False) -> list[T]:
    """As ``sorted``, but sorts runs of values separately and then merges them."""
    order = key or _itself
    runs = [
        sorted(values[start : start + RUN_VALUES], key=order, reverse=reverse)
        for start in range(0, len(values), RUN_VALUES)
    ]
    if _follow(runs, order, reverse):
        return [value for run in runs for value in run]
    return list(heapq.merge(*runs, key=order, reverse=reverse))


def _follow(runs: list[list[T]], key: Callable[[T], Any], reverse: bool) -> bool:
    """Whether no run begins with a value that belongs before the end of the previous run."""
    ends = ((key(one[-1]), key(after[0])) for one, after in pairwise(runs))
    return all(last >= first if reverse else last <= first for last, first in ends)


def _itself(value: Any) -> Any:
    return value


def sorted_items(items: pa.Array) -> pa.Array:
    """The items in ascending order, nulls last; unchanged where Arrow cannot sort their type.

    Arrow sorts without holding the interpreter, and sorts texts in the same order, by code points.
    """
    try:
        return items.take(pc.array_sort_indices(items))
    except pa.ArrowNotImplementedError:
        return items
