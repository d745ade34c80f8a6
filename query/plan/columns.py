"""The columns that a query can use: those present in a file that it reads or in the tail."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from query.language.nodes import ActorCohort, SessionDefinition
from storage.schema import CREATED_AT, EMPTIES, EVENT_ID, NULLS, TIMESTAMP, Schema


class ColumnKind(StrEnum):
    """The kind of a column's cells: a lane's kind, or that of a system column."""

    NUMBER = "number"
    INTEGER = "integer"
    LONG = "long"
    STRING = "string"
    BOOLEAN = "boolean"
    JSON = "json"
    INSTANT = "instant"
    """TIMESTAMP, µs, UTC."""
    PATHS = "paths"
    """VARCHAR[]"""


NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.LONG)
"""The kinds that together form a path's numeric value; a row has at most one of them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A physical column; its name is unique by DuckDB's comparison of names."""

    name: str
    kind: ColumnKind


NULLS_COLUMN = Column(NULLS, ColumnKind.PATHS)
EMPTIES_COLUMN = Column(EMPTIES, ColumnKind.PATHS)
TIMESTAMP_COLUMN = Column(TIMESTAMP, ColumnKind.INSTANT)
CREATED_AT_COLUMN = Column(CREATED_AT, ColumnKind.INSTANT)
ID_COLUMN = Column(EVENT_ID, ColumnKind.STRING)
SYSTEM_PATHS = {column.name: column for column in (TIMESTAMP_COLUMN, CREATED_AT_COLUMN, ID_COLUMN)}


ActorTables = Mapping[str, str]
"""The registered tables that hold a cohort's actors, by the part of a value: number, big, string ….

A part without actors has none."""
ActorsOf = Callable[[ActorCohort], ActorTables]


def no_actors(cohort: ActorCohort) -> ActorTables:
    """For conditions that no cohort can be in."""
    raise AssertionError(f"the cohort {cohort.name!r} is used where none can be")


ComputedColumns = Mapping[str, tuple[Column, ...]]
"""The columns of paths that no file has."""


def no_sessions(definition: SessionDefinition) -> ComputedColumns:
    """For conditions that no property of a session can be in."""
    raise AssertionError("a property of sessions is used where none can be")


@dataclass(frozen=True)
class Available:
    """Maps paths to columns, restricted to ``names``, the columns of the files and tail that are read.

    A path without a column here has no value in any row read. ``actors_of`` computes the actors of cohorts,
    ``sessions_of`` finds the sessions of events.
    """

    schema: Schema
    names: Collection[str]
    actors_of: ActorsOf = no_actors
    sessions_of: Callable[[SessionDefinition], ComputedColumns] = no_sessions
    computed: ComputedColumns | None = None
    """In place of the schema's, if given."""

    def of(self, definition: SessionDefinition | None) -> Available:
        """The properties of the sessions; without a definition those of the events."""
        return self if definition is None else replace(self, computed=self.sessions_of(definition))

    def at(self, path: str) -> tuple[Column, ...]:
        """The columns of exactly this path; at most one of them is non-null in a row."""
        if self.computed is not None:
            return self.computed.get(path, ())
        if path in SYSTEM_PATHS:
            return (SYSTEM_PATHS[path],)
        return tuple(
            Column(lane.column, ColumnKind(lane.kind.value))
            for lane in self.schema.at(path)
            if lane.column in self.names
        )

    def under(self, path: str) -> tuple[Column, ...]:
        """The columns of every path below this one."""
        if self.computed is not None:
            return ()
        prefix = path + "."
        system = tuple(column for name, column in SYSTEM_PATHS.items() if name.startswith(prefix))
        lanes = tuple(
            Column(lane.column, ColumnKind(lane.kind.value))
            for lane in self.schema.under(path)
            if lane.column in self.names
        )
        return system + lanes

    def paths_columns(self) -> tuple[Column | None, Column | None]:
        """The columns that list explicit nulls and empty objects; None where no row has any."""
        if self.computed is not None:
            return None, None
        nulls = NULLS_COLUMN if NULLS in self.names else None
        empties = EMPTIES_COLUMN if EMPTIES in self.names else None
        return nulls, empties

    def numeric(self, path: str) -> tuple[Column, ...]:
        """The columns of the path's numbers."""
        return tuple(column for column in self.at(path) if column.kind in NUMERIC)
