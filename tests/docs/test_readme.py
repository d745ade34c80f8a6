"""The README's lines, as printed, against a served Acumen; only address and place of the command differ."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import acumen_command, run_acumen
from tests.support.server import Served

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A first start: an empty folder, one project."""
    with Served() as served:
        yield served


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def adapted(text: str, server: Served) -> str:
    """The text for this server and this environment instead of the ones a reader has just made."""
    instead = {
        ADDRESS: server.url,
    }
    return re.sub("|".join(map(re.escape, instead)), lambda found: instead[found[0]], text)


def put_command(path: Path, lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)


def run_shell(lines: str, server: Served, folder: Path) -> str:
    """Run the lines in one shell, in ``folder``, that stops at the first failure; what they print."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "ACUMEN_DATA": str(server.data), "PATH": path}
    quiet = lines.replace("curl ", "curl --silent --show-error --fail ")
    done = subprocess.run(
        ["sh", "-eu", "-c", adapted(quiet, server)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def values_in(text: str) -> list[Any]:
    """JSON values that stand one after another."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        values.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return values


@pytest.mark.parametrize("way", ["in a clone", "with Docker"])
def test_the_first_event_and_the_first_answer(tmp_path: Path, way: str) -> None:
    """Every shell block in order, and exactly the answers that the README shows, however it was started.

    For Docker a stand-in takes the place of its command, and runs what it would run in the container.
    """
    acumen = f'exec {shlex.join(acumen_command())} "$@"'
    if way == "in a clone":
        put_command(tmp_path / ".venv/bin/acumen", acumen)
    else:
        inside = '[ "$1 $2 $3 $4 $5" = "compose exec -T acumen acumen" ] || exit 9\nshift 5\n'
        put_command(tmp_path / "bin/docker", inside + acumen)
    with Served() as server:
        printed = run_shell("\n".join(blocks("sh")), server, tmp_path)
    (shown,) = blocks("json")
    assert values_in(printed) == values_in(shown)


def test_the_python_lines(server: Served) -> None:
    """The block for the Python SDK, with the names a reader fills in."""
    (code,) = blocks("python")
    project = server.project
    names: dict[str, Any] = {
        "PROJECT": project.id,
        "WRITE_KEY": project.write_key,
        "READ_KEY": project.read_key,
    }
    exec(compile(adapted(code, server), str(README), "exec"), names)
    assert server.ask(project, "count", event_collection="signups") == 1


def test_the_commands_it_names_are_there(server: Served) -> None:
    """Each command of the table, and each make target in the text."""
    text = README.read_text()
    commands = set(re.findall(r"`acumen ([a-z]+)", text))
    assert commands == {
        "serve",
        "orgs",
        "projects",
        "keys",
        "import",
        "files",
        "check",
        "backup",
        "restore",
        "doctor",
        "repair",
    }
    for command in commands:
        done = run_acumen([command, "--help"], os.environ)
        assert done.returncode == 0, done.stderr
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)`?", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_settings_it_names_are_there() -> None:
    """In the README and in the documents about running it."""
    known = (README.parent / "docs/settings.md").read_text()
    for name in ("README.md", "SECURITY.md", "docs/operating.md", "compose.yaml", "Dockerfile"):
        for setting in re.findall(r"\bACUMEN_[A-Z_]+\b", (README.parent / name).read_text()):
            assert setting in known, f"{name}: {setting}"
