"""Airflow's own runs as events: a listener that is there only where ``[acumen] run_events_collection`` is
set.

Events go into a bounded queue of the process and are sent by a thread of it. What does not fit, or cannot be
sent, is given up: no task and no scheduler waits for Acumen, but the end of a task, for
``run_events_wait_seconds`` at most.
"""

from __future__ import annotations

import atexit
import datetime as dt
import hashlib
import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from acumen_client import Sender

EVENTS_MAX = 10_000
BYTES_MAX = 8 << 20
ERROR_LENGTH_MAX = 500
_SECTION = "acumen"
_log = logging.getLogger(__name__)


def setting(name: str) -> str:
    """A setting of ``[acumen]``; empty where there is none."""
    from airflow.sdk.configuration import conf

    return str(conf.get(_SECTION, f"run_events_{name}", fallback="") or "").strip()


class RunEvents:
    """Takes what Airflow tells of its runs. Nothing raises here, and nothing blocks but
    ``before_stopping``.
    """

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._sender: Sender | None = None
        self._pid = -1

    @hookimpl
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        self._tell(_of_dag_run, dag_run, "running")

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        self._tell(_of_dag_run, dag_run, "success")

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        self._tell(_of_dag_run, dag_run, "failed")

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        self._tell(_of_task, task_instance, "running")

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        self._tell(_of_task, task_instance, "success")

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        is_tried_again = _text(getattr(task_instance, "state", None)) == "up_for_retry"
        self._tell(_of_task, task_instance, "up_for_retry" if is_tried_again else "failed", error)

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        self._tell(_of_task, task_instance, "skipped")

    @hookimpl
    def before_stopping(self, component: Any) -> None:
        """The process of a task ends without ceremony: what waits is sent now."""
        self._finish()

    def _tell(self, describe: Any, *about: Any) -> None:
        try:
            self._of_this_process().record(self._collection, describe(*about))
        except Exception as error:
            _log.warning("A run event for Acumen was given up: %s", error)

    def _of_this_process(self) -> Sender:
        with self._lock:
            if self._sender is None:
                self._sender = _new_sender()
            if self._pid != os.getpid():
                # Of a forked task: what its parent registered was cleared.
                self._pid = os.getpid()
                atexit.register(self._finish)
            return self._sender

    def _finish(self) -> None:
        try:
            if self._sender is not None and not self._sender.flush(float(setting("wait_seconds") or 2)):
                _log.warning("Run events for Acumen were not sent in time.")
        except Exception as error:
            _log.warning("Run events for Acumen were given up: %s", error)


def _new_sender() -> Sender:
    from acumen_client import Acumen

    client = Acumen(
        setting("url"),
        project_id=setting("project_id"),
        write_key=setting("write_key"),
        timeout=10.0,
    )
    return client.sender(
        when_full="drop", events_max=EVENTS_MAX, bytes_max=BYTES_MAX, linger_seconds=0.5, exit_seconds=2.0
    )


def _of_dag_run(run: Any, state: str) -> dict[str, Any]:
    event = {
        "kind": "dag_run",
        "state": state,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "run_type": _text(getattr(run, "run_type", None)),
        "logical_date": _time(getattr(run, "logical_date", None)),
    }
    return _timed(event, run, state, getattr(run, "clear_number", 0))


def _of_task(ti: Any, state: str, error: Any = None) -> dict[str, Any]:
    event = {
        "kind": "task",
        "state": state,
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": ti.map_index,
        "try_number": ti.try_number,
        "operator": _operator(ti),
    }
    if error is not None:
        event["error"] = str(error)[:ERROR_LENGTH_MAX]
        event["error_type"] = type(error).__name__ if isinstance(error, BaseException) else None
    return _timed(event, ti, state, None)


def _operator(ti: Any) -> str | None:
    task = getattr(ti, "task", None)
    return getattr(ti, "operator", None) or (type(task).__name__ if task is not None else None)


def _timed(event: dict[str, Any], run: Any, state: str, attempt: Any) -> dict[str, Any]:
    """The event with its times, and the token by which it is one event however often Airflow tells of it."""
    start, end = getattr(run, "start_date", None), getattr(run, "end_date", None)
    is_over = state != "running"
    event |= {"start_date": _time(start), "end_date": _time(end) if is_over else None}
    if is_over and start is not None and end is not None:
        event["duration_seconds"] = round((end - start).total_seconds(), 3)
    when = (end if is_over else start) or dt.datetime.now(dt.UTC)
    ids = [
        event.get(name)
        for name in ("kind", "state", "dag_id", "run_id", "task_id", "map_index", "try_number")
    ]
    token = hashlib.blake2b(json.dumps([*ids, attempt]).encode(), digest_size=16).hexdigest()
    known = {name: value for name, value in event.items() if value is not None}
    return {**known, "keen": {"timestamp": _time(when), "uniqueness_token": token}}


def _time(value: Any) -> str | None:
    return None if value is None else value.isoformat()


def _text(value: Any) -> str | None:
    return None if value is None else str(getattr(value, "value", value))


def _configured() -> list[RunEvents]:
    collection = setting("collection")
    return [RunEvents(collection)] if collection else []


class RunEventsPlugin(AirflowPlugin):
    """Registers the listener where it is configured."""

    name = "acumen_run_events"
    listeners = _configured()
