"""A queue in a SQLite file, which outlives the process, outages and kills; processes may share one file.

Every process may put events in. One of them at a time sends what waits: the one that holds the lock of the
file ``<queue>.lock``, which the system takes back when a process ends, however it ends. Sending an event
twice is harmless, because it carries its uniqueness token; so the file says only what waits, never what is
under way.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from acumen_client.errors import ConfigurationError, QueueFullError, QueueWriteError
from acumen_client.queues import DEAD_LETTERS_MAX, DeadLetter, QueuedEvent

APPLICATION_ID = 0x4163756D
FORMAT = 1
PAGE_BYTES = 4096
BUSY_SECONDS = 10.0
_PAGES_MIN = 64
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    recorded_at REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS dead_letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    recorded_at REAL NOT NULL,
    body BLOB NOT NULL,
    reason TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
COMMIT;
"""
_INSERT = "INSERT INTO events (collection, recorded_at, body) VALUES (?, ?, ?)"
_BURY = (
    "INSERT INTO dead_letters (collection, recorded_at, body, reason, name, description)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_DEAD = (
    "SELECT collection, body, recorded_at, reason, name, description, number"
    " FROM dead_letters ORDER BY number"
)
_TRIM = "DELETE FROM dead_letters WHERE number <= (SELECT max(number) FROM dead_letters) - ?"

_of_parents: list[object] = []
"""What a forked child inherited and must neither use nor close."""


