"""Worst cases of request bodies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from service.collect import CollectLimits
from tests.bounds.worst import KIB, Watch, worst_case
from tests.service.intake import intake

EVENT_BYTES_MAX = 10 * KIB
BULK_BYTES_MAX = 20 * KIB
LIMITS = CollectLimits(
    event_bytes_max=EVENT_BYTES_MAX, bulk_bytes_max=BULK_BYTES_MAX, inflated_bytes_max=200 * KIB
)


def posted(data: Path, watch: Watch, path: str, *bodies: bytes, **given: Any) -> list[httpx.Response]:
    """The answers to these bodies, one after the other, at the lowered limits."""

    async def send() -> list[httpx.Response]:
        async with intake(data, limits=LIMITS) as taking:
            with watch:
                return [
                    await taking.http.post(taking.events + path, content=body, **given) for body in bodies
                ]

    return asyncio.run(send())


@worst_case("Bytes of one event", peak_bytes=500 * KIB)
def one_large_event(data: Path, watch: Watch) -> list[httpx.Response]:
    return posted(data, watch, "/visits", b'{"text":"%b"}' % (b"x" * 4 * EVENT_BYTES_MAX))


@worst_case("Bytes of one bulk body", peak_bytes=500 * KIB)
def one_large_bulk_body(data: Path, watch: Watch) -> list[httpx.Response]:
    return posted(data, watch, "", b'{"visits":[%b{}]}' % (b"{}," * BULK_BYTES_MAX))
