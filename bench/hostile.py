"""An hour (or so many minutes) of all that strangers with the public keys can do, at production limits.

    python -m bench.hostile --minutes 60

Beside them honest clients post and ask, in a process of their own. At the end it prints the memory of each
process, the longest pause of the event loop as the worker measures it, the longest wait for ``/health`` (the
pause, and what the machine's processors and the connection add), the honest clients' times, and whether every
honest event that was acknowledged is there.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import multiprocessing
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from bench import accounting, pauses
from bench.memory import MIB
from bench.report import Report
from bench.serving import Acumen, bulk_body, post

HONEST = "honest"
WIDE = "wide"
WIDE_VALUES = 1_000_000
PAUSE_SECONDS = 0.25
AT_ONCE = 6
"""Hostile requests that run at the same time, beside the connections that only wait."""
SLOW_READERS = 20
IDLE = 300


@dataclass
class Times:
    """What one honest client saw."""

    name: str
    seconds: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    def row(self) -> str:
        found = sorted(self.seconds)
        if not found:
            return f"{self.name:<16} no answer; {self.errors}"
        at = [found[min(len(found) - 1, int(len(found) * share))] * 1_000 for share in (0.5, 0.99, 1)]
        errors = f"; errors {self.errors}" if self.errors else ""
        return (
            f"{self.name:<16} {len(found):>7,} answers; ms: median {at[0]:.1f}, "
            f"p99 {at[1]:.1f}, most {at[2]:.0f}{errors}"
        )


# Honest clients, in their own process


class Honest:
    """Posts, bulk posts and questions at a steady pace on connections that stay open."""

    def __init__(self, port: int, project: str, write_key: str, read_key: str) -> None:
        self._port, self._project = port, project
        self._write_key, self._read_key = write_key, read_key
        self.acknowledged = 0
        self.times = [Times("one event"), Times("100 events"), Times("count"), Times("/health")]

    async def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        path = f"/3.0/projects/{self._project}"
        event = b'{"n":1,"user":{"id":"u1"},"price":12.5}'
        count = json.dumps({"event_collection": HONEST}).encode()
        await asyncio.gather(
            self._repeat(0, 0.05, until, post(f"{path}/events/{HONEST}", event, self._write_key), 1),
            self._repeat(
                1, 0.5, until, post(f"{path}/events", bulk_body([event] * 100, HONEST), self._write_key), 100
            ),
            self._repeat(2, 0.2, until, post(f"{path}/queries/count", count, self._read_key), 0),
            self._repeat(3, 0.01, until, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 0),
        )

    async def _repeat(self, which: int, pause: float, until: float, request: bytes, events: int) -> None:
        times = self.times[which]
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                if connection is None:
                    connection = await asyncio.open_connection("127.0.0.1", self._port)
                status = await asyncio.wait_for(_exchange(connection, request), 60)
                times.seconds.append(time.monotonic() - began)
                if status in (200, 201):
                    self.acknowledged += events
                else:
                    times.errors[str(status)] = times.errors.get(str(status), 0) + 1
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                name = type(error).__name__
                times.errors[name] = times.errors.get(name, 0) + 1
                connection = None
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))


async def _exchange(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> int:
    reader, writer = connection
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def honest_process(port: int, project: str, keys: tuple[str, str], seconds: float, to: Any) -> None:
    honest = Honest(port, project, *keys)
    asyncio.run(honest.run(seconds))
    to.send((honest.acknowledged, honest.times))


# Hostile clients

Attack = Callable[[], Awaitable[None]]


class Hostile:
    """Everything at once, again and again, with the keys that stand in web pages."""

    def __init__(self, server: Acumen) -> None:
        self._port = server.port
        self._project = f"/3.0/projects/{server.project_id}"
        self._write, self._read = server.write_key, server.read_key
        self._random = random.Random(7)
        self.answers: dict[str, int] = {}
        self._bodies = self._make_bodies()

    def _make_bodies(self) -> list[tuple[str, bytes, str]]:
        """Path, compressed body and encoding of each worst body; made once, since that takes a while."""
        write, read = f"{self._project}/events", f"{self._project}/queries/count"
        made = [
            (write, zstandard.compress(make()), "zstd")
            for make in (*pauses.WRITES.values(), *pauses.SENDGRID.values())
        ]
        made += [(read, zstandard.compress(make()), "zstd") for make in pauses.QUESTIONS.values()]
        members = gzip.compress(b"") * 450_000
        made += [(write, members, "gzip"), (read, members, "gzip")]
        return made

    async def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        waiting = [self._slow_readers, self._idle, self._slow_body]
        at_once = [
            self._body,
            self._question,
            self._names,
            self._collections,
            self._repeated,
            self._malformed,
        ]

        async def again(attack: Attack, pause: float) -> None:
            while time.monotonic() < until:
                try:
                    await asyncio.wait_for(attack(), 120)
                except (OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.LimitOverrunError):
                    self._note("closed")
                await asyncio.sleep(pause)

        await asyncio.gather(
            *(again(attack, 1.0) for attack in waiting),
            *(again(at_once[number % len(at_once)], 0.05) for number in range(AT_ONCE)),
        )

    def _note(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1

    async def _send(self, request: bytes) -> None:
        connection = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            self._note(str(await _exchange(connection, request)))
        finally:
            connection[1].close()

    def _request(self, path: str, body: bytes, key: str, *headers: str) -> bytes:
        head, _, rest = post(path, body, key).partition(b"\r\n\r\n")
        return b"\r\n".join([head, *(header.encode() for header in headers)]) + b"\r\n\r\n" + rest

    async def _body(self) -> None:
        path, body, encoding = self._random.choice(self._bodies)
        key = self._write if path.endswith("/events") else self._read
        await self._send(self._request(path, body, key, f"Content-Encoding: {encoding}"))

    async def _question(self) -> None:
        value = {"event_collection": WIDE, "group_by": "value", "order_by": {"property_name": "result"}}
        unique = {"analysis_type": "select_unique", "target_property": "value"}
        analysis, params = self._random.choice(
            [
                ("count", value),
                ("select_unique", {"event_collection": WIDE, "target_property": "value"}),
                ("extraction", {"event_collection": WIDE, "latest": 100_000}),
                ("multi_analysis", {"event_collection": WIDE, "analyses": {"a": unique, "b": unique}}),
                ("median", {"event_collection": WIDE, "target_property": "n", "group_by": "value"}),
                (
                    "count",
                    {
                        "event_collection": WIDE,
                        "filters": [
                            {"property_name": "value", "operator": "regex", "property_value": f".*{n}.*"}
                            for n in range(100)
                        ],
                    },
                ),
            ]
        )
        body = json.dumps(params).encode()
        await self._send(self._request(f"{self._project}/queries/{analysis}", body, self._read))

    async def _names(self) -> None:
        event = {f"p{self._random.randrange(10**9)}": 1 for _ in range(999)}
        await self._send(
            self._request(f"{self._project}/events/junk", json.dumps(event).encode(), self._write)
        )

    async def _collections(self) -> None:
        start = self._random.randrange(10**9)
        body = json.dumps({f"c{start + n}": [{}] for n in range(5_000)}).encode()
        await self._send(self._request(f"{self._project}/events", body, self._write))

    async def _repeated(self) -> None:
        """Idempotency keys whose answers are long, and tokens by the thousand."""
        start = self._random.randrange(10**12)
        events = [{"keen": {"uniqueness_token": f"t{start + n}"}} for n in range(2_000)]
        body = json.dumps({"tokens": [*events, *([{"$" * 300: 1}] * 2_000)]}).encode()
        header = f"Idempotency-Key: k{start}"
        await self._send(self._request(f"{self._project}/events", body, self._write, header))

    async def _malformed(self) -> None:
        text = self._random.choice(
            [
                b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                b"POST / HTTP/1.1\r\n" + b"".join(b"h%d: v\r\n" % n for n in range(20_000)) + b"\r\n",
                struct.pack("!1000I", *range(1_000)),
            ]
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(text)
            await asyncio.wait_for(reader.read(1_000), 5)
            self._note("malformed")
        finally:
            writer.close()

    async def _slow_readers(self) -> None:
        """Ask for long answers, and read nothing of them."""
        body = json.dumps({"event_collection": WIDE, "latest": 100_000}).encode()
        request = self._request(f"{self._project}/queries/extraction", body, self._read)
        opened = [
            await asyncio.open_connection("127.0.0.1", self._port, limit=4_096) for _ in range(SLOW_READERS)
        ]
        try:
            for _, writer in opened:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(request)
            await asyncio.sleep(40)
        finally:
            for _, writer in opened:
                writer.close()
        self._note("slow readers")

    async def _idle(self) -> None:
        opened = [await asyncio.open_connection("127.0.0.1", self._port) for _ in range(IDLE)]
        await asyncio.sleep(20)
        for _, writer in opened:
            writer.close()
        self._note("idle connections")

    async def _slow_body(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = post(f"{self._project}/events", b" " * 9_000_000, self._write)
            writer.write(head[:2_000])
            for _ in range(60):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.5)
        finally:
            writer.close()


# Measuring


class Watch(threading.Thread):
    """The most memory of each process, twice a second, and the longest pause that the event loop measured."""

    def __init__(self, server: Acumen) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._processes = server.processes()
        self.ended = threading.Event()
        self.most: dict[str, int] = {}
        self.gone: set[str] = set()
        self.longest_pause = 0.0

    def run(self) -> None:
        next_look = 0.0
        while not self.ended.wait(0.5):
            if time.monotonic() > next_look:
                # The gauge is that of the last minute.
                self.look_at_pauses()
                next_look = time.monotonic() + 20
            for name, pid in self._processes.items():
                try:
                    self.most[name] = max(self.most.get(name, 0), accounting.memory(pid).resident)
                except (FileNotFoundError, subprocess.CalledProcessError, ProcessLookupError):
                    self.gone.add(name)

    def look_at_pauses(self) -> None:
        connection = self._server.connect()
        try:
            connection.request("GET", "/metrics")
            for line in connection.getresponse().read().decode().splitlines():
                if line.startswith("acumen_loop_longest_pause_seconds "):
                    self.longest_pause = max(self.longest_pause, float(line.split()[1]))
        except OSError:
            pass  # The next look is before the gauge forgets.
        finally:
            connection.close()


def fill(server: Acumen) -> None:
    """A collection of a million different values, so that questions about it are heavy, and the honest one.

    It is made before the load begins: strangers use up the collections that the project may have.
    """
    connection = server.connect()
    bodies = [bulk_body([b'{"n":0}'], HONEST)]
    for start in range(0, WIDE_VALUES, 20_000):
        lines = [b'{"n":%d,"value":"value number %d"}' % (n, n) for n in range(start, start + 20_000)]
        bodies.append(bulk_body(lines, WIDE))
    for body in bodies:
        connection.request(
            "POST", f"/3.0/projects/{server.project_id}/events", body, {"Authorization": server.write_key}
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def measure(report: Report, minutes: float, environment: dict[str, str]) -> None:
    with Acumen(environment) as server:
        report.progress("filling a collection of a million values")
        fill(server)
        hostile = Hostile(server)
        watch = Watch(server)
        watch.start()
        here, there = multiprocessing.get_context("spawn").Pipe()
        keys = (server.write_key, server.read_key)
        seconds = minutes * 60
        honest = multiprocessing.get_context("spawn").Process(
            target=honest_process, args=(server.port, server.project_id, keys, seconds, there)
        )
        honest.start()
        report.note(f"{minutes:g} minutes of hostile load, from {time.strftime('%H:%M:%S')}")
        asyncio.run(hostile.run(seconds))
        acknowledged, times = here.recv()
        honest.join()
        watch.ended.set()
        watch.look_at_pauses()
        for name in sorted(watch.most):
            report.note(f"{name:<12} at most {watch.most[name] // MIB:>6,} MiB resident")
        for one in times:
            report.note(one.row())
        report.note(f"hostile requests by their answers: {dict(sorted(hostile.answers.items()))}")
        report.figure("longest pause of the loop, seconds", watch.longest_pause, "", limit=PAUSE_SECONDS)
        report.figure("longest wait for /health, seconds", max(times[3].seconds), "")
        report.figure("processes that died", float(len(watch.gone)), str(watch.gone or ""), limit=0.0)
        connection = server.connect()
        stored = server.ask("count", connection, event_collection=HONEST)
        report.equal("honest events", stored >= acknowledged, True)
        report.note(f"honest events: {acknowledged:,} acknowledged, {stored:,} stored")
        connection.close()
        _keep_output(report, server)


def _keep_output(report: Report, server: Acumen) -> None:
    path = Path(tempfile.gettempdir()) / f"acumen-hostile-{os.getpid()}.log"
    path.write_text(server.output())
    report.note(f"the server's log: {path}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    args = parser.parse_args()
    report = Report()
    report.title("Hostile load at production limits")
    measure(report, args.minutes, {})
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
