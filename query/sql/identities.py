"""SQL for the statements of which ids belong together."""

from __future__ import annotations

from collections.abc import Sequence

from query.plan.columns import CREATED_AT_COLUMN, ID_COLUMN, TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.scans import Scan
from query.sql.reading import filtered
from query.sql.statement import TYPES, Note, Statement, col, joined, noted, sql, whole

KINDS = (ColumnKind.STRING, ColumnKind.NUMBER)
"""The kinds of values that are ids."""
ORDER = (CREATED_AT_COLUMN, TIMESTAMP_COLUMN, ID_COLUMN)
"""By what events are in the order of their arrival."""


def said(scan: Scan, properties: Sequence[tuple[Column, ...]], limit: int) -> Statement:
    """What events say, each once, in the order in which it was first said.

    Columns: of each property a cell for each kind; the number of events that say so, and when the last one
    arrived, in µs.
    """
    cells = [_cell(columns, kind) for columns in properties for kind in KINDS]
    numbers = joined(", ", (whole(number) for number in range(1, len(cells) + 1)))
    by = (sql("{} := {}", Statement(f"by{at}"), col(column)) for at, column in enumerate(ORDER))
    rows = sql(
        "SELECT {}, count(*), max(epoch_us({})), min(struct_pack({})){}\nGROUP BY {}\nORDER BY {} LIMIT {}",
        joined(", ", cells),
        col(CREATED_AT_COLUMN),
        joined(", ", by),
        filtered(scan),
        numbers,
        whole(len(cells) + 3),
        whole(limit),
    )
    return noted(Note.LINKS, rows)


def _cell(columns: Sequence[Column], kind: ColumnKind) -> Statement:
    own = next((column for column in columns if column.kind is kind), None)
    return Statement(f"CAST(NULL AS {TYPES[kind]})") if own is None else col(own)
