"""How long property, crash and soak tests run: ``ACUMEN_TEST_SCALE`` multiplies their examples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SCALE = float(os.environ.get("ACUMEN_TEST_SCALE", "1"))


def examples(number: int) -> int:
    """``number`` examples at scale 1, at least one at any."""
    return max(1, round(number * SCALE))


def part(items: Sequence[T], least: int) -> list[T]:
    """All of them at scale 1; below it fewer, evenly spread, but at least so many."""
    wanted = min(len(items), max(least, examples(len(items))))
    return [items[number * len(items) // wanted] for number in range(wanted)]
