"""What is really stored, asked from the server itself and not through the client under test."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.server import Served, ServedProject

PATIENCE_SECONDS = 120.0


def events_of(served: Served, project: ServedProject, collection: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = served.ask(project, "extraction", event_collection=collection)
    return rows


def numbers_of(served: Served, project: ServedProject, collection: str) -> Counter[int]:
    """How often each ``n`` is stored."""
    return Counter(row["n"] for row in events_of(served, project, collection))


def once(numbers: range | set[int] | list[int]) -> Counter[int]:
    return Counter(set(numbers))


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)
