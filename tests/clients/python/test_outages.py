"""Senders through what happens to servers, disks and processes: every event that was taken is stored once."""

from __future__ import annotations

import json
import random
import signal
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acumen_client import Acumen, DeadLetter, Retries
from tests.clients.python.faulty_proxy import (
    EVERY_FAULT,
    FaultyProxy,
    lose_answer,
    lose_request,
    overloaded,
    slow,
)
from tests.clients.python.programs import Program
from tests.clients.python.stored import numbers_of, once, until
from tests.support.scale import examples
from tests.support.server import Served, ServedProject

QUICK = Retries(first_seconds=0.05, most_seconds=0.3)
SETTLED_SECONDS = 120.0


@pytest.fixture(scope="module")
def unsteady() -> Iterator[Served]:
    """A server of these tests' own, which they stop and kill."""
    with Served() as server:
        yield server


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_server_that_is_away_for_a_while(unsteady: Served, tmp_path: Path, where: str, how: str) -> None:
    """Several threads record while it goes away, is away, and comes back."""
    project = unsteady.new_project()
    client = Acumen(unsteady.url, project_id=project.id, write_key=project.write_key)
    lost: list[DeadLetter] = []
    path = tmp_path / "q" if where == "disk" else None
    sender = client.sender(path=path, backoff=QUICK, linger_seconds=0.02, on_undelivered=lost.append)
    over = threading.Event()
    counts = [0] * 3

    def work(thread: int) -> None:
        while not over.is_set():
            sender.record("c", {"n": thread * 1_000_000 + counts[thread]})
            counts[thread] += 1
            time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: sender.stats.stored > 50, "some are stored before")
    if how == "stopped":
        unsteady.stop()
    else:
        unsteady.kill_all()
    until(lambda: sender.stats.failures > 2, "it is away")
    unsteady.start()
    before = sender.stats.stored
    until(lambda: sender.stats.stored > before, "it takes events again")
    over.set()
    for thread in threads:
        thread.join()
    assert sender.close(SETTLED_SECONDS)
    assert lost == []
    expected = {thread * 1_000_000 + n for thread in range(3) for n in range(counts[thread])}
    assert numbers_of(unsteady, project, "c") == once(expected)


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_server_that_is_slow_and_faulty(
    served: Served, project: ServedProject, tmp_path: Path, where: str
) -> None:
    """A third of all requests meets a fault, drawn at random, often after the server has stored."""
    draw = random.Random(7)
    faults = [*EVERY_FAULT.values(), slow(0.05), lose_answer]
    path = tmp_path / "q" if where == "disk" else None
    with FaultyProxy(served.port) as proxy:
        proxy.faults = [draw.choice(faults) if draw.random() < 0.33 else slow(0) for _ in range(60)]
        client = Acumen(proxy.url, project_id=project.id, write_key=project.write_key)
        with client.sender(path=path, backoff=QUICK, linger_seconds=0.01) as sender:
            for n in range(1_500):
                sender.record("c", {"n": n})
                if n % 25 == 0:
                    time.sleep(0.01)
            assert sender.flush(SETTLED_SECONDS)
            assert sender.stats.stored == 1_500
    assert numbers_of(served, project, "c") == once(range(1_500))


RECORDING = """
first, path = int(sys.argv[1]), sys.argv[2]
sender = client.sender(path=path, **quick)
for n in range(first, first + 100_000):
    sender.record("c", {"n": n})
    taken(n)
"""


def test_a_killed_process_loses_no_event(served: Served, project: ServedProject, tmp_path: Path) -> None:
    """SIGKILL at any moment, many times, while answers get lost; then one process sends the rest."""
    draw = random.Random(11)
    accepted: list[int] = []
    untold: list[int] = []
    with FaultyProxy(served.port) as proxy:
        proxy.faults = [draw.choice([lose_answer, lose_request, slow(0.05), slow(0)]) for _ in range(500)]
        for turn in range(examples(30) + 1):
            first = turn * 1_000_000
            program = Program(RECORDING, proxy.url, project, tmp_path, first, tmp_path / "q")
            program.await_first()
            time.sleep(draw.random() * 0.4)
            program.process.send_signal(signal.SIGKILL)
            numbers = program.ended(-signal.SIGKILL)
            accepted += numbers
            untold.append(first + len(numbers))
    client = Acumen(served.url, project_id=project.id, write_key=project.write_key)
    with client.sender(path=tmp_path / "q", linger_seconds=0.01) as sender:
        assert sender.flush(SETTLED_SECONDS)
        assert sender.dead_letters() == []
    stored = Counter[int]()
    for first in range(0, 1_000_000 * len(untold), 1_000_000):
        stored += _numbers_from(served, project, first)
    assert set(stored.values()) == {1}
    assert set(accepted) <= set(stored)
    # Of each process the event that it was taking when it ended may be there, untold.
    assert set(stored) - set(accepted) <= set(untold)


