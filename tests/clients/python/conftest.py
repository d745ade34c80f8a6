"""The Python client and a project of its own on the shared server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from acumen_client import Acumen, AsyncAcumen
from tests.support.server import Served, ServedProject


def options_for(served: Served, project: ServedProject) -> dict[str, Any]:
    """What either kind of client is made with to have all keys of a project."""
    return {
        "url": served.url,
        "project_id": project.id,
        "write_key": project.write_key,
        "read_key": project.read_key,
        "master_key": project.master_key,
    }


@pytest.fixture
def client(served: Served, project: ServedProject) -> Iterator[Acumen]:
    """A client with all keys of a fresh, empty project."""
    with Acumen(**options_for(served, project)) as made:
        yield made


@pytest.fixture
def async_client(served: Served, project: ServedProject) -> AsyncAcumen:
    """The same for coroutines, on the same project; for one event loop."""
    return AsyncAcumen(**options_for(served, project))
