"""The only module that writes the SQL of questions. Text and its bound values travel as one frozen
``Statement``.

What a client sent is bound; names come from the catalog and are quoted; numbers written into the text
(bucket edges, positions) were made by this server. Names of our own begin with ``$``, which no property
name may.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeGuard, TypeVar

from query.language.nodes import Buckets, Circle, Order, Range, Span
from query.plan import predicates as p
from query.plan.columns import TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.exact_sums import EXACT_DOUBLES, Band, error_factors, powers
from query.plan.plan import Aggregate, Fold, Key, MetricPlan, MetricsPlan, Part, Piece, Scan
from query.plan.predicates import Predicate
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US

_TYPES = {
    ColumnKind.NUMBER: "DOUBLE",
    ColumnKind.INTEGER: "BIGINT",
    ColumnKind.LONG: "VARCHAR",
    ColumnKind.STRING: "VARCHAR",
    ColumnKind.BOOLEAN: "BOOLEAN",
    ColumnKind.JSON: "VARCHAR",
    ColumnKind.INSTANT: "TIMESTAMP",
    ColumnKind.PATHS: "VARCHAR[]",
}
N = TypeVar("N", int, float)
_RANGES_INLINE_MAX = 16
"""More ranges than this are searched in a list."""
_RUNS_MAX = 64
"""With more runs of equal buckets than this, a join with the edges is faster."""
_DAY_US = 86_400_000_000
_EARTH_RADIUS_MILES = 3958.7613
DOUBLE_BITS = 53
DOUBLE_EXPONENT_END = 1024
DOUBLE_DIGITS = 15
"""A double holds every integer of so many."""
DOUBLE_TENS_MAX = 22
"""Doubles hold powers of ten up to this one."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text and the values of its ``?`` in order. Also a part of one."""

    text: str
    values: tuple[Any, ...] = ()


def sql(template: str, *parts: Statement) -> Statement:
    """The template with each ``{}`` replaced by the next part, values kept in step."""
    values = tuple(value for part in parts for value in part.values)
    return Statement(template.format(*(part.text for part in parts)), values)


def joined(separator: str, parts: Iterable[Statement]) -> Statement:
    listed = list(parts)
    text = separator.join(part.text for part in listed)
    return Statement(text, tuple(value for part in listed for value in part.values))


def bound(value: Any) -> Statement:
    """A value that is never part of the text."""
    return Statement("?", (value,))


def name(identifier: str) -> Statement:
    """A quoted identifier."""
    return Statement('"' + identifier.replace('"', '""') + '"')


def whole(number: int) -> Statement:
    """An integer of the server's own."""
    return Statement(str(int(number)))


def col(column: Column) -> Statement:
    return name(column.name)


_BYTE_MAX = 255
_TIME_US = Statement('"$us"')
"""A row's time in µs, an integer."""


# --- predicates -----------------------------------------------------------------------------------------


def condition(predicate: Predicate) -> Statement:
    """The predicate as a boolean expression; null counts as false."""
    match predicate:
        case p.Always(value=value):
            return Statement("TRUE" if value else "FALSE")
        case p.AllOf(operands=operands):
            return sql("({})", joined(" AND ", map(condition, operands)))
        case p.SomeOf(operands=operands):
            return sql("({})", joined(" OR ", map(condition, operands)))
        case p.Not(operand=operand):
            return sql("(({}) IS NOT TRUE)", condition(operand))
        case p.Present(column=column):
            return sql("{} IS NOT NULL", col(column))
        case p.Compare():
            return _compare(predicate)
        case p.CompareAsInstant():
            return _compare_as_instant(predicate)
        case p.OneOf():
            return _one_of(predicate)
        case p.ContainsText(column=column, text=text):
            return sql("contains({}, {})", col(column), bound(text))
        case p.Matches(column=column, pattern=pattern):
            return sql("regexp_matches({}, {})", col(column), bound(pattern))
        case p.HasElement():
            return _has_element(predicate)
        case p.SameList():
            return _same_list(predicate)
        case p.Lists():
            return _lists(predicate)
        case p.Near(column=column, circle=circle):
            return _near(column, circle)


def _operand(value: p.Scalar | p.Instant, *, marked: bool = False) -> Statement:
    if isinstance(value, p.Instant):
        return _marked_instant(value.us) if marked else _instant(value.us)
    return bound(value)


def _instant(us: int) -> Statement:
    return sql("make_timestamp({})", whole(us))


def _marked_instant(us: int) -> Statement:
    return sql("make_timestamptz({})", whole(us))


def _compare(node: p.Compare, *, marked: bool = False) -> Statement:
    """``marked``: an instant comes with a zone, which is UTC."""
    sign = Statement(node.sign)
    if node.column.kind is ColumnKind.LONG and node.sign != "=":
        return sql("CAST({} AS BIGNUM) {} CAST({} AS BIGNUM)", col(node.column), sign, _operand(node.operand))
    return sql("{} {} {}", col(node.column), sign, _operand(node.operand, marked=marked))


def _compare_as_instant(node: p.CompareAsInstant) -> Statement:
    sign = Statement(node.sign)
    return sql(
        "coalesce({} {} {}, {} {} {})",
        _read(p.Reading.INSTANT, node.column),
        sign,
        whole(node.instant.us),
        col(node.column),
        sign,
        bound(node.text),
    )


def _read(what: p.Reading, column: Column) -> Statement:
    """A column of ``_with_readings``."""
    return name(f"${what.value}.{column.name}")


