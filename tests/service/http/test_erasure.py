"""Deleting events: what goes, what stays, and that nothing of it is left anywhere."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.scale import examples
from tests.support.server import Reply, Served, ServedProject

OF_BOB = [{"property_name": "user.id", "operator": "eq", "property_value": "bob"}]


def delete(served: Served, project: ServedProject, path: str, key: str | None = None, **query: Any) -> Reply:
    text = urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()})
    where = f"/3.0/projects/{project.id}/events/{path}" + (f"?{text}" if text else "")
    return served.request("DELETE", where, key=key or project.master_key)


def events(served: Served, project: ServedProject, collection: str = "c") -> list[dict[str, Any]]:
    found = served.ask(project, "extraction", event_collection=collection)
    kept = [{name: value for name, value in event.items() if name != "keen"} for event in found]
    return sorted(kept, key=json.dumps)


def at(day: int, **event: Any) -> dict[str, Any]:
    return {"keen": {"timestamp": f"2026-03-{day:02d}T12:00:00Z"}, **event}


def test_events_that_match_are_gone_when_it_answers_and_others_stay(
    served: Served, project: ServedProject
) -> None:
    served.record(project, "c", {"user": {"id": "bob"}}, {"user": {"id": "ann"}}, {"n": 1}, {"user": {}})
    reply = delete(served, project, "c", filters=OF_BOB)
    assert (reply.status, reply.body) == (204, b"")
    assert events(served, project) == [{"n": 1}, {"user": {"id": "ann"}}, {"user": {}}]
    served.record(project, "c", {"user": {"id": "bob"}})
    assert {"user": {"id": "bob"}} in events(served, project)


def test_filters_may_read_no_more_than_those_of_a_question(served: Served, project: ServedProject) -> None:
    """Planning them all took the process that changes files gigabytes, again at each of its attempts."""
    served.record(project, "c", {"o": {f"p{number}": 1 for number in range(400)}, "n": 1})
    filters = [{"property_name": "o", "operator": "exists", "property_value": True}] * 30
    reply = delete(served, project, "c", filters=filters)
    assert (reply.status, reply.json["error_code"]) == (400, "QueryLimitError")
    body = {"property_updates": [{"property_name": "n", "property_value": 2}], "filters": filters}
    path = f"/3.0/projects/{project.id}/events/c"
    assert served.request("PUT", path, body, key=project.master_key).status == 400
    assert delete(served, project, "c", filters=filters[:5]).status == 204


def test_a_pattern_is_any_that_a_question_may_have(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"t": "abc"}, {"t": "12"})
    digits = [{"property_name": "t", "operator": "regex", "property_value": r"^\pN+\z"}]
    assert delete(served, project, "c", filters=digits).status == 204
    assert events(served, project) == [{"t": "abc"}]


def test_a_timeframe_narrows_in_every_form_that_clients_send(served: Served, project: ServedProject) -> None:
    served.record(project, "c", *(at(day, n=day) for day in range(1, 9)))
    for timeframe, left in (
        ({"start": "2026-03-02T00:00:00Z", "end": "2026-03-03T00:00:00Z"}, [1, 3, 4, 5, 6, 7, 8]),
        ('{"start":"2026-03-07","end":"2026-03-08"}', [1, 3, 4, 5, 6, 8]),
        ('"this_7_days"', [1, 3, 4, 5, 6, 8]),
        ("previous_3_days", [1, 3, 4, 5, 6, 8]),
    ):
        assert delete(served, project, "c", timeframe=timeframe, timezone="-3600").status == 204
        assert sorted(event["n"] for event in events(served, project)) == left
    half = {"start": "2026-03-04T12:00:00Z"}
    assert delete(served, project, "c", timeframe=half, timezone='"UTC"').status == 204
    assert sorted(event["n"] for event in events(served, project)) == [1, 3]


def test_a_deleted_collection_is_as_if_it_had_never_been(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"old": 1}, {"old": {"x": None}})
    assert delete(served, project, "c").status == 204
    base = f"/3.0/projects/{project.id}"
    assert served.request("GET", f"{base}/events/c", key=project.read_key).status == 404
    assert served.request("GET", f"{base}/events", key=project.read_key).json == []
    assert served.request("GET", base, key=project.read_key).json["events"] == []
    reply = served.request("GET", f"{base}/queries/count?event_collection=c", key=project.read_key)
    assert (reply.json["result"], "warning" in reply.headers) == (0, True)
    assert [one["code"] for one in reply.json["warnings"]] == ["UnknownCollection"]
    assert delete(served, project, "c").status == 404
    served.record(project, "c", {"new": 1})
    properties = served.request("GET", f"{base}/events/c", key=project.read_key).json["properties"]
    assert {name for name in properties if not name.startswith("keen.")} == {"new"}
    assert events(served, project) == [{"new": 1}]


def test_a_property_goes_with_all_that_is_nested_in_it(served: Served, project: ServedProject) -> None:
    sent: list[dict[str, Any]] = [
        {"a": {"b": 1, "c": "x"}, "ab": 2},
        {"a": None, "k": 1},
        {"a": {"b": {}}},
        {"a": 5, "z": None},
    ]
    served.record(project, "c", *sent)
    assert delete(served, project, "c/properties/a").status == 204
    assert events(served, project) == [{"ab": 2}, {"k": 1}, {"z": None}, {}]
    path = f"/3.0/projects/{project.id}/events/c/properties/a.b"
    assert served.request("GET", path, key=project.read_key).status == 404
    assert delete(served, project, "c/properties/a").status == 404
    served.record(project, "c", {"a": {"b": "again"}})
    assert served.request("GET", path, key=project.read_key).status == 200
    assert {"a": {"b": "again"}} in events(served, project)


@pytest.mark.parametrize("path", ["c/properties/keen.id", "c/properties/keen", "c/properties/keen.timestamp"])
def test_what_is_keens_can_not_be_deleted(served: Served, project: ServedProject, path: str) -> None:
    served.record(project, "c", {"a": 1})
    assert delete(served, project, path).status == 403


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"filter": OF_BOB}, "filter"),
        ({"filters": "["}, "filters"),
        ({"filters": ""}, "filters"),
        ({"timeframe": ""}, "timeframe"),
        ({"timeframe": "this_fortnight"}, "this_fortnight"),
        ({"filters": [{"property_name": "a", "operator": "is", "property_value": 1}]}, "is"),
        ({"timeframe": "today", "timezone": "Mars"}, "Mars"),
        ({"limit": "5"}, "limit"),
        ({"timezone": "UTC", "filter": OF_BOB}, "filter"),
        ({"filters": [], "time_frame": "today"}, "time_frame"),
        ({"filters": OF_BOB, "limit": "5"}, "limit"),
        ({"timeframe": "today", "filter": OF_BOB}, "Did you mean 'filters'"),
        ({"timeframe": "today", "group_by": "a"}, "group_by"),
        ({"timezone": "UTC"}, "timezone"),
        ({"timezone": "3600"}, "timezone"),
        ({"filters": "null"}, "filters"),
        ({"filters": []}, "filters"),
        ({"filters": "{}"}, "filters"),
        ({"filters": "", "timeframe": "today"}, "filters"),
        ({"filters": [], "timeframe": "today"}, "filters"),
        ({"filters": OF_BOB, "timeframe": "null"}, "timeframe"),
        ({"timeframe": {}}, "timeframe"),
        ({"timeframe": {"start": None}}, "timeframe"),
        ({"timeframe": {"start": "2026-01-01", "until": "2026-02-01"}}, "until"),
        ({"filters[0][property_name]": "a"}, "operator"),
        ({"filters[0]property_name": "a"}, "cannot be read"),
        ({"filter[0][property_name]": "a"}, "filter"),
        ({"filters": [{**OF_BOB[0], "proprety_type": "x"}]}, "proprety_type"),
    ],
)
def test_what_is_wrong_deletes_nothing(
    served: Served, project: ServedProject, query: dict[str, Any], named: str
) -> None:
    served.record(project, "c", {"a": 1})
    reply = delete(served, project, "c", **query)
    assert reply.status == 400, reply.body
    assert named in reply.json["message"]
    assert events(served, project) == [{"a": 1}]


def test_what_is_not_there_is_a_404(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"a": 1})
    for path in ("d", "c/properties/b", "d/properties/a"):
        assert delete(served, project, path).status == 404
    for key, status in ((project.read_key, 401), (project.write_key, 401), ("x", 401)):
        assert delete(served, project, "c", key=key).status == status


# Changing


def update(served: Served, project: ServedProject, *updates: Any, **query: Any) -> Reply:
    path = f"/3.0/projects/{project.id}/events/c"
    return served.request("PUT", path, {"property_updates": list(updates), **query}, key=project.master_key)


def to(path: str, value: Any, *, upsert: bool = False) -> dict[str, Any]:
    return {"property_name": path, "property_value": value, "upsert_property": upsert}


SENT: list[dict[str, Any]] = [
    {"n": 1, "a": {"b": 1, "c": "x"}},
    {"n": 2, "a": 5},
    {"n": 3, "a": None},
    {"n": 4, "a": {}},
    {"n": 5},
    {"n": 6, "a": {"b": {"d": [1, {"e": None}]}}},
]
CHANGES: list[tuple[str, dict[str, Any], int, list[dict[str, Any]]]] = [
    (
        "a value where one is",
        to("a.b", "new"),
        2,
        [{**SENT[0], "a": {"b": "new", "c": "x"}}, *SENT[1:5], {"n": 6, "a": {"b": "new"}}],
    ),
    (
        "a value everywhere",
        to("a.b", 2**60, upsert=True),
        6,
        [
            {"n": 1, "a": {"b": 2**60, "c": "x"}},
            *({"n": n, "a": {"b": 2**60}} for n in (2, 3, 4, 5, 6)),
        ],
    ),
    (
        "a null",
        to("a", None),
        5,
        [*({"n": n, "a": None} for n in (1, 2, 3, 4)), SENT[4], {"n": 6, "a": None}],
    ),
    (
        "an object",
        to("a", {"x": 1.5, "y": {}, "z": None}),
        5,
        [
            *({"n": n, "a": {"x": 1.5, "y": {}, "z": None}} for n in (1, 2, 3, 4)),
            SENT[4],
            {"n": 6, "a": {"x": 1.5, "y": {}, "z": None}},
        ],
    ),
    ("a list", to("t.u", [1, None], upsert=True), 6, [{**one, "t": {"u": [1, None]}} for one in SENT]),
    ("what no event has", to("nobody", 1), 0, SENT),
    (
        "a placeholder, for no event is sent that it could stand for",
        to("a", "${keen.ip}"),
        5,
        [*({"n": n, "a": "${keen.ip}"} for n in (1, 2, 3, 4)), SENT[4], {"n": 6, "a": "${keen.ip}"}],
    ),
]


@pytest.mark.parametrize(
    ("change", "count", "wanted"), [one[1:] for one in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_an_update_leaves_events_as_if_they_had_been_sent_so(
    served: Served, project: ServedProject, change: dict[str, Any], count: int, wanted: list[dict[str, Any]]
) -> None:
    served.record(project, "c", *SENT)
    reply = update(served, project, change)
    assert (reply.status, reply.json) == (200, {"updated_events": count})
    assert sorted(events(served, project), key=lambda e: e["n"]) == wanted
    served.record(project, "c", {"n": 7, "a": {"b": True}})
    assert len(events(served, project)) == 7


def test_filters_and_timeframes_say_which_events_are_changed(served: Served, project: ServedProject) -> None:
    served.record(project, "c", *(at(day, n=day, kind="x" if day % 2 else "y") for day in range(1, 7)))
    filters = [{"property_name": "kind", "operator": "eq", "property_value": "x"}]
    timeframe = {"start": "2026-03-02", "end": "2026-03-06"}
    changes = (to("kind", "z"), to("seen", True, upsert=True))
    assert update(served, project, *changes, filters=filters, timeframe=timeframe).json["updated_events"] == 2
    found = {event["n"]: (event["kind"], event.get("seen")) for event in events(served, project)}
    assert found == {
        1: ("x", None),
        2: ("y", None),
        3: ("z", True),
        4: ("y", None),
        5: ("z", True),
        6: ("y", None),
    }
    assert served.ask(project, "count", event_collection="c", filters=filters) == 1


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({}, 400, "property_updates"),
        ({"property_updates": []}, 400, "property_updates"),
        ({"property_updates": [5]}, 400, "property_updates[0]"),
        ({"property_updates": [{"property_name": "a"}]}, 400, "property_value"),
        ({"property_updates": [{"property_value": 1}]}, 400, "property_name"),
        ({"property_updates": [to("$a", 1)]}, 400, "property_updates[0]"),
        ({"property_updates": [to("a..b", 1)]}, 400, "property_updates[0]"),
        ({"property_updates": [to("a", "x" * 10_000)]}, 400, "property_updates[0]"),
        ({"property_updates": [to("keen.timestamp", 1)]}, 403, "keen"),
        ({"property_updates": [{**to("a", 1), "upsert_property": "yes"}]}, 400, "upsert_property"),
        ({"property_updates": [to("a", 1)], "filters": [{}]}, 400, "filters"),
        ({"property_updates": [to("a", 1)], "timeframe": "soon"}, 400, "soon"),
        ([], 400, "property_updates"),
    ],
)
def test_a_bad_update_changes_nothing(
    served: Served, project: ServedProject, body: Any, status: int, named: str
) -> None:
    served.record(project, "c", {"a": 1})
    reply = served.request("PUT", f"/3.0/projects/{project.id}/events/c", body, key=project.master_key)
    assert (reply.status, named in reply.json["message"]) == (status, True), reply.body
    assert events(served, project) == [{"a": 1}]


@pytest.mark.parametrize(
    ("more", "query", "named"),
    [
        ({"filter": OF_BOB}, "", "Did you mean 'filters'"),
        ({"filters": None}, "", "filters"),
        ({"filters": []}, "", "filters"),
        ({"filters": "[]"}, "", "filters"),
        ({"timeframe": None}, "", "timeframe"),
        ({"timeframe": ""}, "", "timeframe"),
        ({"timezone": "UTC"}, "", "timezone"),
        ({"time_frame": "today"}, "", "Did you mean 'timeframe'"),
        ({"filters": [{**OF_BOB[0], "operater": "eq"}]}, "", "operater"),
        ({"limit": 1}, "", "limit"),
        ({}, "?" + urlencode({"filters": json.dumps(OF_BOB)}), "filters"),
        ({}, "?timeframe=today", "timeframe"),
        ({}, "?filter=x", "filter"),
        ({"filters": OF_BOB}, "?timeframe=today", "timeframe"),
    ],
)
def test_an_update_is_narrowed_by_what_narrows_or_refused(
    served: Served, project: ServedProject, more: dict[str, Any], query: str, named: str
) -> None:
    served.record(project, "c", {"a": 1}, {"a": 2})
    body = {"property_updates": [{"property_name": "a", "property_value": 3}], **more}
    path = f"/3.0/projects/{project.id}/events/c{query}"
    reply = served.request("PUT", path, body, key=project.master_key)
    assert reply.status == 400, reply.body
    assert named in reply.json["message"]
    assert events(served, project) == [{"a": 1}, {"a": 2}]


MISSPELT = [
    {"property_name": "usr.id", "operator": "ne", "property_value": "bob"},
    {"property_name": "usr.id", "operator": "not_contains", "property_value": "bob"},
    {"property_name": "usr.id", "operator": "exists", "property_value": False},
    {"property_name": "usr.id", "operator": "eq", "property_value": None},
    {"property_name": "usr.id", "operator": "in", "property_value": [None, "bob"]},
    {
        "operator": "or",
        "operands": [OF_BOB[0], {"property_name": "usr.id", "operator": "ne", "property_value": 1}],
    },
]


@pytest.mark.parametrize("condition", MISSPELT, ids=lambda one: one["operator"])
def test_a_misspelt_property_never_means_all_events(
    served: Served, project: ServedProject, condition: dict[str, Any]
) -> None:
    served.record(project, "c", {"user": {"id": "bob"}}, {"user": {"id": "ann"}})
    before = events(served, project)
    path = f"/3.0/projects/{project.id}/events/c"
    change = {"property_updates": [{"property_name": "a", "property_value": 3}], "filters": [condition]}
    for reply in (
        delete(served, project, "c", filters=json.dumps([condition])),
        served.request("PUT", path, change, key=project.master_key),
    ):
        assert reply.status == 400, reply.body
        assert "'usr.id'" in reply.json["message"]
        assert "Did you mean 'user.id'?" in reply.json["message"]
    assert events(served, project) == before


def test_a_condition_on_what_some_events_lack_is_taken(served: Served, project: ServedProject) -> None:
    """Of properties that exist, of objects around them, of 'keen'; and what matches nothing is no fault."""
    served.record(project, "c", {"user": {"id": "bob"}}, {"n": 1})
    for condition, left in (
        ({"property_name": "keen.location", "operator": "exists", "property_value": True}, 2),
        ({"property_name": "gone", "operator": "eq", "property_value": 1}, 2),
        ({"property_name": "user", "operator": "exists", "property_value": False}, 1),
    ):
        assert delete(served, project, "c", filters=json.dumps([condition])).status == 204
        assert len(events(served, project)) == left


def test_all_are_changed_without_any_parameter_that_narrows(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"a": 1}, {"a": 2})
    path = f"/3.0/projects/{project.id}/events/c?api_key={project.master_key}&_=17"
    body = {"property_updates": [{"property_name": "a", "property_value": 3}]}
    assert served.request("PUT", path, body).json == {"updated_events": 2}
    misspelt = {"property_updates": [{"property_name": "b", "property_value": 3, "upsert": True}]}
    reply = served.request("PUT", path, misspelt)
    assert (reply.status, "upsert_property" in reply.json["message"]) == (400, True)


# Bodies of deletions


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({}, {"filters": OF_BOB}),
        ({}, {"filters": None}),
        ({}, {"timeframe": "today"}),
        ({}, {"filter": OF_BOB}),
        ({}, [OF_BOB]),
        ({}, b"filters=x"),
        ({"timeframe": "this_10_years"}, {"filters": OF_BOB}),
        ({"filters": OF_BOB}, {"filters": [{**OF_BOB[0], "property_value": "ann"}]}),
        ({"filters": OF_BOB}, {"filters": OF_BOB, "limit": 1}),
    ],
)
def test_filters_in_the_body_of_a_deletion_take_nothing_away(
    served: Served, project: ServedProject, query: dict[str, Any], body: Any
) -> None:
    served.record(project, "c", {"user": {"id": "bob"}}, {"user": {"id": "ann"}})
    text = urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()})
    path = f"/3.0/projects/{project.id}/events/c" + (f"?{text}" if text else "")
    reply = served.request("DELETE", path, body, key=project.master_key)
    assert reply.status == 400, reply.body
    assert len(events(served, project)) == 2


@pytest.mark.parametrize("body", [{}, {"filters": OF_BOB}, {"filters": json.dumps(OF_BOB)}, b"null", b" "])
def test_a_body_may_repeat_the_query_string_as_keen_analysis_does(
    served: Served, project: ServedProject, body: Any
) -> None:
    served.record(project, "c", {"user": {"id": "bob"}}, {"user": {"id": "ann"}})
    path = f"/3.0/projects/{project.id}/events/c?&api_key={project.master_key}&"
    path += urlencode({"filters": json.dumps(OF_BOB)})
    assert served.request("DELETE", path, body).status == 204
    assert events(served, project) == [{"user": {"id": "ann"}}]


def test_brackets_narrow_a_deletion(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"user": {"id": "bob"}}, {"user": {"id": "ann"}})
    brackets = {f"filters[0][{name}]": value for name, value in OF_BOB[0].items()}
    assert delete(served, project, "c", **brackets).status == 204
    assert events(served, project) == [{"user": {"id": "ann"}}]


def test_a_body_of_null_deletes_nothing(served: Served, project: ServedProject) -> None:
    """It may be filters that a program had not set."""
    served.record(project, "c", {"n": 1})
    path = f"/3.0/projects/{project.id}/events/c"
    assert served.request("DELETE", path, b"null", key=project.master_key).status == 400
    assert served.ask(project, "count", event_collection="c") == 1


@pytest.mark.parametrize(
    "query", ["event_collection=%FF", "filters=%5B%E9%5D", "event_collection=c&x=%ED%A0%80"]
)
def test_an_address_that_is_no_utf_8_is_refused(served: Served, project: ServedProject, query: str) -> None:
    served.record(project, "c", {"n": 1})
    asked = f"/3.0/projects/{project.id}/queries/count?{query}"
    reply = served.request("GET", asked, key=project.read_key)
    assert (reply.status, "UTF-8" in reply.json["message"]) == (400, True)
    path = f"/3.0/projects/{project.id}/events/c?{query}"
    assert served.request("DELETE", path, key=project.master_key).status == 400
    assert served.ask(project, "count", event_collection="c") == 1


def test_a_whole_collection_goes_with_an_empty_body(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"a": 1})
    path = f"/3.0/projects/{project.id}/events/c?api_key={project.master_key}&_=1"
    assert served.request("DELETE", path, {}).status == 204
    assert served.request("GET", path).status == 404


@pytest.mark.parametrize("what", ["c/properties/a?filters=[]", "c/properties/a?timeframe=today"])
def test_a_property_goes_as_a_whole_or_not_at_all(served: Served, project: ServedProject, what: str) -> None:
    served.record(project, "c", {"a": 1})
    path = f"/3.0/projects/{project.id}/events/{what}"
    assert served.request("DELETE", path, key=project.master_key).status == 400
    body = {"filters": OF_BOB}
    assert served.request("DELETE", path.partition("?")[0], body, key=project.master_key).status == 400
    assert events(served, project) == [{"a": 1}]


@pytest.mark.parametrize("what", ["queries/saved/n", "datasets/n", "keys/n", "extractions/n"])
def test_other_deletions_take_no_parameters(served: Served, project: ServedProject, what: str) -> None:
    path = f"/3.0/projects/{project.id}/{what}"
    reply = served.request("DELETE", f"{path}?filters=[]", key=project.master_key)
    assert (reply.status, "filters" in reply.json["message"]) == (400, True)
    assert served.request("DELETE", f"{path}?api_key={project.master_key}&_=1").status == 404


# Retention


def test_what_is_older_than_its_collection_keeps_events_goes(served: Served, project: ServedProject) -> None:
    now = datetime.now(UTC)
    for days in (0, 1, 5, 20, 300):
        stamp = (now - timedelta(days=days)).isoformat()
        served.record(project, "c/d", {"days": days, "keen": {"timestamp": stamp}})
    base = f"/3.0/projects/{project.id}/retention/c/d"
    assert served.request("GET", base, key=project.master_key).json == {"days": None}
    for days, left in ((30, [0, 1, 5, 20]), (3, [0, 1])):
        assert served.request("PUT", base, {"days": days}, key=project.master_key).json == {"days": days}
        deadline = time.monotonic() + 120
        while sorted(event["days"] for event in events(served, project, "c/d")) != left:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert served.request("DELETE", base, key=project.master_key).status == 204
    assert served.request("GET", base, key=project.master_key).json == {"days": None}
    bad: list[Any] = [{"days": 0}, {"days": "7"}, {"days": True}, {"days": 1.5}, {}, []]
    for body in bad:
        assert served.request("PUT", base, body, key=project.master_key).status == 400
    assert served.request("PUT", f"{base}e", {"days": 1}, key=project.master_key).status == 404


# Nothing is left


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """Three workers, and a grace that a test can wait for. Values that were changed go as well."""
    env = {"ACUMEN_GRACE_SECONDS": "0.5", "ACUMEN_QUERY_TIMEOUT_SECONDS": "0.5", "ACUMEN_FLUSH_SECONDS": "1"}
    env |= {"ACUMEN_HISTORY": "0"}
    env |= {"ACUMEN_PARTIALS_EVENTS_MIN": "1", "ACUMEN_PARTIALS_SHARE": "1"}
    with Served(workers=3, env=env) as server:
        yield server


def holding(data: Path, marker: bytes) -> list[str]:
    """The files below the folder that hold the text."""
    found = []
    for path in data.rglob("*"):
        try:
            if path.is_file() and marker in path.read_bytes():
                found.append(str(path.relative_to(data)))
        except FileNotFoundError:
            continue
    return found


def test_no_byte_of_an_erased_actor_is_left_after_the_grace(hasty: Served) -> None:
    project = hasty.new_project("Erasing")
    marker = "zq7wfxk2actor"
    for number in range(60):
        token = {"uniqueness_token": f"{marker}-{number}"}
        hasty.record(
            project, "c", {"user": {"id": marker}, "keen": token, "n": number}, {"user": {"id": "ann"}}
        )
        if number == 30:
            await_files(hasty)
    filters = [{"property_name": "user.id", "operator": "eq", "property_value": marker}]
    hasty.ask(project, "count", event_collection="c", filters=filters)
    path = f"/3.0/projects/{project.id}/queries/extraction"
    asked = {"event_collection": "c", "filters": filters, "delivery": "link"}
    jobs = [hasty.request("POST", path, asked, key=project.read_key).json["job"] for _ in range(2)]
    deadline = time.monotonic() + 120
    while hasty.request("GET", jobs[0]["url"], key=project.read_key).json["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kept = await_partials(hasty, project, marker)
    assert delete(hasty, project, "c", filters=filters).status == 204
    assert hasty.ask(project, "count", event_collection="c") == 60
    deadline = time.monotonic() + 120
    while left := holding(hasty.data, marker.encode()):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    while [path for path in kept if path.exists()]:
        assert time.monotonic() < deadline, kept
        time.sleep(0.2)
    assert hasty.told("check").returncode == 0


def await_partials(served: Served, project: ServedProject, marker: str) -> list[Path]:
    """The partial answers that hold the text, once there are some. Their bytes are compressed."""
    deadline = time.monotonic() + 120
    where = f"/3.0/projects/{project.id}/queries/select_unique"
    asked = {"event_collection": "c", "target_property": "user.id", "max_age": 0}
    while True:
        # It may take longer than this server allows: then it is asked again.
        served.request("POST", where, asked, key=project.read_key)
        found = []
        for path in (served.data / "partials").rglob("*.part"):
            with suppress(FileNotFoundError):
                content = path.read_bytes()
                table = pq.read_table(pa.BufferReader(content[content.index(b"PAR1") :]))
                if marker in str(table.to_pylist()):
                    found.append(path)
        if found:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def await_files(served: Served) -> None:
    """Return once some event stands in a Parquet file."""
    deadline = time.monotonic() + 120
    while not any((served.data / "events").rglob("*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_questions_beside_it_see_before_or_after(hasty: Served) -> None:
    project = hasty.new_project("Beside")
    bulk = f"/3.0/projects/{project.id}/events"
    for day in range(1, 6):
        body = {"c": [at(day, kind="bad" if n % 3 else "good") for n in range(300)]}
        assert hasty.request("POST", bulk, body, key=project.write_key).status == 200
    filters = [{"property_name": "kind", "operator": "eq", "property_value": "bad"}]
    with ThreadPoolExecutor(4) as pool:
        done = pool.submit(delete, hasty, project, "c", filters=filters)
        seen = []
        while not done.done():
            seen.append(hasty.ask(project, "count", event_collection="c"))
        assert done.result().status == 204
    assert set(seen) <= {1_500, 500}
    assert seen == sorted(seen, reverse=True)
    assert hasty.ask(project, "count", event_collection="c") == 500
    assert hasty.told("check").returncode == 0


def test_a_keeper_that_is_killed_meanwhile_takes_away_and_changes_what_was_asked(hasty: Served) -> None:
    """At whatever moments. Each event is there once, as it should be, and no byte of what went is left."""
    rng, project = random.Random(), hasty.new_project("Killed")
    marker = f"kq8vhyz4actor{rng.getrandbits(32):08x}"
    bulk = f"/3.0/projects/{project.id}/events"
    for number in range(examples(4)):
        kept: list[dict[str, Any]] = []
        for half in range(2):
            sent = [_of(marker, number, 300 * half + n) for n in range(300)]
            assert hasty.request("POST", bulk, {"c": sent}, key=project.write_key).status == 200
            kept += [one for one in sent if one["kind"] != "gone"]
            time.sleep(rng.uniform(0, 0.8))
        which = [{"property_name": "round", "operator": "eq", "property_value": number}]
        gone = [*which, {"property_name": "who", "operator": "eq", "property_value": f"{marker}-gone"}]
        assert _with_kills(hasty, rng, partial(delete, hasty, project, "c", filters=gone)).status == 204
        known = [*which, {"property_name": "who", "operator": "eq", "property_value": f"{marker}-known"}]
        changes = (to("who", None), to("seen", number, upsert=True))
        changed = _with_kills(hasty, rng, partial(update, hasty, project, *changes, filters=known))
        wanted = [{**one, "who": None, "seen": number} if one["kind"] == "known" else one for one in kept]
        assert changed.json == {"updated_events": sum(one["kind"] == "known" for one in kept)}
        asked = hasty.ask(project, "extraction", event_collection="c", filters=which)
        assert sorted(map(_bare, asked)) == sorted(map(_bare, wanted))
    deadline = time.monotonic() + 120
    while left := holding(hasty.data, marker.encode()):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    assert hasty.told("check").returncode == 0


def _of(marker: str, number: int, n: int) -> dict[str, Any]:
    """An event of one who is to be forgotten, or whose name is to be changed, or of nobody."""
    kind = ("gone", "known", "plain")[n % 3]
    event = at(1 + n % 5, round=number, n=n, kind=kind, who="ann" if kind == "plain" else f"{marker}-{kind}")
    if kind == "gone" and n % 2:
        event["keen"]["uniqueness_token"] = f"{marker}-{number}-{n}"
    return event


def _bare(event: dict[str, Any]) -> str:
    return json.dumps({name: event[name] for name in event if name != "keen"}, sort_keys=True)


def _with_kills(served: Served, rng: random.Random, ask: Callable[[], Reply]) -> Reply:
    """The answer to a request, while the keeper dies once or twice."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        for _ in range(rng.randint(1, 2)):
            time.sleep(rng.uniform(0, 0.15))
            with contextlib.suppress(ProcessLookupError):
                served.kill("keeper")
        return asked.result()
