"""The rules of the log: what is acknowledged when, what is read, what recovery cuts and what it refuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.disk.file_system import LocalFileSystem
from storage.log.format import SEGMENT_HEADER_SIZE, encode_frame
from storage.log.position import VOIDS_MAX, ClaimedOrdinals, PositionFile
from storage.log.writer import (
    CLAIMED_BIT,
    Backpressure,
    Batch,
    LogBusy,
    LogDamaged,
    LogPosition,
    LogReader,
    LogUnavailable,
    LogWriter,
    SegmentMissing,
    adopt,
    delete_log,
    delete_through,
)
from tests.support.faulty_fs import FaultyFileSystem
from tests.support.log_verbs import (
    LOG_ID,
    PATIENCE_SECONDS,
    GatedFileSystem,
    Log,
    UnsyncedFileSystem,
    batch_of,
)
from tests.support.scale import examples

FRAME_SIZE = len(encode_frame(batch_of("a"), LOG_ID, 0))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(UnsyncedFileSystem(), tmp_path)
    yield log
    log.writer.close()


@pytest.fixture
def rolling(tmp_path: Path) -> Iterator[Log]:
    """A log that opens a new segment for every group."""
    log = Log(UnsyncedFileSystem(), tmp_path, segment_bytes_max=1)
    yield log
    log.writer.close()


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[tuple[Log, FaultyFileSystem]]:
    fs = FaultyFileSystem(tmp_path)
    log = Log(fs, tmp_path)
    yield log, fs
    log.writer.close()


# Writing and reading


def test_what_was_appended_is_read_in_order(log: Log) -> None:
    log.write("a", "b", "c")
    assert log.read() == ["a", "b", "c"]


def test_a_new_log_is_empty(log: Log) -> None:
    assert log.reader.synced() == LogPosition(0, -1)
    assert log.read() == []


def test_a_log_that_does_not_exist_has_no_position_and_no_bytes(tmp_path: Path) -> None:
    reader = LogReader(UnsyncedFileSystem(), tmp_path, 99)
    assert reader.synced() == LogPosition()
    with pytest.raises(SegmentMissing):
        list(reader.read(0, 1))


def test_an_event_has_the_ordinal_of_its_batch_plus_its_index(log: Log) -> None:
    assert log.writer.append(batch_of("a", "b"), "first") == 0
    assert log.writer.append(batch_of("c"), "second") == 2
    log.told.wait("second")
    assert [frame.base_ordinal for frame in log.reader.read(0, log.writer.synced_lsn)] == [0, 2]


def test_reading_may_start_at_any_published_position(log: Log) -> None:
    log.write("a")
    middle = log.reader.synced().lsn
    log.write("b")
    assert log.read(middle) == ["b"]
    assert log.read(0, middle) == ["a"]
    assert log.read(middle, middle) == []


def test_an_empty_batch_is_kept(log: Log) -> None:
    """It may carry duplicates to count, or an idempotency key to remember."""
    log.writer.append(Batch(1, [], "key", bytes(16)), "w")
    assert log.told.wait("w") is None
    (frame,) = log.reader.read(0, log.writer.synced_lsn)
    assert (frame.idempotency_key, frame.count) == ("key", 0)


def test_a_reader_follows_the_log_through_its_segments(rolling: Log) -> None:
    rolling.write("a", "b", "c")
    assert len(rolling.segments()) == 3
    assert rolling.read() == ["a", "b", "c"]
    assert rolling.read(FRAME_SIZE) == ["b", "c"]


def test_another_process_sees_the_position_at_once(log: Log) -> None:
    log.write("a")
    code = (
        "import sys; from pathlib import Path;"
        "from storage.disk.file_system import LocalFileSystem; from storage.log.writer import LogReader;"
        f"r = LogReader(LocalFileSystem(), Path(sys.argv[1]), {LOG_ID}); lsn = r.synced().lsn;"
        "print(lsn, len(list(r.read(0, lsn))))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(log.root)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert answer.stdout.split() == [str(FRAME_SIZE), "1"]


# Group commit and its bounds


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[tuple[Log, GatedFileSystem]]:
    fs = GatedFileSystem()
    log = Log(fs, tmp_path, queue_bytes_max=3 * FRAME_SIZE)
    fs.at_gate.clear()
    fs.gate.clear()
    yield log, fs
    fs.gate.set()
    log.writer.close()


def test_nobody_is_told_before_the_sync(gated: tuple[Log, GatedFileSystem]) -> None:
    log, fs = gated
    log.writer.append(batch_of("a"), "a")
    assert fs.at_gate.wait(30)
    assert not log.told.groups
    assert log.reader.synced().lsn == 0
    fs.gate.set()
    assert log.told.wait("a") is None


def test_what_comes_during_a_sync_is_the_next_group_and_is_told_at_once(
    gated: tuple[Log, GatedFileSystem],
) -> None:
    log, fs = gated
    log.writer.append(batch_of("a"), "a")
    assert fs.at_gate.wait(30)
    log.writer.append(batch_of("b"), "b")
    log.writer.append(batch_of("c"), "c")
    fs.gate.set()
    log.told.wait("c")
    assert log.told.groups == [(["a"], None), (["b", "c"], None)]


def test_what_is_held_waits_for_its_release_and_is_one_group(log: Log) -> None:
    for text in "abc":
        log.writer.append(batch_of(text), text, hold=True)
    assert not log.told.groups
    log.writer.release()
    log.told.wait("c")
    assert log.told.groups == [(["a", "b", "c"], None)]


class _Halting:
    """The writer's lock, behind which its sync thread halts until told to go on."""

    def __init__(self, writer: LogWriter) -> None:
        self._lock, self._thread = writer._lock, writer._thread
        self.halted, self.go_on = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if threading.current_thread() is self._thread:
            self.halted.set()
            assert self.go_on.wait(PATIENCE_SECONDS)


