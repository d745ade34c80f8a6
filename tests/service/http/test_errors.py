"""One shape for every error, on every path to one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.exceptions import HTTPException

from query import errors as query_errors
from service import errors
from service.bodies import reader
from service.errors import MethodNotAllowed
from service.http.error_rendering import render
from service.ingest import errors as collect_errors
from storage.catalog.errors import CatalogBusy, CountsDisagree, UnknownCollection, UnknownProject
from storage.log.errors import Backpressure, LogDamaged, LogUnavailable
from storage.read.snapshot_reader import SnapshotUnstable
from tests.support.server import Reply, Served, ServedProject

RENDERED: list[tuple[Exception, int, str]] = [
    (errors.NotFound(), 404, "ResourceNotFoundError"),
    (errors.MethodNotAllowed("GET"), 405, "MethodNotAllowedError"),
    (errors.InvalidKey(), 401, "InvalidApiKeyError"),
    (errors.AdminOnly(), 401, "AdminOnlyEndpointError"),
    (errors.Forbidden(), 403, "ForbiddenError"),
    (errors.InvalidParameter("x"), 400, "InvalidParameterError"),
    (errors.InvalidJSON("x"), 400, "InvalidJSONError"),
    (errors.HeadersTooLarge(1), 431, "RequestHeadersTooLargeError"),
    (errors.RateLimited("x", 7), 429, "RateLimitExceededError"),
    (errors.ServiceUnavailable(), 503, "ServiceUnavailableError"),
    (query_errors.InvalidQuery("x", "InvalidFilterError"), 400, "InvalidFilterError"),
    (query_errors.InvalidQuery("x", "ResourceNotFoundError"), 404, "ResourceNotFoundError"),
    (query_errors.QueryLimitExceeded("x"), 400, "QueryLimitError"),
    (query_errors.QueryTimeout("x"), 504, "QueryTimeoutError"),
    (query_errors.QueryCancelled("x"), 503, "QueryCancelledError"),
    (query_errors.QueryOverloaded("x"), 429, "RateLimitExceededError"),
    (query_errors.QueryError("secret"), 500, "InternalServerError"),
    (reader.BodyTooLarge(1), 413, "RequestTooLargeError"),
    (reader.BodyTimeout(1), 408, "RequestTimeoutError"),
    (reader.BodiesOverloaded(), 503, "ServiceUnavailableError"),
    (reader.BodyEncodingUnknown("br"), 415, "UnsupportedEncodingError"),
    (reader.BodyEncodingBroken("gzip"), 400, "InvalidEncodingError"),
    (reader.ClientGone(), 400, "ClientGoneError"),
    (collect_errors.InvalidBatch("InvalidBatchError", "x"), 400, "InvalidBatchError"),
    (collect_errors.EventRefused("InvalidPropertyNameError", "x"), 400, "InvalidPropertyNameError"),
    (collect_errors.KeyReused(), 409, "IdempotencyKeyReusedError"),
    (collect_errors.IngestUnavailable("x"), 503, "ServiceUnavailableError"),
    (Backpressure("x"), 503, "ServiceUnavailableError"),
    (LogUnavailable("x"), 503, "ServiceUnavailableError"),
    (CatalogBusy("x"), 503, "ServiceUnavailableError"),
    (SnapshotUnstable("x"), 503, "ServiceUnavailableError"),
    (UnknownProject("x"), 404, "ResourceNotFoundError"),
    (UnknownCollection("x"), 404, "ResourceNotFoundError"),
    (HTTPException(404), 404, "ResourceNotFoundError"),
    (HTTPException(418, "teapot"), 418, "RequestError"),
    (LogDamaged(Path("secret"), 3, "x"), 500, "InternalServerError"),
    (CountsDisagree("secret"), 500, "InternalServerError"),
    (ZeroDivisionError("secret"), 500, "InternalServerError"),
]


@pytest.mark.parametrize(("error", "status", "code"), RENDERED, ids=lambda value: type(value).__name__)
def test_every_error_has_a_status_a_code_and_a_message(error: Exception, status: int, code: str) -> None:
    answer = render(error)
    body = orjson.loads(answer.body)
    assert list(body) == ["message", "error_code"]
    assert (answer.status, body["error_code"]) == (status, code)
    assert body["message"]
    assert answer.headers["content-type"] == "application/json"
    assert ("retry-after" in answer.headers) is (status in (429, 503))


def test_what_nobody_expected_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = render(ZeroDivisionError("the inside"))
    assert b"inside" not in answer.body
    assert caplog.records[-1].exc_info is not None


def test_a_message_may_quote_what_is_no_text() -> None:
    assert orjson.loads(render(errors.InvalidParameter("bad \ud800")).body)["message"] == "bad ?"


def test_the_allowed_methods_are_named() -> None:
    answer = render(MethodNotAllowed("GET, OPTIONS, POST"))
    assert answer.headers["allow"] == "GET, OPTIONS, POST"


def assert_error(reply: Reply, status: int, code: str) -> None:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json) == ["message", "error_code"]
    assert reply.json["error_code"] == code


UPDATE = {"property_updates": [{"property_name": "a", "property_value": 1}]}
BAD: list[tuple[str, str, Any, str, int, str]] = [
    # method, path below the project, body, key, status, code
    ("GET", "/nope", None, "master", 404, "ResourceNotFoundError"),
    ("GET", "/queries/nope", None, "master", 404, "ResourceNotFoundError"),
    ("PUT", "/queries/saved/n/o", {}, "master", 404, "ResourceNotFoundError"),
    ("DELETE", "/queries/count", None, "master", 405, "MethodNotAllowedError"),
    ("PATCH", "/events/c", {}, "master", 405, "MethodNotAllowedError"),
    (
        "PUT",
        "/events/none",
        {"property_updates": [{"property_name": "a", "property_value": 1}]},
        "master",
        404,
        "ResourceNotFoundError",
    ),
    ("DELETE", "/events/none", None, "master", 404, "ResourceNotFoundError"),
    ("POST", "/events/c/properties/p", {}, "master", 405, "MethodNotAllowedError"),
    ("POST", "/organization-usage", {}, "master", 405, "MethodNotAllowedError"),
    ("GET", "/events/c", None, "master", 404, "ResourceNotFoundError"),
    ("GET", "/events/c/properties/p", None, "master", 404, "ResourceNotFoundError"),
    ("GET", "/queries/count", None, "none", 401, "InvalidApiKeyError"),
    ("GET", "/queries/count", None, "write", 403, "ForbiddenError"),
    ("GET", "/organization-usage", None, "read", 401, "AdminOnlyEndpointError"),
    ("GET", "/queries/count", None, "read", 400, "MissingRequiredRequestFieldError"),
    ("GET", "/queries/sum?event_collection=c", None, "read", 400, "MissingRequiredRequestFieldError"),
    (
        "GET",
        "/queries/count?event_collection=c&timeframe=soon",
        None,
        "read",
        400,
        "TimeframeDefinitionError",
    ),
    ("GET", "/queries/count?event_collection=c&filters=%5B", None, "read", 400, "InvalidJSONError"),
    ("POST", "/queries/count", b"", "read", 400, "InvalidJSONError"),
    ("POST", "/queries/count", b"{", "read", 400, "InvalidJSONError"),
    ("POST", "/queries/count", b"NaN", "read", 400, "InvalidJSONError"),
    ("POST", "/queries/count", b'{"event_collection": "\xff"}', "read", 400, "InvalidJSONError"),
    ("POST", "/queries/count", b"[" * 100_000, "read", 400, "InvalidJSONError"),
    ("POST", "/queries/count", [], "read", 400, "InvalidParameterError"),
    ("POST", "/queries/count", b"1" * 10_000, "read", 400, "InvalidJSONError"),
    ("POST", "/queries/count", {"event_collection": 1}, "read", 400, "InvalidParameterError"),
    ("POST", "/queries/count", b" " * 10_000_001, "read", 413, "RequestTooLargeError"),
]


@pytest.mark.parametrize(("method", "path", "body", "who", "status", "code"), BAD)
def test_bad_requests(
    served: Served,
    project: ServedProject,
    method: str,
    path: str,
    body: Any,
    who: str,
    status: int,
    code: str,
) -> None:
    keys = {"master": project.master_key, "write": project.write_key, "read": project.read_key}
    reply = served.request(method, f"/3.0/projects/{project.id}{path}", body, key=keys.get(who))
    assert_error(reply, status, code)


@pytest.mark.parametrize(
    "path", ["/nope", "/2.0/projects", "/3.0/", "/3.0/projects/", "//", "/3.0/projects//events"]
)
def test_unknown_routes(served: Served, path: str) -> None:
    assert_error(served.request("GET", path), 404, "ResourceNotFoundError")


@pytest.mark.parametrize(
    ("encoding", "body", "status", "code"),
    [
        ("br", b"{}", 415, "UnsupportedEncodingError"),
        ("gzip", b"{}", 400, "InvalidEncodingError"),
        ("deflate", b"\xff\xff", 400, "InvalidEncodingError"),
    ],
)
def test_bodies_in_an_encoding_that_is_unknown_or_broken(
    served: Served, project: ServedProject, encoding: str, body: bytes, status: int, code: str
) -> None:
    path = f"/3.0/projects/{project.id}/queries/count"
    headers = {"Content-Encoding": encoding}
    assert_error(served.request("POST", path, body, key=project.read_key, headers=headers), status, code)


def test_a_small_body_that_inflates_beyond_the_limit(served: Served, project: ServedProject) -> None:
    import gzip

    bomb = gzip.compress(b" " * 20_000_000)
    path = f"/3.0/projects/{project.id}/queries/count"
    headers = {"Content-Encoding": "gzip"}
    reply = served.request("POST", path, bomb, key=project.read_key, headers=headers)
    assert_error(reply, 413, "RequestTooLargeError")


@pytest.mark.parametrize("query", ["jsonp=a(b", "jsonp=a(b&data=e30=", "redirect=javascript:1&data=e30="])
def test_a_bad_callback_or_redirect_is_told_after_the_project_and_the_key(
    served: Served, project: ServedProject, query: str
) -> None:
    route = "events/c" if "data" in query else "queries/count"
    unknown = served.request("GET", f"/3.0/projects/nowhere/{route}?{query}")
    bad_key = served.request("GET", f"/3.0/projects/{project.id}/{route}?{query}", key="bad")
    allowed = served.request("GET", f"/3.0/projects/{project.id}/{route}?{query}", key=project.master_key)
    assert [reply.status for reply in (unknown, bad_key, allowed)] == [404, 401, 400]
    assert allowed.json["error_code"] == "InvalidParameterError"


def test_a_script_is_told_that_there_is_no_such_analysis(served: Served, project: ServedProject) -> None:
    path = f"/3.0/projects/{project.id}/queries/counting?jsonp=told&api_key={project.read_key}"
    reply = served.request("GET", path)
    assert reply.status == 404
    assert reply.body.startswith(b"told({") and b"ResourceNotFoundError" in reply.body
