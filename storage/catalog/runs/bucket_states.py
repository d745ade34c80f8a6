"""How the buckets of pipelines stand against their inputs, compared by the database.

Of a year of buckets that are as they should be none is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from storage.catalog.database.connection import slices
from storage.catalog.derived.pipeline_records import HELD, BucketState, DerivedBucket
from storage.catalog.repository import Repository
from storage.catalog.tables import pipeline_buckets

InputTexts = Sequence[tuple[int, int, str]]
"""Buckets that have events: start, end, and what they would be derived from now, as it is stored."""

_STATES = tuple(BucketState)
_HELD = ", ".join(f"'{one}'" for one in HELD)
_COUNTS = ", ".join(f"total(b.state = '{one}')" for one in _STATES)
_SETTLED = f"""
    b.state IN ({_HELD}) OR b.state = 'fresh' AND (
        b.start_us < :kept_from OR n.start_us IS NULL AND b.rows_out = 0 AND b.quarantined = 0
        OR b.digest = p.digest AND b.inputs IS n.inputs
    )
"""
# Rows that are as they should be are only compared and summed; all others are read, and verified.
_COMPARED = text(f"""
    WITH n AS MATERIALIZED (
        SELECT CAST(json_extract(value, '$[0]') AS BIGINT) AS start_us,
            CAST(json_extract(value, '$[1]') AS BIGINT) AS end_us, json_extract(value, '$[2]') AS inputs
        FROM json_each(:now)
    )
    SELECT b.pipeline_id, {_COUNTS}, total(b.rows_out), total(b.quarantined), total(b.seconds),
        max(b.end_us) FILTER (WHERE b.state = 'fresh'), count(n.start_us),
        json_group_array(b.start_us) FILTER (WHERE NOT ({_SETTLED}))
    FROM pipeline_buckets b
        JOIN pipelines p ON p.id = b.pipeline_id
        LEFT JOIN n ON n.start_us = b.start_us AND n.end_us = b.end_us
    WHERE b.pipeline_id IN (SELECT value FROM json_each(:of))
    GROUP BY b.pipeline_id
""")
_SPANS = text("SELECT start_us, end_us FROM pipeline_buckets WHERE pipeline_id = :of")
_COLUMNS = tuple(pipeline_buckets.c[name] for name in DerivedBucket.__dataclass_fields__)
_AT = (
    select(*_COLUMNS)
    .where(
        pipeline_buckets.c.pipeline_id == bindparam("of"),
        pipeline_buckets.c.start_us.in_(bindparam("starts", expanding=True)),
    )
    .order_by(pipeline_buckets.c.start_us)
)


@dataclass(frozen=True, slots=True)
class BucketStanding:
    """The buckets of one pipeline."""

    counts: Mapping[BucketState, int]
    rows: int
    quarantined: int
    seconds: float
    fresh_until_us: int | None
    """The end of the newest fresh one."""
    unlike: Sequence[DerivedBucket]
    """In order: those that failed, are to be derived again, or were derived from other inputs or by another
    definition than those of now."""
    missing: frozenset[tuple[int, int]]
    """The buckets with events that there are none of, as (start, end)."""


class BucketStates(Repository):
    """The buckets of pipelines, summed."""

    def compared(
        self, pipeline_ids: Sequence[int], now: InputTexts, kept_from_us: int | None
    ) -> dict[int, BucketStanding]:
        """How the buckets of pipelines that have the same inputs stand against these.

        Rows of fresh buckets that begin before ``kept_from_us`` stay whatever their inputs are.
        """
        values = {
            "of": json.dumps(list(pipeline_ids)),
            "now": json.dumps(now),
            "kept_from": -(2**62) if kept_from_us is None else kept_from_us,
        }
        with self._database.reading() as connection:
            rows = {row[0]: row[1:] for row in connection.execute(_COMPARED, values)}
            return {one: _standing(connection, one, rows.get(one), now) for one in pipeline_ids}


def _standing(connection: Connection, pipeline_id: int, row: Any, now: InputTexts) -> BucketStanding:
    if row is None:
        nothing = dict.fromkeys(_STATES, 0)
        return BucketStanding(nothing, 0, 0, 0.0, None, (), frozenset((start, end) for start, end, _ in now))
    *counts, rows, aside, seconds, until_us, known, starts = row
    missing: frozenset[tuple[int, int]] = frozenset()
    if known < len(now):
        there = {(one.start_us, one.end_us) for one in connection.execute(_SPANS, {"of": pipeline_id})}
        missing = frozenset((start, end) for start, end, _ in now) - there
    by_state = {state: int(count) for state, count in zip(_STATES, counts, strict=True)}
    unlike = _read(connection, pipeline_id, sorted(json.loads(starts)))
    return BucketStanding(by_state, int(rows), int(aside), seconds, until_us, unlike, missing)


def _read(connection: Connection, pipeline_id: int, starts: Sequence[int]) -> list[DerivedBucket]:
    return [
        DerivedBucket(**{**row._mapping, "state": BucketState(row.state)})
        for some in slices(starts)
        for row in connection.execute(_AT, {"of": pipeline_id, "starts": some})
    ]
