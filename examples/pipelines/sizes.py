"""An operation in Python: the size of each order."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def with_size(rows: pa.Table) -> pa.Table:
    """The rows with a column ``size``."""
    size = pc.if_else(pc.greater_equal(rows.column("total"), 50.0), "large", "small")
    return rows.append_column("size", size)
