"""Latency with many tenants and a catalog that changes, against one tenant and a catalog that does not.

Rounds alternate between the two servers: one with a single project, one with thousands of projects and
collections beside it, of which some change ten times a second. Each figure is the ratio of the 99th
percentiles over all rounds, of single posts and of a small count in the project that both have.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench.events import Generator, Shape
from bench.load import latencies, send, write_requests
from bench.report import Report, Wrong
from bench.serving import COLLECTION, Acumen, bulk_body
from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from storage.catalog.stored.collections import ensure_collections
from storage.catalog.stored.schemas import SchemaCache
from storage.catalog.tenants.projects import create_project
from storage.catalog.tenants.records import KeyKind, Project
from storage.schema import LaneKind

CONNECTIONS = 16
ROUNDS = 5
POSTS, COUNTS = 4_000, 600
TENANTS_MAX = 10_000
EVENTS = 20_000
CHANGES_PER_SECOND = 10
LIMIT = 1.3
_AT_ONCE = 500


def run(report: Report, events: int) -> None:
    tenants = max(10, min(TENANTS_MAX, events // 100))
    many = f"{tenants:,} projects and collections, {CHANGES_PER_SECOND} changes a second"
    report.title(f"Flat in tenants: {many} ({ROUNDS} rounds)")
    with TemporaryDirectory() as name, Acumen() as alone, Acumen() as crowded:
        folder = Path(name)
        fill(report, crowded.data, tenants)
        for server in (alone, crowded):
            _prepare(server, folder, events)
        seconds: dict[tuple[str, str], list[float]] = {}
        for turn in range(ROUNDS + 1):
            report.progress(f"tenants, round {turn} of {ROUNDS}")
            for side, server in (("alone", alone), ("crowded", crowded)):
                with changing(server.data if side == "crowded" else None):
                    for what in ("post", "count"):
                        found = latencies(server.port, CONNECTIONS, folder / f"{what}-{server.port}")
                        # The first round warms both and is not counted.
                        seconds.setdefault((side, what), []).extend(found if turn else [])
        _check(report, alone, crowded, events)
    for what, label in (("post", "p99 of a single post"), ("count", "p99 of a small count")):
        _figure(report, label, seconds["crowded", what], seconds["alone", what])


def fill(report: Report, data: Path, tenants: int) -> None:
    """As many projects, each with a collection, beside those that are there."""
    catalog = Catalog.open(data)
    try:
        names = [f"Project {number}" for number in range(tenants)]
        for start in range(0, tenants, _AT_ONCE):
            report.progress(f"project {start:,} of {tenants:,}")
            _create(catalog, names[start : start + _AT_ONCE])
    finally:
        catalog.close()


def _create(catalog: Catalog, names: Sequence[str]) -> None:
    """In one transaction: each of its own would be synced, which takes minutes for thousands."""
    now_us, schemas = time.time_ns() // 1_000, SchemaCache()
    with catalog._database.changing(Area.TENANTS, Area.DATA) as connection:
        for name in names:
            project = create_project(connection, catalog.keyring, name, keys={}, now_us=now_us)
            ensure_collections(connection, schemas, project.id, [COLLECTION], sys.maxsize, now_us)


def _prepare(server: Acumen, folder: Path, events: int) -> None:
    """Events to count, and the requests of a round."""
    lines = list(Generator().lines(Shape(), 0, _loaded(events)))
    bodies = (bulk_body(lines[start : start + 5_000]) for start in range(0, len(lines), 5_000))
    write_requests(folder / "load", (server.post_request(body, bulk=True) for body in bodies))
    send(server.port, 1, folder / "load")
    posts = itertools.islice(itertools.cycle(lines), _posts(events))
    write_requests(folder / f"post-{server.port}", (server.post_request(line, bulk=False) for line in posts))
    question = json.dumps({"event_collection": COLLECTION}).encode()
    path = f"/3.0/projects/{server.project_id}/queries/count"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {server.read_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(question)}\r\n\r\n"
    )
    write_requests(folder / f"count-{server.port}", [head.encode() + question] * _counts(events))


def _loaded(events: int) -> int:
    return min(EVENTS, events)


def _posts(events: int) -> int:
    return max(CONNECTIONS, min(POSTS, events // ROUNDS))


def _counts(events: int) -> int:
    """As many for each post as in full, but for enough connections."""
    return max(CONNECTIONS, COUNTS * _posts(events) // POSTS)


@contextmanager
def changing(data: Path | None) -> Iterator[None]:
    """While the block runs, another process changes the catalog of a data folder, where one is given.

    It has started before: reading thousands of projects takes a processor for seconds.
    """
    if data is None:
        yield
        return
    changer = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.tenants", str(data)], stdout=subprocess.PIPE
    )
    try:
        assert changer.stdout is not None
        if not changer.stdout.readline():
            raise Wrong("The process that changes the catalog ended.")
        yield
    finally:
        changer.terminate()
        changer.wait(60)


def change(data: Path) -> None:
    """Changes projects, keys, collections and saved queries, other ones each time, until it is ended."""
    catalog = Catalog.open(data)
    _, *others = catalog.projects.all()
    random.shuffle(others)
    began = time.monotonic()
    for number, project in enumerate(itertools.cycle(others)):
        _change(catalog, project, number)
        if not number:
            print("changing", flush=True)
        time.sleep(max(0.0, began + (number + 1) / CHANGES_PER_SECOND - time.monotonic()))


def _change(catalog: Catalog, project: Project, number: int) -> None:
    match number % 5:
        case 0:
            catalog.projects.update(project.id, preferences={"round": number % 10})
        case 1:
            catalog.projects.renew_keys(project.id, {KeyKind.READ: None})
        case 2:
            catalog.collections.ensure(project.id, f"c{number}")
        case 3:
            collection = catalog.collections.get(project.id, COLLECTION)
            catalog.collections.add_lanes(collection.id, [(f"p{number}", LaneKind.NUMBER)], sys.maxsize)
        case _:
            query = json.dumps({"analysis_type": "count", "event_collection": COLLECTION})
            catalog.saved_queries.put(project.id, "q", "q", query=query, metadata="{}", refresh_rate=0)


def _check(report: Report, alone: Acumen, crowded: Acumen, events: int) -> None:
    sent = _loaded(events) + (ROUNDS + 1) * _posts(events)
    for server in (alone, crowded):
        connection = server.connect()
        report.equal("events after all rounds", server.ask("count", connection), sent)
        connection.close()


def _figure(report: Report, label: str, crowded: Sequence[float], alone: Sequence[float]) -> None:
    (ours, theirs), (our_half, their_half) = (
        tuple(one(found) * 1_000 for found in (crowded, alone)) for one in (_p99, median)
    )
    detail = f"{ours:.1f} against {theirs:.1f} ms; half of them within {our_half:.1f} and {their_half:.1f} ms"
    report.figure(label, ours / theirs, detail, limit=LIMIT)


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98]


if __name__ == "__main__":
    change(Path(sys.argv[1]))
