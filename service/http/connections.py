"""The open connections of one worker: limits on their number, and on the size and age of unsent answers.

A client that reads slowly, or not at all, costs the memory of its answer. Each client must read some of its
answer within a limited time, and all unsent answers together have a size limit: beyond it the slowest
reader's connection is closed.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from service.telemetry.metrics import Metrics
from service.telemetry.refusals import Refusals

SLICE_BYTES = 65_536
"""Longer bodies are written in slices, each once most of the one before has been sent."""
PROGRESS_BYTES = 32_768
"""Bytes of an answer (or all that is left) that a client must read within ``write_seconds``."""
TICKS = 10
"""Checks within ``write_seconds``, which is therefore exact to a tenth."""
QUIET_SECONDS = 1.0
"""How long a connection must have been idle before it may be closed to make room for a new one."""
LINGERING_MAX = 64
"""Refused connections that may wait for their answer to be read; further ones are closed at once."""
RESERVED_MIN, RESERVED_MAX = 128, 1_024
"""Bounds on the number of descriptors reserved for files, which is otherwise a quarter of all."""

_log = logging.getLogger("acumen.connections")


class TrackedConnection(Protocol):
    """A connection as ``Connections`` uses it."""

    @property
    def address(self) -> str:
        """The client's address according to the socket; empty where it has none."""

    def sent_bytes(self) -> int:
        """Bytes written so far that were sent to the client."""

    def unsent_bytes(self) -> int:
        """Bytes written that are not sent yet, because the client has to read first."""

    def quiet_since(self) -> float | None:
        """Since when (by the loop's clock) no request is in progress; None where one is."""

    def close_quiet(self) -> None:
        """Close the connection, which has no request in progress."""

    def abort(self) -> None:
        """Close the connection at once and drop what is unsent."""


class Admission(Enum):
    """What becomes of a new connection."""

    TAKEN = "taken"
    REFUSED = "refused"
    """It gets an error as its answer."""
    DROPPED = "dropped"
    """It is closed without an answer: too many refused connections are open already."""


class AnswersOverloaded(Exception):
    """All unsent answers together have reached their size limit."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on connections and their answers.

    ``per_client_max``: connections from one address, 0 for any number. Addresses for which ``is_shared`` is
    true stand for many clients and are exempt.
    """

    connections_max: int = 10_000
    per_client_max: int = 0
    write_seconds: float = 30.0
    unsent_bytes_max: int = 256 << 20
    judged_seconds: float = 1.0
    """Age at which a reader may be closed to make room for another: before that its speed is unknown."""
    is_shared: Callable[[str], bool] = lambda address: False


@dataclass(slots=True, eq=False)
class OutgoingResponse:
    """One long answer that is being sent."""

    connection: TrackedConnection
    size: int
    began: float
    sent_before: int

    def speed(self, now: float) -> float:
        """Bytes per second since it began."""
        return (self.connection.sent_bytes() - self.sent_before) / max(now - self.began, 1e-3)


@dataclass(slots=True)
class _Mark:
    """``goal`` bytes must be sent within ``write_seconds`` after ``since``."""

    since: float
    goal: int


