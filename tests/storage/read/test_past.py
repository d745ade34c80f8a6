"""Earlier versions: each is read again as it was, but for what was erased since."""

from __future__ import annotations

import copy
import errno
import operator
import random
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.catalog.stored.records import ErasureKind, ErasureState
from storage.files.compaction import Compactor
from storage.maintenance.backup import back_up
from storage.maintenance.integrity_check import check
from storage.read.versions import PastUnavailable, Version, read_version
from storage.recovery.takeover import recover
from storage.schema import LaneKind
from storage.source import SourceGone
from tests.storage.files.test_deletion import Model, _clear, flat, knowing, stored
from tests.storage.store import ALWAYS, Store, rows_of
from tests.storage.test_store_faults import StoreDisk, cut_power, faulty_store
from tests.support.scale import examples

KEEPING = replace(ALWAYS, history_seconds=1e6)


class PastModel(Model):
    """Remembers versions, with their events as a plain list has them."""

    settings = KEEPING

    def __init__(self, data: Path, choices: random.Random) -> None:
        super().__init__(data, choices)
        self.remembered: list[tuple[str, list[dict[str, Any]]]] = []

    def remember(self) -> None:
        version = self.store.reader.version(time.time_ns() // 1_000)
        self.remembered.append((str(version), [copy.deepcopy(event) for _, event in self.events]))

    def merge(self) -> None:
        ahead = time.time() + self.choices.choice([0, 1e5, 1e9])
        Compactor(self.store.folder, self.store.catalog, self.store.fs, lambda: ahead).step()

    def delete(self) -> None:
        before = {event["n"] for _, event in self.events}
        super().delete()
        gone = before - {event["n"] for _, event in self.events}
        self.remembered = [
            (version, [event for event in events if event["n"] not in gone])
            for version, events in self.remembered
        ]

    def _request(self, kind: ErasureKind, parameters: Mapping[str, Any]) -> int:
        if kind is ErasureKind.PROPERTY:
            for _, events in self.remembered:
                for event in events:
                    _clear(event, parameters["property"])
        return super()._request(kind, parameters)

    def check(self) -> None:
        for text, events in self.remembered:
            version = read_version(text)
            assert version is not None and str(version) == text
            source = self.store.reader.source_at(self.store.project, "c", version)
            assert stored(self.store, source) == events, text


@pytest.mark.parametrize("seed", range(examples(12)))
def test_every_version_is_read_as_it_was(tmp_path: Path, seed: int) -> None:
    model = PastModel(tmp_path / "data", random.Random(seed))
    verbs = [model.send, model.send, model.settle, model.settle, model.merge, model.merge, model.restart]
    verbs += [model.delete, model.drop, model.update, model.update]
    for _ in range(30):
        if model.choices.random() < 0.5:
            model.remember()
        model.choices.choice(verbs)()
        assert stored(model.store) == [event for _, event in model.events]
    model.check()
    assert check(model.store.folder, model.store.catalog).faults == []
    model.store.close()


def _store(data: Path, *, history_seconds: float = 1e6) -> Store:
    store = Store(data)
    store.keeper.close()
    store.keeper = store.new_keeper(replace(ALWAYS, history_seconds=history_seconds))
    return store


def _numbers(source: Any) -> list[float]:
    return [row["n"] for row in sorted(rows_of(source), key=operator.itemgetter("n"))]


def _flushed(store: Store, *numbers: int) -> None:
    store.send("c", [b'{"n":%d}' % number for number in numbers])
    store.keeper.step()
    store.keeper.flush()


def _now() -> int:
    return time.time_ns() // 1_000


def _merge(store: Store) -> None:
    while Compactor(store.folder, store.catalog, store.fs, lambda: time.time() + 1e9).step():
        pass


def test_a_version_is_of_a_moment_between_flushes(tmp_path: Path) -> None:
    store = _store(tmp_path)
    _flushed(store, 1, 2)
    store.send("c", [b'{"n":3}'])
    version = store.reader.version(_now())
    store.send("c", [b'{"n":4}'])
    other = store.writer()
    store.send("c", [b'{"n":5}'], writer=other)
    for _ in range(2):
        assert _numbers(store.reader.source_at(store.project, "c", version)) == [1, 2, 3]
        store.keeper.step()
        store.keeper.flush()
    _merge(store)
    source = store.reader.source_at(store.project, "c", version)
    assert _numbers(source) == [1, 2, 3] and len(store.source("c").files) == 1
    store.close()


def test_superseded_files_go_when_the_history_ends_and_their_versions_are_refused(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for number in range(4):
        _flushed(store, number)
    version = store.reader.version(_now())
    _merge(store)
    store.keeper.step()
    assert len(list(store.folder.events.rglob("*.parquet"))) == 5
    assert store.catalog.history.superseded()[0] == 4
    store.keeper.close()
    store.keeper = store.new_keeper(ALWAYS)
    store.keeper.step()
    assert len(list(store.folder.events.rglob("*.parquet"))) == 1
    with pytest.raises(PastUnavailable, match="older than"):
        store.reader.source_at(store.project, "c", version)
    assert _numbers(store.reader.source_at(store.project, "c", store.reader.version(_now()))) == [0, 1, 2, 3]
    store.close()


def test_what_was_erased_is_in_no_file_and_the_version_says_so(tmp_path: Path) -> None:
    """Not even where a superseded file has another value of the event."""
    store = _store(tmp_path)
    store.keeper.close()
    model = PastModel(tmp_path / "other", random.Random(1))
    for number in range(8):
        model.store.send("c", [b'{"n":%d,"a":"secret"}' % number], time_us=1)
        model.store.keeper.step()
        model.store.keeper.flush()
        model.events.append((1, flat({"n": number, "a": "secret"})))
    model.remember()
    model.merge()
    update = {"path": "a", "line": '{"a":"changed"}', "upsert": False}
    catalog = model.store.catalog
    collection = catalog.collections.ensure(model.store.project, "c")
    for kind, parameters in (
        (ErasureKind.UPDATE, {"by": 2, "rest": 0, "updates": [update]}),
        (ErasureKind.EVENTS, {"by": 4, "rest": 0}),
    ):
        catalog.erasures.request(collection.id, kind, parameters)
        model.store.keeper.step()
    version = read_version(model.remembered[0][0])
    assert version is not None
    source = model.store.reader.source_at(model.store.project, "c", version)
    assert _numbers(source) == [1, 2, 3, 5, 6, 7] and source.has_erased(None, None)
    assert {row["a"] for row in rows_of(source)} == {"secret"}
    assert not source.has_erased(2, None)
    model.store.keeper.step()
    catalog.erasures.request(collection.id, ErasureKind.EVENTS, {})
    model.store.keeper.step()
    model.store.keeper.step()
    assert list(model.store.folder.events.rglob("*.parquet")) == []
    model.store.close()


def test_a_check_reads_superseded_files_too(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for number in range(4):
        _flushed(store, number)
    _merge(store)
    report = check(store.folder, store.catalog)
    assert (report.faults, report.files, report.past_files) == ([], 1, 4)
    assert report.past_bytes == store.catalog.history.superseded()[1] > 0
    collection = store.catalog.collections.get(store.project, "c")
    first, second, *_ = (
        store.folder.absolute(one.path) for one in store.catalog.files.superseded(collection.id)
    )
    content = first.read_bytes()
    first.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    second.unlink()
    faults = check(store.folder, store.catalog).faults
    assert len(faults) == 2
    assert all("of earlier versions" in fault for fault in faults)
    assert str(first.name) in faults[0] and "No such file" in faults[1]
    store.close()


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_superseded_file_never_gives_a_wrong_answer(tmp_path: Path, harm: str) -> None:
    """A version says that it is not complete; all else is as before, and an erasure takes what is left."""
    store = _store(tmp_path)
    for number in range(4):
        _flushed(store, number)
    version = store.reader.version(_now())
    _merge(store)
    collection = store.catalog.collections.get(store.project, "c")
    row = store.catalog.files.superseded(collection.id)[1]
    path = store.folder.absolute(row.path)
    content = path.read_bytes()
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    with pytest.raises(SourceGone):
        source = store.reader.source_at(store.project, "c", version)
        source.verify(source.files)
    source = store.reader.source_at(store.project, "c", version)
    source.verify(source.files)
    assert _numbers(source) == [0, 2, 3] and [one.path for one in source.damaged] == [str(path)]
    assert _numbers(store.source("c")) == [0, 1, 2, 3]
    assert [one.id for one in store.catalog.files.damaged()] == [row.id]
    path.write_bytes(content)
    assert store.catalog.files.set_aside(row.id, None)
    assert _numbers(store.reader.source_at(store.project, "c", version)) == [0, 1, 2, 3]
    path.write_bytes(content[:100])
    knowing(store, settings=KEEPING)
    store.catalog.erasures.request(collection.id, ErasureKind.EVENTS, {"by": 4, "rest": 2})
    store.keeper.step()
    assert _numbers(store.source("c")) == [0, 1, 3]
    with pytest.raises(PastUnavailable):
        store.reader.source_at(store.project, "c", version)
    assert check(store.folder, store.catalog).faults == []
    store.keeper.step()
    assert not path.exists()
    store.close()


def _versions(data: Path) -> tuple[Store, StoreDisk, list[tuple[Version, list[float]]]]:
    """Events in three files that were merged, and then updated; with a version of before and of after."""
    store, fs = faulty_store(data)
    knowing(store, settings=KEEPING)
    versions = []
    for number in range(3):
        _flushed(store, 2 * number, 2 * number + 1)
    versions.append((store.reader.version(_now()), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
    _merge(store)
    collection = store.catalog.collections.get(store.project, "c")
    store.catalog.collections.add_lanes(collection.id, [("a", LaneKind.STRING)], 1_000)
    update = {"path": "a", "line": '{"a":"changed"}', "upsert": True}
    store.catalog.erasures.request(
        collection.id, ErasureKind.UPDATE, {"by": 2, "rest": 0, "updates": [update]}
    )
    store.keeper.step()
    _flushed(store, 6)
    versions.append((store.reader.version(_now()), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    return store, fs, versions


@pytest.mark.parametrize("failures", [1, 10**6], ids=["one failure", "the disk is gone"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_whatever_fails_while_versions_are_erased_from_none_is_lost_and_none_half_erased(
    tmp_path: Path, failures: int, error: int
) -> None:
    store, fs, _ = _versions(tmp_path / "measure")
    collection_id = store.catalog.collections.get(store.project, "c").id
    parameters = {"by": 3, "rest": 1}
    store.catalog.erasures.request(collection_id, ErasureKind.EVENTS, parameters)
    started = fs.operations
    store.keeper.step()
    operations = fs.operations - started
    assert operations > 12
    store.close()
    for at in random.Random(failures).sample(range(1, operations + 1), min(operations, examples(8))):
        data = tmp_path / f"fail-{at}"
        store, fs, versions = _versions(data)
        number = store.catalog.erasures.request(collection_id, ErasureKind.EVENTS, parameters)
        fs.fail(fs.operations + at, error, failures)
        with suppress(OSError):
            store.keeper.step()
        fs.fail(0, error, 0)
        _check_versions(store, versions, number)
        again = knowing(cut_power(store, fs, data), settings=KEEPING)
        recover(again.folder, again.catalog, again.fs)
        _check_versions(again, versions, number)
        again.keeper.step()
        request = again.catalog.erasures.find(number)
        assert request is not None and request.state is ErasureState.DONE
        _check_versions(again, versions, number)
        assert check(again.folder, again.catalog).faults == []
        again.keeper.step()
        kept = {one.id for one in again.catalog.files.kept(collection_id)}
        unfinished = {one.id for one in again.catalog.files.unfinished(2**62)}
        left = {int(path.stem) for path in again.folder.events.rglob("*.parquet")}
        assert kept <= left <= kept | unfinished, "erased bytes are left"
        again.close()


def _check_versions(store: Store, versions: list[tuple[Version, list[float]]], number: int) -> None:
    """Either all versions have what was to be erased, or none has."""
    request = store.catalog.erasures.find(number)
    assert request is not None
    done = request.state is ErasureState.DONE
    for version, numbers in versions:
        source = store.reader.source_at(store.project, "c", version)
        assert _numbers(source) == [one for one in numbers if not done or one % 3 != 1]
        assert source.has_erased(None, None) == done
    assert _numbers(store.source("c")) == [one for one in versions[-1][1] if not done or one % 3 != 1]


def test_an_instant_has_what_was_received_until_then(tmp_path: Path) -> None:
    store = _store(tmp_path)
    before = _now() - 20_000_000
    instants = []
    for number in range(6):
        store.send("c", [b'{"n":%d}' % number], time_us=before + number * 1_000_000)
        instants.append(before + number * 1_000_000)
        if number in (1, 4):
            store.keeper.step()
            store.keeper.flush()
    for number, instant in enumerate(instants):
        for us, last in ((instant - 1, number - 1), (instant, number)):
            version = store.reader.past.resolve(us, _now())
            store.reader.past.check(version, _now())
            source = store.reader.source_at(store.project, "c", version)
            assert _numbers(source) == [*range(last + 1)]
    store.close()


@pytest.mark.parametrize(
    "text",
    ["v999999.0", "v0.9999999999999999", "v0.0", "x1.2", "v1", "t1.2.3-4", "v1.2.3", "v1.2.3-4-5-6", ""],
)
def test_versions_of_nothing_are_refused(tmp_path: Path, text: str) -> None:
    store = _store(tmp_path)
    _flushed(store, 1)
    version = read_version(text)
    if version is not None:
        with pytest.raises(PastUnavailable):
            store.reader.past.check(version, _now())
    else:
        assert not text.startswith(("v0", "v999999"))
    store.close()


def test_a_version_of_another_history_is_refused(tmp_path: Path) -> None:
    """As after a restore: the numbers of versions are given anew, at other times."""
    store = _store(tmp_path)
    _flushed(store, 1)
    version = store.reader.version(_now() + 3_600_000_000)
    store.reader.past.check(version, _now() + 3_600_000_000)
    _flushed(store, 2)
    with pytest.raises(PastUnavailable, match="never gave"):
        store.reader.past.check(version, _now() + 3_600_000_000)
    store.close()


def test_a_backup_has_no_history(tmp_path: Path) -> None:
    store = _store(tmp_path / "data")
    for number in range(4):
        _flushed(store, number)
    version = store.reader.version(_now())
    _merge(store)
    shutil.copy(store.folder.root / "secret.key", tmp_path)
    back_up(store.folder, store.catalog, tmp_path / "copy", _now(), say=lambda _: None)
    store.close()
    assert len(list((tmp_path / "copy").rglob("*.parquet"))) == 1
    shutil.copy(tmp_path / "secret.key", tmp_path / "copy")
    copy_ = Store(tmp_path / "copy")
    assert _numbers(copy_.source("c")) == [0, 1, 2, 3]
    with pytest.raises(PastUnavailable):
        copy_.reader.source_at(copy_.project, "c", version)
    copy_.close()


def test_the_text_of_a_version_is_read_back() -> None:
    for version in (
        Version(3, 17, {}),
        Version(3, 17, {4: (5, 0), 2: (0, (1 << 62) + 9)}),
        Version(3, 17, by_arrival=True),
    ):
        assert read_version(str(version)) == version
