"""The one way from an event loop to a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(executor: Executor | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, run on one of the executor's threads: for work that waits or takes long.

    Without an executor, the event loop's own is used. Cancelling the wait does not stop work that has begun.
    """
    return await asyncio.get_running_loop().run_in_executor(executor, partial(work, *args, **kwargs))
