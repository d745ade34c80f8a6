"""Node, and the JavaScript client in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
Run = Callable[..., Any]


@pytest.fixture(scope="session")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed")
    return program


@pytest.fixture(scope="session")
def run(node: str) -> Run:
    """Run a script of this folder with a job as JSON on its standard input; what it prints, as JSON."""

    def run(script: str, job: object, **environment: str) -> Any:
        done = subprocess.run(
            [node, str(HERE / script)],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "TZ": "UTC", **environment},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])

    return run
