"""Answers questions for series: asks for their values, computes what they ask of these, arranges the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from query.answers.series.arrangement import Arrangement, Table
from query.answers.series.asking import Asker, GroupList
from query.answers.series.completeness import completeness
from query.answers.series.evaluation import Evaluation
from query.answers.series.top import first_groups, only_rows, other_rows
from query.answers.series.windows import Narrowing, WindowPlan, check_overlapping
from query.engine.runner import Runner
from query.language.nodes import ComposedQuery, Filter
from query.language.series.nodes import PLAIN, Period, Series, SeriesQuery, Share, Window
from query.limits import Limits
from query.plan.views import Views

_ALL = Narrowing(grouped=False)


def composed_body(
    query: ComposedQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The answer's body, and the number of events read.

    Raises QueryLimitExceeded, and what asking questions raises.
    """
    assert isinstance(query, SeriesQuery)
    return _Work(query, views, runner, limits).body()


class _Work:
    def __init__(self, query: SeriesQuery, views: Views, runner: Runner, limits: Limits) -> None:
        self._query = query
        self._limits = limits
        self._runner = runner
        self._groups = GroupList()
        self._asker = Asker(views, runner, limits, self._groups)
        self._arrivals = Asker(views, runner, limits, GroupList())

    def body(self) -> tuple[dict[str, Any], int]:
        query = self._query
        chosen = self._chosen()
        scope = Narrowing(grouped=bool(query.groups))
        others = None
        if chosen is not None:
            rows = [self._groups.values[number] for number in chosen]
            scope = self._narrowed(rows, only=True)
            if query.top is not None and query.top.other is not None:
                others = self._narrowed(rows, only=False)
        scopes = [scope, *([others] if others is not None else [])]
        shares = [one for one in query.shares if one.label in query.shown]
        totals = self._totals(shares)
        leaves = [leaf for label in query.shown for leaf in query.leaves(label)]
        plans = [
            [WindowPlan(leaves, period, one, self._limits.windows_max) for one in scopes]
            for period in query.periods
        ]
        check_overlapping((plan for listed in plans for plan in listed), self._limits.windows_max)
        tables = []
        for period, listed, total in zip(query.periods, plans, totals, strict=True):
            of_scopes = [Evaluation(query, period, plan.values(self._asker)) for plan in listed]
            tables.append(Table(period, of_scopes[0], of_scopes[1] if others else None, total))
        arrangement = Arrangement(query, self._groups, tables, chosen, self._limits, self._runner)
        body = arrangement.body()
        if query.open_intervals is not None:
            body["completeness"] = completeness(query, self._arrivals)
        return body, self._asker.scanned + self._arrivals.scanned

    def _chosen(self) -> list[int] | None:
        """The groups that ``top`` keeps, the first one first; None without it."""
        query, top = self._query, self._query.top
        if top is None:
            return None
        whole = Period(query.period.span, (query.period.span,))
        found = WindowPlan(query.leaves(top.by), whole, Narrowing(grouped=True), self._limits.windows_max)
        evaluation = Evaluation(query, whole, found.values(self._asker))
        return first_groups(top, evaluation, self._groups, self._runner.check)

    def _narrowed(self, rows: Sequence[tuple[Any, ...]], *, only: bool) -> Narrowing:
        filters: dict[str, tuple[Filter, ...]] = {}
        for series in self._query.series:
            if only:
                filters[series.label] = only_rows(series.groups, rows) if rows else ()
            else:
                filters[series.label] = other_rows(series.groups, rows)
        return Narrowing(grouped=only, narrowed=filters)

    def _totals(self, shares: Sequence[Share]) -> list[dict[str, list[Any]]]:
        """Of each period, the totals of all labels that are shared, by the places of its buckets."""
        query = self._query
        totals: list[dict[str, list[Any]]] = []
        for period in query.periods:
            if not shares:
                totals.append({})
                continue
            labels = [one.of for one in shares]
            leaves: list[tuple[Series, Window]] = [
                leaf for label in labels for leaf in query.leaves(label, PLAIN)
            ]
            over = period if query.groups else Period(period.span, (period.span,))
            plan = WindowPlan(leaves, over, _ALL, self._limits.windows_max)
            evaluation = Evaluation(query, over, plan.values(self._asker))
            values = evaluation.values(labels, self._groups.number((), ()), {})
            count = len(period.buckets) + len(period.rest)
            totals.append(
                {
                    label: list(listed) if query.groups else [listed[0]] * count
                    for label, listed in values.items()
                }
            )
        return totals
