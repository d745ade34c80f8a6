"""Earlier versions: each is read again as it was, but for what was erased since."""

from __future__ import annotations

import copy
import operator
import random
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.catalog.stored.records import ErasureKind
from storage.files.compaction import Compactor
from storage.maintenance.backup import back_up
from storage.maintenance.integrity_check import check
from storage.read.versions import PastUnavailable, Version, read_version
from tests.storage.files.test_deletion import Model, _clear, flat, stored
from tests.storage.store import ALWAYS, Store, rows_of
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
