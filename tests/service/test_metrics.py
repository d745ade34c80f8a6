"""Metrics: Prometheus' text, added up over processes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from service.metrics import FAMILIES, Metrics
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
