"""The write path, request by request, on a real log and catalog in this process."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import signal
import threading
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import zstandard

from service.bodies.reader import BodyLimits
from service.http.write_api import Message, WriteLimits
from service.ingest.admission import AdmissionLimits
from service.ingest.log_session import LogLimits
from storage.catalog.tenants.records import KeyKind
from storage.disk.file_system import LocalFileSystem
from storage.log.format import ROWWISE
from tests.service.intake import THREADS, Intake, converse, intake, run


def test_a_single_event_is_one_frame_and_one_line(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            reply = await it.http.post(it.events + "/purchases", content=b'{"price": 1,\n "x": {"y": "z"}}')
            assert (reply.status_code, reply.content) == (201, b'{"created":true}')
            again = await it.http.post(it.events + "/purchases", content=b'{"price": 2}')
            assert again.status_code == 201
            assert [frame.count for frame in it.frames()] == [1, 1]
            assert it.lines()[1] == b'{"price": 2}'
            assert orjson.loads(it.lines()[0]) == {"price": 1, "x": {"y": "z"}}

    run(story())


def test_a_batch_is_one_frame_and_every_event_has_its_verdict(tmp_path: Path) -> None:
    """Same collections, same order, same length; only the three names that clients know."""

    async def story() -> None:
        async with intake(tmp_path) as it:
            batch = {
                "a": [{"n": 1}, {"$n": 1}, {"keen": {"id": "x"}}, 7, {"n": "x" * 10_000}, {"n": 2}],
                "_b": [{}, {}],
                "c": [],
            }
            reply = await it.http.post(it.events, json=batch)
            assert reply.status_code == 200
            body = reply.json()
            assert list(body) == ["a", "_b", "c"]
            names = [verdict.get("error", {}).get("name") for verdict in body["a"]]
            assert names == [
                None,
                "InvalidPropertyNameError",
                "InvalidPropertyNameError",
                "InvalidPropertyValueError",
                "InvalidPropertyValueError",
                None,
            ]
            assert all("error_code" not in verdict for verdict in body["a"])
            assert {verdict["error"]["name"] for verdict in body["_b"]} == {"InvalidCollectionNameError"}
            assert body["c"] == []
            (frame,) = it.frames()
            assert frame.count == 2
            assert [c.name for c in it.catalog.collections.of_project(it.project.id)] == ["a"]

    run(story())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "InvalidJSONError"),
        (b"{", "InvalidJSONError"),
        (b"[]", "InvalidBatchError"),
        (b"7", "InvalidBatchError"),
        (b'{"a":{}}', "InvalidBatchError"),
        (b'{"a":[{}],"b":null}', "InvalidBatchError"),
        (b'{"a":[{"x":NaN}]}', "InvalidJSONError"),
        (b'{"a":[{"x":"\xff"}]}', "InvalidJSONError"),
        (b'{"a":[{"x":1},]}', "InvalidJSONError"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(tmp_path: Path, body: bytes, code: str) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            reply = await it.http.post(it.events, content=body)
            assert (reply.status_code, reply.json()["error_code"]) == (400, code)
            assert it.frames() == []

    run(story())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "InvalidJSONError"),
        (b"{", "InvalidJSONError"),
        (b"\xff\xfe", "InvalidJSONError"),
        (b"[]", "InvalidEventError"),
        (b'"text"', "InvalidEventError"),
        (b'{"a.b":1}', "InvalidPropertyNameError"),
        (b'{"":1}', "InvalidPropertyNameError"),
        (b'{"$a":1}', "InvalidPropertyNameError"),
        (b'{"%s":1}' % (b"n" * 257), "InvalidPropertyNameError"),
        (b'{"a":"%s"}' % (b"v" * 10_000), "InvalidPropertyValueError"),
        (b'{"a":1e999}', "InvalidPropertyValueError"),
        (b'{"a":%s}' % (b"[" * 3_000 + b"]" * 3_000), "InvalidPropertyValueError"),
        (b'{"keen":{"created_at":"2026-01-01"}}', "InvalidKeenNamespaceProperty"),
        (b'{"keen":{"timestamp":"yesterday"}}', "InvalidPropertyValueError"),
        (b'{"keen":{"timestamp":1700000000}}', "InvalidPropertyValueError"),
        (b'{"keen":{"uniqueness_token":"%s"}}' % (b"t" * 65), "InvalidPropertyValueError"),
        (b'{"keen":{"addons":[7]}}', "InvalidPropertyValueError"),
    ],
)
def test_an_event_that_cannot_be_stored_is_a_400_with_its_code(
    tmp_path: Path, body: bytes, code: str
) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            reply = await it.http.post(it.events + "/a", content=body)
            assert (reply.status_code, reply.json()["error_code"]) == (400, code)
            assert set(reply.json()) == {"message", "error_code"}
            assert it.frames() == []
            assert it.catalog.collections.of_project(it.project.id) == []

    run(story())


@pytest.mark.parametrize(
    ("keen", "hint"),
    [
        ('{"tmestamp":"2026-01-01"}', " Did you mean 'keen.timestamp'?"),
        ('{"Timestamp":"2026-01-01"}', " Did you mean 'keen.timestamp'?"),
        ('{"location":{"coordinate":[1,2]}}', " Did you mean 'keen.location.coordinates'?"),
        ('{"created_at":"2026-01-01"}', ""),
        ('{"location":{"":1}}', ""),
        ('{"%s":1}' % ("timestamp" * 9_000), ""),
    ],
)
def test_the_nearest_property_of_keen_is_named_for_a_misspelt_one(
    tmp_path: Path, keen: str, hint: str
) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            reply = await it.http.post(it.events + "/a", content=f'{{"keen":{keen}}}'.encode())
            told = reply.json()
            assert (reply.status_code, told["error_code"]) == (400, "InvalidKeenNamespaceProperty")
            assert told["message"].endswith(hint)
            assert bool(hint) is ("Did you mean" in told["message"])

    run(story())


@pytest.mark.parametrize("name", ["$a", "_a", "a" * 65, "%20%20", "caf%C3%A9", "a%0Ab", "%FF"])
def test_collection_names_have_rules(tmp_path: Path, name: str) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            reply = await it.http.post(f"{it.events}/{name}", json={})
            assert (reply.status_code, reply.json()["error_code"]) == (400, "InvalidCollectionNameError")

    run(story())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("signed%20up", "signed up"),
        ("User%20posts.new", "User posts.new"),
        ("a/b", "a/b"),
        ("a%2Fb", "a/b"),
        ("..%2F..", "../.."),
        ("a" * 64, "a" * 64),
    ],
)
def test_collection_names_come_decoded_from_the_path(tmp_path: Path, path: str, name: str) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            assert (await it.http.post(f"{it.events}/{path}", json={})).status_code == 201
            assert [c.name for c in it.catalog.collections.of_project(it.project.id)] == [name]

    run(story())


def test_what_is_no_write_goes_on_to_the_rest(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            for method, path in [
                ("GET", it.events),
                ("GET", it.events + "/a"),
                ("GET", it.events + "/a?metadata=1"),
                ("DELETE", it.events + "/a"),
                ("OPTIONS", it.events + "/a"),
                ("POST", it.events + "/a/properties/b"),
                ("POST", f"/3.0/projects/{it.project.id}/queries/count"),
            ]:
                assert (await it.http.request(method, path)).status_code == 418, (method, path)

    run(story())


def test_order_of_checks_project_key_right_size_json(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, limits=WriteLimits(event_bytes_max=20)) as it:
            bad = b"x" * 30
            nowhere = await it.http.post("/3.0/projects/none/events/a", content=bad)
            assert (nowhere.status_code, nowhere.json()["error_code"]) == (404, "ResourceNotFoundError")
            wrong = await it.http.post(it.events + "/a", content=bad, headers={"authorization": "wrong"})
            assert (wrong.status_code, wrong.json()["error_code"]) == (401, "InvalidApiKeyError")
            reader = {"authorization": it.project.read_key}
            assert (await it.http.post(it.events + "/a", content=bad, headers=reader)).status_code == 403
            assert (await it.http.post(it.events + "/a", content=bad)).status_code == 413
            assert (await it.http.post(it.events + "/a", content=b"x")).status_code == 400

    run(story())


def test_the_key_may_come_in_the_query_but_the_header_wins(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            path = f"{it.events}/a?&api_key={it.project.write_key}&"
            assert (await it.http.post(path, json={}, headers={"authorization": ""})).status_code == 201
            assert (await it.http.post(path, json={}, headers={"authorization": "wrong"})).status_code == 401
            master = {"authorization": it.project.master_key}
            assert (await it.http.post(it.events + "/a", json={}, headers=master)).status_code == 201

    run(story())


def test_every_answer_has_cors_headers_and_an_id(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            replies = [
                await it.http.post(it.events + "/a", json={}),
                await it.http.post(it.events, json={"a": [{}]}),
                await it.http.post(it.events + "/a", content=b"{"),
                await it.http.post(it.events + "/a", json={}, headers={"authorization": "wrong"}),
                await it.http.get(it.events + "/a", params={"data": "e30="}),
            ]
            for reply in replies:
                assert reply.headers["access-control-allow-origin"] == "*"
                assert "Retry-After" in reply.headers["access-control-expose-headers"]
            assert len({reply.headers["x-request-id"] for reply in replies}) == len(replies)

    run(story())


def pack_bare(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


def pack_streamed(body: bytes) -> bytes:
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(body) + stream.flush()


PACKERS = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", pack_bare),
    ("zstd", zstandard.compress),
    ("zstd", pack_streamed),
    ("identity", bytes),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_bodies_may_be_compressed(tmp_path: Path, encoding: str, pack: Any) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            headers = {"content-encoding": encoding}
            one = await it.http.post(it.events + "/a", content=pack(b'{"x":1}'), headers=headers)
            many = await it.http.post(it.events, content=pack(b'{"a":[{"x":2}]}'), headers=headers)
            assert (one.status_code, many.status_code) == (201, 200)
            assert it.lines() == [b'{"x":1}', b'{"x":2}']

    run(story())


@pytest.mark.parametrize(("encoding", "pack"), PACKERS[:-1])
def test_a_body_that_inflates_without_end_is_too_large_and_a_torn_one_broken(
    tmp_path: Path, encoding: str, pack: Any
) -> None:
    async def story() -> None:
        async with intake(tmp_path, limits=WriteLimits(inflated_bytes_max=100_000)) as it:
            headers = {"content-encoding": encoding}
            bomb = pack(b'{"a":[' + b" " * 5_000_000 + b"]}")
            assert len(bomb) < 50_000
            reply = await it.http.post(it.events, content=bomb, headers=headers)
            assert reply.status_code == 413
            torn = pack(b'{"a":[{"x":"some text here"}]}')[:-4]
            reply = await it.http.post(it.events, content=torn, headers=headers)
            assert reply.status_code == 400
            assert it.frames() == []

    run(story())


def test_an_unknown_encoding_is_said_to_be_unknown(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            reply = await it.http.post(it.events + "/a", content=b"x", headers={"content-encoding": "br"})
            assert reply.status_code == 415
            assert "gzip" in reply.json()["message"]

    run(story())


def test_placeholders_are_filled_in_and_addons_are_not_stored(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            event = {
                "ip": "${keen.ip}",
                "deep": [{"ua": "${keen.user_agent}"}],
                "keen": {
                    "timestamp": "2026-01-01T00:00:00Z",
                    "addons": [{"name": "keen:ip_to_geo", "input": {"ip": "ip"}, "output": "geo"}],
                },
            }
            headers = {"user-agent": "Tester/1"}
            for _ in range(2):
                assert (await it.http.post(it.events + "/a", json=event, headers=headers)).status_code == 201
            for line in it.lines():
                assert orjson.loads(line) == {"ip": "203.0.113.9", "deep": [{"ua": "Tester/1"}]}

    run(story())


def test_a_new_kind_of_value_is_in_the_catalog_before_the_frame_that_holds_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            for event in ({"x": 1}, {"x": "s"}, {"x": 2**60 + 1}, {"x": 2}):
                assert (await it.http.post(it.events + "/a", json=event)).status_code == 201
            versions = [section.lanes_version for frame in it.frames() for section in frame.sections]
            assert versions == [1, 2, 3, 3]
            flags = [section.flags & ROWWISE for frame in it.frames() for section in frame.sections]
            assert flags == [0, 0, ROWWISE, 0]
            (collection,) = it.catalog.collections.of_project(it.project.id)
            assert collection.schema.version == 3

    run(story())


def test_a_collection_holds_so_many_properties_and_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, admission=AdmissionLimits(properties_max=3)) as it:
            batch = {"a": [{"p1": 1, "p2": 1}, {"p3": 1, "p4": 1}, {"p3": 1}, {"p4": 1}, {"p1": "text"}]}
            reply = await it.http.post(it.events, json=batch)
            assert [verdict["success"] for verdict in reply.json()["a"]] == [True, False, True, False, True]
            single = await it.http.post(it.events + "/a", json={"p5": 1})
            assert (single.status_code, single.json()["error_code"]) == (400, "InvalidPropertyNameError")
            assert (await it.http.post(it.events + "/a", json={"p2": 5})).status_code == 201

    run(story())


def test_concurrent_first_events_make_one_collection_with_all_lanes(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            posts = [it.http.post(it.events + "/a", json={f"p{n}": n, "same": n}) for n in range(40)]
            assert {reply.status_code for reply in await asyncio.gather(*posts)} == {201}
            (collection,) = it.catalog.collections.of_project(it.project.id)
            assert collection.schema.version == 41
            assert len(it.lines()) == 40

    run(story())


def test_of_a_token_the_first_event_is_kept_and_every_sender_is_told_success(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            token = {"uniqueness_token": "t"}
            posts = [it.http.post(it.events + "/a", json={"n": n, "keen": token}) for n in range(30)]
            assert {reply.status_code for reply in await asyncio.gather(*posts)} == {201}
            assert (len(it.lines()), it.duplicates()) == (1, 29)
            batch = {"a": [{"n": 1, "keen": token}, {"n": 2}], "b": [{"keen": token}, {"keen": token}]}
            reply = await it.http.post(it.events, json=batch)
            assert all(verdict["success"] for verdicts in reply.json().values() for verdict in verdicts)
            assert len(it.lines()) == 3, "a token is unique within one collection"
            assert it.duplicates() == 31

    run(story())


def test_a_request_sent_again_under_its_key_is_answered_again_and_stored_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            key = {"idempotency-key": "k1"}
            body = {"a": [{"n": 1}, {"$n": 1}, {"keen": {"uniqueness_token": "t"}}]}
            replies = await asyncio.gather(
                *(it.http.post(it.events, json=body, headers=key) for _ in range(10))
            )
            assert {reply.status_code for reply in replies} == {200}
            assert len({reply.content for reply in replies}) == 1
            assert [verdict["success"] for verdict in replies[0].json()["a"]] == [True, False, True]
            assert len(it.lines()) == 2
            other = await it.http.post(it.events, json={"a": [{"n": 2}]}, headers=key)
            assert (other.status_code, "error_code" in other.json()) == (409, True)
            one = [
                await it.http.post(it.events + "/a", json={}, headers={"idempotency-key": "k2"}) for _ in "xy"
            ]
            assert [reply.status_code for reply in one] == [201, 201]
            assert len(it.lines()) == 3
            assert [frame.idempotency_key for frame in it.frames() if frame.idempotency_key] == ["k1", "k2"]

    run(story())


class BrokenDisk(LocalFileSystem):
    """A disk that fails every sync while it is broken."""

    broken = False

    def datasync(self, fd: int) -> None:
        if self.broken:
            raise OSError(5, "Input/output error")
        super().datasync(fd)


def test_what_cannot_be_synced_is_a_503_and_leaves_no_claim(tmp_path: Path) -> None:
    async def story() -> None:
        disk = BrokenDisk()
        async with intake(tmp_path, fs=disk) as it:
            event = {"n": 1, "keen": {"uniqueness_token": "t"}}
            await it.http.post(it.events + "/a", json={"n": 0})
            disk.broken = True
            posts = [it.http.post(it.events + "/a", json=event) for _ in range(5)]
            posts.append(it.http.post(it.events + "/a", json={"n": 5}))
            keyed = {"idempotency-key": "k"}
            posts.append(it.http.post(it.events + "/a", json={"n": 6}, headers=keyed))
            for reply in await asyncio.gather(*posts):
                assert reply.status_code == 503
                assert reply.headers["retry-after"].isdigit()
                assert set(reply.json()) == {"message", "error_code"}
            disk.broken = False
            replies = await asyncio.gather(*(it.http.post(it.events + "/a", json=event) for _ in range(5)))
            assert {reply.status_code for reply in replies} == {201}
            assert (await it.http.post(it.events + "/a", json={"n": 7}, headers=keyed)).status_code == 201
            numbers = sorted(orjson.loads(line)["n"] for line in it.lines())
            assert numbers == [0, 1, 7]

    run(story())


def test_events_are_refused_while_the_disk_is_nearly_full(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, log_limits=LogLimits(free_bytes_min=1 << 60)) as it:
            reply = await refused_at_last(it)
            assert reply.status_code == 503
            assert int(reply.headers["retry-after"]) > 0
            count = len(it.lines())
            batch = await it.http.post(it.events, json={"a": [{"keen": {"uniqueness_token": "t"}}]})
            assert batch.status_code == 503
            assert len(it.lines()) == count

    async def refused_at_last(it: Intake) -> Any:
        for _ in range(200):
            reply = await it.http.post(it.events + "/a", json={})
            if reply.status_code != 201:
                return reply
            await asyncio.sleep(0.02)
        raise AssertionError("events are still taken")

    run(story())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write files further than so many bytes, as a full disk would."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_a_catalog_that_can_not_be_written_is_a_503_and_leaves_nothing(tmp_path: Path) -> None:
    token = {"n": 1, "keen": {"uniqueness_token": "t"}}

    async def story() -> None:
        async with intake(tmp_path) as it:
            await it.http.post(it.events + "/a", json={"n": 0})
            bodies: list[tuple[str, dict[str, Any]]] = [
                ("/new", {"n": 1}),
                ("/a", {"new": 1}),
                ("/a", token),
                ("", {"new": [{"n": 1}]}),
            ]
            with files_of_at_most(4_096):
                for path, body in bodies:
                    reply = await it.http.post(it.events + path, json=body)
                    assert reply.status_code == 503
                    assert reply.headers["retry-after"].isdigit()
            for path, body in bodies:
                assert (await it.http.post(it.events + path, json=body)).is_success
            assert len(it.lines()) == 1 + len(bodies)

    run(story())


def post_scope(it: Intake, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    path = it.events + "/a"
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", it.project.write_key.encode()), *headers],
        "client": ("127.0.0.1", 1),
    }


def chunk(body: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_may_come_in_parts_but_not_too_slowly(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, body_limits=BodyLimits(chunk_seconds=0.3)) as it:
            parts: Iterator[Message] = iter([chunk(b'{"x"', True), chunk(b":1}", False)])

            async def in_parts() -> Message:
                await asyncio.sleep(0.1)
                return next(parts)

            sent = await converse(it.app, post_scope(it), in_parts)
            assert sent[0]["status"] == 201

            async def never() -> Message:
                await asyncio.Event().wait()
                raise AssertionError

            sent = await converse(it.app, post_scope(it), never)
            assert sent[0]["status"] == 408
            assert (b"connection", b"close") in sent[0]["headers"]
            assert it.bodies.held_bytes == 0
            assert it.lines() == [b'{"x":1}']

    run(story())


def test_bodies_of_all_requests_together_are_bounded(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, body_limits=BodyLimits(in_flight_bytes_max=1_000)) as it:
            hold = asyncio.Event()
            first = True

            async def slow() -> Message:
                nonlocal first
                if first:
                    first = False
                    return chunk(b'{"x":"' + b"y" * 900, True)
                await hold.wait()
                return chunk(b'"}', False)

            task = asyncio.ensure_future(converse(it.app, post_scope(it), slow))
            while it.bodies.held_bytes < 900:
                await asyncio.sleep(0.001)
            reply = await it.http.post(it.events + "/a", json={"x": "z" * 200})
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            hold.set()
            assert (await task)[0]["status"] == 201
            assert (await it.http.post(it.events + "/a", json={"x": "z" * 200})).status_code == 201
            assert it.bodies.held_bytes == 0

    run(story())


def test_what_bodies_inflate_to_counts_as_held(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, body_limits=BodyLimits(in_flight_bytes_max=100_000)) as it:
            batch = {"a": [{"x": "y" * 5_000} for _ in range(30)]}
            body = gzip.compress(orjson.dumps(batch))
            assert len(body) < 10_000
            packed = {"content-encoding": "gzip"}
            reply = await it.http.post(it.events, content=body, headers=packed)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert (it.bodies.held_bytes, it.lines()) == (0, [])
            small = gzip.compress(orjson.dumps({"a": batch["a"][:10]}))
            assert (await it.http.post(it.events, content=small, headers=packed)).status_code == 200
            assert it.bodies.held_bytes == 0

    run(story())


def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            messages: Iterator[Message] = iter([chunk(b'{"x":', True), {"type": "http.disconnect"}])

            async def leaving() -> Message:
                return next(messages)

            assert await converse(it.app, post_scope(it), leaving) == []
            assert (it.bodies.held_bytes, it.lines()) == (0, [])

    run(story())


def test_sizes_are_bounded_by_what_comes_whatever_the_header_says(tmp_path: Path) -> None:
    async def story() -> None:
        limits = WriteLimits(event_bytes_max=50, bulk_bytes_max=200)
        async with intake(tmp_path, limits=limits, admission=AdmissionLimits(event_bytes_max=50)) as it:
            big = b'{"x":"' + b"y" * 60 + b'"}'
            assert (await it.http.post(it.events + "/a", content=big)).status_code == 413
            assert (await it.http.post(it.events, content=b" " * 201)).status_code == 413

            async def all_at_once() -> Message:
                return chunk(big, False)

            for length in (b"3", b"x"):
                sent = await converse(it.app, post_scope(it, (b"content-length", length)), all_at_once)
                assert sent[0]["status"] == 413
            batch = b'{"a":[{"x":1},%s]}' % big
            reply = await it.http.post(it.events, content=batch)
            assert [verdict["success"] for verdict in reply.json()["a"]] == [True, False]

    run(story())


@pytest.mark.parametrize(("length", "padding", "status"), [(60_000, 0, 400), (1, 60_000, 201)])
def test_long_paths_and_keys_are_answered_as_ever_and_not_remembered(
    tmp_path: Path, length: int, padding: int, status: int
) -> None:
    """Blanks around a key are no part of it, and some of them are none to HTTP."""

    async def story() -> None:
        async with intake(tmp_path) as it:

            async def body() -> Message:
                return chunk(b"{}", False)

            async def post(number: int) -> int:
                path = f"{it.events}/{number:c<{length}}".encode()
                key = it.project.write_key.encode() + b"\xa0" * padding + b"\x85" * (number if padding else 0)
                scope = {**post_scope(it), "path": path.decode(), "raw_path": path}
                scope["headers"] = [(b"authorization", key)]
                sent = await converse(it.app, scope, body)
                return int(sent[0]["status"])

            assert await post(0) == status
            tracemalloc.start()
            try:
                assert {await post(number) for number in range(1, 201)} == {status}
                kept = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            assert kept < 200 * 60_000 / 4

    run(story())


def test_a_batch_may_hold_so_many_events(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, admission=AdmissionLimits(batch_events_max=3)) as it:
            assert (await it.http.post(it.events, json={"a": [{}] * 2, "b": [{}]})).status_code == 200
            reply = await it.http.post(it.events, json={"a": [{}] * 2, "b": [{}] * 2})
            assert (reply.status_code, reply.json()["error_code"]) == (400, "InvalidBatchError")
            assert len(it.lines()) == 3

    run(story())


def test_a_key_is_dead_for_requests_that_had_begun(tmp_path: Path) -> None:
    """A body may come as slowly as its sender likes, who could have many of them begun."""

    async def story() -> None:
        async with intake(tmp_path) as it:

            async def body() -> AsyncIterator[bytes]:
                yield b'{"a":'
                it.catalog.projects.renew_keys(it.project.id, {KeyKind.WRITE: None})
                await asyncio.sleep(0.8)
                yield b"1}"

            assert (await it.http.post(it.events + "/c", content=body())).status_code == 401
            assert it.lines() == []

    run(story())


def test_a_key_does_not_live_on_while_the_catalog_is_slow(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            assert (await it.http.post(it.events + "/c", json={})).status_code == 201
            free = threading.Event()
            for _ in range(THREADS):
                it.session.executor.submit(free.wait, 30)
            it.catalog.projects.renew_keys(it.project.id, {KeyKind.WRITE: None})
            began = time.monotonic()
            sent: list[tuple[float, asyncio.Task[httpx.Response]]] = []
            while time.monotonic() < began + 1.2 or sent[-1][0] <= began + 0.9:
                came = time.monotonic()
                sent.append((came, asyncio.create_task(it.http.post(it.events + "/c", json={}))))
                await asyncio.sleep(0.02)
            late = [post for came, post in sent if came > began + 0.9]
            done, _ = await asyncio.wait(late, timeout=0.1)
            free.set()
            assert not done
            assert {(await post).status_code for post in late} == {401}
            await asyncio.gather(*(post for _, post in sent))

    run(story())


def test_a_key_does_not_live_on_while_a_clock_that_was_set_back_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            assert (await it.http.post(it.events + "/c", json={})).status_code == 201
            right = time.time_ns
            monkeypatch.setattr(time, "time_ns", lambda: right() - 3_600_000_000_000)
            it.catalog.projects.renew_keys(it.project.id, {KeyKind.WRITE: None})
            deadline = time.monotonic() + 120
            while (await it.http.post(it.events + "/c", json={})).status_code != 401:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)

    run(story())


def test_a_byte_order_mark_before_events_is_passed_over(tmp_path: Path) -> None:
    """As it is before questions: RFC 8259 lets a reader ignore it, and PowerShell writes it."""

    async def scene() -> None:
        async with intake(tmp_path / "data") as it:
            mark = b"\xef\xbb\xbf"
            single = await it.http.post(f"{it.events}/c", content=mark + b'{"n":1}')
            bulk = await it.http.post(it.events, content=mark + b'{"c":[{"n":2}]}')
            twice = await it.http.post(f"{it.events}/c", content=mark * 2 + b'{"n":3}')
            assert (single.status_code, bulk.status_code, twice.status_code) == (201, 200, 400)
            assert [json.loads(line) for line in it.lines()] == [{"n": 1}, {"n": 2}]

    run(scene())


def test_what_an_add_on_finds_is_left_out_where_it_is_longer_than_an_event_may_hold(tmp_path: Path) -> None:
    """Some letters become two in lower case: the event is stored all the same."""

    async def scene() -> None:
        async with intake(tmp_path / "data") as it:
            addon = {"name": "keen:url_parser", "input": {"url": "u"}, "output": "parts"}
            event = {"u": "https://" + "\u0130" * 9_000 + "/tea", "keen": {"addons": [addon]}}
            answer = await it.http.post(f"{it.events}/c", json=event)
            assert answer.status_code == 201, answer.text
            (line,) = it.lines()
            assert json.loads(line)["parts"] == {"protocol": "https", "path": "/tea"}

    run(scene())
