"""What the database compares and sums is what reading every bucket finds, whatever has happened to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from query.transforms.nodes import BucketSpan
from service.pipelines.freshness.overview import Health, Overview
from service.pipelines.freshness.standings import PipelineStandings, by_inputs, compared_group
from service.pipelines.inputs import PipelineReader, events_of, text_of
from service.pipelines.planning import Plan, planned
from storage.catalog.derived.pipeline_records import BucketState, DerivedBucket, StoredPipeline
from storage.catalog.derived.pipelines import BucketCommit
from storage.catalog.errors import CatalogDamaged, PipelineChanged
from storage.catalog.stored.records import ErasureKind
from tests.service.pipelines.bench import DAY_US, HOUR_US, PipelineBench
from tests.service.pipelines.times import text_at
from tests.support.scale import examples

SETTINGS = settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=False,
    # An example takes a second: shrinking would take minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
NAMES = ("days", "same", "back", "hours", "late")
PIPELINES = """
[pipelines.days]
owner = "team@shop.example"
from = ["one", "two"]
into = "days"

[pipelines.same]
owner = "team@shop.example"
from = ["one", "two"]
into = "same"
steps = [{ select = ["n"] }]

[pipelines.back]
owner = "team@shop.example"
from = "one"
into = "back"
lookback = "30_hours"
timezone = "Europe/Berlin"

[pipelines.hours]
owner = "team@shop.example"
from = "two"
into = "hours"
bucket = "hour"

