"""Saved queries over HTTP: definitions, their faults, renaming, results kept and not kept."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from json import dumps
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.server import Reply, Served, ServedProject

SUM = {
    "analysis_type": "sum",
    "event_collection": "c",
    "target_property": "price",
    "timeframe": "this_2_weeks",
}
NORMAL_SUM: dict[str, Any] = {
    **SUM,
    "filters": [],
    "timezone": None,
    "interval": None,
    "group_by": None,
    "order_by": None,
    "limit": None,
    "zero_fill": None,
}
HOURS_4 = 14_400
RUN_KEYS = {
    "last_run_date",
    "last_run_status",
    "last_run_message",
    "duration_ms",
    "events_scanned",
    "data_through",
    "stale",
    "next_run_date",
}


class Saved:
    """The saved queries of one project."""

    def __init__(self, served: Served, project: ServedProject) -> None:
        self.served, self.project = served, project
        self.base = f"/3.0/projects/{project.id}/queries/saved"

    def put(self, name: str, query: Any = SUM, *, status: int | None = None, **rest: Any) -> Reply:
        body = {"query": query, **rest}
        reply = self.served.request("PUT", f"{self.base}/{name}", body, key=self.project.master_key)
        assert status is None or reply.status == status, reply.body
        return reply

    def get(self, path: str = "", key: str | None = None) -> Reply:
        return self.served.request("GET", f"{self.base}{path}", key=key or self.project.master_key)

    def result(self, name: str) -> Any:
        reply = self.get(f"/{name}/result", self.project.read_key)
        assert reply.status == 200, reply.body
        return reply.json

    def delete(self, name: str) -> int:
        return self.served.request("DELETE", f"{self.base}/{name}", key=self.project.master_key).status


@pytest.fixture
def queries(served: Served, project: ServedProject) -> Saved:
    served.record(project, "c", *({"price": price, "user": {"id": f"u{price % 3}"}} for price in range(5)))
    return Saved(served, project)


@pytest.fixture(scope="module")
def refusing(served: Served) -> Saved:
    """A project of which nothing is asked but what is refused."""
    return Saved(served, served.new_project())


def test_a_definition_is_told_as_it_was_recorded(queries: Saved) -> None:
    metadata = {"display_name": "S", "visualization": {"chart_type": "metric"}, "mine": [None, {"x": 2**70}]}
    made = queries.put("saved_count", metadata=metadata, status=201).json
    assert made == queries.get("/saved_count").json
    assert made["query"] == NORMAL_SUM
    assert made["metadata"] == metadata
    assert (made["query_name"], made["refresh_rate"], made["run_information"]) == ("saved_count", 0, None)
    assert made["urls"] == {
        "cached_query_url": f"{queries.base}/saved_count",
        "cached_query_results_url": f"{queries.base}/saved_count/result",
    }
    dates = {made[name] for name in ("created_date", "last_modified_date", "user_last_modified_date")}
    assert len(dates) == 1
    assert dates.pop().endswith("+00:00")
    assert "error_code" not in made


def test_a_put_replaces_everything_and_takes_what_a_get_gave(queries: Saved) -> None:
    first = queries.put("n", metadata={"a": 1}, status=201).json
    again = queries.served.request("PUT", f"{queries.base}/n", first, key=queries.project.master_key)
    assert again.status == 200
    assert again.json["metadata"] == {"a": 1}
    assert again.json["created_date"] == first["created_date"]
    assert again.json["last_modified_date"] > first["last_modified_date"]
    bare = queries.put("n", {**SUM, "interval": "daily", "group_by": "user.id"}, status=200).json
    assert bare["metadata"] is None
    assert bare["query"]["group_by"] == ["user.id"]
    assert bare["query"]["interval"] == "daily"


def test_what_is_nothing_and_what_nobody_asked_for_is_not_kept(queries: Saved) -> None:
    sent: dict[str, Any] = {
        **SUM,
        "group_by": [],
        "interval": None,
        "filters": None,
        "api_key": "x",
        "percentile": 5,
    }
    assert queries.put("n", sent, status=201).json["query"] == NORMAL_SUM
    order = {"property_name": "result", "direction": "DESC"}
    kept = queries.put("n", {**SUM, "group_by": ["user.id"], "order_by": order, "limit": 2}).json["query"]
    assert (kept["order_by"], kept["limit"], kept["group_by"]) == (order, 2, ["user.id"])


def test_the_list_is_an_array_by_name_and_discovery_lists_names(queries: Saved) -> None:
    assert queries.get().json == []
    for name in ("b", "a"):
        queries.put(name, status=201)
    assert [one["query_name"] for one in queries.get("?analysis_type=saved").json] == ["a", "b"]
    path = f"/3.0/projects/{queries.project.id}"
    told = queries.served.request("GET", path, key=queries.project.master_key).json["saved_queries"]
    assert told == [{"name": name, "url": f"{queries.base}/{name}"} for name in ("a", "b")]
    assert queries.served.request("GET", path, key=queries.project.read_key).json["saved_queries"] == []


def test_a_name_that_differs_renames_and_a_taken_one_is_refused(queries: Saved) -> None:
    queries.put("old", status=201)
    queries.put("other", status=201)
    assert queries.put("old", query_name="new", status=200).json["query_name"] == "new"
    assert queries.get("/old").status == 404
    refused = queries.put("new", query_name="other", status=409).json
    assert refused["error_code"] == "DuplicateNameError"
    assert queries.put("fresh", query_name="other").status == 409
    assert {one["query_name"] for one in queries.get().json} == {"new", "other"}
    assert queries.delete("new") == 204
    assert queries.delete("new") == 404


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ([], "InvalidParameterError", "query"),
        ({}, "MissingRequiredRequestFieldError", "'query'"),
        ({"query": [SUM]}, "InvalidParameterError", "'query'"),
        ({"query": {"event_collection": "c"}}, "MissingRequiredRequestFieldError", "'query.analysis_type'"),
        ({"query": {**SUM, "analysis_type": "total"}}, "InvalidParameterError", "analysis_type"),
        ({"query": {**SUM, "analysis_type": ["sum"]}}, "InvalidParameterError", "analysis_type"),
        ({"query": {"analysis_type": "sum"}}, "MissingRequiredRequestFieldError", "'query.event_collection'"),
        (
            {"query": {"analysis_type": "sum", "event_collection": "c"}},
            "MissingRequiredRequestFieldError",
            "'query.target_property'",
        ),
        (
            {"query": {"analysis_type": "count", "event_collection": "c", "interval": "daily"}},
            "MissingRequiredRequestFieldError",
            "'query.timeframe', because of 'query.interval'",
        ),
        ({"query": {**SUM, "timeframe": "soon"}}, "TimeframeDefinitionError", "timeframe"),
        ({"query": {**SUM, "timezone": "Mars"}}, "InvalidTimezoneError", "timezone"),
        ({"query": {**SUM, "interval": "often"}}, "InvalidIntervalError", "interval"),
        ({"query": {**SUM, "group_by": 5}}, "InvalidGroupByError", "group_by"),
        ({"query": {**SUM, "limit": 5}}, "InvalidLimitError", "limit"),
        ({"query": {**SUM, "filters": [{"operator": "eq"}]}}, "InvalidFilterError", "property_name"),
        ({"query": {"analysis_type": "funnel"}}, "MissingRequiredRequestFieldError", "'query.steps'"),
        ({"query": SUM, "refresh_rate": 14_399}, "InvalidParameterError", "refresh_rate"),
        ({"query": SUM, "refresh_rate": 172_801}, "InvalidParameterError", "refresh_rate"),
        ({"query": SUM, "refresh_rate": True}, "InvalidParameterError", "refresh_rate"),
        ({"query": SUM, "query_name": "a b"}, "InvalidParameterError", "query_name"),
        ({"query": SUM, "query_name": 7}, "InvalidParameterError", "query_name"),
        (
            {"query": {"analysis_type": "extraction", "event_collection": "c"}, "refresh_rate": HOURS_4},
            "InvalidParameterError",
            "refresh_rate",
        ),
    ],
)
def test_every_fault_of_a_definition_is_named(refusing: Saved, body: Any, code: str, named: str) -> None:
    reply = refusing.served.request("PUT", f"{refusing.base}/n", body, key=refusing.project.master_key)
    assert (reply.status, reply.json["error_code"]) == (400, code), reply.body
    assert named in reply.json["message"]
    assert refusing.get("/n").status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"query": ', "InvalidJSONError"),
        (b'{"query": {"analysis_type": "count", "event_collection": "c"}, "metadata": 1e999}', None),
        (b'{"query": {"analysis_type": "count", "event_collection": "c"}, "metadata": %s}', None),
        (b'{"query": {"analysis_type": "count", "event_collection": "c"}, "metadata": "%s"}', None),
    ],
)
def test_what_no_answer_could_hold_is_refused(refusing: Saved, body: bytes, code: str | None) -> None:
    if b'"%s"' in body:
        body %= b"x" * 1_000_001
    elif b"%s" in body:
        body %= b"[" * 300 + b"]" * 300
    reply = refusing.served.request("PUT", f"{refusing.base}/n", body, key=refusing.project.master_key)
    assert reply.status == 400, reply.body
    assert code is None or reply.json["error_code"] == code


@pytest.mark.parametrize("name", ["a%20b", "a.b", "%C3%A4", "a" * 257])
def test_a_name_has_few_characters(refusing: Saved, name: str) -> None:
    assert refusing.put(name).status == 400
    assert refusing.get(f"/{name}").status == 404
    assert refusing.get(f"/{name}/result").status == 404


def test_a_repeated_key_counts_last_and_odd_text_comes_back(queries: Saved) -> None:
    body = (
        b'{"refresh_rate": 5, "query": {"analysis_type": "count", "event_collection": "c"},'
        b' "metadata": "\\ud800 \xc3\xa4", "refresh_rate": 0}'
    )
    key = queries.project.master_key
    assert queries.served.request("PUT", f"{queries.base}/n", body, key=key).status == 201
    assert queries.get("/n").json["metadata"] == "\ud800 ä"


def test_a_result_that_is_not_kept_is_computed_and_has_the_definition_around_it(queries: Saved) -> None:
    definition = queries.put("n", status=201).json
    assert queries.result("n") == {**definition, "result": 10}
    queries.served.record(queries.project, "c", {"price": 5})
    assert queries.result("n") == {**definition, "result": 15}


@pytest.mark.parametrize("rate", [0, HOURS_4])
def test_a_funnels_result_is_nested(queries: Saved, rate: int) -> None:
    steps = [{"event_collection": "c", "actor_property": "user.id", "with_actors": True}] * 2
    query = {"analysis_type": "funnel", "steps": steps, "timeframe": "this_1_days", "timezone": 3600}
    queries.put("n", query, refresh_rate=rate, status=201)
    answer = queries.result("n")
    assert answer["query"]["analysis_type"] == "funnel"
    assert answer["query"]["steps"][0]["timeframe"] is None, "a step keeps its own parameters only"
    assert answer["result"]["result"] == [3, 3]
    assert answer["result"]["steps"][0]["timeframe"] == "this_1_days"
    assert answer["result"]["actors"] == [["u0", "u1", "u2"]] * 2
    queries.put("n", {**query, "steps": [{**steps[0], "with_actors": False}]}, refresh_rate=rate)
    assert queries.result("n")["result"]["actors"] is None


def test_every_analysis_can_be_kept(queries: Saved) -> None:
    more: dict[str, Any] = {
        "percentile": {"percentile": 50},
        "multi_analysis": {"analyses": {"n": {"analysis_type": "count"}}},
    }
    for analysis in ("count", "percentile", "select_unique", "multi_analysis", "median"):
        query = {**SUM, "analysis_type": analysis, "interval": "daily", **more.get(analysis, {})}
        queries.put(analysis, query, refresh_rate=HOURS_4, status=201)
        plain = {name: value for name, value in query.items() if name != "analysis_type"}
        told = queries.result(analysis)
        assert told["result"] == queries.served.ask(queries.project, analysis, **plain)
        assert told["query"]["interval"] == "daily"


def test_an_extraction_is_asked_each_time(queries: Saved) -> None:
    query = {"analysis_type": "extraction", "event_collection": "c", "property_names": "price", "latest": 1}
    kept = queries.put("n", query, status=201).json["query"]
    assert (kept["property_names"], kept["latest"]) == (["price"], 1)
    assert len(queries.result("n")["result"]) == 1


def test_a_kept_result_stays_until_it_is_due_and_says_whether_it_is_stale(queries: Saved) -> None:
    assert queries.put("n", refresh_rate=HOURS_4, status=201).json["run_information"] is None
    before = time.time()
    first = queries.result("n")
    run = first["run_information"]
    assert set(run) == RUN_KEYS
    assert first["result"] == 10
    assert (run["last_run_status"], run["last_run_message"], run["stale"]) == ("success", None, False)
    assert run["events_scanned"] == 5
    assert run["duration_ms"] > 0
    assert queries.result("n") == first
    assert queries.get("/n").json["run_information"] == run
    queries.served.record(queries.project, "other", {"price": 5})
    queries.served.record(queries.project, "c", {"price": 5, "keen": {"timestamp": "2001-01-01T00:00:00Z"}})
    assert queries.result("n") == first, "outside of what it covers"
    queries.served.record(queries.project, "c", {"price": 5})
    stale = queries.result("n")
    assert stale == {**first, "run_information": {**run, "stale": True}}
    assert queries.result("n") == stale
    assert queries.get("/n").json["run_information"]["stale"] is True
    assert run["data_through"] == run["last_run_date"]
    assert abs(_seconds(run["data_through"]) - before) < 30
    assert _seconds(run["next_run_date"]) == pytest.approx(_seconds(run["last_run_date"]) + HOURS_4)


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def test_only_events_that_the_filters_keep_make_a_result_stale(queries: Saved) -> None:
    condition = {"property_name": "user.id", "operator": "eq", "property_value": "u1"}
    queries.put("n", {**SUM, "filters": [condition]}, refresh_rate=HOURS_4)
    assert queries.result("n")["result"] == 5
    queries.served.record(queries.project, "c", {"price": 100, "user": {"id": "u2"}})
    assert queries.result("n")["run_information"]["stale"] is False
    queries.served.record(queries.project, "c", {"price": 100, "user": {"id": "u1"}})
    assert queries.result("n")["run_information"]["stale"] is True


def test_a_duplicate_makes_no_result_stale(queries: Saved) -> None:
    event = {"price": 7, "keen": {"uniqueness_token": "once"}}
    queries.served.record(queries.project, "c", event)
    queries.put("n", refresh_rate=HOURS_4)
    first = queries.result("n")
    queries.served.record(queries.project, "c", event)
    assert queries.result("n") == first
    assert (first["result"], first["run_information"]["stale"]) == (17, False)


def test_another_question_has_another_result_and_all_else_leaves_it(queries: Saved) -> None:
    queries.put("n", refresh_rate=HOURS_4)
    first = queries.result("n")
    queries.served.record(queries.project, "c", {"price": 5})
    queries.put("n", refresh_rate=2 * HOURS_4, metadata={"a": 1}, query_name="m")
    kept = queries.result("m")
    assert kept["result"] == 10
    assert kept["run_information"]["last_run_date"] == first["run_information"]["last_run_date"]
    queries.put("m", {**SUM, "analysis_type": "count", "target_property": None}, refresh_rate=HOURS_4)
    assert queries.result("m")["result"] == 6
    queries.put("m")
    assert queries.result("m")["run_information"] is None


def test_a_deleted_query_takes_its_result_with_it(queries: Saved) -> None:
    queries.put("n", refresh_rate=HOURS_4)
    queries.result("n")
    folder = queries.served.data / "results"
    assert list(folder.glob("*.json"))
    assert queries.delete("n") == 204
    assert queries.get("/n/result").status == 404
    queries.put("n", refresh_rate=HOURS_4, status=201)
    queries.served.record(queries.project, "c", {"price": 5})
    assert queries.result("n")["result"] == 15


def test_a_script_may_have_the_result(queries: Saved) -> None:
    queries.put("n")
    reply = queries.get("/n/result?jsonp=f")
    assert reply.body.startswith(b"f({")
    assert queries.get("/none/result?jsonp=f").body.startswith(b"f({")


def test_the_first_version_of_the_api_is_answered_too(queries: Saved) -> None:
    base = f"/3.0/projects/{queries.project.id}/saved_queries"
    key = queries.project.master_key
    made = queries.served.request("PUT", f"{base}/n", SUM, key=key)
    assert (made.status, made.json["created"], made.json["updated"]) == (201, True, False)
    told = queries.served.request("GET", f"{base}/n", key=key).json
    assert told == made.json["saved_query"]
    assert (told["saved_query_name"], told["urls"]["saved_query_url"]) == ("n", f"{base}/n")
    result = queries.served.request("GET", f"{base}/n/result", key=queries.project.read_key)
    assert result.json == {"result": 10}
    assert [one["query_name"] for one in queries.served.request("GET", base, key=key).json] == ["n"]
    assert queries.served.request("DELETE", f"{base}/n", key=key).status == 204


def _await_run(queries: Saved, name: str) -> Any:
    """What the runner has to say of a query that nobody has asked for."""
    deadline = time.monotonic() + 120
    while True:
        run = queries.get(f"/{name}").json["run_information"]
        if run is not None:
            return run
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _replace_workers(server: Served) -> None:
    old = {name: server.child_pid(name) for name in ("worker-0", "worker-1")}
    for name in old:
        server.kill(name)
    deadline = time.monotonic() + 120
    while any(server.state()["children"].get(name, {"pid": pid})["pid"] == pid for name, pid in old.items()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.wait_ready()


def _check_that_no_worker_calls_an_old_result_fresh(queries: Saved) -> None:
    """Whichever worker took the event, and whichever is asked, while others ask all the time."""
    for number in range(3):
        name, other = f"e{number}", {**SUM, "event_collection": f"e{number}"}
        queries.served.record(queries.project, name, {"price": 1})
        queries.put(name, other, refresh_rate=HOURS_4)
        with ThreadPoolExecutor(8) as pool:
            fresh = list(pool.map(queries.result, [name] * 16))
            assert {one["result"] for one in fresh} == {1}
            assert not any(one["run_information"]["stale"] for one in fresh)
            query_service = [pool.submit(queries.result, name) for _ in range(8)]
            queries.served.record(queries.project, name, {"price": 1})
            stale = list(pool.map(queries.result, [name] * 16))
        assert all(one["run_information"]["stale"] for one in stale)
        assert {one.result()["result"] for one in query_service} == {1}


def test_the_runner_computes_what_nobody_asks_for_and_results_outlive_the_workers() -> None:
    with Served(workers=2, env={"ACUMEN_QUERY_GROUPS_MAX": "3"}) as server:
        queries = Saved(server, server.project)
        server.record(server.project, "c", {"price": 1, "user": {"id": "a"}})
        server.record(server.project, "d", *({"price": 1, "user": {"id": f"{n}"}} for n in range(9)))
        queries.put("n", {**SUM, "group_by": "user.id"}, refresh_rate=HOURS_4)
        queries.put("m", {**SUM, "event_collection": "d", "group_by": "user.id"}, refresh_rate=HOURS_4)
        run = _await_run(queries, "m")
        assert (run["last_run_status"], run["stale"], run["events_scanned"]) == ("failed", None, None)
        assert "groups" in run["last_run_message"]
        assert _seconds(run["next_run_date"]) < _seconds(run["last_run_date"]) + 100
        assert queries.get("/m/result").status == 400
        run = _await_run(queries, "n")
        first = queries.result("n")
        assert (first["result"], first["run_information"]) == ([{"user.id": "a", "result": 1}], run)
        _check_that_no_worker_calls_an_old_result_fresh(queries)
        _replace_workers(server)
        assert queries.result("n") == first
        for file in (server.data / "results").iterdir():
            file.write_bytes(b"2")
        server.record(server.project, "c", {"price": 1, "user": {"id": "a"}})
        assert queries.result("n")["result"] == [{"user.id": "a", "result": 2}], "a damaged one is made again"


def _key(queries: Saved, *permitted: str, **options: Any) -> str:
    """An access key."""
    path = f"/3.0/projects/{queries.project.id}/keys"
    body = {"name": "k", "is_active": True, "permitted": list(permitted), "options": options}
    reply = queries.served.request("POST", path, body, key=queries.project.master_key)
    assert reply.status == 201, reply.body
    return str(reply.json["key"])


def _equal(path: str, value: str) -> list[dict[str, str]]:
    return [{"property_name": path, "operator": "eq", "property_value": value}]


@pytest.mark.parametrize("rate", [0, HOURS_4])
def test_a_key_with_filters_is_told_its_own_result_and_nothing_else(queries: Saved, rate: int) -> None:
    hidden = [{"property_name": "user.id", "operator": "ne", "property_value": "hidden"}]
    metadata = {"display_name": "S", "visualization": {"chart_type": "metric"}, "note": "hidden"}
    queries.put("n", {**SUM, "filters": hidden}, refresh_rate=rate, metadata=metadata)
    whole = queries.result("n")
    assert whole["result"] == 10
    rights = ("saved_queries", "cached_queries", "query_definition")
    keys = [_key(queries, *rights, saved_queries={"filters": _equal("user.id", "u1")}) for _ in range(2)]
    first = queries.get("/n/result", keys[0])
    assert (first.status, first.json["result"]) == (200, 5)
    assert b"hidden" not in first.body
    assert first.json["query"] == {**whole["query"], "filters": []}
    assert first.json["metadata"] == {"display_name": "S", "visualization": {"chart_type": "metric"}}
    assert queries.get("/n/result", keys[1]).json == first.json, "keys with the same filters share it"
    shown = queries.get("/n", keys[0])
    assert b"hidden" not in shown.body
    assert shown.json["run_information"] == first.json["run_information"]
    if rate:
        assert first.json["run_information"]["events_scanned"] == 2
        queries.served.record(queries.project, "c", {"price": 5, "user": {"id": "u2"}})
        assert queries.get("/n/result", keys[0]).json == first.json, "what it cannot see changes nothing"
        assert queries.result("n")["run_information"]["stale"] is True
    assert queries.result("n")["result"] == 10


def test_a_key_sees_of_runs_what_it_may_have_the_results_of(queries: Saved) -> None:
    queries.put("n", refresh_rate=HOURS_4)
    queries.result("n")
    assert queries.get("/n", _key(queries, "query_definition")).json["run_information"] is None
    assert queries.get("/n/result", _key(queries, "saved_queries")).status == 403
    blocked = _key(queries, "cached_queries", cached_queries={"blocked": ["n"]})
    assert queries.get("/n/result", blocked).status == 403
    assert queries.get("/n/result", _key(queries, "cached_queries")).status == 200


def test_deleted_events_are_in_no_result_any_more_nor_are_its_bytes(queries: Saved) -> None:
    served, project = queries.served, queries.project
    served.record(project, "c", {"price": 50, "user": {"id": "gone-forever"}})
    query = {**SUM, "group_by": "user.id"}
    queries.put("n", query, refresh_rate=HOURS_4)
    queries.put("m", {**query, "analysis_type": "count"}, refresh_rate=HOURS_4)
    assert "gone-forever" in str(queries.result("n")), "kept, and held in memory"
    queries.result("m")
    path = f"/3.0/projects/{project.id}/events/c?filters={quote(dumps(_equal('user.id', 'gone-forever')))}"
    assert served.request("DELETE", path, key=project.master_key).status == 204
    assert "gone-forever" not in str(queries.result("n"))
    assert queries.result("n")["run_information"]["stale"] is False
    deadline = time.monotonic() + 120
    while any(b"gone-forever" in file for file in _bytes_of(served.data / "results")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _bytes_of(folder: Path) -> list[bytes]:
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found.append(path.read_bytes())
    return found


def test_a_result_of_what_is_not_there_is_stale_once_it_is_and_erased_once_it_was(queries: Saved) -> None:
    queries.put("n", {**SUM, "event_collection": "later"}, refresh_rate=HOURS_4)
    assert queries.result("n")["result"] == 0
    queries.served.record(queries.project, "later", {"price": 1})
    later = queries.result("n")
    # The runner may have refreshed it meanwhile, since it was new; otherwise it is stale.
    assert (later["result"], later["run_information"]["stale"]) in ((0, True), (1, False))
    path = f"/3.0/projects/{queries.project.id}/events/later"
    assert queries.served.request("DELETE", path, key=queries.project.master_key).status == 204
    again = queries.result("n")
    assert (again["result"], again["run_information"]["stale"]) == (0, False)
