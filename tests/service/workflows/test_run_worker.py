"""How the outcome of a run is recorded: done, tried again, dead, put off, cancelled, overtime."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.workflows.context import Interruption, RunContext, RunResult
from service.workflows.errors import RunFailed, RunInterrupted, RunPostponed, RunRefused
from service.workflows.recovery import RetryPolicy
from service.workflows.run_worker import RunWorker, WorkerOptions, pools_of
from service.workflows.upkeep_task import ProcessCount
from storage.catalog.catalog import Catalog
from storage.catalog.runs.records import NewRun, QueuedRun, RunState

SECOND_US = 1_000_000


class Bench:
    """A worker in this process, whose clock stands still unless it is moved."""

    def __init__(self, data: Path) -> None:
        self.now_us = 20_000 * 86_400 * SECOND_US
        self.catalog = Catalog.prepare(data, lambda: self.now_us)
        self.project, _ = self.catalog.projects.ensure_first()
        self.stop = threading.Event()
        self.gave_up = threading.Event()
        self.contexts: list[RunContext] = []

    def ask(self, target: str = "a") -> QueuedRun:
        return self.catalog.runs.enqueue(NewRun(self.project.id, "p", target, "by hand", "q"))[0]

    def execute(self, act: Callable[[RunContext], RunResult | None], **options: Any) -> bool:
        """Execute the next run, which does ``act``."""

        def execute(_: QueuedRun, context: RunContext) -> RunResult:
            self.contexts.append(context)
            return act(context) or RunResult()

        policy = RetryPolicy(attempts=3, first_pause=10.0)
        given = WorkerOptions(policy=policy, **options)
        worker = RunWorker(
            self.catalog, execute, self.stop, given, give_up=self.gave_up.set, clock=lambda: self.now_us
        )
        return worker.execute_next()

    def now(self, run: QueuedRun) -> QueuedRun:
        return self.catalog.runs.find(run.project_id, run.id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data")
    with closing(made.catalog):
        yield made


def failing(error: Exception) -> Callable[[RunContext], RunResult]:
    def act(_: RunContext) -> RunResult:
        raise error

    return act


def until_told(context: RunContext) -> None:
    context.interrupted.wait()
    context.check()


def test_a_run_that_is_done(bench: Bench) -> None:
    run = bench.ask()

    def act(context: RunContext) -> RunResult:
        context.add_bytes(300)
        sum(range(3_000_000))
        return RunResult({"rows": 7})

    assert bench.execute(act)
    done = bench.now(run)
    assert (done.state, done.detail, done.bytes) == (RunState.DONE, '{"rows": 7}', 300)
    assert done.cpu_us > 0
    assert done.message is None
    [usage] = bench.catalog.runs.usage()
    assert (usage.cpu_us, usage.bytes, usage.runs) == (done.cpu_us, 300, 1)
    assert not bench.execute(act)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RunFailed("The page answered 503."), "The page answered 503."),
        (KeyError("country"), "KeyError: 'country'"),
    ],
)
def test_a_failure_is_tried_again_after_growing_pauses_and_then_dead(
    bench: Bench, error: Exception, message: str
) -> None:
    run = bench.ask()
    for pause in (10, 20):
        assert bench.execute(failing(error))
        waiting = bench.now(run)
        assert (waiting.state, waiting.message) == (RunState.WAITING, message)
        seconds = (waiting.due_us - bench.now_us) / SECOND_US
        assert pause <= seconds <= 1.25 * pause
        assert not bench.execute(failing(error)), "it pauses"
        bench.now_us = waiting.due_us
    assert bench.execute(failing(error))
    assert (bench.now(run).state, bench.now(run).message) == (RunState.DEAD, message)
    fresh = bench.catalog.runs.replay(run.project_id, run.id)
    assert bench.execute(lambda _: None)
    assert bench.now(fresh).state is RunState.DONE


def test_what_is_refused_is_dead_at_once(bench: Bench) -> None:
    run = bench.ask()
    bench.execute(failing(RunRefused("There is no such column.")))
    assert (bench.now(run).state, bench.now(run).attempts) == (RunState.DEAD, 1)


def test_what_is_put_off_does_not_count(bench: Bench) -> None:
    run = bench.ask()
    for _ in range(5):
        assert bench.execute(failing(RunPostponed("The day is not over.", 60.0)))
        assert not bench.execute(lambda _: None)
        bench.now_us += 60 * SECOND_US
    waiting = bench.now(run)
    assert (waiting.state, waiting.attempts, waiting.message) == (RunState.WAITING, 0, "The day is not over.")


def test_a_run_that_takes_too_long_has_failed(bench: Bench) -> None:
    run = bench.ask()
    bench.execute(until_told, run_seconds=0.1)
    assert (bench.now(run).state, bench.now(run).attempts) == (RunState.WAITING, 1)
    assert bench.now(run).message == "The run took longer than 0.1 seconds."
    assert bench.contexts[0].reason is Interruption.OVERTIME


def test_a_run_that_does_not_end_when_told_costs_its_process(bench: Bench) -> None:
    bench.ask()

    def act(_: RunContext) -> None:
        bench.gave_up.wait()

    bench.execute(act, run_seconds=0.1, grace_seconds=0.1)
    assert bench.gave_up.is_set()


def test_a_stopping_process_puts_its_run_back(bench: Bench) -> None:
    run = bench.ask()

    def act(context: RunContext) -> None:
        bench.stop.set()
        until_told(context)

    bench.execute(act, stop_seconds=0.0)
    assert (bench.now(run).state, bench.now(run).attempts) == (RunState.WAITING, 0)


def test_a_run_that_is_finished_with_what_it_made_is_charged_all_the_same(bench: Bench) -> None:
    run = bench.ask()

    def act(context: RunContext) -> None:
        context.add_bytes(300)
        [claimed] = bench.catalog.runs.executing()
        assert bench.catalog.runs.finish(claimed, '{"rows": 1}')

    bench.execute(act)
    assert (bench.now(run).state, bench.now(run).detail) == (RunState.DONE, '{"rows": 1}')
    assert bench.now(run).bytes == 300
    assert bench.catalog.runs.usage()[0].cpu_us == bench.now(run).cpu_us > 0


def test_processes_follow_the_backlog_and_stay_for_a_while(bench: Bench) -> None:
    count, runs = ProcessCount(3, 60.0), bench.catalog.runs
    assert count.wanted(bench.catalog, 0, 0.0, None) == 0
    first = bench.ask("a")
    assert count.wanted(bench.catalog, 0, 1.0, None) == 1
    assert count.wanted(bench.catalog, 0, 1.0, ("other",)) == 1, "it stays for a while"
    assert runs.claim("c") is not None
    assert count.wanted(bench.catalog, 1, 2.0, None) == 1
    for target in "bcdef":
        bench.ask(target)
    assert count.wanted(bench.catalog, 1, 3.0, None) == 3
    for run in runs.listed():
        if run.state is RunState.WAITING:
            runs.cancel(run.project_id, run.id)
    runs.finish(bench.now(first))
    assert count.wanted(bench.catalog, 0, 62.0, None) == 3
    assert count.wanted(bench.catalog, 0, 63.0, None) == 0
    assert ProcessCount(0, 60.0).wanted(bench.catalog, 0, 0.0, None) == 0
    assert ProcessCount(3, 60.0, number=2, now=100.0).wanted(bench.catalog, 1, 101.0, None) == 2


def test_callbacks_of_an_interruption_run_once_even_if_they_come_late() -> None:
    context, called = RunContext(-1), []
    context.on_interrupt(lambda: called.append("before"))
    context.check()
    context.interrupt(Interruption.CANCELLED)
    context.interrupt(Interruption.OVERTIME)
    context.on_interrupt(lambda: called.append("after"))
    assert (called, context.reason) == (["before", "after"], Interruption.CANCELLED)
    with pytest.raises(RunInterrupted, match="cancelled"):
        context.check()


def test_names_of_queues() -> None:
    assert pools_of([]) is None
    assert pools_of(["a, b", "c"]) == ("a", "b", "c")
