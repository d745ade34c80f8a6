"""SQL for group keys: the parts of a key, and a row for each element of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from query.plan.actors import ActorColumn
from query.plan.columns import Column
from query.plan.keys import GroupKey, KeyPart
from query.plan.predicates import Predicate
from query.plan.scans import Scan
from query.sql.conditions import condition
from query.sql.links import linked_cells
from query.sql.lists import elements
from query.sql.numeric_buckets import bucket_parts
from query.sql.ranges import range_index
from query.sql.reading import cell_of, filtered
from query.sql.statement import Note, Statement, col, joined, name, noted, sql


def key_parts(key: GroupKey, position: int) -> list[Statement]:
    """One expression for each of the key's parts; ``position`` distinguishes the unnested lists of keys."""
    if key.member is not None and key.actor is not None:
        member = sql("(CASE WHEN {} THEN ({}) IS TRUE END)", condition(key.actor), condition(key.member))
        return [member] if key.columns else []
    if key.ranges is not None:
        return [range_index(key.columns, key.ranges)] if key.columns else []
    if key.size is not None:
        return bucket_parts(key, key.size) if key.columns else []
    values = [_key_part(key, part, position) for part in key.parts if part is not KeyPart.MISSING]
    return values if key.missing is None else [*values, _missing(values, key.missing)]


def _missing(values: Sequence[Statement], null: Predicate) -> Statement:
    """Whether a filter for null keeps a row without a value; null where the row has a value."""
    valueless = joined(" AND ", [sql("{} IS NULL", value) for value in values] or [Statement("TRUE")])
    return sql("(CASE WHEN {} THEN ({}) IS TRUE END)", valueless, condition(null))


PART_TYPES = {
    KeyPart.NUMBER: "DOUBLE",
    KeyPart.BIG: "VARCHAR",
    KeyPart.STRING: "VARCHAR",
    KeyPart.BOOLEAN: "BOOLEAN",
    KeyPart.INSTANT: "TIMESTAMP",
    KeyPart.LIST: "VARCHAR",
    KeyPart.RANGE: "INTEGER",
}


def value_cells(key: GroupKey) -> dict[KeyPart, Statement]:
    """One expression for each of the key's ``value_parts``: lists are not unnested."""
    plain = key if key.list_column is None else key.without_lists
    cells = dict(zip(plain.parts, key_parts(plain, 0), strict=True))
    if key.list_column is not None:
        cells[KeyPart.LIST] = col(key.list_column)
    return cells


def _key_part(key: GroupKey, part: KeyPart, position: int) -> Statement:
    if key.list_column is None:
        return cell_of(key.columns, part)
    return cell_of(key.columns, part, _element_part(part.value, position))


def _element_part(part: str, position: int) -> Statement:
    return name(f"${part}{position}")


def unnested(scan: Scan, keys: Sequence[GroupKey], *, zoned: bool = False) -> Statement:
    """``FROM …`` of the scan, with a row for each element of every list that is a group key.

    Most lists occur many times, so each distinct list is unnested once and joined.
    """
    source = filtered(scan, zoned=zoned)
    for position, key in enumerate(keys):
        if key.list_column is not None:
            text = name(f"$list{position}")
            source = noted(
                Note.ELEMENTS,
                sql(
                    "FROM (SELECT *{})\nLEFT JOIN ({}) ON {} = {}",
                    source,
                    noted(Note.LISTS, _elements_of_lists(scan, key.list_column, text, position)),
                    col(key.list_column),
                    text,
                ),
            )
    return source


def _elements_of_lists(scan: Scan, column: Column, text: Statement, position: int) -> Statement:
    """Rows (list's text, parts of one of its elements …) for each distinct list."""
    parts = joined(
        ", ",
        (
            sql('"$element".{} AS {}', Statement(part), _element_part(part, position))
            for part in ("number", "big", "string", "boolean")
        ),
    )
    listed = sql(
        'SELECT {}, {} FROM (SELECT {}, unnest({}) AS "$element" FROM (SELECT DISTINCT {} AS {}{}))',
        text,
        parts,
        text,
        elements(text),
        col(column),
        text,
        filtered(replace(scan, actors=())),
    )
    if not isinstance(column, ActorColumn):
        return listed
    string, number, big, boolean = (
        _element_part(part, position) for part in ("string", "number", "big", "boolean")
    )
    cells = linked_cells(column.links, string, number)
    actors = (sql("{} AS {}", cells.string, string), sql("{} AS {}", cells.number, number))
    listing = joined(", ", (text, *actors, big, boolean))
    return sql("SELECT DISTINCT {} FROM ({})\n{}", listing, listed, cells.joins)
