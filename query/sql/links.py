"""SQL that gives ids the one that stands for their actor."""

from __future__ import annotations

from dataclasses import dataclass

from query.plan.actors import ID_NUMBER, ID_STRING, LINKS_TABLE, TO_NUMBER, TO_STRING, IdLinks
from query.sql.statement import Statement, joined, name, sql

_KINDS = ((ID_STRING, TO_STRING, "VARCHAR"), (ID_NUMBER, TO_NUMBER, "DOUBLE"))


@dataclass(frozen=True, slots=True)
class LinkedCells:
    """``joins`` follows the rows that have the ids; of the two cells at most one is not null."""

    joins: Statement
    string: Statement
    number: Statement


def linked_cells(links: IdLinks, string: Statement | None, number: Statement | None) -> LinkedCells:
    """The actor's id as text and as number, of rows that have their own id as a text or as a number."""
    joins: list[Statement] = []
    found: list[Statement] = []
    for own, id_column, has in (
        (string, ID_STRING, links.from_strings),
        (number, ID_NUMBER, links.from_numbers),
    ):
        if own is None or not has:
            continue
        called = name(f"$linked{len(joins)}")
        found.append(called)
        joins.append(
            sql("LEFT JOIN {} AS {} ON {} = {}.{}", name(LINKS_TABLE), called, own, called, name(id_column))
        )
    cells = [
        _cell(own, [sql("{}.{}", link, name(to)) for link in found], kind, elsewhere)
        for own, (_, to, kind), elsewhere in (
            (string, _KINDS[0], _all_null(found, TO_NUMBER) if links.to_numbers else None),
            (number, _KINDS[1], _all_null(found, TO_STRING) if links.to_strings else None),
        )
    ]
    return LinkedCells(joined("\n", joins), *cells)


def _cell(
    own: Statement | None, found: list[Statement], kind: str, not_elsewhere: Statement | None
) -> Statement:
    """What the links give, or the row's own where its id has none."""
    if own is not None and not_elsewhere is not None:
        own = sql("CASE WHEN {} THEN {} END", not_elsewhere, own)
    values = [*found, *([] if own is None else [own])]
    return sql("coalesce({})", joined(", ", values)) if values else Statement(f"CAST(NULL AS {kind})")


def _all_null(links: list[Statement], column: str) -> Statement | None:
    """Whether no link gives an id of the other kind."""
    tests = [sql("{}.{} IS NULL", link, name(column)) for link in links]
    return joined(" AND ", tests) if tests else None
