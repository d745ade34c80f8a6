"""Encoding and decoding of the log's frames and segment headers. The format is ``docs/internals/log.md``.

Pure: no file is accessed here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from isal.isal_zlib import crc32

from storage.log.errors import BadFrame

Bytes = bytes | memoryview

MAGIC = b"acumlog\n"
VERSION = 1
"""Format version of frames."""
SEGMENT_VERSION = 2
KEYLESS_SEGMENT_VERSION = 1
"""Version of segments without a key, which older servers wrote; their key counts as 0."""
KIND_BATCH = 1
DIGEST_SIZE = 16
KEY_BITS = 48
CLAIMED_BIT = 1 << 62
"""Set in every claimed ordinal, so that claimed and plain ordinals never overlap."""

HAS_NULL = 1
HAS_EMPTY = 2
HAS_TOKEN = 4
ROWWISE = 8

SEGMENT_FIELDS = Struct("<8sIIQQQ")
CHECKSUM = Struct("<I")
SEGMENT_HEADER_SIZE = 8 + 4 + 4 + 8 + 8 + 8 + 4
KEYLESS_SEGMENT_FIELDS = Struct("<8sIIQQ")
KEYLESS_HEADER_SIZE = 8 + 4 + 4 + 8 + 8 + 4
PREFIX = Struct("<II")
PREFIX_SIZE = 4 + 4
HEADER = Struct("<BBHIQqQHHI")
HEADER_SIZE = 1 + 1 + 2 + 4 + 8 + 8 + 8 + 2 + 2 + 4
SECTION = Struct("<QIIIIII")
SECTION_SIZE = 8 + 4 + 4 + 4 + 4 + 4 + 4
BODY_BYTES_MAX = 2**32 - 1
KEY_BYTES_MAX = 2**16 - 1

_RESERVED = 1
"""Written to an unused field of each section's header. Older logs may have other numbers there."""
_HEAD = Struct("<IIBBHIQqQHHI")
"""A prefix and the header that follows it."""
_SINGLE = Struct("<BBHIQqQHHIQIIIIII")
"""A header and the header of the one section that follows it."""
_MARK = Struct("<BBHI")
"""The first fields of a header, which are equal in all frames of one log."""


@dataclass(slots=True)
class Section:
    """Events of one collection within a batch, in the order in which they were sent."""

    collection_id: int
    lanes_version: int
    count: int
    duplicates: int
    flags: int
    times: Bytes
    """``count`` signed 64-bit integers, little-endian: µs since 1970 UTC."""
    payload: Bytes
    """``count`` JSON texts, each followed by a line feed."""


@dataclass(slots=True)
class Batch:
    """The events of one request: stored as a whole or not at all."""

    received_us: int
    sections: list[Section]
    idempotency_key: str = ""
    digest: bytes = b""
    """Digest of the request's body: ``DIGEST_SIZE`` bytes, or empty."""

    @property
    def count(self) -> int:
        """Events in all sections, which is the number of ordinals that the batch uses."""
        sections = self.sections
        return sections[0].count if len(sections) == 1 else sum(section.count for section in sections)


