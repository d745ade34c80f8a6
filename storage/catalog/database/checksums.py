"""Checksums of the catalog's rows that results depend on, in the table ``row_checksums``.

SQLite's pages have no checksums, so a flipped byte may read as valid data. Triggers store the checksum in the
transaction that writes the row, each SELECT verifies it for each row that it returns, and a damaged row can
be neither changed nor deleted. ``row_faults`` verifies all rows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, Table, bindparam, func, literal_column, select
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.event import listen
from sqlalchemy.sql import ColumnElement, FromClause, Select
from sqlalchemy.sql.selectable import Alias, Join

from storage.catalog import tables
from storage.catalog.errors import CatalogDamaged
from storage.catalog.tables import row_checksums

KEYS: Mapping[Table, tuple[str, ...]] = {
    tables.state: ("id",),
    tables.meta: ("name",),
    tables.organisations: ("id",),
    tables.projects: ("id",),
    tables.project_keys: ("project_id", "key"),
    tables.access_keys: ("number",),
    tables.collections: ("project_id", "name"),
    tables.lanes: ("collection_id", "position"),
    tables.counters: ("collection_id",),
    tables.files: ("id",),
    tables.moments: ("version",),
    tables.erased_spans: ("id",),
    tables.erasures: ("id",),
    tables.logs: ("id",),
    tables.saved_queries: ("project_id", "name"),
    tables.saved_runs: ("query_id", "audience"),
    tables.datasets: ("project_id", "name"),
    tables.dataset_files: ("dataset_id", "id"),
    tables.exports: ("number",),
    tables.imports: ("number",),
    tables.dashboards: ("project_id", "name"),
    tables.dashboard_shares: ("dashboard_id", "number"),
    tables.cohorts: ("project_id", "name"),
    tables.cohort_members: ("cohort_id",),
    tables.webhooks: ("project_id", "name"),
    tables.webhook_deliveries: ("number",),
    tables.alerts: ("project_id", "name"),
    tables.alert_evaluations: ("number",),
    tables.notice_mails: ("number",),
    tables.pipelines: ("project_id", "name"),
    tables.pipeline_buckets: ("pipeline_id", "start_us"),
    tables.pipeline_deliveries: ("pipeline_id", "start_us"),
    tables.pipeline_accepted: ("pipeline_id", "digest"),
    tables.pipeline_waits: ("pipeline_id",),
    tables.pipeline_troubles: ("number",),
    tables.sources: ("project_id", "name"),
    tables.source_files: ("source_id", "path"),
    tables.secrets: ("project_id", "name"),
    tables.reports: ("project_id", "name"),
    tables.report_runs: ("number",),
    tables.streams: ("collection_id",),
    tables.people: ("id",),
    tables.members: ("organisation_id", "person_id"),
    tables.roles: ("person_id", "project_id"),
    tables.sessions: ("id",),
    tables.invitations: ("id",),
    tables.password_links: ("number",),
    tables.identities: ("number",),
    tables.runs: ("number",),
    tables.run_limits: ("scope", "project_id", "name"),
}
"""The tables whose rows have a checksum, with a unique key of each.

