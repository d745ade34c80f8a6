#!/bin/sh
# Apache Airflow 3.3.2: a provider package may name plugins (listeners, macros, …) under `plugins` in what its entry point
# `apache_airflow_provider` returns. The providers manager knows them, and the plugins manager loads none of them, without a word:
# it does so only where `[core] lazy_discover_providers` is False, and the default is True. A package whose plugin must be loaded
# by default needs an entry point of the group `airflow.plugins` besides.
# Guess before: what a provider names is loaded wherever the provider is installed.
# Seen: "usual: ['demo_listening'] []; providers discovered at once: ['demo_listening'] ['demo_listening']" (known, loaded).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: apache-airflow==3.3.2
cd "$folder"
mkdir demo_provider demo_provider-1.0.0.dist-info
printf 'Metadata-Version: 2.1\nName: demo-provider\nVersion: 1.0.0\n' >demo_provider-1.0.0.dist-info/METADATA
printf '[apache_airflow_provider]\nprovider_info = demo_provider:info\n' >demo_provider-1.0.0.dist-info/entry_points.txt
cat >demo_provider/__init__.py <<'PY'
def info():
    plugin = {"name": "demo_listening", "plugin-class": "demo_provider.plugin.Listening"}
    return {"package-name": "demo-provider", "name": "Demo", "description": "A trial.", "plugins": [plugin]}
PY
cat >demo_provider/plugin.py <<'PY'
from airflow.plugins_manager import AirflowPlugin


class Listening(AirflowPlugin):
    name = "demo_listening"
PY
cat >trial.py <<'PY'
from airflow import plugins_manager
from airflow.providers_manager import ProvidersManager

known = [one.name for one in ProvidersManager().plugins]
found, errors = plugins_manager._get_plugins()
assert not errors
print(known, [one.name for one in found if one.name in known])
PY
trial() { PYTHONPATH="$folder" AIRFLOW_HOME="$folder/home" AIRFLOW__CORE__LOAD_EXAMPLES=False venv/bin/python trial.py 2>/dev/null | tail -n 1; }
usual=$(trial)
eager=$(AIRFLOW__CORE__LAZY_DISCOVER_PROVIDERS=False trial)
echo "usual: $usual; providers discovered at once: $eager"
[ "$usual" = "['demo_listening'] []" ] && [ "$eager" = "['demo_listening'] ['demo_listening']" ]
