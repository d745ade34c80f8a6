"""A worker's single thread for inflating, counting and splitting large request bodies.

One thread, so that only one body at a time needs memory for being split, however many arrive together. The
work takes turns with the processing of large results (``query.engine.turns``), ahead of it, so that at most
one of these threads competes with the event loop for the interpreter.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import ParamSpec, TypeVar

from query.engine.turns import Turns
from service.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES_MAX = 1 << 20
"""A shorter text is processed on the event loop, which takes a few milliseconds at most and costs other
requests less than the switch to another thread."""
SLOW_INLINE_BYTES_MAX = 32_768
"""The same limit for work that makes a function call for each value."""
LONG_SECONDS = 0.02
"""Work that took longer is followed by a wait for the event loop."""
REST_SECONDS = 1.0
"""Longest wait for the event loop."""

_executor = ThreadPoolExecutor(1, thread_name_prefix="acumen-bodies")
_turns = Turns()
_working = threading.local()
"""The event loop that the thread works for, and the time of its last rest."""


def share(turns: Turns) -> None:
    """Use ``turns`` for all further work in this thread."""
    global _turns
    _turns = turns


async def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the work in the thread, in its turn; returns its result."""
    loop = asyncio.get_running_loop()

    def in_turn() -> T:
        with _turns.one(lambda: None, ahead=True):
            _working.loop, _working.since = loop, monotonic()
            try:
                return work(*args, **kwargs)
            finally:
                rest()
                _working.loop = None

    return await in_thread(_executor, in_turn)


def rest() -> None:
    """Wait until the event loop has run its ready callbacks, or ``REST_SECONDS``, between two parts of work.

    A parser holds the interpreter until it is done. If another followed at once, the event loop would have
    to wait for both. Does nothing in other threads, or if less than ``LONG_SECONDS`` have passed.
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
    """As ``call``, for work that seldom holds the interpreter and therefore needs no turn."""
    return await in_thread(_executor, work, *args, **kwargs)


async def call_if(needed: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, which runs in the thread if ``needed`` and directly otherwise."""
    return await call(work, *args, **kwargs) if needed else work(*args, **kwargs)
