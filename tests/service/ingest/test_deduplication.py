"""Tokens over several workers: two write paths on one data folder, and logs whose worker died."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from service.ingest.admission import AdmissionLimits
from service.ingest.deduplication import event_tokens, idempotency_token
from storage.catalog.catalog import system_clock
from storage.catalog.stored.records import Claim, event_scope
from storage.disk.file_system import LocalFileSystem
from storage.log.writer import LogWriter, adopt
from tests.service.intake import Intake, intake, run


def test_one_token_posted_to_three_workers_is_stored_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(intake(tmp_path)) for _ in range(3)]
            posts = [
                worker.http.post(worker.events + "/a", json={"keen": {"uniqueness_token": f"t{token}"}})
                for token in range(10)
                for _ in range(5)
                for worker in workers
            ]
            assert {reply.status_code for reply in await asyncio.gather(*posts)} == {201}
            lines = [line for worker in workers for line in worker.lines()]
            assert len(lines) == len(set(lines)) == 10
            assert sum(worker.duplicates() for worker in workers) == 140

    run(story())


def test_one_idempotency_key_posted_to_two_workers_is_stored_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(intake(tmp_path)) for _ in range(2)]
            posts = [
                worker.http.post(worker.events, json={"a": [{"n": 1}]}, headers={"idempotency-key": "k"})
                for worker in workers * 10
            ]
            assert {reply.text for reply in await asyncio.gather(*posts)} == {'{"a":[{"success":true}]}'}
            assert [line for worker in workers for line in worker.lines()] == [b'{"n": 1}'.replace(b" ", b"")]

    run(story())


def claim_of_a_dead_worker(it: Intake, log: LogWriter, scope: str, token: str, digest: bytes = b"") -> None:
    """What a worker leaves that was killed between its claim and its frame."""
    ordinal = log.reserve(1)
    claim = Claim(scope, token, log.log_id, ordinal, digest, b"", system_clock())
    assert it.catalog.claims.take([claim], system_clock(), 10**12) == [claim]


def another_log(it: Intake) -> LogWriter:
    root = it.catalog.folder.root
    return LogWriter.create(LocalFileSystem(), root, it.catalog.logs.create(), on_synced=lambda *_: None)


async def bury(it: Intake, log: LogWriter) -> None:
    """Adopt the dead worker's log, as the keeper does, once a request has had time to wait for it."""
    await asyncio.sleep(0.2)
    log.close()
    end = adopt(LocalFileSystem(), it.catalog.folder.root, log.log_id)
    it.catalog.logs.seal(log.log_id, end.lsn, None)


def test_a_token_claimed_by_a_worker_that_died_is_free_again(tmp_path: Path) -> None:
    """The request waits for the winner, sees its claim taken back, and stores its own event."""

    async def story() -> None:
        async with intake(tmp_path) as it:
            await it.http.post(it.events + "/a", json={"n": 0})
            (collection,) = it.catalog.collections.of_project(it.project.id)
            dead = another_log(it)
            token = event_tokens(collection.id, ["t"])[0]
            claim_of_a_dead_worker(it, dead, token.scope, token.text)
            event = {"n": 1, "keen": {"uniqueness_token": "t"}}
            posts = [it.http.post(it.events + "/a", json=event) for _ in range(3)]
            replies = await asyncio.gather(*posts, bury(it, dead))
            assert [reply.status_code for reply in replies[:3] if reply is not None] == [201] * 3
            assert len(it.lines()) == 2

    run(story())


def test_a_key_claimed_by_a_worker_that_died_is_free_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            dead = another_log(it)
            token = idempotency_token(it.project.id, "k")
            claim_of_a_dead_worker(it, dead, token.scope, token.text, b"0" * 16)
            headers = {"idempotency-key": "k"}
            reply, _ = await asyncio.gather(
                it.http.post(it.events + "/a", json={"n": 1}, headers=headers), bury(it, dead)
            )
            assert reply.status_code == 201
            assert len(it.lines()) == 1

    run(story())


