"""What is kept of files: whole or not at all, within its bounds, and gone with the bytes of its file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from storage.files.compaction import Compactor
from storage.files.partials import Partials
from storage.keeper.partials_keeper import PartialsKeeper
from storage.source import DataFile
from tests.storage.keeper.test_keeper_faults import files_of_at_most
from tests.storage.store import Store


def a_file(folder: Path, size: int = 100_000, number: int = 7) -> DataFile:
    path = folder / "events" / "p" / "c.3.1" / "keen.span=2026-05-01" / f"{number}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return DataFile(str(path), 1_000_000, size, 0, 1, {})


def rows(count: int, seed: int = 1) -> pa.Table:
    rng = random.Random(seed)
    return pa.table({"a": [rng.random() for _ in range(count)]})


def test_what_was_kept_is_found_by_another_process(tmp_path: Path) -> None:
    file, table = a_file(tmp_path), rows(50)
    assert Partials(tmp_path / "partials").keep(file, "k", table, 1.0)
    other = Partials(tmp_path / "partials")
    assert other.find(file, "k") == table
    assert other.find(file, "l") is None
    assert other.holds(file, "k")


def test_what_is_damaged_is_never_used_and_goes(tmp_path: Path) -> None:
    file, table = a_file(tmp_path), rows(20)
    for cut in (False, True):
        store = Partials(tmp_path / "partials")
        store.keep(file, "k", table, 1.0)
        (path,) = (tmp_path / "partials").rglob("*.part")
        whole = path.read_bytes()
        for at in range(0, len(whole), 7):
            changed = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            path.write_bytes(changed)
            found = Partials(tmp_path / "partials").find(file, "k")
            # The time that it took is no part of what is kept.
            assert found is None or found == table
            assert path.exists() == (found is not None)


def test_a_file_takes_no_more_than_its_share_and_the_useful_stay(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    store = Partials(tmp_path / "partials", share=0.1)
    for number in range(30):
        store.keep(file, f"k{number}", rows(150, number), seconds=float(number))
        sizes = [path.stat().st_size for path in (tmp_path / "partials").rglob("*.part")]
        assert sum(sizes) <= 0.1 * file.bytes
    left = sorted(int(path.stem[1:]) for path in (tmp_path / "partials").rglob("*.part"))
    assert left == list(range(30 - len(left), 30))
    assert len(left) > 2
    assert not store.keep(file, "poor", rows(150, 99), seconds=0.001)
    assert store.is_refused(file, "poor")
    assert not store.keep(file, "large", rows(2_000), seconds=100.0)


def test_memory_is_bounded(tmp_path: Path) -> None:
    file = a_file(tmp_path, 10_000_000)
    store = Partials(tmp_path / "partials", memory_bytes=20_000)
    for number in range(50):
        store.keep(file, f"k{number}", rows(500, number), 1.0)
        store.keep_merged(f"m{number}", (frozenset(), rows(500)))
    assert len([n for n in range(50) if store.find_merged(f"m{n}") is not None]) <= 5
    assert all(store.find(file, f"k{number}") == rows(500, number) for number in range(50))


def test_nothing_is_kept_of_a_file_that_is_gone(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    Path(file.path).unlink()
    Partials(tmp_path / "partials").keep(file, "k", rows(5), 1.0)
    assert list((tmp_path / "partials").rglob("*")) == []


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Store, Partials]:
    """A store with four small files, of each of which something is kept."""
    store = Store(tmp_path / "data")
    for number in range(4):
        store.send("c", [json.dumps({"n": number * 10 + n, "s": "x" * 5_000}).encode() for n in range(10)])
        store.keeper.step()
        store.keeper.flush()
    partials = Partials(store.folder.partials, rows_min=1, share=10.0)
    for file in store.source("c").files:
        assert partials.keep(file, "k", rows(3), 1.0)
    return store, partials


def held(store: Store) -> list[Path]:
    return sorted(store.folder.partials.rglob("*.part"))


def test_where_none_can_be_written_the_log_says_so_once_and_none_is_tried_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, table = a_file(tmp_path), rows(200)
    store = Partials(tmp_path / "partials")
    with files_of_at_most(300):
        assert store.keep(file, "k", table, 1.0)
    assert [path for path in (tmp_path / "partials").rglob("*") if path.is_file()] == []
    (said,) = caplog.messages
    assert "could not be kept" in said and "answered from the events" in said
    assert store.find(file, "k") is None
    assert store.is_refused(file, "k") and store.is_refused(file, "other")
    assert Partials(tmp_path / "partials").keep(file, "k", table, 1.0)
    assert store.find(file, "k") == table


def test_one_that_was_cut_makes_room_first(kept: tuple[Store, Partials]) -> None:
    """As a power cut leaves one that was renamed before its bytes were on the disk."""
    store, _ = kept
    cut = held(store)[2]
    size = cut.stat().st_size
    cut.write_bytes(b"")
    PartialsKeeper(store.folder, store.catalog, 3 * size).step(0.0)
    assert len(held(store)) == 4
    PartialsKeeper(store.folder, store.catalog, 3 * size - 1).step(0.0)
    assert cut not in held(store) and len(held(store)) == 2


def test_it_goes_with_the_bytes_of_its_file(kept: tuple[Store, Partials]) -> None:
    store, _ = kept
    compactor = Compactor(store.folder, store.catalog, store.fs, lambda: 4e9)
    while compactor.step():
        pass
    assert len(held(store)) == 4, "queries may still read the old files"
    compactor.remove_dead(4e9, 0.0)
    assert list(store.folder.partials.rglob("*")) == []
    assert store.values("c", "n") == [float(n) for n in range(40)]


def test_a_keeper_removes_what_is_of_no_file(kept: tuple[Store, Partials]) -> None:
    store, partials = kept
    stray = a_file(store.folder.root, number=999_999)
    partials.keep(stray, "k", rows(3), 1.0)
    assert len(held(store)) == 5
    PartialsKeeper(store.folder, store.catalog, 1 << 30).step(0.0)
    assert len(held(store)) == 4


def test_all_together_are_bounded(kept: tuple[Store, Partials]) -> None:
    store, partials = kept
    files = store.source("c").files
    for seconds, file in enumerate(files):
        partials.keep(file, "k", rows(3), 1.0 + seconds)
    each = held(store)[0].stat().st_size
    PartialsKeeper(store.folder, store.catalog, 2 * each).step(0.0)
    assert [path.parent.name for path in held(store)] == [Path(file.path).stem for file in files[2:]]
    PartialsKeeper(store.folder, store.catalog, 0).step(0.0)
    assert held(store) == []
