"""Changing properties of stored events, column by column, without a Python loop over the events.

An update sets one value at one path. Values at the path, below it, or at an ancestor that must become an
object are removed, as if the event were sent again with the new value.
"""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.columns.rowwise_shredder import cell
from storage.events.validation import kind_of, leaves, parse_event
from storage.schema import EMPTIES, EVENT_ID, NULLS, SYSTEM_TYPES, Schema, arrow_type


@dataclass(frozen=True)
class Update:
    """The new value of one property. ``upsert``: events without the property get it too."""

    path: str
    upsert: bool
    own: frozenset[str]
    """Columns of the path and of all paths below it."""
    cleared: frozenset[str]
    """The columns of ``own``, and those of plain values at the path's ancestors."""
    cells: Mapping[str, Any]
    nulls: tuple[str, ...]
    empties: tuple[str, ...]

    def clears(self, path: str) -> bool:
        """Whether the update removes an explicit null or an empty object at ``path``."""
        return path == self.path or path.startswith(self.path + ".") or self.path.startswith(path + ".")

    def is_at(self, path: str) -> bool:
        return path == self.path or path.startswith(self.path + ".")


def read_update(schema: Schema, path: str, line: bytes, *, upsert: bool) -> Update:
    """Build an update from ``line``, an event with only the new value; the schema must have lanes for it."""
    lanes = {(lane.path, lane.kind): lane.column for lane in schema.lanes}
    cells: dict[str, Any] = {}
    nulls: list[str] = []
    empties: list[str] = []
    for leaf, value in leaves(parse_event(line)):
        if value is None:
            nulls.append(leaf)
        elif value == {}:
            empties.append(leaf)
        else:
            kind = kind_of(value)
            cells[lanes[(leaf, kind)]] = cell(value, kind)
    own = {lane.column for lane in (*schema.at(path), *schema.under(path))}
    above = {lane.column for name in _above(path) for lane in schema.at(name)}
    return Update(path, upsert, frozenset(own), frozenset(own | above), cells, tuple(nulls), tuple(empties))


def _above(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def updated(
    part: pa.Table, ids: pa.Array | None, updates: Sequence[Update], schema: Schema
) -> tuple[pa.Table, int]:
    """The rows after the updates, and the number of rows that any update applied to.

    ``ids`` are the events to update, None for all. All parts of a file get the same columns.
    """
    matched = _all(part) if ids is None else pc.is_in(part.column(EVENT_ID), ids).combine_chunks()
    touched = pa.array([False] * part.num_rows)
    part = _with_columns(part, updates, schema)
    for update in updates:
        mask = matched if update.upsert else pc.and_(matched, _holds(part, update))
        touched = pc.or_(touched, mask)
        part = _apply(part, mask, update)
    return part, pc.sum(touched).as_py() or 0


def _all(part: pa.Table) -> pa.Array:
    return pa.array([True] * part.num_rows)


def _with_columns(part: pa.Table, updates: Sequence[Update], schema: Schema) -> pa.Table:
    """The rows with every column that an update may write."""
    names = [name for update in updates for name in update.cells]
    names += [NULLS] * any(update.nulls for update in updates)
    names += [EMPTIES] * any(update.empties for update in updates)
    for name in dict.fromkeys(names):
        if name not in part.column_names:
            part = part.append_column(name, pa.nulls(part.num_rows, arrow_type(schema, name)))
    return part


def _holds(part: pa.Table, update: Update) -> pa.Array:
    holding = pa.array([False] * part.num_rows)
    for name in update.own:
        if name in part.column_names:
            holding = pc.or_(holding, pc.is_valid(part.column(name)).combine_chunks())
    for name in (NULLS, EMPTIES):
        if name in part.column_names:
            lists = part.column(name).to_pylist()
            listed = [any(update.is_at(path) for path in paths or ()) for paths in lists]
            holding = pc.or_(holding, pa.array(listed, pa.bool_()))
    return holding


def _apply(part: pa.Table, mask: pa.Array, update: Update) -> pa.Table:
    for name in update.cleared | update.cells.keys():
        if name in part.column_names:
            position = part.column_names.index(name)
            field = part.schema.field(name)
            value = pa.scalar(update.cells.get(name), field.type)
            part = part.set_column(position, field, pc.if_else(mask, value, part.column(name)))
    for name, added in ((NULLS, update.nulls), (EMPTIES, update.empties)):
        if name in part.column_names:
            part = _apply_list(part, name, mask.to_pylist(), update, added)
    return part


def _apply_list(
    part: pa.Table, name: str, mask: Sequence[bool], update: Update, added: Container[str]
) -> pa.Table:
    changed = [
        _merged(paths, update, added) if here else paths
        for paths, here in zip(part.column(name).to_pylist(), mask, strict=True)
    ]
    position = part.column_names.index(name)
    return part.set_column(position, part.schema.field(name), pa.array(changed, SYSTEM_TYPES[name]))


def _merged(paths: Sequence[str] | None, update: Update, added: Container[str]) -> list[str] | None:
    kept = [path for path in paths or () if not update.clears(path)]
    return [*kept, *added] or None
