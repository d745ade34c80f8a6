"""Live tails of one worker: connections that are sent the events of a collection as they arrive.

One loop follows the logs of all workers while there is a tail. It looks at shared memory ten times a second
and reads what is new on a thread of its own, where each view's filters are applied once for all of its
connections. Each connection has a queue of limited size.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from query.answers.arrivals import Arrival
from query.errors import QueryError
from service.errors import ApiError, RateLimited, ServiceUnavailable
from service.queries.arrival_finder import ArrivalFinder, Shown, TailView
from service.queries.tail_cursor import TailCursors
from service.telemetry.metrics import Metrics
from service.threads import in_thread
from storage.errors import StorageError
from storage.instants import parse_instant
from storage.read.arrivals import ArrivalPosition, ArrivalReader, Arrived

LOOK_SECONDS = 0.1
EVENTS_MAX = 10_000
"""Events of one view that are shown of what is read at once; tails are told of a gap for the others."""
CLAIM_SECONDS = 30.0
"""How long a tail may be open without a connection that sends it."""
RETRY_SECONDS = 5
_LOG_DIGITS = 8

_log = logging.getLogger("acumen.tails")


@dataclass(frozen=True, slots=True)
class TailLimits:
    """``queue_bytes_max``: bytes of events that wait for one connection; at least one event may."""

    per_worker: int
    per_project: int
    queue_bytes_max: int
    resumed_events_max: int


class TailEvent(NamedTuple):
    """One event for all connections of a view. ``frame`` is its message with the cursor behind it."""

    log_id: int
    ordinal: int
    text: bytes
    frame: bytes


class TailEnded(ServiceUnavailable):
    """The events cannot be followed any more; the client goes on from its cursor by a new connection."""


def message(cursor: str, data: bytes, kind: bytes = b"event") -> bytes:
    """One server-sent event."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (cursor.encode(), kind, data)


def _micros(events: Iterable[Arrival]) -> int:
    """When the first of the events came."""
    first = parse_instant(min(one.received for one in events))
    assert first is not None
    return first


def _numbers_of(event_id: str) -> tuple[int, int]:
    """The log and the ordinal in an event's id."""
    return int(event_id[:_LOG_DIGITS], 16), int(event_id[_LOG_DIGITS:], 16)


