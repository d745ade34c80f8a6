"""The background sender: what it promises of each event, whatever the server does."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acumen_client import (
    Acumen,
    AcumenError,
    AsyncAcumen,
    BatchLimits,
    ConfigurationError,
    DeadLetter,
    EventError,
    QueueFullError,
    Retries,
    Sender,
    SenderClosedError,
    UnauthorizedError,
)
from tests.clients.python.faulty_proxy import EVERY_FAULT, FaultyProxy, answer, lose_answer, overloaded
from tests.clients.python.stored import events_of, numbers_of, once, until
from tests.support.server import Served, ServedProject

QUICK = Retries(first_seconds=0.01, most_seconds=0.05)
SETTLED_SECONDS = 60.0


@pytest.fixture
def proxy(served: Served) -> Iterator[FaultyProxy]:
    with FaultyProxy(served.port) as made:
        yield made


@pytest.fixture
def proxied(proxy: FaultyProxy, project: ServedProject) -> Acumen:
    return Acumen(proxy.url, project_id=project.id, write_key=project.write_key)


@pytest.fixture(params=["memory", "disk"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The options that say where events wait, and that make tests quick."""
    path = None if request.param == "memory" else tmp_path / "queue"
    return {"path": path, "backoff": QUICK, "linger_seconds": 0.02}


def test_events_arrive_with_the_time_they_were_recorded(
    served: Served, project: ServedProject, proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]
) -> None:
    proxy.faults = [overloaded()] * 3
    with proxied.sender(**queue) as sender:
        for n in range(20):
            assert sender.record("c", {"n": n})
        sender.record("d", {"n": 1}, timestamp="2026-01-02T03:04:05Z", token="mine")
        recorded_until = dt.datetime.now(dt.UTC)
        assert sender.flush(SETTLED_SECONDS)
        stats = sender.stats
    assert (stats.recorded, stats.stored, stats.waiting, stats.undelivered) == (21, 21, 0, 0)
    rows = events_of(served, project, "c")
    assert numbers_of(served, project, "c") == once(range(20))
    by_time = sorted(rows, key=lambda row: dt.datetime.fromisoformat(row["keen"]["timestamp"]))
    assert [row["n"] for row in by_time] == list(range(20))
    assert dt.datetime.fromisoformat(by_time[-1]["keen"]["timestamp"]) <= recorded_until
    (other,) = events_of(served, project, "d")
    assert (other["keen"]["timestamp"], other["keen"]["uniqueness_token"]) == (
        "2026-01-02T03:04:05.000Z",
        "mine",
    )


def test_events_go_together(
    served: Served, project: ServedProject, proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]
) -> None:
    with proxied.sender(**{**queue, "linger_seconds": 60.0}) as sender:
        for n in range(500):
            sender.record("c", {"n": n})
        assert sender.flush(SETTLED_SECONDS)
        assert proxy.requests == 1
        sender.record_many("c", [{"n": n} for n in range(500, 1_000)])
    assert proxy.requests == 2
    assert numbers_of(served, project, "c") == once(range(1_000))


def test_a_full_batch_goes_without_lingering(
    proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]
) -> None:
    options = {**queue, "linger_seconds": 60.0, "limits": BatchLimits(events=10)}
    with proxied.sender(**options) as sender:
        for n in range(9):
            sender.record("c", {"n": n})
        time.sleep(0.2)
        assert proxy.requests == 0
        sender.record("c", {"n": 9})
        until(lambda: sender.stats.stored == 10, "the batch is sent")


@pytest.mark.parametrize("fault", EVERY_FAULT.values(), ids=EVERY_FAULT)
def test_whatever_happens_each_event_is_stored_once(
    served: Served,
    project: ServedProject,
    proxy: FaultyProxy,
    proxied: Acumen,
    queue: dict[str, Any],
    fault: Any,
) -> None:
    proxy.faults = [fault] * 5
    lost: list[DeadLetter] = []
    options = {**queue, "limits": BatchLimits(events=10), "on_undelivered": lost.append}
    with proxied.sender(**options) as sender:
        for n in range(55):
            sender.record("c", {"n": n})
        assert sender.flush(SETTLED_SECONDS)
        assert sender.stats.stored == 55
    assert lost == []
    assert numbers_of(served, project, "c") == once(range(55))


def test_a_bad_event_harms_no_other(
    served: Served, project: ServedProject, proxied: Acumen, queue: dict[str, Any]
) -> None:
    lost: list[DeadLetter] = []
    with proxied.sender(**queue, on_undelivered=lost.append) as sender:
        with pytest.raises(EventError):
            sender.record("c", {"n": object()})
        sender.record("c", {"n": 1})
        sender.record("c", {"$bad": 2})
        sender.record("_bad", {"n": 3})
        sender.record("c", {"n": 4})
        assert sender.flush(SETTLED_SECONDS)
        assert sender.stats.undelivered == 2
        assert {(one.collection, one.reason, one.name) for one in lost} == {
            ("c", "refused", "InvalidPropertyNameError"),
            ("_bad", "refused", "InvalidCollectionNameError"),
        }
        kept = sender.dead_letters()
        assert [one.event["n"] for one in kept if one.collection == "_bad"] == [3]
        assert all(one.description for one in kept)
        assert sender.send_again() == 2
        assert sender.flush(SETTLED_SECONDS)
        assert len(sender.forget_dead_letters()) == 2
        assert sender.dead_letters() == []
    assert numbers_of(served, project, "c") == once([1, 4])