[pipelines.late]
owner = "team@shop.example"
from = ["one", "none"]
into = "late"
START
"""
names = st.sampled_from(NAMES)
place = st.integers(0, 7)
happenings = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.sampled_from(["one", "two"]),
            st.lists(st.integers(-100, 0), min_size=1, max_size=4),
        ),
        st.tuples(
            st.just("store"),
            names,
            st.integers(1, 8),
            st.sampled_from(["now", "now", "before", "none"]),
            st.sampled_from([(0, 0), (3, 0), (0, 2)]),
            st.booleans(),
        ),
        st.tuples(st.just("fail"), names, place),
        st.tuples(st.just("state"), names, place, st.sampled_from(["stale", "frozen", "skipped"])),
        st.tuples(st.just("pause"), names, st.booleans()),
        st.tuples(st.just("note"), names),
        st.tuples(st.just("retain"), st.sampled_from([None, 1, 2, 4])),
        st.sampled_from([("merge",), ("erase",), ("day",), ("define",)]),
    ),
    min_size=2,
    max_size=14,
)


@pytest.fixture
def bench(tmp_path: Any) -> Iterator[PipelineBench]:
    bench = PipelineBench(tmp_path)
    yield bench
    bench.close()


def slowly(bench: PipelineBench, stored: StoredPipeline) -> tuple[Plan, Overview]:
    """From every bucket, one by one."""
    reader = PipelineReader(bench.store.catalog, bench.around)
    definition = reader.definition(stored)
    inputs = reader.inputs(stored.project_id, definition, bench.now_us)
    buckets = bench.store.catalog.pipelines.buckets(stored.id)
    plan = planned(definition, inputs, buckets)
    failed = [one for one in buckets if one.state is BucketState.FAILED]
    if stored.paused:
        health = Health.PAUSED
    elif failed:
        health = Health.FAILED
    else:
        health = Health.STALE if plan.due else Health.FRESH
    behind = [one.bucket.start_us for one in plan.due] + [one.start_us for one in failed]
    fresh = [one.end_us for one in buckets if one.state is BucketState.FRESH]
    return plan, Overview(
        health,
        {state: sum(one.state is state for one in buckets) for state in BucketState},
        len(plan.due),
        sum(one.rows_out for one in buckets),
        sum(one.seconds for one in buckets),
        max(fresh, default=None),
        failed[-1].problem if failed else None,
        sum(one.quarantined for one in buckets),
        min(behind, default=None),
    )


def check(bench: PipelineBench, kept: PipelineStandings) -> None:
    catalog = bench.store.catalog
    pipelines = catalog.pipelines.of_project(bench.store.project)
    expected = {stored.name: slowly(bench, stored) for stored in pipelines}
    for standings in (kept, kept, PipelineStandings(kept.reader)):
        found = standings.overviews(bench.store.project, pipelines, bench.now_us)
        assert {one.stored.name: overview for one, overview in found} == {
            name: overview for name, (_, overview) in expected.items()
        }
    groups = by_inputs(one for one, _ in found).values()
    assert sorted(len(group) for group in groups) == [1, 1, 1, 2]
    for group in groups:
        for one, _, _, plan in compared_group(kept.reader, group, bench.now_us):
            assert plan == expected[one.stored.name][0]


def begin(bench: PipelineBench) -> PipelineStandings:
    bench.send("one", [{"n": 3, "keen": {"timestamp": text_at(bench.now_us - 50 * HOUR_US)}}])
    bench.send("two", [{"n": 3}])
    define(bench, "")
    return PipelineStandings(PipelineReader(bench.store.catalog, bench.around))


def define(bench: PipelineBench, more: str) -> None:
    bench.write(PIPELINES.replace("START", f"start = {text_at(bench.now_us - 60 * HOUR_US)[:19]}Z\n{more}"))
    bench.apply()


@SETTINGS
@given(happening=happenings)
def test_whatever_happens(tmp_path_factory: pytest.TempPathFactory, happening: list[Any]) -> None:
    bench = PipelineBench(tmp_path_factory.mktemp("standing"))
    try:
        kept = begin(bench)
        check(bench, kept)
        for what, *details in happening:
            take(bench, what, *details)
            check(bench, kept)
    finally:
        bench.close()


def take(bench: PipelineBench, what: str, *details: Any) -> None:
    catalog = bench.store.catalog
    if what == "send":
        collection, hours = details
        events = [{"n": 3, "keen": {"timestamp": text_at(bench.now_us + at * HOUR_US)}} for at in hours]
        bench.send(collection, events)
    elif what == "pause":
        catalog.pipelines.set_paused(bench.store.project, *details)
    elif what == "retain":
        (one,) = catalog.collections.named(bench.store.project, ["one"])
        catalog.retention.put(one.id, details[0])
    elif what == "merge":
        bench.merge()
    elif what == "erase":
        few = {"filters": [{"property_name": "n", "operator": "eq", "property_value": 3}]}
        bench.change("one", ErasureKind.EVENTS, {**few, "end_us": bench.now_us - 20 * HOUR_US})
    elif what == "day":
        bench.now_us += DAY_US
    elif what == "define":
        define(bench, 'steps = [{ select = ["n"] }]')
    else:
        of_buckets(bench, what, *details)


def of_buckets(bench: PipelineBench, what: str, name: str, number: int = 0, *details: Any) -> None:
    catalog, stored = bench.store.catalog, bench.pipeline(name)
    reader = PipelineReader(catalog, bench.around)
    definition = reader.definition(stored)
    inputs = reader.inputs(stored.project_id, definition, bench.now_us)
    buckets = catalog.pipelines.buckets(stored.id)
    known = {BucketSpan(one.start_us, one.end_us) for one in buckets}
    spans = sorted({*inputs.buckets, *known}, key=lambda one: one.start_us)
    if what == "note":
        catalog.pipelines.note_inputs(stored.id, planned(definition, inputs, buckets).unchanged)
    elif what == "store":
        for span in spans[-number:]:
            store(bench, stored, one_bucket(stored, span, inputs, *details))
    elif what == "fail" and spans:
        span = spans[number % len(spans)]
        failed = one_bucket(stored, span, inputs, "now", (0, 0), False)
        catalog.pipelines.fail(stored.id, failed, f"Problem {number}.")
    elif spans:
        span = spans[number % len(spans)]
        catalog.pipelines.set_states(stored.id, [(span.start_us, span.end_us)], BucketState(details[0]))


def one_bucket(
    stored: StoredPipeline, span: BucketSpan, inputs: Any, of: str, rows: tuple[int, int], is_old: bool
) -> DerivedBucket:
    parts = inputs.of(span)
    text = text_of(parts)
    if of == "before":
        text = text_of(
            {name: replace(part, events=part.events - 1, files="1") for name, part in parts.items()}
        )
    elif of == "none":
        text = ""
    digest = "old" if is_old else stored.digest
    made = DerivedBucket(span.start_us, span.end_us, BucketState.FRESH, digest, text, events_of(parts))
    return replace(made, rows_out=rows[0], quarantined=rows[1], seconds=0.25, changed_us=7)


def store(bench: PipelineBench, stored: StoredPipeline, bucket: DerivedBucket) -> None:
    pipelines = bench.store.catalog.pipelines
    seen = pipelines.bucket(stored.id, bucket.start_us)
    try:
        assert pipelines.commit(BucketCommit(stored.id, stored.version, bucket, seen))
    except PipelineChanged:
        assert seen is not None
        assert seen.state in (BucketState.FROZEN, BucketState.SKIPPED)


def test_of_what_is_as_it_should_be_nothing_is_read(bench: PipelineBench) -> None:
    """A damaged row among many fresh ones is found by ``acumen check``; one that is due by whoever plans."""
    kept = begin(bench)
    bench.send("two", [{"n": 1, "keen": {"timestamp": text_at(bench.now_us - DAY_US)}}])
    take(bench, "store", "hours", 8, "now", (3, 0), False)
    stored = bench.pipeline("hours")

    def compared() -> Any:
        return kept.overviews(bench.store.project, [stored], bench.now_us)[0][1]

    assert compared().health is Health.FRESH
    catalog_file = bench.store.folder.root / "catalog.sqlite"
    damage(catalog_file, "rows_in = 99")
    kept = PipelineStandings(kept.reader)
    assert compared().health is Health.FRESH
    damage(catalog_file, "digest = 'other'")
    kept = PipelineStandings(kept.reader)
    with pytest.raises(CatalogDamaged):
        compared()


def damage(catalog_file: Any, change: str) -> None:
    with closing(sqlite3.connect(catalog_file)) as connection, connection:
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'pipeline_buckets'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(f"UPDATE pipeline_buckets SET {change}")
        for _, text in triggers:
            connection.execute(text)


def test_a_year_of_buckets(bench: PipelineBench) -> None:
    kept = begin(bench)
    days = [{"n": 1, "keen": {"timestamp": text_at(bench.now_us - day * DAY_US)}} for day in range(300)]
    bench.send("one", days)
    for name in ("days", "same"):
        take(bench, "store", name, 400, "now", (3, 0), False)
    check(bench, kept)
    bench.send("one", [{"n": 1}])
    check(bench, kept)
