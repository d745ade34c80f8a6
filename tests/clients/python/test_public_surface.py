"""What the package offers to the world, name by name: a change here is a change for somebody's program."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import acumen_client
from acumen_client import Acumen, AsyncAcumen, AsyncSender, Sender, SenderOptions

CLIENTS = Path(__file__).resolve().parents[3] / "clients/python"


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_name_is_listed_and_documented() -> None:
    names = [name for name in acumen_client.__all__ if name != "__version__"]
    assert sorted(set(acumen_client.__all__)) == sorted(acumen_client.__all__)
    undocumented = [
        name
        for name in names
        if (inspect.isclass(getattr(acumen_client, name)) or callable(getattr(acumen_client, name)))
        and not inspect.getdoc(getattr(acumen_client, name))
    ]
    assert undocumented == []
    found = {
        name
        for name, value in vars(acumen_client).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert found == set(names)


def test_the_names_of_sending() -> None:
    """Those that the pages about sending use; the pages about asking have a test of their own."""
    assert set(acumen_client.__all__) >= {
        "ASGIMiddleware",
        "Acumen",
        "AcumenError",
        "AcumenHandler",
        "AnswerTimeoutError",
        "ApiError",
        "AsyncAcumen",
        "AsyncSender",
        "BadRequestError",
        "BatchLimits",
        "ConfigurationError",
        "ConflictError",
        "ConnectionFailedError",
        "DeadLetter",
        "EventError",
        "EventsRefusedError",
        "ForbiddenError",
        "NO_RETRIES",
        "NotFoundError",
        "Outcome",
        "QueueError",
        "QueueFullError",
        "QueueWriteError",
        "RateLimitedError",
        "Recorded",
        "RefusedEvent",
        "Retries",
        "Sender",
        "SenderClosedError",
        "SenderOptions",
        "SenderStats",
        "ServerError",
        "TooLargeError",
        "UnauthorizedError",
        "UnreadableAnswerError",
        "WSGIMiddleware",
        "__version__",
    }


def test_the_methods_of_senders() -> None:
    assert public(Sender) == {
        "close",
        "dead_letters",
        "flush",
        "forget_dead_letters",
        "offer",
        "record",
        "record_many",
        "send_again",
        "stats",
    }
    assert public(AsyncSender) == {"aclose", "flush", "record", "record_many"}
    assert list(inspect.signature(SenderOptions).parameters) == [
        "path",
        "when_full",
        "block_seconds",
        "events_max",
        "bytes_max",
        "limits",
        "linger_seconds",
        "token_days",
        "synced",
        "exit_seconds",
        "backoff",
        "on_undelivered",
        "on_error",
    ]


def test_both_clients_have_the_same_methods() -> None:
    assert public(Acumen) - {"close"} == public(AsyncAcumen) - {"aclose"}


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((CLIENTS / "pyproject.toml").read_text())["project"]
    assert acumen_client.__version__ == project["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", acumen_client.__version__)


def test_the_client_imports_nothing_of_the_server() -> None:
    for path in (CLIENTS / "src").rglob("*.py"):
        assert not re.search(
            r"^\s*(from|import) (service|query|storage)\b", path.read_text(), re.MULTILINE
        ), path
