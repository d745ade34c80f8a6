"""The errors of a question.

QueryError                       the base: code, message, HTTP status class decided by its kind
├── InvalidQuery                 the caller's fault: 400 with one of Keen's codes or ours
│   └── QueryLimitExceeded       a limit of this server: code QueryLimitError, says which and what helps
│       └── TooManyConditions    its filters read too much
├── QueryTimeout                 ran longer than it may: QueryTimeoutError
├── QueryCancelled               the caller went away
├── QueryOverloaded              no free slot in time
└── DataDamaged                  stored events are damaged, and what is asked for must be complete
"""

from __future__ import annotations


class QueryError(Exception):
    """``code`` is the ``error_code`` of the answer; the text names the parameter and says why."""

    code = "InternalServerError"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidQuery(QueryError):
    code = "InvalidParameterError"


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
            "A part of the stored events is damaged, so that this can not be answered in full. "
            "The operator finds what is wrong with 'acumen check'."
        )
