"""The pytest plugin: the fixture ``acumen_events`` captures what a program records, without a network.

>>> def test_a_purchase_is_recorded(acumen_events):
...     shop.buy("apple")
...     assert acumen_events["purchases"] == [{"item": "apple"}]

While a test uses the fixture, every client and sender of the process is answered from memory: what they
record is accepted and captured, and any other request is an error. Nothing leaves the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest


class CapturedEvents:
    """The events that were recorded, by collection.

    ``events["purchases"]`` are those of a collection as the program gave them, without the object ``keen``;
    ``events.sent("purchases")`` as they were sent, with their times and tokens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, list[dict[str, Any]]] = {}

    def sent(self, collection: str) -> list[dict[str, Any]]:
        """The collection's events with ``keen``, in the order they were sent."""
        self._await_senders()
        with self._lock:
            return list(self._events.get(collection, ()))

    def __getitem__(self, collection: str) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in event.items() if name != "keen"}
            for event in self.sent(collection)
        ]

    def __iter__(self) -> Iterator[str]:
        """The names of the collections that events were recorded in."""
        self._await_senders()
        with self._lock:
            return iter(list(self._events))

    def __len__(self) -> int:
        """How many events were recorded."""
        self._await_senders()
        with self._lock:
            return sum(map(len, self._events.values()))

    def __contains__(self, collection: object) -> bool:
        return collection in list(self)

    def clear(self) -> None:
        """Forget what was recorded so far."""
        self._await_senders()
        with self._lock:
            self._events.clear()

    def __repr__(self) -> str:
        return f"CapturedEvents({ {name: self[name] for name in self} })"

    def _await_senders(self) -> None:
        from acumen_client.sender import live_senders

        for sender in live_senders():
            sender.flush(10.0)

    def _record(self, collection: str, event: dict[str, Any]) -> None:
        self._events.setdefault(collection, []).append(event)

    def _answer(self, request: Any) -> Any:
        """What a server would answer to a request that records."""
        import httpx

        from acumen_client import _json

        project, _, rest = request.url.path.removeprefix("/3.0/projects/").partition("/")
        recording = request.method == "POST" and (rest == "events" or rest.startswith("events/"))
        if not (project and recording):
            text = f"acumen_events captures events, and answers no {request.method} {request.url.path}"
            return httpx.Response(400, json={"message": text, "error_code": "NotCapturedError"})
        body = _json.loads(request.content)
        with self._lock:
            if rest != "events":
                self._record(rest.removeprefix("events/"), body)
                return httpx.Response(201, json={"created": True})
            for collection, events in body.items():
                for event in events:
                    self._record(collection, event)
        verdicts = {name: [{"success": True}] * len(events) for name, events in body.items()}
        return httpx.Response(200, json=verdicts)


@pytest.fixture
def acumen_events() -> Iterator[CapturedEvents]:
    """What is recorded with acumen_client during the test; nothing is sent over a network."""
    import httpx

    from acumen_client._transport import Target, network

    captured = CapturedEvents()
    clients: dict[str, httpx.Client] = {}

    def answering(target: Target) -> httpx.Client:
        client = clients.get(target.url)
        if client is None:
            transport = httpx.MockTransport(captured._answer)
            client = clients[target.url] = httpx.Client(base_url=target.url, transport=transport)
        return client

    before, network.replaced = network.replaced, answering
    try:
        yield captured
    finally:
        captured._await_senders()
        network.replaced = before
        for client in clients.values():
            client.close()
