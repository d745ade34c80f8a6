"""Logging of failures of repeated work without a log line for every attempt.

A full disk is logged as one line when it begins and one when it ends. Any other failure is logged with its
traceback when it is new, and then once a minute while it stays the same.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

REPEAT_SECONDS = 60.0
_CAUSES_MAX = 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether the error, or one in its chain of causes, is a write that failed because the disk is full."""
    for _ in range(_CAUSES_MAX):
        if error is None:
            return False
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        # SQLite, DuckDB and Arrow raise errors of their own.
        text = str(error)
        if "database or disk is full" in text or any(os.strerror(code) in text for code in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


class FailureLog:
    """Logs the failures of one process in work that it retries on the disk of ``folder``."""

    def __init__(
        self, log: logging.Logger, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._folder = folder
        self._clock = clock
        self._full_since: float | None = None
        self._logged: dict[str, float] = {}

    def failed(self, what: str, error: BaseException) -> None:
        """Log that ``what`` failed, unless the same was logged within ``REPEAT_SECONDS``."""
        now = self._clock()
        if is_disk_full(error):
            if self._full_since is None:
                self._full_since = now
                self._log.error(
                    "The disk of the data folder is full: new events stay in the log, and are written to "
                    "Parquet files once there is room.",
                    extra={"fields": {"folder": str(self._folder), "free_bytes": _free_bytes(self._folder)}},
                )
            return
        key = f"{what} {type(error).__name__}"
        if now - self._logged.get(key, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._logged[key] = now
            self._log.error(what, exc_info=error)

    def wrote(self) -> None:
        """Record that a write of ordinary size succeeded: a full disk has room again."""
        if self._full_since is not None:
            seconds = round(self._clock() - self._full_since, 1)
            self._full_since = None
            fields = {"seconds": seconds, "free_bytes": _free_bytes(self._folder)}
            self._log.warning("There is room on the disk again.", extra={"fields": fields})


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
