"""Actors with several ids: which ids are linked, and columns with one id for all those of an actor.

Cohorts, and whatever else needs the actor of an event, take ``actor_columns`` or ``key_of_actor`` in place of
the plain columns of a property.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeGuard

import pyarrow as pa
import pyarrow.compute as pc

from query.plan.columns import Available, Column, ColumnKind
from query.plan.exact_sums import EXACT_DOUBLES

IDENTITIES = "acumen.identities"
"""The collection whose events say which ids belong to one actor."""
ANONYMOUS, USER, ALIAS = "anonymous_id", "user_id", "alias"
"""Properties of these events."""
LINKS_TABLE = "$links"
ID_STRING, ID_NUMBER, TO_STRING, TO_NUMBER = "$id_string", "$id_number", "$to_string", "$to_number"
Id = str | float
LINK_TYPES = pa.schema(
    [
        (ID_STRING, pa.string()),
        (ID_NUMBER, pa.float64()),
        (TO_STRING, pa.string()),
        (TO_NUMBER, pa.float64()),
    ]
)


@dataclass(frozen=True)
class IdLinks:
    """Every id that stands for another one, once, with that one.

    ``table`` has the columns of ``LINK_TYPES``; of the two columns of an id one is null. ``version`` is equal
    for equal links of one project, in every process and at any time.
    """

    table: pa.Table = field(default_factory=LINK_TYPES.empty_table)
    version: str = ""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def from_strings(self) -> bool:
        return self._has(ID_STRING)

    @cached_property
    def from_numbers(self) -> bool:
        return self._has(ID_NUMBER)

    @cached_property
    def to_strings(self) -> bool:
        return self._has(TO_STRING)

    @cached_property
    def to_numbers(self) -> bool:
        return self._has(TO_NUMBER)

    def _has(self, column: str) -> bool:
        return int(self.table.column(column).null_count) < len(self)

    def actor_of(self, identifier: Id) -> Id:
        """The id that stands for the actor with this id."""
        row = pc.index(self.table.column(_column_of(identifier, ID_STRING, ID_NUMBER)), identifier).as_py()
        if row < 0:
            return identifier
        text = self.table.column(TO_STRING)[row].as_py()
        found: Id = self.table.column(TO_NUMBER)[row].as_py() if text is None else text
        return found

    def ids_of(self, identifier: Id) -> list[Id]:
        """All ids of the actor with this id; the one that stands for it first."""
        actor = self.actor_of(identifier)
        own = self.table.filter(pc.equal(self.table.column(_column_of(actor, TO_STRING, TO_NUMBER)), actor))
        found = own.column(ID_STRING).drop_null().to_pylist() + own.column(ID_NUMBER).drop_null().to_pylist()
        return [actor, *found]


def is_id(value: object) -> TypeGuard[Id]:
    """Whether the value can be linked: text, or a number that a double holds."""
    if isinstance(value, str):
        return value != ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= EXACT_DOUBLES if isinstance(value, int) else math.isfinite(value)


def _column_of(identifier: Id, text: str, number: str) -> str:
    return text if isinstance(identifier, str) else number


UNLINKED = IdLinks()


@dataclass(frozen=True, slots=True)
class ActorColumn(Column):
    """The id of an event's actor, of one kind: computed from the property's columns and the links.

    Of kind JSON it is the property's own column, and the links are those of the elements of its lists.
    """

    bases: tuple[Column, ...]
    """The property's columns that it is computed from."""
    links: IdLinks = field(compare=False, repr=False)

    def base(self, kind: ColumnKind) -> Column | None:
        return next((column for column in self.bases if column.kind is kind), None)


def actor_columns(path: str, available: Available, links: IdLinks | None) -> tuple[Column, ...]:
    """The columns of an actor's id; those of the property where nothing is linked."""
    columns = available.at(path)
    if not links:
        return columns
    linked = {ColumnKind.STRING: links.from_strings, ColumnKind.NUMBER: links.from_numbers}
    bases = tuple(column for column in columns if column.kind in linked)
    made: list[Column] = []
    if any(linked[base.kind] for base in bases):
        to = {ColumnKind.STRING: links.to_strings, ColumnKind.NUMBER: links.to_numbers}
        kinds = [kind for kind in to if to[kind] or any(base.kind is kind for base in bases)]
        made += (ActorColumn(f"$actor.{kind}.{bases[0].name}", kind, bases, links) for kind in kinds)
    else:
        made += bases
    for column in columns:
        if column.kind is ColumnKind.JSON:
            made.append(ActorColumn(column.name, column.kind, (column,), links))
        elif column not in bases:
            made.append(column)
    return tuple(made)
