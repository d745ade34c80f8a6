"""The runner's task that refreshes the results of saved queries at their ``refresh_rate``.

Results without filters are computed when they are due. Those for keys with filters are computed when such a
key requests them; this task only removes them. It also removes every result computed before an erasure, with
its file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from query.answers.freshness import ErasureMark
from query.errors import QueryCancelled
from service.background.task_runner import Tools
from service.saved_queries.definition import next_run_us
from service.saved_queries.results import FilterScope, Results, collections_of, outdated
from storage.catalog.database.versions import NEVER_SEEN, Area
from storage.catalog.derived.records import SavedQuery, SavedRun

STRAY_SECONDS = 120.0
"""Age of a file without a run that is removed: far longer than a file waits for its run to be stored."""
LOOK_SECONDS = 1.0
"""How old the list of due queries may be while some of them wait."""
FIRST_SECONDS = 2
"""Delay before the first run: a client often requests a new query's result at once, which computes it."""
FUTURE_US = 60_000_000
"""A run further in the future means that the clock was set back; it is removed, or it would not expire."""
_SECOND_US = 1_000_000

_log = logging.getLogger("acumen.saved")


class Refresher:
    """See ``service.background.task_runner.Task``."""

    name = "saved"
    areas = frozenset({Area.DATA, Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        settings = tools.settings
        self._results = Results(
            tools.catalog, tools.reader, tools.engine, settings.query_limits, settings.preferences
        )
        self._versions = NEVER_SEEN
        self._checked_at = float("-inf")
        self._due: list[tuple[int, SavedQuery]] = []
        self._swept_at = float("-inf")

    def run_due(self, now_us: int) -> bool:
        self._check(now_us)
        if not self._due or self._due[0][0] > now_us or self._tools.stop.is_set():
            return False
        due = self._due.pop(0)[1]
        current = self._catalog.saved_queries.find_with_run(due.project_id, due.name, "")
        if current is not None and current[0].refresh_rate and _due_us(*current, now_us) <= now_us:
            self._run(current[0], now_us)
        return True

    def _check(self, now_us: int) -> None:
        """Remove expired results, then read again which queries are due, if data or runs have changed."""
        now = time.monotonic()
        sweep = now - self._swept_at > STRAY_SECONDS / 2
        versions = self._catalog.versions()
        unchanged = versions[1:3] == self._versions[1:3]
        waits = bool(self._due) and self._due[0][0] <= now_us
        # Each run is a change: while others are due, the list is not read again after every one.
        if not sweep and (unchanged or (waits and now - self._checked_at < LOOK_SECONDS)):
            return
        self._checked_at = now
        if sweep:
            self._results.remove_strays(STRAY_SECONDS, time.time())
            self._swept_at = now
        queries = {query.id: query for query in self._catalog.saved_queries.refreshed()}
        runs = self._catalog.saved_queries.runs()
        remaining = self._remove_expired(runs, queries, now_us)
        self._due = [(_due_us(query, remaining.get(query.id), now_us), query) for query in queries.values()]
        self._due.sort(key=lambda due: due[0])
        self._versions = versions

    def _remove_expired(
        self, runs: Iterable[SavedRun], queries: Mapping[int, SavedQuery], now_us: int
    ) -> dict[int, SavedRun]:
        """Remove runs that may no longer be shown. Returns query id → the remaining run without filters."""
        known: dict[str, dict[str, ErasureMark]] = {}
        remaining = {}
        for run in runs:
            query = queries.get(run.query_id)
            if query is None or self._is_over(run, query, now_us, known):
                if self._catalog.saved_queries.remove_run(run) and run.result is not None:
                    self._results.remove_file(run.result.file)
            elif not run.audience:
                remaining[run.query_id] = run
        return remaining

    def _is_over(
        self, run: SavedRun, query: SavedQuery, now_us: int, known: dict[str, dict[str, ErasureMark]]
    ) -> bool:
        if run.version != query.version or run.run_us > now_us + FUTURE_US:
            return True
        if run.audience and run.run_us + 2 * query.refresh_rate * _SECOND_US < now_us:
            return True
        if run.result is None:
            return False
        existing = known.setdefault(query.project_id, {})
        names = [name for name in collections_of(run.result) if name not in existing]
        for one in self._catalog.collections.named(query.project_id, names) if names else ():
            existing[one.name] = ErasureMark(one.id, one.erase_version)
        return outdated(run.result, existing)

    def _run(self, query: SavedQuery, now_us: int) -> None:
        deadline = self._results.deadline(self._tools.cancels.token())
        try:
            self._results.compute(query, FilterScope(), now_us, deadline)
        except QueryCancelled:
            raise
        except Exception as error:
            # The run records the failure; one failing query must not keep the others from their turn.
            fields = {"project": query.project_id, "query": query.name, "error": str(error)}
            _log.warning("A saved query could not be refreshed.", extra={"fields": fields}, exc_info=error)


def _due_us(query: SavedQuery, run: SavedRun | None, now_us: int) -> int:
    if run is None or run.version != query.version:
        return query.modified_us + FIRST_SECONDS * _SECOND_US if query.modified_us <= now_us else now_us
    return next_run_us(query, run)
