"""Every error as the API tells it: the only place that knows status codes and the shape of an error.

ApiError                       raised by ``service`` itself
├── NotFound                   404 ResourceNotFoundError: route, project, collection, property
├── MethodNotAllowed           405
├── InvalidKey                 401 InvalidApiKeyError
├── AdminOnly                  401 AdminOnlyEndpointError: the master key is needed
├── Forbidden                  403: a valid key without the right
├── QuotaExceeded              403 QuotaExceededError: the project stores as much as it may
├── InvalidParameter           400
├── InvalidJSON                400 InvalidJSONError
├── Gone                       410: it was there
├── RangeNotSatisfiable        416
├── Conflict                   409
├── UriTooLong                 414
├── HeadersTooLarge            431
├── RateLimited                429, with Retry-After
├── TimedOut                   504: it goes on
└── Unavailable                503, with Retry-After

``render`` turns these, and what ``query``, ``storage`` and the write path raise, into an answer.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.exceptions import HTTPException

from query.errors import (
    DataDamaged,
    InvalidQuery,
    QueryCancelled,
    QueryError,
    QueryOverloaded,
    QueryTimeout,
)
from service import bodies, collect_errors
from storage.catalog.errors import (
    CatalogDamaged,
    CatalogUnavailable,
    DuplicateDataset,
    DuplicateSavedQuery,
    UnknownCollection,
    UnknownDataset,
    UnknownProject,
)
from storage.log.errors import Backpressure, LogUnavailable, LogUnreadable
from storage.read.snapshot_reader import SnapshotUnstable

_log = logging.getLogger("acumen.errors")

JSON = "application/json"
DAMAGED = (
    "A part of the server's log is damaged, so questions can not be answered in full; events are still "
    "taken. The operator finds what is wrong with 'acumen check'."
)
DAMAGED_RETRY_SECONDS = 60
_CAUSES_MAX = 20


class ApiError(Exception):
    """``message`` is for a person, ``code`` for a program."""

    status = 500
    code = "InternalServerError"
    message = "The server failed to answer. The failure was logged."

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message or self.message)
        self.message = message or self.message
        self.code = code or self.code

    def headers(self) -> dict[str, str]:
        return {}


class NotFound(ApiError):
    status = 404
    code = "ResourceNotFoundError"
    message = "Resource not found"

    @classmethod
    def named(cls, kind: str, name: str) -> NotFound:
        """The same for what is not there and for what the key is not to see."""
        return cls(f"Resource not found: there is no {kind} '{name[:100]}'.")


class MethodNotAllowed(ApiError):
    status = 405
    code = "MethodNotAllowedError"
    message = "This method is not allowed here."

    def __init__(self, allowed: str) -> None:
        super().__init__(f"This method is not allowed here. Allowed: {allowed}.")
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        return {"allow": self.allowed}


class InvalidKey(ApiError):
    status = 401
    code = "InvalidApiKeyError"
    message = (
        "You must give a valid key of this project, in the 'Authorization' header or the parameter 'api_key'."
    )


class AdminOnly(ApiError):
    status = 401
    code = "AdminOnlyEndpointError"
    message = "This call needs the project's master key."


class Forbidden(ApiError):
    status = 403
    code = "ForbiddenError"
    message = "This key may not do that."


class InvalidParameter(ApiError):
    status = 400
    code = "InvalidParameterError"


class InvalidJSON(ApiError):
    status = 400
    code = "InvalidJSONError"


class Gone(ApiError):
    """It was there, and is not any more."""

    status = 410
    code = "ResourceGoneError"


class RangeNotSatisfiable(ApiError):
    """A part of a file is asked for that it has not."""

    status = 416
    code = "RangeNotSatisfiableError"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes, and none of those that 'Range' asks for.")
        self.size = size

    def headers(self) -> dict[str, str]:
        return {"content-range": f"bytes */{self.size}"}


class UriTooLong(ApiError):
    status = 414
    code = "RequestUriTooLongError"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The path, without its parameters, is longer than the limit of {limit_bytes} bytes."
        )


class HeadersTooLarge(ApiError):
    status = 431
    code = "RequestHeadersTooLargeError"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request's line and headers are larger than the limit of {limit_bytes} bytes.")


class Conflict(ApiError):
    """What is there already is in the way."""

    status = 409
    code = "DuplicateNameError"


class QuotaExceeded(ApiError):
    """No window of time ends it."""

    status = 403
    code = "QuotaExceededError"


class RateLimited(ApiError):
    status = 429
    code = "RateLimitExceededError"

    def __init__(
        self, message: str, retry_after_seconds: int, fields: Mapping[str, str] | None = None
    ) -> None:
        """``fields``: header fields that tell the limit."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.fields = dict(fields or {})

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after_seconds), **self.fields}


class TimedOut(ApiError):
    """What was asked for is not done yet, and goes on."""

    status = 504
    code = "RequestTimeoutError"


class Unavailable(ApiError):
    status = 503
    code = "ServiceUnavailableError"
    message = "The server cannot do that now. Try again shortly."

    def headers(self) -> dict[str, str]:
        return {"retry-after": "1"}


class TooManyConnections(Unavailable):
    message = "The server has as many connections as it may. Try again shortly."


