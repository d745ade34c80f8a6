"""Processes that execute runs, killed and paused: no run is lost, none executes twice at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.runs.records import LimitScope, NewRun, QueuedRun, RunLimits, RunState
from tests.support.scale import examples

LONG_SECONDS = 300.0
"""Waiting ends with the state waited for; this long on a machine that is busy with much else."""
ENDED = (RunState.DONE, RunState.DEAD, RunState.CANCELLED, RunState.SUPERSEDED)


class Crew:
    """Real processes on one data folder, and what their runs noted."""

    def __init__(self, folder: Path) -> None:
        self.data, self.notes = folder / "data", folder / "notes"
        self.notes.mkdir()
        self.catalog = Catalog.prepare(self.data)
        self.project, _ = self.catalog.projects.ensure_first()
        self.runs = self.catalog.runs
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *pools: str) -> subprocess.Popen[bytes]:
        module = "tests.service.workflows.worker_process"
        command = [sys.executable, "-P", "-m", module, str(self.data), str(self.notes), *pools]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, env=environment)
        self.processes.append(process)
        return process

    def ask(self, target: str, *, pool: str = "q", priority: int = 0) -> QueuedRun:
        new = NewRun(self.project.id, "p", target, "by hand", pool, priority)
        return self.runs.enqueue(new)[0]

    def noted(self, file: str) -> list[str]:
        path = self.notes / file
        return path.read_text().splitlines() if path.exists() else []

    def state(self, run: QueuedRun) -> RunState:
        return self.now(run).state

    def now(self, run: QueuedRun) -> QueuedRun:
        return self.runs.find(run.project_id, run.id)

    def until_more(self, begun: int, asked: list[QueuedRun]) -> None:
        """Until another run has begun, or all have ended."""
        until(lambda: len(self.noted("began")) > begun or all(self.state(run) in ENDED for run in asked))

    def until_over(self, process: subprocess.Popen[bytes], run: QueuedRun) -> None:
        until(lambda: process.poll() is not None or self.state(run) in ENDED)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        for pid in map(int, self.noted("child")):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.catalog.close()


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    made = Crew(tmp_path)
    yield made
    made.close()


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(lines: list[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines]


def test_a_storm_of_kills_loses_no_run_and_executes_none_twice_at_once(crew: Crew) -> None:
    crew.runs.set_limits(RunLimits(LimitScope.POOL, "q", concurrency=2))
    order = random.Random(7)
    asked = [crew.ask(f"steps-{number}", priority=order.randrange(3)) for number in range(40)]
    workers = [crew.start() for _ in range(3)]
    kills = examples(30)
    while True:
        left = [run for run in asked if crew.state(run) not in ENDED]
        if not left:
            break
        assert len(crew.runs.executing()) <= 2
        begun = len(crew.noted("began"))
        crew.until_more(begun, asked)
        if kills:
            kills -= 1
            place = order.randrange(len(workers))
            workers[place].kill()
            workers[place].wait()
            workers[place] = crew.start()
            if order.random() < 0.3:
                asked.append(crew.ask(f"steps-{order.randrange(40)}"))
    assert crew.noted("twice") == []
    assert {crew.state(run) for run in asked} == {RunState.DONE}
    assert set(crew.noted("done")) == {run.target for run in asked}
    assert sum(usage.bytes for usage in crew.runs.usage()) >= 30 * 40


def test_a_run_of_a_killed_process_goes_on_in_another(crew: Crew) -> None:
    run = crew.ask("held")
    first = crew.start()
    until(lambda: crew.noted("began"))
    second = crew.start()
    first.kill()
    first.wait()
    until(lambda: len(crew.noted("began")) == 2)
    (crew.notes / "free").touch()
    until(lambda: crew.state(run) is RunState.DONE)
    assert pids(crew.noted("began")) == [first.pid, second.pid]
    assert crew.noted("twice") == []


def test_a_process_that_is_only_paused_keeps_its_run(crew: Crew) -> None:
    run = crew.ask("held")
    first = crew.start()
    until(lambda: crew.noted("began"))
    first.send_signal(signal.SIGSTOP)
    crew.start()
    others = [crew.ask(f"steps-{number}") for number in range(10)]
    until(lambda: all(crew.state(one) is RunState.DONE for one in others))
    assert crew.state(run) is RunState.RUNNING
    first.send_signal(signal.SIGCONT)
    (crew.notes / "free").touch()
    until(lambda: crew.state(run) is RunState.DONE)
    assert crew.now(run).attempts == 1


def test_a_child_that_holds_a_run_keeps_others_from_it(crew: Crew) -> None:
    run = crew.ask("parent")
    first = crew.start()
    until(lambda: crew.noted("child"))
    first.kill()
    first.wait()
    crew.start()
    others = [crew.ask(f"steps-{number}") for number in range(5)]
    until(lambda: all(crew.state(one) is RunState.DONE for one in others))
    assert crew.state(run) is RunState.RUNNING
    os.kill(int(crew.noted("child")[0]), signal.SIGKILL)
    until(lambda: len(crew.noted("child")) == 2)
    assert crew.now(run).attempts == 2


def test_a_run_that_kills_its_process_dies_in_the_end(crew: Crew) -> None:
    run = crew.ask("killed", pool="steady")
    for _ in range(20):
        process = crew.start("steady")
        crew.until_over(process, run)
        if crew.state(run) in ENDED:
            break
    dead = crew.now(run)
    assert (dead.state, dead.attempts) == (RunState.DEAD, 2)
    assert dead.message == "The process that executed the run ended in attempt 2."


def test_cancelling_a_run_that_executes(crew: Crew) -> None:
    run = crew.ask("held")
    process = crew.start()
    until(lambda: crew.noted("began"))
    crew.runs.cancel(run.project_id, run.id)
    until(lambda: crew.state(run) is RunState.CANCELLED)
    assert process.poll() is None


def test_cancelling_a_run_that_does_not_listen_ends_its_process(crew: Crew) -> None:
    run = crew.ask("deaf")
    process = crew.start()
    until(lambda: crew.noted("began"))
    crew.runs.cancel(run.project_id, run.id)
    until(lambda: process.poll() is not None)
    crew.start()
    until(lambda: crew.state(run) is RunState.CANCELLED)
    assert len(crew.noted("began")) == 1


def test_a_process_that_stops_gives_its_run_back_uncounted(crew: Crew) -> None:
    run = crew.ask("held")
    process = crew.start()
    until(lambda: crew.noted("began"))
    process.terminate()
    assert process.wait(LONG_SECONDS) == 0
    assert (crew.now(run).state, crew.now(run).attempts) == (RunState.WAITING, 0)
    assert list(crew.catalog.folder.runs.iterdir()) == []
    (crew.notes / "free").touch()
    crew.start()
    until(lambda: crew.state(run) is RunState.DONE)


def test_many_processes_share_a_queue_and_keep_to_its_limits(crew: Crew) -> None:
    crew.runs.set_limits(RunLimits(LimitScope.POOL, "q", concurrency=1))
    asked = [crew.ask(f"steps-{number}") for number in range(20)]
    free = [crew.ask(f"steps-f{number}", pool="free") for number in range(5)]
    for _ in range(3):
        crew.start()
    while any(crew.state(run) not in ENDED for run in [*asked, *free]):
        assert len([run for run in crew.runs.executing() if run.pool == "q"]) <= 1
    assert {crew.now(run).attempts for run in asked} == {1}
    assert crew.noted("twice") == []
