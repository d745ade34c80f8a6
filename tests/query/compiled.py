"""The statement of a question, compiled and not run."""

from __future__ import annotations

from collections.abc import Sequence

from query.answers.behaviour.active_periods import statement_of as active_statement
from query.answers.behaviour.activity import plan_active, plan_lifecycle
from query.answers.behaviour.actor_events import statement_of as events_statement
from query.answers.behaviour.funnel import plan_funnel
from query.answers.behaviour.retention import plan_retention
from query.answers.behaviour.selections import plan_selections
from query.answers.behaviour.sequences.paths import plan_paths
from query.answers.behaviour.sequences.sessions import plan_sessions
from query.answers.extraction import plan_extraction
from query.language.analyses.activity_nodes import ActiveDaysQuery, ActivePeriodsQuery, LifecycleQuery
from query.language.analyses.behaviour_nodes import FunnelOrder, FunnelQuery
from query.language.analyses.retention_nodes import RetentionQuery
from query.language.analyses.sequence_nodes import PathsQuery, SessionsQuery
from query.language.nodes import BehaviourQuery, ExtractionQuery, Filter, MetricQuery, ParsedQuery
from query.limits import Limits
from query.plan.plan import must_run, plan_metrics, rows_max
from query.plan.views import SourceOf, Views
from query.sql import statements
from query.sql.statement import Statement


def statement_of(
    request: ParsedQuery, sources: SourceOf, *, limits: Limits | None = None, forced: Sequence[Filter] = ()
) -> Statement | None:
    """None where nothing has to be run."""
    views = Views(sources, tuple(forced))
    limits = limits or Limits()
    match request.query:
        case MetricQuery() as query:
            plan = plan_metrics(query, views, rows_max(query, limits))
            return statements.metrics(plan) if must_run(plan) else None
        case FunnelQuery(order=FunnelOrder.ANY) as query:
            return plan_funnel(query, views, limits.funnel_actors_max).statement
        case PathsQuery() as query:
            scans = plan_paths(query, views)
            return events_statement(scans) if scans.live else None
        case SessionsQuery() as query:
            scans = plan_sessions(query, views)
            return events_statement(scans) if scans.live else None
        case LifecycleQuery(groups=(), before_us=None) as query:
            return active_statement(plan_lifecycle(query, views), query.buckets.edges, 2)
        case LifecycleQuery(groups=(), before_us=int() as before) as query:
            return active_statement(plan_lifecycle(query, views), (before, *query.buckets.edges), 1)
        case LifecycleQuery() as query:
            scans = plan_lifecycle(query, views)
            return events_statement(scans) if scans.live else None
        case ActiveDaysQuery() as query:
            return active_statement(plan_active(query, views), query.days)
        case ActivePeriodsQuery() as query:
            return active_statement(plan_active(query, views), query.buckets.edges)
        case RetentionQuery(of_periods=True) as query:
            edges = [one.start_us for one in query.cohorts] + [one.end_us for one in query.cohorts[-1:]]
            return active_statement(plan_retention(query, views), edges)
        case RetentionQuery() as query:
            scans = plan_retention(query, views)
            return events_statement(scans) if scans.live else None
        case SessionsQuery() as query:
            scans = plan_sessions(query, views)
            return events_statement(scans) if scans.live else None
        case LifecycleQuery() as query:
            scans = plan_lifecycle(query, views)
            return events_statement(scans) if scans.live else None
        case RetentionQuery() as query:
            scans = plan_retention(query, views)
            return events_statement(scans) if scans.live else None
        case BehaviourQuery() as query:
            scans = plan_selections(query.selections, views, timed=True)
            return events_statement(scans) if scans.live else None
        case ExtractionQuery() as query:
            rows = plan_extraction(query, views, limits)
            return None if rows.scan.empty else rows.statement(rows.scan)
    raise TypeError("several statements answer it")
