"""Whatever file operation fails, and whenever the power goes: what was acknowledged is there, once.

One scripted workload is run again and again, with its n-th file operation failing, for every n. Then the
power is cut, or only the process dies, the log is adopted and compared with what its waiters were told.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from storage.log import writer as log_module
from storage.log.writer import CLAIMED_BIT, Frame, LogPosition, LogReader, LogUnavailable, LogWriter, adopt
from tests.support.faulty_fs import FaultyFileSystem
from tests.support.log_verbs import LOG_ID, Told, batch_of, texts_of
from tests.support.scale import examples

BATCHES = 12
SEGMENT_BYTES_MAX = 300
FOREVER = 10**9


@dataclass
class Outcome:
    """What the clients of the workload were told, by text."""

    stored: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    claims: dict[str, int] = field(default_factory=dict)


def run_workload(fs: FaultyFileSystem, writer_class: type[LogWriter] = LogWriter) -> Outcome:
    """Single batches and groups of three, plain and claimed, a claim given up, over several segments."""
    told, outcome = Told(), Outcome()
    try:
        writer = writer_class.create(fs, fs.root, LOG_ID, on_synced=told, segment_bytes_max=SEGMENT_BYTES_MAX)
    except LogUnavailable:
        return outcome
    live = LogReader(fs, fs.root, LOG_ID)
    try:
        for i in range(BATCHES):
            append_batches(writer, told, outcome, i)
        # The living owner's readers see what was acknowledged, and nothing else.
        position = live.synced()
        assert read_batches(live, position) == outcome.stored
        check_claims(outcome, set(outcome.stored), position)
    finally:
        writer.close()
        live.close()
    return outcome


def append_batches(writer: LogWriter, told: Told, outcome: Outcome, i: int) -> None:
    texts = [f"{i}.{k}" for k in range(3 if i % 4 == 1 else 1)]
    for text in texts:
        if i % 3 != 2:
            writer.append(batch_of(text, text + "'"), text)
            continue
        if i == 8:
            writer.reserve(2)
        outcome.claims[text] = writer.reserve(1)
        writer.append_claimed(batch_of(text), text, outcome.claims[text])
    for text in texts:
        (outcome.failed if told.wait(text) else outcome.stored).append(text)


def read_batches(reader: LogReader, position: LogPosition) -> list[str]:
    """The first text of each frame, in log order. Every frame must be whole and in order."""
    frames: list[Frame] = list(reader.read(0, position.lsn))
    for series in (0, CLAIMED_BIT):
        mine = [frame for frame in frames if frame.base_ordinal & CLAIMED_BIT == series]
        ends = [0] + [frame.base_ordinal + frame.count for frame in mine]
        assert all(frame.base_ordinal >= end for frame, end in zip(mine, ends, strict=False))
    for frame in frames:
        first, *rest = texts_of(frame)
        assert rest == ([] if frame.base_ordinal & CLAIMED_BIT else [first + "'"])
    return [texts_of(frame)[0] for frame in frames]


def check_claims(outcome: Outcome, present: set[str], position: LogPosition) -> None:
    """A claim is held exactly when its event is in the log."""
    for text, ordinal in outcome.claims.items():
        assert position.holds(ordinal) == (text in present), text


def recover_and_check(fs: FaultyFileSystem, outcome: Outcome) -> list[str]:
    """What is in the log after adoption: all that was acknowledged, and perhaps some that failed."""
    position = adopt(fs, fs.root, LOG_ID)
    assert adopt(fs, fs.root, LOG_ID) == position
    reader = LogReader(fs, fs.root, LOG_ID)
    assert reader.synced() == position
    present = read_batches(reader, position) if position.lsn else []
    reader.close()
    assert len(set(present)) == len(present), "an event is there twice"
    assert [text for text in present if text not in outcome.failed] == outcome.stored
    check_claims(outcome, set(present), position)
    return present


@dataclass(frozen=True)
class Fault:
    """How an operation fails, and what becomes of the disk after the workload."""

    error: int
    failures: int
    power_loss: bool
    lenient: bool = False
    """Some of what was not synced survives the cut."""


FAULTS = {
    "one error, then the process dies": Fault(errno.EIO, 1, power_loss=False),
    "one error, then the power goes": Fault(errno.EIO, 1, power_loss=True),
    "the disk is full for a while": Fault(errno.ENOSPC, 4, power_loss=True),
    "the disk is full for long, then the process dies": Fault(errno.ENOSPC, 15, power_loss=False),
    "the power goes at once": Fault(errno.EIO, FOREVER, power_loss=True),
    "the power goes at once, and some unsynced bytes survive": Fault(
        errno.EIO, FOREVER, power_loss=True, lenient=True
    ),
    "one error, then the power goes, and some unsynced bytes survive": Fault(
        errno.EIO, 1, power_loss=True, lenient=True
    ),
}


def try_every_operation(
    folder: Path,
    fault: Fault,
    make_fs: Callable[[Path], FaultyFileSystem] = FaultyFileSystem,
    writer_class: type[LogWriter] = LogWriter,
    seed: int = 0,
) -> int:
    """Let each operation of the workload fail in its turn; the number of operations."""
    for n in range(1, FOREVER):
        root = folder / f"{seed}-{n}"
        root.mkdir()
        fs = make_fs(root)
        fs.fail(n, fault.error, fault.failures)
        outcome = run_workload(fs, writer_class)
        reached = fs.operations >= n
        fs.fail(0, 0, 0)
        if fault.power_loss:
            fs.power_loss(Random(f"{seed} {n}") if fault.lenient else None)
        present = recover_and_check(fs, outcome)
        assert fault.power_loss or present == outcome.stored
        if not reached:
            assert not outcome.failed
            return n - 1
    raise AssertionError


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_every_acknowledged_event_survives_a_failure_of_any_operation(fault: Fault, tmp_path: Path) -> None:
    for seed in range(examples(3) if fault.lenient else 1):
        assert try_every_operation(tmp_path, fault, seed=seed) > 2 * BATCHES


def operations_of_adoption(folder: Path) -> Iterator[tuple[FaultyFileSystem, Outcome, int]]:
    """A log whose power was cut in the middle, and a failure at each operation of adopting it in turn."""
    for cut in (15, 30, 45):
        for n in range(1, FOREVER):
            root = folder / f"{cut}-{n}"
            root.mkdir()
            fs = FaultyFileSystem(root)
            fs.fail(cut, errno.EIO, FOREVER)
            outcome = run_workload(fs)
            fs.fail(0, 0, 0)
            fs.power_loss(Random(cut))
            before = fs.operations
            yield fs, outcome, before + n
            if fs.operations < before + n:
                break


@pytest.mark.parametrize("power_loss", [False, True])
def test_adoption_may_fail_anywhere_and_be_done_again(power_loss: bool, tmp_path: Path) -> None:
    for fs, outcome, n in operations_of_adoption(tmp_path):
        fs.fail(n, errno.EIO)
        try:
            adopt(fs, fs.root, LOG_ID)
        except OSError:
            pass
        reached = fs.operations
        fs.fail(0, 0, 0)
        if power_loss:
            fs.power_loss(Random(n))
        recover_and_check(fs, outcome)
        fs.operations = reached


def test_what_was_adopted_stays_though_a_sync_had_failed_before(tmp_path: Path) -> None:
    """After a failed sync the system may take pages for clean that the disk never got."""
    for n in range(1, 60):
        root = tmp_path / str(n)
        root.mkdir()
        fs = FaultyFileSystem(root)
        fs.fail(n, errno.EIO, FOREVER)
        run_workload(fs)
        fs.fail(0, 0, 0)
        if not (root / "log" / str(LOG_ID)).exists():
            continue
        adopted = adopt(fs, root, LOG_ID)
        before = [texts_of(frame) for frame in LogReader(fs, root, LOG_ID).read(0, adopted.lsn)]
        fs.power_loss()
        assert adopt(fs, root, LOG_ID) == adopted
        after = [texts_of(frame) for frame in LogReader(fs, root, LOG_ID).read(0, adopted.lsn)]
        assert after == before


def test_what_adoption_published_survives_a_power_cut(tmp_path: Path) -> None:
    """The log is sealed then and never adopted again: its readers go by the position alone."""
    fs = FaultyFileSystem(tmp_path)
    run_workload(fs)
    adopted = adopt(fs, tmp_path, LOG_ID)
    fs.power_loss()
    assert LogReader(fs, tmp_path, LOG_ID).synced() == adopted


# The harness itself: it must catch a log that breaks its promise.


class NeverSyncs(FaultyFileSystem):
    """As if the writer acknowledged before it synced."""

    def datasync(self, fd: int) -> None:
        pass


class NeverSyncsDirectories(FaultyFileSystem):
    def sync_directory(self, path: Path) -> None:
        pass


class SyncsTooFewBytes(FaultyFileSystem):
    """As if the last bytes of a group were written after its sync."""

    def datasync(self, fd: int) -> None:
        super().datasync(fd)
        self._open[fd].durable = self._open[fd].durable[:-1]


class KeepsItsDescriptor(LogWriter):
    """Goes on in the same file after a failed write or sync."""

    def _abandon_segment(self) -> None:
        if self._closed:
            super()._abandon_segment()

    def _write(self, group: log_module._CommitGroup) -> None:
        if self._segment_fd is not None:
            self._segment_base = self._synced_lsn
        super()._write(group)


class ReusesOrdinals(LogWriter):
    """Gives the ordinals of a failed group out again."""

    def _abandon_segment(self) -> None:
        super()._abandon_segment()
        self._next_ordinal = max(0, self._next_ordinal - 6)


@pytest.mark.parametrize("make_fs", [NeverSyncs, NeverSyncsDirectories, SyncsTooFewBytes])
def test_the_harness_catches_an_acknowledgement_before_the_sync(
    make_fs: type[FaultyFileSystem], tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, log_module.LogError)):
        try_every_operation(tmp_path, FAULTS["the power goes at once"], make_fs)


@pytest.mark.parametrize("writer_class", [KeepsItsDescriptor, ReusesOrdinals])
def test_the_harness_catches_a_writer_that_goes_on_as_if_nothing_had_happened(
    writer_class: type[LogWriter], tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, log_module.LogError)):
        try_every_operation(
            tmp_path, FAULTS["one error, then the process dies"], FaultyFileSystem, writer_class
        )
