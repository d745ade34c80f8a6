"""Processes for runs: those that the server has while there is something to do, and ``acumen worker``."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing

from storage.catalog.catalog import Catalog
from storage.catalog.runs.records import NewRun, QueuedRun, RunState
from tests.support.command import acumen_command
from tests.support.server import Served

LONG_SECONDS = 300.0


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(catalog: Catalog, target: str, pool: str = "q") -> QueuedRun:
    project, _ = catalog.projects.ensure_first()
    return catalog.runs.enqueue(NewRun(project.id, "unknown", target, "by hand", pool))[0]


def now(catalog: Catalog, run: QueuedRun) -> QueuedRun:
    return catalog.runs.find(run.project_id, run.id)


def run_workers(server: Served) -> list[str]:
    return [name for name in server.state().get("children", {}) if name.startswith("run-worker")]


def test_the_server_runs_a_process_while_there_are_runs() -> None:
    with Served(env={"ACUMEN_RUN_IDLE_SECONDS": "0.2"}) as server:
        assert run_workers(server) == []
        with closing(Catalog.open(server.data)) as catalog:
            run = ask(catalog, "monday")
            until(lambda: now(catalog, run).state is RunState.DEAD)
            assert "'unknown'" in (now(catalog, run).message or "")
            until(lambda: 'acumen_runs{state="dead"} 1.0' in metrics(server))
            until(lambda: "acumen_run_workers 0.0" in metrics(server))
            later = ask(catalog, "tuesday")
            until(lambda: now(catalog, later).state is RunState.DEAD)


def metrics(server: Served) -> str:
    return server.request("GET", "/metrics").body.decode()


def test_a_worker_takes_the_queues_that_it_is_told_and_a_server_may_stop_before_it() -> None:
    with Served(env={"ACUMEN_RUN_WORKERS": "0"}) as server:
        command = [*acumen_command(), "worker", "--data", str(server.data), "--queues", "a,b"]
        with closing(Catalog.open(server.data)) as catalog, subprocess.Popen(command) as worker:
            try:
                other, run = ask(catalog, "other", "c"), ask(catalog, "own", "b")
                until(lambda: now(catalog, run).state is RunState.DEAD)
                assert now(catalog, other).state is RunState.WAITING
                server.stop()
                assert not (server.data / "catalog.sqlite.sha256").exists()
                more = ask(catalog, "more", "a")
                until(lambda: now(catalog, more).state is RunState.DEAD)
                server.start()
                os.kill(worker.pid, signal.SIGTERM)
                assert worker.wait(LONG_SECONDS) == 0
            finally:
                worker.kill()
        server.stop()
        assert (server.data / "catalog.sqlite.sha256").exists()


def test_the_processes_of_a_killed_runner_are_kept_by_its_successor() -> None:
    env = {"ACUMEN_RUN_IDLE_SECONDS": "3600"}
    with Served(env=env) as server, closing(Catalog.open(server.data)) as catalog:
        first = ask(catalog, "monday")
        until(lambda: now(catalog, first).state is RunState.DEAD)
        worker, runner = server.child_pid("run-worker-0"), server.child_pid("runner")
        os.kill(runner, signal.SIGKILL)
        until(lambda: server.child_pid("runner") != runner)
        second = ask(catalog, "tuesday")
        until(lambda: now(catalog, second).state is RunState.DEAD)
        # Which its successor measures once it looks after the queue.
        until(lambda: 'acumen_runs{state="dead"} 2.0' in metrics(server))
        assert "acumen_run_workers 1.0" in metrics(server)
        assert server.child_pid("run-worker-0") == worker
