"""Budgets of embed tokens: exact over workers and restarts, and early rather than late without room."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BudgetUsedUp
from service.limits import embed_budgets
from service.limits.embed_budgets import KEPT_SECONDS, Budget, EmbedBudgets


def budget(name: str, limit: int, expires_at: int | None = 10_000) -> Budget:
    return Budget(name.encode().ljust(16, b"."), limit, expires_at)


def test_a_budget_is_of_all_workers_and_outlives_them(tmp_path: Path) -> None:
    one = budget("a", 3)
    for _ in range(3):
        budgets = EmbedBudgets(tmp_path / "b", lambda: 5)
        budgets.spend("k", [one])
        budgets.close()
    first, second = (EmbedBudgets(tmp_path / "b", lambda: 5) for _ in range(2))
    for budgets in (first, second):
        with pytest.raises(BudgetUsedUp, match="its 3 answers"):
            budgets.spend("k", [one])
    first.give_back("k", [one])
    second.spend("k", [one])
    with pytest.raises(BudgetUsedUp):
        first.spend("k", [one])


def test_without_a_budget_no_file_is_made(tmp_path: Path) -> None:
    EmbedBudgets(tmp_path / "b").close()
    assert not (tmp_path / "b").exists()


def test_an_answer_that_one_budget_refuses_counts_against_none(tmp_path: Path) -> None:
    budgets = EmbedBudgets(tmp_path / "b", lambda: 5)
    wide, narrow = budget("a", 5), budget("b", 1)
    budgets.spend("k", [wide, narrow])
    for _ in range(3):
        with pytest.raises(BudgetUsedUp, match="its 1 answers"):
            budgets.spend("k", [wide, narrow])
    for _ in range(4):
        budgets.spend("k", [wide])
    with pytest.raises(BudgetUsedUp, match="its 5 answers"):
        budgets.spend("k", [wide, budget("c", 9)])


def test_refusals_say_what_is_left_and_not_to_wait(tmp_path: Path) -> None:
    with pytest.raises(BudgetUsedUp) as caught:
        EmbedBudgets(tmp_path / "b").spend("k", [budget("a", 0, None)])
    assert caught.value.status == 429
    assert caught.value.headers() == {
        "ratelimit-policy": '"embed-token";q=0',
        "ratelimit": '"embed-token";r=0',
    }


def test_a_count_ends_with_the_token_and_else_long_after_its_last_use(tmp_path: Path) -> None:
    now = [5.0]
    budgets = EmbedBudgets(tmp_path / "b", lambda: now[0])
    for one in (budget("a", 1, 100), budget("b", 2, None)):
        budgets.spend("k", [one])
    now[0] = KEPT_SECONDS
    budgets.spend("k", [budget("b", 2, None)])
    now[0] += KEPT_SECONDS - 1
    with pytest.raises(BudgetUsedUp):
        budgets.spend("k", [budget("b", 2, None)])


steps = st.lists(
    st.tuples(
        st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
        st.booleans(),
        st.integers(0, 30),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 4))
def test_with_little_room_a_budget_ends_early_and_never_late(taken: object, cells: int) -> None:
    """Against a count that forgets nothing."""
    assert isinstance(taken, list)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(embed_budgets, "CELLS_OF_REGION", cells)
        patch.setattr(embed_budgets, "SHARED_OF_REGION", 1)
        patch.setattr(embed_budgets, "_REGION", cells + 1)
        now = [0.0]
        budgets = EmbedBudgets(Path(folder) / "b", lambda: now[0])
        given: Counter[int] = Counter()
        try:
            for numbers, gives_back, seconds in taken:
                now[0] += seconds / 10
                live = [number for number in numbers if now[0] < 20 + 3 * number]
                some = [budget(str(number), 3, 20 + 3 * number) for number in live]
                try:
                    budgets.spend("k", some)
                except BudgetUsedUp:
                    continue
                given.update(live)
                assert all(given[number] <= 3 for number in live)
                if gives_back:
                    budgets.give_back("k", some)
                    given.subtract(live)
        finally:
            budgets.close()
