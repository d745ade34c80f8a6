"""The actors of cohorts as Arrow tables, and the ids that are linked to them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from query.plan.actors import ID_NUMBER, ID_STRING, TO_NUMBER, TO_STRING, IdLinks

MEMBER = "$member"
"""The one column of the tables; ``query.sql.statement.MEMBER``."""
STRING, NUMBER = "string", "number"
"""The parts of a value that can be linked; ``query.plan.keys.KeyPart``."""
_COLUMNS = {STRING: (ID_STRING, TO_STRING), NUMBER: (ID_NUMBER, TO_NUMBER)}


def table_of(column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return pa.table({MEMBER: column})


def canonical(tables: Mapping[str, pa.Table], links: IdLinks) -> dict[str, pa.Table]:
    """The actors by the ids that stand for them, each once."""
    found: dict[str, list[pa.ChunkedArray]] = {}
    for part, table in tables.items():
        column = table.column(MEMBER)
        if part not in _COLUMNS:
            found[part] = [column]
            continue
        at = pc.index_in(column, value_set=links.table.column(_COLUMNS[part][0]).combine_chunks())
        found.setdefault(part, []).append(column.filter(pc.is_null(at)))
        rows = links.table.take(at.drop_null())
        for to, (_, name) in _COLUMNS.items():
            found.setdefault(to, []).append(rows.column(name).drop_null())
    columns = {part: pc.unique(_together(columns)) for part, columns in found.items()}
    return {part: table_of(column) for part, column in columns.items() if len(column)}


def with_ids(tables: Mapping[str, pa.Table], links: IdLinks) -> dict[str, pa.Table]:
    """The actors by all their ids. An event's id is among them where its actor is among ``tables``."""
    of_member = [
        pc.is_in(links.table.column(to), value_set=_together(tables[part].column(MEMBER).chunks))
        for part, (_, to) in _COLUMNS.items()
        if part in tables
    ]
    if not of_member:
        return dict(tables)
    mask = of_member[0] if len(of_member) == 1 else pc.or_(*of_member)
    rows, found = links.table.filter(mask), dict(tables)
    for part, (name, _) in _COLUMNS.items():
        ids = rows.column(name).drop_null()
        own = [tables[part].column(MEMBER).cast(ids.type)] if part in tables else []
        if len(ids):
            found[part] = table_of(_together([*own, ids]))
    return found


def _together(columns: list[pa.ChunkedArray] | list[pa.Array]) -> pa.Array:
    chunks = [
        chunk for one in columns for chunk in (one.chunks if isinstance(one, pa.ChunkedArray) else [one])
    ]
    return pa.concat_arrays(chunks) if chunks else columns[0].combine_chunks()