class Connections:
    """One per worker. All methods belong to its event loop."""

    def __init__(
        self,
        limits: ConnectionLimits | None = None,
        metrics: Metrics | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.limits = limits or ConnectionLimits()
        metrics = metrics or Metrics()
        self.refusals = refusals or Refusals(metrics, 0)
        self._open: dict[TrackedConnection, None] = {}
        self._refused: set[TrackedConnection] = set()
        self._by_client: Counter[str] = Counter()
        self._marks: dict[TrackedConnection, _Mark] = {}
        self._sending: dict[OutgoingResponse, None] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self.held_bytes = 0
        """Full size of the long answers being sent: their memory is free only once they are sent whole."""
        self._count = metrics.counter("acumen_connections")
        self._unsent = metrics.counter("acumen_unsent_bytes")
        self._slow = metrics.counter("acumen_connections_closed_total", "slow_reader")
        self._early = metrics.counter("acumen_connections_closed_total", "idle")
        self._full = metrics.counter("acumen_connections_closed_total", "limit")

    def __len__(self) -> int:
        return len(self._open)

    # How many

    def opened(self, connection: TrackedConnection) -> Admission:
        """Register a new connection if there is room; idle ones are closed to make room."""
        address, limits = connection.address, self.limits
        crowded = 0 < limits.per_client_max <= self._by_client[address] and not limits.is_shared(address)
        if crowded or (len(self._open) >= limits.connections_max and not self._close_quiet()):
            self._full.add()
            if len(self._refused) >= LINGERING_MAX:
                return Admission.DROPPED
            self._refused.add(connection)
            return Admission.REFUSED
        self._open[connection] = None
        self._by_client[address] += 1
        self._count.set(len(self._open))
        self._start()
        return Admission.TAKEN

    def closed(self, connection: TrackedConnection) -> None:
        self._refused.discard(connection)
        self._marks.pop(connection, None)
        if connection not in self._open:
            return
        del self._open[connection]
        address = connection.address
        self._by_client[address] -= 1
        if self._by_client[address] <= 0:
            del self._by_client[address]
        self._count.set(len(self._open))

    def _close_quiet(self) -> bool:
        """Close the connections that have been idle for longest. Returns whether there was any.

        Several are closed at once, since a scan of all connections for each new one would cost too much.
        """
        now = asyncio.get_running_loop().time()
        quiet = []
        for connection in self._open:
            since = connection.quiet_since()
            if since is not None and now - since >= QUIET_SECONDS:
                quiet.append((since, connection))
        quiet.sort(key=lambda pair: pair[0])
        for _, connection in quiet[: max(1, len(self._open) // 100)]:
            # Removed from the table now, though its socket closes a little later.
            self.closed(connection)
            connection.close_quiet()
            self._early.add()
        return bool(quiet)

    # How much, and how long

    def begin(self, connection: TrackedConnection, size: int) -> OutgoingResponse:
        """Count a long answer until ``end``. Raises AnswersOverloaded where no slow reader makes room."""
        now = asyncio.get_running_loop().time()
        while self.held_bytes and self.held_bytes + size > self.limits.unsent_bytes_max:
            if not self._close_slowest(now):
                raise AnswersOverloaded
        sending = OutgoingResponse(connection, size, now, connection.sent_bytes())
        self._sending[sending] = None
        self.held_bytes += size
        return sending

    def end(self, sending: OutgoingResponse) -> None:
        """Stop counting an answer: it was sent, or its connection is closed."""
        if sending in self._sending:
            del self._sending[sending]
            self.held_bytes -= sending.size

    def _close_slowest(self, now: float) -> bool:
        slow = [one for one in self._sending if now - one.began >= self.limits.judged_seconds]
        if not slow:
            return False
        slowest = min(slow, key=lambda one: one.speed(now))
        self.end(slowest)
        self._close_slow(slowest.connection)
        return True

    def _close_slow(self, connection: TrackedConnection) -> None:
        self._slow.add()
        self._marks.pop(connection, None)
        connection.abort()

    def _start(self) -> None:
        if self._sweep is None:
            seconds = self.limits.write_seconds / TICKS
            self._sweep = asyncio.get_running_loop().call_later(seconds, self._check_all)

    def _check_all(self) -> None:
        self._sweep = None
        now = asyncio.get_running_loop().time()
        closed, unsent = 0, self.held_bytes
        for connection in [*self._open, *self._refused]:
            waiting = connection.unsent_bytes()
            unsent += waiting
            closed += self._is_stalled(connection, waiting, now)
        closed += self._shed(unsent, now)
        self._unsent.set(unsent)
        if closed:
            fields = {"connections": closed, "seconds": self.limits.write_seconds}
            _log.warning("Connections whose clients did not read were closed.", extra={"fields": fields})
        if self._open or self._refused:
            self._start()

    def _is_stalled(self, connection: TrackedConnection, waiting: int, now: float) -> bool:
        """Note how much the client has read, and close the connection if that is too little.

        Returns whether it was closed.
        """
        if not waiting:
            self._marks.pop(connection, None)
            return False
        sent, mark = connection.sent_bytes(), self._marks.get(connection)
        if mark is None or sent >= mark.goal:
            self._marks[connection] = _Mark(now, sent + min(PROGRESS_BYTES, waiting))
            return False
        if now - mark.since < self.limits.write_seconds:
            return False
        self._close_slow(connection)
        return True

    def _shed(self, unsent: int, now: float) -> int:
        """Close connections until all unsent bytes are within the limit. Returns how many were closed.

        Those whose clients have read nothing for longest go first.
        """
        closed = 0
        waiting = sorted(self._marks.items(), key=lambda item: item[1].since)
        for connection, mark in waiting:
            if unsent <= self.limits.unsent_bytes_max or now - mark.since < self.limits.judged_seconds:
                break
            unsent -= connection.unsent_bytes()
            for sending in [one for one in self._sending if one.connection is connection]:
                unsent -= sending.size
                self.end(sending)
            self._close_slow(connection)
            closed += 1
        return closed


def raise_descriptors() -> int:
    """Raise this process's limit of descriptors to the most the system allows. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            _log.warning("The limit of open files stays as it is.", extra={"fields": {"limit": soft}})
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft


def connections_within(descriptors: int, requested: int) -> int:
    """The requested number of connections, reduced so that descriptors are left for the files of queries."""
    reserved = min(RESERVED_MAX, max(RESERVED_MIN, descriptors // 4))
    return max(1, min(requested, descriptors - reserved))
