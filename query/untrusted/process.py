"""Runs one statement of an analyst, confined, and ends.

    python -m query.untrusted.process

Started by ``query.untrusted.processes``, which speaks with it over its standard input and output. It receives
the statement, says what that reads, receives those tables and nothing else, and answers with rows.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset  # DuckDB would look for it later, when it may not be opened.

from query.untrusted.confinement import Confinement, limit
from query.untrusted.judge import RefusedStatement, judge, refused_kind
from query.untrusted.messages import (
    Cause,
    Channel,
    Ended,
    MessageKind,
    Reads,
    Refusal,
    RowsHead,
    Text,
    Work,
    packed,
    work_of,
)
from query.untrusted.rows import BATCH_ROWS, RowWriter, TooMuch, Unwritable, distinct
from storage.schema import fold

WORK_BYTES_MAX = 1 << 40
OWN_BYTES = 1 << 30
"""Memory beside DuckDB's limit: Python, Arrow, the tails and the answer; address space more than memory."""
FILES_MAX = 4_096
_MESSAGE_MAX = 1_500
_PATHS = re.compile(r"""(?:file://)?(?:/[^\s"',:;()\[\]]+)+/[^\s"',:;()\[\]]+""")
_OF_CATALOG = re.compile(r"""\s*Did you mean "(?:duckdb_|sqlite_|pragma_|pg_|information_schema|\$)[^\n]*""")
_MISSING_TABLE = re.compile(r'Referenced table "([^"]+)" not found')
_INTERNAL = re.compile(r"\$tail_[0-9a-f]+|value_[0-9a-f]+_\d+")
_OF_STATEMENT = (
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
    duckdb.ConstraintException,
    duckdb.NotSupportedError,
    duckdb.DataError,
)
"""Errors that are the statement's own fault, and say what it is."""


def main() -> None:
    """Run one statement."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    # Nothing that a library prints may end up among the answers.
    os.dup2(2, 1)
    channel = Channel(0, answers)
    try:
        _Run(channel).run()
    except Ended:
        return


class _Run:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._confinement = Confinement()
        self._names: frozenset[str] = frozenset()
        """The columns that the statement names, folded."""

    def run(self) -> None:
        """Answer the worker; every failure becomes a refusal."""
        try:
            self._answer()
        except RefusedStatement as error:
            self._refuse(Cause.REFUSED, str(error))
        except Unwritable as error:
            self._refuse(Cause.REFUSED, str(error))
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            spills = "max_temp_directory_size" in str(error)
            self._refuse(Cause.LIMIT, "spill" if spills else "memory")
        except TooMuch as error:
            self._refuse(Cause.LIMIT, str(error))
        except _OF_STATEMENT as error:
            self._refuse(Cause.REFUSED, self._said(error))
        except (duckdb.IOException, FileNotFoundError) as error:
            self._refuse(Cause.GONE, str(error))
        except (duckdb.Error, pa.ArrowException, RecursionError, ValueError, OSError) as error:
            self._refuse(Cause.FAILED, f"{type(error).__name__}: {error}")

    def _said(self, error: duckdb.Error) -> str:
        """DuckDB's message, and what would help if names with dots are the reason."""
        message = readable(str(error))
        missing = _MISSING_TABLE.search(message)
        start = f"{fold(missing[1])}." if missing else ""
        dotted = next((name for name in sorted(self._names) if start and name.startswith(start)), None)
        if dotted is None:
            return message
        return f'{message}\nA property with a dot in its name stands in double quotes: "{dotted}".'

    def _refuse(self, fault: Cause, text: str) -> None:
        self._channel.send(MessageKind.REFUSED, packed(Refusal(fault, text)))

    def _answer(self) -> None:
        kind, content = self._channel.receive(WORK_BYTES_MAX)
        assert kind is MessageKind.TEXT
        self._channel.send(MessageKind.BEGUN, b"")
        text = Text(**json.loads(content))
        limit(
            memory_bytes=text.memory_bytes + OWN_BYTES,
            file_bytes=max(text.spill_bytes, 1),
            seconds=max(1, int(text.seconds * (os.cpu_count() or 1)) + 5),
            files=FILES_MAX,
        )
        seccomp = self._confinement.filter_calls()
        landlock = self._confinement.restrict_files([text.folder], text.scratch)
        judged = judge(tree_of(text.sql))
        self._names = judged.columns
        reads = Reads(list(judged.tables), sorted(judged.columns), landlock, seccomp)
        self._channel.send(MessageKind.JUDGED, packed(reads))
        kind, content = self._channel.receive(WORK_BYTES_MAX)
        assert kind is MessageKind.WORK
        work = work_of(content)
        tails = {one.tail: self._table() for one in work.tables if one.tail}
        if landlock:
            self._confinement.restrict_files(work.files, text.scratch)
        # Past its time the worker ends this process; if there is no worker any more, it ends itself.
        timer = threading.Timer(text.seconds + 5, lambda: os._exit(3))
        timer.daemon = True
        timer.start()
        head, body = _rows(text, work, tails)
        self._channel.send(MessageKind.ROWS, packed(head))
        self._channel.send(MessageKind.BODY, body)

    def _table(self) -> pa.Table:
        kind, content = self._channel.receive(WORK_BYTES_MAX)
        assert kind is MessageKind.TABLE
        with pa.ipc.open_stream(pa.py_buffer(content)) as stream:
            return stream.read_all()


