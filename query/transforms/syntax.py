"""Whether the SQL of an operation can be parsed, without knowing any column."""

from __future__ import annotations

import duckdb

from query.transforms.compile import BESIDE, compiled
from query.transforms.nodes import BucketSpan, Mask, Operation

_ANY = BucketSpan(0, 1)


def syntax_fault(operation: Operation) -> str | None:
    """What DuckDB's parser says of an operation that it cannot parse; None of one that it can, and of those
    that are no SQL."""
    if isinstance(operation, Mask) or not isinstance(operation, BESIDE):
        return None
    try:
        duckdb.extract_statements(compiled([operation], _ANY, looks_back=False).text)
    except duckdb.Error as error:
        return str(error).partition("\n")[0]
    return None
