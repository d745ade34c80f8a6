"""The backup of docs/operating.md, as printed, taken from a server that goes on taking events."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from pathlib import Path

from tests.support.server import Served, ServedProject, acumen_command

OPERATING = Path(__file__).resolve().parents[2] / "docs/operating.md"


def backup_lines() -> str:
    (lines,) = re.findall(r"^```sh\n(.*?)^```$", OPERATING.read_text(), re.MULTILINE | re.DOTALL)
    return str(lines)


def record_until(stop: threading.Event, server: Served, project: ServedProject) -> None:
    """Post small batches, so that flushes and compactions go on during the copy."""
    number = 1_000
    while not stop.is_set():
        server.record(project, "c", *({"n": number + offset} for offset in range(20)))
        number += 20


def bring_secret(folder: Path) -> None:
    """From where it is kept."""
    assert not (folder / "backup" / "secret.key").exists()
    shutil.copy(folder / "data" / "secret.key", folder / "backup")


def test_a_copy_of_a_running_server_holds_all_that_was_acknowledged_before(tmp_path: Path) -> None:
    often = {"ACUMEN_FLUSH_SECONDS": "0.2", "ACUMEN_FLUSH_EVENTS": "200"}
    with Served(env=often, data=tmp_path / "data") as server:
        project = server.project
        server.record(project, "c", *({"n": n} for n in range(1_000)))
        stop = threading.Event()
        poster = threading.Thread(target=record_until, args=(stop, server, project))
        poster.start()
        try:
            subprocess.run(["sh", "-eu", "-c", backup_lines()], cwd=tmp_path, check=True, timeout=60)
        finally:
            stop.set()
            poster.join()

    copy = tmp_path / "backup"
    checked = subprocess.run(
        [*acumen_command(), "check", "--data", str(copy)], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    bring_secret(tmp_path)
    with Served(data=copy) as restored:
        numbers = restored.ask(project, "select_unique", event_collection="c", target_property="n")
        counted = restored.ask(project, "count", event_collection="c")
        assert numbers[:1_000] == list(range(1_000))
        assert counted == len(numbers)


def test_collections_that_are_made_during_the_copy_are_no_trouble(tmp_path: Path) -> None:
    """One between every two lines: each is in the copy as a whole, or not at all."""
    with Served(env={"ACUMEN_FLUSH_SECONDS": "3600"}, data=tmp_path / "data") as server:
        project = server.project
        for number, line in enumerate(backup_lines().splitlines()):
            server.record(project, f"before{number}", {"n": number, "new": {f"p{number}": "x"}})
            subprocess.run(["sh", "-eu", "-c", line], cwd=tmp_path, check=True, timeout=60)
    copy = tmp_path / "backup"
    checked = subprocess.run(
        [*acumen_command(), "check", "--data", str(copy)], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    bring_secret(tmp_path)
    with Served(data=copy) as restored:
        for number in range(2):
            assert restored.ask(project, "count", event_collection=f"before{number}") == 1
        assert "does not exist" not in restored.output()
        assert "damaged" not in restored.output()
        assert restored.stop() == 0
        assert "does not exist" not in restored.output()


def test_a_log_that_was_sealed_after_it_was_copied_is_read_as_far_as_the_copy_goes(tmp_path: Path) -> None:
    lines = backup_lines().splitlines()
    with Served(env={"ACUMEN_FLUSH_SECONDS": "3600"}, data=tmp_path / "data") as server:
        project = server.project
        server.record(project, "c", {"n": 1})
        server.kill("worker-0")
        server.wait_ready()
        server.record(project, "c", {"n": 2})
        for number, line in enumerate(lines):
            if number == 3:
                server.record(project, "c", {"n": 3})
                server.kill_all()
                server.start()
            subprocess.run(["sh", "-eu", "-c", line], cwd=tmp_path, check=True, timeout=60)
    bring_secret(tmp_path)
    with Served(data=tmp_path / "backup") as restored:
        found = restored.ask(project, "select_unique", event_collection="c", target_property="n")
        assert found == [1, 2]
        restored.restart()
        assert restored.ask(project, "count", event_collection="c") == 2
    assert (
        "All is well"
        in subprocess.run(
            [*acumen_command(), "check", "--data", str(tmp_path / "backup")], capture_output=True, text=True
        ).stdout
    )
