"""The live tail: events of a collection as they arrive, by server-sent events.

A connection that ends is opened again, and goes on after the last event that came.
"""

from __future__ import annotations

import asyncio
import random
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from types import TracebackType
from typing import Any, Self

import httpx

from acumen_client import _json
from acumen_client._transport import CONNECT_SECONDS, AsyncTransport, Transport
from acumen_client.errors import (
    AcumenError,
    ApiError,
    ConnectionFailedError,
    RateLimitedError,
    ServerError,
    UnreadableAnswerError,
)
from acumen_client.query import FilterLike, Zone, filters_as_json, zone_of
from acumen_client.results import event_of

SILENCE_SECONDS_MAX = 50.0
"""The server sends something every 15 seconds; after this long without anything the connection is dead."""
PAUSE_SECONDS_MAX = 30.0
_FIRST_PAUSE_SECONDS = 0.25
_BOM = b"\xef\xbb\xbf"
"""May stand before the first line of a stream, and is no part of it."""
_LINE_BYTES_MAX = 64 << 20


class EventsMissedWarning(UserWarning):
    """A tail was read too slowly, or was away too long, and events were left out of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream of server-sent events; ``id`` is the last that the stream has given."""

    event: str
    data: str
    id: str | None


class MessageReader:
    """Messages out of the pieces of a stream, as the HTML standard reads them."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        """The id after which the stream can be resumed; also one that came without data."""
        self.retry_seconds: float | None = None
        self._rest = b""
        self._begun = False
        self._event = ""
        self._data: list[str] = []
        self._id = last_id

    def messages(self, piece: bytes) -> list[Message]:
        """Raises ValueError for a line that never ends."""
        found = []
        for line in self._lines(piece):
            if line:
                self._field(line)
                continue
            self.last_id = self._id
            if self._data:
                found.append(Message(self._event or "message", "\n".join(self._data), self.last_id))
            self._event, self._data = "", []
        return found

    def _lines(self, piece: bytes) -> list[str]:
        """The lines that end in what came so far; CR, LF and CRLF end one."""
        text = self._rest + piece
        if not self._begun:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            self._begun = True
            text = text.removeprefix(_BOM)
        held = b"\r" if text.endswith(b"\r") else b""  # an LF may follow
        lines = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        if len(self._rest) > _LINE_BYTES_MAX:
            raise ValueError("a line of the stream does not end")
        return [line.decode("utf-8", "replace") for line in lines]

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = int(value) / 1000


class _Course:
    """What both kinds of tail have in common: what is asked, what has come, and when to try again."""

    def __init__(
        self,
        collection: str,
        filters: FilterLike | Iterable[FilterLike] | None,
        after: str | None,
        zone: tzinfo,
        give_up_seconds: float | None,
        on_gap: Callable[[int], None] | None,
    ) -> None:
        self.collection = collection
        self.cursor = after
        self.missed = 0
        self._params = {} if filters is None else {"filters": _json.dumps(filters_as_json(filters)).decode()}
        self._zone = zone
        self._give_up_seconds = give_up_seconds
        self._on_gap = on_gap
        self._reader = MessageReader(after)
        self._failures = 0
        self._failing_since: float | None = None

    def request(self) -> dict[str, Any]:
        """The options of the next connection's request."""
        self._reader = MessageReader(self.cursor)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.cursor:
            headers["Last-Event-ID"] = self.cursor
        limit = httpx.Timeout(SILENCE_SECONDS_MAX, connect=CONNECT_SECONDS)
        return {"key": "read", "headers": headers, "params": self._params or None, "timeout": limit}

    def opened(self, response: httpx.Response) -> None:
        kind = response.headers.get("content-type", "")
        if not kind.startswith("text/event-stream"):
            raise UnreadableAnswerError(
                f"the answer is no stream of events but {kind or 'of no type'}",
                status=response.status_code,
                request_id=response.headers.get("x-request-id"),
            )

    def events(self, piece: bytes) -> list[tuple[str | None, dict[str, Any]]]:
        """The events in a piece of the stream, each with the cursor that stands after it."""
        self._failures, self._failing_since = 0, None
        found = []
        for message in self._reader.messages(piece):
            if message.event == "gap":
                self._gap(message.data)
            elif message.event == "event":
                found.append((message.id, event_of(_json.loads(message.data.encode()), self._zone)))
        if not found:
            self.cursor = self._reader.last_id
        return found

    def pause_after(self, error: AcumenError | None) -> float:
        """How long to wait before the next connection; raises the error where it will not get better."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        passing = error is None or isinstance(error, ConnectionFailedError | RateLimitedError | ServerError)
        too_long = self._give_up_seconds is not None and now - self._failing_since >= self._give_up_seconds
        if error is not None and (not passing or too_long):
            raise error
        longest = min(PAUSE_SECONDS_MAX, _FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 20))
        self._failures += 1
        pause = longest * (0.5 + random.random() / 2)
        asked = error.retry_after if isinstance(error, ApiError) else self._reader.retry_seconds
        return max(pause, asked or 0.0)

    def _gap(self, data: str) -> None:
        try:
            said = _json.loads(data.encode())
            count = int((said.get("events") if isinstance(said, dict) else said) or 0)
        except (TypeError, ValueError):
            count = 0
        self.missed += count
        if self._on_gap is not None:
            self._on_gap(count)
            return
        how_many = f"{count:,}" if count else "some"
        warnings.warn(
            f"{how_many} events of '{self.collection}' are left out of the tail, which was read too slowly",
            EventsMissedWarning,
            stacklevel=6,
        )


class Tail:
    """Events as they arrive, for as long as one goes on reading."""

    def __init__(self, transport: Transport, course: _Course) -> None:
        self._transport = transport
        self._course = course
        self._events = self._read()

    @property
    def cursor(self) -> str | None:
        """Where the last event stood: ``tail(…, after=cursor)`` goes on behind it."""
        return self._course.cursor

    @property
    def missed(self) -> int:
        """How many events were left out, because they came faster than they were read."""
        return self._course.missed

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        return next(self._events)

    def close(self) -> None:
        """End the connection."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Generator[dict[str, Any]]:
        course = self._course
        path = self._transport.project_path("events", course.collection, "tail")
        while True:
            failed = None
            try:
                with self._transport.stream("GET", path, **course.request()) as response:
                    course.opened(response)
                    for piece in response.iter_bytes():
                        for cursor, event in course.events(piece):
                            course.cursor = cursor
                            yield event
            except AcumenError as error:
                failed = error
            time.sleep(course.pause_after(failed))


