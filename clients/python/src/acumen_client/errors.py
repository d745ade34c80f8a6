"""Every exception that this package raises on purpose.

AcumenError
├── ConfigurationError           the client lacks a key, a project or a package that the call needs
├── EventError                   the event cannot be written as JSON, or is larger than a server takes
├── ConnectionFailedError        no answer came
│   └── AnswerTimeoutError       none came in time
├── UnreadableAnswerError        an answer came that no Acumen gives: a proxy's page, half of an answer
├── ApiError                     the server answered with an error
│   ├── BadRequestError          400 and other 4xx
│   ├── UnauthorizedError        401: the key is wrong, or not enough
│   ├── ForbiddenError           403
│   ├── NotFoundError            404, 410
│   ├── ConflictError            409
│   ├── TooLargeError            413
│   ├── RateLimitedError         429
│   └── ServerError              5xx
├── EventsRefusedError           some events of a batch were refused for good; the others are stored
└── QueueError                   an event could not be taken into a sender's queue: it is the caller's again
    ├── QueueFullError           the queue holds as much as it may
    ├── QueueWriteError          the file of the queue cannot be written: a full disk, for one
    └── SenderClosedError        the sender was closed before
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acumen_client.outcome import Outcome


class AcumenError(Exception):
    """The root of all exceptions of this package."""

    outcome: Outcome | None = None
    """What had been recorded before, where a call that records many events failed."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with parameters of their own would otherwise not come back from another process.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[AcumenError], args: tuple[Any, ...], attributes: dict[str, Any]) -> AcumenError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ConfigurationError(AcumenError):
    """The client was not given what this call needs."""


class EventError(AcumenError):
    """The event cannot be sent as it is; nothing was recorded."""


class ConnectionFailedError(AcumenError):
    """No answer came; whether the server did what was asked is unknown, unless ``before_sending``."""

    before_sending = False
    """Whether no connection came about, so that nothing was sent."""


class AnswerTimeoutError(ConnectionFailedError):
    """No answer came within the time limit."""


class UnreadableAnswerError(AcumenError):
    """The answer is not one that Acumen gives."""

    def __init__(self, message: str, *, status: int, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class ApiError(AcumenError):
    """The server answered with an error.

    ``status`` is the HTTP status, ``code`` the server's ``error_code`` (empty where something in between
    answered), ``message`` its text, ``request_id`` what its log calls the request, ``retry_after`` the
    seconds after which it may be asked again.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        warnings: tuple[str, ...] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.warnings = warnings
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.message} [{self.status} {self.code or 'without a code'}{request}]"


class BadRequestError(ApiError):
    """The request is wrong: 400, or a 4xx that has no class of its own."""


class UnauthorizedError(ApiError):
    """The key is missing, unknown, revoked, or not one that may do this (401)."""


class ForbiddenError(ApiError):
    """The key is valid and may not do this, or a quota is used up (403)."""


class NotFoundError(ApiError):
    """There is no such project, collection or resource, or not any more (404, 410)."""


class ConflictError(ApiError):
    """The name is taken, or an idempotency key came before with another body (409)."""


class TooLargeError(ApiError):
    """The body has more bytes or events than the server takes (413)."""


class RateLimitedError(ApiError):
    """Too many requests; ``retry_after`` says when the next may come (429)."""


class ServerError(ApiError):
    """The server could not answer (5xx)."""


class EventsRefusedError(AcumenError):
    """The server refused some of the events for good; ``outcome`` names them. All others are stored."""

    outcome: Outcome

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        first = outcome.refused[0]
        super().__init__(
            f"{len(outcome.refused)} of {outcome.total} events were refused; "
            f"the first, event {first.index} of '{first.collection}': {first.description}"
        )


class QueueError(AcumenError):
    """The event was not taken into the queue; it is the caller's again."""


class QueueFullError(QueueError):
    """The queue holds as many events or bytes as it may."""


class QueueWriteError(QueueError):
    """The file of the queue cannot be written."""


class SenderClosedError(QueueError):
    """The sender was closed and takes no more events."""


def error_class(status: int) -> type[ApiError]:
    """The class of the exception for an answer of this status."""
    if status >= 500:
        return ServerError
    return _CLASSES.get(status, BadRequestError)


_CLASSES: dict[int, type[ApiError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: NotFoundError,
    413: TooLargeError,
    429: RateLimitedError,
}
