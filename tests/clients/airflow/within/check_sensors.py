"""Sensors and triggers: what is complete, what is fresh, which buckets were derived."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from acumen_airflow import looks
from acumen_airflow.assets import pipeline_asset
from acumen_airflow.hook import AcumenHook
from acumen_airflow.sensors import AcumenCompleteSensor, AcumenPipelineSensor, AcumenQuerySensor
from acumen_airflow.triggers import AcumenBucketTrigger, AcumenTrigger, latest_of, newly_derived
from acumen_client import Acumen, AsyncAcumen

DAY, NEXT = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
POKE = 0.1
PIPELINES = """
owner = "data@shop.example"
[pipelines.{name}]
from = "{name}_orders"
into = "{name}"
steps = [{steps}]
"""
SUM = "{ aggregate = { values = { total = { sum = 'price' } } } }"


def order(hour: int, price: Any = 7) -> dict[str, Any]:
    return {"price": price, "keen": {"timestamp": f"2026-01-01T{hour:02}:00:00Z"}}


def pipeline(client: Acumen, name: str, steps: str = SUM) -> str:
    """A pipeline of this name, which reads ``NAME_orders``; the names of both."""
    client.record(f"{name}_orders", order(1))
    file = {"file": PIPELINES.format(name=name, steps=steps), "remove": True}
    path = client.transport.project_path("pipelines", "apply")
    client.transport.request("POST", path, key="master", json=file)
    return f"{name}_orders"


def asked(look: Callable[[AsyncAcumen], Awaitable[Any]]) -> Any:
    async def ask() -> Any:
        async with await AcumenHook().get_async_conn() as client:
            return await look(client)

    return asyncio.run(ask())


def test_a_collection_without_a_past_is_complete_a_minute_after_the_time(
    runs: Any, client: Acumen, collection: str
) -> None:
    client.record(collection, order(1))

    def make() -> None:
        for deferrable in (True, False):
            AcumenCompleteSensor(
                task_id=f"wait_{deferrable}", collection=collection, until=DAY, deferrable=deferrable
            )

    assert runs(make)["wait_True"] == runs(make, day=2)["wait_False"] == {"until": DAY, "arrived": None}
    now = dt.datetime.now(dt.UTC)
    for until in (now, now + dt.timedelta(hours=1)):
        assert asked(looks.Complete(collection, until.isoformat()).look) is None


def test_a_collection_whose_events_were_late_is_waited_for(client: Acumen, collection: str) -> None:
    now = dt.datetime.now(dt.UTC)
    hours = [now - dt.timedelta(hours=hour) for hour in range(3, 9)]
    client.record_many(collection, [{"keen": {"timestamp": hour.isoformat()}} for hour in hours])
    # All of them came hours after their time.
    until = now.replace(minute=0, second=0, microsecond=0).isoformat()
    assert asked(looks.Complete(collection, until).look) is None
    with pytest.raises(ValueError, match="'interval' is one of"):
        looks.Complete(collection, until, interval="fortnightly")


def test_a_pipeline_is_waited_for_and_has_what_was_sent_before(runs: Any, client: Acumen) -> None:
    collection = pipeline(client, "revenue")

    def make() -> None:
        AcumenPipelineSensor(task_id="wait", pipeline="revenue", until=NEXT, poke_interval=POKE)

    def total() -> float:
        return float(client.sum("revenue", "total").value)

    assert runs(make)["wait"]["derived_until"] == "2026-01-02T00:00:00+00:00"
    assert total() == 7
    for day in range(2, 5):
        client.record(collection, order(day))
        assert runs(make, day=day)["wait"]["until"] == NEXT
        assert total() == day * 7
    client.record(collection, order(5))
    look = looks.to_json(looks.Fresh("revenue", NEXT))
    (payload,) = asyncio.run(fired(AcumenTrigger(look, "acumen_default", POKE)))
    assert payload["found"]["until"] == NEXT
    assert total() == 35

    def in_the_worker() -> None:
        AcumenPipelineSensor(
            task_id="wait", pipeline="revenue", until=NEXT, poke_interval=POKE, deferrable=False
        )

    client.record(collection, order(6))
    assert runs(in_the_worker, day=6)["wait"]["until"] == NEXT
    assert total() == 42
    later = "2026-01-05T00:00:00Z"
    assert asked(looks.Fresh("revenue", later).look) is None
    assert asked(looks.Fresh("revenue", later, empty_ok=True).look)["until"] == later
    assert asked(looks.Fresh("revenue", DAY, since=DAY, empty_ok=True).look)["derived_until"] is None


def test_a_rescheduled_task_would_forget_what_it_waits_for() -> None:
    with pytest.raises(ValueError, match="forgets"):
        AcumenPipelineSensor(task_id="w", pipeline="p", until=NEXT, deferrable=False, mode="reschedule")


def test_a_pipeline_that_failed_is_not_waited_for(runs: Any, client: Acumen, capfd: Any) -> None:
    pipeline(client, "broken", "{ parse = { column = 'price', to = 'date', on_error = 'fail' } }")

    def make() -> None:
        AcumenPipelineSensor(task_id="wait", pipeline="broken", until=NEXT, poke_interval=POKE)
        AcumenPipelineSensor(task_id="none", pipeline="none", until=NEXT, poke_interval=POKE)

    assert runs(make) == {"wait": "failed", "none": "failed"}
    said = "".join(capfd.readouterr())
    assert "The pipeline 'broken' failed in the bucket that begins 2026-01-01" in said
    assert "none" in said


def test_a_question_is_waited_for(runs: Any, client: Acumen, collection: str) -> None:
    client.record(collection, order(1))
    count = {"event_collection": collection}
    two = looks.Met("count", count, ">= 2")
    assert asked(two.look) is None
    client.record(collection, order(2))
    assert asked(two.look) == {"result": 2}

    def make() -> None:
        AcumenQuerySensor(task_id="wait", analysis="count", parameters=count, expect=">= 2")

    assert runs(make)["wait"] == {"result": 2}


@pytest.mark.parametrize(
    "look",
    [
        looks.Complete("c", DAY, filters=[{"property_name": "a"}]),
        looks.Fresh("p", DAY, stored={"c": 3}),
        looks.Met("count", {"event_collection": "c"}, "> 1", "n"),
    ],
)
def test_looks_and_triggers_are_stored(look: looks.Look) -> None:
    path, arguments = AcumenTrigger(looks.to_json(look), "conn", 5).serialize()
    assert path == "acumen_airflow.triggers.AcumenTrigger"
    again = AcumenTrigger(**json.loads(json.dumps(arguments)))
    assert looks.from_json(again.look) == look


async def fired(trigger: AcumenTrigger) -> Any:
    return [event.payload async for event in trigger.run()]


def test_a_trigger_says_what_a_server_refuses(monkeypatch: pytest.MonkeyPatch, collection: str) -> None:
    given = json.loads(os.environ["AIRFLOW_CONN_ACUMEN_DEFAULT"]) | {"password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(given))
    look = looks.to_json(looks.Met("count", {"event_collection": collection}, "> 0"))
    (payload,) = asyncio.run(fired(AcumenTrigger(look, "wrong", POKE)))
    assert "401" in payload["failed"]


class Away:
    """A port where the first connection is closed at once, and the others lead to the server."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.connections = 0

    async def serve(self) -> int:
        server = await asyncio.start_server(self._forward, "127.0.0.1")
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.connections == 1:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(1 << 16):
        writer.write(part)
        await writer.drain()
    writer.close()


