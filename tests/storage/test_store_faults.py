"""A failing disk under the whole store: logs, flush and files. What was acknowledged is there, once."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from storage.log.writer import LogUnavailable
from storage.maintenance.integrity_check import check
from tests.storage.store import Store
from tests.support.faulty_fs import FaultyFileSystem, _Directory
from tests.support.scale import part

FOLDERS = ("events", "log")


class StoreDisk(FaultyFileSystem):
    """The disk under the logs and files of a store; the catalog, which is SQLite's, lies beside it."""

    def take_over(self) -> None:
        """Know of the folders that were made before."""
        for name in FOLDERS:
            self._tree.entries[name] = self._tree.durable[name] = _Directory()


class Unsynced(StoreDisk):
    """A disk on which nothing is ever synced: what a store that forgets to sync would leave."""

    def datasync(self, fd: int) -> None:
        self._step("no sync")


def faulty_store(data: Path, disk: type[StoreDisk] = StoreDisk) -> tuple[Store, StoreDisk]:
    """A store whose logs and files lie on a disk that can fail."""
    fs = disk(data.absolute())
    store = Store(data, fs)
    fs.take_over()
    return store, fs


def numbered(*numbers: int) -> list[bytes]:
    return [f'{{"n":{number}}}'.encode() for number in numbers]


def cut_power(store: Store, fs: StoreDisk, data: Path) -> Store:
    """The machine stops at once; another start finds what was synced."""
    for writer in store.writers:
        writer.close()
    store.writers.clear()
    store.keeper.close()
    store.reader.close()
    store.catalog.close()
    fs.power_loss()
    return Store(data)


@pytest.mark.parametrize("flushed", [False, True])
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path, flushed: bool) -> None:
    store, fs = faulty_store(tmp_path / "data")
    store.send("c", numbered(1, 2))
    store.keeper.step()
    if flushed:
        store.keeper.flush()
    store.send("d", numbered(3))

    again = cut_power(store, fs, tmp_path / "data")
    again.keeper.step()

    assert (again.values("c", "n"), again.values("d", "n")) == ([1.0, 2.0], [3.0])
    assert check(again.folder, again.catalog).faults == []
    again.close()


def test_a_store_that_does_not_sync_its_files_is_caught(tmp_path: Path) -> None:
    store, fs = faulty_store(tmp_path / "data", Unsynced)
    store.send("c", numbered(1, 2))
    store.keeper.step()
    store.keeper.flush()

    again = cut_power(store, fs, tmp_path / "data")

    assert check(again.folder, again.catalog).faults
    again.close()


def run(store: Store) -> list[float]:
    """A few batches with flushes between them; the numbers that were acknowledged."""
    acknowledged: list[float] = []
    for number in range(6):
        try:
            store.send("c", numbered(number), time_us=number * 86_400_000_000 * 400)
            acknowledged.append(float(number))
        except LogUnavailable:
            pass
        if number % 2:
            try:
                store.keeper.step()
                store.keeper.flush()
            except OSError:
                store.keeper.begin()
    return acknowledged


def test_any_one_failing_operation_loses_and_doubles_nothing(tmp_path: Path) -> None:
    store, fs = faulty_store(tmp_path / "measure")
    store.writer()
    started = fs.operations
    run(store)
    store.close()

    for at in part(range(started + 1, fs.operations + 1), 12):
        data = tmp_path / f"fail-{at}"
        store, fs = faulty_store(data)
        store.writer()
        fs.fail(at, errno.ENOSPC)
        acknowledged = run(store)
        values = store.values("c", "n")
        assert values == acknowledged, fs.journal[-1]

        again = cut_power(store, fs, data)
        again.keeper.step()
        assert again.values("c", "n") == acknowledged, f"after operation {at} failed and power was cut"
        assert check(again.folder, again.catalog).faults == []
        again.close()
