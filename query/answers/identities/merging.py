"""Merges the ids of actors that are numbered: only the different ones are looked up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.behaviour.sequences import numbered
from query.plan.actors import ID_NUMBER, ID_STRING, TO_NUMBER, TO_STRING, IdLinks
from query.plan.keys import KeyPart

Numbers = NDArray[np.int32]
_IDS = {KeyPart.STRING: ID_STRING, KeyPart.NUMBER: ID_NUMBER}
_ACTORS = {KeyPart.STRING: TO_STRING, KeyPart.NUMBER: TO_NUMBER}
_TYPES = {KeyPart.STRING: pa.string(), KeyPart.NUMBER: pa.float64()}


def merged_ids(
    numbers: Numbers, parts: Sequence[KeyPart], values: Sequence[pa.Array], links: IdLinks
) -> tuple[Numbers, tuple[KeyPart, ...], list[pa.Array]]:
    """As of ``numbered`` with its parts: the numbers of actors, and the ids that stand for them."""
    pieces = [_looked_up(part, own, links) for part, own in zip(parts, values, strict=True)]
    merged = tuple(part for part in KeyPart if any(part in piece for piece in pieces))
    sizes = list(map(len, values))
    columns = []
    for part in merged:
        kind = next(piece[part].type for piece in pieces if part in piece)
        cells = [
            piece[part] if part in piece else pa.nulls(size, kind)
            for piece, size in zip(pieces, sizes, strict=True)
        ]
        columns.append(pa.chunked_array(cells, kind))
    places, distinct = numbered(columns)
    return places[numbers], merged, distinct


def _looked_up(part: KeyPart, own: pa.Array, links: IdLinks) -> dict[KeyPart, pa.Array]:
    """The ids that stand for the actors of these, in the parts that they belong to."""
    if part not in _IDS:
        return {part: own}
    own = own.cast(_TYPES[part])
    ids = links.table.column(_IDS[part])
    # Arrow looks doubles up by their bits, of which -0.0 has others than 0.0.
    wanted, known = (own, ids) if part is KeyPart.STRING else (pc.add(own, 0.0), pc.add(ids, 0.0))
    rows = pc.index_in(wanted, value_set=known)
    found = {one: _taken(links.table.column(name), rows) for one, name in _ACTORS.items()}
    found[part] = pc.coalesce(found[part], pc.if_else(pc.is_null(rows), own, pa.scalar(None, own.type)))
    return {one: cells for one, cells in found.items() if one is part or cells.null_count < len(cells)}


def _taken(column: pa.ChunkedArray, rows: pa.Array) -> pa.Array:
    taken = column.take(rows)
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken
