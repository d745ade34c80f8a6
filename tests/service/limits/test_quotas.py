"""Quotas of projects and keys: what counts, who is refused and for how long, and what usage shows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.auth.preferences import check_preferences
from service.auth.principal import key_id
from service.errors import InvalidParameter
from service.limits.quotas import NAMES, PROJECT_NAMES, Quotas, read_quotas
from storage.catalog.tenants.activity import first_of_month, first_of_next_month
from storage.catalog.tenants.records import Activity, Project
from tests.service.whole import Whole
from tests.support.server import Served

NOON_US = 1_764_417_600_000_000
"""2025-11-29T12:00:00Z: the month ends in a day and a half."""
HOUR_US = 3_600_000_000
EVENT = {"n": 1}
COUNT = {"event_collection": "c"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    made = Whole(tmp_path_factory.mktemp("quotas") / "data", NOON_US, min_free_bytes=0)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def at_noon(whole: Whole) -> None:
    whole.now_us = NOON_US


def limited(whole: Whole, **quotas: int) -> Project:
    project = whole.new_project()
    set_quotas(whole, project, **quotas)
    return project


def set_quotas(whole: Whole, project: Project, **quotas: int) -> None:
    whole.catalog.projects.update(project.id, preferences={"quotas": quotas})
    whole.parts.tenants.look_again()
    assert whole.parts.tenants.find(project.id) is not None


def write(whole: Whole, project: Project, key: str | None = None, body: Any = EVENT) -> Any:
    """The answer to one more event, once all workers know of it."""
    reply = whole.call(project, "POST", "events/c", body, key=key or project.write_key)
    whole.parts.quotas.sync()
    return reply


def access_key(whole: Whole, project: Project, **options: Any) -> str:
    body = {"name": "Limited", "permitted": ["writes", "queries"], "options": options}
    return str(whole.told(project, "POST", "keys", body)["key"])


def test_events_of_a_day(whole: Whole) -> None:
    project, other = limited(whole, events_per_day=3), whole.new_project()
    assert [write(whole, project).status_code for _ in range(4)] == [201, 201, 201, 429]
    refused = write(whole, project)
    assert refused.json() == {
        "error_code": "RateLimitExceededError",
        "message": "This project has reached its limit of 3 events a day (UTC). Try again in 43200 seconds.",
    }
    assert refused.headers["retry-after"] == "43200"
    assert refused.headers["ratelimit"] == '"events-per-day";r=0;t=43200'
    bulk = whole.call(project, "POST", "events", {"c": [EVENT]}, key=project.write_key)
    beacon = whole.call(project, "GET", "events/c", key=project.write_key, data="e30=")
    assert (bulk.status_code, beacon.status_code) == (429, 429)
    # All else goes on, and so does everybody else.
    assert whole.told(project, "POST", "queries/count", COUNT)["result"] == 3
    assert write(whole, other).status_code == 201

    whole.now_us = NOON_US + 12 * HOUR_US
    assert write(whole, project).status_code == 201


def test_a_month_outlasts_its_days(whole: Whole) -> None:
    project = limited(whole, events_per_day=2, events_per_month=3)
    assert [write(whole, project).status_code for _ in range(3)] == [201, 201, 429]
    whole.now_us = NOON_US + 12 * HOUR_US
    assert [write(whole, project).status_code for _ in range(2)] == [201, 429]
    assert write(whole, project).headers["retry-after"] == str(24 * 3_600)
    whole.now_us = NOON_US + 36 * HOUR_US
    assert write(whole, project).status_code == 201


def test_bytes_and_whole_batches(whole: Whole) -> None:
    """A request that begins within the quota is taken as a whole."""
    project = limited(whole, bytes_per_day=100)
    batch = {"c": [{"text": "x" * 20}] * 5}
    assert whole.call(project, "POST", "events", batch, key=project.write_key).status_code == 200
    refused = write(whole, project)
    whole.parts.quotas.sync()
    refused = write(whole, project)
    assert refused.status_code == 429
    assert refused.json()["message"].startswith(
        "This project has reached its limit of 100 bytes of events a day"
    )


def test_a_key_has_quotas_of_its_own(whole: Whole) -> None:
    project = limited(whole, events_per_day=3)
    key = access_key(whole, project, quotas={"events_per_day": 1})
    shown = whole.told(project, "GET", f"keys/{key}")["options"]
    assert shown["quotas"] == {"events_per_day": 1}
    assert [write(whole, project, key).status_code for _ in range(2)] == [201, 429]
    assert (
        write(whole, project, key)
        .json()["message"]
        .startswith("This key has reached its limit of 1 events a day")
    )
    assert [write(whole, project).status_code for _ in range(3)] == [201, 201, 429]


def test_seconds_of_questions(whole: Whole) -> None:
    project = limited(whole, query_seconds_per_day=10)
    key = access_key(whole, project, quotas={"query_seconds_per_month": 5})
    for one in (key, project.read_key):
        assert whole.call(project, "POST", "queries/count", COUNT, key=one).status_code == 200
    whole.parts.quotas.sync()
    used = whole.told(project, "GET", "organization-usage")["today"]["query_seconds"]
    assert 0 < used < 5
    caller = whole.parts.tenants.authenticate(project.id, key)
    for counted_as, refused in ((caller.counted_as, [key]), (key_id(project.read_key), [project.read_key])):
        whole.catalog.activity.add({(project.id, counted_as): Activity(query_us=5_000_000)}, [])
        for one in refused:
            whole.call(project, "POST", "queries/count", COUNT, key=one)
        whole.parts.quotas.sync()
        for one in refused:
            reply = whole.call(project, "POST", "queries/count", COUNT, key=one)
            assert (reply.status_code, reply.json()["error_code"]) == (429, "RateLimitExceededError")
    assert write(whole, project).status_code == 201


def test_stored_bytes_end_with_a_deletion(whole: Whole) -> None:
    project = limited(whole, stored_bytes=1)
    assert write(whole, project).status_code == 201
    whole.flush()
    whole.now_us += 60_000_000
    write(whole, project)
    refused = write(whole, project)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "QuotaExceededError")
    whole.told(project, "DELETE", "events/c")
    whole.now_us += 60_000_000
    whole.parts.quotas.sync()
    assert write(whole, project).status_code == 201


def test_a_raised_limit_holds_at_once(whole: Whole) -> None:
    project = limited(whole, events_per_day=1)
    assert [write(whole, project).status_code for _ in range(2)] == [201, 429]
    set_quotas(whole, project, events_per_day=2)
    whole.parts.quotas.sync()
    assert [write(whole, project).status_code for _ in range(2)] == [201, 429]
    set_quotas(whole, project)
    whole.parts.quotas.sync()
    assert write(whole, project).status_code == 201


def test_workers_count_together_and_after_a_restart(whole: Whole) -> None:
    project = limited(whole, events_per_day=2)
    first, second = (
        Quotas(whole.catalog.activity, {}, whole.parts.tenants.known, clock=lambda: whole.now_us / 1e6)
        for _ in range(2)
    )
    for worker in (first, second):
        worker.tally(project.id, "k").events += 1
        worker.sync()
    assert first.tally(project.id, "k").refused == {}
    first.tally(project.id, "k").query_us += 1
    first.sync()
    successor = Quotas(
        whole.catalog.activity, {}, whole.parts.tenants.known, clock=lambda: whole.now_us / 1e6
    )
    fresh = successor.tally(project.id, "k")
    successor.prepare(fresh)
    for tally in (first.tally(project.id, "k"), second.tally(project.id, "k"), fresh):
        assert list(tally.refused) == ["events"]


def test_what_can_not_be_kept_is_counted_later(whole: Whole) -> None:
    class Failing:
        def add(self, counted: Any, project_ids: Any) -> Any:
            raise OSError("the disk is full")

        def stored_bytes(self, project_id: str) -> int:
            raise AssertionError

    project = whole.new_project()
    quotas = Quotas(Failing(), {}, lambda _: None)
    quotas.tally(project.id, "k").events += 3
    with pytest.raises(OSError, match="full"):
        quotas.sync()
    quotas._store = whole.catalog.activity
    quotas.sync()
    assert whole.catalog.activity.of_project(project.id).today["k"].events == 3


def test_usage_tells_what_was_sent_and_by_whom(whole: Whole) -> None:
    project = limited(whole, events_per_month=1_000)
    key = access_key(whole, project)
    for one in (key, key, project.write_key):
        write(whole, project, one)
    told = whole.told(project, "GET", "organization-usage")
    size = len(json.dumps(EVENT))
    assert (told["today"]["events"], told["this_month"]["bytes"]) == (3, 3 * size)
    assert told["quotas"] == {"events_per_month": 1_000}
    events = {one["name"]: one["today"]["events"] for one in told["keys"]}
    assert {name: count for name, count in events.items() if count} == {"Limited": 2, "write key": 1}
    assert key not in json.dumps(told)


def test_months_begin_on_their_first_day() -> None:
    assert (first_of_month(20_421), first_of_next_month(20_421)) == (20_393, 20_423)
    assert first_of_next_month(20_423) == 20_454


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (5, "must be an object"),
        ({"events": 5}, "'quotas.events' is unknown"),
        ({"event_per_day": 5}, "Did you mean 'events_per_day'?"),
        (
            {"events_per_day": -1},
            "'quotas.events_per_day' must be a whole number from 0 .*You specified: -1",
        ),
        ({"events_per_day": True}, "must be a whole number"),
        ({"events_per_day": 1.5}, "must be a whole number"),
        ({"stored_bytes": 5}, "'quotas.stored_bytes' is unknown"),
    ],
)
def test_quotas_that_are_none_are_refused(value: Any, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told):
        read_quotas(value, "quotas", NAMES)


def test_preferences_hold_quotas_of_a_project_alone() -> None:
    check_preferences({"quotas": dict.fromkeys(PROJECT_NAMES, 5)})
    wrong: Any
    for wrong in ({"quotas": {"x": 1}}, {"quota": {}}):
        with pytest.raises(InvalidParameter):
            check_preferences(wrong)


def test_a_key_may_be_kept_from_raw_events(whole: Whole) -> None:
    project = whole.new_project()
    write(whole, project)
    key = access_key(whole, project, queries={"extraction": False})
    assert whole.call(project, "POST", "queries/count", COUNT, key=key).status_code == 200
    body: Any
    for body in (COUNT, {**COUNT, "delivery": "file"}):
        refused = whole.call(project, "POST", "queries/extraction", body, key=key)
        assert (refused.status_code, refused.json()["error_code"]) == (403, "ForbiddenError")
    body = {"name": "x", "permitted": [], "options": {"queries": {"extraction": 1}}}
    assert whole.call(project, "POST", "keys", body).status_code == 400


def test_a_served_project_keeps_to_the_quota_of_the_settings(tmp_path: Path) -> None:
    """By the fast way of single events too, over two workers."""
    with Served(workers=2, env={"ACUMEN_QUOTA_EVENTS_PER_DAY": "5"}) as server:
        project = server.project
        path = f"/3.0/projects/{project.id}/events/c"
        deadline, taken = time.monotonic() + 60, 0
        while (reply := server.request("POST", path, EVENT, key=project.write_key)).status == 201:
            assert time.monotonic() < deadline
            taken += 1
        assert (reply.status, reply.json["error_code"]) == (429, "RateLimitExceededError")
        assert taken >= 5
        server.stop()
        told = json.loads(server.told("projects", "usage", project.id).stdout)
        assert told["today"]["events"] == taken
        server.start()
        assert server.request("POST", path, EVENT, key=project.write_key).status == 429
