"""``as_of``: an answer is repeated bit for bit, whatever has become of the events since."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.catalog.catalog import system_clock
from storage.instants import format_instant
from tests.service.whole import Whole
from tests.support.scale import examples

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("count", {}),
    ("sum", {"target_property": "n", "group_by": "user", "timeframe": "this_7_days", "interval": "daily"}),
    ("average", {"target_property": "n"}),
    ("percentile", {"target_property": "n", "percentile": 70, "group_by": ["user"]}),
    ("standard_deviation", {"target_property": "n"}),
    ("select_unique", {"target_property": "user"}),
    ("extraction", {}),
    ("extraction", {"latest": 5, "property_names": ["n", "user"]}),
    (
        "multi_analysis",
        {
            "analyses": {
                "all": {"analysis_type": "count"},
                "most": {"analysis_type": "maximum", "target_property": "n"},
            }
        },
    ),
    (
        "count",
        {
            "filters": [{"property_name": "n", "operator": "gt", "property_value": 5}],
            "group_by": "user",
            "order_by": {"property_name": "result", "direction": "DESC"},
        },
    ),
]
BEHAVIOUR: list[tuple[str, dict[str, Any]]] = [
    (
        "funnel",
        {
            "steps": [
                {"event_collection": name, "actor_property": "user", "timeframe": "this_7_days"}
                for name in ("views", "sales")
            ]
        },
    ),
    (
        "funnel",
        {
            "steps": [{"event_collection": name, "actor_property": "user"} for name in ("views", "sales")],
            "order": "ordered",
            "timeframe": "this_7_days",
        },
    ),
    ("sessions", {"event_collection": "views", "actor_property": "user", "timeframe": "this_7_days"}),
    (
        "paths",
        {"event_collection": "views", "actor_property": "user", "by": "n", "timeframe": "this_7_days"},
    ),
    (
        "series",
        {
            "series": {
                "a": {"analysis_type": "count", "event_collection": "views"},
                "b": {"analysis_type": "sum", "event_collection": "sales", "target_property": "n"},
            },
            "formulas": {"c": "b / a"},
            "timeframe": "this_7_days",
            "interval": "daily",
        },
    ),
]


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    whole = Whole(tmp_path / "data")
    yield whole
    whole.close()


class Shop:
    """Two collections, and what was answered about them."""

    def __init__(self, whole: Whole, choices: random.Random) -> None:
        self.whole, self.choices = whole, choices
        self.number = 0
        self.answers: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = []

    def now(self) -> None:
        self.whole.now_us = max(system_clock(), self.whole.now_us + 1)

    def send(self) -> None:
        """Some events of now, and some that are late by days."""
        self.now()
        for name in ("views", "sales"):
            events = []
            for _ in range(self.choices.randint(1, 4)):
                self.number += 1
                late_us = self.choices.choice([0, 0, self.choices.randrange(5 * DAY_US)])
                events.append(
                    {
                        "n": self.number / self.choices.choice([1, 3, 10]),
                        "user": self.choices.choice(["ann", "bob", "eve"]),
                        "keen": {"timestamp": format_instant(self.whole.now_us - late_us)},
                    }
                )
            posted = self.whole.call(self.whole.project, "POST", "events", {name: events})
            assert posted.status_code == 200, posted.text

    def settle(self) -> None:
        self.now()
        self.whole.keeper.step()
        if self.choices.random() < 0.6:
            self.whole.keeper.flush()

    def merge(self) -> None:
        self.whole.merge()

    def update(self) -> None:
        self.now()
        user, other = self.choices.sample(["ann", "bob", "eve"], 2)
        body = {
            "property_updates": [{"property_name": "user", "property_value": other}],
            "filters": [
                {"property_name": "user", "operator": "eq", "property_value": user},
                {"property_name": "n", "operator": "lt", "property_value": self.number / 2},
            ],
        }
        done = self.whole.call(self.whole.project, "PUT", "events/views", body)
        assert done.status_code == 200, done.text

    def ask(self) -> None:
        self.now()
        for analysis, params in self.choices.sample([*QUESTIONS, *BEHAVIOUR], 4):
            params = copy.deepcopy(params)
            if (analysis, params) in QUESTIONS:
                params["event_collection"] = self.choices.choice(["views", "sales"])
            body = self.answer(analysis, params, explain=True)
            version = body.pop("explain")["snapshot"]["version"]
            self.answers.append((analysis, params, version, body))

    def answer(self, analysis: str, params: dict[str, Any], **more: Any) -> dict[str, Any]:
        asked = self.whole.call(self.whole.project, "POST", f"queries/{analysis}", {**params, **more})
        assert asked.status_code == 200, asked.text
        body: dict[str, Any] = asked.json()
        return body


@pytest.mark.parametrize("seed", range(examples(10)))
def test_an_answer_is_repeated_whatever_came_since(whole: Whole, seed: int) -> None:
    shop = Shop(whole, random.Random(seed))
    shop.send()
    verbs = [shop.send, shop.send, shop.settle, shop.settle, shop.merge, shop.update, shop.ask, shop.ask]
    shop.ask()
    for _ in range(20):
        shop.choices.choice(verbs)()
    shop.now()
    for analysis, params, version, body in shop.answers:
        again = shop.answer(analysis, params, as_of=version)
        assert again == body, (analysis, params, version)


@pytest.mark.parametrize("as_of", ["v0.0", "v99999999.1", "2999-01-01", "1999-01-01", "yesterday", 5])
def test_what_cannot_be_answered_is_refused(whole: Whole, as_of: Any) -> None:
    shop = Shop(whole, random.Random(0))
    shop.send()
    shop.now()
    question = {"event_collection": "views", "as_of": as_of}
    refused = whole.call(whole.project, "POST", "queries/count", question)
    assert refused.status_code == 400, refused.text
    assert "'as_of'" in refused.json()["message"]


def test_a_relative_timeframe_is_that_of_the_instant(whole: Whole) -> None:
    shop = Shop(whole, random.Random(0))
    shop.send()
    shop.now()
    before = shop.answer("count", {"event_collection": "views", "timeframe": "this_10_minutes"})["result"]
    instant = format_instant(whole.now_us)
    whole.now_us += DAY_US
    asked = {"event_collection": "views", "timeframe": "this_10_minutes"}
    assert shop.answer("count", asked)["result"] == 0 < before
    assert shop.answer("count", asked, as_of=instant)["result"] == before


def test_warnings_speak_of_what_is_known_now(whole: Whole) -> None:
    shop = Shop(whole, random.Random(0))
    shop.send()
    shop.now()
    explained = shop.answer("count", {"event_collection": "views"}, explain=True)["explain"]
    version = explained["snapshot"]["version"]
    whole.record(whole.project, "calls", [{"user": "ann"}])
    shop.now()
    assert shop.answer("count", {"event_collection": "calls"}, as_of=version) == {"result": 0}
    (warning,) = shop.answer("count", {"event_collection": "cals"}, as_of=version)["warnings"]
    assert warning["did_you_mean"] == "calls"


def test_a_definition_does_not_store_it(whole: Whole) -> None:
    Shop(whole, random.Random(0)).send()
    query = {"analysis_type": "count", "event_collection": "views", "as_of": "2026-01-01"}
    refused = whole.call(whole.project, "PUT", "queries/saved/views", {"query": query})
    assert refused.status_code == 400 and "as_of" in refused.json()["message"]


@pytest.mark.parametrize("refresh_rate", [0, 14_400])
def test_a_saved_result_is_as_of_a_version_or_an_instant(whole: Whole, refresh_rate: int) -> None:
    shop = Shop(whole, random.Random(0))
    shop.now()
    whole.record(whole.project, "sales", [{"user": "ann"}] * 3)
    query = {"analysis_type": "count", "event_collection": "sales", "timeframe": "this_10_minutes"}
    body = {"query": query, "refresh_rate": refresh_rate, "metadata": {}}
    whole.told(whole.project, "PUT", "queries/saved/sales", body)
    of_then = shop.answer("count", {"event_collection": "sales"}, explain=True)["explain"]["snapshot"]
    path = "queries/saved/sales/result"

    def result(**params: str) -> Any:
        return whole.told(whole.project, "GET", path, key=whole.project.read_key, **params)["result"]

    shop.now()
    instant = format_instant(whole.now_us)
    assert result() == 3
    shop.now()
    whole.record(whole.project, "sales", [{"user": "bob"}] * 2)
    whole.flush()
    assert result(as_of=of_then["version"]) == result(as_of=instant) == 3
    # What is kept is neither taken for it nor replaced by it.
    assert result() == (3 if refresh_rate else 5)
    bob = json.dumps([{"property_name": "user", "operator": "eq", "property_value": "bob"}])
    assert (result(as_of=instant, filters=bob), result(filters=bob)) == (0, 2)
    whole.now_us += DAY_US
    # A relative timeframe is that of then.
    assert (result(as_of=instant), result(timeframe="this_10_minutes")) == (3, 0)


def test_what_was_erased_since_is_told_beside_a_saved_result(whole: Whole) -> None:
    shop = Shop(whole, random.Random(0))
    shop.now()
    whole.record(whole.project, "sales", [{"user": "ann"}, {"user": "bob"}])
    steps = [{"event_collection": "sales", "actor_property": "user", "timeframe": "this_10_minutes"}]
    for name, query in {
        "count": {"analysis_type": "count", "event_collection": "sales", "timeframe": "this_10_minutes"},
        "funnel": {"analysis_type": "funnel", "steps": steps},
    }.items():
        whole.told(whole.project, "PUT", f"queries/saved/{name}", {"query": query, "metadata": {}})
    shop.now()
    then = {"as_of": format_instant(whole.now_us)}
    shop.now()
    ann = [{"property_name": "user", "operator": "eq", "property_value": "ann"}]
    whole.told(whole.project, "DELETE", "events/sales", filters=ann)
    counted = whole.told(whole.project, "GET", "queries/saved/count/result", **then)
    assert (counted["result"], counted["erased_since"]) == (1, True)
    funnel = whole.told(whole.project, "GET", "queries/saved/funnel/result", **then)["result"]
    assert (funnel["result"], funnel["erased_since"]) == ([1], True)
    assert "erased_since" not in whole.told(whole.project, "GET", "queries/saved/count/result")


def test_a_saved_result_as_of_nothing_that_can_be_is_refused(whole: Whole) -> None:
    shop = Shop(whole, random.Random(0))
    shop.now()
    whole.record(whole.project, "sales", [{"user": "ann"}])
    query = {"analysis_type": "count", "event_collection": "sales"}
    whole.told(whole.project, "PUT", "queries/saved/sales", {"query": query, "metadata": {}})
    path = "queries/saved/sales/result"
    for named in ("yesterday", "2020-01-01T00:00:00Z", "v9.9"):
        reply = whole.call(whole.project, "GET", path, as_of=named)
        assert reply.status_code == 400
        assert "'as_of'" in reply.json()["message"]
    # Who may read saved results alone asks no question of their own.
    body = {"name": "k", "permitted": ["saved_queries"], "is_active": True, "options": {}}
    key = whole.told(whole.project, "POST", "keys", body)["key"]
    instant = format_instant(whole.now_us)
    assert whole.call(whole.project, "GET", path, key=key, as_of=instant).status_code == 403


def test_explain_says_what_was_skipped_and_what_each_filter_left(whole: Whole) -> None:
    shop = Shop(whole, random.Random(0))
    shop.now()
    old = {"n": 1, "user": "ann", "keen": {"timestamp": "2020-01-01"}}
    whole.record(whole.project, "sales", [old])
    whole.flush()
    whole.record(whole.project, "sales", [{"n": n, "user": "ann" if n % 2 else "bob"} for n in range(6)])
    filters = [
        {"property_name": "user", "operator": "eq", "property_value": "ann"},
        {"property_name": "n", "operator": "gt", "property_value": 1},
    ]
    shop.now()
    asked = {"event_collection": "sales", "timeframe": "this_2_days", "filters": filters}
    answer = shop.answer("count", asked, explain=True)
    explain = answer["explain"]
    assert answer["result"] == 2
    assert explain["filters"] == [
        {
            "collection": "sales",
            "read": 6,
            "in_timeframe": 6,
            "filters": [
                {"filter": {"property_name": "user", "operator": "eq"}, "kept": 3},
                {"filter": {"property_name": "n", "operator": "gt"}, "kept": 2},
            ],
        }
    ]
    assert explain["pruned"] == [{"collection": "sales", "outside_timeframe": {"files": 1, "events": 1}}]
    (collection,) = explain["snapshot"]["collections"]
    assert len(collection.pop("files")) == 1
    assert collection == {"collection": "sales", "events_in_files": 1, "events_in_no_file": 6}
