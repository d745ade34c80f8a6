"""Chunks: events that the keeper has shredded but not flushed, as Arrow files that every worker can map.

A *generation* is the time between two flushes: the chunks of one manifest hold exactly the frames from
the catalog's ``flushed_lsn`` of flush number ``flush_number`` up to ``positions``, log by log. A chunk
never spans two generations, so a query uses all chunks of its snapshot's flush number, or none.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pyarrow as pa

from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.errors import StorageError

_Stamp = tuple[int, int, int, int]
logger = logging.getLogger("acumen.chunks")

MERGE_FANOUT = 4
"""This many chunks of similar size are rewritten as one, so that few are open at a time."""

MERGED_BYTES_MAX = 4 << 20
"""Larger chunks are not merged: there are few of them before a flush, and writing them twice costs more than
opening them."""

MAPPED_BYTES_MIN = 64 << 10
"""The keeper keeps smaller chunks in memory and does not map them: a process may have some ten thousand
mappings, and there may be more collections than that."""


class ChunkRef(msgspec.Struct, frozen=True):
    """One Arrow file of the manifest."""

    name: str
    rows: int
    bytes: int
    pruned: int = 0
    """``Schema.pruned`` of the schema that it was shredded with."""
    crc: int = 0
    """CRC-32 of the file's bytes."""


class ChunksDamaged(StorageError):
    """A chunk differs from what was written. Its events are still in the logs."""


class ChunkManifest(msgspec.Struct, frozen=True):
    """The list of chunks that the keeper publishes, replaced as a whole by one rename."""

    flush_number: int
    positions: dict[int, int]
    """log id → the LSN up to which its frames are in the chunks."""
    collections: dict[int, list[ChunkRef]]
    ends: dict[int, tuple[int, int]] = {}
    """log id → the ends of its plain and claimed ordinals up to which its events are in files or chunks;
    known for logs of which this keeper has read a frame."""


@dataclass
class ChunkStore:
    """The keeper's side: writes chunks and publishes manifests. Nothing here needs to survive a crash."""

    folder: Path
    fs: FileSystem = field(default_factory=LocalFileSystem)
    _next: int = 0
    _live: dict[int, list[tuple[ChunkRef, pa.Table]]] = field(default_factory=dict)
    _dropped: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._epoch = f"{os.getpid():x}-{os.urandom(4).hex()}"

    def add(self, collection_id: int, table: pa.Table, now: float, pruned: int = 0) -> None:
        """Add a table that was shredded with a schema of this ``pruned``, merging small chunks if many."""
        chunks = self._live.setdefault(collection_id, [])
        chunks.append(self._write(table, pruned))
        while len(chunks) >= MERGE_FANOUT and _alike(chunks[-MERGE_FANOUT:]):
            last = chunks[-MERGE_FANOUT:]
            if sum(ref.bytes for ref, _ in last) > MERGED_BYTES_MAX:
                break
            self._check(last)
            merged = pa.concat_tables([table for _, table in last], promote_options="default")
            chunks[-MERGE_FANOUT:] = [self._write(merged.combine_chunks(), pruned)]
            self._dropped.extend((now, ref.name) for ref, _ in last)

    def tables(self, collection_id: int) -> list[pa.Table]:
        """The tables of a collection's chunks. Raises ChunksDamaged."""
        chunks = self._live.get(collection_id, ())
        self._check(chunks)
        return [table for _, table in chunks]

    def _check(self, chunks: Sequence[tuple[ChunkRef, pa.Table]]) -> None:
        """Raise ChunksDamaged if a mapped chunk changed on the disk: it must not get into a Parquet file."""
        for ref, table in chunks:
            if table.nbytes >= MAPPED_BYTES_MIN and _crc(self.fs, self.folder / ref.name) != ref.crc:
                raise ChunksDamaged(f"{self.folder / ref.name} is not what was written (CRC-32 differs)")

    @property
    def collections(self) -> list[int]:
        return list(self._live)

    @property
    def rows(self) -> int:
        return sum(ref.rows for chunks in self._live.values() for ref, _ in chunks)

    @property
    def bytes(self) -> int:
        return sum(ref.bytes for chunks in self._live.values() for ref, _ in chunks)

    def clear(self, now: float) -> None:
        """Begin a new generation. The files stay for ``collect`` to remove, since readers may use them."""
        self._dropped.extend((now, ref.name) for chunks in self._live.values() for ref, _ in chunks)
        self._live = {}

    def publish(
        self,
        flush_number: int,
        positions: Mapping[int, int],
        ends: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        """Publish the current chunks, and these positions and ends, to all workers."""
        collections = {cid: [ref for ref, _ in chunks] for cid, chunks in self._live.items()}
        data = msgspec.json.encode(
            ChunkManifest(flush_number, dict(positions), collections, dict(ends or {}))
        )
        temporary = self.folder / f"manifest.{self._epoch}.new"
        temporary.write_bytes(b"%08x\n" % zlib.crc32(data) + data)
        temporary.rename(manifest_path(self.folder))

    def collect(self, now: float, grace_seconds: float) -> None:
        """Remove files that left the manifest at least ``grace_seconds`` ago."""
        remaining = []
        for when, name in self._dropped:
            if now - when >= grace_seconds:
                (self.folder / name).unlink(missing_ok=True)
            else:
                remaining.append((when, name))
        self._dropped = remaining

    def turn_back(self, seconds: float) -> None:
        """Adjust to a clock that was set back by ``seconds``, so that grace periods end as planned."""
        self._dropped = [(when - seconds, name) for when, name in self._dropped]

    def remove_strangers(self) -> None:
        """Remove chunks of earlier keepers."""
        for path in self.folder.iterdir():
            if path.name != manifest_path(self.folder).name and not path.name.startswith(self._epoch):
                path.unlink(missing_ok=True)

    def _write(self, table: pa.Table, pruned: int) -> tuple[ChunkRef, pa.Table]:
        name = f"{self._epoch}-{self._next}.arrow"
        self._next += 1
        path = self.folder / name
        try:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        except BaseException:
            # On a full disk a partial file may be left, which nothing refers to.
            path.unlink(missing_ok=True)
            raise
        kept = table if table.nbytes < MAPPED_BYTES_MIN else read_chunk(self.fs, path)
        return ChunkRef(name, table.num_rows, kept.nbytes, pruned, _crc(self.fs, path)), kept


def _alike(chunks: Sequence[tuple[ChunkRef, pa.Table]]) -> bool:
    """Whether the chunks have similar numbers of rows."""
    sizes = [ref.rows for ref, _ in chunks]
    return max(sizes) <= MERGE_FANOUT * max(1, min(sizes))


def manifest_path(folder: Path) -> Path:
    return folder / "manifest.json"


def _crc(fs: FileSystem, path: Path) -> int:
    with fs.map(path, 0, writable=False) as mapped:
        return zlib.crc32(mapped)


def read_chunk(fs: FileSystem, path: Path) -> pa.Table:
    """The table of a chunk, mapped, so that processes share its pages. FileNotFoundError if it is gone."""
    mapped = fs.map(path, 0, writable=False)
    return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()


class ManifestReader:
    """The worker's side: reads the current manifest and its tables, again only when they change."""

    def __init__(self, folder: Path, fs: FileSystem) -> None:
        self._folder = folder
        self._fs = fs
        self._path = manifest_path(folder)
        self._stamp: _Stamp | None = None
        self._manifest: ChunkManifest | None = None
        self._tables: dict[str, pa.Table] = {}
        self._sound: dict[str, _Stamp] = {}

    def read(self) -> ChunkManifest | None:
        """The current manifest. Raises OSError.

        None where no keeper has published one, or where the manifest or one of its chunks is damaged: the
        events must then be read from the logs.
        """
        try:
            status = self._fs.status(self._path)
            stamp = _stamp(status)
            if stamp != self._stamp:
                self._manifest = _decoded(self._fs.read_file(self._path))
                if self._manifest is None:
                    logger.error("%s is damaged; questions read the logs until it is replaced", self._path)
                self._stamp = stamp
                self._forget()
        except FileNotFoundError:
            return None
        return self._manifest

    def check(self, refs: Iterable[ChunkRef]) -> None:
        """Compare chunks with their checksums, again only where a file changed.

        Raises ChunksDamaged, after which ``read`` returns None until the next manifest is published;
        FileNotFoundError, OSError.
        """
        for ref in refs:
            path = self._folder / ref.name
            stamp = _stamp(self._fs.status(path))
            if self._sound.get(ref.name) == stamp:
                continue
            if not stamp[-1] or _crc(self._fs, path) != ref.crc:
                self._manifest = None
                self._tables = {}
                logger.error("%s is damaged; questions read the logs until it is flushed", path)
                raise ChunksDamaged(f"{path} is not what was written (CRC-32 differs)")
            self._sound[ref.name] = stamp

    def tables(self, refs: Iterable[ChunkRef]) -> list[pa.Table]:
        """The tables of these chunks. Raises OSError; FileNotFoundError where the manifest is outdated."""
        tables = []
        for ref in refs:
            table = self._tables.get(ref.name)
            if table is None:
                table = self._tables[ref.name] = read_chunk(self._fs, self._folder / ref.name)
            tables.append(table)
        return tables

    def _forget(self) -> None:
        manifest = self._manifest
        if manifest is not None:
            names = {ref.name for refs in manifest.collections.values() for ref in refs}
            self._tables = {name: table for name, table in self._tables.items() if name in names}
            self._sound = {name: stamp for name, stamp in self._sound.items() if name in names}


def _decoded(content: bytes) -> ChunkManifest | None:
    """Decode a manifest; None where it is damaged."""
    crc, _, data = content.partition(b"\n")
    return msgspec.json.decode(data, type=ChunkManifest) if crc == b"%08x" % zlib.crc32(data) else None


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
