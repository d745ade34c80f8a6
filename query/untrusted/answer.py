"""Answers a statement of an analyst: judged and run by a process of its own, over what its key sees."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from query.answers.pipeline import Conditions
from query.answers.visible_properties import lanes_seen, lanes_standing
from query.engine.engine import Deadline, Engine
from query.engine.memory_budget import Reservation, computed
from query.errors import DataDamaged, InvalidQuery, QueryError, QueryLimitExceeded, QueryTimeout
from query.json_encoding import dumps
from query.language.nodes import Filter, Span
from query.limits import Limits, SqlLimits
from query.plan.views import SourceOf, View, Views
from query.untrusted.messages import (
    Cause,
    Channel,
    Ended,
    Format,
    MessageKind,
    Reads,
    Refusal,
    RowsHead,
    Text,
    Work,
    packed,
)
from query.untrusted.processes import SqlProcess, SqlProcesses
from query.untrusted.tables import (
    EVERYTHING,
    Excerpt,
    OpenTable,
    memory_table,
    named_collections,
    open_table,
    unknown_table,
)
from storage.schema import Lane, fold
from storage.source import SourceGone

ATTEMPTS_MAX = 3
"""Most snapshots and processes that are tried: files may be replaced, a waiting process may have ended."""
HEAD_BYTES_MAX = 8 << 20
_BATCH_ROWS = 65_536
_COPIES = 3
"""Of the body, while it is received and put together."""
_log = logging.getLogger("acumen.sql")
_WARNED: set[str] = set()


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """A statement, as it was asked."""

    sql: str
    parameters: list[Any] | dict[str, Any] = field(default_factory=list)
    timezone: str = "UTC"
    format: Format = Format.JSON
    limit: int | None = None
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a statement is answered with, and for whom."""

    sources: SourceOf
    names: Callable[[], Sequence[str]]
    """The collections of the project."""
    forced: tuple[Filter, ...]
    """The filters of the key."""
    suggests: bool
    """Whether the key may know the names of collections that it did not name."""
    folder: str
    """The folder of the project's files."""
    project_id: str
    excerpts: Mapping[str, Excerpt] = field(default_factory=dict)
    """Collection → what its table shows; of others, all that the key sees."""
    memory: Mapping[str, pa.Table] = field(default_factory=dict)
    """Further tables by name, in lower case."""


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    body: bytes
    format: Format
    truncated: bool
    reservation: Reservation


def answer_sql(
    query: SqlQuery,
    around: Surroundings,
    engine: Engine,
    processes: SqlProcesses,
    *,
    limits: Limits,
    sql_limits: SqlLimits,
    deadline: Deadline,
) -> SqlAnswer:
    """The answer. Raises InvalidQuery, QueryLimitExceeded, QueryTimeout, QueryCancelled, DataDamaged,
    QueryError."""
    reservation = engine.budget.open(deadline.check, project_id=around.project_id)

    def attempt() -> tuple[bytes, bool]:
        reservation.reduce_to(0)
        with processes.one() as child:
            asking = _Asking(query, around, engine, child, limits, sql_limits, deadline, reservation)
            return asking.answer()

    def retried() -> tuple[bytes, bool]:
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return attempt()
            except (SourceGone, _NeverBegun):
                continue
        try:
            return attempt()
        except SourceGone as error:
            raise QueryError("The stored events could not be read.") from error
        except _NeverBegun as error:
            raise QueryError("No process for the statement could be started.") from error

    body, truncated = computed(reservation, retried)
    reservation.finish(len(body))
    return SqlAnswer(body, query.format, truncated, reservation)


class _NeverBegun(Exception):
    """The process ended before it had read the statement, which is not the statement's fault."""


