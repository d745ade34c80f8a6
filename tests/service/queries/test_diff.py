"""``queries/diff``: which events made an answer another one, as a slow reference has it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.instants import format_instant
from tests.service.queries.test_as_of import DAY_US, Shop
from tests.service.whole import Whole
from tests.support.scale import examples

ANN = [{"property_name": "user", "operator": "eq", "property_value": "ann"}]


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    whole = Whole(tmp_path / "data")
    yield whole
    whole.close()


class Compared(Shop):
    """Remembers what the events were at each version."""

    def __init__(self, whole: Whole, choices: random.Random) -> None:
        super().__init__(whole, choices)
        self.events: dict[int, tuple[int, str]] = {}
        self.remembered: list[tuple[str, int, dict[int, tuple[int, str]]]] = []

    def send(self) -> None:
        self.now()
        batch = []
        for _ in range(self.choices.randint(1, 5)):
            self.number += 1
            us = self.whole.now_us - self.choices.choice([0, 0, self.choices.randrange(9 * DAY_US)])
            user = self.choices.choice(["ann", "bob"])
            self.events[self.number] = (us, user)
            keen = {"timestamp": format_instant(us)}
            batch.append({"n": self.number, "user": user, "keen": keen})
        self.whole.record(self.whole.project, "views", batch)

    def update(self) -> None:
        self.now()
        below, user = self.choices.randrange(self.number + 1), self.choices.choice(["ann", "bob"])
        self.events = {n: (us, user if n < below else was) for n, (us, was) in self.events.items()}
        body = {
            "property_updates": [{"property_name": "user", "property_value": user}],
            "filters": [{"property_name": "n", "operator": "lt", "property_value": below}],
        }
        self.whole.told(self.whole.project, "PUT", "events/views", body)

    def ask(self) -> None:
        self.now()
        body = self.answer("count", {"event_collection": "views"}, explain=True)
        version = body["explain"]["snapshot"]["version"]
        self.remembered.append((version, self.whole.now_us, dict(self.events)))

    def expected(self, first: int, second: int, start_us: int, end_us: int) -> dict[str, int]:
        """The counts, for events of a timeframe before the first version."""
        before, after = self.remembered[first][2], self.remembered[second][2]

        def meant(events: dict[int, tuple[int, str]], n: int) -> bool:
            return n in events and start_us <= events[n][0] < end_us and events[n][1] == "ann"

        late = sum(n not in before and meant(after, n) for n in after)
        updated = sum(n in before and meant(before, n) != meant(after, n) for n in after)
        return {"late": late, "new": 0, "updated": updated, "erased": 0}


@pytest.mark.parametrize("seed", range(examples(8)))
def test_what_came_and_what_changed_is_as_a_slow_reference_has_it(whole: Whole, seed: int) -> None:
    shop = Compared(whole, random.Random(seed))
    shop.send()
    shop.settle()
    verbs = [shop.send, shop.send, shop.settle, shop.settle, shop.merge, shop.update, shop.ask, shop.ask]
    shop.ask()
    for _ in range(16):
        shop.choices.choice(verbs)()
    shop.ask()
    for first, (version, since_us, _) in enumerate(shop.remembered):
        second = shop.choices.randrange(first, len(shop.remembered))
        question = {
            "analysis_type": "count",
            "event_collection": "views",
            "filters": ANN,
            "timeframe": "previous_5_days",
            "from": version,
            "to": shop.remembered[second][0],
            "events": 3,
        }
        compared = shop.answer("diff", question)
        (part,) = compared["changes"]
        end_us = since_us // DAY_US * DAY_US
        wanted = shop.expected(first, second, end_us - 5 * DAY_US, end_us)
        assert part["counts"] == wanted
        assert len(part["events"]) == min(3, sum(wanted.values()))
        assert part["truncated"] == (sum(wanted.values()) > 3)
        sides = [compared[name]["answer"]["result"] for name in ("from", "to")]
        asked = {name: question[name] for name in ("event_collection", "filters", "timeframe")}
        assert shop.answer("count", asked, as_of=version)["result"] == sides[0]


def _whole_answer(whole: Whole, **more: Any) -> Any:
    question = {"analysis_type": "sum", "event_collection": "sales", "target_property": "price", **more}
    return whole.told(whole.project, "POST", "queries/diff", question)


def test_it_names_what_moved_the_number(whole: Whole) -> None:
    shop = Shop(whole, random.Random(0))
    shop.now()

    def send(price: int, late_us: int = 0, user: str = "ann") -> None:
        shop.now()
        stamp = format_instant(whole.now_us - late_us)
        event = {"price": price, "user": user, "keen": {"timestamp": stamp}}
        whole.record(whole.project, "sales", [event])

    send(1)
    send(2)
    whole.flush()
    send(4, user="eve")
    shop.now()
    asked = {"event_collection": "sales", "target_property": "price"}
    version = shop.answer("sum", asked, explain=True)["explain"]["snapshot"]["version"]
    send(8, DAY_US)
    send(16)
    whole.flush()
    shop.now()
    update = {
        "property_updates": [{"property_name": "price", "property_value": 3}],
        "filters": [{"property_name": "price", "operator": "eq", "property_value": 2}],
    }
    whole.told(whole.project, "PUT", "events/sales", update)
    shop.now()
    moved = _whole_answer(whole, **{"from": version})
    assert (moved["from"]["answer"]["result"], moved["to"]["answer"]["result"]) == (7, 32)
    (part,) = moved["changes"]
    assert part["counts"] == {"late": 1, "new": 1, "updated": 1, "erased": 0}
    assert [event["kind"] for event in part["events"]] == ["late", "new", "updated"]
    erased = [{"property_name": "user", "operator": "eq", "property_value": "eve"}]
    whole.call(whole.project, "DELETE", "events/sales", filters=erased)
    shop.now()
    moved = _whole_answer(whole, **{"from": version})
    assert moved["from"]["answer"] == {"result": 3, "erased_since": True}
    assert moved["changes"][0]["counts"]["erased"] == 1
    assert shop.answer("sum", asked, as_of=version) == {"result": 3, "erased_since": True}
    assert "erased_since" not in shop.answer("sum", asked, explain=True)


BUYERS = {"actor_property": "user", "all": [{"event_collection": "sales", "at_least": 2}]}
IN_A_VISIT = {
    "events": [{"event_collection": "views"}, {"event_collection": "sales"}],
    "actor_property": "user",
}
SEVERAL = {"session": "events", "operator": "gt", "property_value": 1}
Moved = tuple[str, dict[str, Any], str, dict[str, Any], tuple[int, int], int]
MOVED_BESIDE: dict[str, Moved] = {
    "ids": (
        "count_unique",
        {"target_property": "user", "identity": "merged"},
        "acumen.identities",
        {"anonymous_id": "bob", "user_id": "ann"},
        (2, 1),
        0,
    ),
    "cohort": (
        "count",
        {"filters": [{"operator": "in_cohort", "property_value": BUYERS}]},
        "sales",
        {"user": "ann", "price": 1},
        (0, 1),
        1,
    ),
    "sessions": (
        "count",
        {"session": IN_A_VISIT, "filters": [SEVERAL]},
        "sales",
        {"user": "bob", "price": 1},
        (1, 2),
        1,
    ),
}


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("what", MOVED_BESIDE)
def test_it_names_what_moved_the_number_in_other_collections(whole: Whole, what: str, in_files: bool) -> None:
    """An event whose match another event decides is an updated one, whether or not its file is another."""
    analysis, more, collection, event, results, updated = MOVED_BESIDE[what]
    asked = {"event_collection": "views", **more}
    shop = Shop(whole, random.Random(0))
    shop.now()
    whole.record(whole.project, "views", [{"user": "ann"}, {"user": "bob"}])
    whole.record(whole.project, "sales", [{"user": "ann", "price": 1}])
    if in_files:
        whole.flush()
    shop.now()
    version = shop.answer(analysis, asked, explain=True)["explain"]["snapshot"]["version"]
    whole.record(whole.project, collection, [event])
    shop.now()
    question = {**asked, "analysis_type": analysis, "from": version}
    moved = whole.told(whole.project, "POST", "queries/diff", question)
    assert (moved["from"]["answer"]["result"], moved["to"]["answer"]["result"]) == results
    views, *beside = moved["changes"]
    assert views["event_collection"] == "views"
    assert views["counts"] == {"late": 0, "new": 0, "updated": updated, "erased": 0}
    (part,) = beside
    assert part["event_collection"] == collection
    assert part["counts"] == {"late": 0, "new": 1, "updated": 0, "erased": 0}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "analysis_type"),
        ({"analysis_type": "count"}, "'from'"),
        ({"analysis_type": "count", "from": 3}, "'from'"),
        ({"analysis_type": "count", "from": "v9999999.1"}, "'from'"),
        ({"analysis_type": "count", "from": "2999-01-01"}, "'from'"),
        ({"analysis_type": "sums", "from": "v0.0"}, "analysis_type"),
        ([], "object"),
    ],
)
def test_what_is_wrong_is_said(whole: Whole, body: Any, word: str) -> None:
    refused = whole.call(whole.project, "POST", "queries/diff", body)
    assert refused.status_code == 400 and word in refused.json()["message"], refused.text


def test_a_key_with_filters_compares_nothing_and_asks_about_the_past(whole: Whole) -> None:
    shop = Shop(whole, random.Random(0))
    shop.now()
    whole.record(whole.project, "sales", [{"price": 1, "user": "ann"}, {"price": 2, "user": "bob"}])
    shop.now()
    asked = {"event_collection": "sales", "target_property": "price"}
    version = shop.answer("sum", asked, explain=True)["explain"]["snapshot"]["version"]
    whole.record(whole.project, "sales", [{"price": 4, "user": "ann"}])
    options = {"queries": {"filters": ANN}}
    body = {"name": "ann", "is_active": True, "permitted": ["queries", "schema"], "options": options}
    key = whole.told(whole.project, "POST", "keys", body)["key"]
    past = whole.told(whole.project, "POST", "queries/sum", {**asked, "as_of": version}, key=key)
    assert past["result"] == 1
    question = {**asked, "analysis_type": "sum", "from": version}
    refused = whole.call(whole.project, "POST", "queries/diff", question, key=key)
    assert refused.status_code == 403
