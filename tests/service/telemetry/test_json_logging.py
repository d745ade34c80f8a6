"""Logs: JSON lines, without keys and events."""

from __future__ import annotations

import base64
import json
import logging
from urllib.parse import quote

import pytest

from service.telemetry import json_logging
from tests.support.server import Served

KEY = "A1B2C3D4E5F6A7B8C9D0"
EVENT = base64.b64encode(b'{"secret":"??>>"}').decode()


def line(message: str, query: str = "", authorization: str | None = None) -> str:
    headers = [(b"authorization", authorization.encode())] if authorization else []
    scope = {"headers": headers, "query_string": query.encode(), "path": "/"}
    token = json_logging.SECRETS.set(json_logging.secrets_of(scope))
    try:
        record = logging.LogRecord("acumen", logging.INFO, "", 0, message, None, None)
        return json_logging.JsonLines("test").format(record)
    finally:
        json_logging.SECRETS.reset(token)


def test_a_line_is_one_json_object() -> None:
    found = json.loads(line('two\nlines and a "quote"'))
    assert found["message"] == 'two\nlines and a "quote"'
    assert found["level"] == "info"


@pytest.mark.parametrize(
    ("message", "query"),
    [
        (f"wrong key {KEY}", f"api_key={KEY}"),
        (f"wrong key {KEY}", f"?&api_key={KEY}&&"),
        (f"GET /events?data={EVENT}", f"data={EVENT}"),
        (f"GET /events?data={quote(EVENT, safe='')}", f"data={quote(EVENT, safe='')}"),
        (f"the data {EVENT}", f"data={quote(EVENT, safe='')}"),
        (f"the data {EVENT}", f"data={EVENT.replace('+', ' ')}"),
    ],
)
def test_what_a_parameter_keeps_secret_is_blotted_out_wherever_it_turns_up(message: str, query: str) -> None:
    written = line(message, query)
    assert json_logging.BLOT in written
    assert KEY not in written
    assert EVENT not in written
    assert quote(EVENT, safe="") not in written


def test_the_authorization_header_is_blotted_out() -> None:
    assert KEY not in line(f"header {KEY}", authorization=KEY)


def test_of_parameters_only_known_names_are_shown() -> None:
    shown = json_logging.parameter_names(f"api_key={KEY}&timeframe=today&{KEY}&x={KEY}".encode())
    assert shown == ["api_key", "timeframe", "…"]


def test_a_server_that_logs_every_request_writes_no_key_and_no_event() -> None:
    """Every route, with good keys and bad ones, and a beacon."""
    with Served(env={"ACUMEN_ACCESS_LOG": "true", "ACUMEN_LOG_LEVEL": "debug"}) as server:
        project = server.new_project(master_key="M" * 40, write_key="W" * 40, read_key="R" * 40)
        base = f"/3.0/projects/{project.id}"
        data = base64.urlsafe_b64encode(b'{"who":"Ada Lovelace of London"}').decode()
        server.request("GET", f"{base}/events/c?api_key={'W' * 40}&data={data}")
        server.request("POST", f"{base}/events/c", {"who": "Grace Hopper"}, key="W" * 40)
        server.request("POST", f"{base}/events/c", b'{"who": "Grace Hop', key="W" * 40)
        server.request("GET", f"{base}/queries/count?event_collection=c&api_key={'R' * 40}")
        server.request("GET", f"{base}/queries/count?event_collection=c", key="B" * 40)
        server.request("GET", f"{base}/nowhere?api_key={'R' * 40}")
        made = server.request("POST", f"{base}/keys", {"name": "k", "permitted": []}, key="M" * 40).json[
            "key"
        ]
        assert server.request("POST", f"{base}/keys/{made}/revoke", key="M" * 40).status == 200
        server.request("GET", f"{base}/keys/{made}?x", key="B" * 40)
        server.stop()
        written = server.output().partition("Acumen answers")[2].split("\n\n")[-1]
        lines = [json.loads(one) for one in written.splitlines() if one.startswith("{")]
    access = [one for one in lines if one["logger"] == "acumen.access"]
    assert {one["status"] for one in access} >= {200, 201, 400, 401, 404}
    for secret in ("M" * 40, "W" * 40, "R" * 40, "B" * 40, made, data, "Lovelace", "Hopper"):
        assert secret not in written


def test_every_line_about_a_request_bears_the_id_that_its_answer_bears() -> None:
    with Served(env={"ACUMEN_ACCESS_LOG": "true"}) as served:
        project = served.project
        path = f"/3.0/projects/{project.id}/events"
        beacon = f"{path}/c?api_key={project.write_key}&data=e30="
        replies = [
            served.request("POST", f"{path}/c", {"a": 1}, key=project.write_key),
            served.request("POST", path, {"c": [{"a": 1}]}, key=project.write_key),
            served.request("POST", f"{path}/c", b"{", key=project.write_key),
            served.request("GET", beacon),
            served.request("GET", path, key=project.read_key),
        ]
        served.stop()
        lines = [json.loads(line) for line in served.output().splitlines() if line.startswith("{")]

    logged = [
        one["request_id"] for one in lines if one["logger"] == "acumen.access" and "events" in one["path"]
    ]
    assert [reply.status for reply in replies] == [201, 200, 400, 200, 200]
    assert logged == [reply.headers["x-request-id"] for reply in replies]
