"""The queue of events in a program: whatever fails, each event is stored once or reported as dropped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.faulty_proxy import (
    EMPTY,
    GARBAGE,
    LOST_ANSWER,
    LOST_REQUEST,
    UNAVAILABLE,
    Fault,
    FaultyProxy,
    too_many,
)
from tests.clients.js.conftest import Run
from tests.clients.js.test_client import client_of
from tests.support.server import Served, ServedProject

NUMBERS = list(range(300))


def stored(served: Served, project: ServedProject, collection: str = "queued") -> list[int]:
    """The numbers of the stored events, in order, each as often as it is there."""
    events = served.ask(project, "extraction", event_collection=collection, property_names=["n"])
    return sorted(event["n"] for event in events)


def events(numbers: list[int]) -> list[dict[str, Any]]:
    return [{"n": n} for n in numbers]


def test_events_are_sent_at_the_end_of_the_program(run: Run, served: Served, project: ServedProject) -> None:
    job = {"client": client_of(served, project), "events": events(NUMBERS), "sender": {"flushSeconds": 60}}
    assert run("queue.mjs", job) == {"drops": [], "troubles": []}
    assert stored(served, project) == NUMBERS
    (event,) = served.ask(project, "extraction", event_collection="queued", latest=1)
    assert event["source"] == {"app": "queue", "of": "test", "counted": True}


@pytest.mark.parametrize(
    "faults",
    [
        [LOST_REQUEST, LOST_ANSWER],
        [GARBAGE, EMPTY],
        [UNAVAILABLE, LOST_ANSWER],
        [Fault(status=400, body=b"<html>no</html>")],
        [Fault(status=401, body=b'{"error_code": "InvalidApiKeyError", "message": "no"}')],
        [Fault(forward=True, status=200, body=b'{"queued": [{"success": true}]}')],
        [Fault(status=502), Fault(forward=True, status=504)],
    ],
    ids=["lost", "garbage", "unavailable", "400 of another", "401", "too few verdicts", "gateway"],
)
def test_each_event_is_stored_once_whatever_fails(
    run: Run, served: Served, project: ServedProject, faults: list[Fault]
) -> None:
    with FaultyProxy(served.url, *faults) as proxy:
        client = {**client_of(served, project), "url": proxy.url}
        report = run(
            "queue.mjs", {"client": client, "events": events(NUMBERS), "end": "close", "seconds": 60}
        )
    assert report["drops"] == []
    # Deno's fetch tries a lost request once more by itself.
    assert 1 <= len(report["troubles"]) <= len(faults)
    assert stored(served, project) == NUMBERS


def test_a_batch_that_is_too_large_for_something_in_between_is_halved(
    run: Run, served: Served, project: ServedProject
) -> None:
    with FaultyProxy(served.url, Fault(status=413), Fault(status=413)) as proxy:
        client = {**client_of(served, project), "url": proxy.url}
        job = {"client": client, "events": events(NUMBERS), "end": "flush", "sender": {"flushSeconds": 60}}
        report = run("queue.mjs", job)
        assert proxy.posts == [413, 413, 200, 200, 200]
    assert report["drops"] == []
    assert stored(served, project) == NUMBERS


def test_the_servers_wish_to_wait_is_honoured(run: Run, served: Served, project: ServedProject) -> None:
    with FaultyProxy(served.url, too_many(1)) as proxy:
        client = {**client_of(served, project), "url": proxy.url}
        report = run("queue.mjs", {"client": client, "events": events([1, 2]), "end": "flush"})
        (first, _, refused), (second, _, taken) = proxy.requests
    assert (refused, taken) == (429, 200)
    assert 1 <= second - first < 2
    assert report["troubles"] == [[429, "RateLimitExceededError"]]
    assert stored(served, project) == [1, 2]


def test_one_bad_event_sinks_no_batch(run: Run, served: Served, project: ServedProject) -> None:
    bad = [{"n": 1}, {"n": 2, "a.b": 1}, {"n": 3, "text": "x" * 20_000}, {"n": 4}]
    large = {"n": 5, "text": ["x" * 9_000] * 110}
    report = run("queue.mjs", {"client": client_of(served, project), "events": [*bad, large], "cycle": True})
    assert sorted((drop["reason"], drop["n"]) for drop in report["drops"] if drop["n"]) == [
        ("refused", 2),
        ("refused", 3),
        ("too_large", 5),
    ]
    assert [drop["reason"] for drop in report["drops"] if not drop["n"]] == ["not_json", "not_json"]
    assert stored(served, project) == [1, 4]


def test_an_event_of_no_collection_is_dropped_and_harms_no_other(
    run: Run, served: Served, project: ServedProject
) -> None:
    client = client_of(served, project)
    report = run("queue.mjs", {"client": client, "events": events([1, 2]), "nameless": True, "end": "close"})
    names = ["undefined", "null", "", "5", "[object Object]", "queued", "Symbol(x)"]
    assert [(drop["reason"], drop["collection"]) for drop in report["drops"]] == [
        ("refused", name) for name in names
    ]
    assert report["troubles"] == []
    assert stored(served, project) == [1, 2]


def test_a_body_that_is_refused_whole_is_taken_apart(
    run: Run, served: Served, project: ServedProject
) -> None:
    """As when something in between refuses it in the server's form: the event to blame is found by halves."""
    refusal = Fault(status=400, body=b'{"error_code": "InvalidBatchError", "message": "no"}')
    with FaultyProxy(served.url, refusal, refusal) as proxy:
        client = {**client_of(served, project), "url": proxy.url}
        job = {"client": client, "events": events([1, 2]), "end": "flush", "sender": {"flushSeconds": 60}}
        report = run("queue.mjs", job)
    assert [(drop["reason"], drop["n"]) for drop in report["drops"]] == [("refused", 1)]
    assert stored(served, project) == [2]


