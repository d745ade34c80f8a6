"""The lean load generator: prebuilt requests over many connections, in a process of its own.

    python -m bench.load PORT CONNECTIONS FILE [each]

``FILE`` holds requests, each after its length in 4 bytes; each is sent once. Prints, as JSON, the seconds
from the first byte sent to the last answer read; with ``each`` those of every request. A connection sends its
next request when the last is answered, so the number of connections is the number of requests in flight.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.report import Wrong

_LENGTH = struct.Struct("<I")
_CONTENT_LENGTH = b"content-length: "


class Connection(asyncio.Protocol):
    """Sends what ``requests`` gives until nothing is left."""

    def __init__(
        self, requests: Iterator[bytes], finished: asyncio.Future[None], seconds: list[float] | None = None
    ) -> None:
        """``seconds``: where those that each request took are noted."""
        self._requests = requests
        self._finished = finished
        self._seconds = seconds
        self._sent: float | None = None
        self._received = b""
        self._expected = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, and do what a Transport does.
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def send_next(self) -> None:
        if self._seconds is not None:
            now = time.perf_counter()
            if self._sent is not None:
                self._seconds.append(now - self._sent)
            self._sent = now
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self._finished.done():
            self._finished.set_result(None)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            self._received = received
            return
        at = received.find(_CONTENT_LENGTH) + len(_CONTENT_LENGTH)
        length = int(received[at : received.index(b"\r", at)])
        if len(received) < end + 4 + length:
            self._received = received
            return
        self._received = b""
        if not received.startswith(b"HTTP/1.1 20") or b'"success":false' in received:
            self._fail(received[:1_000].decode("utf-8", "replace"))
        else:
            self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the server closed the connection")

    def _fail(self, why: str) -> None:
        if not self._finished.done():
            self._finished.set_exception(Wrong(f"A request failed: {why}"))


async def send_all(
    port: int, connections: int, requests: Iterable[bytes], seconds: list[float] | None = None
) -> float:
    """Seconds that it took; those of each request are added to ``seconds``. Raises Wrong where one was
    refused."""
    loop = asyncio.get_running_loop()
    source = iter(requests)
    made: list[Connection] = []
    finished: list[asyncio.Future[None]] = []
    for _ in range(connections):
        future: asyncio.Future[None] = loop.create_future()
        one = Connection(source, future, seconds)
        await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
        made.append(one)
        finished.append(future)
    started = time.perf_counter()
    for one in made:
        one.send_next()
    await asyncio.gather(*finished)
    return time.perf_counter() - started


def read_requests(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        at, end = 0, len(mapped)
        while at < end:
            (length,) = _LENGTH.unpack_from(mapped, at)
            at += _LENGTH.size + length
            yield mapped[at - length : at]


def write_requests(path: Path, requests: Iterable[bytes]) -> int:
    """How many there were."""
    count = 0
    with path.open("wb") as file:
        for request in requests:
            file.write(_LENGTH.pack(len(request)))
            file.write(request)
            count += 1
    return count


def send(port: int, connections: int, path: Path) -> float:
    """Send a file's requests from another process; the seconds that it took. Raises Wrong."""
    command = [sys.executable, "-P", "-m", "bench.load", str(port), str(connections), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Wrong(done.stderr)
    return float(json.loads(done.stdout))


def latencies(port: int, connections: int, path: Path) -> list[float]:
    """As ``send``; the seconds that each request took. Raises Wrong."""
    command = [sys.executable, "-P", "-m", "bench.load", str(port), str(connections), str(path), "each"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Wrong(done.stderr)
    found: list[float] = json.loads(done.stdout)
    return found


def main() -> None:
    import uvloop

    port, connections, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    requests = read_requests(path)
    seconds: list[float] | None = [] if sys.argv[4:] == ["each"] else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        took = runner.run(send_all(port, connections, requests, seconds))
        print(json.dumps(took if seconds is None else seconds))


if __name__ == "__main__":
    main()
