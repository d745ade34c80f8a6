"""A question asked again is answered from memory while, and only while, its events are the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.whole import Whole
from tests.support.scale import examples

OTHER = {"property_name": "kind", "operator": "eq", "property_value": "other"}
REPEATED = "acumen_answers_repeated_total"


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path / "data")
    yield made
    made.close()


def ask(whole: Whole, analysis: str = "count", *, key: str | None = None, **params: Any) -> Any:
    params = {"event_collection": "c", **params}
    return whole.told(whole.project, "POST", f"queries/{analysis}", params, key=key)


def repeated(whole: Whole) -> float:
    """How many answers were repeated until now."""
    lines = whole.get("/metrics", key="").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(REPEATED + " "))


def test_the_same_question_is_computed_once(whole: Whole) -> None:
    whole.record(whole.project, "c", [{"n": 1}, {"n": 2}])
    for times in range(3):
        assert ask(whole, "sum", target_property="n") == {"result": 3}
        assert repeated(whole) == times
    whole.flush()
    assert ask(whole, "sum", target_property="n") == {"result": 3}


def test_an_event_that_was_acknowledged_is_counted(whole: Whole) -> None:
    for events in range(1, 6):
        whole.record(whole.project, "c", [{"n": 1}])
        assert ask(whole) == {"result": events}
        assert ask(whole) == {"result": events}
    assert repeated(whole) == 5


def test_events_of_other_collections_change_nothing(whole: Whole) -> None:
    whole.record(whole.project, "c", [{"n": 1}])
    ask(whole)
    whole.record(whole.project, "d", [{"n": 1}])
    assert ask(whole) == {"result": 1}
    assert repeated(whole) == 1


def test_relative_timeframes_move_with_time(whole: Whole) -> None:
    whole.record(whole.project, "c", [{"n": 1}])
    assert ask(whole, timeframe="this_1_days") == {"result": 1}
    whole.now_us += 2 * 86_400 * 1_000_000
    assert ask(whole, timeframe="this_1_days")["result"] == 0
    assert ask(whole, timeframe="this_3_days")["result"] == 1


def test_each_key_has_answers_of_its_own(whole: Whole) -> None:
    whole.record(whole.project, "c", [{"kind": "other"}, {"kind": "own"}])
    body = {"name": "k", "permitted": ["queries"], "options": {"queries": {"filters": [OTHER]}}}
    key = whole.told(whole.project, "POST", "keys", body)["key"]
    for _ in range(2):
        assert ask(whole) == {"result": 2}
        assert ask(whole, key=key) == {"result": 1}
    assert repeated(whole) == 2


def test_warnings_are_those_of_now(whole: Whole) -> None:
    def codes() -> list[str | None]:
        answer = ask(whole, event_collection="purchase")
        return [one.get("did_you_mean") for one in answer.get("warnings", [])]

    assert codes() == [None]
    whole.record(whole.project, "purchases", [{"n": 1}])
    assert codes() == ["purchases"]
    assert codes() == ["purchases"]
    assert repeated(whole) == 0


def test_what_says_how_it_was_computed_is_computed(whole: Whole) -> None:
    whole.record(whole.project, "c", [{"n": 1}])
    for _ in range(2):
        ask(whole, explain=True)
        ask(whole, include_metadata=True)
        ask(whole, "extraction")
    assert repeated(whole) == 0


def test_a_file_that_was_damaged_since_is_noticed(whole: Whole) -> None:
    whole.record(whole.project, "c", [{"n": 1}, {"n": 2}])
    whole.flush()
    assert ask(whole, "sum", target_property="n") == {"result": 3}
    (file,) = (whole.folder.root / "events").rglob("*.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert ask(whole, "sum", target_property="n")["complete"] is False


def test_max_age_0_has_it_computed(whole: Whole) -> None:
    whole.record(whole.project, "c", [{"n": 1}])
    for _ in range(3):
        assert ask(whole, max_age=0) == {"result": 1}
    assert repeated(whole) == 0
    assert ask(whole) == {"result": 1}
    assert repeated(whole) == 1


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", answer_cache_bytes=0)
    try:
        whole.record(whole.project, "c", [{"n": 1}])
        assert ask(whole) == ask(whole) == {"result": 1}
        assert repeated(whole) == 0
    finally:
        whole.close()


QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("count", {}),
    ("sum", {"target_property": "n"}),
    ("count", {"group_by": "kind"}),
    ("count", {"filters": [OTHER]}),
    ("count", {"max_age": 0}),
)


def expected(events: list[dict[str, Any]], analysis: str, params: dict[str, Any]) -> Any:
    if "group_by" in params:
        counts = Counter(event["kind"] for event in events)
        return [{"kind": kind, "result": counts[kind]} for kind in sorted(counts)]
    if "filters" in params:
        events = [event for event in events if event["kind"] == "other"]
    return sum(event["n"] for event in events) if analysis == "sum" else len(events)


@pytest.mark.parametrize("seed", range(examples(12)))
def test_answers_are_right_whatever_happens_between_them(whole: Whole, seed: int) -> None:
    rng = random.Random(seed)
    events: list[dict[str, Any]] = []

    def record() -> None:
        made = [{"n": rng.randrange(9), "kind": rng.choice(["own", "other", "third"])} for _ in range(3)]
        whole.record(whole.project, "c", made)
        events.extend(made)

    def erase() -> None:
        n = rng.randrange(9)
        same = [{"property_name": "n", "operator": "eq", "property_value": n}]
        whole.told(whole.project, "DELETE", "events/c", filters=same)
        events[:] = [event for event in events if event["n"] != n]

    def update() -> None:
        change = {"property_updates": [{"property_name": "kind", "property_value": "own"}]}
        whole.told(whole.project, "PUT", "events/c", {**change, "filters": [OTHER]})
        for event in events:
            event["kind"] = "own" if event["kind"] == "other" else event["kind"]

    record()
    for _ in range(25):
        for act in rng.choice([(record,), (whole.flush,), (whole.merge,), (erase,), (update,), ()]):
            act()
        if not events:
            record()
        for analysis, params in rng.choices(QUESTIONS, k=4):
            assert ask(whole, analysis, **params)["result"] == expected(events, analysis, params)
    assert repeated(whole) > 0
