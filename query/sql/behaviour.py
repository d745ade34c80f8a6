"""The SQL of questions about behaviour: who did what, and when."""

from __future__ import annotations

from collections.abc import Sequence

from query.language.nodes import Span
from query.plan.columns import TIMESTAMP_COLUMN
from query.plan.keys import GroupKey, KeyPart
from query.plan.predicates import Predicate
from query.plan.scans import Scan
from query.sql.conditions import condition
from query.sql.keys import PART_TYPES, key_parts, unnested
from query.sql.reading import in_span
from query.sql.statement import Note, Statement, col, joined, name, noted, sql, whole

_MASK = name("$mask")
_TIME = name("$time")
_BYTE_BITS = 8


def rows(
    scan: Scan,
    key: GroupKey,
    parts: Sequence[KeyPart],
    tests: Sequence[tuple[int, Predicate, Span]],
    *,
    timed: bool = False,
) -> Statement:
    """The rows of one scan: the actor's parts, and the mask of the selections that each row belongs to.

    ``tests``: the selection's bit, its condition, and its span where that is narrower than the scan's.
    ``timed``: with the event's time in µs.
    """
    expressions = dict(zip(key.parts, key_parts(key, 0), strict=True))
    actor = [
        sql(
            "{} AS {}",
            expressions.get(part, Statement(f"CAST(NULL AS {PART_TYPES[part]})")),
            name(f"${part}"),
        )
        for part in parts
    ]
    bits = [
        sql("(CASE WHEN {} AND {} THEN {} ELSE 0 END)", condition(test), in_span(span), whole(1 << bit))
        for bit, test, span in tests
    ]
    cells = [*actor, sql("CAST(({}) AS BIGINT) AS {}", joined(" | ", bits), _MASK)]
    if timed:
        cells.append(sql("epoch_us({}) AS {}", col(TIMESTAMP_COLUMN), _TIME))
    return noted(Note.STEPS, sql("SELECT {}{}", joined(", ", cells), unnested(scan, (key,))))


def actors_by_mask(
    branches: Sequence[Statement], parts: Sequence[KeyPart], actors_max: int | None
) -> Statement:
    """The actors of the first selection, bit 0, and all that they did.

    Rows are (actor's parts, mask), at most ``actors_max`` + 1 of them, where ``actors_max`` is given;
    otherwise (mask, number of actors). The branches are made by ``rows``.
    """
    names = joined(", ", (name(f"${part}") for part in parts))
    per_actor = sql(
        "SELECT {}, bit_or({}) AS {} FROM ({})\nWHERE {} GROUP BY {} HAVING bit_or({}) & 1 = 1",
        names,
        _MASK,
        _MASK,
        joined("\nUNION ALL", branches),
        _has_actor(parts),
        names,
        _MASK,
    )
    actors = noted(Note.ACTORS, per_actor)
    if actors_max is not None:
        return sql("{} LIMIT {}", actors, whole(actors_max + 1))
    return noted(Note.MASKS, sql("SELECT {}, count(*) FROM ({})\nGROUP BY 1", _MASK, actors))


def events(branches: Sequence[Statement], parts: Sequence[KeyPart], selections: int) -> Statement:
    """The events of any selection that have an actor, in no order.

    Rows are (actor's parts, mask, time in µs). The branches are made by ``rows`` with ``timed``.
    """
    cells = [
        *(name(f"${part}") for part in parts),
        sql(
            "CAST({} AS {}) AS {}",
            _MASK,
            Statement("UTINYINT" if selections <= _BYTE_BITS else "INTEGER"),
            _MASK,
        ),
        _TIME,
    ]
    return noted(
        Note.EVENTS,
        sql(
            "SELECT {} FROM ({})\nWHERE {} <> 0 AND ({})",
            joined(", ", cells),
            joined("\nUNION ALL", branches),
            _MASK,
            _has_actor(parts),
        ),
    )


def _has_actor(parts: Sequence[KeyPart]) -> Statement:
    return joined(" OR ", (sql("{} IS NOT NULL", name(f"${part}")) for part in parts))
