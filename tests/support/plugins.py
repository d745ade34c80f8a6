"""Packages with plugins, installed into a folder of a test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from service.plugins.installed import installed_plugins

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


def install_example(into: Path, built_in: Path) -> None:
    """As pip does it, without an index or a compiler; its source is copied first, for it is built there."""
    source = built_in / "source"
    shutil.copytree(EXAMPLE, source)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(into), str(source)],
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(built_in), "PIP_CONFIG_FILE": "/dev/null"},
    )


def write_package(
    folder: Path, name: str, entries: Mapping[str, str], code: str, *, version: str = "1.0"
) -> None:
    """An installed package with one module of its name. ``entries``: ``group/name`` → ``module:class``."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(dedent(code))
    for old in folder.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    facts = folder / f"{name}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for key, target in entries.items():
        group, _, plugin = key.partition("/")
        lines += [f"[acumen.{group}]", f"{plugin} = {target}"]
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")


def see_plugins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process find the packages of a folder, also those that came since it looked."""
    monkeypatch.syspath_prepend(str(folder))
    installed_plugins.cache_clear()
