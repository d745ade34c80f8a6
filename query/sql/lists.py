"""SQL for list values, which are stored as JSON text: their elements, and conditions on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeGuard

from query.plan import predicates as p
from query.plan.columns import Column
from query.sql.statement import MEMBER, Statement, bound, col, joined, name, own_list, read, sql

_ELEMENT_TEXT = Statement("CAST(e AS VARCHAR)")
_ELEMENT_IS_NUMBER = Statement("json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE')")
_ELEMENT_IS_BIG = Statement(
    "(regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND"
    " coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '')"
    " <> CAST(e AS VARCHAR))"
)
"""True for an integer that no double holds: its decimal text is not that of the nearest double."""
ELEMENT_NUMBER = sql(
    "(CASE WHEN {} AND NOT {} THEN TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) END)",
    _ELEMENT_IS_NUMBER,
    _ELEMENT_IS_BIG,
)
ELEMENT_STRING = Statement("(CASE json_type(e) WHEN 'VARCHAR' THEN e->>'$' END)")
ELEMENT_REST = sql(
    "(CASE WHEN json_type(e) = 'VARCHAR' OR ({} AND NOT {}) THEN NULL ELSE {} END)",
    _ELEMENT_IS_NUMBER,
    _ELEMENT_IS_BIG,
    _ELEMENT_TEXT,
)
"""The JSON of an element that is neither text nor a number that a double holds."""
_ELEMENT_TYPES = ("DOUBLE", "VARCHAR", "VARCHAR")
"""Types of the elements of ``p.ELEMENTS``, in the same order."""
_PART_TYPES = {"number": "DOUBLE", "big": "VARCHAR", "string": "VARCHAR", "boolean": "BOOLEAN"}
"""The parts of an element's value, and their types."""
_ELEMENT_VALUE = sql(
    "struct_pack(number := {}, big := (CASE WHEN {} AND {} THEN {} END),"
    " string := {},"
    " boolean := (CASE CAST(e AS VARCHAR) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END))",
    ELEMENT_NUMBER,
    _ELEMENT_IS_NUMBER,
    _ELEMENT_IS_BIG,
    _ELEMENT_TEXT,
    ELEMENT_STRING,
)
"""One list element as the parts of a key, all null for null, objects and lists."""


def has_element(node: p.HasElement) -> Statement:
    if node.text is not None:
        return _has_string(node.column, node.text)
    return _among_elements(node.column, node.elements)


def _has_string(column: Column, text: str) -> Statement:
    """Whether the list contains the text.

    A search for the quoted text decides most rows; only rows with JSON escapes, which could hide the text, or
    with a hit need parsing.
    """
    column_text = col(column)
    quoted = json.dumps(text, ensure_ascii=False)
    hidden = sql("contains({}, '\\')", column_text)
    plain = quoted == f'"{text}"'
    may_contain = sql("({} OR contains({}, {}))", hidden, column_text, bound(quoted)) if plain else hidden
    # No number, boolean, list or object is written like this text, so all elements may be read as text.
    test = sql("list_contains(from_json({}, '[\"VARCHAR\"]'), {})", column_text, bound(text))
    return sql("(CASE WHEN {} THEN {} ELSE FALSE END)", may_contain, test)


def _among_elements(column: Column, elements: Sequence[p.Scalar | None]) -> Statement:
    """Whether the list contains any of the elements."""
    doubles, strings, texts = (
        [cell for cell in cells if cell is not None]
        for cells in zip(*map(_element_parts, elements), strict=True)
    )
    tests = [
        sql("list_has_any({}, {})", read(reading, column), own_list(values, kind))
        for reading, values, kind in zip(p.ELEMENTS, (doubles, strings, texts), _ELEMENT_TYPES, strict=True)
        if values
    ]
    return sql("({})", joined(" OR ", tests))