@dataclass(slots=True)
class _Asking:
    """One attempt, with one process."""

    query: SqlQuery
    around: Surroundings
    engine: Engine
    child: SqlProcess
    limits: Limits
    sql_limits: SqlLimits
    deadline: Deadline
    reservation: Reservation

    def answer(self) -> tuple[bytes, bool]:
        channel = self.child.channel(self.deadline.check)
        try:
            self._begin(channel)
            return self._read(channel)
        except Ended:
            raise self._broken() from None
        except QueryTimeout:
            raise QueryTimeout(
                f"The statement took longer than the {self.sql_limits.timeout_seconds:g} seconds of "
                "ACUMEN_SQL_TIMEOUT_SECONDS. Read fewer columns and rows, or a shorter time."
            ) from None

    def _begin(self, channel: Channel) -> None:
        """Send the statement, and wait until the process has read it. Raises _NeverBegun."""
        limits = self.sql_limits
        text = Text(
            self.query.sql,
            self.around.folder,
            self.child.scratch,
            limits.memory_bytes,
            limits.spill_bytes,
            limits.timeout_seconds,
        )
        try:
            channel.send(MessageKind.TEXT, packed(text))
            self._received(channel, MessageKind.BEGUN, 0)
        except Ended:
            status = self.child.end()
            _log.warning("A process ended with status %s before it read its statement.", status)
            raise _NeverBegun from None

    def _read(self, channel: Channel) -> tuple[bytes, bool]:
        limits = self.sql_limits
        reads = Reads(**json.loads(self._received(channel, MessageKind.JUDGED, HEAD_BYTES_MAX)))
        _warn_once(reads)
        views = Views(
            self.around.sources,
            self.around.forced,
            spend_forced=Conditions(self.limits, self.deadline.check).spend,
        )
        tables = self._tables(reads, views)
        self._send(channel, tables)
        head = RowsHead(**json.loads(self._received(channel, MessageKind.ROWS, HEAD_BYTES_MAX)))
        if not 0 <= head.bytes <= limits.bytes_max + HEAD_BYTES_MAX:
            raise Ended
        self.reservation.reserve(_COPIES * head.bytes)
        body = self._received(channel, MessageKind.BODY, head.bytes)
        if views.damaged and self.query.format is not Format.JSON:
            raise DataDamaged
        return (self._json(head, body, tables, views) if self.query.format is Format.JSON else body), (
            head.truncated
        )

    def _tables(self, reads: Reads, views: Views) -> list[OpenTable]:
        memory = {spelt: fold(spelt) for spelt in reads.tables if fold(spelt) in self.around.memory}
        others = replace(reads, tables=[spelt for spelt in reads.tables if spelt not in memory])
        named = named_collections(others, self.around.names(), suggests=self.around.suggests)
        if len(named) > self.sql_limits.tables_max:
            raise QueryLimitExceeded(
                f"The statement reads more than {self.sql_limits.tables_max} collections."
            )
        opened = {name: memory_table(name, self.around.memory[name]) for name in set(memory.values())}
        for spelt, collection in named.items():
            if collection in opened:
                continue
            excerpt = self.around.excerpts.get(collection, EVERYTHING)
            view = views.view(collection, (excerpt.span,))
            lanes = self._lanes(view)
            if lanes is None:
                raise unknown_table(spelt, ())
            opened[collection] = open_table(collection, view, lanes, reads.columns, excerpt)
        self.limits.check_rows(sum(table.rows for table in opened.values()))
        return list(opened.values())

    def _lanes(self, view: View) -> Sequence[Lane] | None:
        if not view.source.known:
            return None
        if not self.around.forced:
            return lanes_standing(view.source)
        # A property that only hidden events have is hidden too.
        return lanes_seen(view, Span(), self.engine, self.deadline)

    def _send(self, channel: Channel, tables: list[OpenTable]) -> None:
        limits, query = self.sql_limits, self.query
        files = [file.path for table in tables for file in table.files]
        tails = [table.tail for table in tables if table.tail is not None]
        tail_bytes = sum(tail.nbytes for tail in tails)
        work = Work(
            [table.text for table in tables],
            files,
            query.parameters,
            query.timezone,
            query.format,
            limits.rows_max,
            query.limit,
            limits.bytes_max,
            limits.memory_bytes,
            limits.spill_bytes,
            limits.threads,
            query.explain,
        )
        channel.send(MessageKind.WORK, packed(work))
        self.reservation.reserve(tail_bytes)
        for tail in tails:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, tail.schema) as stream:
                stream.write_table(tail, _BATCH_ROWS)
            channel.send(MessageKind.TABLE, memoryview(sink.getvalue()))
        self.reservation.give_back(tail_bytes)

    def _received(self, channel: Channel, wanted: MessageKind, bytes_max: int) -> bytes:
        """The content of the next message, which must be of this kind; a refusal is raised as its error."""
        kind, content = channel.receive(bytes_max)
        if kind is MessageKind.REFUSED:
            refusal = Refusal(**json.loads(content))
            raise self._error(Cause(refusal.fault), refusal.text)
        if kind is not wanted:
            raise Ended
        return content

    def _error(self, fault: Cause, text: str) -> Exception:
        limits = self.sql_limits
        if fault is Cause.REFUSED:
            return InvalidQuery(text)
        if fault is Cause.GONE:
            _log.warning("A file could not be read: %s", text)
            return SourceGone(text)
        if fault is Cause.LIMIT:
            return QueryLimitExceeded(_limit_text(text, limits))
        _log.error("A statement failed: %s", text[:2_000])
        return InvalidQuery(
            "The database could not run the statement, for a reason that the server has logged. Write it in "
            "another way, or in steps."
        )

    def _broken(self) -> Exception:
        """The error for a process that ended without an answer."""
        said = self.child.said()
        status = self.child.end()
        _log.warning(
            "The process of a statement ended with status %s.", status, extra={"fields": {"said": said}}
        )
        return QueryLimitExceeded(
            "The statement ended the process that ran it: it needs more memory than the "
            f"{self.sql_limits.memory_bytes:,} bytes of ACUMEN_SQL_MEMORY_BYTES, or is nested too deeply. "
            "Read fewer columns and rows, or group by fewer values."
        )

    def _json(self, head: RowsHead, rows: bytes, tables: list[OpenTable], views: Views) -> bytes:
        more: dict[str, Any] = {"truncated": head.truncated}
        if views.damaged:
            more["complete"] = False
            if not views.forced:
                more["damaged_files"] = sorted(file.name for file in views.damaged.values())
        if self.query.explain:
            more["explain"] = {
                "plan": head.plan,
                "tables": [
                    {
                        "name": table.text.name,
                        "columns": list(table.columns),
                        "files": sorted(file.name for file in table.files),
                        "events_in_no_file": 0 if table.tail is None else table.tail.num_rows,
                    }
                    for table in tables
                ],
            }
        return b"".join((b'{"columns":', dumps(head.columns), b',"result":', rows, b",", dumps(more)[1:]))


