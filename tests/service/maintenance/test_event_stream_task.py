"""Streaming out: every new event stands in the files once, whatever merges, erases, fails or dies."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from query.engine.engine import Engine
from service.background.task_runner import Cancels, Tools
from service.maintenance.event_stream_task import RETRY_SECONDS, Streamer
from service.settings import BadSettings, load
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog
from storage.catalog.stored.streams import Streams
from storage.disk.file_system import LocalFileSystem
from storage.log.writer import Batch, Section
from storage.read.change_feed import begin
from storage.read.snapshot_reader import Reader
from storage.schema import LaneKind
from tests.storage.files.test_deletion import DAY_US, Model
from tests.support.scale import examples
from tests.support.server import Served

SECOND_US = 1_000_000


class Crash(BaseException):
    """The runner dies."""


def streamed(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.rglob("*.json.gz")):
        found += [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return found


class Streaming(Model):
    """A store beside which a runner streams, a few events at a time, and dies now and then."""

    def __init__(self, data: Path, target: Path, choices: random.Random) -> None:
        super().__init__(data, choices)
        self.target = target
        self.now_us = 1_000 * DAY_US
        self.streamer: Streamer | None = None
        self.never: set[int] = set()
        """Events that were deleted before they were streamed."""

    def delete(self) -> None:
        before, done = {event["n"] for _, event in self.events}, self.numbers()
        super().delete()
        self.never |= before - {event["n"] for _, event in self.events} - done

    def send(self) -> None:
        """Some with claimed ordinals, as events with uniqueness tokens have them."""
        if self.choices.random() < 0.7:
            super().send()
            return
        while len(self.store.writers) < 2:
            self.store.writer()
        collection = self.store.catalog.collections.ensure(self.store.project, "c")
        collection = self.store.catalog.collections.add_lanes(collection.id, [("n", LaneKind.NUMBER)], 1_000)
        count = self.choices.randint(1, 4)
        lines = b"".join(b'{"n":%d}\n' % (self.sent + one) for one in range(count))
        section = Section(
            collection.id,
            collection.schema.version,
            count,
            0,
            0,
            array("q", [0] * count).tobytes(),
            lines,
        )
        self.events += [(0, {"n": self.sent + one}) for one in range(count)]
        self.sent += count
        writer = self.choices.choice(self.store.writers)
        self.store.append(Batch(0, [section]), writer, writer.reserve(count))

    def numbers(self) -> set[int]:
        return {event["n"] for event in streamed(self.target)}

    def restart(self) -> None:
        self.die()
        super().restart()

    def die(self) -> None:
        if self.streamer is not None:
            self.streamer._tools.engine.close()
            self.streamer._lock.release()
            self.streamer = None

    def running(self) -> Streamer:
        if self.streamer is None:
            self.streamer = Streamer(tools_of(self.store.catalog, self.data, self.target))
        return self.streamer

    def stream(self) -> None:
        """A round, or as much of it as it lives through."""
        self.now_us += 3_600 * SECOND_US
        try:
            with dying(self.choices) if self.choices.random() < 0.6 else living():
                while self.running().run_due(self.now_us):
                    pass
        except (Crash, OSError):
            self.die()


def tools_of(catalog: Catalog, data: Path, target: Path) -> Tools:
    env = {"stream_folder": target, "stream_events_max": 7}
    settings = load(data=data, **env)
    spill = data / "tmp" / "spill"
    memory = 1 << 28
    engine = Engine(data, memory_limit_bytes=memory, threads=1, temp_folder=spill, temp_bytes_max=memory)
    reader = Reader(catalog.folder, catalog, LocalFileSystem())
    return Tools(settings, catalog, reader, engine, Metrics(), threading.Event(), Cancels())


class living:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class dying:
    """One of the steps that can be seen from outside is the last, done or not, or is refused by the disk."""

    STEPS = ("plan", "end", "replace", "fsync")

    def __init__(self, choices: random.Random) -> None:
        self._left = choices.randint(1, 4)
        self._step = choices.choice(self.STEPS)
        self._error: type[BaseException] = choices.choice([Crash, OSError])
        self._after = choices.random() < 0.5
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        owner: Any = {"replace": Path, "fsync": os}.get(self._step, Streams)
        self._patch.setattr(owner, self._step, self._wrapped(getattr(owner, self._step)))

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise self._error("before")
            done = real(*args, **named)
            if self._left == 0:
                raise self._error("after")
            return done

        return step


@pytest.mark.parametrize("seed", range(examples(6)))
def test_every_event_is_streamed_once_whoever_dies(tmp_path: Path, seed: int) -> None:
    model = Streaming(tmp_path / "data", tmp_path / "out", random.Random(seed))
    begin(model.store.catalog)
    verbs = [model.send, model.send, model.settle, model.merge, model.restart]
    verbs += [model.delete, model.update, model.stream, model.stream]
    for _ in range(40):
        model.choices.choice(verbs)()
    model.store.keeper.step()
    model.store.keeper.flush()
    model.now_us += 3_600 * SECOND_US
    while model.running().run_due(model.now_us):
        pass
    model.die()
    model.store.close()
    counted = Counter(event["n"] for event in streamed(model.target))
    assert not [n for n, count in counted.items() if count > 1]
    assert {event["n"] for _, event in model.events} <= counted.keys() <= set(range(model.sent))
    assert not model.never & counted.keys()
    assert not list(model.target.rglob("*.tmp"))


def test_what_was_there_before_is_not_streamed(tmp_path: Path) -> None:
    """What stands in files, that is: what is still in a log comes to files later, and is new there."""
    model = Streaming(tmp_path / "data", tmp_path / "out", random.Random(1))
    for turn in range(3):
        model.store.send("c", [b'{"n":%d}' % turn])
        model.store.keeper.step()
        if turn < 2:
            model.store.keeper.flush()
    begin(model.store.catalog)
    model.store.send("c", [b'{"n":3}'])
    model.store.send("later", [b'{"n":4}'])
    model.store.keeper.step()
    model.store.keeper.flush()
    model.store.keeper._merge()
    while model.running().run_due(model.now_us):
        pass
    model.die()
    model.store.close()
    assert sorted(event["n"] for event in streamed(model.target)) == [2, 3, 4]


def test_two_runners_do_not_stream_at_once(tmp_path: Path) -> None:
    model = Streaming(tmp_path / "data", tmp_path / "out", random.Random(1))
    begin(model.store.catalog)
    model.store.send("c", [b'{"n":1}'])
    model.store.keeper.step()
    model.store.keeper.flush()
    other = Streamer(tools_of(model.store.catalog, model.data, model.target))
    assert other._alone()
    assert not model.running().run_due(model.now_us)
    assert streamed(model.target) == []
    other._lock.release()
    other._tools.engine.close()
    model.running().run_due(model.now_us)
    assert len(streamed(model.target)) == 1
    model.die()
    model.store.close()


def test_a_folder_that_takes_nothing_loses_nothing_and_is_tried_again_soon(tmp_path: Path) -> None:
    model = Streaming(tmp_path / "data", tmp_path / "out", random.Random(1))
    begin(model.store.catalog)
    model.target.write_bytes(b"not a folder")
    model.store.send("c", [b'{"n":1}'])
    model.store.keeper.step()
    model.store.keeper.flush()
    with pytest.raises(OSError):
        model.running().run_due(model.now_us)
    model.target.unlink()
    assert not model.running().run_due(model.now_us + 1)
    model.running().run_due(model.now_us + int(RETRY_SECONDS * SECOND_US))
    assert [event["n"] for event in streamed(model.target)] == [1]
    model.die()
    model.store.close()


def test_the_folder_is_not_the_data_folders(tmp_path: Path) -> None:
    for inside in (tmp_path, tmp_path / "events"):
        with pytest.raises(BadSettings, match="stream_folder"):
            load(data=tmp_path, stream_folder=inside)


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    target = tmp_path_factory.mktemp("stream") / "out"
    env = {"STREAM_FOLDER": str(target), "STREAM_SECONDS": "0.3", "FLUSH_SECONDS": "0.3"}
    with Served(env={f"ACUMEN_{name}": value for name, value in env.items()}) as server:
        yield server, target


def test_events_come_as_they_are_extracted_into_folders_as_keens(streaming: tuple[Served, Path]) -> None:
    """Also of collections whose names are no names of folders; from the first event of a new server on."""
    server, target = streaming
    project = server.project
    names = ["purchases", "Purchases", "..", "a/b", "50% off"]
    for name in names:
        server.record(
            project, name, {"n": 1, "who": {"name": name}, "none": None, "keen": {"timestamp": MOMENT}}
        )
    # Once they are counted: a kill between the ticking off of a file and its count leaves that count out.
    await_counted(server, len(names))
    server.kill("runner")
    server.wait_ready()
    server.record(project, "purchases", {"n": 2, "who": {"name": "purchases"}})
    await_streamed(target, len(names) + 1)
    found = streamed(target)
    for name in names:
        own = [event for event in found if event["who"]["name"] == name]
        told = server.ask(project, "extraction", event_collection=name)
        assert sorted(own, key=lambda one: one["n"]) == sorted(told, key=lambda one: one["n"])
    paths = {path.relative_to(target).parts for path in target.rglob("*.json.gz")}
    assert {parts[0] for parts in paths} == {project.id}
    assert {parts[2] for parts in paths} == {
        "purchases",
        "Purchases",
        "%2E%2E",
        "a%2Fb",
        "50%25%20off",
    }
    assert all(time.strptime(parts[1], "%Y-%m-%dT%H:%M:%S.000Z") for parts in paths)
    assert all(parts[3].startswith(f"{project.id}-") for parts in paths)
    await_counted(server, len(names) + 1)


MOMENT = "2026-03-01T10:20:30.456Z"


def await_counted(server: Served, count: int) -> None:
    """A file is there a moment before it is counted."""
    deadline = time.monotonic() + 120
    counted = f"acumen_streamed_events_total {count}.0"
    while counted not in (metrics := server.request("GET", "/metrics").body.decode()):
        assert time.monotonic() < deadline, metrics
        time.sleep(0.05)


def await_streamed(target: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(streamed(target)) < count:
        assert time.monotonic() < deadline, streamed(target)
        time.sleep(0.05)