class TooManyAnswers(Unavailable):
    message = "Too many answers wait for their clients to read them. Try again shortly."


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer that says what went wrong; ``body`` is ``{"message", "error_code"}`` as JSON."""

    status: int
    body: bytes
    headers: dict[str, str]


def rendered(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Rendered:
    # Text may hold what a client sent, half a surrogate pair included.
    text = message.encode("utf-8", "replace").decode()
    body = orjson.dumps({"message": text, "error_code": code})
    return Rendered(status, body, {"content-type": JSON, **(headers or {})})


def render(error: BaseException) -> Rendered:
    """The answer to a request that ended in ``error``; what is not known here is logged and a 500."""
    for kind, rule in _RULES:
        if isinstance(error, kind):
            return rule(error)
    return _unknown_failure(error)


def _unknown_failure(error: BaseException) -> Rendered:
    if _lacks_descriptors(error):
        _log.error("There are not enough descriptors to open files.", exc_info=error)
        return _api(Unavailable("The server has too many files open. Try again shortly."))
    _log.error("A request failed.", exc_info=error)
    return _api(ApiError())


def _lacks_descriptors(error: BaseException) -> bool:
    """Whether it comes of an open that the system refused, in whatever it was wrapped since."""
    seen: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if seen is None:
            return False
        if isinstance(seen, OSError) and seen.errno in (errno.EMFILE, errno.ENFILE):
            return True
        if os.strerror(errno.EMFILE) in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _api(error: ApiError) -> Rendered:
    return rendered(error.status, error.code, error.message, error.headers())


def _later(status: int, code: str, message: str, seconds: int = 1) -> Rendered:
    return rendered(status, code, message, {"retry-after": str(seconds)})


def _query(error: QueryError) -> Rendered:
    if error.code == NotFound.code:
        return _api(NotFound(error.message))
    if isinstance(error, InvalidQuery):
        return rendered(400, error.code, error.message)
    if isinstance(error, QueryTimeout):
        return rendered(504, error.code, error.message)
    if isinstance(error, QueryOverloaded):
        return _later(429, error.code, error.message)
    if isinstance(error, DataDamaged):
        return _later(503, error.code, error.message, DAMAGED_RETRY_SECONDS)
    if isinstance(error, QueryCancelled):
        return _later(503, error.code, error.message)
    return _unknown_failure(error)


_BODY_ERRORS: dict[type[bodies.BodyError], tuple[int, str]] = {
    bodies.BodyTooLarge: (413, "RequestTooLargeError"),
    bodies.BodyTimeout: (408, "RequestTimeoutError"),
    bodies.BodiesOverloaded: (503, Unavailable.code),
    bodies.BodyEncodingUnknown: (415, "UnsupportedEncodingError"),
    bodies.BodyEncodingBroken: (400, "InvalidEncodingError"),
    bodies.TooManyValues: (413, "RequestTooLargeError"),
    bodies.ClientGone: (400, "ClientGoneError"),
}


def _body(error: bodies.BodyError) -> Rendered:
    status, code = _BODY_ERRORS[type(error)]
    message = str(error) or "The client went away."
    return _later(status, code, message) if status == 503 else rendered(status, code, message)


def _collect(error: collect_errors.CollectError) -> Rendered:
    if isinstance(error, collect_errors.Unavailable):
        return _later(503, error.code, error.message, error.retry_after_seconds)
    return rendered(409 if isinstance(error, collect_errors.KeyReused) else 400, error.code, error.message)


def _storage(error: Exception) -> Rendered:
    return _later(503, Unavailable.code, f"{Unavailable.message} ({type(error).__name__})")


def _damaged(_: Exception) -> Rendered:
    return _later(503, "LogDamagedError", DAMAGED, DAMAGED_RETRY_SECONDS)


def _lost(error: Exception) -> Rendered:
    _log.error("The catalog is damaged: %s", error)
    return _query(DataDamaged())


def _taken(error: Exception) -> Rendered:
    return rendered(409, "DuplicateNameError", str(error))


def _unknown(_: Exception) -> Rendered:
    return _api(NotFound())


def _unknown_dataset(error: UnknownDataset) -> Rendered:
    return _api(NotFound.named("dataset", error.name))


_HTTP_CODES = {
    400: "BadRequestError",
    404: NotFound.code,
    408: "RequestTimeoutError",
    413: "RequestTooLargeError",
}


def _http(error: HTTPException) -> Rendered:
    """What the framework itself raises: no route, or none for the method."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 404:
        return _api(NotFound())
    code = _HTTP_CODES.get(error.status_code, "RequestError")
    return rendered(error.status_code, code, str(error.detail), headers)


_RULES: tuple[tuple[type[BaseException], Callable[[Any], Rendered]], ...] = (
    (ApiError, _api),
    (QueryError, _query),
    (bodies.BodyError, _body),
    (collect_errors.CollectError, _collect),
    (Backpressure, _storage),
    (LogUnavailable, _storage),
    (LogUnreadable, _damaged),
    (CatalogUnavailable, _storage),
    (CatalogDamaged, _lost),
    (SnapshotUnstable, _storage),
    (DuplicateSavedQuery, _taken),
    (UnknownProject, _unknown),
    (UnknownCollection, _unknown),
    (UnknownDataset, _unknown_dataset),
    (DuplicateDataset, _taken),
    (HTTPException, _http),
)
