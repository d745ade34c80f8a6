"""Rows that expectations have set aside, as rows of the pipeline's quarantine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from query.transforms.nodes import BucketSpan
from service.pipelines.expectations.reports import SetAside
from storage.columns.arrow_lanes import Unstorable, lanes_of_table
from storage.events.validation import EventLimits
from storage.files.derived_buckets import DerivedRows
from storage.schema import CREATED_AT, TIMESTAMP

NO_ROWS = DerivedRows(pa.array([], pa.timestamp("us")))
TEXT_MAX = 9_000
"""Characters of a row that is stored as a text."""


def quarantined_rows(
    set_aside: Sequence[SetAside], bucket: BucketSpan, limits: EventLimits
) -> DerivedRows | None:
    """Each with ``expectation``, ``rules``, ``digest``, and its columns below ``row``; None where there are
    none. The times of its event are not among these: a row has the time of its event, or its bucket's start
    where that is outside of the bucket."""
    if not set_aside:
        return None
    inside = (bucket.start_us, bucket.end_us - 1)
    times = [min(max(one.at_us or 0, inside[0]), inside[1]) for one in set_aside]
    described = {
        "expectation": pa.array([one.expectation for one in set_aside]),
        "rules": pa.array([json.dumps(list(one.rules), ensure_ascii=False) for one in set_aside]),
        "digest": pa.array([one.digest for one in set_aside]),
    }
    try:
        cells = _cells([one.row for one in set_aside])
        lanes = lanes_of_table(pa.table(described | cells), frozenset({"rules", *cells}), limits)
    except Unstorable:
        # What no event can hold may be just what is wrong with a row.
        texts = [json.dumps(one.row, ensure_ascii=False)[:TEXT_MAX] for one in set_aside]
        lanes = lanes_of_table(
            pa.table(described | {"row_text": pa.array(texts)}), frozenset({"rules"}), limits
        )
    return DerivedRows(pa.array(times, pa.timestamp("us")), lanes)


def _cells(rows: Sequence[Any]) -> dict[str, pa.Array]:
    """Each column of the rows as JSON texts, below ``row``."""
    names = dict.fromkeys(name for row in rows for name in row if name not in (TIMESTAMP, CREATED_AT))
    return {
        f"row.{name}": pa.array(
            [json.dumps(row[name], ensure_ascii=False) if name in row else None for row in rows], pa.string()
        )
        for name in names
    }
