"""The runner's task that evaluates alerts once their intervals have ended and are complete.

An evaluation, the state that follows and whatever is to be told are stored in one transaction. Intervals are
evaluated in their order; of those that ended while no server ran, the last one alone.
"""

from __future__ import annotations

import json
import logging

from query.errors import QueryCancelled
from service.alerts.buckets import Interval, Intervals
from service.alerts.definition import Alert, is_silenced
from service.alerts.evaluation import Evaluator, Found
from service.alerts.telling import notice_of
from service.background.task_runner import Tools
from storage.catalog.database.versions import Area
from storage.catalog.derived.notices import NEVER_US
from storage.catalog.derived.records import AlertEvaluation, AlertState, StoredAlert, StoredNotice

SETTLE_SECONDS = 5
"""How long after its end an interval is looked at first."""
LOOKS = 20
"""Into how many parts the longest wait for an interval is divided, to look whether it is complete."""
LOOK_SECONDS = (5, 300)
"""The shortest and the longest of these parts."""
_SECOND_US = 1_000_000

_log = logging.getLogger("acumen.alerts")


class AlertWatch:
    """See ``service.background.task_runner.Task``."""

    name = "alerts"
    areas = frozenset({Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._catalog = tools.catalog
        self._stop = tools.stop
        self._public_url = tools.settings.public_url
        self._evaluator = Evaluator(tools)

    def run_due(self, now_us: int) -> bool:
        if self._stop.is_set():
            return False
        alert = self._catalog.alerts.next_due(now_us)
        if alert is None:
            return False
        try:
            self._look(alert, now_us)
        except QueryCancelled:
            raise
        except Exception:
            # One alert that cannot be looked at must not keep the others from their turn.
            self._catalog.alerts.postpone(alert, now_us + LOOK_SECONDS[1] * _SECOND_US)
            raise
        return True

    def _look(self, alert: StoredAlert, now_us: int) -> None:
        definition = Alert.stored(alert)
        if not definition.is_active:
            self._catalog.alerts.postpone(alert, NEVER_US)
            return
        clock = self._evaluator.clock_of(alert)
        bucket = _next(alert, clock, definition.wait_seconds * _SECOND_US, now_us)
        if bucket.end_us > now_us:
            self._catalog.alerts.postpone(alert, bucket.end_us + SETTLE_SECONDS * _SECOND_US)
            return
        last_us = bucket.end_us + definition.wait_seconds * _SECOND_US
        complete = self._evaluator.is_complete(alert, clock, bucket, now_us)
        pause = min(max(definition.wait_seconds // LOOKS, LOOK_SECONDS[0]), LOOK_SECONDS[1])
        later_us = min(last_us, now_us + pause * _SECOND_US)
        if not complete and now_us < last_us:
            self._catalog.alerts.postpone(alert, later_us)
            return
        found = self._evaluator.evaluate(alert, clock, bucket, now_us)
        if found.may_pass and now_us < last_us:
            self._catalog.alerts.postpone(alert, later_us)
            return
        due_us = clock.following_end(bucket) + SETTLE_SECONDS * _SECOND_US
        self._record(alert, bucket, found, complete, now_us, due_us)

    def _record(
        self, alert: StoredAlert, bucket: Interval, found: Found, complete: bool, now_us: int, due_us: int
    ) -> None:
        notice = self._notice(alert, bucket, found, complete, now_us)
        verdict = found.verdict
        evaluation = AlertEvaluation(
            now_us,
            bucket.start_us,
            bucket.end_us,
            verdict.state,
            json.dumps(found.value),
            json.dumps(verdict.reference),
            verdict.message,
            complete,
            notice is not None,
            found.audience,
        )
        missing = self._catalog.alerts.record(alert, evaluation, due_us, notice)
        if missing:
            fields = {"project": alert.project_id, "alert": alert.name, "webhooks": missing}
            _log.warning("An alert names webhooks that are gone.", extra={"fields": fields})

    def _notice(
        self, alert: StoredAlert, bucket: Interval, found: Found, complete: bool, now_us: int
    ) -> StoredNotice | None:
        """What is told of the evaluation; None where nothing is: it was told already, or is silenced."""
        definition, state = Alert.stored(alert), found.verdict.state
        if is_silenced(alert, now_us):
            return None
        kind = ""
        if state is alert.told_state:
            remind_us = definition.remind_us
            if state is AlertState.OK or remind_us is None or now_us < alert.told_us + remind_us:
                return None
            kind = "reminder"
        return notice_of(
            alert,
            state,
            now_us=now_us,
            public_url=self._public_url,
            message=found.verdict.message,
            bucket=bucket,
            value=found.value,
            reference=found.verdict.reference,
            complete=complete,
            kind=kind,
        )


def _next(alert: StoredAlert, clock: Intervals, wait_us: int, now_us: int) -> Interval:
    """The interval to evaluate next, which may not have ended yet."""
    last, following = clock.last(now_us), clock.after(alert.through_us)
    length_us = following.end_us - following.start_us
    # By now it would have been evaluated, had there been a server.
    is_missed = now_us > following.end_us + wait_us + max(length_us, LOOK_SECONDS[1] * _SECOND_US)
    return last if is_missed and following.end_us < last.end_us else following
