"""The example of plugins, installed as docs/plugins.md says, and used by a real server."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.support.command import acumen_command
from tests.support.plugins import EXAMPLE, install_example
from tests.support.server import Served

WAIT_SECONDS = 300.0
PIPELINES = """
owner = "data@shop.example"

[pipelines.payers]
from = "payments"
into = "payers"
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
    (folder / "pipelines.toml").write_text(PIPELINES)
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
        while (found := server.ask(project, "sum", event_collection="payers", **asked)) == []:
            assert time.monotonic() < deadline, server.run("status", check=False).stdout
            time.sleep(0.1)
        assert found == [{"payer.domain": "shop.example", "result": 13}]
        assert (
            server.ask(project, "count", event_collection="payers_quarantine", timeframe="this_2_days") == 1
        )


def test_all_its_plugins_are_named_in_its_package() -> None:
    """A class that no entry point names would be a part of the example that nobody runs."""
    named = (EXAMPLE / "pyproject.toml").read_text()
    for path in (EXAMPLE / "src" / "acumen_example_plugin").glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith("class "):
                assert f":{line.removeprefix('class ').rstrip(':')}" in named
