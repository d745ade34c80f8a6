"""Node, Deno and Bun, and the JavaScript client in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugins_required import REQUIRE_ALL
from tests.support.npm import are_installed, installed_packages

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RUNTIMES = HERE / "runtimes"
Run = Callable[..., Any]


NAMES = ["node", "deno", "bun"] if REQUIRE_ALL or are_installed(RUNTIMES) else ["node"]
"""Deno and Bun are some 70 MB to download: only where every test must run, or after `npm ci` in RUNTIMES."""


@pytest.fixture(scope="session", params=NAMES)
def runtime(request: pytest.FixtureRequest) -> list[str]:
    """The command that runs a script of this folder."""
    if request.param == "node":
        program = shutil.which("node")
        if program is None:
            pytest.skip("Node is not installed")
        return [program]
    installed_packages(RUNTIMES)
    packages, name = RUNTIMES / "node_modules", request.param
    (program,) = map(str, packages.glob({"deno": "@deno/*/deno", "bun": "@oven/*/bin/bun"}[name]))
    return [program, *{"deno": ["run", "--allow-all", "--quiet"], "bun": ["run"]}[name]]


@pytest.fixture(scope="session")
def run(runtime: list[str]) -> Run:
    """Run a script of this folder with a job as JSON on its standard input; what it prints, as JSON."""

    def run(script: str, job: object, **environment: str) -> Any:
        done = subprocess.run(
            [*runtime, str(HERE / script)],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "TZ": "UTC", **environment},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])

    return run
