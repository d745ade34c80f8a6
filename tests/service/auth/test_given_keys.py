"""Keys and what goes with them, given twice, in the habit of other APIs, or beside each other."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from tests.service.http.test_fast_path import numbers, wire
from tests.service.intake import run
from tests.support.server import Served, ServedProject


def answer(
    served: Served, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b""
) -> tuple[int, dict[str, str]]:
    """The status and the JSON of an answer to a request whose headers may be repeated."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    try:
        connection.putrequest(method, path)
        for name, value in [*headers, ("content-length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text.startswith(b"{") else {}
    finally:
        connection.close()


ROUTES = [
    ("POST", "events/c", b'{"n":1}', "write"),
    ("POST", "events", b'{"c":[{"n":1}]}', "write"),
    ("GET", "events/c?data=e30", b"", "write"),
    ("GET", "queries/count?event_collection=c", b"", "read"),
    ("POST", "queries/count", b'{"event_collection":"c"}', "read"),
    ("GET", "events", b"", "read"),
    ("GET", "queries/saved", b"", "master"),
    ("DELETE", "events/c", b"", "master"),
    ("GET", "keys", b"", "master"),
    ("GET", "", b"", "master"),
]


@pytest.mark.parametrize(("method", "path", "body", "key"), ROUTES)
def test_two_keys_of_one_kind_are_refused_on_every_route(
    served: Served, project: ServedProject, method: str, path: str, body: bytes, key: str
) -> None:
    good = getattr(project, f"{key}_key")
    base = f"/3.0/projects/{project.id}/{path}".rstrip("/")
    mark = "&" if "?" in base else "?"
    for twice in ([good, good], [good, "wrong"], ["", good], [good, ""]):
        headers = [("authorization", one) for one in twice]
        status, error = answer(served, method, base, headers, body)
        assert (status, error["error_code"]) == (400, "InvalidParameterError"), twice
        assert "'Authorization' is given twice" in error["message"]
        query = f"{mark}api_key={twice[0]}&api%5Fkey={twice[1]}"
        status, error = answer(served, method, base + query, [], body)
        assert (status, error["error_code"]) == (400, "InvalidParameterError"), twice
        assert "'api_key' is given twice" in error["message"]


@pytest.mark.parametrize("path", ["/", "/3.0", "/3.0/projects", "/health", "/timezones"])
def test_public_routes_refuse_them_too(served: Served, path: str) -> None:
    twice = [("authorization", "a"), ("authorization", "b")]
    assert answer(served, "GET", path, twice)[0] == 400


def test_a_header_beside_the_parameter_wins(served: Served, project: ServedProject) -> None:
    base = f"/3.0/projects/{project.id}/events/c?api_key="
    body = b'{"n":1}'
    right, wrong = [("authorization", project.write_key)], [("authorization", "wrong")]
    assert answer(served, "POST", f"{base}wrong", right, body)[0] == 201
    assert answer(served, "POST", base + project.write_key, wrong, body)[0] == 401
    assert answer(served, "POST", base + project.write_key, [("authorization", "")], body)[0] == 201


def test_the_express_lane_lets_no_second_key_pass(tmp_path: Path) -> None:
    async def go() -> None:
        async with wire(tmp_path) as w:
            key = w.it.project.write_key
            for first, second in ((key, key), ("", key), (key, "wrong")):
                w.send(w.request(b'{"n":1}', f"authorization: {second}", key=first))
                assert (await w.answer())[0] == 400
            w.send(w.request(b'{"n":2}'))
            assert (await w.answer())[0] == 201
            assert numbers(w.it) == [0, 2]

    run(go())


@pytest.mark.parametrize("name", ["idempotency-key", "content-encoding"])
def test_headers_that_change_what_a_body_means_come_once(
    served: Served, project: ServedProject, name: str
) -> None:
    headers = [("authorization", project.write_key), (name, "identity"), (name, "identity")]
    status, error = answer(served, "POST", f"/3.0/projects/{project.id}/events/c", headers, b'{"n":1}')
    assert (status, error["error_code"]) == (400, "InvalidParameterError")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "Token"])
def test_a_key_behind_a_scheme_is_told_to_stand_alone(
    served: Served, project: ServedProject, scheme: str
) -> None:
    for path in ("events/c", "queries/count"):
        headers = [("authorization", f"{scheme} {project.master_key}")]
        status, error = answer(served, "POST", f"/3.0/projects/{project.id}/{path}", headers, b"{}")
        assert status == 401
        assert f"leave out '{scheme.title()}'" in error["message"]
        assert project.master_key not in error["message"]
