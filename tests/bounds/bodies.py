"""Worst cases of request bodies."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import Any

import httpx
import zstandard

from service.bodies import BodyLimits
from service.collect import CollectLimits
from tests.bounds.worst import KIB, MIB, Watch, worst_case
from tests.service.intake import intake
from tests.service.whole import Whole

EVENT_BYTES_MAX = 10 * KIB
BULK_BYTES_MAX = 20 * KIB
LIMITS = CollectLimits(
    event_bytes_max=EVENT_BYTES_MAX, bulk_bytes_max=BULK_BYTES_MAX, inflated_bytes_max=200 * KIB
)


HELD = BodyLimits(in_flight_bytes_max=150 * KIB, members_max=50)


def posted(
    data: Path, watch: Watch, path: str, *bodies: bytes, held: BodyLimits | None = None, **given: Any
) -> list[httpx.Response]:
    """The answers to these bodies, one after the other, at the lowered limits."""

    async def send() -> list[httpx.Response]:
        async with intake(data, limits=LIMITS, body_limits=held) as taking:
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


def packed(data: Path, watch: Watch, *bodies: tuple[str, bytes], held: BodyLimits) -> list[httpx.Response]:
    replies = []
    for number, (encoding, body) in enumerate(bodies):
        headers = {"content-encoding": encoding}
        replies += posted(data / str(number), watch, "", body, held=held, headers=headers)
    return replies


@worst_case("Inflated bytes of one compressed body", peak_bytes=20 * MIB)
def bombs_of_each_encoding(data: Path, watch: Watch) -> list[httpx.Response]:
    """A piece of zstd is at most 8 MiB, and is joined of parts once."""
    zeros = bytes(40 * MIB)
    bombs = (
        ("gzip", gzip.compress(zeros)),
        ("deflate", zlib.compress(zeros)),
        ("zstd", zstandard.compress(zeros)),
    )
    return packed(data, watch, *bombs, held=BodyLimits())


@worst_case("Members or frames of one compressed body", peak_bytes=500 * KIB)
def empty_members_and_frames(data: Path, watch: Watch) -> list[httpx.Response]:
    skippable = (0x184D2A50).to_bytes(4, "little") + bytes(4)
    members = [
        ("gzip", gzip.compress(b"")),
        ("gzip", gzip.compress(b" ")),
        ("deflate", zlib.compress(b"")),
        ("zstd", zstandard.compress(b"")),
        ("zstd", skippable),
    ]
    return packed(data, watch, *((encoding, member * 500) for encoding, member in members), held=HELD)


@worst_case("Body bytes held by all requests of a worker", peak_bytes=1 * MIB)
def what_inflates_beyond_what_may_be_held(data: Path, watch: Watch) -> list[httpx.Response]:
    return packed(data, watch, ("gzip", gzip.compress(b" " * 190 * KIB)), held=HELD)


@worst_case("Values of one query's body", peak_bytes=2 * MIB)
def questions_of_many_values(data: Path, watch: Watch) -> list[httpx.Response]:
    texts = ["[%s]" % ("{}," * 50_000 + "{}"), '{"a":[%s]}' % ("0," * 50_000 + "0"), "[" * 50_000]
    whole = Whole(data, query_values_max=1_000)
    try:
        with watch:
            return [
                whole.call(whole.project, method, path, text.encode())
                for text in texts
                for method, path in (
                    ("POST", "queries/count"),
                    ("PUT", "queries/saved/q"),
                    ("PUT", "datasets/d"),
                    ("POST", "keys"),
                )
            ]
    finally:
        whole.close()