class Tail:
    """One connection's events. Belongs to the event loop."""

    def __init__(self, tails: LiveTails, view: TailView, queue_bytes_max: int) -> None:
        self.view = view
        self.wake = asyncio.Event()
        """Set when there is something to send, or the tail has ended."""
        self.ended: ApiError | None = None
        self.counted = True
        """Whether it still counts against the limits."""
        self._tails = tails
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._missed: int | None = 0
        self._place: ArrivalPosition | None = None
        """This tail's own position, where it is not that of all others: it goes on from a cursor."""
        self._held: list[TailEvent] | None = None
        """Events that came while those before them are still being looked for."""
        self._held_bytes = 0
        self._unclaimed = asyncio.get_running_loop().call_later(CLAIM_SECONDS, self.close)

    def claim(self) -> None:
        """Say that a connection sends the tail, and closes it."""
        self._unclaimed.cancel()

    def close(self) -> None:
        self._unclaimed.cancel()
        self._tails.remove(self)

    def end(self, reason: ApiError) -> None:
        self.ended = self.ended or reason
        self.wake.set()

    @property
    def cursor(self) -> str:
        """The cursor behind all that was queued."""
        return self._tails.cursor(self._place or self._tails.position, self.view)

    def hold(self) -> None:
        """Keep what arrives until ``go_on``."""
        self._held = []

    def go_on(self, place: ArrivalPosition, shown: Shown, *, whole: bool) -> None:
        """Go on behind a position with the events that were found after it, then with those held."""
        if not whole or shown.left_out != 0:
            self._missed = None
            if shown.left_out != 0 and shown.events:
                # Nothing older may come after the gap.
                place = ArrivalPosition(_micros(shown.events), place.file)
            self._place = place
            self._say_missed()
        for one in shown.events:
            log_id, ordinal = _numbers_of(one.id)
            place = place.past(log_id, ordinal)
            self._queue.append(message(self._tails.cursor(place, self.view), one.text))
            self._bytes += len(self._queue[-1])
        self._place = place
        held, self._held = self._held or [], None
        self.offer(held)
        self.wake.set()

    @property
    def is_alone(self) -> bool:
        """Whether it goes on from a position of its own, which may differ from that of all others until one
        more step was read."""
        return self._held is None and self._place is not None

    def share(self) -> None:
        """Take the position of all others."""
        self._place = None

    def skip(self) -> None:
        """Say that an unknown number of events was left out."""
        self._miss(None)

    def offer(self, events: Iterable[TailEvent], left_out: int | None = 0) -> None:
        """Queue events that arrived; those that do not fit are left out, and counted."""
        for event in events:
            if self._held is not None:
                self._hold(event)
                continue
            frame = event.frame
            if self._place is not None:
                if self._place.covers(event.log_id, event.ordinal):
                    continue
                self._place = self._place.past(event.log_id, event.ordinal)
                frame = message(self._tails.cursor(self._place, self.view), event.text)
            if self._queue and (self._missed != 0 or self._bytes + len(frame) > self._queue_bytes_max):
                self._miss(1)
            else:
                self._queue.append(frame)
                self._bytes += len(frame)
        if left_out != 0:
            self._miss(left_out)
        if self._queue or self._missed != 0:
            self.wake.set()

    def take(self, size_max: int) -> bytes:
        """The next messages, up to about this size; empty where there is none."""
        taken, size = [], 0
        while self._queue and size < size_max:
            frame = self._queue.popleft()
            taken.append(frame)
            size += len(frame)
        self._bytes -= size
        if not self._queue and self._missed != 0 and self._held is None:
            self._say_missed()
            return b"".join(taken) + self.take(size_max)
        return b"".join(taken)

    def _hold(self, event: TailEvent) -> None:
        assert self._held is not None
        self._held_bytes += len(event.frame)
        if self._held and self._held_bytes > self._queue_bytes_max:
            self.end(TailEnded("More events arrived than can wait. Go on from the last cursor."))
        else:
            self._held.append(event)

    def _miss(self, events: int | None) -> None:
        self._tails.missed.add(events or 0)
        self._missed = None if events is None or self._missed is None else self._missed + events

    def _say_missed(self) -> None:
        count, self._missed = self._missed, 0
        data = b'{"events":%s}' % (b"null" if count is None else str(count).encode())
        self._queue.append(message(self.cursor, data, b"gap"))
        self._bytes += len(self._queue[-1])