class DiskQueue:
    """Events in a file of at most ``bytes_max`` bytes, all of one project.

    What ``put`` has taken outlives the process; with ``synced`` also a power cut, at the price of a sync of
    the disk for each call.
    """

    persistent = True

    def __init__(
        self, path: Path, project_id: str, *, events_max: int | None, bytes_max: int, synced: bool = False
    ) -> None:
        """Open the file, or make it. Raises QueueWriteError, and ConfigurationError for another project's."""
        self.path = path
        self._project_id = project_id
        self._events_max = events_max
        self._pages_max = max(_PAGES_MIN, bytes_max // PAGE_BYTES)
        self._synced = synced
        self._connection: sqlite3.Connection | None = None
        self._lock_file: BinaryIO | None = None
        self._settled: dict[int, DeadLetter | None] = {}
        """Events that are settled and still in the file: it could not be written, its disk being full."""
        with _answers_as_queue_error(self.path):
            self._open()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        is_new = connection.execute("PRAGMA schema_version").fetchone()[0] == 0
        if not is_new and (found, version) != (APPLICATION_ID, FORMAT):
            raise ConfigurationError(f"{self.path} is a database of something else, or of a newer version")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._synced else 'NORMAL'}")
        # Processes that share a file may be told different bounds: each keeps to its own.
        connection.execute(f"PRAGMA max_page_count = {self._pages_max}")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        if is_new:
            connection.executescript(_SCHEMA)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('project_id', ?)", (self._project_id,))
        (owner,) = connection.execute("SELECT value FROM meta WHERE name = 'project_id'").fetchone()
        if owner != self._project_id:
            raise ConfigurationError(f"{self.path} holds events of project {owner}, not {self._project_id}")

    def put(self, collection: str, bodies: Sequence[bytes], recorded_at: float) -> int:
        if self._events_max is not None and self.waiting() + len(bodies) > self._events_max:
            raise QueueFullError(f"the queue holds {self.waiting():,} events, as many as it may")
        with _answers_as_queue_error(self.path):
            connection = self._open()
            try:
                if len(bodies) == 1:
                    cursor = connection.execute(_INSERT, (collection, recorded_at, bodies[0]))
                    return cursor.lastrowid or 0
                with _transaction(connection):
                    for body in bodies:
                        cursor = connection.execute(_INSERT, (collection, recorded_at, body))
                    return cursor.lastrowid or 0
            except sqlite3.OperationalError as error:
                if self._is_bound(error, sum(map(len, bodies)) + 64 * len(bodies)):
                    raise QueueFullError(
                        f"{self.path} holds {self._pages_max * PAGE_BYTES:,} bytes, as many as it may"
                    ) from error
                raise

    def _is_bound(self, error: sqlite3.OperationalError, wanted_bytes: int) -> bool:
        """Whether it is the queue's own bound that was met, not the end of the disk."""
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
            return False
        connection = self._open()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        # Each event may leave a part of its pages unused.
        wanted = 2 * (wanted_bytes // PAGE_BYTES + 1) + 8
        return bool(pages - free + wanted >= self._pages_max)

    def waiting(self) -> int:
        # Numbers leave gaps where one event was settled between others; then this is a few too many.
        (span,) = self._row("SELECT coalesce(max(number) - min(number) + 1, 0) FROM events")
        return span - len(self._settled)

    def waiting_bytes(self) -> int:
        (pages,) = self._row("PRAGMA page_count")
        (free,) = self._row("PRAGMA freelist_count")
        return (pages - free) * PAGE_BYTES if self.waiting() else 0

    def first_number(self) -> int | None:
        with self._reading("SELECT number FROM events ORDER BY number") as rows:
            return next((number for (number,) in rows if number not in self._settled), None)

    def last_number(self) -> int:
        (number,) = self._row("SELECT coalesce(max(number), 0) FROM events")
        return number

    def head(self, events_max: int, bytes_max: int) -> list[QueuedEvent]:
        taken: list[QueuedEvent] = []
        size = 0
        with self._reading(
            "SELECT number, collection, recorded_at, body FROM events ORDER BY number"
        ) as rows:
            for row in rows:
                if row[0] in self._settled:
                    continue
                size += len(row[3])
                if taken and (len(taken) == events_max or size > bytes_max):
                    break
                taken.append(QueuedEvent(*row))
        return taken

    def settle(self, numbers: Collection[int], dead: Iterable[DeadLetter]) -> None:
        """As in ``Queue``. Where it raises QueueWriteError this process still counts them as settled."""
        self._settled.update(dict.fromkeys(numbers))
        self._settled.update((letter.number, letter) for letter in dead)
        if not self._settled:
            return
        letters = [letter for letter in self._settled.values() if letter is not None]
        with _answers_as_queue_error(self.path), _transaction(connection := self._open()):
            for first, last in _runs(sorted(self._settled)):
                connection.execute("DELETE FROM events WHERE number BETWEEN ? AND ?", (first, last))
            if letters:
                # After the removal, which makes room for them.
                connection.executemany(_BURY, [_row_of(letter) for letter in letters])
                connection.execute(_TRIM, (DEAD_LETTERS_MAX,))
        self._settled.clear()

    def dead_letters(self) -> list[DeadLetter]:
        with self._reading(_DEAD) as rows:
            return [DeadLetter(*row) for row in rows]

    def forget_dead_letters(self, numbers: Collection[int] | None) -> list[DeadLetter]:
        gone = [one for one in self.dead_letters() if numbers is None or one.number in numbers]
        with _answers_as_queue_error(self.path), _transaction(connection := self._open()):
            for letter in gone:
                connection.execute("DELETE FROM dead_letters WHERE number = ?", (letter.number,))
        return gone

    def may_send(self) -> bool:
        if self._lock_file is None:
            with _answers_as_queue_error(self.path):
                file = Path(f"{self.path}.lock").open("a+b")  # noqa: SIM115 (the lock lasts as long as it is open)
            if not _lock(file):
                file.close()
                return False
            self._lock_file = file
        return True

    def after_fork(self) -> None:
        # Closing a database here would take its locks and its log from the parent.
        _of_parents.append(self._connection)
        self._connection = None
        self._settled = {}
        if self._lock_file is not None:
            # The lock is the parent's as long as it has the file open.
            self._lock_file.close()
            self._lock_file = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def _row(self, statement: str) -> tuple[int, ...]:
        with self._reading(statement) as rows:
            return next(iter(rows))

    @contextlib.contextmanager
    def _reading(self, statement: str) -> Iterator[Iterable[tuple[Any, ...]]]:
        with _answers_as_queue_error(self.path):
            cursor = self._open().execute(statement)
            try:
                yield cursor
            finally:
                # A statement that was not read to its end would keep its view of the file open.
                cursor.close()


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _answers_as_queue_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise QueueWriteError(f"the queue {path} cannot be used: {error}") from error


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of ascending numbers without a gap."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[start], numbers[at - 1]
            start = at


def _row_of(letter: DeadLetter) -> tuple[str, float, bytes, str, str, str]:
    return (
        letter.collection,
        letter.recorded_at,
        letter.body,
        letter.reason,
        letter.name,
        letter.description,
    )


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(file: BinaryIO) -> bool:
        """Whether the file is locked now for this opening of it, until it is closed or the process ends."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
