"""Answers to queries with ``max_age``, kept in memory for the next such query.

An answer is reused only for callers who see the same events, and not after events of its collections were
erased.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.freshness import Covered, ErasureMark, erased
from query.language.nodes import Filter
from service.queries.byte_bounded_cache import ByteBoundedCache
from storage.source import Source

BYTES_MAX = 16 << 20
_NOT_IN_KEY = frozenset({"max_age", "api_key", "jsonp", "analysis_type"})
"""Parameters left out of the cache key: they do not change the answer, or are in it separately."""


@dataclass(frozen=True, slots=True)
class RecentAnswer:
    """``at`` is by the monotonic clock."""

    body: bytes
    warnings: tuple[str, ...]
    erasures: Mapping[str, ErasureMark]
    """The erasure state of every collection read, at the time of reading."""
    at: float


class MaxAgeCache:
    """The cache of one worker. Thread-safe."""

    def __init__(self, bytes_max: int = BYTES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: ByteBoundedCache[str, RecentAnswer] = ByteBoundedCache(bytes_max)

    def now(self) -> float:
        return self._clock()

    def find(self, key: str, max_age: float, source_of: Callable[[str], Source]) -> RecentAnswer | None:
        """The kept answer if it is at most ``max_age`` seconds old and none of its events was erased."""
        kept = self._kept.get(key)
        if kept is None or self._clock() - kept.at > max_age:
            return None
        if erased(Covered(kept.erasures, ()), {name: source_of(name) for name in kept.erasures}):
            self._kept.drop(key)
            return None
        return kept

    def keep(self, key: str, answer: RecentAnswer) -> None:
        """Keep an answer, replacing an older one."""
        self._kept.put(key, answer, len(answer.body) + len(key))


def key_of(
    project_id: str,
    analysis: str,
    params: Mapping[str, Any],
    filters: Sequence[Filter],
    apart: object = None,
) -> str | None:
    """A cache key that is equal for the same query over the same events; None where it is nested too deeply.

    Parameters count as they were sent: relative timeframes by their words. ``apart`` adds what else makes
    answers differ: which warnings the callers get, and their projects' preferences.
    """
    asked = {name: value for name, value in params.items() if name not in _NOT_IN_KEY and value is not None}
    try:
        return json.dumps([project_id, analysis, asked, repr((tuple(filters), apart))], sort_keys=True)
    except RecursionError:
        return None
