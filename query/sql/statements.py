"""The SQL statements of queries. Only the modules of this room write their SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from query.language.nodes import Order
from query.plan.aggregates import MetricPlan
from query.plan.columns import CREATED_AT_COLUMN, ID_COLUMN, TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.exact_sums import EXACT_DOUBLES, error_factors
from query.plan.plan import MetricsPlan
from query.plan.predicates import Predicate
from query.plan.scans import Scan
from query.sql.aggregates import aggregate, aggregates_of, numeric, rank
from query.sql.conditions import condition
from query.sql.intervals import bucket_index, bucketed, counts_us, runs_of, whole_index
from query.sql.keys import key_parts, unnested
from query.sql.reading import filtered
from query.sql.statement import TYPES, Note, Statement, bound, col, joined, name, noted, sql, whole

_VALUE = name("$value")


def extents(paths: Sequence[str], column: Column) -> Statement:
    """The extents of a number column.

    Columns, for each file: path, minimum, maximum, least non-zero magnitude, whether all values are integral.
    """
    value = col(column)
    rows = sql(
        'SELECT "$path", min({}), max({}), min(CASE WHEN {} <> 0 THEN abs({}) END), bool_and({} = trunc({}))'
        " FROM read_parquet({}, hive_partitioning=false, filename='$path') GROUP BY 1",
        value,
        value,
        value,
        value,
        value,
        value,
        bound(list(paths)),
    )
    return noted(Note.EXTENTS, rows)


def metrics(plan: MetricsPlan) -> Statement:
    """The rows of a metric query. Columns: the bucket's index if any, parts of each key, aggregates."""
    if not (plan.buckets or plan.keys):
        return _grouped(plan)
    return sql("{}{}\nLIMIT {}", _grouped(plan), in_order(plan), whole(plan.row_limit))


def indexed(plan: MetricsPlan, indexes: int) -> Statement:
    """As ``metrics``, ordered by the values of the first ``indexes`` keys, then by bucket."""
    parts = sum(len(key.parts) for key in plan.keys[:indexes])
    order = Statement(", ".join(str(position) for position in (*range(2, parts + 2), 1)))
    return sql("{}\nORDER BY {} LIMIT {}", _grouped(plan), order, whole(plan.row_limit))


def _grouped(plan: MetricsPlan) -> Statement:
    parts = [part for position, key in enumerate(plan.keys) for part in key_parts(key, position)]
    heads = list(parts)
    runs = [] if plan.buckets is None else runs_of(plan.buckets.edges)
    if plan.buckets is not None:
        heads.insert(0, whole_index(bucket_index(runs), plan.buckets, alone=not parts))
    aggregates = aggregates_of(plan.metrics)
    scan = plan.scan
    if scan.in_us and not counts_us(runs):
        scan = replace(scan, in_us=False)
    source = unnested(scan, plan.keys, zoned=not (plan.buckets or plan.keys))
    if plan.buckets is not None:
        source = bucketed(source, plan.buckets, runs)
    select_list = joined(", ", [*heads, *aggregates] or [Statement("1")])
    if not (plan.buckets or plan.keys):
        return noted(Note.RESULTS, sql("SELECT {}{}", select_list, source))
    grouped = Statement(", ".join(str(position) for position in range(1, len(heads) + 1)))
    group = sql("\nGROUP BY {}", grouped) if heads else Statement("\nHAVING count(*) > 0")
    return noted(Note.GROUPS, sql("SELECT {}{}{}", select_list, source, group))