def test_a_verdict_that_may_change_is_asked_for_again(
    served: Served, project: ServedProject, proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]
) -> None:
    later = b'{"c":[{"success":false,"error":{"name":"BusyError","description":"later"}}]}'
    proxy.faults = [answer(200, later)] * 3
    with proxied.sender(**queue) as sender:
        sender.record("c", {"n": 1})
        assert sender.flush(SETTLED_SECONDS)
        assert proxy.requests == 4
        proxy.faults = [answer(200, later)] * 10
        sender.record("c", {"n": 2})
        assert sender.flush(SETTLED_SECONDS)
        assert [one.name for one in sender.dead_letters()] == ["BusyError"]
    assert numbers_of(served, project, "c") == once([1])


def test_a_full_queue_refuses(proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]) -> None:
    proxy.always = overloaded()
    sender = proxied.sender(**queue, when_full="error", events_max=3)
    for n in range(3):
        sender.record("c", {"n": n})
    with pytest.raises(QueueFullError):
        sender.record("c", {"n": 3})
    with pytest.raises(QueueFullError):
        sender.record_many("c", [{"n": 4}])
    proxy.always = None
    assert sender.close(SETTLED_SECONDS)


def test_a_full_queue_drops_and_reports(proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]) -> None:
    proxy.always = overloaded()
    lost: list[DeadLetter] = []
    sender = proxied.sender(**queue, when_full="drop", events_max=3, on_undelivered=lost.append)
    assert [sender.record("c", {"n": n}) for n in range(5)] == [True, True, True, False, False]
    assert [(one.event["n"], one.reason) for one in lost] == [(3, "full"), (4, "full")]
    assert (sender.stats.recorded, sender.stats.undelivered) == (3, 2)
    proxy.always = None
    assert sender.close(SETTLED_SECONDS)


def test_a_full_queue_makes_wait(
    served: Served, project: ServedProject, proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]
) -> None:
    proxy.always = overloaded()
    sender = proxied.sender(**queue, events_max=3)
    done = threading.Event()

    def work() -> None:
        for n in range(10):
            assert sender.record("c", {"n": n})
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert not done.wait(0.3)
    assert sender.offer("c", {"n": 99}) is False
    proxy.always = None
    assert done.wait(SETTLED_SECONDS)
    assert sender.close(SETTLED_SECONDS)
    assert numbers_of(served, project, "c") == once(range(10))


def test_waiting_for_room_ends(proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]) -> None:
    proxy.always = overloaded()
    sender = proxied.sender(**queue, events_max=1, block_seconds=0.1)
    sender.record("c", {"n": 1})
    with pytest.raises(QueueFullError):
        sender.record("c", {"n": 2})
    proxy.always = None
    assert sender.close(SETTLED_SECONDS)


def test_a_queue_in_memory_is_bounded_in_bytes(proxy: FaultyProxy, proxied: Acumen) -> None:
    proxy.always = overloaded()
    sender = proxied.sender(when_full="error", bytes_max=1_000, backoff=QUICK)
    with pytest.raises(QueueFullError):
        for _ in range(100):
            sender.record("c", {"text": "x" * 100})
    assert 2 <= sender.stats.waiting <= 9
    proxy.always = None
    assert sender.close(SETTLED_SECONDS)


def test_events_older_than_their_tokens_are_reported_and_not_sent(
    served: Served, project: ServedProject, proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]
) -> None:
    """Its first answer was lost: sent again after so long it might be stored twice."""
    proxy.faults = [lose_answer]
    proxy.always = overloaded()
    lost: list[DeadLetter] = []
    with proxied.sender(**queue, token_days=0.4 / 86_400, on_undelivered=lost.append) as sender:
        sender.record("c", {"n": 1})
        until(lambda: bool(lost), "the event is given up")
        proxy.always = None
        sender.record("c", {"n": 2})
        assert sender.flush(SETTLED_SECONDS)
        assert [one.reason for one in sender.dead_letters()] == ["expired"]
    assert [(one.event["n"], one.reason) for one in lost] == [(1, "expired")]
    assert numbers_of(served, project, "c") == once([1, 2])


def test_retry_after_is_waited_for(proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]) -> None:
    """Also while a flush waits, which otherwise makes pauses short."""
    proxy.faults = [overloaded(429, "0.5")]
    with proxied.sender(**queue) as sender:
        began = time.monotonic()
        sender.record("c", {"n": 1})
        assert sender.flush(SETTLED_SECONDS)
        assert time.monotonic() - began >= 0.5


