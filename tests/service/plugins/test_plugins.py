"""Which plugins are found, what is said of one that cannot be used, and that no server imports any."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from query.engine.engine import Deadline
from service.__main__ import main
from service.plugins.confined import CodeFailed
from service.plugins.installed import PluginKind, installed_plugins
from service.plugins.running import problems_of
from tests.support.plugins import see_plugins, write_package

GOOD = """
import msgspec

class Good:
    api = 1

    class Settings(msgspec.Struct):
        column: str
        limits: list[int] = []

    def __init__(self, settings):
        self.settings = settings

    def run(self, rows):
        return rows.read_all()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    see_plugins(tmp_path / "packages", monkeypatch)
    yield tmp_path / "packages"
    installed_plugins.cache_clear()


BAD = {
    "cannot be imported": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "ends its process": ("import os\nos._exit(0)", "ended its process while it was imported"),
    "is not there": ("", "has no attribute 'Bad'"),
    "is a function": ("def Bad(rows): ...", "bad:Bad is no class."),
    "states no version": ("class Bad:\n    def run(self, rows): ...", "bad:Bad states no 'api'"),
    "is of another version": (
        "class Bad:\n    api = 2\n    def run(self, rows): ...",
        "is written for version 2 of the contract: this server has version 1.",
    ),
    "lacks its method": (
        "class Bad:\n    api = 1",
        "bad:Bad has no method 'run', which operation plugins need.",
    ),
}


def test_the_command_lists_them_and_says_which_cannot_be_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins"]) == 0
    assert capsys.readouterr().out.startswith("No plugins are installed")
    write_package(folder, "good", {"operations/fine": "good:Good"}, GOOD, version="2.5")
    assert main(["plugins"]) == 0
    assert capsys.readouterr().out == f"{'operation':<14} {'fine':<24} good 2.5\n"
    write_package(folder, "bad", {"operations/broken": "bad:Bad"}, BAD["cannot be imported"][0])
    write_package(folder, "other", {"operations/fine": "other:Good"}, GOOD)
    assert main(["plugins", "--json"]) == 1
    broken, fine = map(json.loads, capsys.readouterr().out.splitlines())
    assert {key: broken[key] for key in ("name", "kind", "package", "version")} == {
        "name": "broken",
        "kind": "operation",
        "package": "bad",
        "version": "1.0",
    }
    assert "It cannot be imported: RuntimeError: no licence" in broken["problem"]
    assert fine["problem"].endswith("both have one of this name: uninstall one of them.")
    assert not {"good", "bad", "other"} & sys.modules.keys()


@pytest.mark.parametrize("name", BAD)
def test_one_that_cannot_be_used_says_why(folder: Path, name: str) -> None:
    code, said = BAD[name]
    write_package(folder, "bad", {"operations/broken": "bad:Bad"}, code)
    with pytest.raises(CodeFailed) as raised:
        problems_of(PluginKind.OPERATION, "broken", [{}])
    assert said in str(raised.value)
    assert str(raised.value).startswith("The operation plugin 'broken'")


def test_one_that_hangs_is_ended(folder: Path) -> None:
    write_package(folder, "bad", {"operations/slow": "bad:Bad"}, "while True: pass")
    with pytest.raises(CodeFailed, match=r"It took longer than 0\.5 seconds"):
        problems_of(PluginKind.OPERATION, "slow", [{}], Deadline.after(0.5))


def test_settings_are_checked_by_their_own_type_and_the_field_is_named(folder: Path) -> None:
    write_package(folder, "good", {"operations/fine": "good:Good"}, GOOD)
    given: list[dict[str, Any]] = [
        {"column": "a"},
        {},
        {"column": 1},
        {"column": "a", "limits": [1, "x"]},
        {"column": "a", "limit": [1]},
    ]
    assert problems_of(PluginKind.OPERATION, "fine", given) == [
        None,
        "column: is lacking.",
        "column: expected `str`, got `int`.",
        "limits[1]: expected `int`, got `str`.",
        "limit: the plugin has no such setting. It has: column, limits.",
    ]
