"""The one thread of a worker in which large request bodies are inflated, counted and taken apart.

One, so that the memory of a body that is being taken apart is needed once, whatever comes at the same time.
And where large results are worked through by turns (``query.engine.turns``), the work here takes its turn,
ahead of them: so no more than one thread of all these competes with the event loop for the interpreter.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import ParamSpec, TypeVar

from query.engine.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES_MAX = 1 << 20
"""A shorter text is worked through on the event loop: less than the way to another thread takes away from
others, and for a few milliseconds at most."""
SLOW_INLINE_BYTES_MAX = 32_768
"""The same for work that takes a function call for each value."""
LONG_SECONDS = 0.02
"""Work that took longer is followed by a turn of the event loop."""
REST_SECONDS = 1.0
"""How long that turn is waited for."""

_executor = ThreadPoolExecutor(1, thread_name_prefix="acumen-bodies")
_turns = Turns()
_working = threading.local()
"""For which loop the thread works, and since when without a rest."""


def share(turns: Turns) -> None:
    """Work here takes one of these turns from now on."""
    global _turns
    _turns = turns


async def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, done in the thread."""
    loop = asyncio.get_running_loop()

    def in_turn() -> T:
        with _turns.one(lambda: None, ahead=True):
            _working.loop, _working.since = loop, monotonic()
            try:
                return work(*args, **kwargs)
            finally:
                rest()
                _working.loop = None

    return await loop.run_in_executor(_executor, in_turn)


def rest() -> None:
    """Between two parts of work that may be long: return once the event loop has done what was ready, or has
    not come to it in ``REST_SECONDS``.

    A parser keeps the interpreter to itself until it is done; were the next to follow at once, the loop would
    wait for both, and for each after them. Does nothing in other threads, or where little time has passed.
    """
    loop: asyncio.AbstractEventLoop | None = getattr(_working, "loop", None)
    if loop is None or monotonic() - _working.since < LONG_SECONDS:
        return
    passed = threading.Event()
    try:
        loop.call_soon_threadsafe(passed.set)
    except RuntimeError:
        return  # The loop is closed, as at the end of a test.
    passed.wait(REST_SECONDS)
    _working.since = monotonic()


async def call_beside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for work that needs the interpreter for a small part of its time, and so no turn."""
    return await asyncio.get_running_loop().run_in_executor(_executor, lambda: work(*args, **kwargs))


async def call_if(needed: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, done in the thread only where that is needed."""
    return await call(work, *args, **kwargs) if needed else work(*args, **kwargs)
