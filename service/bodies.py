"""Request bodies, read within bounds: bytes, time between chunks, and bytes held by all requests at once.

Nothing here looks at the content beyond undoing its ``Content-Encoding``, and that with a bound too, so
that a small body cannot become a large one.
"""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

import zstandard
from isal import isal_zlib

_DIGITS_MAX = 20
_ZSTD_WINDOW_BYTES_MAX = 1 << 27

_INFLATE_ERRORS: tuple[type[Exception], ...] = (
    cast("type[Exception]", isal_zlib.error),
    zlib.error,
    EOFError,
)

TICKS_MAX = 10
"""Parts into which the longest wait is divided: it is kept to a tenth."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyError(Exception):
    """A body that is not read to its end, or not decoded.

    BodyError
    ├── BodyTooLarge           more bytes than allowed, as sent or inflated
    ├── BodyTimeout            the next chunk did not come in time
    ├── BodiesOverloaded       all requests together hold too many bytes: try again
    ├── BodyEncodingUnknown    a Content-Encoding that is not offered
    ├── BodyEncodingBroken     bytes that are not in the encoding they claim
    └── ClientGone             the client disconnected; nobody waits for an answer
    """


class BodyTooLarge(BodyError):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is larger than the limit of {limit_bytes} bytes.")


class BodyTimeout(BodyError):
    def __init__(self, seconds: float) -> None:
        super().__init__(f"No part of the request body came for {seconds:g} seconds.")


class BodiesOverloaded(BodyError):
    def __init__(self) -> None:
        super().__init__("The server holds as many bytes of requests as it may. Try again shortly.")


class BodyEncodingUnknown(BodyError):
    def __init__(self, name: str) -> None:
        super().__init__(f"Content-Encoding {name[:60]!r} is not supported: use gzip, deflate, zstd or none.")


class BodyEncodingBroken(BodyError):
    def __init__(self, name: str) -> None:
        super().__init__(f"The request body is not valid {name}.")


class ClientGone(BodyError):
    pass


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds over all requests; those of one request are given where it is read."""

    chunk_seconds: float = 30.0
    """The longest wait for the next part of a body."""
    in_flight_bytes_max: int = 256 << 20
    """Body bytes that all unanswered requests of one worker may hold together."""


class BodyReader:
    """Reads bodies for one event loop. What was read counts as held until ``release``."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self.held_bytes = 0
        self._tick_seconds = limits.chunk_seconds / TICKS_MAX
        self._tick = 0
        self._waiting: dict[asyncio.Task[Any], int] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, length: bytes | None, limit_bytes: int) -> bytes:
        """The whole body as sent. ``length`` is the Content-Length header; raises BodyError.

        The caller calls ``release(len(body))`` once the request is answered.
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
        """Count bytes that are held until ``release``. Raises BodiesOverloaded."""
        if self.held_bytes + size > self._limits.in_flight_bytes_max:
            raise BodiesOverloaded
        self.held_bytes += size

    async def _next(self, receive: Receive) -> MutableMapping[str, Any]:
        # A timer for each chunk would cost more than all else here: tasks note at which tick they began to
        # wait, and one sweep a tick cancels those that waited too long.
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
                raise BodyTimeout(self._limits.chunk_seconds) from None
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
    """Whether a header's length is one within the limit. It may begin with any number of zeros."""
    digits = length.lstrip(b"0")
    return length.isdigit() and len(digits) <= _DIGITS_MAX and int(digits or b"0") <= limit_bytes


def decode(body: bytes, encoding: bytes, limit_bytes: int) -> bytes:
    """The body without its ``Content-Encoding``. Raises BodyError; never makes more than the limit."""
    name = encoding.strip().lower().decode("latin-1")
    if name in ("", "identity"):
        return body
    if name in ("gzip", "x-gzip"):
        return _inflate(body, 31, name, limit_bytes)
    if name == "deflate":
        # "deflate" means zlib, but some clients send the bare stream.
        bare = len(body) < 2 or (body[0] & 15) != 8 or (body[0] * 256 + body[1]) % 31 != 0
        return _inflate(body, -15 if bare else 15, name, limit_bytes)
    if name == "zstd":
        return _unpack_zstd(body, limit_bytes)
    raise BodyEncodingUnknown(name)


def _inflate(body: bytes, wbits: int, name: str, limit_bytes: int) -> bytes:
    out: list[bytes] = []
    room = limit_bytes
    try:
        while True:
            stream = isal_zlib.decompressobj(wbits)
            part = stream.decompress(body, room + 1)
            if len(part) > room:
                raise BodyTooLarge(limit_bytes)
            out.append(part)
            room -= len(part)
            if not stream.eof:
                raise BodyEncodingBroken(name)
            body = stream.unused_data
            if not body:
                return b"".join(out)
    except _INFLATE_ERRORS:
        raise BodyEncodingBroken(name) from None


def _unpack_zstd(body: bytes, limit_bytes: int) -> bytes:
    try:
        unpack = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
        size = zstandard.frame_content_size(body)
        if size < 0:
            # The frame does not say its size; a reader stops at the limit, but takes a frame cut short
            # for a whole one, which the second pass does not.
            size = len(unpack.stream_reader(io.BytesIO(body)).read(limit_bytes + 1))
        if size > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        return unpack.decompress(body, max_output_size=max(size, 1), allow_extra_data=False)
    except zstandard.ZstdError:
        raise BodyEncodingBroken("zstd") from None
