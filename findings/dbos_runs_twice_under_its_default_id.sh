#!/bin/sh
# dbos 3.4.0 (Python): every process has the executor id "local" unless told otherwise, and a process that starts queues
# again whatever processes of its id were running, without looking whether they live. So a second worker, started on the same
# database while the first is in its steps, begins some of the same steps beside it. The loser hears of it when its step ends:
# "no longer owned by this execution".
# Guess before: a starting process takes over only what a dead one left.
# Seen: "of 10 steps in progress 5 were begun by the second process too" (2 to 8).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: dbos==3.4.0
cd "$folder"
cat >worker.py <<'PY'
import os
import time

from dbos import DBOS

config = {"name": "trial", "system_database_url": "sqlite:///queue.db", "run_admin_server": False}
DBOS(config={**config, "application_version": "1", "log_level": "ERROR"})


@DBOS.step()
def slow(number: int) -> None:
    with open("begun", "a") as file:
        print(number, os.getpid(), file=file)
    time.sleep(45)


@DBOS.workflow()
def work(number: int) -> None:
    slow(number)


DBOS.launch()
DBOS.register_queue("jobs")
time.sleep(60)
PY
cat >trial.py <<'PY'
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dbos import DBOSClient


def begun() -> set[tuple[str, ...]]:
    """(number of a workflow, process)"""
    return {tuple(line.split()) for line in Path("begun").read_text().splitlines()} if Path("begun").exists() else set()


def until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)


workers = [subprocess.Popen([sys.executable, "worker.py"])]
try:
    until(Path("queue.db").exists, 30)
    time.sleep(2)
    client = DBOSClient(system_database_url="sqlite:///queue.db")
    for number in range(10):
        client.enqueue({"workflow_name": "work", "queue_name": "jobs"}, number)
    until(lambda: len(begun()) == 10, 20)
    for _ in range(6):
        workers.append(subprocess.Popen([sys.executable, "worker.py"]))
        until(lambda: len(begun()) > 10, 3)
    twice = len(begun()) - 10
    print(f"of 10 steps in progress {twice} were begun by a later process too")
finally:
    for worker in workers:
        worker.kill()
        worker.wait()
sys.exit(not twice > 0)
PY
venv/bin/python trial.py 2>/dev/null
