"""CORS: on every answer of every path, whatever became of the request."""

from __future__ import annotations

import socket

import pytest

from tests.support.server import Reply, Served, ServedProject


def assert_readable_by_browsers(reply: Reply) -> None:
    assert reply.headers["access-control-allow-origin"] == "*"
    exposed = {name.strip().lower() for name in reply.headers["access-control-expose-headers"].split(",")}
    assert {"retry-after", "x-request-id"} <= exposed
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/", "/3.0/projects/nope/events/c", "/3.0/projects/nope/queries/count", "/what/ever", "/3.0/%2F"]
)
def test_a_preflight_is_answered_on_every_path_without_a_key(served: Served, path: str) -> None:
    asked = {
        "Origin": "https://example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,keen-sdk",
    }
    reply = served.request("OPTIONS", path, headers=asked)
    assert reply.status in (200, 204)
    allowed = {name.strip() for name in reply.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {"origin", "content-type", "accept", "authorization", "user-agent", "keen-sdk"}
    methods = {name.strip() for name in reply.headers["access-control-allow-methods"].split(",")}
    assert methods >= {"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"}
    assert_readable_by_browsers(reply)


def test_every_answer_can_be_read_by_a_browser(served: Served, project: ServedProject) -> None:
    base = f"/3.0/projects/{project.id}"
    asked = [
        ("GET", "/", None, None, 200),
        ("GET", "/health", None, None, 200),
        ("GET", "/nowhere", None, None, 404),
        ("PATCH", f"{base}/events/c", None, project.master_key, 405),
        ("DELETE", f"{base}/events/c", None, project.master_key, 404),
        ("POST", f"{base}/events/c", {"a": 1}, project.write_key, 201),
        ("POST", f"{base}/events", {"c": [{"a": 1}]}, project.write_key, 200),
        ("POST", f"{base}/events/c", b"{", project.write_key, 400),
        ("POST", f"{base}/events/c", {"a": 1}, "wrong", 401),
        ("POST", f"{base}/events/c", {"a": 1}, project.read_key, 403),
        ("GET", f"{base}/events/c?api_key={project.write_key}&data=e30=", None, None, 200),
        ("GET", f"{base}/queries/count?event_collection=c", None, project.read_key, 200),
        ("GET", f"{base}/queries/count", None, project.read_key, 400),
        ("GET", f"{base}/queries/count", None, "wrong", 401),
        ("HEAD", f"{base}/events", None, project.read_key, 200),
    ]
    for method, path, body, key, status in asked:
        reply = served.request(method, path, body, key=key)
        assert reply.status == status, (path, reply.body)
        assert_readable_by_browsers(reply)


def test_request_ids_differ(served: Served) -> None:
    ids = {served.request("GET", "/health").headers["x-request-id"] for _ in range(10)}
    assert len(ids) == 10


def test_options_of_the_whole_server_is_answered_without_a_failure(served: Served) -> None:
    """The one path without a slash; a 204 has no content-length."""
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b"")).lower()

    assert answer.startswith(b"http/1.1 204 ")
    assert b"access-control-allow-origin: *" in answer
    assert b"content-length" not in answer and b"transfer-encoding" not in answer
    request_id = answer.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
    served.request("GET", "/health")
    assert request_id not in served.output()
