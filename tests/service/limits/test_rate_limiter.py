"""Rate limits: off by default; by minute, project and key, over all workers."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest

from service.errors import RateLimited
from service.limits.rate_limiter import CELLS, Quota, Rate, RateLimits, fields_of


def test_without_a_limit_nothing_is_counted_and_no_file_is_made(tmp_path: Path) -> None:
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 0})
    for _ in range(10_000):
        assert rates.check("p", Rate.QUERIES) == ()
    assert not (tmp_path / "rates").exists()
    assert not rates.limits(Rate.QUERIES)


def test_the_limit_holds_for_all_workers_together(tmp_path: Path) -> None:
    first, second = (
        RateLimits(tmp_path / "rates", {Rate.QUERIES: 3}, clock=lambda: 1_000.0) for _ in range(2)
    )
    first.check("p", Rate.QUERIES)
    second.check("p", Rate.QUERIES)
    assert first.check("p", Rate.QUERIES) == (Quota("queries", 3, 0, 20, 60),)
    with pytest.raises(RateLimited) as caught:
        second.check("p", Rate.QUERIES)
    assert caught.value.retry_after_seconds == 20
    assert caught.value.headers() == {
        "retry-after": "20",
        "ratelimit-policy": '"queries";q=3;w=60',
        "ratelimit": '"queries";r=0;t=20',
    }
    first.close()
    second.close()


def test_projects_and_kinds_are_counted_apart(tmp_path: Path) -> None:
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 1, Rate.EXTRACTIONS: 1}, clock=lambda: 60.0)
    rates.check("a", Rate.QUERIES)
    rates.check("b", Rate.QUERIES)
    rates.check("a", Rate.EXTRACTIONS)
    rates.check("a", Rate.DELETES)
    with pytest.raises(RateLimited):
        rates.check("a", Rate.QUERIES)


def test_keys_have_a_limit_of_their_own_within_the_projects(tmp_path: Path) -> None:
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 5}, {Rate.QUERIES: 2}, clock=lambda: 60.0)
    for left in (1, 0):
        of_key, of_project = rates.check("p", Rate.QUERIES, "k1")
        assert (of_key.policy, of_key.limit, of_key.left) == ("queries-of-key", 2, left)
        assert (of_project.policy, of_project.limit, of_project.left) == ("queries", 5, left + 3)
    with pytest.raises(RateLimited, match="This key may send 2 queries"):
        rates.check("p", Rate.QUERIES, "k1")
    rates.check("q", Rate.QUERIES, "k1")
    rates.check("p", Rate.QUERIES, "k2")
    rates.check("p", Rate.QUERIES, "k2")
    rates.check("p", Rate.QUERIES, "k3")
    with pytest.raises(RateLimited, match="This project may send 5 queries"):
        rates.check("p", Rate.QUERIES, "k4")


def test_a_refused_request_is_counted_nowhere(tmp_path: Path) -> None:
    """Else one key that asks too often would use up what the others of its project may."""
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 3}, {Rate.QUERIES: 1}, clock=lambda: 60.0)
    rates.check("p", Rate.QUERIES, "k1")
    for _ in range(10):
        with pytest.raises(RateLimited):
            rates.check("p", Rate.QUERIES, "k1")
    assert rates.check("p", Rate.QUERIES, "k2")[1].left == 1
    rates.check("p", Rate.QUERIES, "k3")
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            rates.check("p", Rate.QUERIES, "k4")
        assert caught.value.headers()["ratelimit"] == '"queries-of-key";r=1;t=60, "queries";r=0;t=60'


def test_the_next_minute_begins_anew(tmp_path: Path) -> None:
    now = [119.5]
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 1}, clock=lambda: now[0])
    rates.check("p", Rate.QUERIES)
    with pytest.raises(RateLimited) as caught:
        rates.check("p", Rate.QUERIES)
    assert caught.value.retry_after_seconds == 1
    now[0] = 120.0
    rates.check("p", Rate.QUERIES)


def test_many_projects_and_keys_have_room(tmp_path: Path) -> None:
    rates = RateLimits(tmp_path / "rates", {Rate.WRITES: 2}, {Rate.WRITES: 2}, clock=lambda: 60.0)
    for left in (1, 0):
        for number in range(2_000):
            quotas = rates.check(f"p{number}", Rate.WRITES, f"k{number}")
            assert [quota.left for quota in quotas] == [left, left]


def test_its_file_has_its_blocks_from_the_start(tmp_path: Path) -> None:
    """Else the first count on a full disk would kill the process."""
    rates = RateLimits(tmp_path / "rates", {Rate.WRITES: 1})
    size = (tmp_path / "rates").stat()
    rates.close()
    assert size.st_blocks * 512 >= size.st_size or sys.platform == "darwin"


def test_the_fields_are_lists_of_named_quotas() -> None:
    assert fields_of(()) == {}
    running = Quota("concurrent-queries", 4, 0, unit="concurrent-requests")
    assert fields_of([Quota("deletes", 10, 3, 12, 60), running]) == {
        "ratelimit-policy": '"deletes";q=10;w=60, "concurrent-queries";q=4;qu="concurrent-requests"',
        "ratelimit": '"deletes";r=3;t=12, "concurrent-queries";r=0',
    }


def test_a_full_table_does_not_lift_the_limit(tmp_path: Path) -> None:
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 1}, clock=lambda: 60.0)
    for number in range(CELLS + CELLS // 2):
        with suppress(RateLimited):
            rates.check(f"p{number}", Rate.QUERIES)
    for number in range(20):
        with suppress(RateLimited):
            rates.check(f"late{number}", Rate.QUERIES)
        with pytest.raises(RateLimited):
            rates.check(f"late{number}", Rate.QUERIES)
