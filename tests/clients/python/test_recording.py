"""Recording at once: one event, many, of several collections; each stored once whatever is repeated."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import decimal
import enum
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from acumen_client import (
    Acumen,
    AcumenError,
    AsyncAcumen,
    BatchLimits,
    ConnectionFailedError,
    EventError,
    EventsRefusedError,
    NotFoundError,
    Retries,
    ServerError,
    UnauthorizedError,
    _json,
)
from acumen_client.events import new_token, prepare
from tests.clients.python.conftest import options_for
from tests.clients.python.faulty_proxy import (
    EVERY_FAULT,
    FaultyProxy,
    answer,
    lose_answer,
    lose_request,
    overloaded,
)
from tests.clients.python.stored import events_of, numbers_of, once
from tests.support.server import Served, ServedProject

QUICK = Retries(attempts=4, first_seconds=0.01, most_seconds=0.05)


def through(proxy: FaultyProxy, project: ServedProject) -> Acumen:
    return Acumen(proxy.url, project_id=project.id, write_key=project.write_key, retries=QUICK, timeout=30.0)


def test_an_event_has_the_time_and_token_of_its_recording(
    served: Served, project: ServedProject, client: Acumen
) -> None:
    before = dt.datetime.now(dt.UTC)
    recorded = client.record("c", {"n": 1, "user": {"id": "ann"}})
    after = dt.datetime.now(dt.UTC)
    (row,) = events_of(served, project, "c")
    keen = row.pop("keen")
    assert row == {"n": 1, "user": {"id": "ann"}}
    assert keen["uniqueness_token"] == recorded.token
    at = dt.datetime.fromisoformat(keen["timestamp"])
    assert before.replace(microsecond=before.microsecond // 1000 * 1000) <= at <= after


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05.000Z"),
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05.000Z"),
        (dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2026-01-02T01:00:00.000Z"),
        ("2026-01-02T03:04:05.678901+01:00", "2026-01-02T02:04:05.678901Z"),
    ],
)
@pytest.mark.parametrize("way", ["parameter", "event"])
def test_a_given_time_is_kept(
    served: Served, project: ServedProject, client: Acumen, given: Any, kept: str, way: str
) -> None:
    if way == "parameter":
        client.record("c", {}, timestamp=given)
    else:
        client.record("c", {"keen": {"timestamp": given}})
    (row,) = events_of(served, project, "c")
    assert dt.datetime.fromisoformat(row["keen"]["timestamp"]) == dt.datetime.fromisoformat(kept)


def test_a_token_of_ones_own_is_kept(served: Served, project: ServedProject, client: Acumen) -> None:
    assert client.record("c", {"n": 1}, token="order-1").duplicate is False
    assert client.record("c", {"n": 2}, token="order-1").duplicate is True
    assert client.record("c", {"n": 3, "keen": {"uniqueness_token": "order-1"}}).token == "order-1"
    assert numbers_of(served, project, "c") == {1: 1}
    events = [{"n": n} for n in (1, 4, 4)]
    outcome = client.record_many("c", events, token=lambda event: f"order-{event['n']}")
    assert (outcome.total, outcome.stored, outcome.duplicates) == (3, 3, 2)
    assert numbers_of(served, project, "c") == {1: 1, 4: 1}


@pytest.mark.parametrize("token", ["", "x" * 65, 7])
def test_a_token_that_can_be_none_is_refused_at_once(client: Acumen, token: Any) -> None:
    with pytest.raises(EventError, match="uniqueness token"):
        client.record("c", {}, token=token)


@pytest.mark.parametrize("event", [[], "text", None, 7])
def test_what_is_no_mapping_is_refused_at_once(client: Acumen, event: Any) -> None:
    with pytest.raises(EventError, match="mapping"):
        client.record("c", event)


@pytest.mark.parametrize("name", ["", None, "zoë"])
def test_a_collection_that_can_be_none_is_refused_at_once(client: Acumen, name: Any) -> None:
    with pytest.raises(EventError, match="collection"):
        client.record(name, {})


@pytest.mark.parametrize("name", ["with space", "a/b", "a.b", 'quo"te', "%41", "a?b#c", "..", "."])
def test_any_name_that_the_server_takes(
    served: Served, project: ServedProject, client: Acumen, name: str
) -> None:
    client.record(name, {"n": 1})
    client.record_many(name, [{"n": 2}])
    assert numbers_of(served, project, name) == {1: 1, 2: 1}


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Place:
    city: str
    at: dt.date


VALUES: dict[str, tuple[Any, Any]] = {
    "datetime": (dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), "2026-01-02T03:04:05.000006+00:00"),
    "date": (dt.date(2026, 1, 2), "2026-01-02"),
    "time": (dt.time(3, 4), "03:04:00"),
    "uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "enum": (Colour.RED, "red"),
    "dataclass": (Place("Rome", dt.date(2026, 1, 2)), {"city": "Rome", "at": "2026-01-02"}),
    "whole decimal": (decimal.Decimal("12345678901234567890"), 12345678901234567890),
    "decimal": (decimal.Decimal("1.25"), 1.25),
    "tuple": ((1, (2, 3)), [1, [2, 3]]),
    "set": ({5}, [5]),
    "long integer": (2**80, 2**80),
    "nan": (float("nan"), None),
    "infinity": ([float("inf"), 1.5], [None, 1.5]),
    "number as key": ({1: {2: "x"}}, {"1": {"2": "x"}}),
    "text": ('Zoë "≥" \u2028\n\x00', 'Zoë "≥" \u2028\n\x00'),
    "true": (True, True),
    "null": (None, None),
}
WITHOUT_ORJSON = """
import json, sys
sys.modules["orjson"] = None
from acumen_client import _json
from tests.clients.python.test_recording import VALUES
assert not _json.HAS_ORJSON
print(json.dumps({name: _json.dumps({"v": value}).decode() for name, (value, _) in VALUES.items()}))
"""


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_python(kind: str) -> None:
    value, expected = VALUES[kind]
    assert json.loads(_json.dumps({"v": value}))["v"] == expected


def test_values_are_the_same_without_orjson() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_ORJSON], capture_output=True, text=True, check=True)
    for kind, text in json.loads(done.stdout).items():
        assert json.loads(text)["v"] == VALUES[kind][1], kind


def test_long_integers_are_read_exactly() -> None:
    assert _json.loads(b'{"a":123456789012345678901234567890,"b":-18446744073709551617}') == {
        "a": 123456789012345678901234567890,
        "b": -18446744073709551617,
    }


@pytest.mark.parametrize("value", [object(), b"bytes", {(1, 2): 3}])
def test_a_value_without_json_is_refused_at_once(client: Acumen, value: Any) -> None:
    with pytest.raises(EventError, match="JSON"):
        client.record("c", {"v": value})


def test_an_event_that_holds_itself_is_refused_at_once(client: Acumen) -> None:
    event: dict[str, Any] = {}
    event["self"] = event
    with pytest.raises(EventError, match="JSON"):
        client.record("c", event)


def test_an_event_larger_than_a_server_takes_is_refused_at_once(client: Acumen) -> None:
    with pytest.raises(EventError, match="900,000"):
        client.record("c", {"list": ["x" * 9_000] * 100})


def test_the_event_given_is_not_changed() -> None:
    keen: dict[str, Any] = {"addons": []}
    event = {"n": 1, "keen": keen}
    prepare(event)
    assert event == {"n": 1, "keen": {"addons": []}}
    assert keen == {"addons": []}


def test_tokens_are_new_and_short() -> None:
    tokens = {new_token() for _ in range(10_000)}
    assert len(tokens) == 10_000
    assert max(map(len, tokens)) <= 64


def test_any_number_of_events_in_requests_that_the_server_takes(
    served: Served, project: ServedProject
) -> None:
    """From an iterator, over two limits, in order."""
    with FaultyProxy(served.port) as proxy, through(proxy, project) as client:
        events = ({"n": n, "text": "x" * 500} for n in range(2_500))
        outcome = client.record_many("c", events, limits=BatchLimits(events=1_000, bytes=400_000))
        assert proxy.requests >= 4
    assert (outcome.total, outcome.stored, outcome.refused) == (2_500, 2_500, [])
    assert numbers_of(served, project, "c") == once(range(2_500))


def test_no_events_are_no_request(served: Served, project: ServedProject) -> None:
    with FaultyProxy(served.port) as proxy, through(proxy, project) as client:
        assert client.record_many("c", []).total == 0
        assert client.record_all({}).total == 0
        assert proxy.requests == 0


def test_a_bad_event_harms_no_other(served: Served, project: ServedProject, client: Acumen) -> None:
    events: list[Any] = [{"n": 0}, {"$bad": 1}, {"n": 2}, {"n": object()}, 7, {"n": 5}]
    with pytest.raises(EventsRefusedError, match=r"3 of 8 events.*event 1 of 'a'") as caught:
        client.record_all({"a": events, "b": [{"n": 6}, {"n": 7}]})
    outcome = caught.value.outcome
    assert [(one.index, one.collection, one.name) for one in outcome.refused] == [
        (1, "a", "InvalidPropertyNameError"),
        (3, "a", "EventError"),
        (4, "a", "EventError"),
    ]
    assert "$bad" in outcome.refused[0].description
    assert (outcome.total, outcome.stored) == (8, 5)
    assert numbers_of(served, project, "a") == once([0, 2, 5])
    assert numbers_of(served, project, "b") == once([6, 7])


def test_refusals_are_returned_where_asked(client: Acumen) -> None:
    outcome = client.record_many("_bad name", [{"n": 1}, {"n": 2}], raise_refused=False)
    assert [one.name for one in outcome.refused] == ["InvalidCollectionNameError"] * 2
    assert outcome.refused[1].event["n"] == 2


def test_an_event_that_the_server_can_not_take_is_found(small: Served) -> None:
    """The server's limits are lower than the client knows, so it refuses whole requests."""
    project = small.new_project()
    with Acumen(**options_for(small, project)) as client:
        events = [{"n": n, "text": "x" * (5_000 if n == 33 else 10)} for n in range(100)]
        outcome = client.record_many("c", events, raise_refused=False)
    assert [one.index for one in outcome.refused] == [33]
    assert numbers_of(small, project, "c") == once(set(range(100)) - {33})


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    with Served(env={"ACUMEN_EVENT_BYTES_MAX": "2000", "ACUMEN_BULK_BYTES_MAX": "4000"}) as server:
        yield server


