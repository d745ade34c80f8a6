"""The SQL of cohorts: the actors whose numbers of events fulfil some conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from query.plan.keys import KeyPart
from query.sql.behaviour import MASK, has_actor, part_name, rows
from query.sql.keys import PART_TYPES
from query.sql.statement import MEMBER, Note, Statement, joined, name, noted, sql, whole

__all__ = ["Statement", "Test", "actors_of", "members", "rows"]


@dataclass(frozen=True, slots=True)
class Test:
    """``least <= number <= most`` of the rows with a bit of the mask."""

    bit: int
    least: int
    most: int | None

    @property
    def statement(self) -> Statement:
        number = sql("count(*) FILTER (WHERE {} & {} <> 0)", MASK, whole(1 << self.bit))
        if self.least == self.most:
            return sql("{} = {}", number, whole(self.least))
        ends = [sql("{} >= {}", number, whole(self.least))] if self.least else []
        if self.most is not None:
            ends.append(sql("{} <= {}", number, whole(self.most)))
        return sql("({})", joined(" AND ", ends))


def members(table: str, part: KeyPart, parts: Sequence[KeyPart], bit: int) -> Statement:
    """A row for each actor of a registered table, as ``rows`` has one for each event."""
    cells = [
        sql(
            "{} AS {}",
            MEMBER if one is part else Statement(f"CAST(NULL AS {PART_TYPES[one]})"),
            part_name(one),
        )
        for one in parts
    ]
    return sql(
        "SELECT {}, CAST({} AS BIGINT) AS {} FROM {}",
        joined(", ", cells),
        whole(1 << bit),
        MASK,
        name(table),
    )


def actors_of(
    branches: Sequence[Statement],
    parts: Sequence[KeyPart],
    every: Sequence[Test],
    some: Sequence[Test],
    actors_max: int,
) -> Statement:
    """The actors that fulfil all of ``every`` and any of ``some``: their parts, at most ``actors_max`` + 1.

    The branches are made by ``rows`` and ``members``.
    """
    tests = [one.statement for one in every]
    if some:
        tests.append(sql("({})", joined(" OR ", [one.statement for one in some])))
    listed = joined(", ", map(part_name, parts))
    per_actor = sql(
        "SELECT {} FROM ({})\nWHERE {} <> 0 AND ({}) GROUP BY {} HAVING {} LIMIT {}",
        listed,
        joined("\nUNION ALL", [sql("\n{}", branch) for branch in branches]),
        MASK,
        has_actor(parts),
        listed,
        joined(" AND ", tests),
        whole(actors_max + 1),
    )
    return noted(Note.COHORT, per_actor)
