"""The fast path: a single event that arrived whole, with a known key, answered without an ASGI cycle.

Most of the cost of such a request is the way through the layers: a scope, a task, messages. Here the
connection hands the request over when its last byte has arrived, and is called back once the event is
durable. The fast path never decides otherwise than the application would: it takes a request only if its path
and key were admitted a moment ago and its event passes its collection's strict check. All other requests,
including those that end in an error, go to the application.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from service.bodies.reader import BodiesOverloaded, BodyReader
from service.http.error_rendering import Rendered, render
from service.http.fixed_answer import FixedAnswer
from service.ingest.errors import IngestUnavailable
from service.ingest.ingestor import Ingestor
from service.limits.quotas import Tally
from service.telemetry.metrics import STATUSES, Metrics
from service.telemetry.refusals import Refusals

Headers = list[tuple[bytes, bytes]]

BODY_BYTES_MAX = 65_536
"""Longer bodies mostly arrive in parts, and cost more than the layers that the fast path saves."""

LENGTH_DIGITS_MAX = 20
"""Digits of ``Content-Length`` that are accepted: the header may have any number of leading zeros."""


class FastConnection(Protocol):
    """The connection of a request on the fast path."""

    def finish(self, request: FastRequest, error: Rendered | None) -> None:
        """Send the answer, and go on with the next request."""


class _NoWaiter:
    """A stand-in for the event that wakes an ASGI application; on the fast path none waits."""

    def set(self) -> None:
        pass


_NO_WAITER = _NoWaiter()


class FastRequest:
    """A request on the fast path, from its last byte to its answer.

    The connection keeps it in the place of an ASGI cycle, so it has the attributes of one.
    """

    __slots__ = (
        "_connection",
        "_fast_path",
        "_size",
        "_tally",
        "began_ns",
        "disconnected",
        "keep_alive",
        "response_complete",
        "response_started",
    )

    more_body = False
    message_event = _NO_WAITER

    def __init__(
        self, fast_path: FastPath, connection: FastConnection, began_ns: int, size: int, tally: Tally
    ) -> None:
        self._fast_path = fast_path
        self._connection = connection
        self._size = size
        self._tally = tally
        self.began_ns = began_ns
        self.disconnected = False
        self.keep_alive = True
        self.response_started = False
        self.response_complete = False

    def settle(self, error: Exception | None) -> None:
        """Answer the request: its event is durable, or could not be stored because of ``error``."""
        self.response_started = self.response_complete = True
        answer = self._fast_path.settle(self.began_ns, self._size, self._tally, error)
        self._connection.finish(self, answer)


class FastPath:
    """The fast path of one worker.

    ``allowed``: project and key → until when (µs, monotonic) they need no new catalog lookup. ``tallies``:
    project and key → the tally that counts their events. ``target``: returns the project and collection that
    a path without a query string names.
    """

    def __init__(
        self,
        ingestor: Ingestor,
        bodies: BodyReader,
        metrics: Metrics,
        refusals: Refusals,
        *,
        answer: FixedAnswer,
        allowed: Mapping[tuple[str, bytes], int],
        tallies: Mapping[tuple[str, bytes], Tally],
        target: Callable[[bytes], tuple[str, str] | None],
        request_id: Callable[[], bytes],
    ) -> None:
        self._ingestor = ingestor
        self._bodies = bodies
        self._allowed = allowed
        self._tallies = tallies
        self._target = target
        self._request_id = request_id
        self._answer = answer
        self._seconds = metrics.histogram("acumen_request_seconds", "record")
        self._answers = [metrics.counter("acumen_requests_total", "record", status) for status in STATUSES]
        self._refusals = refusals
        self._accepted = metrics.counter("acumen_events_total", "accepted")

    def admits(self, url: bytes, headers: Headers) -> tuple[str, str, Tally] | None:
        """The project, collection and tally of a POST, if its headers allow the fast path; otherwise None."""
        named = self._target(url)
        if named is None:
            return None
        size = b""
        key: bytes | None = None
        for name, value in headers:
            if name == b"content-length":
                size = value
            elif name == b"authorization":
                if key is not None:
                    return None
                key = value
            elif name in _ORDINARY:
                return None
        if not size.isdigit() or len(size) > LENGTH_DIGITS_MAX or int(size) > BODY_BYTES_MAX:
            return None
        pair = (named[0], key or b"")
        if self._allowed.get(pair, 0) < time.monotonic_ns() // 1000:
            return None
        tally = self._tallies.get(pair)
        if tally is None or tally.refused:
            return None
        return named[0], named[1], tally

    def take(
        self, connection: FastConnection, named: tuple[str, str, Tally], body: bytes
    ) -> FastRequest | None:
        """The request, once its event is queued for the log; None where it must go to the application."""
        received_us, began_ns = time.time_ns() // 1000, time.monotonic_ns()
        size = len(body)
        try:
            self._bodies.hold(size)
        except BodiesOverloaded:
            return None
        request = FastRequest(self, connection, began_ns, size, named[2])
        try:
            taken = self._ingestor.log_fast(named[0], named[1], body, received_us, request)
        except IngestUnavailable:
            taken = False
        if not taken:
            self._bodies.release(size)
            return None
        return request

    def settle(self, began_ns: int, size: int, tally: Tally, error: Exception | None) -> Rendered | None:
        """Count the answer. Returns the error to send, None on success."""
        self._bodies.release(size)
        self._seconds.observe((time.monotonic_ns() - began_ns) / 1e9)
        self._answers[1 if error is None else 4].add()
        if error is None:
            self._accepted.add()
            tally.events += 1
            tally.bytes += size
            return None
        answer = render(IngestUnavailable("The events could not be stored. Send them again."))
        self._refusals.count(answer.status, answer.body)
        return answer

    def text(self, default_headers: Headers, *, keep_alive: bool) -> bytes:
        """The whole answer to an event that was stored."""
        return self._answer.text(default_headers, self._request_id(), keep_alive=keep_alive)


_ORDINARY = frozenset({b"content-encoding", b"transfer-encoding", b"idempotency-key", b"expect", b"upgrade"})
"""Headers of requests that need more than storing one event."""
