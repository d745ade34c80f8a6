"""Deleting and changing stored events: as a plain list has it, and before or after, never between."""

from __future__ import annotations

import errno
import json
import operator
import random
import shutil
import sqlite3
import time
from collections import namedtuple
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storage.catalog.stored.records import ErasureKind, ErasureState, event_scope
from storage.events.validation import Context, examine
from storage.files import deletion
from storage.keeper.keeper import Keeper, KeeperSettings
from storage.maintenance.integrity_check import check
from storage.recovery.takeover import recover
from storage.schema import EMPTIES, NULLS
from storage.source import Source
from tests.storage.store import ALWAYS, LIMITS, Store, rows_of
from tests.storage.test_store_faults import cut_power, faulty_store
from tests.support.catalogs import claim_of
from tests.support.scale import examples

DAY_US = 86_400_000_000
FullDisk = namedtuple("FullDisk", "total used free")
VALUES: list[Any] = [None, {}, 1, 2.5, "x", True, {"b": 3}, {"b": "y", "c": None}, {"b": {}}]


def matching(source: Source, parameters: Mapping[str, Any]) -> list[str] | None:
    """Events whose ``n`` leaves ``rest`` when divided by ``by``, in the timeframe."""
    by, rest = parameters.get("by", 1), parameters.get("rest", 0)
    if parameters.keys() <= {"updates"}:
        return None
    (file,) = source.files
    table = pq.read_table(file.path, columns=["keen.id", "keen.timestamp", "n"], partitioning=None)
    found = []
    for row in table.to_pylist():
        us = int(row["keen.timestamp"].timestamp() * 1e6 + 0.5)
        if row["n"] % by == rest and within(us, parameters):
            found.append(row["keen.id"])
    return found


def within(us: int, parameters: Mapping[str, Any]) -> bool:
    start, end = parameters.get("start_us"), parameters.get("end_us")
    return (start is None or us >= start) and (end is None or us < end)


def knowing(store: Store, clock: Callable[[], float] = time.time, settings: KeeperSettings = ALWAYS) -> Store:
    """With a keeper that knows which events are meant."""
    store.keeper.close()
    store.keeper = Keeper(store.folder, store.catalog, settings, fs=store.fs, matcher=matching, clock=clock)
    store.keeper.begin()
    return store


def flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """Path → value, null, or an empty object: what an event is made of."""
    leaves: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, dict) and value:
            leaves |= {f"{name}.{below}": found for below, found in flat(value).items()}
        else:
            leaves[name] = value
    return leaves


def stored(store: Store, source: Source | None = None) -> list[dict[str, Any]]:
    """The events as the store has them, or a source, by ``n``."""
    events = []
    for row in store.rows("c") if source is None else rows_of(source):
        event = {c.partition(":")[0]: v for c, v in row.items() if not c.startswith("keen.")}
        assert len(event) == sum(not c.startswith("keen.") for c in row), "two values at one path"
        event |= dict.fromkeys(row.get(NULLS, ())) | {path: {} for path in row.get(EMPTIES, ())}
        events.append(event)
    return sorted(events, key=operator.itemgetter("n"))


