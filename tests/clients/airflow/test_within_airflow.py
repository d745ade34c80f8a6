"""Hook, operators, sensors and triggers against a real server, in the Python that has Airflow.

What is checked stands in ``within/``: pytest runs it there, in one process, for Airflow takes long to begin.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.airflow import AirflowHome, connection, run_events
from tests.support.server import Served

WITHIN = Path(__file__).parent / "within"


@pytest.fixture
def fast() -> Iterator[Served]:
    """A server that writes files at once, since pipelines read files alone."""
    with Served(env={"ACUMEN_FLUSH_SECONDS": "0.3"}) as server:
        yield server


def test_within_airflow(fast: Served, tmp_path: Path) -> None:
    home = AirflowHome(tmp_path)
    project = fast.new_project()
    told = home.run(
        "-m",
        "pytest",
        "-q",
        "--durations=10",
        "--import-mode=importlib",
        f"--rootdir={WITHIN}",
        f"--confcutdir={WITHIN}",
        "-p",
        "no:cacheprovider",
        "-p",
        "airflow_runs",
        f"--basetemp={tmp_path / 'within'}",
        "--override-ini=addopts=",
        *map(str, sorted(WITHIN.glob("check_*.py"))),
        env={
            "AIRFLOW_CONN_ACUMEN_DEFAULT": connection(fast, project),
            **run_events(fast, project),
            "ACUMEN_WRITE_KEY": project.write_key,
            "ACUMEN_READ_KEY": project.read_key,
            "PYTHONPATH": f"{home.env['PYTHONPATH']}{os.pathsep}{WITHIN}",
        },
    )
    assert " passed" in told
    assert "skipped" not in told
