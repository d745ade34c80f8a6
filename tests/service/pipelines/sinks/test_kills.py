"""A real server that is killed while it delivers: each version of a bucket arrives under one key."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from storage.catalog.catalog import Catalog
from storage.catalog.derived.records import DeliveryState
from tests.service.pipelines.test_kills import ALL, START_US, WAIT_SECONDS, kill_something, send_until_taken
from tests.service.pipelines.times import text_at
from tests.support.scale import examples
from tests.support.server import Served, ServedProject
from tests.support.web import Asked, Reply, WebServer, web_server

HOUR_US = 3_600_000_000
HOURS = 12
PIPELINES = """
[pipelines.sums]
owner = "team@shop.example"
from = "purchases"
into = "sums"
bucket = "hour"
sinks = [{ webhook = "chat" }, { folder = "{period:%Y_%m_%d}/{period:%H}", format = "csv" }]

[[pipelines.sums.steps]]
aggregate.by = ["country"]
aggregate.values = { total = { sum = "price" } }
"""


def test_each_version_of_a_bucket_is_delivered_under_one_key(tmp_path: Path) -> None:
    folder, target = tmp_path / "folder", tmp_path / "delivered"
    folder.mkdir()
    target.mkdir()
    (folder / "pipelines.toml").write_text(PIPELINES)
    chance, expected = random.Random(), dict[tuple[int, str], int]()
    with web_server() as web, Served(env=_env(target)) as server:
        project = server.project

        def answer(_: Asked) -> Reply:
            # With the message on its way: what sent it never hears of its arrival.
            if chance.random() < 0.2:
                _kill_runner(server)
            return (204, {}, b"")

        web.replies["/chat"] = answer
        url = f"http://127.0.0.1:{web.port}/chat"
        path = f"/3.0/projects/{project.id}/webhooks/chat"
        assert server.request("PUT", path, {"url": url}, key=project.master_key).status in (200, 201)
        server.run("apply", str(folder))
        for number in range(examples(40)):
            batch = [_purchase(chance) for _ in range(10)]
            send_until_taken(server, project, [event for _, event in batch], f"batch-{number}")
            for hour, event in batch:
                place = (hour, event["country"])
                expected[place] = expected.get(place, 0) + event["price"]
            kill_something(server, chance)
        web.replies["/chat"] = (204, {}, b"")
        versions = _until_delivered(server, project, sum(expected.values()))
        assert _files(target / project.id / "sums") == {
            (hour, country): total for (hour, country), total in expected.items()
        }
        _check_messages(web, versions)


def _kill_runner(server: Served) -> None:
    try:
        os.kill(server.state()["children"]["runner"]["pid"], signal.SIGKILL)
    except (KeyError, ProcessLookupError):
        return


def _env(target: Path) -> dict[str, str]:
    return {
        "ACUMEN_FLUSH_SECONDS": "0.3",
        "ACUMEN_RUN_WORKERS": "2",
        "ACUMEN_RUN_IDLE_SECONDS": "600",
        "ACUMEN_RUN_ATTEMPTS": "1000",
        "ACUMEN_RUN_RETRY_SECONDS": "0.1",
        "ACUMEN_SINK_FOLDER": str(target),
        "ACUMEN_OUTBOUND_HOSTS": "127.0.0.1:*",
        "ACUMEN_OUTBOUND_NETWORKS": "127.0.0.1",
        "ACUMEN_OUTBOUND_HTTP": "true",
        "ACUMEN_OUTBOUND_SECONDS": "2",
        "ACUMEN_OUTBOUND_READ_SECONDS": "1",
    }


def _purchase(chance: random.Random) -> tuple[int, dict[str, Any]]:
    """The hour, and the event."""
    hour = chance.randrange(HOURS)
    at_us = START_US + hour * HOUR_US + chance.randrange(HOUR_US)
    event = {
        "country": chance.choice(["DE", "FR", "ES"]),
        "price": chance.randint(1, 9),
        "keen": {"timestamp": text_at(at_us)},
    }
    return hour, event


def _until_delivered(server: Served, project: ServedProject, total: int) -> dict[int, int]:
    """Wait until all is derived and nothing waits to be delivered; the last version of each bucket."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        derived = server.ask(project, "sum", event_collection="sums", target_property="total", timeframe=ALL)
        catalog = Catalog.open(server.data)
        try:
            (pipeline,) = catalog.pipelines.of_project(project.id)
            waiting = catalog.runs.next_due_us() is not None or bool(catalog.runs.executing())
            webhook = catalog.webhooks.find(project.id, "chat")
            assert webhook is not None
            for state in (DeliveryState.WAITING, DeliveryState.DEAD):
                for delivery in catalog.webhooks.deliveries(webhook, state=state, limit=10):
                    # The server of the test hears of it at once; the pause before is that of a fault.
                    catalog.webhooks.replay(webhook, delivery.id)
                    waiting = True
            if derived == total and not waiting:
                return {
                    bucket.start_us: catalog.deliveries.last(pipeline.id, bucket.start_us)[0]
                    for bucket in catalog.pipelines.buckets(pipeline.id)
                }
        finally:
            catalog.close()
        assert time.monotonic() < deadline, (derived, total, waiting)
        time.sleep(0.2)


def _files(own: Path) -> dict[tuple[int, str], int]:
    found = {}
    for path in own.rglob("*.csv"):
        for row in csv.DictReader(path.read_text().splitlines()):
            at_us = _us(row["keen.timestamp"])
            found[(at_us - START_US) // HOUR_US, row["country"]] = int(row["total"])
    return found


def _us(text: str) -> int:
    from storage.instants import parse_instant

    found = parse_instant(text)
    assert found is not None
    return found


def _check_messages(web: WebServer, versions: dict[int, int]) -> None:
    """Every version of every bucket came, and a key stands for one of them."""
    by_key: dict[str, set[tuple[int, int, str]]] = {}
    for one in web.asked:
        data = json.loads(one.body)["data"]
        told = (_us(data["bucket"]["start"]), data["version"], data["content"])
        by_key.setdefault(one.headers["idempotency-key"], set()).add(told)
    assert all(len(told) == 1 for told in by_key.values())
    came = sorted((start, version) for told in by_key.values() for start, version, _ in told)
    assert came == [
        (start, version) for start, last in sorted(versions.items()) for version in range(1, last + 1)
    ]
