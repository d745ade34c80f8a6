"""Decodes a ``Content-Encoding`` piece by piece, so that the caller can stop after any piece.

Time is linear in the bytes read and produced, however many members or frames a body has, and no piece is
longer than ``PIECE_BYTES_MAX``. Members of gzip (RFC 1952 §2.2) and frames of zstd (RFC 8878 §3) are
concatenated; zstd's skippable frames hold no data.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import cast

import zstandard
from isal import isal_zlib

TAKEN_BYTES = 1 << 20
"""Bytes after which ``take`` returns."""
_DEFLATED_CHUNK = 16_384
_DEFLATED_PIECE = 262_144
_ZSTD_CHUNK = 256
"""Bytes of input at a time. A block of 4 bytes may expand to 128 KiB, and a chunk is always decompressed
whole: to 8 MiB at most."""
_ZSTD_WINDOW_BYTES_MAX = 1 << 27
PIECE_BYTES_MAX = _ZSTD_CHUNK // 4 * (128 << 10)

_DEFLATE_ERRORS: tuple[type[Exception], ...] = (
    cast("type[Exception]", isal_zlib.error),
    zlib.error,
    EOFError,
)


class EncodingUnknown(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class EncodingBroken(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"The request body is not valid {name}.")


class MembersTooMany(Exception):
    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"The request body has more than {limit} members or frames of {name}: send one.")


def open_encoding(body: bytes, encoding: bytes, members_max: int) -> Iterator[bytes]:
    """The pieces of the decoded body, some of them empty.

    Raises EncodingUnknown here; iterating raises EncodingBroken and MembersTooMany.
    """
    name = encoding.strip().lower().decode("latin-1")
    if name in ("", "identity"):
        return iter([body])
    if name in ("gzip", "x-gzip"):
        return _deflated(body, 31, name, members_max)
    if name == "deflate":
        # "deflate" means zlib's format, but some clients send a raw deflate stream.
        raw = len(body) < 2 or (body[0] & 15) != 8 or (body[0] * 256 + body[1]) % 31 != 0
        return _deflated(body, -15 if raw else 15, name, members_max)
    if name == "zstd":
        return _zstd(body, members_max)
    raise EncodingUnknown(name)


def take(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """The next pieces, joined to about ``TAKEN_BYTES``, and whether they were the last."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        if piece:
            parts.append(piece)
            size += len(piece)
            if size >= TAKEN_BYTES:
                return b"".join(parts), False
    return b"".join(parts), True


def _deflated(body: bytes, wbits: int, name: str, members_max: int) -> Iterator[bytes]:
    view, at = memoryview(body), 0
    try:
        for _ in range(members_max):
            stream = isal_zlib.decompressobj(wbits)
            while not stream.eof:
                chunk = view[at : at + _DEFLATED_CHUNK]
                if not chunk:
                    raise EncodingBroken(name)
                at += len(chunk)
                yield from _pieces_of(stream, chunk)
            at -= len(stream.unused_data)
            if at == len(body):
                return
    except _DEFLATE_ERRORS:
        raise EncodingBroken(name) from None
    raise MembersTooMany(name, members_max)


def _pieces_of(stream: isal_zlib.Decompress, chunk: memoryview) -> Iterator[bytes]:
    """The decompressed pieces of a chunk. Output beyond one piece stays in the stream until the next call."""
    rest: bytes | memoryview = chunk
    while True:
        piece = stream.decompress(rest, _DEFLATED_PIECE)
        yield piece
        rest = stream.unconsumed_tail
        if stream.eof or not (piece or rest):
            return


def _zstd(body: bytes, frames_max: int) -> Iterator[bytes]:
    view, at = memoryview(body), 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    try:
        for _ in range(frames_max):
            frame = decompressor.decompressobj()
            while not frame.eof:
                chunk = view[at : at + _ZSTD_CHUNK]
                if not chunk:
                    raise EncodingBroken("zstd")
                at += len(chunk)
                yield frame.decompress(chunk)
            at -= len(frame.unused_data)
            if at == len(body):
                return
    except zstandard.ZstdError:
        raise EncodingBroken("zstd") from None
    raise MembersTooMany("zstd", frames_max)
