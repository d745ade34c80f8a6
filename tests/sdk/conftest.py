"""Acumen as an SDK is told of it: where it is, which project, which keys."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import TAKES_SCOPED_KEYS, Served, ServedProject

NODE = Path(__file__).resolve().parent / "node"


def install_node_sdks() -> str:
    """The Node program, with the SDKs installed beside the scripts as their lock file says."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("Node (node and npm) is not installed")
    with (NODE / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _installed():
            subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NODE, check=True)
    return program


def _installed() -> bool:
    """Whether node_modules stands as package-lock.json says; npm writes its own copy of it last."""
    written = NODE / "node_modules" / ".package-lock.json"
    return written.exists() and written.stat().st_mtime >= (NODE / "package-lock.json").stat().st_mtime


@dataclass(frozen=True)
class Acumen:
    """A running server and one project in it."""

    url: str
    port: int
    project_id: str
    master_key: str
    write_key: str
    read_key: str

    @classmethod
    def of(cls, server: Served, project: ServedProject) -> Acumen:
        keys = (project.master_key, project.write_key, project.read_key)
        return cls(server.url, server.port, project.id, *keys)


@pytest.fixture(scope="module")
def acumen(served: Served) -> Acumen:
    """A project of the module's own in the shared server."""
    return Acumen.of(served, served.new_project("SDK", preferences=TAKES_SCOPED_KEYS))
