"""Questions with large results work through their rows by turns.

Python's interpreter runs one thread at a time and hands over slowly: were many threads to work through rows
at once, the event loop would wait for each of them whenever it has something to do. By turns it competes with
one. What DuckDB does needs no turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

_CHECK_SECONDS = 0.05
"""How often a question that waits looks whether it is still wanted."""


class Turns:
    """A lock that is given to those who wait in the order in which they came. Thread-safe."""

    def __init__(self) -> None:
        # A question may be collected as garbage, and so give its turn, at any moment: also under this lock.
        self._lock = threading.RLock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    def take(self, check: Callable[[], None]) -> None:
        """Blocks. ``check`` is called while it waits; what it raises ends the waiting."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            given = threading.Event()
            self._waiting.append(given)
        try:
            while not given.wait(_CHECK_SECONDS):
                check()
        except BaseException:
            self._leave(given)
            raise

    def give(self) -> None:
        """To the next who waits."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False

    @property
    def wanted(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def _leave(self, given: threading.Event) -> None:
        with self._lock:
            if given in self._waiting:
                self._waiting.remove(given)
            else:
                self.give()


class Turn:
    """What one question has of the turns. Belongs to one thread at a time."""

    def __init__(self, turns: Turns, check: Callable[[], None]) -> None:
        self._turns = turns
        self._check = check
        self._held = False

    def take(self) -> None:
        """Blocks until it is this question's. Raises what ``check`` does."""
        if not self._held:
            self._turns.take(self._check)
            self._held = True

    def give(self) -> None:
        if self._held:
            self._held = False
            self._turns.give()

    def offer(self) -> None:
        """Let others have it first, where any wait. Raises what ``check`` does."""
        if self._held and self._turns.wanted:
            self.give()
            self.take()
