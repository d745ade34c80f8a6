#!/bin/sh
# Make `.airflow`, the environment of Apache Airflow 3 in which tests/clients/airflow runs, from its lock file.
# Quick when nothing changed. Needs the environment that `make setup` makes. Prints the path of its Python.
set -eu
cd "$(dirname "$0")/.."
lock=tests/clients/airflow/requirements.lock

if ! cmp -s "$lock" .airflow/made-of.lock; then
    rm -rf .airflow
    .venv/bin/python -m venv .airflow
    .airflow/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement "$lock" >&2
    cp "$lock" .airflow/made-of.lock
fi
echo "$PWD/.airflow/bin/python"
