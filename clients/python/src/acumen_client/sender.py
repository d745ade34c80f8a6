"""The background sender: events go into a queue at once, and a thread sends them in batches.

Every event has one of three ends: it is stored, once; or it is given up, and ``on_undelivered``, the log and
the dead letters say so; or it was not taken, and the caller was told (an exception, or False).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import datetime as dt
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from acumen_client._transport import Transport
from acumen_client.batching import Batch, BatchLimits, Exchange
from acumen_client.disk_queue import DiskQueue
from acumen_client.errors import (
    AcumenError,
    ApiError,
    QueueError,
    QueueFullError,
    SenderClosedError,
)
from acumen_client.events import Event, checked_collection, prepare
from acumen_client.queues import DeadLetter, MemoryQueue, Queue, QueuedEvent
from acumen_client.retries import Retries

T = TypeVar("T")
WhenFull = Literal["block", "drop", "error"]

MEMORY_EVENTS_MAX = 100_000
MEMORY_BYTES_MAX = 64 << 20
DISK_BYTES_MAX = 1 << 30
TOKEN_DAYS = 30.0
"""How long an event may wait: a day less than a server remembers tokens, unless its operator changed that."""
BACKOFF = Retries(first_seconds=0.5, most_seconds=60.0)
SEND_SECONDS = 60.0
ATTEMPTS_FOR_A_VERDICT = 10
"""How often an event is sent whose verdict is a fault that may pass."""
LOG_SECONDS = 10.0
"""Least time between two lines of the log about the same kind of trouble."""
_POLL_SECONDS = 0.05
_HURRIED_SECONDS = 1.0
_JOIN_SECONDS = 1.0
_CLOSED = "the sender was closed before an answer came; the event may be stored or not"
_EXPIRED = "it waited longer than the server knows its token, so sending it might store it twice"
_TAKE_OVER_SECONDS = 1.0

_log = logging.getLogger("acumen_client")


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """How a sender behaves. ``path`` is the file of its queue; without it events wait in memory.

    - ``when_full``: what ``record`` does when the queue holds ``events_max`` events or ``bytes_max`` bytes:
      ``block`` until there is room (``block_seconds`` at most, then QueueFullError), ``drop`` the event,
      report it and return False, or raise QueueFullError (``error``).
    - ``linger_seconds``: how long the first event waits for others to fill the batch.
    - ``token_days``: how long an event may wait. The server must remember tokens for longer
      (``ACUMEN_TOKEN_DAYS``, 31 unless changed).
    - ``synced``: whether a queue on disk survives a power cut too, which costs a sync for each call.
    - ``exit_seconds``: how long the end of the process waits for what is still in the queue.
    - ``on_undelivered``: called, in the sender's thread or the caller's, with each event that is given up.
    - ``on_error``: called with each failed attempt to send; the events stay in the queue.
    """

    path: str | os.PathLike[str] | None = None
    when_full: WhenFull = "block"
    block_seconds: float | None = None
    events_max: int | None = None
    bytes_max: int | None = None
    limits: BatchLimits = field(default_factory=BatchLimits)
    linger_seconds: float = 1.0
    token_days: float = TOKEN_DAYS
    synced: bool = False
    exit_seconds: float = 5.0
    backoff: Retries = BACKOFF
    on_undelivered: Callable[[DeadLetter], object] | None = None
    on_error: Callable[[AcumenError], object] | None = None

    def queue(self, project_id: str) -> Queue:
        """The queue that these options describe, opened."""
        if self.path is None:
            return MemoryQueue(self.events_max or MEMORY_EVENTS_MAX, self.bytes_max or MEMORY_BYTES_MAX)
        return DiskQueue(
            Path(self.path),
            project_id,
            events_max=self.events_max,
            bytes_max=self.bytes_max or DISK_BYTES_MAX,
            synced=self.synced,
        )


@dataclass(slots=True)
class SenderStats:
    """What a sender has done in this process."""

    recorded: int = 0
    """Events taken into the queue."""
    stored: int = 0
    duplicates: int = 0
    """Events, of those stored, that the server had before: their first answer was lost."""
    undelivered: int = 0
    """Events that were given up, each of them reported."""
    failures: int = 0
    """Attempts to send that failed."""
    waiting: int = 0
    last_error: AcumenError | None = None
    """Why the last attempt failed; None after one that did not."""


class Sender:
    """Records events in the background. Threads may share it; a forked child goes on with a queue of its own.

    >>> with client.sender(path="events.queue") as sender:
    ...     sender.record("purchases", {"price": 7})
    """

    def __init__(self, transport: Transport, options: SenderOptions | None = None) -> None:
        """Raises ConfigurationError without a project or write key, QueueWriteError for an unusable file."""
        self.options = options or SenderOptions()
        self._stats = SenderStats()
        self._transport = transport
        self._path = transport.project_path("events")
        transport.target.keys.key("write")
        self._queue = self.options.queue(transport.target.project_id or "")
        self._attempts: dict[int, int] = {}
        self._logged: dict[str, tuple[float, int]] = {}
        self._closed = False
        self._begin()
        _senders.add(self)
        if self._queue.persistent:
            with self._lock:
                # What an earlier process left is sent without waiting for a new event.
                self._start_thread()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._wake_after: int | None = None
        """How many more events the thread sleeps for; None while it does not sleep."""
        self._stopping = False
        self._pid = os.getpid()
        self._unfinished_flushes = 0

    # Recording

    def record(
        self,
        collection: str,
        event: Event,
        *,
        timestamp: dt.datetime | str | None = None,
        token: str | None = None,
    ) -> bool:
        """Take one event into the queue; False where it was dropped because the queue is full.

        Its time is now and its token new, unless given or in the event already. Raises EventError for what
        cannot be sent, QueueFullError, QueueWriteError where the queue's file cannot be written, and
        SenderClosedError.
        """
        body = prepare(event, timestamp=timestamp, token=token)
        return self._take(checked_collection(collection), [body], self.options.when_full)

    def record_many(
        self, collection: str, events: Iterable[Event], *, token: Callable[[Event], str] | None = None
    ) -> bool:
        """Take events into the queue, all of them or, where False or an exception comes, none."""
        bodies = [prepare(event, token=None if token is None else token(event)) for event in events]
        return not bodies or self._take(checked_collection(collection), bodies, self.options.when_full)

    def offer(self, collection: str, event: Event, *, timestamp: dt.datetime | str | None = None) -> bool:
        """As ``record``, but without waiting: a full queue drops the event, whatever ``when_full`` says."""
        body = prepare(event, timestamp=timestamp)
        return self._take(checked_collection(collection), [body], "drop")

    def _take(self, collection: str, bodies: list[bytes], when_full: WhenFull) -> bool:
        now = time.time()
        full: QueueFullError
        with self._lock:
            if self._pid != os.getpid():
                self._after_fork()
            try:
                self._put(collection, bodies, now)
                return True
            except QueueFullError as error:
                full = error
            if when_full == "block":
                self._put_later(collection, bodies, now, full)
                return True
        if when_full == "error":
            raise full
        self._report([DeadLetter(collection, body, now, "full", "", str(full)) for body in bodies])
        return False

    def _put(self, collection: str, bodies: list[bytes], now: float) -> None:
        if self._closed:
            raise SenderClosedError("the sender is closed")
        self._queue.put(collection, bodies, now)
        self._stats.recorded += len(bodies)
        if self._thread is None:
            self._start_thread()
        elif self._wake_after is not None:
            self._wake_after -= len(bodies)
            if self._wake_after <= 0:
                self._wake_after = None
                self._changed.notify_all()

    def _put_later(self, collection: str, bodies: list[bytes], now: float, full: QueueFullError) -> None:
        """Wait until the events have room. Raises QueueFullError after ``block_seconds``."""
        limit = self.options.block_seconds
        deadline = None if limit is None else time.monotonic() + limit
        while True:
            left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
            if left <= 0 or not self._queue.waiting():
                # Where nothing waits there will be no more room than now.
                raise full
            self._changed.wait(left)
            with contextlib.suppress(QueueFullError):
                return self._put(collection, bodies, now)

    # Waiting for what was recorded

    def flush(self, timeout: float | None = None) -> bool:
        """Send what waits, and whether all that was recorded before is settled, within ``timeout`` seconds.

        Settled means stored, or given up and reported.
        """
        if is_sender_thread.yes:
            # A callback: what it would wait for cannot happen before it returns.
            return False
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            if self._pid != os.getpid():
                self._after_fork()
            last = self._queue.last_number()
            self._unfinished_flushes += 1
            try:
                self._changed.notify_all()
                if self._thread is None and not self._closed and self._queue.first_number() is not None:
                    self._start_thread()
                while (first := self._queue.first_number()) is not None and first <= last:
                    left = (
                        _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
                    )
                    if left <= 0:
                        return False
                    self._changed.wait(left)
            finally:
                self._unfinished_flushes -= 1
        return True

    def close(self, timeout: float | None = 10.0) -> bool:
        """Flush, take no more events and end the thread; whether everything was settled.

        What is left stays in the queue's file for the next process; from memory it is given up and reported.
        """
        with self._lock:
            if self._closed:
                return True
        settled = False
        try:
            settled = self.flush(timeout)
        except QueueError as error:
            self._complain("queue", f"The queue of events cannot be read: {error}")
        self._end()
        return settled

    def _end(self) -> None:
        with self._lock:
            self._closed = self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)
        left: list[DeadLetter] = []
        with self._lock:
            if not self._queue.persistent:
                waiting = self._queue.head(sys.maxsize, sys.maxsize)
                left = [_letter(event, "closed", "", _CLOSED) for event in waiting]
                self._queue.settle([event.number for event in waiting], left)
            if self._thread is None:
                self._queue.close()
        self._report(left)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What became of events

    @property
    def stats(self) -> SenderStats:
        """What this sender has done so far, and how much waits."""
        with self._lock:
            waiting = 0 if self._closed else self._queue.waiting()
            return replace(self._stats, waiting=waiting)

    def dead_letters(self) -> list[DeadLetter]:
        """The events that were given up and are kept in the queue, the oldest first."""
        with self._lock:
            return self._queue.dead_letters()

    def forget_dead_letters(self, numbers: Collection[int] | None = None) -> list[DeadLetter]:
        """Remove these dead letters, or all, and return them."""
        with self._lock:
            return self._queue.forget_dead_letters(numbers)

    def send_again(self, numbers: Collection[int] | None = None) -> int:
        """Put these dead letters, or all, back in the queue; how many they were.

        One that had expired may then be stored a second time.
        """
        with self._lock:
            letters = [one for one in self.dead_letters() if numbers is None or one.number in numbers]
            for letter in letters:
                self._put(letter.collection, [letter.body], time.time())
                self._queue.forget_dead_letters([letter.number])
        return len(letters)

    # The thread

    def _start_thread(self) -> None:
        _close_at_end_of_a_child()
        thread = threading.Thread(target=self._run, name="acumen-sender", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is ending; what is in memory will be reported as the sender is closed.
            self._thread = None

    def _run(self) -> None:
        is_sender_thread.yes = True
        failed = 0
        while True:
            trouble: Exception | None = None
            try:
                events = self._next_events()
                if events is None:
                    break
                trouble = self._send(events)
            except Exception as error:
                trouble = error
                self._complain("queue", f"Sending events failed: {error}", error)
            if trouble is None:
                failed = 0
            else:
                failed += 1
                self._pause(failed, trouble)
        with self._lock:
            self._thread = None
            if self._closed:
                self._queue.close()

    def _next_events(self) -> list[QueuedEvent] | None:
        """Wait for the events of one request; None where the sender is to stop."""
        expired: list[DeadLetter] = []
        with self._lock:
            since: float | None = None
            while not self._stopping:
                if not self._queue.may_send():
                    self._changed.wait(_TAKE_OVER_SECONDS)
                elif self._queue.first_number() is None:
                    since = None
                    # Another process may put something in the same file.
                    self._sleep(1, _TAKE_OVER_SECONDS if self._queue.persistent else None)
                else:
                    since = time.monotonic() if since is None else since
                    left = since + self.options.linger_seconds - time.monotonic()
                    if left <= 0 or self._unfinished_flushes or self._fills_a_batch():
                        break
                    # Bytes may fill a batch too, and that is looked at now and then.
                    self._sleep(self.options.limits.events - self._queue.waiting(), min(left, _POLL_SECONDS))
            if self._stopping:
                return None
            limits = self.options.limits
            events = self._queue.head(limits.events, limits.bytes)
            oldest = time.time() - self.options.token_days * 86_400
            expired = [_letter(one, "expired", "", _EXPIRED) for one in events if one.recorded_at < oldest]
        if expired:
            self._report(expired)
            with self._lock:
                self._queue.settle([letter.number for letter in expired], expired)
                self._changed.notify_all()
        return [one for one in events if one.recorded_at >= oldest]

    def _sleep(self, events: int, seconds: float | None) -> None:
        """Sleep until so many events more are there, the time is over or something else has changed."""
        self._wake_after = events
        self._changed.wait(seconds)
        self._wake_after = None

    def _fills_a_batch(self) -> bool:
        limits = self.options.limits
        return self._queue.waiting() >= limits.events or self._queue.waiting_bytes() >= limits.bytes

    def _send(self, events: list[QueuedEvent]) -> AcumenError | None:
        """Send these events and settle those that have an answer; what went wrong, if something did."""
        if not events:
            return None
        batch = Batch()
        for event in events:
            batch.add(event.number, event.collection, event.body)
        exchange = Exchange(batch)
        error: AcumenError | None = None
        try:
            while (part := exchange.next()) is not None:
                request = self._transport.prepare(
                    "POST", self._path, key="write", content=part.body(), timeout=SEND_SECONDS
                )
                try:
                    exchange.answered(self._transport.send_once(request))
                except ApiError as refusal:
                    exchange.failed(refusal)
        except AcumenError as failure:
            error = failure
        later = self._settle(events, exchange)
        if error is None and later:
            error = AcumenError(f"{later} events were not taken, and may be later")
        self._tell(error)
        return error

    def _settle(self, events: list[QueuedEvent], exchange: Exchange) -> int:
        """Take out of the queue what has an answer, and say how many events are to be sent again."""
        unanswered = exchange.unanswered()
        verdicts = {verdict.place: verdict for verdict in exchange.verdicts}
        stored: list[int] = []
        dead: list[DeadLetter] = []
        later = 0
        for event in events:
            if event.number in unanswered:
                continue
            verdict = verdicts.get(event.number)
            if verdict is None:
                stored.append(event.number)
            elif verdict.permanent or self._tried(event.number) >= ATTEMPTS_FOR_A_VERDICT:
                dead.append(_letter(event, "refused", verdict.name, verdict.description))
            else:
                later += 1
        # Told before they leave the queue: a flush that has ended, or a kill, finds nothing untold.
        self._report(dead)
        with self._lock:
            if self._closed and not self._queue.persistent and self._queue.first_number() is None:
                # Reported as left behind when the sender was closed.
                return 0
            self._stats.stored += len(stored)
            self._stats.duplicates += exchange.duplicates
            try:
                self._queue.settle([*stored, *(letter.number for letter in dead)], dead)
            except QueueError as error:
                self._complain("queue", f"Events that were sent stay in the queue's file: {error}")
            for number in (*stored, *(letter.number for letter in dead)):
                self._attempts.pop(number, None)
            self._changed.notify_all()
        return later

    def _tried(self, number: int) -> int:
        """How often this event has been sent and not been taken, this time included."""
        self._attempts[number] = self._attempts.get(number, 0) + 1
        return self._attempts[number]

    def _tell(self, error: AcumenError | None) -> None:
        """Note how an attempt to send ended, and say so where it failed."""
        with self._lock:
            recovered = error is None and self._stats.last_error is not None
            self._stats.last_error = error
            self._stats.failures += error is not None
        if recovered:
            _log.info("Events are sent to %s again.", self._transport.target.url)
        if error is None:
            return
        self._complain("send", f"Events could not be sent to {self._transport.target.url} and wait: {error}")
        if self.options.on_error is not None:
            self._call(self.options.on_error, error)

    def _pause(self, failed: int, error: Exception) -> None:
        """Wait before the next attempt; shorter while a flush waits, unless the server asked for a pause."""
        known = error if isinstance(error, AcumenError) else AcumenError(str(error))
        began = time.monotonic()
        pause = self.options.backoff.pause(failed, known)
        demanded = isinstance(known, ApiError) and known.retry_after is not None
        with self._lock:
            while not self._stopping:
                hurried = self._unfinished_flushes > 0 and not demanded
                left = began + (min(pause, _HURRIED_SECONDS) if hurried else pause) - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    # Telling

    def _report(self, letters: list[DeadLetter]) -> None:
        """Tell the log and ``on_undelivered`` of events that are given up."""
        if not letters:
            return
        with self._lock:
            self._stats.undelivered += len(letters)
        first = letters[0]
        why = f"{first.name}: {first.description}" if first.name else first.description
        text = (
            f"{len(letters)} events were given up ({first.reason}); the first, of '{first.collection}': {why}"
        )
        self._complain(first.reason, text)
        if self.options.on_undelivered is not None:
            for letter in letters:
                self._call(self.options.on_undelivered, letter)

    def _call(self, callback: Callable[[T], object], value: T) -> None:
        try:
            callback(value)
        except Exception:
            _log.exception("A callback of the sender failed.")

    def _complain(self, kind: str, text: str, error: Exception | None = None) -> None:
        """Log a warning, unless one of the same kind has just been logged."""
        now = time.monotonic()
        with self._lock:
            last, left_out = self._logged.get(kind, (-LOG_SECONDS, 0))
            if now - last < LOG_SECONDS:
                self._logged[kind] = (last, left_out + 1)
                return
            self._logged[kind] = (now, 0)
        more = f" (and {left_out} more such lines before)" if left_out else ""
        _log.warning("%s%s", text, more, exc_info=error if error is not None and not more else None)

    # Forks and the end of the process

    def _after_fork(self) -> None:
        """In a forked child: what waits in memory is the parent's to send; the file is everybody's."""
        self._queue.after_fork()
        self._stats = SenderStats()
        self._attempts = {}
        self._logged = {}
        self._begin()


class AsyncSender:
    """A ``Sender`` for coroutines: it sends from its thread, and nothing here blocks the event loop.

    >>> async with client.sender() as sender:
    ...     await sender.record("purchases", {"price": 7})
    """

    def __init__(self, transport: Transport, options: SenderOptions | None = None) -> None:
        self.sender = Sender(transport, options)
        """The sender itself, for its ``stats``, ``offer`` and dead letters."""

    async def record(
        self,
        collection: str,
        event: Event,
        *,
        timestamp: dt.datetime | str | None = None,
        token: str | None = None,
    ) -> bool:
        """As ``Sender.record``; room in a full queue is waited for without holding up other coroutines."""
        body = prepare(event, timestamp=timestamp, token=token)
        return await self._take(checked_collection(collection), [body])

    async def record_many(
        self, collection: str, events: Iterable[Event], *, token: Callable[[Event], str] | None = None
    ) -> bool:
        """As ``Sender.record_many``."""
        bodies = [prepare(event, token=None if token is None else token(event)) for event in events]
        return not bodies or await self._take(checked_collection(collection), bodies)

    async def _take(self, collection: str, bodies: list[bytes]) -> bool:
        if self.sender.options.path is None:
            # In memory it takes microseconds, if there is room.
            if self.sender.options.when_full != "block":
                return self.sender._take(collection, bodies, self.sender.options.when_full)
            with contextlib.suppress(QueueFullError):
                return self.sender._take(collection, bodies, "error")
        when_full = self.sender.options.when_full
        return await asyncio.to_thread(self.sender._take, collection, bodies, when_full)

    async def flush(self, timeout: float | None = None) -> bool:
        """As ``Sender.flush``."""
        return await asyncio.to_thread(self.sender.flush, timeout)

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        """As ``Sender.close``."""
        return await asyncio.to_thread(self.sender.close, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _SenderThread(threading.local):
    """Whether this thread is a sender's, whose own log lines are not to be sent."""

    yes = False


is_sender_thread = _SenderThread()


def _letter(event: QueuedEvent, reason: str, name: str, description: str) -> DeadLetter:
    return DeadLetter(
        event.collection, event.body, event.recorded_at, reason, name, description, number=event.number
    )


_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_held: list[Sender] = []


def live_senders() -> list[Sender]:
    """The senders of this process that have not been closed."""
    return [sender for sender in list(_senders) if not sender._closed]


@atexit.register
def _close_all() -> None:
    """At the end of the process: send what still waits, for as long as each sender's options allow."""
    for sender in live_senders():
        sender.close(sender.options.exit_seconds)


def _close_at_end_of_a_child() -> None:
    """A child of multiprocessing ends without ``atexit``, but with finalizers of its own."""
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None and sys.modules["multiprocessing.process"].parent_process() is not None:
        multiprocessing.Finalize(None, _close_all, exitpriority=100)


def _before_fork() -> None:
    # So that the child does not begin in the middle of a change.
    for sender in list(_senders):
        sender._lock.acquire()
        _held.append(sender)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop()._lock.release()


def _after_fork_in_child() -> None:
    _held.clear()
    for sender in list(_senders):
        sender._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
