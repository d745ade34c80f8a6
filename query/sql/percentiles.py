"""SQL of percentiles of very many values: of a sample first, then of the values near those of the sample."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from query.plan.columns import Column
from query.plan.scans import Scan
from query.sql.aggregates import numeric, rank
from query.sql.keys import unnested
from query.sql.statement import Note, Statement, bound, joined, name, noted, sql, whole

_VALUE = name("$value")


def of_sample(
    scans: Sequence[Scan], columns: Sequence[Column], fractions: Sequence[Decimal], rows_each: int
) -> Statement:
    """One row: the number of values in the first rows of each scan, and the list of these percentiles."""
    rows = [sql("(SELECT {} AS {}{}\nLIMIT {})", *_read(scan, columns), whole(rows_each)) for scan in scans]
    listed = joined(", ", map(bound, fractions))
    selected = sql("SELECT count({}), quantile_disc({}, [{}])", _VALUE, _VALUE, listed)
    return noted(Note.SAMPLE, sql("{}\nFROM ({})", selected, joined("\nUNION ALL\n", rows)))


def between(
    scan: Scan, columns: Sequence[Column], asked: Sequence[tuple[Decimal, tuple[float, float]]]
) -> Statement:
    """One row: each percentile, if it lies between two numbers; null where it does not."""
    count = sql("count({})", _VALUE)
    cells = []
    for fraction, (least, greatest) in asked:
        less = sql("count(*) FILTER (WHERE {} < {})", _VALUE, bound(least))
        near = sql(
            "list({}) FILTER (WHERE {} BETWEEN {} AND {})", _VALUE, _VALUE, bound(least), bound(greatest)
        )
        place = sql("CAST({} - {} AS BIGINT)", rank(count, fraction), less)
        cells.append(sql("(CASE WHEN {} > 0 THEN list_sort({})[{}] END)", place, near, place))
    rows = sql("SELECT {} AS {}{}", *_read(scan, columns))
    return noted(Note.NEAR, sql("SELECT {}\nFROM ({})", joined(", ", cells), rows))


def _read(scan: Scan, columns: Sequence[Column]) -> tuple[Statement, Statement, Statement]:
    """The value, its name and ``FROM …``."""
    return numeric(columns), _VALUE, unnested(scan, (), zoned=True)
