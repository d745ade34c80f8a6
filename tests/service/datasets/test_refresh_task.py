"""Datasets kept computed: over whatever streams of events, what is served is what a question would find."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query.answers import precomputed
from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.language.nodes import Condition, MetricQuery, Operator, Request
from service.background.task_runner import Cancels, Tools
from service.datasets import definition as datasets
from service.datasets.refresh_task import DatasetRefresher
from service.datasets.results import State, States, stored_result
from service.settings import load
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import system_clock
from storage.catalog.database.change_mark import ChangeMark
from storage.catalog.database.connection import connect
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import DatasetStatus
from storage.catalog.stored.records import Counts
from tests.query.answers.test_reference import close
from tests.query.support_source import read
from tests.storage.store import Store
from tests.support.scale import examples

HOUR_US = 3_600_000_000
VALUES = ["a", "b", 1, 2.5, True, None, ["a", "c"], "1"]
ZONES = {
    "US/Pacific": datetime(2026, 11, 2, 5, tzinfo=UTC),
    "Europe/Berlin": datetime(2026, 3, 29, 9, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 5, 3, tzinfo=UTC),
    "UTC": datetime(2026, 5, 31, 23, 30, tzinfo=UTC),
}
"""Zones, and a time a few hours after their clocks changed."""
SETTINGS = settings(
    max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck), derandomize=False
)


class Bench:
    """A store, and the refresher by hand, at a time of the test's own."""

    def __init__(self, data: Path, **given: Any) -> None:
        self.store = Store(data)
        self.settings = load(data=data, **given)
        self.engine = Engine(
            self.store.folder.root,
            memory_limit_bytes=256 << 20,
            threads=1,
            temp_folder=data / "tmp" / "spill",
            temp_bytes_max=1 << 30,
        )
        tools = Tools(
            self.settings,
            self.store.catalog,
            self.store.reader,
            self.engine,
            Metrics(data / "metrics", 0, 1),
            threading.Event(),
            Cancels(),
        )
        self.tools = tools
        self.states = States(self.store.catalog)
        self.refresher = DatasetRefresher(tools)
        self.now_us = 0

    def close(self) -> None:
        self.engine.close()
        self.store.close()

    def create(self, query: dict[str, Any], index_by: Any) -> None:
        body = {"query": query, "index_by": index_by}
        limits = self.settings.query_limits
        definition = datasets.read("d", body, self.now_us, limits, self.engine.check_regex)
        self.store.catalog.datasets.create(self.store.project, "d", definition.written())

    def send(self, *events: dict[str, Any]) -> None:
        self.store.send("c", [json.dumps(event).encode() for event in events], time_us=self.now_us)

    def refresh(self) -> None:
        while self.refresher.run_due(self.now_us):
            pass

    def erase(self) -> bool:
        """Take the events of one file away; False where there is none."""
        for file in self.store.catalog.files.live():
            counts = Counts(stored=-file.rows, erased=file.rows)
            assert self.store.catalog.files.swap(file.collection_id, [file.id], [], counts)
            return True
        return False

    @property
    def state(self) -> State:
        return self.states.load(self.store.project, "d")

    def question(self, timeframe: str | None = None) -> MetricQuery:
        definition = self.state.definition
        limits = self.settings.query_limits
        span = definition.span(self.now_us)
        if timeframe is not None:
            other = replace(definition, query={**definition.query, "timeframe": timeframe})
            span = other.span(self.now_us)
        return definition.question(self.now_us, limits, self.engine.check_regex, span)

    def served(self, values: list[Any], timeframe: str | None = None) -> Any:
        """What was computed beforehand; None where that does not do."""
        key = precomputed.key_of(self.state.definition.index_by, values)
        folder = self.store.folder
        found = stored_result(
            self.state,
            self.question(timeframe),
            key,
            lambda file: folder.dataset_file(file.dataset_id, file.id),
            self.settings.query_limits,
            self.engine.budget.open(),
        )
        return None if found is None else json.loads(found)

    def asked(self, values: list[Any], timeframe: str | None = None) -> Any:
        """The same question, of the events."""
        query = self.question(timeframe)
        index_by = self.state.definition.index_by
        filters = tuple(Condition(path, Operator.EQ, one) for path, one in zip(index_by, values, strict=True))
        found = answer(
            Request(replace(query, filters=(*query.filters, *filters))),
            lambda name: self.store.reader.source(self.store.project, name),
            self.engine,
            limits=self.settings.query_limits,
        )
        return read(found)["result"]

    def check(self) -> None:
        """Everything that is served is what the events say."""
        width = len(self.state.definition.index_by)
        for value in ("a", "c", 1, 2.5, True, None, "nobody"):
            values = [value, "x"][:width]
            served = self.served(values)
            assert served is not None
            assert close(served, self.asked(values)), (values, served)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data", dataset_refresh_seconds=3_600.0)
    made.now_us = int(ZONES["US/Pacific"].timestamp()) * 1_000_000
    yield made
    made.close()


