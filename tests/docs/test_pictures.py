"""The pictures of the documentation: each is there and described, and is what the server draws today."""

from __future__ import annotations

import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.server import Served

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs/images"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


class Shown(HTMLParser):
    """Pictures in a page of Markdown: their files, and the texts in place of them."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.files: set[Path] = set()
        self.texts: list[str] = []
        self._folder = page.parent
        self.feed(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("src", "srcset"):
            if tag in ("img", "source") and given.get(name):
                self.files.add((self._folder / str(given[name])).resolve())
        if tag == "img":
            self.texts.append(given.get("alt") or "")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "scripts/make_pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_there_shown_and_described() -> None:
    shown = [Shown(page) for page in PAGES]
    files = set().union(*(one.files for one in shown))
    stored = {path for path in IMAGES.rglob("*") if path.is_file()}
    assert files == stored, "run: python -P scripts/make_pictures.py, and scripts/make_page_pictures.py"
    assert all(text for one in shown for text in one.texts)


def test_they_are_what_the_server_draws(script: ModuleType, served: Served) -> None:
    project = served.new_project("Pictures")
    shop = script.Shop(served.url, project.id, project.master_key)
    for name, content in shop.pictures():
        written = (IMAGES / name).read_bytes()
        assert content == written, f"{name}: run: python -P scripts/make_pictures.py"