def _element_parts(element: p.Scalar | None) -> tuple[float | None, str | None, str | None]:
    """An element as (number, string, JSON of any other value), exactly one of which is not None."""
    if isinstance(element, str):
        return None, element, None
    if _is_double(element):
        return float(element), None, None
    return None, None, json.dumps(element)


def _is_double(value: p.Scalar | None) -> TypeGuard[int | float]:
    """Whether the value is a number that a double holds exactly."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return float(value) == value
    except OverflowError:
        return False


def same_list(node: p.ListEquals) -> Statement:
    """Three comparisons of whole lists, since a test for each element could make very long SQL."""
    parts = zip(*map(_element_parts, node.elements), strict=True) if node.elements else ((), (), ())
    tests = [
        sql("{} = {}", read(reading, node.column), own_list(values, kind))
        for reading, values, kind in zip(p.ELEMENTS, parts, _ELEMENT_TYPES, strict=True)
    ]
    return sql("({})", joined(" AND ", tests))


def without_value(column: Column) -> Statement:
    """Whether the list is empty, or has an element that no group but that of null is for."""
    parts = [Statement(f"v.{part} IS NULL") for part in ("number", "big", "string", "boolean")]
    return sql(
        "({} IS NOT NULL AND len(list_filter({}, lambda v: v IS NULL OR ({}))) > 0)",
        col(column),
        elements(col(column)),
        joined(" AND ", parts),
    )


def value_in_list(column: Column) -> Statement:
    """Whether the list has an element that a group is for."""
    parts = [Statement(f"v.{part} IS NOT NULL") for part in _PART_TYPES]
    return sql(
        "({} IS NOT NULL AND len(list_filter({}, lambda v: v IS NOT NULL AND ({}))) > 0)",
        col(column),
        elements(col(column)),
        joined(" OR ", parts),
    )


def element_in_set(column: Column, tables: Sequence[tuple[str, str]]) -> Statement:
    """Whether an element is in one of the tables, each of the values of one part.

    The engine evaluates it once for each distinct list.
    """
    tests = [
        sql("e.{} IN (SELECT {} FROM {})", Statement(part), MEMBER, name(table)) for part, table in tables
    ]
    return sql(
        "EXISTS (SELECT 1 FROM (SELECT unnest({}) AS e) WHERE {})",
        elements(col(column)),
        joined(" OR ", tests),
    )


def other_element(column: Column, values: Sequence[p.Scalar | None]) -> Statement:
    """Whether grouping by the list has a row whose value is none of these."""
    parts: dict[str, list[p.Scalar]] = {}
    for value in values:
        if isinstance(value, bool):
            parts.setdefault("boolean", []).append(value)
        elif isinstance(value, str):
            parts.setdefault("string", []).append(value)
        elif value is not None and _is_double(value):
            parts.setdefault("number", []).append(float(value))
        elif value is not None:
            parts.setdefault("big", []).append(json.dumps(value))
    nothing = [Statement(f"v.{part} IS NULL") for part in _PART_TYPES]
    tests = [sql("(v IS NULL OR ({}))", joined(" AND ", nothing))] if None in values else []
    tests += [
        sql(
            "coalesce(list_contains({}, {}), FALSE)",
            own_list(listed, _PART_TYPES[part]),
            Statement(f"v.{part}"),
        )
        for part, listed in parts.items()
    ]
    return sql(
        "({} IS NOT NULL AND len(list_filter({}, lambda v: NOT ({}))) > 0)",
        col(column),
        elements(col(column)),
        joined(" OR ", tests),
    )


def elements(text: Statement) -> Statement:
    """A list's distinct elements as structs of key parts; one null where there is no list or it is empty."""
    return sql(
        "(CASE WHEN {} IS NULL OR json_array_length({}) = 0 THEN [NULL]"
        " ELSE list_distinct(list_transform(json_extract({}, '$[*]'), lambda e: {})) END)",
        text,
        text,
        text,
        _ELEMENT_VALUE,
    )
