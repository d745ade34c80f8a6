"""The backup of docs/operating.md, as printed, taken from a server that goes on taking events."""

from __future__ import annotations

import re
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


def test_a_copy_of_a_running_server_holds_all_that_was_acknowledged_before(tmp_path: Path) -> None:
    often = {"ACUMEN_FLUSH_SECONDS": "0.2", "ACUMEN_FLUSH_EVENTS": "200", "ACUMEN_COMPACT_FILES": "2"}
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
    with Served(data=copy) as restored:
        numbers = restored.ask(project, "select_unique", event_collection="c", target_property="n")
        counted = restored.ask(project, "count", event_collection="c")
        assert numbers[:1_000] == list(range(1_000))
        assert counted == len(numbers)
