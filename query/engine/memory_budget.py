"""Memory that the results of all questions of one process may take together.

A question reserves bytes as its result grows in Python, and gives them back when its answer is sent. Where
nothing is left, the oldest question that is being computed keeps what it has and waits; a younger one lets go
of its rows, waits until the older ones are done and is then computed again. So one of them always gets on,
and no two wait for each other.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from query.engine.turns import Turn, Turns
from query.errors import QueryError, QueryLimitExceeded, QueryOverloaded

T = TypeVar("T")

STEP_BYTES = 1 << 20
"""A question takes from the budget in steps of this size, so that it rarely needs the lock."""
OWN_BYTES = 256 << 10
"""What every question may hold beside the budget."""
_WAIT_SECONDS = 0.05
"""How often a question that waits looks whether it is still wanted."""


class ResultsDropped(QueryError):
    """An older question needs the memory: let go of all rows, and compute the answer again."""

    code = "RateLimitExceededError"


def computed(reservation: Reservation, attempt: Callable[[], T]) -> T:
    """What ``attempt`` gives, made again where older questions needed the memory for it, and its bytes kept
    reserved. Raises QueryOverloaded."""
    try:
        while True:
            try:
                found = attempt()
                break
            except ResultsDropped:
                # What was computed goes with the error.
                pass
            reservation.start_again()
        reservation.finish(reservation.used_bytes)
        return found
    except BaseException:
        reservation.release()
        raise


class MemoryBudget:
    """Thread-safe."""

    def __init__(self, bytes_max: int, wait_seconds: float = 30.0) -> None:
        """``wait_seconds``: how long a question may wait for memory in all."""
        self.bytes_max = bytes_max
        self.step_bytes = min(STEP_BYTES, bytes_max // 64)
        self._wait_seconds = wait_seconds
        # An answer may be collected as garbage, and so released, at any moment: also under this very lock.
        self._condition = threading.Condition(threading.RLock())
        self.turns = Turns()
        self._held = 0
        self._peak = 0
        self._computing: list[Reservation] = []
        """Those whose answer is not made yet, the oldest first."""

    @property
    def held_bytes(self) -> int:
        return self._held

    @property
    def peak_bytes(self) -> int:
        """The most that was ever reserved."""
        return self._peak

    def open(
        self,
        check: Callable[[], None] = lambda: None,
        wait_seconds: float | None = None,
        *,
        project_id: str = "",
    ) -> Reservation:
        """A reservation of one question. ``check`` is called while it waits, and may raise; ``wait_seconds``:
        where it may wait shorter or longer than others."""
        seconds = self._wait_seconds if wait_seconds is None else wait_seconds
        made = Reservation(self, check, seconds, project_id)
        with self._condition:
            self._computing.append(made)
        return made

    def _grow(self, one: Reservation, size: int) -> None:
        with self._condition:
            while self._held + size > self.bytes_max:
                if one.held_bytes + size > self.bytes_max:
                    raise self._too_large()
                if self._older(one):
                    raise ResultsDropped("An older query needs the memory.")
                self._wait(one)
            self._held += size
            self._peak = max(self._peak, self._held)
            one.held_bytes += size

    def _shrink(self, one: Reservation, size: int) -> None:
        with self._condition:
            self._held -= size
            one.held_bytes -= size
            self._condition.notify_all()

    def _end(self, one: Reservation) -> None:
        with self._condition:
            if one in self._computing:
                self._computing.remove(one)
            self._condition.notify_all()

    def _wait_for_older(self, one: Reservation) -> None:
        with self._condition:
            while self._older(one):
                self._wait(one)

    def _older(self, one: Reservation) -> bool:
        """Whether a question that is computed since longer holds anything."""
        if one not in self._computing:
            return False
        return any(older.held_bytes for older in self._computing[: self._computing.index(one)])

    def _wait(self, one: Reservation) -> None:
        """Raises QueryOverloaded after too long."""
        one.check()
        # Whoever holds the memory may need the turns to give it back.
        one.turn.give()
        one.read_ended()
        began = time.monotonic()
        self._condition.wait(min(_WAIT_SECONDS, one.wait_seconds))
        one.waited_seconds += time.monotonic() - began
        if one.waited_seconds >= one.wait_seconds:
            raise QueryOverloaded(
                f"The answers of other queries took all {self.bytes_max:,} bytes of memory for results for "
                f"{one.wait_seconds:g} seconds. Try again shortly, or ask for fewer groups or events."
            )

    def _too_large(self) -> QueryLimitExceeded:
        return QueryLimitExceeded(
            f"The answer takes more than the {self.bytes_max:,} bytes of memory that results may use. Ask "
            "for fewer groups, intervals, events or properties, or for a shorter timeframe. The operator can "
            "raise ACUMEN_MEMORY_BYTES."
        )


class Reservation:
    """What one question holds of a budget. Belongs to one thread at a time.

    A small part comes with it, beside the budget: a question with a small answer never waits for memory.
    """

    def __init__(
        self, budget: MemoryBudget, check: Callable[[], None], wait_seconds: float, project_id: str
    ) -> None:
        self._budget = budget
        self.project_id = project_id
        self.wait_seconds = wait_seconds
        self._own = min(OWN_BYTES, budget.bytes_max // 64)
        self._free = self._own
        self.check = check
        self.turn = Turn(budget.turns, check)
        self._reading: Turn | None = None
        self.held_bytes = 0
        self.waited_seconds = 0.0
        self._ended = False

    @property
    def used_bytes(self) -> int:
        return self.held_bytes + self._own - self._free

    def reserve(self, size: int) -> None:
        """Raises QueryLimitExceeded for what never fits, ResultsDropped, QueryOverloaded, and what ``check``
        does."""
        if size > self._free:
            step = max(size - self._free, self._budget.step_bytes)
            self._budget._grow(self, step)
            self._free += step
        self._free -= size

    def give_back(self, size: int) -> None:
        """Bytes that were reserved before and are no longer used."""
        self._free += size
        spare = min(self._free - self._own, self.held_bytes)
        if spare > 2 * self._budget.step_bytes:
            self._free -= spare
            self._budget._shrink(self, spare)

    def read_by(self, turns: Turns) -> None:
        """Take the turn at reading much, until ``read_ended``. Blocks; raises what ``check`` does."""
        if self._reading is None:
            self._reading = Turn(turns, self.check, self.project_id)
        self._reading.take()

    def read_ended(self) -> None:
        if self._reading is not None:
            self._reading.give()

    def reduce_to(self, size: int) -> None:
        """Keep so much of what is reserved."""
        self.give_back(max(0, self.used_bytes - size))

    def start_again(self) -> None:
        """Give everything back, and wait until the older questions are done. Raises QueryOverloaded."""
        self._release_bytes()
        self._budget._wait_for_older(self)

    def finish(self, size: int) -> None:
        """The answer is made: keep its bytes until ``release``."""
        self.reduce_to(size)
        self._end()

    def release(self) -> None:
        """Give everything back. May be called again."""
        self._end()
        self._release_bytes()

    def _end(self) -> None:
        if not self._ended:
            self._budget._end(self)
            self._ended = True
            self.turn.give()
            self.read_ended()

    def _release_bytes(self) -> None:
        self._free = self._own
        if self.held_bytes:
            self._budget._shrink(self, self.held_bytes)

    def __del__(self) -> None:
        # An answer that was sent, or never will be.
        self.release()


def unbounded() -> Reservation:
    """Of what takes little memory, or is bounded otherwise."""
    return MemoryBudget(sys.maxsize).open()
