"""Answers to queries, kept in memory for the next query that says the same.

An answer is repeated for callers who see the same events: while its collections hold exactly the events that
they held then, or where the query's ``max_age`` allows an older one and nothing was erased since.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.answers.freshness import Covered, ErasureMark, erased, erasures, files_within, is_named
from query.language.nodes import ExtractionQuery, Filter, ParsedQuery, Query
from service.queries.byte_bounded_cache import ByteBoundedCache
from storage.source import Source

BYTES_MAX = 16 << 20
_NOT_IN_KEY = frozenset({"max_age", "api_key", "jsonp", "analysis_type"})
"""Parameters left out of the cache key: they do not change the answer, or are in it separately."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """``query`` is what was asked, with its timeframe in instants; ``at`` is by the monotonic clock."""

    body: bytes
    warnings: tuple[str, ...]
    query: Query
    erasures: Mapping[str, ErasureMark]
    """The erasure state of every collection read, at the time of reading."""
    versions: Mapping[str, str]
    """The versions of the same sources; empty where the answer is repeated for ``max_age`` only."""
    at: float


class AnswerCache:
    """The cache of one worker. Thread-safe."""

    def __init__(self, bytes_max: int = BYTES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: ByteBoundedCache[str, KeptAnswer] = ByteBoundedCache(bytes_max)

    def now(self) -> float:
        return self._clock()

    def find(self, key: str, question: ParsedQuery, source_of: Callable[[str], Source]) -> KeptAnswer | None:
        """The kept answer, if it answers ``question`` as of now or is no older than its ``max_age``.

        Raises SourceGone where a file that the answer was computed from is not what was written.
        """
        kept = self._kept.get(key)
        if kept is None:
            return None
        young = question.max_age is not None and self._clock() - kept.at <= question.max_age
        same = bool(kept.versions) and kept.query == question.query
        if not young and not same:
            return None
        sources = {name: source_of(name) for name in kept.erasures}
        if erased(Covered(kept.erasures, ()), sources):
            self._kept.drop(key)
            return None
        return kept if young or _stands(kept, sources) else None

    def keep(self, key: str, answer: KeptAnswer) -> None:
        """Keep an answer, replacing an older one."""
        self._kept.put(key, answer, len(answer.body) + len(key))


def kept_answer(
    body: bytes, warnings: tuple[str, ...], question: ParsedQuery, sources: Mapping[str, Source], at: float
) -> KeptAnswer | None:
    """The answer as it is kept; None where it is not to be repeated.

    Where a collection does not exist, warnings name similar ones, which may come and go: such an answer is
    for ``max_age`` only. So are raw events, which are long, and what says how it was computed.
    """
    repeatable = (
        all(
            source.known and source.version
            for name, source in sources.items()
            if is_named(name, question.query)
        )
        and not isinstance(question.query, ExtractionQuery)
        and not question.include_metadata
        and not question.explain
    )
    if not repeatable and question.max_age is None:
        return None
    versions = {name: source.version for name, source in sources.items()} if repeatable else {}
    marks = {name: erasures(source) for name, source in sources.items()}
    return KeptAnswer(body, warnings, question.query, marks, versions, at)


def _stands(kept: KeptAnswer, sources: Mapping[str, Source]) -> bool:
    if any(source.version != kept.versions[name] for name, source in sources.items()):
        return False
    # A file that was damaged since would be noticed by computing the answer: so it is here.
    for name, files in files_within(kept.query, sources).items():
        sources[name].verify(files)
    return True


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
