"""Make or renew `.venv` from the lock files. Runs on Python 3.11 and newer, with the standard library alone.

The packages come from wherever the user's pip looks (its configuration and environment are left to work), and
each must have a hash that the lock names. Exit status: 0 when the environment stands, 3 when this Python has
neither venv with ensurepip, nor virtualenv, nor a pip of its own, and pip's status when pip fails.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PLACE = VENV / "acumen-place"
CANNOT = 3

LOCKS = {"run": ("requirements.lock", "requirements-build.lock"), "dev": ("requirements-dev.lock",)}
"""What each part is made from. The links to this folder need what builds the package."""

CLIENT = {"run": (), "dev": ("clients/python/pyproject.toml",)}
"""The Python client, which the tests use; the server does not need it."""


def main(wanted: str) -> int:
    """Bring the environment to what the locks say; `wanted` is "dev" to have the development tools too."""
    if os.name == "nt":
        print("Acumen runs on Linux and macOS; on Windows use WSL2 or the Docker image.", file=sys.stderr)
        return 1
    parts = ["run", "dev"] if wanted == "dev" else ["run"]
    runs = environment_runs()
    stale = [part for part in parts if not (runs and is_current(part))]
    if not stale:
        return 0
    if not runs and not make_environment():
        return CANNOT
    installer = find_installer()
    if installer is None:
        return CANNOT
    for part in stale:
        status = install(installer, part)
        if status != 0:
            return status
        stamp(part).write_text(digest(part))
    return 0


def stamp(part: str) -> Path:
    """The file that says what a part was made from; written only when the part is whole."""
    return VENV / f"acumen-{part}.stamp"


def is_current(part: str) -> bool:
    return stamp(part).exists() and stamp(part).read_text() == digest(part)


def digest(part: str) -> str:
    """What a part was made from."""
    inputs = [(ROOT / name).read_bytes() for name in (*LOCKS[part], "pyproject.toml", *CLIENT[part])]
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()


def environment_runs() -> bool:
    """Whether `.venv` holds a working Python, new enough, and lies where it was made.

    An upgrade of the system can take its Python away, and scripts in a moved folder name the old place.
    """
    if not PYTHON.exists() or (PLACE.exists() and PLACE.read_text() != str(VENV)):
        return False
    probe = "import sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", probe], capture_output=True).returncode == 0


def make_environment() -> bool:
    """Make `.venv` by whatever this Python has; False when it has no way that ends with a pip."""
    shutil.rmtree(VENV, ignore_errors=True)
    ways = []
    if has_module("venv") and has_module("ensurepip"):
        ways.append([sys.executable, "-m", "venv", str(VENV)])
    if has_module("virtualenv"):
        ways.append([sys.executable, "-m", "virtualenv", "--quiet", str(VENV)])
    if program := shutil.which("virtualenv"):
        ways.append([program, "--quiet", "--python", sys.executable, str(VENV)])
    if has_module("venv") and outside_pips():
        ways.append([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    for way in ways:
        print(f"making .venv with Python {sys.version.split()[0]}", flush=True)
        if subprocess.run(way, capture_output=True).returncode == 0 and find_installer() is not None:
            PLACE.write_text(str(VENV))
            return True
        shutil.rmtree(VENV, ignore_errors=True)
    return False


def has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def outside_pips() -> list[list[str]]:
    """Pips outside the environment that may install into it (`--python`, pip 22.3 and later)."""
    pips = [[sys.executable, "-m", "pip"]] if has_module("pip") else []
    return pips + [[found] for name in ("pip3", "pip") if (found := shutil.which(name))]


def find_installer() -> list[str] | None:
    """The command that installs into `.venv`: its own pip, or one from outside that answers for it."""
    ways = [[str(PYTHON), "-m", "pip"]]
    ways += [[*pip, "--python", str(PYTHON)] for pip in outside_pips()]
    for way in ways:
        # Asking for the list shows more than asking for the version: an old pip may not know a new Python.
        if subprocess.run([*way, "list"], capture_output=True).returncode == 0:
            return way
    return None


def install(installer: list[str], part: str) -> int:
    """Install one part, with Acumen itself or its client as links to this folder; pip's exit status."""
    print(f"installing {' and '.join(LOCKS[part])}", flush=True)
    locked = ["--require-hashes"]
    for lock in LOCKS[part]:
        locked += ["--requirement", str(ROOT / lock)]
    if part == "dev":
        # One tool is published as source only (pure Python): the lock's own setuptools builds it.
        locked[:0] = ["--no-build-isolation", "--use-pep517"]
    else:
        # Nothing here may need a compiler: better a clear refusal than a failed build.
        locked[:0] = ["--only-binary", ":all:"]
    status = pip_install(installer, locked)
    if status == 0:
        project = ROOT if part == "run" else (ROOT / CLIENT[part][0]).parent
        itself = ["--no-deps", "--no-build-isolation", "--no-index", "--editable", str(project)]
        status = pip_install(installer, itself, PIP_REQUIRE_HASHES="0")
    return status


def pip_install(installer: list[str], arguments: list[str], **environment: str) -> int:
    """Run pip under the user's settings, but for the one that would install beside the environment."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    settings = {**os.environ, "PIP_USER": "0", **environment}
    return subprocess.run([*installer, "install", *quiet, *arguments], env=settings).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
