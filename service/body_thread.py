"""The one thread of a worker in which large request bodies are inflated, counted and taken apart.

One, so that the memory of a body that is being taken apart is needed once, whatever comes at the same time,
and so that no more than one thread competes with the event loop for the interpreter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES_MAX = 1 << 20
"""A shorter text is worked through on the event loop: less than the way to another thread takes away from
others, and for a few milliseconds at most."""
SLOW_INLINE_BYTES_MAX = 32_768
"""The same for work that takes a function call for each value."""

_executor = ThreadPoolExecutor(1, thread_name_prefix="acumen-bodies")


async def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, done in the thread."""
    return await asyncio.get_running_loop().run_in_executor(_executor, lambda: work(*args, **kwargs))


async def call_if(needed: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, done in the thread only where that is needed."""
    return await call(work, *args, **kwargs) if needed else work(*args, **kwargs)
