"""Runs statements; the only module of ``query`` that imports DuckDB.

One connection, opened by the first statement if not before, lasts as long as the engine; every run gets its
own cursor, on which its Arrow tables are registered. Settings are locked, and only the data folder of the
file system is accessible.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from query.engine.extents import ExtentCache
from query.engine.later import LaterWork
from query.engine.links import LinksCache
from query.engine.memory_budget import MemoryBudget, Reservation
from query.engine.partials import PartialStore
from query.engine.sorting import sorted_items
from query.engine.turns import Turn, Turns
from query.errors import QueryCancelled, QueryError, QueryLimitExceeded, QueryTimeout
from query.sql.statement import Statement
from query.sql.statements import regex_check
from storage.source import SourceGone

Row = tuple[Any, ...]

CHUNK_ROWS = 10_000
CHUNK_BYTES = 4 << 20
"""Approximate upper limit of a chunk's size in Python, for wide rows."""
FETCH_ROWS = 256
"""Rows of the first fetch, after which their size is estimated."""
FETCH_ROWS_MAX = 2_048
"""Most rows of one fetch, where earlier rows were small: as many as the engine produces at once."""
SMALL_BYTES = 64 << 10
"""A table of lists up to this size is processed without a turn."""
MUCH_BYTES = 64 << 20
"""After a query that reserved so much, freed memory is returned to the system."""
SMALL_SCAN_ROWS = 100_000
"""Up to this many rows are read without taking a turn: it takes milliseconds."""
LIST_ITEMS = 10_000
"""Items of a list that are converted to Python objects by one call."""
_REPEAT_SECONDS = 0.02
_log = logging.getLogger("acumen.engine")


class CancelToken:
    """Cancels everything that runs under it, now or later, from any thread; the first reason is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: QueryError | None = None
        self._watchers: list[_Watch] = []

    @property
    def reason(self) -> QueryError | None:
        """The reason of the cancellation, or None.

        It is copied each time: a raised error refers to the frames it passed, and these to this token, a
        cycle that only the garbage collector would free.
        """
        return None if self._reason is None else copy(self._reason)

    def cancel(self, reason: QueryError | None = None) -> None:
        """Makes the run raise ``reason``, by default QueryCancelled."""
        for watcher in self._mark(reason or QueryCancelled("The query was cancelled.")):
            watcher.wake()

    def raise_if_cancelled(self) -> None:
        if self._reason is not None:
            raise copy(self._reason)

    def _mark(self, reason: QueryError) -> tuple[_Watch, ...]:
        with self._lock:
            self._reason = self._reason or reason
            return tuple(self._watchers)

    def _attach(self, watcher: _Watch) -> None:
        with self._lock:
            self._watchers.append(watcher)

    def _detach(self, watcher: _Watch) -> None:
        with self._lock:
            self._watchers.remove(watcher)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time at which a query must end, and the token that may cancel it earlier."""

    cancel: CancelToken
    seconds: float
    """Total time that the query may take."""
    at: float
    """When it ends, by the monotonic clock."""

    @classmethod
    def after(cls, seconds: float, cancel: CancelToken | None = None) -> Deadline:
        """A deadline ``seconds`` from now."""
        return cls(cancel or CancelToken(), seconds, time.monotonic() + seconds)

    def check(self) -> None:
        """Raises the reason of a cancellation, or QueryTimeout after the deadline."""
        self.cancel.raise_if_cancelled()
        if time.monotonic() >= self.at:
            raise timed_out(self.seconds)


@dataclass(eq=False, slots=True)
class _Running:
    cursor: duckdb.DuckDBPyConnection
    cancel: CancelToken
    deadline: float
    timeout: float


