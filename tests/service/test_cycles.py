"""Cycles of objects are freed, and no request waits for that while a question is being answered."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from service import cycles


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.parametrize("quiet", [True, False])
def test_cycles_go_when_it_is_quiet_and_at_last_in_any_case(quiet: bool) -> None:
    async def run() -> int:
        looks = 0

        def is_quiet() -> bool:
            nonlocal looks
            looks += 1
            return quiet

        for _ in range(2 * cycles.WORTH_ROUNDS):
            gc.collect(1)
        old = weakref.ref(Cycle())
        collecting = asyncio.ensure_future(cycles.collect(is_quiet, 0.0))
        while old() is not None:
            await asyncio.sleep(0)
        collecting.cancel()
        return looks

    cycles.set_up()
    gc.disable()
    try:
        looks = asyncio.run(asyncio.wait_for(run(), 60))
    finally:
        gc.enable()
    assert looks == (1 if quiet else cycles.OVERDUE_LOOKS)


def test_old_objects_are_never_looked_through_in_between() -> None:
    cycles.set_up()
    before = gc.get_stats()[2]["collections"]
    kept: list[list[int]] = [[] for _ in range(10 * cycles.YOUNG_OBJECTS)]
    assert len(kept) and gc.get_stats()[2]["collections"] == before