@dataclass(slots=True, kw_only=True)
class Frame(Batch):
    """A batch as stored in a log, at the LSNs from ``lsn`` (included) to ``end_lsn`` (excluded)."""

    log_id: int
    base_ordinal: int
    synced_lsn: int
    """The LSN up to which the log was durable when the frame was written."""
    lsn: int
    end_lsn: int


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The header of a segment. ``claimed`` is 1 + the greatest claimed ordinal durable before ``base_lsn``,
    or 0."""

    log_id: int
    base_lsn: int
    claimed: int
    key: int = 0
    """A secret random number, the same in all segments of a log, so that no bytes a client sends can pass as
    a frame. Its low 32 bits are the initial value of the checksums; the next 16 bits are the mark in every
    frame. 0 in logs of older servers."""
    size: int = SEGMENT_HEADER_SIZE
    """Size of the header in bytes."""


def new_key() -> int:
    """A random key for a new log; never 0."""
    return secrets.randbits(KEY_BITS) or 1


def _start(key: int) -> int:
    return key & 0xFFFFFFFF


def _mark(key: int) -> int:
    return key >> 32


def encode_frame(batch: Batch, log_id: int, base_ordinal: int, synced_lsn: int = 0, key: int = 0) -> bytes:
    """The bytes of a frame; ``key`` is the key of the log.

    Raises ValueError where the batch does not fit the format, which is a bug of the caller, not of a client.
    """
    sections = batch.sections
    if len(sections) == 1 and not batch.idempotency_key and not batch.digest:
        return _encode_single(batch, sections[0], log_id, base_ordinal, synced_lsn, key)
    idempotency_key = batch.idempotency_key.encode()
    digest = batch.digest
    if len(idempotency_key) > KEY_BYTES_MAX or len(digest) not in (0, DIGEST_SIZE):
        raise ValueError(f"key of {len(idempotency_key)} bytes, digest of {len(digest)}")
    parts: list[Bytes] = [
        HEADER.pack(
            KIND_BATCH,
            VERSION,
            _mark(key),
            log_id,
            base_ordinal,
            batch.received_us,
            synced_lsn,
            len(idempotency_key),
            len(digest),
            len(sections),
        ),
        idempotency_key,
        digest,
    ]
    size = HEADER_SIZE + len(idempotency_key) + len(digest)
    for section in sections:
        times, payload, count = section.times, section.payload, section.count
        if len(times) != 8 * count:
            raise ValueError(f"{count} events with {len(times)} bytes of times")
        size += SECTION_SIZE + len(times) + len(payload)
        if size > BODY_BYTES_MAX:
            raise ValueError(f"frame of more than {BODY_BYTES_MAX} bytes")
        parts.append(
            SECTION.pack(
                section.collection_id,
                _RESERVED,
                section.lanes_version,
                count,
                section.duplicates,
                section.flags,
                len(payload),
            )
        )
        parts.append(times)
        parts.append(payload)
    body = b"".join(parts)
    return PREFIX.pack(size, crc32(body, size ^ _start(key))) + body


def _encode_single(
    batch: Batch, section: Section, log_id: int, base_ordinal: int, synced_lsn: int, key: int
) -> bytes:
    """Encode a frame of one section without key and digest: a fast path, since most frames are such."""
    times, payload, count = section.times, section.payload, section.count
    size = HEADER_SIZE + SECTION_SIZE + len(times) + len(payload)
    if len(times) != 8 * count:
        raise ValueError(f"{count} events with {len(times)} bytes of times")
    if size > BODY_BYTES_MAX:
        raise ValueError(f"frame of more than {BODY_BYTES_MAX} bytes")
    head = _SINGLE.pack(
        KIND_BATCH,
        VERSION,
        _mark(key),
        log_id,
        base_ordinal,
        batch.received_us,
        synced_lsn,
        0,
        0,
        1,
        section.collection_id,
        _RESERVED,
        section.lanes_version,
        count,
        section.duplicates,
        section.flags,
        len(payload),
    )
    checksum = crc32(payload, crc32(times, crc32(head, size ^ _start(key))))
    return b"".join((PREFIX.pack(size, checksum), head, times, payload))


def decode_frame(data: memoryview, offset: int, lsn: int, log_id: int, key: int) -> Frame:
    """The frame at ``offset``, which is LSN ``lsn``; its sections are views into ``data``.

    Raises BadFrame where there is no whole frame of this log.
    """
    start = offset + PREFIX_SIZE
    if start + HEADER_SIZE > len(data):
        raise BadFrame("a frame is cut short")
    (
        length,
        checksum,
        kind,
        version,
        mark,
        owner,
        base,
        received_us,
        synced_lsn,
        key_size,
        digest_size,
        count,
    ) = _HEAD.unpack_from(data, offset)
    if length < HEADER_SIZE:
        raise BadFrame(f"a frame of {length} bytes")
    end = start + length
    if end > len(data):
        raise BadFrame("a frame is cut short")
    if crc32(data[start:end], length ^ _start(key)) != checksum:
        raise BadFrame("the checksum does not match")
    if kind != KIND_BATCH or version != VERSION:
        raise BadFrame(f"unknown kind {kind} or version {version}")
    if owner != log_id:
        raise BadFrame(f"it belongs to log {owner}")
    if mark != _mark(key):
        raise BadFrame("it has the mark of another log")
    key_end = start + HEADER_SIZE + key_size
    at = key_end + digest_size
    if at > end:
        raise BadFrame("its parts are longer than the frame")
    # Most frames have neither key nor digest.
    idempotency_key = str(data[start + HEADER_SIZE : key_end], "utf-8") if key_size else ""
    digest = bytes(data[key_end:at]) if digest_size else b""
    sections, at = _sections(data, at, end, count)
    if at != end:
        raise BadFrame("its parts are shorter than the frame")
    return Frame(
        received_us,
        sections,
        idempotency_key,
        digest,
        log_id=log_id,
        base_ordinal=base,
        synced_lsn=synced_lsn,
        lsn=lsn,
        end_lsn=lsn + end - offset,
    )


def frames_beyond(data: memoryview, offset: int, log_id: int, key: int, lsn: int = 0) -> Iterator[Frame]:
    """Whole frames anywhere after an unreadable one at ``offset``, which is LSN ``lsn``.

    The length field of an unreadable frame cannot be trusted, so this searches for the bytes that all frame
    headers of the log share.
    """
    mark = _MARK.pack(KIND_BATCH, VERSION, _mark(key), log_id)
    haystack = bytes(data[offset:])
    found = haystack.find(mark, PREFIX_SIZE + 1)
    while found >= 0:
        try:
            at = found - PREFIX_SIZE
            yield decode_frame(data, offset + at, lsn + at, log_id, key)
        except (BadFrame, UnicodeDecodeError):
            pass
        found = haystack.find(mark, found + 1)


def encode_segment_header(header: SegmentHeader) -> bytes:
    """Encode a segment header to ``SEGMENT_HEADER_SIZE`` bytes."""
    fields = SEGMENT_FIELDS.pack(
        MAGIC, SEGMENT_VERSION, header.log_id, header.base_lsn, header.claimed, header.key
    )
    return fields + CHECKSUM.pack(crc32(fields))


def decode_segment_header(data: bytes) -> SegmentHeader:
    """Decode the segment header at the start of ``data``. Raises BadFrame, whose text names the fault."""
    if len(data) < KEYLESS_HEADER_SIZE:
        raise BadFrame("the segment header is cut short")
    magic, version, log_id, base_lsn, claimed = KEYLESS_SEGMENT_FIELDS.unpack_from(data)
    if magic != MAGIC:
        raise BadFrame("this is not a log segment")
    if version not in (SEGMENT_VERSION, KEYLESS_SEGMENT_VERSION):
        raise BadFrame(f"format version {version}, and only versions up to {SEGMENT_VERSION} are known here")
    fields = SEGMENT_FIELDS if version == SEGMENT_VERSION else KEYLESS_SEGMENT_FIELDS
    size = fields.size + CHECKSUM.size
    if len(data) < size:
        raise BadFrame("the segment header is cut short")
    (checksum,) = CHECKSUM.unpack_from(data, fields.size)
    if crc32(data[: fields.size]) != checksum:
        raise BadFrame("the checksum of the segment header does not match")
    key = SEGMENT_FIELDS.unpack_from(data)[-1] if version == SEGMENT_VERSION else 0
    return SegmentHeader(log_id, base_lsn, claimed, key, size)


def header_size_by_frames(content: bytes, log_id: int, key: int) -> int:
    """The size of an unreadable segment header, judged by where the first frame begins."""
    mark = _MARK.pack(KIND_BATCH, VERSION, 0, log_id)
    keyless = not key and content.startswith(mark, KEYLESS_HEADER_SIZE + PREFIX_SIZE)
    return KEYLESS_HEADER_SIZE if keyless else SEGMENT_HEADER_SIZE


def _sections(data: memoryview, at: int, end: int, count: int) -> tuple[list[Section], int]:
    sections = []
    for _ in range(count):
        if at + SECTION_SIZE > end:
            raise BadFrame("its sections are longer than the frame")
        collection, _, lanes, events, duplicates, flags, size = SECTION.unpack_from(data, at)
        times_at = at + SECTION_SIZE
        payload_at = times_at + 8 * events
        at = payload_at + size
        if at > end:
            raise BadFrame("its sections are longer than the frame")
        times, payload = data[times_at:payload_at], data[payload_at:at]
        sections.append(Section(collection, lanes, events, duplicates, flags, times, payload))
    return sections, at
