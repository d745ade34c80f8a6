"""Compressing large answers for clients that say that they read gzip.

A result of thousands of groups is text that repeats itself: gzip makes a twentieth of it. Small answers are
sent as they are, since compressing them takes longer than sending them.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence

BYTES_MIN = 32_768
"""Smaller answers stay as they are."""
_LEVEL = 1
_GZIP = 31
"""The window of zlib with gzip's header and trailer."""
_TYPES = (b"application/json", b"text/csv", b"application/x-ndjson", b"image/svg+xml")
_KEEPING = frozenset({b"content-encoding", b"etag", b"content-range", b"accept-ranges"})
"""Headers of answers that are already encoded, or whose exact bytes a client may ask for again."""

Headers = Sequence[tuple[bytes, bytes]]


def is_compressible(headers: Headers) -> bool:
    """Whether an answer with these headers is of a known length, large, and of a type that shrinks."""
    fields = dict(headers)
    if not _KEEPING.isdisjoint(fields):
        return False
    kind = fields.get(b"content-type", b"").partition(b";")[0].strip()
    length = fields.get(b"content-length", b"")
    return kind in _TYPES and length.isdigit() and int(length) >= BYTES_MIN


async def compressed(body: bytes) -> bytes:
    """The body as gzip, made on a thread."""

    def work() -> bytes:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        return packer.compress(body) + packer.flush()

    return await asyncio.get_running_loop().run_in_executor(None, work)


def encoded_headers(headers: Headers, length: int) -> list[tuple[bytes, bytes]]:
    """The headers of the compressed answer, which is so many bytes long."""
    kept = [field for field in headers if field[0] != b"content-length"]
    return [*kept, (b"content-length", str(length).encode()), (b"content-encoding", b"gzip")]
