"""Where a sender keeps events until the server has them: in memory, or in a file.

A queue is used under the lock of its sender. Its events have ascending numbers and leave it when they are
settled: stored, or given up and kept as dead letters with the reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from acumen_client import _json
from acumen_client.errors import QueueFullError

DEAD_LETTERS_MAX = 10_000
"""Dead letters that a queue keeps; the oldest go first."""


class QueuedEvent(NamedTuple):
    """An event that waits. ``recorded_at`` is in seconds of Unix time."""

    number: int
    collection: str
    recorded_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that will not be sent any more, and why.

    ``reason`` is ``refused`` (by the server, for good), ``expired`` (it waited longer than the server knows
    its token, so sending it might store it twice), ``full`` (the queue had no room for it) or ``closed`` (it
    was still in memory when the sender was closed). ``name`` is the server's for what it refused.
    """

    collection: str
    body: bytes
    recorded_at: float
    reason: str
    name: str = ""
    description: str = ""
    number: int = 0

    @property
    def event(self) -> Mapping[str, Any]:
        """The event as it would have been sent, with its time and token."""
        event: Mapping[str, Any] = _json.loads(self.body)
        return event


class Queue(Protocol):
    """What a sender needs of either kind."""

    persistent: bool
    """Whether what waits outlives the process."""

    def put(self, collection: str, bodies: Sequence[bytes], recorded_at: float) -> int:
        """Take all of these events or none; the number of the last. Raises QueueError."""

    def waiting(self) -> int:
        """How many events wait, those that are being sent included."""

    def waiting_bytes(self) -> int:
        """Bytes of those events, or somewhat more."""

    def first_number(self) -> int | None:
        """The number of the oldest event that waits; None where none does."""

    def last_number(self) -> int:
        """The number of the newest event that was put in; 0, or that of an older one, where none waits."""

    def head(self, events_max: int, bytes_max: int) -> list[QueuedEvent]:
        """The oldest events within these bounds, one at least if there is any."""

    def settle(self, numbers: Collection[int], dead: Iterable[DeadLetter]) -> None:
        """Remove events; ``dead`` are those of them that are given up."""

    def dead_letters(self) -> list[DeadLetter]:
        """The events that were given up, the oldest first."""

    def forget_dead_letters(self, numbers: Collection[int] | None) -> list[DeadLetter]:
        """Remove dead letters of these numbers, or all; those that were removed."""

    def may_send(self) -> bool:
        """Whether this process is the one that sends what waits here."""

    def after_fork(self) -> None:
        """In a forked child: let go of what is the parent's."""

    def close(self) -> None:
        """Give back what the queue holds of the system."""


class MemoryQueue:
    """Events in memory: they are lost with the process, and a forked child begins with none."""

    persistent = False

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._dead: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_MAX)
        self._next = 1
        self._next_dead = 1
        self.after_fork()

    def put(self, collection: str, bodies: Sequence[bytes], recorded_at: float) -> int:
        size = sum(map(len, bodies))
        if len(self._events) + len(bodies) > self._events_max or self._bytes + size > self._bytes_max:
            raise QueueFullError(
                f"the queue holds {len(self._events):,} events of {self._bytes:,} bytes, as many as it may"
            )
        number = self._next
        for body in bodies:
            self._events.append(QueuedEvent(number, collection, recorded_at, body))
            number += 1
        self._next = number
        self._bytes += size
        return number - 1

    def waiting(self) -> int:
        return len(self._events)

    def waiting_bytes(self) -> int:
        return self._bytes

    def first_number(self) -> int | None:
        return self._events[0].number if self._events else None

    def last_number(self) -> int:
        return self._next - 1

    def head(self, events_max: int, bytes_max: int) -> list[QueuedEvent]:
        if len(self._events) <= events_max and self._bytes <= bytes_max:
            return list(self._events)
        taken: list[QueuedEvent] = []
        size = 0
        for event in self._events:
            size += len(event.body)
            if taken and (len(taken) == events_max or size > bytes_max):
                break
            taken.append(event)
        return taken

    def settle(self, numbers: Collection[int], dead: Iterable[DeadLetter]) -> None:
        gone = set(numbers)
        kept: list[QueuedEvent] = []
        # What is settled stands at the head, but for events that are to be sent again.
        while gone and self._events:
            event = self._events.popleft()
            if event.number in gone:
                gone.discard(event.number)
                self._bytes -= len(event.body)
            else:
                kept.append(event)
        self._events.extendleft(reversed(kept))
        for letter in dead:
            self._dead.append(_numbered(letter, self._next_dead))
            self._next_dead += 1

    def dead_letters(self) -> list[DeadLetter]:
        return list(self._dead)

    def forget_dead_letters(self, numbers: Collection[int] | None) -> list[DeadLetter]:
        gone = [one for one in self._dead if numbers is None or one.number in numbers]
        kept = [one for one in self._dead if not (numbers is None or one.number in numbers)]
        self._dead = deque(kept, maxlen=DEAD_LETTERS_MAX)
        return gone

    def may_send(self) -> bool:
        return True

    def after_fork(self) -> None:
        self._events: deque[QueuedEvent] = deque()
        self._bytes = 0

    def close(self) -> None:
        pass


def _numbered(letter: DeadLetter, number: int) -> DeadLetter:
    parts = (
        letter.collection,
        letter.body,
        letter.recorded_at,
        letter.reason,
        letter.name,
        letter.description,
    )
    return DeadLetter(*parts, number=number)
