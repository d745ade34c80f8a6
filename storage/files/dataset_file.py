"""Files of results by key: written once, then read one key at a time.

Layout: a mark, the payloads (zstd, one after another), an index with one entry per key, sorted by digest,
that locates the payloads, and a trailer with the index's offset, length and CRC and the mark again.
``docs/internals/results.md`` has the details. All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import zstandard

from storage.disk.file_system import LocalFileSystem
from storage.errors import StorageError

MARK = b"ACURES01"
_ENTRY = struct.Struct("<16sQII")
"""Index entry: digest of the key; offset, length and CRC-32 of the compressed payload."""
_END = struct.Struct("<QII8s")
"""Trailer: offset of the index, number of its entries, its CRC-32, the mark."""
_DIGEST_BYTES = 16
_BUFFER_BYTES = 1 << 20
_PAYLOAD_BYTES_MAX = 1 << 30


class ResultsDamaged(StorageError):
    """The file differs from what was written."""


class TooManyKeys(StorageError):
    """There are more keys than a file may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit:,} keys")
        self.limit = limit


def write_results(path: Path, payloads: Iterable[tuple[bytes, bytes]], keys_max: int) -> None:
    """Write a new file of (key, payload) pairs, each key once, in any order. File and name are durable on
    return.

    Creates its folder if needed. Leaves no file where writing fails. Raises TooManyKeys, OSError, and
    whatever ``payloads`` raises.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb", buffering=_BUFFER_BYTES) as file:
            file.write(MARK)
            compress = zstandard.ZstdCompressor(level=1).compress
            entries: list[bytes] = []
            offset = len(MARK)
            for key, payload in payloads:
                if len(entries) >= keys_max:
                    raise TooManyKeys(keys_max)
                packed = compress(payload)
                file.write(packed)
                entries.append(_ENTRY.pack(_digest(key), offset, len(packed), zlib.crc32(packed)))
                offset += len(packed)
            entries.sort()
            index = b"".join(entries)
            file.write(index)
            file.write(_END.pack(offset, len(entries), zlib.crc32(index), MARK))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        LocalFileSystem().sync_directory(folder)


def find_result(path: Path, key: bytes) -> bytes | None:
    """The payload of a key, None where it has none. Raises FileNotFoundError, ResultsDamaged."""
    with path.open("rb") as file, _mapped(path, file.fileno()) as content:
        if len(content) < len(MARK) + _END.size:
            raise ResultsDamaged(f"{path} is cut short")
        start, count, crc, mark = _END.unpack_from(content, len(content) - _END.size)
        if mark != MARK or start + count * _ENTRY.size + _END.size != len(content):
            raise ResultsDamaged(f"{path} is not a file of results")
        if not _index_is_sound(path, file.fileno(), content, start, crc):
            raise ResultsDamaged(f"{path} has a damaged index")
        entry = _search(content, start, count, _digest(key))
        if entry is None:
            return None
        offset, length, crc = entry
        packed = content[offset : offset + length]
        if len(packed) != length or zlib.crc32(packed) != crc:
            raise ResultsDamaged(f"{path} is damaged at {offset}")
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_PAYLOAD_BYTES_MAX)


def _mapped(path: Path, handle: int) -> mmap.mmap:
    try:
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise ResultsDamaged(f"{path} is empty") from None


@lru_cache(maxsize=4_096)
def _sound_index(_path: Path, _stamp: tuple[int, int, int, int]) -> list[bool]:
    """A cache cell for the outcome of comparing an index with its CRC: empty until that was done."""
    return []


def _index_is_sound(path: Path, handle: int, content: mmap.mmap, start: int, crc: int) -> bool:
    """Whether the index matches its CRC; compared again only after the file changed."""
    status = os.fstat(handle)
    known = _sound_index(path, (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size))
    if not known:
        known.append(zlib.crc32(memoryview(content)[start : len(content) - _END.size]) == crc)
    return known[0]


def is_whole(path: Path) -> bool:
    """Whether the file exists and is undamaged, payloads included."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if len(content) < len(MARK) + _END.size:
                return False
            start, count, crc, mark = _END.unpack_from(content, len(content) - _END.size)
            end = start + count * _ENTRY.size
            if mark != MARK or end + _END.size != len(content) or zlib.crc32(content[start:end]) != crc:
                return False
            entries = _ENTRY.iter_unpack(content[start:end])
            return all(zlib.crc32(content[at : at + size]) == expected for _, at, size, expected in entries)
    except (OSError, ValueError):
        # ValueError: an empty file cannot be mapped.
        return False


def _search(content: mmap.mmap, start: int, count: int, digest: bytes) -> tuple[int, int, int] | None:
    """Offset, length and CRC of the payload with this digest."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        at = start + middle * _ENTRY.size
        if content[at : at + _DIGEST_BYTES] < digest:
            low = middle + 1
        else:
            high = middle
    if low == count:
        return None
    entry_digest, offset, length, crc = _ENTRY.unpack_from(content, start + low * _ENTRY.size)
    return (offset, length, crc) if entry_digest == digest else None


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=_DIGEST_BYTES).digest()
