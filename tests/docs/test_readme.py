"""The README's lines, as printed, against a served Acumen; only address and place of the command differ."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acumen_client import Acumen, Query
from tests.clients.browser.conftest import Site
from tests.sdk.conftest import NODE, install_node_sdks
from tests.support.browser import PATIENCE_SECONDS, Launch
from tests.support.command import acumen_command, run_acumen
from tests.support.server import Served, ServedProject

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


def keys_of(project: ServedProject) -> dict[str, str]:
    """The names that a reader fills in."""
    return {"PROJECT": project.id, "WRITE_KEY": project.write_key, "READ_KEY": project.read_key}


def run_python(code: str, server: Served, names: dict[str, Any]) -> None:
    exec(compile(adapted(code, server), str(README), "exec"), names)


def test_the_python_client_is_installed_and_run(server: Served, tmp_path: Path) -> None:
    """The client that its line installs, from this checkout, as the only one there is."""
    (line,) = re.findall(r"`pip (install '\./clients/python[^`]*)`", README.read_text())
    quiet = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", *shlex.split(line), *quiet, "--target", str(tmp_path / "there")],
        check=True,
        cwd=README.parent,
        timeout=600,
    )
    project = server.new_project("Python")
    lines, _, expected = adapted(blocks("python")[0], server).rstrip().partition("  # → ")
    lines, _, last = lines.rpartition("\n")
    given = "".join(f"{name} = {value!r}\n" for name, value in keys_of(project).items())
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{given}{lines}\nimport acumen_client\nprint({last}, acumen_client.__file__)",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "there")},
        cwd=tmp_path,
        timeout=600,
    )
    assert done.stdout == f"{expected} {tmp_path / 'there/acumen_client/__init__.py'}\n", done.stderr


def shown(launch: Launch, site: Site, path: str) -> tuple[Any, list[str]]:
    """A page of the site, and what a developer would see in red."""
    errors: list[str] = []
    page = launch().new_page()
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(site.url + path)
    return page, errors


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


HEAD = "<!doctype html><title>Shop</title><link rel=icon href=data:,>"


def test_the_page_records_and_draws(server: Served, launch: Launch, site: Site) -> None:
    project = server.new_project("Page")
    text = adapted(blocks("html")[0], server)
    for name, value in keys_of(project).items():
        text = text.replace(f'"{name}"', f'"{value}"')
    site.pages["/"] = HEAD + text
    page, errors = shown(launch, site, "/")
    page.locator("acumen-chart", has_text="Who bought").wait_for()
    page.locator("acumen-chart", has_text="bob").wait_for()
    until = time.monotonic() + PATIENCE_SECONDS
    while server.ask(project, "count", event_collection="pageviews") != 1:
        assert time.monotonic() < until, "no page view"
        time.sleep(0.05)
    assert server.ask(project, "sum", event_collection="purchases", target_property="price") == 7
    assert errors == []


def test_a_customers_chart(server: Served, launch: Launch, site: Site) -> None:
    """The token of the README, in the page of the README, shows that customer alone."""
    project = server.new_project("Customers")
    server.record(project, "purchases", *({"price": 7, "user": {"id": name}} for name in ("ann", "bob")))
    with Acumen(server.url, project_id=project.id, master_key=project.master_key) as owner:
        by_user = Query.sum("purchases", "price").by("user.id")
        owner.saved_queries.put("revenue", by_user, metadata={"visualization": {"type": "bar"}})
        names = {"ACCESS_KEY": owner.access_keys.create("Backend", ["saved_queries"]).key}
    run_python(blocks("python")[1], server, names)
    text = adapted(blocks("html")[1], server)
    site.pages["/"] = HEAD + (
        f'<script type="module" src="{server.url}/clients/acumen-charts.js"></script>'
        + text.replace('"PROJECT"', f'"{project.id}"').replace('"TOKEN"', f'"{names["token"]}"')
    )
    page, errors = shown(launch, site, "/")
    page.locator("acumen-chart", has_text="ann").wait_for()
    assert page.locator("acumen-chart", has_text="bob").count() == 0
    assert errors == []


def test_the_lines_for_keens_python_sdk(server: Served) -> None:
    project = server.new_project("Keen")
    run_python(blocks("python")[2], server, dict(keys_of(project)))
    assert server.ask(project, "count", event_collection="signups") == 1


def test_the_lines_for_keens_sdk_in_a_page(server: Served, launch: Launch, site: Site) -> None:
    install_node_sdks()
    project = server.new_project("Keen")
    (code,) = blocks("js")
    (build,) = (NODE / "node_modules/keen-tracking/dist").glob("keen-tracking.min.js")
    names = f"const projectId = {project.id!r}, writeKey = {project.write_key!r};"
    code = code.replace(ADDRESS.removeprefix("http://"), server.url.removeprefix("http://"))
    site.pages["/keen.js"] = build.read_text(encoding="utf-8")
    site.pages["/"] = f"{HEAD}<script src=/keen.js></script><script>{names}\n{code}</script>"
    shown(launch, site, "/")
    until = time.monotonic() + PATIENCE_SECONDS
    while server.ask(project, "count", event_collection="signups") != 1:
        assert time.monotonic() < until, "no event"
        time.sleep(0.05)


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
        "mcp",
        "demo",
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
