"""Apache Airflow 3, which has an environment of its own: found, given our packages, and given a home.

The environment is made of ``tests/clients/airflow/requirements.lock``; ``scripts/setup_airflow.sh`` makes it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.server import Served, ServedProject

VARIABLE = "ACUMEN_TEST_AIRFLOW"
ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "clients/python", ROOT / "clients/airflow")


def airflow_python() -> Path:
    """The Python that has Airflow; skips where there is none."""
    given = os.environ.get(VARIABLE, "")
    if not given:
        how = "the Python of the environment that scripts/setup_airflow.sh makes"
        pytest.skip(f"Apache Airflow 3 is not installed (set {VARIABLE} to {how})")
    return Path(given)


class AirflowHome:
    """A home of Airflow with a database, and with our packages, installed as their users install them."""

    def __init__(self, folder: Path) -> None:
        self.python = airflow_python()
        self.home = folder / "home"
        self.dags = folder / "dags"
        self.dags.mkdir()
        self._packages = folder / "packages"
        self._database = folder / "airflow.db"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self._packages),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._database}?timeout=60",
            "NO_PROXY": "127.0.0.1",
        }
        self._install()
        self.run("-m", "airflow", "db", "migrate")
        with closing(sqlite3.connect(self._database)) as database:
            # Several processes use it: readers and a writer at once.
            database.execute("PRAGMA journal_mode = WAL")

    def _install(self) -> None:
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
        self.run(*pip, "--no-build-isolation", "--target", str(self._packages), *map(str, PACKAGES))

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """What its Python printed; fails with that where it ends with another status than 0."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.dags,
            env={**self.env, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def connection(server: Served, project: ServedProject) -> str:
    """The connection of a project, as Airflow takes it from its environment."""
    return json.dumps(
        {
            "conn_type": "acumen",
            "host": "http://127.0.0.1",
            "port": server.port,
            "login": project.id,
            "password": project.master_key,
        }
    )


def run_events(server: Served, project: ServedProject) -> dict[str, str]:
    """The settings with which Airflow's own runs become events of ``airflow_runs``."""
    given = {
        "COLLECTION": "airflow_runs",
        "URL": server.url,
        "PROJECT_ID": project.id,
        "WRITE_KEY": project.write_key,
        "WAIT_SECONDS": "10",
    }
    return {f"AIRFLOW__ACUMEN__RUN_EVENTS_{name}": value for name, value in given.items()}
