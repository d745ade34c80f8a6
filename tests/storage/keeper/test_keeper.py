"""From the log to files: what is acknowledged is seen at once, once, before, during and after a flush."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.files.compaction import Compactor
from storage.maintenance.integrity_check import check
from storage.read.snapshot_reader import Reader
from storage.recovery.takeover import recover
from tests.storage.store import Store

DAY_US = 86_400_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def numbered(*numbers: int) -> list[bytes]:
    return [f'{{"n":{number}}}'.encode() for number in numbers]


def test_an_acknowledged_event_is_in_the_next_answer_raw_shredded_and_flushed(store: Store) -> None:
    store.send("c", numbered(1, 2))
    assert store.values("c", "n") == [1.0, 2.0]

    store.keeper.step()
    assert store.values("c", "n") == [1.0, 2.0]

    store.keeper.flush()
    assert store.values("c", "n") == [1.0, 2.0]
    assert store.source("c").tail is None


def test_files_chunks_and_the_raw_rest_add_up_without_overlap(store: Store) -> None:
    store.send("c", numbered(1))
    store.keeper.step()
    store.keeper.flush()
    store.send("c", numbered(2))
    store.keeper.step()
    store.send("c", numbered(3))

    source = store.source("c")

    assert sum(file.rows for file in source.files) == 1
    assert source.tail is not None and source.tail.num_rows == 2
    assert store.values("c", "n") == [1.0, 2.0, 3.0]


def test_events_of_every_worker_are_seen_by_every_other(store: Store) -> None:
    for number, writer in enumerate([store.writer(), store.writer(), store.writer()]):
        store.send("c", numbered(number), writer=writer)

    other = Reader(store.folder, store.catalog)
    source = other.source(store.project, "c")
    other.close()

    assert source.tail is not None and source.tail.num_rows == 3


def test_a_keeper_that_forgot_everything_goes_on_from_the_logs(store: Store) -> None:
    store.send("c", numbered(1))
    store.keeper.step()
    store.keeper.flush()
    store.send("c", numbered(2))
    store.keeper.step()

    store.keeper = store.new_keeper()
    assert store.values("c", "n") == [1.0, 2.0]
    store.keeper.step()
    store.keeper.flush()
    assert store.values("c", "n") == [1.0, 2.0]


def test_a_dead_owners_log_is_adopted_flushed_and_removed(store: Store) -> None:
    store.send("c", numbered(1, 2, 3))
    (log,) = store.catalog.logs.all()
    store.writers.pop().close()

    store.keeper.step()
    store.keeper.flush()
    store.keeper.step()

    assert store.values("c", "n") == [1.0, 2.0, 3.0]
    assert log.id not in {row.id for row in store.catalog.logs.all()}
    assert not store.folder.log(log.id).exists()


def test_lanes_that_appear_between_flushes_leave_older_files_as_they_are(store: Store) -> None:
    store.send("c", numbered(1))
    store.keeper.step()
    store.keeper.flush()
    store.send("c", [b'{"n":"one","m":true}'])
    store.keeper.step()
    store.keeper.flush()

    rows = store.rows("c")

    assert [row.get("n") for row in rows] == [1.0, None]
    assert [row.get("n:string") for row in rows] == [None, "one"]
    assert [sorted(file.columns) for file in store.source("c").files] == [
        ["keen.created_at", "keen.id", "keen.timestamp", "n"],
        ["keen.created_at", "keen.id", "keen.timestamp", "m", "n:string"],
    ]


def test_a_flush_of_22_years_and_5000_dates_makes_few_files(store: Store) -> None:
    stamps = [f"{2004 + n % 22}-{1 + n % 12:02d}-{1 + n % 28:02d}T00:00:00Z" for n in range(5_000)]
    store.send("c", [json.dumps({"keen": {"timestamp": stamp}}).encode() for stamp in stamps])
    store.keeper.step()
    store.keeper.flush()

    files = store.source("c").files
    assert len(files) <= 64
    assert sum(file.rows for file in files) == 5_000


def test_names_never_leave_their_folder_and_never_meet(store: Store) -> None:
    names = [".", "..", "a/b", "%2F", "Purchases", "purchases", "../../x", " "]
    for number, name in enumerate(names):
        store.send(name, numbered(number))
    store.keeper.step()
    store.keeper.flush()

    for number, name in enumerate(names):
        assert store.values(name, "n") == [float(number)]
        (file,) = store.source(name).files
        assert Path(file.path).resolve().is_relative_to(store.folder.events.resolve())


def test_compaction_leaves_the_same_events_in_fewer_files(store: Store) -> None:
    for number in range(8):
        store.send("c", numbered(*range(number * 10, number * 10 + 10)), time_us=number * DAY_US)
        store.keeper.step()
        store.keeper.flush()
    before = store.rows("c")
    assert len(store.source("c").files) == 8

    now = time.time()
    assert Compactor(store.folder, store.catalog, store.fs, lambda: now).step() is False, "not so soon"
    compactor = Compactor(store.folder, store.catalog, store.fs, lambda: now + 3_600)
    for _ in range(2):
        while compactor.step():
            assert store.rows("c") == before
        now += 3_600

    assert len(store.source("c").files) == 1
    compactor.remove_dead(4e9, 0.0)
    assert store.rows("c") == before
    assert len(list(store.folder.events.rglob("*.parquet"))) == 1


def test_a_keeper_removes_what_one_that_died_was_about_to_write(store: Store) -> None:
    store.send("c", numbered(1, 2))
    store.keeper.step()
    store.keeper.flush()
    (live,) = store.catalog.files.live()
    path = store.folder.absolute(live.path)
    (reserved,) = store.catalog.files.reserve(live.collection_id, 1)
    left = [path.with_name(f"{reserved}.parquet"), store.folder.spool / "keeper" / "x.ndjson"]
    for one in left:
        one.write_bytes(path.read_bytes())
    successor, stop = store.new_keeper(), threading.Event()
    stop.set()
    successor.run(stop)
    successor.close()
    assert [one for one in left if one.exists()] == []
    assert store.catalog.files.unfinished(1 << 62) == []
    assert store.values("c", "n") == [1.0, 2.0]


def test_files_are_sorted_plain_parquet_with_true_catalog_entries(store: Store) -> None:
    numbers = list(range(500))
    random.Random(3).shuffle(numbers)
    stamped = [{"n": n, "keen": {"timestamp": f"2026-05-01T00:{n // 60:02d}:{n % 60:02d}Z"}} for n in numbers]
    store.send("c", [json.dumps(event).encode() for event in stamped])
    store.keeper.step()
    store.keeper.flush()

    (file,) = store.source("c").files
    table = pq.read_table(file.path, partitioning=None)
    times = table.column("keen.timestamp").cast(pa.int64()).to_pylist()

    for name in ("keen.timestamp", "keen.created_at"):
        assert table.schema.field(name).type == pa.timestamp("us", "UTC"), "an instant is marked as one"
    assert times == sorted(times)
    assert (file.rows, file.min_us, file.max_us) == (500, times[0], times[-1])
    assert file.columns["n"] == 499.0
    assert Path(file.path).parent.name == "keen.span=2026-05-01"


def test_check_finds_nothing_in_a_sound_store_and_names_a_damaged_file(store: Store) -> None:
    store.send("c", numbered(1, 2))
    store.keeper.step()
    store.keeper.flush()
    store.send("c", numbered(3))

    report = check(store.folder, store.catalog)
    assert (report.faults, report.rows, report.buffered) == ([], 2, 1)

    (file,) = store.source("c").files
    data = bytearray(Path(file.path).read_bytes())
    data[10] ^= 1
    Path(file.path).write_bytes(data)
    (fault,) = check(store.folder, store.catalog).faults
    assert "SHA-256" in fault and Path(file.path).name in fault


def test_two_keepers_never_flush_one_event_twice(store: Store) -> None:
    store.send("c", numbered(1, 2))
    other = store.new_keeper()
    store.keeper.step()
    other.step()
    store.keeper.flush()
    with pytest.raises(Exception, match=r"(?i)flush"):
        other.flush()
    other.close()

    assert store.values("c", "n") == [1.0, 2.0]


def test_a_start_takes_over_logs_and_trusts_no_chunk_of_an_earlier_keeper(store: Store) -> None:
    store.send("c", numbered(1, 2))
    store.keeper.step()
    store.writers.pop().close()
    for path in store.folder.chunks.glob("*.arrow"):
        path.write_bytes(bytes(path.stat().st_size))
    (log,) = store.catalog.logs.all()
    (store.folder.log(log.id) / "position").write_bytes(bytes(4096))

    recover(store.folder, store.catalog, store.fs)

    reader = Reader(store.folder, store.catalog)
    source = reader.source(store.project, "c")
    reader.close()
    assert source.tail is not None and source.tail.num_rows == 2
    assert [row.state for row in store.catalog.logs.all()] == ["sealed"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_other_readers_find_the_same_instants_whatever_their_zone(store: Store, zone: str) -> None:
    """Around the hours that clocks in New York and on Lord Howe skip and repeat."""
    hours = [f"2026-{day}T{hour:02d}:30:00Z" for day in ("03-08", "04-04", "11-01") for hour in range(24)]
    store.send("c", [json.dumps({"n": 1, "keen": {"timestamp": hour}}).encode() for hour in hours])
    store.keeper.step()
    store.keeper.flush()
    files = [file.path for file in store.source("c").files]
    with duckdb.connect() as session:
        session.execute(f"SET TimeZone = '{zone}'")
        for start in hours:
            test = '"keen.timestamp" >= ?::TIMESTAMPTZ AND "keen.created_at" < ?::TIMESTAMPTZ'
            found = session.execute(
                f"SELECT count(*) FROM read_parquet(?, union_by_name=true) WHERE {test}",
                [files, start, "2000-01-01T00:00:00Z"],
            ).fetchall()
            assert found == [(sum(hour >= start for hour in hours),)]
