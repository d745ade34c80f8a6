"""SQL for the rows of a scan: files and the tail as one source, restricted to span and predicate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from query.language.nodes import Span
from query.plan import predicates as p
from query.plan.actors import ActorColumn
from query.plan.columns import TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.keys import KeyPart
from query.plan.scans import FileSet, Scan
from query.plan.sessions import ACTOR, TIME, SessionColumn, SessionJoin, split_by_sessions
from query.sql.conditions import compare, condition
from query.sql.links import linked_cells
from query.sql.lists import ELEMENT_NUMBER, ELEMENT_REST, ELEMENT_STRING
from query.sql.statement import (
    TIME_US,
    TYPES,
    Note,
    Statement,
    bound,
    col,
    instant,
    joined,
    marked_instant,
    name,
    noted,
    read,
    sql,
)
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US


def rows_of(scan: Scan) -> Statement:
    """``(SELECT columns …)``: the scan's rows within its span, before the predicate."""
    selects = [noted(Note.FILES, _read_files(piece, scan)) for piece in scan.pieces]
    if scan.tail is not None:
        source = name(scan.tail)
        selects.append(noted(Note.TAIL, _select(scan, scan.tail_held, source, timed=True)))
    if not selects:
        nothing = Statement("(SELECT 1 WHERE FALSE)")
        selects = [noted(Note.NOWHERE, _select(scan, frozenset(), nothing, timed=False))]
    return sql("({})", joined("\nUNION ALL", selects))


def filtered(scan: Scan, *, zoned: bool = False) -> Statement:
    """``FROM … WHERE …`` of the scan.

    ``zoned``: instants may keep the zone that they have in files, which saves converting each of them.
    """
    if scan.sessions:
        return _with_sessions(scan)
    actors = [actor for actor in scan.actors if actor.kind is not ColumnKind.JSON]
    if actors:
        return sql("\nFROM ({})", noted(Note.ACTOR, _with_actors(replace(scan, actors=()), actors)))
    direct = _direct(scan, zoned)
    if direct is not None:
        source, tests = direct
        where = sql(" WHERE {}", joined(" AND ", tests)) if tests else Statement("")
        rows = noted(Note.TIMEFRAME, sql("FROM {}{}", source, where))
    else:
        tests = []
        rows = noted(Note.TIMEFRAME, sql("FROM {}", _with_readings(rows_of(scan), scan.readings)))
    if scan.rest == p.TRUE:
        return rows
    kept = sql("AND {}" if tests else "WHERE {}", condition(scan.rest))
    return sql("{}{}", rows, noted(Note.FILTERS, kept))


def _with_sessions(scan: Scan) -> Statement:
    """``FROM … WHERE …`` of the scan with the sessions of its rows, of those rows that are kept without."""
    plain, needing = split_by_sessions(scan.rest)
    of_texts = [one for one in scan.readings if isinstance(one[1], SessionColumn)]
    own = tuple(one for one in scan.readings if one not in of_texts)
    rows = filtered(replace(scan, sessions=(), rest=plain, in_us=True, readings=own))
    joins = {column.join.name: column.join for column in scan.sessions}
    cells = joined(", ", map(col, scan.sessions))
    tables = joined("", (_session_of(join) for join in joins.values()))
    rows = noted(Note.SESSION, sql('SELECT "$row".*, {} FROM (SELECT *{}) AS "$row"{}', cells, rows, tables))
    source = noted(Note.TIMEFRAME, sql("FROM {}", _with_readings(sql("({})", rows), of_texts)))
    if needing == p.TRUE:
        return source
    return sql("{}{}", source, noted(Note.FILTERS, sql("WHERE {}", condition(needing))))