def in_order(plan: MetricsPlan) -> Statement:
    """``ORDER BY`` of the rows of a metric query; empty where it has no order."""
    if plan.order is None:
        return Statement("")
    position = 2 if plan.buckets is not None else 1
    positions: dict[str, list[int]] = {}
    for key in plan.keys:
        positions[key.path] = list(range(position, position + len(key.parts)))
        position += len(key.parts)
    terms: list[str] = []
    results: dict[str, Statement] = {}
    for metric in plan.metrics:
        positions[_label(metric)] = [position]
        position += len(metric.aggregates)
        if metric.in_two_parts:
            total, certain = _two_parts(metric)
            results[_label(metric)] = total
            if any(order.by == _label(metric) for order in plan.order):
                terms.append(certain.text)
    for order in plan.order:
        if order.by in results:
            terms.append(f"{results[order.by].text} {_direction(order)} NULLS LAST")
        else:
            terms.extend(_order_terms(order, positions[order.by]))
    return noted(Note.ORDER, Statement("ORDER BY " + ", ".join(terms))) if terms else Statement("")


def _two_parts(metric: MetricPlan) -> tuple[Statement, Statement]:
    """The total of a sum's two parts, and whether its rounding is certain.

    Rows are ordered by certainty first, uncertain ones before all others.
    """
    high, low, present = map(aggregate, metric.aggregates)
    of_rows, of_low = (Statement(repr(factor)) for factor in error_factors(metric.aggregates[0].split))
    exact = Statement(f"CAST({metric.aggregates[0].exact_rows!r} AS DOUBLE)")
    error = sql(
        "(CASE WHEN {} <= {} THEN 0.0 ELSE CAST({} AS DOUBLE) * {} * {} + abs({}) * {} END)",
        present,
        exact,
        present,
        present,
        of_rows,
        low,
        of_low,
    )
    limit = Statement(repr(EXACT_DOUBLES))
    certain = sql(
        "({} + ({} - {}) = {} + ({} + {}) AND abs({} + {}) < {})",
        high,
        low,
        error,
        high,
        low,
        error,
        high,
        low,
        limit,
    )
    return sql("coalesce({} + {}, 0)", high, low), sql("coalesce({}, TRUE)", certain)


def _label(metric: MetricPlan) -> str:
    return metric.metric.label or "result"


def _order_terms(order: Order, positions: list[int]) -> Iterator[str]:
    """The ORDER BY terms of a key's parts, in reverse if descending; null is last either way."""
    for position in reversed(positions) if order.descending else positions:
        yield f"{position} {_direction(order)} NULLS LAST"


def _direction(order: Order) -> str:
    return "DESC" if order.descending else "ASC"


def values(scan: Scan, column: Column) -> Statement:
    """One column of every row."""
    return noted(Note.VALUES, sql("SELECT {}{}", col(column), filtered(scan)))


def kept(scan: Scan, conditions: Sequence[Predicate]) -> Statement:
    """One row: the number of rows, and of those that each condition keeps."""
    counts = [sql("count(*) FILTER (WHERE {})", condition(one)) for one in conditions]
    return noted(
        Note.KEPT, sql("SELECT {}{}", joined(", ", [Statement("count(*)"), *counts]), filtered(scan))
    )


def compared(scan: Scan, keeps: Predicate, columns: Sequence[Column]) -> Statement:
    """Each row: its id, times in µs, whether the condition keeps it, and a digest of the columns."""
    digest = sql("hash({})", joined(", ", map(col, columns))) if columns else Statement("CAST(0 AS UBIGINT)")
    return noted(
        Note.COMPARED,
        sql(
            "SELECT {} AS id, epoch_us({}) AS at_us, epoch_us({}) AS received_us,"
            " coalesce({}, FALSE) AS meant, {} AS digest{}",
            col(ID_COLUMN),
            col(TIMESTAMP_COLUMN),
            col(CREATED_AT_COLUMN),
            condition(keeps),
            digest,
            filtered(scan),
        ),
    )


def presence(scan: Scan, columns: Sequence[Column]) -> Statement:
    """One row: the number of rows, and for each column the number of rows with a value."""
    counts = [sql("count({})", col(column)) for column in columns]
    listed = joined(", ", [Statement("count(*)"), *counts])
    return noted(Note.PRESENT, sql("SELECT {}{}", listed, filtered(scan)))