def test_what_comes_as_the_sync_thread_goes_to_sleep_is_not_forgotten_at_the_close(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write("a")
    lock = _Halting(log.writer)
    monkeypatch.setattr(log.writer, "_lock", lock)
    log.writer.release()
    assert lock.halted.wait(PATIENCE_SECONDS)
    log.writer.append(batch_of("b"), "b", hold=True)
    closing = threading.Thread(target=log.writer.close)
    closing.start()
    while not log.writer._closed:
        time.sleep(0.001)
    lock.go_on.set()
    closing.join(PATIENCE_SECONDS)

    assert log.told.outcome == {"a": None, "b": None}
    assert log.read() == ["a", "b"]


def test_what_is_held_goes_with_what_is_not_and_with_the_end(log: Log) -> None:
    log.writer.append(batch_of("a"), "a", hold=True)
    log.writer.append(batch_of("b"), "b")
    log.told.wait("b")
    assert log.told.groups == [(["a", "b"], None)]
    log.writer.append(batch_of("c"), "c", hold=True)
    log.writer.close()
    assert log.told.outcome == {"a": None, "b": None, "c": None}
    assert log.read() == ["a", "b", "c"]


def test_a_full_queue_refuses_and_uses_no_ordinal(gated: tuple[Log, GatedFileSystem]) -> None:
    log, fs = gated
    for text in "abc":
        log.writer.append(batch_of(text), text)
    with pytest.raises(Backpressure):
        log.writer.append(batch_of("d"), "d")
    assert log.writer.queued_bytes == 3 * FRAME_SIZE
    fs.gate.set()
    log.told.wait("c")
    assert log.write("e") == 3
    assert log.writer.queued_bytes == 0
    assert log.read() == ["a", "b", "c", "e"]


def test_a_batch_larger_than_the_queue_passes_alone(tmp_path: Path) -> None:
    log = Log(UnsyncedFileSystem(), tmp_path, queue_bytes_max=1)
    log.write("a", "b")
    assert log.read() == ["a", "b"]
    log.writer.close()


def test_closing_syncs_what_is_queued(gated: tuple[Log, GatedFileSystem]) -> None:
    log, fs = gated
    for text in "abc":
        log.writer.append(batch_of(text), text)
    fs.gate.set()
    log.writer.close()
    assert log.told.outcome == {"a": None, "b": None, "c": None}
    assert log.read() == ["a", "b", "c"]


def test_closing_lets_go_of_every_file(faulty: tuple[Log, FaultyFileSystem]) -> None:
    log, fs = faulty
    log.write("a")
    fs.fail(fs.operations + 1, errno.EIO)
    with pytest.raises(LogUnavailable):
        log.write("lost")
    log.write("b")
    log.writer.close()
    assert fs.open_descriptors == 0


def test_a_closed_log_takes_nothing(log: Log) -> None:
    log.writer.close()
    log.writer.close()
    with pytest.raises(LogUnavailable):
        log.writer.append(batch_of("a"), "a")


def test_a_waiter_that_cannot_be_told_does_not_stop_the_log(tmp_path: Path) -> None:
    calls: list[list[object]] = []

    def on_synced(waiters: list[object], error: Exception | None) -> None:
        calls.append(waiters)
        raise RuntimeError("the event loop is closed")

    writer = LogWriter.create(UnsyncedFileSystem(), tmp_path, 1, on_synced=on_synced)
    writer.append(batch_of("a"), "a")
    writer.append(batch_of("b"), "b")
    writer.close()
    assert [waiter for group in calls for waiter in group] == ["a", "b"]


# Ownership


def test_a_log_is_created_once(log: Log) -> None:
    with pytest.raises(LogBusy):
        LogWriter.create(log.fs, log.root, LOG_ID, on_synced=log.told)
    log.writer.close()
    with pytest.raises(LogBusy):
        LogWriter.create(log.fs, log.root, LOG_ID, on_synced=log.told)


def test_a_log_with_a_living_owner_is_neither_adopted_nor_deleted(log: Log) -> None:
    with pytest.raises(LogBusy):
        log.adopt()
    with pytest.raises(LogBusy):
        delete_log(log.fs, log.root, LOG_ID)


def test_a_log_that_was_adopted_while_it_was_being_made_is_not_used(tmp_path: Path) -> None:
    """Who adopted it has noted that it ends at 0."""

    class AdoptedTooEarly(UnsyncedFileSystem):
        def lock(self, path: Path) -> int:
            assert adopt(UnsyncedFileSystem(), tmp_path, LOG_ID) == LogPosition()
            return super().lock(path)

    with pytest.raises(LogBusy):
        Log(AdoptedTooEarly(), tmp_path)


# Claimed ordinals


def test_claimed_ordinals_are_a_series_of_their_own(log: Log) -> None:
    assert log.claim("a") == CLAIMED_BIT
    assert log.write("b") == 0
    assert log.claim("c") == CLAIMED_BIT + 1
    assert log.reader.synced().token_ordinal == CLAIMED_BIT + 1


def test_a_claim_is_held_only_when_it_is_synced(log: Log) -> None:
    first = log.claim("a")
    second = log.writer.reserve(1)
    position = log.reader.synced()
    assert position.holds(first) and not position.holds(second)


def test_a_reservation_passed_over_is_void_even_when_later_ones_are_synced(log: Log) -> None:
    lost = log.writer.reserve(2)
    kept = log.claim("a")
    position = log.reader.synced()
    assert position.voids == ((lost, lost + 2),)
    assert position.holds(kept) and not position.holds(lost) and not position.holds(lost + 1)
    with pytest.raises(ValueError, match="out of order"):
        log.writer.append_claimed(batch_of("late"), "late", lost)


def test_an_ordinal_must_be_reserved(log: Log) -> None:
    with pytest.raises(ValueError, match="not reserved"):
        log.writer.append_claimed(batch_of("a"), "a", CLAIMED_BIT)


def test_the_claims_of_a_failed_group_are_void(faulty: tuple[Log, FaultyFileSystem]) -> None:
    """Else another worker would take the loser of such a claim for stored."""
    log, fs = faulty
    fs.fail(fs.operations + 1, errno.EIO)
    with pytest.raises(LogUnavailable):
        log.claim("lost")
    kept = log.claim("kept")
    assert not log.reader.synced().holds(CLAIMED_BIT)
    assert log.reader.synced().holds(kept)
    log.crash()
    assert log.adopt().voids == ((CLAIMED_BIT, kept),)


def test_recovery_knows_the_last_claim_though_its_segment_is_gone(rolling: Log) -> None:
    claimed = rolling.claim("a")
    rolling.write("b", "c")
    rolling.crash()
    delete_through(rolling.fs, rolling.root, LOG_ID, 2 * FRAME_SIZE)
    rolling.forget_position()
    assert rolling.adopt() == LogPosition(3 * FRAME_SIZE, claimed)


def test_recovery_knows_a_void_though_its_segment_is_gone(rolling: Log) -> None:
    lost = rolling.writer.reserve(1)
    kept = rolling.claim("a")
    rolling.write("b")
    rolling.crash()
    delete_through(rolling.fs, rolling.root, LOG_ID, FRAME_SIZE)
    assert rolling.adopt() == rolling.adopt() == LogPosition(2 * FRAME_SIZE, kept, ((lost, kept),))


def test_a_full_table_of_voids_errs_on_the_side_of_void(tmp_path: Path) -> None:
    claims = ClaimedOrdinals(0)
    for i in range(VOIDS_MAX + 5):
        claims.note(2 * i + 1, 1, 0)
    file = PositionFile(LocalFileSystem(), tmp_path / "position", 1, writable=True)
    file.publish(1, claims, whole=True)
    position = file.read()
    file.close()
    assert len(position.voids) == VOIDS_MAX
    assert not any(position.holds(2 * i) for i in range(VOIDS_MAX + 5))
    assert all(position.holds(2 * i + 1) for i in range(VOIDS_MAX - 1))


# A write or sync that fails


OPERATIONS_OF_A_GROUP = ["append", "datasync"]


@pytest.mark.parametrize("which", range(2), ids=OPERATIONS_OF_A_GROUP)
def test_a_failed_group_is_told_and_never_read(which: int, faulty: tuple[Log, FaultyFileSystem]) -> None:
    log, fs = faulty
    log.write("a")
    fs.fail(fs.operations + 1 + which, errno.ENOSPC)
    with pytest.raises(LogUnavailable, match="No space left"):
        log.write("lost")
    log.write("b")
    assert log.read() == ["a", "b"]
    assert len(log.segments()) == 2
    log.crash()
    assert log.adopt().lsn == 2 * FRAME_SIZE
    assert log.read() == ["a", "b"]


def test_a_failed_group_is_not_recovered_when_its_owner_dies_before_it_can_go_on(
    faulty: tuple[Log, FaultyFileSystem],
) -> None:
    """Its sender has been told, and may have sent it again elsewhere."""
    log, fs = faulty
    log.write("a")
    fs.fail(fs.operations + 2, errno.EIO)
    with pytest.raises(LogUnavailable):
        log.write("whole in the file, but void")
    log.crash()
    assert log.adopt().lsn == log.adopt().lsn == FRAME_SIZE
    assert log.segments()[0].stat().st_size == SEGMENT_HEADER_SIZE + FRAME_SIZE


def test_the_ordinals_of_a_failed_group_are_not_used_again(faulty: tuple[Log, FaultyFileSystem]) -> None:
    log, fs = faulty
    fs.fail(fs.operations + 1, errno.EIO)
    with pytest.raises(LogUnavailable):
        log.write("lost")
    assert log.write("a") == 1


def test_a_descriptor_is_not_used_after_a_failed_sync(faulty: tuple[Log, FaultyFileSystem]) -> None:
    log, fs = faulty
    log.write("a")
    fs.fail(fs.operations + 2, errno.EIO)
    with pytest.raises(LogUnavailable):
        log.write("lost")
    before = len(fs.journal)
    log.write("b")
    assert fs.journal[before].startswith("create")


def test_a_segment_in_which_nothing_was_synced_is_replaced(faulty: tuple[Log, FaultyFileSystem]) -> None:
    """The next one has the same base, and so the same name."""
    log, fs = faulty
    for text in ("lost", "lost too"):
        fs.fail(fs.operations + (2 if text == "lost" else 7), errno.EIO)
        with pytest.raises(LogUnavailable):
            log.write(text)
    log.write("a")
    assert len(log.segments()) == 1
    assert log.read() == ["a"]


@pytest.mark.parametrize("which", range(5), ids=["create", "header", "datasync", "rename", "directory"])
def test_each_group_tries_anew_to_open_a_segment(which: int, faulty: tuple[Log, FaultyFileSystem]) -> None:
    log, fs = faulty
    log.write("a")
    fs.fail(fs.operations + 2, errno.EIO, failures=1)
    with pytest.raises(LogUnavailable):
        log.write("lost")
    for text in ("lost too", "lost again"):
        leftover = (log.directory / f"{FRAME_SIZE:020d}.new").exists()
        fs.fail(fs.operations + 1 + leftover + which, errno.ENOSPC)
        with pytest.raises(LogUnavailable):
            log.write(text)
    log.write("b")
    assert log.read() == ["a", "b"]


def test_a_reader_that_saw_the_segment_open_stops_where_it_was_sealed(
    faulty: tuple[Log, FaultyFileSystem],
) -> None:
    log, fs = faulty
    log.write("a")
    assert log.read() == ["a"]
    fs.fail(fs.operations + 2, errno.EIO)
    with pytest.raises(LogUnavailable):
        log.write("whole in the file, but void")
    log.write("b")
    assert log.read() == ["a", "b"]
    assert log.read(FRAME_SIZE) == ["b"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EACCES])
