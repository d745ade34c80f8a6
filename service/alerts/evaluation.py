"""Asks the question of an alert about an interval, under the filters of the alert's key. Blocks."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from query.errors import QueryCancelled, QueryError, QueryOverloaded, QueryTimeout
from query.language.nodes import Filter
from service.alerts.buckets import Interval, Intervals
from service.alerts.conditions import Verdict, earlier, judged
from service.alerts.definition import Alert, question_of
from service.alerts.rights import Unanswerable, caller_of, filters_of_questions, filters_of_saved
from service.background.task_runner import Tools
from service.errors import ApiError
from service.saved_queries.results import FilterScope, Results
from storage.catalog.derived.records import AlertState, SavedQuery, StoredAlert

UNKNOWN_LATENESS_SECONDS = 60
"""How long is waited after the end of an interval where no earlier one tells how late events are."""
INTERVALS_COMPARED = 14
"""Earlier intervals that tell how late events are."""
OF_THE_SERVER = "The server failed to answer. The failure was logged."

_log = logging.getLogger("acumen.alerts")


@dataclass(frozen=True, slots=True)
class Found:
    """What an interval's question was answered. ``value`` is a number or None; ``audience`` a digest of the
    filters under which it is so, empty without any."""

    verdict: Verdict
    value: Any = None
    audience: str = ""
    may_pass: bool = False
    """Whether it is an error that may be none a moment later."""


class Evaluator:
    """Asks for one runner."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        settings = tools.settings
        self._results = Results(
            tools.catalog, tools.reader, tools.engine, settings.query_limits, settings.preferences
        )

    def clock_of(self, alert: StoredAlert) -> Intervals:
        """How the alert's intervals are counted."""
        preferences = self._results.preferences_of(alert.project_id)
        return Alert.stored(alert).clock(preferences.week_start)

    def is_complete(self, alert: StoredAlert, clock: Intervals, bucket: Interval, now_us: int) -> bool:
        """Whether so much of the interval's events is expected to be there as the alert waits for.

        How late events are is known from the intervals before. Raises QueryCancelled; other errors mean that
        there is nothing to wait for.
        """
        definition = Alert.stored(alert)
        try:
            question, filters = self._question(alert, definition)
            asked = {
                "analysis_type": "series",
                "series": {
                    "events": {
                        "event_collection": question["event_collection"],
                        "analysis_type": "count",
                        "filters": question.get("filters") or [],
                    }
                },
                "interval": definition.interval,
                "timezone": definition.definition.get("timezone"),
                "timeframe": clock.timeframe(bucket),
                "completeness": {"intervals": INTERVALS_COMPARED},
            }
            answer = self._answer(alert, asked, filters, now_us)
        except QueryCancelled:
            raise
        except (QueryError, ApiError, Unanswerable):
            return True
        for part in answer.get("completeness", ()):
            arrived = part["series"]["events"]["arrived"]
            if arrived is None:
                return now_us >= bucket.end_us + UNKNOWN_LATENESS_SECONDS * 1_000_000
            return bool(arrived >= definition.share)
        return True

    def evaluate(self, alert: StoredAlert, clock: Intervals, bucket: Interval, now_us: int) -> Found:
        """Ask, and judge. A question that cannot be answered is a state too. Raises QueryCancelled."""
        definition = Alert.stored(alert)
        try:
            question, filters = self._question(alert, definition)
            asked = [bucket, *earlier(definition.condition, clock, bucket)]
            values = []
            for one in asked:
                params = {
                    **question,
                    "timeframe": clock.timeframe(one),
                    "timezone": definition.definition.get("timezone"),
                }
                values.append(self._answer(alert, params, filters, now_us)["result"])
            verdict = judged(definition.condition, values[0], values[1:])
        except QueryCancelled:
            raise
        except (Unanswerable, QueryError, ApiError) as error:
            verdict = Verdict(AlertState.ERROR, getattr(error, "message", None) or str(error))
            return Found(verdict, may_pass=isinstance(error, QueryTimeout | QueryOverloaded))
        except Exception as error:
            fields = {"project": alert.project_id, "alert": alert.name}
            _log.exception("An alert could not be evaluated.", extra={"fields": fields}, exc_info=error)
            return Found(Verdict(AlertState.ERROR, OF_THE_SERVER), may_pass=True)
        if verdict.state is AlertState.NO_DATA and definition.ignores_no_data:
            verdict = replace(verdict, state=AlertState.OK)
        return Found(verdict, values[0], FilterScope(filters).digest)

    def _question(self, alert: StoredAlert, definition: Alert) -> tuple[dict[str, Any], tuple[Filter, ...]]:
        """The question without its time, and the filters for it. Raises Unanswerable, InvalidParameter."""
        saved = definition.saved_query
        caller = caller_of(self._catalog, alert.project_id, definition.access_key)
        if saved is None:
            return dict(definition.definition["query"]), filters_of_questions(caller)
        query = self._catalog.saved_queries.find(alert.project_id, saved)
        if query is None:
            raise Unanswerable("The saved query of the alert is gone.")
        return question_of(json.loads(query.query)), filters_of_saved(caller, query)

    def _answer(
        self, alert: StoredAlert, params: Mapping[str, Any], filters: tuple[Filter, ...], now_us: int
    ) -> dict[str, Any]:
        """The answer's ``result``, and what stands beside it. Raises QueryError."""
        query = SavedQuery(0, alert.project_id, alert.name, json.dumps(params), "null", 0, 1, now_us, now_us)
        deadline = self._results.deadline(self._tools.cancels.token())
        result, _ = self._results.now(query, FilterScope(filters), now_us, deadline)
        found: dict[str, Any] = json.loads(b'{"result":' + result + b"}")
        return found