def _session_of(join: SessionJoin) -> Statement:
    """Joins the session of each actor's times. Where an actor lacks a part, both sides are null."""
    table = name(join.name)
    same = [
        sql(
            "{} IS NOT DISTINCT FROM {}.{}",
            cell_of(join.actor.columns, part),
            table,
            name(f"{ACTOR}.{part}"),
        )
        for part in join.actor.parts
    ]
    time = TIME_US
    if join.member != p.TRUE:
        time = sql("(CASE WHEN {} THEN {} END)", condition(join.member), TIME_US)
    return sql(
        "\nLEFT JOIN {} ON {}", table, joined(" AND ", [*same, sql("{} = {}.{}", time, table, name(TIME))])
    )


_PART_KINDS = {
    KeyPart.NUMBER: (ColumnKind.NUMBER,),
    KeyPart.BIG: (ColumnKind.LONG, ColumnKind.INTEGER),
    KeyPart.STRING: (ColumnKind.STRING,),
    KeyPart.BOOLEAN: (ColumnKind.BOOLEAN,),
    KeyPart.INSTANT: (ColumnKind.INSTANT,),
}


def cell_of(columns: Iterable[Column], part: KeyPart, *more: Statement) -> Statement:
    """The part of a value in these columns, or the first that is not null of what is given in addition."""
    listed = list(columns)
    sources = [
        sql("CAST({} AS VARCHAR)", col(column)) if column.kind is ColumnKind.INTEGER else col(column)
        for kind in _PART_KINDS[part]
        for column in listed
        if column.kind is kind
    ]
    sources += more
    return sources[0] if len(sources) == 1 else sql("coalesce({})", joined(", ", sources))


def _direct(scan: Scan, zoned: bool) -> tuple[Statement, list[Statement]] | None:
    """The source and the tests of row times, if columns can be read unchanged from a single place; else None.

    The engine plans a statement without a subquery faster.
    """
    if scan.readings or scan.in_us or len(scan.pieces) + (scan.tail is not None) != 1:
        return None
    held = scan.pieces[0].held if scan.pieces else scan.tail_held
    marked = bool(scan.pieces) and scan.pieces[0].marked
    if any(column.name not in held for column in scan.columns):
        return None
    if marked and _has_instant(p.columns_of(scan.rest) if zoned else scan.columns):
        return None
    if scan.tail is not None:
        return name(scan.tail), _tests(scan, timed=True)
    piece = scan.pieces[0]
    return files_of(piece), _tests(scan, timed=piece.timed, marked=marked)


def _has_instant(columns: Iterable[Column]) -> bool:
    return any(column.kind is ColumnKind.INSTANT for column in columns)


def _with_readings(rows: Statement, readings: Sequence[tuple[p.Reading, Column]]) -> Statement:
    """The rows with additional columns for the values that conditions parse from text.

    The expressions depend on ``random()``, so that the engine does not move them into the conditions, where
    they would be evaluated once for each condition.
    """
    if not readings:
        return rows
    expressions = (
        sql("(CASE WHEN random() < 2 THEN {} END) AS {}", _reading(what, col(column)), read(what, column))
        for what, column in readings
    )
    return sql("({})", noted(Note.TEXTS, sql("SELECT *, {} FROM {}", joined(", ", expressions), rows)))


def _with_actors(scan: Scan, actors: Sequence[ActorColumn]) -> Statement:
    """The scan's rows with the id of each actor, which the links give."""
    rows = sql("SELECT *{}", filtered(scan))
    for bases in dict.fromkeys(actor.bases for actor in actors):
        own = [actor for actor in actors if actor.bases == bases]
        string, number = (
            None if column is None else col(column)
            for column in (own[0].base(kind) for kind in (ColumnKind.STRING, ColumnKind.NUMBER))
        )
        cells = linked_cells(own[0].links, string, number)
        made = (
            sql("{} AS {}", cells.string if actor.kind is ColumnKind.STRING else cells.number, col(actor))
            for actor in own
        )
        rows = sql('SELECT "$row".*, {} FROM ({}) AS "$row"\n{}', joined(", ", made), rows, cells.joins)
    return rows


