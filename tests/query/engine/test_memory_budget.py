"""The memory that results take: counted as they grow, bounded for all questions together, and given back."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.engine.memory_budget import MemoryBudget, Reservation, ResultsDropped, computed
from query.errors import QueryCancelled, QueryLimitExceeded, QueryOverloaded
from query.json_encoding import dumps
from query.language.parse import parse
from query.limits import Limits
from storage.source import Source
from tests.query.support_source import source_of

MIB = 1 << 20
NOW_US = 1_780_000_000_000_000
EVENTS = 6_000
DAY = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
COUNT = {"analysis_type": "count"}
UNIQUE = {"analysis_type": "select_unique", "target_property": "name"}
STEP = {"event_collection": "c", "actor_property": "name", "with_actors": True}
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "groups": ("count", {"group_by": "name"}),
    "groups by result": (
        "count",
        {"group_by": "name", "order_by": {"property_name": "result", "direction": "DESC"}},
    ),
    "groups sorted here": ("count", {"group_by": "mixed", "order_by": {"property_name": "result"}}),
    "two groups": ("sum", {"group_by": ["name", "mixed"], "target_property": "number"}),
    "intervals": ("count", {"group_by": "name", "interval": "hourly", "timeframe": DAY, "zero_fill": False}),
    "ordered intervals": (
        "count",
        {
            "group_by": "name",
            "interval": "hourly",
            "timeframe": DAY,
            "zero_fill": False,
            "order_by": {"property_name": "result"},
        },
    ),
    "unique": ("select_unique", {"target_property": "name"}),
    "unique numbers": ("select_unique", {"target_property": "number"}),
    "unique of all kinds": ("select_unique", {"target_property": "mixed"}),
    "unique elements": ("select_unique", {"target_property": "list"}),
    "unique in intervals": (
        "select_unique",
        {"target_property": "name", "interval": "hourly", "timeframe": DAY},
    ),
    "unique in groups": ("select_unique", {"target_property": "name", "group_by": "few"}),
    "several": (
        "multi_analysis",
        {"analyses": {"a": UNIQUE, "b": {**UNIQUE, "analysis_type": "count_unique"}, "c": COUNT}},
    ),
    "events": ("extraction", {}),
    "actors": ("funnel", {"steps": [STEP, STEP]}),
}
MARGIN_BYTES = 4 * MIB
"""Of one chunk of rows, and of what a plan takes."""


def request_of(engine: Engine, name: str) -> Any:
    analysis, params = QUESTIONS[name]
    body = params if analysis == "funnel" else {"event_collection": "c", **params}
    return parse(analysis, body, now_us=NOW_US, limits=Limits(), check_regex=engine.check_regex)


@pytest.fixture(scope="module")
def source(data_folder: Path) -> Source:
    """Events with a name of each one's own, and texts enough to be large."""
    sent = []
    for number in range(EVENTS):
        stamp = f"2026-01-01T{number % 24:02d}:{number // 24 % 60:02d}:{number // 1440:02d}.000Z"
        kinds: list[Any] = [float(number), 2**70 + number, f"text {number}", True]
        sent.append(
            {
                "name": f"name of the event number {number}",
                "mixed": kinds[number % 4],
                "few": number % 7,
                "short": f"user-{number:07d}",
                "number": number / 4,
                "list": [number, f"element {number}"],
                "text": "long " * 40,
                "keen": {"timestamp": stamp, "created_at": stamp, "id": f"{number:024x}"},
            }
        )
    return source_of(sent, data_folder, random.Random(3))