def texts_listed(scan: Scan, column: Column) -> Statement:
    """The distinct texts in the column's lists."""
    return noted(Note.NULLS, sql("SELECT DISTINCT unnest({}){}", col(column), filtered(scan)))


def extraction(
    scan: Scan, columns: Sequence[Column], limit: int, by: Sequence[Column] = (TIMESTAMP_COLUMN,)
) -> Statement:
    """Events, newest first, by the time in ``by``.

    Columns: size of the texts in bytes, then ``columns``, instants as text.
    """
    texts = [col(column) for column in columns if TYPES[column.kind] == "VARCHAR"]
    size = sql("strlen(concat({}))", joined(", ", texts)) if texts else whole(0)
    select_list = [
        size,
        *(_as_text(column) if column.kind is ColumnKind.INSTANT else col(column) for column in columns),
    ]
    newest = sql(
        "SELECT {}{}\nORDER BY {} LIMIT {}",
        joined(", ", select_list),
        filtered(scan, zoned=True),
        joined(", ", (sql("{} DESC", col(column)) for column in by)),
        whole(limit),
    )
    return noted(Note.NEWEST, newest)


def _as_text(column: Column) -> Statement:
    """An instant as text with six fractional digits and no zone: ``2026-01-01T00:00:00.000000``."""
    return sql("strftime(make_timestamp(epoch_us({})), '%Y-%m-%dT%H:%M:%S.%f')", col(column))


def newest_times(scan: Scan, limit: int) -> Statement:
    """The ``limit`` newest event times, newest first, in µs."""
    time = col(TIMESTAMP_COLUMN)
    source = filtered(scan, zoned=True)
    times = sql("SELECT epoch_us({}){}\nORDER BY {} DESC LIMIT {}", time, source, time, whole(limit))
    return noted(Note.TIMES, times)


def cuts(scan: Scan, size: int, limit: int) -> Statement:
    """The slices of an extraction: (earliest time in µs, rows) of each ``size`` rows, newest first.

    Only the ``limit`` newest rows are included.
    """
    time = col(TIMESTAMP_COLUMN)
    numbered = sql(
        'SELECT epoch_us({}) AS "$us", row_number() OVER (ORDER BY {} DESC) AS "$n"{}',
        time,
        time,
        filtered(scan),
    )
    slices = sql(
        'SELECT min("$us"), count(*) FROM ({}) WHERE "$n" <= {} GROUP BY ("$n" - 1) // {} ORDER BY 1 DESC',
        numbered,
        whole(limit),
        whole(size),
    )
    return noted(Note.SLICES, slices)


def percentiles_of_sample(
    scans: Sequence[Scan], columns: Sequence[Column], fractions: Sequence[Decimal], rows_each: int
) -> Statement:
    """One row: the number of values in the first rows of each scan, and the list of these percentiles."""
    rows = [
        sql("(SELECT {} AS {}{}\nLIMIT {})", *_value_of(scan, columns), whole(rows_each)) for scan in scans
    ]
    listed = joined(", ", map(bound, fractions))
    selected = sql("SELECT count({}), quantile_disc({}, [{}])", _VALUE, _VALUE, listed)
    return noted(Note.SAMPLE, sql("{}\nFROM ({})", selected, joined("\nUNION ALL\n", rows)))


def percentiles_between(
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
    rows = sql("SELECT {} AS {}{}", *_value_of(scan, columns))
    return noted(Note.NEAR, sql("SELECT {}\nFROM ({})", joined(", ", cells), rows))


def _value_of(scan: Scan, columns: Sequence[Column]) -> tuple[Statement, Statement, Statement]:
    """The value, its name and ``FROM …``."""
    return numeric(columns), _VALUE, unnested(scan, (), zoned=True)


def regex_check(pattern: str) -> Statement:
    return sql("SELECT regexp_matches('', {})", bound(pattern))