def until_done(call: Callable[[], object]) -> None:
    """What a caller may do that names its own tokens: repeat what failed, and it is harmless."""
    for _ in range(4):
        try:
            call()
        except AcumenError:
            continue
        return
    raise AssertionError("it never succeeded")


@pytest.mark.parametrize("fault", EVERY_FAULT.values(), ids=EVERY_FAULT)
@pytest.mark.parametrize("times", [1, 3])
def test_whatever_happens_each_event_is_stored_once(
    served: Served, project: ServedProject, fault: Any, times: int
) -> None:
    with FaultyProxy(served.port, [fault] * times) as proxy, through(proxy, project) as client:
        until_done(lambda: client.record("c", {"n": 0}, token="first"))
        proxy.faults = [fault] * times
        events = [{"n": n} for n in range(1, 11)]
        until_done(lambda: client.record_many("c", events, token=lambda event: f"t{event['n']}"))
    assert numbers_of(served, project, "c") == once(range(11))


def test_an_exception_says_how_far_it_came(served: Served, project: ServedProject) -> None:
    events = [{"n": n} for n in range(50)]
    with FaultyProxy(served.port) as proxy, through(proxy, project) as client:
        proxy.faults = [overloaded(), lose_request]

        def failing_at_30() -> Iterator[dict[str, Any]]:
            for event in events:
                if event["n"] == 30:
                    proxy.always = overloaded()
                yield event

        with pytest.raises(ServerError) as caught:
            client.record_many("c", failing_at_30(), limits=BatchLimits(events=10))
    assert caught.value.outcome is not None
    assert caught.value.outcome.total == 20
    assert numbers_of(served, project, "c") == once(range(20))


