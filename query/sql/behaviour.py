"""The SQL of questions about behaviour: who did what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from query.language.nodes import Span
from query.plan.columns import TIMESTAMP_COLUMN
from query.plan.keys import GroupKey, KeyPart
from query.plan.predicates import Predicate
from query.plan.scans import Scan
from query.sql.conditions import condition
from query.sql.intervals import Run, bucket_index
from query.sql.keys import PART_TYPES, key_parts, unnested, value_cells
from query.sql.reading import in_span
from query.sql.statement import MEMBER, TIME_US, Note, Statement, col, joined, name, noted, sql, whole

_MASK = name("$mask")
_TIME = name("$time")
_PERIOD = name("$period")
ValueParts = Sequence[Sequence[KeyPart]]
"""For each further value of events the parts that occur in any branch."""


def rows(
    scan: Scan,
    key: GroupKey,
    parts: Sequence[KeyPart],
    tests: Sequence[tuple[int, Predicate, Span]],
    *,
    timed: bool = False,
    values: Sequence[GroupKey] = (),
    value_parts: ValueParts = (),
) -> Statement:
    """The rows of one scan: the actor's parts, and the mask of the selections that each row belongs to.

    ``tests``: the selection's bit, its condition, and its span where that is narrower than the scan's.
    ``timed``: with the event's time in µs, and with the parts of the ``values``.
    """
    expressions = dict(zip(key.parts, key_parts(key, 0), strict=True))
    actor = [_cell(expressions, part, _part(part)) for part in parts]
    bits = [
        sql("(CASE WHEN {} AND {} THEN {} ELSE 0 END)", condition(test), in_span(span), whole(1 << bit))
        for bit, test, span in tests
    ]
    cells = [*actor, sql("CAST(({}) AS BIGINT) AS {}", joined(" | ", bits), _MASK)]
    if timed:
        cells.append(sql("epoch_us({}) AS {}", col(TIMESTAMP_COLUMN), _TIME))
    for at, (value, listed) in enumerate(zip(values, value_parts, strict=True)):
        found = value_cells(value)
        cells += [_cell(found, part, _value_part(at, part)) for part in listed]
    return noted(Note.STEPS, sql("SELECT {}{}", joined(", ", cells), unnested(scan, (key,))))


def actors_by_mask(
    branches: Sequence[Statement], parts: Sequence[KeyPart], actors_max: int | None
) -> Statement:
    """The actors of the first selection, bit 0, and all that they did.

    Rows are (actor's parts, mask), at most ``actors_max`` + 1 of them, where ``actors_max`` is given;
    otherwise (mask, number of actors). The branches are made by ``rows``.
    """
    names = joined(", ", map(_part, parts))
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


def events(
    branches: Sequence[Statement],
    parts: Sequence[KeyPart],
    selections: int,
    value_parts: ValueParts = (),
    limit: int | None = None,
) -> Statement:
    """The events of any selection that have an actor, in no order.

    Rows are (actor's parts, mask, time in µs, parts of each value). The branches are made by ``rows`` with
    ``timed``. ``limit``: how many rows at most.
    """
    most = Statement("") if limit is None else sql("\nLIMIT {}", whole(limit))
    cells = [
        *map(_part, parts),
        sql(
            "CAST({} AS {}) AS {}",
            _MASK,
            _mask_type(selections),
            _MASK,
        ),
        _TIME,
        *(_value_part(at, part) for at, listed in enumerate(value_parts) for part in listed),
    ]
    return noted(
        Note.EVENTS,
        sql(
            "SELECT {} FROM ({})\nWHERE {} <> 0 AND ({}){}",
            joined(", ", cells),
            joined("\nUNION ALL", branches),
            _MASK,
            _has_actor(parts),
            most,
        ),
    )


def _mask_type(selections: int) -> Statement:
    """The smallest type that has a bit for each selection."""
    widths = ((8, "UTINYINT"), (31, "INTEGER"))
    return Statement(next((text for bits, text in widths if selections <= bits), "BIGINT"))


def active_periods(
    branches: Sequence[Statement],
    parts: Sequence[KeyPart],
    runs: list[Run],
    first: int,
    words: int,
    word_bits: int,
) -> Statement:
    """For each actor the periods in which it has an event of any selection, as bits of so many words.

    ``runs`` are those of the periods, of which the first one has the number ``first``. What comes before it,
    if ``first`` is above 0, has the number 0. The branches are made by ``rows`` with ``timed``.
    """
    listed = joined(", ", map(_part, parts))
    index = sql("CAST({} AS INTEGER)", bucket_index(runs))
    if first:
        start = whole(runs[0].start_us)
        index = sql("(CASE WHEN {} < {} THEN 0 ELSE {} + {} END)", TIME_US, start, index, whole(first))
    acted = sql(
        "SELECT {}, {} AS {} FROM ({})\nWHERE {} <> 0 AND ({})",
        listed,
        _TIME,
        TIME_US,
        joined("\nUNION ALL", branches),
        _MASK,
        _has_actor(parts),
    )
    placed = sql("SELECT {}, {} AS {} FROM ({})", listed, index, _PERIOD, noted(Note.EVENTS, acted))
    bits = [_bits_of_word(number, words, word_bits) for number in range(words)]
    per_actor = sql(
        "SELECT {} FROM ({})\nGROUP BY {}",
        joined(", ", bits),
        noted(Note.INTERVALS, placed),
        listed,
    )
    return noted(Note.ACTIVE, per_actor)


def _bits_of_word(number: int, words: int, word_bits: int) -> Statement:
    if words == 1:
        return sql("bit_or(CAST(1 AS BIGINT) << {})", _PERIOD)
    low, high = whole(number * word_bits), whole((number + 1) * word_bits - 1)
    return sql(
        "bit_or(CASE WHEN {} BETWEEN {} AND {} THEN CAST(1 AS BIGINT) << ({} - {}) ELSE 0 END)",
        _PERIOD,
        low,
        high,
        _PERIOD,
        low,
    )


def _has_actor(parts: Sequence[KeyPart]) -> Statement:
    return joined(" OR ", (sql("{} IS NOT NULL", _part(part)) for part in parts))


def _part(part: KeyPart) -> Statement:
    return name(f"${part}")


def _value_part(at: int, part: KeyPart) -> Statement:
    return name(f"$value{at}.{part}")


def _cell(expressions: Mapping[KeyPart, Statement], part: KeyPart, called: Statement) -> Statement:
    """The part, or null where the scan has none."""
    nothing = Statement(f"CAST(NULL AS {PART_TYPES[part]})")
    return sql("{} AS {}", expressions.get(part, nothing), called)


@dataclass(frozen=True, slots=True)
class CountTest:
    """``least <= number <= most`` of the rows with a bit of the mask."""

    bit: int
    least: int
    most: int | None

    @property
    def statement(self) -> Statement:
        number = sql("count(*) FILTER (WHERE {} & {} <> 0)", _MASK, whole(1 << self.bit))
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
            _part(one),
        )
        for one in parts
    ]
    return sql(
        "SELECT {}, CAST({} AS BIGINT) AS {} FROM {}",
        joined(", ", cells),
        whole(1 << bit),
        _MASK,
        name(table),
    )


def cohort_actors(
    branches: Sequence[Statement],
    parts: Sequence[KeyPart],
    every: Sequence[CountTest],
    some: Sequence[CountTest],
    actors_max: int,
) -> Statement:
    """The actors that fulfil all of ``every`` and any of ``some``: their parts, at most ``actors_max`` + 1.

    The branches are made by ``rows`` and ``members``.
    """
    tests = [one.statement for one in every]
    if some:
        tests.append(sql("({})", joined(" OR ", [one.statement for one in some])))
    listed = joined(", ", map(_part, parts))
    per_actor = sql(
        "SELECT {} FROM ({})\nWHERE {} <> 0 AND ({}) GROUP BY {} HAVING {} LIMIT {}",
        listed,
        joined("\nUNION ALL", [sql("\n{}", branch) for branch in branches]),
        _MASK,
        _has_actor(parts),
        listed,
        joined(" AND ", tests),
        whole(actors_max + 1),
    )
    return noted(Note.COHORT, per_actor)
