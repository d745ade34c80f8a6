"""For operators: is it alive, should it be sent requests, what has it done; and this document."""

from __future__ import annotations

from service.http.openapi.describe import OBJECT, STRING, Answer, Area, Example, Operation, ok, record
from service.settings import Settings

_STATUS = record({"status": STRING}, ("status",))


def area(_: Settings) -> Area:
    operations = (
        _open("/health", "Is the process alive?", ok(_STATUS, "It is.")),
        _open("/ready", "May it be sent requests? 503 while it stops", ok(_STATUS, "It may.")),
        _open(
            "/metrics",
            "Counters in Prometheus' text format",
            {200: Answer("The metrics.", content={"text/plain": STRING})},
        ),
        _open("/openapi.json", "This document", ok(OBJECT, "An OpenAPI document.")),
    )
    return Area("operate", "For whoever runs the server.", operations)


def _open(path: str, summary: str, answers: dict[int, Answer]) -> Operation:
    return Operation("get", path, summary, answers, errors=(503,), open=True, examples=(Example(key=""),))
