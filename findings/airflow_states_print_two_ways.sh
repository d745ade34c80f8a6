#!/bin/sh
# Apache Airflow 3.3.2: the state of a task instance is another class in the process that runs the task than in the scheduler
# and the API server. Both compare equal to "up_for_retry", and to each other. As text only the one of the scheduler is
# "up_for_retry": in a task's process, where listeners hear of a failed task, str() and an f-string give
# "IntermediateTIState.UP_FOR_RETRY". What writes states to a table or a message writes two spellings; `.value` is one.
# Guess before: a state prints as its value everywhere, as in Airflow 2.
# Seen: "scheduler: up_for_retry, task: IntermediateTIState.UP_FOR_RETRY, equal: True".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: apache-airflow==3.3.2
cd "$folder"
cat >trial.py <<'PY'
from airflow.sdk.api.datamodels._generated import IntermediateTIState
from airflow.utils.state import TaskInstanceState

scheduler, task = TaskInstanceState.UP_FOR_RETRY, IntermediateTIState.UP_FOR_RETRY
print(f"scheduler: {scheduler}, task: {task}, equal: {scheduler == task == 'up_for_retry'}")
PY
seen=$(AIRFLOW_HOME="$folder/home" venv/bin/python trial.py 2>/dev/null | tail -n 1)
echo "$seen"
[ "$seen" = "scheduler: up_for_retry, task: IntermediateTIState.UP_FOR_RETRY, equal: True" ]