def test_a_trigger_waits_for_a_server_that_is_away(
    monkeypatch: pytest.MonkeyPatch, client: Acumen, collection: str
) -> None:
    client.record(collection, order(1))
    given = json.loads(os.environ["AIRFLOW_CONN_ACUMEN_DEFAULT"])
    away = Away(given["port"])

    async def wait() -> Any:
        monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps({**given, "port": await away.serve()}))
        look = looks.to_json(looks.Met("count", {"event_collection": collection}, "> 0"))
        return await fired(AcumenTrigger(look, "away", POKE))

    assert asyncio.run(wait()) == [{"found": {"result": 1}}]
    assert away.connections > 1


def test_a_bucket_that_was_derived_anew_fires(client: Acumen) -> None:
    collection = pipeline(client, "watched")

    async def watch() -> list[Any]:
        async with await AcumenHook().get_async_conn() as looking:
            waiting = looks.Fresh("watched", NEXT)
            while await (await waiting.begun(looking)).look(looking) is None:
                await asyncio.sleep(POKE)
        trigger = AcumenBucketTrigger("watched", poke_interval=POKE)
        store = trigger.asset_state_store = Remembers()
        payloads = []
        events = trigger.run()
        for hour in (2, 3):
            told = asyncio.ensure_future(anext(events))
            await store.written.wait()
            await asyncio.to_thread(client.record, collection, order(hour))
            payloads.append((await told).payload)
        await events.aclose()
        # Another triggerer goes on where this one was.
        again = AcumenBucketTrigger("watched", poke_interval=POKE)
        again.asset_state_store = store
        events = again.run()
        payloads.append((await anext(events)).payload)
        await events.aclose()
        return payloads

    first, second, third = asyncio.run(watch())
    assert first["pipeline"] == "watched"
    assert [(one["start"][:10], one["rows"]) for one in first["buckets"]] == [("2026-01-01", 1)]
    assert second["buckets"][0]["derived"] > first["buckets"][0]["derived"]
    assert third == second  # it was told, and had not been written down yet


class Remembers:
    """What Airflow keeps for an asset, in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self.written = asyncio.Event()

    async def aget(self, key: str, default: Any = None) -> Any:
        return self._kept.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        self._kept[key] = value
        self.written.set()


def test_what_was_seen_does_not_fire_again() -> None:
    def bucket(start: str, changed: str) -> dict[str, Any]:
        return {"start": start, "changed": changed}

    before = [bucket("d2", "12:00"), bucket("d1", "11:00")]
    seen = latest_of(before)
    assert newly_derived(before, seen) == []
    twins = [bucket("d3", "12:00"), *before]
    assert newly_derived(twins, seen) == [bucket("d3", "12:00")]
    assert newly_derived([bucket("d1", "12:01")], seen) == [bucket("d1", "12:01")]
    assert latest_of([]) == {"derived": "", "starts": []}


def test_an_asset_has_a_watcher_and_a_name_of_its_own() -> None:
    one, other = pipeline_asset("revenue"), pipeline_asset("revenue", acumen_conn_id="eu")
    assert one.uri == "acumen://acumen_default/pipelines/revenue" != other.uri
    (watcher,) = one.watchers
    assert isinstance(watcher.trigger, AcumenBucketTrigger)
