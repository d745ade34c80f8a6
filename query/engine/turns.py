"""Turns limit how many queries do at once what would slow down all others.

Python's interpreter runs one thread at a time and switches slowly: if many threads processed large results at
once, the event loop would wait for each of them whenever it has work. With turns it competes with one thread
only. Likewise DuckDB reads for a few queries at a time, each of which uses every processor: many at once
would not finish sooner, and since each thread would run rarely, every query that waits for one would be slow.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_CHECK_SECONDS = 0.25
"""How often a waiting query checks whether it has been cancelled."""


@dataclass(slots=True, eq=False)
class _WaitingThread:
    project_id: str
    given: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Turns for ``at_once`` queries, ``of_project`` of them from one project, first come first served.

    Thread-safe.
    """

    def __init__(self, at_once: int = 1, of_project: int | None = None) -> None:
        # Garbage collection may return a query's turn at any moment, also while this thread has the lock.
        self._lock = threading.RLock()
        self._free = at_once
        self._of_project = at_once if of_project is None else of_project
        self._taken: Counter[str] = Counter()
        self._waiting: list[_WaitingThread] = []

    @contextmanager
    def one(self, check: Callable[[], None], project_id: str = "", *, ahead: bool = False) -> Iterator[None]:
        """Takes a turn for the duration of the context. Blocks and raises as ``take`` does."""
        self.take(check, project_id, ahead=ahead)
        try:
            yield
        finally:
            self.give(project_id)

    def take(self, check: Callable[[], None], project_id: str = "", *, ahead: bool = False) -> None:
        """Takes a turn; blocks until one is free.

        ``check`` is called while it waits, and ends the waiting by raising. ``ahead``: before all that are
        already waiting.
        """
        with self._lock:
            # Threads waiting while a turn is free belong to projects at their limit, so none is overtaken.
            if self._is_entitled(project_id):
                self._grant(project_id)
                return
            waiter = _WaitingThread(project_id)
            self._waiting.insert(0 if ahead else len(self._waiting), waiter)
        try:
            while not waiter.given.wait(_CHECK_SECONDS):
                check()
        except BaseException:
            self._leave(waiter)
            raise

    def give(self, project_id: str = "") -> None:
        """Returns a turn, and grants it to the first waiting thread that may have it."""
        with self._lock:
            self._free += 1
            self._taken[project_id] -= 1
            if not self._taken[project_id]:
                del self._taken[project_id]
            for waiter in self._waiting:
                if self._is_entitled(waiter.project_id):
                    self._waiting.remove(waiter)
                    self._grant(waiter.project_id)
                    waiter.given.set()
                    return

    @property
    def wanted(self) -> bool:
        """Whether any thread waits for a turn."""
        return bool(self._waiting)

    def _is_entitled(self, project_id: str) -> bool:
        return self._free > 0 and self._taken.get(project_id, 0) < self._of_project

    def _grant(self, project_id: str) -> None:
        self._free -= 1
        self._taken[project_id] += 1

    def _leave(self, waiter: _WaitingThread) -> None:
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self.give(waiter.project_id)


class Turn:
    """The turn of one query, taken or not. Used by one thread at a time."""

    def __init__(self, turns: Turns, check: Callable[[], None], project_id: str = "") -> None:
        self._turns = turns
        self._check = check
        self._project_id = project_id
        self._taken = False

    def take(self) -> None:
        """Takes the turn unless already taken; blocks until one is free. Raises what ``check`` raises."""
        if not self._taken:
            self._turns.take(self._check, self._project_id)
            self._taken = True

    def give(self) -> None:
        if self._taken:
            self._taken = False
            self._turns.give(self._project_id)

    def offer(self) -> None:
        """Lets waiting threads go first, then takes the turn again. Raises what ``check`` raises."""
        if self._taken and self._turns.wanted:
            self.give()
            self.take()
