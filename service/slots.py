"""Who may run next: a bounded number of queries at once, shared fairly between projects.

A project alone may hold every slot; a slot that falls free goes to the waiting project that holds the
fewest, so none holds more than half while others wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from query.errors import QueryOverloaded


@dataclass(slots=True, eq=False)
class _Waiter:
    project_id: str
    granted: asyncio.Future[None]


class Slots:
    """All methods belong to one event loop."""

    def __init__(self, slots: int, queue_max: int, wait_seconds: float) -> None:
        self._free = slots
        self._queue_max = queue_max
        self._wait_seconds = wait_seconds
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []

    @property
    def held(self) -> int:
        return self._held.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def one(self, project_id: str) -> AsyncIterator[None]:
        """Holds a slot. Raises QueryOverloaded where the queue is full or the wait too long."""
        await self._take(project_id)
        try:
            yield
        finally:
            self._give_back(project_id)

    async def _take(self, project_id: str) -> None:
        if self._free and not self._waiting:
            self._grant(project_id)
            return
        if len(self._waiting) >= self._queue_max:
            raise QueryOverloaded("Too many queries are waiting. Try again shortly.")
        waiter = _Waiter(project_id, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter.granted
        except BaseException as error:
            self._withdraw(waiter)
            if isinstance(error, TimeoutError):
                message = f"No query slot fell free within {self._wait_seconds:g} seconds. Try again shortly."
                raise QueryOverloaded(message) from None
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.granted.done() and not waiter.granted.cancelled():
            # The slot was granted in the same turn of the loop in which the waiter gave up.
            self._give_back(waiter.project_id)

    def _grant(self, project_id: str) -> None:
        self._free -= 1
        self._held[project_id] += 1

    def _give_back(self, project_id: str) -> None:
        self._free += 1
        self._held[project_id] -= 1
        if not self._held[project_id]:
            del self._held[project_id]
        while self._free and self._waiting:
            # min keeps the first of equals: within a project, and between equal ones, who came first.
            waiter = min(self._waiting, key=lambda one: self._held[one.project_id])
            self._waiting.remove(waiter)
            if not waiter.granted.done():
                self._grant(waiter.project_id)
                waiter.granted.set_result(None)
