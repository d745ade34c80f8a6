"""Tailing a real server from Node."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from tests.clients.js.conftest import Run
from tests.support.server import Served, ServedProject


def tailed(run: Run, served: Served, project: ServedProject, **more: Any) -> dict[str, Any]:
    """What a tail shows while events with rising numbers are sent."""
    stop = threading.Event()

    def send() -> None:
        for number in itertools.count():
            served.record(project, "purchases", {"n": number, "even": number % 2 == 0})
            if stop.wait(0.02):
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        client = {"url": served.url, "projectId": project.id, "readKey": project.read_key}
        report: dict[str, Any] = run("tail.mjs", {"client": client, "count": 20, **more})
        return report
    finally:
        stop.set()
        sender.join()


def test_events_come_once_in_order(run: Run, served: Served, project: ServedProject) -> None:
    report = tailed(run, served, project)
    shown = [event["n"] for event in report["events"]]
    assert shown == list(range(shown[0], shown[0] + 20))
    assert report["events"][0]["keen"]["id"]
    assert (report["gaps"], report.get("error")) == ([], None)
    assert report["states"][0] == "open"
    assert report["cursor"]


def test_filters_hold(run: Run, served: Served, project: ServedProject) -> None:
    filters = [{"property_name": "even", "operator": "eq", "property_value": True}]
    report = tailed(run, served, project, filters=filters)
    assert all(event["even"] for event in report["events"])