Where rows are looked up or listed by an owner, the key begins with the owner, so that a lost row can be
distinguished from one that never existed (``refuse_lost``, ``refuse_incomplete``)."""
UNVERIFIED = "acumen_unverified"
"""Execution option of a statement whose rows are verified in another way, or need no verification."""
FAULTS_MAX = 20
SHAPES_MAX = 1_000
"""Shapes of statements of which it is remembered what verifies their rows."""
_ENTERED = (
    select(row_checksums.c.row_key)
    .where(
        row_checksums.c.of == bindparam("of"),
        row_checksums.c.row_key.in_(bindparam("keys", expanding=True)),
    )
    .limit(1)
)
_NUMBER_ENTERED = (
    select(func.count())
    .select_from(row_checksums)
    .where(
        row_checksums.c.of == bindparam("of"),
        row_checksums.c.row_key >= bindparam("first"),
        row_checksums.c.row_key < bindparam("beyond"),
    )
)
_BY_NAME = {str(table.name): columns for table, columns in KEYS.items()}
_SEPARATOR, _AFTER_SEPARATOR = ",", "-"
_PRIMARY_CODE = 0xFF
_DAMAGED_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_encode = msgspec.msgpack.Encoder().encode
_last_fault = threading.local()
_of_shape: dict[tuple[Any, ...], Sequence[ColumnElement[bool]]] = {}
_verified: WeakKeyDictionary[Select[Any], Select[Any]] = WeakKeyDictionary()


def checksum_of(table: str, cells: Sequence[Any]) -> int:
    """The checksum of a row, from its cells in the order of their column names."""
    digest = blake2b(_encode((table, *cells)), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def key_of(*values: Any) -> str:
    """The key of a row as stored in ``row_checksums``; for the first values of a key, a prefix of it."""
    *first, last = values
    return "".join(_quoted(value) + _SEPARATOR for value in first) + str(last)


def register(connection: sqlite3.Connection) -> None:
    """Register the functions that the triggers and statements call. Without them a connection can read, but
    not write such rows."""
    connection.create_function("row_checksum", -1, _row_checksum, deterministic=True)
    connection.create_function("row_intact", -1, _row_intact, deterministic=True)


def verify_selects(engine: Engine) -> None:
    """Make every SELECT of this engine raise CatalogDamaged for a row that differs from what was written."""
    listen(engine, "before_execute", _with_verification, retval=True)
    listen(engine, "handle_error", _translate)


def refuse_lost(connection: Connection, table: Table, keys: Sequence[Sequence[Any]]) -> None:
    """Check that rows that were not found never existed; the keys must fit one IN list.

    Raises CatalogDamaged where one of the rows was written.
    """
    values = {"of": table.name, "keys": [key_of(*key) for key in keys]}
    lost = connection.execute(_ENTERED, values).scalar()
    if lost is not None:
        raise CatalogDamaged(
            f"The catalog is damaged: row {lost} of its table {table.name} is lost. Run 'acumen check'."
        )


def refuse_incomplete(connection: Connection, table: Table, values: Sequence[Any], number: int) -> None:
    """Check that exactly ``number`` rows whose keys begin with these values were written.

    Raises CatalogDamaged otherwise.
    """
    prefix = key_of(*values, "")
    bounds = {"of": table.name, "first": prefix, "beyond": prefix[:-1] + _AFTER_SEPARATOR}
    entered = connection.execute(_NUMBER_ENTERED, bounds).scalar_one()
    if entered != number:
        raise CatalogDamaged(
            f"The catalog is damaged: its table {table.name} gives {number} rows of {key_of(*values)!r}, and "
            f"{entered} were written. Run 'acumen check'."
        )


def install(connection: Connection) -> None:
    """Create the triggers for the tables as they are now, and store the checksums of all their rows."""
    connection.exec_driver_sql("DELETE FROM row_checksums")
    for table, key in _BY_NAME.items():
        columns = _columns(connection.connection.driver_connection, table)
        if not columns:
            # A catalog of an older revision, which has no such table yet.
            continue
        cells = ", ".join(_named(columns))
        connection.exec_driver_sql(
            f"INSERT INTO row_checksums SELECT '{table}', {_key_sql(key)}, row_checksum('{table}', {cells}) "
            f"FROM {table}"
        )
        for name, text in _triggers(table, key, columns):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            connection.exec_driver_sql(f"CREATE TRIGGER {name} {text}")


def remove_triggers(connection: Connection) -> None:
    """Remove the triggers before tables are changed; ``install`` creates them again."""
    for table, key in _BY_NAME.items():
        for name, _ in _triggers(table, key, []):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")


def row_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Descriptions of rows that differ from what was written, are lost, or were not written by Acumen."""
    if not _columns(connection, row_checksums.name):
        return
    for table, key in _BY_NAME.items():
        columns = _columns(connection, table)
        checksums = dict(
            connection.execute("SELECT row_key, checksum FROM row_checksums WHERE of = ?", [table])
        )
        # Read from the table itself, since an index may be damaged. An older catalog has not all tables.
        rows = f"SELECT {_key_sql(key)}, {', '.join(_named(columns))} FROM {table} NOT INDEXED"
        for row_key, *cells in connection.execute(rows) if columns else ():
            if checksums.pop(row_key, None) != checksum_of(table, cells):
                yield _fault(table, row_key)
        for row_key in checksums:
            yield f"row {row_key} of {table} is lost"


def _fault(table: str, row_key: object) -> str:
    return f"row {row_key} of {table} is not as it was written"


def _row_checksum(table: str, *cells: Any) -> int:
    return checksum_of(table, cells)


def _row_intact(checksum: int | None, table: str, row_key: Any, *cells: Any) -> int:
    if checksum != checksum_of(table, cells):
        _last_fault.row = _fault(table, row_key)
        raise CatalogDamaged(_last_fault.row)
    return 1