class Model:
    """The same in a plain list of (time, event), beside a store that is told all it is told."""

    settings = ALWAYS

    def __init__(self, data: Path, choices: random.Random) -> None:
        self.data, self.choices = data, choices
        self.store = knowing(Store(data), settings=self.settings)
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.sent = 0

    def send(self) -> None:
        us = self.choices.randrange(4) * 40 * DAY_US + self.choices.randrange(DAY_US)
        batch = []
        for _ in range(self.choices.randint(1, 6)):
            event: dict[str, Any] = {"n": self.sent}
            if self.choices.random() < 0.8:
                event["a"] = self.choices.choice(VALUES)
            self.sent += 1
            self.events.append((us, flat(event)))
            batch.append(json.dumps(event).encode())
        while len(self.store.writers) < 2:
            self.store.writer()
        self.store.send("c", batch, writer=self.choices.choice(self.store.writers), time_us=us)

    def settle(self) -> None:
        self.store.keeper.step()
        if self.choices.random() < 0.6:
            self.store.keeper.flush()

    def merge(self) -> None:
        self.store.keeper._merge()

    def restart(self) -> None:
        self.store.close()
        self.store = knowing(Store(self.data), settings=self.settings)

    def delete(self) -> None:
        parameters = self._some()
        kept = [one for one in self.events if not self._meant(one, parameters)]
        gone = len(self.events) - len(kept)
        self.events = kept
        assert self._request(ErasureKind.EVENTS, parameters) == gone

    def drop(self) -> None:
        path = self.choices.choice(["a", "a.b"])
        for _, event in self.events:
            _clear(event, path)
        self._request(ErasureKind.PROPERTY, {"property": path})

    def update(self) -> None:
        path, value = self.choices.choice(["a", "a.b", "a.c.d"]), self.choices.choice(VALUES)
        upsert = self.choices.random() < 0.5
        new: Any = value
        for name in reversed(path.split(".")):
            new = {name: new}
        parameters = self._some()
        count = 0
        for one in self.events:
            if self._meant(one, parameters) and (upsert or any(_at(leaf, path) for leaf in one[1])):
                _clear(one[1], path)
                for above in ("a", "a.c"):
                    if path.startswith(above + "."):
                        one[1].pop(above, None)
                one[1].update(flat(new))
                count += 1
        examined = examine(json.dumps(new).encode(), LIMITS, Context())
        collection = self.store.catalog.collections.ensure(self.store.project, "c")
        self.store.catalog.collections.add_lanes(collection.id, list(examined.wanted), 1_000)
        update = {"path": path, "line": examined.payload.decode(), "upsert": upsert}
        assert self._request(ErasureKind.UPDATE, {**parameters, "updates": [update]}) == count

    def _some(self) -> dict[str, Any]:
        if self.choices.random() < 0.1:
            return {}
        by = self.choices.randint(1, 5)
        parameters = {"by": by, "rest": self.choices.randrange(by)}
        if self.choices.random() < 0.4:
            start = self.choices.randrange(4) * 40 * DAY_US + self.choices.randrange(DAY_US)
            parameters |= {"start_us": start, "end_us": start + self.choices.randrange(1, 80 * DAY_US)}
        return parameters

    @staticmethod
    def _meant(one: tuple[int, dict[str, Any]], parameters: Mapping[str, Any]) -> bool:
        meant = one[1]["n"] % parameters.get("by", 1) == parameters.get("rest", 0)
        return meant and within(one[0], parameters)

    def _request(self, kind: ErasureKind, parameters: Mapping[str, Any]) -> int:
        catalog = self.store.catalog
        collection = catalog.collections.ensure(self.store.project, "c")
        number = catalog.erasures.request(collection.id, kind, parameters)
        if self.choices.random() < 0.2:
            self.restart()
        self.store.keeper.step()
        done = self.store.catalog.erasures.find(number)
        assert done is not None and (done.state, done.problem) == (ErasureState.DONE, None)
        return done.events


def _at(leaf: str, path: str) -> bool:
    return leaf == path or leaf.startswith(path + ".")


def _clear(event: dict[str, Any], path: str) -> None:
    for leaf in [leaf for leaf in event if _at(leaf, path)]:
        del event[leaf]


@pytest.mark.parametrize("seed", range(examples(4)))
def test_a_store_is_as_a_plain_list_would_be(tmp_path: Path, seed: int) -> None:
    model = Model(tmp_path / "data", random.Random(seed))
    verbs = [model.send, model.send, model.settle, model.merge, model.restart]
    verbs += [model.delete, model.drop, model.update]
    for _ in range(25):
        verb = model.choices.choice(verbs)
        verb()
        assert stored(model.store) == [event for _, event in model.events], verb.__name__
    report = check(model.store.folder, model.store.catalog)
    model.store.close()
    assert report.faults == []


def _prepared(data: Path) -> tuple[Store, Any, int]:
    """Three files, more in a log, and a request to take every third event away."""
    store, fs = faulty_store(data)
    knowing(store)
    for month in range(4):
        batch = [b'{"n":%d}' % (month * 3 + one) for one in range(3)]
        store.send("c", batch, time_us=month * 400 * DAY_US)
        if month < 3:
            store.keeper.step()
            store.keeper.flush()
    collection = store.catalog.collections.get(store.project, "c")
    return store, fs, store.catalog.erasures.request(collection.id, ErasureKind.EVENTS, {"by": 3, "rest": 1})


