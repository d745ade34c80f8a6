#!/bin/sh
# Renew the lock files: one resolution for every supported platform and Python, all hashes, no addresses.
# What runs the server, what builds its package, and what its developers use are locked apart.
set -eu
cd "$(dirname "$0")/.."

command -v uv >/dev/null 2>&1 || { echo "make lock needs uv: python3 -m pip install uv" >&2; exit 1; }

compile() {
    uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
        --no-header --no-annotate --no-emit-index-url "$@"
}
compile pyproject.toml --output-file requirements.lock
compile --group build --constraints requirements.lock --output-file requirements-build.lock
compile --group dev --constraints requirements.lock --constraints requirements-build.lock \
    --output-file requirements-dev.lock
# Of its own: Airflow's tests run in an environment that has nothing of the server.
airflow=tests/clients/airflow
compile "$airflow/requirements.in" --output-file "$airflow/requirements.lock"

if grep -nE '://|^-' requirements.lock requirements-build.lock requirements-dev.lock "$airflow/requirements.lock"; then
    echo "a lock file names an address or an option; it must hold only versions and hashes" >&2
    exit 1
fi
