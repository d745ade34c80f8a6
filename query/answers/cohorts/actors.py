"""Computes the actors of a cohort, as one Arrow table for each part of an actor's value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import pyarrow as pa

from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.cohorts.funnel_actors import funnel_actors
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.language.nodes import ActorCohort, CohortCondition, Members, Selection
from query.limits import Limits
from query.plan.cohort_sets import canonical, table_of
from query.plan.columns import ActorTables
from query.plan.keys import KeyPart
from query.plan.views import ComputeActors, Views
from query.sql import behaviour as sql
from query.sql.statement import Statement

_MEMBER_BYTES = 150
"""Bytes that a listed actor takes while the tables are made."""


def actors_by(runner: Runner, limits: Limits) -> ComputeActors:
    """A function that computes the actors of cohorts for one question."""
    return partial(_compute, runner, limits)


def _compute(runner: Runner, limits: Limits, cohort: ActorCohort, views: Views) -> Mapping[str, pa.Table]:
    """The cohort's actors. Raises QueryError."""
    runner.check()
    if cohort.members is not None:
        runner.reservation.reserve(_MEMBER_BYTES * len(cohort.members.values))
        listed = _listed(cohort.members)
        links = views.links() if cohort.merged else None
        return canonical(listed, links) if links else listed
    most = limits.cohort_actors_max
    if cohort.funnel is not None:
        columns = funnel_actors(cohort.funnel, views, runner, limits)
    else:
        columns = _by_conditions(cohort, views, runner, limits)
    if sum(len(column) for column in columns.values()) > most:
        called = f"The cohort '{cohort.name}'" if cohort.name else "A cohort of the question"
        raise QueryLimitExceeded(
            f"{called} has more than {most:,} actors (ACUMEN_COHORT_ACTORS_MAX). Give its conditions a "
            "shorter timeframe, or ask for more of each actor."
        )
    return {part: table_of(column) for part, column in columns.items() if len(column)}


def _by_conditions(
    cohort: ActorCohort, views: Views, runner: Runner, limits: Limits
) -> Mapping[str, pa.ChunkedArray]:
    """The actors who fulfil the conditions, by the parts of their values."""
    conditions = cohort.conditions
    named = {
        number: views.own_actors_of(one.of)
        for number, one in enumerate(conditions)
        if isinstance(one.of, ActorCohort)
    }
    numbers = [number for number, one in enumerate(conditions) if isinstance(one.of, Selection)]
    selections = [one.of for one in conditions if isinstance(one.of, Selection)]
    plan = plan_selections(selections, views, timed=False)
    limits.check_rows(plan.read)
    found = {part for tables in named.values() for part in tables}
    parts = [part for part in KeyPart if part in plan.parts or part in found]
    branches = _branches(plan, numbers, named, parts)
    if not branches:
        return {}
    statement = sql.cohort_actors(
        branches,
        parts,
        [_test(one, number) for number, one in enumerate(cohort.every)],
        [_test(one, len(cohort.every) + number) for number, one in enumerate(cohort.some)],
        limits.cohort_actors_max,
    )
    table = runner.table(statement, {**views.actor_tables, **plan.tables}, reads=plan.read)
    return {part: table.column(at).drop_null() for at, part in enumerate(parts)}


def _test(one: CohortCondition, number: int) -> sql.CountTest:
    return sql.CountTest(number, one.least, one.most)


def _branches(
    plan: SelectionPlan, numbers: list[int], named: Mapping[int, ActorTables], parts: list[KeyPart]
) -> list[Statement]:
    """What is counted: the events of each scan, and the actors of each cohort that is named."""
    branches = []
    for one in plan.live:
        tests = [(numbers[at], test, span) for at, test, span in one.tests]
        branches.append(sql.rows(one.scan, one.key, parts, tests))
    for number, tables in named.items():
        branches += [sql.members(table, KeyPart(part), parts, number) for part, table in tables.items()]
    return branches


def _listed(members: Members) -> Mapping[str, pa.Table]:
    """The tables of listed actors. An integer that no double holds is its decimal text."""
    found: dict[str, list[object]] = {}
    for value in members.values:
        if isinstance(value, bool):
            found.setdefault(KeyPart.BOOLEAN, []).append(value)
        elif isinstance(value, str):
            found.setdefault(KeyPart.STRING, []).append(value)
        elif _is_double(value):
            found.setdefault(KeyPart.NUMBER, []).append(float(value))
        else:
            found.setdefault(KeyPart.BIG, []).append(str(value))
    types = {KeyPart.BOOLEAN: pa.bool_(), KeyPart.NUMBER: pa.float64()}
    return {
        part: table_of(pa.array(values, types.get(KeyPart(part), pa.string())))
        for part, values in found.items()
    }


def _is_double(value: float) -> bool:
    try:
        return math.isfinite(value) and float(value) == value
    except OverflowError:
        return False