def _parsed_instant(column: Statement) -> Statement:
    """The µs of text that ``storage.instants`` reads as an instant, otherwise null; never an error."""
    clock = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
    zone = "([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
    grammar = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([Tt ]{clock}{zone}?)?"
    text = column.text
    us = f"epoch_us(TRY_CAST(translate({text}, 't,z', 'T.Z') AS TIMESTAMPTZ))"
    return Statement(
        f"(CASE WHEN length({text}) BETWEEN 10 AND 64 AND regexp_full_match({text}, '{grammar}')"
        f" THEN (CASE WHEN {us} BETWEEN {MIN_INSTANT_US} AND {MAX_INSTANT_US} THEN {us} END) END)"
    )


def _one_of(node: p.OneOf) -> Statement:
    column = col(node.column)
    if any(isinstance(operand, p.Instant) for operand in node.operands):
        return sql("{} IN ({})", column, joined(", ", map(_operand, node.operands)))
    if len(node.operands) <= p.VALUES_INLINE_MAX:
        return sql("{} IN ({})", column, joined(", ", map(_operand, node.operands)))
    return sql("{} IN (SELECT unnest({}))", column, bound(list(node.operands)))


def _lists(node: p.Lists) -> Statement:
    tests = []
    if node.at:
        tests.append(sql("p = {}", bound(node.path)))
    if node.below:
        tests.append(sql("starts_with(p, {})", bound(node.path + ".")))
    return sql("(len(list_filter({}, lambda p: {})) > 0)", col(node.column), joined(" OR ", tests))


