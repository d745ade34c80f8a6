"""What goes wrong around the keeper keeps no event of anybody else from its file, and leaves no rubbish."""

from __future__ import annotations

import errno
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.columns.arrow_chunks import ChunkStore
from storage.disk.file_system import LocalFileSystem
from storage.disk.lock import FolderLock
from storage.files.compaction import Compactor
from storage.keeper.keeper import Keeper, KeeperSettings
from storage.log.errors import LogUnreadable
from storage.log.format import ROWWISE, SEGMENT_HEADER_SIZE
from storage.log.writer import Batch, Section
from storage.read import snapshot_reader
from storage.read.snapshot_reader import Reader, TooMuchUnsettled
from storage.recovery.takeover import adopt_orphans, recover
from storage.schema import Schema
from tests.storage.store import Store

US_PER_DAY = 86_400 * 1_000_000
LONG_AGO_US = int(datetime(2001, 5, 5, tzinfo=UTC).timestamp() * 1e6)


class Refusing(LocalFileSystem):
    """A disk that refuses to make, read or remove files whose path holds a text."""

    def __init__(self) -> None:
        self.creating = self.reading = self.removing = "\0"

    def _refuse(self, path: Path, text: str) -> None:
        if text in str(path):
            raise OSError(errno.EIO, "refused", str(path))

    def create(self, path: Path) -> int:
        self._refuse(path, self.creating)
        return super().create(path)

    def open_read(self, path: Path) -> int:
        self._refuse(path, self.reading)
        return super().open_read(path)

    def remove(self, path: Path) -> None:
        self._refuse(path, self.removing)
        super().remove(path)


@pytest.fixture
def fs() -> Refusing:
    return Refusing()


@pytest.fixture
def store(tmp_path: Path, fs: Refusing) -> Iterator[Store]:
    store = Store(tmp_path / "data", fs)
    yield store
    store.close()


def numbered(*numbers: int) -> list[bytes]:
    return [f'{{"n":{number}}}'.encode() for number in numbers]


def flush(store: Store) -> None:
    store.keeper.step()
    store.keeper.flush()


def files_on_disk(store: Store) -> int:
    return sum(1 for _ in store.folder.events.rglob("*.parquet"))


def live(store: Store, name: str) -> int:
    return len(store.catalog.files.live(store.catalog.collections.get(store.project, name).id))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write files further than so many bytes, as a full disk would."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_a_dead_file_that_can_not_be_removed_holds_up_neither_flush_nor_other_files(
    store: Store, fs: Refusing
) -> None:
    for name in ("bad", "good"):
        for number in range(4):
            store.send(name, numbered(number))
            flush(store)
    while store.keeper._compactor.step():
        pass
    fs.removing = "/bad."
    store.send("good", numbered(4))
    flush(store)
    assert sorted(store.values("good", "n")) == [0, 1, 2, 3, 4]
    assert live(store, "good") == 2
    assert files_on_disk(store) == 4 + 1 + 2
    fs.removing = "\0"
    store.keeper.step()
    assert files_on_disk(store) == 1 + 2


def test_housekeeping_that_fails_keeps_what_is_shredded(store: Store, fs: Refusing) -> None:
    """Beginning anew each time would put every flush off for ever."""
    writer = store.writer()
    store.send("c", numbered(1), writer=writer)
    store.keeper.step()
    lost = store.writer()
    lost.close()
    fs.reading = f"/log/{lost.log_id}/"
    store.keeper.step()
    store.keeper.flush()
    assert live(store, "c") == 1


def test_events_of_a_collection_that_does_not_exist_hold_up_no_other(store: Store) -> None:
    """As after a catalog was put back that is older than the logs."""
    store.send("c", numbered(1))
    section = Section(999, 0, 1, 0, 0, bytes(8), b'{"n":2}\n')
    store.append(Batch(0, [section]))
    store.send("c", numbered(3))
    flush(store)
    assert live(store, "c") == 1
    assert sorted(store.values("c", "n")) == [1, 3]


