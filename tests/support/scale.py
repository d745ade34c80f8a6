"""How long property, crash and soak tests run: ``ACUMEN_TEST_SCALE`` multiplies their examples."""

from __future__ import annotations

import os

SCALE = float(os.environ.get("ACUMEN_TEST_SCALE", "1"))


def examples(number: int) -> int:
    """``number`` examples at scale 1, at least one at any."""
    return max(1, round(number * SCALE))