def _kind_of(statement: duckdb.Statement) -> str:
    try:
        return str(statement.type.name)
    except ValueError:
        # The Python package has no name for some kinds.
        return "OTHER"


def tree_of(sql: str) -> Mapping[str, Any]:
    """The parsed tree of the one SELECT in a text. Raises RefusedStatement, duckdb.Error.

    The connection is closed again: its threads would not be confined further.
    """
    connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "256MB"})
    try:
        connection.execute("SET enable_external_access = false")
        statements = connection.extract_statements(sql)
        if not statements:
            raise RefusedStatement("The text holds no statement.")
        if len(statements) > 1:
            raise RefusedStatement(
                f"The text has {len(statements)} statements, as semicolons separate them: send one SELECT."
            )
        kind = _kind_of(statements[0])
        if kind != duckdb.StatementType.SELECT.name:
            raise refused_kind(kind)
        ((serialized,),) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
        tree: Mapping[str, Any] = json.loads(serialized)
    finally:
        connection.close()
    if tree.get("error"):
        raise RefusedStatement(readable(str(tree.get("error_message", "The statement cannot be read."))))
    return tree


def _rows(text: Text, work: Work, tails: Mapping[str, pa.Table]) -> tuple[RowsHead, bytes]:
    connection = _opened(text, work, tails)
    plan = ""
    if work.explain:
        explained = connection.execute(f"EXPLAIN {text.sql}", work.parameters).fetchall()
        plan = readable("\n".join(str(row[-1]) for row in explained), length=1 << 20)
    # Not ``execute``: that would hold all rows before the first is read.
    relation = connection.sql(text.sql, params=work.parameters)
    if relation is None:
        raise RefusedStatement("The statement has no rows.")
    names, types = distinct(relation.columns), [str(one) for one in relation.types]
    writer = RowWriter(
        names,
        types,
        work.format,
        rows_max=work.rows_max,
        limit=work.limit,
        bytes_max=work.bytes_max,
    )
    body = writer.write(relation.to_arrow_reader(BATCH_ROWS))
    columns = [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)]
    return RowsHead(columns, writer.rows, len(body), writer.truncated, plan), body


def _opened(text: Text, work: Work, tails: Mapping[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    """A connection with the tables, and settings that no statement can change."""
    connection = duckdb.connect(":memory:", config={"threads": work.threads})
    connection.execute(f"SET memory_limit = '{work.memory_bytes}B'")
    connection.execute(f"SET max_temp_directory_size = '{work.spill_bytes}B'")
    for name, value in (("temp_directory", text.scratch), ("TimeZone", work.timezone)):
        connection.execute(f"SET {name} = {_literal(value)}")
    for name in ("autoload_known_extensions", "autoinstall_known_extensions", "python_enable_replacements"):
        connection.execute(f"SET {name} = false")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET preserve_insertion_order = false")
    files = ", ".join(map(_literal, work.files))
    connection.execute(f"SET GLOBAL allowed_paths = [{files}]")
    connection.execute("SET enable_external_access = false")
    for name, rows in tails.items():
        connection.register(name, rows)
    for table in work.tables:
        for variable, value in table.variables.items():
            connection.execute(f"SET VARIABLE {variable} = ?", [value])
        quoted = '"' + table.name.replace('"', '""') + '"'
        connection.execute(f"CREATE VIEW main.{quoted} AS {table.sql}")
    connection.execute("SET lock_configuration = true")
    return connection


def _literal(value: str) -> str:
    """A setting's value, which the worker chose or checked; settings take no parameters."""
    return "'" + value.replace("'", "''") + "'"


def readable(message: str, *, length: int = _MESSAGE_MAX) -> str:
    """DuckDB's message without paths and names of its own."""
    return _INTERNAL.sub("…", _PATHS.sub("…", _OF_CATALOG.sub("", message)))[:length]


if __name__ == "__main__":
    main()
