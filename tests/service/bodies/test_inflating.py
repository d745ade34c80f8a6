"""Compressed bodies: members and frames are joined, and inflating is bounded and counted."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bodies import counting, inflating
from service.bodies.counting import holds_more_values
from service.bodies.reader import BodyLimits
from tests.service.intake import Intake, intake, run

EVENTS = b'{"visits":[' + b'{"n":1},' * 40 + b'{"n":2}]}'
SKIPPABLE = (0x184D2A5F).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"notes"
zip_one = zstandard.compress


def inflated(body: bytes, encoding: bytes, members_max: int = 100) -> bytes:
    pieces = inflating.open_encoding(body, encoding, members_max)
    parts, ended = [], False
    while not ended:
        part, ended = inflating.take(pieces)
        assert len(part) <= inflating.TAKEN_BYTES + inflating.PIECE_BYTES_MAX
        parts.append(part)
    return b"".join(parts)


def bare(body: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(body) + packing.flush()


@settings(max_examples=50)
@given(
    st.lists(
        st.binary(max_size=300) | st.sampled_from([0, 16_384, 300_000]).map(bytes), min_size=1, max_size=4
    ),
    st.sampled_from([("gzip", gzip.compress), ("deflate", bare), ("zstd", zip_one)]),
)
def test_parts_that_were_packed_apart_are_joined(
    parts: list[bytes], packing: tuple[str, Callable[[bytes], bytes]]
) -> None:
    encoding, pack = packing
    assert inflated(b"".join(map(pack, parts)), encoding.encode()) == b"".join(parts)


FRAMES = {
    "two frames": zip_one(EVENTS[:50]) + zip_one(EVENTS[50:]),
    "a frame and an empty one": zip_one(EVENTS) + zip_one(b""),
    "an empty frame and a whole one": zip_one(b"") + zip_one(EVENTS),
    "a skippable frame before": SKIPPABLE + zip_one(EVENTS),
    "a skippable frame after": zip_one(EVENTS) + SKIPPABLE,
    "skippable frames between": zip_one(EVENTS[:9]) + SKIPPABLE * 2 + zip_one(EVENTS[9:]),
}


@pytest.mark.parametrize("body", FRAMES.values(), ids=FRAMES)
def test_frames_of_zstd_are_joined_and_skippable_ones_ignored(tmp_path: Path, body: bytes) -> None:
    async def scenario(one: Intake) -> None:
        reply = await one.http.post(one.events, content=body, headers={"content-encoding": "zstd"})
        assert reply.status_code == 200
        assert len(reply.json()["visits"]) == 41
        assert one.bodies.held_bytes == 0

    run_with(tmp_path, scenario)


BROKEN = {
    "cut in the second frame": zip_one(EVENTS) + zip_one(EVENTS)[:-3],
    "cut in a skippable frame": zip_one(EVENTS) + SKIPPABLE[:-1],
    "followed by something else": zip_one(EVENTS) + b"x",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_frame_is_refused(tmp_path: Path, body: bytes) -> None:
    async def scenario(one: Intake) -> None:
        reply = await one.http.post(one.events, content=body, headers={"content-encoding": "zstd"})
        assert (reply.status_code, reply.json()["error_code"]) == (400, "InvalidEncodingError")
        assert one.bodies.held_bytes == 0

    run_with(tmp_path, scenario)


@pytest.mark.parametrize(
    ("encoding", "member"),
    [("gzip", gzip.compress(b"", mtime=0)), ("zstd", zip_one(b"")), ("zstd", SKIPPABLE)],
    ids=["gzip member", "zstd frame", "skippable frame"],
)
def test_members_and_frames_have_a_limit(encoding: str, member: bytes) -> None:
    assert inflated(member * 100, encoding.encode()) == b""
    with pytest.raises(inflating.MembersTooMany, match="more than 100 members"):
        inflated(member * 101, encoding.encode())


def test_each_byte_of_many_members_is_looked_at_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member's rest is copied when it ends: it must be a rest of bounded length, not of the whole body."""
    monkeypatch.setattr(inflating, "_DEFLATED_CHUNK", 64)
    longest = 0

    class Noting:
        def __init__(self, wbits: int) -> None:
            self._stream = zlib.decompressobj(wbits)

        def decompress(self, data: bytes, room: int) -> bytes:
            nonlocal longest
            longest = max(longest, len(data))
            return self._stream.decompress(data, room)

        def __getattr__(self, name: str) -> object:
            return getattr(self._stream, name)

    monkeypatch.setattr("service.bodies.inflating.isal_zlib.decompressobj", Noting)
    assert inflated(gzip.compress(b"a") * 90, b"gzip") == b"a" * 90
    assert longest <= 64


def test_inflated_bytes_count_as_held_while_they_are_made(tmp_path: Path) -> None:
    """They are refused once all bodies together hold too much, and given back."""
    body = gzip.compress(b'{"visits":[' + b" " * 5_000_000 + b"]}")

    async def scenario(one: Intake) -> None:
        reply = await one.http.post(one.events, content=body, headers={"content-encoding": "gzip"})
        assert reply.status_code == 503
        assert one.bodies.held_bytes == 0

    run_with(tmp_path, scenario, in_flight_bytes_max=3_000_000)


names = st.text('[{,"\\', max_size=3)
values = st.recursive(
    st.none() | st.integers() | st.text('[]{},"\\ab', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('[{,"\\', max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def count_of(value: object) -> int:
    """The slow reference: commas and opening brackets outside of texts."""
    if isinstance(value, dict):
        return 1 + max(len(value) - 1, 0) + sum(map(count_of, value.values()))
    if isinstance(value, list):
        return 1 + max(len(value) - 1, 0) + sum(map(count_of, value))
    return 0


@given(values, st.integers(1, 40))
def test_values_are_counted_slice_by_slice_as_at_once(value: object, slice_bytes: int) -> None:
    text, found = json.dumps(value, ensure_ascii=False).encode(), count_of(value)
    before, counting._SLICE_BYTES = counting._SLICE_BYTES, slice_bytes
    try:
        assert not holds_more_values(text, found)
        assert found == 0 or holds_more_values(text, found - 1) or len(text) <= found - 1
    finally:
        counting._SLICE_BYTES = before


def run_with(tmp_path: Path, scenario: Callable[[Intake], object], **limits: int) -> None:
    async def whole() -> None:
        async with intake(tmp_path / "data", body_limits=BodyLimits(**limits)) as one:
            await scenario(one)  # type: ignore[misc]

    run(whole())
