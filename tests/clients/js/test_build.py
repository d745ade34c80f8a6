"""The built files are what their sources build, as small as is said, and their types mean what they say."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.js.conftest import HERE, ROOT
from tests.support.npm import installed_packages

CLIENTS = ROOT / "clients"
DIST = CLIENTS / "js/dist"
BOUNDS = {"tracker.js": 4_000, "auto.js": 8_000}
PAGE = ROOT / "docs/clients/javascript.md"


def packed(name: str) -> int:
    """Bytes of a built file as `gzip -9` packs it."""
    return len(gzip.compress((DIST / name).read_bytes(), 9, mtime=0))


@pytest.mark.parametrize(("name", "bound"), BOUNDS.items())
def test_scripts_of_pages_are_small(name: str, bound: int) -> None:
    assert packed(name) <= bound


def test_the_sizes_of_the_documentation_are_those_of_the_files() -> None:
    (table,) = re.findall(
        r"^\| file \| gzipped.*?\n\n", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    rows = dict(re.findall(r"^\| `(\S+)` \| ([\d.]+) kB", table, re.MULTILINE))
    names = {path.name for path in DIST.glob("*.js")}
    assert rows == {name: f"{packed(name) / 1000:.1f}" for name in names}


def test_the_package_names_files_that_are_there() -> None:
    package = json.loads((CLIENTS / "js/package.json").read_text())
    for entry in package["exports"].values():
        for path in [entry] if isinstance(entry, str) else entry.values():
            assert (CLIENTS / "js" / path).is_file(), path
    assert "dependencies" not in package
    assert f'"{package["version"]}"' in (CLIENTS / "js/src/version.ts").read_text()


def test_the_lock_has_integrity_and_no_address() -> None:
    lock = json.loads((CLIENTS / "package-lock.json").read_text())
    for path, package in lock["packages"].items():
        if path.startswith("node_modules/") and not package.get("link"):
            assert package["integrity"].startswith("sha512-"), path
            assert "resolved" not in package, path


@pytest.fixture(scope="module")
def tools() -> str:
    """Node, with the build's tools."""
    return installed_packages(CLIENTS)


def test_the_built_files_are_what_the_sources_build(tools: str, tmp_path: Path) -> None:
    """In a copy, so that a test that runs beside this one meets no half-built file."""
    copy = tmp_path / "clients"
    shutil.copytree(CLIENTS, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(CLIENTS / "node_modules")
    subprocess.run([tools, "build.mjs"], cwd=copy / "js", check=True, capture_output=True)
    built = {path.name: path.read_bytes() for path in (copy / "js/dist").iterdir()}
    assert built == {path.name: path.read_bytes() for path in DIST.iterdir()}


def test_the_types_of_answers_follow_from_the_question(tools: str, tmp_path: Path) -> None:
    """Checked by the compiler, as somebody who installed the package has it."""
    package = tmp_path / "node_modules/acumen-client"
    package.mkdir(parents=True)
    shutil.copytree(DIST, package / "dist")
    shutil.copy(CLIENTS / "js/package.json", package)
    shutil.copy(HERE / "types.mts", tmp_path)
    compiler = CLIENTS / "node_modules/typescript/bin/tsc"
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"]
    done = subprocess.run(
        [tools, str(compiler), *options, "types.mts"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