def _translate(context: ExceptionContext) -> None:
    error = context.original_exception
    if not isinstance(error, sqlite3.DatabaseError):
        return
    text = str(error)
    if "user-defined function" in text or "decode to UTF-8" in text:
        fault = vars(_last_fault).pop("row", "a row is not text as it was written")
        raise CatalogDamaged(f"The catalog is damaged: {fault}. Run 'acumen check'.") from error
    if (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY_CODE in _DAMAGED_CODES:
        raise CatalogDamaged(f"The catalog is damaged: {text}. Run 'acumen check'.") from error


def _with_verification(
    connection: Connection, statement: Any, many: Any, params: Any, options: Mapping[str, Any]
) -> tuple[Any, Any, Any]:
    if isinstance(statement, Select) and not statement.get_execution_options().get(UNVERIFIED):
        verifying = _verified.get(statement)
        if verifying is None:
            verifying = _verified[statement] = _verifying(statement)
        statement = verifying
    return statement, many, params


def _verifying(statement: Select[Any]) -> Select[Any]:
    return statement.where(*_conditions(statement))


def _conditions(statement: Select[Any]) -> Sequence[ColumnElement[bool]]:
    """What verifies the rows of a statement. Remembered for all of its shape, whatever their values are: many
    are made anew for each call, and to find what they select from takes as long as to compile them."""
    key = statement._generate_cache_key()
    known = None if key is None else _of_shape.get(key.key)
    if known is not None:
        return known
    sources = [source for clause in statement.get_final_froms() for source in _sources(clause)]
    conditions = [_intact(source, table, outer) for source, table, outer in sources]
    # An alias is another one in each statement.
    if key is not None and all(source is table for source, table, _ in sources):
        if len(_of_shape) >= SHAPES_MAX:
            _of_shape.clear()
        _of_shape[key.key] = conditions
    return conditions


def _sources(clause: FromClause, outer: bool = False) -> Iterator[tuple[FromClause, Table, bool]]:
    """The tables with checksums in a FROM clause, each with whether an outer join may leave its row out."""
    if isinstance(clause, Join):
        yield from _sources(clause.left, outer or clause.full)
        yield from _sources(clause.right, outer or clause.full or clause.isouter)
        return
    table = clause.element if isinstance(clause, Alias) else clause
    if isinstance(table, Table) and table in KEYS:
        yield clause, table, outer


def _intact(source: FromClause, table: Table, outer: bool) -> ColumnElement[bool]:
    *first, last = KEYS[table]
    key: ColumnElement[Any] = source.c[last]
    for column in reversed(first):
        key = func.quote(source.c[column]).op("||")(literal_column(f"'{_SEPARATOR}'")).op("||")(key)
    name: ColumnElement[str] = literal_column(f"'{table.name}'")
    entered = (
        select(row_checksums.c.checksum)
        .where(row_checksums.c.of == name, row_checksums.c.row_key == key.op("||")(literal_column("''")))
        .correlate(source)
        .scalar_subquery()
    )
    cells = [source.c[column] for column in sorted(table.columns.keys())]
    intact = func.row_intact(entered, name, key, *cells) == literal_column("1")
    return source.c[last].is_(None) | intact if outer else intact


def _columns(connection: Any, table: str) -> list[str]:
    return sorted(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))


def _named(columns: Sequence[str], row: str = "") -> list[str]:
    return [f'{row}"{column}"' for column in columns]


def _key_sql(key: Sequence[str], row: str = "") -> str:
    *first, last = _named(key, row)
    return "".join(f"quote({column}) || '{_SEPARATOR}' || " for column in first) + f"{last} || ''"


def _quoted(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _triggers(table: str, key: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The name of each trigger of a table, and its SQL after the name."""
    old, new = (", ".join(_named(columns, row)) for row in ("OLD.", "NEW."))
    old_key, new_key = _key_sql(key, "OLD."), _key_sql(key, "NEW.")
    this = f"of = '{table}' AND row_key = {old_key} AND row_intact(checksum, '{table}', {old_key}, {old})"
    yield (
        f"{table}_inserted",
        f"AFTER INSERT ON {table} BEGIN INSERT OR REPLACE INTO row_checksums "
        f"VALUES ('{table}', {new_key}, row_checksum('{table}', {new})); END",
    )
    yield (
        f"{table}_updated",
        f"AFTER UPDATE ON {table} BEGIN UPDATE row_checksums "
        f"SET row_key = {new_key}, checksum = row_checksum('{table}', {new}) WHERE {this}; END",
    )
    yield (f"{table}_deleted", f"AFTER DELETE ON {table} BEGIN DELETE FROM row_checksums WHERE {this}; END")