@pytest.mark.parametrize("flags", [0, ROWWISE])
def test_lanes_that_a_restored_catalog_lacks_are_found_in_the_events(store: Store, flags: int) -> None:
    """Of a running server's copy the catalog is older than the logs."""
    store.send("c", numbered(1))
    id = store.catalog.collections.get(store.project, "c").id
    store.append(Batch(0, [Section(id, 2, 1, 0, flags, bytes(8), b'{"n":2,"new":true}\n')]))
    store.append(Batch(0, [Section(id, 3, 1, 0, flags, bytes(8), b'{"n":3,"newer":{"x":"y"}}\n')]))
    flush(store)
    assert store.values("c", "n") == [1, 2, 3]
    assert store.values("c", "new") == [None, True, None]
    assert store.values("c", "newer.x") == [None, None, "y"]


def test_a_log_that_can_not_be_read_holds_up_no_other(store: Store, fs: Refusing) -> None:
    bad, good = store.writer(), store.writer()
    store.send("c", numbered(1), writer=bad)
    store.send("c", numbered(2), writer=good)
    fs.reading = f"/log/{bad.log_id}/"
    flush(store)
    for segment in store.folder.log(bad.log_id).glob("*.seg"):
        segment.unlink()
    fs.reading = "\0"
    keeper = store.new_keeper()
    keeper.step()
    keeper.flush()
    keeper.close()
    assert sum(file.rows for file in store.catalog.files.live()) == 1


def test_a_clock_that_is_set_back_puts_nothing_off(store: Store) -> None:
    now = [1_800_000_000.0]
    settings = KeeperSettings(compaction=False)
    keeper = Keeper(store.folder, store.catalog, settings, clock=lambda: now[0])
    keeper.begin()
    store.send("c", numbered(1))
    for _ in range(3):
        keeper.step()
        now[0] += 0.5
    now[0] -= 86_400.0
    other = store.writer()
    store.send("c", numbered(2), writer=other)
    other.close()
    for _ in range(80):
        keeper.step()
        now[0] += 0.5
    keeper.close()
    assert sum(file.rows for file in store.catalog.files.live()) == 2
    assert all(row.id != other.log_id or row.end_lsn is not None for row in store.catalog.logs.all())


def test_a_flush_that_fails_leaves_no_files_behind(store: Store, fs: Refusing) -> None:
    """On a full disk every attempt would else leave more."""
    for name in ("good", "bad"):
        store.send(name, numbered(1))
    fs.creating = "/bad."
    for _ in range(3):
        store.keeper.step()
        with pytest.raises(OSError, match="refused"):
            store.keeper.flush()
        store.keeper.begin()
    assert files_on_disk(store) == 0
    fs.creating = "\0"
    flush(store)
    assert (store.values("good", "n"), store.values("bad", "n")) == ([1], [1])


def test_half_a_chunk_is_not_left_on_a_full_disk(tmp_path: Path) -> None:
    chunks = ChunkStore(tmp_path / "chunks")
    table = pa.table({"text": ["x" * 1_000] * 1_000})
    with files_of_at_most(100_000), pytest.raises(OSError, match="File too large"):
        chunks.add(1, table, 0.0)
    assert list(chunks.folder.iterdir()) == []
    chunks.add(1, table, 0.0)
    assert chunks.tables(1)[0].equals(table)


def test_many_small_chunks_need_no_mapping_each(tmp_path: Path) -> None:
    """A process may have some ten thousand mappings, and there may be more collections."""
    chunks = ChunkStore(tmp_path / "chunks")
    maps = Path("/proc/self/maps")
    if not maps.exists():
        maps = tmp_path / "maps"
        maps.touch()
    before = len(maps.read_text().splitlines())
    for collection_id in range(200):
        chunks.add(collection_id, pa.table({"n": [collection_id]}), 0.0)
    assert len(maps.read_text().splitlines()) - before < 100


