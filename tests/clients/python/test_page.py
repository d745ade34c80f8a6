"""docs/clients/python.md: its blocks are run one after another, and give what stands behind them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acumen_client import Acumen, managing
from tests.support.server import Served

PAGE = Path(__file__).resolve().parents[3] / "docs/clients/python.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GIVES = "  # → "


@pytest.fixture
def environment(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What ``from_environment`` reads, for a fresh project; files are written elsewhere."""
    project = served.new_project()
    settings = {
        "URL": served.url,
        "PROJECT": project.id,
        "WRITE_KEY": project.write_key,
        "READ_KEY": project.read_key,
        "MASTER_KEY": project.master_key,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"ACUMEN_{name}", value)
    monkeypatch.chdir(tmp_path)
    yield


def run(code: str, line: int, names: dict[str, Any]) -> None:
    """Run a block; expressions give what the comment behind them says."""
    lines = code.split("\n")
    for node in ast.parse(code).body:
        last = lines[(node.end_lineno or node.lineno) - 1]
        _, marked, expected = last.partition(GIVES)
        module = ast.Module([node], [])
        if not marked:
            exec(compile(module, str(PAGE), "exec"), names)
            continue
        assert isinstance(node, ast.Expr), last
        given = eval(compile(ast.Expression(node.value), str(PAGE), "eval"), names)
        assert repr(given) == expected, f"line {line + node.lineno}: {last}"


@pytest.mark.usefixtures("environment")
def test_the_code_of_the_page_does_what_it_says() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for found in BLOCK.finditer(TEXT):
        run(found[1], TEXT[: found.start()].count("\n") + 1, names)
    names["client"].close()


def test_the_page_names_every_part_and_method() -> None:
    for name, part in vars(managing.Managing).items():
        if name.startswith("_"):
            continue
        (row,) = re.findall(rf"^\| `client\.{name}`[^|]*\| (.*) \|$", TEXT, re.MULTILINE)
        kind = part.func(Acumen()).__class__
        methods = [one for one in vars(kind) if not one.startswith("_")]
        assert sorted(re.findall(r"`(\w+)`", row)) == sorted(methods), name


def test_what_the_page_says_of_the_environment_is_so() -> None:
    source = Path(managing.__file__).with_name("client.py")
    known = set(re.findall(r"ACUMEN_[A-Z_]+", source.read_text(encoding="utf-8")))
    assert set(re.findall(r"ACUMEN_[A-Z_]+", TEXT)) <= known
