"""Where clients of Keen's API stumble over servers that are only nearly like it: one test for each."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.server import Reply, Served, ServedProject

DAY = {"start": "2026-03-01T00:00:00.000Z", "end": "2026-03-02T00:00:00.000Z"}
COUNT = {"analysis_type": "count", "event_collection": "c", "timeframe": DAY}
FUNNEL_STEPS = [
    {"event_collection": "c", "actor_property": "who", "timeframe": DAY},
    {"event_collection": "c", "actor_property": "who", "timeframe": DAY},
]


def event(**properties: Any) -> dict[str, Any]:
    return {"keen": {"timestamp": "2026-03-01T10:00:00.000Z"}, **properties}


@pytest.fixture(scope="module")
def filled(served: Served) -> ServedProject:
    """A project with ten events of one hour."""
    project = served.new_project("Traps")
    events = [event(n=n, who=f"u{n % 3}", group="a" if n % 2 else "b") for n in range(1, 11)]
    served.record(project, "c", *events)
    return project


def master(served: Served, project: ServedProject, method: str, path: str, body: Any = None) -> Reply:
    return served.request(method, f"/3.0/projects/{project.id}{path}", body, key=project.master_key)


def query(served: Served, project: ServedProject, analysis: str, text: str) -> Reply:
    path = f"/3.0/projects/{project.id}/queries/{analysis}?api_key={project.read_key}&{text}"
    return served.request("GET", path)


def test_an_error_code_is_in_failures_alone_and_a_message_in_all_of_them(
    served: Served, filled: ServedProject
) -> None:
    for path in ("/queries/count?event_collection=c", "/events", "/keys", "/queries/saved", "/datasets"):
        assert "error_code" not in master(served, filled, "GET", path).body.decode()
    for path in ("/queries/count", "/events/nothing", "/keys/nothing", "/queries/saved/nothing", "/nothing"):
        failed = master(served, filled, "GET", path)
        assert failed.status >= 400
        assert failed.json["message"] and failed.json["error_code"]


def test_a_batch_tells_of_each_event_in_order_under_the_names_that_let_clients_drop_it(
    served: Served, project: ServedProject
) -> None:
    batch = {"good": [{"a": 1}, {"$a": 1}, {"a": "x" * 10_000}, {"a": 2}], "_bad": [{"a": 1}]}
    path = f"/3.0/projects/{project.id}/events"
    reply = served.request("POST", path, batch, key=project.write_key)
    assert reply.status == 200
    assert list(reply.json) == ["good", "_bad"]
    told = [verdict.get("error", {}).get("name") for verdict in reply.json["good"] + reply.json["_bad"]]
    names = ["InvalidPropertyNameError", "InvalidPropertyValueError", "InvalidCollectionNameError"]
    assert told == [None, names[0], names[1], None, names[2]]
    assert set(reply.json["good"][1]["error"]) == {"name", "description"}


def test_one_event_is_201_and_created_a_batch_is_200(served: Served, project: ServedProject) -> None:
    path = f"/3.0/projects/{project.id}/events"
    one = served.request("POST", f"{path}/c", {"a": 1}, key=project.write_key)
    assert (one.status, one.json) == (201, {"created": True})
    batch = served.request("POST", path, {"c": [{"a": 1}]}, key=project.write_key)
    assert (batch.status, batch.json) == (200, {"c": [{"success": True}]})


def test_a_funnels_result_is_nested_where_it_is_saved_and_flat_where_it_is_not(
    served: Served, filled: ServedProject
) -> None:
    asked = {"analysis_type": "funnel", "steps": FUNNEL_STEPS}
    flat = master(served, filled, "POST", "/queries/funnel", {"steps": FUNNEL_STEPS}).json
    assert flat["result"] == [3, 3]
    assert master(served, filled, "PUT", "/queries/saved/trap", {"query": asked}).status == 201
    nested = master(served, filled, "GET", "/queries/saved/trap/result").json
    assert nested["result"]["result"] == [3, 3]
    assert len(nested["result"]["steps"]) == 2


def test_rows_have_value_and_timeframe_and_the_result_comes_last(
    served: Served, filled: ServedProject
) -> None:
    timeframe = quote(json.dumps(DAY))
    rows = query(served, filled, "count", f"event_collection=c&timeframe={timeframe}&interval=daily").json
    assert [list(row) for row in rows["result"]] == [["value", "timeframe"]]
    assert list(rows["result"][0]["timeframe"]) == ["start", "end"]
    grouped = query(served, filled, "count", 'event_collection=c&group_by=["group","who"]').json
    assert {tuple(row) for row in grouped["result"]} == {("group", "who", "result")}


def test_revoke_and_unrevoke_answer_200_with_the_key(served: Served, filled: ServedProject) -> None:
    made = master(served, filled, "POST", "/keys", {"name": "trap", "permitted": ["queries"]}).json
    for action, active in (("revoke", False), ("unrevoke", True)):
        reply = master(served, filled, "POST", f"/keys/{made['key']}/{action}")
        assert (reply.status, reply.json["key"], reply.json["is_active"]) == (200, made["key"], active)


def test_timeframes_may_be_strings_of_json_where_events_are_deleted_and_datasets_read(
    served: Served, project: ServedProject
) -> None:
    served.record(project, "c", event(n=1))
    quoted = quote(json.dumps("previous_1_days"))
    gone = master(served, project, "DELETE", f"/events/c?timeframe={quoted}")
    assert gone.status == 204
    assert served.ask(project, "count", event_collection="c") == 1
    definition = {
        "display_name": "Trap",
        "query": {**COUNT, "interval": "daily", "timeframe": "this_3_days"},
        "index_by": ["who"],
    }
    assert master(served, project, "PUT", "/datasets/trap", definition).status == 201
    asked = f"index_by={quote(json.dumps('u1'))}&timeframe={quote(json.dumps('this_2_days'))}"
    reply = master(served, project, "GET", f"/datasets/trap/results?{asked}")
    assert (reply.status, len(reply.json["result"])) == (200, 2)


def test_a_zone_of_seconds_is_taken_by_every_question_and_nothing_beside_absolute_times(
    served: Served, filled: ServedProject
) -> None:
    timeframe = quote(json.dumps(DAY))
    for analysis, more in (
        ("count", "event_collection=c"),
        ("extraction", "event_collection=c"),
        ("count_unique", "event_collection=c&target_property=who"),
        ("funnel", f"steps={quote(json.dumps(FUNNEL_STEPS))}"),
        ("multi_analysis", "event_collection=c&analyses=" + quote('{"n":{"analysis_type":"count"}}')),
    ):
        asked = f"{more}&timeframe={timeframe}"
        told = [query(served, filled, analysis, f"{asked}&timezone={zone}") for zone in (-28800, "UTC")]
        assert [reply.status for reply in told] == [200, 200], analysis
        assert told[0].json["result"] == told[1].json["result"], analysis


@pytest.mark.parametrize("form", ["standard", "url-safe", "without padding", "spaces for plus"])
def test_events_in_a_url_may_be_in_any_base64(served: Served, project: ServedProject, form: str) -> None:
    text = json.dumps({"n": "??>>~~ü"}, ensure_ascii=False).encode()
    data = base64.b64encode(text).decode()
    assert "+" in data and "=" in data
    if form == "url-safe":
        data = base64.urlsafe_b64encode(text).decode()
    elif form == "without padding":
        data = data.rstrip("=")
    sent = quote(data, safe="") if form != "spaces for plus" else data.replace("+", "%20")
    path = f"/3.0/projects/{project.id}/events/c?api_key={project.write_key}&data={sent}"
    assert served.request("GET", path).status == 200
    found = served.ask(project, "select_unique", event_collection="c", target_property="n")
    assert found == ["??>>~~ü"]


def test_browsers_may_send_keens_headers(served: Served, filled: ServedProject) -> None:
    asked = {
        "Origin": "https://shop.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, keen-sdk, content-type",
    }
    for path in ("/events/c", "/events", "/queries/count", "/datasets/d/results", "/keys"):
        reply = served.request("OPTIONS", f"/3.0/projects/{filled.id}{path}", headers=asked)
        assert reply.status in (200, 204)
        allowed = {name.strip().lower() for name in reply.headers["access-control-allow-headers"].split(",")}
        assert allowed == {"*"} or {"authorization", "keen-sdk", "content-type"} <= allowed


def test_what_sdks_add_to_filters_and_questions_is_passed_over(served: Served, filled: ServedProject) -> None:
    told = {"property_name": "n", "operator": "gt", "property_value": 5, "property_type": "Number"}
    asked = {"event_collection": "c", "filters": [told], "analysis_type": "count", "timezone": 3600}
    assert served.ask(filled, "count", **asked) == 5


def test_an_unknown_project_comes_before_a_bad_key(served: Served, filled: ServedProject) -> None:
    for method, path in (("GET", "queries/count"), ("POST", "events/c"), ("GET", "keys"), ("GET", "events")):
        body: Any = {} if method == "POST" else None
        for project_id, status in (("0" * 24, 404), (filled.id, 401)):
            reply = served.request(method, f"/3.0/projects/{project_id}/{path}", body, key="bad")
            assert reply.status == status, path


def test_a_percentile_is_the_nearest_rank_from_below(served: Served, filled: ServedProject) -> None:
    for percentile, expected in ((1, 1), (10, 1), (11, 2), (50, 5), (90, 9), (99, 10)):
        asked = {"event_collection": "c", "target_property": "n", "percentile": percentile}
        assert served.ask(filled, "percentile", **asked) == expected


def test_keys_are_letters_and_digits_and_lists_are_lists_but_of_datasets(
    served: Served, filled: ServedProject
) -> None:
    made = master(served, filled, "POST", "/keys", {"name": "letters", "permitted": ["writes"]}).json
    assert made["key"].isalnum() and made["key"].isascii()
    assert isinstance(master(served, filled, "GET", "/keys").json, list)
    assert isinstance(master(served, filled, "GET", "/queries/saved").json, list)
    assert isinstance(master(served, filled, "GET", "/datasets").json["datasets"], list)


def test_a_saved_querys_result_holds_its_question(served: Served, filled: ServedProject) -> None:
    assert master(served, filled, "PUT", "/queries/saved/held", {"query": COUNT}).status == 201
    told = master(served, filled, "GET", "/queries/saved/held/result").json
    assert told["result"] == 10
    assert told["query"].items() >= COUNT.items()
    assert (told["query_name"], told["refresh_rate"]) == ("held", 0)
