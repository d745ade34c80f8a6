"""Frames of a log, taken apart by collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from storage.log_format import Frame
from storage.shred import Piece


# Not frozen: a frozen one takes four times as long to make, and there is one for every post.
@dataclass(slots=True)
class CollectionPiece:
    """One section of one frame: whose it is, and what the shredder needs of it."""

    collection_id: int
    generation: int
    lanes_version: int
    """The least schema version that knows all its lanes."""
    duplicates: int
    """Events of it that were acknowledged and not stored, their token having been seen."""
    piece: Piece


def pieces_of(frame: Frame) -> Iterator[CollectionPiece]:
    """Every section of the frame, its events numbered on from the frame's first ordinal."""
    ordinal = frame.base_ordinal
    for section in frame.sections:
        piece = Piece(
            section.payload,
            section.count,
            section.times,
            frame.received_us,
            frame.log_id,
            ordinal,
            section.flags,
        )
        ordinal += section.count
        yield CollectionPiece(
            section.collection_id, section.generation, section.lanes_version, section.duplicates, piece
        )
