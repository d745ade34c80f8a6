"""Reading a live tail, in a thread of its own, as server-sent events come."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

from tests.support.server import Served, ServedProject

WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """``at``: when it came, by the monotonic clock. ``data`` is JSON, None for a comment."""

    kind: str
    id: str | None
    data: Any
    at: float


class TailReader:
    """A connection to a tail. Its status and headers are known once it is made."""

    def __init__(
        self,
        served: Served,
        project: ServedProject,
        collection: str,
        *,
        key: str | None = None,
        filters: Any = None,
        after: str | None = None,
        reading: bool = True,
    ) -> None:
        query = {} if filters is None else {"filters": json.dumps(filters)}
        path = f"/3.0/projects/{project.id}/events/{quote(collection, safe='')}/tail?{urlencode(query)}"
        headers = {"Authorization": key or project.read_key}
        if after is not None:
            headers["Last-Event-ID"] = after
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WAIT_SECONDS)
        self._connection.request("GET", path, headers=headers)
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        self.messages: list[Message] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.status != 200:
            self.refusal = json.loads(self._response.read())
        elif reading:
            self.begin()

    def begin(self) -> None:
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        # Nothing else ends a read that another thread waits in, and closing the response would wait for it.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()
        self._response.close()
        self._connection.close()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for raw in iter(self._response.readline, b""):
                line = raw.decode().removesuffix("\n")
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                    continue
                data = json.loads(fields["data"]) if "data" in fields else None
                self.messages.append(
                    Message(fields.get("event", ""), fields.get("id"), data, time.monotonic())
                )
                fields = {}
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        self.ended.set()

    @property
    def events(self) -> list[Any]:
        return [message.data for message in list(self.messages) if message.kind == "event"]

    @property
    def gaps(self) -> list[int | None]:
        return [message.data["events"] for message in list(self.messages) if message.kind == "gap"]

    @property
    def cursor(self) -> str | None:
        """The id of the last message that had one."""
        return next((one.id for one in reversed(list(self.messages)) if one.id is not None), None)

    def until(self, state: Callable[[TailReader], bool], seconds: float = WAIT_SECONDS) -> None:
        """Wait for a state, and fail where it does not come."""
        deadline = time.monotonic() + seconds
        while not state(self):
            assert time.monotonic() < deadline, (len(self.events), self.messages[-3:], self.ended.is_set())
            time.sleep(0.01)

    def until_begun(self) -> str:
        """Wait for the first cursor, and return it."""
        self.until(lambda tail: tail.cursor is not None)
        assert self.cursor is not None
        return self.cursor

    def until_events(self, count: int) -> list[Any]:
        self.until(lambda tail: len(tail.events) >= count)
        return self.events
