"""The catalog's SQLite database, with all code that depends on the SQL dialect.

A catalog on PostgreSQL needs another ``Database`` (REPEATABLE READ for reads) and another ``upsert``.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, ScalarSelect, Table, create_engine, event, exc, select, update
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry

from storage.catalog.database.change_mark import ChangeMark, Marks
from storage.catalog.database.checksums import register, verify_selects
from storage.catalog.database.seal import break_seal, seal
from storage.catalog.database.versions import Area, Versions
from storage.catalog.errors import CatalogBusy, CatalogError, CatalogUnavailable
from storage.catalog.tables import state
from storage.disk.durable_files import sync_folder
from storage.disk.file_system import full_sync

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's transaction."""
CHECKPOINT_SECONDS = 0.25
"""How long truncating the write-ahead log waits for its readers."""
VALUES_MAX = 500
"""Values bound to one IN list; SQLite accepts some ten thousand."""
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # Overwrite deleted data: the token of an erased event must not remain in a free page.
    "PRAGMA secure_delete=ON",
    # macOS only: without these an fsync there does not reach the disk.
    "PRAGMA fullfsync=ON",
    "PRAGMA checkpoint_fullfsync=ON",
)
_PRIMARY_CODE = 0xFF
"""Masks SQLite's extended error codes to the primary code."""
_BEGIN = "acumen_begin"
_VERSIONS = f"SELECT {', '.join(f'{area}_version' for area in Area)} FROM state"