def query(**more: Any) -> dict[str, Any]:
    base = {
        "analysis_type": "count",
        "event_collection": "c",
        "timeframe": "this_10_days",
        "interval": "daily",
        "timezone": "US/Pacific",
    }
    return {**base, **more}


definitions = st.fixed_dictionaries(
    {
        "analysis_type": st.sampled_from(["count", "sum", "count_unique", "median", "select_unique"]),
        "target_property": st.just("n"),
        "interval": st.sampled_from(["hourly", "daily", "weekly", "every_5_hours"]),
        "timeframe": st.sampled_from(["this_4_days", "previous_3_days", "this_2_weeks", "this_70_hours"]),
        "timezone": st.sampled_from(sorted(ZONES)),
        "group_by": st.sampled_from([None, "g"]),
        "filters": st.sampled_from([[], [{"property_name": "n", "operator": "lt", "property_value": 8}]]),
    }
)
events = st.fixed_dictionaries(
    {"hours": st.integers(-130, 3), "v": st.sampled_from(VALUES), "n": st.integers(0, 9)},
    optional={"g": st.sampled_from(["p", "q", 3]), "w": st.sampled_from(["x", "y"])},
)
steps = st.lists(
    st.one_of(
        st.lists(events, min_size=1, max_size=8),
        st.sampled_from(["flush", "refresh", "refresh", "hour", "day", "erase"]),
    ),
    min_size=3,
    max_size=12,
)


@SETTINGS
@given(definition=definitions, wide=st.booleans(), steps=steps)
def test_after_every_refresh_what_is_served_is_what_the_events_say(
    tmp_path_factory: pytest.TempPathFactory, definition: dict[str, Any], wide: bool, steps: list[Any]
) -> None:
    made = Bench(tmp_path_factory.mktemp("refresh") / "data")
    try:
        made.now_us = int(ZONES[definition["timezone"]].timestamp()) * 1_000_000
        made.create({**definition, "event_collection": "c"}, ["v", "w"] if wide else "v")
        for step in [*steps, "refresh"]:
            _take(made, step)
    finally:
        made.close()


def _take(made: Bench, step: Any) -> None:
    if isinstance(step, list):
        for one in step:
            at_us = made.now_us + one["hours"] * HOUR_US
            sent = {name: value for name, value in one.items() if name != "hours"}
            moment = datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat()
            made.send({**sent, "keen": {"timestamp": moment}})
    elif step == "flush":
        made.store.keeper.step()
        made.store.keeper.flush()
    elif step == "erase":
        if made.erase() and made.state.dataset.run:
            assert made.served(["a", "x"][: len(made.state.definition.index_by)]) is None
    elif step in ("hour", "day"):
        made.now_us += HOUR_US * (1 if step == "hour" else 24)
    else:
        # Due whatever the clock says.
        made.now_us += int(made.settings.dataset_refresh_seconds * 1_000_000)
        made.refresh()
        made.check()