class LiveTails:
    """All tails of one worker. Belongs to its event loop; without a tail it does nothing."""

    def __init__(
        self,
        arrivals: ArrivalReader,
        finder: ArrivalFinder,
        cursors: TailCursors,
        limits: TailLimits,
        metrics: Metrics,
    ) -> None:
        self.limits = limits
        self.finder = finder
        self.cursors = cursors
        self._arrivals = arrivals
        self._thread = ThreadPoolExecutor(1, "tails")
        self._tails: dict[tuple[str, str, str], dict[Tail, None]] = {}
        self._joining: list[tuple[Tail, asyncio.Future[None]]] = []
        self._by_project: Counter[str] = Counter()
        self._nudge = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._count = metrics.counter("acumen_tails")
        self._sent = metrics.counter("acumen_tail_events_total", "shown")
        self.missed = metrics.counter("acumen_tail_events_total", "left_out")
        self.position = arrivals.position
        """The position behind all that the tails were given."""

    def cursor(self, position: ArrivalPosition, view: TailView) -> str:
        return self.cursors.written(position, view.project_id)

    async def open(self, view: TailView, *, held: bool) -> Tail:
        """A tail of what arrives from now on. ``held``: it waits for what arrived before.

        Raises RateLimited, StorageError.
        """
        self._check(view.project_id)
        tail = Tail(self, view, self.limits.queue_bytes_max)
        if held:
            tail.hold()
        self._by_project[view.project_id] += 1
        self._count.set(self._by_project.total())
        joined = asyncio.get_running_loop().create_future()
        self._joining.append((tail, joined))
        self._nudge.set()
        if self._loop is None:
            self._loop = asyncio.ensure_future(self._follow())
        try:
            await joined
        except BaseException:
            tail.close()
            raise
        return tail

    def remove(self, tail: Tail) -> None:
        """Forget a tail; it may be gone already."""
        self._joining = [pair for pair in self._joining if pair[0] is not tail]
        listed = self._tails.get(tail.view.key, {})
        listed.pop(tail, None)
        if not listed:
            self._tails.pop(tail.view.key, None)
        if tail.counted:
            tail.counted = False
            self._by_project[tail.view.project_id] -= 1
            if self._by_project[tail.view.project_id] <= 0:
                del self._by_project[tail.view.project_id]
            self._count.set(self._by_project.total())

    async def aclose(self) -> None:
        """End the loop and its thread."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait((self._loop,))
        self._thread.shutdown()

    def _check(self, project_id: str) -> None:
        """Raises RateLimited where a limit is reached."""
        for open_tails, limit, whose in (
            (self._by_project[project_id], self.limits.per_project, "A project"),
            (self._by_project.total(), self.limits.per_worker, "A worker of this server"),
        ):
            if open_tails >= limit:
                raise RateLimited(
                    f"{whose} may have {limit} live tails open at once. Try again when one has ended.",
                    RETRY_SECONDS,
                )

    async def _follow(self) -> None:
        """Read what arrives for as long as there is a tail."""
        begun = False
        try:
            while self._tails or self._joining:
                joining, self._joining = self._joining, []
                try:
                    if not begun:
                        await in_thread(self._thread, self._arrivals.begin)
                        begun, self.position = True, self._arrivals.position
                    elif joining or not self._arrivals.stands():
                        await self._step()
                except Exception as error:
                    begun = False
                    self._lose(error, joining)
                    continue
                for tail, joined in joining:
                    self._tails.setdefault(tail.view.key, {})[tail] = None
                    if not joined.done():
                        joined.set_result(None)
                await self._rest()
        finally:
            self._loop = None

    async def _rest(self) -> None:
        self._nudge.clear()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._nudge.wait()
        except TimeoutError:
            pass

    async def _step(self) -> None:
        """Read once, and queue what the views show."""
        alone = [tail for listed in self._tails.values() for tail in listed if tail.is_alone]
        views = [next(iter(listed)).view for listed in self._tails.values() if listed]
        outcomes = await in_thread(self._thread, self._look, views)
        for view, outcome in zip(views, outcomes, strict=False):
            for tail in list(self._tails.get(view.key, ())):
                if isinstance(outcome, ApiError):
                    tail.end(outcome)
                else:
                    tail.offer(*outcome)
        self.position = self._arrivals.position
        for tail in alone:
            tail.share()

    def _look(self, views: Sequence[TailView]) -> list[tuple[list[TailEvent], int | None] | ApiError]:
        arrived = self._arrivals.read()
        return [] if arrived is None else [self._shown(view, arrived) for view in views]

    def _shown(self, view: TailView, arrived: Arrived) -> tuple[list[TailEvent], int | None] | ApiError:
        try:
            shown = self.finder.among(view, arrived.pieces, EVENTS_MAX)
        except (QueryError, StorageError) as error:
            _log.warning("a tail was ended: %s", error)
            return TailEnded(f"The events could not be read: {error}")
        self._sent.add(len(shown.events))
        return self._events(view, shown.events, arrived.start), shown.left_out

    def _events(self, view: TailView, arrivals: Iterable[Arrival], start: ArrivalPosition) -> list[TailEvent]:
        events, place = [], start
        for one in arrivals:
            log_id, ordinal = _numbers_of(one.id)
            place = place.past(log_id, ordinal)
            frame = message(self.cursor(place, view), one.text)
            events.append(TailEvent(log_id, ordinal, one.text, frame))
        return events

    def _lose(self, error: Exception, joining: Iterable[tuple[Tail, asyncio.Future[None]]]) -> None:
        """End all tails; their clients go on from their cursors."""
        if not isinstance(error, StorageError):
            _log.error("Live tails could not be followed.", exc_info=error)
        for _, joined in joining:
            if not joined.done():
                joined.set_exception(error)
        for listed in list(self._tails.values()):
            for tail in list(listed):
                tail.end(TailEnded("The events cannot be followed here. Go on from the last cursor."))
        self._tails.clear()