def test_a_log_that_cannot_be_made_says_so(error: int, tmp_path: Path) -> None:
    fs = FaultyFileSystem(tmp_path)
    fs.fail(1, error, failures=99)
    with pytest.raises(LogUnavailable):
        Log(fs, tmp_path)


# Damage between published positions is an error that names its place


def test_a_damaged_frame_names_file_and_offset(rolling: Log) -> None:
    rolling.write("a", "b", "c")
    rolling.flip(50, segment=1)
    with pytest.raises(LogDamaged) as caught:
        rolling.read()
    assert caught.value.path == rolling.segments()[1]
    assert caught.value.offset == SEGMENT_HEADER_SIZE


def test_frames_before_the_damage_are_still_given(log: Log) -> None:
    log.write("a", "b")
    log.flip(FRAME_SIZE + 50)
    reading = log.reader.read(0, 2 * FRAME_SIZE)
    assert next(reading).lsn == 0
    with pytest.raises(LogDamaged) as caught:
        next(reading)
    assert caught.value.offset == SEGMENT_HEADER_SIZE + FRAME_SIZE


def test_a_segment_shorter_than_its_successor_says_is_damaged(rolling: Log) -> None:
    rolling.write("a", "b")
    rolling.shrink(1, segment=0)
    with pytest.raises(LogDamaged, match="cut short"):
        rolling.read()


