"""Runs in the Python that has Airflow: tasks in runs of their own, and the client of their project."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.sdk import DAG

from acumen_airflow.hook import AcumenHook
from acumen_client import Acumen

Ran = dict[str, Any]
_numbers = itertools.count(1)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def client() -> Iterator[Acumen]:
    """A client with the master key of the project that the connection names."""
    with AcumenHook().get_conn() as made:
        yield made


@pytest.fixture
def collection() -> str:
    """A collection of this test's own."""
    return f"events_{next(_numbers)}"


def _serialize(dag: DAG) -> None:
    """Write the DAG to the database, as the processor of a file that holds it does."""
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, bundle.name, bundle.version)


class Runs:
    """Runs tasks as Airflow runs them: rendered, deferred and resumed, each in a DAG of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, make: Callable[[], Any], *, day: int = 1, times: int = 1) -> Ran:
        """Run the tasks that ``make`` makes, and give states and results by their ids.

        ``day`` says which run it is; ``times``: how often it is run again, as by whoever clears it.
        """
        with DAG(self._name, schedule=None, start_date=START, catchup=False) as dag:
            make()
        _serialize(dag)
        for _ in range(times):
            when = START + dt.timedelta(days=day)
            run = dag.test(logical_date=when, run_after=when)
        found: Ran = {}
        for ti in run.get_task_instances():
            found[ti.task_id] = ti.xcom_pull(task_ids=ti.task_id) if ti.state == "success" else ti.state
        return found


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> Runs:
    return Runs(f"dag_{next(_numbers)}")
