"""Whether bytes of erased events are still on the disk: in replaced files, and in segments of the logs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import ErasureKind, RequestedErasure
from storage.disk.file_system import FileSystem
from storage.log.format import SEGMENT_HEADER_SIZE
from storage.log.segments import TURN_SECONDS, list_segments

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class ErasedBytes:
    """What may hold events that a request erased; ``segments`` are of all projects together."""

    files: int
    bytes: int
    segments: int

    @property
    def gone(self) -> bool:
        return not (self.files or self.segments)


def erased_bytes(catalog: Catalog, fs: FileSystem, requested: RequestedErasure) -> ErasedBytes | None:
    """What is left of a request that is done; None for one that is not. Raises OSError."""
    if requested.ended_us is None or requested.erasure.problem is not None:
        return None
    # Superseded files hold what an update replaced, but nothing that was deleted.
    files, size = catalog.inventory.replaced(
        requested.erasure.collection_id,
        requested.ended_us,
        superseded=requested.erasure.kind is ErasureKind.UPDATE,
    )
    segments = sum(_old_segments(catalog, fs, log.id, requested.ended_us) for log in catalog.logs.all())
    return ErasedBytes(files, size, segments)


def _old_segments(catalog: Catalog, fs: FileSystem, log_id: int, ended_us: int) -> int:
    """The segments of a log that may have been begun before the end of a request."""
    until = ended_us / _SECOND_US
    try:
        segments = list_segments(fs, catalog.folder.log(log_id))
        old = sum(one.path.stat().st_mtime <= until + TURN_SECONDS for one, _ in pairwise(segments))
        for last in segments[-1:]:
            # A worker has begun it since, unless nothing was ever written to it or the worker has died.
            status = last.path.stat()
            old += status.st_mtime < until and status.st_size > SEGMENT_HEADER_SIZE
    except FileNotFoundError:
        # Removed in this moment.
        return 0
    return old
