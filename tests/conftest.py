"""What all tests may use: a server that runs for the whole session, and projects of their own in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Served, ServedProject


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """One server with one worker, shared by all tests of this process: change nothing but your project."""
    with Served() as server:
        yield server


@pytest.fixture
def project(served: Served) -> ServedProject:
    """A fresh, empty project of the shared server."""
    return served.new_project()