def _near(column: Column, circle: Circle) -> Statement:
    """Great-circle distance by the haversine formula. ``least`` ignores nulls, hence the tests for them."""
    longitude, latitude = _read(p.Reading.LONGITUDE, column), _read(p.Reading.LATITUDE, column)
    return sql(
        "({} IS NOT NULL AND {} IS NOT NULL AND {} * 2 * asin(sqrt(least(1.0,"
        " pow(sin(radians({} - {}) / 2), 2)"
        " + cos(radians({})) * cos(radians({})) * pow(sin(radians({} - {}) / 2), 2)))) <= {})",
        longitude,
        latitude,
        Statement(repr(_EARTH_RADIUS_MILES)),
        latitude,
        bound(circle.latitude),
        bound(circle.latitude),
        latitude,
        longitude,
        bound(circle.longitude),
        bound(circle.miles),
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


# --- lists ----------------------------------------------------------------------------------------------

_ELEMENT_TEXT = Statement("CAST(e AS VARCHAR)")
_ELEMENT_IS_NUMBER = Statement("json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE')")
_ELEMENT_IS_BIG = Statement(
    "(regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND"
    " coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '')"
    " <> CAST(e AS VARCHAR))"
)
"""An integer that no double holds: its exact decimal text is not that of the nearest double."""
_ELEMENT_NUMBER = sql(
    "(CASE WHEN {} AND NOT {} THEN TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) END)",
    _ELEMENT_IS_NUMBER,
    _ELEMENT_IS_BIG,
)
_ELEMENT_STRING = Statement("(CASE json_type(e) WHEN 'VARCHAR' THEN e->>'$' END)")
_ELEMENT_REST = sql(
    "(CASE WHEN json_type(e) = 'VARCHAR' OR ({} AND NOT {}) THEN NULL ELSE {} END)",
    _ELEMENT_IS_NUMBER,
    _ELEMENT_IS_BIG,
    _ELEMENT_TEXT,
)
"""The JSON of what is neither text nor a number that a double holds."""
_ELEMENT_TYPES = ("DOUBLE", "VARCHAR", "VARCHAR")
"""Of ``p.ELEMENTS``."""
_ELEMENT_VALUE = sql(
    "struct_pack(number := {}, big := (CASE WHEN {} AND {} THEN {} END),"
    " string := {},"
    " boolean := (CASE CAST(e AS VARCHAR) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END))",
    _ELEMENT_NUMBER,
    _ELEMENT_IS_NUMBER,
    _ELEMENT_IS_BIG,
    _ELEMENT_TEXT,
    _ELEMENT_STRING,
)
"""One list element as the parts of a key, all null for null, objects and lists."""


def _has_element(node: p.HasElement) -> Statement:
    if node.text is not None:
        return _has_string(node.column, node.text)
    return _among_elements(node.column, node.elements)


def _has_string(column: Column, text: str) -> Statement:
    """Most rows are told by a search for the quoted text, which only escapes in the JSON could hide."""
    cells = col(column)
    quoted = json.dumps(text, ensure_ascii=False)
    hidden = sql("contains({}, '\\')", cells)
    plain = quoted == f'"{text}"'
    first = sql("({} OR contains({}, {}))", hidden, cells, bound(quoted)) if plain else hidden
    # No number, boolean, list or object is spelled like this text, so elements may be read as text.
    test = sql("list_contains(from_json({}, '[\"VARCHAR\"]'), {})", cells, bound(text))
    return sql("(CASE WHEN {} THEN {} ELSE FALSE END)", first, test)


def _among_elements(column: Column, elements: Sequence[p.Scalar | None]) -> Statement:
    """Whether the list holds any of the elements."""
    doubles, strings, texts = (
        [cell for cell in cells if cell is not None]
        for cells in zip(*map(_element_parts, elements), strict=True)
    )
    tests = [
        sql("list_has_any({}, {})", _read(reading, column), _own_list(wanted, kind))
        for reading, wanted, kind in zip(p.ELEMENTS, (doubles, strings, texts), _ELEMENT_TYPES, strict=True)
        if wanted
    ]
    return sql("({})", joined(" OR ", tests))


def _element_parts(element: p.Scalar | None) -> tuple[float | None, str | None, str | None]:
    """An element as it stands among the numbers, the strings, or the rest of a list; once."""
    if isinstance(element, str):
        return None, element, None
    if _is_double(element):
        return float(element), None, None
    return None, None, json.dumps(element)


def _is_double(value: p.Scalar | None) -> TypeGuard[int | float]:
    """True for a number that a double holds exactly."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return float(value) == value
    except OverflowError:
        return False


def _same_list(node: p.SameList) -> Statement:
    """Three comparisons of whole lists, since a test for each element would make SQL without end."""
    parts = zip(*map(_element_parts, node.elements), strict=True) if node.elements else ((), (), ())
    tests = [
        sql("{} = {}", _read(reading, node.column), _own_list(wanted, kind))
        for reading, wanted, kind in zip(p.ELEMENTS, parts, _ELEMENT_TYPES, strict=True)
    ]
    return sql("({})", joined(" AND ", tests))


def _elements(text: Statement) -> Statement:
    """A list's distinct elements as structs of key parts; one null where there is no list or it is empty."""
    return sql(
        "(CASE WHEN {} IS NULL OR json_array_length({}) = 0 THEN [NULL]"
        " ELSE list_distinct(list_transform(json_extract({}, '$[*]'), lambda e: {})) END)",
        text,
        text,
        text,
        _ELEMENT_VALUE,
    )


# --- reading --------------------------------------------------------------------------------------------


def rows_of(scan: Scan) -> Statement:
    """``(SELECT columns …)``: the scan's rows in its span, before the predicate."""
    selects = [_read_files(piece, scan) for piece in scan.pieces]
    if scan.tail is not None:
        source = name(scan.tail)
        selects.append(_select(scan, scan.tail_held, source, timed=True))
    if not selects:
        selects = [_select(scan, frozenset(), Statement("(SELECT 1 WHERE FALSE)"), timed=False)]
    return sql("({})", joined(" UNION ALL ", selects))


def filtered(scan: Scan, *, zoned: bool = False) -> Statement:
    """``FROM … WHERE …`` of the scan. ``zoned``: instants may keep the zone that they have in files, which
    spares changing each of them."""
    direct = _direct(scan, zoned)
    if direct is not None:
        source, tests = direct
        tests += [condition(scan.rest)] if scan.rest != p.TRUE else []
        return sql("FROM {} WHERE {}", source, joined(" AND ", tests)) if tests else sql("FROM {}", source)
    rows = _with_readings(rows_of(scan), scan.readings)
    if scan.rest == p.TRUE:
        return sql("FROM {}", rows)
    return sql("FROM {} WHERE {}", rows, condition(scan.rest))


def _direct(scan: Scan, zoned: bool) -> tuple[Statement, list[Statement]] | None:
    """What is read and the tests of its rows' times, where the columns are taken as they stand in one place:
    the engine plans a statement without a subquery sooner. None where they are not."""
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
    return _files(piece), _tests(scan, timed=piece.timed, marked=marked)


def _has_instant(columns: Iterable[Column]) -> bool:
    return any(column.kind is ColumnKind.INSTANT for column in columns)


def _with_readings(rows: Statement, readings: Sequence[tuple[p.Reading, Column]]) -> Statement:
    """The rows, with what the conditions read in their texts, read once however often it is compared.

    What depends on chance is not moved into the conditions, where it would stand, and run, once for each.
    """
    if not readings:
        return rows
    read = (
        sql("(CASE WHEN random() < 2 THEN {} END) AS {}", _reading(what, col(column)), _read(what, column))
        for what, column in readings
    )
    return sql("(SELECT *, {} FROM {})", joined(", ", read), rows)


def _reading(what: p.Reading, text: Statement) -> Statement:
    match what:
        case p.Reading.INSTANT:
            return _parsed_instant(text)
        case p.Reading.LONGITUDE:
            return _coordinate(text, 0)
        case p.Reading.LATITUDE:
            return _coordinate(text, 1)
        case p.Reading.NUMBERS:
            element = _ELEMENT_NUMBER
        case p.Reading.STRINGS:
            element = _ELEMENT_STRING
        case p.Reading.REST:
            element = _ELEMENT_REST
    return sql("list_transform(json_extract({}, '$[*]'), lambda e: {})", text, element)


def _read_files(piece: Piece, scan: Scan) -> Statement:
    return _select(scan, piece.held, _files(piece), piece.timed, marked=piece.marked)


def _files(piece: Piece) -> Statement:
    by_name = Statement(", union_by_name=true" if piece.by_name else "")
    return sql("read_parquet({}, hive_partitioning=false{})", bound(list(piece.paths)), by_name)


def _tests(scan: Scan, *, timed: bool, marked: bool = False) -> list[Statement]:
    """Of times, as they stand in the file, so that whole parts of it can be left out."""
    tests = list(_in_span(scan.span, marked=marked)) if timed else []
    return tests + [_compare(time, marked=marked) for time in scan.times]


def _select(
    scan: Scan, held: frozenset[str], source: Statement, timed: bool, *, marked: bool = False
) -> Statement:
    """``marked``: instants come with a zone, which is UTC, and go on without one as they do elsewhere."""
    columns = [
        sql("make_timestamp(epoch_us({})) AS {}", col(column), col(column))
        if marked and column.kind is ColumnKind.INSTANT and column.name in held
        else col(column)
        if column.name in held
        else sql("CAST(NULL AS {}) AS {}", Statement(_TYPES[column.kind]), col(column))
        for column in scan.columns
    ]
    if scan.in_us:
        columns.append(sql("epoch_us({}) AS {}", col(TIMESTAMP_COLUMN), _TIME_US))
    listed = joined(", ", columns or [Statement('1 AS "$row"')])
    tests = _tests(scan, timed=timed, marked=marked)
    where = sql(" WHERE {}", joined(" AND ", tests)) if tests else Statement("")
    return sql("SELECT {} FROM {}{}", listed, source, where)


def _in_span(span: Span, *, marked: bool = False) -> Iterator[Statement]:
    time = col(TIMESTAMP_COLUMN)
    instant = _marked_instant if marked else _instant
    if span.start_us is not None:
        yield sql("{} >= {}", time, instant(span.start_us))
    if span.end_us is not None:
        yield sql("{} < {}", time, instant(span.end_us))


def in_span(span: Span) -> Statement:
    """A test of one row's time, for a step whose span is narrower than its scan's."""
    return joined(" AND ", list(_in_span(span)) or [Statement("TRUE")])


# --- buckets --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """``count`` buckets of equal length: bucket ``first`` begins at ``start_us``."""

    first: int
    start_us: int
    step_us: int
    count: int


def _bucket_index(runs: list[_Run]) -> Statement:
    """The position of the bucket that a row's time is in, by integer arithmetic where that is short."""
    return _run_tree(runs) if len(runs) <= _RUNS_MAX else name("$bucket")


def _counts_us(runs: list[_Run]) -> bool:
    """Whether the bucket of a row is found by its time in µs, and not by its day or without it."""
    return not (len(runs) == 1 and (runs[0].count == 1 or _in_days(runs[0])))


def _in_days(run: _Run) -> bool:
    return run.start_us % _DAY_US == 0 and run.step_us % _DAY_US == 0


def _small(index: Statement, buckets: Buckets) -> Statement:
    """The index of one of few buckets as a byte: the engine groups by it without hashing."""
    if len(buckets.edges) - 1 > _BYTE_MAX:
        return index
    return sql("CAST({} AS UTINYINT)", index)


def _bucketed(source: Statement, buckets: Buckets, runs: list[_Run]) -> Statement:
    """``source`` (a FROM clause), joined to the edges where these are too irregular for arithmetic."""
    if len(runs) <= _RUNS_MAX:
        return source
    starts = list(buckets.edges[:-1])
    return sql(
        "FROM (SELECT * {}) ASOF JOIN"
        ' (SELECT unnest({}) AS "$bucket", CAST(unnest({}) AS BIGINT) AS "$start") ON {} >= "$start"',
        source,
        bound(list(range(len(starts)))),
        bound(starts),
        _TIME_US,
    )


def _runs(edges: tuple[int, ...]) -> list[_Run]:
    runs: list[_Run] = []
    for index, (start, end) in enumerate(pairwise(edges)):
        last = runs[-1] if runs else None
        if last is not None and last.step_us == end - start:
            runs[-1] = _Run(last.first, last.start_us, last.step_us, last.count + 1)
        else:
            runs.append(_Run(index, start, end - start, 1))
    return runs


def _run_tree(runs: list[_Run]) -> Statement:
    """A binary search over the runs, then one division."""
    if len(runs) > 1:
        middle = len(runs) // 2
        return sql(
            "(CASE WHEN {} < {} THEN {} ELSE {} END)",
            _TIME_US,
            whole(runs[middle].start_us),
            _run_tree(runs[:middle]),
            _run_tree(runs[middle:]),
        )
    run = runs[0]
    if run.count == 1:
        return whole(run.first)
    if _in_days(run):
        # The engine finds a day of UTC faster than it divides.
        first_day = sql("make_date({})", whole(run.start_us // _DAY_US))
        since = sql("(CAST({} AS DATE) - {})", col(TIMESTAMP_COLUMN), first_day)
        return _counted(run.first, since, run.step_us // _DAY_US)
    since = sql("({} - ({}))", _TIME_US, whole(run.start_us))
    return _counted(run.first, since, run.step_us)


def _counted(first: int, since: Statement, step: int) -> Statement:
    """``first`` and the whole steps in ``since``, which is not negative."""
    steps = since if step == 1 else sql("({} // {})", since, whole(step))
    return steps if first == 0 else sql("({} + {})", whole(first), steps)


# --- keys and aggregates --------------------------------------------------------------------------------


def key_parts(key: Key, position: int) -> list[Statement]:
    """One expression for each of the key's parts; ``position`` tells its unnested list from others'."""
    if key.ranges is not None:
        return [_range_index(key.columns, key.ranges)] if key.columns else []
    if key.size is not None:
        return bucket_parts(key, key.size) if key.columns else []
    values = [_key_part(key, part, position) for part in key.parts if part is not Part.MISSING]
    return values if key.missing is None else [*values, _missing(values, key.missing)]


def _missing(values: Sequence[Statement], null: Predicate) -> Statement:
    """Whether a row without a value is one that a filter for null keeps; null where it has a value."""
    valueless = joined(" AND ", [sql("{} IS NULL", value) for value in values] or [Statement("TRUE")])
    return sql("(CASE WHEN {} THEN ({}) IS TRUE END)", valueless, condition(null))


_PART_KINDS = {
    Part.NUMBER: (ColumnKind.NUMBER,),
    Part.BIG: (ColumnKind.LONG, ColumnKind.INTEGER),
    Part.STRING: (ColumnKind.STRING,),
    Part.BOOLEAN: (ColumnKind.BOOLEAN,),
    Part.INSTANT: (ColumnKind.INSTANT,),
}


def _key_part(key: Key, part: Part, position: int) -> Statement:
    sources = [
        sql("CAST({} AS VARCHAR)", col(column)) if column.kind is ColumnKind.INTEGER else col(column)
        for kind in _PART_KINDS[part]
        for column in key.columns
        if column.kind is kind
    ]
    if key.list_column is not None:
        sources.append(_element_part(part.value, position))
    return sources[0] if len(sources) == 1 else sql("coalesce({})", joined(", ", sources))


def _element_part(part: str, position: int) -> Statement:
    return name(f"${part}{position}")


def unnested(scan: Scan, keys: Sequence[Key], *, zoned: bool = False) -> Statement:
    """``FROM …`` of the scan, with a row for each element of every list that is grouped by.

    Lists repeat a great deal more than they differ, so each distinct one is taken apart once, and joined.
    """
    source = filtered(scan, zoned=zoned)
    for position, key in enumerate(keys):
        if key.list_column is not None:
            text = name(f"$list{position}")
            source = sql(
                "FROM (SELECT * {}) LEFT JOIN ({}) ON {} = {}",
                source,
                _taken_apart(scan, key.list_column, text, position),
                col(key.list_column),
                text,
            )
    return source


def _taken_apart(scan: Scan, column: Column, text: Statement, position: int) -> Statement:
    """(list's text, parts of one of its elements …), for each distinct list."""
    parts = joined(
        ", ",
        (
            sql('"$element".{} AS {}', Statement(part), _element_part(part, position))
            for part in ("number", "big", "string", "boolean")
        ),
    )
    return sql(
        'SELECT {}, {} FROM (SELECT {}, unnest({}) AS "$element" FROM (SELECT DISTINCT {} AS {} {}))',
        text,
        parts,
        text,
        _elements(text),
        col(column),
        text,
        filtered(scan),
    )


def bucket_parts(key: Key, size: float) -> list[Statement]:
    """The lower bound of the numeric bucket that a row's value is in, numbers and size taken as the decimals
    that they print as: as a double, and as text where it is an integer that no double may hold."""
    steps = _Steps.of(size)
    doubles = [col(column) for column in key.columns if column.kind is ColumnKind.NUMBER]
    value = doubles[0] if doubles else Statement("CAST(NULL AS DOUBLE)")
    if not key.beyond_doubles:
        return [_bucket_of_double(value, steps, key.greatest)]
    digits = _all_digits(key.columns)
    scaled = _scaled_bucket(digits, steps)
    zeros = Statement("'" + "0" * steps.places + "'")
    whole_part = sql("left({}, length({}) - {})", scaled, scaled, whole(steps.places))
    integral = sql("ends_with({}, {})", scaled, zeros) if steps.places else Statement("TRUE")
    big = sql("({} AND length(ltrim({}, '-')) > {})", integral, whole_part, whole(DOUBLE_DIGITS))
    as_double = sql("CAST(concat({}, {}) AS DOUBLE)", scaled, Statement(f"'e-{steps.places}'"))
    # All values go one way or the other, each bucket one way: by its lower bound.
    of_digits = sql("(CASE WHEN NOT {} THEN {} END)", big, as_double)
    of_double = _bucket_of_double(value, steps, min(key.greatest, EXACT_DOUBLES))
    return [
        sql("(CASE WHEN {} IS NULL THEN {} ELSE {} END)", digits, of_double, of_digits),
        sql("(CASE WHEN {} IS NOT NULL AND {} THEN {} END)", digits, big, whole_part),
    ]


@dataclass(frozen=True, slots=True)
class _Steps:
    """A bucket's size, ``units`` / 10 ^ ``places``, and the double nearest to it."""

    size: float
    units: int
    places: int

    @classmethod
    def of(cls, size: float) -> _Steps:
        _, digits, exponent = Decimal(repr(size)).normalize().as_tuple()
        units = int("".join(map(str, digits)))
        assert isinstance(exponent, int)
        return cls(size, units * 10 ** max(exponent, 0), max(-exponent, 0))

    @property
    def quick_below(self) -> float:
        """Values of less magnitude have bounds that are a quotient of two integers which doubles hold."""
        if self.places > DOUBLE_TENS_MAX or self.units >= 2**50:
            return 0.0
        return 2.0**52 / self.units * self.size


def _bucket_of_double(value: Statement, steps: _Steps, greatest: float) -> Statement:
    ratio = sql("floor({} / {})", value, Statement(repr(steps.size)))
    if greatest < steps.quick_below:
        return _quick_bound(value, ratio, steps)
    exact = _nearest_bound(value, ratio, lambda number: _decimal(number, steps))
    # Where steps are finer than doubles, each double is a step.
    slow = sql("(CASE WHEN abs({}) < {} THEN {} ELSE {} END)", ratio, _EXACT, exact, value)
    if steps.quick_below == 0.0:
        return slow
    quick = _quick_bound(value, ratio, steps)
    return sql("(CASE WHEN abs({}) < {} THEN {} ELSE {} END)", value, _double(steps.quick_below), quick, slow)


def _quick_bound(value: Statement, ratio: Statement, steps: _Steps) -> Statement:
    if steps.places == 0:
        # A quotient by an integer is never rounded to the next one, or past it, where bounds are exact.
        return _quotient(ratio, steps)
    return _nearest_bound(value, ratio, lambda number: _quotient(number, steps))


def _nearest_bound(
    value: Statement, ratio: Statement, bound_of: Callable[[Statement], Statement]
) -> Statement:
    """The bound of so many steps, or of one more or less where the ratio was rounded to another integer."""
    above = sql("CAST({} >= {} AS INTEGER)", value, bound_of(sql("({} + 1)", ratio)))
    below = sql("CAST({} < {} AS INTEGER)", value, bound_of(ratio))
    return bound_of(sql("({} + {} - {})", ratio, above, below))


def _quotient(number: Statement, steps: _Steps) -> Statement:
    """Rounded once, since both are integers that doubles hold."""
    product = number if steps.units == 1 else sql("({} * {})", number, _double(float(steps.units)))
    return sql("({} / {})", product, _double(10.0**steps.places)) if steps.places else product


def _decimal(number: Statement, steps: _Steps) -> Statement:
    product = sql("(CAST({} AS HUGEINT) * {})", number, whole(steps.units))
    return sql("CAST(concat({}, {}) AS DOUBLE)", product, Statement(f"'e-{steps.places}'"))


def _double(value: float) -> Statement:
    """A number of the server's own; as text alone it would be a decimal."""
    return Statement(f"CAST({value!r} AS DOUBLE)")


_EXACT = _double(EXACT_DOUBLES)


def _all_digits(columns: Sequence[Column]) -> Statement:
    """The decimal digits of an integer from 2^53 on, otherwise null."""
    terms = []
    for column in columns:
        value = col(column)
        if column.kind is ColumnKind.NUMBER:
            digits = sql("CAST(CAST({} AS BIGNUM) AS VARCHAR)", value)
            terms.append(sql("(CASE WHEN abs({}) >= {} THEN {} END)", value, _EXACT, digits))
        else:
            terms.append(sql("CAST({} AS VARCHAR)", value))
    return terms[0] if len(terms) == 1 else sql("coalesce({})", joined(", ", terms))


def _scaled_bucket(digits: Statement, steps: _Steps) -> Statement:
    """10 ^ places times the lower bound of an integer's bucket, as text."""
    text = sql("concat({}, {})", digits, Statement("'" + "0" * steps.places + "'"))
    rest = _remainder(sql("ltrim({}, '-')", text), steps.units)
    units = whole(steps.units)
    up = sql(
        "(CASE WHEN starts_with({}, '-') THEN ({} - {}) % {} ELSE {} END)", text, units, rest, units, rest
    )
    difference = sql("CAST({} AS BIGNUM) - CAST(CAST({} AS VARCHAR) AS BIGNUM)", text, up)
    return sql("CAST({} AS VARCHAR)", difference)


def _remainder(digits: Statement, divisor: int) -> Statement:
    """Of digits of any length, by long division."""
    return sql(
        "list_reduce(list_transform(string_split(regexp_replace({}, '([0-9])', '\\1,', 'g'), ','),"
        " lambda digit: CAST(coalesce(TRY_CAST(digit AS INTEGER), -1) AS HUGEINT)),"
        " lambda rest, digit: CASE WHEN digit < 0 THEN rest ELSE (rest * 10 + digit) % {} END,"
        " CAST(0 AS HUGEINT))",
        digits,
        whole(divisor),
    )


def _numeric(columns: Sequence[Column]) -> Statement:
    """The path's number as a double."""
    terms = [
        col(column) if column.kind is ColumnKind.NUMBER else sql("TRY_CAST({} AS DOUBLE)", col(column))
        for column in columns
    ]
    return terms[0] if len(terms) == 1 else sql("coalesce({})", joined(", ", terms))


def _finite(expression: Statement) -> Statement:
    return sql("(CASE WHEN isfinite({}) THEN {} END)", expression, expression)


def _range_index(columns: Sequence[Column], ranges: Sequence[Range]) -> Statement:
    """The position of the range that holds the number. Ranges do not overlap."""
    doubles = [col(column) for column in columns if column.kind is ColumnKind.NUMBER]
    wholes = [
        sql("CAST({} AS BIGNUM)", col(column)) for column in columns if column.kind is not ColumnKind.NUMBER
    ]
    of_doubles = _range_of_double(doubles[0], ranges) if doubles else Statement("CAST(NULL AS INTEGER)")
    if not wholes:
        return of_doubles
    # Integers that no double holds are compared as what they are.
    whole_number = wholes[0] if len(wholes) == 1 else sql("coalesce({})", joined(", ", wholes))
    edges, holders = _stretches(ranges, math.ceil)
    of_whole = _searched_range(whole_number, list(map(str, edges)), holders, "BIGNUM")
    return sql("coalesce({}, {})", of_doubles, of_whole)


def _range_of_double(number: Statement, ranges: Sequence[Range]) -> Statement:
    if len(ranges) > _RANGES_INLINE_MAX:
        return _searched_range(number, *_stretches(ranges, _least_double), "DOUBLE")
    cases = []
    for index, one in enumerate(ranges):
        tests = [sql("{} IS NOT NULL", number)]
        if one.low is not None:
            tests.append(sql("{} >= {}", number, bound(_least_double(one.low))))
        if one.high is not None:
            tests.append(sql("{} < {}", number, bound(_least_double(one.high))))
        cases.append(sql("WHEN {} THEN {}", joined(" AND ", tests), whole(index)))
    return sql("(CASE {} END)", joined(" ", cases))


def _least_double(end: int | float) -> float:
    """That is not below the end, which divides doubles as the end does."""
    nearest = float(end)
    return nearest if nearest >= end else math.nextafter(nearest, math.inf)


def _searched_range(
    number: Statement, edges: Sequence[Any], holders: Sequence[int | None], kind: str
) -> Statement:
    """A binary search by lists, for the text of a case for each range would take longer than the reading.

    Every edge begins a stretch that one range or none holds; the last edge up to the number is searched
    for, in steps that halve.
    """
    steps = [1 << bit for bit in reversed(range(len(edges).bit_length()))]
    place = sql(
        "list_reduce({}, lambda place, step: CASE WHEN place + step <= {}"
        " AND {}[place + step] <= {} THEN place + step ELSE place END, 0)",
        _own_list(steps, "INTEGER"),
        whole(len(edges)),
        _own_list(edges, kind),
        number,
    )
    return sql("(CASE WHEN {} IS NOT NULL THEN {}[{} + 1] END)", number, _own_list(holders, "INTEGER"), place)


def _stretches(
    ranges: Sequence[Range], divided_by: Callable[[int | float], N]
) -> tuple[list[N], list[int | None]]:
    """Edges in order, and the range before the first edge and from each edge on, None where there is none.

    ``divided_by``: the number that divides the values as an end does.
    """
    found: dict[N, int | None] = {}
    first = None
    for index, one in enumerate(ranges):
        low, high = (None if end is None else divided_by(end) for end in (one.low, one.high))
        if low is not None and high is not None and low >= high:
            # No value lies between them.
            continue
        if low is None:
            first = index
        else:
            found[low] = index
        if high is not None:
            found.setdefault(high, None)
    edges: list[N] = sorted(found)
    return edges, [first, *(found[edge] for edge in edges)]


def _own_list(values: Sequence[Any], kind: str) -> Statement:
    return sql("CAST({} AS {})", bound(list(values)), Statement(kind + "[]"))


def aggregate(one: Aggregate) -> Statement:
    """The expression of one aggregate column."""
    match one.fold:
        case Fold.ROWS:
            return Statement("count(*)")
        case Fold.DISTINCT:
            return sql("count(DISTINCT {})", col(one.columns[0]))
        case Fold.VALUES:
            column = col(one.columns[0])
            value = sql("epoch_us({})", column) if one.columns[0].kind is ColumnKind.INSTANT else column
            return sql("list(DISTINCT {}) FILTER (WHERE {} IS NOT NULL)", value, column)
        case Fold.ELEMENTS:
            column = col(one.columns[0])
            return sql(
                "list_distinct(flatten(list_transform(list(DISTINCT {}) FILTER (WHERE {} IS NOT NULL),"
                " lambda x: CAST(json_extract(x, '$[*]') AS VARCHAR[]))))",
                column,
                column,
            )
        case Fold.EXPLICIT_NULL:
            return sql("bool_or(list_contains({}, {}))", col(one.columns[0]), bound(one.path))
        case Fold.MINIMUM | Fold.MAXIMUM:
            return _extreme("min" if one.fold is Fold.MINIMUM else "max", one.columns[0])
        case Fold.PRESENT:
            return sql("count({})", col(one.columns[0]))
        case Fold.QUANTILE:
            number = _numeric(one.columns)
            return _finite(sql("quantile_disc({}, {})", number, bound(one.fraction)))
        case Fold.DEVIATION:
            values = _finite(_numeric(one.columns))
            return _finite(sql("stddev_pop({} - {})", values, Statement(repr(one.centre))))
    return _sum(one)


def _extreme(function: str, column: Column) -> Statement:
    if column.kind is ColumnKind.LONG:
        return sql("CAST({}(CAST({} AS BIGNUM)) AS VARCHAR)", Statement(function), col(column))
    if column.kind is ColumnKind.INSTANT:
        return sql("make_timestamp(epoch_us({}({})))", Statement(function), col(column))
    return sql("{}({})", Statement(function), col(column))


def _sum(one: Aggregate) -> Statement:
    column = one.columns[0]
    value = col(column)
    if column.kind is ColumnKind.LONG:
        return sql("CAST(sum(CAST({} AS BIGNUM)) AS VARCHAR)", value)
    if one.band is not None:
        return sql("sum({})", _within_band(value, one.band))
    if one.fold is Fold.SUM:
        return sql("coalesce(sum({}), 0)", value)
    split = Statement(repr(one.split))
    high = sql("(({} + {}) - {})", value, split, split)
    return sql("sum({})", high if one.fold is Fold.SUM_HIGH else sql("({} - {})", value, high))


def _within_band(value: Statement, band: Band) -> Statement:
    """The bits of the value in the band, as an integer. Values whose lowest bit lies above have none there,
    and are left out since moving them down could go beyond a double."""
    end = band.low + band.bits
    lower, upper = _times_power(value, -band.low), _times_power(value, -end)
    bits = sql("trunc({}) - trunc({}) * {}", lower, upper, Statement(repr(2.0**band.bits)))
    if end + DOUBLE_BITS >= DOUBLE_EXPONENT_END:
        return bits
    limit = Statement(repr(math.ldexp(1.0, end + DOUBLE_BITS)))
    return sql("(CASE WHEN abs({}) < {} THEN {} END)", value, limit, bits)


def _times_power(value: Statement, exponent: int) -> Statement:
    """The value times 2^exponent."""
    factors = [Statement(repr(one)) for one in powers(exponent)]
    return joined(" * ", [value, *factors])


# --- statements -----------------------------------------------------------------------------------------


def extents(paths: Sequence[str], column: Column) -> Statement:
    """Of each file its path, the least and the greatest value of a number column, the least magnitude but
    zero, and whether all are integral."""
    value = col(column)
    return sql(
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


def metrics(plan: MetricsPlan) -> Statement:
    """Columns: the bucket's index where there are buckets, the parts of each key, the aggregates."""
    if not (plan.buckets or plan.keys):
        return _grouped(plan)
    return sql("{}{} LIMIT {}", _grouped(plan), _order(plan), whole(plan.row_limit))


def indexed(plan: MetricsPlan, indexes: int) -> Statement:
    """As ``metrics``, the rows of one value of the first ``indexes`` keys together, by bucket."""
    parts = sum(len(key.parts) for key in plan.keys[:indexes])
    order = Statement(", ".join(str(position) for position in (*range(2, parts + 2), 1)))
    return sql("{} ORDER BY {} LIMIT {}", _grouped(plan), order, whole(plan.row_limit))


def _grouped(plan: MetricsPlan) -> Statement:
    parts = [part for position, key in enumerate(plan.keys) for part in key_parts(key, position)]
    heads = list(parts)
    runs = [] if plan.buckets is None else _runs(plan.buckets.edges)
    if plan.buckets is not None:
        index = _bucket_index(runs)
        heads.insert(0, index if parts else _small(index, plan.buckets))
    folds = [aggregate(one) for metric in plan.metrics for one in metric.aggregates]
    scan = plan.scan
    if scan.in_us and not _counts_us(runs):
        scan = replace(scan, in_us=False)
    source = unnested(scan, plan.keys, zoned=not (plan.buckets or plan.keys))
    if plan.buckets is not None:
        source = _bucketed(source, plan.buckets, runs)
    listed = joined(", ", [*heads, *folds] or [Statement("1")])
    if not (plan.buckets or plan.keys):
        return sql("SELECT {} {}", listed, source)
    grouped = Statement(", ".join(str(position) for position in range(1, len(heads) + 1)))
    group = sql(" GROUP BY {}", grouped) if heads else Statement(" HAVING count(*) > 0")
    return sql("SELECT {} {}{}", listed, source, group)


def _order(plan: MetricsPlan) -> Statement:
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
    return Statement(" ORDER BY " + ", ".join(terms)) if terms else Statement("")


def _two_parts(metric: MetricPlan) -> tuple[Statement, Statement]:
    """The total of a sum's two parts, and whether it is certain, by which those that are not come first."""
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
    """Values of the later parts come first when descending; null is last either way."""
    for position in reversed(positions) if order.descending else positions:
        yield f"{position} {_direction(order)} NULLS LAST"


def _direction(order: Order) -> str:
    return "DESC" if order.descending else "ASC"


def funnel(branches: Sequence[Statement], parts: Sequence[str], actors_max: int | None) -> Statement:
    """Rows (actor parts, mask) where ``actors_max`` is given, at most one more than it; otherwise
    (mask, actors); only of actors in the first step, bit 0. A branch selects the same parts, in order,
    and the mask of one row."""
    names = joined(", ", (name(f"${part}") for part in parts))
    known = joined(" OR ", (sql("{} IS NOT NULL", name(f"${part}")) for part in parts))
    per_actor = sql(
        'SELECT {}, bit_or("$mask") AS "$mask" FROM ({}) WHERE {} GROUP BY {} HAVING bit_or("$mask") & 1 = 1',
        names,
        joined(" UNION ALL ", branches),
        known,
        names,
    )
    if actors_max is not None:
        return sql("{} LIMIT {}", per_actor, whole(actors_max + 1))
    return sql('SELECT "$mask", count(*) FROM ({}) GROUP BY 1', per_actor)


def funnel_branch(
    scan: Scan, key: Key, parts: Sequence[Part], steps: Sequence[tuple[int, Predicate, Span]]
) -> Statement:
    """The rows of one scan with the actor's parts and the mask of the steps that each row satisfies.

    ``steps``: the step's bit, its condition, and its span where that is narrower than the scan's.
    """
    expressions = dict(zip(key.parts, key_parts(key, 0), strict=True))
    actor = [
        sql(
            "{} AS {}",
            expressions.get(part, Statement(f"CAST(NULL AS {_PART_TYPES[part]})")),
            name(f"${part}"),
        )
        for part in parts
    ]
    bits = [
        sql("(CASE WHEN {} AND {} THEN {} ELSE 0 END)", condition(test), in_span(span), whole(1 << bit))
        for bit, test, span in steps
    ]
    mask = sql('CAST(({}) AS BIGINT) AS "$mask"', joined(" | ", bits))
    return sql("SELECT {} {}", joined(", ", [*actor, mask]), unnested(scan, (key,)))


_PART_TYPES = {
    Part.NUMBER: "DOUBLE",
    Part.BIG: "VARCHAR",
    Part.STRING: "VARCHAR",
    Part.BOOLEAN: "BOOLEAN",
    Part.INSTANT: "TIMESTAMP",
}


def values(scan: Scan, column: Column) -> Statement:
    """A column of every row."""
    return sql("SELECT {} {}", col(column), filtered(scan))


def presence(scan: Scan, columns: Sequence[Column]) -> Statement:
    """One row: how many rows there are, and in how many of them each column has a value."""
    counts = [sql("count({})", col(column)) for column in columns]
    return sql("SELECT {} {}", joined(", ", [Statement("count(*)"), *counts]), filtered(scan))


def texts_listed(scan: Scan, column: Column) -> Statement:
    """Every text in the column's lists, once."""
    return sql("SELECT DISTINCT unnest({}) {}", col(column), filtered(scan))


def extraction(scan: Scan, columns: Sequence[Column], limit: int) -> Statement:
    """Events newest first: their bytes of text, then the columns, instants as text."""
    texts = [col(column) for column in columns if _TYPES[column.kind] == "VARCHAR"]
    size = sql("strlen(concat({}))", joined(", ", texts)) if texts else whole(0)
    listed = [
        size,
        *(_as_text(column) if column.kind is ColumnKind.INSTANT else col(column) for column in columns),
    ]
    return sql(
        "SELECT {} {} ORDER BY {} DESC LIMIT {}",
        joined(", ", listed),
        filtered(scan, zoned=True),
        col(TIMESTAMP_COLUMN),
        whole(limit),
    )


def _as_text(column: Column) -> Statement:
    """Six digits of fraction and no zone: ``2026-01-01T00:00:00.000000``."""
    return sql("strftime(make_timestamp(epoch_us({})), '%Y-%m-%dT%H:%M:%S.%f')", col(column))


def newest_times(scan: Scan, limit: int) -> Statement:
    """The ``limit`` newest times, newest first, in µs."""
    time = col(TIMESTAMP_COLUMN)
    source = filtered(scan, zoned=True)
    return sql("SELECT epoch_us({}) {} ORDER BY {} DESC LIMIT {}", time, source, time, whole(limit))


def cuts(scan: Scan, size: int, limit: int) -> Statement:
    """(earliest time in µs, rows) of each ``size`` rows, the newest first, of the ``limit`` newest rows."""
    time = col(TIMESTAMP_COLUMN)
    numbered = sql(
        'SELECT epoch_us({}) AS "$us", row_number() OVER (ORDER BY {} DESC) AS "$n" {}',
        time,
        time,
        filtered(scan),
    )
    return sql(
        'SELECT min("$us"), count(*) FROM ({}) WHERE "$n" <= {} GROUP BY ("$n" - 1) // {} ORDER BY 1 DESC',
        numbered,
        whole(limit),
        whole(size),
    )


def regex_check(pattern: str) -> Statement:
    return sql("SELECT regexp_matches('', {})", bound(pattern))