def _reading(what: p.Reading, text: Statement) -> Statement:
    match what:
        case p.Reading.INSTANT:
            return parsed_instant(text)
        case p.Reading.LONGITUDE:
            return _coordinate(text, 0)
        case p.Reading.LATITUDE:
            return _coordinate(text, 1)
        case p.Reading.NUMBERS:
            element = ELEMENT_NUMBER
        case p.Reading.STRINGS:
            element = ELEMENT_STRING
        case p.Reading.REST:
            element = ELEMENT_REST
    return sql("list_transform(json_extract({}, '$[*]'), lambda e: {})", text, element)


def parsed_instant(column: Statement) -> Statement:
    """The instant in µs of text that ``storage.instants`` accepts, otherwise null; never an error."""
    clock = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
    zone = "([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
    grammar = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([Tt ]{clock}{zone}?)?"
    text = column.text
    us = f"epoch_us(TRY_CAST(translate({text}, 't,z', 'T.Z') AS TIMESTAMPTZ))"
    return Statement(
        f"(CASE WHEN length({text}) BETWEEN 10 AND 64 AND regexp_full_match({text}, '{grammar}')"
        f" THEN (CASE WHEN {us} BETWEEN {MIN_INSTANT_US} AND {MAX_INSTANT_US} THEN {us} END) END)"
    )


def _coordinate(column: Statement, position: int) -> Statement:
    element = sql("json_extract({}, {})", column, Statement(f"'$[{position}]'"))
    return sql(
        "(CASE WHEN json_type({}) IN ('UBIGINT', 'BIGINT', 'DOUBLE')"
        " AND isfinite(TRY_CAST({} AS DOUBLE)) THEN TRY_CAST({} AS DOUBLE) END)",
        element,
        element,
        element,
    )


def _read_files(piece: FileSet, scan: Scan) -> Statement:
    return _select(scan, piece.held, files_of(piece), piece.timed, marked=piece.marked)


def files_of(piece: FileSet) -> Statement:
    by_name = Statement(", union_by_name=true" if piece.by_name else "")
    return sql("read_parquet({}, hive_partitioning=false{})", bound(list(piece.paths)), by_name)


def _tests(scan: Scan, *, timed: bool, marked: bool = False) -> list[Statement]:
    """Tests of row times, in the form stored in the file, so that the engine can skip parts of the file."""
    tests = list(_in_span(scan.span, marked=marked)) if timed else []
    return tests + [compare(time, marked=marked) for time in scan.times]


def _select(
    scan: Scan, present: frozenset[str], source: Statement, timed: bool, *, marked: bool = False
) -> Statement:
    """Selects the scan's columns from one source.

    ``marked``: the source's instants have a zone, UTC, which is removed for consistency with other sources.
    """
    columns = [
        sql("make_timestamp(epoch_us({})) AS {}", col(column), col(column))
        if marked and column.kind is ColumnKind.INSTANT and column.name in present
        else col(column)
        if column.name in present
        else sql("CAST(NULL AS {}) AS {}", Statement(TYPES[column.kind]), col(column))
        for column in scan.columns
    ]
    if scan.in_us:
        columns.append(sql("epoch_us({}) AS {}", col(TIMESTAMP_COLUMN), TIME_US))
    listed = joined(", ", columns or [Statement('1 AS "$row"')])
    tests = _tests(scan, timed=timed, marked=marked)
    where = sql(" WHERE {}", joined(" AND ", tests)) if tests else Statement("")
    return sql("SELECT {} FROM {}{}", listed, source, where)


def _in_span(span: Span, *, marked: bool = False) -> Iterator[Statement]:
    time = col(TIMESTAMP_COLUMN)
    at = marked_instant if marked else instant
    if span.start_us is not None:
        yield sql("{} >= {}", time, at(span.start_us))
    if span.end_us is not None:
        yield sql("{} < {}", time, at(span.end_us))


def in_span(span: Span) -> Statement:
    """A test of a row's time, for a step whose span is narrower than its scan's."""
    return joined(" AND ", list(_in_span(span)) or [Statement("TRUE")])
