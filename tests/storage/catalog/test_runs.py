"""The queue of runs: order, limits, one of a target at a time, and what becomes of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from storage.catalog.errors import UnknownProject, UnknownRun
from storage.catalog.runs.records import LimitScope, NewRun, QueuedRun, RunLimits, RunState
from storage.catalog.runs.runs import AGEING_US, SPACING_US
from tests.support.scale import examples

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


class Clock:
    def __init__(self) -> None:
        self.now_us = 20_000 * DAY_US

    def __call__(self) -> int:
        return self.now_us


class Queue:
    """A catalog with one project, and short words for its runs."""

    def __init__(self, data: Path) -> None:
        self.clock = Clock()
        self.catalog = Catalog.prepare(data, self.clock)
        self.project, _ = self.catalog.projects.ensure_first()
        self.runs = self.catalog.runs
        self._claims = count()

    def ask(
        self,
        target: str,
        *,
        pipeline: str = "p",
        pool: str = "q",
        priority: int = 0,
        due_us: int = 0,
        project: str | None = None,
    ) -> QueuedRun:
        new = NewRun(project or self.project.id, pipeline, target, "by hand", pool, priority, due_us)
        return self.runs.enqueue(new)[0]

    def claim(self, *pools: str) -> QueuedRun | None:
        return self.runs.claim(f"c{next(self._claims)}", pools or None)

    def order(self) -> list[str]:
        """The targets of all that can be executed one after the other, in their order."""
        found = []
        while (run := self.claim()) is not None:
            found.append(run.target)
            self.runs.finish(run)
        return found

    def state(self, run: QueuedRun) -> RunState:
        return self.runs.find(run.project_id, run.id).state


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path / "data")
    with closing(made.catalog):
        yield made


def test_a_target_waits_once_and_is_queued_again_while_it_executes(queue: Queue) -> None:
    first = queue.ask("monday")
    assert queue.ask("monday").id == first.id
    running = queue.claim()
    assert running is not None
    assert (running.id, running.asked, running.attempts) == (first.id, 2, 1)
    second = queue.ask("monday")
    assert second.id != first.id
    assert queue.claim() is None, "one of a target at a time"
    assert queue.runs.finish(running)
    again = queue.claim()
    assert again is not None
    assert again.id == second.id


def test_asking_again_makes_a_run_more_urgent_and_never_less(queue: Queue) -> None:
    queue.ask("late", due_us=queue.clock.now_us + DAY_US)
    queue.ask("other")
    queue.ask("late", priority=3)
    queue.ask("late", priority=1, due_us=queue.clock.now_us + DAY_US)
    assert queue.order() == ["late", "other"]


def test_priorities_then_turns(queue: Queue) -> None:
    for target, priority in (("a", 0), ("b", 2), ("c", 1), ("d", 2)):
        queue.ask(target, priority=priority)
        queue.clock.now_us += SECOND_US
    assert queue.order() == ["b", "d", "c", "a"]


def test_a_low_priority_gets_its_turn_under_a_stream_of_high_ones(queue: Queue) -> None:
    queue.ask("low", priority=0)
    for step in range(1_000):
        queue.ask(f"high {step}", priority=5)
        run = queue.claim()
        assert run is not None
        queue.runs.finish(run)
        if run.target == "low":
            break
        queue.clock.now_us += 10 * SECOND_US
    assert queue.runs.listed(states=[RunState.WAITING], target="low") == []
    assert step * 10 * SECOND_US <= 5 * AGEING_US + 10 * SECOND_US


def test_a_project_that_queues_much_lets_others_in(queue: Queue) -> None:
    other = queue.catalog.projects.create("other")
    days = [NewRun(queue.project.id, "p", f"backfill {step}", "by hand", "q") for step in range(20)]
    assert all(is_new for _, is_new in queue.runs.enqueue_all(days))
    queue.clock.now_us += SECOND_US
    queue.ask("other's", project=other.id)
    assert queue.order().index("other's") <= 1
    assert SPACING_US < AGEING_US


def test_a_run_that_is_not_due_waits(queue: Queue) -> None:
    due_us = queue.clock.now_us + SECOND_US
    queue.ask("a", due_us=due_us)
    assert queue.claim() is None
    assert queue.runs.next_due_us() == due_us
    queue.clock.now_us = due_us
    assert queue.claim() is not None


def test_a_clock_that_goes_back_holds_up_nothing_that_was_asked_for_at_once(queue: Queue) -> None:
    queue.ask("a")
    queue.clock.now_us -= 3_600 * SECOND_US
    assert queue.order() == ["a"]


def test_workers_take_the_pools_that_they_are_told(queue: Queue) -> None:
    queue.ask("a", pool="slow")
    assert queue.claim("quick") is None
    assert queue.claim("quick", "slow") is not None


@pytest.mark.parametrize("scope", list(LimitScope))
def test_concurrency_of_pools_projects_and_pipelines(queue: Queue, scope: LimitScope) -> None:
    name = {LimitScope.POOL: "q", LimitScope.PROJECT: "", LimitScope.PIPELINE: "p"}[scope]
    project = "" if scope is LimitScope.POOL else queue.project.id
    queue.runs.set_limits(RunLimits(scope, name, project, concurrency=2))
    for target in "abc":
        queue.ask(target)
    assert queue.runs.ready(9) == 2
    first, second = queue.claim(), queue.claim()
    assert first is not None
    assert second is not None
    assert queue.claim() is None
    queue.runs.finish(first)
    assert queue.claim() is not None
    queue.runs.remove_limits(scope, project, name)
    assert queue.runs.limits() == []


@pytest.mark.parametrize("used", [(3 * SECOND_US, 0), (0, 1_000)])
@pytest.mark.parametrize("scope", list(LimitScope))
def test_a_budget_holds_until_the_next_day(queue: Queue, scope: LimitScope, used: tuple[int, int]) -> None:
    name = {LimitScope.POOL: "q", LimitScope.PROJECT: "", LimitScope.PIPELINE: "p"}[scope]
    project = "" if scope is LimitScope.POOL else queue.project.id
    queue.runs.set_limits(RunLimits(scope, name, project, cpu_us_per_day=3 * SECOND_US, bytes_per_day=1_000))
    queue.ask("a")
    queue.ask("b")
    run = queue.claim()
    assert run is not None
    assert queue.runs.spent(run, *(value // 2 for value in used)) is False
    queue.runs.finish(run, "{}", *(value - value // 2 for value in used))
    assert queue.claim() is None
    [usage] = queue.runs.usage()
    assert (usage.cpu_us, usage.bytes, usage.runs) == (*used, 1)
    queue.clock.now_us += DAY_US
    assert queue.claim() is not None


def test_a_look_that_finds_nothing_wakes_nobody(queue: Queue) -> None:
    queue.runs.set_limits(RunLimits(LimitScope.POOL, "q", concurrency=0))
    queue.ask("a")
    marks = queue.catalog.mark(Area.RUNS)
    assert queue.claim() is None
    assert queue.catalog.mark(Area.RUNS) == marks


def test_the_priority_of_a_pool_counts_for_what_waits_and_what_comes(queue: Queue) -> None:
    queue.ask("a", pool="plain")
    queue.ask("b", pool="urgent")
    queue.runs.set_limits(RunLimits(LimitScope.POOL, "urgent", priority=2))
    queue.ask("c", pool="urgent")
    assert queue.order() == ["b", "c", "a"]


def test_what_is_put_back_gives_way_to_one_that_waits(queue: Queue) -> None:
    queue.ask("a")
    run = queue.claim()
    assert run is not None
    waiting = queue.ask("a")
    due_us = queue.clock.now_us + SECOND_US
    assert queue.runs.put_back(run, due_us, "no network")
    assert queue.state(run) is RunState.SUPERSEDED
    heir = queue.runs.find(run.project_id, waiting.id)
    assert (heir.attempts, heir.due_us, heir.message) == (1, due_us, "no network")


def test_a_claim_that_was_taken_back_has_no_effect(queue: Queue) -> None:
    queue.ask("a")
    run = queue.claim()
    assert run is not None
    assert queue.runs.put_back(run, 0)
    again = queue.claim()
    assert again is not None
    assert not queue.runs.finish(run)
    assert not queue.runs.bury(run, "no")
    assert not queue.runs.put_back(run, 0)
    assert queue.runs.spent(run, 5, 5) is None
    assert queue.state(again) is RunState.RUNNING
    assert queue.runs.finish(again)


def test_cancelling(queue: Queue) -> None:
    waiting = queue.ask("a")
    assert queue.runs.cancel(waiting.project_id, waiting.id).state is RunState.CANCELLED
    with pytest.raises(UnknownRun):
        queue.runs.cancel(waiting.project_id, waiting.id)
    queue.ask("a")
    run = queue.claim()
    assert run is not None
    assert not queue.runs.is_cancelling(run)
    assert queue.runs.cancel(run.project_id, run.id).cancelling
    assert queue.runs.spent(run, 1, 1) is True
    assert queue.runs.put_back(run, 0), "left by a killed process"
    assert queue.state(run) is RunState.CANCELLED


def test_a_dead_run_is_replayed_once(queue: Queue) -> None:
    run = queue.ask("a")
    with pytest.raises(UnknownRun):
        queue.runs.replay(run.project_id, run.id)
    claimed = queue.claim()
    assert claimed is not None
    assert queue.runs.bury(claimed, "The table is gone.")
    dead = queue.runs.listed(states=[RunState.DEAD])
    assert [one.message for one in dead] == ["The table is gone."]
    fresh = queue.runs.replay(run.project_id, run.id)
    assert (fresh.replays, fresh.attempts, fresh.state) == (run.id, 0, RunState.WAITING)
    with pytest.raises(UnknownRun):
        queue.runs.replay(run.project_id, run.id)


def test_ended_runs_are_forgotten_and_others_are_not(queue: Queue) -> None:
    queue.ask("a")
    queue.ask("b")
    done = queue.claim()
    assert done is not None
    queue.runs.finish(done)
    assert queue.runs.forget(queue.clock.now_us) == 0
    assert queue.runs.forget(queue.clock.now_us + 1) == 1
    assert [run.target for run in queue.runs.listed()] == ["b"]


def test_runs_of_a_deleted_project_do_not_begin(queue: Queue) -> None:
    other = queue.catalog.projects.create("other")
    queue.ask("a", project=other.id)
    queue.catalog.projects.delete(other.id)
    assert queue.claim() is None
    queue.runs.remove_project(other.id)
    assert queue.runs.listed() == []
    with pytest.raises(UnknownProject):
        queue.ask("a", project=other.id)


class Model(RuleBasedStateMachine):
    """Whatever is asked and however runs end: of a target at most one waits and one executes, no asking is
    lost, and pools keep to their limits."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.queue = Queue(Path(self.folder.name) / "data")
        self.queue.runs.set_limits(RunLimits(LimitScope.POOL, "q", concurrency=2))
        self.running: list[QueuedRun] = []
        self.owed: set[str] = set()
        """Targets that must still be executed from their beginning."""

    def teardown(self) -> None:
        self.queue.catalog.close()
        self.folder.cleanup()

    @rule(name=st.sampled_from("abcd"), priority=st.integers(-2, 2), later=st.sampled_from((0, 90)))
    def ask(self, name: str, priority: int, later: int) -> None:
        self.queue.ask(name, priority=priority, due_us=self.queue.clock.now_us + later * SECOND_US)
        self.owed.add(name)

    @rule()
    def claim(self) -> None:
        run = self.queue.claim()
        if run is not None:
            assert run.target not in {one.target for one in self.running}
            self.running.append(run)
            self.owed.discard(run.target)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(("finish", "back", "killed", "bury")))
    def end(self, data: st.DataObject, how: str) -> None:
        run = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if how == "finish":
            assert self.queue.runs.finish(run)
        elif how == "bury":
            assert self.queue.runs.bury(run, "no")
        else:
            due_us = self.queue.clock.now_us + (60 * SECOND_US if how == "back" else 0)
            assert self.queue.runs.put_back(run, due_us, forgiven=how == "killed")
            self.owed.add(run.target)

    @rule(seconds=st.sampled_from((1, 60)))
    def wait(self, seconds: int) -> None:
        self.queue.clock.now_us += seconds * SECOND_US

    @invariant()
    def holds(self) -> None:
        waiting = [run.target for run in self.queue.runs.listed(states=[RunState.WAITING])]
        assert len(waiting) == len(set(waiting))
        assert set(waiting) == self.owed
        executing = self.queue.runs.executing()
        assert {run.id for run in executing} == {run.id for run in self.running}
        assert len(executing) <= 2


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=examples(100), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
