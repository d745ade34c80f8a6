"""Sending with the Python client, against posts of the same bytes and against the official ``keen`` package.

All send from one process to one server, in turns, and what is counted is what the server has acknowledged.
The posts are bare: bodies that were made before, on one kept connection of httpx. The client and ``keen`` are
given the same events as objects, in calls of a hundred; the client adds times and tokens, those of the others
have them.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson
from keen.client import KeenClient

from acumen_client import Acumen as Client
from acumen_client import BatchLimits, Sender
from acumen_client.batching import Batch, Batcher
from acumen_client.events import new_token, now_text, prepare
from bench.accounting import memory
from bench.events import Generator, Shape
from bench.report import Report, Wrong
from bench.serving import Acumen

ROUNDS = 5
PER_ROUND_MAX = 50_000
CALL_EVENTS = 100
SOAK_EVENTS_MAX = 5_000_000
SOAK_FACTOR = 5
"""The soak sends so many times the events that the other parts measure with, up to its most."""
SETTLED_SECONDS = 600.0

Event = dict[str, Any]


@dataclass
class Way:
    """One way to send; ``send`` takes a round's events, and returns when all are acknowledged."""

    name: str
    send: Callable[[list[Any]], None]
    prepare: Callable[[list[Event]], list[Any]]
    """Makes what is sent of a round's events; not measured."""
    seconds: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    """Processor time of this process."""

    def run(self, events: list[Event]) -> None:
        made = self.prepare(events)
        gc.collect()
        began, cost = time.perf_counter(), time.process_time()
        self.send(made)
        self.seconds.append(time.perf_counter() - began)
        self.costs.append(time.process_time() - cost)


