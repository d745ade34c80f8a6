"""Answers which actors a cohort has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from query.answers.behaviour.actor_lists import ACTOR_BYTES, CHECK_EVERY
from query.answers.pipeline import Answer, Work, note_damage
from query.answers.values import part_value
from query.engine.runner import Runner
from query.language.nodes import ActorCohort
from query.plan.keys import KeyPart
from query.plan.views import Views


def cohort_actors(cohort: ActorCohort, limit: int) -> Work:
    """What answers how many actors the cohort has, with the first ``limit`` in the order of their values."""

    def work(views: Views, runner: Runner) -> Answer:
        names = views.own_actors_of(cohort)
        tables = {KeyPart(part): views.actor_tables[name] for part, name in names.items()}
        number = sum(table.num_rows for table in tables.values())
        runner.reservation.reserve(ACTOR_BYTES * min(number, limit))
        actors = _first(tables, limit, runner)
        body: dict[str, Any] = {"result": number, "actors": actors, "truncated": len(actors) < number}
        note_damage(body, views)
        unknown = [] if views.forced else views.unknown
        warnings = [f"The collection '{name}' does not exist." for name in unknown]
        return Answer(body, warnings, not views.damaged)

    return work


def _first(tables: Mapping[KeyPart, pa.Table], limit: int, runner: Runner) -> list[Any]:
    """The first actors: numbers, text, false and true."""
    chosen: list[tuple[tuple[int, Any], Any]] = []
    for part, table in tables.items():
        column = table.column(0)
        if part is not KeyPart.BIG and part is not KeyPart.BOOLEAN and len(column) > limit:
            column = column.take(pc.select_k_unstable(column, limit, sort_keys=[("", "ascending")]))
        for at, cell in enumerate(column.to_pylist()):
            if at % CHECK_EVERY == 0:
                runner.check()
            value, order = part_value(part, cell)
            chosen.append((order, value))
    return [value for _, value in sorted(chosen, key=_order)[:limit]]


def _order(actor: tuple[tuple[int, Any], Any]) -> tuple[int, Any]:
    return actor[0]
