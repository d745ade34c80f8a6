"""Kept answers are repeated while they are right, and older ones where ``max_age`` allows them."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest

from query.language.nodes import Analysis, Condition, Metric, MetricQuery, Operator, ParsedQuery, Span
from service.queries.answer_cache import AnswerCache, KeptAnswer, key_of
from storage.catalog.database.change_mark import ChangeMark
from storage.catalog.database.connection import connect
from storage.catalog.database.versions import Area
from storage.source import Source
from tests.support.server import Reply, Served, ServedProject

COUNT = {"event_collection": "c", "timeframe": "this_1_days"}


def ask(served: Served, project: ServedProject, key: str = "", **params: Any) -> Reply:
    path = f"/3.0/projects/{project.id}/queries/count"
    reply = served.request("POST", path, {**COUNT, **params}, key=key or project.read_key)
    assert reply.status == 200, reply.body
    return reply


def told(reply: Reply) -> tuple[int, bool]:
    """The result, and whether it is said to be an older one."""
    return reply.json["result"], "age" in reply.headers


def erase_nothing(served: Served, project: ServedProject) -> None:
    """As far as anybody can see, events of the collection were erased."""
    with closing(connect(served.data / "catalog.sqlite")) as catalog, catalog:
        catalog.execute(
            "UPDATE collections SET erase_version = erase_version + 1 WHERE project_id = ?", [project.id]
        )
        catalog.execute("UPDATE state SET data_version = data_version + 1")
    # As every writer of the catalog does once it has committed.
    ChangeMark(served.data / "catalog.sqlite").change([Area.DATA])


def test_an_older_answer_is_told_where_it_may_be_that_old(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"n": 1})
    assert told(ask(served, project, max_age=60)) == (1, False)
    served.record(project, "c", {"n": 2})
    assert told(ask(served, project)) == (2, False)
    assert told(ask(served, project, max_age=60)) == (2, True), "the newest is kept, whoever asked for it"
    served.record(project, "c", {"n": 3})
    assert told(ask(served, project, max_age=60)) == (2, True)
    assert told(ask(served, project, max_age=60, interval=None)) == (2, True)
    assert told(ask(served, project, max_age=0)) == (3, False)
    assert told(ask(served, project, max_age=60)) == (3, True)
    assert told(ask(served, project, max_age=60, timezone=3600))[1] is False
    assert 0 <= int(ask(served, project, max_age=60).headers["age"]) < 60


def test_an_answer_that_would_be_the_same_now_has_no_age(served: Served, project: ServedProject) -> None:
    """Otherwise it would say that nothing was recorded, to whoever sees only a part of the events."""
    served.record(project, "c", {"n": 1})
    ask(served, project, max_age=60, timeframe=None)
    while int(ask(served, project, max_age=60, timeframe=None).headers["age"]) < 2:
        time.sleep(0.05)
    assert told(ask(served, project, max_age=1, timeframe=None)) == (1, False)


def test_after_an_erasure_no_older_answer_is_told(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"n": 1})
    ask(served, project, max_age=60)
    assert told(ask(served, project, max_age=60))[1] is True
    erase_nothing(served, project)
    assert told(ask(served, project, max_age=60))[1] is False


def test_a_key_with_filters_has_older_answers_of_its_own(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"n": 1}, {"n": 2})
    filters = [{"property_name": "n", "operator": "eq", "property_value": 1}]
    body = {"name": "k", "permitted": ["queries"], "options": {"queries": {"filters": filters}}}
    made = served.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    assert told(ask(served, project, max_age=60)) == (2, False)
    assert told(ask(served, project, made.json["key"], max_age=60)) == (1, False)
    assert told(ask(served, project, made.json["key"], max_age=60)) == (1, True)
    assert told(ask(served, project, project.master_key, max_age=60)) == (2, True)


def test_a_cached_result_is_not_told_after_an_erasure(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"n": 1})
    path = f"/3.0/projects/{project.id}/queries/saved/n"
    query = {**COUNT, "analysis_type": "count"}
    put = served.request("PUT", path, {"query": query, "refresh_rate": 14_400}, key=project.master_key)
    assert put.status == 201
    first = served.request("GET", f"{path}/result", key=project.read_key).json
    served.record(project, "c", {"n": 2})
    kept = served.request("GET", f"{path}/result", key=project.read_key).json
    assert (kept["result"], kept["run_information"]["stale"]) == (1, True)
    erase_nothing(served, project)
    again = served.request("GET", f"{path}/result", key=project.read_key).json
    assert (again["result"], again["run_information"]["stale"]) == (2, False)
    assert again["run_information"]["last_run_date"] > first["run_information"]["last_run_date"]


def test_no_older_answer_is_told_once_a_deletion_was_answered(served: Served, project: ServedProject) -> None:
    events = f"/3.0/projects/{project.id}/events/c"
    path = f"/3.0/projects/{project.id}/queries/saved/n"
    query = {**COUNT, "analysis_type": "count"}
    served.request("PUT", path, {"query": query, "refresh_rate": 14_400}, key=project.master_key)
    served.record(project, "c", *({"n": number, "a": None} for number in range(6)))
    for left in range(5, 0, -1):
        for _ in range(2):
            ask(served, project, max_age=60)
            served.request("GET", f"{path}/result", key=project.read_key)
        filters = quote(json.dumps([{"property_name": "n", "operator": "eq", "property_value": left}]))
        gone = served.request("DELETE", f"{events}?filters={filters}", key=project.master_key)
        assert gone.status == 204, gone.body
        assert told(ask(served, project, max_age=60)) == (left, False)
        assert served.request("GET", f"{path}/result", key=project.read_key).json["result"] == left
    properties = served.request("GET", events, key=project.master_key).json["properties"]
    assert properties["a"] == "null"


def test_what_is_kept_is_bounded_and_ages() -> None:
    now = [0.0]
    kept = AnswerCache(1_000, lambda: now[0])
    asked = MetricQuery("c", (Metric(Analysis.COUNT),), Span(None, None))

    def find(key: str, max_age: int) -> KeptAnswer | None:
        return kept.find(key, ParsedQuery(asked, max_age=max_age), _no_source)

    def answer(size: int) -> KeptAnswer:
        return KeptAnswer(b"x" * size, (), asked, {}, {}, now[0])

    for number in range(20):
        kept.keep(f"{number:02d}", answer(98))
    held = [number for number in range(20) if find(f"{number:02d}", 1)]
    assert held == list(range(10, 20))
    kept.keep("large", answer(300))
    assert find("large", 1) is None
    now[0] = 1.5
    assert find("19", 1) is None
    assert find("19", 2) is not None


def _no_source(name: str) -> Source:
    raise AssertionError(name)


@pytest.mark.parametrize(
    "other",
    [
        ("p", "sum", {"a": 1}, ()),
        ("q", "count", {"a": 1}, ()),
        ("p", "count", {"a": True}, ()),
        ("p", "count", {"a": "1"}, ()),
        ("p", "count", {"a": 1}, (Condition("n", Operator.EQ, 1),)),
    ],
)
def test_another_question_has_another_key(other: Any) -> None:
    assert key_of("p", "count", {"a": 1}, ()) != key_of(*other)


def test_what_asks_nothing_makes_no_difference() -> None:
    sent = {"jsonp": "f", "max_age": 5, "api_key": "x", "b": None, "a": 1}
    assert key_of("p", "count", sent, ()) == key_of("p", "count", {"a": 1}, ())
