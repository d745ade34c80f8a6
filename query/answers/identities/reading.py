"""Reads which ids are linked from the events that say so, and adds later events to what is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from query.behaviour.identities import Statements, owners_of
from query.behaviour.sequences import Integers, numbered
from query.engine.links import KeptLinks
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.language.nodes import Span
from query.limits import Limits
from query.plan import predicates as p
from query.plan.actors import ALIAS, ANONYMOUS, IDENTITIES, LINK_TYPES, UNLINKED, USER, Id, IdLinks
from query.plan.columns import CREATED_AT_COLUMN, Column
from query.plan.views import View, Views
from query.sql import identities as sql

ADDED_MAX = 10_000
"""Most statements that are added to known ones one by one; more are read anew together with them."""
CHUNKS_MAX = 32
_STATEMENT_BYTES = 300
"""Bytes that a statement takes while all are put together."""
PROPERTIES = (ANONYMOUS, USER, ALIAS)
_TEXTS, _NUMBERS = pa.string(), pa.float64()


def read_links(views: Views, runner: Runner, limits: Limits) -> IdLinks:
    """The links of all events that the key sees. Raises QueryLimitExceeded, and what reading raises."""
    source = views.source(IDENTITIES)
    if not source.known:
        return UNLINKED
    filters = hashlib.sha256(repr(views.forced).encode()).hexdigest() if views.forced else ""
    # Links of an earlier version are apart: its events may have had other values.
    key = (source.collection_id, filters + source.version if source.past else filters)
    view = views.view(IDENTITIES, (Span(),))
    version = f"{source.collection_id}.{source.erase_version}.{view.rows}.{key[1]}"
    cache = runner.engine.links
    kept = cache.find(key)
    if kept is not None and kept.links.version == version:
        return kept.links
    reading = _Reading(view, runner, limits, version)
    added = None if kept is None or key[1] else reading.added(kept)
    now = reading.all() if added is None else added
    cache.keep(key, now)
    return now.links


def said_columns(view: View) -> list[tuple[Column, ...]]:
    """The columns with ids of each property."""
    return [
        tuple(column for column in view.available.at(path) if column.kind in sql.KINDS) for path in PROPERTIES
    ]


@dataclass(frozen=True)
class _Said:
    """What events say, each once, in order. ``cells``: of each property the texts and the numbers."""

    cells: Sequence[pa.ChunkedArray]
    events: int
    last_us: int | None

    @property
    def size(self) -> int:
        return len(self.cells[0])


@dataclass(frozen=True)
class _Reading:
    view: View
    runner: Runner
    limits: Limits
    version: str

    def all(self) -> KeptLinks:
        said = self._said(p.TRUE)
        if said.size > self.limits.identities_max:
            raise QueryLimitExceeded(
                f"The events of '{IDENTITIES}' say more than {self.limits.identities_max:,} different things "
                "about which ids belong together. Ask with identity: 'as_sent'; whoever runs the server can "
                "raise ACUMEN_IDENTITIES_MAX."
            )
        self.runner.reservation.reserve(_STATEMENT_BYTES * said.size)
        told, texts, numbers = _told(said)
        owners = owners_of(told)
        ids = _Ids(texts, numbers)
        columns = (*ids.cells(owners.ids), *ids.cells(owners.actors))
        links = IdLinks(pa.table(list(columns), schema=LINK_TYPES), self.version)
        users = pa.table(list(ids.cells(np.unique(told.users))), names=["text", "number"])
        return self._kept(links, users, said, said.events)

    def added(self, kept: KeptLinks) -> KeptLinks | None:
        """What was kept, with what events say that arrived later; None where it has to be read anew."""
        new = self.view.rows - kept.rows
        same = kept.erase_version == self.view.source.erase_version and kept.last_us is not None
        if not same or new < 0 or new > ADDED_MAX:
            return None
        said = self._said(p.Compare(CREATED_AT_COLUMN, ">", p.Instant(kept.last_us or 0)))
        if said.events != new or len(kept.links) + said.size > self.limits.identities_max:
            # Some arrived at the same time as the last one known, or before it.
            return None
        rows = list(zip(*(cells.to_pylist() for cells in said.cells), strict=True))
        if any(alias is not None or text is not None for *_, text, alias in rows):
            return None
        return self._kept(*_extended(kept, rows, self.version), said, kept.rows + new)

    def _said(self, condition: p.Predicate) -> _Said:
        properties = said_columns(self.view)
        columns = [*sql.ORDER, *(column for listed in properties for column in listed)]
        scan = self.view.scan(columns, condition, Span())
        if scan.empty:
            nothing = [pa.chunked_array([], kind) for _ in PROPERTIES for kind in (_TEXTS, _NUMBERS)]
            return _Said(nothing, 0, None)
        statement = sql.said(scan, properties, self.limits.identities_max + 1)
        table = self.runner.table(statement, self.view.tables(scan), reads=self.view.rows)
        cells = [
            column.cast(_TEXTS if at % 2 == 0 else _NUMBERS)
            for at, column in enumerate(table.columns[: 2 * len(PROPERTIES)])
        ]
        events, last = (table.column(2 * len(PROPERTIES) + at) for at in (0, 1))
        return _Said(cells, int(pc.sum(events).as_py() or 0), pc.max(last).as_py())

    def _kept(self, links: IdLinks, users: pa.Table, said: _Said, rows: int) -> KeptLinks:
        return KeptLinks(links, users, self.view.source.erase_version, rows, said.last_us)


@dataclass(frozen=True)
class _Ids:
    """The ids that numbers stand for, texts first."""

    texts: pa.Array
    numbers: pa.Array

    def cells(self, wanted: Integers) -> tuple[pa.Array, pa.Array]:
        """The texts of ids, and the numbers; one of them is null."""
        own = pa.array(wanted)
        count = len(self.texts)
        is_text = pc.less(own, count)
        none = pa.scalar(None, own.type)
        return (
            self.texts.take(pc.if_else(is_text, own, none)),
            self.numbers.take(pc.if_else(is_text, none, pc.subtract(own, count))),
        )


def _told(said: _Said) -> tuple[Statements, pa.Array, pa.Array]:
    """The statements that name two different ids, and the ids that their numbers stand for."""
    size = said.size
    cells = said.cells
    texts, numbers = (
        pa.chunked_array([chunk for part in cells[first::2] for chunk in part.chunks], kind)
        for first, kind in ((0, _TEXTS), (1, _NUMBERS))
    )
    codes, (known_texts, known_numbers) = _numbered(texts, numbers)
    anonymous, users, aliases = (codes[at * size : (at + 1) * size] for at in range(3))
    # An event may say both: a link, and then an alias.
    ids = np.stack([anonymous, aliases], axis=1).reshape(-1)
    both = np.repeat(users, 2)
    is_alias = np.tile(np.array([False, True]), size)
    good = (ids >= 0) & (both >= 0) & (ids != both)
    told = Statements(ids[good], both[good], is_alias[good], len(known_texts) + len(known_numbers))
    return told, known_texts, known_numbers


def _numbered(texts: pa.ChunkedArray, numbers: pa.ChunkedArray) -> tuple[Integers, list[pa.Array]]:
    """As ``numbered``, with -1 for what is no id: an empty text, or nothing."""
    empty = pc.equal(texts, "")
    found, distinct = numbered([pc.if_else(empty, pa.scalar(None, _TEXTS), texts), numbers])
    return found.astype(np.int64), distinct


def _extended(kept: KeptLinks, rows: Sequence[tuple[Any, ...]], version: str) -> tuple[IdLinks, pa.Table]:
    """The links and users with those of further statements, none of them an alias."""
    told = [
        (anonymous, user)
        for anonymous, user in ((_one(row[0], row[1]), _one(row[2], row[3])) for row in rows)
        if anonymous is not None and user is not None and anonymous != user
    ]
    named = {one for pair in told for one in pair}
    actors = _actors_of(kept.links, named)
    users = _among(kept.users, named)
    new_users = list(dict.fromkeys(user for _, user in told if user not in users))
    made: dict[Id, Id] = {}
    for anonymous, user in told:
        if anonymous not in actors and anonymous not in users:
            made[anonymous] = actors[anonymous] = actors.get(user, user)
        users.add(user)
    links = _joined(kept.links.table, _table(list(made), list(made.values())), LINK_TYPES.names)
    more = _cells(new_users)
    return IdLinks(links, version), _joined(kept.users, list(more), kept.users.column_names)


def _one(text: str | None, number: float | None) -> Id | None:
    if text:
        return text
    # The sum of -0.0 and 0.0 is 0.0, the only zero that Arrow finds by the other.
    return None if number is None else number + 0.0


def _actors_of(links: IdLinks, wanted: set[Id]) -> dict[Id, Id]:
    """The ids among these that belong to others, with the one that stands for the actor."""
    found: dict[Id, Id] = {}
    for column, one in zip(LINK_TYPES.names[:2], _cells(list(wanted)), strict=True):
        if not len(one):
            continue
        rows = links.table.filter(pc.is_in(links.table.column(column), value_set=one.drop_null()))
        for row in rows.to_pylist():
            text = row[LINK_TYPES.names[2]]
            found[row[column]] = row[LINK_TYPES.names[3]] if text is None else text
    return found


def _among(users: pa.Table, wanted: set[Id]) -> set[Id]:
    found: set[Id] = set()
    for column, one in zip(users.columns, _cells(list(wanted)), strict=True):
        found.update(column.filter(pc.is_in(column, value_set=one.drop_null())).to_pylist())
    return found


def _cells(ids: Sequence[Id]) -> tuple[pa.Array, pa.Array]:
    return (
        pa.array([one if isinstance(one, str) else None for one in ids], _TEXTS),
        pa.array([None if isinstance(one, str) else one for one in ids], _NUMBERS),
    )


def _table(ids: Sequence[Id], actors: Sequence[Id]) -> list[pa.Array]:
    return [*_cells(ids), *_cells(actors)]


def _joined(table: pa.Table, more: list[pa.Array], names: list[str]) -> pa.Table:
    joined = pa.concat_tables([table, pa.table(more, names=names)])
    return joined.combine_chunks() if joined.column(0).num_chunks > CHUNKS_MAX else joined
