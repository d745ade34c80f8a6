"""When a worker looks for cycles of objects, which Python can free in no other way.

What stands around a large result are millions of objects, and looking through all of them holds the event
loop up for tenths of a second. Next to none of them are cycles. So young objects are looked through as they
come, a few at a time, and all of them only while no question is being answered.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

YOUNG_OBJECTS = 50_000
YOUNG_ROUNDS = 2
"""Objects that were young for so many rounds are old."""
_NEVER = 2**31 - 1
LOOK_SECONDS = 60.0
WORTH_ROUNDS = 20
"""So many rounds of young objects must have become old since the last time."""
OVERDUE_LOOKS = 60
"""After so many looks in vain all objects are looked through whatever is being made."""


def set_up() -> None:
    """What was imported lives as long as the process, and is never looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, _NEVER)


async def collect(is_quiet: Callable[[], bool], seconds: float = LOOK_SECONDS) -> None:
    """Until cancelled: look through all objects now and then, best when it is quiet."""
    waited = 0
    while True:
        await asyncio.sleep(seconds)
        waited += 1
        if gc.get_count()[2] >= WORTH_ROUNDS and (is_quiet() or waited >= OVERDUE_LOOKS):
            gc.collect()
            waited = 0
