"""The schema of a collection: property paths, their lanes, and the physical columns that store them.

A *path* is dotted (``user.id``); property names hold no dots, so it is reversible. One path has one
*lane* for each kind of value it was ever seen with. One event holds a value in at most one lane of a
path, and a value's lane follows from the value alone, so comparing lane by lane never needs a cast.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import pyarrow as pa


class LaneKind(StrEnum):
    """The kind of value a lane holds; its Arrow type never changes."""

    NUMBER = "number"
    """DOUBLE: every JSON number that a double represents exactly, and all fractions."""
    INTEGER = "integer"
    """BIGINT: 64-bit integers that no double represents exactly."""
    LONG = "long"
    """VARCHAR: decimal text of longer integers that no double represents exactly."""
    STRING = "string"
    BOOLEAN = "boolean"
    JSON = "json"
    """VARCHAR: a list, as JSON text."""
    NULL = "null"
    """The path was seen with an explicit null before it had any value; no column is ever written."""


ARROW_TYPES: Mapping[LaneKind, pa.DataType] = {
    LaneKind.NUMBER: pa.float64(),
    LaneKind.INTEGER: pa.int64(),
    LaneKind.LONG: pa.string(),
    LaneKind.STRING: pa.string(),
    LaneKind.BOOLEAN: pa.bool_(),
    LaneKind.JSON: pa.string(),
    LaneKind.NULL: pa.null(),
}

TIMESTAMP = "keen.timestamp"
CREATED_AT = "keen.created_at"
EVENT_ID = "keen.id"
NULLS = "keen.nulls"
"""list<string>: paths that the event holds as an explicit ``null``; absent where no event has one."""
EMPTIES = "keen.empties"
"""list<string>: paths that the event holds as an empty object; absent where no event has one."""

SYSTEM_TYPES: Mapping[str, pa.DataType] = {
    TIMESTAMP: pa.timestamp("us"),
    CREATED_AT: pa.timestamp("us"),
    EVENT_ID: pa.string(),
    NULLS: pa.list_(pa.string()),
    EMPTIES: pa.list_(pa.string()),
}


@dataclass(frozen=True, slots=True)
class Lane:
    """One kind of value at one path, and the column that stores it."""

    path: str
    kind: LaneKind
    column: str


@dataclass(frozen=True)
class Schema:
    """The lanes of one collection in the order first seen.

    Lanes are appended, and removed when no event holds a value in them any more (``without``). ``version``
    grows with both. ``pruned`` is the version at which lanes were last removed; from it on, a schema of a
    higher version begins with the lanes of a lower one.
    """

    lanes: tuple[Lane, ...] = ()
    retired: int = 0
    """Versions without a lane of the schema: one for each removed lane, and one for each removal."""
    pruned: int = 0

    @property
    def version(self) -> int:
        return self.retired + len(self.lanes)

    @cached_property
    def by_path(self) -> Mapping[str, tuple[Lane, ...]]:
        """Path → its lanes, in the order first seen."""
        paths: dict[str, tuple[Lane, ...]] = {}
        for lane in self.lanes:
            paths[lane.path] = (*paths.get(lane.path, ()), lane)
        return paths

    @cached_property
    def by_column(self) -> Mapping[str, Lane]:
        return {lane.column: lane for lane in self.lanes}

    @cached_property
    def valued(self) -> frozenset[str]:
        """The paths that were ever seen with a value."""
        return frozenset(lane.path for lane in self.lanes if lane.kind is not LaneKind.NULL)

    def at(self, path: str) -> tuple[Lane, ...]:
        """The lanes of exactly this path; empty if it was never seen."""
        return self.by_path.get(path, ())

    def under(self, path: str) -> tuple[Lane, ...]:
        """The lanes of every path below this one (``user`` → ``user.id``, ``user.plan``)."""
        prefix = path + "."
        return tuple(lane for lane in self.lanes if lane.path.startswith(prefix))

    def missing(self, wanted: Iterable[tuple[str, LaneKind]]) -> list[tuple[str, LaneKind]]:
        """The (path, kind) pairs of ``wanted`` that have no lane yet, in order, without repeats.

        A null needs a lane only where no other lane makes its path known: one at the path or below it.
        """
        have = {(lane.path, lane.kind) for lane in self.lanes}
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in have]
        if not any(kind is LaneKind.NULL for _, kind in missing):
            return missing
        wanted_values = [path for path, kind in missing if kind is not LaneKind.NULL]
        known = with_prefixes([*self.by_path, *wanted_values])
        return [(path, kind) for path, kind in missing if kind is not LaneKind.NULL or path not in known]

    def extended(self, wanted: Iterable[tuple[str, LaneKind]]) -> Schema:
        """This schema with lanes appended for those pairs that lack one."""
        taken = {fold_column(name) for name in (*self.by_column, *SYSTEM_TYPES)}
        seen = set(self.valued)
        added: list[Lane] = []
        for path, kind in self.missing(wanted):
            home = kind is not LaneKind.NULL and path not in seen
            column = name_column(path, kind, home=home, taken=taken)
            taken.add(fold_column(column))
            if kind is not LaneKind.NULL:
                seen.add(path)
            added.append(Lane(path, kind, column))
        return replace(self, lanes=(*self.lanes, *added)) if added else self

    def without(self, removed: Iterable[Lane]) -> Schema:
        """This schema without these lanes, with a new version."""
        dropped = set(removed)
        kept = tuple(lane for lane in self.lanes if lane not in dropped)
        retired = self.retired + len(self.lanes) - len(kept) + 1
        return Schema(kept, retired, retired + len(kept))

    def unheld(
        self, columns: Container[str], nulls: Container[str]
    ) -> tuple[list[Lane], list[tuple[str, LaneKind]]]:
        """The lanes that no event needs, and the (path, kind) pairs that need a lane once those are removed.

        ``columns`` are the columns that hold values; ``nulls`` the paths that some event holds as an
        explicit null.
        """
        valued = [lane for lane in self.lanes if lane.kind is not LaneKind.NULL]
        unneeded = [lane for lane in valued if lane.column not in columns]
        kept = {lane.path for lane in valued if lane.column in columns}
        listed = [lane for lane in self.lanes if lane.kind is LaneKind.NULL]
        unneeded += [lane for lane in listed if lane.path not in kept and lane.path not in nulls]
        covered = with_prefixes(kept) | {lane.path for lane in listed}
        uncovered = with_prefixes(lane.path for lane in unneeded) - covered
        return unneeded, [(path, LaneKind.NULL) for path in sorted(uncovered) if path in nulls]


def with_prefixes(paths: Iterable[str]) -> set[str]:
    """The paths and all their ancestors."""
    prefixes: set[str] = set()
    for path in paths:
        while path and path not in prefixes:
            prefixes.add(path)
            path = path.rpartition(".")[0]
    return prefixes


def fold(name: str) -> str:
    """The name as DuckDB compares it: ASCII letters in lower case, everything else unchanged."""
    return "".join(c.lower() if c.isascii() else c for c in name)


def fold_column(name: str) -> str:
    """A form of a column name that is equal for names that some reader may treat as the same.

    Such names differ only in the case of a letter (Spark compares each letter and the whole name) or in the
    encoding of an accent.
    """
    folded = unicodedata.normalize("NFC", name).upper().casefold().replace("i\N{COMBINING DOT ABOVE}", "i")
    return unicodedata.normalize("NFC", folded)


def name_column(path: str, kind: LaneKind, *, home: bool, taken: set[str]) -> str:
    """A column name whose folded form is not in ``taken``: the path itself for its first lane.

    A NUL is replaced by the symbol ␀, since Arrow exports names as texts that end at the first NUL.
    """
    name = (path if home else f"{path}:{kind.value}").replace("\0", "\N{SYMBOL FOR NULL}")
    candidate, number = name, 2
    while fold_column(candidate) in taken:
        candidate, number = f"{name}~{number}", number + 1
    return candidate


def arrow_type(schema: Schema, column: str) -> pa.DataType:
    """The Arrow type of a system or lane column. Raises KeyError for any other column."""
    system = SYSTEM_TYPES.get(column)
    return system if system is not None else ARROW_TYPES[schema.by_column[column].kind]
