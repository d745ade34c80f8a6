"""Damaged logs are mended: all that reads is kept, once, and what is lost is told."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from struct import pack, unpack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isal.isal_zlib import crc32

from storage.catalog.stored.records import Claim
from storage.log.format import (
    KEYLESS_HEADER_SIZE,
    MAGIC,
    SEGMENT_HEADER_SIZE,
    decode_frame,
    decode_segment_header,
    encode_frame,
)
from storage.log.segments import list_segments
from storage.log.writer import Batch, LogWriter, Section
from storage.maintenance.integrity_check import check
from storage.maintenance.log_repair import StillInUse, repair
from storage.recovery.takeover import recover
from tests.storage.store import Store
from tests.support.scale import examples

FRAMES = 6


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def numbered(*numbers: int) -> list[bytes]:
    return [f'{{"n":{number}}}'.encode() for number in numbers]


def sent(store: Store, frames: int = FRAMES) -> tuple[LogWriter, list[int]]:
    """A log whose owner died, with a post in each frame: event n in frame n. And where each frame ends."""
    writer = store.writer()
    ends = []
    for number in range(frames):
        store.send("c", numbered(number), writer=writer)
        ends.append(writer.synced_lsn)
    store.writers.remove(writer)
    writer.close()
    return writer, ends


def segments_of(store: Store, writer: LogWriter) -> list[Path]:
    return [found.path for found in list_segments(store.fs, store.folder.log(writer.log_id))]


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x55
    path.write_bytes(content)


def stored(store: Store) -> list[int]:
    """What stands in files once the keeper has taken all in."""
    recover(store.folder, store.catalog, store.fs)
    keeper = store.new_keeper()
    while keeper.step():
        pass
    keeper.flush()
    keeper.step()
    keeper.close()
    return sorted(store.values("c", "n"))


@pytest.mark.parametrize("flushed", [0, 2, 4])
@pytest.mark.parametrize("damaged", range(FRAMES))
def test_one_damaged_frame_costs_that_frame_alone_and_nothing_where_it_was_flushed(
    store: Store, flushed: int, damaged: int
) -> None:
    writer = store.writer()
    for number in range(FRAMES):
        if number == flushed:
            store.keeper.step()
            store.keeper.flush()
        store.send("c", numbered(number), writer=writer)
    store.writers.remove(writer)
    writer.close()
    (path,) = segments_of(store, writer)
    size = (path.stat().st_size - SEGMENT_HEADER_SIZE) // FRAMES
    flip(path, SEGMENT_HEADER_SIZE + damaged * size + size // 2)
    (mended,) = repair(store.folder, store.catalog)
    lost = [] if damaged < flushed else [damaged]
    assert [loss.bytes for loss in mended.losses] == [size] * len(lost)
    assert mended.events == FRAMES - flushed - len(lost)
    assert stored(store) == sorted(set(range(FRAMES)) - set(lost))
    assert [loss.bytes for loss in store.catalog.logs.losses()] == [size] * len(lost)
    report = check(store.folder, store.catalog)
    assert (report.sound, len(report.losses)) == (True, len(lost))
    assert repair(store.folder, store.catalog) == []


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 300)), min_size=1, max_size=4), st.booleans())
@settings(
    max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_damaged_every_frame_that_is_whole_is_kept_once(
    tmp_path: Path, damage: list[tuple[int, int]], sealed: bool
) -> None:
    """Runs of bytes turned over anywhere in a log, headers included."""
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    store = Store(tmp_path / "data")
    try:
        writer, ends = sent(store, 20)
        if sealed:
            recover(store.folder, store.catalog, store.fs)
        (path,) = segments_of(store, writer)
        content = bytearray(path.read_bytes())
        hit = set()
        for start, length in damage:
            hit |= set(range(start % len(content), min(start % len(content) + length, len(content))))
        for offset in hit:
            content[offset] ^= 0x55
        path.write_bytes(content)
        begins = [0, *ends]
        whole = [
            number
            for number in range(20)
            if not hit & {SEGMENT_HEADER_SIZE + lsn for lsn in range(begins[number], ends[number])}
        ]
        mended = repair(store.folder, store.catalog)
        assert sum(loss.bytes for found in mended for loss in found.losses) == ends[-1] - sum(
            ends[number] - begins[number] for number in whole
        )
        assert stored(store) == whole
    finally:
        store.close()


def test_a_missing_segment_is_lost_and_those_around_it_are_not(store: Store) -> None:
    writer = store.writer()
    for number in range(3):
        store.send("c", numbered(number), writer=writer)
        # The next frame begins a new segment.
        writer._segment_bytes_max = 1
    store.writers.remove(writer)
    writer.close()
    segments_of(store, writer)[1].unlink()
    (mended,) = repair(store.folder, store.catalog)
    assert (mended.events, len(mended.losses)) == (2, 1)
    assert stored(store) == [0, 2]


def test_a_torn_end_is_no_loss(store: Store) -> None:
    writer, _ = sent(store)
    (path,) = segments_of(store, writer)
    path.write_bytes(path.read_bytes() + b"half a frame, of which nobody was told")
    assert repair(store.folder, store.catalog) == []
    assert stored(store) == list(range(FRAMES))


def test_a_log_that_is_being_written_is_left_alone(store: Store) -> None:
    store.send("c", numbered(1))
    with pytest.raises(StillInUse):
        repair(store.folder, store.catalog)


def test_tokens_of_lost_events_are_free_again_and_those_of_others_are_not(store: Store) -> None:
    now_us = time.time_ns() // 1_000
    writer = store.writer()
    id = store.catalog.collections.ensure(store.project, "c").id

    def send_claimed(number: int) -> None:
        ordinal = writer.reserve(1)
        claim = Claim("scope", f"t{number}", writer.log_id, ordinal, b"", b"", now_us)
        store.catalog.claims.take([claim], now_us, 1)
        section = Section(id, 0, 1, 0, 0, bytes(8), b"{}\n")
        store.append(Batch(0, [section]), writer, claimed=ordinal)

    send_claimed(0)
    send_claimed(1)
    store.keeper.step()
    store.keeper.flush()
    for number in range(2, 6):
        send_claimed(number)
    store.writers.remove(writer)
    writer.close()
    (path,) = segments_of(store, writer)
    size = (path.stat().st_size - SEGMENT_HEADER_SIZE) // 6
    for damaged in (1, 3, 5):
        flip(path, SEGMENT_HEADER_SIZE + damaged * size + size // 2)
    repair(store.folder, store.catalog)
    pairs = [("scope", f"t{number}") for number in range(6)]
    assert sorted(store.catalog.claims.find(pairs)) == [pairs[number] for number in (0, 1, 2, 4)]


def lookalike(log_id: int, *, ordinal: int, synced: int) -> list[bytes]:
    """Events whose times, eight bytes each, are an empty frame with the checksum of a log without a key."""
    for received in range(10_000):
        frame = encode_frame(Batch(received, []), log_id, ordinal, synced)
        times = unpack(f"<{len(frame) // 8}q", frame)
        if all(0 <= time_us < 2**57 for time_us in times):
            return [b'{"n":1,"keen":{"timestamp":"%s"}}' % text_of(us).encode() for us in times]
    raise AssertionError("none of them is made of times")


def text_of(instant_us: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=instant_us)).isoformat() + "Z"


def made_older(path: Path) -> None:
    """A segment as an older server would have written it, without a key."""
    content = path.read_bytes()
    header = decode_segment_header(content)
    data, lsn, made = memoryview(content)[header.size :], 0, []
    while lsn < len(data):
        frame = decode_frame(data, lsn, lsn, header.log_id, header.key)
        made.append(encode_frame(frame, header.log_id, frame.base_ordinal, frame.synced_lsn))
        lsn = frame.end_lsn
    fields = pack("<8sIIQQ", MAGIC, 1, header.log_id, header.base_lsn, header.claimed)
    path.write_bytes(fields + pack("<I", crc32(fields)) + b"".join(made))
    position = path.with_name("position")
    position.write_bytes(position.read_bytes()[:-8] + bytes(8))


@pytest.fixture(params=["with a key", "older"])
def age(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sent_around(store: Store, age: str, *, ordinal: int, synced: int) -> tuple[Path, int, int]:
    """A log of eleven frames; its segment, and where the second one, a lookalike, begins and ends."""
    writer = store.writer()
    store.send("c", numbered(0), writer=writer)
    begin = writer.synced_lsn
    store.send("c", lookalike(writer.log_id, ordinal=ordinal, synced=synced), writer=writer)
    end = writer.synced_lsn
    for number in range(2, 11):
        store.send("c", numbered(number), writer=writer)
    store.writers.remove(writer)
    writer.close()
    (path,) = segments_of(store, writer)
    if age == "older":
        made_older(path)
    size = KEYLESS_HEADER_SIZE if age == "older" else SEGMENT_HEADER_SIZE
    return path, size + begin, size + end


@pytest.mark.parametrize("ordinal", [2, 1 << 56])
def test_what_a_client_sent_is_not_taken_for_a_frame_by_a_repair(
    store: Store, age: str, ordinal: int
) -> None:
    path, _, end = sent_around(store, age, ordinal=ordinal, synced=0)
    flip(path, end - 3)
    (mended,) = repair(store.folder, store.catalog)
    assert (mended.frames, len(mended.losses)) == (10, 1)
    assert stored(store) == [0, *range(2, 11)]


@pytest.mark.parametrize("synced", [1 << 20, 1 << 50])
def test_what_a_client_sent_makes_no_damage_of_a_torn_end(store: Store, age: str, synced: int) -> None:
    """The power goes while it is written, and takes the position with it."""
    path, begin, end = sent_around(store, age, ordinal=2, synced=synced)
    path.write_bytes(path.read_bytes()[: end - 3])
    path.with_name("position").write_bytes(b"")
    recover(store.folder, store.catalog, store.fs)
    assert path.stat().st_size == begin, "it is cut off as any torn end"
    assert repair(store.folder, store.catalog) == []
    assert stored(store) == [0]


def test_a_whole_frame_of_a_client_is_not_taken_for_one(store: Store, age: str) -> None:
    """Bytes of any kind in the place of times, as no client could choose them: an event in a frame."""
    id = store.catalog.collections.ensure(store.project, "c").id
    writer = store.writer()
    store.send("c", numbered(0), writer=writer)
    fake = encode_frame(Batch(0, [Section(id, 0, 1, 0, 0, bytes(8), b'{"n":666}\n')]), writer.log_id, 0)
    fake += bytes(-len(fake) % 8)
    count = len(fake) // 8
    payload = b'{"n":1}\n' * count
    store.append(Batch(0, [Section(id, 1, count, 0, 0, fake, payload)]), writer)
    store.send("c", numbered(2), writer=writer)
    store.writers.remove(writer)
    writer.close()
    (path,) = segments_of(store, writer)
    if age == "older":
        made_older(path)
    flip(path, path.read_bytes().rindex(b'{"n":1}'))
    repair(store.folder, store.catalog)
    assert stored(store) == [0, 2]


def test_a_damaged_header_costs_no_frame(store: Store, age: str) -> None:
    """The key stands in the position too."""
    writer, _ = sent(store)
    (path,) = segments_of(store, writer)
    if age == "older":
        made_older(path)
    flip(path, 33)
    (mended,) = repair(store.folder, store.catalog)
    assert (mended.frames, mended.losses) == (FRAMES, [])
    assert stored(store) == list(range(FRAMES))


@pytest.mark.parametrize("moved_away", [False, True])
def test_a_repair_that_was_broken_off_is_finished_by_the_next_start(store: Store, moved_away: bool) -> None:
    writer, _ = sent(store)
    place = store.folder.log(writer.log_id)
    saved = place.with_name(f"{place.name}.saved")
    shutil.copytree(place, saved)
    if moved_away:
        shutil.rmtree(place)
    else:
        next(saved.glob("*.seg")).unlink()
    assert stored(store) == list(range(FRAMES))
    assert not saved.exists()
