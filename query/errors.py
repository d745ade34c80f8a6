"""The errors of a query.

QueryError                       the base: code and message; the class decides the HTTP status
├── InvalidQuery                 the caller's fault: 400 with one of Keen's codes or ours
│   ├── MissingField             a required field was not sent
│   └── QueryLimitExceeded       over a limit of this server: code QueryLimitError; names it and a remedy
│       └── TooManyConditions    its filters add up to too many conditions
├── QueryTimeout                 exceeded its time limit: QueryTimeoutError
├── QueryCancelled               cancelled, as when the client disconnects
├── QueryOverloaded              no slot or memory became free in time
└── DataDamaged                  stored events are damaged, and the answer must be complete
"""

from __future__ import annotations


class QueryError(Exception):
    """Base of query errors. ``code`` is the response's ``error_code``; the message gives the reason."""

    code = "InternalServerError"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidQuery(QueryError):
    code = "InvalidParameterError"


class MissingField(InvalidQuery):
    """``field``: its path in the request; ``because``: the path of what makes it required, or ""."""

    code = "MissingRequiredRequestFieldError"

    def __init__(self, message: str, field: str = "", because: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.because = because


class QueryLimitExceeded(InvalidQuery):
    code = "QueryLimitError"


class TooManyConditions(QueryLimitExceeded):
    pass


class QueryTimeout(QueryError):
    code = "QueryTimeoutError"


class QueryCancelled(QueryError):
    code = "QueryCancelledError"


class QueryOverloaded(QueryError):
    code = "RateLimitExceededError"


class DataDamaged(QueryError):
    code = "DataDamagedError"

    def __init__(self) -> None:
        super().__init__(
            "Some stored events are damaged, so this cannot be answered in full. 'acumen check' tells the "
            "server's operator more."
        )
