"""Answers questions about behaviour: one function for each kind."""

from __future__ import annotations

from typing import Any

from query.answers.behaviour.activity import active_days_body, active_periods_body, lifecycle_body
from query.answers.behaviour.funnel import funnel_body, plan_funnel
from query.answers.behaviour.ordered_funnel import ordered_funnel
from query.answers.behaviour.retention import retention_body
from query.answers.behaviour.sequences.paths import paths_body
from query.answers.behaviour.sequences.sessions import sessions_body
from query.engine.runner import Runner
from query.language.analyses.activity_nodes import ActiveDaysQuery, ActivePeriodsQuery, LifecycleQuery
from query.language.analyses.behaviour_nodes import FunnelOrder, FunnelQuery
from query.language.analyses.retention_nodes import RetentionQuery
from query.language.analyses.sequence_nodes import PathsQuery, SessionsQuery
from query.language.nodes import BehaviourQuery
from query.limits import Limits
from query.plan.views import Views


def behaviour_body(
    query: BehaviourQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The answer's body, and the number of stored events in the timeframes of the query."""
    match query:
        case FunnelQuery(order=FunnelOrder.ANY):
            return _unordered_funnel(query, views, runner, limits)
        case FunnelQuery():
            return ordered_funnel(query, views, runner, limits)
        case PathsQuery():
            return paths_body(query, views, runner, limits)
        case SessionsQuery():
            return sessions_body(query, views, runner, limits)
        case LifecycleQuery():
            return lifecycle_body(query, views, runner, limits)
        case ActiveDaysQuery():
            return active_days_body(query, views, runner, limits)
        case ActivePeriodsQuery():
            return active_periods_body(query, views, runner, limits)
        case RetentionQuery():
            return retention_body(query, views, runner, limits)
        case _:
            raise TypeError(type(query).__name__)


def _unordered_funnel(
    query: FunnelQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    plan = plan_funnel(query, views, limits.funnel_actors_max)
    statement, scans = plan.statement, plan.scans
    if statement is not None:
        limits.check_rows(scans.read)
    rows = () if statement is None else runner.rows(statement, scans.tables, reads=scans.scanned)
    body = funnel_body(plan, rows, limits.response_bytes_max, runner.check, runner.reservation)
    return body, scans.scanned
