"""The Python client of Acumen.

>>> from acumen_client import Acumen
>>> client = Acumen("http://localhost:8000", project_id="…", write_key="…", read_key="…")
>>> client.record("purchases", {"price": 7})
>>> client.count("purchases", timeframe="this_14_days")
"""

from acumen_client._version import __version__
from acumen_client.client import Acumen, AsyncAcumen
from acumen_client.errors import (
    AcumenError,
    AnswerTimeoutError,
    ApiError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    EventError,
    EventsRefusedError,
    ForbiddenError,
    NotFoundError,
    QueueError,
    QueueFullError,
    QueueWriteError,
    RateLimitedError,
    SenderClosedError,
    ServerError,
    TooLargeError,
    UnauthorizedError,
    UnreadableAnswerError,
)
from acumen_client.outcome import Outcome, Recorded, RefusedEvent
from acumen_client.retries import NO_RETRIES, Retries

__all__ = [
    "NO_RETRIES",
    "Acumen",
    "AcumenError",
    "AnswerTimeoutError",
    "ApiError",
    "AsyncAcumen",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "EventError",
    "EventsRefusedError",
    "ForbiddenError",
    "NotFoundError",
    "Outcome",
    "QueueError",
    "QueueFullError",
    "QueueWriteError",
    "RateLimitedError",
    "Recorded",
    "RefusedEvent",
    "Retries",
    "SenderClosedError",
    "ServerError",
    "TooLargeError",
    "UnauthorizedError",
    "UnreadableAnswerError",
    "__version__",
]
