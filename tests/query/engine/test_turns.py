"""Questions with large results work through their rows one after another; small ones never wait."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest

from query.engine.engine import CHUNK_ROWS, SMALL_SCAN_ROWS, Deadline, Engine, Row
from query.engine.memory_budget import MemoryBudget, Reservation, computed
from query.engine.turns import Turn, Turns
from query.errors import QueryTimeout
from query.sql.statement import Statement

LARGE = Statement(f"SELECT range FROM range({3 * CHUNK_ROWS})")
SMALL = Statement("SELECT range FROM range(100)")
LISTS = Statement("SELECT range % 100 AS key, list(range) FROM range(100000) GROUP BY key")
PATIENCE = 30.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def asked(
    engine: Engine, statement: Statement, reservation: Reservation, *, lists: bool = False
) -> Generator[list[Row], None, None]:
    yield from engine.chunks(statement, reservation=reservation, lists=lists)


def answer(
    engine: Engine, statement: Statement, check: Callable[[], None] = lambda: None, *, lists: bool = False
) -> int:
    """A whole question; the rows of its answer."""
    reservation = engine.budget.open(check)
    try:
        return computed(
            reservation, lambda: sum(map(len, asked(engine, statement, reservation, lists=lists)))
        )
    finally:
        reservation.release()


def test_a_small_answer_never_waits(engine: Engine, threads: ThreadPoolExecutor) -> None:
    reservation = engine.budget.open()
    with closing(asked(engine, LARGE, reservation)) as chunks:
        next(chunks)
        assert threads.submit(answer, engine, SMALL).result(PATIENCE) == 100
    reservation.turn.give()


@pytest.mark.parametrize(("statement", "lists"), [(LARGE, False), (LISTS, True)])
def test_a_large_answer_waits_until_its_time_is_up(
    engine: Engine, threads: ThreadPoolExecutor, statement: Statement, lists: bool
) -> None:
    reservation = engine.budget.open()
    with closing(asked(engine, LARGE, reservation)) as chunks:
        next(chunks)
        late = threads.submit(answer, engine, statement, Deadline.after(0.2).check, lists=lists)
        with pytest.raises(QueryTimeout):
            late.result(PATIENCE)
    reservation.turn.give()
    assert answer(engine, statement, lists=lists)


def test_a_question_that_fails_gives_its_turn(engine: Engine) -> None:
    reservation = engine.budget.open()

    def failing() -> int:
        for _ in asked(engine, LARGE, reservation):
            raise ZeroDivisionError
        return 0

    with pytest.raises(ZeroDivisionError):
        computed(reservation, failing)
    assert answer(engine, LARGE) == 3 * CHUNK_ROWS


def test_large_answers_take_turns_between_their_chunks(engine: Engine, threads: ThreadPoolExecutor) -> None:
    """A long answer does not hold up the others until it is whole."""
    reservation = engine.budget.open()
    chunks = asked(engine, LARGE, reservation)
    first = len(next(chunks))
    other = threads.submit(answer, engine, LARGE)
    while not engine.budget.turns.wanted:
        assert not other.done()
        time.sleep(0.001)
    # Resuming offers the turn, and comes back once the other one offers it in return or is done.
    rows = first + sum(map(len, chunks))
    reservation.release()
    reservation.turn.give()
    assert (rows, other.result(PATIENCE)) == (3 * CHUNK_ROWS, 3 * CHUNK_ROWS)


def test_who_waits_for_memory_lets_others_have_the_turn(threads: ThreadPoolExecutor) -> None:
    budget = MemoryBudget(64 << 20)
    older, younger = budget.open(), budget.open()
    younger.reserve(60 << 20)
    older.turn.take()
    grown: Future[None] = threads.submit(older.reserve, 20 << 20)
    # As a question does that holds the memory and works through its rows.
    threads.submit(younger.turn.take).result(PATIENCE)
    younger.release()
    younger.turn.give()
    grown.result(PATIENCE)


def test_one_at_a_time_in_the_order_of_coming(threads: ThreadPoolExecutor) -> None:
    turns, order, working = Turns(), list[int](), list[int]()
    turns.take(lambda: None)

    def work(number: int) -> None:
        turn = Turn(turns, lambda: None)
        turn.take()
        working.append(number)
        assert working == [number]
        order.append(number)
        working.clear()
        turn.give()

    found = []
    for number in range(6):
        found.append(threads.submit(work, number))
        while len(turns._waiting) <= number:
            time.sleep(0.001)
    turns.give()
    for one in found:
        one.result(PATIENCE)
    assert order == [0, 1, 2, 3, 4, 5]


def test_turns_that_are_left_while_they_wait_are_never_lost(threads: ThreadPoolExecutor) -> None:
    """Many wait, and some leave at any moment: at the end it is free, and no two had it at once."""
    turns, seed = Turns(), random.Random(5)
    inside = threading.Semaphore(1)

    class Left(Exception):
        pass

    def work(leaves: bool) -> bool:
        def check() -> None:
            if leaves:
                raise Left

        turn = Turn(turns, check)
        try:
            turn.take()
            for _ in range(3):
                assert inside.acquire(blocking=False)
                inside.release()
                turn.offer()
        except Left:
            return False
        turn.give()
        return True

    turns.take(lambda: None)
    done = [threads.submit(work, seed.random() < 0.5) for _ in range(400)]
    while not any(one.done() for one in done):
        time.sleep(0.001)
    turns.give()
    assert {one.result(PATIENCE) for one in done} == {False, True}
    turns.take(lambda: None)
    assert not turns.wanted


# Large reads


def read(engine: Engine, rows: int, project_id: str, check: Callable[[], None] = lambda: None) -> int:
    """A question that says that it reads so many rows; how many its answer has."""
    with closing_reservation(engine, check, project_id) as reservation:
        return sum(map(len, engine.chunks(SMALL, reservation=reservation, reads=rows)))


@contextmanager
def closing_reservation(engine: Engine, check: Callable[[], None], project_id: str) -> Iterator[Reservation]:
    reservation = engine.budget.open(check, project_id=project_id)
    try:
        yield reservation
    finally:
        reservation.release()


def test_large_reads_of_one_project_wait_for_each_other_alone(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    """Another project's read goes on at once, and so does every small one; who gives up leaves nothing."""
    large = SMALL_SCAN_ROWS + 1
    with ExitStack() as held:
        while engine._reads._is_entitled("busy"):
            held.enter_context(engine._reads.one(lambda: None, "busy"))
        late = threads.submit(read, engine, large, "busy", Deadline.after(0.2).check)
        with pytest.raises(QueryTimeout):
            late.result(PATIENCE)
        waiting = threads.submit(read, engine, large, "busy")
        while not engine._reads.wanted:
            assert not waiting.done()
            time.sleep(0.001)
        assert read(engine, SMALL_SCAN_ROWS, "busy") == 100
        assert read(engine, large, "another") == 100
        assert not waiting.done()
    assert waiting.result(PATIENCE) == 100