def _limit_text(what: str, limits: SqlLimits) -> str:
    if what == "rows":
        return (
            f"The result has more than {limits.rows_max:,} rows, the limit of ACUMEN_SQL_ROWS_MAX. Group or "
            "filter, or ask for the first ones by 'limit'."
        )
    if what == "bytes":
        return (
            f"The result has more than {limits.bytes_max:,} bytes, the limit of ACUMEN_SQL_BYTES_MAX. Select "
            "fewer columns, or fewer rows by 'limit'."
        )
    if what == "spill":
        return (
            f"The statement needs more than the {limits.spill_bytes:,} bytes of disk of "
            "ACUMEN_SQL_SPILL_BYTES. Read fewer columns and rows, or group by fewer values."
        )
    return (
        f"The statement needs more than the {limits.memory_bytes:,} bytes of memory of "
        "ACUMEN_SQL_MEMORY_BYTES. Read fewer columns and rows, or group by fewer values."
    )


def _warn_once(reads: Reads) -> None:
    """Say in the log what of the system's confinement is missing."""
    lacks = [name for name, there in (("Landlock", reads.landlock), ("seccomp", reads.seccomp)) if not there]
    text = " and ".join(lacks)
    if text and text not in _WARNED:
        _WARNED.add(text)
        _log.warning(
            "Statements of SQL run without %s, which this system lacks: DuckDB's own settings and the limits "
            "of the process confine them.",
            text,
        )
