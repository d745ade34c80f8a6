"""Reads request bodies within limits: bytes, time between chunks, and bytes in memory of all requests.

The content is not inspected, only its ``Content-Encoding`` is decoded, also within a limit, so that a small
body cannot become a large one. Inflated bytes count like bytes as sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.bodies import body_thread
from service.bodies.inflating import EncodingBroken, EncodingUnknown, MembersTooMany, open_encoding, take

_DIGITS_MAX = 20
INFLATED_INLINE_BYTES_MAX = 65_536
"""A longer compressed body is inflated in a thread from the start."""

TICKS_MAX = 10
"""Ticks into which the longest wait is divided; the wait is accurate to one tick."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyError(Exception):
    """A body could not be read to its end, or not decoded.

    BodyError
    ├── BodyTooLarge           more bytes than allowed, as sent or inflated
    ├── BodyTimeout            the next chunk did not arrive in time
    ├── BodiesOverloaded       all requests together hold too many bytes: try again
    ├── BodyEncodingUnknown    an unsupported Content-Encoding
    ├── BodyEncodingBroken     bytes that are not valid in the declared encoding
    ├── TooManyValues          more values than a query or definition may hold
    └── ClientGone             the client disconnected, so no answer is needed
    """


class BodyTooLarge(BodyError):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is larger than the limit of {limit_bytes} bytes.")


class BodyTimeout(BodyError):
    def __init__(self, seconds: float) -> None:
        super().__init__(f"No part of the request body arrived for {seconds:g} seconds.")


class BodiesOverloaded(BodyError):
    def __init__(self) -> None:
        super().__init__(
            "The request bodies in progress have reached the server's memory limit. Try again shortly."
        )


class BodyEncodingUnknown(BodyError):
    def __init__(self, name: str) -> None:
        super().__init__(f"Content-Encoding {name[:60]!r} is not supported: use gzip, deflate, zstd or none.")


class BodyEncodingBroken(BodyError):
    pass


