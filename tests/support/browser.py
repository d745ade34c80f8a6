"""Headless Chromium for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SITE = "site.example"
"""A name for this machine's own address: over plain HTTP no secure context, unlike 127.0.0.1."""
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {SITE} 127.0.0.1",
]
PATIENCE_SECONDS = 60.0

Launch = Callable[..., Any]


def find_chromium() -> str | None:
    """The program of Chromium; None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def chromium() -> str:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed")
    return program


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    """For one module: while it runs, its thread has an event loop, in which no other can be started."""
    # Only tests of pages wait for it to be imported.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Any, chromium: str) -> Iterator[Any]:
    """One browser for tests that need no profile of their own: each makes a context."""
    running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    yield running
    running.close()


@pytest.fixture
def launch(playwright: Any, chromium: str, tmp_path: Path) -> Iterator[Launch]:
    """Start a browser with a profile folder; after a close the same name is the same user again."""
    contexts = []

    def launch(profile: str = "profile", preferences: str = "") -> Any:
        folder = tmp_path / profile
        if preferences:
            (folder / "Default").mkdir(parents=True)
            (folder / "Default/Preferences").write_text(preferences)
        context = playwright.chromium.launch_persistent_context(
            str(folder), executable_path=chromium, headless=True, args=FLAGS
        )
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        contexts.append(context)
        return context

    yield launch
    for context in contexts:
        context.close()
