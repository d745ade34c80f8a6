"""How long it takes to see how many pipelines stand, and to plan their runs, in milliseconds.

Their buckets are written as derived, without a run: nothing executes runs here.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median

from bench.report import Report, Wrong
from bench.serving import START_SECONDS, Acumen
from service.pipelines import applying
from service.pipelines.definition import CheckContext, read_folder
from service.pipelines.inputs import PipelineReader, events_of, text_of
from service.pipelines.planner_task import PipelinePlanner
from service.process.tasks import opened_tools
from service.settings import load
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from storage.files.compaction import plan_merge

ROUNDS = 9
FULL = 1_000_000
SEEN = (10, 30, 366)
"""Collections, pipelines of each, and days of events."""
PLANNED = (1_000, 1, 2)
STATUS_LIMIT, PLAN_LIMIT = 150.0, 50.0
COLLECTIONS_MAX = 5_000
_QUIET = {
    "ACUMEN_RUN_WORKERS": "0",
    "ACUMEN_FLUSH_SECONDS": "1",
    "ACUMEN_COLLECTIONS_MAX": str(COLLECTIONS_MAX),
}
_BUCKET = """
    INSERT INTO pipeline_buckets (
        pipeline_id, start_us, end_us, digest, inputs, rows_in, rows_out, changed_us, state, seconds
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'fresh', 0.25)
"""
_STEPS = 'steps = [{ where = "n > 1" }, { compute = { m = "n * 2" } }]'


def run(report: Report, events: int) -> None:
    """With fewer events than ``FULL`` there are fewer collections."""
    seen, planned = (max(2, min(most, most * events // FULL)) for most in (SEEN[0], PLANNED[0]))
    pipelines, days = seen * SEEN[1], SEEN[2]
    report.title(f"Seeing how {pipelines:,} pipelines with {pipelines * days:,} buckets stand, ms")
    with Acumen(_QUIET) as server:
        _prepare(report, server, seen, *SEEN[1:])
        _see(report, server, pipelines)
    report.title(f"Planning the runs of {planned:,} pipelines of which one input changes, ms")
    with Acumen(_QUIET) as server:
        _prepare(report, server, planned, *PLANNED[1:])
        _plan(report, server)


def _see(report: Report, server: Acumen, pipelines: int) -> None:
    with closing(server.connect()) as connection:
        first = _timed(lambda: _listed(report, server, connection, pipelines))
        same = [_timed(lambda: _listed(report, server, connection, pipelines)) for _ in range(ROUNDS)]
        after = []
        for turn in range(ROUNDS):
            report.progress(f"pipelines, change {turn + 1} of {ROUNDS}")
            _change(server)
            after.append(_timed(lambda: _listed(report, server, connection, pipelines)))
    report.figure("GET pipelines, unchanged", median(same), f"the first {first:.0f} ms", limit=STATUS_LIMIT)
    text = f"after events in one collection, which {SEEN[1]} read"
    report.figure("GET pipelines, changed", median(after), text, limit=STATUS_LIMIT)
    command = [sys.executable, "-P", "-m", "service", "status", "--data", str(server.data)]
    spent = [_timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(3)]
    report.note(f"acumen status, with the start of its process: {median(spent):.0f} ms")


def _plan(report: Report, server: Acumen) -> None:
    metrics = Metrics(server.folder / "metrics", 0, 1)
    settings = load(data=server.data)
    with opened_tools(settings, "bench", metrics, threading.Event()) as tools:
        planner = PipelinePlanner(tools)

        def plan() -> None:
            planner.run_due(time.time_ns() // 1_000)

        first, spent = _timed(plan), []
        for turn in range(ROUNDS):
            report.progress(f"planning, change {turn + 1} of {ROUNDS}")
            _change(server)
            spent.append(_timed(plan))
        idle = median(_timed(plan) for _ in range(ROUNDS))
    text = f"the first plan of all {first:.0f} ms, without a change {idle:.1f} ms"
    report.figure("planning, one input changed", median(spent), text, limit=PLAN_LIMIT)


def _prepare(report: Report, server: Acumen, collections: int, each: int, days: int) -> None:
    """As many collections with two events a day, and pipelines of which every bucket is fresh."""
    names = [f"c{number}" for number in range(collections)]
    end = datetime.now(UTC)
    times = [(end - timedelta(days=day, minutes=part)).isoformat() for day in range(days) for part in (1, 2)]
    lines = [json.dumps({"n": 1, "keen": {"timestamp": at}}) for at in times]
    with closing(server.connect()) as connection:
        for name in names:
            report.progress(f"pipelines, events of {name}")
            _send(server, connection, f'{{"{name}": [{",".join(lines)}]}}'.encode())
    with closing(Catalog.open(server.data)) as catalog:
        _await_files(server, catalog, names, len(lines))
        _apply(server, catalog, names, each)
        report.progress("pipelines, buckets")
        _store(server, catalog)


def _send(server: Acumen, connection: http.client.HTTPConnection, body: bytes) -> None:
    path = f"/3.0/projects/{server.project_id}/events"
    connection.request("POST", path, body, {"Authorization": server.write_key})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise Wrong(f"Events were answered {answer.status}: {text[:500]!r}")


def _await_files(server: Acumen, catalog: Catalog, names: Sequence[str], events: int) -> None:
    """Until files hold the events, and nothing is left to be merged."""
    deadline = time.monotonic() + 5 * START_SECONDS

    def settled() -> bool:
        found = catalog.collections.named(server.project_id, list(names))
        files = [catalog.files.live(one.id) for one in found]
        now = datetime.now(UTC)
        return len(found) == len(names) and all(
            sum(file.rows for file in some) == events and not plan_merge(some, now) for some in files
        )

    while not settled():
        if time.monotonic() > deadline:
            raise Wrong(f"The events are not in files:\n{server.output()[-2000:]}")
        time.sleep(0.2)


def _apply(server: Acumen, catalog: Catalog, names: Sequence[str], each: int) -> None:
    folder = server.folder / "pipelines"
    folder.mkdir()
    text = "".join(
        f'[pipelines.p_{name}_{number}]\nowner = "bench@acumen.example"\nfrom = "{name}"\n'
        f'into = "d_{name}_{number}"\n{_STEPS}\n'
        for name in names
        for number in range(each)
    )
    (folder / "pipelines.toml").write_text(text)
    described = read_folder(folder, _around())
    applying.apply(catalog, server.project_id, described, remove=False, collections_max=COLLECTIONS_MAX)


def _store(server: Acumen, catalog: Catalog) -> None:
    """In one transaction: each bucket in its own, as runs commit them, would take minutes."""
    reader, now_us = PipelineReader(catalog, _around()), time.time_ns() // 1_000
    rows = []
    for stored in catalog.pipelines.of_project(server.project_id):
        definition = reader.definition(stored)
        for span, parts in reader.inputs(server.project_id, definition, now_us).buckets.items():
            inputs, events = text_of(parts), events_of(parts)
            values = (span.start_us, span.end_us, definition.digest, inputs, events, events, now_us)
            rows.append((stored.id, *values))
    with catalog._database.changing(Area.DERIVED) as connection:
        connection.exec_driver_sql(_BUCKET, rows)


def _around() -> CheckContext:
    return CheckContext(load().query_limits, lambda _: None)


def _listed(report: Report, server: Acumen, connection: http.client.HTTPConnection, pipelines: int) -> None:
    path = f"/3.0/projects/{server.project_id}/pipelines"
    connection.request("GET", path, headers={"Authorization": server.master_key})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    report.equal("pipelines", len(found), pipelines)


def _change(server: Acumen) -> None:
    """One more event of the first collection, in a file on return."""
    with closing(Catalog.open(server.data)) as catalog, closing(server.connect()) as connection:
        (before,) = catalog.collections.named(server.project_id, ["c0"])
        _send(server, connection, b'{"c0": [{"n": 1}]}')
        while catalog.collections.named(server.project_id, ["c0"])[0].data_version == before.data_version:
            time.sleep(0.02)


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3
