"""Packages of Node, installed beside the scripts that use them as their lock file says."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest


def installed_packages(folder: Path) -> str:
    """The program Node, with the packages of a folder's lock file installed in it; skips without Node."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("Node (node and npm) is not installed")
    with (folder / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not are_installed(folder):
            subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return program


def are_installed(folder: Path) -> bool:
    """Whether node_modules stands as package-lock.json says; npm writes its own copy of it last."""
    written = folder / "node_modules" / ".package-lock.json"
    return written.exists() and written.stat().st_mtime >= (folder / "package-lock.json").stat().st_mtime
