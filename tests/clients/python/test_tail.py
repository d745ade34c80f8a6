"""The live tail: read from a stream of server-sent events that breaks off, stalls and lies."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acumen_client import (
    Acumen,
    AsyncAcumen,
    EventsMissedWarning,
    ForbiddenError,
    P,
    RateLimitedError,
    UnreadableAnswerError,
)
from acumen_client import tail as tailing
from acumen_client.tail import Message, MessageReader
from tests.support.scale import examples

Script = Callable[["Connection"], None]


class Connection(BaseHTTPRequestHandler):
    """One connection of a tail; what it does is the next script of the server's list."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.seen.append(self)
        script = self.server.scripts.pop(0) if self.server.scripts else end
        script(self)
        self.close_connection = True

    @property
    def after(self) -> str | None:
        return self.headers.get("last-event-id")

    def begin(self, kind: str = "text/event-stream; charset=utf-8") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()

    def say(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def refuse(self, status: int, code: str, **headers: str) -> None:
        body = json.dumps({"message": "No.", "error_code": code}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    scripts: list[Script]
    seen: list[Connection]

    def handle_error(self, *_: object) -> None:
        pass


class TailServer:
    """Serves one script a connection, and remembers the connections."""

    def __init__(self, *scripts: Script) -> None:
        self._server = _Server(("127.0.0.1", 0), Connection)
        self._server.scripts = list(scripts)
        self._server.seen = []
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def seen(self) -> list[Connection]:
        return self._server.seen

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def options(self) -> dict[str, Any]:
        return {"url": self.url, "project_id": "p1", "read_key": "r"}


def event(number: int) -> str:
    said = {"n": number, "keen": {"timestamp": "2026-01-01T00:00:00.000Z", "id": str(number)}}
    return f"id: c{number}\nevent: event\ndata: {json.dumps(said)}\n\n"


def events(first: int, last: int) -> Script:
    """Events of these numbers, and then the connection ends."""

    def script(connection: Connection) -> None:
        connection.begin()
        for number in range(first, last + 1):
            connection.say(event(number))

    return script


def end(connection: Connection) -> None:
    connection.begin()


def refusing(status: int, code: str, **headers: str) -> Script:
    return lambda connection: connection.refuse(status, code, **headers)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "PAUSE_SECONDS_MAX", 0.02)


def taken(server: TailServer, count: int, **options: Any) -> list[int]:
    with Acumen(**server.options) as client, client.tail("visits", **options) as tail:
        return [one["n"] for _, one in zip(range(count), tail, strict=False)]


def test_events_come_as_in_an_extraction() -> None:
    with TailServer(events(1, 2)) as server, Acumen(**server.options) as client:
        tail = client.tail("visits", timezone="Europe/Berlin")
        first = next(tail)
        assert first["n"] == 1
        assert first["keen"]["timestamp"].isoformat() == "2026-01-01T01:00:00+01:00"
        assert tail.cursor == "c1"
        tail.close()
        (connection,) = server.seen
        assert connection.headers["authorization"] == "r"
        assert connection.headers["accept"] == "text/event-stream"
        assert urlsplit(connection.path).path == "/3.0/projects/p1/events/visits/tail"
        assert connection.after is None


def test_it_goes_on_where_the_connection_ended() -> None:
    with TailServer(events(1, 3), end, events(4, 4), events(5, 6)) as server:
        assert taken(server, 6) == [1, 2, 3, 4, 5, 6]
        assert [one.after for one in server.seen] == [None, "c3", "c3", "c4"]


def test_it_begins_after_a_cursor_and_with_filters() -> None:
    with TailServer(events(8, 8)) as server:
        assert taken(server, 1, after="c7", filters=P("n") > 5) == [8]
        (connection,) = server.seen
        assert connection.after == "c7"
        (filters,) = parse_qs(urlsplit(connection.path).query)["filters"]
        assert json.loads(filters) == [{"property_name": "n", "operator": "gt", "property_value": 5}]


def test_a_cursor_that_came_without_an_event_counts() -> None:
    def quiet(connection: Connection) -> None:
        connection.begin()
        connection.say("id: c0\n: nothing yet\n\n: still nothing\n\n")

    with TailServer(quiet, events(1, 1)) as server:
        assert taken(server, 1) == [1]
        assert [one.after for one in server.seen] == [None, "c0"]


def test_an_event_that_broke_off_comes_again_whole() -> None:
    def broken(connection: Connection) -> None:
        connection.begin()
        connection.say(event(1) + event(2)[:-20])

    with TailServer(broken, events(2, 3)) as server:
        assert taken(server, 3) == [1, 2, 3]
        assert [one.after for one in server.seen] == [None, "c1"]


def test_events_that_were_not_taken_yet_come_again() -> None:
    """The cursor is that of the event last taken, though more had come in the same piece."""

    def several(connection: Connection) -> None:
        connection.begin()
        connection.say(event(1) + event(2) + event(3))

    with TailServer(several) as server, Acumen(**server.options) as client:
        tail = client.tail("visits")
        assert next(tail)["n"] == 1
        assert tail.cursor == "c1"
        assert next(tail)["n"] == 2
        assert tail.cursor == "c2"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_faults_that_pass_are_waited_for(status: int) -> None:
    fault = refusing(status, "X", Retry_After="0")
    with TailServer(fault, fault, events(1, 1), fault, events(2, 2)) as server:
        assert taken(server, 2) == [1, 2]


def test_the_servers_retry_after_is_waited() -> None:
    with TailServer(refusing(429, "RateLimitExceededError", Retry_After="0.3"), events(1, 1)) as server:
        begun = time.monotonic()
        assert taken(server, 1) == [1]
        assert time.monotonic() - begun >= 0.3


def test_a_key_that_may_not_is_told_at_once() -> None:
    with TailServer(refusing(403, "ForbiddenError")) as server, pytest.raises(ForbiddenError):
        taken(server, 1)


def test_what_is_no_stream_is_told() -> None:
    def page(connection: Connection) -> None:
        connection.begin("text/html")
        connection.say("<html>")

    with TailServer(page) as server, pytest.raises(UnreadableAnswerError, match="text/html"):
        taken(server, 1)


def test_it_gives_up_where_told() -> None:
    fault = refusing(429, "RateLimitExceededError")
    with TailServer(*[fault] * 1000) as server, pytest.raises(RateLimitedError):
        taken(server, 1, give_up_seconds=0.2)


def gap(connection: Connection) -> None:
    connection.begin()
    connection.say(f'{event(1)}event: gap\ndata: {{"events": 7}}\n\nevent: gap\ndata: 3\n\n{event(11)}')


def test_events_left_out_are_told() -> None:
    with TailServer(gap) as server, Acumen(**server.options) as client:
        told: list[int] = []
        tail = client.tail("visits", on_gap=told.append)
        assert [next(tail)["n"], next(tail)["n"]] == [1, 11]
        assert told == [7, 3]
        assert tail.missed == 10


def test_events_left_out_are_warned_of() -> None:
    with TailServer(gap) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        taken(server, 2)
    assert [one.category for one in caught] == [EventsMissedWarning] * 2
    assert "7 events of 'visits' are left out" in str(caught[0].message)


def test_a_silent_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "SILENCE_SECONDS_MAX", 0.1)
    done = threading.Event()

    def stalled(connection: Connection) -> None:
        connection.begin()
        connection.say(event(1))
        done.wait(30)

    with TailServer(stalled, events(2, 2)) as server:
        assert taken(server, 2) == [1, 2]
        done.set()
        assert [one.after for one in server.seen] == [None, "c1"]


