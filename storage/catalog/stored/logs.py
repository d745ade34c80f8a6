"""Logs and how far each is flushed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.errors import LogConflict, UnknownLog
from storage.catalog.repository import Repository
from storage.catalog.state import get_meta, set_meta
from storage.catalog.stored.records import LogRow, LogState, Loss
from storage.catalog.tables import claims, logs

_LOGS = select(logs.c.id, logs.c.state, logs.c.flushed_lsn, logs.c.end_lsn).order_by(logs.c.id)
_LOG = _LOGS.where(logs.c.id == bindparam("log_id"))
_INSERT = insert(logs).returning(logs.c.id)
_SEAL = (
    update(logs)
    .where(logs.c.id == bindparam("log_id"))
    .values(state=LogState.SEALED.value, end_lsn=bindparam("end"))
)
_ADVANCE = (
    update(logs)
    .where(
        logs.c.id == bindparam("log_id"),
        logs.c.flushed_lsn <= bindparam("lsn"),
        (logs.c.end_lsn.is_(None)) | (logs.c.end_lsn >= bindparam("lsn")),
    )
    .values(flushed_lsn=bindparam("lsn"))
)
_REMOVE = delete(logs).where(logs.c.id == bindparam("log_id"))
_VOID_AFTER = delete(claims).where(
    claims.c.log_id == bindparam("log_id"), claims.c.ordinal > bindparam("last")
)
_VOID_BETWEEN = delete(claims).where(
    claims.c.log_id == bindparam("log_id"),
    claims.c.ordinal >= bindparam("low"),
    claims.c.ordinal < bindparam("high"),
)

_LOSSES = "losses"


class Logs(Repository):
    """Logs, how far each is flushed, and the losses that repairs found."""

    def create(self) -> int:
        """Commits a new, open log and returns its id."""
        with self._database.changing(Area.DATA) as connection:
            values = {"state": LogState.OPEN.value, "flushed_lsn": 0, "created_us": self._clock()}
            return int(connection.execute(_INSERT, values).scalar_one())

    def all(self) -> list[LogRow]:
        with self._database.reading() as connection:
            return list(list_logs(connection))

    def seal(self, log_id: int, end_lsn: int, last_claimed_ordinal: int | None) -> None:
        """Ends a log. Removes the claims of ordinals after the last recovered one, or all if that is None.

        Raises UnknownLog, LogConflict.
        """
        with self._database.changing(Area.DATA) as connection:
            log = _find(connection, log_id)
            if log.state is LogState.SEALED and log.end_lsn != end_lsn:
                raise LogConflict(
                    f"Log {log_id} is sealed at {log.end_lsn} and cannot be sealed at {end_lsn}."
                )
            if end_lsn < log.flushed_lsn:
                raise _ends_early(log, end_lsn)
            connection.execute(_SEAL, {"log_id": log_id, "end": end_lsn})
            last = -1 if last_claimed_ordinal is None else last_claimed_ordinal
            connection.execute(_VOID_AFTER, {"log_id": log_id, "last": last})

    def remove(self, log_id: int) -> None:
        """Removes a sealed log that is flushed to its end. Raises UnknownLog, LogConflict."""
        with self._database.changing(Area.DATA) as connection:
            log = _find(connection, log_id)
            if log.state is not LogState.SEALED or log.flushed_lsn != log.end_lsn:
                raise LogConflict(f"Log {log_id} is not flushed to its end: it cannot be removed.")
            connection.execute(_REMOVE, {"log_id": log_id})

    def mend(
        self,
        log_id: int,
        end_lsn: int,
        last_claimed_ordinal: int | None,
        voids: Iterable[tuple[int, int]],
    ) -> None:
        """Ends a log at the end that a repair found. Removes the claims of the ordinals in ``voids`` (ranges
        without their end), and of those after ``last_claimed_ordinal`` unless it is None.

        Raises UnknownLog, LogConflict.
        """
        with self._database.changing(Area.DATA) as connection:
            log = _find(connection, log_id)
            if end_lsn < log.flushed_lsn:
                raise _ends_early(log, end_lsn)
            connection.execute(_SEAL, {"log_id": log_id, "end": end_lsn})
            for low, high in voids:
                connection.execute(_VOID_BETWEEN, {"log_id": log_id, "low": low, "high": high})
            if last_claimed_ordinal is not None:
                connection.execute(_VOID_AFTER, {"log_id": log_id, "last": last_claimed_ordinal})

    def losses(self) -> list[Loss]:
        """The parts of logs that repairs could not read."""
        with self._database.reading() as connection:
            return _losses(connection)

    def add_losses(self, losses: Sequence[Loss]) -> None:
        """Adds losses, which are kept indefinitely; known ones are not added again."""
        with self._database.writing() as connection:
            known = {(loss.log_id, loss.lsn): loss for loss in [*_losses(connection), *losses]}
            set_meta(connection, _LOSSES, json.dumps([asdict(loss) for loss in known.values()]))


def list_logs(connection: Connection) -> tuple[LogRow, ...]:
    return tuple(
        LogRow(log_id, LogState(state), flushed_lsn, end_lsn)
        for log_id, state, flushed_lsn, end_lsn in connection.execute(_LOGS)
    )


def advance(connection: Connection, positions: Mapping[int, int]) -> None:
    """Moves each log's flushed position. Raises LogConflict where it would go back or past the log's end."""
    for log_id, lsn in positions.items():
        if connection.execute(_ADVANCE, {"log_id": log_id, "lsn": lsn}).rowcount != 1:
            log = _find(connection, log_id)
            raise LogConflict(
                f"Log {log_id} is flushed through {log.flushed_lsn} and ends at {log.end_lsn}: "
                f"its position cannot become {lsn}."
            )


def _find(connection: Connection, log_id: int) -> LogRow:
    row = connection.execute(_LOG, {"log_id": log_id}).first()
    if row is None:
        raise UnknownLog(f"There is no log {log_id}.")
    return LogRow(row.id, LogState(row.state), row.flushed_lsn, row.end_lsn)


def _losses(connection: Connection) -> list[Loss]:
    return [Loss(**row) for row in json.loads(get_meta(connection, _LOSSES) or "[]")]


def _ends_early(log: LogRow, end_lsn: int) -> LogConflict:
    return LogConflict(f"Log {log.id} is flushed through {log.flushed_lsn}; it cannot end at {end_lsn}.")
