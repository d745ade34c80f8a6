"""Translates predicates to boolean SQL expressions of one row."""

from __future__ import annotations

import math

from query.language.nodes import Circle
from query.plan import predicates as p
from query.plan.columns import Column, ColumnKind
from query.plan.exact_sums import EXACT_DOUBLES
from query.plan.keys import GroupKey, KeyPart
from query.plan.predicates import Predicate
from query.sql.lists import (
    element_in_set,
    has_element,
    other_element,
    same_list,
    value_in_list,
    without_value,
)
from query.sql.numeric_buckets import bucket_parts
from query.sql.statement import (
    MEMBER,
    Statement,
    bound,
    col,
    double,
    instant,
    joined,
    marked_instant,
    name,
    read,
    sql,
    whole,
)

_EARTH_RADIUS_MILES = 3958.7613
_SEPARATORS = "/.:?&=#"


def _contains(cell: Statement, text: str) -> Statement:
    """Whether a cell contains a text.

    DuckDB jumps to the first place of the text's first character and compares at each place from there on.
    The separators of paths are in the beginning of most texts, so what follows them is looked for first.
    """
    rest = text.lstrip(_SEPARATORS)
    whole_text = sql("contains({}, {})", cell, bound(text))
    if len(rest) in (0, len(text)):
        return whole_text
    return sql("(contains({}, {}) AND {})", cell, bound(rest), whole_text)


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
        case p.HasValue(column=column):
            return sql("{} IS NOT NULL", col(column))
        case p.Compare():
            return compare(predicate)
        case p.CompareAsInstant():
            return _compare_as_instant(predicate)
        case p.OneOf():
            return _one_of(predicate)
        case p.ContainsText(column=column, text=text):
            return _contains(col(column), text)
        case p.Matches(column=column, pattern=pattern):
            return sql("regexp_matches({}, {})", col(column), bound(pattern))
        case p.HasElement():
            return has_element(predicate)
        case p.ListEquals():
            return same_list(predicate)
        case p.PathListed():
            return _lists(predicate)
        case p.WithinCircle(column=column, circle=circle):
            return _near(column, circle)
        case p.WithoutValue(column=column):
            return without_value(column)
        case p.OtherElement(column=column, elements=values):
            return other_element(column, values)
        case p.InSet(column=column, table=table):
            # Integers that no double holds are texts among actors.
            integer = column.kind is ColumnKind.INTEGER
            cell = sql("CAST({} AS VARCHAR)", col(column)) if integer else col(column)
            return sql("{} IN (SELECT {} FROM {})", cell, MEMBER, name(table))
        case p.HasElementInSet(column=column, tables=tables):
            return element_in_set(column, tables)
        case p.HasValueInList(column=column):
            return value_in_list(column)
        case p.InBucket():
            return _in_bucket(predicate)


def _operand(value: p.Scalar | p.Instant, *, marked: bool = False) -> Statement:
    if isinstance(value, p.Instant):
        return marked_instant(value.us) if marked else instant(value.us)
    return bound(value)


def compare(node: p.Compare, *, marked: bool = False) -> Statement:
    """``marked``: the column's instants have a zone, which is UTC."""
    sign = Statement(node.sign)
    if node.column.kind is ColumnKind.LONG and node.sign != "=":
        return sql("CAST({} AS BIGNUM) {} CAST({} AS BIGNUM)", col(node.column), sign, _operand(node.operand))
    return sql("{} {} {}", col(node.column), sign, _operand(node.operand, marked=marked))


def _compare_as_instant(node: p.CompareAsInstant) -> Statement:
    sign = Statement(node.sign)
    return sql(
        "coalesce({} {} {}, {} {} {})",
        read(p.Reading.INSTANT, node.column),
        sign,
        whole(node.instant.us),
        col(node.column),
        sign,
        bound(node.text),
    )


def _one_of(node: p.OneOf) -> Statement:
    column = col(node.column)
    if any(isinstance(operand, p.Instant) for operand in node.operands):
        return sql("{} IN ({})", column, joined(", ", map(_operand, node.operands)))
    if len(node.operands) <= p.VALUES_INLINE_MAX:
        return sql("{} IN ({})", column, joined(", ", map(_operand, node.operands)))
    return sql("{} IN (SELECT unnest({}))", column, bound(list(node.operands)))


def _in_bucket(node: p.InBucket) -> Statement:
    """The parts that a row has as a group's key, compared with those of the bound."""
    if node.is_short:
        doubles = [column for column in node.columns if column.kind is ColumnKind.NUMBER]
        if not doubles:
            return Statement("FALSE")
        least = GroupKey("", tuple(doubles), node.size, greatest=math.nextafter(EXACT_DOUBLES, 0))
        (of_double,) = bucket_parts(least, node.size)
        inside = sql("abs({}) < {}", col(doubles[0]), double(EXACT_DOUBLES))
        return sql("({} AND {} = {})", inside, of_double, bound(float(node.bound)))
    # Whatever the numbers of these files are: another file may have others.
    key = GroupKey("", node.columns, node.size, greatest=math.inf)
    parts = dict(zip(key.parts, bucket_parts(key, node.size), strict=True))
    number, big = parts[KeyPart.NUMBER], parts[KeyPart.BIG]
    tests = [sql("{} = {}", number, bound(float(node.bound)))] if _is_finite(node.bound) else []
    if isinstance(node.bound, int):
        tests.append(sql("{} = {}", big, bound(str(node.bound))))
    return sql("({})", joined(" OR ", tests))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _lists(node: p.PathListed) -> Statement:
    tests = []
    if node.at:
        tests.append(sql("p = {}", bound(node.path)))
    if node.below:
        tests.append(sql("starts_with(p, {})", bound(node.path + ".")))
    return sql("(len(list_filter({}, lambda p: {})) > 0)", col(node.column), joined(" OR ", tests))


def _near(column: Column, circle: Circle) -> Statement:
    """Great-circle distance by the haversine formula. ``least`` ignores nulls, hence the tests for them."""
    longitude, latitude = read(p.Reading.LONGITUDE, column), read(p.Reading.LATITUDE, column)
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