def test_as_many_hold_turns_as_may_and_all_have_them_in_the_end(threads: ThreadPoolExecutor) -> None:
    turns, guard, seed = Turns(4, 2), threading.Lock(), random.Random(11)
    held: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def work(project_id: str) -> None:
        with turns.one(lambda: None, project_id):
            with guard:
                held[project_id] += 1
                assert held[project_id] <= 2
                assert held.total() <= 4
                most["all"] = max(most["all"], held.total())
                most[project_id] = max(most[project_id], held[project_id])
            time.sleep(0.0005)
            with guard:
                held[project_id] -= 1

    done = [threads.submit(work, seed.choice("abc")) for _ in range(300)]
    for one in done:
        one.result(PATIENCE)
    assert not turns.wanted
    assert most["all"] > 2
    with ExitStack() as again:
        for project_id in "aabb":
            again.enter_context(turns.one(lambda: None, project_id))


def test_who_comes_ahead_waits_for_none_that_wait(threads: ThreadPoolExecutor) -> None:
    turns, order = Turns(), list[str]()

    def work(name: str, ahead: bool) -> None:
        with turns.one(lambda: None, ahead=ahead):
            order.append(name)

    with turns.one(lambda: None):
        found = []
        for name, ahead in (("question", False), ("body", True)):
            found.append(threads.submit(work, name, ahead))
            while len(turns._waiting) < len(found):
                time.sleep(0.001)
    for one in found:
        one.result(PATIENCE)
    assert order == ["body", "question"]