class TooManyValues(BodyError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body holds more than the limit of {limit} values.")


class ClientGone(BodyError):
    pass


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits over all requests; those of one request are arguments of ``BodyReader``'s methods."""

    chunk_seconds: float = 30.0
    """The longest wait for the next part of a body."""
    in_flight_bytes_max: int = 256 << 20
    """Body bytes of all unanswered requests of one worker together."""
    members_max: int = 10_000
    """Members (gzip) or frames (zstd) of one compressed body."""
    values_max: int = 250_000
    """Values in the body of a query or definition."""


class BodyReader:
    """Reads bodies for one event loop. Bytes count towards the limit from reading until ``release``."""

    def __init__(self, limits: BodyLimits) -> None:
        self.limits = limits
        self.held_bytes = 0
        self._tick_seconds = limits.chunk_seconds / TICKS_MAX
        self._tick = 0
        self._waiting: dict[asyncio.Task[Any], int] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, length: bytes | None, limit_bytes: int) -> bytes:
        """Read the whole body as sent. ``length`` is the Content-Length header. Raises BodyError.

        The caller must call ``release(len(body))`` once the request is answered.
        """
        if length is not None and not _is_at_most(length, limit_bytes):
            raise BodyTooLarge(limit_bytes)
        message = await self._next(receive)
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit_bytes:
                raise BodyTooLarge(limit_bytes)
            self.hold(len(body))
            return body
        return await self._read_parts(receive, body, limit_bytes)

    def release(self, size: int) -> None:
        self.held_bytes -= size

    async def _read_parts(self, receive: Receive, first: bytes, limit_bytes: int) -> bytes:
        parts, size, more = [first], len(first), True
        self.hold(size)
        try:
            while more:
                message = await self._next(receive)
                part = message.get("body", b"")
                self.hold(len(part))
                size += len(part)
                if size > limit_bytes:
                    raise BodyTooLarge(limit_bytes)
                parts.append(part)
                more = message.get("more_body", False)
        except BaseException:
            self.release(size)
            raise
        return b"".join(parts)

    def hold(self, size: int) -> None:
        """Count bytes towards the limit until ``release``. Raises BodiesOverloaded."""
        if self.held_bytes + size > self.limits.in_flight_bytes_max:
            raise BodiesOverloaded
        self.held_bytes += size

    async def inflate(self, body: bytes, encoding: bytes, limit_bytes: int) -> bytes:
        """Decode the body's ``Content-Encoding``; the result counts towards the limit. Raises BodyError.

        A large body is inflated in a thread, piece by piece; each piece is counted before the next is made.
        The caller must call ``release(len(inflated))`` at the end.
        """
        inline = len(body) <= INFLATED_INLINE_BYTES_MAX
        parts: list[bytes] = []
        size, ended = 0, False
        try:
            pieces = open_encoding(body, encoding, self.limits.members_max)
            while not ended:
                made, ended = take(pieces) if inline else await body_thread.call_beside(take, pieces)
                inline = False
                self.hold(len(made))
                size += len(made)
                if size > limit_bytes:
                    raise BodyTooLarge(limit_bytes)
                parts.append(made)
        except BaseException as error:
            self.release(size)
            raise _as_body_error(error) from None
        return b"".join(parts) if len(parts) > 1 else parts[0]

    @asynccontextmanager
    async def opened(
        self, receive: Receive, length: bytes | None, encoding: bytes | None, limit_bytes: int
    ) -> AsyncIterator[bytes]:
        """The whole body, inflated; its bytes count until the context ends. Raises BodyError."""
        body = await self.read(receive, length, limit_bytes)
        counted = len(body)
        try:
            if encoding is not None:
                body = await self.inflate(body, encoding, limit_bytes)
                counted += len(body)
            yield body
        finally:
            self.release(counted)

    async def pieces(
        self, receive: Receive, length: bytes | None, limit_bytes: int, piece_bytes: int
    ) -> AsyncGenerator[bytes]:
        """The body as sent, in pieces of this size, but for the last one; each counts until the next is asked
        for. Raises BodyError."""
        if length is not None and not _is_at_most(length, limit_bytes):
            raise BodyTooLarge(limit_bytes)
        size, more, piece = 0, True, bytearray()
        try:
            while more:
                message = await self._next(receive)
                part, more = message.get("body", b""), message.get("more_body", False)
                self.hold(len(part))
                piece += part
                size += len(part)
                if size > limit_bytes:
                    raise BodyTooLarge(limit_bytes)
                if len(piece) >= piece_bytes or (piece and not more):
                    yield bytes(piece)
                    self.release(len(piece))
                    piece = bytearray()
        finally:
            self.release(len(piece))

    async def _next(self, receive: Receive) -> MutableMapping[str, Any]:
        # A timer for each chunk would cost more than the rest of this class. Instead, tasks record the tick
        # at which they began to wait, and one sweep per tick cancels those that waited too long.
        task = asyncio.current_task()
        assert task is not None
        self._waiting[task] = self._tick
        if self._sweep is None:
            self._sweep = task.get_loop().call_later(self._tick_seconds, self._cancel_overdue)
        try:
            message = await receive()
        except asyncio.CancelledError:
            if task in self._overdue:
                self._overdue.discard(task)
                task.uncancel()
                raise BodyTimeout(self.limits.chunk_seconds) from None
            raise
        finally:
            self._waiting.pop(task, None)
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    def _cancel_overdue(self) -> None:
        self._sweep = None
        self._tick += 1
        for task, since in list(self._waiting.items()):
            if self._tick - since > TICKS_MAX:
                del self._waiting[task]
                self._overdue.add(task)
                task.cancel()
        for task in self._waiting:
            self._sweep = task.get_loop().call_later(self._tick_seconds, self._cancel_overdue)
            break


def _is_at_most(length: bytes, limit_bytes: int) -> bool:
    """Whether a Content-Length is a number within the limit. It may have any number of leading zeros."""
    digits = length.lstrip(b"0")
    return length.isdigit() and len(digits) <= _DIGITS_MAX and int(digits or b"0") <= limit_bytes


def _as_body_error(error: BaseException) -> BaseException:
    if isinstance(error, EncodingUnknown):
        return BodyEncodingUnknown(error.name)
    if isinstance(error, EncodingBroken | MembersTooMany):
        return BodyEncodingBroken(str(error))
    return error
