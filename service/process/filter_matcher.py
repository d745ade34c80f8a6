"""Finds the events that the keeper is to delete or change, by the filters of queries."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.settings import Settings
from storage.files.deletion import CannotErase
from storage.paths import DataFolder
from storage.source import Source

if TYPE_CHECKING:
    from query.engine.engine import Engine
    from query.language.nodes import Span

MATCH_SECONDS = 3_600.0
"""Longest time for one file. No client waits for it, but the work must end."""


class FilterMatcher:
    """Finds events by filters and timeframe, exactly as queries do. The engine is created on first use."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self._settings = settings
        self._folder = folder
        self._engine: Engine | None = None
        self._spill = folder.tmp / "spill-keeper"
        # Left by a keeper that died; it may contain events that are to be deleted.
        shutil.rmtree(self._spill, ignore_errors=True)

    def __call__(self, source: Source, parameters: Mapping[str, Any]) -> list[str] | None:
        """The ids of the matching events in the source, or None if all of its events match.

        Raises CannotErase for filters that are no longer valid, although they were when the request was
        accepted, and where a limit of queries is exceeded.
        """
        from query.answers.event_matching import matching_ids
        from query.engine.engine import Deadline
        from query.errors import InvalidQuery, QueryLimitExceeded
        from query.language.filters import parse_filters
        from query.language.nodes import Span

        span = Span(parameters.get("start_us"), parameters.get("end_us"))
        try:
            filters = parse_filters(
                parameters.get("filters"),
                self._settings.query_limits,
                lambda pattern: self._opened().check_regex(pattern),
            )
        except (InvalidQuery, QueryLimitExceeded) as error:
            raise CannotErase(str(error)) from None
        if not filters and _covers(span, source):
            return None
        deadline = Deadline.after(MATCH_SECONDS)
        try:
            return matching_ids(source, self._opened(), span, filters, deadline, self._settings.query_limits)
        except QueryLimitExceeded as error:
            raise CannotErase(str(error)) from None

    def _opened(self) -> Engine:
        if self._engine is None:
            from query.engine.engine import Engine

            self._engine = Engine(
                self._folder.root,
                memory_limit_bytes=self._settings.keeper_memory_bytes,
                threads=self._settings.worker_threads,
                temp_folder=self._spill,
                temp_bytes_max=self._settings.worker_spill_bytes,
            )
        return self._engine


def _covers(span: Span, source: Source) -> bool:
    """Whether every event of the source lies in the span."""
    after = span.start_us is None or all(file.min_us >= span.start_us for file in source.files)
    before = span.end_us is None or all(file.max_us < span.end_us for file in source.files)
    return after and before