BEFORE = [float(n) for n in range(12)]
AFTER = [n for n in BEFORE if n % 3 != 1]


@pytest.mark.parametrize("failures", [1, 10**6], ids=["one failure", "the disk is gone"])
def test_whatever_fails_meanwhile_all_are_there_or_none_and_it_is_done_at_the_next_start(
    tmp_path: Path, failures: int
) -> None:
    store, fs, _ = _prepared(tmp_path / "measure")
    started = fs.operations
    store.keeper.step()
    assert sorted(store.values("c", "n")) == AFTER
    operations = fs.operations - started
    assert operations > 12
    store.close()
    for at in random.Random(failures).sample(range(1, operations + 1), min(operations, examples(6))):
        data = tmp_path / f"fail-{at}"
        store, fs, number = _prepared(data)
        fs.fail(fs.operations + at, errno.EIO, failures)
        try:
            store.keeper.step()
        except OSError:
            pass
        request = store.catalog.erasures.find(number)
        assert request is not None
        done = request.state is ErasureState.DONE
        assert sorted(store.values("c", "n")) == (AFTER if done else BEFORE), fs.journal[-1]
        if failures == 1 and not done:
            live = store.catalog.files.live(request.collection_id)
            assert len(list(store.folder.events.rglob("*.parquet"))) == len(live), "rubbish is left"
        fs.fail(0, errno.EIO, 0)
        again = knowing(cut_power(store, fs, data))
        recover(again.folder, again.catalog, again.fs)
        assert sorted(again.values("c", "n")) == (AFTER if done else BEFORE), fs.journal[-1]
        again.keeper.step()
        assert sorted(again.values("c", "n")) == AFTER
        assert check(again.folder, again.catalog).faults == []
        again.close()


def test_what_goes_as_a_whole_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is when events are deleted; only a file of which some rows stay needs a second copy."""
    store, _, partly = _prepared(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: FullDisk(100, 100, 0))
    store.keeper.step()
    request = store.catalog.erasures.find(partly)
    assert request is not None and request.state is ErasureState.FAILED and "no room" in str(request.problem)
    assert sorted(store.values("c", "n")) == BEFORE
    for parameters in ({"end_us": 400 * DAY_US}, {"filters": None, "start_us": None}):
        number = store.catalog.erasures.request(request.collection_id, ErasureKind.EVENTS, parameters)
        store.keeper.step()
        found = store.catalog.erasures.find(number)
        assert found is not None and found.state is ErasureState.DONE, found
    assert store.values("c", "n") == []
    store.close()


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_file_that_can_not_be_read_ends_the_request_and_changes_nothing(tmp_path: Path, harm: str) -> None:
    """It would otherwise be tried for ever, each time with a flush of its own."""
    store, _, number = _prepared(tmp_path)
    path = store.folder.absolute(store.catalog.files.live()[1].path)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(b"PAR1" + bytes(100))
    store.keeper.step()
    request = store.catalog.erasures.find(number)
    assert request is not None and request.state is ErasureState.FAILED
    assert "acumen check" in str(request.problem)
    assert len(store.catalog.files.live()) == 4
    store.close()


def test_a_request_that_goes_on_failing_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    """And at the latest a minute after the disk is well again."""
    store, fs, first = _prepared(tmp_path)
    store.keeper.step()
    request = store.catalog.erasures.find(first)
    assert request is not None and request.state is ErasureState.DONE
    number = store.catalog.erasures.request(request.collection_id, ErasureKind.EVENTS, {"by": 3, "rest": 0})
    now = float(int(time.time()) + 1)
    store.keeper._clock = lambda: now
    fs.fail(fs.operations + 1, errno.ENOSPC, 10**6)
    tried = []
    for second in range(120):
        before = store.keeper._retries.get(number)
        store.keeper.step()
        if store.keeper._retries.get(number) != before:
            tried.append(second)
        now += 1.0
    assert tried == [0, 1, 3, 8, 23, 83]
    fs.fail(0, errno.EIO, 0)
    now += 60.0
    store.keeper.step()
    done = store.catalog.erasures.find(number)
    assert done is not None and done.state is ErasureState.DONE
    store.close()


def test_many_tokens_are_freed_in_parts_and_those_of_what_stays_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody who writes to the catalog waits for all of them; what fails between is done again."""
    monkeypatch.setattr(deletion, "HOLDERS_AT_ONCE", 2)
    store = knowing(Store(tmp_path))
    store.send("c", [b'{"n":%d,"keen":{"uniqueness_token":"t%d"}}' % (n, n) for n in range(9)])
    store.send("c", [b'{"n":10}'])
    store.keeper.step()
    store.keeper.flush()
    collection, catalog = store.catalog.collections.get(store.project, "c"), store.catalog
    scope = event_scope(collection.id)
    claims, now_us = [], time.time_ns() // 1_000
    for row in store.rows("c"):
        token = row.get("keen.uniqueness_token")
        if token is not None:
            log_id, ordinal = int(row["keen.id"][:8], 16), int(row["keen.id"][8:], 16)
            claims.append(claim_of(token, ordinal, log_id=log_id, scope=scope, at_us=now_us))
    assert len(catalog.claims.take(claims, now_us, DAY_US)) == 9
    number = catalog.erasures.request(collection.id, ErasureKind.EVENTS, {"by": 2, "rest": 0})
    right, calls = catalog.claims.free, []

    def failing(holders: Any) -> None:
        calls.append(list(holders))
        if len(calls) == 2:
            raise OSError(errno.EIO, "once")
        right(calls[-1])

    monkeypatch.setattr(catalog.claims, "free", failing)
    store.keeper.step()
    assert store.values("c", "n") == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    store.keeper._clock = lambda: time.time() + 2
    store.keeper.step()
    assert [len(some) for some in calls] == [2, 2, 2, 2]
    request = catalog.erasures.find(number)
    assert request is not None
    assert (request.state, request.events) == (ErasureState.DONE, 6)
    assert store.values("c", "n") == [1, 3, 5, 7]
    held = catalog.claims.find((scope, f"t{n}") for n in range(9))
    assert [token for _, token in held] == ["t1", "t3", "t5", "t7"]
    store.close()


