"""What a caller sees of arriving events, and of those that arrived since a position.

A key's filters are part of the view, which is made from a caller alone, and narrow the plan where its source
is built, so that no tail can show an event that a question would not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from query.answers.arrivals import Arrival, Arrivals, arrivals
from query.engine.engine import CancelToken, Deadline, Engine
from query.errors import QueryError
from query.language.nodes import ExtractionQuery, Filter
from query.limits import Limits
from service.auth.principal import Caller, Permission
from service.queries.tail_cursor import filters_after
from storage.columns.frame_pieces import CollectionPiece
from storage.read.arrivals import ArrivalPosition
from storage.source import Source, SourceGone

SLICE_EVENTS = 5_000
SLICE_BYTES = 4 << 20
"""Events, and bytes of their JSON, that are shredded and filtered at a time."""
RESUMED_BYTES_MAX = 16 << 20
"""Bytes of the events that a tail is resumed with; of more only the newest are shown, after a gap."""
ATTEMPTS_MAX = 4
_Pieces = Mapping[int, Sequence[CollectionPiece]]
"""By collection id."""


class ArrivalSource(Protocol):
    """Sources of one collection: of all its events, and of those alone that just arrived."""

    def source(self, project_id: str, collection_name: str) -> Source: ...

    def collection_id(self, project_id: str, collection_name: str) -> int | None: ...

    def arrived(self, project_id: str, collection_name: str, pieces: Sequence[CollectionPiece]) -> Source: ...


@dataclass(frozen=True)
class TailView:
    """One collection as a caller sees it: ``forced`` are its key's filters, ``own`` those asked for."""

    project_id: str
    collection: str
    forced: tuple[Filter, ...]
    own: tuple[Filter, ...]

    @classmethod
    def of(cls, caller: Caller, collection: str, own: tuple[Filter, ...]) -> TailView:
        return cls(caller.project.id, collection, caller.filters_for(Permission.QUERIES), own)

    @cached_property
    def key(self) -> tuple[str, str, str]:
        """Equal for views that show the same events."""
        return self.project_id, self.collection, repr((self.forced, self.own))

    @property
    def shows_all(self) -> bool:
        return not self.forced and not self.own


@dataclass(frozen=True, slots=True)
class Shown:
    """``left_out``: how many further events there were, None where that is not known."""

    events: tuple[Arrival, ...]
    left_out: int | None = 0


class ArrivalFinder:
    """Blocking and thread-safe."""

    def __init__(self, reader: ArrivalSource, engine: Engine, limits: Limits) -> None:
        self._reader = reader
        self._engine = engine
        self._limits = limits

    def among(self, view: TailView, pieces: _Pieces, events_max: int) -> Shown:
        """Those of the pieces that the view shows, in order. Raises QueryError, StorageError."""
        collection_id = self._reader.collection_id(view.project_id, view.collection)
        own = pieces.get(collection_id, ()) if collection_id is not None else ()
        shown: list[Arrival] = []
        for part in _slices(own):
            if len(shown) >= events_max:
                rest = sum(one.piece.count for one in own) - len(shown)
                return Shown(tuple(shown), rest if view.shows_all else None)
            source = self._reader.arrived(view.project_id, view.collection, part)
            if source.tail is not None and source.tail.num_rows:
                deadline, rows = Deadline.after(self._limits.timeout_seconds), source.tail.num_rows
                bytes_max = self._limits.response_bytes_max
                shown += self._run(view, source, (), deadline, rows, bytes_max).events
        return Shown(tuple(shown))

    def since(
        self, view: TailView, position: ArrivalPosition, events_max: int, token: CancelToken
    ) -> tuple[Shown, bool]:
        """The newest events after a position that the view shows, in order, and whether all could be read.

        Raises QueryError, StorageError.
        """
        deadline = Deadline.after(self._limits.timeout_seconds, token)
        for _ in range(ATTEMPTS_MAX):
            source = self._reader.source(view.project_id, view.collection)
            whole = not any(file.id > position.file for file in source.damaged)
            files = tuple(file for file in source.files if file.id > position.file)
            newer = replace(source, files=files, damaged=())
            filters = tuple(filters_after(position))
            try:
                found = self._run(view, newer, filters, deadline, events_max, RESUMED_BYTES_MAX)
            except SourceGone:
                continue
            return Shown(found.events, None if found.left_out else 0), whole
        raise QueryError("The stored events could not be read.")

    def _run(
        self,
        view: TailView,
        source: Source,
        filters: tuple[Filter, ...],
        deadline: Deadline,
        events_max: int,
        bytes_max: int,
    ) -> Arrivals:
        return arrivals(
            ExtractionQuery(view.collection, filters=(*view.own, *filters)),
            source,
            self._engine,
            forced=view.forced,
            limits=self._limits,
            deadline=deadline,
            events_max=events_max,
            bytes_max=bytes_max,
        )


def _slices(pieces: Sequence[CollectionPiece]) -> Iterator[list[CollectionPiece]]:
    """The pieces in parts of limited size, in order."""
    part: list[CollectionPiece] = []
    events = size = 0
    for piece in pieces:
        if part and (events >= SLICE_EVENTS or size >= SLICE_BYTES):
            yield part
            part, events, size = [], 0, 0
        part.append(piece)
        events += piece.piece.count
        size += len(piece.piece.lines)
    if part:
        yield part
