"""Query slots: bounded, and shared fairly between projects."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from query.errors import QueryOverloaded
from service.limits.query_scheduler import QueryScheduler

Held = AbstractAsyncContextManager[None]


async def hold(slots: QueryScheduler, project: str) -> Held:
    slot = slots.one(project)
    await slot.__aenter__()
    return slot


async def release(slot: Held) -> None:
    await slot.__aexit__(None, None, None)
    await asyncio.sleep(0)


@pytest.mark.parametrize(("slots", "share"), [(1, 1), (2, 1), (3, 2), (4, 2), (16, 8)])
def test_a_project_takes_half_of_the_slots_and_a_newcomer_finds_one_free(slots: int, share: int) -> None:
    async def scenario() -> None:
        held = QueryScheduler(slots, 1_000, 10.0)
        waiting = [asyncio.ensure_future(hold(held, "greedy")) for _ in range(slots + 5)]
        await asyncio.sleep(0.01)
        assert (held.held, held.waiting) == (share, slots + 5 - share)
        newcomers = [await hold(held, f"newcomer {number}") for number in range(slots - share)]
        assert held.held == share + len(newcomers) == slots
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)

    asyncio.run(scenario())


async def take_turns(slots: QueryScheduler, order: list[str], project: str) -> None:
    async with slots.one(project):
        order.append(project)
        await asyncio.sleep(0.005)


def test_a_single_slot_goes_around_between_the_projects_that_wait() -> None:
    async def scenario() -> None:
        slots = QueryScheduler(1, 1_000, 10.0)
        order: list[str] = []
        names = ["a", "a", "a", "b", "b", "c"]
        await asyncio.gather(*(take_turns(slots, order, name) for name in names))
        assert order == ["a", "b", "c", "a", "b", "a"]
        assert (slots.held, slots.waiting, slots._last_turn) == (0, 0, {})

    asyncio.run(scenario())


def test_ever_new_projects_do_not_keep_an_older_one_waiting() -> None:
    async def scenario() -> None:
        slots = QueryScheduler(1, 1_000, 10.0)
        order: list[str] = []
        query_service: list[asyncio.Future[None]] = []

        async def new(number: int) -> None:
            """Another one comes while this one runs."""
            async with slots.one(f"new {number}"):
                order.append("new")
                if number < 9:
                    query_service.append(asyncio.ensure_future(new(number + 1)))
                await asyncio.sleep(0.005)

        query_service.append(asyncio.ensure_future(new(0)))
        await asyncio.sleep(0)
        query_service += [asyncio.ensure_future(take_turns(slots, order, "old")) for _ in range(3)]
        while len(order) < 13:
            await asyncio.sleep(0.005)
        await asyncio.wait(query_service)
        assert order[:7].count("old") == 3

    asyncio.run(scenario())


def test_a_slot_that_falls_free_goes_to_the_waiting_project_that_holds_fewest() -> None:
    async def scenario() -> None:
        slots = QueryScheduler(4, 10, 1.0)
        running = [await hold(slots, name) for name in ("greedy", "greedy", "other", "other")]
        order: list[str] = []
        query_service = [
            asyncio.ensure_future(take_turns(slots, order, name)) for name in ("greedy", "other", "modest")
        ]
        await asyncio.sleep(0)
        for slot in running[:3]:
            await release(slot)
        await asyncio.gather(*query_service)
        assert order == ["modest", "greedy", "other"]
        await release(running[3])
        assert slots.held == 0

    asyncio.run(scenario())


def test_no_project_takes_more_than_half_of_the_slots_while_others_wait() -> None:
    async def scenario() -> None:
        slots = QueryScheduler(6, 1_000, 10.0)
        running = {"a": 0, "b": 0}
        shares: list[int] = []

        async def ask(project: str) -> None:
            async with slots.one(project):
                running[project] += 1
                shares.append(running[project])
                await asyncio.sleep(0.001)
                running[project] -= 1

        await asyncio.gather(*(ask("a") for _ in range(200)), *(ask("b") for _ in range(100)))
        assert max(shares) == 3

    asyncio.run(scenario())


def test_one_project_fills_half_of_the_queue_and_others_may_still_wait() -> None:
    async def scenario() -> None:
        slots = QueryScheduler(1, 4, 10.0)
        running = await hold(slots, "greedy")
        waiting = [asyncio.ensure_future(hold(slots, "greedy")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueryOverloaded):
            await hold(slots, "greedy")
        waiting += [asyncio.ensure_future(hold(slots, "modest")) for _ in range(2)]
        await asyncio.sleep(0)
        assert slots.waiting == 4
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)
        await release(running)

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once() -> None:
    async def scenario() -> None:
        slots = QueryScheduler(1, 0, 1.0)
        await hold(slots, "a")
        with pytest.raises(QueryOverloaded):
            await hold(slots, "b")

    asyncio.run(scenario())


def test_a_wait_that_is_too_long_is_refused_and_leaves_no_trace() -> None:
    async def scenario() -> None:
        slots = QueryScheduler(1, 5, 0.01)
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
        slots = QueryScheduler(1, 5, 10.0)
        slot = await hold(slots, "a")
        waiting = asyncio.ensure_future(hold(slots, "b"))
        await asyncio.sleep(0.01)
        await slot.__aexit__(None, None, None)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert slots.held == 0

    asyncio.run(scenario())
