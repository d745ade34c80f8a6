"""Runs the statements of one query, with what all of them share."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import pyarrow as pa

from query.engine.engine import Deadline, Engine, Row
from query.engine.memory_budget import Reservation
from query.sql.statement import Statement


@dataclass
class Reuse:
    """What kept partial answers spared: how many were used, and the events of their files, not read again."""

    partials: int = 0
    events: int = 0


@dataclass
class Trace:
    """A record of the work done for one answer."""

    statements: list[Statement] = field(default_factory=list)
    counted: int = 0
    """Events that were counted by the catalog without being read."""
    reused: dict[str, Reuse] = field(default_factory=dict)
    """By collection."""


@dataclass(frozen=True, slots=True)
class Runner:
    """An engine, and the objects that all runs of one query share."""

    engine: Engine
    deadline: Deadline
    reservation: Reservation
    trace: Trace
    _begun: WeakSet[Generator[list[Row]]] = field(default_factory=WeakSet)
    """Its statements, as long as anybody may fetch their rows."""

    @property
    def threads(self) -> int:
        """How many threads the query may work in."""
        return self.engine.threads

    def check(self) -> None:
        self.deadline.check()

    def chunks(
        self, statement: Statement, tables: dict[str, Any], *, reads: int, lists: bool = False
    ) -> Iterator[list[Row]]:
        """Runs a statement; ``reads`` is the approximate number of stored rows that it reads."""
        self.check()
        self.trace.statements.append(statement)
        deadline = self.deadline
        chunks = self.engine.chunks(
            statement,
            tables,
            deadline.cancel,
            deadline.seconds,
            deadline.at,
            self.reservation,
            lists=lists,
            reads=reads,
        )
        self._begun.add(chunks)
        for chunk in chunks:
            yield chunk
            # Processing a chunk takes time too, which interrupting the engine does not end.
            self.check()

    def close(self) -> None:
        """End the statements of which not all rows were fetched.

        Whoever keeps an error keeps the frames that it passed, and with them such statements: the engine
        would count them as running, and their results would stay in memory.
        """
        for chunks in list(self._begun):
            chunks.close()

    def table(self, statement: Statement, tables: dict[str, Any], *, reads: int) -> pa.Table:
        """All rows of a statement as Arrow; otherwise as ``rows``."""
        self.check()
        self.trace.statements.append(statement)
        return self.engine.table(statement, tables, self.deadline, self.reservation, reads)

    def rows(
        self, statement: Statement, tables: dict[str, Any], *, reads: int, lists: bool = False
    ) -> Iterator[Row]:
        chunks = self.chunks(statement, tables, reads=reads, lists=lists)
        return (row for chunk in chunks for row in chunk)
