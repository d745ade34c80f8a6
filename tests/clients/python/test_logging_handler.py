"""Log lines as events."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from acumen_client import Acumen, AcumenHandler, Sender
from tests.clients.python.faulty_proxy import FaultyProxy, overloaded
from tests.clients.python.stored import events_of
from tests.support.server import Served, ServedProject, free_port


@pytest.fixture
def sender(client: Acumen) -> Iterator[Sender]:
    with client.sender(linger_seconds=0.02) as made:
        yield made


@pytest.fixture
def logger(sender: Sender) -> Iterator[logging.Logger]:
    made = logging.getLogger("a program")
    made.setLevel(logging.DEBUG)
    handler = AcumenHandler(sender, "lines", logging.INFO)
    made.addHandler(handler)
    yield made
    made.removeHandler(handler)


def lines_of(served: Served, project: ServedProject, sender: Sender) -> list[dict[str, Any]]:
    assert sender.flush(60)
    assert sender.dead_letters() == []
    return sorted(events_of(served, project, "lines"), key=lambda row: row["line"])


def test_a_line_is_an_event(
    served: Served, project: ServedProject, sender: Sender, logger: logging.Logger
) -> None:
    logger.debug("too little")
    logger.warning("%s of %d", "one", 2, extra={"user": {"id.x": 7, "tags": ["a", object]}, "ratio": 0.5})
    (row,) = lines_of(served, project, sender)
    assert (row["logger"], row["level"], row["message"]) == ("a program", "WARNING", "one of 2")
    assert row["file"] == __file__
    assert row["function"] == "test_a_line_is_an_event"
    assert row["extra"] == {"user": {"id_x": 7, "tags": ["a", "<class 'object'>"]}, "ratio": 0.5}
    assert "exception" not in row


def test_the_time_is_that_of_the_line(client: Acumen, sender: Sender) -> None:
    record = logging.makeLogRecord({"msg": "then", "created": 1_700_000_000.25, "name": "x"})
    with Acumen(client.transport.target.url, project_id="p", write_key="w").sender() as other:
        handler = AcumenHandler(other, "lines")
        assert handler.event(record)["message"] == "then"
        handler.emit(record)
        (waiting,) = other._queue.head(9, 9_999)
        assert b'"2023-11-14T22:13:20.250000Z"' in waiting.body
        other.close(0)


def test_an_exception_goes_along(
    served: Served, project: ServedProject, sender: Sender, logger: logging.Logger
) -> None:
    try:
        raise KeyError("missing")
    except KeyError:
        logger.exception("it failed")
    logger.error("no exception", exc_info=True)
    first, second = lines_of(served, project, sender)
    assert (first["exception"]["type"], first["exception"]["message"]) == ("KeyError", "'missing'")
    assert 'raise KeyError("missing")' in first["exception"]["traceback"]
    assert "exception" not in second


def test_what_is_too_long_for_the_server_is_cut(
    served: Served, project: ServedProject, sender: Sender, logger: logging.Logger
) -> None:
    logger.info("x" * 50_000, extra={"text": "y" * 50_000})
    (row,) = lines_of(served, project, sender)
    assert len(row["message"]) == len(row["extra"]["text"]) == 9_999
    assert row["message"].endswith("x…")


def test_the_lines_of_sending_are_not_sent(served: Served, project: ServedProject, sender: Sender) -> None:
    """httpx logs each request: sent as an event, that would be a request again, for ever."""
    root = logging.getLogger()
    handler = AcumenHandler(sender, "lines")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        logging.getLogger("mine").debug("only this")
        assert sender.flush(60)
        time.sleep(0.2)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    rows = lines_of(served, project, sender)
    assert [row["message"] for row in rows] == ["only this"]


def test_logging_never_waits_and_counts_what_is_lost(project: ServedProject, logger: logging.Logger) -> None:
    with FaultyProxy(0) as proxy:
        proxy.always = overloaded()
        client = Acumen(proxy.url, project_id=project.id, write_key=project.write_key)
        sender = client.sender(events_max=2)
        handler = AcumenHandler(sender)
        for _ in range(5):
            handler.emit(logging.makeLogRecord({"msg": "m", "name": "x"}))
        assert handler.lost == 3
        sender.close(0)
        handler.emit(logging.makeLogRecord({"msg": "after the end", "name": "x"}))
        assert handler.lost == 4


def test_a_line_that_can_not_be_formatted_is_the_programs_to_see(
    client: Acumen, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Acumen(f"http://127.0.0.1:{free_port()}", project_id="p", write_key="w").sender()
    handler = AcumenHandler(nowhere)
    handler.emit(logging.makeLogRecord({"msg": "%d", "args": ("no number",), "name": "x"}))
    assert handler.lost == 1
    assert "no number" in capsys.readouterr().err
    nowhere.close(0)
