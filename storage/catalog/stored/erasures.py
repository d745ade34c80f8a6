"""Requests to take events away or to change them. Each function runs in its caller's transaction.

A request is durable before anybody begins on it, and done in the transaction that swaps the files: whoever
dies in between, it is done once. What it asked for may name a person, and is wiped once it is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, LargeBinary, bindparam, cast, delete, func, insert, select, update

from storage.catalog.database.connection import VALUES_MAX
from storage.catalog.records import (
    SHARE_LENGTH,
    SHARED,
    Erasure,
    ErasureKind,
    ErasureState,
    FileState,
    TokenHolder,
    shared_token,
)
from storage.catalog.tables import claims, collections, erasures, files, projects
from storage.catalog.tenants.projects import PURGING

_COLUMNS = (
    erasures.c.id,
    erasures.c.collection_id,
    erasures.c.kind,
    erasures.c.parameters,
    erasures.c.state,
    erasures.c.events,
    erasures.c.problem,
)
_WAITING = select(*_COLUMNS).where(erasures.c.state == ErasureState.WAITING.value).order_by(erasures.c.id)
_FIND = select(*_COLUMNS).where(erasures.c.id == bindparam("wanted"))
_DONE = select(func.max(erasures.c.id)).where(erasures.c.state == ErasureState.DONE.value)
_LAST_END = select(func.max(erasures.c.ended_us)).where(erasures.c.state == ErasureState.DONE.value)
_END = (
    update(erasures)
    .where(erasures.c.id == bindparam("wanted"), erasures.c.state == ErasureState.WAITING.value)
    .values(
        state=bindparam("to"),
        events=bindparam("count"),
        problem=bindparam("why"),
        ended_us=bindparam("now"),
        parameters="{}",
    )
)
_RETENTIONS = select(collections.c.id, collections.c.retention_days).where(
    collections.c.retention_days.is_not(None)
)
_RETAINED = select(collections.c.id, collections.c.retained_days).where(
    collections.c.retained_days.is_not(None)
)
_NOTE_RETAINED = (
    update(collections).where(collections.c.id == bindparam("of")).values(retained_days=bindparam("days"))
)
_PURGED = (
    select(collections.c.id)
    .join(projects, projects.c.id == collections.c.project_id)
    .join(files, files.c.collection_id == collections.c.id)
    .where(projects.c.purged_us > PURGING, files.c.state == FileState.LIVE.value)
    .distinct()
)
_RETAIN = (
    update(collections)
    .where(collections.c.id == bindparam("of"))
    .values(retention_days=bindparam("days"), retained_days=None)
)
_FORGET = delete(erasures).where(
    erasures.c.state != ErasureState.WAITING.value, erasures.c.ended_us < bindparam("before")
)
_UNCLAIM = delete(claims).where(
    claims.c.scope == bindparam("of"),
    claims.c.token == bindparam("held"),
    claims.c.log_id == bindparam("of_log"),
    claims.c.ordinal <= bindparam("of_ordinal"),
)


_UNCLAIM_SHARED = delete(claims).where(
    claims.c.scope == bindparam("of"),
    claims.c.token > bindparam("held"),
    claims.c.token < bindparam("beyond"),
    func.length(cast(claims.c.token, LargeBinary)) == bindparam("bytes"),
    claims.c.log_id == bindparam("of_log"),
    claims.c.ordinal <= bindparam("of_ordinal"),
)
_ANY_CLAIM = select(claims.c.scope).where(claims.c.scope == bindparam("of")).limit(1)


def request_erasure(
    connection: Connection, collection_id: int, kind: ErasureKind, parameters: Mapping[str, Any], now_us: int
) -> int:
    """The id of the request."""
    values = {
        "collection_id": collection_id,
        "kind": kind.value,
        "parameters": json.dumps(parameters),
        "state": ErasureState.WAITING.value,
        "events": 0,
        "requested_us": now_us,
    }
    return int(connection.execute(insert(erasures).returning(erasures.c.id), values).scalar_one())


def waiting_erasures(connection: Connection) -> list[Erasure]:
    """Oldest first."""
    return [_read(row) for row in connection.execute(_WAITING)]


def find_erasure(connection: Connection, erasure_id: int) -> Erasure | None:
    row = connection.execute(_FIND, {"wanted": erasure_id}).first()
    return None if row is None else _read(row)


def last_erasure(connection: Connection) -> int:
    """The id of the last one that was done; 0 before the first."""
    return int(connection.execute(_DONE).scalar() or 0)


def last_erasure_us(connection: Connection) -> int:
    """When the last one was done; 0 before the first."""
    return int(connection.execute(_LAST_END).scalar() or 0)


def end_erasure(
    connection: Connection, erasure: Erasure, now_us: int, *, events: int = 0, problem: str | None = None
) -> bool:
    """False where it does not wait any more."""
    state = ErasureState.DONE if problem is None else ErasureState.FAILED
    values = {"wanted": erasure.id, "to": state.value, "count": events, "why": problem, "now": now_us}
    return connection.execute(_END, values).rowcount == 1


def forget_claims(connection: Connection, holders: Iterable[TokenHolder]) -> None:
    """Frees the tokens of events that are no more, where it is still they that have them."""
    rest = iter(holders)
    while some := list(islice(rest, VALUES_MAX)):
        rows = [
            {"of": one.scope, "held": one.token, "of_log": one.log_id, "of_ordinal": one.ordinal}
            for one in some
        ]
        connection.execute(_UNCLAIM, rows)
        _forget_shared(connection, some)


def _forget_shared(connection: Connection, holders: Sequence[TokenHolder]) -> None:
    """The same of keys with an autofill: events do not say which key's they were, but where they stand."""
    shared = {one.scope: one.scope + SHARED for one in holders}
    shared = {own: of for own, of in shared.items() if connection.execute(_ANY_CLAIM, {"of": of}).first()}
    rows = [
        {
            "of": shared[one.scope],
            "held": shared_token(one.token, ""),
            "beyond": shared_token(one.token, "\x7f"),
            "bytes": len(shared_token(one.token, "0" * SHARE_LENGTH).encode()),
            "of_log": one.log_id,
            "of_ordinal": one.ordinal,
        }
        for one in holders
        if one.scope in shared
    ]
    if rows:
        connection.execute(_UNCLAIM_SHARED, rows)


