"""Splitting the frames of a log by collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from storage.columns.rowwise_shredder import wanted_of
from storage.columns.shredder import FramePiece, split_lines
from storage.log.format import CLAIMED_BIT, ROWWISE, Frame
from storage.schema import LaneKind


# Not frozen: creating a frozen instance takes four times as long, and there is one for every post.
@dataclass(slots=True)
class CollectionPiece:
    """One section of a frame: its collection, and the input for the shredder."""

    collection_id: int
    lanes_version: int
    """The lowest schema version that has all its lanes."""
    duplicates: int
    """Events that were acknowledged but not stored, since their token had been seen before."""
    piece: FramePiece


def pieces_of(frame: Frame) -> Iterator[CollectionPiece]:
    """The sections of a frame, their events numbered consecutively from the frame's first ordinal."""
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


def ends_with(ends: tuple[int, int], frame: Frame) -> tuple[int, int]:
    """The ends of a log's plain and claimed ordinals, once the frame is added."""
    plain, claimed = ends
    end = frame.base_ordinal + frame.count
    return (plain, max(claimed, end)) if frame.base_ordinal & CLAIMED_BIT else (max(plain, end), claimed)


def wanted_by(pieces: Iterable[FramePiece]) -> list[tuple[str, LaneKind]]:
    """The (path, kind) pairs for which the events need lanes, without repeats."""
    lines = (line for piece in pieces for line in split_lines(piece.lines))
    return list(dict.fromkeys(pair for line in lines for pair in wanted_of(line)))


def read_rowwise(piece: FramePiece) -> FramePiece:
    """The piece, flagged to be shredded event by event.

    The bulk reader may read only events that passed the strict check of the schema that it reads with.
    """
    return replace(piece, flags=piece.flags | ROWWISE)
