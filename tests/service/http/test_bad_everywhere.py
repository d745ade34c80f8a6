"""What is wrong with a request whatever its route: tried at every route that the OpenAPI document describes.

``test_bad_input`` has the rules of single routes; here a new route is held to those that all share.
"""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from service.http.app import AREAS
from service.http.openapi.operation import Example, Operation, parameters_of
from tests.service.http.test_openapi_examples import DOCUMENT, KEYS, filled, names_of, people_of
from tests.support.server import SESSION_COOKIE, Reply, Served

# Requests here wait for the end of the answer, and a tail has none: test_live_tail.py sends it bad ones.
OPERATIONS = [one for area in AREAS for one in area.operations if not one.path.endswith("/tail")]
KEYED = [one for one in OPERATIONS if not one.open]


def body_of(operation: Operation) -> dict[str, Any] | None:
    """The schema of its body, None where it has none."""
    body = DOCUMENT["paths"][operation.path][operation.method].get("requestBody")
    return None if body is None else body["content"]["application/json"]["schema"]


TAKES_FILES = "/3.0/projects/{project_id}/imports"
"""Its body is a file, which may be no JSON."""
WITH_BODY = [one for one in KEYED if body_of(one) is not None and one.path != TAKES_FILES]


@dataclass(frozen=True)
class Fault:
    """A body that no route takes, and what it is told."""

    rule: str
    status: int
    code: str | None
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    typed: bool = False
    """Only where the body is an object."""


FAULTS = [
    Fault("nothing", 400, "InvalidJSONError", b""),
    Fault("cut off", 400, "InvalidJSONError", b'{"a":'),
    Fault("no UTF-8", 400, "InvalidJSONError", b'{"a":[{"b":"\xff"}]}'),
    Fault("UTF-16", 400, "InvalidJSONError", '{"a":1}'.encode("utf-16")),
    Fault("NaN", 400, "InvalidJSONError", b'{"a":NaN}'),
    Fault("no end of brackets", 400, None, b"[" * 100_000),
    Fault("no such packing", 415, "UnsupportedEncodingError", b"{}", {"Content-Encoding": "snappy"}),
    Fault("badly packed", 400, "InvalidEncodingError", b"{}", {"Content-Encoding": "gzip"}),
    Fault("badly packed JSON", 400, "InvalidJSONError", gzip.compress(b"{"), {"Content-Encoding": "gzip"}),
    Fault("far too long", 413, "RequestTooLargeError", b"", {"Content-Length": "999999999999"}),
    Fault("a list", 400, None, b"[]", typed=True),
    Fault("null", 400, None, b"null", typed=True),
    Fault("a text", 400, None, b'"a"', typed=True),
    Fault("a number", 400, None, b"7", typed=True),
]
ODD_NAMES = [
    "%00",
    "%FF",
    "%ED%A0%80",
    "%2F",
    "..%2F..%2Fx",
    "a%0D%0Ab",
    "%20",
    "'%20OR%201=1--",
    "n" * 5_000,
]

ODD_VALUES = ["", "%00", "%FF", "-1", str(2**63 - 1), str(2**63), "1" + "0" * 40, "1e400", "[", "n" * 2_000]


