"""The notebooks in ``examples/`` run, and show what is kept in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.python.notebooks import NOTEBOOKS, SETTINGS, environment_of, executed, read
from tests.support.server import Served


@pytest.fixture(scope="module")
def quick() -> Iterator[Served]:
    """A server that writes files at once, since pipelines read files alone."""
    with Served(env=SETTINGS) as server:
        yield server


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_shows_what_it_gives(
    quick: Served, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If the change is wanted: ``python -m tests.clients.python.notebooks`` writes what they show now."""
    for name, value in environment_of(quick, quick.new_project()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    notebook = read(path)
    assert executed(notebook) == notebook


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first-look.ipynb", "pipelines.ipynb"]
