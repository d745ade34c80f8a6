"""Connections of a worker: how many there may be, and what becomes of clients that do not read."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from service.http.connections import ConnectionLimits, Connections, connections_within
from service.http.middleware import Message, Receive, Scope, Send
from service.http.protocol import PIPELINED_MAX, bounded_protocol
from service.telemetry.metrics import Metrics
from tests.service.intake import run

KIB = 1 << 10
MIB = 1 << 20


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """``/N`` answers N bytes, ``/N/M`` N parts of M bytes, ``/wait`` nothing until the client goes."""
    parts = scope["path"].strip("/").split("/")
    if parts == ["wait"]:
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    count, size = (int(parts[0]), int(parts[1])) if len(parts) == 2 else (1, int(parts[0]))
    length = str(count * size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    for number in range(count):
        part: Message = {"type": "http.response.body", "body": bytes(size), "more_body": number < count - 1}
        await send(part)


@dataclass
class Wires:
    """A served application, and the connections to it."""

    port: int
    table: Connections
    metrics: Metrics
    open: list[socket.socket] = field(default_factory=list)

    async def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection whose client takes little of what is sent to it until it reads."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
        client.setblocking(False)
        self.open.append(client)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", self.port))
        await loop.sock_sendall(client, sent)
        return client

    async def read(self, client: socket.socket, size: int = -1) -> bytes:
        """So many bytes, or all until the server closes."""
        loop, received = asyncio.get_running_loop(), bytearray()
        async with asyncio.timeout(30):
            while size < 0 or len(received) < size:
                try:
                    part = await loop.sock_recv(client, size - len(received) if size >= 0 else 64 * KIB)
                except ConnectionError:
                    break
                if not part:
                    break
                received += part
        assert size < 0 or received, "the server closed the connection"
        return bytes(received)

    def closed(self, reason: str) -> int:
        line = next(
            line
            for line in self.metrics.text().splitlines()
            if line.startswith(f'acumen_connections_closed_total{{reason="{reason}"}}')
        )
        return int(float(line.split()[-1]))


@asynccontextmanager
async def wires(**limits: Any) -> AsyncIterator[Wires]:
    metrics = Metrics()
    table = Connections(ConnectionLimits(**limits), metrics)
    listener = socket.create_server(("127.0.0.1", 0))
    # Else the kernel would take megabytes of an answer that nobody reads.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * KIB)
    http = bounded_protocol(8 * KIB, 5.0, None, table)
    config = uvicorn.Config(
        app, http=http, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.ensure_future(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    made = Wires(listener.getsockname()[1], table, metrics)
    try:
        yield made
    finally:
        for client in made.open:
            client.close()
        server.should_exit = True
        await serving


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(get(f"/{MIB}"), id="one long answer"),
        pytest.param(get(f"/{32}/{32 * KIB}"), id="a streamed answer"),
        pytest.param(get(f"/{40 * KIB}") * 12, id="short answers to pipelined requests"),
        pytest.param(get(f"/{60 * KIB}"), id="an answer that waits in the connection alone"),
        pytest.param(
            f"GET /{MIB} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode(), id="the last answer"
        ),
    ],
)
def test_a_client_that_does_not_read_is_closed_in_time(sent: bytes) -> None:
    async def go() -> None:
        async with wires(write_seconds=0.3) as w:
            await w.connect(sent)
            await until(lambda: len(w.table) == 1)
            await until(lambda: len(w.table) == 0)
            assert w.closed("slow_reader") == 1
            await until(lambda: w.table.held_bytes == 0)

    run(go())


def test_a_client_that_reads_slowly_but_steadily_gets_all_of_its_answer() -> None:
    async def go() -> None:
        async with wires(write_seconds=0.5) as w:
            client = await w.connect(get(f"/{MIB}"))
            received = 0
            while received < MIB:
                received += len(await w.read(client, 64 * KIB))
                await asyncio.sleep(0.05)
            assert w.closed("slow_reader") == 0

    run(go())


def test_a_client_that_takes_single_bytes_makes_no_progress() -> None:
    async def go() -> None:
        async with wires(write_seconds=0.5) as w:
            client = await w.connect(get(f"/{MIB}"))
            while not w.closed("slow_reader"):
                await w.read(client, 1)
                await asyncio.sleep(0.01)
            await until(lambda: w.table.held_bytes == 0)

    run(go())


def test_unsent_answers_hold_no_more_than_their_bound() -> None:
    async def go() -> None:
        async with wires(write_seconds=60.0, unsent_bytes_max=4 * MIB, judged_seconds=60.0) as w:
            gc.collect()
            tracemalloc.start()
            try:
                for _ in range(20):
                    await w.connect(get(f"/{MIB}"))
                await until(lambda: len(w.table) == 20)
                await until(lambda: w.table.held_bytes == 4 * MIB)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 8 * MIB

    run(go())


def test_beyond_the_bound_the_slowest_reader_is_closed_for_the_next() -> None:
    async def go() -> None:
        async with wires(write_seconds=60.0, unsent_bytes_max=2 * MIB) as w:
            deaf = await w.connect(get(f"/{MIB}"))
            reading = await w.connect(get(f"/{MIB}"))
            await w.read(reading, 300 * KIB)
            await until(lambda: w.table.held_bytes == 2 * MIB)
            newcomer = await w.connect(get("/1"))
            assert (await w.read(newcomer, 12)).startswith(b"HTTP/1.1 200"), "short answers have room still"
            status = b""
            while not status.startswith(b"HTTP/1.1 200"):
                newcomer = await w.connect(get(f"/{MIB}"))
                status = await w.read(newcomer, 600)
                if status.startswith(b"HTTP/1.1 503"):
                    head, _, body = status.partition(b"\r\n\r\n")
                    assert b"retry-after: 1" in head
                    assert json.loads(body)["error_code"] == "ServiceUnavailableError"
                await asyncio.sleep(0.05)
            await until(lambda: w.closed("slow_reader") == 1)
            assert len(await w.read(deaf)) < MIB
            assert len(await w.read(reading, 900 * KIB - 300 * KIB)) >= 600 * KIB

    run(go())


def test_an_answer_larger_than_the_bound_is_sent_alone() -> None:
    async def go() -> None:
        async with wires(unsent_bytes_max=MIB) as w:
            client = await w.connect(get(f"/{2 * MIB}"))
            assert len(await w.read(client, 2 * MIB)) >= 2 * MIB

    run(go())


def test_requests_that_wait_on_one_connection_are_few_and_all_answered() -> None:
    async def go() -> None:
        async with wires() as w:
            count = 40 * PIPELINED_MAX
            await w.connect(get("/wait") + get("/7") * count)
            await asyncio.sleep(0.1)
            gc.collect()
            cycles = [one for one in gc.get_objects() if type(one).__name__ == "RequestResponseCycle"]
            assert len(cycles) < count
            again = await w.connect(get("/7") * count)
            answer = await w.read(again, 12)
            while answer.count(b"HTTP/1.1 200") < count:
                answer += await w.read(again, 1)

    run(go())


def test_beyond_its_limit_a_connection_gets_a_503_that_says_so() -> None:
    async def go() -> None:
        async with wires(connections_max=3) as w:
            for _ in range(3):
                await w.connect(get("/wait"))
            await until(lambda: len(w.table) == 3)
            answer = await w.read(await w.connect(get("/7")))
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in head.lower()
            assert json.loads(body)["error_code"] == "ServiceUnavailableError"
            assert "connections" in json.loads(body)["message"]
            assert w.closed("limit") == 1
            w.open.pop(0).close()
            await until(lambda: len(w.table) == 2)
            assert (await w.read(await w.connect(get("/7")), 12)).startswith(b"HTTP/1.1 200")

    run(go())


@pytest.mark.parametrize(
    "sent", [pytest.param(b"", id="nothing"), pytest.param(get("/1"), id="answered"), b"GET / HTTP/1.1\r\nA"]
)
def test_in_a_full_table_connections_without_a_request_make_room(sent: bytes) -> None:
    async def go() -> None:
        async with wires(connections_max=3) as w:
            for path in (b"", get("/wait"), get("/wait")):
                await w.connect(path or sent)
            await until(lambda: len(w.table) == 3)
            status = b""
            while not status.startswith(b"HTTP/1.1 200"):
                status = await w.read(await w.connect(get("/7")), 12)
                await asyncio.sleep(0.05)
            assert w.closed("idle") == 1
            assert len(w.table) == 3

    run(go())


def test_connections_of_one_client_have_a_limit_but_not_those_of_a_proxy() -> None:
    async def go(shared: bool) -> None:
        async with wires(per_client_max=2, is_shared=lambda address: shared) as w:
            for _ in range(2):
                await w.connect(get("/wait"))
            await until(lambda: len(w.table) == 2)
            answer = await w.read(await w.connect(get("/7")), 12)
            assert answer.startswith(b"HTTP/1.1 200" if shared else b"HTTP/1.1 503")

    run(go(False))
    run(go(True))


@pytest.mark.parametrize(
    ("descriptors", "wanted", "given"),
    [(1 << 20, 10_000, 10_000), (4_096, 10_000, 3_072), (1_024, 10_000, 768), (256, 10_000, 128), (64, 9, 1)],
)
def test_descriptors_are_left_for_files(descriptors: int, wanted: int, given: int) -> None:
    assert connections_within(descriptors, wanted) == given