def run(report: Report, events: int) -> None:
    """Raises Wrong where an event is missing, or there twice."""
    per_round = max(CALL_EVENTS, min(PER_ROUND_MAX, events // ROUNDS) // CALL_EVENTS * CALL_EVENTS)
    report.title(f"Sending from Python ({ROUNDS} × {per_round:,} events each way, in calls of {CALL_EVENTS})")
    with TemporaryDirectory(prefix="acumen-bench-") as name, Acumen() as server:
        client = Client(
            _url(server), project_id=server.project_id, write_key=server.write_key, read_key=server.read_key
        )
        with client.sender() as in_memory, client.sender(path=Path(name) / "queue") as on_disk:
            ways = _ways(server, client, in_memory, on_disk)
            _rounds(report, server, ways, per_round)
        client.close()
        _print(report, ways, per_round)
    with Acumen() as server:
        _soak(report, server, min(SOAK_EVENTS_MAX, SOAK_FACTOR * events))


def _ways(server: Acumen, client: Client, in_memory: Sender, on_disk: Sender) -> dict[str, Way]:
    http = httpx.Client(base_url=_url(server), timeout=60.0)
    keen: Any = KeenClient(server.project_id, write_key=server.write_key, base_url=_url(server))
    path = f"/3.0/projects/{server.project_id}/events"
    headers = {"Authorization": server.write_key, "Content-Type": "application/json"}

    def post(bodies: list[bytes]) -> None:
        for body in bodies:
            answer = http.post(path, content=body, headers=headers)
            if answer.status_code != 200 or b"false" in answer.content:
                raise Wrong(f"a post was answered {answer.status_code}: {answer.content[:300]!r}")

    def add_events(calls: list[list[Event]]) -> None:
        for call in calls:
            keen.add_events({"bench": call})

    def record(sender: Sender) -> Callable[[list[list[Event]]], None]:
        def send(calls: list[list[Event]]) -> None:
            for call in calls:
                sender.record_many("bench", call)
            if not sender.flush(SETTLED_SECONDS) or sender.stats.undelivered:
                raise Wrong(f"the sender did not deliver: {sender.stats}")

        return send

    def record_each(calls: list[Event]) -> None:
        for event in calls:
            in_memory.record("bench", event)
        if not in_memory.flush(SETTLED_SECONDS):
            raise Wrong(f"the sender did not deliver: {in_memory.stats}")

    return {
        "posts": Way("bare posts", post, _bodies),
        "keen": Way("keen", add_events, lambda events: _calls([_stamped(event) for event in events])),
        "memory": Way("sender, in memory", record(in_memory), _calls),
        "each": Way("sender, one by one", record_each, lambda events: events),
        "disk": Way("sender, on disk", record(on_disk), _calls),
        "many": Way("record_many", lambda events: _record_many(client, events), lambda events: events),
    }


def _url(server: Acumen) -> str:
    return f"http://127.0.0.1:{server.port}"


def _record_many(client: Client, events: list[Event]) -> None:
    client.record_many("bench", events)


def _calls(events: list[Event]) -> list[list[Event]]:
    return [events[at : at + CALL_EVENTS] for at in range(0, len(events), CALL_EVENTS)]


def _stamped(event: Event) -> Event:
    return {"keen": {"timestamp": now_text(), "uniqueness_token": new_token()}, **event}


def _bodies(events: list[Event]) -> list[bytes]:
    """The bodies of the requests that the client sends for these events."""
    batcher = Batcher(BatchLimits())
    made: list[Batch | None] = [
        batcher.add(place, "bench", prepare(event)) for place, event in enumerate(events)
    ]
    return [batch.body() for batch in (*made, batcher.last()) if batch is not None]


def _events(first: int, count: int) -> Iterator[Event]:
    for number, line in enumerate(Generator().lines(Shape(), first, count), first):
        event = orjson.loads(line)
        del event["keen"]
        yield {"n": number, **event}


def _rounds(report: Report, server: Acumen, ways: dict[str, Way], per_round: int) -> None:
    sent = 0
    for turn in range(ROUNDS + 1):
        for way in ways.values():
            report.progress(f"{way.name}, round {turn} of {ROUNDS}")
            way.run(list(_events(sent, per_round)))
            sent += per_round
            if not turn:
                # The first round makes the collection and opens the connections, and is not counted.
                way.seconds.clear()
                way.costs.clear()
    _compare(report, server, sent)


def _compare(report: Report, server: Acumen, sent: int) -> None:
    connection = server.connect()
    bench = {"event_collection": "bench"}
    report.equal("events", server.ask("count", connection, **bench), sent)
    highest = server.ask("maximum", connection, **bench, target_property="n")
    total = server.ask("sum", connection, **bench, target_property="n")
    report.equal("their numbers", (highest, total), (sent - 1, sent * (sent - 1) // 2))
    connection.close()


def _print(report: Report, ways: dict[str, Way], per_round: int) -> None:
    def against(name: str, other: str) -> tuple[float, str]:
        """How many times as fast one way is as another, by rounds, and both speeds."""
        ours, theirs = ways[name].seconds, ways[other].seconds
        ratio = median(their / our for our, their in zip(ours, theirs, strict=True))
        speeds = f"{per_round / median(ours):,.0f} of {per_round / median(theirs):,.0f} events a second"
        cost = f"{median(ways[name].costs) / per_round * 1e6:.1f} µs of this process an event"
        return ratio, f"{speeds}; {cost}"

    for name in ("memory", "each", "many", "disk"):
        floor = 0.8 if name == "memory" else None
        report.figure(f"{ways[name].name} / posts", *against(name, "posts"), floor=floor)
    report.figure("sender, in memory / keen", *against("memory", "keen"), floor=3.0)
    report.figure("sender, on disk / keen", *against("disk", "keen"))
    shares = median(their / our for our, their in zip(ways["memory"].costs, ways["keen"].costs, strict=True))
    report.figure("processor time, keen / sender", shares, "of this process alone, without the server")


def _soak(report: Report, server: Acumen, events: int) -> None:
    """The memory of this process after a tenth of the events, and after all."""
    report.title(f"Resident memory while {events:,} events are sent")
    sample = list(_events(0, 1_000))
    client = Client(_url(server), project_id=server.project_id, write_key=server.write_key)
    early = 0
    # So small a queue is full long before the first look.
    with client.sender(events_max=10_000) as sender:
        for number in range(events):
            sender.record("bench", {**sample[number % 1_000], "n": number})
            if number == events // 10:
                early = memory(os.getpid()).resident
        if not sender.flush(SETTLED_SECONDS):
            raise Wrong(f"the sender did not deliver: {sender.stats}")
        late = memory(os.getpid()).resident
    client.close()
    _compare(report, server, events)
    report.figure(
        "memory, end / a tenth", late / early, f"{early / 1e6:.0f} → {late / 1e6:.0f} MB", limit=1.1
    )