class AsyncTail:
    """The same as ``Tail``, for ``async for``."""

    def __init__(self, transport: AsyncTransport, course: _Course) -> None:
        self._transport = transport
        self._course = course
        self._events = self._read()

    @property
    def cursor(self) -> str | None:
        """Where the last event stood: ``tail(…, after=cursor)`` goes on behind it."""
        return self._course.cursor

    @property
    def missed(self) -> int:
        """How many events were left out, because they came faster than they were read."""
        return self._course.missed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await anext(self._events)

    async def aclose(self) -> None:
        """End the connection."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _read(self) -> AsyncGenerator[dict[str, Any]]:
        course = self._course
        path = self._transport.project_path("events", course.collection, "tail")
        while True:
            failed = None
            try:
                async with self._transport.stream("GET", path, **course.request()) as response:
                    course.opened(response)
                    async for piece in response.aiter_bytes():
                        for cursor, event in course.events(piece):
                            course.cursor = cursor
                            yield event
            except AcumenError as error:
                failed = error
            await asyncio.sleep(course.pause_after(failed))


class Tailing:
    """The part of ``Acumen`` that reads events as they arrive."""

    transport: Transport

    def tail(
        self,
        event_collection: str,
        *,
        filters: FilterLike | Iterable[FilterLike] | None = None,
        after: str | None = None,
        timezone: Zone | None = None,
        give_up_seconds: float | None = None,
        on_gap: Callable[[int], None] | None = None,
    ) -> Tail:
        """Events of a collection as they arrive; those after a cursor where one is given.

        A lost connection is opened again and goes on where it was; where that fails for ``give_up_seconds``
        the last error is raised. Where events are left out ``on_gap`` is called with how many, and without
        it an EventsMissedWarning is given.
        """
        zone = zone_of(timezone) if timezone is not None else UTC
        course = _Course(event_collection, filters, after, zone, give_up_seconds, on_gap)
        return Tail(self.transport, course)


class AsyncTailing:
    """The part of ``AsyncAcumen`` that reads events as they arrive."""

    transport: AsyncTransport

    def tail(
        self,
        event_collection: str,
        *,
        filters: FilterLike | Iterable[FilterLike] | None = None,
        after: str | None = None,
        timezone: Zone | None = None,
        give_up_seconds: float | None = None,
        on_gap: Callable[[int], None] | None = None,
    ) -> AsyncTail:
        """As ``Acumen.tail``, for ``async for``."""
        zone = zone_of(timezone) if timezone is not None else UTC
        course = _Course(event_collection, filters, after, zone, give_up_seconds, on_gap)
        return AsyncTail(self.transport, course)