def test_a_keeper_that_can_not_begin_tries_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """It needs some bytes of disk for that."""
    store.send("c", numbered(1))
    keeper = Keeper(store.folder, store.catalog, KeeperSettings(shred_seconds=0.0, flush_seconds=0.0))
    stop = threading.Event()
    running = threading.Thread(target=keeper.run, args=(stop,))
    with files_of_at_most(1):
        running.start()
        deadline = time.monotonic() + 120
        while not re.search("The keeper failed a step|The disk of the data folder is full", caplog.text):
            assert running.is_alive() and time.monotonic() < deadline
            time.sleep(0.02)
    while not store.catalog.files.live() and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    running.join()
    keeper.close()
    assert store.values("c", "n") == [1]
    assert live(store, "c") == 1


def test_chunks_that_nobody_needs_go_within_seconds(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    store = Store(tmp_path / "data")
    settings = KeeperSettings(shred_seconds=0.0, housekeeping_seconds=0.0, compaction=False)
    keeper = Keeper(store.folder, store.catalog, settings, clock=lambda: now[0])
    keeper.begin()
    for number in range(5):
        store.send("c", numbered(number))
        keeper.step()
        keeper.flush()
    now[0] += 10.0
    keeper.step()
    assert [path.suffix for path in store.folder.chunks.iterdir()] == [".json"]
    keeper.close()
    store.close()


def test_events_are_shredded_though_the_spool_takes_no_file(store: Store) -> None:
    store.send("c", numbered(*range(20)))
    with files_of_at_most(10):
        assert sorted(store.values("c", "n")) == list(range(20))


def test_a_damaged_file_holds_up_the_merges_of_no_other_collection(store: Store) -> None:
    """And is never merged, which would make its damage look sound."""
    for name in ("bad", "good"):
        for number in range(4):
            store.send(name, numbered(number), time_us=LONG_AGO_US)
            flush(store)
    first = store.catalog.files.live(store.catalog.collections.get(store.project, "bad").id)[0]
    path = store.folder.absolute(first.path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    while store.keeper._compactor.step():
        pass
    assert (live(store, "bad"), live(store, "good")) == (4, 1)


def test_a_merge_that_fails_leaves_no_file_behind(store: Store, fs: Refusing) -> None:
    for number in range(4):
        store.send("c", numbered(number))
        flush(store)
    fs.creating = ".parquet"
    assert store.keeper._compactor.step() is False
    assert files_on_disk(store) == live(store, "c") == 4
    assert store.catalog.files.unfinished(2**62) == []


def test_files_that_are_huge_once_read_are_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small their first rows are, from which their size was guessed."""
    monkeypatch.setattr("storage.files.compaction.MEMORY_MAX", 1_000_000)
    monkeypatch.setattr("storage.files.parquet.ROW_GROUP_ROWS", 100)
    for _ in range(4):
        small = [b'{"x":1}'] * 100
        store.send("c", [*small, *[b'{"t":"%s"}' % (b"t" * 9_000)] * 90], time_us=LONG_AGO_US)
        flush(store)
    compactor = Compactor(store.folder, store.catalog, store.fs)
    while compactor.step():
        pass
    assert live(store, "c") > 1
    assert all(
        pq.read_table(file.path, partitioning=None).nbytes < 3_000_000 for file in store.source("c").files
    )


def test_many_empty_events_of_many_properties_are_shredded_some_at_a_time(store: Store) -> None:
    """They are small in the log and huge as columns."""
    wide = b"{" + b",".join(b'"p%d":1' % n for n in range(100)) + b"}"
    for _ in range(10):
        store.send("c", [wide, *[b"{}"] * 999])
    keeper = store.new_keeper(KeeperSettings(shred_seconds=0.0, flush_bytes=1_000_000, compaction=False))
    keeper.step()
    assert sum(file.rows for file in store.catalog.files.live()) == 2_000
    while keeper.step():
        pass
    keeper.flush()
    keeper.close()
    assert sum(file.rows for file in store.catalog.files.live()) == 10_000


def test_a_question_is_refused_before_the_logs_fill_the_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.send("c", numbered(*range(1_000)))
    monkeypatch.setattr(snapshot_reader, "REST_BYTES_MAX", 5_000)
    with pytest.raises(TooMuchUnsettled):
        store.rows("c")
    flush(store)
    assert len(store.rows("c")) == 1_000


def test_a_log_that_could_not_be_read_once_doubles_nothing(store: Store, fs: Refusing) -> None:
    for number in range(3):
        store.send("c", numbered(number))
    assert len(store.rows("c")) == 3
    log_id = store.writers[0].log_id
    rest = store.reader._rests[log_id]
    second, third = rest.frames[1].lsn, rest.frames[2].lsn
    rest.frames = rest.frames[1:]
    fs.reading = f"/log/{log_id}/"
    with pytest.raises(OSError, match="refused"):
        rest.frames_from(0)
    fs.reading = "\0"
    assert [frame.lsn for frame in rest.frames_from(second)] == [second, third]


def test_chunks_with_lanes_that_the_snapshot_does_not_know_are_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper may be quicker than a query that has just taken its snapshot."""
    store.send("c", numbered(1))
    old = store.catalog.snapshot(store.project, ["c"])
    store.send("c", [b'{"new":true}'])
    store.keeper.step()
    fresh = store.catalog.snapshot
    answers = [old]
    monkeypatch.setattr(
        store.catalog, "snapshot", lambda p, names: answers.pop() if answers else fresh(p, names)
    )
    source = store.source("c")
    assert source.tail is not None
    assert {"n", "new"} <= set(source.schema.by_column) & set(source.tail.column_names)


def test_a_start_leaves_the_chunks_of_an_import_and_clears_what_the_killed_left(store: Store) -> None:
    left = store.folder.spool / "keeper" / "tmp1.ndjson"
    left.write_bytes(b"{}\n")
    store.send("c", numbered(1))
    store.keeper.step()
    chunks = set(store.folder.chunks.iterdir())
    keeping = FolderLock(store.folder.keeper_lock)
    assert keeping.acquire()
    recover(store.folder, store.catalog, store.fs)
    assert set(store.folder.chunks.iterdir()) == chunks
    keeping.release()
    recover(store.folder, store.catalog, store.fs)
    assert list(store.folder.chunks.iterdir()) == []
    assert not left.exists()
    assert store.values("c", "n") == [1]


def test_a_log_that_is_shorter_than_what_was_flushed_of_it_does_not_stop_the_start(store: Store) -> None:
    """Its events stand in files: a disk that lied, or a log put back from an older copy."""
    store.send("c", numbered(1))
    flush(store)
    writer = store.writers.pop()
    writer.close()
    folder = store.folder.log(writer.log_id)
    (folder / "position").unlink()
    segment = next(folder.glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:SEGMENT_HEADER_SIZE])
    recover(store.folder, store.catalog, store.fs)
    assert Reader(store.folder, store.catalog).source(store.project, "c").schema != Schema()
    flush(store)
    assert store.values("c", "n") == [1]
    assert store.catalog.logs.all() == []


def test_damage_found_by_adoption_alone_is_known_to_every_question(store: Store) -> None:
    """After a power cut a position may say nothing of the stretch that is damaged."""
    store.send("c", numbered(1))
    writer = store.writer()
    for number in range(2, 7):
        store.send("c", numbered(number), writer=writer)
    store.writers.remove(writer)
    writer.close()
    folder = store.folder.log(writer.log_id)
    (folder / "position").unlink()
    segment = next(folder.glob("*.seg"))
    content = segment.read_bytes()
    segment.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    assert adopt_orphans(store.folder, store.catalog, store.fs) == 0
    with pytest.raises(LogUnreadable):
        store.rows("c")
    segment.write_bytes(content)
    assert adopt_orphans(store.folder, store.catalog, store.fs, pause_seconds=60.0) == 0
    assert adopt_orphans(store.folder, store.catalog, store.fs) == 1
    assert sorted(store.values("c", "n")) == [1, 2, 3, 4, 5, 6]
