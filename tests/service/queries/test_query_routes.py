"""Questions over HTTP: methods, wrappings, junk around them, limits, and what ends them early."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from query.language.parameter_table import ANALYSES
from tests.support.server import Served, ServedProject


@pytest.fixture
def base(served: Served, project: ServedProject) -> str:
    """The queries of a project with three purchases."""
    served.record(project, "purchases", *({"price": price, "item": "tea"} for price in (1, 2, 4.5)))
    return f"/3.0/projects/{project.id}/queries"


def test_get_and_post_answer_alike(served: Served, project: ServedProject, base: str) -> None:
    filters = [{"property_name": "price", "operator": "gt", "property_value": 1}]
    params = {
        "event_collection": "purchases",
        "target_property": "price",
        "filters": filters,
        "group_by": "item",
    }
    posted = served.request("POST", f"{base}/sum", params, key=project.read_key)
    query = (
        f"event_collection=purchases&target_property=price&group_by=item&filters={quote(json.dumps(filters))}"
    )
    got = served.request("GET", f"{base}/sum?{query}", key=project.read_key)
    assert posted.json == got.json == {"result": [{"item": "tea", "result": 6.5}]}
    assert "error_code" not in got.json


def test_head_answers_as_get_without_a_body(served: Served, project: ServedProject, base: str) -> None:
    reply = served.request("HEAD", f"{base}/count?event_collection=purchases", key=project.read_key)
    assert (reply.status, reply.body) == (200, b"")
    assert served.request("HEAD", f"{base}/count", key=project.read_key).status == 400


@pytest.mark.parametrize(
    "query",
    [
        "?&api_key={key}&event_collection=purchases",
        "?event_collection=purchases&api_key={key}&",
        "?event_collection=purchases&&api_key={key}&&",
        "??event_collection=purchases&api_key={key}",
        "?event_collection=purchases&api_key={key}&analysis_type=sum&callback=f&_=17",
        "?event_collection=purchases&api_key={key}&timezone=0&timeframe=this_1_days",
    ],
)
def test_junk_around_the_parameters_is_ignored(
    served: Served, project: ServedProject, base: str, query: str
) -> None:
    reply = served.request("GET", f"{base}/count{query.format(key=project.read_key)}")
    assert reply.json == {"result": 3}, reply.body


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", ""])
def test_a_body_is_json_whatever_it_says_it_is(
    served: Served, project: ServedProject, base: str, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    body = {"event_collection": "purchases", "analysis_type": "sum"}
    reply = served.request("POST", f"{base}/count", body, key=project.read_key, headers=headers)
    assert reply.json == {"result": 3}


def test_a_body_may_be_compressed(served: Served, project: ServedProject, base: str) -> None:
    body = gzip.compress(b'{"event_collection":"purchases"}')
    headers = {"Content-Encoding": "gzip"}
    reply = served.request("POST", f"{base}/count", body, key=project.read_key, headers=headers)
    assert reply.json == {"result": 3}


def test_of_duplicate_keys_the_last_counts(served: Served, project: ServedProject, base: str) -> None:
    body = b'{"event_collection":"nope","event_collection":"purchases"}'
    assert served.request("POST", f"{base}/count", body, key=project.read_key).json == {"result": 3}


def test_jsonp_calls_the_function(served: Served, project: ServedProject, base: str) -> None:
    path = f"{base}/count?event_collection=purchases&api_key={project.read_key}&jsonp=keen.cb1[0]"
    reply = served.request("GET", path)
    assert reply.body == b'keen.cb1[0]({"result":3});'
    assert reply.headers["content-type"].startswith("text/javascript")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_script_is_told_errors_too(served: Served, project: ServedProject, base: str) -> None:
    for query, status in ((f"api_key={project.read_key}", 400), ("api_key=wrong", 401)):
        reply = served.request("GET", f"{base}/count?{query}&jsonp=cb")
        assert reply.status == status
        assert set(json.loads(reply.body.removeprefix(b"cb(").removesuffix(b");"))) == {
            "message",
            "error_code",
        }
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["alert(1)", "a;b", "1a", "a b", "<script>", "a.", ".a", "a[b]", "é", "a" * 200]
)
def test_a_callback_that_is_no_name_is_refused(
    served: Served, project: ServedProject, base: str, name: str
) -> None:
    query = f"event_collection=purchases&api_key={project.read_key}&jsonp={quote(name)}"
    reply = served.request("GET", f"{base}/count?{query}")
    assert reply.status == 400
    assert reply.json["error_code"] == "InvalidParameterError"
    assert reply.headers["content-type"] == "application/json"


NOWHERE = {"event_collection": 'no"where\r\nSet-Cookie: a=b'}
OF_NOWHERE: dict[str, dict[str, Any]] = {
    "funnel": {"steps": [NOWHERE], "actor_property": "who"},
    "series": {"series": {"n": {"analysis_type": "count", **NOWHERE}}},
    "sessions": {**NOWHERE, "actor_property": "who"},
    "paths": {**NOWHERE, "actor_property": "who"},
    "lifecycle": {**NOWHERE, "actor_property": "who", "timeframe": "this_2_days", "interval": "daily"},
    "stickiness": {**NOWHERE, "actor_property": "who", "timeframe": "this_2_days", "interval": "daily"},
    "retention": {
        "starting_event": NOWHERE,
        "actor_property": "who",
        "timeframe": "this_2_days",
        "interval": "daily",
    },
}
"""The parameters of analyses that take others than most."""


@pytest.mark.parametrize("analysis", sorted(ANALYSES))
def test_a_missing_collection_is_an_empty_answer_with_a_warning(
    served: Served, project: ServedProject, analysis: str
) -> None:
    of_most = {"target_property": "p", "percentile": 50, "analyses": {"n": {"analysis_type": "count"}}}
    params = OF_NOWHERE.get(analysis, {**NOWHERE, **of_most})
    path = f"/3.0/projects/{project.id}/queries/{analysis}"
    reply = served.request("POST", path, params, key=project.read_key)
    assert reply.status == 200, reply.body
    assert reply.headers["warning"].startswith('199 acumen "')
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("path", ["nope", "count/", "saved/n/o", "Count", ""])
def test_an_unknown_query_is_no_route(served: Served, project: ServedProject, base: str, path: str) -> None:
    reply = served.request("GET", f"{base}/{path}", key=project.read_key)
    assert reply.status == 404
    assert reply.json["error_code"] == "ResourceNotFoundError"


SLOW = {
    "event_collection": "numbers",
    "target_property": "n",
    "filters": [
        {
            "operator": "or",
            "operands": [
                {"property_name": "text", "operator": "regex", "property_value": f"[ab]+c[ab]+{number}"}
                for number in range(150)
            ],
        }
    ],
}
"""Many seconds of looking for what is not there."""


@pytest.fixture(scope="module")
def limited() -> Iterator[Served]:
    """One slot, a short queue and a short run."""
    env = {
        "ACUMEN_QUERY_SLOTS": "1",
        "ACUMEN_QUERY_QUEUE_MAX": "1",
        "ACUMEN_QUERY_TIMEOUT_SECONDS": "0.3",
        "ACUMEN_THREADS": "1",
    }
    with Served(env=env) as server:
        project = server.project
        for _ in range(8):
            events = [{"n": n, "text": "ab" * 400} for n in range(4_000)]
            server.record(project, "numbers", *events)
        yield server


def test_a_query_that_runs_too_long_is_a_504(limited: Served) -> None:
    project = limited.project
    path = f"/3.0/projects/{project.id}/queries/count_unique"
    reply = limited.request("POST", path, SLOW, key=project.read_key)
    assert reply.status == 504, reply.body[:200]
    assert reply.json["error_code"] == "QueryTimeoutError"


def test_more_queries_than_may_wait_are_refused(limited: Served) -> None:
    project = limited.project
    path = f"/3.0/projects/{project.id}/queries/count_unique"

    def ask(_: int) -> int:
        reply = limited.request("POST", path, SLOW, key=project.read_key)
        if reply.status == 429:
            assert reply.headers["retry-after"]
            assert reply.json["error_code"] == "RateLimitExceededError"
        return reply.status

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(ask, range(6)))
    assert 429 in statuses
    assert 504 in statuses


def test_a_client_that_leaves_ends_its_query() -> None:
    with Served(env={"ACUMEN_QUERY_SLOTS": "1", "ACUMEN_THREADS": "1"}) as server:
        project = server.project
        for _ in range(8):
            server.record(project, "numbers", *({"n": n, "text": "ab" * 400} for n in range(4_000)))
        body = json.dumps(SLOW).encode()
        head = (
            f"POST /3.0/projects/{project.id}/queries/count_unique HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {project.read_key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body)
            _await_metric(server, "acumen_queries_running 1.0")
        _await_metric(server, "acumen_queries_running 0.0")
        _await_metric(server, 'acumen_queries_total{outcome="cancelled"} 1.0')


def _await_metric(server: Served, line: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while line not in server.request("GET", "/metrics").body.decode().splitlines():
        assert time.monotonic() < deadline, f"{line!r} never came"
        time.sleep(0.01)


def test_answers_larger_than_the_limit_are_refused() -> None:
    with Served(env={"ACUMEN_RESPONSE_BYTES_MAX": "2000"}) as server:
        project = server.project
        server.record(project, "c", *({"text": "x" * 100} for _ in range(100)))
        path = f"/3.0/projects/{project.id}/queries/extraction"
        reply = server.request("POST", path, {"event_collection": "c"}, key=project.read_key)
        assert reply.status == 400
        assert reply.json["error_code"] == "QueryLimitError"


def test_many_questions_at_once_are_all_answered(served: Served, project: ServedProject, base: str) -> None:
    def ask(_: int) -> int:
        result: int = served.ask(project, "count", event_collection="purchases")
        return result

    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(ask, range(100))) == {3}


def test_a_project_that_asks_without_end_leaves_others_a_free_slot() -> None:
    env = {"ACUMEN_QUERY_SLOTS": "2", "ACUMEN_QUERY_QUEUE_MAX": "64", "ACUMEN_THREADS": "1"}
    with Served(env=env) as server:
        greedy, modest = server.project, server.new_project("Modest")
        for _ in range(8):
            server.record(greedy, "numbers", *({"n": n, "text": "ab" * 400} for n in range(4_000)))
        server.record(modest, "few", {"n": 1})
        body = json.dumps(SLOW).encode()
        head = (
            f"POST /3.0/projects/{greedy.id}/queries/count_unique HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {greedy.read_key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
        try:
            for client in clients:
                client.sendall(head.encode() + body)
            _await_metric(server, "acumen_queries_waiting 5.0")
            assert server.ask(modest, "count", event_collection="few") == 1
            _await_metric(server, "acumen_queries_running 1.0")
        finally:
            for client in clients:
                client.close()
