"""A clock that jumps makes nothing old: what is deleted for its age waits until the clock has held."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Claim, ClockMark
from storage.keeper.held_clock import HeldClock
from storage.keeper.keeper import Keeper
from tests.storage.files.test_deletion import matching
from tests.storage.store import ALWAYS, Store

DAY, HOUR = 86_400.0, 3_600.0
HELD = replace(ALWAYS, clock_hold_seconds=HOUR)


class Machine:
    """Its two clocks: what it says that the time is, and how long it has run."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.running = 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def catalog(tmp_path: Path, machine: Machine) -> Iterator[Catalog]:
    made = Catalog.prepare(tmp_path / "clock", lambda: int(machine.wall * 1e6))
    made.projects.ensure_first()
    yield made
    made.close()


def held_clock(catalog: Catalog, machine: Machine) -> HeldClock:
    made = HeldClock(catalog, lambda: machine.wall, HOUR, lambda: machine.running)
    made.begin()
    return made


def test_a_clock_that_runs_is_believed(catalog: Catalog, machine: Machine) -> None:
    clock = held_clock(catalog, machine)
    for _ in range(50):
        machine.pass_by(100 * HOUR)
        assert clock.now() == machine.wall
    assert catalog.clock.find() == ClockMark(int(machine.wall * 1e6), jumped=False)


@pytest.mark.parametrize("days", [0.01, 1, 2, 500])
def test_a_jump_ahead_is_believed_once_it_has_held(catalog: Catalog, machine: Machine, days: float) -> None:
    clock = held_clock(catalog, machine)
    before = clock.now()
    machine.wall += days * DAY
    assert clock.now() == before
    machine.pass_by(HOUR / 2)
    assert clock.now() == before + HOUR / 2
    mark = catalog.clock.find()
    assert mark is not None and mark.jumped
    machine.pass_by(HOUR / 2)
    assert clock.now() == machine.wall
    assert catalog.clock.find() == ClockMark(int(machine.wall * 1e6), jumped=False)


def test_a_clock_that_jumps_on_and_on_is_not_believed(catalog: Catalog, machine: Machine) -> None:
    clock = held_clock(catalog, machine)
    start = clock.now()
    for _ in range(20):
        machine.wall += DAY
        machine.pass_by(HOUR / 2)
        assert clock.now() <= start + machine.running


def test_a_jump_that_goes_back_was_none(catalog: Catalog, machine: Machine) -> None:
    clock = held_clock(catalog, machine)
    for jump in (500 * DAY, -500 * DAY):
        before = clock.now()
        machine.wall += jump
        assert clock.now() == min(before, machine.wall)
        machine.wall -= jump
        machine.pass_by(1)
        assert clock.now() == machine.wall


def test_a_clock_set_back_makes_nothing_old_when_it_is_put_right(catalog: Catalog, machine: Machine) -> None:
    clock = held_clock(catalog, machine)
    machine.wall -= DAY
    assert clock.now() == machine.wall
    machine.pass_by(2 * HOUR)
    assert clock.now() == machine.wall
    machine.wall += DAY
    assert clock.now() <= machine.wall - DAY + 1, "it has shown the other time for two hours"


@pytest.mark.parametrize("marked", [False, True])
def test_a_jump_across_a_restart_is_not_believed_either(
    catalog: Catalog, machine: Machine, marked: bool
) -> None:
    """Without a mark, as in a folder of an older server, the newest moment that the catalog knows counts."""
    before = machine.wall
    if marked:
        held_clock(catalog, machine).now()
    machine.wall += 500 * DAY
    machine.running = 1.0
    clock = held_clock(catalog, machine)
    assert clock.now() == pytest.approx(before, abs=60)
    machine.pass_by(HOUR)
    assert clock.now() == machine.wall


def test_other_processes_go_by_what_the_keeper_believes(catalog: Catalog, machine: Machine) -> None:
    ahead_us = int((machine.wall + 500 * DAY) * 1e6)
    assert catalog.clock.held_us(ahead_us) == ahead_us, "no keeper has ever said anything"
    held_clock(catalog, machine).now()
    assert catalog.clock.held_us(ahead_us) <= int((machine.wall + 120) * 1e6)


# What is deleted


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "data")
    yield made
    made.close()


def keeper_at(store: Store, now: list[float]) -> Keeper:
    store.keeper.close()
    store.keeper = Keeper(
        store.folder, store.catalog, HELD, fs=store.fs, clock=lambda: now[0], matcher=matching
    )
    store.keeper.begin()
    return store.keeper


@pytest.mark.parametrize("restart", [False, True])
def test_retention_takes_nothing_by_a_clock_that_is_ahead(store: Store, restart: bool) -> None:
    now = [time.time()]
    events = [b'{"n":%d}' % n for n in range(10)]
    store.send("c", events, time_us=int(now[0] * 1e6))
    store.send("c", [b'{"n":10}'], time_us=int((now[0] - 401 * DAY) * 1e6))
    collection = store.catalog.collections.ensure(store.project, "c")
    store.catalog.retention.put(collection.id, 400)
    keeper = keeper_at(store, now)
    keeper.step()
    keeper.flush()
    keeper.step()
    keeper.step()
    assert store.values("c", "n") == [float(n) for n in range(10)], "what is old goes"
    now[0] += 500 * DAY
    if restart:
        keeper = keeper_at(store, now)
    for _ in range(3):
        keeper.step()
    now[0] -= 500 * DAY
    keeper.step()
    assert store.values("c", "n") == [float(n) for n in range(10)]


def test_tokens_are_held_by_a_clock_that_is_ahead(store: Store) -> None:
    now = [time.time()]
    keeper = keeper_at(store, now)
    keeper.step()
    claim = Claim("c1", "order-1", 1, 5, b"digest", b"", int(now[0] * 1e6))
    month_us = int(31 * DAY * 1e6)
    assert store.catalog.claims.take([claim], claim.claimed_us, month_us) == [claim]
    now[0] += 500 * DAY
    keeper.step()
    again = claim._replace(ordinal=6, claimed_us=int(now[0] * 1e6))
    assert store.catalog.claims.take([again], again.claimed_us, month_us) == [claim]
