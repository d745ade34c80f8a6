"""Answers of questions that allowed an older one (``max_age``), kept in memory for the next such question.

One is told again only to who sees the same events, and not once events of its collections were erased.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.freshness import Covered, Erasures, erased
from query.language.nodes import Filter
from service.queries.byte_bounded_cache import ByteBoundedCache
from storage.source import Source

BYTES_MAX = 16 << 20
_BESIDE = frozenset({"max_age", "api_key", "jsonp", "analysis_type"})
"""Parameters that ask nothing of the events."""


@dataclass(frozen=True, slots=True)
class RecentAnswer:
    """``at`` is by the monotonic clock."""

    body: bytes
    warnings: tuple[str, ...]
    erasures: Mapping[str, Erasures]
    """Of every collection read, when it was."""
    at: float


class MaxAgeCache:
    """Of one worker. Thread-safe."""

    def __init__(self, bytes_max: int = BYTES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: ByteBoundedCache[str, RecentAnswer] = ByteBoundedCache(bytes_max)

    def now(self) -> float:
        return self._clock()

    def find(self, key: str, max_age: float, source_of: Callable[[str], Source]) -> RecentAnswer | None:
        """The answer to this question where it is at most ``max_age`` seconds old and may be told."""
        found = self._kept.get(key)
        if found is None or self._clock() - found.at > max_age:
            return None
        if erased(Covered(found.erasures, ()), {name: source_of(name) for name in found.erasures}):
            self._kept.drop(key)
            return None
        return found

    def keep(self, key: str, answer: RecentAnswer) -> None:
        """In place of an older one."""
        self._kept.put(key, answer, len(answer.body) + len(key))


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
