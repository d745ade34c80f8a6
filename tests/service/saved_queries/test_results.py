"""Kept results in one process: exact about what they cover, refreshed when they are due, gone when they must.

A whole store lies under them, flushed and merged by hand; what a key with filters gets is compared with a
store that holds nothing else.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query.engine.engine import CancelToken, Deadline, Engine
from query.errors import QueryCancelled, QueryLimitExceeded
from query.language.nodes import Condition, Filter, Operator
from query.limits import Limits
from service.background.task_runner import Cancels, Tools
from service.errors import ServiceUnavailable
from service.saved_queries.definition import next_run_us
from service.saved_queries.refresh_task import Refresher
from service.saved_queries.results import FilterScope, Freshness, Results
from service.settings import load
from service.telemetry.metrics import Metrics
from storage.catalog.derived.records import SavedQuery, SavedRun
from storage.catalog.stored.records import Counts
from storage.files.compaction import Compactor
from storage.instants import format_instant
from tests.storage.store import Store
from tests.support.scale import examples

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
HOURS_4 = 14_400
# Hours after the clocks changed: in Europe, New York, on Lord Howe (by half an hour), and on no such day.
MOMENTS_US = [1_711_849_000, 1_730_005_000, 1_710_060_000, 1_712_417_000, 1_718_000_000]
ZONES = ["Europe/Warsaw", "America/New_York", "Australia/Lord_Howe", "UTC", 19_800]
FRAMES = ["this_2_days", "previous_2_days", "this_6_hours", "previous_1_week", "this_1_month", "today"]
WHERE = [[], [{"property_name": "kind", "operator": "eq", "property_value": "a"}]]
QUESTIONS: list[dict[str, Any]] = [
    {"analysis_type": "count"},
    {"analysis_type": "sum", "target_property": "n", "group_by": "kind"},
    {"analysis_type": "count_unique", "target_property": "n", "interval": "daily"},
    {"analysis_type": "median", "target_property": "n", "interval": "every_5_hours", "group_by": ["kind"]},
    {"analysis_type": "select_unique", "target_property": "n"},
]
_names = (f"c{number}" for number in itertools.count())


class Kept:
    """A store and the results of saved queries over it."""

    def __init__(self, data: Path) -> None:
        self.store = Store(data)
        self.engine = Engine(
            self.store.folder.root,
            memory_limit_bytes=256 << 20,
            threads=1,
            temp_folder=self.store.folder.tmp / "spill",
            temp_bytes_max=1 << 30,
        )
        self.results = self.another()

    def another(self, limits: Limits | None = None) -> Results:
        """As another process has them, that has seen nothing yet."""
        return Results(self.store.catalog, self.store.reader, self.engine, limits or Limits())

    def put(self, name: str, query: dict[str, Any], rate: int = HOURS_4) -> SavedQuery:
        return self.store.catalog.saved_queries.put(
            self.store.project, name, name, query=json.dumps(query), metadata="null", refresh_rate=rate
        )[0]

    def send(self, collection: str, *events: tuple[int, dict[str, Any]]) -> None:
        bodies = [{**event, "keen": {"timestamp": format_instant(us)}} for us, event in events]
        self.store.send(collection, [json.dumps(body).encode() for body in bodies])

    def run_of(self, query: SavedQuery, audience: FilterScope = FilterScope()) -> SavedRun | None:
        runs = self.store.catalog.saved_queries.runs(query.id)
        return next((run for run in runs if run.audience == audience.digest), None)

    def files(self) -> set[str]:
        return {path.name for path in self.store.folder.results.iterdir()}

    def close(self) -> None:
        self.engine.close()
        self.store.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = Kept(tmp_path_factory.mktemp("results"))
    yield kept
    kept.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "data")
    yield kept
    kept.close()


def soon() -> Deadline:
    return Deadline.after(60.0, CancelToken())


events = st.tuples(
    st.integers(-9 * 24, 3 * 24),
    st.fixed_dictionaries({"n": st.integers(0, 4), "kind": st.sampled_from(["a", "b"])}),
)
steps = st.lists(
    st.one_of(
        st.lists(events, min_size=1, max_size=3), st.sampled_from(["shred", "flush", "merge", "erase"])
    ),
    max_size=5,
)


def told(kept: Kept, query: SavedQuery, audience: FilterScope, now_us: int) -> bytes:
    return kept.results.now(query, audience, now_us, soon())[0]


@given(
    question=st.sampled_from(QUESTIONS),
    where=st.sampled_from(WHERE),
    frame=st.sampled_from(FRAMES),
    zone=st.sampled_from(ZONES),
    moment=st.sampled_from(MOMENTS_US),
    filters=st.sampled_from([(), (Condition("n", Operator.LT, 3),)]),
    before=st.lists(events, max_size=6),
    after=steps,
)
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_result_that_is_not_stale_is_what_asking_anew_would_give(
    shared: Kept,
    question: dict[str, Any],
    where: list[Any],
    frame: str,
    zone: Any,
    moment: int,
    filters: tuple[Filter, ...],
    before: list[Any],
    after: list[Any],
) -> None:
    """Late events come in any order between flushes and merges. A result is stale just where one of them is
    covered: in the timeframe as of then, and kept by the question's filters and the key's. Once events were
    erased it is never told again."""
    now_us, name, audience = moment * SECOND_US, next(_names), FilterScope(filters)
    params = {**question, "event_collection": name, "timeframe": frame, "timezone": zone, "filters": where}
    query = shared.put(name, params)
    if before:
        shared.send(name, *((now_us + hours * HOUR_US, event) for hours, event in before))
    first = shared.results.compute(query, audience, now_us, soon())
    assert first.run.result is not None
    assert first.result == told(shared, query, audience, now_us)
    assert first.run.result.events == covered(shared, query, audience, now_us)
    erased = False
    for step in after:
        if step == "flush":
            settle(shared)
        elif step == "merge":
            merge(shared)
        elif step == "shred":
            shared.store.keeper.step()
        elif step == "erase":
            erased |= erase(shared, name)
        else:
            shared.send(name, *((now_us + hours * HOUR_US, event) for hours, event in step))
        same = covered(shared, query, audience, now_us) == first.run.result.events
        wanted = Freshness.ERASED if erased else Freshness.FRESH if same else Freshness.STALE
        for results in (shared.results, shared.another()):
            assert results.look(query, first.run.result) in (wanted, Freshness.UNSURE)
            assert results.examine(query, audience, first.run.result, soon()) is wanted
            assert results.look(query, first.run.result) is wanted
        if same and not erased:
            assert told(shared, query, audience, now_us) == first.result
    assert shared.results.load(first.run.result) == first.result


def covered(kept: Kept, query: SavedQuery, audience: FilterScope, now_us: int) -> int:
    """How many events the question is about, asked as a question of its own."""
    params = json.loads(query.query)
    plain = {name: params[name] for name in ("event_collection", "timeframe", "timezone", "filters")}
    text = json.dumps({"analysis_type": "count", **plain})
    return int(told(kept, replace(query, query=text), audience, now_us))


def settle(kept: Kept) -> None:
    """All that was sent into files."""
    kept.store.keeper.step()
    kept.store.keeper.flush()


def merge(kept: Kept) -> None:
    """Every small file into larger ones, as far as they go."""
    settle(kept)
    compactor = Compactor(kept.store.folder, kept.store.catalog, kept.store.fs)
    while compactor.step():
        pass


def erase(kept: Kept, name: str) -> bool:
    """Take away all that is in the collection; False where there is nothing."""
    settle(kept)
    for collection in kept.store.catalog.collections.named(kept.store.project, [name]):
        files = kept.store.catalog.files.live(collection.id)
        rows = sum(file.rows for file in files)
        gone = Counts(stored=-rows, erased=rows)
        return bool(files) and kept.store.catalog.files.swap(collection.id, [f.id for f in files], [], gone)
    return False


FIVE = [(1_718_000_000 * SECOND_US + n, {"n": n, "kind": "ab"[n % 2], "who": f"w{n}"}) for n in range(5)]
NOW_US = 1_718_000_000 * SECOND_US + HOUR_US


@given(
    question=st.sampled_from(QUESTIONS),
    where=st.sampled_from(WHERE),
    sent=st.lists(events, max_size=12),
    low=st.integers(0, 5),
)
@settings(max_examples=examples(25), deadline=None)
def test_a_key_with_filters_gets_what_a_store_with_nothing_else_gives(
    shared: Kept, question: dict[str, Any], where: list[Any], sent: list[Any], low: int
) -> None:
    """Result and run information alike."""
    all_of_it, rest = next(_names), next(_names)
    stamped = [(NOW_US + hours * HOUR_US, event) for hours, event in sent]
    for name, some in ((all_of_it, stamped), (rest, [one for one in stamped if one[1]["n"] < low])):
        if some:
            shared.send(name, *some)
    params = {**question, "timeframe": "this_1_week", "filters": where}
    narrow = FilterScope((Condition("n", Operator.LT, low),))
    found = []
    for name, audience in ((all_of_it, narrow), (rest, FilterScope())):
        query = shared.put(name, {**params, "event_collection": name})
        done = shared.results.compute(query, audience, NOW_US, soon())
        assert done.run.result is not None
        found.append((done.result, done.run.result.events))
    assert found[0] == found[1]


def test_audiences_do_not_share_results_and_filters_are_not_in_the_funnels_echo(kept: Kept) -> None:
    kept.send("c", *FIVE)
    where = [{"property_name": "who", "operator": "ne", "property_value": "secret"}]
    step = {"event_collection": "c", "actor_property": "who", "filters": where}
    query = kept.put("q", {"analysis_type": "funnel", "steps": [step, step]})
    narrow, other = (FilterScope((Condition("n", Operator.LT, n),)) for n in (2, 3))
    assert len({narrow.digest, other.digest, FilterScope().digest}) == 3
    results = {
        one: kept.results.compute(query, one, NOW_US, soon()) for one in (FilterScope(), narrow, other)
    }
    assert [json.loads(done.result)["result"] for done in results.values()] == [[5, 5], [2, 2], [3, 3]]
    assert b"secret" in results[FilterScope()].result
    assert b"secret" not in results[narrow].result
    for audience, done in results.items():
        run = kept.run_of(query, audience)
        assert run == done.run
        assert run.result is not None
        assert kept.results.load(run.result) == done.result


def test_a_funnel_in_order_stays_so_for_an_audience_with_filters(kept: Kept) -> None:
    kept.send("c", *FIVE)
    step = {"event_collection": "c", "actor_property": "who"}
    query = kept.put("q", {"analysis_type": "funnel", "steps": [step, step], "order": "ordered"})
    for audience, first in ((FilterScope(), 5), (FilterScope((Condition("n", Operator.LT, 3),)), 3)):
        done = kept.results.compute(query, audience, NOW_US, soon())
        assert json.loads(done.result)["result"] == [first, 0]


def refresher_of(kept: Kept, **settings: Any) -> Refresher:
    tools = Tools(
        load(data=kept.store.folder.root, **settings),
        kept.store.catalog,
        kept.store.reader,
        kept.engine,
        Metrics(),
        threading.Event(),
        Cancels(),
    )
    return Refresher(tools)


def until_idle(task: Refresher, now_us: int) -> int:
    """How many results were computed."""
    return sum(1 for _ in iter(lambda: task.run_due(now_us), False))


COUNT = {"analysis_type": "count", "event_collection": "c", "timeframe": "this_1_week"}


def test_each_query_is_computed_when_it_is_due_and_not_before(kept: Kept) -> None:
    kept.send("c", *FIVE)
    kept.put("not kept", COUNT, 0)
    daily, often = kept.put("daily", COUNT, 86_400), kept.put("often", COUNT)
    task, start = refresher_of(kept), often.modified_us + 5 * SECOND_US
    assert until_idle(task, often.modified_us) == 0, "whoever made it may ask for it at once"
    assert until_idle(task, start) == 2
    assert until_idle(task, start + HOURS_4 * SECOND_US - 1) == 0
    assert until_idle(task, start + HOURS_4 * SECOND_US) == 1
    run = kept.run_of(often)
    assert run is not None
    assert (run.run_us, run.failure) == (start + HOURS_4 * SECOND_US, None)
    assert next_run_us(often, run) == start + 2 * HOURS_4 * SECOND_US
    assert until_idle(refresher_of(kept), start + DAY_US) == 2, "what is due is not in memory"
    assert len(kept.files()) == 2, "results that were replaced are gone"
    run = kept.run_of(daily)
    assert run is not None
    assert run.run_us == start + DAY_US


def test_a_clock_that_was_set_back_keeps_no_result_for_ever(kept: Kept) -> None:
    """Such as that of a machine which came up years ahead."""
    kept.send("c", *FIVE)
    query = kept.put("q", COUNT)
    right = query.modified_us + 5 * SECOND_US
    assert until_idle(refresher_of(kept), right + 3_000 * DAY_US) == 1
    for moment in (right, right - DAY_US):
        assert until_idle(refresher_of(kept), moment) == 1
        run = kept.run_of(query)
        assert run is not None
        assert run.run_us == moment
    assert len(kept.files()) == 1


def test_a_query_that_fails_is_tried_again_ever_later_and_keeps_its_last_result(kept: Kept) -> None:
    kept.send("c", *FIVE[:2])
    query = kept.put("q", {**COUNT, "timeframe": None, "group_by": ["who"]})
    other = kept.put("r", COUNT)
    task, start = refresher_of(kept, query_groups_max=2), query.modified_us + 5 * SECOND_US
    assert until_idle(task, start) == 2
    good = kept.run_of(query)
    kept.send("c", *FIVE)
    moment, pauses = start + HOURS_4 * SECOND_US, []
    for _ in range(3):
        assert until_idle(task, moment) >= 1
        run = kept.run_of(query)
        assert run is not None
        assert good is not None
        assert "groups" in str(run.failure)
        assert run.result == good.result
        pauses.append((next_run_us(query, run) - run.run_us) // SECOND_US)
        assert until_idle(task, next_run_us(query, run) - 1) == 0
        moment = next_run_us(query, run)
    assert pauses == [60, 120, 240]
    run = kept.run_of(other)
    assert run is not None
    assert run.failure is None, "one that fails is in nobody's way"
    assert until_idle(refresher_of(kept), moment) == 1
    run = kept.run_of(query)
    assert run is not None
    assert (run.failure, run.failures) == (None, 0)


def test_what_nobody_may_be_told_any_more_ends_with_its_bytes(kept: Kept) -> None:
    kept.send("c", *FIVE)
    narrow = FilterScope((Condition("n", Operator.LT, 2),))
    changed, uncached, filtered = (kept.put(name, COUNT) for name in ("changed", "uncached", "filtered"))
    start = filtered.modified_us + 5 * SECOND_US
    for query in (changed, uncached, filtered):
        kept.results.compute(query, FilterScope(), start, soon())
        kept.results.compute(query, narrow, start, soon())
    assert len(kept.files()) == 6
    kept.put("changed", {**COUNT, "timeframe": "this_1_month"})
    kept.put("uncached", COUNT, 0)
    task = refresher_of(kept)
    task.run_due(start)
    assert len(kept.files()) == 3
    assert kept.run_of(changed) is None or kept.run_of(changed) != kept.run_of(changed, narrow)
    until_idle(task, start + 2 * HOURS_4 * SECOND_US + 1)
    kept.put("other", COUNT, 0)
    until_idle(task, start + 2 * HOURS_4 * SECOND_US + 1)
    assert kept.run_of(filtered, narrow) is None, "nobody has asked for it for long"
    stray = kept.store.folder.results / "9-all-0.json"
    stray.write_bytes(b"1")
    os.utime(stray, (1, 1))
    until_idle(refresher_of(kept), start)
    assert not stray.exists()
    assert kept.run_of(filtered) is not None


def test_a_run_that_began_earlier_or_of_another_version_changes_nothing(kept: Kept) -> None:
    kept.send("c", *FIVE)
    query = kept.put("q", COUNT)
    later = kept.results.compute(query, FilterScope(), NOW_US, soon())
    kept.results.compute(query, FilterScope(), NOW_US - 1, soon())
    assert kept.run_of(query) == later.run
    kept.put("q", {**COUNT, "timeframe": "today"})
    kept.results.compute(query, FilterScope(), NOW_US + 1, soon())
    assert kept.run_of(query) == later.run
    assert later.run.result is not None
    assert kept.files() == {later.run.result.file}


def test_a_failure_is_stored_and_raised_and_a_cancelled_run_never_was(kept: Kept) -> None:
    kept.send("c", *FIVE)
    query = kept.put("q", {**COUNT, "group_by": ["who"]})
    with pytest.raises(QueryLimitExceeded):
        kept.another(Limits(groups_max=2)).compute(query, FilterScope(), NOW_US, soon())
    run = kept.run_of(query)
    assert run is not None
    assert (run.result, run.failures) == (None, 1)
    token = CancelToken()
    token.cancel()
    with pytest.raises(QueryCancelled):
        kept.results.compute(query, FilterScope(), NOW_US, Deadline.after(60.0, token))
    assert kept.run_of(query) == run


def test_a_result_that_the_disk_does_not_take_is_a_failure(kept: Kept) -> None:
    kept.send("c", *FIVE)
    query = kept.put("q", COUNT)
    first = kept.results.compute(query, FilterScope(), NOW_US, soon())
    folder = kept.store.folder.results
    folder.rename(folder.with_name("away"))
    with pytest.raises(ServiceUnavailable):
        kept.results.compute(query, FilterScope(), NOW_US + 1, soon())
    folder.with_name("away").rename(folder)
    run = kept.run_of(query)
    assert run is not None
    assert (run.result, run.failures) == (first.run.result, 1)
    assert len(kept.files()) == 1


def test_what_was_computed_before_an_erasure_goes_with_its_bytes_and_is_computed_again(kept: Kept) -> None:
    kept.send("c", *FIVE)
    kept.send("other", *FIVE)
    narrow = FilterScope((Condition("n", Operator.LT, 2),))
    query, other = kept.put("q", COUNT), kept.put("other", {**COUNT, "event_collection": "other"})
    moment = other.modified_us + 5 * SECOND_US
    before = [kept.results.compute(query, one, moment, soon()).run for one in (FilterScope(), narrow)]
    kept.results.compute(other, FilterScope(), moment, soon())
    task = refresher_of(kept)
    assert until_idle(task, moment) == 0
    assert erase(kept, "c")
    assert until_idle(task, moment + 1) == 1
    after = kept.run_of(query)
    assert after is not None
    assert after.result is not None
    assert (after.result.events, kept.results.load(after.result)) == (0, b"0")
    assert kept.run_of(query, narrow) is None
    for run in before:
        assert run.result is not None
        assert run.result.file not in kept.files()
    assert len(kept.files()) == 2, "other collections have nothing to do with it"
