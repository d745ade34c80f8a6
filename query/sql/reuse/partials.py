"""SQL of partial answers: what some rows contribute to a metric query, and how contributions are merged.

Columns of a partial: the bucket's index if the query has any, parts of keys, states. Rows of different states
are apart: in each, the columns of the others are null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from query.plan.aggregates import Aggregate, AggregateRole
from query.plan.columns import Column, ColumnKind
from query.plan.keys import KeyPart
from query.plan.partials import Contribution, PartialsPlan, PartialState
from query.sql.aggregates import aggregate, finite, numeric, rank
from query.sql.intervals import bucket_index, bucketed, counts_us, runs_of
from query.sql.keys import PART_TYPES, key_parts, unnested
from query.sql.statement import TYPES, Note, Statement, col, joined, name, noted, sql, whole
from query.sql.statements import in_order

PARTIALS = "$partials"
BUCKET = "$bucket"
_ROW = "$row"


def contribution(part: Contribution) -> Statement:
    """The partial of some rows, with the columns that these have something for."""
    plain = [state for state in part.states if not state.is_spread]
    spread = [state for state in part.states if state.is_spread]
    selects = [_spread(part, state) for state in spread]
    if plain or not spread:
        selects.insert(0, _plain(part, plain))
    return joined("\nUNION ALL BY NAME", selects)


def with_all_columns(part: Contribution, plan: PartialsPlan) -> Statement:
    """As ``contribution``, with all columns of the query; values in order, which then compress well."""
    order = Statement("\nORDER BY ALL" if any(state.is_spread for state in part.states) else "")
    return sql("SELECT {}{}", _all_columns(part, plan), order)


def merged_partials(plan: PartialsPlan, held: Sequence[str]) -> Statement:
    """The partial of all rows together, from those in the table ``PARTIALS``, which has these columns."""
    columns = {name(one).text for one in held}
    heads = [] if plan.merged.buckets is None else [name(BUCKET)]
    heads += [name(_part_name(at, part)) for at, part in plan.parts]
    heads = [head for head in heads if head.text in columns]
    states = [state for state in plan.states if name(state.name).text in columns]
    plain = [state for state in states if not state.is_spread]
    selects = []
    wholly = joined(" AND ", (sql("{} IS NULL", name(one.name)) for one in states if one.is_spread))
    if plain or not states:
        cells = [sql("{} AS {}", _merge(one, one.aggregate), name(one.name)) for one in plain]
        where = sql(" WHERE {}", wholly) if wholly.text else Statement("")
        selects.append(_merged_rows(heads, cells or [sql("1 AS {}", name(_ROW))], where, len(heads)))
    for state in (one for one in states if one.is_spread):
        own = name(state.name)
        others = [sql("{} IS NULL", name(one.name)) for one in states if one is not state]
        where = sql(" WHERE {}", joined(" AND ", others)) if others else Statement("")
        cells = [own]
        if state.is_counted:
            count = name(_count_name(state))
            cells.append(sql("CAST(sum({}) AS BIGINT) AS {}", count, count))
        selects.append(_merged_rows(heads, cells, where, len(heads) + 1))
    return noted(Note.MERGED, joined("\nUNION ALL BY NAME", selects))


def _merged_rows(
    heads: Sequence[Statement], cells: Sequence[Statement], where: Statement, grouped: int
) -> Statement:
    positions = Statement(", ".join(str(at + 1) for at in range(grouped)))
    group = sql("\nGROUP BY {}", positions) if grouped else Statement("\nHAVING count(*) > 0")
    return sql("\nSELECT {} FROM {}{}{}", joined(", ", [*heads, *cells]), name(PARTIALS), where, group)


def merged(
    plan: PartialsPlan,
    tables: Mapping[str, Sequence[str]],
    rest: Contribution | None,
) -> Statement:
    """The rows of the query, from tables of partials, each with its columns, and rows not read yet."""
    listed = [(name(column), kind) for column, kind in layout(plan)]
    selects = [
        sql(
            "SELECT {} FROM {}",
            joined(", ", (_cell(column, kind, held) for column, kind in listed)),
            name(table),
        )
        for table, held in ((table, {name(one).text for one in columns}) for table, columns in tables.items())
    ]
    if rest is not None:
        selects.append(sql("SELECT {}", _all_columns(rest, plan)))
    if not selects:
        nothing = joined(", ", (_cell(column, kind, set()) for column, kind in listed))
        selects = [sql("SELECT {} WHERE FALSE", nothing)]
    source = noted(Note.PARTIALS, sql("FROM ({})", joined("\nUNION ALL\n", selects)))
    heads = [] if plan.merged.buckets is None else [name(BUCKET)]
    heads += [name(_part_name(at, part)) for at, part in plan.parts]
    source = _with_ranks(source, plan, heads)
    cells = [
        _merge(state, one)
        for states, metric in zip(plan.states_of, plan.merged.metrics, strict=True)
        for state, one in zip(states, metric.aggregates, strict=True)
    ]
    selected = joined(", ", [*heads, *cells] or [Statement("1")])
    if not plan.arranged:
        return noted(Note.RESULTS, sql("SELECT {}\n{}", selected, source))
    positions = Statement(", ".join(str(at + 1) for at in range(len(heads))))
    group = sql("\nGROUP BY {}", positions) if heads else Statement("\nHAVING count(*) > 0")
    grouped = noted(Note.GROUPS, sql("SELECT {}\n{}{}", selected, source, group))
    return sql("{}{}\nLIMIT {}", grouped, in_order(plan.merged), whole(plan.merged.row_limit))


def layout(plan: PartialsPlan) -> Iterator[tuple[str, str]]:
    """Names and types of all columns that a partial of the query may have."""
    if plan.merged.buckets is not None:
        yield BUCKET, "INTEGER"
    for at, part in plan.parts:
        yield _part_name(at, part), PART_TYPES[part]
    yield from _state_columns(plan.states)
    if not plan.states and plan.merged.buckets is None and not any(True for _ in plan.parts):
        yield _ROW, "INTEGER"


def _state_columns(states: Sequence[PartialState]) -> Iterator[tuple[str, str]]:
    for state in states:
        yield state.name, _type(state.aggregate)
        if state.is_counted:
            yield _count_name(state), "BIGINT"


def _type(one: Aggregate) -> str:
    match one.fold:
        case AggregateRole.ROWS | AggregateRole.PRESENT:
            return "BIGINT"
        case AggregateRole.EXPLICIT_NULL:
            return "BOOLEAN"
        case AggregateRole.QUANTILE | AggregateRole.SUM_COARSE:
            return "DOUBLE"
        case AggregateRole.SUM_FINE:
            return "HUGEINT"
        case AggregateRole.SUM if one.columns[0].kind is ColumnKind.INTEGER:
            return "HUGEINT"
    return TYPES[one.columns[0].kind]


def _all_columns(part: Contribution, plan: PartialsPlan) -> Statement:
    """``columns … FROM`` the partial of some rows, with all columns of the query."""
    held = {_part_name(at, one) for at, key in part.keys for one in key.parts}
    held |= {column for column, _ in _state_columns(part.states)}
    held_names = {name(one).text for one in held}
    cells = []
    for column, kind in layout(plan):
        if column == BUCKET:
            own = name(BUCKET) if part.buckets is not None else whole(0)
            cells.append(sql("CAST({} AS INTEGER) AS {}", own, name(BUCKET)))
        elif column == _ROW:
            cells.append(sql("1 AS {}", name(_ROW)))
        else:
            cells.append(_cell(name(column), kind, held_names))
    return sql("{} FROM ({})", joined(", ", cells), contribution(part))


def _cell(column: Statement, kind: str, held: set[str]) -> Statement:
    value = column if column.text in held else Statement("NULL")
    return sql("CAST({} AS {}) AS {}", value, Statement(kind), column)


def _plain(part: Contribution, states: Sequence[PartialState]) -> Statement:
    """One row for each bucket and group, or one of all rows, if there are any."""
    heads, source = _heads_and_source(part)
    cells = [sql("{} AS {}", aggregate(one.aggregate), name(one.name)) for one in states]
    selected = joined(", ", [*heads, *cells] or [Statement('1 AS "$row"')])
    positions = Statement(", ".join(str(at + 1) for at in range(len(heads))))
    group = sql("\nGROUP BY {}", positions) if heads else Statement("\nHAVING count(*) > 0")
    return sql("\nSELECT {}{}{}", selected, source, group)


def _spread(part: Contribution, state: PartialState) -> Statement:
    """One row for each bucket, group and distinct value."""
    heads, source = _heads_and_source(part)
    one = state.aggregate
    value = numeric(one.columns) if state.is_counted else col(one.columns[0])
    cells = [*heads, sql("{} AS {}", value, name(state.name))]
    positions = Statement(", ".join(str(at + 1) for at in range(len(cells))))
    if state.is_counted:
        cells.append(sql("count({}) AS {}", value, name(_count_name(state))))
    return sql("\nSELECT {}{}\nGROUP BY {}", joined(", ", cells), source, positions)


def _heads_and_source(part: Contribution) -> tuple[list[Statement], Statement]:
    heads: list[Statement] = []
    scan, keys = part.scan, [key for _, key in part.keys]
    runs = [] if part.buckets is None else runs_of(part.buckets.edges)
    if scan.in_us and not counts_us(runs):
        scan = replace(scan, in_us=False)
    source = unnested(scan, keys)
    if part.buckets is not None:
        heads.append(sql("CAST({} AS INTEGER) AS {}", bucket_index(runs), name(BUCKET)))
        source = bucketed(source, part.buckets, runs)
    for number, (at, key) in enumerate(part.keys):
        parts = zip(key.parts, key_parts(key, number), strict=True)
        heads += [sql("{} AS {}", cell, name(_part_name(at, one))) for one, cell in parts]
    return heads, source


def _part_name(at: int, part: KeyPart) -> str:
    return f"${at}.{part.value}"


def _count_name(state: PartialState) -> str:
    return f"{state.name}.n"


def _total_name(state: PartialState) -> str:
    return f"{state.name}.total"


def _upto_name(state: PartialState) -> str:
    return f"{state.name}.upto"


def _with_ranks(source: Statement, plan: PartialsPlan, heads: Sequence[Statement]) -> Statement:
    """The rows, with how many values the group has and how many of them are no greater than a row's."""
    cells = []
    by = sql("PARTITION BY {}", joined(", ", heads)) if heads else Statement("")
    for state in plan.states:
        if state.is_counted:
            value, count = name(state.name), name(_count_name(state))
            cells.append(
                sql("sum({}) OVER ({} ORDER BY {}) AS {}", count, by, value, name(_upto_name(state)))
            )
            cells.append(sql("sum({}) OVER ({}) AS {}", count, by, name(_total_name(state))))
    if not cells:
        return source
    return noted(Note.RANKS, sql("FROM (SELECT *, {} {})", joined(", ", cells), source))


