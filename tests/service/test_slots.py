"""Query slots: bounded, and shared fairly between projects."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from query.errors import QueryOverloaded
from service.slots import Slots

Held = AbstractAsyncContextManager[None]


async def hold(slots: Slots, project: str) -> Held:
    slot = slots.one(project)
    await slot.__aenter__()
    return slot


async def release(slot: Held) -> None:
    await slot.__aexit__(None, None, None)
    await asyncio.sleep(0)


def test_a_project_alone_may_hold_every_slot() -> None:
    async def scenario() -> None:
        slots = Slots(4, 0, 1.0)
        for _ in range(4):
            await hold(slots, "a")
        assert slots.held == 4

    asyncio.run(scenario())


def test_a_slot_that_falls_free_goes_to_the_waiting_project_that_holds_fewest() -> None:
    async def scenario() -> None:
        slots = Slots(2, 10, 1.0)
        running = [await hold(slots, "greedy"), await hold(slots, "greedy")]
        order: list[str] = []

        async def wait(project: str) -> None:
            async with slots.one(project):
                order.append(project)
                await asyncio.sleep(0.02)

        waiting = [asyncio.ensure_future(wait(name)) for name in ("greedy", "greedy", "modest", "other")]
        await asyncio.sleep(0.01)
        await release(running[0])
        await release(running[1])
        await asyncio.gather(*waiting)
        # With the second slot back the greedy one holds none either, and came before the other one.
        assert order == ["modest", "greedy", "other", "greedy"]
        assert slots.held == 0

    asyncio.run(scenario())


def test_no_project_takes_more_than_half_of_the_slots_while_others_wait() -> None:
    async def scenario() -> None:
        slots = Slots(6, 1_000, 10.0)
        running = {"a": 0, "b": 0}
        waiting = {"a": 200, "b": 100}
        shares: list[int] = []

        async def ask(project: str) -> None:
            async with slots.one(project):
                running[project] += 1
                waiting[project] -= 1
                if all(waiting.values()):
                    shares.append(running[project])
                await asyncio.sleep(0.001)
                running[project] -= 1

        await asyncio.gather(*(ask("a") for _ in range(200)), *(ask("b") for _ in range(100)))
        # The first six slots were free and went to who came first; each that fell free evened it out.
        assert max(shares[:6]) == 6
        assert max(shares[12:]) == 3

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once() -> None:
    async def scenario() -> None:
        slots = Slots(1, 0, 1.0)
        await hold(slots, "a")
        with pytest.raises(QueryOverloaded):
            await hold(slots, "b")

    asyncio.run(scenario())


def test_a_wait_that_is_too_long_is_refused_and_leaves_no_trace() -> None:
    async def scenario() -> None:
        slots = Slots(1, 5, 0.01)
        slot = await hold(slots, "a")
        with pytest.raises(QueryOverloaded):
            await hold(slots, "b")
        assert slots.waiting == 0
        await release(slot)
        assert slots.held == 0
        await hold(slots, "b")

    asyncio.run(scenario())


def test_a_waiter_that_is_cancelled_as_it_gets_its_slot_gives_it_back() -> None:
    async def scenario() -> None:
        slots = Slots(1, 5, 10.0)
        slot = await hold(slots, "a")
        waiting = asyncio.ensure_future(hold(slots, "b"))
        await asyncio.sleep(0.01)
        await slot.__aexit__(None, None, None)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert slots.held == 0

    asyncio.run(scenario())