def test_a_claim_of_a_log_that_is_gone_stands_for_a_stored_event(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            await it.http.post(it.events + "/a", json={"n": 0})
            (collection,) = it.catalog.collections.of_project(it.project.id)
            token = event_tokens(collection.id, ["t"])[0]
            gone = 999
            claim = Claim(token.scope, token.text, gone, 1 << 62, b"", b"", system_clock())
            it.catalog.claims.take([claim], system_clock(), 10**12)
            event = {"n": 1, "keen": {"uniqueness_token": "t"}}
            assert (await it.http.post(it.events + "/a", json=event)).status_code == 201
            assert (len(it.lines()), it.duplicates()) == (1, 1)

    run(story())


def test_waiting_for_a_winner_ends_in_a_503(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, wait_seconds=0.3) as it:
            await it.http.post(it.events + "/a", json={"n": 0})
            (collection,) = it.catalog.collections.of_project(it.project.id)
            alive = another_log(it)
            token = event_tokens(collection.id, ["t"])[0]
            claim_of_a_dead_worker(it, alive, token.scope, token.text)
            event = {"n": 1, "keen": {"uniqueness_token": "t"}}
            reply = await it.http.post(it.events + "/a", json=event)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert len(it.lines()) == 1
            alive.close()

    run(story())


def test_many_lost_tokens_leave_no_gaps_in_the_claimed_ordinals(tmp_path: Path) -> None:
    """A log remembers only so many gaps; losing a token is common and must not use them up."""

    async def story() -> None:
        async with intake(tmp_path) as it:
            for n in range(30):
                batch = {"a": [{"keen": {"uniqueness_token": t}} for t in ("same", f"own{n}", f"too{n}")]}
                await it.http.post(it.events, json=batch)
                await it.http.post(it.events + "/a", json=batch["a"][0])
            bases = [f.base_ordinal - (1 << 62) for f in it.frames() if f.count and f.base_ordinal >> 62]
            counts = [f.count for f in it.frames() if f.count and f.base_ordinal >> 62]
            assert bases == [sum(counts[:n]) for n in range(len(counts))]

    run(story())


LIMIT = AdmissionLimits(tokens_max=3, token_days=1.0)


def post(it: Intake, token: str | None = None, key: str | None = None) -> Any:
    """One event, with a token of its own or in a request that has a key."""
    event = {} if token is None else {"keen": {"uniqueness_token": token}}
    headers = {} if key is None else {"idempotency-key": key}
    return it.http.post(it.events + "/a", json=event, headers=headers)


def test_a_project_that_keeps_as_many_tokens_as_it_may_takes_what_brings_no_new_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, admission=LIMIT) as it:
            assert [(await post(it, one)).status_code for one in ("a", "b")] == [201, 201]
            assert (await post(it, key="k")).status_code == 201
            for refused in (await post(it, "c"), await post(it, key="l")):
                assert (refused.status_code, refused.json()["error_code"]) == (403, "QuotaExceededError")
                assert "ACUMEN_TOKENS_MAX" in refused.json()["message"]
            for again in (await post(it, "a"), await post(it, key="k"), await post(it)):
                assert again.status_code == 201
            assert len(it.lines()) == 4
            assert it.catalog.claims.kept(it.project.id) == 3

    run(story())


def test_tokens_that_are_old_or_whose_events_are_gone_make_room(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, admission=LIMIT) as it:
            for one in "abc":
                await post(it, one)
            assert (await post(it, "d")).status_code == 403
            assert it.catalog.claims.purge(system_clock() + 1, 2) == 2
            assert it.catalog.claims.kept(it.project.id) == 1
            assert (await post(it, "d")).status_code == 201

    run(story())


def test_a_token_is_free_after_its_days(tmp_path: Path) -> None:
    async def story() -> None:
        old = system_clock() - 2 * 86_400_000_000
        async with intake(tmp_path, admission=LIMIT) as it:
            await post(it, "a")
            scope = event_scope(it.catalog.collections.get(it.project.id, "a").id)
            held = it.catalog.claims.find([(scope, "b")])
            assert held == {}
            claim = Claim(scope, "b", it.session.log.log_id, it.session.log.reserve(1), b"", b"", old)
            it.catalog.claims.take([claim], old, 10**12)
            before = len(it.lines())
            assert (await post(it, "b")).status_code == 201
            assert len(it.lines()) == before + 1
            # It replaced the old one, and is counted once.
            assert it.catalog.claims.kept(it.project.id) == 2

    run(story())


def test_tokens_are_counted_as_they_come_and_go(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            scope = idempotency_token(it.project.id, "x").scope
            now = system_clock()

            def claims(*texts: str, ordinal: int) -> list[Claim]:
                return [Claim(scope, text, 1, ordinal, b"", b"", now) for text in texts]

            it.catalog.claims.take(claims("a", "b", "a", ordinal=1), now, 10**12)
            it.catalog.claims.take(claims("b", "c", ordinal=2), now, 10**12)
            assert it.catalog.claims.kept(it.project.id) == 3
            it.catalog.claims.void(1, [2])
            assert it.catalog.claims.kept(it.project.id) == 2
            it.catalog.claims.purge(now + 1, 10)
            assert it.catalog.claims.kept(it.project.id) == 0

    run(story())