def _merge(state: PartialState, wanted: Aggregate) -> Statement:
    """The expression of one aggregate of the query, from the rows of partials."""
    cell = name(state.name)
    column = Column(state.name, wanted.columns[0].kind) if wanted.columns else None
    match wanted.fold:
        case AggregateRole.ROWS | AggregateRole.PRESENT:
            return sql("CAST(coalesce(sum({}), 0) AS BIGINT)", cell)
        case AggregateRole.SUM if column is None or column.kind is not ColumnKind.LONG:
            return sql("coalesce(sum({}), 0)", cell)
        case AggregateRole.SUM_COARSE | AggregateRole.SUM_FINE:
            return sql("sum({})", cell)
        case AggregateRole.EXPLICIT_NULL:
            return sql("bool_or({})", cell)
        case AggregateRole.QUANTILE:
            return _quantile(state, wanted)
    assert column is not None
    return aggregate(replace(wanted, columns=(column,)))


def _quantile(state: PartialState, wanted: Aggregate) -> Statement:
    """The least value that so many values, counted with how often each occurs, do not exceed."""
    at = rank(name(_total_name(state)), Decimal(wanted.fraction or 0))
    least = sql("min({}) FILTER (WHERE {} >= {})", name(state.name), name(_upto_name(state)), at)
    return finite(least)
