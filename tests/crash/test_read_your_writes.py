"""An answer holds every event acknowledged before it was asked for, once, whatever moves underneath.

Three workers, with settings that shred, flush, merge and remove files all the time.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crash.test_crash import RESTLESS
from tests.support.scale import examples
from tests.support.server import Served, ServedProject

SECONDS = 10


@pytest.fixture(scope="module")
def restless() -> Iterator[Served]:
    with Served(workers=3, env=RESTLESS) as served:
        yield served


class Client:
    """One connection; which worker answers is chance."""

    def __init__(self, served: Served, project: ServedProject, collection: str) -> None:
        self.collection = collection
        self._path = f"/3.0/projects/{project.id}"
        self._key = project.master_key
        self._port = served.port
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)

    def call(self, path: str, body: Any) -> tuple[int, Any]:
        self._connection.request("POST", self._path + path, json.dumps(body), {"Authorization": self._key})
        reply = self._connection.getresponse()
        return reply.status, json.loads(reply.read())

    def send(self, events: list[dict[str, Any]]) -> tuple[int, Any]:
        return self.call("/events", {self.collection: events})

    def count(self, **more: Any) -> Any:
        status, body = self.call("/queries/count", {"event_collection": self.collection, **more})
        assert status == 200, body
        return body["result"]


def test_a_count_on_any_worker_is_the_number_acknowledged(restless: Served) -> None:
    project = restless.project
    writers = [Client(restless, project, "one") for _ in range(3)]
    readers = [Client(restless, project, "one") for _ in range(6)]
    sent = 0
    deadline = time.monotonic() + examples(SECONDS)
    while time.monotonic() < deadline or sent <= 50:
        size = 1 + sent % 7
        status, body = writers[sent % 3].send([{"n": sent + i} for i in range(size)])
        assert status == 200, body
        sent += size
        assert readers[sent % 6].count() == sent
        grouped = readers[(sent + 1) % 6].count(
            filters=[{"property_name": "n", "operator": "gte", "property_value": 0}]
        )
        assert grouped == sent


def test_a_count_while_others_post_never_goes_back_and_never_exceeds_what_was_sent(restless: Served) -> None:
    project = restless.project
    sent, acknowledged = [0] * 4, [0] * 4
    stop = threading.Event()

    def post(number: int) -> None:
        client = Client(restless, project, "many")
        while not stop.is_set():
            sent[number] += 10
            status, body = client.send([{"n": i} for i in range(10)])
            assert status == 200, body
            acknowledged[number] += 10

    threads = [threading.Thread(target=post, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    readers = [Client(restless, project, "many") for _ in range(4)]
    last = 0
    deadline = time.monotonic() + examples(SECONDS)
    turn = 0
    while time.monotonic() < deadline:
        turn += 1
        least = max(sum(acknowledged), last)
        found = readers[turn % 4].count()
        assert least <= found <= sum(sent)
        last = found
    stop.set()
    for thread in threads:
        thread.join()
    assert readers[0].count() == sum(acknowledged) > 0


def test_what_a_full_buffer_refuses_is_not_stored_and_all_else_is() -> None:
    tight = {**RESTLESS, "ACUMEN_QUEUE_BYTES_MAX": "65536", "ACUMEN_LOG_BYTES_MAX": "1000000"}
    with Served(workers=2, env=tight) as served:
        project = served.project
        acknowledged, refused = [0] * 6, [0] * 6

        def post(number: int) -> None:
            client = Client(served, project, "full")
            deadline = time.monotonic() + examples(SECONDS)
            while time.monotonic() < deadline:
                status, answer = client.send([{"n": i, "pad": "x" * 500} for i in range(100)])
                assert status in (200, 503), answer
                if status == 200:
                    acknowledged[number] += 100
                else:
                    assert set(answer) == {"message", "error_code"}
                    refused[number] += 1

        threads = [threading.Thread(target=post, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(refused) > 0, "the buffer was never full"
        assert Client(served, project, "full").count() == sum(acknowledged) > 0
