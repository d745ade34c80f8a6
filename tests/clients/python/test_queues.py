"""Both kinds of queue do the same, and what a queue on disk has taken is there whatever happens."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acumen_client import ConfigurationError, DeadLetter, QueueFullError, QueueWriteError
from acumen_client.disk_queue import DiskQueue
from acumen_client.queues import DEAD_LETTERS_MAX, MemoryQueue, Queue, QueuedEvent
from tests.support.scale import examples

Model = list[tuple[int, str, bytes]]

PUTS = st.tuples(st.just("put"), st.sampled_from("abc"), st.lists(st.binary(max_size=30), max_size=5))
HEADS = st.tuples(st.just("head"), st.integers(1, 6), st.integers(1, 60))
SETTLES = st.tuples(st.just("settle"), st.lists(st.integers(0, 9), max_size=6, unique=True), st.booleans())
STEPS = st.lists(st.one_of(PUTS, HEADS, SETTLES), max_size=25)


def disk(path: Path, bytes_max: int = 1 << 20, events_max: int | None = None) -> DiskQueue:
    return DiskQueue(path, "p", events_max=events_max, bytes_max=bytes_max)


def expected_head(model: Model, events: int, size: int) -> Model:
    """The oldest events within these bounds, found the slow way: the longest beginning that keeps to them."""
    fitting = [n for n in range(1, events + 1) if sum(len(one[2]) for one in model[:n]) <= size]
    return model[: max([1, *fitting])]


def letter(event: QueuedEvent) -> DeadLetter:
    return DeadLetter(event.collection, event.body, event.recorded_at, "refused", "N", "d", event.number)


def play(queue: Queue, steps: list[Any]) -> None:
    """Each step on the queue and on a list, which must agree."""
    model: Model = []
    last = 0
    dead: list[bytes] = []
    for step in steps:
        if step[0] == "put" and step[2]:
            number = queue.put(step[1], step[2], 7.0)
            model += [(last + n, step[1], body) for n, body in enumerate(step[2], 1)]
            last += len(step[2])
            assert number == last
        elif step[0] == "head":
            head = queue.head(step[1], step[2])
            wanted = expected_head(model, step[1], step[2])
            assert [(one.number, one.collection, one.body) for one in head] == wanted
        elif step[0] == "settle":
            gone = [event for at, event in enumerate(queue.head(10, 10_000)) if at in step[1]]
            letters = [letter(event) for event in gone] if step[2] else []
            queue.settle([event.number for event in gone], letters)
            dead += [one.body for one in letters]
            model = [one for one in model if one[0] not in {event.number for event in gone}]
        assert queue.first_number() == (model[0][0] if model else None)
        assert queue.waiting() >= len(model)
        assert (queue.waiting() == 0) == (not model)
        assert [one.body for one in queue.dead_letters()] == dead


@given(STEPS)
def test_a_queue_in_memory_is_a_list(steps: list[Any]) -> None:
    play(MemoryQueue(1_000, 1 << 20), steps)


@given(STEPS)
@settings(max_examples=examples(200), deadline=None)
def test_a_queue_on_disk_is_a_list(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        queue = disk(Path(folder) / "q")
        play(queue, steps)
        queue.close()


def test_what_was_put_is_there_after_opening_again(tmp_path: Path) -> None:
    first = disk(tmp_path / "q")
    first.put("c", [b"1", b"2", b"3"], 5.0)
    first.settle([2], [letter(first.head(9, 99)[1])])
    first.close()
    again = disk(tmp_path / "q")
    assert [(one.number, one.body, one.recorded_at) for one in again.head(9, 99)] == [
        (1, b"1", 5.0),
        (3, b"3", 5.0),
    ]
    (dead,) = again.dead_letters()
    assert (dead.body, dead.reason, dead.name, dead.description) == (b"2", "refused", "N", "d")
    assert again.forget_dead_letters([dead.number]) == [dead]
    assert again.dead_letters() == []
    # Numbers go on: whoever waits for an event may rely on them.
    assert again.put("c", [b"4"], 5.0) == 4
    again.settle([1, 3, 4], [])
    again.close()
    assert disk(tmp_path / "q").put("c", [b"5"], 5.0) == 5


def test_several_openings_share_a_file(tmp_path: Path) -> None:
    first, second = disk(tmp_path / "q"), disk(tmp_path / "q")
    first.put("c", [b"1"], 1.0)
    second.put("c", [b"2"], 1.0)
    assert [one.body for one in first.head(9, 99)] == [b"1", b"2"]
    assert (first.may_send(), second.may_send(), first.may_send()) == (True, False, True)
    first.close()
    assert second.may_send()


HOLDING = """
import sys
from pathlib import Path
from acumen_client.disk_queue import DiskQueue
queue = DiskQueue(Path(sys.argv[1]), "p", events_max=None, bytes_max=1 << 20)
print(queue.may_send(), flush=True)
sys.stdin.read()
"""


def test_a_killed_process_leaves_its_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "q")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        queue = disk(tmp_path / "q")
        assert not queue.may_send()
        other.kill()
    assert queue.may_send()


@pytest.mark.parametrize("size", [10, 3_000, 200_000])
def test_a_queue_on_disk_is_bounded_and_says_so(tmp_path: Path, size: int) -> None:
    bytes_max = 1 << 20
    queue = disk(tmp_path / "q", bytes_max)
    body = b"x" * size
    taken = 0
    with pytest.raises(QueueFullError, match="1,048,576 bytes"):
        while True:
            queue.put("c", [body], 1.0)
            taken += 1
    # Of small events much is spent on what stands beside them.
    assert taken * (size + 30) > bytes_max / 4
    assert (tmp_path / "q").stat().st_size <= bytes_max
    assert queue.waiting() == taken
    # Refused ones can be put aside although there is no room, and room comes back.
    head = queue.head(taken, bytes_max)
    queue.settle([one.number for one in head], [letter(one) for one in head[:3]])
    assert len(queue.dead_letters()) == 3
    queue.put("c", [body], 1.0)


def test_events_come_in_all_or_none(tmp_path: Path) -> None:
    for queue in (disk(tmp_path / "q", events_max=5), MemoryQueue(5, 1 << 20)):
        queue.put("c", [b"1"] * 3, 1.0)
        with pytest.raises(QueueFullError):
            queue.put("c", [b"2"] * 3, 1.0)
        assert queue.waiting() == 3
    bounded = disk(tmp_path / "bounded", 1 << 18)
    with pytest.raises(QueueFullError):
        bounded.put("c", [b"x" * 1_000] * 1_000, 1.0)
    assert bounded.waiting() == 0


def test_a_file_of_another_project_is_refused(tmp_path: Path) -> None:
    disk(tmp_path / "q").close()
    with pytest.raises(ConfigurationError, match="project p, not other"):
        DiskQueue(tmp_path / "q", "other", events_max=None, bytes_max=1 << 20)


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(ConfigurationError, match="something else"):
        disk(other)
    assert other.read_bytes() == before
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, " * 100)
    with pytest.raises(QueueWriteError, match="not a database"):
        disk(text)
    with pytest.raises(QueueWriteError):
        disk(tmp_path / "no such folder" / "q")


def test_dead_letters_are_bounded(tmp_path: Path) -> None:
    for queue in (disk(tmp_path / "q", 16 << 20), MemoryQueue(1 << 20, 1 << 30)):
        queue.put("c", [b"%d" % n for n in range(DEAD_LETTERS_MAX + 50)], 1.0)
        head = queue.head(DEAD_LETTERS_MAX + 50, 1 << 30)
        queue.settle([one.number for one in head], [letter(one) for one in head])
        assert len(queue.dead_letters()) == DEAD_LETTERS_MAX
        assert queue.dead_letters()[0].body == b"50"


@pytest.mark.parametrize(("synced", "level"), [(False, 1), (True, 2)])
def test_a_synced_queue_syncs_each_put(tmp_path: Path, synced: bool, level: int) -> None:
    queue = DiskQueue(tmp_path / "q", "p", events_max=None, bytes_max=1 << 20, synced=synced)
    assert queue._row("PRAGMA synchronous") == (level,)
