"""The SQL of profiles: facts of columns, frequencies of values, dates in texts, events of each period."""

from __future__ import annotations

from collections.abc import Sequence

from query.plan.columns import TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.profile import DATE_TEXT_MAX, Fact, GroupedColumn, PropertyPlan, facts_of
from query.plan.scans import Scan
from query.sql.aggregates import aggregate
from query.sql.reading import filtered, parsed_instant
from query.sql.statement import Note, Statement, bound, col, joined, name, noted, sql, whole

SHOWN_CHARACTERS = 256
"""Characters of a frequent text that are read, and one more where it has more."""

_COUNT, _LANE = name("$n"), name("$lane")


def totals(scan: Scan, properties: Sequence[PropertyPlan]) -> Statement:
    """One row: events, first and last time in µs; then of each property facts of its columns, and numbers."""
    time = col(TIMESTAMP_COLUMN)
    cells = [Statement("count(*)"), sql("epoch_us(min({}))", time), sql("epoch_us(max({}))", time)]
    for one in properties:
        cells += [_fact(fact, col(column)) for column in one.columns for fact in facts_of(column)]
        cells += [aggregate(part) for metric in one.numbers for part in metric.aggregates]
    return noted(Note.TOTALS, sql("SELECT {}{}", joined(", ", cells), filtered(scan)))


def _fact(fact: Fact, column: Statement) -> Statement:
    match fact:
        case Fact.PRESENT:
            return sql("count({})", column)
        case Fact.DISTINCT:
            return sql("approx_count_distinct({})", column)
        case Fact.SHORTEST:
            return sql("min(length({}))", column)
        case Fact.LONGEST:
            return sql("max(length({}))", column)
        case Fact.LENGTHS:
            return sql("CAST(sum(length({})) AS BIGINT)", column)
        case Fact.LEAST:
            return sql("left(min({}), {})", column, whole(DATE_TEXT_MAX + 1))
        case Fact.GREATEST:
            return sql("left(max({}), {})", column, whole(DATE_TEXT_MAX + 1))
        case Fact.FIRST:
            return sql("epoch_us(min({}))", column)
        case Fact.LAST:
            return sql("epoch_us(max({}))", column)


def frequent(scan: Scan, columns: Sequence[Column], count: int) -> Statement:
    """One row: of each column a list of about ``count`` values that may be its most frequent ones."""
    lists = [sql("approx_top_k({}, {})", _value(column), whole(count)) for column in columns]
    return noted(Note.FREQUENT, sql("SELECT {}{}", joined(", ", lists), filtered(scan)))


def frequencies(scan: Scan, columns: Sequence[GroupedColumn], top: int) -> Statement:
    """The ``top`` most frequent values of each column, the most frequent one first.

    Rows: the column's position, how often the value occurs, the number of the column's distinct values, and
    the value in one of further cells, one for each column.
    """
    names = [name(f"${position}") for position in range(len(columns))]
    keys = joined(", ", (sql("{} AS {}", _key(one), key) for one, key in zip(columns, names, strict=True)))
    sets = joined(", ", (sql("({})", key) for key in names))
    counted = sql(
        "SELECT {}, count(*) AS {} FROM (SELECT {}{})\nGROUP BY GROUPING SETS ({})",
        joined(", ", names),
        _COUNT,
        keys,
        filtered(scan),
        sets,
    )
    cases = [sql("WHEN {} IS NOT NULL THEN {}", key, whole(position)) for position, key in enumerate(names)]
    # The rows of a set have a value in its own column alone; those without one are events that lack it.
    placed = sql("SELECT *, CASE {} END AS {} FROM ({})", joined(" ", cases), _LANE, counted)
    cells = [_shown(one.column, key) for one, key in zip(columns, names, strict=True)]
    ranked = sql(
        "SELECT {}, {}, count(*) OVER (PARTITION BY {}), {}\nFROM ({}) WHERE {} IS NOT NULL"
        "\nQUALIFY row_number() OVER (PARTITION BY {} ORDER BY {} DESC, {}) <= {}",
        _LANE,
        _COUNT,
        _LANE,
        joined(", ", cells),
        placed,
        _LANE,
        _LANE,
        _COUNT,
        joined(", ", names),
        whole(max(1, top)),
    )
    return noted(Note.FREQUENCIES, ranked)


def _key(one: GroupedColumn) -> Statement:
    value = _value(one.column)
    if one.among is None:
        return value
    listed = joined(", ", (bound(value) for value in one.among))
    return sql("CASE WHEN {} IN ({}) THEN {} END", value, listed, value)


def _value(column: Column) -> Statement:
    """The column's value; instants in µs."""
    return sql("epoch_us({})", col(column)) if column.kind is ColumnKind.INSTANT else col(column)


def _shown(column: Column, key: Statement) -> Statement:
    return sql("left({}, {})", key, whole(SHOWN_CHARACTERS + 1)) if column.kind is ColumnKind.STRING else key


def dates(scan: Scan, columns: Sequence[Column]) -> Statement:
    """One row: of each column how many texts are dates, and the earliest and the latest, in µs."""
    names = [name(f"${position}") for position in range(len(columns))]
    read = [
        sql("{} AS {}", parsed_instant(col(column)), key) for column, key in zip(columns, names, strict=True)
    ]
    cells = [sql("count({}), min({}), max({})", key, key, key) for key in names]
    rows = sql("SELECT {} FROM (SELECT {}{})", joined(", ", cells), joined(", ", read), filtered(scan))
    return noted(Note.DATES, rows)


def nulls(scan: Scan, column: Column) -> Statement:
    """How many events hold each path in the column's lists."""
    rows = sql("SELECT unnest({}) AS {}{}", col(column), _LANE, filtered(scan))
    return noted(Note.NULLS, sql("SELECT {}, count(*) FROM ({}) GROUP BY 1", _LANE, rows))


def periods(scan: Scan, unit: str) -> Statement:
    """The start of each ``day``, ``month`` or ``year`` that has events, in µs, and how many it has."""
    start = sql("date_trunc({}, {})", bound(unit), col(TIMESTAMP_COLUMN))
    rows = sql("SELECT epoch_us({}), count(*){}\nGROUP BY 1 ORDER BY 1", start, filtered(scan))
    return noted(Note.PERIODS, rows)
