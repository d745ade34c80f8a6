"""The slow check of stored files, and what else meets a damaged one."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.exports.file_writer import is_sound
from service.maintenance.scrub_task import Scrubber
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import system_clock
from storage.errors import StorageError
from storage.maintenance.integrity_check import check
from storage.read.change_feed import begin
from tests.service.export_bench import Bench
from tests.service.maintenance.test_event_stream_task import Streaming, streamed
from tests.service.process.test_damaged_files import flip
from tests.service.whole import Whole

FILES = 3
DAY_US = 86_400_000_000


class Waits(threading.Event):
    """Of a process that nobody stops; what would be waited is only noted."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        return self.is_set()


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    """Some files of one collection."""
    with closing(Whole(tmp_path / "data")) as made:
        for number in range(FILES):
            made.record(made.project, "c", [{"n": number * 10 + n, "text": "x" * 50} for n in range(10)])
            made.flush()
        yield made


def scrubber(whole: Whole, stop: threading.Event, **changed: Any) -> Scrubber:
    """As of a runner that has just begun."""
    settings = whole.settings.model_copy(update=changed)
    return Scrubber(replace(whole._tools, stop=stop, settings=settings, metrics=Metrics()))


def wait_until_due(whole: Whole) -> None:
    """All that is verified now is to be verified again."""
    whole.now_us = max(whole.now_us, system_clock()) + int(whole.settings.scrub_days * DAY_US) + 1


def run(whole: Whole, task: Scrubber) -> list[bool]:
    return [task.run_due(whole.now_us) for _ in range(FILES + 1)]


def files_of(whole: Whole) -> list[Path]:
    return sorted(whole.folder.events.rglob("*.parquet"), key=lambda path: int(path.stem))


def test_it_reads_as_many_bytes_in_a_second_as_are_set(whole: Whole) -> None:
    waits = Waits()
    task = scrubber(whole, waits, scrub_bytes_per_second=10)
    wait_until_due(whole)
    assert run(whole, task) == [True] * FILES + [False]
    size = sum(path.stat().st_size for path in files_of(whole))
    assert waits.seconds == pytest.approx(size / 10, rel=0.2)


def test_each_runner_goes_on_where_the_last_one_was(whole: Whole) -> None:
    wait_until_due(whole)
    assert scrubber(whole, Waits()).run_due(whole.now_us)
    stopped = Waits()
    stopped.set()
    assert not scrubber(whole, stopped).run_due(whole.now_us), "the file that it was at is not verified"
    assert run(whole, scrubber(whole, Waits())) == [True, True, False, False]
    wait_until_due(whole)
    assert run(whole, scrubber(whole, Waits())) == [True] * FILES + [False]


def test_damage_is_logged_with_its_file_and_kind_and_counted(
    whole: Whole, caplog: pytest.LogCaptureFixture
) -> None:
    flipped, cut, gone = files_of(whole)
    flip(flipped)
    size = cut.stat().st_size
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    wait_until_due(whole)
    task = scrubber(whole, Waits())
    assert run(whole, task) == [True] * FILES + [False]
    assert {
        f"{flipped} is damaged and set aside: its content is not what was written (SHA-256 differs)",
        f"{cut} is damaged and set aside: it has {size - 1} bytes, {size} were written",
        f"{gone} is damaged and set aside: it is missing",
    } == {record.getMessage() for record in caplog.records if record.name == "acumen.verify"}
    assert f"\nacumen_files_damaged {float(FILES)!r}\n" in task._tools.metrics.text()


def test_superseded_files_are_read_too_and_do_not_count_as_damage_of_what_is_stored(
    whole: Whole, caplog: pytest.LogCaptureFixture
) -> None:
    whole.record(whole.project, "c", [{"n": 1, "text": "x" * 50} for _ in range(10)])
    whole.flush()
    damaged = files_of(whole)[0]
    content = damaged.read_bytes()
    whole.merge()
    flip(damaged)
    wait_until_due(whole)
    task = scrubber(whole, Waits())
    assert [task.run_due(whole.now_us) for _ in range(FILES + 3)] == [True] * (FILES + 2) + [False]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "acumen.verify"]
    assert said.startswith(f"{damaged} is damaged and set aside")
    assert "\nacumen_files_damaged 0.0\n" in task._tools.metrics.text()
    (fault,) = check(whole.folder, whole.catalog).faults
    assert "of earlier versions" in fault
    damaged.write_bytes(content)
    scrubber(whole, Waits()).run_due(whole.now_us)
    assert whole.catalog.files.damaged() == []
    assert check(whole.folder, whole.catalog).faults == []


def test_a_damaged_file_of_an_extraction_is_gone_and_check_names_it(tmp_path: Path) -> None:
    with closing(Bench(tmp_path / "data")) as bench:
        bench.record("c", {"n": 1}, {"n": 2})
        job = bench.made()
        (name,) = bench.files()
        folder = bench.catalog.folder
        assert check(folder, bench.catalog).faults == []
        flip(bench.folder / name)
        assert not is_sound(bench.folder / name, (bench.folder / name).stat())
        reply = bench.call("GET", job["file_url"], key="")
        assert (reply.status_code, reply.json()["error_code"]) == (410, "ResourceGoneError")
        assert "damaged" in reply.json()["message"]
        (fault,) = check(folder, bench.catalog).faults
        assert name in fault


def test_events_of_a_damaged_file_are_streamed_once_it_is_back(tmp_path: Path) -> None:
    model = Streaming(tmp_path / "data", tmp_path / "out", random.Random(1))
    begin(model.store.catalog)
    model.store.send("c", [b'{"n":1}'])
    model.store.keeper.step()
    model.store.keeper.flush()
    (path,) = (tmp_path / "data" / "events").rglob("*.parquet")
    content = path.read_bytes()
    flip(path)
    model.running().run_due(model.now_us)
    with pytest.raises(StorageError):
        model.running().run_due(model.now_us + 600_000_000)
    assert streamed(model.target) == []
    path.write_bytes(content)
    (file,) = model.store.catalog.files.damaged()
    model.store.catalog.files.set_aside(file.id, None)
    model.die()
    model.running().run_due(model.now_us + 1_200_000_000)
    assert [event["n"] for event in streamed(model.target)] == [1]
    model.die()
    model.store.close()
