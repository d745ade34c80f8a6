"""Metrics: Prometheus' text, added up over processes."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from service.http.error_rendering import rendered
from service.telemetry.loop_pauses import measure_pauses
from service.telemetry.metrics import FAMILIES, Metrics
from service.telemetry.refusals import Refusals
from tests.support.server import Served


def test_the_rows_of_all_processes_are_added_up(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics"
    first, second = (Metrics(path, row, 3) for row in (0, 2))
    first.counter("acumen_events_total", "accepted").add(3)
    second.counter("acumen_events_total", "accepted").add(4)
    assert 'acumen_events_total{outcome="accepted"} 7.0' in first.text()
    assert first.text() == second.text()


def test_a_process_started_again_counts_on_and_has_nothing_running(tmp_path: Path) -> None:
    before = Metrics(tmp_path / "metrics", 0, 1)
    before.counter("acumen_events_total", "accepted").add(3)
    before.counter("acumen_queries_running").set(5)
    after = Metrics(tmp_path / "metrics", 0, 1)
    after.clear_gauges()
    after.counter("acumen_events_total", "accepted").add()
    assert 'acumen_events_total{outcome="accepted"} 4.0' in after.text()
    assert "acumen_queries_running 0.0" in after.text()


def test_a_histogram_counts_each_value_in_every_bucket_that_holds_it() -> None:
    metrics = Metrics()
    for value in (0.002, 0.0025, 7.0, 1e6):
        metrics.histogram("acumen_query_seconds", "sum").observe(value)
    text = metrics.text()
    for edge, count in (("0.001", 0), ("0.0025", 2), ("5.0", 2), ("10.0", 3), ("300.0", 3), ("+Inf", 4)):
        assert f'acumen_query_seconds_bucket{{analysis="sum",le="{edge}"}} {count}.0' in text
    assert 'acumen_query_seconds_count{analysis="sum"} 4.0' in text


def test_every_line_is_a_comment_or_a_sample() -> None:
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? \S+')
    lines = Metrics().text().splitlines()
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == {one.name for one in FAMILIES}


def test_an_unknown_series_is_an_error() -> None:
    with pytest.raises(KeyError):
        Metrics().counter("acumen_events_total", "vanished")


def test_its_file_has_its_blocks_from_the_start(tmp_path: Path) -> None:
    """Else the first count on a full disk would kill the process."""
    metrics = Metrics(tmp_path / "run" / "metrics", 0, 8)
    size = (tmp_path / "run" / "metrics").stat()
    assert metrics is not None
    assert size.st_blocks * 512 >= size.st_size or sys.platform == "darwin"


def test_every_event_is_counted_once_by_what_became_of_it() -> None:
    """Of one token or one idempotency key, the first is accepted and all others are duplicates."""
    with Served() as server:
        project = server.project
        events = f"/3.0/projects/{project.id}/events"

        def send(path: str, body: object, *, idempotency_key: str | None = None) -> None:
            headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
            reply = server.request("POST", path, body, key=project.write_key, headers=headers)
            assert reply.status in (200, 201), reply.body

        def token(text: str) -> dict[str, object]:
            return {"keen": {"uniqueness_token": text}}

        send(f"{events}/c", {"n": 1})
        for _ in range(3):
            send(f"{events}/c", token("a"))
        send(events, {"c": [token("a"), token("b"), token("b"), {"n": 2}, {"$bad": 1}]})
        for _ in range(2):
            send(events, {"c": [{"n": 3}, token("a"), {"$bad": 1}], "d": [{}]}, idempotency_key="k")
            send(f"{events}/c", {"n": 4}, idempotency_key="l")
        text = server.request("GET", "/metrics").body.decode()
        stored = sum(server.ask(project, "count", event_collection=name) for name in ("c", "d"))
    assert stored == 2 + 2 + 2 + 1
    # The answer that is repeated says again what was refused.
    for outcome, count in (("accepted", stored), ("duplicate", 2 + 2 + 1 + 3 + 1), ("refused", 3)):
        assert f'acumen_events_total{{outcome="{outcome}"}} {count}.0' in text


def test_errors_are_counted_by_status_and_summed_up_in_one_line_without_keys() -> None:
    """Those of the write path, of all other routes, and what is no HTTP; however many there are."""
    with Served(env={"ACUMEN_ERROR_LOG_SECONDS": "3000"}) as server:
        project = server.project
        base = f"/3.0/projects/{project.id}"
        server.request("GET", f"{base}/queries/count?event_collection=c", key="WRONG" * 8)
        for _ in range(3):
            assert server.request("POST", f"{base}/events/c", {}, key="WRONG" * 8).status == 401
        assert server.request("POST", f"{base}/events/c", b"{", key=project.write_key).status == 400
        assert server.request("GET", "/nowhere").status == 404
        text = server.request("GET", "/metrics").body.decode()
        assert server.stop() == 0
        output = server.output()
    for status, count in (("401", 4), ("400", 1), ("404", 1)):
        assert f'acumen_errors_total{{status="{status}"}} {count}.0' in text
    lines = [json.loads(line) for line in output.splitlines() if "acumen.refusals" in line]
    assert len(lines) <= 2, "one that begins the time, and one for the rest at the end"
    added: Counter[str] = Counter()
    for line in lines:
        added.update(line["answers"])
    assert added["401 InvalidApiKeyError"] == 4
    assert added["400 InvalidJSONError"] == 1
    assert added["404 ResourceNotFoundError"] == 1
    assert "WRONG" not in output


def test_what_a_client_sends_is_no_error_code(caplog: pytest.LogCaptureFixture) -> None:
    """The code is the API's own, however a message that repeats a client's text looks."""
    caplog.set_level(logging.INFO)
    now = [0.0]
    refusals = Refusals(Metrics(), 60, lambda: now[0])
    body = rendered(400, "InvalidParameterError", 'x"error_code":"Sent"').body
    for now[0] in (0.0, 1.0, 59.0, 60.5):
        refusals.count(400, body)
        refusals.count(201, b"")
        refusals.log_due()
    found = [record.__dict__["fields"]["answers"] for record in caplog.records]
    assert found == [{"400 InvalidParameterError": 1}, {"400 InvalidParameterError": 3}]


def test_an_import_counts_in_the_metrics_of_the_server_on_its_folder(tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text('{"n":1}\n{"n":2}\n{"$bad":1}\n')
    with Served(env={"ACUMEN_FLUSH_SECONDS": "0.2"}) as server:
        project = server.project
        arguments = ("import", str(events), "--project", project.id, "--collection", "c")
        assert server.run(*arguments, "--allow-refused", "1").returncode == 0
        wanted = (
            'acumen_events_imported_total{outcome="accepted"} 2.0',
            'acumen_events_imported_total{outcome="refused"} 1.0',
            "acumen_events_stored 2.0",
            "acumen_collections 1.0",
            "acumen_projects 1.0",
            "acumen_events_unflushed 0.0",
        )
        text = metrics_with(server, lambda text: all(line in text for line in wanted))
        values = values_of(text)
        assert float(values["acumen_disk_free_bytes"]) > 0
        assert float(values["acumen_loop_pause_seconds_count"]) > 0
        assert "acumen_log_unflushed_bytes" in values
        # The import's own log may be gone already; the worker's stays.
        server.record(project, "c", {"n": 3})
        metrics_with(server, lambda text: float(values_of(text)["acumen_log_bytes"]) > 0)


def metrics_with(server: Served, wanted: Callable[[str], bool]) -> str:
    """The metrics, once they are as wanted."""
    deadline = time.monotonic() + 60
    while not wanted(text := server.request("GET", "/metrics").body.decode()):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    return text


def values_of(text: str) -> dict[str, str]:
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_a_blocked_event_loop_is_seen() -> None:
    """A pause of the loop is in the histogram, and the longest in the gauge."""

    async def scenario() -> Metrics:
        metrics = Metrics()
        measuring = asyncio.ensure_future(measure_pauses(metrics))
        await asyncio.sleep(0)
        time.sleep(0.3)
        while 'acumen_loop_pause_seconds_bucket{le="+Inf"} 0.0' in metrics.text():
            await asyncio.sleep(0.01)
        measuring.cancel()
        return metrics

    text = asyncio.run(scenario()).text()
    (longest,) = re.findall(r"^acumen_loop_longest_pause_seconds (\S+)$", text, re.MULTILINE)
    assert float(longest) >= 0.2
    assert 'acumen_loop_pause_seconds_bucket{le="0.1"} 0.0' in text
