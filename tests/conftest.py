"""What all tests may use: a server for the whole session, projects of their own in it, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import reset_tzpath

import pytest
from hypothesis import settings

from tests.support import sample
from tests.support.browser import browser, chromium, launch, playwright
from tests.support.server import Served, ServedProject

# The references of the tests read the same zones as the product: those of the tzdata package. The machine's
# own may be a year older, and a country may have changed its rules since.
reset_tzpath(to=())

# How long an example takes is no matter: the machine may be busy with much else.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the whole suite below full length, leave out a part of the long tests."""
    if sample.USED:
        out = set(sample.left_out(items))
        config.hook.pytest_deselected(items=[item for item in items if item in out])
        items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server with one worker, shared by all tests of this process: change nothing but your project."""
    with Served(env={"ACUMEN_SOURCE_FOLDER": str(tmp_path_factory.mktemp("incoming"))}) as server:
        yield server


@pytest.fixture
def project(served: Served) -> ServedProject:
    """A fresh, empty project of the shared server."""
    return served.new_project()


__all__ = ["browser", "chromium", "launch", "playwright", "project", "served"]