def test_a_verdict_that_may_change_is_asked_for_again(served: Served, project: ServedProject) -> None:
    later = b'{"c":[{"success":true},{"success":false,"error":{"name":"BusyError","description":"later"}}]}'
    with FaultyProxy(served.port, [answer(200, later)]) as proxy, through(proxy, project) as client:
        outcome = client.record_many("c", [{"n": 1}, {"n": 2}])
        assert (outcome.stored, proxy.requests) == (2, 2)
    assert numbers_of(served, project, "c") == {2: 1}


def test_a_wrong_key_and_an_unknown_project(served: Served, project: ServedProject) -> None:
    with pytest.raises(UnauthorizedError):
        Acumen(served.url, project_id=project.id, write_key="wrong").record("c", {})
    with pytest.raises(NotFoundError):
        Acumen(served.url, project_id="0" * 24, write_key=project.write_key).record_many("c", [{}])


def test_recording_from_coroutines(served: Served, project: ServedProject) -> None:
    async def numbers() -> AsyncIterator[dict[str, Any]]:
        for n in range(100, 130):
            await asyncio.sleep(0)
            yield {"n": n}

    async def recorded(proxy: FaultyProxy) -> None:
        options = {"project_id": project.id, "write_key": project.write_key}
        async with AsyncAcumen(proxy.url, retries=QUICK, **options) as client:  # type: ignore[arg-type]
            await asyncio.gather(*(client.record("c", {"n": n}) for n in range(20)))
            assert (await client.record_many("c", numbers(), limits=BatchLimits(events=7))).stored == 30
            with pytest.raises(EventsRefusedError) as caught:
                await client.record_all({"c": [{"n": 20}, {"$": 1}], "d": [{"n": 1}]})
            assert caught.value.outcome.stored == 2
            proxy.always = lose_answer
            with pytest.raises(ConnectionFailedError):
                await client.record("c", {"n": 21}, token="again")
            proxy.always = None
            assert (await client.record("c", {"n": 21}, token="again")).duplicate

    with FaultyProxy(served.port, [lose_answer, overloaded()]) as proxy:
        asyncio.run(recorded(proxy))
    assert numbers_of(served, project, "c") == once([*range(22), *range(100, 130)])
