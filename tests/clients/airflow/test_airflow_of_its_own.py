"""The example on a whole Airflow, of scheduler, processor of DAGs, triggerer and API server."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow import AirflowHome, connection, run_events
from tests.support.server import START_SECONDS, Served, ServedProject, free_port

EXAMPLE = Path(__file__).parents[3] / "examples/airflow"
DAGS = f'''
"""The DAGs of the example, where sending fails once after all was sent, and nothing waits for long."""
import runpy
from datetime import timedelta

from airflow.sdk import DAG

found = runpy.run_path({str(EXAMPLE / "daily_revenue.py")!r})
dag, changed = found["dag"], found["changed"]


def fail_once(context, result):
    if context["ti"].try_number == 1:
        raise RuntimeError("the worker was lost after it had sent everything")


for task in (*dag.tasks, *changed.tasks):
    task.retry_delay = timedelta(seconds=0.1)
dag.get_task("send")._post_execute_hook = fail_once
dag.get_task("wait").poke_interval = 0.2
found["revenue"].watchers[0].trigger.poke_interval = 0.2
'''


class Airflow:
    """The four processes of Airflow, and its API."""

    def __init__(self, home: AirflowHome, folder: Path, env: dict[str, str]) -> None:
        self.port = free_port()
        url = f"http://127.0.0.1:{self.port}"
        self._env = {
            **home.env,
            **env,
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        }
        self._python = home.python
        self.log = folder / "airflow.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._token = ""

    def __enter__(self) -> Airflow:
        self._start("api-server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        self._start("dag-processor")
        self._start("scheduler", "--skip-serve-logs")
        self._start("triggerer", "--skip-serve-logs")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            command = [str(self._python), "-m", "airflow", *arguments]
            self._processes.append(
                subprocess.Popen(command, env=self._env, stdout=log, stderr=log, process_group=0)
            )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the API answers; None where it does not, or has nothing there yet."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode()
            assert error.code in (404, 503), f"{method} {path}: {error.code} {text}"
        except (urllib.error.URLError, ConnectionError):
            pass
        return None

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        """What ``look`` gives, once it is something; fails with the log where a process ends."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := look()):
            ended = [process.args for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                log = self.log.read_text(errors="replace")[-20_000:]
                raise AssertionError(f"waited for {what}; ended: {ended}\n{log}")
            time.sleep(0.2)
        return found

    def log_in(self) -> None:
        self._token = self.until("the API", lambda: self.ask("GET", "/auth/token"))["access_token"]

    def states(self, dag: str, run: str) -> dict[str, Any]:
        """The state of each task of a run, and of the run itself as ``""``."""
        of_run = self.ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")
        tasks = self.ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {"": of_run["state"], **{one["task_id"]: one["state"] for one in tasks}}

    def result(self, dag: str, run: str, task: str) -> Any:
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.ask("GET", f"{path}?deserialize=true")["value"]


@pytest.fixture
def served() -> Iterator[Served]:
    """A server that writes files at once, since pipelines read files alone."""
    with Served(env={"ACUMEN_FLUSH_SECONDS": "0.3"}) as server:
        yield server


def pipelines(served: Served, project: ServedProject, path: str, body: Any = None) -> Any:
    whole = f"/3.0/projects/{project.id}/pipelines/{path}"
    reply = served.request("GET" if body is None else "POST", whole, body, key=project.master_key)
    assert reply.status == 200, reply.body
    return reply.json


def test_the_example_runs_on_a_whole_airflow(served: Served, tmp_path: Path) -> None:
    home = AirflowHome(tmp_path)
    (home.dags / "example.py").write_text(DAGS)
    project = served.new_project()
    pipelines(served, project, "apply", {"file": (EXAMPLE / "pipelines.toml").read_text()})
    pipelines(served, project, "revenue/pause", {})
    env = {"AIRFLOW_CONN_ACUMEN_DEFAULT": connection(served, project), **run_events(served, project)}
    with Airflow(home, tmp_path, env) as airflow:
        airflow.log_in()
        sending_twice_stores_once_and_waiting_defers(airflow, served, project)
        the_asset_changes_with_a_bucket(airflow, served, project)
        runs_are_events(airflow, served, project)
        the_connection_is_tested_by_the_api(airflow, served, project)


def sending_twice_stores_once_and_waiting_defers(
    airflow: Airflow, served: Served, project: ServedProject
) -> None:
    dag = "daily_revenue"
    airflow.until("the DAG", lambda: airflow.ask("GET", f"/api/v2/dags/{dag}"))
    sent = {"logical_date": None, "conf": {"day": "2026-01-01"}}
    run = airflow.until("a run", lambda: airflow.ask("POST", f"/api/v2/dags/{dag}/dagRuns", sent))[
        "dag_run_id"
    ]
    airflow.until("the sensor", lambda: airflow.states(dag, run).get("wait") == "deferred")
    # The first try had sent all of them, and failed after that.
    assert airflow.result(dag, run, "send") == {"total": 3, "new": 0, "duplicates": 3, "refused": 0}
    tries = airflow.ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/send/tries")
    assert [one["try_number"] for one in tries["task_instances"]] == [1, 2]
    day = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    assert served.ask(project, "count", event_collection="orders", timeframe=day) == 3
    pipelines(served, project, "revenue/resume", {})
    ended = airflow.until(
        "the end", lambda: (now := airflow.states(dag, run))[""] in ("success", "failed") and now
    )
    assert set(ended.values()) == {"success"}
    assert airflow.result(dag, run, "report") == "DE 75, FR 25"


def the_asset_changes_with_a_bucket(airflow: Airflow, served: Served, project: ServedProject) -> None:
    dag = "revenue_changed"

    def told() -> Any:
        # Derived anew again and again, since the watcher tells of what came after its first look.
        day = "2026-01-02"
        served.record(project, "orders", {"price": 1, "keen": {"timestamp": f"{day}T00:00:00Z"}})
        runs = airflow.ask("GET", f"/api/v2/dags/{dag}/dagRuns")["dag_runs"]
        done = [one for one in runs if one["state"] == "success"]
        found = [airflow.result(dag, one["dag_run_id"], "days") for one in done]
        return next((days for days in found if day in days), None)

    assert "2026-01-02" in airflow.until("a run for a bucket", told)


def runs_are_events(airflow: Airflow, served: Served, project: ServedProject) -> None:
    wanted = {
        ("dag_run", None, "running"),
        ("dag_run", None, "success"),
        ("task", "send", "up_for_retry"),
        ("task", "send", "success"),
        ("task", "wait", "success"),
    }

    def found() -> bool:
        events = served.ask(
            project,
            "extraction",
            event_collection="airflow_runs",
            filters=[{"property_name": "dag_id", "operator": "eq", "property_value": "daily_revenue"}],
        )
        return wanted <= {(one["kind"], one.get("task_id"), one["state"]) for one in events}

    airflow.until("the events of runs", found)


def the_connection_is_tested_by_the_api(airflow: Airflow, served: Served, project: ServedProject) -> None:
    sent = {"connection_id": "tried", **json.loads(connection(served, project))}
    tested = airflow.ask("POST", "/api/v2/connections/test", sent)
    assert tested["status"] is True, tested
    (kind,) = [
        one for one in airflow.ask("GET", "/ui/connections/hook_meta") if one["connection_type"] == "acumen"
    ]
    assert set(kind["extra_fields"]) == {"write_key", "read_key"}
    assert kind["standard_fields"]["login"]["title"] == "Project id"