def _numbers_from(served: Served, project: ServedProject, first: int) -> Counter[int]:
    """Process by process, since an extraction is bounded."""
    filters = [
        {"property_name": "n", "operator": "gte", "property_value": first},
        {"property_name": "n", "operator": "lt", "property_value": first + 1_000_000},
    ]
    rows = served.ask(project, "extraction", event_collection="c", filters=filters, property_names=["n"])
    return Counter(row["n"] for row in rows)


def test_processes_share_a_file_and_one_is_killed(
    served: Served, project: ServedProject, tmp_path: Path
) -> None:
    """The one that was sending is killed; the others send what it left."""
    code = """
    first, path = int(sys.argv[1]), sys.argv[2]
    sender = client.sender(path=path, **quick)
    for n in range(first, first + 300):
        sender.record("c", {"n": n})
        taken(n)
        time.sleep(0.002)
    sys.stdin.read()
    assert sender.close(100), sender.stats
    """
    programs = []
    for number in range(3):
        programs.append(Program(code, served.url, project, tmp_path, number * 1_000, tmp_path / "q"))
        # The first to begin is the one that sends.
        programs[-1].await_first()
    time.sleep(0.2)
    programs[0].process.kill()
    killed = programs[0].ended(-signal.SIGKILL)
    for program in programs[1:]:
        program.ended()
    expected = {*range(len(killed)), *range(1_000, 1_300), *range(2_000, 2_300)}
    stored = numbers_of(served, project, "c")
    assert set(stored.values()) == {1}
    assert expected <= set(stored) <= expected | {len(killed)}


FULL_DISK = """
import resource
path = sys.argv[1]
sender = client.sender(path=path, **quick)
refused = []
text = ""
for n in range(100_000):
    if n == 20:
        # No file may become larger than it is now, as on a disk that is full.
        size = max(os.path.getsize(path), os.path.getsize(path + "-wal")) + 50_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        sender.record("c", {"n": n, "text": "x" * 5_000})
        taken(n)
    except QueueWriteError as error:
        refused.append(n)
        text = str(error)
        if len(refused) == 5:
            break
with open(sys.argv[2], "w") as report:
    json.dump([refused, text], report)
sender.flush(0.5)
sender.close(0)
"""


@pytest.mark.parametrize("outage", [True, False])
def test_a_full_disk_refuses_events_to_the_caller(
    served: Served, project: ServedProject, tmp_path: Path, outage: bool
) -> None:
    """Refused with an exception that names the file; what was taken before is stored once, all of it."""
    with FaultyProxy(served.port) as proxy:
        proxy.always = overloaded() if outage else slow(0)
        program = Program(FULL_DISK, proxy.url, project, tmp_path, tmp_path / "q", tmp_path / "report")
        accepted = program.ended()
    refused, text = json.loads((tmp_path / "report").read_text())
    assert len(refused) == 5
    assert str(tmp_path / "q") in text
    assert not set(refused) & set(accepted)
    client = Acumen(served.url, project_id=project.id, write_key=project.write_key)
    with client.sender(path=tmp_path / "q", linger_seconds=0.01) as sender:
        assert sender.flush(SETTLED_SECONDS)
    assert numbers_of(served, project, "c") == once(accepted)


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit(3)", "raise RuntimeError"])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_the_end_of_a_process_sends_what_waits(
    served: Served, project: ServedProject, tmp_path: Path, where: str, end: str
) -> None:
    code = f"""
    path = sys.argv[1] or None
    sender = client.sender(path=path, linger_seconds=60.0, exit_seconds=60.0)
    for n in range(30):
        sender.record("c", {{"n": n}})
    {end}
    """
    path = tmp_path / "q" if where == "disk" else ""
    status = 0 if not end else 1 if "Runtime" in end else 3
    Program(code, served.url, project, tmp_path, path).ended(status)
    assert numbers_of(served, project, "c") == once(range(30))


