"""What goes wrong makes no cycles of references, for which Python's collector would stop all threads."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from query.engine.engine import CancelToken
from query.errors import QueryCancelled
from service.errors import QuotaExceeded
from service.ingest.admission import AdmissionLimits
from service.queries.query_service import GONE_AFTER_SECONDS, _GoneWatch
from storage.catalog.errors import TooManyCollections
from tests.service.intake import intake, run


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector: what is in no cycle goes as soon as nothing refers to it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def found_in_cycles(kind: type) -> list[Any]:
    """Of this kind, what is in a cycle that nothing refers to."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [found for found in gc.garbage if isinstance(found, kind)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def test_a_cancelled_question() -> None:
    token = CancelToken()
    token.cancel(QueryCancelled("gone"))
    with uncollected():
        try:
            token.raise_if_cancelled()
        except QueryCancelled as error:
            assert error.message == "gone"
        reference = weakref.ref(token)
        del token
        assert reference() is None


def test_a_watch_for_a_client_that_stays() -> None:
    async def scenario() -> None:
        begun = asyncio.Event()

        async def gone() -> None:
            begun.set()
            await asyncio.Event().wait()

        watch = _GoneWatch(asyncio.get_running_loop(), gone, CancelToken())
        await asyncio.wait_for(begun.wait(), 10 + GONE_AFTER_SECONDS)
        watch.end()
        reference = weakref.ref(watch)
        del watch
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        assert reference() is None

    with uncollected():
        asyncio.run(scenario())


def test_an_event_of_a_collection_for_which_there_is_no_room(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data", admission=AdmissionLimits(collections_max=1)) as one:
            assert (await one.http.post(f"{one.events}/first", json={"a": 1})).status_code == 201
            with uncollected():
                reply = await one.http.post(f"{one.events}/second", json={"a": 1})
                assert reply.status_code == 400
                # Threads let go of the last thing that they did when they do the next one.
                assert (await one.http.post(f"{one.events}/first", json={"a": 1})).status_code == 201
                assert found_in_cycles(TooManyCollections) == []

    run(scenario())


def test_a_token_for_which_there_is_no_room(tmp_path: Path) -> None:
    """Else the whole of each refused request would stay."""

    async def scenario() -> None:
        async with intake(tmp_path / "data", admission=AdmissionLimits(tokens_max=0)) as one:
            assert (await one.http.post(f"{one.events}/first", json={"a": 1})).status_code == 201
            with uncollected():
                event = {"a": 1, "keen": {"uniqueness_token": "t"}}
                reply = await one.http.post(f"{one.events}/first", json=event)
                assert reply.status_code == 403
                assert (await one.http.post(f"{one.events}/first", json={"a": 1})).status_code == 201
                assert found_in_cycles(QuotaExceeded) == []

    run(scenario())
