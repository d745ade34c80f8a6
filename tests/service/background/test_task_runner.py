"""Background tasks: run again and again, woken by changes, tried again where they fail, stopped in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from query.errors import QueryCancelled
from service.background import task_runner
from service.background.task_runner import TaskRunner
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from tests.support.server import Served


class Doing:
    """A task made of a function."""

    def __init__(
        self, do: Callable[[int], bool], name: str = "saved", areas: frozenset[Area] = frozenset(Area)
    ) -> None:
        self._do = do
        self.name = name
        self.areas = areas
        self.calls: list[int] = []

    def run_due(self, now_us: int) -> bool:
        self.calls.append(now_us)
        return self._do(len(self.calls))


@contextmanager
def running(
    catalog: Catalog, metrics: Metrics, *tasks: Doing, stop: threading.Event | None = None
) -> Iterator[None]:
    stop = stop or threading.Event()
    whole = TaskRunner(tasks, catalog, metrics, stop)
    thread = threading.Thread(target=whole.run, args=(5.0,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(120.0)
        assert not thread.is_alive()


def await_calls(task: Doing, count: int, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while len(task.calls) < count:
        assert time.monotonic() < deadline, task.calls
        time.sleep(0.005)


def test_a_task_runs_on_while_it_has_more_and_is_woken_by_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the next look that begins it: there is none for an hour."""
    monkeypatch.setattr(task_runner, "POLL_SECONDS", 3_600.0)
    catalog = Catalog.prepare(tmp_path)
    task = Doing(lambda call: call < 5)
    with running(catalog, Metrics(), task):
        await_calls(task, 5)
        time.sleep(0.1)
        before = len(task.calls)
        catalog.organisations.create("One more")
        await_calls(task, before + 1)
    catalog.close()


def test_a_change_wakes_those_alone_who_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "POLL_SECONDS", 3_600.0)
    catalog = Catalog.prepare(tmp_path)
    needs = Doing(lambda _: False, "purge", frozenset({Area.TENANTS}))
    others = Doing(lambda _: False, "exports", frozenset({Area.DATA, Area.DERIVED}))
    with running(catalog, Metrics(), needs, others):
        await_calls(needs, 2)
        await_calls(others, 2)
        before = len(others.calls)
        for number in range(1, 4):
            called = len(needs.calls)
            catalog.organisations.create(f"Number {number}")
            await_calls(needs, called + 1)
        assert len(others.calls) == before
    catalog.close()


def test_a_task_that_has_much_to_look_through_rests_however_often_it_is_woken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_runner, "LOOK_SECONDS", 0.01)
    spent = 0.0

    def look_long(_: int) -> bool:
        nonlocal spent
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass
        spent += time.thread_time() - began
        return False

    catalog = Catalog.prepare(tmp_path)
    task = Doing(look_long)
    began = time.monotonic()
    with running(catalog, Metrics(), task):
        for number in range(100):
            catalog.organisations.create(f"Number {number}")
            time.sleep(0.02)
        await_calls(task, 3)
        passed = time.monotonic() - began
    # The last look's rest may not have begun.
    assert spent - 0.1 <= passed / task_runner.REST_PER_SECOND
    catalog.close()


def test_a_task_that_fails_is_counted_and_tried_again_and_harms_no_other(tmp_path: Path) -> None:
    def fail_once(call: int) -> bool:
        if call == 1:
            raise ValueError("no")
        return False

    catalog, metrics = Catalog.prepare(tmp_path), Metrics()
    failing, sound = Doing(fail_once), Doing(lambda _: False, "exports")
    with running(catalog, metrics, failing, sound):
        await_calls(failing, 2)
        await_calls(sound, 1)
    assert 'acumen_task_failures_total{task="saved"} 1.0' in metrics.text()
    assert 'acumen_task_failures_total{task="exports"} 0.0' in metrics.text()
    catalog.close()


def test_a_question_cancelled_by_the_stop_is_no_failure(tmp_path: Path) -> None:
    catalog, metrics = Catalog.prepare(tmp_path), Metrics()
    begun, stop = threading.Event(), threading.Event()

    def ask(_: int) -> bool:
        begun.set()
        stop.wait()
        raise QueryCancelled("The server is stopping.")

    task = Doing(ask)
    with running(catalog, metrics, task, stop=stop):
        assert begun.wait(5.0)
    assert 'acumen_task_failures_total{task="saved"} 0.0' in metrics.text()
    catalog.close()


def test_a_stop_does_not_wait_for_a_task_longer_than_it_is_told(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    release, stop = threading.Event(), threading.Event()

    def hang(_: int) -> bool:
        release.wait()
        return False

    whole = TaskRunner([Doing(hang)], catalog, Metrics(), stop)
    thread = threading.Thread(target=whole.run, args=(0.2,))
    thread.start()
    stop.set()
    thread.join(120.0)
    assert not thread.is_alive()
    release.set()
    catalog.close()


def test_the_runner_counts_its_starts_and_ends_with_the_server() -> None:
    with Served() as server:
        deadline = time.monotonic() + 120
        wanted = 'acumen_starts_total{process="runner"} 1.0'
        while wanted not in server.request("GET", "/metrics").body.decode():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10
        assert "Traceback" not in server.output()