def test_the_queue_is_bounded_and_says_what_it_does_not_take(
    run: Run, served: Served, project: ServedProject
) -> None:
    sender = {"queueEventsMax": 10, "flushSeconds": 60}
    report = run(
        "queue.mjs",
        {"client": client_of(served, project), "events": events(list(range(12))), "sender": sender},
    )
    assert [(drop["reason"], drop["n"]) for drop in report["drops"]] == [
        ("queue_full", 10),
        ("queue_full", 11),
    ]
    assert stored(served, project) == list(range(10))


def test_a_server_that_is_not_there_keeps_no_program_alive(run: Run, project: ServedProject) -> None:
    client = {"url": "http://127.0.0.1:1", "projectId": project.id, "writeKey": "k"}
    sender = {"exitSeconds": 0.2}
    report = run("queue.mjs", {"client": client, "events": events([1, 2]), "sender": sender})
    assert [(drop["reason"], drop["n"]) for drop in report["drops"]] == [("closed", 1), ("closed", 2)]
    assert report["troubles"][0] == [0, ""]


def test_extractions_of_any_size(run: Run) -> None:
    """Above the limit of one answer they come through a file, which is removed afterwards."""
    with Served(env={"ACUMEN_EXTRACTION_EVENTS_MAX": "1000"}) as served:
        project = served.project
        served.record(project, "numbers", *events(list(range(2_500))))
        report = run("extracting.mjs", {"client": client_of(served, project)})
        reply = served.request("GET", f"/3.0/projects/{project.id}/extractions", key=project.read_key)
    assert report["all"]["answer"] == {"count": 2_500, "sum": 2_499 * 1_250, "different": 2_500}
    assert report["some"]["answer"] == {"count": 10, "sum": 45, "different": 10}
    assert report["bad"]["error"]["code"] == "TimeframeDefinitionError"
    assert report["progress"] >= 1
    assert (report["aborted"], report["seen"]) == ({"answer": None}, 3)
    assert reply.json["extractions"] == []
