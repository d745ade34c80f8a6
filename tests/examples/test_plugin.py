"""The example of plugins, installed as docs/plugins.md says, and used by a real server."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tests.support.command import acumen_command
from tests.support.plugins import EXAMPLE, install_example
from tests.support.server import Served

WAIT_SECONDS = 300.0
PIPELINES = """
owner = "data@shop.example"

[sources.old_payments]
plugin = "sqlite"
settings = { file = "FILE", table = "payments" }
into = "payments"
time = "at"
every = "1_seconds"

[pipelines.payers]
from = "payments"
into = "payers"
sinks = [{ plugin = "sqlite", settings = { file = "FILE", table = "payers" } }]
columns = { amount = "number", mail = "string", account = "string" }
steps = [
  { plugin = "rounded", settings = { column = "amount", decimals = 0 } },
  { enrich = "email", input = { address = "mail" }, output = "payer" },
  { expect = "accounts", plugin = "iban", settings = { column = "account" }, severity = "quarantine" },
]
"""


def test_a_server_runs_the_plugins_of_an_installed_package(tmp_path: Path) -> None:
    packages, folder = tmp_path / "packages", tmp_path / "folder"
    install_example(packages, tmp_path / "built")
    folder.mkdir()
    database = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE payments (at TEXT, amount REAL, mail TEXT)")
        connection.execute("INSERT INTO payments VALUES (?, 30, 'old@shop.example')", (_now(),))
    (folder / "pipelines.toml").write_text(PIPELINES.replace("FILE", str(database)))
    path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")]))
    env = {"PYTHONPATH": path, "ACUMEN_FLUSH_SECONDS": "0.3"}

    def acumen(*words: str) -> str:
        return subprocess.run(
            [*acumen_command(), *words],
            env={**os.environ, **env},
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout

    listed = acumen("plugins").splitlines()
    assert [line.split()[-2:] for line in listed] == [["acumen-example-plugin", "1.0.0"]] * len(listed)
    with Served(env=env, command=acumen_command()) as server:
        project = server.project
        server.record(
            project,
            "payments",
            {"amount": 12.6, "mail": "ada@shop.example", "account": "DE89370400440532013000"},
            {"amount": 1, "mail": "eve@shop.example", "account": "DE89370400440532013001"},
        )
        acumen("apply", str(folder), "--data", str(server.data))
        deadline = time.monotonic() + WAIT_SECONDS
        asked = {"timeframe": "this_2_days", "group_by": "payer.domain", "target_property": "amount"}
        wanted = [{"payer.domain": "shop.example", "result": 43}]
        while server.ask(project, "sum", event_collection="payers", **asked) != wanted:
            assert time.monotonic() < deadline, server.run("status", check=False).stdout
            time.sleep(0.1)
        while _delivered(database) != [13, 30]:
            assert time.monotonic() < deadline, _delivered(database)
            time.sleep(0.1)
        assert (
            server.ask(project, "count", event_collection="payers_quarantine", timeframe="this_2_days") == 1
        )


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _delivered(database: Path) -> list[float]:
    with closing(sqlite3.connect(database)) as connection:
        try:
            rows = connection.execute("SELECT row FROM payers").fetchall()
        except sqlite3.OperationalError:
            return []
    return sorted(json.loads(row)["amount"] for (row,) in rows)


def test_all_its_plugins_are_named_in_its_package() -> None:
    """A class that no entry point names would be a part of the example that nobody runs."""
    named = (EXAMPLE / "pyproject.toml").read_text()
    for path in (EXAMPLE / "src" / "acumen_example_plugin").glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith("class ") and line.endswith(":") and "(" not in line:
                assert f":{line.removeprefix('class ').rstrip(':')}" in named
