"""A process that is killed at the moment that counts: nothing is lost, and nothing told under two keys."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.service.pipelines.bench import PipelineBench

PIPELINE = """
[pipelines.dear]
owner = "data@shop.example"
from = "purchases"
into = "dear"
sinks = [{ webhook = "chat" }, { folder = "{period:%Y_%m_%d}" }]
steps = [{ where = "price > 10" }]
"""


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("storage/files/derived_buckets.py", "replace"),  # the rows are committed
        ("service/pipelines/sinks/folders.py", "_write"),  # the file is there
        ("service/workflows/run_worker.py", "_outcome"),  # what the run did is not recorded
    ],
)
def test_what_was_committed_is_delivered_by_the_next_process(
    tmp_path: Path, module: str, function: str
) -> None:
    target = tmp_path / "delivered"
    target.mkdir()
    bench = PipelineBench(tmp_path, sink_folder=target)
    project = bench.store.project
    bench.store.catalog.webhooks.put(project, "chat", "http://hooks.test/chat", "secret")
    bench.send("purchases", [{"price": 20}, {"price": 5}])
    bench.write(PIPELINE)
    bench.apply()
    bench.close()
    arguments = [str(tmp_path), str(target), module, function]
    command = [sys.executable, "-P", "-m", "tests.service.pipelines.sinks.killed_process", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    bench = PipelineBench(tmp_path, sink_folder=target)
    try:
        catalog = bench.store.catalog
        assert [one.rows_out for one in bench.buckets("dear")] == [1]
        webhook = catalog.webhooks.find(project, "chat")
        assert webhook is not None
        (message,) = catalog.webhooks.deliveries(webhook, limit=10)
        bench.derive()
        (file,) = target.rglob("*.parquet")
        assert [row["price"] for row in pq.read_table(file).to_pylist()] == [20]
        assert catalog.webhooks.deliveries(webhook, limit=10) == [message]
        assert catalog.deliveries.last(bench.pipeline("dear").id, bench.buckets("dear")[0].start_us)[0] == 1
        assert (catalog.runs.next_due_us(), catalog.runs.executing()) == (None, [])
    finally:
        bench.close()
