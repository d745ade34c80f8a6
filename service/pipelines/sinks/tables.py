"""Delivers a bucket to a table of PostgreSQL: in one transaction its rows take the place of those before.

The rows of a pipeline are those with its name in ``acumen_pipeline``, and a bucket's those of its time, so
that a delivery that is repeated, for whatever reason, leaves the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from pyarrow import csv

from query.answers.export import ExtractionRun, ExtractionSlices
from query.answers.export_rows import Tables
from query.engine.engine import Deadline, Engine
from query.language.nodes import ExtractionQuery, Span
from query.limits import Limits
from query.plan.columns import Column
from query.transforms.nodes import BucketSpan
from service.outbound.connecting import Resolve, look_up
from service.pipelines.connections.postgres import cancel, connected, told
from service.pipelines.definition import PipelineDefinition
from service.pipelines.sinks.definition import OWNER_COLUMN, TableSink
from service.pipelines.sinks.folders import ROWS_MAX, columns_of
from service.saved_queries.definition import moment_text
from service.settings import Settings
from service.workflows.context import RunContext
from service.workflows.errors import RunFailed, RunRefused
from storage.catalog.catalog import Catalog
from storage.schema import TIMESTAMP, LaneKind
from storage.source import Source

NAME_BYTES_MAX = 63
"""Longer names PostgreSQL cuts."""
_TYPES = {
    frozenset({LaneKind.NUMBER}): "double precision",
    frozenset({LaneKind.INTEGER}): "numeric",
    frozenset({LaneKind.LONG}): "numeric",
    frozenset({LaneKind.NUMBER, LaneKind.INTEGER}): "numeric",
    frozenset({LaneKind.NUMBER, LaneKind.INTEGER, LaneKind.LONG}): "numeric",
    frozenset({LaneKind.INTEGER, LaneKind.LONG}): "numeric",
    frozenset({LaneKind.NUMBER, LaneKind.LONG}): "numeric",
    frozenset({LaneKind.STRING}): "text",
    frozenset({LaneKind.BOOLEAN}): "boolean",
    frozenset({LaneKind.JSON}): "jsonb",
}
"""Kinds of values of a property → the type of a column that is made for it; of any others, text."""


@dataclass(frozen=True, slots=True)
class SinkTables:
    """The tables of a project's pipelines."""

    catalog: Catalog
    settings: Settings
    project_id: str
    engine: Engine
    limits: Limits
    resolve: Resolve = look_up

    def deliver(
        self,
        definition: PipelineDefinition,
        source: Source,
        bucket: BucketSpan,
        deadline: Callable[[], Deadline],
        context: RunContext,
    ) -> int:
        """Make the bucket's rows in each table those that it has now; how many. ``source``: the pipeline's
        output.

        Raises RunFailed, RunRefused, SourceGone, QueryError, and the errors of ``RunContext.check``.
        """
        if source.lacks(bucket.start_us, bucket.end_us):
            raise RunFailed("A stored file of its rows is damaged: 'acumen check' says which.")
        span = Span(bucket.start_us, bucket.end_us)
        query = ExtractionQuery(definition.output, span, properties=columns_of(source))
        run = ExtractionRun(query, source, self.engine, forced=(), limits=self.limits, deadline=deadline)
        cut = run.cut(ROWS_MAX)
        held = run.held(cut) if cut.rows else {}
        for sink in definition.sinks:
            if isinstance(sink, TableSink):
                owner = f"{self.project_id}/{definition.name}"
                into = _Table(sink, owner, bucket, _types_of(source, sink))
                self._write(into, run, cut, held, context)
        return cut.rows

    def _write(
        self,
        into: _Table,
        run: ExtractionRun,
        cut: ExtractionSlices,
        held: Mapping[Column, str],
        context: RunContext,
    ) -> None:
        connection = connected(
            self.catalog, self.settings, self.project_id, into.sink.connection, self.resolve
        )
        try:
            context.on_interrupt(lambda: cancel(connection))
            with connection, connection.cursor() as cursor:
                into.begin(cursor)
                if cut.rows:
                    into.fill(cursor, run, cut, held, context)
        except psycopg.Error as error:
            context.check()
            raise told(error) from None
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class _Table:
    """A table in the transaction of one delivery."""

    sink: TableSink
    owner: str
    bucket: BucketSpan
    types: Mapping[str, str]
    """Column → its type, where it is made."""

    @property
    def _name(self) -> sql.Identifier:
        return sql.Identifier(*self.sink.table.split("."))

    def begin(self, cursor: psycopg.Cursor[Any]) -> None:
        """Make sure of the columns, and remove the bucket's rows. Raises RunRefused, psycopg.Error."""
        cursor.execute("SET LOCAL timezone = 'UTC'")
        cursor.execute("SET LOCAL datestyle = 'ISO'")
        if self.sink.create:
            self._create(cursor)
        known = self._columns(cursor)
        if not known:
            raise RunRefused(
                f"There is no table {self.sink.table}, or the user may not see it: make it, or set "
                "create = true."
            )
        missing = [one for one in self.types if one not in known]
        if missing:
            self._add(cursor, missing)
        start, end = moment_text(self.bucket.start_us), moment_text(self.bucket.end_us)
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE {} = %s AND {} >= %s::timestamptz AND {} < %s::timestamptz").format(
                self._name,
                sql.Identifier(OWNER_COLUMN),
                sql.Identifier(self.sink.time),
                sql.Identifier(self.sink.time),
            ),
            (self.owner, start, end),
        )

    def _create(self, cursor: psycopg.Cursor[Any]) -> None:
        # Several deliveries may make it at once: one after the other.
        key = int.from_bytes(hashlib.sha256(self.sink.table.encode()).digest()[:8], signed=True)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        columns = [
            sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind))
            for column, kind in self.types.items()
        ]
        cursor.execute(
            sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(self._name, sql.SQL(", ").join(columns))
        )

    def _columns(self, cursor: psycopg.Cursor[Any]) -> set[str]:
        """The names of the table's columns; none where there is no table."""
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
            "AND NOT attisdropped",
            (self._name.as_string(cursor),),
        )
        return {name for (name,) in cursor.fetchall()}

    def _add(self, cursor: psycopg.Cursor[Any], missing: Sequence[str]) -> None:
        if not self.sink.create:
            wanted = ", ".join(f'"{one}" {self.types[one]}' for one in missing)
            raise RunRefused(
                f"The table {self.sink.table} lacks columns: add {wanted}, or set create = true."[:1_000]
            )
        for one in missing:
            statement = sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}")
            kind = sql.SQL(self.types[one])
            cursor.execute(statement.format(self._name, sql.Identifier(one), kind))

    def fill(
        self,
        cursor: psycopg.Cursor[Any],
        run: ExtractionRun,
        cut: ExtractionSlices,
        held: Mapping[Column, str],
        context: RunContext,
    ) -> None:
        """Raises psycopg.Error, SourceGone, QueryError."""
        paths = sorted(set(held.values()))
        columns = [self.sink.time if path == TIMESTAMP else path for path in paths]
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            self._name, sql.SQL(", ").join(map(sql.Identifier, [OWNER_COLUMN, *columns]))
        )
        with cursor.copy(statement) as copy:
            for text in _texts(run, cut, held, paths, self.owner):
                context.check()
                copy.write(text)


