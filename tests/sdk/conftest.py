"""Acumen as an SDK meets it: served by the `acumen` command, with keys, on a port of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Acumen:
    """A running server and the keys of its first project."""

    url: str
    port: int
    data: Path
    project_id: str
    master_key: str
    write_key: str
    read_key: str


def command(*arguments: str) -> list[str]:
    """The `acumen` command of this environment."""
    return [sys.executable, "-P", "-m", "service", *arguments]


@contextmanager
def served_acumen(data: Path, settings: Mapping[str, str] | None = None) -> Iterator[Acumen]:
    """Serve the folder on a free port until the block ends; a stop that is not clean is an error."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ACUMEN_")}
    environment |= {"ACUMEN_DATA": str(data), "ACUMEN_PORT": "0", **(settings or {})}
    with (data / "stderr.txt").open("w+") as errors:
        server = subprocess.Popen(
            command("serve"), env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            assert server.stdout is not None
            announced = re.search(r"(https?://\S+?):(\d+)$", server.stdout.readline().strip())
            assert announced is not None, (data / "stderr.txt").read_text()
            listed = subprocess.run(
                command("projects", "list"), env=environment, capture_output=True, text=True, check=True
            )
            project = json.loads(listed.stdout)[0]
            keys = {name: project[name] for name in ("master_key", "write_key", "read_key")}
            port = int(announced[2])
            yield Acumen(f"{announced[1]}:{port}", port, data, project["id"], **keys)
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
    assert server.returncode == 0, (data / "stderr.txt").read_text()


@pytest.fixture(scope="session")
def acumen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acumen]:
    """One server for the tests of a process; each collection they use is their own."""
    with served_acumen(tmp_path_factory.mktemp("acumen")) as served:
        yield served