def test_what_a_purge_could_not_take_away_is_asked_for_again(tmp_path: Path) -> None:
    """Such as events in a log that could not be read just then."""
    store, _, first = _prepared(tmp_path)
    store.catalog.projects.delete(store.project)
    (project,) = store.catalog.projects.deleted()
    assert store.catalog.projects.begin_purge(project)
    request = store.catalog.erasures.find(first)
    assert request is not None
    store.catalog.erasures.fail(request, "A log cannot be read in full.")
    store.catalog.projects.end_purge(project)
    store.keeper.flush()
    knowing(store).keeper.step()
    assert store.catalog.files.live() == []
    assert check(store.folder, store.catalog).faults == []
    store.close()


def test_the_copy_of_an_older_catalog_goes_with_what_is_erased_after_it(tmp_path: Path) -> None:
    """It holds tokens and questions of then; before anything was erased it stays."""
    store, _, number = _prepared(tmp_path)
    copy = store.folder.catalog_backup(8)
    copy.write_bytes(b"somebody's token")
    store.keeper._leftovers.scrub(store.keeper._clock(), 0.0)
    assert copy.exists()
    store.keeper.step()
    store.keeper.step()
    request = store.catalog.erasures.find(number)
    assert request is not None and request.state is ErasureState.DONE
    assert not copy.exists()
    copy.write_bytes(b"made after it")
    knowing(store).keeper.step()
    assert copy.exists()
    store.close()