def label(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.fixture(scope="module")
def names(served: Served) -> dict[str, str]:
    project = served.new_project("Everywhere")
    return names_of(project, served.project) | people_of(served, project)


def best(operation: Operation) -> Example:
    """An example that succeeds, for its key and its path; where none can, another."""
    return min(operation.examples, key=lambda one: one.status >= 400)


def path_of(operation: Operation, names: Mapping[str, str], **odd: str) -> str:
    path = operation.path
    for name, value in {**best(operation).path, **odd}.items():
        path = path.replace("{" + name + "}", value)
    return filled(path, names)  # type: ignore[no-any-return]


def key_of(operation: Operation, names: Mapping[str, str]) -> str:
    """That of the example; pixels have theirs in the query."""
    return names[KEYS[best(operation).key or "master"]]


def send(served: Served, method: str, path: str, key: str | None, body: bytes | None, headers: Any) -> Reply:
    """As it is told, with no library to put it right."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    try:
        connection.putrequest(method.upper(), quote(path, safe="/%?&=.'-"), skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None and "Content-Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        if key is not None and key.startswith(SESSION_COOKIE):
            connection.putheader("Cookie", key)
            key = "session"
        if key is not None:
            connection.putheader("Authorization", key)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        )
    finally:
        connection.close()


def check_error(reply: Reply, what: Any) -> None:
    assert 400 <= reply.status < 500, (what, reply.status, reply.body[:300])
    assert reply.headers["access-control-allow-origin"] == "*", what
    error = json.loads(reply.body)
    if "jsonrpc" in error:
        # The protocol's own form.
        assert error["error"].keys() == {"code", "message"}, (what, reply.body[:300])
        return
    assert error.keys() == {"message", "error_code"}, (what, reply.body[:300])
    assert all(isinstance(text, str) and text for text in error.values()), (what, reply.body[:300])


def faults_of(operation: Operation) -> Iterator[Fault]:
    """Those that this route must tell."""
    body = body_of(operation) or {}
    typed = body.get("type") == "object" or "$ref" in body
    for fault in FAULTS:
        if fault.typed and not typed:
            continue
        yield fault


@pytest.mark.parametrize("operation", WITH_BODY, ids=label)
def test_a_body_that_cannot_be_read_is_told_why(
    served: Served, names: dict[str, str], operation: Operation
) -> None:
    path, key = path_of(operation, names), key_of(operation, names)
    # A thing that is not there may be told before its body is read.
    absent = set(parameters_of(operation.path)) - {"project_id", "organization_id", "event_collection"}
    for fault in faults_of(operation):
        reply = send(served, operation.method, path, key, fault.body, fault.headers)
        check_error(reply, fault.rule)
        if absent and reply.status == 404:
            continue
        assert reply.status == fault.status, (fault.rule, reply.body[:300])
        if "jsonrpc" not in reply.json:
            assert fault.code in (None, reply.json["error_code"]), (fault.rule, reply.body[:300])


@pytest.mark.parametrize("operation", KEYED, ids=label)
def test_keys_and_projects_are_looked_at_first(
    served: Served, names: dict[str, str], operation: Operation
) -> None:
    """A wrong key is a 401 and an unknown project a 404, whatever the body."""
    path = path_of(operation, names)
    body = b"{" if operation in WITH_BODY else None
    for key in (None, "wrong", "0" * 96, "\xff"):
        reply = send(served, operation.method, path, key, body, {})
        check_error(reply, key)
        assert reply.status == 401, (key, reply.body[:300])
    if "project_id" in parameters_of(operation.path):
        path = path_of(operation, {**names, "project_id": "0" * 24})
        reply = send(served, operation.method, path, key_of(operation, names), body, {})
        check_error(reply, path)
        assert reply.status == 404, reply.body[:300]


@pytest.mark.parametrize("operation", OPERATIONS, ids=label)
def test_no_name_in_a_path_breaks_the_server(
    served: Served, names: dict[str, str], operation: Operation
) -> None:
    body = b"{}" if operation in WITH_BODY else None
    for name in parameters_of(operation.path):
        for odd in ODD_NAMES:
            path = path_of(
                operation, {one: text for one, text in names.items() if one != name}, **{name: odd}
            )
            reply = send(served, operation.method, path, key_of(operation, names), body, {})
            assert reply.status < 500, (path[:300], reply.body[:300])
            if reply.status >= 400:
                check_error(reply, path[:300])


@pytest.mark.parametrize("operation", OPERATIONS, ids=label)
def test_a_slash_within_a_name_is_none_between_names(
    served: Served, names: dict[str, str], operation: Operation
) -> None:
    path = path_of(operation, names)
    body = b"{}" if operation in WITH_BODY else None
    for position in [at for at, character in enumerate(path.partition("?")[0]) if character == "/"][1:]:
        odd = path[:position] + "%2F" + path[position + 1 :]
        reply = send(served, operation.method, odd, key_of(operation, names), body, {})
        assert reply.status < 500, (odd, reply.body[:300])
        if reply.status >= 400:
            check_error(reply, odd)


def query_names(operation: Operation) -> list[str]:
    """The described parameters of its query."""
    described = DOCUMENT["paths"][operation.path][operation.method].get("parameters", [])
    shared = DOCUMENT["components"]["parameters"]
    whole = [shared[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in described]
    return [one["name"] for one in whole if one["in"] == "query"]


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if query_names(one)], ids=label)
def test_no_value_in_a_query_breaks_the_server(
    served: Served, names: dict[str, str], operation: Operation
) -> None:
    """Among them whole numbers that no row of the catalog can have."""
    path, key = path_of(operation, names), key_of(operation, names)
    given = filled("&".join(f"{name}={value}" for name, value in best(operation).query.items()), names)
    body = b"{}" if operation in WITH_BODY else None
    for name in query_names(operation):
        for odd in ODD_VALUES:
            asked = f"{path}?{given}&{name}={odd}"
            reply = send(served, operation.method, asked, key, body, {})
            assert reply.status < 500, (asked[:300], reply.body[:300])
            if reply.status >= 400 and reply.headers["content-type"] == "application/json":
                check_error(reply, asked[:300])
