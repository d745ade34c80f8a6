"""Erasures: requests to delete or change stored events.

A request is durable before the keeper begins it, and is marked as done in the transaction that swaps the
files, so that it is carried out exactly once even after a crash. Its parameters may contain personal data,
and are wiped once it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.catalog.database.connection import Database
from storage.catalog.database.versions import Area
from storage.catalog.repository import Repository
from storage.catalog.stored.claims import forget_claims
from storage.catalog.stored.collections import free_empty, prune
from storage.catalog.stored.files import rewrite_past, swap_files
from storage.catalog.stored.history import begin_history, note_erased
from storage.catalog.stored.records import (
    NOTHING_PAST,
    Counts,
    Erasure,
    ErasureKind,
    ErasureState,
    FileRow,
    PastChange,
    RequestedErasure,
    TokenHolder,
)
from storage.catalog.stored.schemas import SchemaCache
from storage.catalog.tables import collections, erasures

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
_OF_PROJECT = (
    select(
        *_COLUMNS, erasures.c.requested_us, erasures.c.ended_us, collections.c.name, collections.c.freed_us
    )
    .join(collections, erasures.c.collection_id == collections.c.id)
    .where(collections.c.project_id == bindparam("project"))
    .order_by(erasures.c.id.desc())
)
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
_FORGET = delete(erasures).where(
    erasures.c.state != ErasureState.WAITING.value, erasures.c.ended_us < bindparam("before")
)


class Erasures(Repository):
    """Requests to delete or change stored events."""

    def __init__(self, database: Database, clock: Callable[[], int], schemas: SchemaCache) -> None:
        super().__init__(database, clock)
        self._schemas = schemas

    def request(self, collection_id: int, kind: ErasureKind, parameters: Mapping[str, Any]) -> int:
        """Commits a request for the keeper and returns its id."""
        with self._database.changing(Area.DATA) as connection:
            values = {
                "collection_id": collection_id,
                "kind": kind.value,
                "parameters": json.dumps(parameters),
                "state": ErasureState.WAITING.value,
                "events": 0,
                "requested_us": self._clock(),
            }
            return int(connection.execute(insert(erasures).returning(erasures.c.id), values).scalar_one())

    def waiting(self) -> list[Erasure]:
        """Requests that are not done yet, oldest first."""
        with self._database.reading() as connection:
            return [_read(row) for row in connection.execute(_WAITING)]

    def find(self, erasure_id: int) -> Erasure | None:
        with self._database.reading() as connection:
            row = connection.execute(_FIND, {"wanted": erasure_id}).first()
            return None if row is None else _read(row)

    def of_project(
        self, project_id: str, *, before: int | None = None, limit: int = 1_000
    ) -> list[RequestedErasure]:
        """The project's requests that are known still, newest first, with ids below ``before``."""
        wanted = _OF_PROJECT if before is None else _OF_PROJECT.where(erasures.c.id < before)
        with self._database.reading() as connection:
            rows = connection.execute(wanted.limit(limit), {"project": project_id})
            return [_read_requested(row) for row in rows]

    def last(self) -> int:
        """The greatest id of a request that was done; 0 before the first."""
        with self._database.reading() as connection:
            return _last(connection)

    def last_us(self) -> int:
        """When the last request was done; 0 before the first."""
        with self._database.reading() as connection:
            return int(connection.execute(_LAST_END).scalar() or 0)

    def commit(
        self,
        erasure: Erasure,
        remove_ids: Sequence[int],
        add: Sequence[FileRow],
        *,
        erased: int,
        events: int,
        holders: Iterable[TokenHolder] = (),
        nulls: Set[str] = frozenset(),
        changed: bool = True,
        past: PastChange = NOTHING_PAST,
    ) -> bool:
        """Swaps files and ends the request, in one transaction.

        ``erased`` is the number of deleted rows, ``events`` the number to record in the request, and
        ``holders`` are deleted events, whose tokens are freed. If ``changed`` is False, no file is removed or
        added, and results computed from the collection stay valid. ``past`` is what an erasure changes of
        earlier versions.

        Property and collection names that no event needs any more are removed, since everything that was read
        from the logs is in files. ``nulls`` are the paths at which an event has an explicit null.

        False, and nothing is changed, where a file is no longer live or the request no longer waits. Raises
        the errors of ``Files.swap``.
        """
        with self._database.changing(Area.DATA) as connection:
            now_us = self._clock()
            counts = Counts(0, -erased, 0, erased)
            swapped = not changed or swap_files(
                connection,
                erasure.collection_id,
                remove_ids,
                add,
                counts,
                now_us,
                changed=True,
                kept=erasure.kind is ErasureKind.UPDATE,
            )
            swapped = swapped and _change_past(connection, erasure.collection_id, past, now_us)
            done = swapped and _end(connection, erasure, now_us, events=events)
            if done:
                forget_claims(connection, holders)
                prune(connection, self._schemas, erasure.collection_id, frozenset(), nulls)
                free_empty(connection, erasure.collection_id, now_us)
            else:
                connection.rollback()
            return done

    def fail(self, erasure: Erasure, problem: str) -> None:
        """Ends a request that cannot be carried out."""
        with self._database.changing(Area.DATA) as connection:
            _end(connection, erasure, self._clock(), problem=problem)

    def forget(self, before_us: int) -> int:
        """Removes requests that ended before then, except the last one done; returns how many."""
        with self._database.writing() as connection:
            kept = _last(connection)
            return connection.execute(_FORGET.where(erasures.c.id != kept), {"before": before_us}).rowcount


def _change_past(connection: Connection, collection_id: int, past: PastChange, now_us: int) -> bool:
    if past.span is not None:
        note_erased(connection, collection_id, past.span, past.events, now_us)
    begin_history(connection, past.lost)
    return rewrite_past(connection, collection_id, past.removed, past.added, now_us)


def _last(connection: Connection) -> int:
    """The greatest id of a request that was done; 0 before the first."""
    return int(connection.execute(_DONE).scalar() or 0)


def _end(
    connection: Connection, erasure: Erasure, now_us: int, *, events: int = 0, problem: str | None = None
) -> bool:
    """Ends a waiting request. False where it is not waiting any more."""
    state = ErasureState.DONE if problem is None else ErasureState.FAILED
    values = {"wanted": erasure.id, "to": state.value, "count": events, "why": problem, "now": now_us}
    return connection.execute(_END, values).rowcount == 1


def _read_requested(row: Any) -> RequestedErasure:
    name = row.name if row.freed_us is None else None
    return RequestedErasure(_read(row), name, row.requested_us, row.ended_us)


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