def test_between_refreshes_a_result_is_that_of_the_last_one(bench: Bench) -> None:
    bench.create(query(), "v")
    bench.send({"v": "a"})
    bench.refresh()
    assert bench.state.dataset.status is DatasetStatus.OK
    before = bench.served(["a"])
    bench.now_us += 1_800_000_000
    bench.send({"v": "a"})
    bench.refresh()
    assert bench.served(["a"]) == before
    described = datasets.described(
        bench.store.catalog.projects.get(bench.store.project), bench.state.dataset, bench.now_us
    )
    assert described["milliseconds_behind"] == 1_800_000
    assert described["latest_subtimeframe_available"] == "2026-11-02T08:00:00.000Z"
    bench.now_us += 1_800_000_000
    bench.refresh()
    bench.check()


def test_only_what_has_changed_is_computed_again(bench: Bench) -> None:
    bench.create(query(timeframe="this_100_days"), "v")
    bench.send({"v": "a"})
    bench.refresh()
    first = {file.id for file in bench.state.dataset.files}
    bench.now_us += HOUR_US
    bench.refresh()
    assert {file.id for file in bench.state.dataset.files} == first
    bench.send({"v": "a", "keen": {"timestamp": "2026-08-20T12:00:00Z"}})
    bench.now_us += HOUR_US
    bench.refresh()
    assert len({file.id for file in bench.state.dataset.files} - first) == 1
    bench.check()


def test_replaced_files_go_and_so_do_those_that_nobody_finished(bench: Bench) -> None:
    bench.create(query(), "v")
    bench.refresh()
    dataset = bench.state.dataset
    stray = bench.store.folder.dataset_file(dataset.id, bench.store.catalog.datasets.reserve_file(dataset.id))
    stray.write_bytes(b"half")
    (bench.store.folder.datasets / "77").mkdir()
    for _ in range(10):
        bench.now_us += HOUR_US
        bench.send({"v": "a"})
        bench.refresh()
    # As the next process would, after the time for which replaced files stay.
    bench.now_us = max(bench.now_us, system_clock()) + 60_000_000
    bench.refresher = DatasetRefresher(bench.tools)
    bench.refresh()
    bench.now_us += 120_000_000
    bench.refresh()
    held = {path.name for path in bench.store.folder.dataset(dataset.id).iterdir()}
    assert held == {f"{file.id}.results" for file in bench.state.dataset.files}
    assert not (bench.store.folder.datasets / "77").exists()


def test_many_small_files_become_few(bench: Bench) -> None:
    bench.create(query(interval="hourly", timeframe="this_20_days"), "v")
    bench.refresh()
    for _ in range(45):
        bench.now_us += HOUR_US
        bench.send({"v": "a", "n": 1})
        bench.refresh()
        assert len(bench.state.dataset.files) <= 26
    bench.check()


def test_a_new_day_before_the_next_run_is_served_as_of_the_last(bench: Bench) -> None:
    bench.create(query(), "v")
    bench.send({"v": "a"})
    bench.refresh()
    bench.now_us = int(datetime(2026, 11, 2, 8, 0, 5, tzinfo=UTC).timestamp()) * 1_000_000
    assert [row["value"] for row in bench.served(["a"], "this_3_days")] == [0, 1, 0]
    bench.send({"v": "a"})
    bench.refresh()
    # The timeframe has moved, so it is computed without waiting for the hour.
    assert [row["value"] for row in bench.served(["a"], "this_3_days")] == [0, 1, 1]
    bench.check()


def test_events_dated_ahead_are_never_taken_for_nothing(bench: Bench) -> None:
    bench.create(query(), "v")
    bench.send({"v": "a", "keen": {"timestamp": "2026-11-02T12:00:00Z"}})
    bench.refresh()
    bench.now_us = int(datetime(2026, 11, 2, 8, 0, 5, tzinfo=UTC).timestamp()) * 1_000_000
    assert bench.served(["a"], "this_3_days") is None


