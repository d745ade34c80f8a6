"""Frames of a log, taken apart by collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from storage.columns.rowwise_shredder import wanted_of
from storage.columns.shredder import FramePiece, split_lines
from storage.log.format import ROWWISE, Frame
from storage.schema import LaneKind


# Not frozen: a frozen one takes four times as long to make, and there is one for every post.
@dataclass(slots=True)
class CollectionPiece:
    """One section of one frame: whose it is, and what the shredder needs of it."""

    collection_id: int
    lanes_version: int
    """The least schema version that knows all its lanes."""
    duplicates: int
    """Events of it that were acknowledged and not stored, their token having been seen."""
    piece: FramePiece


def pieces_of(frame: Frame) -> Iterator[CollectionPiece]:
    """Every section of the frame, its events numbered on from the frame's first ordinal."""
    ordinal = frame.base_ordinal
    for section in frame.sections:
        piece = FramePiece(
            section.payload,
            section.count,
            section.times,
            frame.received_us,
            frame.log_id,
            ordinal,
            section.flags,
        )
        ordinal += section.count
        yield CollectionPiece(section.collection_id, section.lanes_version, section.duplicates, piece)


def wanted_by(pieces: Iterable[FramePiece]) -> list[tuple[str, LaneKind]]:
    """The (path, kind) pairs that the events want lanes for, each once."""
    lines = (line for piece in pieces for line in split_lines(piece.lines))
    return list(dict.fromkeys(pair for line in lines for pair in wanted_of(line)))


def read_rowwise(piece: FramePiece) -> FramePiece:
    """The piece, to be shredded event by event: the bulk reader may take only what passed the strict check of
    the very schema that it reads with."""
    return replace(piece, flags=piece.flags | ROWWISE)