def test_traces_in_the_catalog_go_once_no_reader_holds_them(tmp_path: Path) -> None:
    """Such as who copies it just then; it is tried again until they are gone."""
    store, _, number = _prepared(tmp_path)
    request = store.catalog.erasures.find(number)
    assert request is not None
    store.catalog.erasures.fail(request, "Not now.")
    store.catalog.erasures.request(
        request.collection_id, ErasureKind.EVENTS, {"by": 3, "rest": 1, "who": "q7ztrace"}
    )
    wal = store.folder.catalog.with_name("catalog.sqlite-wal")
    with closing(sqlite3.connect(store.folder.catalog)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM files").fetchall()
        store.keeper.step()
        store.keeper.step()
        assert b"q7ztrace" in wal.read_bytes()
    store.keeper.step()
    for path in (wal, store.folder.catalog):
        assert b"q7ztrace" not in path.read_bytes()
    store.close()


def test_a_log_that_could_not_turn_to_a_new_segment_does_so_when_asked_again(tmp_path: Path) -> None:
    """What was erased stands in the old one, which would otherwise stay as long as nothing comes in."""
    store, fs = faulty_store(tmp_path)
    store.send("c", [b'{"n":1}'])
    (writer,) = store.writers
    fs.fail(fs.operations + 1, errno.ENOSPC, 10**6)
    refused = fs.operations
    writer.turn()
    await_that(lambda: fs.operations > refused and writer._segment_fd is None)
    fs.fail(0, errno.EIO, 0)
    assert writer.turn_due
    writer.turn()
    await_that(lambda: not writer.turn_due)
    (segment, _) = sorted((tmp_path / "log").rglob("*.seg"))
    store.keeper.step()
    store.keeper.flush()
    store.keeper.step()
    assert not segment.exists()
    store.send("c", [b'{"n":2}'])
    assert sorted(store.values("c", "n")) == [1, 2]
    store.close()


def await_that(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_retention_that_takes_nothing_changes_nothing_however_often_a_keeper_starts(tmp_path: Path) -> None:
    """All that was computed from the collection goes by these versions."""
    store = knowing(Store(tmp_path / "data"))
    store.send("c", [b'{"n":1}'], time_us=time.time_ns() // 1_000)
    store.keeper.step()
    store.keeper.flush()
    before = store.catalog.collections.ensure(store.project, "c")
    store.catalog.retention.put(before.id, 400)
    for _ in range(3):
        knowing(store).keeper.step()
        store.keeper.step()
        assert store.catalog.collections.ensure(store.project, "c") == before
    assert store.catalog.erasures.last() == 1, "it was carried out once"
    store.catalog.retention.put(before.id, 300)
    knowing(store).keeper.step()
    store.keeper.step()
    assert store.catalog.erasures.last() == 2, "another number of days is another retention"
    assert store.values("c", "n") == [1.0]
    store.close()


@pytest.mark.parametrize(
    "kind", [ErasureKind.EVENTS, ErasureKind.PROPERTY, ErasureKind.UPDATE], ids=lambda kind: kind.value
)
def test_a_request_that_matches_nothing_changes_nothing(tmp_path: Path, kind: ErasureKind) -> None:
    store = knowing(Store(tmp_path / "data"))
    store.send("c", [b'{"n":1}'])
    store.keeper.step()
    store.keeper.flush()
    before = store.catalog.collections.ensure(store.project, "c")
    update = {"path": "n", "upsert": False, "line": '{"n":1}'}
    asked: dict[ErasureKind, dict[str, Any]] = {
        ErasureKind.EVENTS: {"by": 7, "rest": 3},
        ErasureKind.PROPERTY: {"property": "nowhere"},
        ErasureKind.UPDATE: {"updates": [update], "by": 7, "rest": 3},
    }
    number = store.catalog.erasures.request(before.id, kind, asked[kind])
    store.keeper.step()
    request = store.catalog.erasures.find(number)
    assert request is not None and (request.state, request.events) == (ErasureState.DONE, 0)
    assert store.catalog.collections.ensure(store.project, "c") == before
    store.close()


def test_a_keeper_without_a_matcher_leaves_what_needs_one_to_the_next_keeper(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    for n in range(4):
        store.send("c", [b'{"n":%d}' % n], time_us=n * DAY_US)
    collection = store.catalog.collections.ensure(store.project, "c")
    asked = [{"by": 2, "rest": 1}, {"end_us": DAY_US}]
    numbers = [store.catalog.erasures.request(collection.id, ErasureKind.EVENTS, one) for one in asked]
    for _ in range(3):
        store.keeper.step()
    store.keeper.flush()
    found = [store.catalog.erasures.find(number) for number in numbers]
    assert [one.state for one in found if one is not None] == [ErasureState.WAITING] * 2
    assert len(store.values("c", "n")) == 4
    knowing(store).keeper.step()
    assert store.values("c", "n") == [2.0]
    store.close()
