"""The runner's task that keeps the results of saved queries as old as their owners want them, and no older.

Results without filters are computed when they are due. Those for keys with filters are computed when such a
key asks; here they only end. Whatever was computed before an erasure ends here too, bytes and all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from query.answers.freshness import Erasures
from query.errors import QueryCancelled
from service.background.task_runner import Tools
from service.saved_queries.definition import next_run_us
from service.saved_queries.results import FilterScope, Results, collections_of, outdated
from storage.catalog.database.versions import NEVER_SEEN, Area
from storage.catalog.derived.records import SavedQuery, SavedRun

STRAY_SECONDS = 120.0
"""Far longer than a result's file waits for its run to be entered."""
LOOK_SECONDS = 1.0
"""How old what is known to be due may be while some of it waits."""
FIRST_SECONDS = 2
"""Whoever makes a query asks for its result at once, as often as not: then it is computed for the request."""
FUTURE_US = 60_000_000
"""A run so far in the future is of a clock that was set back since: its result would not age for as long."""
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
        self._looked = float("-inf")
        self._due: list[tuple[int, SavedQuery]] = []
        self._swept = float("-inf")

    def run_due(self, now_us: int) -> bool:
        self._look(now_us)
        if not self._due or self._due[0][0] > now_us or self._tools.stop.is_set():
            return False
        due = self._due.pop(0)[1]
        found = self._catalog.saved_queries.find_with_run(due.project_id, due.name, "")
        if found is not None and found[0].refresh_rate and _due_us(*found, now_us) <= now_us:
            self._run(found[0], now_us)
        return True

    def _look(self, now_us: int) -> None:
        """Read anew what is due where data or runs have changed, after what must go is gone."""
        now = time.monotonic()
        sweep = now - self._swept > STRAY_SECONDS / 2
        versions = self._catalog.versions()
        same = versions[1:] == self._versions[1:]
        waits = bool(self._due) and self._due[0][0] <= now_us
        # Each run is a change: while others are due, not all of them are read again after every one.
        if not sweep and (same or (waits and now - self._looked < LOOK_SECONDS)):
            return
        self._looked = now
        if sweep:
            self._results.remove_strays(STRAY_SECONDS, time.time())
            self._swept = now
        queries = {query.id: query for query in self._catalog.saved_queries.refreshed()}
        runs = self._catalog.saved_queries.runs()
        lasting = self._end(runs, queries, now_us)
        self._due = [(_due_us(query, lasting.get(query.id), now_us), query) for query in queries.values()]
        self._due.sort(key=lambda due: due[0])
        self._versions = versions

    def _end(
        self, runs: Iterable[SavedRun], queries: Mapping[int, SavedQuery], now_us: int
    ) -> dict[int, SavedRun]:
        """Removes what may not be told any more; query id → the run without filters that stays."""
        known: dict[str, dict[str, Erasures]] = {}
        lasting = {}
        for run in runs:
            query = queries.get(run.query_id)
            if query is None or self._is_over(run, query, now_us, known):
                if self._catalog.saved_queries.remove_run(run) and run.result is not None:
                    self._results.remove_file(run.result.file)
            elif not run.audience:
                lasting[run.query_id] = run
        return lasting

    def _is_over(
        self, run: SavedRun, query: SavedQuery, now_us: int, known: dict[str, dict[str, Erasures]]
    ) -> bool:
        if run.version != query.version or run.run_us > now_us + FUTURE_US:
            return True
        if run.audience and run.run_us + 2 * query.refresh_rate * _SECOND_US < now_us:
            return True
        if run.result is None:
            return False
        there = known.setdefault(query.project_id, {})
        names = [name for name in collections_of(run.result) if name not in there]
        for one in self._catalog.collections.named(query.project_id, names) if names else ():
            there[one.name] = Erasures(one.id, one.erase_version)
        return outdated(run.result, there)

    def _run(self, query: SavedQuery, now_us: int) -> None:
        deadline = self._results.deadline(self._tools.cancels.token())
        try:
            self._results.compute(query, FilterScope(), now_us, deadline)
        except QueryCancelled:
            raise
        except Exception as error:
            # It is in the run's own account; one query that fails must not keep the others from their turn.
            fields = {"project": query.project_id, "query": query.name, "error": str(error)}
            _log.warning("A saved query could not be refreshed.", extra={"fields": fields}, exc_info=error)


def _due_us(query: SavedQuery, run: SavedRun | None, now_us: int) -> int:
    if run is None or run.version != query.version:
        return query.modified_us + FIRST_SECONDS * _SECOND_US if query.modified_us <= now_us else now_us
    return next_run_us(query, run)
