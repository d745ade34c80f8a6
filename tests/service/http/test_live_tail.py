"""The live tail of a running server: each event once, in order, to whoever may see it, whatever happens."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.embed import embed_token
from tests.support.server import Served, ServedProject
from tests.support.tailing import TailReader

FLUSHED = {"ACUMEN_FLUSH_SECONDS": "1"}


@pytest.fixture(scope="module")
def pair() -> Iterator[Served]:
    """Two workers, and flushes all the time."""
    with Served(workers=2, env=FLUSHED) as server:
        yield server


def send(served: Served, project: ServedProject, collection: str, *numbers: int, **more: Any) -> None:
    events = [{"n": number, **more} for number in numbers]
    if len(events) == 1:
        path = f"/3.0/projects/{project.id}/events/{collection}"
        assert served.request("POST", path, events[0], key=project.write_key).status == 201
    else:
        served.record(project, collection, *events)


def send_at_once(served: Served, project: ServedProject, collection: str, numbers: range) -> None:
    """Each number by a request of its own, several at a time, so that all workers get some."""
    left = iter(numbers)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            send(served, project, collection, number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def numbers(events: list[Any]) -> list[int]:
    return [event["n"] for event in events]


def new_key(served: Served, project: ServedProject, **options: Any) -> str:
    body = {"name": "k", "permitted": ["queries"], "options": options}
    made = served.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    return str(made.json["key"])


def test_events_come_once_in_order_and_as_in_an_extraction(served: Served, project: ServedProject) -> None:
    send(served, project, "c", 0)
    with TailReader(served, project, "c") as tail:
        assert (tail.status, tail.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert tail.headers["cache-control"] == "no-store"
        assert tail.headers["access-control-allow-origin"] == "*"
        for number in range(1, 6):
            send(served, project, "c", number)
        send(served, project, "other", 9)
        send(served, project, "c", *range(6, 20), text="naïve\u2028 ☕\n", nested={"a": [1, None], "b": {}})
        events = tail.until_events(19)
        assert numbers(events) == list(range(1, 20)), "none from before, none of others"
        extracted = served.ask(project, "extraction", event_collection="c", timeframe="this_1_days")
        by_id = {event["keen"]["id"]: event for event in extracted}
        assert all(event == by_id[event["keen"]["id"]] for event in events)
        ids = [message.id for message in tail.messages if message.kind == "event"]
        assert len(set(ids)) == len(ids)


def test_a_tail_of_a_collection_that_comes_later(served: Served, project: ServedProject) -> None:
    with TailReader(served, project, "lat er/on") as tail:
        tail.until_begun()
        send(served, project, "lat%20er%2Fon", 1)
        assert numbers(tail.until_events(1)) == [1]


def test_it_comes_within_a_second(served: Served, project: ServedProject) -> None:
    with TailReader(served, project, "c") as tail:
        tail.until_begun()
        delays = []
        for number in range(10):
            send(served, project, "c", number)
            sent = time.monotonic()
            tail.until_events(number + 1)
            delays.append([one for one in tail.messages if one.kind == "event"][-1].at - sent)
        assert sorted(delays)[len(delays) // 2] < 1.0, delays


def test_whichever_worker_took_an_event_and_over_flushes(pair: Served) -> None:
    project = pair.new_project()
    with TailReader(pair, project, "c") as tail, TailReader(pair, project, "c") as other:
        first = tail.until_begun()
        other.until_begun()
        for start in (0, 40, 80):
            send_at_once(pair, project, "c", range(start, start + 40))
            time.sleep(0.7)
        for one in (tail, other):
            assert sorted(numbers(one.until_events(120))) == list(range(120))
            assert len({event["keen"]["id"][:8] for event in one.events}) == 2, "both workers took some"
        cursors = [message.id for message in tail.messages if message.kind == "event"]
        ordered = numbers(tail.events)
    with TailReader(pair, project, "c", after=first) as again:
        assert sorted(numbers(again.until_events(120))) == list(range(120))
    for place in (0, 17, 60, 119):
        with TailReader(pair, project, "c", after=cursors[place]) as again:
            again.until_begun()
            send(pair, project, "c", 1_000 + place)
            ordered.append(1_000 + place)
            rest = numbers(again.until_events(len(ordered) - place - 1))
            assert sorted(rest) == sorted(ordered[place + 1 :]), place
            assert again.gaps == []


def test_every_cursor_of_a_tail_that_is_resumed_again_and_again_is_exact(pair: Served) -> None:
    """While events come: none is doubled or left out, wherever the connection breaks."""
    project = pair.new_project()
    with TailReader(pair, project, "c") as tail:
        cursor = tail.until_begun()
    sender = threading.Thread(target=send_at_once, args=(pair, project, "c", range(400)))
    sender.start()
    seen: list[int] = []
    for number in itertools.count(1):
        wanted = min(number % 23, 400 - len(seen))
        with TailReader(pair, project, "c", after=cursor) as tail:
            tail.until_events(wanted)
            events = [message for message in list(tail.messages) if message.kind == "event"]
        seen += [message.data["n"] for message in events]
        if events:
            assert events[-1].id is not None
            cursor = events[-1].id
        if len(seen) >= 400:
            break
    sender.join()
    assert sorted(seen) == list(range(400))


def test_a_worker_that_is_killed_costs_no_event_and_doubles_none(pair: Served) -> None:
    project = pair.new_project()
    with TailReader(pair, project, "c") as tail:
        cursor = tail.until_begun()
        send_at_once(pair, project, "c", range(30))
        tail.until_events(30)
        seen, cursor = numbers(tail.events), tail.cursor or cursor
        for name in ("worker-0", "worker-1"):
            pair.kill(name)
        pair.wait_ready()
    send_at_once(pair, project, "c", range(30, 60))
    with TailReader(pair, project, "c", after=cursor) as tail:
        assert sorted([*seen, *numbers(tail.until_events(30))]) == list(range(60))
        assert tail.gaps == []
        pair.kill("keeper")
        pair.wait_ready()
        send_at_once(pair, project, "c", range(60, 80))
        tail.until_events(50)
        assert sorted([*seen, *numbers(tail.events)]) == list(range(80))


def test_a_cursor_lasts_over_a_restart_and_one_of_nowhere_is_a_gap(pair: Served) -> None:
    project = pair.new_project()
    with TailReader(pair, project, "c") as tail:
        cursor = tail.until_begun()
    send(pair, project, "c", 1)
    pair.restart()
    send(pair, project, "c", 2)
    with TailReader(pair, project, "c", after=cursor) as tail:
        assert numbers(tail.until_events(2)) == [1, 2]
    other = pair.new_project()
    for unknown in ("nonsense", cursor[:-2], "ä".encode().hex()):
        with TailReader(pair, project, "c", after=unknown) as tail:
            tail.until(lambda tail: tail.gaps == [None])
            assert tail.events == []
    with TailReader(pair, other, "c", after=cursor) as tail:
        tail.until(lambda tail: tail.gaps == [None])


def test_a_reader_that_is_too_slow_is_told_what_it_missed() -> None:
    with Served(env={"ACUMEN_TAIL_QUEUE_BYTES": "100000"}) as server:
        project = server.project
        with (
            TailReader(server, project, "c", reading=False) as slow,
            TailReader(server, project, "c") as quick,
        ):
            quick.until_begun()
            for start in range(0, 3_000, 100):
                send(server, project, "c", *range(start, start + 100), text="x" * 4_000)
                quick.until(lambda tail: sum(gap or 0 for gap in tail.gaps) + len(tail.events) >= start + 100)  # noqa: B023
            slow.begin()
            slow.until(lambda tail: bool(tail.gaps))
            send(server, project, "c", 3_000)
            slow.until(lambda tail: bool(tail.events) and tail.events[-1]["n"] == 3_000)
            missed = sum(gap or 0 for gap in slow.gaps)
            assert missed > 0
            assert len(slow.events) + missed == 3_001
            shown = numbers(slow.events)
            assert shown == sorted(set(shown)), "in order, none twice"
            kinds = [message.kind for message in slow.messages if message.kind]
            assert kinds.index("gap") > 0, "first what was waiting"


def test_a_reader_that_reads_nothing_is_cut_off() -> None:
    with Served(env={"ACUMEN_WRITE_SECONDS": "1"}) as server:
        project = server.project
        closed = 'acumen_connections_closed_total{reason="slow_reader"}'
        with TailReader(server, project, "c", reading=False):
            deadline = time.monotonic() + 60
            while metric(server, closed) < 1:
                send(server, project, "c", *range(200), text="x" * 9_000)
                assert time.monotonic() < deadline
            until(lambda: metric(server, "acumen_tails") == 0)


def metric(served: Served, name: str) -> float:
    lines = served.request("GET", "/metrics").body.decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def until(state: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_of_many_events_a_resumed_tail_gets_the_newest_after_a_gap() -> None:
    with Served(env={"ACUMEN_TAIL_RESUMED_EVENTS_MAX": "10", **FLUSHED}) as server:
        project = server.project
        with TailReader(server, project, "c") as tail:
            cursor = tail.until_begun()
        for number in range(25):
            send(server, project, "c", number)
        with TailReader(server, project, "c", after=cursor) as tail:
            assert numbers(tail.until_events(10)) == list(range(15, 25))
            assert [message.kind for message in tail.messages][:2] == ["gap", "event"]
            assert tail.gaps == [None]
            gap = tail.messages[0].id
            send(server, project, "c", 25)
            tail.until_events(11)
        with TailReader(server, project, "c", after=gap) as tail:
            assert numbers(tail.until_events(10)) == list(range(16, 26))


def test_a_key_that_is_revoked_or_changed_ends_its_tails(served: Served, project: ServedProject) -> None:
    key = new_key(served, project)
    path = f"/3.0/projects/{project.id}/keys/{key}"
    token = embed_token(key, {"allow": ["tail"]})
    with (
        TailReader(served, project, "c", key=key) as by_key,
        TailReader(served, project, "c", key=token) as by_token,
        TailReader(served, project, "c") as other,
    ):
        for one in (by_key, by_token, other):
            one.until_begun()
        assert served.request("POST", f"{path}/revoke", key=project.master_key).status in (200, 204)
        revoked = time.monotonic()
        for one in (by_key, by_token):
            one.until(lambda tail: tail.ended.is_set())
            assert (one.messages[-1].kind, one.messages[-1].data["error_code"]) == (
                "end",
                "InvalidApiKeyError",
            )
            assert one.messages[-1].at - revoked < 5.0
        assert not other.ended.is_set()


def test_a_token_that_expires_ends_its_tail(served: Served, project: ServedProject) -> None:
    key = new_key(served, project)
    token = embed_token(key, {"allow": ["tail"], "expires_at": int(time.time()) + 3})
    with TailReader(served, project, "c", key=token) as tail:
        tail.until_begun()
        tail.until(lambda tail: tail.ended.is_set(), 20)
        assert tail.messages[-1].data["error_code"] == "EmbedTokenExpiredError"


def test_who_may_not_tail(served: Served, project: ServedProject) -> None:
    key = new_key(served, project)
    refused = [
        ("wrong", 401),
        (project.write_key, 403),
        (new_key(served, project, queries={"extraction": False}), 403),
        (embed_token(key, {"allow": ["queries", "extractions"]}), 403),
        (embed_token(key), 403),
    ]
    for secret, status in refused:
        with TailReader(served, project, "c", key=secret) as tail:
            assert tail.status == status, (secret, tail.refusal)
            assert tail.headers["access-control-allow-origin"] == "*"
    for secret in (project.master_key, project.read_key, key, embed_token(key, {"allow": ["tail"]})):
        with TailReader(served, project, "c", key=secret) as tail:
            assert tail.status == 200


def test_requests_that_are_no_tail(served: Served, project: ServedProject) -> None:
    path = f"/3.0/projects/{project.id}/events/c/tail"
    head = served.request("HEAD", path, key=project.read_key)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert served.request("PATCH", path, key=project.read_key).status == 405
    for query in ("filters=[{]", "filter=[]", "filters=[{}]", f"after={'a' * 70_000}"):
        reply = served.request("GET", f"{path}?{query}", key=project.read_key)
        assert reply.status == 400, query
    send(served, project, "c%2Ftail", 1)
    named = served.request("GET", f"/3.0/projects/{project.id}/events/c%2Ftail", key=project.read_key)
    assert named.json["name"] == "c/tail"
    send(served, project, "tail", 1)
    named = served.request("GET", f"/3.0/projects/{project.id}/events/tail", key=project.read_key)
    assert named.json["name"] == "tail"


def test_limits_of_open_tails_hold_and_those_that_end_make_room() -> None:
    env = {"ACUMEN_TAIL_CONNECTIONS": "3", "ACUMEN_TAIL_CONNECTIONS_PER_PROJECT": "2"}
    with Served(env=env) as server:
        project, other = server.project, server.new_project()
        tails = [TailReader(server, project, "c") for _ in range(2)]
        with TailReader(server, project, "d") as refused:
            assert (refused.status, refused.refusal["error_code"]) == (429, "RateLimitExceededError")
            assert "2 live tails" in refused.refusal["message"]
            assert int(refused.headers["retry-after"]) > 0
        tails.append(TailReader(server, other, "c"))
        with TailReader(server, other, "c") as refused:
            assert refused.status == 429
        assert metric(server, "acumen_tails") == 3
        tails.pop(0).close()
        until(lambda: metric(server, "acumen_tails") == 2)
        with TailReader(server, project, "c") as tail:
            assert tail.status == 200
            tail.until_begun()
            server.stop()
            tail.until(lambda tail: tail.ended.is_set())
            assert tail.messages[-1].kind == "end"
            assert tail.messages[-1].data["error_code"] == "ServiceUnavailableError"
        assert "Traceback" not in server.output()
