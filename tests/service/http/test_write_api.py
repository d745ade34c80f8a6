"""The write path of a served Acumen: over real connections, with several workers."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.server import Served, ServedProject


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served(workers=3) as server:
        yield server


@pytest.fixture(scope="module")
def project(served: Served) -> ServedProject:
    return served.new_project("Collecting")


def test_single_events_on_one_connection_are_answered_in_the_same_words(
    served: Served, project: ServedProject
) -> None:
    """The first event of a collection goes another way through the server than those that follow."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    answers = []
    for n in range(5):
        path = f"/3.0/projects/{project.id}/events/single"
        connection.request("POST", path, json.dumps({"n": n}), {"Authorization": project.write_key})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        assert (answer.status, answer.reason, answer.read()) == (201, "Created", b'{"created":true}')
        assert headers.pop("date")
        answers.append(headers)
    connection.close()
    assert len({headers.pop("x-request-id") for headers in answers}) == 5
    assert all(headers == answers[0] for headers in answers)
    assert answers[0]["access-control-allow-origin"] == "*"
    assert answers[0]["content-type"] == "application/json"
    assert served.ask(project, "sum", event_collection="single", target_property="n") == 10


def test_a_connection_that_is_to_be_closed_is_closed_after_the_answer(
    served: Served, project: ServedProject
) -> None:
    for _ in range(2):
        reply = served.request(
            "POST",
            f"/3.0/projects/{project.id}/events/closed",
            {},
            key=project.write_key,
            headers={"Connection": "close"},
        )
        assert (reply.status, reply.headers["connection"]) == (201, "close")


def test_concurrent_posts_of_one_token_to_all_workers_leave_one_row(
    served: Served, project: ServedProject
) -> None:
    barrier = threading.Barrier(24)

    def post(n: int) -> int:
        barrier.wait()
        event = {"n": n, "keen": {"uniqueness_token": f"token-{n % 2}"}}
        path = f"/3.0/projects/{project.id}/events/tokens"
        return served.request("POST", path, event, key=project.write_key).status

    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(post, range(24))) == {201}
    assert served.ask(project, "count", event_collection="tokens") == 2


def test_concurrent_posts_under_one_key_to_all_workers_leave_one_row(
    served: Served, project: ServedProject
) -> None:
    def post(_: int) -> tuple[int, bytes]:
        path = f"/3.0/projects/{project.id}/events"
        headers = {"Idempotency-Key": "the same"}
        reply = served.request("POST", path, {"keyed": [{}, {}]}, key=project.write_key, headers=headers)
        return reply.status, reply.body

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(post, range(12))) == {(200, b'{"keyed":[{"success":true},{"success":true}]}')}
    assert served.ask(project, "count", event_collection="keyed") == 2


def test_properties_that_workers_see_first_at_the_same_time_are_all_kept(
    served: Served, project: ServedProject
) -> None:
    def post(n: int) -> int:
        event = {f"p{n % 12}": n, "mixed": n if n % 2 else str(n), "n": n}
        path = f"/3.0/projects/{project.id}/events/lanes"
        return served.request("POST", path, event, key=project.write_key).status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(post, range(48))) == {201}
    events = served.ask(project, "extraction", event_collection="lanes")
    for event in events:
        n = event["n"]
        assert event[f"p{n % 12}"] == n
        assert event["mixed"] == (n if n % 2 else str(n))
    assert sorted(event["n"] for event in events) == list(range(48))
