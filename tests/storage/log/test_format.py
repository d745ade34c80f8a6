"""The bytes of frames and segment headers, and that the document of the format tells the truth."""

from __future__ import annotations

import re
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal.isal_zlib import crc32

from storage.log import format, position, segments
from storage.log.errors import BadFrame
from storage.log.format import (
    Batch,
    Frame,
    Section,
    SegmentHeader,
    decode_frame,
    decode_segment_header,
    encode_frame,
    encode_segment_header,
    frames_beyond,
)
from tests.support.scale import examples

DOCUMENT = (Path(__file__).parents[3] / "docs/internals/log.md").read_text()

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
keys = st.integers(0, 2**format.KEY_BITS - 1)
i64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def sections(draw: st.DrawFn) -> Section:
    times = draw(st.lists(i64, max_size=5))
    payload = draw(st.binary(max_size=50))
    return Section(
        draw(u64),
        draw(u32),
        len(times),
        draw(u32),
        draw(st.integers(0, 15)),
        pack(f"<{len(times)}q", *times),
        payload,
    )


batches = st.builds(
    Batch,
    i64,
    st.lists(sections(), max_size=4),
    st.text(max_size=20),
    st.one_of(st.just(b""), st.binary(min_size=16, max_size=16)),
)


KEY = 0x1234_89ABCDEF


def simple_frame(*, log_id: int = 7, key: int = 0) -> bytes:
    """The example of the document."""
    section = Section(5, 2, 1, 0, 0, pack("<q", 1704067200_000000), b'{"a":1}\n')
    return encode_frame(Batch(1704067201_000000, [section]), log_id, 0, key=key)


def decode(data: bytes, offset: int = 0, log_id: int = 7, key: int = 0) -> Frame:
    return decode_frame(memoryview(data), offset, 1000, log_id, key)


@settings(max_examples=examples(150), deadline=None)
@given(batches, u32, u64, u64, keys, st.binary(max_size=9))
def test_a_frame_reads_back_as_the_batch_it_was(
    batch: Batch, log_id: int, ordinal: int, synced: int, key: int, before: bytes
) -> None:
    data = encode_frame(batch, log_id, ordinal, synced, key)
    frame = decode(before + data + b"more", len(before), log_id, key)
    assert (frame.log_id, frame.base_ordinal, frame.synced_lsn) == (log_id, ordinal, synced)
    assert (frame.lsn, frame.end_lsn) == (1000, 1000 + len(data))
    assert (frame.received_us, frame.idempotency_key) == (batch.received_us, batch.idempotency_key)
    assert (frame.digest, frame.sections, frame.count) == (batch.digest, batch.sections, batch.count)


def test_sections_are_views_into_the_bytes_read() -> None:
    section = decode(simple_frame()).sections[0]
    assert isinstance(section.payload, memoryview) and isinstance(section.times, memoryview)


def test_a_flipped_bit_in_any_byte_of_a_frame_is_noticed() -> None:
    data = simple_frame()
    for i in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[i] ^= 1 << bit
            with pytest.raises(BadFrame):
                decode(bytes(damaged) + data)


def test_a_frame_cut_at_any_byte_is_noticed() -> None:
    data = simple_frame()
    for size in range(len(data)):
        with pytest.raises(BadFrame):
            decode(data[:size])


@pytest.mark.parametrize("size", [0, 7, 8, 48, 4096])
def test_zeros_are_no_frame(size: int) -> None:
    with pytest.raises(BadFrame):
        decode(bytes(size))


@given(keys, keys)
def test_a_frame_is_one_for_those_alone_who_know_the_key(key: int, other: int) -> None:
    """Whatever else it holds: each half of the key tells by itself."""
    data = simple_frame(key=key)
    assert decode(data, key=key).base_ordinal == 0
    if key != other:
        with pytest.raises(BadFrame):
            decode(data, key=other)
    found = frames_beyond(memoryview(bytes(50) + data), 0, 7, other)
    assert len(list(found)) == (key == other)


def test_a_segment_of_an_older_server_reads_as_one_without_a_key() -> None:
    fields = pack("<8sIIQQ", format.MAGIC, 1, 7, 5, 6)
    header = decode_segment_header(fields + pack("<I", crc32(fields)) + simple_frame())
    assert header == SegmentHeader(7, 5, 6, key=0, size=36)


def test_a_frame_of_another_log_is_refused() -> None:
    with pytest.raises(BadFrame, match="belongs to log 8"):
        decode(simple_frame(log_id=8))


@pytest.mark.parametrize(
    ("offset", "what"), [(8, "unknown kind 9"), (9, "version 9"), (44, "longer"), (40, "longer")]
)
def test_a_well_summed_frame_that_makes_no_sense_is_refused(offset: int, what: str) -> None:
    """As a newer writer, or a bug, would leave it."""
    data = bytearray(simple_frame())
    data[offset] = 9
    body = bytes(data[8:])
    data[4:8] = pack("<I", crc32(body, len(body)))
    with pytest.raises(BadFrame, match=what):
        decode(bytes(data))