class _Watch:
    """One thread that interrupts cancelled or late runs, repeatedly until they have stopped.

    An interrupt that arrives just before a statement starts is lost, hence the repetition.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._running: set[_Running] = set()
        self._wakes_at = float("inf")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="query-watch", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(
        self, cursor: duckdb.DuckDBPyConnection, cancel: CancelToken, timeout: float, deadline: float
    ) -> Iterator[None]:
        running = _Running(cursor, cancel, deadline, timeout)
        cancel._attach(self)
        try:
            with self._condition:
                self._running.add(running)
                if running.deadline < self._wakes_at:
                    self._condition.notify()
            cancel.raise_if_cancelled()
            yield
        finally:
            with self._condition:
                self._running.discard(running)
            cancel._detach(self)

    @property
    def is_busy(self) -> bool:
        return bool(self._running)

    def wake(self) -> None:
        with self._condition:
            self._condition.notify()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._condition:
            while not self._closed:
                now = time.monotonic()
                pending = [running for running in self._running if _must_stop(running, now)]
                for running in pending:
                    running.cursor.interrupt()
                deadlines = [running.deadline for running in self._running]
                self._wakes_at = now + _REPEAT_SECONDS if pending else min(deadlines, default=float("inf"))
                idle = self._wakes_at == float("inf")
                self._condition.wait(None if idle else max(0.0, self._wakes_at - now))


def _must_stop(running: _Running, now: float) -> bool:
    if running.cancel._reason is None and now >= running.deadline:
        running.cancel._mark(timed_out(running.timeout))
    return running.cancel._reason is not None


def timed_out(seconds: float) -> QueryTimeout:
    """The error for a query that exceeded its time limit."""
    return QueryTimeout(
        f"The query took longer than its limit of {seconds:g} seconds. Ask for a shorter timeframe, or for "
        "fewer groups or intervals."
    )


class Engine:
    """DuckDB in this process. Threads may share it; each run has its own cursor."""

    def __init__(
        self,
        data_folder: Path,
        *,
        memory_limit_bytes: int,
        threads: int,
        temp_folder: Path,
        temp_bytes_max: int,
        budget: MemoryBudget | None = None,
        partials: PartialStore | None = None,
        return_memory: Callable[[], None] = lambda: None,
    ) -> None:
        """Reads only below ``data_folder``; spills into ``temp_folder``, which is created when needed.

        ``budget`` limits the memory of results in Python, ``memory_limit_bytes`` that of DuckDB. ``partials``
        keeps partial answers of files; None: nothing is kept. ``return_memory`` is called, on a thread of its
        own, after queries that took ``MUCH_BYTES``.
        """
        self.budget = budget or MemoryBudget(memory_limit_bytes)
        self._memory_limit_bytes = memory_limit_bytes
        self._temp_bytes_max = temp_bytes_max
        self._data_folder, self._threads, self._temp_folder = data_folder, threads, temp_folder
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()
        self._watch = _Watch()
        # As with query slots, one project takes at most half of the turns, so that others find one free.
        self._reads = Turns(2 * threads, threads)
        self.extents = ExtentCache()
        self.links = LinksCache()
        self.partials = partials
        self._return_memory = return_memory
        self.later = LaterWork()
        self._later_token = CancelToken()
        self._checked = lru_cache(maxsize=1024)(self._check_regex)

    @property
    def threads(self) -> int:
        """How many threads work for one query."""
        return self._threads

    @property
    def is_busy(self) -> bool:
        """Whether a statement runs now."""
        return self._watch.is_busy

    def ended(self, reservation: Reservation) -> None:
        """Return the memory that a query has freed to the system, where that was much.

        To be called by the query's thread: Arrow's allocator keeps what each thread has freed apart.
        """
        if reservation.greatest_bytes >= MUCH_BYTES:
            pa.default_memory_pool().release_unused()
            self.later.add("return memory", self._return_memory)

    def later_deadline(self, seconds: float) -> Deadline:
        """The deadline of a piece of later work, which closing cancels."""
        return Deadline.after(seconds, self._later_token)

    def close(self) -> None:
        self._later_token.cancel()
        self.later.close()
        self._watch.close()
        if self._connection is not None:
            self._connection.close()

    def run(
        self,
        statement: Statement,
        tables: Mapping[str, pa.Table] | None = None,
        cancel: CancelToken | None = None,
        timeout: float = 300.0,
    ) -> list[Row]:
        """Runs a statement and returns all rows. Raises as ``chunks`` does."""
        return [row for chunk in self.chunks(statement, tables, cancel, timeout) for row in chunk]

    def chunks(
        self,
        statement: Statement,
        tables: Mapping[str, pa.Table] | None = None,
        cancel: CancelToken | None = None,
        timeout: float = 300.0,
        deadline: float | None = None,
        reservation: Reservation | None = None,
        *,
        lists: bool = False,
        reads: int = 0,
    ) -> Generator[list[Row]]:
        """Runs a statement and yields its rows, ``CHUNK_ROWS`` at a time, or fewer where they are wide.

        The statement runs until the last row was fetched: whoever may stop before closes the generator.

        ``timeout``, in seconds, covers the whole run; ``deadline``, by the monotonic clock, is its end if it
        did not begin now. The memory of a chunk is reserved in ``reservation``. ``lists``: some columns are
        lists, which may be long. ``reads``: approximately how many stored rows the statement reads; if they
        are many and there is a reservation, the run waits for a turn to read.

        Raises QueryTimeout, QueryCancelled, QueryLimitExceeded (memory, spill), SourceGone, QueryError.
        """
        token = cancel or CancelToken()
        ends_at = time.monotonic() + timeout if deadline is None else deadline
        turn = None if reservation is None else reservation.turn
        if turn is not None:
            turn.give()
        if reservation is not None and reads > SMALL_SCAN_ROWS:
            # The turn lasts until the rows are fetched: rows that wait to be fetched take DuckDB's memory.
            reservation.read_by(self._reads)
        cursor = self._opened()
        try:
            with self._watch.watching(cursor, token, timeout, ends_at), self._translated(token):
                for table, rows in (tables or {}).items():
                    cursor.register(table, rows)
                if lists:
                    # Only in Arrow are the lengths of lists known before their conversion to Python objects.
                    yield from _reserved(_rows_of(_table_of(cursor, statement), reservation), reservation)
                else:
                    cursor.execute(statement.text, list(statement.values))
                    yield from _reserved(_fetched(cursor, turn), reservation)
        finally:
            cursor.close()
            if reservation is not None:
                reservation.read_ended()

    def table(
        self,
        statement: Statement,
        tables: Mapping[str, pa.Table],
        deadline: Deadline,
        reservation: Reservation,
        reads: int,
    ) -> pa.Table:
        """All rows of a statement as Arrow, their memory reserved; for what is computed from arrays.

        ``reads``: approximately how many stored rows the statement reads. Raises as ``chunks`` does.
        """
        reservation.turn.give()
        if reads > SMALL_SCAN_ROWS:
            reservation.read_by(self._reads)
        cursor, cancel = self._opened(), deadline.cancel
        try:
            watching = self._watch.watching(cursor, cancel, deadline.seconds, deadline.at)
            with watching, self._translated(cancel):
                for name, rows in tables.items():
                    cursor.register(name, rows)
                table = _table_of(cursor, statement)
            reservation.reserve(table.nbytes)
            reservation.turn.take()
            return table
        finally:
            cursor.close()
            reservation.read_ended()

    def check_regex(self, pattern: str) -> str | None:
        """What is wrong with a pattern in RE2's syntax; None where it is valid."""
        return self._checked(pattern)

    def _check_regex(self, pattern: str) -> str | None:
        statement = regex_check(pattern)
        cursor = self._opened()
        try:
            cursor.execute(statement.text, list(statement.values)).fetchall()
        except duckdb.Error as error:
            return str(error).partition("Error: ")[2].partition("\n")[0] or "it is not valid"
        finally:
            cursor.close()
        return None

    def open(self) -> None:
        """Opens DuckDB, which takes memory, threads and some 40 ms; otherwise the first statement does."""
        self._opened().close()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        """A new cursor; opens the connection if necessary."""
        with self._opening:
            if self._connection is None:
                connection = duckdb.connect(":memory:")
                for setting, value in self._settings().items():
                    # Settings without GLOBAL do not apply to cursors.
                    connection.execute(f"SET GLOBAL {setting} = {_literal(value)}")
                self._connection = connection
        return self._connection.cursor()

    def _settings(self) -> dict[str, object]:
        """DuckDB's settings, in the order in which they must be made."""
        return {
            "memory_limit": f"{self._memory_limit_bytes}B",
            "threads": self._threads,
            "temp_directory": str(self._temp_folder),
            "max_temp_directory_size": f"{self._temp_bytes_max}B",
            "parquet_metadata_cache": True,
            "preserve_insertion_order": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
            "TimeZone": "UTC",
            "allowed_directories": [str(self._data_folder.resolve()).rstrip("/") + "/"],
            "enable_external_access": False,
            "lock_configuration": True,
        }

    @contextmanager
    def _translated(self, cancel: CancelToken) -> Iterator[None]:
        """Translates DuckDB's errors to ours; its messages may quote SQL and are only logged."""
        try:
            yield
        except duckdb.InterruptException:
            raise cancel.reason or QueryCancelled("The query was interrupted.") from None
        except duckdb.OutOfMemoryException as error:
            raise self._limit_exceeded(str(error)) from None
        except duckdb.IOException as error:
            if cancel.reason is not None:
                raise cancel.reason from None
            _log.warning("a file could not be read: %s", error)
            raise SourceGone("A file of the snapshot could not be read.") from error
        except duckdb.Error as error:
            if cancel.reason is not None:
                raise cancel.reason from None
            _log.exception("a statement failed")
            raise QueryError("The query could not be run.") from error

    def _limit_exceeded(self, message: str) -> QueryLimitExceeded:
        if "max_temp_directory_size" in message:
            what = f"the {self._temp_bytes_max:,} bytes of disk that queries may spill to"
        else:
            what = f"the {self._memory_limit_bytes:,} bytes of memory that queries may use"
        return QueryLimitExceeded(
            f"The query needs more than {what}. "
            "Ask for a shorter timeframe, for fewer groups, or for fewer distinct values."
        )


