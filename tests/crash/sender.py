"""Clients that post without pause and remember exactly what was acknowledged."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.server import Served, ServedProject

COLLECTION = "crash"
BATCH = 20
TOKENS = 40
"""Texts that token events share, so that posts of one token meet."""


@dataclass
class Record:
    """What the senders sent. ``n`` numbers plain events; keys and tokens name their posts."""

    acknowledged: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    """Sent, but no answer came: these may be stored, once, or not."""
    tokens: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _next: int = 0

    def take(self, count: int) -> list[int]:
        with self.lock:
            first = self._next
            self._next += count
        return list(range(first, first + count))

    def note(self, numbers: list[int], status: int | None) -> None:
        with self.lock:
            if status in (200, 201):
                self.acknowledged.update(numbers)
            else:
                self.unknown.update(numbers)


class Senders:
    """Some threads that post in all the ways there are, until told to stop."""

    def __init__(self, served: Served, project: ServedProject, record: Record, count: int, seed: int) -> None:
        self._served, self._project, self._record = served, project, record
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 100 + number),))
            for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, rng: random.Random) -> None:
        ways: list[Callable[[http.client.HTTPConnection, random.Random], None]] = [
            self._single, self._bulk, self._token, self._keyed,
        ]  # fmt: skip
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=120)
                rng.choice(ways)(connection, rng)
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
                self._stop.wait(0.02)
        if connection is not None:
            connection.close()

    def _post(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        body: object,
        headers: dict[str, str] | None = None,
    ) -> int:
        every = {"Authorization": self._project.write_key, **(headers or {})}
        connection.request("POST", f"/3.0/projects/{self._project.id}{path}", json.dumps(body), every)
        reply = connection.getresponse()
        reply.read()
        return reply.status

    def _sent(self, numbers: list[int], post: Callable[[], int]) -> int | None:
        """Note what became of a post; without an answer, nobody knows."""
        status = None
        try:
            status = post()
        finally:
            self._record.note(numbers, status)
        return status

    def _single(self, connection: http.client.HTTPConnection, rng: random.Random) -> None:
        (number,) = numbers = self._record.take(1)
        event = {"n": number, "pad": "x" * rng.randrange(50)}
        self._sent(numbers, lambda: self._post(connection, f"/events/{COLLECTION}", event))

    def _bulk(self, connection: http.client.HTTPConnection, rng: random.Random) -> None:
        numbers = self._record.take(rng.randrange(1, BATCH))
        body = {COLLECTION: [{"n": number, "list": [number]} for number in numbers]}
        self._sent(numbers, lambda: self._post(connection, "/events", body))

    def _token(self, connection: http.client.HTTPConnection, rng: random.Random) -> None:
        token = f"t{rng.randrange(TOKENS)}"
        event = {"token": token, "keen": {"uniqueness_token": token}}
        if self._post(connection, f"/events/{COLLECTION}_tokens", event) == 201:
            with self._record.lock:
                self._record.tokens.add(token)

    def _keyed(self, connection: http.client.HTTPConnection, rng: random.Random) -> None:
        """A post that is sent twice under one key: it counts once."""
        numbers = self._record.take(3)
        body = {COLLECTION: [{"n": number} for number in numbers]}
        headers = {"Idempotency-Key": f"key-{numbers[0]}"}
        self._sent(numbers, lambda: self._post(connection, "/events", body, headers))
        self._sent(numbers, lambda: self._post(connection, "/events", body, headers))


class TokenSender(threading.Thread):
    """Posts one token event again and again on connections of its own, until a few were acknowledged."""

    def __init__(
        self, served: Served, project: ServedProject, record: Record, event: dict[str, object]
    ) -> None:
        super().__init__()
        self._served, self._project, self._record, self._event = served, project, record, event

    def run(self) -> None:
        path = f"/3.0/projects/{self._project.id}/events/{COLLECTION}_tokens"
        headers = {"Authorization": self._project.write_key}
        acknowledged = tries = 0
        while acknowledged < 4 and tries < 200:
            tries += 1
            connection = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=120)
            try:
                connection.request("POST", path, json.dumps(self._event), headers)
                if connection.getresponse().status == 201:
                    acknowledged += 1
                    with self._record.lock:
                        self._record.tokens.add(str(self._event["token"]))
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            finally:
                connection.close()
