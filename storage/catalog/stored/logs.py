"""Logs and how far each is flushed. Each function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.errors import LogConflict, UnknownLog
from storage.catalog.records import LogRow, LogState
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


def create_log(connection: Connection, now_us: int) -> int:
    values = {"state": LogState.OPEN.value, "flushed_lsn": 0, "created_us": now_us}
    return int(connection.execute(_INSERT, values).scalar_one())


def list_logs(connection: Connection) -> tuple[LogRow, ...]:
    return tuple(
        LogRow(log_id, LogState(state), flushed_lsn, end_lsn)
        for log_id, state, flushed_lsn, end_lsn in connection.execute(_LOGS)
    )


def seal_log(connection: Connection, log_id: int, end_lsn: int, last_claimed_ordinal: int | None) -> None:
    """Ends the log and voids claims of events that it does not hold. Sealing twice alike is no error."""
    log = _find(connection, log_id)
    if log.state is LogState.SEALED and log.end_lsn != end_lsn:
        raise LogConflict(f"Log {log_id} is sealed at {log.end_lsn} and cannot be sealed at {end_lsn}.")
    if end_lsn < log.flushed_lsn:
        raise LogConflict(f"Log {log_id} is flushed through {log.flushed_lsn}; it cannot end at {end_lsn}.")
    connection.execute(_SEAL, {"log_id": log_id, "end": end_lsn})
    last = -1 if last_claimed_ordinal is None else last_claimed_ordinal
    connection.execute(_VOID_AFTER, {"log_id": log_id, "last": last})


def advance(connection: Connection, positions: Mapping[int, int]) -> None:
    """Moves each log's flushed position; LogConflict where it would go back or past the log's end."""
    for log_id, lsn in positions.items():
        if connection.execute(_ADVANCE, {"log_id": log_id, "lsn": lsn}).rowcount != 1:
            log = _find(connection, log_id)
            raise LogConflict(
                f"Log {log_id} is flushed through {log.flushed_lsn} and ends at {log.end_lsn}: "
                f"its position cannot become {lsn}."
            )


def remove_log(connection: Connection, log_id: int) -> None:
    """Forgets a log all of whose events stand in files. LogConflict for any other."""
    log = _find(connection, log_id)
    if log.state is not LogState.SEALED or log.flushed_lsn != log.end_lsn:
        raise LogConflict(f"Log {log_id} is not flushed to its end: it cannot be removed.")
    connection.execute(_REMOVE, {"log_id": log_id})


def mend_log(
    connection: Connection,
    log_id: int,
    end_lsn: int,
    last_claimed_ordinal: int | None,
    voids: Iterable[tuple[int, int]],
) -> None:
    """Ends a log, sealed or not, where it ends since it was repaired. ``voids``: claimed ordinals, from
    (included) and to (excluded), without an event; None: which ones after the last are is not known."""
    log = _find(connection, log_id)
    if end_lsn < log.flushed_lsn:
        raise LogConflict(f"Log {log_id} is flushed through {log.flushed_lsn}; it cannot end at {end_lsn}.")
    connection.execute(_SEAL, {"log_id": log_id, "end": end_lsn})
    for low, high in voids:
        connection.execute(_VOID_BETWEEN, {"log_id": log_id, "low": low, "high": high})
    if last_claimed_ordinal is not None:
        connection.execute(_VOID_AFTER, {"log_id": log_id, "last": last_claimed_ordinal})


def _find(connection: Connection, log_id: int) -> LogRow:
    row = connection.execute(_LOG, {"log_id": log_id}).first()
    if row is None:
        raise UnknownLog(f"There is no log {log_id}.")
    return LogRow(row.id, LogState(row.state), row.flushed_lsn, row.end_lsn)
