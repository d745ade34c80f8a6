"""The express lane: faster, and in nothing else different from the ordinary way."""

from __future__ import annotations

import asyncio
import errno
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from service.bodies.reader import BodyLimits
from service.http.protocol import bounded_protocol
from storage.disk.file_system import FileSystem, LocalFileSystem
from tests.service.intake import Intake, intake, run

JSON = r'{"created":true}'


@dataclass
class Wire:
    """One connection to a served write path."""

    it: Intake
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def request(self, body: bytes, *headers: str, path: str = "", key: str | None = None) -> bytes:
        lines = [
            f"POST {path or self.it.events + '/c'} HTTP/1.1",
            "host: test",
            f"authorization: {self.it.project.write_key if key is None else key}",
            f"content-length: {len(body)}",
            *headers,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def send(self, *requests: bytes) -> None:
        self.writer.write(b"".join(requests))

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head.split()[1]), headers, body

    async def closed(self) -> bool:
        async with asyncio.timeout(20):
            return await self.reader.read() == b""


@asynccontextmanager
async def wire(
    data: Path, *, fs: FileSystem | None = None, body_limits: BodyLimits | None = None
) -> AsyncIterator[Wire]:
    """A connection whose project, key, path and collection are known, so that what follows is express."""
    async with intake(data, fs=fs, body_limits=body_limits) as it:
        assert it.app.express is not None
        config = uvicorn.Config(
            it.app,
            port=0,
            http=bounded_protocol(65_536, 5.0, it.app.express),
            ws="none",
            lifespan="off",
            log_config=None,
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        made = Wire(it, reader, writer)
        made.send(made.request(b'{"n":0}'))
        assert (await made.answer())[0] == 201
        try:
            yield made
        finally:
            writer.close()
            server.should_exit = True
            await serving


class BreakableDisk(LocalFileSystem):
    broken = False

    def datasync(self, fd: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, "broken")
        super().datasync(fd)


def numbers(it: Intake) -> list[int]:
    return [json.loads(line)["n"] for line in it.lines()]


def test_its_answers_are_those_of_the_ordinary_way(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            w.send(w.request(b'{"n":1}'))
            status, express, body = await w.answer()
            w.send(w.request(b'{"n":2}', "content-encoding: identity"))
            assert (status, body) == (201, JSON.encode())
            ordinary_status, ordinary, ordinary_body = await w.answer()
            assert (ordinary_status, ordinary_body) == (status, body)
            assert set(express) == set(ordinary)
            ids = [headers.pop("x-request-id") for headers in (express, ordinary)]
            assert ids[0] != ids[1]
            assert express.pop("date") and ordinary.pop("date")
            assert express == ordinary
            assert numbers(w.it) == [0, 1, 2]

    run(go())


def test_requests_in_one_breath_are_answered_in_order_each_once(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            good = [w.request(b'{"n":%d}' % n) for n in range(1, 21)]
            bad = w.request(b'{"n":')
            w.send(*good[:7], bad, *good[7:])
            statuses = [(await w.answer())[0] for _ in range(21)]
            assert statuses == [201] * 7 + [400] + [201] * 13
            assert numbers(w.it) == list(range(21))

    run(go())


@pytest.mark.parametrize("cut", [1, 40, -9, -1])
def test_a_request_may_come_in_parts(tmp_path: Path, cut: int) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            text = w.request(b'{"n":1  }')
            w.send(text[:cut])
            await w.writer.drain()
            await asyncio.sleep(0.05)
            w.send(text[cut:])
            assert (await w.answer())[0] == 201
            assert numbers(w.it) == [0, 1]

    run(go())


@pytest.mark.parametrize(
    ("body", "key", "path", "status", "code"),
    [
        (b'{"n":1', None, "", 400, "InvalidJSONError"),
        (b"[]", None, "", 400, "InvalidJSONError|InvalidEventError|InvalidPropertyValueError"),
        (b'{"n":1}', "0" * 64, "", 401, "InvalidApiKeyError"),
        (b'{"n":1}', None, "/3.0/projects/nobody/events/c", 404, "ResourceNotFoundError"),
        (b'{"n":1,"$x":2}', None, "", 400, "InvalidPropertyNameError"),
    ],
)
def test_what_is_wrong_is_told_as_ever(
    tmp_path: Path, body: bytes, key: str | None, path: str, status: int, code: str
) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            w.send(w.request(body, path=path, key=key))
            found, _, text = await w.answer()
            assert (found, bool(re.fullmatch(code, json.loads(text)["error_code"]))) == (status, True), text
            w.send(w.request(b'{"n":5}'))
            assert (await w.answer())[0] == 201
            assert numbers(w.it) == [0, 5]

    run(go())


def test_an_event_that_brings_something_new_goes_the_ordinary_way(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            for body in (b'{"n":1,"new":"x"}', b'{"n":"text"}', b'{"n":2,"keen":{"timestamp":"2026-01-01"}}'):
                w.send(w.request(body), w.request(body))
                assert [(await w.answer())[0] for _ in range(2)] == [201, 201]
            assert len(w.it.lines()) == 7

    run(go())


def test_a_connection_that_is_to_close_is_closed_behind_the_answer(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            w.send(w.request(b'{"n":1}', "connection: close"))
            status, headers, _ = await w.answer()
            assert (status, headers["connection"]) == (201, "close")
            assert await w.closed()

    run(go())


@pytest.mark.parametrize("header", ["", "idempotency-key: a"])
def test_what_comes_behind_a_request_and_is_none_takes_no_answer_from_it(tmp_path: Path, header: str) -> None:
    """Neither on the lane nor on the ordinary way, and not from the one that goes wrong within its body."""

    async def go() -> None:
        async with wire(tmp_path) as w:
            events = [w.request(b'{"n":%d}' % n, f"{header}{n}" if header else "x: y") for n in (1, 2)]
            broken = (
                w.request(b"").replace(b"content-length: 0", b"transfer-encoding: chunked") + b"no size\r\n"
            )
            w.send(*events, broken)
            assert [(await w.answer())[0] for _ in range(3)] == [201, 201, 400]
            assert await w.closed()
            assert numbers(w.it) == [0, 1, 2]

    run(go())


@pytest.mark.parametrize(
    "behind", [b"\x00rubbish\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n"]
)
def test_rubbish_behind_requests_is_answered_behind_them(tmp_path: Path, behind: bytes) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            w.send(w.request(b'{"n":1}'), w.request(b'{"n":2}'), behind)
            statuses = [(await w.answer())[0] for _ in range(3)]
            assert statuses[:2] == [201, 201]
            assert statuses[2] in (400, 431)
            assert await w.closed()
            assert numbers(w.it) == [0, 1, 2]

    run(go())


@pytest.mark.parametrize("path", ["", "/3.0/projects/{project}/events/c?x=1"])
def test_a_length_may_begin_with_many_zeros(tmp_path: Path, path: str) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            text = w.request(b'{"n":1}', path=path.format(project=w.it.project.id))
            w.send(text.replace(b"content-length: ", b"content-length: " + b"0" * 5_000))
            assert (await w.answer())[0] == 201
            assert numbers(w.it) == [0, 1]

    run(go())


UPGRADES = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"]


@pytest.mark.parametrize("pause_at", [None, 0, 5])
def test_who_asks_for_another_protocol_as_well_is_answered_in_this_one(
    tmp_path: Path, pause_at: int | None
) -> None:
    """Java's client asks for HTTP/2 with its first request on a connection, whatever that is."""

    async def go() -> None:
        async with wire(tmp_path) as w:
            body = b'{"n":1}'
            text = w.request(body, *UPGRADES)
            cut = len(text) if pause_at is None else len(text) - len(body) + pause_at
            w.send(text[:cut])
            await w.writer.drain()
            await asyncio.sleep(0.05)
            w.send(text[cut:], w.request(b'{"n":2}', *UPGRADES), w.request(b'{"n":3}'))
            assert [(await w.answer())[0] for _ in range(3)] == [201] * 3
            assert numbers(w.it) == [0, 1, 2, 3]

    run(go())


def test_who_asks_for_another_protocol_may_send_its_body_in_chunks(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            head = w.request(b"", *UPGRADES).replace(b"content-length: 0", b"transfer-encoding: chunked")
            w.send(head + b'3\r\n{"n\r\n4\r\n":1}\r\n0\r\n\r\n', w.request(b'{"n":2}'))
            assert [(await w.answer())[0] for _ in range(2)] == [201] * 2
            assert numbers(w.it) == [0, 1, 2]

    run(go())


def test_an_event_is_kept_whose_sender_left_without_waiting(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            w.send(w.request(b'{"n":1}'))
            await w.writer.drain()
            w.writer.close()
            async with asyncio.timeout(55):
                while len(w.it.lines()) < 2:
                    await asyncio.sleep(0.02)
                while w.it.bodies.held_bytes:
                    await asyncio.sleep(0.02)
            assert numbers(w.it) == [0, 1]

    run(go())


def test_what_the_disk_refused_is_not_acknowledged(tmp_path: Path) -> None:
    async def go() -> None:
        disk = BreakableDisk()
        async with wire(tmp_path, fs=disk) as w:
            disk.broken = True
            w.send(w.request(b'{"n":1}'))
            status, headers, body = await w.answer()
            assert (status, json.loads(body)["error_code"]) == (503, "ServiceUnavailableError")
            assert headers["access-control-allow-origin"] == "*"
            assert w.it.bodies.held_bytes == 0
            assert await w.closed()
            assert numbers(w.it) == [0]

    run(go())


def test_where_too_many_bytes_are_held_the_answer_is_503(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path, body_limits=BodyLimits(in_flight_bytes_max=100)) as w:
            w.send(w.request(b'{"n":%s}' % (b" " * 200)))
            assert (await w.answer())[0] == 503
            w.send(w.request(b'{"n":1}'))
            assert (await w.answer())[0] == 201
            assert w.it.bodies.held_bytes == 0

    run(go())