def test_awaited_it_is_the_same() -> None:
    async def take(server: TailServer) -> tuple[list[int], str | None]:
        found = []
        async with AsyncAcumen(**server.options) as client, client.tail("visits") as tail:
            async for one in tail:
                found.append(one["n"])
                if len(found) == 4:
                    break
            return found, tail.cursor

    with TailServer(events(1, 3), refusing(503, "X"), events(4, 5)) as server:
        assert asyncio.run(take(server)) == ([1, 2, 3, 4], "c4")
        assert [one.after for one in server.seen] == [None, "c3", "c3"]


# Reading a stream against a slow, obvious reference


def reference(text: str) -> list[Message]:
    """The messages of a whole stream, after the HTML standard's own words."""
    found, last = [], ""
    blocks = re.split(r"\n\n", re.sub(r"\r\n|\r", "\n", text.removeprefix("\ufeff")))
    event, data = "", []
    known: str | None = None
    for block in blocks[:-1]:
        for line in block.split("\n"):
            if line.startswith(":"):
                continue
            name, colon, value = line.partition(":")
            value = value.removeprefix(" ") if colon else ""
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id" and "\0" not in value:
                last, known = value, value
        if data:
            found.append(Message(event or "message", "\n".join(data), known))
        event, data = "", []
    assert last is not None
    return found


LINES = st.lists(
    st.sampled_from(
        [
            *("data: a", "data:b", "data", 'data: {"x": "é東"}', "data:  two"),
            *("event: gap", "event", "id: 7", "id: 8\0", "id"),
            *(": a comment", "retry: 10", "unknown: x", "", ""),
        ]
    ),
    max_size=20,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[int]]:
    text = "".join(line + draw(ENDS) for line in draw(LINES))
    # A lone CR before an LF would be one end of a line, not two.
    text = draw(st.sampled_from(["", "\ufeff"])) + text
    cuts = draw(st.lists(st.integers(0, len(text.encode())), max_size=6))
    return text, sorted(cuts)


def pieces(content: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *cuts, len(content)]
    return (content[one:other] for one, other in pairwise(edges))


@settings(max_examples=examples(1000), deadline=None)
@given(streams())
@example(("\ufeffdata: a\n\n", [1]))
@example(("\ufeffdata: a\n\n", [2, 3]))
def test_a_stream_is_read_alike_however_it_is_cut(stream: tuple[str, list[int]]) -> None:
    text, cuts = stream
    reader = MessageReader()
    found = [one for piece in pieces(text.encode(), cuts) for one in reader.messages(piece)]
    if text.endswith("\r"):  # whether an LF follows is not known yet
        found += reader.messages(b"\n")
    assert found == reference(text)


def test_a_line_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "_LINE_BYTES_MAX", 100)
    with pytest.raises(ValueError, match="does not end"):
        MessageReader().messages(b"data: " + b"x" * 200)
