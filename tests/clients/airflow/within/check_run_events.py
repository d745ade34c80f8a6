"""Airflow's own runs as events, which are switched on for all that runs here."""

from __future__ import annotations

import datetime as dt
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from acumen_airflow import run_events
from acumen_airflow.run_events import EVENTS_MAX, RunEvents
from acumen_client import Acumen

SETTING = "AIRFLOW__ACUMEN__RUN_EVENTS_"


def test_states_of_runs_and_tasks_are_events(runs: Any, client: Acumen) -> None:
    @task
    def works() -> int:
        return 1

    @task(retries=0)
    def fails() -> None:
        raise ValueError("for a reason")

    @task
    def skips() -> None:
        raise AirflowSkipException

    def make() -> None:
        works()
        fails()
        skips()

    runs(make)
    events = list(
        client.extract(
            "airflow_runs", filters=[{"property_name": "kind", "operator": "eq", "property_value": "task"}]
        )
    )
    states = {(one["task_id"], one["state"]) for one in events}
    assert states >= {("works", "running"), ("works", "success"), ("fails", "failed"), ("skips", "skipped")}
    failed = next(one for one in events if one["task_id"] == "fails" and one["state"] == "failed")
    assert (failed["error"], failed["error_type"], failed["try_number"]) == ("for a reason", "ValueError", 1)
    assert failed["duration_seconds"] >= 0
    assert failed["operator"] == "_PythonDecoratedOperator"


def test_it_is_off_unless_a_collection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run_events._configured()) == 1
    monkeypatch.delenv(f"{SETTING}COLLECTION")
    assert run_events._configured() == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no address"])
def test_a_server_that_is_away_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv(f"{SETTING}URL", url)
    monkeypatch.setenv(f"{SETTING}WAIT_SECONDS", "0.01")
    caplog.set_level(logging.ERROR, "acumen_client")
    listener = RunEvents("airflow_runs")
    now = dt.datetime.now(dt.UTC)
    for number in range(EVENTS_MAX + 50 if url.startswith("http") else 2):
        run = SimpleNamespace(dag_id="d", run_id=str(number), start_date=now, end_date=now)
        listener.on_dag_run_success(dag_run=run, msg="")
    listener.on_dag_run_failed(dag_run=object(), msg="")
    listener.before_stopping(component=None)
    if listener._sender is not None:
        assert listener._sender.stats.waiting <= EVENTS_MAX
        listener._sender.close(timeout=0)
