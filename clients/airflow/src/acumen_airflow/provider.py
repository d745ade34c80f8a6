"""What Airflow is told of this package: its connection type, its settings and its modules.

The plugin is an entry point of its own: those that a provider names are not loaded where Airflow loads
providers lazily, which it does unless told otherwise.
"""

from __future__ import annotations

from typing import Any

from acumen_airflow import __version__

_SECRET = {"schema": {"type": ["string", "null"], "format": "password"}}
_NAME = "Acumen"


def get_provider_info() -> dict[str, Any]:
    """As ``provider_info.schema.json`` of Airflow describes it."""
    return {
        "package-name": "acumen-airflow",
        "name": _NAME,
        "description": "Event analytics: send events, wait for them, ask questions and check the answers.",
        "versions": [__version__],
        "integrations": [{"integration-name": _NAME, "external-doc-url": "", "tags": ["service"]}],
        "hooks": _modules("hook"),
        "operators": _modules("operators"),
        "sensors": _modules("sensors"),
        "triggers": _modules("triggers"),
        "connection-types": [_connection_type()],
        "asset-uris": [{"schemes": ["acumen"], "handler": None}],
        "config": {
            "acumen": {"description": "Airflow's own runs as events of Acumen.", "options": _options()}
        },
    }


def _modules(name: str) -> list[dict[str, Any]]:
    return [{"integration-name": _NAME, "python-modules": [f"acumen_airflow.{name}"]}]


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "acumen",
        "hook-class-name": "acumen_airflow.hook.AcumenHook",
        "hook-name": _NAME,
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {
                "host": "Address",
                "login": "Project id",
                "password": "Key",
                "schema": "Scheme (https unless given)",
            },
            "placeholders": {
                "host": "https://acumen.example",
                "password": "master key or access key",
            },
        },
        "conn-fields": {
            "write_key": {"label": "Write key", **_SECRET, "description": "For sending; else the key above."},
            "read_key": {"label": "Read key", **_SECRET, "description": "For asking; else the key above."},
        },
    }


def _options() -> dict[str, Any]:
    return {
        "run_events_collection": _option(
            "The collection that gets the states of DAG runs and tasks; empty: none are sent.", "airflow_runs"
        ),
        "run_events_url": _option("The server's address.", "https://acumen.example"),
        "run_events_project_id": _option("The project.", None),
        "run_events_write_key": {**_option("A key that may write.", None), "sensitive": True},
        "run_events_wait_seconds": {
            **_option("How long the end of a task waits for its events to be sent, in seconds.", "2"),
            "type": "float",
            "default": "2",
        },
    }


def _option(description: str, example: str | None) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": "string",
        "example": example,
        "default": "",
    }
