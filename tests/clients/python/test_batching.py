"""Events in batches: nothing lost, nothing doubled, all within the limits, each verdict at its event."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acumen_client import ApiError, BatchLimits, UnreadableAnswerError
from acumen_client._transport import Answer, judged
from acumen_client.batching import PERMANENT, Batch, Batcher, Exchange

COLLECTIONS = st.sampled_from(["a", "b", 'with "quotes"', "a collection of a longer name"])
BODIES = st.integers(0, 40).map(lambda size: b'{"t":"' + b"x" * size + b'"}')
EVENTS = st.lists(st.tuples(COLLECTIONS, BODIES), max_size=60)
LIMITS = st.builds(BatchLimits, events=st.integers(1, 12), bytes=st.integers(10, 400))

Row = tuple[int, str, bytes]


def in_batches(events: list[tuple[str, bytes]], limits: BatchLimits) -> list[Batch]:
    batcher = Batcher(limits)
    made = [full for place, event in enumerate(events) if (full := batcher.add(place, *event)) is not None]
    last = batcher.last()
    return [*made, last] if last is not None else made


def body_size(rows: list[Row]) -> int:
    """The size of a request's body, written the slow way."""
    collections: dict[str, list[str]] = {}
    for _, collection, body in rows:
        collections.setdefault(collection, []).append(body.decode())
    parts = [f"{json.dumps(name)}:[{','.join(bodies)}]" for name, bodies in collections.items()]
    return len("{" + ",".join(parts) + "}")


@given(EVENTS, LIMITS)
def test_every_event_is_in_one_batch_in_order(events: list[tuple[str, bytes]], limits: BatchLimits) -> None:
    batches = in_batches(events, limits)
    places = [sorted(place for place, _, _ in batch.events()) for batch in batches]
    assert [place for batch in places for place in batch] == list(range(len(events)))
    for batch in batches:
        assert all(events[place] == (collection, body) for place, collection, body in batch.events())


@given(EVENTS, LIMITS)
def test_batches_keep_to_the_limits_and_are_full(
    events: list[tuple[str, bytes]], limits: BatchLimits
) -> None:
    """A batch is over the limit of bytes only where one event is; the next event would not have fitted in."""
    batches = in_batches(events, limits)
    for number, batch in enumerate(batches):
        rows = list(batch.events())
        assert batch.count == len(rows) <= limits.events
        assert len(batch.body()) == body_size(rows) <= batch.size
        assert batch.size <= limits.bytes or batch.count == 1
        if number + 1 < len(batches):
            following = min(batches[number + 1].events())
            # The estimate may be a few bytes above the size.
            slack = 2 + sum(2 for _ in {collection for _, collection, _ in rows})
            fits = body_size([*rows, following]) + slack <= limits.bytes
            assert batch.count == limits.events or not fits


@given(EVENTS)
def test_the_body_is_what_the_server_takes(events: list[tuple[str, bytes]]) -> None:
    for batch in in_batches(events, BatchLimits()):
        expected: dict[str, list[object]] = {}
        for _, collection, body in batch.events():
            expected.setdefault(collection, []).append(json.loads(body))
        assert json.loads(batch.body()) == expected


def ok(said: object) -> Answer:
    return Answer(200, httpx.Headers(), json.dumps(said).encode())


def failing(status: int, code: str) -> ApiError:
    try:
        judged(httpx.Response(status, json={"message": "no", "error_code": code}))
    except ApiError as error:
        return error
    raise AssertionError("an error was expected")


def carry_out(exchange: Exchange, server: Callable[[list[Row]], Answer | ApiError]) -> tuple[list[Row], int]:
    """Play the server until all is answered: the events of requests that it took, and how many came."""
    taken: list[Row] = []
    requests = 0
    while (part := exchange.next()) is not None:
        requests += 1
        said = server(list(part.events()))
        if isinstance(said, ApiError):
            exchange.failed(said)
        else:
            taken += part.events()
            exchange.answered(said)
    return taken, requests


def verdicts_for(rows: list[Row], fault: Callable[[bytes], str | None]) -> Answer:
    said: dict[str, list[object]] = {}
    for _, collection, body in rows:
        name = fault(body)
        error = {"success": False, "error": {"name": name, "description": "why"}}
        said.setdefault(collection, []).append({"success": True} if name is None else error)
    return ok(said)


@given(st.lists(st.tuples(COLLECTIONS, BODIES), min_size=1, max_size=40), st.integers(0, 45))
def test_an_event_that_sinks_requests_is_found_by_halves(events: list[tuple[str, bytes]], limit: int) -> None:
    """The server refuses every request that holds an event above a size, as a whole."""
    (batch,) = in_batches(events, BatchLimits())
    exchange = Exchange(batch)

    def server(rows: list[Row]) -> Answer | ApiError:
        if any(len(body) > limit for _, _, body in rows):
            return failing(413, "RequestTooLargeError")
        return verdicts_for(rows, lambda _: None)

    taken, requests = carry_out(exchange, server)
    good = {place for place, (_, body) in enumerate(events) if len(body) <= limit}
    assert sorted(place for place, _, _ in taken) == sorted(good)
    assert {one.place for one in exchange.verdicts} == set(range(len(events))) - good
    assert all(one.permanent for one in exchange.verdicts)
    assert not exchange.unanswered()
    assert requests <= 2 * len(events)


@given(st.lists(st.tuples(COLLECTIONS, BODIES), min_size=1, max_size=40), st.data())
def test_each_verdict_is_read_at_its_event(events: list[tuple[str, bytes]], data: st.DataObject) -> None:
    (batch,) = in_batches(events, BatchLimits())
    names = st.sampled_from([None, *sorted(PERMANENT), "SomethingElseError"])
    faults = {place: data.draw(names) for place in range(len(events))}
    said: dict[str, list[object]] = {}
    for place, collection, _ in batch.events():
        name = faults[place]
        error = {"success": False, "error": {"name": name, "description": f"event {place}"}}
        said.setdefault(collection, []).append({"success": True} if name is None else error)
    found = {one.place: one for one in batch.verdicts(ok(said))}
    assert {place: one.name for place, one in found.items()} == {p: n for p, n in faults.items() if n}
    assert all(one.description == f"event {place}" for place, one in found.items())
    assert {place for place, one in found.items() if one.permanent} == {
        place for place, name in faults.items() if name in PERMANENT
    }


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        "ok",
        {},
        {"a": []},
        {"a": [{"success": True}]},
        {"a": [{"success": True}] * 3},
        {"a": [{"success": True}, {}]},
        {"a": [{"success": True}, {"success": False}]},
        {"a": [{"success": True}, {"success": "yes"}]},
        {"a": [{"success": True}, True]},
        {"a": {"success": True}},
        {"b": [{"success": True}] * 2},
    ],
)
def test_an_answer_that_does_not_name_each_event_says_nothing(said: object) -> None:
    exchange = Exchange(in_batches([("a", b"{}")] * 2, BatchLimits())[0])
    with pytest.raises(UnreadableAnswerError):
        exchange.answered(ok(said))
    assert exchange.unanswered() == {0, 1}


@pytest.mark.parametrize(
    ("status", "code"), [(400, ""), (401, "InvalidApiKeyError"), (403, "QuotaExceededError"), (503, "X")]
)
def test_an_error_that_is_not_about_the_body_settles_nothing(status: int, code: str) -> None:
    exchange = Exchange(in_batches([("a", b"{}")] * 2, BatchLimits())[0])
    with pytest.raises(ApiError):
        exchange.failed(failing(status, code))
    assert exchange.unanswered() == {0, 1}
