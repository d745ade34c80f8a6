"""Sorts many whole numbers in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from query.behaviour.threads import in_threads

Integers = NDArray[np.int64]
_SAMPLED_BLOCKS = 16
_SAMPLED_EVERY = 16


def in_order(sizes: Sequence[int], fill: Callable[[int, Integers], None], threads: int) -> Integers:
    """The numbers of all blocks, ascending.

    ``sizes``: how many each block has. ``fill`` is called with a block and an array to be set to its numbers,
    maybe more than once.
    """
    total = sum(sizes)
    found = np.empty(total, dtype=np.int64)
    if threads <= 1 or len(sizes) <= 1:
        for at, own in enumerate(np.split(found, np.cumsum(sizes)[:-1])):
            fill(at, own)
        found.sort()
        return found
    middle = _middle(sizes, fill)
    low, high = 0, total
    lock = threading.Lock()

    def put(at: int) -> None:
        """Set what is up to the middle from the front of all, and the rest from the end."""
        nonlocal low, high
        own = np.empty(sizes[at], dtype=np.int64)
        fill(at, own)
        first = own <= middle
        lower, higher = own[first], own[~first]
        with lock:
            start, end = low, high
            low += len(lower)
            high -= len(higher)
        found[start : start + len(lower)] = lower
        found[end - len(higher) : end] = higher

    for _ in in_threads(put, range(len(sizes)), threads):
        pass
    for _ in in_threads(lambda part: _sort(part, -(-threads // 2)), (found[:low], found[low:]), threads):
        pass
    return found


def _middle(sizes: Sequence[int], fill: Callable[[int, Integers], None]) -> int:
    """About the number that half of all numbers are up to."""
    found = []
    for at in np.unique(np.linspace(0, len(sizes) - 1, _SAMPLED_BLOCKS, dtype=np.int64)).tolist():
        own = np.empty(sizes[at], dtype=np.int64)
        fill(at, own)
        found.append(own[::_SAMPLED_EVERY])
    sample = np.sort(np.concatenate(found))
    return int(sample[(len(sample) - 1) // 2]) if len(sample) else 0


def _sort(numbers: Integers, threads: int) -> None:
    """Sort in place; each thread a part of the numbers, all of which are up to those of the next part."""
    if threads <= 1:
        numbers.sort()
        return
    cuts = [len(numbers) * part // threads for part in range(1, threads)]
    numbers.partition(cuts)
    for _ in in_threads(np.ndarray.sort, np.split(numbers, cuts), threads):
        pass
