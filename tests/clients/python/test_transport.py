"""Keys, errors, and what is sent again when no answer comes."""

from __future__ import annotations

import asyncio
import datetime as dt
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime

import pytest

from acumen_client import (
    NO_RETRIES,
    Acumen,
    AcumenError,
    AnswerTimeoutError,
    ApiError,
    AsyncAcumen,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    Retries,
    ServerError,
    TooLargeError,
    UnauthorizedError,
    UnreadableAnswerError,
)
from acumen_client.retries import retry_after_seconds
from tests.clients.python.conftest import options_for
from tests.clients.python.faulty_proxy import (
    FaultyProxy,
    answer,
    garbage_after,
    lose_answer,
    lose_request,
    overloaded,
    slow,
)
from tests.support.server import Served, ServedProject, free_port

QUICK = Retries(attempts=4, first_seconds=0.01, most_seconds=0.05)


def client_of(proxy: FaultyProxy, project: ServedProject, retries: Retries = QUICK) -> Acumen:
    return Acumen(
        proxy.url,
        project_id=project.id,
        write_key=project.write_key,
        read_key=project.read_key,
        master_key=project.master_key,
        retries=retries,
    )


def test_an_error_carries_what_the_server_said(client: Acumen) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.transport.request("GET", client.transport.project_path("events", "none"))
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (404, "ResourceNotFoundError", None)
    assert "none" in error.message
    assert error.request_id
    assert error.request_id in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, UnauthorizedError),
        (402, BadRequestError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, NotFoundError),
        (413, TooLargeError),
        (429, RateLimitedError),
        (500, ServerError),
        (503, ServerError),
        (301, ApiError),
    ],
)
def test_every_status_has_its_class(project: ServedProject, status: int, kind: type[ApiError]) -> None:
    body = b'{"message": "Because.", "error_code": "SomeError", "warnings": ["look here"]}'
    fault = answer(status, body, retry_after="7", x_request_id="r1", warning='299 - "odd \\"name\\""')
    with FaultyProxy(0, [fault]) as proxy, pytest.raises(kind) as caught:
        client_of(proxy, project, NO_RETRIES).transport.request("GET", "/")
    error = caught.value
    assert (error.status, error.code, error.message) == (status, "SomeError", "Because.")
    assert (error.retry_after, error.request_id) == (7.0, "r1")
    assert error.warnings == ('odd "name"', "look here")


def test_an_error_page_of_something_in_between_is_quoted(project: ServedProject) -> None:
    fault = answer(502, b"<h1>No upstream</h1>" + b"x" * 10_000)
    with FaultyProxy(0, [fault]) as proxy, pytest.raises(ServerError) as caught:
        client_of(proxy, project, NO_RETRIES).transport.request("GET", "/")
    assert caught.value.code == ""
    assert "No upstream" in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("fault", [overloaded(429), overloaded(503), answer(500), lose_request, lose_answer])
def test_what_is_harmless_to_repeat_is_sent_again(
    served: Served, project: ServedProject, method: str, fault: object
) -> None:
    """Here each request reaches a path that has GET only; a PUT is answered, and not sent again."""
    with FaultyProxy(served.port, [fault, fault]) as proxy, client_of(proxy, project) as client:  # type: ignore[list-item]
        if method == "GET":
            assert client.transport.request(method, "/3.0", key="none").status == 200
        else:
            with pytest.raises(BadRequestError) as caught:
                client.transport.request(method, "/3.0", key="none", json={})
            assert caught.value.status == 405
        assert proxy.requests == 3


def test_what_is_not_harmless_is_sent_again_only_if_nothing_was_done(
    served: Served, project: ServedProject
) -> None:
    with FaultyProxy(served.port) as proxy, client_of(proxy, project) as client:
        for fault, requests in ((overloaded(429), 2), (overloaded(503), 1), (lose_answer, 1)):
            proxy.faults, proxy.requests = [fault], 0
            try:
                client.transport.request("POST", client.transport.project_path("queries", "count"), json={})
            except AcumenError as error:
                assert not isinstance(error, RateLimitedError)
            assert proxy.requests == requests


def test_no_more_than_the_given_attempts(project: ServedProject) -> None:
    with FaultyProxy(0) as proxy, client_of(proxy, project) as client:
        proxy.always = overloaded()
        with pytest.raises(ServerError):
            client.transport.request("GET", "/")
        assert proxy.requests == QUICK.attempts


def test_retry_after_is_waited_for(served: Served, project: ServedProject) -> None:
    with FaultyProxy(served.port, [overloaded(429, "0.4")]) as proxy, client_of(proxy, project) as client:
        began = time.monotonic()
        client.transport.request("GET", "/3.0")
        assert time.monotonic() - began >= 0.4


def test_a_long_retry_after_is_the_callers_to_wait_for(project: ServedProject) -> None:
    with FaultyProxy(0, [overloaded(429, "3600")]) as proxy, client_of(proxy, project) as client:
        with pytest.raises(RateLimitedError) as caught:
            client.transport.request("GET", "/")
        assert (caught.value.retry_after, proxy.requests) == (3600.0, 1)