def forget_erasures(connection: Connection, before_us: int) -> int:
    """Removes requests that ended before then; returns how many. The newest one that was done stays."""
    kept = last_erasure(connection)
    return connection.execute(_FORGET.where(erasures.c.id != kept), {"before": before_us}).rowcount


def retentions(connection: Connection) -> dict[int, int]:
    """Collection id → days, of those that keep events for so long only."""
    return {row.id: row.retention_days for row in connection.execute(_RETENTIONS)}


def retained(connection: Connection) -> dict[int, int]:
    """Collection id → days, of those whose retention was carried out at least once since it was set."""
    return {row.id: row.retained_days for row in connection.execute(_RETAINED)}


def note_retained(connection: Connection, collection_id: int, days: int) -> None:
    connection.execute(_NOTE_RETAINED, {"of": collection_id, "days": days})


def purged_collections(connection: Connection) -> set[int]:
    """Ids of collections of purged projects that have live files still."""
    return set(connection.execute(_PURGED).scalars())


def set_retention(connection: Connection, collection_id: int, days: int | None) -> None:
    connection.execute(_RETAIN, {"of": collection_id, "days": days})


def _read(row: Any) -> Erasure:
    return Erasure(
        id=row.id,
        collection_id=row.collection_id,
        kind=ErasureKind(row.kind),
        parameters=json.loads(row.parameters),
        state=ErasureState(row.state),
        events=row.events,
        problem=row.problem,
    )
