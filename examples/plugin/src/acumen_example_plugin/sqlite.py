"""Plugins that read and write a table of an SQLite file: a source and a sink."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from service.plugins.contract import SinkBucket, SourcePortion


class SqliteTable(msgspec.Struct, frozen=True):
    """Settings of both."""

    file: str
    table: str


def _opened(settings: SqliteTable) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(settings.file).absolute().as_uri()}?mode=rw", uri=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class SqliteSource:
    """New rows of a table. The cursor is the greatest ``rowid`` that was read."""

    api: ClassVar[int] = 1
    Settings = SqliteTable
    ROWS_MAX: ClassVar[int] = 10_000

    def __init__(self, settings: SqliteTable) -> None:
        self._settings = settings

    def read(self, cursor: Any) -> SourcePortion | None:
        table = _quoted(self._settings.table)
        query = f"SELECT rowid AS acumen_rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        with closing(_opened(self._settings)) as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute(query, (cursor or 0, self.ROWS_MAX))]
        if not found:
            return None
        last = found[-1]["acumen_rowid"]
        for row in found:
            del row["acumen_rowid"]
        return SourcePortion(found, last)


class SqliteSink:
    """Makes the rows of a bucket those of a table. A table ``acumen_buckets`` beside it has the version of
    each bucket, so that a delivery that comes again, or late, changes nothing."""

    api: ClassVar[int] = 1
    Settings = SqliteTable

    def __init__(self, settings: SqliteTable) -> None:
        self._settings = settings

    def deliver(self, bucket: SinkBucket, rows: pa.Table) -> None:
        table, start = self._settings.table, bucket.start.isoformat()
        values = [(start, msgspec.json.encode(row).decode()) for row in rows.to_pylist()]
        with closing(_opened(self._settings)) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {_quoted(table)} (bucket TEXT, row TEXT)")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS acumen_buckets ("
                "name TEXT, bucket TEXT, version INTEGER, key TEXT, PRIMARY KEY (name, bucket))"
            )
            known = "SELECT version FROM acumen_buckets WHERE name = ? AND bucket = ?"
            last = connection.execute(known, (table, start)).fetchone()
            if last is not None and last[0] >= bucket.version:
                return
            connection.execute(f"DELETE FROM {_quoted(table)} WHERE bucket = ?", (start,))
            connection.executemany(f"INSERT INTO {_quoted(table)} VALUES (?, ?)", values)
            connection.execute(
                "INSERT OR REPLACE INTO acumen_buckets VALUES (?, ?, ?, ?)",
                (table, start, bucket.version, bucket.key),
            )
