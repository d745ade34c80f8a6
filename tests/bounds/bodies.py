"""Worst cases of request bodies."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import zstandard

from service.bodies import body_thread
from service.bodies.reader import BodyLimits
from service.http.write_api import WriteLimits
from service.ingest.admission import AdmissionLimits
from tests.bounds.worst import KIB, MIB, Watch, worst_case
from tests.service.intake import intake
from tests.service.whole import Whole

EVENT_BYTES_MAX = 10 * KIB
BULK_BYTES_MAX = 20 * KIB
LIMITS = WriteLimits(
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


ADMISSION = AdmissionLimits(event_bytes_max=EVENT_BYTES_MAX, batch_events_max=100, properties_max=20)
LARGE = WriteLimits(EVENT_BYTES_MAX, 10 * MIB, 10 * MIB)
COUNT = 20_000
INLINE = patch.object(body_thread, "INLINE_BYTES_MAX", 8 * KIB)
"""What is worked through on the event loop is lowered like all else."""
HALF = rb'{"s":"\ud800"},'


@INLINE
def bulk(data: Path, watch: Watch, *bodies: bytes) -> list[httpx.Response]:
    """The answers to bulk bodies, most of them larger than what is worked through on the event loop."""

    async def send() -> list[httpx.Response]:
        async with intake(data, limits=LARGE, admission=ADMISSION) as taking:
            await taking.http.post(taking.events, content=b'{"visits":[{"n":1}]}')
            with watch:
                return [await taking.http.post(taking.events, content=body) for body in bodies]

    return asyncio.run(send())


@INLINE
def called(
    data: Path, watch: Watch, path: str, *bodies: bytes, autofill: bool = False
) -> list[httpx.Response]:
    """The same with all routes and, where wanted, with a key that writes into each event."""
    whole = Whole(data, bulk_events_max=100, event_bytes_max=EVENT_BYTES_MAX)
    try:
        options = {"writes": {"autofill": {"customer": 7}}} if autofill else {}
        made = whole.told(
            whole.project,
            "POST",
            "keys",
            {"name": "k", "is_active": True, "permitted": ["writes"], "options": options},
        )
        with watch:
            return [whole.call(whole.project, "POST", path, body, key=made["key"]) for body in bodies]
    finally:
        whole.close()


LISTS = {
    "empty events": b"{},",
    "small events": b'{"n":1},',
    "empty lists": b"[],",
    "numbers": b"1,",
    "nested": b"[[[[]]]],",
}


@worst_case("Events in one bulk body", peak_bytes=1 * MIB)
def more_events_than_may_be(data: Path, watch: Watch) -> list[httpx.Response]:
    many = [item * COUNT + item[:-1] for item in LISTS.values()]
    bodies = [b'{"%b":[%b]}' % (name, items) for items in many for name in (b"visits", b"new")]
    halves = [b'{"visits":[%b%b]}' % (HALF, items) for items in many]
    nested = b'{"visits":[%b,%b{}]}' % (b"[" * 9_000 + b"]" * 9_000, b"{}," * COUNT)
    return bulk(data, watch, *bodies, *halves, nested)


@worst_case("Events in one bulk body", peak_bytes=1 * MIB)
def more_events_than_may_be_with_a_key_that_fills_them(data: Path, watch: Watch) -> list[httpx.Response]:
    bodies = [b'{"visits":[%b{}]}' % (item * COUNT) for item in LISTS.values()]
    return called(data, watch, "events", *bodies, autofill=True)


@worst_case("Events in one bulk body", peak_bytes=1 * MIB)
def more_events_than_may_be_from_sendgrid(data: Path, watch: Watch) -> list[httpx.Response]:
    bodies = [b"[%b{}]" % (b"{}," * COUNT), b"[%b%b{}]" % (HALF, b"{}," * COUNT)]
    return called(data, watch, "partners/sendgrid/versions/v3", *bodies)


@worst_case("Collections that one bulk body names", peak_bytes=1 * MIB)
def more_names_than_may_be(data: Path, watch: Watch) -> list[httpx.Response]:
    names = b",".join(b'"%d":[]' % number for number in range(COUNT))
    half = rb'"\ud83d\ude00":[' + HALF + b"{}],"
    return bulk(data, watch, b"{%b}" % names, b"{%b%b}" % (half, names[:50_000].rpartition(b",")[0]))
