#!/bin/sh
# APScheduler 3.11.3: a job that is due leaves its durable store (SQLAlchemy) when it is handed to the pool of threads, not when
# it has run. So a killed process loses the jobs that only waited for a thread too, and the store is empty.
# Guess before: the job that ran is lost, the five that waited are not.
# Seen: "6 jobs stored, killed in the 1st: 0 in the store".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: apscheduler==3.11.3 sqlalchemy==2.1.9
cd "$folder"
cat >jobs.py <<'PY'
import sys
import time
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler


def scheduler() -> BackgroundScheduler:
    store = {"default": SQLAlchemyJobStore(url="sqlite:///jobs.db")}
    return BackgroundScheduler(jobstores=store, executors={"default": ThreadPoolExecutor(1)})


def slow() -> None:
    with open("begun", "a") as file:
        print("begun", file=file)
    time.sleep(30)


if __name__ == "__main__":
    import jobs

    made = scheduler()
    made.start(paused=sys.argv[1] == "store")
    if sys.argv[1] == "store":
        for _ in range(6):
            made.add_job(jobs.slow)
        sys.exit()
    time.sleep(60)
PY
cat >trial.py <<'PY'
import sqlite3
import subprocess
import sys
import time
from pathlib import Path


def stored() -> int:
    return sqlite3.connect("jobs.db").execute("SELECT count(*) FROM apscheduler_jobs").fetchone()[0]


subprocess.run([sys.executable, "jobs.py", "store"], check=True)
before = stored()
worker = subprocess.Popen([sys.executable, "jobs.py", "run"])
while not Path("begun").exists():
    time.sleep(0.05)
time.sleep(1)
begun = len(Path("begun").read_text().split())
worker.kill()
worker.wait()
print(f"{before} jobs stored, killed in the {begun}st: {stored()} in the store")
sys.exit((before, begun, stored()) != (6, 1, 0))
PY
venv/bin/python trial.py 2>/dev/null