def test_a_position_within_a_frame_is_damage(log: Log) -> None:
    log.write("a", "b")
    with pytest.raises(LogDamaged):
        log.read(0, FRAME_SIZE + 1)
    with pytest.raises(LogDamaged):
        log.read(1)


def test_a_segment_of_another_log_is_refused(log: Log, tmp_path: Path) -> None:
    log.write("a")
    other = LogWriter.create(log.fs, tmp_path, 8, on_synced=log.told)
    other.close()
    path = log.segments()[0]
    path.write_bytes((tmp_path / "log" / "8" / path.name).read_bytes())
    with pytest.raises(LogDamaged, match="segment 0 of log 8"):
        log.read()


def test_a_removed_segment_is_missing_and_not_damaged(rolling: Log) -> None:
    rolling.write("a", "b", "c")
    rolling.segments()[1].unlink()
    with pytest.raises(LogDamaged):
        rolling.read()
    rolling.segments()[0].unlink()
    with pytest.raises(SegmentMissing):
        rolling.read()


# Adopting: a torn end is cut, damage is refused


def test_adopting_a_whole_log_changes_nothing(rolling: Log) -> None:
    rolling.write("a", "b")
    rolling.crash()
    before = [path.read_bytes() for path in rolling.segments()]
    assert rolling.adopt() == rolling.adopt() == LogPosition(2 * FRAME_SIZE, -1)
    assert [path.read_bytes() for path in rolling.segments()] == before


