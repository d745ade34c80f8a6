"""How `make` finds a Python, and what it says where there is none. The interpreters here are stand-ins."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parent.parent / "scripts/setup.sh"

TOO_OLD = "exit 1"
BROKEN = 'echo "command not found" >&2; exit 127'
WITHOUT_PIP = '[ "$1" = -c ] && exit 0; exit 3'
GOOD = '[ "$1" = -c ] && exit 0; echo "chosen: $0 $2"'
FAILING = '[ "$1" = -c ] && exit 0; exit 7'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is all of PATH: what the script itself needs, and no Python yet."""
    for tool in ("sh", "dirname"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def put(path: Path, name: str, script: str) -> None:
    program = path / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def setup(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SETUP), *arguments], env={"PATH": str(path)}, capture_output=True, text=True
    )


def test_the_newest_python_that_runs_is_taken(path: Path) -> None:
    """A name on the path may be a shim for a version that is not installed."""
    put(path, "python3.14", BROKEN)
    put(path, "python3.12", GOOD)
    put(path, "python3.11", GOOD)
    assert "python3.12 dev" in setup(path, "", "dev").stdout


def test_a_python_that_can_make_no_environment_gives_way_to_the_next(path: Path) -> None:
    put(path, "python3.13", WITHOUT_PIP)
    put(path, "python3", GOOD)
    assert "python3 " in setup(path).stdout


def test_the_python_that_is_asked_for_is_the_only_one_tried(path: Path) -> None:
    put(path, "mine", WITHOUT_PIP)
    put(path, "python3", GOOD)
    assert setup(path, "mine").returncode == 1


def test_a_failed_install_keeps_its_status(path: Path) -> None:
    """What pip said is the reason; another Python would not help."""
    put(path, "python3.13", FAILING)
    put(path, "python3", GOOD)
    assert setup(path).returncode == 7


def test_a_missing_pip_is_told_in_one_sentence(path: Path) -> None:
    put(path, "python3", WITHOUT_PIP)
    told = setup(path)
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert "needs pip" in told.stderr


def test_a_missing_python_is_told_in_one_sentence(path: Path) -> None:
    put(path, "python3", TOO_OLD)
    told = setup(path)
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert "Python 3.11 or newer" in told.stderr