def test_a_wrong_key_costs_no_event(
    served: Served, project: ServedProject, queue: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """An operator can set it right: until then the events wait, and it is said why."""
    errors: list[AcumenError] = []
    client = Acumen(served.url, project_id=project.id, write_key="wrong")
    sender = client.sender(**queue, on_error=errors.append)
    with caplog.at_level(logging.WARNING, "acumen_client"):
        sender.record("c", {"n": 1})
        until(lambda: len(errors) > 3, "it is tried several times")
    assert isinstance(sender.stats.last_error, UnauthorizedError)
    assert sender.stats.waiting == 1
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "valid key" in lines[0]
    sender.close(0)


def test_what_a_callback_raises_harms_nothing(
    proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]
) -> None:
    def failing(_: object) -> None:
        raise RuntimeError("no")

    proxy.faults = [overloaded()]
    with proxied.sender(**queue, on_error=failing, on_undelivered=failing) as sender:
        sender.record("c", {"$bad": 1})
        sender.record("c", {"n": 1})
        assert sender.flush(SETTLED_SECONDS)
        assert (sender.stats.stored, sender.stats.undelivered) == (1, 1)


def test_a_flush_ends_in_time(proxy: FaultyProxy, proxied: Acumen, queue: dict[str, Any]) -> None:
    proxy.always = overloaded()
    sender = proxied.sender(**queue)
    assert sender.flush(0)
    sender.record("c", {"n": 1})
    began = time.monotonic()
    assert sender.flush(0.2) is False
    assert time.monotonic() - began < 5
    sender.close(0)


def test_closing_during_an_outage_reports_what_memory_held(proxy: FaultyProxy, proxied: Acumen) -> None:
    proxy.always = overloaded()
    lost: list[DeadLetter] = []
    sender = proxied.sender(backoff=QUICK, on_undelivered=lost.append)
    for n in range(3):
        sender.record("c", {"n": n})
    assert sender.close(0.1) is False
    assert [(one.event["n"], one.reason) for one in lost] == [(0, "closed"), (1, "closed"), (2, "closed")]
    with pytest.raises(SenderClosedError):
        sender.record("c", {"n": 4})
    assert sender.close()


def test_closing_during_an_outage_leaves_a_file_for_the_next(
    served: Served, project: ServedProject, proxy: FaultyProxy, proxied: Acumen, tmp_path: Path
) -> None:
    proxy.always = overloaded()
    lost: list[DeadLetter] = []
    sender = proxied.sender(path=tmp_path / "q", backoff=QUICK, on_undelivered=lost.append)
    for n in range(3):
        sender.record("c", {"n": n})
    assert sender.close(0.1) is False
    proxy.always = None
    with proxied.sender(path=tmp_path / "q", linger_seconds=0.01) as following:
        until(lambda: following.stats.stored == 3, "what was left is sent without a new event")
    assert lost == []
    assert numbers_of(served, project, "c") == once(range(3))


def test_two_senders_share_a_file(
    served: Served, project: ServedProject, proxied: Acumen, tmp_path: Path
) -> None:
    senders = [proxied.sender(path=tmp_path / "q", linger_seconds=0.01) for _ in range(2)]
    for n in range(40):
        senders[n % 2].record("c", {"n": n})
    assert all(sender.flush(SETTLED_SECONDS) for sender in senders)
    assert sum(sender.stats.stored for sender in senders) == 40
    assert senders[0].close(SETTLED_SECONDS)
    senders[1].record("c", {"n": 40})
    assert senders[1].close(SETTLED_SECONDS)
    assert numbers_of(served, project, "c") == once(range(41))


def test_many_threads_share_a_sender(
    served: Served, project: ServedProject, proxied: Acumen, queue: dict[str, Any]
) -> None:
    def work(sender: Sender, first: int) -> None:
        for n in range(first, first + 100):
            sender.record("c", {"n": n})

    with proxied.sender(**queue) as sender:
        threads = [threading.Thread(target=work, args=(sender, 100 * at)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sender.flush(SETTLED_SECONDS)
    assert numbers_of(served, project, "c") == once(range(800))


def test_without_key_or_project_there_is_no_sender(served: Served) -> None:
    with pytest.raises(ConfigurationError):
        Acumen(served.url, project_id="p").sender()
    with pytest.raises(ConfigurationError):
        Acumen(served.url, write_key="w").sender()


def test_coroutines_wait_for_room_without_holding_up_others(
    served: Served, project: ServedProject, proxy: FaultyProxy, queue: dict[str, Any]
) -> None:
    async def recorded() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        proxy.always = overloaded()
        options = {"project_id": project.id, "write_key": project.write_key}
        async with (
            AsyncAcumen(proxy.url, **options) as client,  # type: ignore[arg-type]
            client.sender(**queue, events_max=5) as sender,
        ):
            for n in range(5):
                await sender.record("c", {"n": n})
            blocked = asyncio.create_task(sender.record("c", {"n": 5}))
            await asyncio.sleep(0.2)
            assert not blocked.done()
            assert ticks > 5
            proxy.always = None
            assert await blocked
            assert await sender.record_many("c", [{"n": 6}, {"n": 7}])
            assert await sender.flush(SETTLED_SECONDS)
        ticking.cancel()

    asyncio.run(recorded())
    assert numbers_of(served, project, "c") == once(range(8))