def test_the_end_of_a_process_during_an_outage_is_soon_and_says_what_is_lost(
    served: Served, project: ServedProject, tmp_path: Path
) -> None:
    code = """
    logging.basicConfig()
    sender = client.sender(exit_seconds=0.3, **quick)
    for n in range(3):
        sender.record("c", {"n": n})
    """
    with FaultyProxy(served.port) as proxy:
        proxy.always = overloaded()
        program = Program(code, proxy.url, project, tmp_path)
        program.ended()
    assert "3 events were given up (closed)" in program.problems()


FORKING = {
    "os.fork": """
        pid = os.fork()
        if pid == 0:
            for n in range(1_000_000, 1_000_020):
                sender.record("c", {"n": n})
            sender.close(60)
            os._exit(0)
        for n in range(20, 40):
            sender.record("c", {"n": n})
        assert os.waitpid(pid, 0)[1] == 0
    """,
    "multiprocessing": """
        import multiprocessing

        def work():
            for n in range(1_000_000, 1_000_020):
                sender.record("c", {"n": n})

        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        for n in range(20, 40):
            sender.record("c", {"n": n})
        child.join()
        assert child.exitcode == 0
    """,
    "a pool": """
        import concurrent.futures, multiprocessing

        def work(n):
            return sender.record("c", {"n": n})

        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
            assert all(pool.map(work, range(1_000_000, 1_000_020)))
        for n in range(20, 40):
            sender.record("c", {"n": n})
    """,
    "under load": """
        over = threading.Event()
        def work():
            n = 20
            while n < 40 or not over.is_set():
                sender.record("c", {"n": n})
                n += 1
                time.sleep(0.0005)
            over.numbers = n
        thread = threading.Thread(target=work)
        thread.start()
        for child in range(10):
            pid = os.fork()
            if pid == 0:
                client.record("c", {"n": 1_000_000 + 2 * child})
                sender.record("c", {"n": 1_000_001 + 2 * child})
                os._exit(0 if sender.flush(60) else 1)
            assert os.waitpid(pid, 0)[1] == 0
        over.set()
        thread.join()
        for n in range(40, over.numbers):
            taken(n)
    """,
}


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("how", FORKING)
def test_a_forked_child_goes_on_and_doubles_nothing(
    served: Served, project: ServedProject, tmp_path: Path, where: str, how: str
) -> None:
    """Some events wait as the fork happens: they are the parent's. Both record and send afterwards."""
    code = """
    path = sys.argv[1] or None
    sender = client.sender(path=path, linger_seconds=0.05, exit_seconds=60.0)
    client.record("c", {"n": -1})
    for n in range(20):
        sender.record("c", {"n": n})
    """
    path = tmp_path / "q" if where == "disk" else ""
    text = textwrap.dedent(code) + textwrap.dedent(FORKING[how])
    more = Program(text, served.url, project, tmp_path, path).ended()
    expected = {*range(-1, 40), *range(1_000_000, 1_000_020), *more}
    assert numbers_of(served, project, "c") == once(expected)


def test_the_same_events_from_a_program_that_is_run_again(
    served: Served, project: ServedProject, tmp_path: Path
) -> None:
    """A job that is run again, with tokens made of its own ids, stores nothing twice."""
    code = """
    sender = client.sender(**quick)
    for n in range(50):
        sender.record("c", {"n": n}, token=f"job-7-{n}")
    """
    for _ in range(2):
        Program(code, served.url, project, tmp_path).ended()
    assert numbers_of(served, project, "c") == once(range(50))


def test_any_value_of_options_is_known(served: Served, project: ServedProject) -> None:
    client = Acumen(served.url, project_id=project.id, write_key=project.write_key)
    wrong: dict[str, Any] = {"lingering": 1}
    with pytest.raises(TypeError, match="lingering"):
        client.sender(**wrong)