def test_a_log_of_which_only_the_folder_was_made_is_empty(tmp_path: Path) -> None:
    fs = UnsyncedFileSystem()
    assert adopt(fs, tmp_path, LOG_ID) == LogPosition()
    (tmp_path / "log" / str(LOG_ID)).mkdir(parents=True)
    assert adopt(fs, tmp_path, LOG_ID) == LogPosition()


def test_a_torn_last_frame_is_cut_at_every_byte(log: Log) -> None:
    log.write("a", "b")
    log.crash()
    path = log.segments()[0]
    whole, torn_frame = path.read_bytes(), log.frame("torn", 2)
    for size in range(len(torn_frame)):
        path.write_bytes(whole + torn_frame[:size])
        assert log.adopt().lsn == 2 * FRAME_SIZE
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "rubbish", [bytes(500), b"\xff" * 500, Random(1).randbytes(500)], ids=["zeros", "ones", "any"]
)
def test_rubbish_behind_the_last_frame_is_cut(rubbish: bytes, log: Log) -> None:
    log.write("a")
    log.crash()
    log.add(rubbish)
    assert log.adopt().lsn == FRAME_SIZE
    assert log.read() == ["a"]


def test_a_whole_frame_past_the_published_position_is_recovered(log: Log) -> None:
    """It was written, and the owner died before it could tell."""
    log.write("a")
    log.crash()
    log.add(log.frame("b", 1))
    assert log.adopt().lsn == 2 * FRAME_SIZE
    assert log.read() == ["a", "b"]


