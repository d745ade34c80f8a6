"""Questions take turns at what slows all others down where many do it at once.

Python's interpreter runs one thread at a time and hands over slowly: were many threads to work through large
results at once, the event loop would wait for each of them whenever it has something to do. By turns it
competes with one. Likewise DuckDB reads for a few questions at a time, and each of them has every processor:
many at once would be no sooner done, and where each thread runs rarely, whoever waits for one waits long.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_CHECK_SECONDS = 0.25
"""How often a question that waits looks whether it is still wanted."""


@dataclass(slots=True, eq=False)
class _WaitingThread:
    project_id: str
    given: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Given to so many at once, and to so many of one project, in the order of coming. Thread-safe."""

    def __init__(self, at_once: int = 1, of_project: int | None = None) -> None:
        # A question may be collected as garbage, and so give its turn, at any moment: also under this lock.
        self._lock = threading.RLock()
        self._free = at_once
        self._of_project = at_once if of_project is None else of_project
        self._held: Counter[str] = Counter()
        self._waiting: list[_WaitingThread] = []

    @contextmanager
    def one(self, check: Callable[[], None], project_id: str = "", *, ahead: bool = False) -> Iterator[None]:
        """Holds a turn. Blocks and raises as ``take`` does."""
        self.take(check, project_id, ahead=ahead)
        try:
            yield
        finally:
            self.give(project_id)

    def take(self, check: Callable[[], None], project_id: str = "", *, ahead: bool = False) -> None:
        """Blocks. ``check`` is called while it waits; what it raises ends the waiting. ``ahead`` of all who
        wait already."""
        with self._lock:
            # Whoever waits while a turn is free belongs to a project that has its share: nobody is passed by.
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
        """Back, for the first of those who wait that may have it."""
        with self._lock:
            self._free += 1
            self._held[project_id] -= 1
            if not self._held[project_id]:
                del self._held[project_id]
            for waiter in self._waiting:
                if self._is_entitled(waiter.project_id):
                    self._waiting.remove(waiter)
                    self._grant(waiter.project_id)
                    waiter.given.set()
                    return

    @property
    def wanted(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def _is_entitled(self, project_id: str) -> bool:
        return self._free > 0 and self._held.get(project_id, 0) < self._of_project

    def _grant(self, project_id: str) -> None:
        self._free -= 1
        self._held[project_id] += 1

    def _leave(self, waiter: _WaitingThread) -> None:
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self.give(waiter.project_id)


class Turn:
    """What one question has of the turns. Belongs to one thread at a time."""

    def __init__(self, turns: Turns, check: Callable[[], None], project_id: str = "") -> None:
        self._turns = turns
        self._check = check
        self._project_id = project_id
        self._held = False

    def take(self) -> None:
        """Blocks until it is this question's. Raises what ``check`` does."""
        if not self._held:
            self._turns.take(self._check, self._project_id)
            self._held = True

    def give(self) -> None:
        if self._held:
            self._held = False
            self._turns.give(self._project_id)

    def offer(self) -> None:
        """Let others have it first, where any wait. Raises what ``check`` does."""
        if self._held and self._turns.wanted:
            self.give()
            self.take()
