"""Answers for errors: the one place that knows their shape."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
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
from service.bodies import reader
from service.errors import DAMAGED, DAMAGED_RETRY_SECONDS, ApiError, NotFound, ServiceUnavailable
from service.ingest import errors
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
_CAUSES_MAX = 20


@dataclass(frozen=True, slots=True)
class Rendered:
    """The answer to a failed request; ``body`` is ``{"message", "error_code"}`` as JSON."""

    status: int
    body: bytes
    headers: dict[str, str]


def rendered(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Rendered:
    # The text may quote what a client sent, including lone surrogates.
    text = message.encode("utf-8", "replace").decode()
    body = orjson.dumps({"message": text, "error_code": code})
    return Rendered(status, body, {"content-type": JSON, **(headers or {})})


def render(error: BaseException) -> Rendered:
    """The answer to a request that ended in ``error``; an unknown error is logged and becomes a 500."""
    for kind, rule in _RULES:
        if isinstance(error, kind):
            return rule(error)
    return _unknown_failure(error)


def _unknown_failure(error: BaseException) -> Rendered:
    if _lacks_descriptors(error):
        _log.error("There are not enough descriptors to open files.", exc_info=error)
        return _api(ServiceUnavailable("The server has too many files open. Try again shortly."))
    _log.error("A request failed.", exc_info=error)
    return _api(ApiError())


def _lacks_descriptors(error: BaseException) -> bool:
    """Whether the error, or one in its chain of causes, is a lack of file descriptors."""
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


_BODY_ERRORS: dict[type[reader.BodyError], tuple[int, str]] = {
    reader.BodyTooLarge: (413, "RequestTooLargeError"),
    reader.BodyTimeout: (408, "RequestTimeoutError"),
    reader.BodiesOverloaded: (503, ServiceUnavailable.code),
    reader.BodyEncodingUnknown: (415, "UnsupportedEncodingError"),
    reader.BodyEncodingBroken: (400, "InvalidEncodingError"),
    reader.TooManyValues: (413, "RequestTooLargeError"),
    reader.ClientGone: (400, "ClientGoneError"),
}


def _body(error: reader.BodyError) -> Rendered:
    status, code = _BODY_ERRORS[type(error)]
    message = str(error) or "The client went away."
    return _later(status, code, message) if status == 503 else rendered(status, code, message)


def _collect(error: errors.IngestError) -> Rendered:
    if isinstance(error, errors.IngestUnavailable):
        return _later(503, error.code, error.message, error.retry_after_seconds)
    conflicts = isinstance(error, errors.KeyReused | errors.CollectionDerived)
    return rendered(409 if conflicts else 400, error.code, error.message)


def _storage(error: Exception) -> Rendered:
    return _later(503, ServiceUnavailable.code, f"{ServiceUnavailable.message} ({type(error).__name__})")


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
    """The answer to an error of the framework itself: no route, or none for the method."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 404:
        return _api(NotFound())
    code = _HTTP_CODES.get(error.status_code, "RequestError")
    return rendered(error.status_code, code, str(error.detail), headers)


_RULES: tuple[tuple[type[BaseException], Callable[[Any], Rendered]], ...] = (
    (ApiError, _api),
    (QueryError, _query),
    (reader.BodyError, _body),
    (errors.IngestError, _collect),
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
