"""Writes a data folder, and the right answers to questions about it, with the Acumen of the current folder.

In a checkout of the version wanted: ``PYTHONPATH=. python <this file> OUT`` makes ``OUT/<commit>.tar.xz`` and
``OUT/<commit>.json.xz``. A version of before docs/decisions/0039 has its own in ``tests/service/older``. The
answers are those of the old version; sums are of numbers that
doubles add exactly, so that they are right.
"""

from __future__ import annotations

import io
import json
import lzma
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from storage.catalog.catalog import Catalog
from tests.support.server import Served, ServedProject

SECRET = "a secret of tests alone"
PROJECT = "0123456789abcdef01234567"
KEYS: dict[str, Any] = {"master_key": "A1" * 32, "write_key": "B2" * 32, "read_key": "C3" * 32}
ENV = {
    "ACUMEN_SECRET_KEY": SECRET,
    "ACUMEN_FLUSH_SECONDS": "3600",
    "ACUMEN_COMPACTION": "false",
    "ACUMEN_GRACE_SECONDS": "0.1",
}
ALL = {"timeframe": {"start": "2020-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}}


def purchases(first: int, count: int) -> Iterator[dict[str, Any]]:
    """Drifting types, nulls, empty objects, names that differ by case, integers of any length, lists."""
    prices: list[Any] = [1.25, 3, "7", None, True, {"net": 2.5}, 2**60 + 1, 10**30, [1, "x"]]
    for i in range(first, first + count):
        event = {
            "price": prices[i % len(prices)],
            "Price": i / 4,
            "quantity": i % 7,
            "customer": {"id": f"c{i % 3}", "Name": f"Ünï {i % 5}", "tags": {}},
            "Имя": i % 4,
            "keen": {"timestamp": f"2024-{1 + i % 12:02}-{1 + i % 28:02}T{i % 24:02}:{i % 60:02}:30.125Z"},
        }
        if i % 5 == 0:
            event["note"] = None
        if i % 11 == 0:
            event["later"] = f"since {i}"
        yield event


def visits(first: int, count: int) -> Iterator[dict[str, Any]]:
    for i in range(first, first + count):
        days = f"{1 + i % 28:02}T12:00:00Z"
        yield {"user": f"u{i % 6}", "page": f"/p/{i % 4}", "keen": {"timestamp": f"2025-03-{days}"}}


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def waiting(data: Path) -> int:
    """Requests to take events away that the keeper has not carried out."""
    with closing(sqlite3.connect(data / "catalog.sqlite")) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM erasures WHERE state = 'waiting'").fetchall()
    return int(count)


class Writer:
    def __init__(self, server: Served) -> None:
        self.server = server
        self.project = ServedProject(PROJECT, "Old", **KEYS)
        self.answers: list[dict[str, Any]] = []

    def call(
        self, method: str, path: str, body: Any = None, key: str = KEYS["master_key"], **more: Any
    ) -> Any:
        root = "" if path.startswith("/") else f"/3.0/projects/{PROJECT}/"
        reply = self.server.request(method, root + path, body, key=key, **more)
        assert reply.status in (200, 201, 204), (method, path, reply.status, reply.body)
        return reply.json if reply.body else None

    def question(self, path: str, body: Any = None, key: str = KEYS["read_key"], whole: bool = False) -> None:
        """Keep the answer: its ``result`` alone, or all of it."""
        method = "GET" if body is None else "POST"
        answer = self.call(method, path, body, key)
        kept = answer if whole else answer["result"]
        self.answers.append(
            {"method": method, "path": path, "body": body, "key": key, "whole": whole, "answer": kept}
        )

    def refused(self, method: str, path: str, body: Any, key: str) -> None:
        root = f"/3.0/projects/{PROJECT}/"
        status = self.server.request(method, root + path, body, key=key).status
        assert status >= 400, (path, status)
        self.answers.append({"method": method, "path": path, "body": body, "key": key, "status": status})


def prepare(data: Path) -> None:
    catalog = Catalog.prepare(data, secret=SECRET)
    catalog.projects.create("Old", id=PROJECT, **KEYS)
    catalog.close()


def fill(w: Writer) -> dict[str, str]:
    """Several flushes, deletions, definitions and keys. The keys by name, and an extraction's job."""
    record(w)
    w.server.restart()
    wait(lambda: not waiting(w.server.data))
    define(w)
    keys = make_keys(w)
    job = w.call(
        "POST",
        "queries/extraction",
        {"event_collection": "visits", "delivery": "link", "content_type": "application/json", **ALL},
    )["job"]
    wait(lambda: bool(w.call("GET", f"extractions/{job['id']}")["state"] == "done"))
    wait(lambda: bool(w.call("GET", "datasets/by-customer")["status"] == "OK"))
    w.question("queries/saved/kept/result")
    return {**keys, "job": job["id"]}


def record(w: Writer) -> None:
    server = w.server
    for start in (0, 60, 120):
        server.record(w.project, "purchases", *purchases(start, 60))
        server.record(w.project, "visits", *visits(start, 30))
        server.record(w.project, "odd name./%~", {"a": start, "keen": {"timestamp": "2024-02-29T23:59:59Z"}})
        server.restart()
    w.call("PUT", "retention/purchases", {"days": 36_500})
    server.record(
        w.project, "aged", *({"n": n, "keen": {"timestamp": f"20{n}-05-05T00:00:00Z"}} for n in (21, 22, 26))
    )
    w.call("PUT", "retention/aged", {"days": 1_000})
    token = {"keen": {"uniqueness_token": "order-1", "timestamp": "2024-06-01T00:00:00Z"}, "n": 1}
    for _ in range(2):
        w.call("POST", "events/tokens", token, KEYS["write_key"])
    page = [{"property_name": "page", "operator": "eq", "property_value": "/p/3"}]
    w.call(
        "DELETE",
        f"events/visits?filters={quote(json.dumps(page))}",
    )
    w.call("DELETE", "events/purchases/properties/note")


def define(w: Writer) -> None:
    query = {
        "analysis_type": "sum",
        "event_collection": "purchases",
        "target_property": "Price",
        "group_by": "customer.id",
        **ALL,
    }
    w.call(
        "PUT",
        "queries/saved/kept",
        {"query": query, "refresh_rate": 14400, "metadata": {"display_name": "Kept"}},
    )
    w.call("PUT", "queries/saved/live", {"query": query, "refresh_rate": 0})
    dataset = {"analysis_type": "count", "event_collection": "purchases", "interval": "monthly", **ALL}
    w.call(
        "PUT",
        "datasets/by-customer",
        {"query": dataset, "index_by": "customer.id", "display_name": "By customer"},
    )
    w.call(
        "PUT",
        f"/projects/{PROJECT}/dashboards/sales",
        {"widgets": [{"query": "kept"}]},
        headers={"X-Keen-Blob-Metadata": '{"title": "Sales"}'},
    )


def make_keys(w: Writer) -> dict[str, str]:
    filters = [{"property_name": "customer.id", "operator": "eq", "property_value": "c1"}]
    keys = {}
    for name, options in {
        "filtered": {"queries": {"filters": filters}, "saved_queries": {"filters": filters}},
        "blocked": {"saved_queries": {"blocked": ["live"]}},
        "writer": {"writes": {"autofill": {"customer": {"id": "c9"}}}},
    }.items():
        permitted = (
            ["writes"] if name == "writer" else ["queries", "saved_queries", "cached_queries", "schema"]
        )
        made = w.call("POST", "keys", {"name": name, "permitted": permitted, "options": options})
        keys[name] = made["key"]
    revoked = w.call("POST", "keys", {"name": "revoked", "permitted": ["queries"], "options": {}})["key"]
    w.call("POST", f"keys/{revoked}/revoke")
    return {**keys, "revoked": revoked}


def leave_in_logs(w: Writer) -> None:
    """Some events more, which stand in no file."""
    w.server.record(w.project, "purchases", *purchases(180, 40))
    w.server.record(w.project, "visits", *visits(90, 10))
    manifest = w.server.data / "chunks" / "manifest.json"
    wait(lambda: ".arrow" in manifest.read_text())


def ask(w: Writer, keys: dict[str, str]) -> None:
    of = {"event_collection": "purchases", **ALL}
    for analysis, more in (
        ("count", {}),
        ("count", {"group_by": ["customer.id", "quantity"], "interval": "monthly"}),
        ("count", {"interval": "weekly", "timezone": "America/New_York"}),
        ("count", {"filters": [{"property_name": "price", "operator": "exists", "property_value": True}]}),
        ("count", {"filters": [{"property_name": "price", "operator": "eq", "property_value": "7"}]}),
        ("count", {"filters": [{"property_name": "price", "operator": "eq", "property_value": 2**60 + 1}]}),
        ("count", {"filters": [{"property_name": "note", "operator": "exists", "property_value": True}]}),
        ("sum", {"target_property": "Price"}),
        ("sum", {"target_property": "quantity", "group_by": "Имя"}),
        ("minimum", {"target_property": "Price"}),
        ("maximum", {"target_property": "price"}),
        ("median", {"target_property": "Price"}),
        ("percentile", {"target_property": "quantity", "percentile": 90}),
        ("count_unique", {"target_property": "customer.Name", "group_by": "customer.id"}),
        ("select_unique", {"target_property": "price"}),
        ("select_unique", {"target_property": "later"}),
        ("extraction", {}),
        ("extraction", {"latest": 7, "property_names": ["price", "customer", "keen.timestamp"]}),
    ):
        w.question(f"queries/{analysis}", {**of, **more})
    steps: list[dict[str, Any]] = [
        {"event_collection": "visits", "actor_property": "user", **ALL} for _ in range(2)
    ]
    steps[1]["filters"] = [{"property_name": "page", "operator": "eq", "property_value": "/p/1"}]
    w.question("queries/funnel", {"steps": steps})
    for name in ("visits", "tokens", "aged", "odd name./%~", "never"):
        w.question("queries/count", {"event_collection": name, **ALL})
    w.question("queries/count", of, keys["filtered"])
    w.question("queries/extraction", of, keys["filtered"])
    w.question("queries/saved/live/result")
    w.question("queries/saved/kept/result", None, keys["filtered"])
    w.question("queries/saved/kept/result", None, keys["blocked"])
    w.refused("GET", "queries/saved/live/result", None, keys["blocked"])
    w.refused("POST", "queries/count", of, keys["revoked"])
    w.refused("POST", "queries/count", of, keys["writer"])
    w.refused("POST", "events/visits", {"a": 1}, keys["filtered"])
    for customer in ("c0", "c1", "c2", "c3"):
        w.question(f"datasets/by-customer/results?index_by={customer}")
    for path in (
        "queries/saved/kept",
        "queries/saved/live",
        "keys",
        "retention/purchases",
        "retention/aged",
        "events",
        f"/projects/{PROJECT}/dashboards/sales",
        f"/projects/{PROJECT}/dashboards/sales/metadata",
    ):
        w.question(path, None, KEYS["master_key"], whole=True)


def pack(data: Path, out: Path) -> None:
    """Without what a server makes anew at its start, or that belongs to its processes."""
    skipped = {"run", "spool", "tmp", "chunks"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as tar:
        for path in sorted(data.rglob("*")):
            name = path.relative_to(data)
            if name.parts[0] in skipped or path.suffix == ".lock" or path.name == "lock":
                continue
            entry = tar.gettarinfo(path, str(name))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            with path.open("rb") if path.is_file() else io.BytesIO() as content:
                tar.addfile(entry, content if path.is_file() else None)
    out.write_bytes(packed.getvalue())


def main(out: Path) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        prepare(data)
        server = Served(workers=2, data=data, env=ENV)
        server.start()
        try:
            w = Writer(server)
            keys = fill(w)
            leave_in_logs(w)
            ask(w, keys)
        finally:
            server.kill_all()
        now_us = time.time_ns() // 1_000
        pack(data, out / f"{commit}.tar.xz")
    told = {
        "now_us": now_us,
        "secret": SECRET,
        "project": PROJECT,
        "keys": {**KEYS, **keys},
        "answers": w.answers,
    }
    (out / f"{commit}.json.xz").write_bytes(lzma.compress(json.dumps(told).encode(), preset=9))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
