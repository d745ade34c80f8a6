"""Schedules queries: a bounded number at once, shared fairly between projects.

A running query cannot be paused, so no project gets more than half of the slots: another project finds a free
slot however many queries the first one sends. A slot that becomes free goes to the waiting project with the
fewest slots, and among equals to the one whose last turn is longest ago.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from query.errors import QueryOverloaded


@dataclass(slots=True, eq=False)
class _Waiter:
    project_id: str
    granted: asyncio.Future[None]


class QueryScheduler:
    """Grants query slots. All methods must be called on one event loop."""

    def __init__(self, slots: int, queue_max: int, wait_seconds: float) -> None:
        self._free = slots
        self._share = half_of(slots)
        self._queue_max = queue_max
        self._queue_share = half_of(queue_max)
        self._wait_seconds = wait_seconds
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []
        self._turns = 0
        self._last_turn: dict[str, int] = {}
        """The last turn of each project that has a slot or waits for one. A new project ranks just before the
        most recent turn and behind all others; otherwise a stream of new projects could starve an older one.
        """
        self.changed: Callable[[], None] = lambda: None
        """Called after every change of ``held`` or ``waiting``."""

    @property
    def held(self) -> int:
        return self._held.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def one(self, project_id: str) -> AsyncIterator[None]:
        """Hold a slot while the block runs.

        Raises QueryOverloaded where the queue is full or the wait takes too long.
        """
        await self._take(project_id)
        try:
            yield
        finally:
            self._give_back(project_id)

    async def _take(self, project_id: str) -> None:
        # A project that waits while a slot is free has used up its share, so this overtakes no waiter.
        if self._free and self._held[project_id] < self._share:
            self._grant(project_id)
            return
        self._check_queue(project_id)
        waiter = _Waiter(project_id, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._last_turn.setdefault(project_id, self._turns - 1)
        self.changed()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter.granted
        except BaseException as error:
            self._withdraw(waiter)
            if isinstance(error, TimeoutError):
                message = (
                    f"No query slot became free within {self._wait_seconds:g} seconds. Try again shortly."
                )
                raise QueryOverloaded(message) from None
            raise

    def _check_queue(self, project_id: str) -> None:
        """Raises QueryOverloaded where the queue, or this project's share of it, is full."""
        own = sum(waiter.project_id == project_id for waiter in self._waiting)
        if len(self._waiting) >= self._queue_max or own >= self._queue_share:
            raise QueryOverloaded("Too many queries are waiting. Try again shortly.")

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.granted.done() and not waiter.granted.cancelled():
            # The slot was granted in the same turn of the loop in which the waiter gave up.
            self._give_back(waiter.project_id)
        self._forget_idle(waiter.project_id)
        self.changed()

    def _grant(self, project_id: str) -> None:
        self._free -= 1
        self._held[project_id] += 1
        self._turns += 2
        self._last_turn[project_id] = self._turns
        self.changed()

    def _give_back(self, project_id: str) -> None:
        self._free += 1
        self._held[project_id] -= 1
        self._hand_out()
        self._forget_idle(project_id)
        self.changed()

    def _hand_out(self) -> None:
        """Grant free slots to waiting projects that are below their share."""
        while self._free:
            entitled = [waiter for waiter in self._waiting if self._held[waiter.project_id] < self._share]
            if not entitled:
                return
            # min returns the first of equals, so equal projects, and a project's own waiters, are FIFO.
            waiter = min(entitled, key=self._rank)
            self._waiting.remove(waiter)
            if not waiter.granted.done():
                self._grant(waiter.project_id)
                waiter.granted.set_result(None)

    def _rank(self, waiter: _Waiter) -> tuple[int, int]:
        project_id = waiter.project_id
        return self._held[project_id], self._last_turn[project_id]

    def _forget_idle(self, project_id: str) -> None:
        if not self._held[project_id]:
            del self._held[project_id]
            if all(waiter.project_id != project_id for waiter in self._waiting):
                self._last_turn.pop(project_id, None)


def half_of(number: int) -> int:
    """One project's share: half, rounded up, so that a single slot is available to any project."""
    return (number + 1) // 2
