"""Rows of a PostgreSQL database by a query with a cursor, in a transaction that may write nothing.

The database itself makes JSON of the rows, and puts them in the order of the cursor. One reading brings a
portion of so many new rows; the next goes on behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from msgspec import Raw
from psycopg import errors, pq, sql

from service.ingest.log_session import admission_limits
from service.outbound.connecting import Resolve, look_up
from service.pipelines.connections.postgres import cancel, connected, told
from service.pipelines.sources.cursors import CursorWindow, TooManyTies, earlier
from service.pipelines.sources.definition import QueriedRows, RowFaults, SourceDefinition
from service.pipelines.sources.portions import FAULTS_MAX, Faults, PortionTooLarge, PortionWriter
from service.pipelines.sources.rows import RowMaker, value_at
from service.settings import Settings
from service.workflows.context import RunContext
from service.workflows.errors import RunRefused
from storage.catalog.catalog import Catalog
from storage.catalog.sources.records import Portion, StoredSource

PORTION_ROWS = 50_000
FETCH_ROWS = 1_000
_CURSOR = re.compile(r"\$cursor\b")
_STARTS = {
    20: "-9223372036854775808",
    21: "-32768",
    23: "-2147483648",
    1700: "-Infinity",
    700: "-Infinity",
    701: "-Infinity",
    1082: "-infinity",
    1114: "-infinity",
    1184: "-infinity",
}
"""Type of the cursor (its OID) → what is less than all its values."""
_members = msgspec.json.Decoder(dict[str, Raw])


class QueryReading:
    """Reads the rows of one source, portion by portion."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        definition: SourceDefinition,
        reads: QueriedRows,
        context: RunContext,
        resolve: Resolve = look_up,
    ) -> None:
        self._catalog, self._settings, self._definition, self._reads = catalog, settings, definition, reads
        self._context, self._resolve = context, resolve
        self._maker = RowMaker(definition.rows, admission_limits(settings))
        self.bytes = 0
        """What was read so far."""
        self.is_done = False
        """Whether the last reading came to the end of the rows."""

    def read(self, source: StoredSource, spool: Path) -> Portion | None:
        """None where no row is new. Raises RunRefused, RunFailed, RunInterrupted, OSError."""
        window = CursorWindow(source.position, self._reads.overlap_us)
        try:
            with (
                self._opened(source) as connection,
                PortionWriter(spool, source.id, self._settings.source_bytes) as writer,
            ):
                return self._read(connection, window, writer)
        except _NothingNew:
            self.is_done = True
            return None
        except TooManyTies as error:
            raise RunRefused(str(error)) from None
        except PortionTooLarge:
            raise RunRefused(
                f"{PORTION_ROWS:,} rows have more than {self._settings.source_bytes:,} bytes "
                "(ACUMEN_SOURCE_BYTES)."
            ) from None
        except psycopg.Error as error:
            self._context.check()
            raise told(error) from None

    def _read(
        self, connection: psycopg.Connection[Any], window: CursorWindow, writer: PortionWriter
    ) -> Portion:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL timezone = 'UTC'")
        connection.execute("SET LOCAL datestyle = 'ISO'")
        faults = Faults()
        self.is_done = True
        for number, row in enumerate(self._rows(connection, window), 1):
            self.bytes += len(row)
            try:
                if self._is_new(row, window):
                    writer.add(self._maker.event(row))
            except ValueError as error:
                faults.add(f"row {number}", str(error))
            if faults.number >= FAULTS_MAX and self._definition.rows.faults is RowFaults.FAIL:
                break
            if writer.events >= PORTION_ROWS and self._reads.cursor is not None:
                self.is_done = False
                break
        if faults.number and self._definition.rows.faults is RowFaults.FAIL:
            raise RunRefused(f"Nothing was stored: {faults.text()}")
        if not writer.events and not faults.number:
            raise _NothingNew
        return writer.end(window.position(), refused=faults.number, problem=faults.text())

    def _is_new(self, row: bytes, window: CursorWindow) -> bool:
        """Raises ValueError."""
        name = self._reads.cursor
        if name is None:
            return True
        value = value_at(_members.decode(row), (name,))
        if value is None:
            raise ValueError(f"It has no '{name}', which is the cursor.")
        return window.take(value, row)

    def _rows(self, connection: psycopg.Connection[Any], window: CursorWindow) -> Iterator[bytes]:
        """The rows as JSON, in the order of the cursor."""
        query, name = _CURSOR.sub("$1", self._reads.query.strip().rstrip(";")), self._reads.cursor
        whole = f"SELECT row_to_json(q)::text FROM (\n{query}\n) AS q"
        given: list[Any] = []
        if name is not None:
            whole += f" ORDER BY q.{sql.Identifier(name).as_string(connection)} NULLS FIRST"
            given = [self._since(connection, whole, window)]
        with psycopg.RawServerCursor(connection, "acumen_source") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(whole.encode(), given)
            while rows := cursor.fetchmany(FETCH_ROWS):
                self._context.check()
                for (row,) in rows:
                    yield row.encode()

    def _since(self, connection: psycopg.Connection[Any], whole: str, window: CursorWindow) -> str:
        """The value that ``$cursor`` stands for: below the greatest that was read, whose rows are asked for
        again. Raises RunRefused."""
        kind = _type_of(connection, whole)
        if window.value is not None:
            if self._reads.overlap_us:
                return str(earlier(window.value, self._reads.overlap_us))
            if window.before is not None:
                return str(window.before)
        if self._reads.start is not None:
            return str(self._reads.start)
        if kind not in _STARTS:
            raise RunRefused(
                "The cursor must be a number, a date or a time: others have no order of their own."
            )
        return _STARTS[kind]

    @contextmanager
    def _opened(self, source: StoredSource) -> Iterator[psycopg.Connection[Any]]:
        through = self._reads.connection
        connection = connected(self._catalog, self._settings, source.project_id, through, self._resolve)
        try:
            self._context.on_interrupt(lambda: cancel(connection))
            yield connection
        finally:
            connection.close()


class _NothingNew(Exception):
    """No row is new."""


def _type_of(connection: psycopg.Connection[Any], query: str) -> int:
    """The type (OID) of the query's only parameter. Raises psycopg.Error, RunRefused."""
    prepared = connection.pgconn.prepare(b"acumen_source", query.encode())
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        raise errors.lookup(_field(prepared, pq.DiagnosticField.SQLSTATE) or "XX000")(
            _field(prepared, pq.DiagnosticField.MESSAGE_PRIMARY)
        )
    described = connection.pgconn.describe_prepared(b"acumen_source")
    if described.nparams != 1:
        raise RunRefused("The query may have no parameter but $cursor.")
    return described.param_type(0)


def _field(result: pq.abc.PGresult, field: pq.DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode("utf-8", "replace")
