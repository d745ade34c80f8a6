"""The memory budget that the results of all queries of one process share.

A query reserves bytes as its result grows in Python, and releases them when its answer has been sent. If the
budget is exhausted, the oldest query being computed keeps its memory and waits; a younger one discards its
rows, waits until the older ones are done and is then computed again. So one query always makes progress, and
no two wait for each other.
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
"""A query reserves from the budget in steps of this size, so that it rarely needs the lock."""
OWN_BYTES = 256 << 10
"""Bytes that every query may use without reserving them from the budget."""
_WAIT_SECONDS = 0.05
"""How often a waiting query checks whether it has been cancelled."""


class ResultsDropped(QueryError):
    """An older query needs the memory: the caller must discard all rows and compute the answer again."""

    code = "RateLimitExceededError"


def computed(reservation: Reservation, attempt: Callable[[], T]) -> T:
    """The result of ``attempt``, which is repeated where older queries needed its memory.

    The result's bytes stay reserved. Raises QueryOverloaded, and what ``attempt`` raises.
    """
    try:
        while True:
            try:
                result = attempt()
                break
            except ResultsDropped:
                # The rows computed so far are freed with the exception.
                pass
            reservation.start_again()
        reservation.finish(reservation.used_bytes)
        return result
    except BaseException:
        reservation.release()
        raise


class MemoryBudget:
    """Bytes that the reservations of all queries share. Thread-safe."""

    def __init__(self, bytes_max: int, wait_seconds: float = 30.0) -> None:
        """``wait_seconds``: the total time that a query may wait for memory."""
        self.bytes_max = bytes_max
        self.step_bytes = min(STEP_BYTES, bytes_max // 64)
        self._wait_seconds = wait_seconds
        # Garbage collection may release a reservation at any moment, also while this thread has the lock.
        self._condition = threading.Condition(threading.RLock())
        self.turns = Turns()
        self._reserved = 0
        self._peak = 0
        self._computing: list[Reservation] = []
        """Reservations whose answer is still being computed, the oldest first."""

    @property
    def held_bytes(self) -> int:
        return self._reserved

    @property
    def peak_bytes(self) -> int:
        """The most bytes that were reserved at any time."""
        return self._peak

    def open(
        self,
        check: Callable[[], None] = lambda: None,
        wait_seconds: float | None = None,
        *,
        project_id: str = "",
    ) -> Reservation:
        """Opens the reservation of one query.

        ``check`` is called while it waits, and may raise; ``wait_seconds`` overrides the budget's own limit.
        """
        seconds = self._wait_seconds if wait_seconds is None else wait_seconds
        reservation = Reservation(self, check, seconds, project_id)
        with self._condition:
            self._computing.append(reservation)
        return reservation

    def _grow(self, reservation: Reservation, size: int) -> None:
        with self._condition:
            while self._reserved + size > self.bytes_max:
                if reservation.held_bytes + size > self.bytes_max:
                    raise self._too_large()
                if self._older(reservation):
                    raise ResultsDropped("An older query needs the memory.")
                self._wait(reservation)
            self._reserved += size
            self._peak = max(self._peak, self._reserved)
            reservation.held_bytes += size
            reservation.greatest_bytes = max(reservation.greatest_bytes, reservation.held_bytes)

    def _shrink(self, reservation: Reservation, size: int) -> None:
        with self._condition:
            self._reserved -= size
            reservation.held_bytes -= size
            self._condition.notify_all()

    def _end(self, reservation: Reservation) -> None:
        with self._condition:
            if reservation in self._computing:
                self._computing.remove(reservation)
            self._condition.notify_all()

    def _wait_for_older(self, reservation: Reservation) -> None:
        with self._condition:
            while self._older(reservation):
                self._wait(reservation)

    def _older(self, reservation: Reservation) -> bool:
        """Whether a query whose computation began earlier has bytes reserved."""
        if reservation not in self._computing:
            return False
        return any(older.held_bytes for older in self._computing[: self._computing.index(reservation)])

    def _wait(self, reservation: Reservation) -> None:
        """Waits briefly. Raises QueryOverloaded where the query has waited too long in total."""
        reservation.check()
        # The queries that have the memory may need these turns before they can release it.
        reservation.turn.give()
        reservation.read_ended()
        began = time.monotonic()
        self._condition.wait(min(_WAIT_SECONDS, reservation.wait_seconds))
        reservation.waited_seconds += time.monotonic() - began
        if reservation.waited_seconds >= reservation.wait_seconds:
            raise QueryOverloaded(
                f"The results of other queries used all {self.bytes_max:,} bytes of memory for results for "
                f"{reservation.wait_seconds:g} seconds. Try again shortly, or ask for fewer groups or events."
            )

    def _too_large(self) -> QueryLimitExceeded:
        return QueryLimitExceeded(
            f"The answer takes more than the {self.bytes_max:,} bytes of memory that results may use. Ask "
            "for fewer groups, intervals, events or properties, or for a shorter timeframe. The operator can "
            "raise ACUMEN_MEMORY_BYTES."
        )


class Reservation:
    """The bytes that one query has reserved from a budget. Used by one thread at a time.

    It includes a small allowance outside the budget: a query with a small answer never waits for memory.
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
        self.greatest_bytes = 0
        """The most that was held at a time."""
        self.waited_seconds = 0.0
        self._ended = False

    @property
    def used_bytes(self) -> int:
        return self.held_bytes + self._own - self._free

    def reserve(self, size: int) -> None:
        """Reserves bytes.

        Raises QueryLimitExceeded where they exceed the whole budget, ResultsDropped, QueryOverloaded, and
        what ``check`` raises.
        """
        if size > self._free:
            step = max(size - self._free, self._budget.step_bytes)
            self._budget._grow(self, step)
            self._free += step
        self._free -= size

    def give_back(self, size: int) -> None:
        """Releases bytes that were reserved before and are no longer used."""
        self._free += size
        spare = min(self._free - self._own, self.held_bytes)
        if spare > 2 * self._budget.step_bytes:
            self._free -= spare
            self._budget._shrink(self, spare)

    def read_by(self, turns: Turns) -> None:
        """Takes a turn for a large read, until ``read_ended``. Blocks; raises what ``check`` raises."""
        if self._reading is None:
            self._reading = Turn(turns, self.check, self.project_id)
        self._reading.take()

    def read_ended(self) -> None:
        if self._reading is not None:
            self._reading.give()

    def reduce_to(self, size: int) -> None:
        """Releases all but ``size`` of the bytes in use."""
        self.give_back(max(0, self.used_bytes - size))

    def start_again(self) -> None:
        """Releases all bytes, and waits until the older queries are done. Raises QueryOverloaded."""
        self._release_bytes()
        self._budget._wait_for_older(self)

    def finish(self, size: int) -> None:
        """Ends the computation; the answer's bytes stay reserved until ``release``."""
        self.reduce_to(size)
        self._end()

    def release(self) -> None:
        """Releases everything. May be called repeatedly."""
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
        # The answer was sent or discarded.
        self.release()


def unbounded() -> Reservation:
    """A reservation without a limit, for results that are small or bounded in another way."""
    return MemoryBudget(sys.maxsize).open()