@pytest.mark.parametrize(
    "batch",
    [
        Batch(0, [Section(1, 1, 2, 0, 0, bytes(8), b"{}\n{}\n")]),
        Batch(0, [], "k" * 65536),
        Batch(0, [], "", b"short"),
    ],
    ids=["times do not match the count", "key too long", "digest of a wrong size"],
)
def test_a_batch_that_breaks_the_format_is_not_written(batch: Batch) -> None:
    with pytest.raises(ValueError):
        encode_frame(batch, 1, 0)


def test_frames_behind_an_unreadable_one_are_found_whatever_its_length_says() -> None:
    data = simple_frame()
    torn = bytearray(data)
    torn[0:4] = pack("<I", 10**9)
    found = frames_beyond(memoryview(bytes(torn) + b"rubbish" + data + data[:50]), 0, 7, 0)
    assert [frame.base_ordinal for frame in found] == [0]


@given(u32, u64, u64, keys)
def test_a_segment_header_reads_back(log_id: int, base: int, claimed: int, key: int) -> None:
    header = SegmentHeader(log_id, base, claimed, key)
    assert decode_segment_header(encode_segment_header(header)) == header


def test_a_flipped_bit_in_any_byte_of_a_segment_header_is_noticed() -> None:
    data = encode_segment_header(SegmentHeader(1, 2, 3))
    for i in range(len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 1
        with pytest.raises(BadFrame):
            decode_segment_header(bytes(damaged))


def test_a_newer_segment_is_refused_by_its_version() -> None:
    data = bytearray(encode_segment_header(SegmentHeader(1, 2, 3)))
    data[8] = 3
    with pytest.raises(BadFrame, match="format version 3"):
        decode_segment_header(bytes(data))


def documented_fields(heading: str) -> list[tuple[int, int]]:
    """(offset, size) of each row of the document's table with this heading."""
    table = DOCUMENT.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [(int(offset), int(size)) for offset, size in re.findall(r"^\| (\d+) \| (\d+)", table, re.M)]


@pytest.mark.parametrize(
    ("heading", "start", "size", "struct_size"),
    [
        ("header field | value", 0, format.SEGMENT_HEADER_SIZE, format.SEGMENT_FIELDS.size + 4),
        ("prefix field | value", 0, format.PREFIX_SIZE, format.PREFIX.size),
        ("section field | value", 0, format.SECTION_SIZE, format.SECTION.size),
    ],
)
def test_documented_fields_add_up_to_the_sizes_in_the_code(
    heading: str, start: int, size: int, struct_size: int
) -> None:
    end = start
    for offset, width in documented_fields(heading):
        assert offset == end
        end += width
    assert end - start == size == struct_size


def test_the_documented_frame_header_follows_its_prefix() -> None:
    table = DOCUMENT.split("header field | value |")[2]
    rows = [(int(o), int(s)) for o, s in re.findall(r"^\| (\d+) \| (\d+)", table.split("\n\n")[0], re.M)]
    end = format.PREFIX_SIZE
    for offset, width in rows:
        assert offset == end
        end += width
    assert end - format.PREFIX_SIZE == format.HEADER_SIZE == format.HEADER.size


@pytest.mark.parametrize(
    "statement",
    [
        f"The header is {format.SEGMENT_HEADER_SIZE} bytes.",
        f"The prefix is {format.PREFIX_SIZE} bytes, the header {format.HEADER_SIZE}.",
        f"The section header is {format.SECTION_SIZE} bytes.",
        f"at file offset {format.SEGMENT_HEADER_SIZE} + x − base",
        f"a header of {format.KEYLESS_HEADER_SIZE} bytes",
        f"`{format.MAGIC.decode().strip()}` and a line feed",
        f"at least {format.HEADER_SIZE} |",
        f"0 or {format.DIGEST_SIZE} |",
        f"*claimed* ordinals from 2^{format.CLAIMED_BIT.bit_length() - 1}",
        f"| {format.HAS_NULL} holds `null` · {format.HAS_EMPTY} holds `{{}}` ·",
        f"· {format.HAS_TOKEN} holds a uniqueness token ·",
        f"· {format.ROWWISE} to be shredded row by row",
        f"XOR {position.CHECK:#x}",
        f"at most {position.VOIDS_MAX} |",
        f"({position.POSITION_SIZE} bytes)",
        f"<base>{segments.SEGMENT_SUFFIX} ",
        f"<base>{segments.DRAFT_SUFFIX} ",
        f"<log id>/{segments.POSITION_NAME} ",
        f"<log id>/{segments.LOCK_NAME} ",
    ],
)
def test_the_document_states(statement: str) -> None:
    assert statement in DOCUMENT


def test_the_documented_example_is_what_is_written() -> None:
    example = DOCUMENT.split("## Example", 1)[1].split("## ", 1)[0]
    lines = re.findall(r"^    ((?:[0-9a-f]{2} +)+)", example, re.M)
    assert bytes.fromhex("".join(lines)) == simple_frame()


def test_a_full_table_of_voids_fills_the_position_file_no_further_than_it_goes() -> None:
    assert 40 + 16 * position.VOIDS_MAX <= position.POSITION_SIZE - 8
