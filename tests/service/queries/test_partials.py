"""Questions asked again reuse what was kept of files, with the same answers, whatever changes events."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.whole import Whole
from tests.support.scale import examples

DAY_US = 86_400_000_000
START_US = 1_790_000_000_000_000 // DAY_US * DAY_US
REUSED = "acumen_partials_reused_total"
KEPT = "acumen_partials_kept_total"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Whole, Whole]]:
    """One that keeps partial answers of every file, and one that keeps none."""
    keeping = Whole(tmp_path / "a", START_US, partials_events_min=1, partials_share=1.0)
    plain = Whole(tmp_path / "b", START_US, partials_bytes=0)
    yield keeping, plain
    keeping.close()
    plain.close()


def counted(whole: Whole, metric: str) -> float:
    lines = whole.get("/metrics", key="").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(metric + " "))


def await_kept(whole: Whole, number: int) -> None:
    deadline = time.monotonic() + 60
    while counted(whole, KEPT) < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def events(rng: random.Random, count: int) -> list[dict[str, Any]]:
    made = []
    for _ in range(count):
        us = START_US - rng.randrange(12) * DAY_US - rng.randrange(DAY_US)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 1_000_000)) + f".{us % 1_000_000:06d}Z"
        event: dict[str, Any] = {
            "user": rng.choice(["ann", "bob", "cid", 7, None]),
            "price": rng.choice([1, 2.5, 0.1, 19.99, 2**60 + 1, "free"]),
            "tags": rng.choice([[], ["a"], ["a", "b", 1], None]),
            "keen": {"timestamp": stamp},
            "pad": "x" * 200,
        }
        if rng.random() < 0.1:
            event[f"extra{rng.randrange(3)}"] = rng.choice([1, "y", True])
        made.append(event)
    return made


def question(rng: random.Random) -> tuple[str, dict[str, Any]]:
    analysis = rng.choice(
        ["count", "sum", "average", "count_unique", "select_unique", "median", "minimum", "maximum"]
    )
    params: dict[str, Any] = {"event_collection": "c", "max_age": 0}
    if analysis != "count":
        params["target_property"] = rng.choice(["price", "user", "tags", "extra0"])
    if rng.random() < 0.5:
        params["group_by"] = rng.choice(["user", "tags", "extra1", ["user", "extra0"]])
    if rng.random() < 0.7:
        params["timeframe"] = rng.choice(["this_7_days", "previous_3_days", "this_14_days", "today"])
        params["timezone"] = rng.choice(["UTC", "Europe/Berlin", 3600])
        if rng.random() < 0.7:
            params["interval"] = rng.choice(["daily", "every_6_hours", "weekly"])
    if rng.random() < 0.4:
        params["filters"] = [{"property_name": "user", "operator": "ne", "property_value": "bob"}]
    return analysis, params


def change(rng: random.Random, wholes: tuple[Whole, Whole]) -> None:
    """One change of what is stored, to both."""
    kind = rng.randrange(9)
    made = events(rng, rng.randint(5, 40))
    filters = [{"property_name": "user", "operator": "eq", "property_value": rng.choice(["ann", "cid"])}]
    later = rng.randrange(DAY_US)
    for whole in wholes:
        if kind < 3:
            whole.record(whole.project, "c", made)
        if kind in (1, 2, 3):
            whole.flush()
        if kind == 4:
            whole.merge()
        if kind == 5:
            whole.told(whole.project, "DELETE", "events/c", filters=filters)
        if kind == 6:
            update = {"property_name": "price", "property_value": 3.75, "upsert_property": True}
            whole.told(whole.project, "PUT", "events/c", {"property_updates": [update], "filters": filters})
        if kind == 7:
            # It may not be there yet, or not any more.
            reply = whole.call(whole.project, "DELETE", "events/c/properties/extra1")
            assert reply.status_code in (204, 404), reply.text
        if kind == 8:
            whole.now_us += later


def test_answers_are_those_of_a_server_that_keeps_nothing(pair: tuple[Whole, Whole]) -> None:
    _, plain = pair
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    made = events(rng, 60)
    for whole in pair:
        whole.record(whole.project, "c", made)
        whole.flush()
    limited = [{"property_name": "user", "operator": "ne", "property_value": "ann"}]
    keys = [
        whole.told(
            whole.project,
            "POST",
            "keys",
            {"name": "f", "permitted": ["queries"], "options": {"queries": {"filters": limited}}},
        )["key"]
        for whole in pair
    ]
    asked = [question(rng) for _ in range(6)]
    for _ in range(examples(40)):
        change(rng, pair)
        asked[rng.randrange(len(asked))] = question(rng)
        for analysis, params in asked:
            explained = {**params, "explain": True}
            results = [
                one.told(one.project, "POST", f"queries/{analysis}", explained)["result"] for one in pair
            ]
            assert results[0] == results[1], (seed, analysis, params)
            for key in (None, keys):
                answers = [
                    whole.told(
                        whole.project,
                        "POST",
                        f"queries/{analysis}",
                        params,
                        key=None if key is None else key[number],
                    )
                    for number, whole in enumerate(pair)
                ]
                assert answers[0] == answers[1], (seed, analysis, params)
    assert counted(plain, KEPT) == 0
    assert not plain.folder.partials.exists()


def test_where_none_can_be_kept_answers_are_right_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(7)
    made = events(rng, 200)
    wholes = (
        Whole(tmp_path / "a", START_US, partials_events_min=1, partials_share=1.0),
        Whole(tmp_path / "b", START_US, partials_bytes=0),
    )
    # As a disk that takes no file there.
    wholes[0].folder.partials.write_bytes(b"")
    for whole in wholes:
        whole.record(whole.project, "c", made)
        whole.flush()

    def said() -> list[str]:
        return [text for text in caplog.messages if "could not be kept" in text]

    asked = [question(rng) for _ in range(20)]
    for _ in range(2):
        for analysis, params in asked:
            first, second = (one.call(one.project, "POST", f"queries/{analysis}", params) for one in wholes)
            assert (first.status_code, first.json()) == (second.status_code, second.json())
        deadline = time.monotonic() + 60
        while not said():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    (text,) = said()
    assert "answered from the events" in text and "traceback" not in caplog.text.lower()
    assert counted(wholes[0], KEPT) == 0
    for whole in wholes:
        whole.close()


def test_a_question_asked_again_reads_only_new_events(pair: tuple[Whole, Whole]) -> None:
    whole, _ = pair
    whole.record(whole.project, "c", events(random.Random(1), 300))
    whole.flush()
    files = len(list(whole.folder.events.rglob("*.parquet")))
    params = {"event_collection": "c", "group_by": "user", "max_age": 0}
    first = whole.told(whole.project, "POST", "queries/count", params)
    await_kept(whole, files)
    assert whole.told(whole.project, "POST", "queries/count", params) == first
    assert counted(whole, REUSED) == files
    # Only alike: other limits, an order, other names.
    other = {**params, "order_by": {"property_name": "result", "direction": "DESC"}, "limit": 2}
    assert len(whole.told(whole.project, "POST", "queries/count", other)["result"]) == 2
    assert counted(whole, KEPT) == files


def test_explain_says_what_was_reused(pair: tuple[Whole, Whole]) -> None:
    whole, plain = pair
    for one in pair:
        one.record(one.project, "c", events(random.Random(4), 200))
        one.flush()
    files = len(list(whole.folder.events.rglob("*.parquet")))
    params = {"event_collection": "c", "group_by": "user", "max_age": 0}
    explained = {**params, "explain": True}

    def ask(whole: Whole, **asked: Any) -> Any:
        return whole.told(whole.project, "POST", "queries/count", asked)

    first = ask(whole, **explained)
    assert first["explain"]["reused"] == []
    assert ask(whole, **params)["result"] == first["result"]
    await_kept(whole, files)
    whole.record(whole.project, "c", events(random.Random(5), 10))
    again = ask(whole, **explained)["explain"]
    assert again["reused"] == [{"collection": "c", "partial_answers": files, "events": 200}]
    (source,) = again["sources"]
    assert (source["events_in_files"], source["events_in_no_file"]) == (200, 10)
    then = ask(whole, **explained, as_of=first["explain"]["snapshot"]["version"])
    assert then["result"] == first["result"]
    assert then["explain"]["reused"] == again["reused"]
    assert counted(whole, KEPT) == files
    assert ask(plain, **explained)["explain"]["reused"] == []


def test_a_moving_timeframe_reuses_the_days_that_it_still_has(pair: tuple[Whole, Whole]) -> None:
    whole, _ = pair
    made = events(random.Random(2), 400)
    days = sorted({event["keen"]["timestamp"][:10] for event in made})
    for one in pair:
        for day in days:
            one.record(one.project, "c", [e for e in made if e["keen"]["timestamp"].startswith(day)])
            one.flush()
    params = {"event_collection": "c", "timeframe": "this_8_days", "interval": "daily", "max_age": 0}
    first = [one.told(one.project, "POST", "queries/count", params) for one in pair]
    assert first[0] == first[1]
    await_kept(whole, 7)
    kept = counted(whole, KEPT)
    for one in pair:
        one.now_us += DAY_US
    second = [one.told(one.project, "POST", "queries/count", params) for one in pair]
    assert second[0] == second[1] != first[0]
    assert counted(whole, REUSED) >= 6
    assert counted(whole, KEPT) == kept
