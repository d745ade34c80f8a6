"""Property names go with the events that held them; whatever comes in between, no value is lost."""

from __future__ import annotations

import json
import operator
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy import event as sqlalchemy_event

from storage.catalog.stored.records import Collection, ErasureKind
from storage.keeper import freed_collections
from storage.maintenance.integrity_check import check
from storage.schema import NULLS, LaneKind, Schema, with_prefixes
from tests.storage.files.test_deletion import flat, knowing
from tests.storage.store import Store
from tests.support.scale import examples

NAMES = st.sampled_from(["a", "A", "a.b", "d", "d:string"])
VALUES = st.sampled_from([1, "x", None, [1], 2**53 + 1])
EVENTS = st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=3)
WORKER = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("send"), WORKER, EVENTS),
    st.tuples(st.just("send_as_remembered"), WORKER, EVENTS),
    st.tuples(st.just("send_as_remembered"), WORKER, EVENTS),
    st.tuples(st.just("shred")),
    st.tuples(st.just("flush")),
    st.tuples(st.just("merge")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("look")),
    st.tuples(st.just("delete"), st.sampled_from([1, 1, 2, 3])),
    st.tuples(st.just("delete_property"), NAMES),
    st.tuples(st.just("prune")),
)


class Model:
    """A plain list of events beside a store that is told all it is told."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store = self._open()
        self.events: list[dict[str, Any]] = []
        self.sent = 0
        self.remembered: list[Collection | None] = [None, None]

    def _open(self) -> Store:
        store = knowing(Store(self.data))
        store.writer()
        store.writer()
        return store

    def send(self, worker: int, events: list[dict[str, Any]], known: Collection | None = None) -> None:
        batch = []
        for event in events:
            nested = _nested(event) | {"n": self.sent}
            self.sent += 1
            self.events.append(flat(nested))
            batch.append(json.dumps(nested).encode())
        writer = self.store.writers[worker]
        self.remembered[worker] = self.store.send("c", batch, writer=writer, known=known)

    def send_as_remembered(self, worker: int, events: list[dict[str, Any]]) -> None:
        """As a worker does that has not seen yet what others changed in the catalog."""
        self.send(worker, events, self.remembered[worker])

    def shred(self) -> None:
        self.store.keeper.step()

    def flush(self) -> None:
        self.store.keeper.step()
        self.store.keeper.flush()

    def merge(self) -> None:
        self.store.keeper._merge()

    def restart(self) -> None:
        """As after a crash: what is in chunks alone is read again from the logs."""
        self.store.close()
        self.store = self._open()

    def look(self) -> None:
        assert self.stored() == sorted(self.events, key=operator.itemgetter("n"))

    def delete(self, by: int) -> None:
        """Every event whose ``n`` is divisible by it."""
        self.events = [event for event in self.events if event["n"] % by]
        self._request(ErasureKind.EVENTS, {"by": by} if by > 1 else {"updates": []})

    def delete_property(self, path: str) -> None:
        for event in self.events:
            for name in [name for name in event if name == path or name.startswith(path + ".")]:
                del event[name]
        self._request(ErasureKind.PROPERTY, {"property": path})

    def prune(self) -> None:
        """As the hourly look."""
        if self.sent:
            self.store.keeper._pruner.prune(self.id)

    def _request(self, kind: ErasureKind, parameters: dict[str, Any]) -> None:
        if not self.sent:
            return
        self.store.catalog.erasures.request(self.id, kind, parameters)
        self.store.keeper.step()
        # All is in files now: the names of the catalog are those of the events.
        known = {lane.path for lane in self.schema.lanes}
        values = {name for event in self.events for name, value in event.items() if value is not None}
        nulls = {name for event in self.events for name in event} - values
        assert values <= known <= values | nulls
        assert all(name in with_prefixes(known) for name in nulls)

    @property
    def id(self) -> int:
        return self.store.catalog.collections.get(self.store.project, "c").id

    @property
    def schema(self) -> Schema:
        return self.store.catalog.collections.get(self.store.project, "c").schema

    def stored(self) -> list[dict[str, Any]]:
        """The events as a question sees them, by ``n``."""
        source = self.store.source("c")
        found = []
        for row in self.store.rows("c"):
            event: dict[str, Any] = dict.fromkeys(row.get(NULLS, ()))
            for column, value in row.items():
                if not column.startswith("keen."):
                    lane = source.schema.by_column[column]
                    assert lane.path not in event, "two values at one path"
                    event[lane.path] = json.loads(value) if lane.kind is LaneKind.JSON else value
            found.append(event)
        return sorted(found, key=operator.itemgetter("n"))


def _nested(event: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in event.items():
        outer, _, inner = path.partition(".")
        if not inner:
            nested.setdefault(outer, value)
        elif isinstance(nested.setdefault(outer, {}), dict):
            nested[outer][inner] = value
    return nested


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new data folder, to be copied: making one takes longer than all else in an example."""
    data = tmp_path_factory.mktemp("fresh") / "data"
    Store(data).close()
    return data


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=16))
def test_names_come_and_go_as_events_do(fresh: Path, steps: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as folder:
        model = Model(Path(shutil.copytree(fresh, Path(folder) / "data")))
        try:
            for name, *arguments in steps:
                getattr(model, name)(*arguments)
            model.look()
            model.flush()
            model.look()
            assert check(model.store.folder, model.store.catalog).faults == []
        finally:
            model.store.close()


@pytest.mark.parametrize("shredded", [False, True])
def test_an_event_logged_by_a_worker_that_knows_a_removed_property_keeps_it(
    tmp_path: Path, shredded: bool
) -> None:
    model = Model(tmp_path / "data")
    model.send(0, [{"a": 1, "d": "x"}])
    model.delete(1)
    assert not model.schema.by_path
    model.send_as_remembered(0, [{"a": 2}])
    model.send(1, [{"A": "other"}])
    if shredded:
        model.shred()
    model.look()
    model.restart()
    model.look()
    model.flush()
    model.look()
    assert model.schema.by_path.keys() == {"n", "a", "A"}
    model.store.close()


def test_events_of_a_worker_that_has_not_heard_of_a_deletion_bring_the_collection_back(
    tmp_path: Path,
) -> None:
    model = Model(tmp_path / "data")
    model.send(0, [{"a": 1}])
    model.delete(1)
    catalog, project = model.store.catalog, model.store.project
    assert catalog.collections.get(project, "c").freed
    assert catalog.collections.names(project, 10) == []
    model.send_as_remembered(0, [{"a": 2}])
    model.look()
    model.flush()
    model.look()
    assert not catalog.collections.get(project, "c").freed
    assert catalog.collections.names(project, 10) == ["c"]
    model.store.close()


def test_a_collection_goes_once_the_logs_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_collections, "FREED_SECONDS", 0.0)
    model = Model(tmp_path / "data")
    model.send(0, [{"a": 1}])
    model.delete(1)
    now = [time.time()]
    model.store = knowing(model.store, clock=lambda: now[0])
    for late in (True, False):
        for _ in range(3):
            now[0] += 61
            model.store.keeper._remove_freed(now[0])
            if late:
                model.send_as_remembered(0, [{"a": 2}])
                late = False
        model.look()
        model.flush()
        model.delete(1)
    model.store.keeper._clean(now[0] + 700)
    for _ in range(3):
        now[0] += 61
        model.store.keeper._remove_freed(now[0])
    assert model.store.catalog.collections.named(model.store.project, ["c"]) == []
    assert check(model.store.folder, model.store.catalog).faults == []
    model.store.close()


def test_housekeeping_over_idle_collections_reads_no_more_than_over_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    counts = []
    for collections in (1, 40):
        for number in range(collections):
            store.send(f"c{number}", [b'{"n":1}'])
        store.keeper.step()
        store.keeper.flush()
        while store.keeper._merge():
            pass
        store.keeper.step()
        with statements() as executed:
            store.keeper.step()
            store.keeper._merge()
        counts.append(len(executed))
    assert counts[1] == counts[0]
    store.close()


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of any catalog meanwhile."""
    executed: list[str] = []

    def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    sqlalchemy_event.listen(Engine, "before_cursor_execute", count)
    try:
        yield executed
    finally:
        sqlalchemy_event.remove(Engine, "before_cursor_execute", count)