@pytest.mark.parametrize("content", [b"", bytes(4096), b"\xff" * 4096, Random(2).randbytes(4096)])
def test_the_position_file_may_hold_anything_after_a_power_cut(content: bytes, log: Log) -> None:
    log.write("a")
    claimed = log.claim("b")
    log.crash()
    log.forget_position(content)
    assert log.adopt() == LogPosition(2 * FRAME_SIZE, claimed)
    assert LogReader(log.fs, log.root, LOG_ID).synced() == LogPosition(2 * FRAME_SIZE, claimed)


def test_damage_below_the_published_position_is_refused_and_nothing_cut(log: Log) -> None:
    log.write("a", "b")
    log.crash()
    log.flip(FRAME_SIZE + 50)
    before = log.segments()[0].read_bytes()
    with pytest.raises(LogDamaged) as caught:
        log.adopt()
    assert caught.value.offset == SEGMENT_HEADER_SIZE + FRAME_SIZE
    assert log.segments()[0].read_bytes() == before


def test_bytes_missing_below_the_published_position_are_refused(log: Log) -> None:
    log.write("a", "b")
    log.crash()
    log.shrink(FRAME_SIZE)
    with pytest.raises(LogDamaged, match=f"ends before LSN {2 * FRAME_SIZE}"):
        log.adopt()


def test_a_later_frame_bears_witness_where_the_position_is_lost(log: Log) -> None:
    """The third frame was written when the first two were durable: what is wrong with them is no torn end."""
    log.write("a", "b", "c")
    log.crash()
    log.forget_position()
    log.flip(3)
    with pytest.raises(LogDamaged) as caught:
        log.adopt()
    assert caught.value.offset == SEGMENT_HEADER_SIZE


def test_frames_of_one_unsynced_group_do_not_bear_witness_for_each_other(log: Log) -> None:
    """The disk may have written the later pages first."""
    log.write("a")
    log.crash()
    torn = bytearray(log.frame("torn", 1, FRAME_SIZE))
    torn[60] ^= 1
    log.add(bytes(torn) + log.frame("whole", 2, FRAME_SIZE))
    assert log.adopt().lsn == FRAME_SIZE


