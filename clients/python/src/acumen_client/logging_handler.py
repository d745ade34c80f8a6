"""A handler for the standard library's ``logging`` that records each line as an event."""

from __future__ import annotations

import logging
import time
from typing import Any

from acumen_client.errors import AcumenError
from acumen_client.sender import Sender, is_sender_thread

TEXT_LENGTH_MAX = 9_999
"""Characters of a text that a server takes; a longer one is cut here, and ends in an ellipsis."""
_OWN_LOGGERS = ("acumen_client", "httpx", "httpcore")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PLAIN = (str, int, float, bool, type(None))


class AcumenHandler(logging.Handler):
    """Records what is logged as events of one collection, in the background and without making anybody wait.

    >>> logging.getLogger().addHandler(AcumenHandler(client.sender(), "logs"))

    An event has ``logger``, ``level``, ``message``, ``file``, ``line``, ``function``, ``thread`` and
    ``process``, with an exception also ``exception`` (``type``, ``message``, ``traceback``), and under
    ``extra`` what the program gave in ``extra={...}``. A line that cannot be taken (a full queue, for one)
    is counted in ``lost`` and goes nowhere else. Lines of this package and of httpx are left out.
    """

    def __init__(self, sender: Sender, collection: str = "logs", level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.sender = sender
        self.collection = collection
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Record one line."""
        if is_sender_thread.yes or record.name.split(".")[0] in _OWN_LOGGERS:
            return
        try:
            taken = self.sender.offer(self.collection, self.event(record), timestamp=_time_of(record))
        except AcumenError:
            taken = False
        except Exception:
            taken = False
            self.handleError(record)
        if not taken:
            self.lost += 1

    def event(self, record: logging.LogRecord) -> dict[str, Any]:
        """The event for a line; a subclass may change it."""
        event: dict[str, Any] = {
            "logger": record.name,
            "level": record.levelname,
            "message": _cut(record.getMessage()),
            "file": record.pathname,
            "line": record.lineno,
            "function": record.funcName,
            "thread": record.threadName,
            "process": record.process,
        }
        if record.exc_info and record.exc_info[0] is not None:
            formatter = self.formatter or _FORMATTER
            event["exception"] = {
                "type": record.exc_info[0].__qualname__,
                "message": _cut(str(record.exc_info[1])),
                "traceback": _cut(formatter.formatException(record.exc_info), from_end=True),
            }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if extra:
            event["extra"] = {_name(name): _plain(value) for name, value in extra.items()}
        return event


_FORMATTER = logging.Formatter()


def _time_of(record: logging.LogRecord) -> str:
    seconds, part = divmod(record.created, 1.0)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(part * 1e6):06d}Z"


def _cut(text: str, *, from_end: bool = False) -> str:
    if len(text) <= TEXT_LENGTH_MAX:
        return text
    return "…" + text[1 - TEXT_LENGTH_MAX :] if from_end else text[: TEXT_LENGTH_MAX - 1] + "…"


def _name(name: str) -> str:
    """The name as a property may have it."""
    return name.replace(".", "_").lstrip("$")[:256] or "_"


def _plain(value: Any) -> Any:
    """The value if it is plain, lists and mappings of such included; its ``repr`` otherwise."""
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        return {_name(str(name)): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return _cut(repr(value))