def _fetched(cursor: duckdb.DuckDBPyConnection, turn: Turn | None) -> Iterator[tuple[list[Row], int]]:
    """Yields chunks and their approximate sizes in bytes. After the first fetch, a turn is taken."""
    chunk: list[Row] = []
    size, fetch_rows = 0, FETCH_ROWS
    while True:
        rows = cursor.fetchmany(fetch_rows)
        row_bytes = _row_bytes(rows)
        size += row_bytes * len(rows)
        chunk += rows
        ended = len(rows) < fetch_rows
        if chunk and (ended or size >= CHUNK_BYTES or len(chunk) + FETCH_ROWS_MAX > CHUNK_ROWS):
            yield chunk, size
            chunk, size = [], 0
        if ended:
            return
        if turn is not None:
            turn.take()
        fetch_rows = max(1, min(2 * fetch_rows, FETCH_ROWS_MAX, CHUNK_BYTES // row_bytes))


def _row_bytes(rows: Sequence[Row]) -> int:
    """The approximate size of one row in bytes, estimated from a sample."""
    sample = rows[:: max(1, len(rows) // 8)]
    total: int = sum(map(sys.getsizeof, sample)) + sum(sys.getsizeof(cell) for row in sample for cell in row)
    return 1 + total // max(1, len(sample))


_LIST_ITEM_BYTES = 72
"""Bytes that an item of a list takes in Python in addition to its characters."""


def _table_of(cursor: duckdb.DuckDBPyConnection, statement: Statement) -> pa.Table:
    return cursor.sql(statement.text, params=list(statement.values)).to_arrow_table()


def _rows_of(table: pa.Table, reservation: Reservation | None) -> Iterator[tuple[list[Row], int]]:
    """Yields the chunks of a table with list columns, and their approximate sizes in bytes."""
    if reservation is not None:
        reservation.reserve(table.nbytes)
        if table.nbytes > SMALL_BYTES:
            reservation.turn.take()
    try:
        start = 0
        while start < table.num_rows:
            rows = min(CHUNK_ROWS, table.num_rows - start)
            while rows > 1 and _table_bytes(table.slice(start, rows)) > CHUNK_BYTES:
                rows //= 2
            part = table.slice(start, rows)
            size = _table_bytes(part)
            if reservation is not None and size > CHUNK_BYTES:
                reservation.reserve(size)
                reservation.give_back(size)
            cells = [_cells(column) for column in part.columns]
            yield list(zip(*cells, strict=True)), size
            del cells
            start += rows
    finally:
        if reservation is not None:
            reservation.give_back(table.nbytes)


def _table_bytes(table: pa.Table) -> int:
    """The approximate size of the table's cells as Python objects, in bytes."""
    lists = [column for column in table.columns if pa.types.is_list(column.type)]
    items = sum(len(chunk.flatten()) for column in lists for chunk in column.chunks)
    cells: int = items + table.num_rows * table.num_columns
    return int(table.nbytes) + _LIST_ITEM_BYTES * cells


def _cells(column: pa.ChunkedArray) -> list[Any]:
    """As ``to_pylist``, but many times faster for lists; a single long list is also sorted."""
    cells: list[Any] = []
    if not pa.types.is_list(column.type):
        cells += column.to_pylist()
        # The engine's longest integers are decimals in Arrow.
        whole = pa.types.is_decimal(column.type) and column.type.scale == 0
        return [None if cell is None else int(cell) for cell in cells] if whole else cells
    for chunk in column.chunks:
        flat = chunk.flatten()
        lengths = pc.list_value_length(chunk).to_pylist()
        if len(flat) > LIST_ITEMS and len(lengths) == 1:
            flat = sorted_items(flat)
        items, ends = _items(flat), 0
        for length in lengths:
            if length is None:
                cells.append(None)
            else:
                cells.append(items[ends : ends + length])
                ends += length
    return cells


def _items(flat: pa.Array) -> list[Any]:
    """Converts slice by slice: one call for a million texts blocks the interpreter for half a second."""
    items: list[Any] = []
    for start in range(0, len(flat), LIST_ITEMS):
        items += flat.slice(start, LIST_ITEMS).to_pylist()
    return items


def _reserved(
    chunks: Iterator[tuple[list[Row], int]], reservation: Reservation | None
) -> Iterator[list[Row]]:
    """Yields the chunks; the memory of each stays reserved until the next one is requested."""
    for chunk, size in chunks:
        if reservation is None:
            yield chunk
            continue
        reservation.reserve(size)
        yield chunk
        reservation.give_back(size)
        reservation.turn.offer()


def _literal(value: object) -> str:
    """A setting's value as SQL text. Settings take no parameters; these values come from the operator."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return "'" + str(value).replace("'", "''") + "'"
