"""Answers of questions that allowed an older one (``max_age``), kept in memory for the next such question.

One is told again only to who sees the same events, and not once events of its collections were erased.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.freshness import Covered, Erasures, erased
from query.language.nodes import Filter
from storage.source import Source

BYTES_MAX = 16 << 20
_BESIDE = frozenset({"max_age", "api_key", "jsonp", "analysis_type"})
"""Parameters that ask nothing of the events."""


@dataclass(frozen=True, slots=True)
class Recent:
    """``at`` is by the monotonic clock."""

    body: bytes
    warnings: tuple[str, ...]
    erasures: Mapping[str, Erasures]
    """Of every collection read, when it was."""
    at: float


class MaxAgeCache:
    """Of one worker. Thread-safe."""

    def __init__(self, bytes_max: int = BYTES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_max = bytes_max
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Recent] = OrderedDict()
        self._bytes = 0

    def now(self) -> float:
        return self._clock()

    def find(self, key: str, max_age: float, source_of: Callable[[str], Source]) -> Recent | None:
        """The answer to this question where it is at most ``max_age`` seconds old and may be told."""
        with self._lock:
            found = self._held.get(key)
        if found is None or self._clock() - found.at > max_age:
            return None
        if erased(Covered(found.erasures, ()), {name: source_of(name) for name in found.erasures}):
            self._drop(key)
            return None
        return found

    def keep(self, key: str, answer: Recent) -> None:
        """In place of an older one; the answers that were kept first give way."""
        size = len(answer.body) + len(key)
        if size > self._bytes_max // 4:
            return
        self._drop(key)
        with self._lock:
            self._held[key] = answer
            self._bytes += size
            while self._bytes > self._bytes_max:
                first, gone = self._held.popitem(last=False)
                self._bytes -= len(gone.body) + len(first)

    def _drop(self, key: str) -> None:
        with self._lock:
            gone = self._held.pop(key, None)
            if gone is not None:
                self._bytes -= len(gone.body) + len(key)


def key_of(
    project_id: str,
    analysis: str,
    params: Mapping[str, Any],
    filters: Sequence[Filter],
    apart: object = None,
) -> str | None:
    """Equal where the same is asked of the same events: as sent, relative timeframes by their words.

    ``apart`` tells apart what differs besides: what callers are warned of, what their projects prefer.

    None for what is nested too deep.
    """
    asked = {name: value for name, value in params.items() if name not in _BESIDE and value is not None}
    try:
        return json.dumps([project_id, analysis, asked, repr((tuple(filters), apart))], sort_keys=True)
    except RecursionError:
        return None
