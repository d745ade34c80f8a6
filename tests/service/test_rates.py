"""Rate limits: off by default, by minute and project, over all workers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.errors import RateLimited
from service.rates import Rate, RateLimits


def test_without_a_limit_nothing_is_counted_and_no_file_is_made(tmp_path: Path) -> None:
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 0})
    for _ in range(10_000):
        rates.check("p", Rate.QUERIES)
    assert not (tmp_path / "rates").exists()


def test_the_limit_holds_for_all_workers_together(tmp_path: Path) -> None:
    first, second = (
        RateLimits(tmp_path / "rates", {Rate.QUERIES: 3}, clock=lambda: 1_000.0) for _ in range(2)
    )
    first.check("p", Rate.QUERIES)
    second.check("p", Rate.QUERIES)
    first.check("p", Rate.QUERIES)
    with pytest.raises(RateLimited) as caught:
        second.check("p", Rate.QUERIES)
    assert caught.value.retry_after_seconds == 20
    assert caught.value.headers() == {"retry-after": "20"}
    first.close()
    second.close()


def test_projects_and_kinds_are_counted_apart(tmp_path: Path) -> None:
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 1, Rate.EXTRACTIONS: 1}, clock=lambda: 60.0)
    rates.check("a", Rate.QUERIES)
    rates.check("b", Rate.QUERIES)
    rates.check("a", Rate.EXTRACTIONS)
    with pytest.raises(RateLimited):
        rates.check("a", Rate.QUERIES)


def test_the_next_minute_begins_anew(tmp_path: Path) -> None:
    now = [119.5]
    rates = RateLimits(tmp_path / "rates", {Rate.QUERIES: 1}, clock=lambda: now[0])
    rates.check("p", Rate.QUERIES)
    with pytest.raises(RateLimited) as caught:
        rates.check("p", Rate.QUERIES)
    assert caught.value.retry_after_seconds == 1
    now[0] = 120.0
    rates.check("p", Rate.QUERIES)


def test_its_file_has_its_blocks_from_the_start(tmp_path: Path) -> None:
    """Else the first count on a full disk would kill the process."""
    rates = RateLimits(tmp_path / "rates", {Rate.WRITES: 1})
    size = (tmp_path / "rates").stat()
    rates.close()
    assert size.st_blocks * 512 >= size.st_size or sys.platform == "darwin"