def _texts(
    run: ExtractionRun, cut: ExtractionSlices, held: Mapping[Column, str], paths: Sequence[str], owner: str
) -> Iterator[bytes]:
    """The rows as CSV: no value is an empty cell, an empty text a quoted one."""
    tables = Tables(held, None)
    by_path: dict[str, list[str]] = {path: [] for path in paths}
    for column, path in held.items():
        by_path[path].append(column.name)
    options = csv.WriteOptions(include_header=False)
    with closing(run.chunks(cut)) as chunks:
        for chunk in chunks:
            rows = tables.table(chunk)
            cells = [_merged(rows, by_path[path]) for path in paths]
            owners = pa.repeat(pa.scalar(owner), rows.num_rows)
            made = pa.table([owners, *cells], names=["", *map(str, range(len(cells)))])
            into = pa.BufferOutputStream()
            csv.write_csv(made, into, options)
            yield into.getvalue().to_pybytes()


def _merged(rows: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """The values of one property, of whatever kind: each row has one of them at most."""
    if len(names) == 1:
        return rows.column(names[0])
    return pc.coalesce(*(rows.column(name).cast(pa.string()) for name in names))


def _types_of(source: Source, sink: TableSink) -> dict[str, str]:
    """The table's columns and their types. Raises RunRefused where PostgreSQL cannot name one."""
    kinds: dict[str, set[LaneKind]] = {}
    for lane in source.schema.lanes:
        if lane.kind is not LaneKind.NULL and not lane.path.startswith("keen."):
            kinds.setdefault(lane.path, set()).add(lane.kind)
    types = {OWNER_COLUMN: "text NOT NULL", sink.time: "timestamptz NOT NULL"}
    for path in sorted(kinds):
        if path in types:
            raise RunRefused(f"The property '{path}' has the name of another column: rename it in a step.")
        if len(path.encode()) > NAME_BYTES_MAX:
            raise RunRefused(
                f"The property '{path}' has more than the {NAME_BYTES_MAX} bytes that PostgreSQL allows for "
                "the name of a column: rename it in a step."
            )
        types[path] = _TYPES.get(frozenset(kinds[path]), "text")
    return types
