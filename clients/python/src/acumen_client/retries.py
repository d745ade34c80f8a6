"""When a failed request is sent again, and how long is waited before."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from acumen_client.errors import (
    AcumenError,
    ApiError,
    ConnectionFailedError,
    RateLimitedError,
    UnreadableAnswerError,
)

TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which the same request may be answered otherwise."""
_TAKES_TOO_LONG = "QueryTimeoutError"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is sent in all, and the pauses in between.

    A pause is drawn at random between half and all of a time that doubles from ``first_seconds`` to
    ``most_seconds``. What the server's ``Retry-After`` asks for is always waited; where that is longer than
    ``retry_after_seconds_max`` the error is raised instead.
    """

    attempts: int = 4
    first_seconds: float = 0.25
    most_seconds: float = 30.0
    retry_after_seconds_max: float = 60.0

    def pause(self, attempt: int, error: AcumenError, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the attempt of this number, the first being 1."""
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 60))
        backoff = longest * (0.5 + draw() / 2)
        asked = error.retry_after if isinstance(error, ApiError) else None
        # A little later than asked for, each client at another moment.
        return backoff if asked is None else asked + min(backoff, 1.0 + asked / 10)

    def next_pause(self, attempt: int, error: AcumenError, *, repeatable: bool) -> float | None:
        """Seconds to wait before the request is sent again; None where the error is to be raised."""
        if attempt >= self.attempts or not may_repeat(error, repeatable=repeatable):
            return None
        if isinstance(error, ApiError) and (error.retry_after or 0) > self.retry_after_seconds_max:
            return None
        return self.pause(attempt, error)


NO_RETRIES = Retries(attempts=1)


def may_repeat(error: AcumenError, *, repeatable: bool) -> bool:
    """Whether a request that ended so may be sent again.

    One that is not ``repeatable`` may only where the server certainly did nothing of it.
    """
    if isinstance(error, RateLimitedError):
        return True
    if isinstance(error, ConnectionFailedError):
        return repeatable or error.before_sending
    if isinstance(error, UnreadableAnswerError):
        return repeatable
    if isinstance(error, ApiError):
        return repeatable and error.status in TRANSIENT_STATUSES and error.code != _TAKES_TOO_LONG
    return False


def retry_after_seconds(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """The seconds that a ``Retry-After`` header asks for, which are a number or a date; None without one."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now())
    except (TypeError, ValueError, OverflowError):
        return None