def test_a_timeframe_that_cuts_an_interval_is_not_in_the_store(bench: Bench) -> None:
    bench.create(query(interval="weekly", timeframe="this_5_weeks"), "v")
    bench.send({"v": "a"})
    bench.refresh()
    assert bench.served(["a"], "this_2_weeks") == bench.asked(["a"], "this_2_weeks")
    assert bench.served(["a"], "this_2_days") is None


def test_too_many_values_fail_with_the_reason_and_the_next_run_may_succeed(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data", dataset_values_max=2)
    try:
        bench.now_us = int(ZONES["UTC"].timestamp()) * 1_000_000
        bench.create(query(), "v")
        bench.send({"v": "a"}, {"v": "b"}, {"v": "c"})
        bench.refresh()
        dataset = bench.state.dataset
        assert dataset.status is DatasetStatus.FAILED
        assert "more than 2 combinations" in (dataset.message or "")
        assert bench.served(["a"]) is None
        assert list(bench.store.folder.dataset(dataset.id).iterdir()) == []
    finally:
        bench.close()


@pytest.mark.parametrize("cut", [None, 0, 10, -1])
def test_a_file_that_is_lost_or_cut_short_is_made_again(bench: Bench, cut: int | None) -> None:
    bench.create(query(), "v")
    bench.send({"v": "a"})
    bench.refresh()
    for file in bench.state.dataset.files:
        path = bench.store.folder.dataset_file(file.dataset_id, file.id)
        path.unlink() if cut is None else path.write_bytes(path.read_bytes()[:cut])
    if cut is not None:
        assert bench.served(["a"]) is None
    bench.now_us += HOUR_US
    bench.refresh()
    bench.check()


def test_a_damaged_file_is_not_believed(bench: Bench) -> None:
    bench.create(query(), "v")
    bench.send({"v": "a"})
    bench.refresh()
    [file] = [file for file in bench.state.dataset.files if any(one.events for one in file.buckets)]
    path = bench.store.folder.dataset_file(file.dataset_id, file.id)
    held = bytearray(path.read_bytes())
    held[10] ^= 0xFF
    path.write_bytes(held)
    assert bench.served(["a"]) is None


def test_nothing_computed_before_an_erasure_is_served_and_its_files_go(bench: Bench) -> None:
    bench.create(query(), "v")
    bench.send({"v": "a"})
    bench.refresh()
    assert bench.served(["a"]) is not None
    before = bench.state.dataset
    with closing(connect(bench.store.folder.catalog)) as connection, connection:
        # What a deletion that finds nothing to delete comes to.
        connection.execute("UPDATE collections SET erase_version = erase_version + 1")
        connection.execute("UPDATE state SET data_version = data_version + 1")
    ChangeMark(bench.store.folder.catalog).change([Area.DATA])
    assert bench.served(["a"]) is None
    bench.refresh()
    assert [row["value"] for row in bench.served(["a"])] == [0] * 9 + [1]
    assert not {file.id for file in before.files} & {file.id for file in bench.state.dataset.files}
    bench.now_us = system_clock() + 60_000_000
    bench.refresh()
    held = {path.stem for path in bench.store.folder.dataset(before.id).iterdir()}
    assert not held & {str(file.id) for file in before.files}


def test_files_of_before_an_erasure_go_though_no_others_can_be_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data", dataset_values_max=2)
    try:
        bench.now_us = int(ZONES["UTC"].timestamp()) * 1_000_000
        bench.create(query(), "v")
        bench.send({"v": "a"}, {"v": "b"})
        bench.refresh()
        before = bench.state.dataset
        assert before.files
        bench.send({"v": "c"})
        with closing(connect(bench.store.folder.catalog)) as connection, connection:
            connection.execute("UPDATE collections SET erase_version = erase_version + 1")
            connection.execute("UPDATE state SET data_version = data_version + 1")
        ChangeMark(bench.store.folder.catalog).change([Area.DATA])
        bench.refresh()
        assert bench.state.dataset.status is DatasetStatus.WARN
        bench.now_us = system_clock() + 60_000_000
        bench.refresher._sweep(bench.now_us)
        assert list(bench.store.folder.dataset(before.id).iterdir()) == []
    finally:
        bench.close()
