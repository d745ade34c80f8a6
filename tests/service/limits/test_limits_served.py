"""The limits of a served Acumen: who is refused, what is told, and that nothing else changes."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from keen import scoped_keys

from service.auth.principal import POLL_SECONDS
from tests.service.queries.test_query_routes import SLOW
from tests.support.server import TAKES_SCOPED_KEYS, Reply, Served, ServedProject

QUERY_SECONDS = 2.0
TRIES = 10
DAY, NEXT = "2015-03-01T00:00:00Z", "2015-03-02T00:00:00Z"


@pytest.fixture(scope="module")
def limited() -> Iterator[Served]:
    """Two workers; few requests and few events for each question."""
    env = {
        "ACUMEN_RATE_QUERIES": "9",
        "ACUMEN_RATE_QUERIES_PER_KEY": "6",
        "ACUMEN_RATE_WRITES": "4",
        "ACUMEN_RATE_WRITES_PER_KEY": "3",
        "ACUMEN_RATE_DELETES": "2",
        "ACUMEN_RATE_COLLECTION_DELETES": "1",
        "ACUMEN_CONCURRENT_QUERIES_PER_KEY": "1",
        "ACUMEN_QUERY_ROWS_MAX": "32000",
        "ACUMEN_QUERY_INTERVALS_MAX": "11",
        "ACUMEN_QUERY_GROUPS_MAX": "12",
        "ACUMEN_QUERY_CELLS_MAX": "13",
        "ACUMEN_QUERY_FUNNEL_ACTORS_MAX": "14",
        "ACUMEN_EXTRACTION_EVENTS_MAX": "15",
        "ACUMEN_EXTRACTION_SCAN_MAX": "2016",
        "ACUMEN_RESPONSE_BYTES_MAX": "20017",
        "ACUMEN_QUERY_TIMEOUT_SECONDS": str(QUERY_SECONDS),
        "ACUMEN_THREADS": "2",
    }
    with Served(workers=2, env=env) as server:
        yield server


def in_one_minute(test: Callable[[Served, ServedProject], None]) -> Callable[[Served], None]:
    """The test, begun again with another project where it failed as a minute of the clock ended."""

    # Not ``functools.wraps``, which would have pytest look for fixtures of the names in ``test``.
    def repeated(limited: Served) -> None:
        for _ in range(TRIES):
            project = known_project(limited)
            minute = time.time() // 60
            try:
                test(limited, project)
            except AssertionError:
                if time.time() // 60 == minute:
                    raise
            else:
                return
        raise AssertionError(f"a minute ended during each of {TRIES} tries")

    repeated.__name__, repeated.__doc__ = test.__name__, test.__doc__
    return repeated


def known_project(limited: Served) -> ServedProject:
    """A new one, so that nothing of its limits is used up, which both workers know."""
    made = limited.new_project(preferences=TAKES_SCOPED_KEYS)
    # One worker knows of it now, and the other may have looked a moment before.
    time.sleep(POLL_SECONDS)
    path = f"/3.0/projects/{made.id}"
    while any(limited.request("GET", path, key=made.master_key).status != 200 for _ in range(8)):
        time.sleep(0.02)
    return made


def count(served: Served, project: ServedProject, key: str, more: str = "") -> Reply:
    path = f"/3.0/projects/{project.id}/queries/count?event_collection=c{more}"
    return served.request("GET", path, key=key)


def left(reply: Reply) -> dict[str, int]:
    """Policy → what is left of it."""
    assert re.fullmatch(r'("[a-z-]+";r=\d+;t=\d+(, )?)+', reply.headers["ratelimit"]), reply.headers
    return {name: int(rest) for name, rest in re.findall(r'"([a-z-]+)";r=(\d+)', reply.headers["ratelimit"])}


@in_one_minute
def test_a_key_that_has_used_up_its_minute_leaves_the_rest_to_others(
    limited: Served, project: ServedProject
) -> None:
    replies = [count(limited, project, project.read_key) for _ in range(10)]
    assert [reply.status for reply in replies] == [200] * 6 + [429] * 4
    assert [left(reply)["queries"] for reply in replies] == [8, 7, 6, 5, 4, 3, 3, 3, 3, 3]
    assert [left(reply)["queries-of-key"] for reply in replies] == [5, 4, 3, 2, 1, 0, 0, 0, 0, 0]
    replies = [count(limited, project, project.master_key) for _ in range(4)]
    assert [reply.status for reply in replies] == [200] * 3 + [429]
    refused = replies[-1]
    assert refused.json["error_code"] == "RateLimitExceededError"
    assert "This project may send 9 queries a minute" in refused.json["message"]
    assert refused.headers["ratelimit-policy"] == '"queries-of-key";q=6;w=60, "queries";q=9;w=60'
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["retry-after"] in re.findall(r"t=(\d+)", refused.headers["ratelimit"])
    path = f"/3.0/projects/{project.id}/queries/extraction?event_collection=c"
    assert limited.request("GET", path, key=project.read_key).status == 200, "which is counted apart"


@in_one_minute
def test_a_key_is_one_key_however_it_is_spelt(limited: Served, project: ServedProject) -> None:
    made = scoped_keys.encrypt(project.master_key, {"allowed_operations": ["read", "write"], "filters": []})
    key = made.decode() if isinstance(made, bytes) else str(made)
    spelt = (key.lower(), key.upper(), key[:32].lower() + key[32:].upper())
    assert [left(count(limited, project, one))["queries-of-key"] for one in spelt] == [5, 4, 3]
    path = f"/3.0/projects/{project.id}/events/c"
    replies = [limited.request("POST", path, {}, key=one) for one in spelt]
    assert [left(reply)["writes-of-key"] for reply in replies] == [2, 1, 0]


@in_one_minute
def test_all_scoped_keys_of_a_project_have_one_limit_together(
    limited: Served, project: ServedProject
) -> None:
    scope = {"allowed_operations": ["read", "write"], "filters": []}
    made = [scoped_keys.encrypt(project.master_key, scope) for _ in range(3)]
    keys = [key.decode() if isinstance(key, bytes) else str(key) for key in made]
    assert [left(count(limited, project, one))["queries-of-key"] for one in keys] == [5, 4, 3]
    path = f"/3.0/projects/{project.id}/events/c"
    replies = [limited.request("POST", path, {}, key=one) for one in keys]
    assert [left(reply)["writes-of-key"] for reply in replies] == [2, 1, 0]


@in_one_minute
def test_every_answer_to_a_limited_request_tells_what_is_left(
    limited: Served, project: ServedProject
) -> None:
    """Errors after the count too; and browsers may read it."""
    failed = count(limited, project, project.read_key, "&timeframe=nonsense")
    assert (failed.status, left(failed)["queries-of-key"]) == (400, 5)
    scripted = count(limited, project, project.read_key, "&jsonp=call")
    assert (scripted.status, left(scripted)["queries-of-key"]) == (200, 4)
    exposed = scripted.headers["access-control-expose-headers"].lower().split(", ")
    assert {"ratelimit", "ratelimit-policy", "retry-after"} <= set(exposed)
    assert "ratelimit" not in count(limited, project, "wrong").headers
    listed = limited.request("GET", f"/3.0/projects/{project.id}/queries", key=project.read_key)
    extraction = limited.request(
        "GET", f"/3.0/projects/{project.id}/queries/extraction?event_collection=c", key=project.read_key
    )
    for free in (listed, extraction):
        assert free.status == 200
        assert "ratelimit" not in free.headers


@in_one_minute
def test_recording_has_limits_too_in_all_its_forms(limited: Served, project: ServedProject) -> None:
    events = f"/3.0/projects/{project.id}/events"
    key = project.write_key
    beacon = f"{events}/c?api_key={key}&data=e30="
    replies = [
        limited.request("POST", f"{events}/c", {"n": 1}, key=key),
        limited.request("POST", events, b"[", key=key),
        limited.request("GET", beacon),
        limited.request("GET", beacon),
        limited.request("POST", f"{events}/c", {"n": 2}, key=key),
        limited.request("POST", f"{events}/c", {"n": 3}, key=project.master_key),
        limited.request("POST", f"{events}/c", {"n": 4}, key=project.master_key),
    ]
    assert [reply.status for reply in replies] == [201, 400, 200, 429, 429, 201, 429]
    assert [left(reply)["writes-of-key"] for reply in replies] == [2, 1, 0, 0, 0, 2, 2]
    assert [left(reply)["writes"] for reply in replies] == [3, 2, 1, 1, 1, 0, 0]
    assert replies[-1].json["error_code"] == "RateLimitExceededError"
    assert limited.ask(project, "count", event_collection="c") == 3


@in_one_minute
def test_a_key_runs_as_many_queries_at_once_as_it_may_on_all_workers(
    limited: Served, project: ServedProject
) -> None:
    for _ in range(2):
        events = [{"n": n, "text": "ab" * 400} for n in range(4_000)]
        limited.record(project, "numbers", *events)
    path = f"/3.0/projects/{project.id}/queries/count_unique"
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(limited.request, "POST", path, SLOW, key=project.read_key)
        time.sleep(QUERY_SECONDS / 5)
        beside = [count(limited, project, project.read_key) for _ in range(4)]
        other = count(limited, project, project.master_key)
        assert not slow.done()
        assert slow.result().status == 504
    assert [reply.status for reply in beside] == [429] * 4
    assert beside[0].json["error_code"] == "RateLimitExceededError"
    assert "This key may run 1 queries at once" in beside[0].json["message"]
    assert '"concurrent-queries-of-key";q=1;qu="concurrent-requests"' in beside[0].headers["ratelimit-policy"]
    assert other.status == 200
    assert count(limited, project, project.read_key).status == 200


@in_one_minute
def test_results_that_are_kept_are_not_counted(limited: Served, project: ServedProject) -> None:
    """The one that computes it is not either; those that are computed each time are."""
    limited.record(project, "c", {"n": 1})
    base = f"/3.0/projects/{project.id}/queries/saved"
    query = {"analysis_type": "count", "event_collection": "c"}
    for name, refresh_rate in (("kept", 14_400), ("fresh", 0)):
        body = {"query": query, "refresh_rate": refresh_rate}
        made = limited.request("PUT", f"{base}/{name}", body, key=project.master_key)
        assert made.status == 201, made.body
    for _ in range(8):
        kept = limited.request("GET", f"{base}/kept/result", key=project.read_key)
        assert (kept.status, kept.json["result"]) == (200, 1)
        assert "ratelimit" not in kept.headers
    replies = [limited.request("GET", f"{base}/fresh/result", key=project.read_key) for _ in range(7)]
    assert [reply.status for reply in replies] == [200] * 6 + [429]
    assert [left(reply)["queries-of-key"] for reply in replies] == [5, 4, 3, 2, 1, 0, 0]


@in_one_minute
def test_deletes_of_events_and_of_collections_are_counted_apart(
    limited: Served, project: ServedProject
) -> None:
    limited.record(project, "c", *({"n": n} for n in range(4)))
    path = f"/3.0/projects/{project.id}/events/c"
    some = f"{path}?" + urlencode({"filters": '[{"property_name":"n","operator":"eq","property_value":1}]'})
    asked = [some, f"{path}/properties/absent", some, path, path]
    replies = [limited.request("DELETE", one, key=project.master_key) for one in asked]
    assert [reply.status for reply in replies] == [204, 404, 429, 204, 429]
    assert [left(reply) for reply in replies[:4]] == [
        {"deletes": 1},
        {"deletes": 0},
        {"deletes": 0},
        {"collection-deletes": 0},
    ]
    assert "2 deletes a minute" in replies[2].json["message"]
    assert limited.ask(project, "count", event_collection="c") == 0


GUARDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("count", {"timeframe": "this_12_days", "interval": "daily"}, "11 parts", "longer interval"),
    ("count", {"group_by": "n"}, "12 groups", "fewer properties"),
    (
        "count",
        {"timeframe": {"start": DAY, "end": NEXT}, "interval": "every_4_hours", "group_by": "few"},
        "13 groups are found in all intervals",
        "longer intervals",
    ),
    (
        "funnel",
        {"steps": [{"event_collection": "c", "actor_property": "n", "timeframe": {"start": DAY}}]},
        "14 actors",
        "shorter timeframe",
    ),
    ("extraction", {"property_names": "n"}, "15 events", "shorter timeframe"),
    ("extraction", {"event_collection": "many"}, "2,016 events", "'latest'"),
    ("extraction", {"latest": 16}, "at most 15", "shorter timeframe"),
    ("select_unique", {"target_property": "text"}, "20017", "shorter timeframe"),
]


@in_one_minute
def test_every_guard_names_its_limit_and_what_helps(limited: Served, project: ServedProject) -> None:
    limited.record(project, "c", *(event(n) for n in range(30)))
    limited.record(project, "many", *({"n": n} for n in range(2_017)))
    # More questions than a key may ask in a minute.
    keys = itertools.cycle([project.read_key, project.master_key])
    for analysis, params, limit, help_text in GUARDS:
        path = f"/3.0/projects/{project.id}/queries/{analysis}"
        reply = limited.request("POST", path, {"event_collection": "c", **params}, key=next(keys))
        assert (reply.status, reply.json["error_code"]) == (400, "QueryLimitError"), (params, reply.body)
        assert limit in reply.json["message"], reply.body
        assert help_text in reply.json["message"], reply.body


def event(number: int) -> dict[str, Any]:
    """Of one day; a few an hour."""
    when = f"2015-03-01T{number % 24:02}:00:00Z"
    return {"n": number, "few": number % 5, "text": f"{number:1000}", "keen": {"timestamp": when}}


@in_one_minute
def test_a_question_that_would_read_too_much_is_refused_before_it_runs(
    limited: Served, project: ServedProject
) -> None:
    limited.record(project, "many", *({"g": n % 7} for n in range(32_001)))
    path = f"/3.0/projects/{project.id}/queries/count"
    asked = {"event_collection": "many", "group_by": "g"}
    reply = limited.request("POST", path, asked, key=project.read_key)
    assert (reply.status, reply.json["error_code"]) == (400, "QueryLimitError")
    assert "32,000 events" in reply.json["message"]
    assert "shorter timeframe" in reply.json["message"]
    few = [{"property_name": "g", "operator": "eq", "property_value": 99}]
    key = {"name": "few", "permitted": ["queries"], "options": {"queries": {"filters": few}}}
    made = limited.request("POST", f"/3.0/projects/{project.id}/keys", key, key=project.master_key)
    assert made.status == 201, made.body
    narrow = limited.request("POST", path, asked, key=made.json["key"])
    # What it may not see has no size: the text has no number but the limit.
    assert (narrow.status, narrow.json) == (reply.status, reply.json)
    assert re.findall(r"[\d,]*\d", narrow.json["message"]) == ["32,000"]
