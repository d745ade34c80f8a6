"""Whatever happens to the input, each derived bucket holds the rows of a full recomputation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from storage.catalog.derived.pipeline_records import BucketState
from storage.catalog.stored.records import ErasureKind
from storage.schema import TIMESTAMP
from tests.service.pipelines.bench import DAY_US, HOUR_US, PipelineBench
from tests.service.pipelines.times import text_at
from tests.support.scale import examples

SETTINGS = settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=False,
    # An example takes seconds: shrinking would take minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
STEPS = {
    "events": 'steps = [{ where = "n > 1" }, { rename = { g = "group.name" } }]',
    "windows": """[[pipelines.NAME.steps]]
aggregate.by = ["g"]
aggregate.every = "6_hours"
aggregate.values = { total = { sum = "n" }, events = "count", groups = { count_unique = "v" } }""",
    "distinct": 'lookback = "1_days"\nsteps = [{ dedupe = "n", keep = "first" }, { select = ["n"] }]',
    "sessions": 'lookback = "6_hours"\nsteps = [{ sessionise = "g", gap = "3_hours" }, { drop = "v" }]',
    "statement": """[[pipelines.NAME.steps]]
sql = 'SELECT min("keen.timestamp") AS "keen.timestamp", g, max(n) AS n FROM input GROUP BY g'""",
}
events = st.fixed_dictionaries(
    {"hours": st.integers(-60, 3), "n": st.integers(0, 5), "g": st.sampled_from(["p", "q"])},
    optional={"v": st.sampled_from(["a", 1, True, None, ["a"], 2.5])},
)
happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["one", "two"]), st.lists(events, min_size=1, max_size=6)),
        st.sampled_from(["derive", "derive", "merge", "erase", "update", "stale", "freeze", "day", "delete"]),
    ),
    min_size=3,
    max_size=12,
)


def text(name: str, kind: str, unit: str, zone: str) -> str:
    return f"""
[pipelines.{name}]
owner = "team@shop.example"
from = ["one", "two"]
into = "{name}"
bucket = "{unit}"
timezone = "{zone}"
columns = {{ n = "number", g = "string" }}
{STEPS[kind].replace("NAME", name)}
"""


@SETTINGS
@given(
    kind=st.sampled_from(sorted(STEPS)),
    unit=st.sampled_from(["hour", "day", "week", "month"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    happening=happenings,
)
def test_every_bucket_equals_a_full_recomputation(
    tmp_path_factory: pytest.TempPathFactory, kind: str, unit: str, zone: str, happening: list[Any]
) -> None:
    bench = PipelineBench(tmp_path_factory.mktemp("derived"))
    try:
        bench.send("one", [{"n": 3, "g": "p", "v": "a"}])
        # No change removes it: steps name the property, which an erasure of its last event would remove.
        bench.send("two", [{"n": 4, "g": "p", "v": "a"}])
        bench.write(text("made", kind, unit, zone))
        bench.apply()
        for one in happening:
            _take(bench, one)
        _thaw(bench)
        bench.derive()
        assert {one.problem for one in bench.buckets("made")} <= {None}
        assert all(one.state is BucketState.FRESH for one in bench.buckets("made"))
        bench.write(text("made", kind, unit, zone) + text("again", kind, unit, zone))
        bench.apply()
        bench.derive()
        assert bench.rows("made") == bench.rows("again")
        assert _stored(bench) == sum(one.rows_out for one in bench.buckets("made"))
        assert bench.derive() == 0, "what is unchanged is not derived again"
    finally:
        bench.close()


def _take(bench: PipelineBench, one: Any) -> None:
    if isinstance(one, tuple):
        collection, sent = one
        bench.send(collection, [_event(bench, event) for event in sent])
    elif one == "derive":
        bench.derive()
    elif one == "merge":
        bench.merge()
    elif one == "day":
        bench.now_us += DAY_US
    elif one in ("erase", "update", "delete"):
        _change(bench, one)
    else:
        buckets = [(found.start_us, found.end_us) for found in bench.buckets("made")][:2]
        state = BucketState.STALE if one == "stale" else BucketState.FROZEN
        bench.store.catalog.pipelines.set_states(bench.pipeline("made").id, buckets, state)


def _change(bench: PipelineBench, what: str) -> None:
    few = {"filters": [{"property_name": "n", "operator": "eq", "property_value": 3}]}
    if what == "update":
        update = {"path": "g", "line": '{"g":"r"}', "upsert": True}
        bench.change("one", ErasureKind.UPDATE, {**few, "updates": [update]})
    elif what == "erase":
        bench.change("one", ErasureKind.EVENTS, few)
    else:
        end_us = bench.now_us - 30 * HOUR_US
        bench.change("one", ErasureKind.EVENTS, {"end_us": end_us})


def _event(bench: PipelineBench, event: dict[str, Any]) -> dict[str, Any]:
    at_us = bench.now_us + event["hours"] * HOUR_US
    return {**{k: v for k, v in event.items() if k != "hours"}, "keen": {"timestamp": text_at(at_us)}}


def _thaw(bench: PipelineBench) -> None:
    frozen = [(one.start_us, one.end_us) for one in bench.buckets("made") if one.state is BucketState.FROZEN]
    bench.store.catalog.pipelines.set_states(bench.pipeline("made").id, frozen, BucketState.STALE)


def _stored(bench: PipelineBench) -> int:
    return len([row[TIMESTAMP] for row in bench.rows("made")])