def test_damage_in_a_sealed_segment_is_refused(rolling: Log) -> None:
    rolling.write("a", "b")
    rolling.crash()
    rolling.forget_position()
    rolling.flip(10, segment=0)
    with pytest.raises(LogDamaged) as caught:
        rolling.adopt()
    assert caught.value.path == rolling.segments()[0]


def test_a_bad_segment_header_is_never_a_torn_end(rolling: Log) -> None:
    rolling.write("a", "b")
    rolling.crash()
    rolling.flip(-SEGMENT_HEADER_SIZE)
    with pytest.raises(LogDamaged, match="not a log segment"):
        rolling.adopt()


def test_a_position_without_any_segment_is_damage(log: Log) -> None:
    log.write("a")
    log.crash()
    log.segments()[0].unlink()
    with pytest.raises(LogDamaged, match="no segment is left"):
        log.adopt()


@pytest.mark.parametrize("pages_taken_for_clean", [False, True])
def test_what_was_adopted_is_durable(
    pages_taken_for_clean: bool, faulty: tuple[Log, FaultyFileSystem]
) -> None:
    """The owner died between write and sync, or after a failed sync whose pages a retry would not write."""
    log, fs = faulty
    log.write("a")
    log.crash()
    fd = fs.open_write(log.segments()[0])
    fs.write_at(fd, log.frame("b", 1), SEGMENT_HEADER_SIZE + FRAME_SIZE)
    if pages_taken_for_clean:
        fs.fail(fs.operations + 1, errno.EIO)
        with pytest.raises(OSError):
            fs.datasync(fd)
    fs.close(fd)
    assert log.adopt().lsn == 2 * FRAME_SIZE
    fs.power_loss()
    assert log.adopt().lsn == 2 * FRAME_SIZE
    assert log.read() == ["a", "b"]


def test_an_empty_last_segment_that_was_adopted_still_hides_what_is_void(
    faulty: tuple[Log, FaultyFileSystem],
) -> None:
    """Its entry in the directory was not synced when its owner died."""
    log, fs = faulty
    log.write("a")
    fs.fail(fs.operations + 2, errno.EIO)
    with pytest.raises(LogUnavailable):
        log.write("whole in the file, but void")
    # The disk gets the void bytes after all.
    path = log.segments()[0]
    fd = fs.open_write(path)
    fs.write_at(fd, path.read_bytes(), 0)
    fs.datasync(fd)
    fs.close(fd)
    fs.fail(fs.operations + 5, errno.EIO, failures=99)
    with pytest.raises(LogUnavailable):
        log.write("lost too")
    log.crash()
    fs.fail(0, 0, 0)
    assert log.adopt().lsn == FRAME_SIZE
    fs.power_loss()
    assert log.adopt().lsn == FRAME_SIZE


def test_a_half_made_segment_is_cleared_away(log: Log) -> None:
    log.write("a")
    log.crash()
    (log.directory / f"{FRAME_SIZE:020d}.new").write_bytes(b"acum")
    assert log.adopt().lsn == FRAME_SIZE
    assert not list(log.directory.glob("*.new"))


