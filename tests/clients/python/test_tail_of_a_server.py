"""The live tail of a real server."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from acumen_client import Acumen, AsyncAcumen, ForbiddenError, P
from tests.clients.python.conftest import options_for
from tests.support.server import Served, ServedProject


@contextmanager
def sending(served: Served, project: ServedProject) -> Iterator[None]:
    """Events with rising numbers, for as long as the block runs."""
    stop = threading.Event()

    def send() -> None:
        for number in itertools.count():
            served.record(project, "visits", {"n": number, "even": number % 2 == 0})
            if stop.wait(0.02):
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def test_a_tail_goes_on_where_it_was_left(served: Served, project: ServedProject, client: Acumen) -> None:
    with sending(served, project):
        with client.tail("visits") as tail:
            seen = [event["n"] for event in itertools.islice(tail, 20)]
            cursor = tail.cursor
        time.sleep(0.3)
        with client.tail("visits", after=cursor) as tail:
            seen += [event["n"] for event in itertools.islice(tail, 20)]
            assert tail.missed == 0
    assert seen == list(range(seen[0], seen[0] + 40))


def test_filters_and_times(served: Served, project: ServedProject, client: Acumen) -> None:
    with sending(served, project), client.tail("visits", filters=P("even") == True) as tail:  # noqa: E712
        events = list(itertools.islice(tail, 5))
    assert all(event["even"] for event in events)
    assert all(event["keen"]["created_at"].tzinfo is not None for event in events)


def test_for_coroutines(served: Served, project: ServedProject, async_client: AsyncAcumen) -> None:
    async def read() -> list[int]:
        async with async_client, async_client.tail("visits") as tail:
            return [(await anext(tail))["n"] for _ in range(5)]

    with sending(served, project):
        seen = asyncio.run(read())
    assert seen == list(range(seen[0], seen[0] + 5))


def test_an_unknown_cursor_is_a_gap_and_a_wrong_key_an_error(
    served: Served, project: ServedProject, client: Acumen
) -> None:
    gaps: list[int] = []
    with sending(served, project), client.tail("visits", after="unknown", on_gap=gaps.append) as tail:
        next(tail)
    assert gaps == [0]
    wrong = {**options_for(served, project), "read_key": project.write_key}
    with Acumen(**wrong) as other, pytest.raises(ForbiddenError):
        next(other.tail("visits"))
