"""How many questions run at once: counted over workers, given back whatever happens."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from service.errors import RateLimited
from service.limits.concurrency_limiter import CELLS, Concurrency


def concurrency(folder: Path, number: int = 0, *, per_project: int = 0, per_key: int = 0) -> Concurrency:
    return Concurrency(folder / "running", number, 2, per_project=per_project, per_key=per_key)


def refusal(running: Concurrency, project_id: str, key: str) -> tuple[str, dict[str, str]]:
    """What one more is told, and in which header fields."""
    with pytest.raises(RateLimited) as caught, running.one(project_id, key):
        pass
    return caught.value.message, caught.value.headers()


def test_without_a_limit_nothing_is_counted_and_no_file_is_made(tmp_path: Path) -> None:
    running = concurrency(tmp_path)
    with ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(running.one("p", "k"))
    assert not (tmp_path / "running").exists()


def test_the_limit_of_a_project_holds_over_workers_and_keys(tmp_path: Path) -> None:
    first, second = (concurrency(tmp_path, number, per_project=2) for number in range(2))
    with first.one("p", "k1"):
        with second.one("p", "k2"):
            for worker in (first, second):
                message, headers = refusal(worker, "p", "k3")
                assert message.startswith("This project may run 2 queries at once.")
            assert headers == {
                "retry-after": "1",
                "ratelimit-policy": '"concurrent-queries";q=2;qu="concurrent-requests"',
                "ratelimit": '"concurrent-queries";r=0',
            }
            with first.one("other", "k1"):
                pass
        with first.one("p", "k3"):
            pass


def test_a_key_has_a_limit_of_its_own(tmp_path: Path) -> None:
    running = concurrency(tmp_path, per_project=3, per_key=1)
    with running.one("p", "k1"), running.one("p", "k2"):
        assert refusal(running, "p", "k1")[0].startswith("This key may run 1 queries at once.")
        with running.one("p", "k3"):
            assert refusal(running, "p", "k4")[0].startswith("This project may run 3 queries at once.")


def test_a_failure_gives_its_place_back(tmp_path: Path) -> None:
    running = concurrency(tmp_path, per_project=1, per_key=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), running.one("p", "k"):
            raise ZeroDivisionError
    with running.one("p", "k"):
        pass


def test_what_a_dead_worker_counted_goes_when_it_is_replaced(tmp_path: Path) -> None:
    died = concurrency(tmp_path, 1, per_project=1)
    held = died.one("p", "k")
    held.__enter__()
    other = concurrency(tmp_path, 0, per_project=1)
    refusal(other, "p", "k")
    successor = concurrency(tmp_path, 1, per_project=1)
    with other.one("p", "k"):
        pass
    with successor.one("p", "k"):
        refusal(other, "p", "k")
    # Were it not dead after all, its end would spoil nothing.
    held.__exit__(None, None, None)
    with successor.one("p", "k"):
        refusal(other, "p", "k")


def test_cells_are_used_again(tmp_path: Path) -> None:
    running = concurrency(tmp_path, per_project=1)
    for number in range(CELLS * 2):
        with running.one(f"p{number}", "k"):
            refusal(running, f"p{number}", "k")


def test_a_full_table_does_not_lift_the_limit(tmp_path: Path) -> None:
    running = concurrency(tmp_path, per_key=1)
    with ExitStack() as stack:
        for number in range(CELLS + CELLS // 2):
            with suppress(RateLimited):
                stack.enter_context(running.one("p", f"k{number}"))
        for number in range(20):
            with suppress(RateLimited):
                stack.enter_context(running.one("p", f"late{number}"))
            refusal(running, "p", f"late{number}")
    with running.one("p", "late0"), running.one("p", "k0"):
        refusal(running, "p", "k0")