def test_retry_after_may_be_a_date() -> None:
    at = dt.datetime(2026, 5, 1, 12, 0, 30, tzinfo=dt.UTC)
    now = dt.datetime(2026, 5, 1, 12, 0, 0, tzinfo=dt.UTC).timestamp()
    assert retry_after_seconds(format_datetime(at, usegmt=True), lambda: now) == 30.0
    assert retry_after_seconds(format_datetime(at, usegmt=True), lambda: now + 60) == 0.0
    assert retry_after_seconds("soon") is None
    assert retry_after_seconds(None) is None


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_pauses_double_up_to_a_bound(draw: float) -> None:
    retries = Retries(first_seconds=0.5, most_seconds=8.0)
    error = ConnectionFailedError("no")
    pauses = [retries.pause(attempt, error, lambda: draw) for attempt in range(1, 9)]
    most = [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert pauses == [pytest.approx(one * (0.5 + draw / 2)) for one in most]
    assert retries.pause(10_000, error) <= 8.0


def test_a_server_that_is_not_there(project: ServedProject) -> None:
    client = Acumen(f"http://127.0.0.1:{free_port()}", project_id=project.id, retries=NO_RETRIES)
    with pytest.raises(ConnectionFailedError) as caught:
        client.transport.request("GET", "/3.0", key="none")
    assert caught.value.before_sending


def test_an_answer_that_takes_too_long(served: Served, project: ServedProject) -> None:
    with FaultyProxy(served.port, [slow(0.5)]) as proxy, pytest.raises(AnswerTimeoutError):
        client_of(proxy, project, NO_RETRIES).transport.request("GET", "/3.0", timeout=0.05)


def test_an_answer_that_is_no_json(served: Served, project: ServedProject) -> None:
    with FaultyProxy(served.port, [garbage_after]) as proxy:
        answered = client_of(proxy, project).transport.request("GET", "/3.0")
    with pytest.raises(UnreadableAnswerError, match="log in to this network"):
        answered.json()


def test_a_missing_key_or_project_is_named_before_anything_is_sent(served: Served) -> None:
    client = Acumen(served.url, project_id="p", read_key="r")
    with pytest.raises(ConfigurationError, match="write_key"):
        client.record("c", {})
    with pytest.raises(ConfigurationError, match="project_id"):
        Acumen(served.url, write_key="w").record("c", {})
    with pytest.raises(ConfigurationError, match="http"):
        Acumen("localhost:8000")


def test_the_master_key_does_for_reading_and_writing(served: Served, project: ServedProject) -> None:
    client = Acumen(served.url, project_id=project.id, master_key=project.master_key)
    client.record("c", {"n": 1})
    assert served.ask(project, "count", event_collection="c") == 1


def test_no_key_is_shown(served: Served, project: ServedProject) -> None:
    client = Acumen(**options_for(served, project))
    shown = f"{client!r} {client.transport.target!r} {client.transport.target.keys!r}"
    assert not {project.write_key, project.read_key, project.master_key} & set(shown.split("'"))
    assert project.master_key not in shown
    assert project.write_key not in shown


def test_a_client_as_the_environment_says(
    served: Served, project: ServedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACUMEN_URL", served.url + "/")
    monkeypatch.setenv("ACUMEN_PROJECT", project.id)
    monkeypatch.setenv("ACUMEN_WRITE_KEY", project.write_key)
    Acumen.from_environment().record("c", {"n": 1})
    asyncio.run(AsyncAcumen.from_environment().record("c", {"n": 2}))
    assert served.ask(project, "count", event_collection="c") == 2


@pytest.mark.parametrize("segment", ["ü & ?#%", ".", "..", "a b", "x;y", "%2F"])
def test_names_are_segments_of_paths_whatever_they_hold(client: Acumen, segment: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.transport.request(
            "GET", client.transport.project_path("queries", "saved", segment), key="master"
        )
    assert segment in caught.value.message


def test_asynchronous_requests_fail_and_repeat_alike(served: Served, project: ServedProject) -> None:
    async def asked(proxy: FaultyProxy) -> None:
        options = {"project_id": project.id, "read_key": project.read_key}
        async with AsyncAcumen(proxy.url, retries=QUICK, **options) as client:  # type: ignore[arg-type]
            await client.transport.request("GET", client.transport.project_path("events"))
            assert proxy.requests == 3
            with pytest.raises(NotFoundError):
                await client.transport.request("GET", client.transport.project_path("events", "none"))

    with FaultyProxy(served.port, [overloaded(), lose_request]) as proxy:
        asyncio.run(asked(proxy))


def test_each_event_loop_has_connections_of_its_own(served: Served, project: ServedProject) -> None:
    client = AsyncAcumen(**options_for(served, project))

    async def ask() -> None:
        assert (await client.project.describe()).id == project.id

    for _ in range(3):
        asyncio.run(ask())
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(asyncio.run, ask()) for _ in range(4)]:
            done.result()


def test_a_client_with_other_keys_has_no_more_than_these(served: Served, project: ServedProject) -> None:
    for kind in (Acumen, AsyncAcumen):
        client = kind(**options_for(served, project), retries=QUICK, timeout=7)
        reader = client.with_keys(read_key="another")
        assert (reader.url, reader.project_id) == (client.url, client.project_id) == (served.url, project.id)
        assert reader.transport.target.retries == QUICK
        assert reader.transport.target.timeout == client.transport.target.timeout
        with pytest.raises(ConfigurationError, match="the write key"):
            reader.transport.prepare("GET", "/", key="write")
    other = Acumen(**options_for(served, project)).with_keys(read_key="another")
    with other, pytest.raises(UnauthorizedError):
        other.count("purchases")


def test_a_body_is_read_piece_by_piece(client: Acumen) -> None:
    with client.transport.stream("GET", "/timezones", key="none") as response:
        assert sum(len(part) for part in response.iter_bytes(1024)) > 1024
    with pytest.raises(NotFoundError), client.transport.stream("GET", "/none"):
        pass


def test_errors_survive_pickling() -> None:
    """As they must to leave a process of a pool."""
    error = ApiError("Because.", status=400, code="X", request_id="r")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.request_id) == (str(error), 400, "r")
