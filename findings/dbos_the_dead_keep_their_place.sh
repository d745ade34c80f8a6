#!/bin/sh
# dbos 3.4.0 (Python) without its paid conductor: a workflow of a killed process belongs to that process's executor id for
# ever. Other processes on the same queue do not take it over, and it counts against the queue's concurrency: with one at a
# time the whole queue stands still until a process of that id starts again, or the private _recover_pending_workflows([id]) is called by
# whoever knows that it is dead.
# Guess before: the survivor goes on with the next workflow at least.
# Seen: "survivor, 8 s after the kill: 0 steps begun; told who is dead: goes on".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: dbos==3.4.0
cd "$folder"
cat >worker.py <<'PY'
import sys
import time
from pathlib import Path

from dbos import DBOS

me, other = sys.argv[1:]
config = {"name": "trial", "system_database_url": "sqlite:///queue.db", "run_admin_server": False}
DBOS(config={**config, "application_version": "1", "executor_id": me, "log_level": "ERROR"})


@DBOS.step()
def slow() -> None:
    with open("begun", "a") as file:
        print(me, file=file)
    time.sleep(3)


@DBOS.workflow()
def work() -> None:
    slow()


DBOS.launch()
DBOS.register_queue("jobs", global_concurrency=1)
Path(f"ready-{me}").touch()
while not Path("told").exists():
    time.sleep(0.1)
DBOS._recover_pending_workflows([other])
time.sleep(60)
PY
cat >trial.py <<'PY'
import subprocess
import sys
import time
from pathlib import Path

from dbos import DBOSClient


def begun() -> list[str]:
    return Path("begun").read_text().split() if Path("begun").exists() else []


pairs = {"a": "b", "b": "a"}
workers = {me: subprocess.Popen([sys.executable, "worker.py", me, pairs[me]]) for me in pairs}
try:
    while not all(Path(f"ready-{me}").exists() for me in pairs):
        time.sleep(0.1)
    client = DBOSClient(system_database_url="sqlite:///queue.db")
    for _ in range(3):
        client.enqueue({"workflow_name": "work", "queue_name": "jobs"})
    while not begun():
        time.sleep(0.05)
    workers[begun()[0]].kill()
    time.sleep(8)
    alone = len(begun()) - 1
    Path("told").touch()
    deadline = time.monotonic() + 20
    while len(begun()) == 1 + alone and time.monotonic() < deadline:
        time.sleep(0.05)
    told = len(begun()) > 1 + alone
    print(f"survivor, 8 s after the kill: {alone} steps begun; told who is dead: {'goes on' if told else 'stands'}")
finally:
    for worker in workers.values():
        worker.kill()
        worker.wait()
sys.exit(not (alone == 0 and told))
PY
venv/bin/python trial.py 2>/dev/null
