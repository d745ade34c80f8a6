"""Buckets that one statement derives beside each other have the rows that each has alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.catalog.derived.pipeline_records import BucketState
from storage.catalog.runs.records import RunState
from tests.service.pipelines.bench import DAY_US, HOUR_US, PipelineBench
from tests.service.pipelines.times import text_at

DAYS = 20
STEPS = {
    "statement": 'steps = [{ sql = "SELECT n, g, avg(n) OVER (ORDER BY \\"keen.timestamp\\") AS mean, '
    '\\"keen.timestamp\\" FROM input" }]',
    "distinct": 'lookback = "2_days"\nsteps = [{ dedupe = "g", keep = "last" }]',
    "sessions": 'lookback = "6_hours"\nsteps = [{ sessionise = "g", gap = "3_hours" }]',
    "windows": """lookback = "1_hours"
[[pipelines.NAME.steps]]
aggregate.by = ["g"]
aggregate.every = "8_hours"
aggregate.values = { total = { sum = "n" } }""",
    "several": """[[pipelines.NAME.steps]]
where = "n > 1"
[[pipelines.NAME.steps]]
dedupe = ["n", "g"]
[[pipelines.NAME.steps]]
sql = 'SELECT max("keen.timestamp") AS "keen.timestamp", g, list(n ORDER BY n) AS a FROM input GROUP BY 2'""",
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    bench = PipelineBench(tmp_path)
    yield bench
    bench.close()


def text(name: str, steps: str, zone: str = "Europe/Berlin") -> str:
    return f"""
[pipelines.{name}]
owner = "team@shop.example"
from = ["one", "two"]
into = "{name}"
timezone = "{zone}"
columns = {{ n = "number", g = "string" }}
{steps.replace("NAME", name)}
"""


def events(days: int = DAYS) -> list[dict[str, Any]]:
    # Over the end of summer time, with days that have no events.
    start_us = 1_792_800_000_000_000
    times = [(day, hour) for day in range(days) if day % 7 != 3 for hour in (0, 2, 9, 23)]
    return [
        {
            "n": (day * 5 + hour) % 7,
            "g": "pq"[hour % 2],
            "keen": {"timestamp": text_at(start_us + day * DAY_US + hour * HOUR_US)},
        }
        for day, hour in times
    ]


def derive_alone(bench: PipelineBench, name: str) -> None:
    """One bucket at a time: no other is due."""
    stored = bench.pipeline(name)
    spans = [(one.start_us, one.end_us) for one in bench.buckets(name)]
    pipelines = bench.store.catalog.pipelines
    for span in spans:
        pipelines.set_states(stored.id, [span], BucketState.STALE)
        assert bench.derive() == 1


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_they_have_the_rows_that_each_has_alone(bench: PipelineBench, kind: str, zone: str) -> None:
    bench.send("one", events())
    bench.send("two", events(9))
    bench.write(text("made", STEPS[kind], zone))
    bench.apply()
    bench.derive()
    assert {one.state for one in bench.buckets("made")} == {BucketState.FRESH}
    found = bench.store.catalog.runs.listed(states=[RunState.DONE], limit=100)
    most = max(json.loads(one.detail).get("buckets", 1) for one in found)
    assert 1 < most <= 16
    rows = bench.rows("made")
    assert rows
    derive_alone(bench, "made")
    assert bench.rows("made") == rows


@pytest.mark.parametrize("lookback", ["", 'lookback = "1_days"'])
def test_a_failure_in_one_does_not_hurt_the_others(bench: PipelineBench, lookback: str) -> None:
    bench.send("one", events())
    bench.send("two", [{"n": 100, "keen": {"timestamp": events()[30]["keen"]["timestamp"]}}])
    failing = (
        lookback + "\nsteps = [{ sql = \"SELECT CASE WHEN n = 100 THEN error('bad') ELSE n END AS n, "
        '\\"keen.timestamp\\" FROM input" }]'
    )
    bench.write(text("made", failing))
    bench.apply()
    bench.derive()
    states = [one.state for one in bench.buckets("made")]
    assert states.count(BucketState.FAILED) == 1
    assert states.count(BucketState.FRESH) == len(states) - states.count(BucketState.FAILED)
    assert all("bad" in (one.problem or "") for one in bench.buckets("made") if one.problem)


def test_rows_outside_of_their_own_bucket_are_refused(bench: PipelineBench) -> None:
    """Also where they are within that of another."""
    bench.send("one", events())
    later = 'SELECT n, "keen.timestamp" + INTERVAL 1 DAY AS "keen.timestamp" FROM input'
    bench.write(text("made", f"steps = [{{ sql = '''{later}''' }}]"))
    bench.apply()
    bench.derive()
    assert {one.state for one in bench.buckets("made")} == {BucketState.FAILED}
    assert all("outside of the bucket" in (one.problem or "") for one in bench.buckets("made"))