class Database:
    """Connections to one catalog file, for the threads of one process.

    The driver's own transactions are off: it would begin them late, and never for reads, which must see one
    consistent view.
    """

    on_use: Callable[[], None] | None = None
    """If set, called before each use of any catalog, in the thread that uses it."""

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._process = os.getpid()
        # Writers of one process queue here, since SQLite itself waits by polling with growing sleeps.
        self._write_lock = threading.Lock()
        self._sealed = True
        self._mark = ChangeMark(path)
        self._quick_lock = threading.Lock()
        self._quick: sqlite3.Connection | None = None
        # The pool is unbounded: a connection costs only a file handle, and waiting for one could deadlock.
        url = URL.create("sqlite", database=str(path))
        connect_args = {"timeout": busy_seconds, "check_same_thread": False}
        self._reader = create_engine(url, pool_size=8, max_overflow=-1, connect_args=connect_args)
        event.listen(self._reader, "connect", _configure)
        event.listen(self._reader, "begin", _begin)
        verify_selects(self._reader)
        self._writer = self._reader.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction with one consistent view of the catalog. Raises CatalogUnavailable."""
        self._check_use()
        with _refusals(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *areas: Area) -> Iterator[Connection]:
        """An exclusive write transaction; committed durably on exit, rolled back on errors.

        ``areas`` are those that may change; their marks change too. Raises CatalogBusy when
        another process keeps the catalog for longer than the busy time, and CatalogUnavailable when the disk
        refuses.
        """
        self._check_use()
        try:
            self._mark.open()
        except OSError as error:
            raise CatalogUnavailable(f"The catalog cannot be used now: {error}.") from error
        try:
            with self._write_lock, _refusals(), self._writer.begin() as connection:
                if self._sealed:
                    break_seal(self._path)
                    self._sealed = False
                yield connection
        finally:
            self._mark.change(areas)

    @contextmanager
    def changing(self, *areas: Area) -> Iterator[Connection]:
        """As ``writing``, and raises the versions of these areas in the same transaction."""
        with self.writing(*areas) as connection:
            bump(connection, *areas)
            yield connection

    def mark(self, *areas: Area) -> Marks:
        """A mark of these areas; equal marks mean that nothing in them has changed in between.

        Read it before the data that it is to validate. It reads only shared memory, so event loops may use
        it.
        """
        return self._mark.read(areas)

    def versions(self) -> Versions:
        """The versions of all areas.

        Uses one prepared statement on a separate connection, since SQLAlchemy would take ten times as long.
        """
        [[row]] = self.look((_VERSIONS, ()))
        return Versions(*row)

    def look(self, *statements: tuple[str, Sequence[object]]) -> list[list[tuple[Any, ...]]]:
        """The rows of each statement, all from one consistent view.

        Bypasses SQLAlchemy and the row checksums; for checking whether data read earlier is still current.
        Raises CatalogUnavailable.
        """
        self._check_use()
        with self._quick_lock:
            if self._quick is None:
                self._quick = connect(self._path, self._busy_seconds)
            try:
                if len(statements) == 1:
                    [(text, values)] = statements
                    return [self._quick.execute(text, values).fetchall()]
                self._quick.execute("BEGIN")
                try:
                    return [self._quick.execute(text, values).fetchall() for text, values in statements]
                finally:
                    self._quick.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                raise CatalogUnavailable(f"The catalog cannot be used now: {error}.") from error

    def close(self) -> None:
        with self._quick_lock:
            if self._quick is not None:
                self._quick.close()
                self._quick = None
        self._reader.dispose()

    def seal(self) -> None:
        """Close for good, and store the digest of the catalog unless readers prevent it. Raises OSError."""
        truncated = self.checkpoint()
        self.close()
        if truncated:
            seal(self._path)

    def checkpoint(self) -> bool:
        """Truncate the write-ahead log. False where a reader still uses it.

        Writers have to wait meanwhile, so it gives up after a short time.
        """
        self._refuse_fork()
        with closing(connect(self._path, min(self._busy_seconds, CHECKPOINT_SECONDS))) as connection:
            [(busy, _, _)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not busy

    def _check_use(self) -> None:
        if Database.on_use is not None:
            Database.on_use()
        self._refuse_fork()

    def _refuse_fork(self) -> None:
        if os.getpid() != self._process:
            raise CatalogError("A catalog opened before a fork cannot be used after it: open it again.")


def bump(connection: Connection, *areas: Area) -> None:
    """Raises the versions of these areas."""
    names = [f"{area}_version" for area in areas]
    connection.execute(update(state).values({name: state.c[name] + 1 for name in names}))


def version_now(area: Area) -> ScalarSelect[int]:
    """The version of an area as raised by the current transaction, to be stored in rows that change."""
    return select(state.c[f"{area}_version"]).scalar_subquery()


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A plain SQLite connection without the driver's transactions."""
    connection = sqlite3.connect(path, timeout=busy_seconds, check_same_thread=False, isolation_level=None)
    for pragma in _PRAGMAS:
        connection.execute(pragma).fetchall()
    register(connection)
    return connection


def back_up(source: Path, target: Path) -> None:
    """Copies a consistent view of a catalog, write-ahead log included; replaces the target atomically."""
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(unfinished)) as copy:
        origin.backup(copy)
        # The copy inherits WAL mode, but must be a single file.
        copy.execute("PRAGMA journal_mode=DELETE").fetchall()
    with unfinished.open("rb+") as file:
        full_sync(file.fileno())
    unfinished.replace(target)
    sync_folder(target.parent)


def is_empty(path: Path) -> bool:
    """Whether the database has no table yet."""
    with closing(sqlite3.connect(path)) as connection:
        [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    return bool(tables == 0)


def upsert(table: Table) -> Insert:
    """An INSERT that supports ``on_conflict_do_update``."""
    return insert(table)


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in slices that fit one IN list."""
    for start in range(0, len(values), VALUES_MAX):
        yield values[start : start + VALUES_MAX]


@contextmanager
def _refusals() -> Iterator[None]:
    """Translates operational errors of the database into errors of the catalog."""
    try:
        yield
    except exc.OperationalError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code is not None and code & _PRIMARY_CODE == sqlite3.SQLITE_BUSY:
            raise CatalogBusy(f"Another process keeps the catalog locked: {error.orig}.") from error
        raise CatalogUnavailable(f"The catalog cannot be used now: {error.orig}.") from error


def _configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma).fetchall()
    register(connection)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