@pytest.fixture
def bounded(data_folder: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine whose results may take 16 MiB."""
    made = Engine(
        data_folder,
        memory_limit_bytes=256 * MIB,
        threads=1,
        temp_folder=tmp_path,
        temp_bytes_max=0,
        budget=MemoryBudget(16 * MIB, wait_seconds=60),
    )
    yield made
    made.close()


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_result_takes_no_more_memory_than_is_reserved_for_it(
    engine: Engine, source: Source, name: str
) -> None:
    asked = request_of(engine, name)
    budget, engine.budget = engine.budget, MemoryBudget(1 << 30)
    tracemalloc.start()
    try:
        found = answer(asked, lambda _: source, engine, limits=Limits())
        body = dumps(found.body)
        peak = tracemalloc.get_traced_memory()[1]
        reserved = engine.budget.peak_bytes
    finally:
        tracemalloc.stop()
        engine.budget, budget = budget, engine.budget
    assert peak < reserved + MARGIN_BYTES, (peak, reserved, len(body))
    del found
    assert budget.held_bytes == 0


def test_questions_at_once_share_the_memory_and_all_are_answered(bounded: Engine, source: Source) -> None:
    names = [*QUESTIONS, *QUESTIONS]

    def ask(name: str) -> bytes:
        found = answer(request_of(bounded, name), lambda _: source, bounded, limits=Limits())
        return dumps(found.body)

    alone = {name: ask(name) for name in QUESTIONS}
    with ThreadPoolExecutor(len(names)) as threads:
        together = list(threads.map(ask, names))
    assert together == [alone[name] for name in names]
    assert bounded.budget.peak_bytes <= bounded.budget.bytes_max
    assert bounded.budget.held_bytes == 0


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_larger_than_the_memory_is_refused_with_what_would_help(
    bounded: Engine, source: Source, name: str
) -> None:
    bounded.budget = MemoryBudget(64 << 10, wait_seconds=60)
    with pytest.raises(QueryLimitExceeded, match="ACUMEN_MEMORY_BYTES"):
        answer(request_of(bounded, name), lambda _: source, bounded, limits=Limits())
    assert bounded.budget.held_bytes == 0


SHORT = {**UNIQUE, "target_property": "short"}


@pytest.mark.parametrize(
    ("analysis", "params"),
    [
        ("select_unique", {"target_property": "short"}),
        ("select_unique", {"target_property": "number"}),
        ("multi_analysis", {"analyses": {"a": SHORT, "b": {**SHORT, "analysis_type": "count_unique"}}}),
    ],
)
def test_distinct_values_reserve_little_more_than_they_take(
    bounded: Engine, source: Source, analysis: str, params: dict[str, Any]
) -> None:
    """A million of them are answered where 1 GiB is set: a worker's results may then take 192 MiB."""
    bounded.budget = MemoryBudget(192 * MIB * EVENTS // 1_000_000)
    request = parse(analysis, {"event_collection": "c", **params}, now_us=NOW_US, limits=Limits())
    found = dumps(answer(request, lambda _: source, bounded, limits=Limits()).body)
    assert len(found) > 6 * EVENTS


# --- the budget itself ----------------------------------------------------------------------------------


def test_of_two_that_want_more_than_there_is_the_older_gets_it() -> None:
    budget = MemoryBudget(10 * MIB)
    older, younger = budget.open(), budget.open()
    older.reserve(5 * MIB)
    younger.reserve(4 * MIB)
    with pytest.raises(ResultsDropped):
        younger.reserve(4 * MIB)
    waiting = threading.Thread(target=older.reserve, args=(4 * MIB,))
    waiting.start()
    again = threading.Thread(target=younger.start_again)
    again.start()
    waiting.join(10)
    assert not waiting.is_alive() and again.is_alive()
    older.release()
    again.join(10)
    younger.reserve(9 * MIB)


def test_one_that_waits_too_long_for_answers_on_their_way_is_refused() -> None:
    budget = MemoryBudget(10 * MIB, wait_seconds=0.05)
    sent = budget.open()
    sent.reserve(9 * MIB)
    sent.finish(9 * MIB)
    asked = budget.open()
    with pytest.raises(QueryOverloaded, match="Try again"):
        asked.reserve(5 * MIB)
    sent.release()
    asked.reserve(5 * MIB)


def test_one_that_waits_ends_when_its_client_goes() -> None:
    budget = MemoryBudget(10 * MIB)
    sent = budget.open()
    sent.reserve(9 * MIB)
    sent.finish(9 * MIB)

    def gone() -> None:
        raise QueryCancelled("The client went away.")

    with pytest.raises(QueryCancelled):
        budget.open(gone).reserve(5 * MIB)


def test_small_answers_never_wait() -> None:
    budget = MemoryBudget(64 * MIB, wait_seconds=0.01)
    large = budget.open()
    large.reserve(60 * MIB)
    for _ in range(100):
        small = budget.open()
        small.reserve(200 << 10)
        small.release()


def test_what_fails_gives_its_memory_back() -> None:
    budget = MemoryBudget(10 * MIB)

    def fails(one: Reservation) -> None:
        one.reserve(5 * MIB)
        raise ValueError

    one = budget.open()
    with pytest.raises(ValueError):
        computed(one, lambda: fails(one))
    assert budget.held_bytes == 0
