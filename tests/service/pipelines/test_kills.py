"""A real server that is killed, part by part and as a whole, while a pipeline derives what is sent."""

from __future__ import annotations

import os
import random
import signal
import time
import urllib.error
from pathlib import Path
from typing import Any

from storage.catalog.catalog import Catalog
from tests.service.pipelines.times import text_at
from tests.support.scale import examples
from tests.support.server import Served, ServedProject

WAIT_SECONDS = 300.0
HOUR_US = 3_600_000_000
START_US = 1_790_000_000_000_000 // HOUR_US * HOUR_US
ALL = {"start": text_at(START_US - 24 * HOUR_US), "end": text_at(START_US + 200 * HOUR_US)}
PIPELINES = """
owner = "team@shop.example"

[pipelines.sums]
from = "purchases"
into = "sums"
bucket = "hour"

[[pipelines.sums.steps]]
expect = "a country"
one_of = { country = ["DE", "FR", "ES"] }
severity = "quarantine"

[[pipelines.sums.steps]]
aggregate.by = ["country"]
aggregate.every = "15_minutes"
aggregate.values = { total = { sum = "price" }, purchases = "count" }

[pipelines.daily]
from = "sums"
into = "daily"

[[pipelines.daily.steps]]
aggregate.by = ["country"]
aggregate.values = { total = { sum = "total" } }
"""
FAST = {"ACUMEN_FLUSH_SECONDS": "0.3", "ACUMEN_RUN_WORKERS": "2", "ACUMEN_RUN_IDLE_SECONDS": "600"}


def test_derived_rows_are_those_of_a_recomputation_after_any_kills(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "pipelines.toml").write_text(PIPELINES)
    chance, sent = random.Random(), 0
    expected: dict[str, int] = {}
    with Served(env=FAST) as server:
        project = server.project
        server.run("apply", str(folder))
        for _ in range(examples(50)):
            batch = [_purchase(chance) for _ in range(20)]
            send_until_taken(server, project, batch, f"batch-{sent}")
            sent += 1
            for one in batch:
                expected[one["country"]] = expected.get(one["country"], 0) + one["price"]
            kill_something(server, chance)
        _until_fresh(server, folder, project)
        unknown = expected.pop("?")
        aside = {"event_collection": "sums_quarantine", "target_property": "row.price", "timeframe": ALL}
        assert server.ask(project, "sum", **aside) == unknown
        for collection, name in (("sums", "total"), ("daily", "total")):
            groups = server.ask(
                project,
                "sum",
                event_collection=collection,
                target_property=name,
                group_by="country",
                timeframe=ALL,
            )
            assert {group["country"]: group["result"] for group in groups} == expected, collection
        checked = server.run("check", check=False)
        assert checked.returncode == 0, checked.stdout


def _purchase(chance: random.Random) -> dict[str, Any]:
    at_us = START_US + chance.randrange(48) * HOUR_US // 2
    return {
        "country": chance.choice(["DE", "FR", "ES", "?"]),
        "price": chance.randint(1, 9),
        "keen": {"timestamp": text_at(at_us)},
    }


def send_until_taken(server: Served, project: ServedProject, batch: list[Any], key: str) -> None:
    """Send a batch under one idempotency key until it is acknowledged, as a client does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            reply = server.request(
                "POST",
                f"/3.0/projects/{project.id}/events",
                {"purchases": batch},
                key=project.write_key,
                headers={"Idempotency-Key": key},
            )
            if reply.status == 200:
                return
            assert reply.status == 503, reply.body
        except (urllib.error.URLError, ConnectionError):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_something(server: Served, chance: random.Random) -> None:
    children = server.state()["children"]
    if chance.random() < 0.15:
        server.kill_all()
        server.start()
        return
    name = chance.choice(sorted(children))
    try:
        os.kill(children[name]["pid"], signal.SIGKILL)
    except ProcessLookupError:
        return


def _until_fresh(server: Served, folder: Path, project: ServedProject) -> None:
    """Until nothing is due: neither events that are in no file, nor buckets."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        before = _state(server, project)
        status = server.run("status", check=False).stdout
        healths = [line.split()[0] for line in status.splitlines() if line and not line.startswith(" ")]
        # One pipeline reads what the other derives: nothing may have moved between the looks at both.
        if healths == ["fresh", "fresh"] and before == _state(server, project) and before[0]:
            return
        assert time.monotonic() < deadline, status
        time.sleep(0.2)


def _state(server: Served, project: ServedProject) -> tuple[bool, list[int]]:
    """Whether every event is in files, and the versions of the pipelines' buckets."""
    stored = server.ask(project, "count", event_collection="purchases", timeframe=ALL)
    catalog = Catalog.open(server.data)
    try:
        (found,) = catalog.collections.named(project.id, ["purchases"])
        rows = sum(file.rows for file in catalog.files.live(found.id))
        versions = [one.buckets_version for one in catalog.pipelines.of_project(project.id)]
    finally:
        catalog.close()
    return bool(rows == stored), versions