@settings(max_examples=examples(150), deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_in_the_log_is_noticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By a reader always; by adoption unless it is past what anything vouches for: there it tears the end."""
    log = Log(UnsyncedFileSystem(), tmp_path_factory.mktemp("log"), segment_bytes_max=300)
    texts = data.draw(st.lists(st.text("abcdef", max_size=40), min_size=1, max_size=8))
    for i, text in enumerate(texts):
        log.writer.append(batch_of(text), i)
        log.told.wait(i)
    log.crash()
    path = data.draw(st.sampled_from(log.segments()))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    position_lost = data.draw(st.booleans())
    if position_lost:
        log.forget_position()
    else:
        with pytest.raises((LogDamaged, SegmentMissing)):
            log.read()
    try:
        log.adopt()
    except LogDamaged:
        return
    assert position_lost
    survived = log.read()
    assert survived == texts[: len(survived)] and len(survived) < len(texts)


# Letting go


def test_only_whole_segments_below_the_position_are_deleted(rolling: Log) -> None:
    rolling.write("a", "b", "c")
    delete_through(rolling.fs, rolling.root, LOG_ID, 2 * FRAME_SIZE - 1)
    assert len(rolling.segments()) == 2
    assert rolling.read(FRAME_SIZE) == ["b", "c"]
    with pytest.raises(SegmentMissing):
        rolling.read()


def test_the_last_segment_stays_so_that_the_log_goes_on(rolling: Log) -> None:
    rolling.write("a", "b")
    delete_through(rolling.fs, rolling.root, LOG_ID, 10**9)
    rolling.write("c")
    assert rolling.read(FRAME_SIZE) == ["b", "c"]


def test_a_deletion_that_fails_leaves_a_log_that_reads_on(tmp_path: Path) -> None:
    fs = FaultyFileSystem(tmp_path)
    log = Log(fs, tmp_path, segment_bytes_max=1)
    log.write("a", "b", "c", "d")
    fs.fail(fs.operations + 2, errno.EIO)
    with pytest.raises(OSError):
        delete_through(fs, tmp_path, LOG_ID, 3 * FRAME_SIZE)
    assert log.read(FRAME_SIZE) == ["b", "c", "d"]
    delete_through(fs, tmp_path, LOG_ID, 3 * FRAME_SIZE)
    assert log.read(3 * FRAME_SIZE) == ["d"]
    log.crash()


def test_deleted_segments_do_not_come_back_with_a_power_cut(tmp_path: Path) -> None:
    """They may hold events that somebody asked to have erased."""
    fs = FaultyFileSystem(tmp_path)
    log = Log(fs, tmp_path, segment_bytes_max=1)
    log.write("a", "b", "c")
    log.crash()
    delete_through(fs, tmp_path, LOG_ID, 2 * FRAME_SIZE)
    fs.power_loss()
    assert len(log.segments()) == 1


def test_a_deleted_log_is_gone_and_deleting_it_again_is_nothing(rolling: Log) -> None:
    rolling.write("a", "b")
    rolling.crash()
    delete_log(rolling.fs, rolling.root, LOG_ID)
    delete_log(rolling.fs, rolling.root, LOG_ID)
    assert not rolling.directory.exists()


def test_a_log_half_deleted_can_still_be_adopted(tmp_path: Path) -> None:
    for n in range(1, 20):
        root = tmp_path / str(n)
        root.mkdir()
        fs = FaultyFileSystem(root)
        log = Log(fs, root, segment_bytes_max=1)
        log.write("a", "b")
        log.crash()
        fs.fail(fs.operations + n, errno.EIO)
        try:
            delete_log(fs, root, LOG_ID)
        except OSError:
            assert log.adopt().lsn in (0, 2 * FRAME_SIZE)
            delete_log(fs, root, LOG_ID)
        assert not log.directory.exists()


# The files beneath


def test_a_short_write_is_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:3]))
    fs = LocalFileSystem()
    fd = fs.create(tmp_path / "file")
    fs.append(fd, b"0123456789")
    fs.close(fd)
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_lock_is_held_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    fs = LocalFileSystem()
    fd = fs.lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        fs.lock(tmp_path / "lock")
    fs.close(fd)
    fs.close(fs.lock(tmp_path / "lock"))


def test_a_short_position_file_is_filled_up_when_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "position").write_bytes(pack("<Q", 5))
    mapped = LocalFileSystem().map(tmp_path / "position", 4096, writable=True)
    assert mapped[:8] == pack("<Q", 5) and mapped[8:] == bytes(4088)
    mapped.close()


def test_the_log_works_on_the_real_file_system(tmp_path: Path) -> None:
    log = Log(LocalFileSystem(), tmp_path, segment_bytes_max=1)
    log.write("a", "b")
    log.crash()
    assert log.adopt().lsn == 2 * FRAME_SIZE
    assert log.read() == ["a", "b"]
