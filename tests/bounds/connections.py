"""Too many connections, and too many answers that nobody reads."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.bounds.worst import KIB, MIB, Watch, worst_case
from tests.service.http.test_connections import get, until, wires
from tests.service.intake import run


@worst_case("Connections of one worker", peak_bytes=2 * MIB, slice_bytes=64 * KIB, calls=100_000)
def many_connections(_: Path, watch: Watch) -> list[httpx.Response]:
    replies: list[httpx.Response] = []

    async def go() -> None:
        async with wires(connections_max=20) as w:
            with watch:
                for _ in range(20):
                    await w.connect(get("/wait"))
                await until(lambda: len(w.table) == 20)
                for _ in range(20):
                    head, _, body = (await w.read(await w.connect())).partition(b"\r\n\r\n")
                    replies.append(httpx.Response(int(head.split()[1]), content=body))

    run(go())
    return replies


@worst_case("Bytes of unsent answers of one worker", peak_bytes=6 * MIB, slice_bytes=64 * KIB, calls=100_000)
def answers_that_nobody_reads(_: Path, watch: Watch) -> list[httpx.Response]:
    replies: list[httpx.Response] = []

    async def go() -> None:
        async with wires(unsent_bytes_max=2 * MIB, judged_seconds=600.0) as w:
            with watch:
                for _ in range(2):
                    await w.connect(get(f"/{MIB}"))
                await until(lambda: w.table.held_bytes == 2 * MIB)
                for _ in range(5):
                    head, _, body = (await w.read(await w.connect(last(f"/{MIB}")))).partition(b"\r\n\r\n")
                    replies.append(httpx.Response(int(head.split()[1]), content=body))

    run(go())
    return replies


def last(path: str) -> bytes:
    return get(path).replace(b"Host", b"Connection: close\r\nHost")
