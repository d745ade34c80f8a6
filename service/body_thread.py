"""The one thread of a worker in which large request bodies are inflated, counted and taken apart.

One, so that the memory of a body that is being taken apart is needed once, whatever comes at the same time.
And where large results are worked through by turns (``query.turns``), the work here takes its turn, ahead of
them: so no more than one thread of all these competes with the event loop for the interpreter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from query.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES_MAX = 1 << 20
"""A shorter text is worked through on the event loop: less than the way to another thread takes away from
others, and for a few milliseconds at most."""
SLOW_INLINE_BYTES_MAX = 32_768
"""The same for work that takes a function call for each value."""

_executor = ThreadPoolExecutor(1, thread_name_prefix="acumen-bodies")
_turns = Turns()


def share(turns: Turns) -> None:
    """Work here takes one of these turns from now on."""
    global _turns
    _turns = turns


async def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, done in the thread."""

    def in_turn() -> T:
        with _turns.one(lambda: None, ahead=True):
            return work(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(_executor, in_turn)


async def call_beside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for work that needs the interpreter for a small part of its time, and so no turn."""
    return await asyncio.get_running_loop().run_in_executor(_executor, lambda: work(*args, **kwargs))


async def call_if(needed: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, done in the thread only where that is needed."""
    return await call(work, *args, **kwargs) if needed else work(*args, **kwargs)
