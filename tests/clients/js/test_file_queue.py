"""The queue in a file: its events outlive a killed program and a full disk, and are stored once."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from tests.clients.faulty_proxy import LOST_ANSWER, FaultyProxy
from tests.clients.js.conftest import HERE, Run
from tests.clients.js.test_client import client_of
from tests.clients.js.test_queue import events, stored
from tests.support.server import Served, ServedProject


def killed(runtime: list[str], job: object) -> None:
    done = subprocess.run(
        [*runtime, str(HERE / "file_queue.mjs")],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -9, done.stderr


def test_events_outlive_a_program_that_is_killed(
    runtime: list[str], run: Run, served: Served, project: ServedProject, tmp_path: Path
) -> None:
    client = client_of(served, project)
    file = str(tmp_path / "queue")
    for first in (0, 100):
        job = {"file": file, "client": {**client, "url": "http://127.0.0.1:1"}, "end": "kill"}
        killed(runtime, {**job, "events": events(list(range(first, first + 100))), "expect": first + 100})
    with FaultyProxy(served.url, LOST_ANSWER) as proxy:
        job = {"file": file, "client": {**client, "url": proxy.url}, "end": "flush"}
        assert run("file_queue.mjs", {**job, "events": events([200])}) == {"waiting": 0, "drops": []}
    assert stored(served, project) == list(range(201))
    assert run("file_queue.mjs", {**job, "client": client, "events": []}) == {"waiting": 0, "drops": []}
    assert stored(served, project) == list(range(201))


def test_a_line_that_was_cut_off_spoils_no_other(
    run: Run, served: Served, project: ServedProject, tmp_path: Path
) -> None:
    file = tmp_path / "queue"
    job = {"file": str(file), "client": {**client_of(served, project), "url": "http://127.0.0.1:1"}}
    assert run("file_queue.mjs", {**job, "events": events([1, 2])})["waiting"] == 2
    with file.open("a") as journal:
        journal.write('[3,{"c":"queued","e":"{\\"n\\":')
    job["client"] = client_of(served, project)
    assert run("file_queue.mjs", {**job, "events": events([4]), "end": "flush"})["waiting"] == 0
    assert stored(served, project) == [1, 2, 4]


def test_events_that_a_full_disk_does_not_take_are_sent_from_memory(
    runtime: list[str], served: Served, project: ServedProject, tmp_path: Path
) -> None:
    """The program may write no file larger than 3,000 bytes: beyond that it fails as on a full disk."""
    job = {"file": str(tmp_path / "queue"), "client": client_of(served, project), "end": "flush"}

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))

    done = subprocess.run(
        [*runtime, str(HERE / "file_queue.mjs")],
        input=json.dumps({**job, "events": events(list(range(100)))}),
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limit,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"waiting": 0, "drops": []}
    assert stored(served, project) == list(range(100))


def test_a_file_that_another_program_has_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "queue"
    (tmp_path / "queue.lock").write_text(str(os.getpid()))
    report = run("file_queue.mjs", {"file": str(file), "client": {}, "events": []})
    assert "used by process" in report["error"]["message"]
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    (tmp_path / "queue.lock").write_text(ended.stdout)
    client = {"url": "http://127.0.0.1:1", "projectId": "p", "writeKey": "w"}
    report = run("file_queue.mjs", {"file": str(file), "client": client, "events": []})
    assert report == {"waiting": 0, "drops": []}
