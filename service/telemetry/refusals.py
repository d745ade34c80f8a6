"""Error responses: counted by status in the metrics, and summarised in the log at intervals.

One line per error would let any client fill the disk, so at most one line per interval gives the number of
responses by status and error code. It contains no key, path or text of a client.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable

from service.telemetry.metrics import ERROR_STATUSES, Metrics

_log = logging.getLogger("acumen.refusals")

KINDS_MAX = 100
"""Limit of pairs of status and error code in one line; the API has fewer."""
_CODE = re.compile(rb'(?:"error_code":"|<code>)(\w{1,60})')


class Refusals:
    """Counts the error responses of one worker, on its event loop. ``log_seconds`` 0 logs nothing."""

    def __init__(
        self, metrics: Metrics, log_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log_seconds = log_seconds
        self._clock = clock
        self._counters = {
            int(status): metrics.counter("acumen_errors_total", status) for status in ERROR_STATUSES
        }
        self._counts: Counter[str] = Counter()
        self._since = clock()
        self._logged = self._since - log_seconds

    def count(self, status: int, body: bytes) -> None:
        """Count one response; statuses below 400 are ignored."""
        if status < 400:
            return
        counter = self._counters.get(status)
        if counter is not None:
            counter.add()
        # The last match is the API's own error code: text that a client sent comes before it, in the message.
        codes = _CODE.findall(body)
        kind = f"{status} {codes[-1].decode()}" if codes else str(status)
        if kind in self._counts or len(self._counts) < KINDS_MAX:
            self._counts[kind] += 1

    def log_due(self, *, last: bool = False) -> None:
        """Log the counts since the last line if the interval has passed or this is the ``last`` call."""
        now = self._clock()
        if not self._log_seconds or not (last or now - self._logged >= self._log_seconds):
            return
        if self._counts:
            seconds = round(now - max(self._since, self._logged), 1)
            fields = {"answers": dict(self._counts.most_common()), "seconds": seconds}
            _log.info("Requests were answered with errors.", extra={"fields": fields})
            self._counts.clear()
            self._logged = now
        self._since = now
